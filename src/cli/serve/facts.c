/* SPDX-License-Identifier: MIT */
/*
 * What a browser or curl is shown that asks a service with GET or HEAD: the facts about its own connection, as text or,
 * for who accepts application/json, as JSON. The service is not told of such a connection. Those that speak first
 * answer for themselves.
 *
 * The page is text/plain, in which nothing is obeyed; what comes from the client is escaped all the same, for those who
 * read it in a terminal.
 */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"
#include "json/json.h"

#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SHOWN_MAX = 1024 }; /* of one text of the client's */

bool serve_facts_wanted(const struct worker *worker, const struct sonde_stream *stream)
{
    const struct sonde_http_request *request = sonde_stream_request(stream);

    if (request == NULL || !(sonde_stream_layers(stream) & SONDE_LAYER_HTTP) ||
        worker->service->flags & SERVICE_SPEAKS_FIRST)
        return false;
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

/* What there is to tell. */
struct facts {
    const struct worker *worker;
    struct sonde_stream *stream;
    const struct sonde_http_request *request;
    char peer[SONDE_ADDRESS_TEXT], local[SERVE_UNIX_NAME];
    bool is_ip, has_tls, has_tcp;
    struct sonde_tls_info tls;
    struct tcp_info tcp;
};

static void find(struct facts *facts)
{
    struct sonde_address peer;
    socklen_t n = sizeof(facts->tcp);
    int fd = sonde_stream_fd(facts->stream);

    facts->request = sonde_stream_request(facts->stream);
    sonde_stream_peer(facts->stream, &peer);
    sonde_address_format(&peer, facts->peer, sizeof(facts->peer));
    serve_local_format(facts->worker, facts->stream, facts->local, sizeof(facts->local));
    facts->has_tls = sonde_stream_tls_info(facts->stream, &facts->tls) == 0;
    facts->is_ip = peer.family == AF_INET || peer.family == AF_INET6;
    facts->has_tcp = fd >= 0 && facts->is_ip && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts->tcp, &n) == 0;
}

/* --- as text ---------------------------------------------------------------------------------------------------- */

static const char *shown(const char *text, char *room)
{
    escape_short(text, strlen(text), room, SHOWN_MAX);
    return room;
}

static void text_tls(FILE *page, const struct sonde_tls_info *tls)
{
    char room[SHOWN_MAX];

    fprintf(page, _("TLS           %s, %s"), tls->version, tls->cipher);
    if (tls->alpn[0] != '\0')
        fprintf(page, _(", ALPN %s"), shown(tls->alpn, room));
    if (tls->server_name[0] != '\0')
        fprintf(page, _(", server name %s"), shown(tls->server_name, room));
    fputc('\n', page);
    if (tls->subject[0] != '\0')
        fprintf(page, _("certificate   %s\n"), shown(tls->subject, room));
}

static void text_request(FILE *page, const struct sonde_http_request *request)
{
    char name[SHOWN_MAX], value[SHOWN_MAX];

    fprintf(page, _("\nThe request:\n\n"));
    fprintf(page, "    %s %s HTTP/1.%d\n", request->method, shown(request->target, value), request->version - 10);
    for (unsigned i = 0; i < request->n_headers; i++)
        fprintf(page, "    %s: %s\n", shown(request->headers[i].name, name), shown(request->headers[i].value, value));
}

/* How others come here. */
static void text_ways(FILE *page, const struct facts *facts)
{
    const char *local = facts->local, *colon = strrchr(local, ':');
    int n_host = colon != NULL ? (int)(colon - local) : 0;
    bool is_ipv6 = local[0] == '[';
    const char *s = facts->has_tls ? "s" : "";

    if (!facts->is_ip || colon == NULL)
        return;
    fprintf(page, _("\nThe same address, for others:\n\n"));
    fprintf(page, "    nc %.*s %s\n", is_ipv6 ? n_host - 2 : n_host, local + is_ipv6, colon + 1);
    fprintf(page, "    openssl s_client -connect %s\n", local);
    fprintf(page, "    curl%s --data-binary @- http%s://%s/\n", facts->has_tls ? " --insecure" : "", s, local);
    fprintf(page, "    sonde connect ws%s://%s/%s\n", s, local, facts->has_tls ? " --insecure" : "");
    fprintf(page, "    new WebSocket(\"ws%s://%s/\")\n", s, local);
}

