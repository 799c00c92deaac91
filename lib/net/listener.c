/* SPDX-License-Identifier: MIT */
/*
 * Listeners.
 *
 * Theory of operation
 *
 * A listener has one leg per socket. Opening them is in listen.c; this file accepts.
 *
 * Accepting is multishot, so when a listener is paused some connections may have been taken from the kernel already:
 * their descriptors wait here and are handed out first after resume. A listener that takes one by one asks for one
 * connection at a time, and leaves the others in the kernel's queue.
 *
 * When descriptors or memory run out, accepting stops: the connection stays in the kernel's queue, so nothing is lost,
 * and asking again at once would find the same. The owner is told once; the listener tries again when a stream of this
 * loop closes, and after a pause that doubles up to a second, since others may free descriptors too. A server at its
 * limit takes one connection for each that closes, and meets the limit again each time: that is one and the same
 * trouble, which is over when accepting has gone on for a while without an error.
 */
#include "net/listener_internal.h"

#include "net/address.h"
#include "net/layer.h"
#include "net/packet.h"
#include "net/scheme.h"
#include "net/sockopt.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static const int64_t first_pause_ns = 50 * 1000 * 1000, longest_pause_ns = INT64_C(1000) * 1000 * 1000;
static const int64_t calm_ns = INT64_C(1000) * 1000 * 1000; /* so long without an error is out of trouble */

#define LEG_OF(io_pointer) ((struct leg *)((char *)(io_pointer)-offsetof(struct leg, io)))

static bool wants_more(const struct sonde_listener *listener)
{
    return !listener->paused && !listener->closing && !headers_hold_up(listener) && !layered_hold_up(listener);
}

bool listener_accepts(const struct sonde_listener *listener)
{
    return wants_more(listener) && !listener->stopped;
}

/* Accept on the legs that do not, if it is wanted. */
static void accept_on(struct sonde_listener *listener)
{
    bool often = !(listener->flags & SONDE_LISTEN_ONE_BY_ONE);

    for (unsigned i = 0; i < listener->n_legs && wants_more(listener); i++) {
        struct leg *leg = &listener->legs[i];
        if (listener->stopped)
            return;
        if (leg->server != NULL) {
            packet_leg_changed(leg);
            continue;
        }
        int error = io_accept_start(listener->loop, &leg->io, often);
        if (error < 0)
            listener_in_trouble(listener, error);
    }
}

static void starve(struct sonde_listener *listener)
{
    struct loop_net *net = loop_net(listener->loop);

    if (!listener->is_starved) {
        listener->next_starved = net->starved;
        net->starved = listener;
        listener->is_starved = true;
    }
}

static void unstarve(struct sonde_listener *listener)
{
    struct sonde_listener **link = &loop_net(listener->loop)->starved;

    if (!listener->is_starved)
        return;
    while (*link != listener)
        link = &(*link)->next_starved;
    *link = listener->next_starved;
    listener->is_starved = false;
}

void listener_in_trouble(struct sonde_listener *listener, int error)
{
    listener->pause_ns = listener->trouble == 0 ? first_pause_ns : listener->pause_ns * 2;
    if (listener->pause_ns > longest_pause_ns)
        listener->pause_ns = longest_pause_ns;
    listener->trouble = error;
    listener->stopped = true;
    starve(listener);
    sonde_timer_start_in(&listener->timer, listener->pause_ns);
    if (!listener->told_trouble) /* later: this may be inside a call of the owner's */
        loop_defer(listener->loop, &listener->legs[0].io);
}

static void tell_trouble(struct sonde_listener *listener)
{
    bool in_trouble = listener->trouble != 0;

    if (listener->told_trouble == in_trouble || listener->closing)
        return;
    listener->told_trouble = in_trouble;
    if (listener->handler->trouble != NULL)
        listener->handler->trouble(listener, listener->trouble, listener->owner);
}

/* Time to try again; or nothing has gone wrong for a while. */
void listener_on_timer(struct sonde_timer *timer)
{
    struct sonde_listener *listener = timer->user;

    if (listener->stopped) {
        listener->stopped = false;
        unstarve(listener);
        accept_on(listener);
        /* Perhaps nobody waits any more: then no accept will ever tell that it is over. */
        if (!listener->stopped)
            sonde_timer_start_in(&listener->timer, calm_ns);
    } else {
        listener->trouble = 0;
        tell_trouble(listener);
    }
}

void listeners_fd_freed(struct sonde_loop *loop)
{
    struct sonde_listener *listener = loop_net(loop)->starved;

    /* At the next turn: this may be called from inside anything. */
    for (; listener != NULL; listener = listener->next_starved)
        sonde_timer_start_in(&listener->timer, 0);
}

static int set_option(void *user, int fd, int level, int name, const void *value, socklen_t n)
{
    struct sonde_stream *stream = user;

    return call_setsockopt(stream->loop, stream->id, fd, level, name, value, n);
}

