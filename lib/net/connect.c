/* SPDX-License-Identifier: MIT */
/*
 * The way to a connection.
 *
 * Theory of operation
 *
 * The name is looked up if it is one; then the addresses are tried in turn, each on a socket of its own, until one
 * answers; the last failure is the one that is told. What this needs (the URL, the addresses, a deadline) lives in a
 * struct connecting beside the stream, and goes when the connection stands.
 *
 * A connect that leads to itself (both ends on one ephemeral port: RFC 9293, 3.5, simultaneous open) is a connection
 * that nobody listens to: it counts as refused.
 */
#include "net/address.h"
#include "net/net_internal.h"
#include "net/resolve.h"
#include "net/sockopt.h"
#include "net/unixpath.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct connecting {
    struct sonde_stream *stream;
    struct sonde_url url;
    struct addresses addresses;
    unsigned next; /* the address to try next */
    int family;
    struct resolve *resolve;
    struct sockaddr_storage target; /* the kernel reads it until the connect completes */
    socklen_t target_bytes;
    struct sonde_timer deadline, again;
    bool over; /* told already: completions mean nothing any more */
    struct sonde_why why;
};

static const int64_t full_queue_pause_ns = 10 * 1000 * 1000;

static void try_next(struct connecting *connecting);

void connecting_free(struct sonde_stream *stream)
{
    struct connecting *connecting = stream->extra.connecting;

    if (stream->state & STREAM_FINISHING || connecting == NULL)
        return;
    sonde_timer_stop(&connecting->deadline);
    sonde_timer_stop(&connecting->again);
    loop_free(stream->loop, connecting, sizeof *connecting);
    stream->extra.connecting = NULL;
}

void connecting_cancel(struct sonde_stream *stream)
{
    struct connecting *connecting = stream->extra.connecting;

    connecting->over = true;
    sonde_timer_stop(&connecting->deadline);
    sonde_timer_stop(&connecting->again);
    if (connecting->resolve != NULL)
        resolve_cancel(connecting->resolve);
    connecting->resolve = NULL;
}

void connecting_why(const struct sonde_stream *stream, struct sonde_why *ret_why)
{
    *ret_why = stream->extra.connecting->why;
}

void connecting_target(const struct io *io, struct sonde_probe_event *event)
{
    const struct connecting *connecting = STREAM_OF(io)->extra.connecting;

    probe_set_address(event, (const struct sockaddr *)&connecting->target, connecting->target_bytes);
}

static void give_up(struct connecting *connecting, int error)
{
    if (connecting->over)
        return;
    connecting_cancel(connecting->stream);
    connecting->why.code = error;
    stream_fail(connecting->stream, error);
}

static void set_why(struct connecting *connecting, int error, const char *call)
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

    set_why(connecting, -ETIMEDOUT, connecting->resolve != NULL ? "getaddrinfo" : "connect");
    give_up(connecting, -ETIMEDOUT);
}

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

static int set_option(void *user, int fd, int level, int name, const void *value, socklen_t n)
{
    struct connecting *connecting = user;

    return call_setsockopt(connecting->stream->loop, connecting->stream->id, fd, level, name, value, n);
}

static void stand(struct connecting *connecting)
{
    struct sonde_stream *stream = connecting->stream;

    int error = sockopt_apply(&connecting->url, SOCKOPT_ESTABLISHED, stream->io.fd, stream->peer.family, set_option,
                              connecting, &connecting->why);
    if (error < 0 && !(stream->state & STREAM_SEND_DEAD)) {
        give_up(connecting, error);
        return;
    }
    if (stream->peer.family == AF_UNIX)
        unix_peer(stream->io.fd, &stream->peer);
    stream->state &= (uint16_t)~STREAM_CONNECTING;
    connecting_free(stream);
    if (!(stream->state & STREAM_SEND_DEAD))
        stream_pump(stream); /* what was written before it stood */
    if (stream->handler->opened != NULL)
        stream->handler->opened(stream);
    stream_read_on(stream);
}

