/* SPDX-License-Identifier: MIT */
/* Sending messages: at once, gathered while a batch is handed out, or out of the streams' queues. */
#include "net/packet_internal.h"

#include "net/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { DRAIN_MESSAGES = 16, ERROR_ROUNDS = 16 };

static const int64_t retry_ns = INT64_C(10) * 1000 * 1000;

enum verdict {
    SEND_AGAIN, /* the error was about another message, and has been taken */
    SEND_LATER, /* there is no room */
    SEND_NEVER, /* not this message */
    SEND_OVER,  /* nothing any more on this connection */
};

/* --- one message ----------------------------------------------------------------------------------------------------
 */

/* The address that the peer has asked is what answers it. */
static void set_source(const struct packets *packets, struct msghdr *header, unsigned char *control)
{
    const struct sonde_address *local = &packets->local;
    struct cmsghdr *message = (struct cmsghdr *)control;

    if (packets->own_bytes != sizeof *packets || !packets->socket->server->tells_local || local->family == 0)
        return;
    header->msg_control = control;
    if (local->family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->u.ip, sizeof info.ipi_spec_dst);
        *message =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(CMSG_DATA(message), &info, sizeof info);
        header->msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = packets->local_index};
        memcpy(&info.ipi6_addr, local->u.ip, sizeof info.ipi6_addr);
        *message =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
        memcpy(CMSG_DATA(message), &info, sizeof info);
        header->msg_controllen = CMSG_SPACE(sizeof info);
    }
}

static void set_message(struct packets *packets, struct mmsghdr *message, struct iovec *part, unsigned char *control,
                        const void *data, size_t n_bytes)
{
    *part = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n_bytes};
    *message = (struct mmsghdr){.msg_hdr = {.msg_iov = part, .msg_iovlen = 1}};
    if (packets->name_bytes > 0) {
        message->msg_hdr.msg_name = &packets->name;
        message->msg_hdr.msg_namelen = packets->name_bytes;
    }
    set_source(packets, &message->msg_hdr, control);
}

static void report(const struct packets *packets, const struct mmsghdr *message, int64_t start_ns, int64_t result)
{
    struct packet_socket *socket = packets->socket;
    struct sonde_probe_event event = {
        .operation = SONDE_OP_SEND,
        .fd = socket->io->fd,
        .result = result,
        .start_ns = start_ns,
        .stream = packets->stream->id,
        .data = message->msg_hdr.msg_iov->iov_base,
        .n_bytes = message->msg_hdr.msg_iov->iov_len,
        .args = {MSG_NOSIGNAL},
        .address = packets->stream->peer,
    };

    loop_probe_emit(socket->loop, &event, socket->io->fd);
}

/* Send some of these: how many, or the first one's error. */
static int send_some(struct packet_socket *socket, struct mmsghdr *messages, struct packets *const *from, unsigned n)
{
    bool probes = loop_probing(socket->loop);
    int64_t start_ns = probes ? clock_monotonic_ns() : 0;

    int n_sent = call_sendmmsg(socket->loop, socket->io->fd, messages, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < n_sent; i++) {
        from[i]->stream->n_sent += messages[i].msg_len;
        from[i]->n_sent++;
        if (probes)
            report(from[i], &messages[i], start_ns, messages[i].msg_len);
    }
    if (n_sent < 0 && probes)
        report(from[0], messages, start_ns, n_sent);
    return n_sent;
}

/* What does it mean that a message of this stream's was not taken? */
static enum verdict judge(struct packet_socket *socket, int error, unsigned *n_rounds)
{
    switch (-error) {
    case EINTR:
        return SEND_AGAIN;
    case EAGAIN:
        return SEND_LATER;
    case ENOBUFS:
    case ENOMEM:
        /* The interface's queue, or memory: no event says when there is some. */
        sonde_timer_start_in(&socket->again, retry_ns);
        return SEND_LATER;
    case EMSGSIZE:
        return SEND_NEVER;
    default:
        break;
    }
    if (socket->is_udp && packet_take_errors(socket) > 0 && (*n_rounds)++ < ERROR_ROUNDS)
        return SEND_AGAIN;
    return socket->has_end ? SEND_OVER : SEND_NEVER;
}

/* --- the queues -----------------------------------------------------------------------------------------------------
 */

static void wait_for_room(struct packets *packets)
{
    struct packet_socket *socket = packets->socket;

    packets->stream->state |= STREAM_WAITED;
    if (!packets->is_waiting) {
        TAILQ_INSERT_TAIL(&socket->waiting, packets, waiting);
        packets->is_waiting = true;
    }
    if (socket->is_udp || socket->is_connected)
        socket->is_full = true;
    else if (!sonde_timer_is_running(&socket->again)) /* each receiver has room of its own, and no event tells */
        sonde_timer_start_in(&socket->again, retry_ns);
    packet_watch(socket);
}

