/* SPDX-License-Identifier: MIT */
/*
 * The way to a connection.
 *
 * Theory of operation
 *
 * The name is looked up if it is one (lookup.c). Which address is tried next, and when, is decided by race.c; each try
 * is an attempt with a socket of its own (attempt.c), and several may be under way. The first that answers gives its
 * descriptor to the stream, and the others are dropped; when all have failed, the last failure is the one that is told,
 * and sonde_stream_attempts tells of each. What this needs (the URL, the addresses, a deadline) lives in a struct
 * connecting beside the stream, and goes when the connection stands.
 *
 * What is said before the stream opens, to a proxy above all, is in through.c.
 *
 * A connect that leads to itself (both ends on one ephemeral port: RFC 9293, 3.5, simultaneous open) is a connection
 * that nobody listens to: it counts as refused.
 */
#include "net/address.h"
#include "net/adopt.h"
#include "net/connect_internal.h"
#include "net/layer.h"
#include "net/lookup.h"
#include "net/packet.h"
#include "net/scheme.h"
#include "net/sockopt.h"
#include "net/through.h"
#include "net/unixpath.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const int64_t full_queue_pause_ns = 10 * 1000 * 1000;
/* For handshakes on top, where no time was set: as long as a web browser waits. */
static const int64_t handshake_ns = INT64_C(60) * 1000 * 1000 * 1000;

static void go_on(struct connecting *connecting);

/* --- the end of it ---------------------------------------------------------------------------------------------- */

/* No further address is tried, and those that are under way are given up. */
static void stop_trying(struct connecting *connecting)
{
    struct attempt *attempt;

    sonde_timer_stop(&connecting->again);
    if (connecting->lookup != NULL)
        lookup_cancel(connecting->lookup);
    connecting->lookup = NULL;
    while ((attempt = LIST_FIRST(&connecting->under_way)) != NULL)
        attempt_drop(attempt);
}

/* Nothing more will come of it. */
static void stop(struct connecting *connecting)
{
    connecting->over = true;
    sonde_timer_stop(&connecting->deadline);
    stop_trying(connecting);
    through_stop(connecting);
}

void connecting_dispose(struct connecting *connecting)
{
    struct sonde_loop *loop = connecting->stream->loop;

    through_free(connecting);
    loop_free(loop, connecting, sizeof *connecting);
}

void connecting_free(struct sonde_stream *stream)
{
    struct connecting *connecting = stream_extra(stream)->connecting;

    if (stream->state & STREAM_FINISHING || connecting == NULL)
        return;
    stop(connecting);
    connecting_dispose(connecting);
    stream_extra(stream)->connecting = NULL;
}

void connecting_cancel(struct sonde_stream *stream)
{
    stop(stream_extra(stream)->connecting);
}

void connecting_why(const struct sonde_stream *stream, struct sonde_why *ret_why)
{
    *ret_why = stream_extra(stream)->connecting->why;
}

struct prologue *connecting_prologue(const struct sonde_stream *stream)
{
    return through_prologue(stream_extra(stream)->connecting);
}

unsigned sonde_stream_attempts(const struct sonde_stream *stream, struct sonde_attempt *ret_attempts, unsigned n_max)
{
    const struct connecting *connecting = loop_net(stream->loop)->opening;

    if (stream->state & STREAM_CONNECTING)
        connecting = stream_extra(stream)->connecting;
    else if (layers_opening(stream))
        connecting = layers_connecting(stream);
    else if (connecting != NULL && connecting->stream != stream)
        connecting = NULL;
    if (connecting == NULL)
        return 0;
    unsigned n = connecting->n_tried < n_max ? connecting->n_tried : n_max;
    if (n > 0)
        memcpy(ret_attempts, connecting->tried, n * sizeof *ret_attempts);
    return connecting->n_tried;
}