/* Only as much as costs nothing: the engine's own address, else the family. The rest is asked for when somebody wants
 * to know (stream_info.c). */
static void note_peer(struct sonde_stream *stream, int family, const struct sockaddr *peer, socklen_t peer_bytes)
{
    int fd = family == AF_UNIX ? io_borrow_fd(stream->loop, stream->io.fd) : -1;

    if (family == AF_UNIX)
        unix_peer(fd, &stream->peer);
    else if (peer != NULL)
        address_from_sockaddr(peer, peer_bytes, &stream->peer);
    else
        stream->peer.family = (uint16_t)family;
    if (fd >= 0)
        io_return_fd(stream->loop, stream->io.fd, fd);
}

const struct sonde_address *listener_local(const struct sonde_listener *listener, unsigned leg)
{
    static const uint8_t any[16];
    const struct sonde_address *address = &listener->legs[leg].address;

    return address->family == AF_UNIX || memcmp(address->u.ip, any, sizeof any) == 0 ? NULL : address;
}

static void report(const struct leg *leg, const struct sonde_stream *stream, int fd)
{
    struct sonde_loop *loop = leg->listener->loop;
    struct sonde_probe_event event = {
        .operation = SONDE_OP_ACCEPT,
        .fd = leg->io.fd,
        .result = fd,
        .stream = stream != NULL ? stream->id : 0,
    };

    event.flags = (uint8_t)loop_accept_flags(loop, &event.start_ns);
    if (leg->listener->flags & SONDE_LISTEN_ONE_BY_ONE)
        event.flags &= (uint8_t)~SONDE_PROBE_MULTISHOT;
    if (stream != NULL)
        sonde_stream_peer(stream, &event.address);
    event.args[0] = io_is_place(fd) ? SOCK_NONBLOCK : SOCK_CLOEXEC | SOCK_NONBLOCK;
    loop_probe_emit(loop, &event, io_is_file(fd) ? fd : leg->io.fd);
}

void listener_tell_refused(struct sonde_listener *listener, const struct sonde_address *peer,
                           const struct sonde_why *why)
{
    if (listener->handler->refused != NULL && !listener->closing)
        listener->handler->refused(listener, peer, why, listener->owner);
}

void listener_tell_accepted(struct sonde_listener *listener, struct sonde_stream *stream)
{
    if (listener->layered != NULL && stream->layers == NULL) {
        layered_await(listener, stream);
        return;
    }
    if (stream->layers != NULL)
        layers_tell_open(stream);
    listener->handler->accepted(listener, stream, listener->owner);
    if (stream->handler == NULL)
        sonde_stream_abort(stream);
    else
        stream_go_on(stream);
}

/* Packets are received by system calls, which need a descriptor: one for this place; -1: there is none. */
static int take_descriptor(const struct sonde_listener *listener, int place)
{
    const struct linger none = {0};
    int borrowed = io_borrow_fd(listener->loop, place);
    int fd = borrowed >= 0 ? fcntl(borrowed, F_DUPFD_CLOEXEC, 0) : -1;

    io_return_fd(listener->loop, place, borrowed);
    io_reset(listener->loop, place);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return fd;
}

static int make_packets(const struct sonde_listener *listener, struct sonde_stream *stream)
{
    int error = packet_create(stream, &listener->url);

    if (error == 0)
        error = packet_stand(stream);
    if (error < 0)
        stream_discard(stream);
    return error;
}

/* Make a stream of a new connection and hand it over. Without memory for it the connection can't be kept. */
static void hand_over(struct leg *leg, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct sonde_listener *listener = leg->listener;
    struct sonde_stream *stream;

    bool has_packets = scheme_has_packets(listener->url.scheme);
    if (has_packets && io_is_place(fd))
        fd = take_descriptor(listener, fd);
    int error =
        fd == -1 ? -EMFILE : stream_create(listener->loop, fd, listener->user_bytes, listener->send_limit, &stream);
    if (error == 0 && has_packets)
        error = make_packets(listener, stream);
    if (error < 0 && fd == -1) {
        listener_in_trouble(listener, error);
        return;
    }
    if (error < 0) {
        io_reset(listener->loop, fd);
        listener_in_trouble(listener, error);
        return;
    }
    stream->listener = listener;
    stream->leg = (uint8_t)(leg - listener->legs);
    note_peer(stream, leg->family, peer, peer_bytes);
    if (loop_probing(listener->loop))
        report(leg, stream, fd);
    if (listener->url.n_set != 0) {
        /* A refusal here can only be of a connection that is gone already; reading tells. */
        sockopt_apply(&listener->url, SOCKOPT_ESTABLISHED, fd, leg->family, set_option, stream, NULL);
        if (url_lingers(&listener->url))
            stream->state |= STREAM_LINGERS;
    }
    if (listener->headers != NULL)
        headers_await(listener, stream);
    else
        listener_tell_accepted(listener, stream);
}

