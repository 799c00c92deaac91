/* SPDX-License-Identifier: MIT */
/*
 * Streams of messages: UDP, UNIX datagrams, UNIX packets.
 *
 * Theory of operation
 *
 * A client, and either end of a seqpacket: connection, is a stream with a socket of its own. A server of datagrams has
 * one socket for each leg of its listener (struct packet_server), and each address that sends to it becomes a stream
 * without one (packet_peers.c), so that whoever serves streams serves peers. Both are a struct packets beside the
 * stream, and a struct packet_socket behind it, which may be shared.
 *
 * Sockets are polled, by either engine, and then read with recvmmsg in batches (packet_receive.c), so many in one turn
 * of the loop, into room that all sockets of a loop share: it holds messages only until they have been handed out. What
 * is written meanwhile to streams of that same socket is gathered, an answer that is forwarded even without being
 * copied, and goes with one sendmmsg (packet_send.c). What is written at other times goes at once; so that its error
 * can be returned. Only what the kernel has no room for is queued: in the stream's queue, one chunk for each message.
 *
 * A stream that is paused: with a socket of its own, nothing more is read; the kernel keeps what comes as far as its
 * buffer goes, and counts what it drops. A server's peer can't be stopped without stopping the others: some of its
 * messages are kept, and what comes beyond that is dropped and told. The kernel's drops are told to the stream that has
 * the socket, and of a server's socket to the listener: whose they were, nobody knows.
 *
 * ICMP errors come by the socket's error queue (packet_errors.c), which names the peer that they are about. They are
 * told when the loop comes round, as is what a send finds out inside a call of the owner's: nothing here calls back
 * from inside a call. Port unreachable ends the stream. Others are for the owner to judge.
 */
#include "net/packet_internal.h"

#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

enum { MOST_IPV4 = 65507, MOST_IPV6 = 65527, UNIX_OVERHEAD = 32 };

static const int64_t retry_ns = INT64_C(10) * 1000 * 1000;

/* --- the room --------------------------------------------------------------------------------------------------- */

int packet_area_use(struct sonde_loop *loop)
{
    struct packet_area *area = packet_area(loop);

    if (area == NULL) {
        area = loop_alloc(loop, sizeof *area);
        if (area == NULL)
            return -ENOMEM;
        /* All but the bytes themselves: most of them are never touched. */
        memset(area, 0, offsetof(struct packet_area, copied));
        loop_net(loop)->packets = area;
    }
    area->n_users++;
    return 0;
}

void packet_area_release(struct sonde_loop *loop)
{
    struct packet_area *area = packet_area(loop);

    if (--area->n_users > 0)
        return;
    loop_net(loop)->packets = NULL;
    loop_free(loop, area, sizeof *area);
}

/* --- a socket ---------------------------------------------------------------------------------------------------- */

static void on_again(struct sonde_timer *timer)
{
    struct packet_socket *socket = timer->user;

    socket->is_full = false;
    socket->is_troubled = false;
    packet_drain(socket);
    packet_watch(socket);
}

void packet_socket_init(struct packet_socket *socket, struct sonde_loop *loop, struct io *io)
{
    *socket = (struct packet_socket){.loop = loop, .io = io};
    TAILQ_INIT(&socket->waiting);
    sonde_timer_init(&socket->again, loop, on_again, socket);
    sonde_timer_init(&socket->drops, loop, packet_on_drops, socket);
}

void packet_socket_stop(struct packet_socket *socket)
{
    sonde_timer_stop(&socket->again);
    sonde_timer_stop(&socket->drops);
    packet_batch_forget(socket);
}

size_t packet_most_bytes(const struct packet_socket *socket, int fd)
{
    int n_bytes = 0;
    socklen_t n = sizeof n_bytes;

    if (socket->is_udp)
        return socket->family == AF_INET6 ? MOST_IPV6 : MOST_IPV4;
    /* The kernel's own rule (unix_dgram_sendmsg). */
    if (call_getsockopt(socket->loop, fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, &n) < 0 || n_bytes <= UNIX_OVERHEAD)
        return SIZE_MAX;
    return (size_t)(n_bytes - UNIX_OVERHEAD);
}