static void give_up(struct connecting *connecting, int error)
{
    if (connecting->over)
        return;
    connecting->why.code = error;
    through_explain(connecting);
    stop(connecting);
    if (connecting->race.n_left_out > 0 && connecting->why.detail[0] == '\0')
        snprintf(connecting->why.detail, sizeof connecting->why.detail, "%u more addresses were not tried",
                 connecting->race.n_left_out);
    stream_fail(connecting->stream, error);
}

void connecting_set_why(struct connecting *connecting, int error, const char *call)
{
    connecting->why.code = error;
    connecting->why.call = call;
    connecting->why.detail[0] = '\0';
    if (connecting->stream->peer.family != 0 && connecting->stream->peer.family != AF_UNIX)
        sonde_address_format(&connecting->stream->peer, connecting->why.subject, sizeof connecting->why.subject);
}

static void on_deadline(struct sonde_timer *timer)
{
    struct connecting *connecting = timer->user;
    bool looking_up = connecting->lookup != NULL && connecting->n_tried == 0;

    connecting_set_why(connecting, -ETIMEDOUT, looking_up ? "getaddrinfo" : "connect");
    if (looking_up) {
        char servers[128];
        lookup_servers(connecting->lookup, servers, sizeof servers);
        if (servers[0] != '\0')
            snprintf(connecting->why.detail, sizeof connecting->why.detail, "no answer from %s", servers);
    }
    give_up(connecting, -ETIMEDOUT);
}

int connecting_set_option(void *user, int fd, int level, int name, const void *value, socklen_t n)
{
    struct connecting *connecting = user;

    return call_setsockopt(connecting->stream->loop, connecting->stream->id, fd, level, name, value, n);
}

/* The only place where a stream opens. What was tried can still be asked for inside the callback, where the stream may
 * be given another extra already. */
static void open_stream(struct connecting *connecting)
{
    struct sonde_stream *stream = connecting->stream;
    struct loop_net *net = loop_net(stream->loop);
    int64_t deadline_ns = sonde_timer_is_running(&connecting->deadline)
                              ? connecting->deadline.deadline_ns
                              : sonde_loop_now_ns(stream->loop) + handshake_ns;

    stop(connecting);
    stream->state &= (uint16_t)~STREAM_CONNECTING;
    stream_extra(stream)->connecting = NULL;
    if (stream->layers != NULL) {
        layers_begin(stream, connecting, deadline_ns);
        stream_go_on(stream);
        return;
    }
    if (!(stream->state & STREAM_SEND_DEAD))
        stream_pump(stream); /* what was written before it stood */
    net->opening = connecting;
    if (stream->handler->opened != NULL)
        stream->handler->opened(stream);
    net->opening = NULL;
    connecting_dispose(connecting);
    stream_go_on(stream);
}

/* The winner's descriptor is the stream's, and its peer is known. */
static void stand(struct connecting *connecting)
{
    struct sonde_stream *stream = connecting->stream;

    int error = sockopt_apply(&connecting->url, SOCKOPT_ESTABLISHED, stream->io.fd, stream->peer.family,
                              connecting_set_option, connecting, &connecting->why);
    if (error < 0 && !(stream->state & STREAM_SEND_DEAD)) {
        give_up(connecting, error);
        return;
    }
    if (url_lingers(&connecting->url))
        stream->state |= STREAM_LINGERS;
    if (stream->packets != NULL) {
        error = packet_stand(stream);
        if (error < 0) {
            connecting_set_why(connecting, error, "setsockopt");
            give_up(connecting, error);
            return;
        }
    }
    if (stream->peer.family == AF_UNIX && connecting->url.scheme != SONDE_SCHEME_UNIXGRAM)
        unix_peer(stream->io.fd, &stream->peer);
    if (!through_begin(connecting))
        open_stream(connecting);
}

void through_over(struct connecting *connecting, int error)
{
    if (error < 0)
        give_up(connecting, error);
    else
        open_stream(connecting);
}

/* --- attempts --------------------------------------------------------------------------------------------------- */

