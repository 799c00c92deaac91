/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * With a proxy, connect.c connects to the proxy as to anything else, and the far end's name, where it is to be looked
 * up here, is looked up meanwhile. When both are there the prologue begins: the talk of socks.c or http_connect.c, then
 * the PROXY protocol's header, either of which may be missing. A failure belongs to one of two legs, ours to the proxy
 * or the proxy's to the far end; why has the address of that one for its subject.
 */
#include "net/through.h"

#include "net/address.h"
#include "net/http_connect.h"
#include "net/lookup.h"
#include "net/prologue.h"
#include "net/proxy_header.h"
#include "net/sockopt.h"
#include "net/socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Longer than a kernel tries to connect (127 s), since that is what the proxy may be waiting for. */
static const int64_t patience_ns = INT64_C(150) * 1000 * 1000 * 1000;

struct through {
    struct prologue prologue; /* first */
    struct connecting *connecting;
    struct sonde_proxy proxy; /* kind 0: none */
    struct proxy_far far;
    struct lookup *lookup; /* of the far end's name */
    uint8_t header_version;
    bool stands;     /* the connection to the proxy does, and waits for the look-up */
    bool has_begun;  /* the prologue */
    bool is_told;    /* why says already which leg it is about */
    bool far_stands; /* the proxy says so */
    union {
        struct socks socks;
        struct http_connect http;
    } talk;
    uint8_t header[PROXY_HEADER_WRITE_MAX];
};

/* --- why -------------------------------------------------------------------------------------------------------- */

static void format_far(const struct through *through, char *ret_text, size_t size_bytes)
{
    struct sonde_address address = through->far.address;

    address.port = through->far.port;
    if (through->far.name[0] != '\0')
        snprintf(ret_text, size_bytes, "%.140s:%u", through->far.name, through->far.port);
    else
        sonde_address_format(&address, ret_text, size_bytes);
}

static void blame(struct through *through, bool is_far, int error, const char *what, const char *detail)
{
    struct connecting *connecting = through->connecting;
    struct sonde_why *why = &connecting->why;

    connecting_set_why(connecting, error, "proxy");
    if (is_far)
        format_far(through, why->subject, sizeof why->subject);
    snprintf(why->detail, sizeof why->detail, "%s%s%.150s", what, detail[0] != '\0' ? ": " : "", detail);
    through->is_told = true;
}

void through_explain(struct connecting *connecting)
{
    struct through *through = connecting->through;
    struct sonde_why *why = &connecting->why;
    char before[sizeof why->detail];

    if (through == NULL || through->proxy.kind == 0 || through->is_told)
        return;
    if (why->code == -ETIMEDOUT && through->has_begun) {
        blame(through, false, why->code, "the proxy has not answered in time", "");
    } else if (why->code == -ETIMEDOUT && through->stands) {
        why->call = "getaddrinfo";
        format_far(through, why->subject, sizeof why->subject);
        snprintf(why->detail, sizeof why->detail, "the far end's name; the proxy is there");
    } else {
        memcpy(before, why->detail, sizeof before);
        snprintf(why->detail, sizeof why->detail, "the proxy can't be reached%s%.150s", before[0] != '\0' ? ": " : "",
                 before);
    }
}

/* --- the talk --------------------------------------------------------------------------------------------------- */

static enum proxy_step take_bytes(struct through *through, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken,
                                  const struct proxy_refusal **ret_refusal)
{
    struct prologue *prologue = &through->prologue;
    enum proxy_step step;

    if (through->proxy.kind == SONDE_PROXY_HTTP) {
        *ret_refusal = &through->talk.http.refusal;
        return http_connect_take(&through->talk.http, bytes, n_bytes, ret_n_taken);
    }
    step = socks_take(&through->talk.socks, bytes, n_bytes, ret_n_taken);
    *ret_refusal = &through->talk.socks.refusal;
    prologue->out = through->talk.socks.out;
    prologue->n_out = through->talk.socks.n_out;
    return step;
}