void connecting_on_connected(struct io *io, int result)
{
    struct sonde_stream *stream = STREAM_OF(io);
    struct connecting *connecting = stream->extra.connecting;

    if (!(stream->state & STREAM_CONNECTING) || connecting->over)
        return;
    if (result == 0 && leads_to_itself(io->fd, &stream->peer))
        result = -ECONNREFUSED;
    if ((result == -ECONNRESET || result == -EPIPE) && stream->peer.family != AF_UNIX) {
        /* Refusing is ECONNREFUSED: this connection did stand, and was reset before anybody looked, perhaps behind data
         * that is there to be read. Sending is over before it began; receiving goes on to the end, and tells. */
        stream->send_error = result;
        stream_drop_queue(stream);
        result = 0;
    }
    if (result == 0) {
        stand(connecting);
        return;
    }
    set_why(connecting, result, "connect");
    if (result == -EAGAIN && stream->peer.family == AF_UNIX) {
        /* A UNIX listener's queue is full (unix(7)); nothing tells when it is not. */
        connecting->next--;
        sonde_timer_start_in(&connecting->again, full_queue_pause_ns);
        return;
    }
    try_next(connecting);
}

static void on_again(struct sonde_timer *timer)
{
    try_next(timer->user);
}

/* The local address to connect from: "ADDRESS", "ADDRESS:PORT" or ":PORT", checked when the URL was parsed. */
static int bind_local(struct connecting *connecting, int fd, int family)
{
    struct sonde_address local = {0};
    struct sockaddr_storage address;
    const char *text = connecting->url.option[SONDE_OPT_BIND].text;

    if (!sockopt_is_set(&connecting->url, SONDE_OPT_BIND))
        return 0;
    int error = address_parse_local(text, family, &local);
    if (error == 0) {
        const int one = 1;
        struct sonde_loop *loop = connecting->stream->loop;
        if (local.port != 0) /* the last connection from this port may still be in TIME_WAIT */
            call_setsockopt(loop, connecting->stream->id, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        socklen_t n = address_to_sockaddr(&local, &address);
        error = call_bind(loop, connecting->stream->id, fd, (struct sockaddr *)&address, n);
    }
    if (error < 0) {
        set_why(connecting, error, "bind");
        snprintf(connecting->why.subject, sizeof connecting->why.subject, "%s", text);
    }
    return error;
}

/* A socket with its options, bound if that was wished; the descriptor, or an error that is in why. */
static int open_socket(struct connecting *connecting, int family)
{
    struct sonde_loop *loop = connecting->stream->loop;
    bool mptcp =
        sockopt_is_set(&connecting->url, SONDE_OPT_MPTCP) && connecting->url.option[SONDE_OPT_MPTCP].number != 0;

    int fd = call_socket(loop, family, SOCK_STREAM, family == AF_UNIX ? 0 : mptcp ? IPPROTO_MPTCP : IPPROTO_TCP);
    if (fd < 0) {
        set_why(connecting, fd, "socket");
        return fd;
    }
    int error = sockopt_apply(&connecting->url, SOCKOPT_CONNECT, fd, family, set_option, connecting, &connecting->why);
    if (error == 0)
        error = bind_local(connecting, fd, family);
    if (error < 0) {
        call_close(loop, connecting->stream->id, fd);
        return error;
    }
    return fd;
}

/* Begin with the next address; returns an error when it can't even begin, which is in why. */
static int try_one(struct connecting *connecting)
{
    struct sonde_stream *stream = connecting->stream;

    io_replace_fd(stream->loop, &stream->io, -1); /* the last try's */
    if (connecting->url.scheme == SONDE_SCHEME_UNIX) {
        stream->peer = (struct sonde_address){.family = AF_UNIX};
        connecting->target_bytes = unix_to_sockaddr(&connecting->url, &connecting->target);
        sonde_url_format(&connecting->url, connecting->why.subject, sizeof connecting->why.subject);
    } else {
        stream->peer = connecting->addresses.list[connecting->next];
        stream->peer.port = connecting->url.port;
        connecting->target_bytes = address_to_sockaddr(&stream->peer, &connecting->target);
    }
    connecting->next++;
    int fd = open_socket(connecting, stream->peer.family);
    if (fd < 0)
        return fd;
    io_replace_fd(stream->loop, &stream->io, fd);
    int error = io_connect(stream->loop, &stream->io, (struct sockaddr *)&connecting->target, connecting->target_bytes);
    if (error < 0)
        set_why(connecting, error, "connect");
    return error;
}

static void try_next(struct connecting *connecting)
{
    int error = connecting->why.code;

    while (connecting->next < connecting->addresses.n) {
        error = try_one(connecting);
        if (error == 0)
            return;
        if (error == -EAGAIN && connecting->url.scheme == SONDE_SCHEME_UNIX) {
            connecting->next--;
            sonde_timer_start_in(&connecting->again, full_queue_pause_ns);
            return;
        }
    }
    give_up(connecting, error);
}

static void on_resolved(void *user, int error, const struct addresses *addresses)
{
    struct connecting *connecting = user;

    connecting->resolve = NULL;
    if (error < 0) {
        set_why(connecting, error, "getaddrinfo");
        give_up(connecting, error);
        return;
    }
    connecting->addresses = *addresses;
    try_next(connecting);
}

static int find_addresses(struct connecting *connecting, bool numeric)
{
    const char *host = connecting->url.host;

    if (connecting->url.scheme == SONDE_SCHEME_UNIX) {
        connecting->addresses.n = 1; /* the path stands for it */
        return 0;
    }
    int error = resolve_at_once(host, connecting->family, false, &connecting->addresses);
    if (numeric && (error == -SONDE_ENAME || strcmp(host, "localhost") == 0))
        return -SONDE_ENAME; /* known without a name server, but a name */
    if (error != -SONDE_ENAME)
        return error;
    return resolve_start(connecting->stream->loop, host, connecting->family, on_resolved, connecting,
                         &connecting->resolve);
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

int sonde_connect(struct sonde_loop *loop, const struct sonde_url *url, const struct sonde_connect_options *options,
                  const struct sonde_stream_handler *handler, void *owner, struct sonde_stream **ret_stream,
                  struct sonde_why *ret_why)
{
    static const struct sonde_connect_options none = {.size = sizeof none};
    struct sonde_stream *stream;

    if (options == NULL)
        options = &none;
    int error = sockopt_check(url, SONDE_FOR_CONNECT, ret_why);
    if (error < 0)
        return error;
    if (url->scheme == SONDE_SCHEME_TCP && url->port == 0)
        return refuse(ret_why, -EINVAL, "connect", url->host, "port 0 can't be connected to");
    error = stream_create(loop, -1, options->user_bytes, options->send_limit_bytes, &stream);
    if (error < 0)
        return refuse(ret_why, error, "malloc", "", "");
    stream->state |= STREAM_CONNECTING;
    struct connecting *connecting = loop_alloc(loop, sizeof *connecting);
    if (connecting == NULL) {
        stream_discard(stream);
        return refuse(ret_why, -ENOMEM, "malloc", "", "");
    }
    memset(connecting, 0, sizeof *connecting);
    connecting->stream = stream;
    connecting->url = *url;
    connecting->family = options->family;
    snprintf(connecting->why.subject, sizeof connecting->why.subject, "%.150s", url->host);
    sonde_timer_init(&connecting->deadline, loop, on_deadline, connecting);
    sonde_timer_init(&connecting->again, loop, on_again, connecting);
    stream->extra.connecting = connecting;

    error = find_addresses(connecting, options->numeric != 0);
    if (error < 0) {
        stream_discard(stream);
        return refuse(ret_why, error, "getaddrinfo", url->host,
                      error == -SONDE_ENAME && options->numeric ? "a numeric address was asked for" : "");
    }
    stream->handler = handler;
    stream->owner = owner;
    if (options->timeout_ns > 0)
        sonde_timer_start_in(&connecting->deadline, options->timeout_ns);
    if (connecting->resolve == NULL) /* the first try is made by the loop: it may fail at once, and tell */
        sonde_timer_start_in(&connecting->again, 0);
    *ret_stream = stream;
    return 0;
}