static bool leads_to_itself(int fd, const struct sonde_address *peer)
{
    struct sockaddr_storage local;
    struct sonde_address address;
    socklen_t n = sizeof local;

    if (peer->family == AF_UNIX || getsockname(fd, (struct sockaddr *)&local, &n) < 0)
        return false;
    address_from_sockaddr((struct sockaddr *)&local, n, &address);
    return address.family == peer->family && address.port == peer->port &&
           memcmp(address.u.ip, peer->u.ip, sizeof address.u.ip) == 0;
}

/* A UNIX listener's queue is full (unix(7)); nothing tells when it is not. */
static bool wait_for_room(struct connecting *connecting, int error)
{
    if (error != -EAGAIN || !scheme_is_unix(connecting->url.scheme))
        return false;
    sonde_timer_start_in(&connecting->again, full_queue_pause_ns);
    return true;
}

/* One address has failed. */
static void failed(struct connecting *connecting, unsigned number, int error)
{
    struct sonde_attempt *tried = &connecting->tried[number];

    tried->error = error;
    tried->end_ns = clock_monotonic_ns();
    race_failed(&connecting->race, number);
}

/* Begin with this address, or fail at once. */
static void try_address(struct connecting *connecting, unsigned number)
{
    int error = attempt_begin(connecting, number);

    if (error < 0 && !wait_for_room(connecting, error))
        failed(connecting, number, error);
}

static void begin(struct connecting *connecting, const struct sonde_address *address)
{
    struct sonde_attempt *tried = &connecting->tried[connecting->n_tried];

    *tried = (struct sonde_attempt){.address = *address, .start_ns = clock_monotonic_ns()};
    if (address->family == AF_UNIX)
        sonde_url_format(&connecting->url, connecting->why.subject, sizeof connecting->why.subject);
    else
        tried->address.port = connecting->url.port;
    connecting->stream->peer = tried->address;
    try_address(connecting, connecting->n_tried++);
}

/* Do what the race says until it says to wait. */
static void go_on(struct connecting *connecting)
{
    struct sonde_address address;
    int64_t until_ns;

    while (!connecting->over) {
        switch (race_next(&connecting->race, clock_monotonic_ns(), &address, &until_ns)) {
        case RACE_BEGIN:
            sonde_timer_stop(&connecting->again); /* for this attempt, or for one that has failed meanwhile */
            begin(connecting, &address);
            if (sonde_timer_is_running(&connecting->again))
                return; /* a full queue */
            break;
        case RACE_WAIT:
            if (until_ns < INT64_MAX)
                sonde_timer_start(&connecting->again, until_ns);
            else
                sonde_timer_stop(&connecting->again);
            return;
        case RACE_LOST:
            give_up(connecting, connecting->why.code);
            return;
        }
    }
}

static void on_again(struct sonde_timer *timer)
{
    struct connecting *connecting = timer->user;

    if (connecting->url.scheme == SONDE_SCHEME_FD) {
        stand(connecting);
        return;
    }
    if (scheme_is_unix(connecting->url.scheme) && connecting->n_tried > 0)
        try_address(connecting, 0);
    if (!sonde_timer_is_running(timer))
        go_on(connecting);
}