/* Who we are, and where to; what is behind a proxy that looks names up is not known. */
static size_t write_header(struct through *through)
{
    const struct connecting *connecting = through->connecting;
    const struct sonde_stream *stream = connecting->stream;
    struct proxy_header header = {.version = through->header_version, .is_known = true};
    const struct sonde_url *url = &connecting->url;

    sonde_stream_local(stream, &header.source);
    header.destination = stream->peer;
    if (through->proxy.kind != 0) {
        header.destination = through->far.address;
        header.destination.port = through->far.port;
    }
    if (url->scheme == SONDE_SCHEME_UNIX && url->path_bytes <= sizeof header.destination_path)
        memcpy(header.destination_path, url->path, url->path_bytes);
    return proxy_header_write(&header, through->header);
}

static int on_bytes(struct prologue *prologue, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken)
{
    struct through *through = (struct through *)prologue;
    const struct proxy_refusal *refusal;

    switch (take_bytes(through, bytes, n_bytes, ret_n_taken, &refusal)) {
    case PROXY_GOES_ON:
        return 0;
    case PROXY_REFUSED:
        blame(through, refusal->is_far, refusal->error,
              refusal->is_far ? "the proxy can't reach it" : "the proxy does not connect us", refusal->detail);
        return refusal->error;
    case PROXY_STANDS:
        break;
    }
    through->far_stands = true;
    if (through->header_version != 0) {
        prologue->n_out = write_header(through);
        prologue->out = through->header;
    }
    return 1;
}

static void on_over(struct prologue *prologue, int error)
{
    struct through *through = (struct through *)prologue;
    struct connecting *connecting = through->connecting;
    struct sonde_stream *stream = connecting->stream;

    if (error == -ENODATA && !through->far_stands) {
        error = -SONDE_EPROXY;
        blame(through, false, error, "the proxy ended the connection before it had answered", "");
    } else if (error < 0 && !through->is_told && error != -ETIMEDOUT && through->proxy.kind != 0) {
        blame(through, false, error, "the connection to the proxy was lost", "");
    } else if (error < 0 && !through->is_told) {
        connecting_set_why(connecting, error, "connect");
    }
    if (error == 0 && through->proxy.kind != 0) {
        stream->peer_said = (uint8_t)stream->peer.family;
        stream->peer = through->far.address;
        stream->peer.port = through->far.port;
    }
    through_over(connecting, error);
}

static const struct prologue_rules talk_rules = {.take = on_bytes, .over = on_over};
static const struct prologue_rules header_rules = {.over = on_over};

static void begin(struct through *through)
{
    struct sonde_stream *stream = through->connecting->stream;
    int64_t deadline_ns = sonde_loop_now_ns(stream->loop) + patience_ns;
    const struct sonde_proxy *proxy = &through->proxy;

    through->has_begun = true;
    if (proxy->kind == 0) {
        size_t n = write_header(through);
        prologue_begin(&through->prologue, stream, &header_rules, through->header, n, deadline_ns);
    } else if (proxy->kind == SONDE_PROXY_HTTP) {
        struct http_connect *http = &through->talk.http;
        http_connect_begin(http, proxy->user, proxy->password, &through->far);
        prologue_begin(&through->prologue, stream, &talk_rules, (const uint8_t *)http->out, http->n_out, deadline_ns);
    } else {
        struct socks *socks = &through->talk.socks;
        socks_begin(socks, proxy->user, proxy->password, &through->far);
        prologue_begin(&through->prologue, stream, &talk_rules, socks->out, socks->n_out, deadline_ns);
    }
}

bool through_begin(struct connecting *connecting)
{
    struct through *through = connecting->through;

    if (through == NULL)
        return false;
    through->stands = true;
    if (through->lookup == NULL)
        begin(through);
    return true;
}

/* --- the far end's name ----------------------------------------------------------------------------------------- */

/* One address is asked for, and nobody knows which families the proxy can reach: IPv4 is the safer guess. */
static void choose(struct through *through, const struct addresses *addresses)
{
    for (unsigned i = 0; i < addresses->n; i++)
        if (through->far.address.family == 0 ||
            (through->far.address.family == AF_INET6 && addresses->list[i].family == AF_INET))
            through->far.address = addresses->list[i];
}

