/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1, a server's: one request for each connection.
 *
 * Theory of operation
 *
 * The head is read within its limit; whoever asks is looked at (http/names.h); then it becomes a WebSocket, or a stream
 * whose data is the request's body. What the owner writes is the answer's body; the answer's head goes before its first
 * byte, or before the end of none. "Connection: close" is in every answer, so that what may follow the request is not
 * one: it is taken and dropped.
 *
 * A body's bytes are handed up as they come, without what chunks are made of. Those that may not rise yet are kept as
 * they came; `take` is not called then, so that is what one receive has brought.
 *
 * Nothing that comes from a peer is ever sent as a page: a body is application/octet-stream unless the owner says
 * otherwise, and browsers are told not to guess.
 */
#include "http/answer.h"
#include "http/body.h"
#include "http/field.h"
#include "http/names.h"
#include "http/upgrade.h"
#include "net/http_memory.h"
#include "net/layer.h"
#include "ws/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { IN_HEAD, IN_BODY, BEHIND_BODY };

enum { SMALL_MAX = 4096 }; /* what is written goes down in one piece with what is put around it */

struct layer_http {
    struct layer layer;
    const struct layer_web *web;
    struct http_head *head; /* NULL: it belongs to the stream */
    struct http_body body;
    uint8_t state;
    bool ws_only;
    bool is_head;        /* the method is HEAD: no body is sent */
    bool is_chunked;     /* what is sent */
    bool wants_continue; /* Expect: 100-continue, and nothing was answered yet */
    bool head_sent;
    uint16_t status;
    char type[HTTP_CONTENT_TYPE_MAX];
    char *more; /* headers of the answer that the owner has added, each with its line's end; NULL: none */
    size_t n_more;
    uint8_t *held;
    size_t n_held, held_at;
};

static const struct layer_kind http_kind;

static struct layer_http *of(struct layer *layer)
{
    return (struct layer_http *)layer;
}

/* --- refusing --------------------------------------------------------------------------------------------------- */

/* about: what it was in the request, as it came; "" for nothing. */
static void refuse(struct layer_http *http, int error, const struct http_refusal *refusal, const char *about)
{
    struct layer *layer = &http->layer;
    char text[HTTP_ANSWER_MAX], shown[120];
    size_t n = http_answer_refusal(refusal, http->is_head, text);

    if (!http->head_sent && layer_down(layer, text, n) == 0)
        layer_down_shut(layer);
    http->head_sent = true;
    http_shown(about, shown, sizeof shown);
    if (shown[0] != '\0')
        layer_doom(layer, error, "request", "answered %u to %s", refusal->status, shown);
    else
        layer_doom(layer, error, "request", "answered %u: %s", refusal->status, refusal->sentence);
}

static bool is_let_in(const struct layer_http *http, enum sonde_any_kind kind)
{
    return http->web->any_kinds & 1u << kind;
}

/* --- who asks --------------------------------------------------------------------------------------------------- */

static bool has_tls(const struct layer *layer)
{
    for (layer = layer->below; layer != NULL; layer = layer->below)
        if (layer->kind->bit == SONDE_LAYER_TLS)
            return true;
    return false;
}

static void add_address(struct sonde_address *addresses, unsigned *n, const struct sonde_url *url)
{
    struct sonde_address *address = &addresses[*n];
    char host[sizeof url->host];

    if (url->scheme != SONDE_SCHEME_TCP)
        return;
    *address = (struct sonde_address){.port = url->port};
    snprintf(host, sizeof host, "%.*s", (int)strcspn(url->host, "%"), url->host);
    if (inet_pton(AF_INET, host, address->u.ip) == 1)
        address->family = AF_INET;
    else if (inet_pton(AF_INET6, host, address->u.ip) == 1)
        address->family = AF_INET6;
    *n += address->family != 0;
}