void attempt_done(struct attempt *attempt, int result)
{
    struct connecting *connecting = attempt->connecting;
    struct sonde_stream *stream = connecting->stream;
    unsigned number = attempt->number;

    stream->peer = connecting->tried[number].address;
    if (result == 0 && leads_to_itself(attempt->io.fd, &stream->peer))
        result = -ECONNREFUSED;
    if ((result == -ECONNRESET || result == -EPIPE) &&
        (stream->peer.family == AF_INET || stream->peer.family == AF_INET6)) {
        /* Refusing is ECONNREFUSED: this connection did stand, and was reset before anybody looked, perhaps behind data
         * that is there to be read. Sending is over before it began; receiving goes on to the end, and tells. */
        stream->send_error = result;
        stream_drop_queue(stream);
        result = 0;
    }
    if (result == 0) {
        connecting->tried[number].end_ns = clock_monotonic_ns();
        attempt_keep(attempt);
        stop_trying(connecting);
        stand(connecting);
        return;
    }
    connecting_set_why(connecting, result, "connect");
    attempt_drop(attempt);
    if (wait_for_room(connecting, result))
        return;
    failed(connecting, number, result);
    go_on(connecting);
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

static void on_found(void *user, const struct addresses *addresses)
{
    struct connecting *connecting = user;

    connecting->race.n_left_out += addresses->n_left_out;
    race_add(&connecting->race, addresses->list, addresses->n, clock_monotonic_ns());
    go_on(connecting);
}

static void on_looked_up(void *user, int error, const char *detail)
{
    struct connecting *connecting = user;

    connecting->lookup = NULL;
    if (error < 0) {
        connecting_set_why(connecting, error, "getaddrinfo");
        snprintf(connecting->why.detail, sizeof connecting->why.detail, "%s", detail);
        give_up(connecting, error);
        return;
    }
    race_complete(&connecting->race);
    go_on(connecting);
}

static const struct lookup_handler lookup_handler = {.found = on_found, .over = on_looked_up};

/* A connection that is to come from an IPv4 address can only lead to one; so with IPv6. AF_UNSPEC: from any. */
static int local_family(const struct sonde_url *url)
{
    const char *text = url->option[SONDE_OPT_BIND].text;
    struct sonde_address local;

    if (!sockopt_is_set(url, SONDE_OPT_BIND))
        return AF_UNSPEC;
    if (address_parse_local(text, AF_INET, &local) == -EAFNOSUPPORT)
        return AF_INET6;
    return address_parse_local(text, AF_INET6, &local) == -EAFNOSUPPORT ? AF_INET : AF_UNSPEC;
}

static int find_addresses(struct connecting *connecting, int family, bool numeric)
{
    struct sonde_loop *loop = connecting->stream->loop;
    const char *host = connecting->url.host;
    struct addresses addresses = {.n = 1, .list = {{.family = AF_UNIX}}}; /* the path stands for it */
    int error = 0;

    if (connecting->url.scheme == SONDE_SCHEME_VSOCK)
        error = address_from_vsock(&connecting->url, false, &addresses.list[0]);
    else if (!scheme_is_unix(connecting->url.scheme))
        error = resolve_at_once(host, family, false, &addresses);
    if (family == AF_UNSPEC && (error == -SONDE_ENAME || (error == 0 && addresses.implied)))
        family = local_family(&connecting->url);
    if (error == 0 && addresses.implied && family != AF_UNSPEC)
        resolve_at_once(host, family, false, &addresses);
    if (numeric && (error == -SONDE_ENAME || strcmp(host, "localhost") == 0))
        return -SONDE_ENAME; /* known without a name server, but a name */
    if (error == -SONDE_ENAME)
        return lookup_start(loop, host, family, &lookup_handler, connecting, &connecting->lookup);
    if (error < 0)
        return error;
    race_add(&connecting->race, addresses.list, addresses.n, 0);
    race_complete(&connecting->race);
    /* The first try is made by the loop: it may fail at once, and tell. */
    sonde_timer_start_in(&connecting->again, 0);
    return 0;
}

static int refuse(struct sonde_why *ret_why, int error, const char *call, const char *subject, const char *detail)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = error, .call = call};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%.150s", subject);
        snprintf(ret_why->detail, sizeof ret_why->detail, "%s", detail);
    }
    return error;
}

/* Take over a socket that is connected already. It opens as others do: told by the loop. */
static int adopt(struct connecting *connecting)
{
    struct sonde_stream *stream = connecting->stream;
    struct sonde_why *why = &connecting->why;
    const struct sonde_url *url = &connecting->url;
    struct adopted adopted;

    int error = adopt_look(url, false, &adopted, why);
    if (error == 0)
        error = sockopt_check_family(url, adopted.family, why);
    if (error == 0)
        error = sockopt_apply(url, SOCKOPT_CONNECT, adopted.fd, adopted.family, connecting_set_option, connecting, why);
    if (error == 0)
        error = adopt_take(adopted.fd, false);
    if (error < 0) {
        why->code = error;
        return error;
    }
    stream->peer = adopted.peer;
    if (url_lingers(url))
        stream->state |= STREAM_LINGERS; /* it may be closed before it opens */
    io_replace_fd(stream->loop, &stream->io, adopted.fd);
    sonde_timer_start_in(&connecting->again, 0);
    return 0;
}