static void on_found(void *user, const struct addresses *addresses)
{
    choose(user, addresses);
}

static void on_looked_up(void *user, int error, const char *detail)
{
    struct through *through = user;

    through->lookup = NULL;
    if (error < 0) {
        connecting_set_why(through->connecting, error, "getaddrinfo");
        snprintf(through->connecting->why.subject, sizeof through->connecting->why.subject, "%.150s",
                 through->far.name);
        snprintf(through->connecting->why.detail, sizeof through->connecting->why.detail, "%s", detail);
        through->is_told = true;
        through_over(through->connecting, error);
        return;
    }
    if (through->stands)
        begin(through);
}

static const struct lookup_handler lookup_handler = {.found = on_found, .over = on_looked_up};

/* What there is to say of the far end: an address if that is known, or if it is to be known here; or its name. */
static int find_far(struct through *through, const struct sonde_connect_options *options, const char *host)
{
    struct addresses addresses;

    if (host[0] == '\0')
        host = "localhost";
    bool is_name = address_parse_numeric(host, AF_UNSPEC, &through->far.address) < 0;
    if (is_name)
        snprintf(through->far.name, sizeof through->far.name, "%s", host);
    if (!is_name || through->proxy.far_names)
        return 0;
    if (options->numeric)
        return -SONDE_ENAME;
    int error = resolve_at_once(host, options->family, false, &addresses);
    if (error == 0)
        choose(through, &addresses);
    if (error != -SONDE_ENAME)
        return error;
    return lookup_start(through->connecting->stream->loop, host, options->family, &lookup_handler, through,
                        &through->lookup);
}

static int go_through(struct through *through, const struct sonde_connect_options *options, const char **ret_detail)
{
    struct sonde_url *url = &through->connecting->url;
    char host[sizeof url->host];

    if (url->scheme != SONDE_SCHEME_TCP || strcmp(url->host, "*") == 0) {
        *ret_detail = "a proxy connects to tcp:// addresses alone";
        return -EINVAL;
    }
    through->proxy = *options->proxy;
    through->far.port = url->port;
    memcpy(host, url->host, sizeof host);
    int error = find_far(through, options, host);
    if (error < 0)
        return error;
    memcpy(url->host, through->proxy.host, sizeof url->host);
    url->port = through->proxy.port;
    return 0;
}

int through_prepare(struct connecting *connecting, const struct sonde_connect_options *options, const char **ret_detail)
{
    const struct sonde_url *url = &connecting->url;
    struct sonde_loop *loop = connecting->stream->loop;

    if (options->proxy == NULL && !sockopt_is_set(url, SONDE_OPT_PROXY))
        return 0;
    struct through *through = loop_alloc(loop, sizeof *through);
    if (through == NULL)
        return -ENOMEM;
    memset(through, 0, sizeof *through);
    sonde_timer_init(&through->prologue.timer, loop, NULL, NULL);
    through->connecting = connecting;
    connecting->through = through;
    if (sockopt_is_set(url, SONDE_OPT_PROXY))
        through->header_version = (uint8_t)url->option[SONDE_OPT_PROXY].number;
    return options->proxy != NULL ? go_through(through, options, ret_detail) : 0;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

void through_stop(struct connecting *connecting)
{
    struct through *through = connecting->through;

    if (through == NULL)
        return;
    if (through->lookup != NULL)
        lookup_cancel(through->lookup);
    through->lookup = NULL;
    prologue_stop(&through->prologue);
}

void through_free(struct connecting *connecting)
{
    struct through *through = connecting->through;

    through_stop(connecting);
    if (through != NULL)
        loop_free(connecting->stream->loop, through, sizeof *through);
    connecting->through = NULL;
}

struct prologue *through_prologue(struct connecting *connecting)
{
    return connecting->through != NULL ? &connecting->through->prologue : NULL;
}