void packet_wait_not(struct packets *packets)
{
    if (packets->is_waiting)
        TAILQ_REMOVE(&packets->socket->waiting, packets, waiting);
    packets->is_waiting = false;
}

static int enqueue(struct packets *packets, const void *data, size_t n_bytes)
{
    struct sonde_stream *stream = packets->stream;
    struct chunk *chunk = chunk_create(stream->loop, data, n_bytes, n_bytes);

    if (chunk == NULL)
        return -ENOMEM;
    if (stream->queue == NULL)
        stream->queue = chunk;
    else
        stream->queue_last->next = chunk;
    stream->queue_last = chunk;
    stream->queued_bytes += (uint32_t)n_bytes;
    packets->n_queued++;
    return 0;
}

static void drop_first(struct packets *packets)
{
    struct sonde_stream *stream = packets->stream;
    struct chunk *first = stream->queue;

    stream->queue = first->next;
    stream->queued_bytes -= first->n_bytes;
    packets->n_queued--;
    first->next = NULL;
    chunk_free_all(stream->loop, first);
}

/* One stream's queue; false: there is no room any more. */
static bool drain(struct packets *packets)
{
    struct sonde_stream *stream = packets->stream;
    unsigned n_rounds = 0;

    while (stream->queue != NULL && !(stream->state & STREAM_SEND_DEAD)) {
        struct mmsghdr messages[DRAIN_MESSAGES];
        struct iovec parts[DRAIN_MESSAGES];
        struct packets *from[DRAIN_MESSAGES];
        _Alignas(struct cmsghdr) unsigned char control[DRAIN_MESSAGES][OUT_CONTROL_BYTES];
        unsigned n = 0;
        for (struct chunk *chunk = stream->queue; chunk != NULL && n < DRAIN_MESSAGES; chunk = chunk->next, n++) {
            set_message(packets, &messages[n], &parts[n], control[n], chunk->data, chunk->n_bytes);
            from[n] = packets;
        }
        int sent = send_some(packets->socket, messages, from, n);
        for (int i = 0; i < sent; i++)
            drop_first(packets);
        if (sent >= 0)
            continue;
        switch (judge(packets->socket, sent, &n_rounds)) {
        case SEND_AGAIN:
            break;
        case SEND_LATER:
            return false;
        case SEND_NEVER:
            drop_first(packets);
            packet_undelivered(packets, sent, NULL);
            break;
        case SEND_OVER:
            stream_sending_failed(stream, sent);
            return true;
        }
    }
    return true;
}

void packet_pump(struct sonde_stream *stream)
{
    struct packets *packets = stream->packets;

    if (packets->socket == NULL)
        return;
    if (!packets->socket->is_full && drain(packets)) {
        packet_wait_not(packets);
        if (!(stream->state & STREAM_SEND_DEAD))
            stream_queue_gone(stream);
    } else {
        wait_for_room(packets);
    }
}

/* There may be room: everybody who waits for it, in turn. Of UNIX receivers each has its own. */
void packet_drain(struct packet_socket *socket)
{
    struct packets_list waiting = TAILQ_HEAD_INITIALIZER(waiting);

    TAILQ_CONCAT(&waiting, &socket->waiting, waiting);
    while (!TAILQ_EMPTY(&waiting)) {
        struct packets *packets = TAILQ_FIRST(&waiting);
        TAILQ_REMOVE(&waiting, packets, waiting);
        packets->is_waiting = false;
        packet_pump(packets->stream);
    }
}

/* --- what is gathered ------------------------------------------------------------------------------------------------
 */

/* It can't go now: into the stream's queue, whatever its limit, which was looked at when it was written. */
static void put_off(struct packets *packets, const struct iovec *part)
{
    struct sonde_stream *stream = packets->stream;

    if (stream->state & STREAM_SEND_DEAD) {
        stream->unsent_bytes += (uint32_t)part->iov_len;
        return;
    }
    int error = enqueue(packets, part->iov_base, part->iov_len);
    if (error < 0)
        packet_undelivered(packets, error, NULL);
    else
        wait_for_room(packets);
}

/* One that was not taken; false: try again. */
static bool put_aside(struct packet_area *area, unsigned i, int error, unsigned *n_rounds)
{
    struct packets *packets = area->out_from[i];

    switch (judge(packets->socket, error, n_rounds)) {
    case SEND_AGAIN:
        return false;
    case SEND_LATER:
        put_off(packets, &area->out_parts[i]);
        break;
    case SEND_NEVER:
        packet_undelivered(packets, error, NULL);
        break;
    case SEND_OVER:
        stream_sending_failed(packets->stream, error);
        break;
    }
    return true;
}