/* Everything for the way there; the stream discards it if that fails. */
static int prepare(struct sonde_stream *stream, const struct sonde_url *url,
                   const struct sonde_connect_options *options, struct sonde_why *ret_why)
{
    struct sonde_loop *loop = stream->loop;
    struct connecting *connecting = loop_alloc(loop, sizeof *connecting);
    const char *detail = "";

    if (connecting == NULL)
        return refuse(ret_why, -ENOMEM, "malloc", "", "");
    memset(connecting, 0, sizeof *connecting);
    connecting->stream = stream;
    connecting->url = *url;
    connecting->why.call = "connect";
    snprintf(connecting->why.subject, sizeof connecting->why.subject, "%.150s", url->host);
    LIST_INIT(&connecting->under_way);
    race_init(&connecting->race, options->attempt_delay_ns > 0 ? options->attempt_delay_ns : SONDE_ATTEMPT_DELAY_NS);
    sonde_timer_init(&connecting->deadline, loop, on_deadline, connecting);
    sonde_timer_init(&connecting->again, loop, on_again, connecting);
    stream_extra(stream)->connecting = connecting;
    int error = through_prepare(connecting, options, &detail);
    const char *host = connecting->url.host; /* the proxy's, if that could be prepared */
    if (error == -EINVAL)
        return refuse(ret_why, error, "connect", host, detail);
    if (error == 0 && url->scheme == SONDE_SCHEME_FD) {
        error = adopt(connecting);
        if (error < 0 && ret_why != NULL)
            *ret_why = connecting->why;
        return error;
    }
    if (error == 0)
        error = find_addresses(connecting, options->family, options->numeric != 0);
    if (error == -ENOMEM)
        return refuse(ret_why, error, "malloc", "", "");
    if (error < 0)
        return refuse(ret_why, error, "getaddrinfo", host,
                      error == -SONDE_ENAME && options->numeric ? "a numeric address was asked for" : "");
    if (options->timeout_ns > 0)
        sonde_timer_start_in(&connecting->deadline, options->timeout_ns);
    return 0;
}

int sonde_connect(struct sonde_loop *loop, const struct sonde_url *url, const struct sonde_connect_options *options,
                  const struct sonde_stream_handler *handler, void *owner, struct sonde_stream **ret_stream,
                  struct sonde_why *ret_why)
{
    struct sonde_connect_options known = {.size = sizeof known}; /* what the caller does not know is left 0 */
    struct sonde_stream *stream;

    if (options != NULL)
        memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
    int error = sockopt_check(url, SONDE_FOR_CONNECT, ret_why);
    if (error < 0)
        return error;
    if (scheme_has_port(url->scheme) && url->port == 0)
        return refuse(ret_why, -EINVAL, "connect", url->host, "port 0 can't be connected to");
    error = stream_create(loop, -1, known.user_bytes, known.send_limit_bytes, &stream);
    if (error < 0)
        return refuse(ret_why, error, "malloc", "", "");
    stream->state |= STREAM_CONNECTING;
    error = url->layers != 0 ? layers_for_connect(stream, url, &known, ret_why) : 0;
    if (error == 0 && scheme_has_packets(url->scheme)) {
        error = packet_create(stream, url);
        if (error < 0)
            refuse(ret_why, error, "malloc", "", "");
    }
    if (error == 0)
        error = prepare(stream, url, &known, ret_why);
    if (error < 0) {
        stream_discard(stream);
        return error;
    }
    stream->handler = handler;
    stream->owner = owner;
    *ret_stream = stream;
    return 0;
}