static int guard(const struct layer_http *http, const struct sonde_http_request *request,
                 const struct http_refusal **ret_refusal, const char **ret_value)
{
    const struct layer_web *web = http->web;
    const struct sonde_stream *stream = http->layer.stream;
    struct sonde_address addresses[1 + SONDE_LISTENER_MAX];
    unsigned family = stream_family(stream);
    struct http_names names = {
        .addresses = addresses,
        .n_addresses = 1,
        .own = web->url.host[0] != '\0' && web->url.scheme == SONDE_SCHEME_TCP ? web->url.host : NULL,
        .is_local = family == AF_UNIX || family == AF_VSOCK,
        .default_port = has_tls(&http->layer) ? 443 : 80,
        .has_http = !has_tls(&http->layer) || web->url.layers & SONDE_LAYER_ANY,
        .has_https = has_tls(&http->layer) || (web->url.layers & SONDE_LAYER_ANY && is_let_in(http, SONDE_ANY_TLS)),
        .more = web->server->hosts,
        .origins = web->server->origins,
    };

    sonde_stream_local(stream, &addresses[0]);
    for (unsigned i = 0; web->listener != NULL && i < sonde_listener_count(web->listener); i++) {
        struct sonde_url url;
        sonde_listener_address(web->listener, i, &url);
        add_address(addresses, &names.n_addresses, &url);
    }
    return http_guard(request, &names, ret_refusal, ret_value);
}

static const struct http_refusal no_target = {404, "There is nothing of this name here."};

/* Is it what the listener's URL names? The query is part of it only if it is part of that. */
static bool is_served(const struct layer_http *http, const struct sonde_http_request *request)
{
    const char *served = http->web->url.target, *path = http_target_path(request->target);
    size_t n = strchr(served, '?') != NULL ? strlen(path) : strcspn(path, "?");

    if (served[0] == '\0')
        return true;
    if (n == 0 || path[0] == '?')
        return strcmp(served, "/") == 0;
    return n == strlen(served) && memcmp(path, served, n) == 0;
}

/* --- WebSocket -------------------------------------------------------------------------------------------------- */

static const struct http_refusal no_ws = {403, "WebSocket is switched off here."};
static const struct http_refusal no_http = {403, "HTTP is switched off here."};
static const struct http_refusal ws_wanted = {426, "This is a WebSocket service: connect with ws:// or wss://."};
static const struct http_refusal bad_key = {400, "The Sec-WebSocket-Key is not 16 bytes in base64."};
static const struct http_refusal bad_extensions = {400, "The Sec-WebSocket-Extensions are malformed."};

/* NULL: they can be answered. extensions: "" for none. */
static const struct http_refusal *choose_deflate(const struct layer_http *http,
                                                 const struct sonde_http_request *request,
                                                 struct ws_deflate_terms *terms, char extensions[WS_TERMS_TEXT])
{
    char offers[1024];
    size_t n = http_header_join(request, "Sec-WebSocket-Extensions", offers, sizeof offers);
    int error;

    extensions[0] = '\0';
    if (http->web->server->settings.no_deflate || n == 0 || n >= sizeof offers)
        return NULL;
    error = ws_deflate_choose(offers, terms);
    if (error == -EBADMSG)
        return &bad_extensions;
    if (error == 0)
        ws_deflate_answer(terms, extensions);
    return NULL;
}

static void become_ws(struct layer_http *http, const char *key, const char *subprotocol, const char *extensions,
                      const struct ws_deflate_terms *terms, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &http->layer, *ws;
    char accept[WS_ACCEPT_TEXT], text[HTTP_ANSWER_MAX];
    int error = ws_accept(key, accept);

    if (error == 0)
        error = layer_ws_create(layer->stream, &http->web->server->settings,
                                subprotocol[0] != '\0' ? subprotocol : NULL, extensions[0] != '\0' ? terms : NULL, &ws);
    if (error < 0) {
        layer_doom(layer, error, "malloc", "%s", "");
        return;
    }
    error = layer_down(layer, text, http_answer_upgrade(accept, subprotocol, extensions, text));
    if (error < 0) {
        ws->kind->free(ws);
        layer_doom(layer, error, "send", "%s", "");
        return;
    }
    layer_become(layer, ws, bytes, n_bytes);
}