static bool reads(const struct packet_socket *socket)
{
    if (socket->is_troubled)
        return false;
    if (socket->server != NULL)
        return packet_server_reads(socket->server);
    return socket->only->kept == NULL &&
           !(socket->only->stream->state & (STREAM_CONNECTING | STREAM_PAUSED | STREAM_ENDED | STREAM_END_WAITS |
                                            STREAM_LOSS_WAITS | STREAM_FAILED | STREAM_CLOSING));
}

/* After its end a connection is watched for a reset, as long as it may send. */
static bool is_watched(const struct packet_socket *socket)
{
    const struct packets *only = socket->only;

    return only != NULL && only->has_end && only->stream->state & STREAM_ENDED &&
           !(only->stream->state & (STREAM_SHUT | STREAM_FAILED | STREAM_CLOSING | STREAM_FINISHING));
}

/* Its room is told by the poll; not so of a UNIX socket with many receivers, each of which has room of its own. */
static bool room_is_polled(const struct packet_socket *socket)
{
    return socket->is_udp || socket->is_connected;
}

void packet_watch(struct packet_socket *socket)
{
    struct io *io = socket->io;
    unsigned wanted = reads(socket) ? POLLIN : 0;

    if (io->fd < 0 || (packet_area(socket->loop)->socket == socket))
        return; /* the rest of a batch comes first */
    if (socket->is_full && room_is_polled(socket) && !sonde_timer_is_running(&socket->again))
        wanted |= POLLOUT;
    if (wanted == 0 && !is_watched(socket)) {
        io_poll_stop(socket->loop, io);
        return;
    }
    if (io->active & IO_POLL && socket->polled == wanted)
        return;
    io_poll_stop(socket->loop, io);
    socket->polled = wanted;
    if (io_poll_start(socket->loop, io, wanted) < 0) {
        socket->polled = 0;
        socket->is_troubled = true; /* until it is tried again */
        sonde_timer_start_in(&socket->again, retry_ns);
    }
}

/* A failure that nobody has taken would be polled for ever. */
static void take_error(struct packet_socket *socket)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (packet_take_errors(socket) == 0)
        call_getsockopt(socket->loop, socket->io->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0 && socket->only != NULL)
        packet_undelivered(socket->only, -error, NULL);
}

void packet_on_events(struct packet_socket *socket, int events)
{
    bool looks_for_end = is_watched(socket);

    socket->polled = UINT_MAX; /* it has been told: to be started anew, whatever it still has in the kernel */
    if (events < 0) {
        /* Not polled then: tried again soon. */
        socket->is_troubled = true;
        sonde_timer_start_in(&socket->again, retry_ns);
        return;
    }
    if (looks_for_end && events & (POLLERR | POLLHUP)) {
        stream_look_for_reset(socket->only->stream);
        if (!is_watched(socket))
            return;
    }
    if (events & POLLERR && !socket->has_end)
        take_error(socket);
    if (socket->is_full && events & (POLLOUT | POLLERR | POLLHUP) && !sonde_timer_is_running(&socket->again)) {
        socket->is_full = false;
        packet_drain(socket);
    }
    if (reads(socket) && events & (POLLIN | POLLERR | POLLHUP))
        packet_receive(socket);
    else if (!looks_for_end || socket->is_full || !(events & (POLLERR | POLLHUP))) /* what hung up stays so */
        packet_watch(socket);
}

/* --- a stream with a socket of its own ---------------------------------------------------------------------------- */

struct own {
    struct packets packets;
    struct packet_socket socket;
};