static void text_page(FILE *page, const struct facts *facts)
{
    const struct service *service = facts->worker->service;
    char room[SHOWN_MAX];

    fprintf(page, _("This is the service %s of sonde: %s.\n\n"), service->name, service->help);
    fprintf(page, _("you           %s\n"), shown(facts->peer, room));
    fprintf(page, _("here          %s\n"), shown(facts->local, room));
    if (facts->has_tls)
        text_tls(page, &facts->tls);
    fprintf(page, _("received      %" PRIu64 " bytes\n"), sonde_stream_wire_received_bytes(facts->stream));
    fprintf(page, _("sent          %" PRIu64 " bytes, before this answer\n"),
            sonde_stream_wire_sent_bytes(facts->stream));
    if (facts->has_tcp)
        fprintf(page, _("TCP           round trip %.3f ms, congestion window %u segments of %u bytes\n"),
                facts->tcp.tcpi_rtt / 1000.0, facts->tcp.tcpi_snd_cwnd, facts->tcp.tcpi_snd_mss);
    text_request(page, facts->request);
    text_ways(page, facts);
}

/* --- as JSON ---------------------------------------------------------------------------------------------------- */

static void json_request(struct json *json, const struct sonde_http_request *request)
{
    json_object_begin(json, "request");
    json_string(json, "method", request->method);
    json_string(json, "target", request->target);
    json_string(json, "version", request->version == 10 ? "1.0" : "1.1");
    json_array_begin(json, "headers");
    for (unsigned i = 0; i < request->n_headers; i++) {
        json_array_begin(json, NULL);
        json_string(json, NULL, request->headers[i].name);
        json_string(json, NULL, request->headers[i].value);
        json_array_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void json_tls(struct json *json, const struct sonde_tls_info *tls)
{
    json_object_begin(json, "tls");
    json_string(json, "version", tls->version);
    json_string(json, "cipher", tls->cipher);
    json_string(json, "alpn", tls->alpn[0] != '\0' ? tls->alpn : NULL);
    json_string(json, "server_name", tls->server_name[0] != '\0' ? tls->server_name : NULL);
    json_string(json, "subject", tls->subject[0] != '\0' ? tls->subject : NULL);
    json_object_end(json);
}

static size_t json_page(char *text, size_t size_bytes, const struct facts *facts)
{
    struct json json;

    json_begin(&json, text, size_bytes);
    json_string(&json, "service", facts->worker->service->name);
    json_string(&json, "peer", facts->peer);
    json_string(&json, "local", facts->local);
    json_unsigned(&json, "wire_bytes_in", sonde_stream_wire_received_bytes(facts->stream));
    json_unsigned(&json, "wire_bytes_out", sonde_stream_wire_sent_bytes(facts->stream));
    if (facts->has_tls)
        json_tls(&json, &facts->tls);
    if (facts->has_tcp) {
        json_object_begin(&json, "tcp");
        json_unsigned(&json, "rtt_us", facts->tcp.tcpi_rtt);
        json_unsigned(&json, "cwnd", facts->tcp.tcpi_snd_cwnd);
        json_unsigned(&json, "mss", facts->tcp.tcpi_snd_mss);
        json_object_end(&json);
    }
    json_request(&json, facts->request);
    return json_end(&json);
}

/* --- the answer ------------------------------------------------------------------------------------------------- */

static bool wants_json(const struct sonde_http_request *request)
{
    const char *accepted = sonde_http_header(request, "Accept");

    return accepted != NULL && strcasestr(accepted, "application/json") != NULL;
}

/* NULL: no memory. Freed by the caller. */
static char *make_text(const struct facts *facts, size_t *ret_n_bytes)
{
    char *text = NULL;
    FILE *page = open_memstream(&text, ret_n_bytes);

    if (page == NULL)
        return NULL;
    text_page(page, facts);
    if (fclose(page) == 0)
        return text;
    free(text);
    return NULL;
}

static char *make_json(const struct facts *facts, size_t *ret_n_bytes)
{
    size_t size_bytes = 8192;
    char *text;

    for (unsigned i = 0; i < facts->request->n_headers; i++)
        size_bytes += 16 + 6 * (strlen(facts->request->headers[i].name) + strlen(facts->request->headers[i].value));
    size_bytes += 6 * strlen(facts->request->target);
    text = malloc(size_bytes);
    if (text != NULL)
        *ret_n_bytes = json_page(text, size_bytes, facts);
    return text;
}

void serve_facts_answer(struct worker *worker, struct sonde_stream *stream)
{
    struct facts facts = {.worker = worker, .stream = stream};
    struct connection *connection = connection_of(stream);
    size_t n_bytes = 0;

    find(&facts);
    bool json = wants_json(facts.request);
    char *text = json ? make_json(&facts, &n_bytes) : make_text(&facts, &n_bytes);
    connection->reason = SERVE_SERVED;
    sonde_http_answer(stream, 200, json ? "application/json" : "text/plain; charset=utf-8");
    if (text == NULL || sonde_stream_write(stream, text, n_bytes) < 0)
        sonde_stream_abort(stream);
    else
        sonde_stream_finish(stream, sonde_loop_now_ns(worker->loop) + SERVE_FACTS_NS);
    free(text);
}