static void upgrade(struct layer_http *http, const struct sonde_http_request *request, uint8_t *bytes, size_t n_bytes)
{
    const struct http_refusal *refusal = http_upgrade_check(request);
    const char *key = sonde_http_header(request, "Sec-WebSocket-Key");
    char subprotocol[HTTP_SUBPROTOCOL_TEXT], extensions[WS_TERMS_TEXT];
    struct ws_deflate_terms terms;

    if (!http->ws_only && !is_let_in(http, SONDE_ANY_WS)) {
        refuse(http, -SONDE_EKIND, &no_ws, "");
        return;
    }
    if (refusal == NULL && !ws_key_valid(key))
        refusal = &bad_key;
    if (refusal == NULL)
        refusal = choose_deflate(http, request, &terms, extensions);
    if (refusal != NULL) {
        refuse(http, -SONDE_EHTTP, refusal, "");
        return;
    }
    http_choose_subprotocol(http->web->server->subprotocols, request, subprotocol);
    become_ws(http, key, subprotocol, extensions, &terms, bytes, n_bytes);
}

/* --- the body --------------------------------------------------------------------------------------------------- */

/* Hand up as much as may rise. Returns how many of the bytes are done with. */
static size_t rise(struct layer_http *http, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &http->layer;
    size_t n = 0;

    while (http->state == IN_BODY && !http->wants_continue && layer_may_rise(layer)) {
        size_t n_taken, n_data;
        if (http_body_over(&http->body)) {
            http->state = BEHIND_BODY;
            layer_up_end(layer);
            break;
        }
        if (n == n_bytes)
            return n;
        if (http_body_take(&http->body, bytes + n, n_bytes - n, &n_taken, &n_data) == HTTP_WRONG) {
            refuse(http, -SONDE_EHTTP, http->body.wrong, "");
            return n_bytes;
        }
        n += n_taken;
        if (n_data > 0)
            layer_up(layer, bytes + n - n_data, n_data, 0);
    }
    return http->state == IN_BODY ? n : n_bytes;
}

/* Does anything wait that does not need another byte to come? */
static bool is_due(const struct layer_http *http)
{
    return http->state == IN_BODY && (http->wants_continue || http->n_held > 0 || http_body_over(&http->body));
}

static void take_body(struct layer_http *http, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &http->layer;
    size_t n = rise(http, bytes, n_bytes);

    if (layer_is_over(layer))
        return;
    if (n < n_bytes) {
        http->held = loop_alloc(layer->stream->loop, n_bytes - n);
        if (http->held == NULL) {
            layer_doom(layer, -ENOMEM, "malloc", "%s", "");
            return;
        }
        http->n_held = n_bytes - n;
        http->held_at = 0;
        memcpy(http->held, bytes + n, http->n_held);
    }
    layer->holds = is_due(http);
}

static void go_on(struct layer *layer)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct layer_http *http = of(layer);

    if (!layer_may_rise(layer))
        return;
    if (http->wants_continue && !http->head_sent)
        layer_down(layer, text, sizeof text - 1);
    http->wants_continue = false;
    http->held_at += rise(http, http->held + http->held_at, http->n_held - http->held_at);
    if (http->held != NULL && http->held_at == http->n_held) {
        loop_free(layer->stream->loop, http->held, http->n_held);
        http->held = NULL;
        http->n_held = http->held_at = 0;
    }
    layer->holds = is_due(http);
}

/* --- the head --------------------------------------------------------------------------------------------------- */

static const struct http_refusal no_method = {405, "This method is not for services."};
static const struct http_refusal no_expectation = {417, "Nothing can be expected but 100-continue."};

static void open_http(struct layer_http *http, const struct sonde_http_request *request, uint8_t *bytes, size_t n_bytes)
{
    const struct http_refusal *refusal = http_body_begin(&http->body, request);
    const char *expected = sonde_http_header(request, "Expect");
    char text[160], shown[128];

    if (refusal == NULL && expected != NULL && !http_header_has(request, "Expect", "100-continue"))
        refusal = &no_expectation;
    if (refusal != NULL) {
        refuse(http, -SONDE_EHTTP, refusal, "");
        return;
    }
    http->state = IN_BODY;
    http->is_chunked = request->version > 10;
    http->wants_continue = expected != NULL && request->version > 10 && !http_body_over(&http->body) && n_bytes == 0;
    http_shown(request->target, shown, sizeof shown);
    snprintf(text, sizeof text, "HTTP, %s %s", request->method, shown);
    layer_opened(&http->layer, text);
    if (!layer_is_over(&http->layer))
        take_body(http, bytes, n_bytes);
}

static void free_request(struct sonde_loop *loop, void *request)
{
    (void)loop;
    http_head_free(request);
}