/* Keep a connection that came while the listener was paused. */
static void keep_waiting(struct leg *leg, int fd)
{
    struct sonde_listener *listener = leg->listener;

    if (listener->n_waiting == listener->waiting_room) {
        unsigned room = listener->waiting_room > 0 ? listener->waiting_room * 2 : 16;
        struct waiting *waiting = loop_alloc(listener->loop, room * sizeof *waiting);
        if (waiting == NULL) {
            io_reset(listener->loop, fd);
            listener_in_trouble(listener, -ENOMEM);
            return;
        }
        if (listener->n_waiting > 0)
            memcpy(waiting, listener->waiting, listener->n_waiting * sizeof *waiting);
        loop_free(listener->loop, listener->waiting, listener->waiting_room * sizeof *waiting);
        listener->waiting = waiting;
        listener->waiting_room = room;
    }
    listener->waiting[listener->n_waiting++] = (struct waiting){fd, (unsigned)(leg - listener->legs)};
}

/* Errors of one connection, not of the listener (accept(2)): the next one may be well. */
static bool is_passing(int error)
{
    switch (-error) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

struct io_peer *listener_peer_room(struct io *io)
{
    return &LEG_OF(io)->peer;
}

void listener_on_accept(struct io *io, int result, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct leg *leg = LEG_OF(io);
    struct sonde_listener *listener = leg->listener;

    if (io_is_file(result)) {
        if (listener->trouble != 0 && !listener->stopped && !sonde_timer_is_running(&listener->timer))
            sonde_timer_start_in(&listener->timer, calm_ns);
        if (listener->paused || listener->n_waiting > 0 || !wants_more(listener))
            keep_waiting(leg, result);
        else
            hand_over(leg, result, peer, peer_bytes);
    } else {
        if (loop_probing(listener->loop))
            report(leg, NULL, result);
        if (!is_passing(result))
            listener_in_trouble(listener, result);
    }
    if (!(io->active & IO_ACCEPT))
        accept_on(listener);
}

/* What waited while the listener was paused, as long as it is not paused again by the one that gets it. */
void listener_on_work(struct io *io)
{
    struct sonde_listener *listener = LEG_OF(io)->listener;

    tell_trouble(listener);
    headers_hand_over_ready(listener);
    layered_hand_over_ready(listener);
    while (listener->n_waiting > 0 && wants_more(listener) && !loop_is_stopping(listener->loop)) {
        struct waiting first = listener->waiting[0];
        memmove(listener->waiting, listener->waiting + 1, --listener->n_waiting * sizeof first);
        hand_over(&listener->legs[first.leg], first.fd, NULL, 0);
    }
    listener_go_on(listener);
}

void listener_go_on(struct sonde_listener *listener)
{
    if (listener->paused || listener->closing)
        return;
    if (headers_any_ready(listener) || layered_any_ready(listener) || (listener->n_waiting > 0 && wants_more(listener)))
        loop_defer(listener->loop, &listener->legs[0].io);
    else if (listener->n_waiting == 0)
        accept_on(listener);
}

void sonde_listener_pause(struct sonde_listener *listener)
{
    if (listener->paused)
        return;
    listener->paused = true;
    for (unsigned i = 0; i < listener->n_legs; i++) {
        io_accept_stop(listener->loop, &listener->legs[i].io);
        if (listener->legs[i].server != NULL)
            packet_leg_changed(&listener->legs[i]);
    }
}

void sonde_listener_resume(struct sonde_listener *listener)
{
    if (!listener->paused || listener->closing)
        return;
    listener->paused = false;
    listener_go_on(listener);
}

void listener_on_closed(struct io *io)
{
    struct sonde_listener *listener = LEG_OF(io)->listener;
    struct sonde_loop *loop = listener->loop;

    io->fd = -1;
    if (--listener->n_open_legs > 0)
        return;
    if (listener->handler->closed != NULL)
        listener->handler->closed(listener, listener->owner);
    /* Its streams live on, and must not find it. */
    struct sonde_stream *stream;
    TAILQ_FOREACH(stream, &loop_net(loop)->streams, link)
    {
        if (stream->listener == listener)
            stream->listener = NULL;
    }
    listener_free(listener);
    listeners_fd_freed(loop);
}

void sonde_listener_close(struct sonde_listener *listener)
{
    if (listener->closing)
        return;
    listener->closing = true;
    sonde_timer_stop(&listener->timer);
    unstarve(listener);
    for (unsigned i = 0; i < listener->n_waiting; i++)
        io_reset(listener->loop, listener->waiting[i].fd); /* as the kernel does with those in its queue */
    listener->n_waiting = 0;
    headers_close(listener);
    layered_close(listener);
    unix_unbind(&listener->name);
    listener->n_open_legs = listener->n_legs;
    for (unsigned i = 0; i < listener->n_legs; i++) {
        if (listener->legs[i].server != NULL)
            packet_leg_close(&listener->legs[i]);
        io_close(listener->loop, &listener->legs[i].io);
    }
}