void packet_flush(struct packet_area *area)
{
    struct packet_socket *socket = area->gathering;
    unsigned n_out = area->n_out, i = 0, n_rounds = 0;

    area->n_out = 0; /* nothing that is called here gathers, or flushes */
    while (i < n_out) {
        struct packets *packets = area->out_from[i];
        if (socket->is_full || packets->stream->queue != NULL || packets->stream->state & STREAM_SEND_DEAD) {
            put_off(packets, &area->out_parts[i++]);
            continue;
        }
        /* One by one where the one that finds no room may have more behind it. */
        unsigned n = socket->is_udp ? n_out - i : 1;
        int sent = send_some(socket, area->out + i, area->out_from + i, n);
        if (sent >= 0)
            i += (unsigned)sent;
        else
            i += put_aside(area, i, sent, &n_rounds);
    }
    area->out_bytes = area->copied_bytes = 0;
}

/* Is it lent out of the room, where it stays until the batch has been handed out? */
static bool is_in_room(const struct packet_area *area, const unsigned char *data)
{
    return data >= area->room && data < area->room + ROOM_BYTES;
}

static void gather(struct packet_area *area, struct packets *packets, const unsigned char *data, size_t n_bytes)
{
    if (area->n_out == OUT_MESSAGES || area->out_bytes + n_bytes > GATHER_BYTES ||
        (!is_in_room(area, data) && area->copied_bytes + n_bytes > OUT_BYTES))
        packet_flush(area);
    if (n_bytes > 0 && !is_in_room(area, data)) {
        unsigned char *copy = area->copied + area->copied_bytes;
        memcpy(copy, data, n_bytes);
        area->copied_bytes += n_bytes;
        data = copy;
    }
    unsigned i = area->n_out++;
    area->out_from[i] = packets;
    area->out_bytes += n_bytes;
    set_message(packets, &area->out[i], &area->out_parts[i], area->out_control[i], data, n_bytes);
}

void packet_settle(struct sonde_stream *stream)
{
    struct packet_area *area = packet_area(stream->loop);

    if (area != NULL && area->n_out > 0 && area->gathering == stream->packets->socket)
        packet_flush(area);
}

/* --- the owner's call ------------------------------------------------------------------------------------------------
 */

static int send_now(struct packets *packets, const void *data, size_t n_bytes)
{
    struct packet_socket *socket = packets->socket;
    struct mmsghdr message;
    struct iovec part;
    _Alignas(struct cmsghdr) unsigned char control[OUT_CONTROL_BYTES];
    unsigned n_rounds = 0;

    for (;;) {
        set_message(packets, &message, &part, control, data, n_bytes);
        int sent = send_some(socket, &message, &packets, 1);
        if (sent >= 0)
            return 0;
        switch (judge(socket, sent, &n_rounds)) {
        case SEND_AGAIN:
            break;
        case SEND_LATER:
            return sent == -EAGAIN ? -EAGAIN : -ENOBUFS;
        case SEND_NEVER:
            return sent;
        case SEND_OVER:
            stream_sending_failed(packets->stream, sent);
            return sent == -EPIPE ? -ECONNRESET : sent;
        }
    }
}

static bool can_send_now(const struct packets *packets)
{
    const struct sonde_stream *stream = packets->stream;

    return stream->queue == NULL && !(stream->state & STREAM_CONNECTING) && !packets->socket->is_full;
}

int packet_send(struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    struct packets *packets = stream->packets;
    struct packet_area *area = packet_area(stream->loop);

    if (n_bytes > packets->most_bytes)
        return -EMSGSIZE;
    int error = stream_may_send(stream, n_bytes);
    if (error < 0)
        return error;
    if (packets->socket == NULL)
        return -EPIPE;
    if (packets->is_mute)
        return -EDESTADDRREQ;
    if (packets->n_queued >= QUEUE_MESSAGES)
        return -ENOBUFS;
    if (can_send_now(packets)) {
        if (area->gathering == packets->socket && (n_bytes <= OUT_BYTES || is_in_room(area, data))) {
            gather(area, packets, data, n_bytes);
            return 0;
        }
        packet_settle(stream);
        error = can_send_now(packets) ? send_now(packets, data, n_bytes) : -EAGAIN;
        if (error != -EAGAIN && error != -ENOBUFS) {
            if (error == -ECONNREFUSED || (packets->is_unix && error == -ENOENT))
                packet_undelivered(packets, error, NULL); /* and it fails */
            return error;
        }
    }
    error = enqueue(packets, data, n_bytes);
    if (error == 0 && !(stream->state & STREAM_CONNECTING))
        wait_for_room(packets);
    return error;
}