static void on_request(struct layer_http *http, uint8_t *bytes, size_t n_bytes)
{
    const struct sonde_http_request *request = http_head_request(http->head);
    const struct http_refusal *refusal;
    const char *about;
    int error;

    layer_keep_request(&http->layer, http->head, free_request);
    http->head = NULL;
    http->is_head = strcmp(request->method, "HEAD") == 0;
    error = guard(http, request, &refusal, &about);
    if (error < 0)
        refuse(http, error, refusal, about);
    else if (strcmp(request->method, "CONNECT") == 0 || strcmp(request->method, "TRACE") == 0)
        refuse(http, -SONDE_EHTTP, &no_method, request->method);
    else if (!is_served(http, request))
        refuse(http, -SONDE_EHTTP, &no_target, request->target);
    else if (http_wants_upgrade(request))
        upgrade(http, request, bytes, n_bytes);
    else if (http->ws_only)
        refuse(http, -SONDE_EHTTP, &ws_wanted, "");
    else if (!is_let_in(http, SONDE_ANY_HTTP))
        refuse(http, -SONDE_EKIND, is_let_in(http, SONDE_ANY_WS) ? &ws_wanted : &no_http, "");
    else
        open_http(http, request, bytes, n_bytes);
}

static void take_head(struct layer_http *http, uint8_t *bytes, size_t n_bytes)
{
    size_t n_taken;

    switch (http_head_take(http->head, bytes, n_bytes, &n_taken)) {
    case HTTP_GOES_ON:
        break;
    case HTTP_DONE:
        on_request(http, bytes + n_taken, n_bytes - n_taken);
        break;
    case HTTP_WRONG:
        refuse(http, -SONDE_EHTTP, http_head_refusal(http->head), "");
        break;
    case HTTP_NO_MEMORY:
        layer_doom(&http->layer, -ENOMEM, "malloc", "%s", "");
        break;
    }
}

/* --- the layer -------------------------------------------------------------------------------------------------- */

static void begin(struct layer *layer)
{
    (void)layer; /* the client speaks first */
}

static void take(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct layer_http *http = of(layer);

    if (http->state == IN_HEAD)
        take_head(http, bytes, n_bytes);
    else if (http->state == IN_BODY)
        take_body(http, bytes, n_bytes);
}

static void on_end(struct layer *layer)
{
    static const struct http_refusal cut = {400, "The request's body ended before its time."};
    struct layer_http *http = of(layer);

    if (http->state == IN_HEAD)
        layer_doom(layer, -ENODATA, "request", "it ended before its request was complete");
    else if (http->state == IN_BODY)
        refuse(http, -SONDE_EHTTP, &cut, "");
}

static void drop_more(struct layer_http *http)
{
    if (http->more != NULL)
        loop_free(http->layer.stream->loop, http->more, http->n_more);
    http->more = NULL;
    http->n_more = 0;
}

/* What goes before the next piece of the answer: its head, once. */
static size_t put_head(struct layer_http *http, char *text)
{
    size_t n;

    if (http->head_sent)
        return 0;
    http->head_sent = true;
    n = http_answer_head(http->status, http->type, http->is_chunked, text);
    if (http->more != NULL) {
        memcpy(text + n - 2, http->more, http->n_more); /* before the empty line */
        n += http->n_more;
        memcpy(text + n - 2, "\r\n", 2);
        drop_more(http);
    }
    return n;
}

static int send_small(struct layer_http *http, char *text, size_t n, const void *data, size_t n_bytes)
{
    memcpy(text + n, data, n_bytes);
    n += n_bytes;
    if (http->is_chunked) {
        memcpy(text + n, "\r\n", 2);
        n += 2;
    }
    return layer_down(&http->layer, text, n);
}

static int on_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags)
{
    struct layer_http *http = of(layer);
    char text[HTTP_ANSWER_MAX + HTTP_MORE_HEADERS_MAX + HTTP_CHUNK_HEAD_MAX + SMALL_MAX + 2];
    size_t n = put_head(http, text);
    bool has_body = !http->is_head && http_status_has_body(http->status) && n_bytes > 0;
    int error = 0;

    (void)flags;
    if (has_body && http->is_chunked)
        n += (size_t)sprintf(text + n, "%zx\r\n", n_bytes);
    if (has_body && n_bytes <= SMALL_MAX) {
        error = send_small(http, text, n, data, n_bytes);
    } else {
        if (n > 0)
            error = layer_down(layer, text, n);
        if (has_body && error == 0)
            error = layer_down(layer, data, n_bytes);
        if (has_body && error == 0 && http->is_chunked)
            error = layer_down(layer, "\r\n", 2);
    }
    if (error < 0) /* some of it may have gone: what followed would not be understood */
        sonde_stream_fail(layer->stream, error);
    return error;
}