int packet_create(struct sonde_stream *stream, const struct sonde_url *url)
{
    int error = packet_area_use(stream->loop);

    if (error < 0)
        return error;
    struct own *own = loop_alloc(stream->loop, sizeof *own);
    if (own == NULL) {
        packet_area_release(stream->loop);
        return -ENOMEM;
    }
    memset(own, 0, sizeof *own);
    packet_socket_init(&own->socket, stream->loop, &stream->io);
    own->packets.own_bytes = sizeof *own;
    own->packets.stream = stream;
    own->packets.socket = &own->socket;
    own->packets.kept_end = &own->packets.kept;
    own->packets.has_end = url->scheme == SONDE_SCHEME_SEQPACKET;
    own->packets.is_unix = url->scheme != SONDE_SCHEME_UDP;
    own->packets.most_bytes = own->packets.is_unix ? SIZE_MAX : MOST_IPV6;
    own->socket.only = &own->packets;
    own->socket.is_udp = url->scheme == SONDE_SCHEME_UDP;
    own->socket.has_end = own->packets.has_end;
    own->socket.is_batch_only_one = !own->socket.is_udp;
    /* Cleared when it turns out to be a group. */
    own->socket.is_connected = !(url->n_set & 1u << SONDE_OPT_BROADCAST && url->option[SONDE_OPT_BROADCAST].number);
    stream->packets = &own->packets;
    stream->io.handler = &packet_io_handler;
    return 0;
}

int packet_stand(struct sonde_stream *stream)
{
    const int one = 1;
    struct packets *packets = stream->packets;
    struct packet_socket *socket = packets->socket;

    socket->family = stream->peer.family;
    if (socket->is_udp && address_is_multicast(&stream->peer))
        socket->is_connected = false;
    if (socket->is_udp && !socket->is_connected)
        packets->name_bytes = address_to_sockaddr(&stream->peer, &packets->name);
    packets->most_bytes = packet_most_bytes(socket, stream->io.fd);
    /* Not before: it would give the socket a name. */
    return socket->has_end
               ? call_setsockopt(stream->loop, stream->id, stream->io.fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one)
               : 0;
}

bool packet_has_end(const struct sonde_stream *stream)
{
    return stream->packets->has_end;
}

void packet_count(const struct sonde_stream *stream, uint64_t *ret_received, uint64_t *ret_sent)
{
    *ret_received = stream->packets->n_received;
    *ret_sent = stream->packets->n_sent;
}

bool packet_local(const struct sonde_stream *stream, struct sonde_address *ret_address)
{
    const struct packets *packets = stream->packets;

    if (packets->own_bytes != sizeof *packets)
        return false;
    *ret_address = packets->local;
    return true;
}

/* --- what is received --------------------------------------------------------------------------------------------- */

static void lend(struct packets *packets, const struct sonde_lent *lent)
{
    struct sonde_stream *stream = packets->stream;
    struct loop_net *net = loop_net(stream->loop);
    struct io_buffer buffer = {.data = lent->data, .n_bytes = lent->n_bytes, .id = -1};

    stream->n_received += lent->n_bytes;
    packets->n_received++;
    net->lent = lent;
    net->lent_buffer = &buffer;
    if (__builtin_expect(net->tap != NULL, 0))
        net->tap(stream, SONDE_IN, lent, net->tap_user);
    if (stream->handler->data != NULL)
        stream->handler->data(stream, lent);
    net->lent = NULL;
}

static bool is_paused(const struct sonde_stream *stream)
{
    return stream->state & STREAM_PAUSED;
}

static void lose(struct packets *packets)
{
    packets->n_lost++;
    loop_defer(packets->stream->loop, &packets->stream->io);
}

static void keep(struct packets *packets, const struct arrival *arrival)
{
    /* A socket of one's own is not read while something is kept: that is one batch. */
    bool has_room = packets->socket->only != NULL ||
                    (packets->n_kept < KEPT_MESSAGES && packets->kept_bytes + arrival->n_bytes <= KEPT_BYTES);
    struct message *message = has_room ? loop_alloc(packets->stream->loop, sizeof *message + arrival->n_bytes) : NULL;

    if (message == NULL) {
        lose(packets);
        return;
    }
    *message = (struct message){.from = arrival->from,
                                .n_bytes = (uint32_t)arrival->n_bytes,
                                .flags = arrival->flags,
                                .n_whole_bytes = arrival->n_whole_bytes};
    if (arrival->n_bytes > 0)
        memcpy(message->data, arrival->data, arrival->n_bytes);
    *packets->kept_end = message;
    packets->kept_end = &message->next;
    packets->n_kept++;
    packets->kept_bytes += arrival->n_bytes;
}