static void on_shut(struct layer *layer)
{
    struct layer_http *http = of(layer);
    char text[HTTP_ANSWER_MAX + HTTP_MORE_HEADERS_MAX + 8];
    size_t n = put_head(http, text);

    if (http->is_chunked && !http->is_head && http_status_has_body(http->status))
        n += (size_t)sprintf(text + n, "0\r\n\r\n");
    int error = n > 0 ? layer_down(layer, text, n) : 0;
    if (error < 0) /* not a good end */
        sonde_stream_fail(layer->stream, error);
    else
        layer_down_shut(layer);
}

static void on_free(struct layer *layer)
{
    struct layer_http *http = of(layer);
    struct sonde_loop *loop = layer->stream->loop;

    http_head_free(http->head);
    drop_more(http);
    if (http->held != NULL)
        loop_free(loop, http->held, http->n_held);
    loop_free(loop, http, sizeof *http);
}

static const struct layer_kind http_kind = {
    .name = "HTTP",
    .bit = SONDE_LAYER_HTTP,
    .begin = begin,
    .take = take,
    .go_on = go_on,
    .end = on_end,
    .send = on_send,
    .shut = on_shut,
    .free = on_free,
};

int layer_http_create(struct sonde_stream *stream, const struct layer_web *web, bool ws_only, struct layer **ret_layer)
{
    struct http_memory memory = http_memory_of(stream->loop);
    size_t limit = web->server->settings.head_limit_bytes;
    struct layer_http *http = layer_alloc(stream, &http_kind, sizeof *http);

    if (http == NULL)
        return -ENOMEM;
    http->web = web;
    http->ws_only = ws_only;
    http->status = 200;
    snprintf(http->type, sizeof http->type, "application/octet-stream");
    http->head = http_head_create(false, limit != 0 ? limit : SONDE_WS_HEAD_LIMIT, &memory);
    if (http->head == NULL) {
        loop_free(stream->loop, http, sizeof *http);
        return -ENOMEM;
    }
    *ret_layer = &http->layer;
    return 0;
}

/* --- for the owner ---------------------------------------------------------------------------------------------- */

const struct sonde_http_request *sonde_stream_request(const struct sonde_stream *stream)
{
    const struct http_head *head = layer_request(stream);

    return head != NULL ? http_head_request(head) : NULL;
}

int sonde_http_answer(struct sonde_stream *stream, unsigned status, const char *content_type)
{
    struct layer_http *http = (struct layer_http *)layer_find(stream, &http_kind);

    if (http == NULL)
        return -EOPNOTSUPP;
    if (http->head_sent)
        return -EALREADY;
    if (status < 200 || status > 599 || (content_type != NULL && !http_content_type_valid(content_type)))
        return -EINVAL;
    http->status = (uint16_t)status;
    if (content_type != NULL)
        snprintf(http->type, sizeof http->type, "%s", content_type);
    return 0;
}

int sonde_http_answer_header(struct sonde_stream *stream, const char *header)
{
    struct layer_http *http = (struct layer_http *)layer_find(stream, &http_kind);
    size_t n = strlen(header);

    if (http == NULL)
        return -EOPNOTSUPP;
    if (http->head_sent)
        return -EALREADY;
    if (!http_answer_header_valid(header))
        return -EINVAL;
    if (n + 2 > HTTP_MORE_HEADERS_MAX - http->n_more)
        return -ENOBUFS;
    char *more = loop_alloc(stream->loop, http->n_more + n + 2);
    if (more == NULL)
        return -ENOMEM;
    if (http->more != NULL)
        memcpy(more, http->more, http->n_more);
    memcpy(more + http->n_more, header, n);
    memcpy(more + http->n_more + n, "\r\n", 2);
    n += http->n_more + 2;
    drop_more(http);
    http->more = more;
    http->n_more = n;
    return 0;
}