static void free_message(struct packets *packets, struct message *message)
{
    packets->n_kept--;
    packets->kept_bytes -= message->n_bytes;
    loop_free(packets->stream->loop, message, sizeof *message + message->n_bytes);
}

void packet_take(struct packets *packets, const struct arrival *arrival)
{
    struct sonde_stream *stream = packets->stream;

    if (stream->state & (STREAM_FAILED | STREAM_CLOSING | STREAM_ENDED | STREAM_END_WAITS | STREAM_LOSS_WAITS))
        return;
    if (is_paused(stream) || packets->kept != NULL) {
        keep(packets, arrival);
        return;
    }
    const struct sonde_lent lent = {.data = arrival->data,
                                    .n_bytes = arrival->n_bytes,
                                    .flags = arrival->flags,
                                    .n_whole_bytes = arrival->n_whole_bytes,
                                    .from = &arrival->from};
    lend(packets, &lent);
}

bool packet_keeps(const struct sonde_stream *stream)
{
    return stream->packets->kept != NULL;
}

void packet_deliver(struct sonde_stream *stream)
{
    struct packets *packets = stream->packets;

    while (packets->kept != NULL && !is_paused(stream) && !(stream->state & (STREAM_CLOSING | STREAM_FAILED)) &&
           !loop_is_stopping(stream->loop)) {
        struct message *message = packets->kept;
        const struct sonde_lent lent = {.data = message->data,
                                        .n_bytes = message->n_bytes,
                                        .flags = message->flags,
                                        .n_whole_bytes = message->n_whole_bytes,
                                        .from = &message->from};
        packets->kept = message->next;
        if (packets->kept == NULL)
            packets->kept_end = &packets->kept;
        lend(packets, &lent);
        free_message(packets, message);
    }
    if (is_paused(stream) || stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (packets->kept != NULL) { /* the loop is stopping */
        stream->state |= STREAM_READ_AGAIN;
        loop_defer(stream->loop, &stream->io);
    } else if (stream->state & (STREAM_END_WAITS | STREAM_LOSS_WAITS)) {
        int result = stream->state & STREAM_LOSS_WAITS ? stream->error : 0;
        stream->state &= (uint16_t) ~(STREAM_END_WAITS | STREAM_LOSS_WAITS);
        stream_receiving_over(stream, result);
        if (packets->socket != NULL && !(stream->state & STREAM_CLOSING))
            packet_watch(packets->socket);
    } else {
        packet_read_on(stream);
    }
}

void packet_read_on(struct sonde_stream *stream)
{
    if (stream->packets->socket != NULL && !(stream->state & (STREAM_CONNECTING | STREAM_CLOSING)))
        packet_watch(stream->packets->socket);
}

/* --- what is told later --------------------------------------------------------------------------------------------
 */

void packet_undelivered(struct packets *packets, int error, const struct sonde_address *says)
{
    packets->n_undelivered++;
    packets->undelivered = error;
    packets->undelivered_says = says != NULL ? *says : (struct sonde_address){0};
    loop_defer(packets->stream->loop, &packets->stream->io);
}

void packet_fail(struct packets *packets, int error)
{
    struct sonde_stream *stream = packets->stream;

    if (stream->state & (STREAM_FAILED | STREAM_CLOSING | STREAM_LOSS_WAITS))
        return;
    packet_forget_peer(stream);
    if (is_paused(stream) || packets->kept != NULL) {
        stream->error = error;
        stream->state |= STREAM_LOSS_WAITS;
    } else {
        stream_fail(stream, error);
    }
}

/* Nobody is there any more: nothing will come, and nothing arrive. */
static bool is_final(const struct packets *packets, int error)
{
    return error == -ECONNREFUSED ||
           (packets->is_unix && (error == -ENOENT || error == -ECONNRESET || error == -ENOTCONN || error == -EPIPE));
}

static bool can_tell(const struct packets *packets)
{
    const struct sonde_stream *stream = packets->stream;

    return stream->handler != NULL && !(stream->state & (STREAM_CLOSING | STREAM_FAILED | STREAM_CONNECTING));
}

static void tell(struct packets *packets, const struct sonde_notice *notice)
{
    if (packets->stream->handler->notice != NULL)
        packets->stream->handler->notice(packets->stream, notice);
}

static void tell_what_waits(struct packets *packets)
{
    if (packets->n_lost > 0 && can_tell(packets)) {
        struct sonde_notice notice = {.kind = SONDE_NOTICE_LOST, .n = packets->n_lost};
        packets->n_lost = 0;
        tell(packets, &notice);
    }
    if (packets->n_undelivered > 0 && can_tell(packets)) {
        struct sonde_notice notice = {.kind = SONDE_NOTICE_ICMP,
                                      .code = packets->undelivered,
                                      .n = packets->n_undelivered,
                                      .from = packets->undelivered_says};
        packets->n_undelivered = 0;
        tell(packets, &notice);
        if (is_final(packets, notice.code) && can_tell(packets))
            packet_fail(packets, notice.code);
    }
}

static void on_work(struct io *io)
{
    struct sonde_stream *stream = STREAM_OF(io);
    struct packets *packets = stream->packets;
    struct packet_area *area = packet_area(stream->loop);

    if (loop_is_stopping(stream->loop)) {
        loop_defer(stream->loop, io);
        return;
    }
    if (packets->socket != NULL && packets->socket->only == packets) {
        if (area->socket == packets->socket && !packet_batch_finish(area))
            return;
        if (packets->socket != NULL) /* its batch may have been finished for the sake of another socket */
            packet_watch(packets->socket);
    }
    tell_what_waits(packets);
    stream_on_work(io);
}

/* --- the end -------------------------------------------------------------------------------------------------------
 */

void packet_forget_peer(struct sonde_stream *stream)
{
    struct packets *packets = stream->packets;

    if (!packets->is_known)
        return;
    struct packet_server *server = packets->socket->server;
    peer_table_remove(&server->table, &packets->node);
    TAILQ_REMOVE(&server->heard, packets, heard);
    server->n_peers--;
    packets->is_known = false;
}

void packet_leave(struct sonde_stream *stream)
{
    struct packets *packets = stream->packets;
    struct packet_socket *socket = packets->socket;

    if (socket == NULL)
        return;
    packet_settle(stream);
    packet_forget_peer(stream);
    packet_wait_not(packets);
    packets->socket = NULL;
    if (socket->server != NULL)
        packet_server_release(socket->server);
    else
        packet_socket_stop(socket);
}

void packet_free(struct sonde_stream *stream)
{
    struct packets *packets = stream->packets;
    bool has_own_socket = packets->own_bytes != sizeof *packets;

    if (has_own_socket && packets->socket != NULL) /* one that nobody was told of */
        packet_socket_stop(packets->socket);
    while (packets->kept != NULL) {
        struct message *message = packets->kept;
        packets->kept = message->next;
        free_message(packets, message);
    }
    loop_free(stream->loop, packets, packets->own_bytes);
    stream->packets = NULL;
    if (has_own_socket)
        packet_area_release(stream->loop);
}

static void on_poll(struct io *io, int events)
{
    struct sonde_stream *stream = STREAM_OF(io);

    if (stream->packets->socket != NULL && !(stream->state & STREAM_FAILED))
        packet_on_events(stream->packets->socket, events);
}

const struct io_handler packet_io_handler = {
    .poll = on_poll,
    .work = on_work,
    .closed = stream_on_closed,
    .stream_id = stream_id_of,
};
