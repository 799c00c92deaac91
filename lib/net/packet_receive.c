/* SPDX-License-Identifier: MIT */
/* Receiving messages, a batch at a time, and handing them out. */
#include "net/packet_internal.h"

#include "net/address.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static const int64_t retry_ns = INT64_C(50) * 1000 * 1000;
static const int64_t drops_ns = INT64_C(200) * 1000 * 1000;

enum { ERROR_ROUNDS = 16 };

/* --- what the kernel says with a message -------------------------------------------------------------------------- */

static void take_pktinfo4(struct arrival *arrival, const struct cmsghdr *control)
{
    struct in_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof info);
    arrival->has_local = true;
    arrival->local.family = AF_INET;
    /* Of a datagram to a group or to everybody it is the interface's address, which is what answers come from. */
    memcpy(arrival->local.u.ip, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
}

static void take_pktinfo6(struct arrival *arrival, const struct cmsghdr *control)
{
    struct in6_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof info);
    arrival->has_local = true;
    arrival->local.family = AF_INET6;
    if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
        arrival->local_index = info.ipi6_ifindex; /* the kernel chooses an address of the interface */
        return;
    }
    memcpy(arrival->local.u.ip, &info.ipi6_addr, sizeof info.ipi6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        arrival->local_index = arrival->local.scope = info.ipi6_ifindex;
}

/* A peer may send descriptors along; there is no room for any, but should one come all the same it is not kept. */
static void close_rights(const struct cmsghdr *control)
{
    for (size_t n = CMSG_LEN(0); n + sizeof(int) <= control->cmsg_len; n += sizeof(int)) {
        int fd;
        memcpy(&fd, (const unsigned char *)control + n, sizeof fd);
        close(fd);
    }
}

static void take_control(struct arrival *arrival, struct msghdr *header)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            take_pktinfo4(arrival, control);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            take_pktinfo6(arrival, control);
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
            arrival->has_drops = true;
            memcpy(&arrival->n_dropped, CMSG_DATA(control), sizeof arrival->n_dropped);
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_CREDENTIALS) {
            arrival->has_credentials = true;
            memcpy(&arrival->credentials, CMSG_DATA(control), sizeof arrival->credentials);
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS) {
            close_rights(control);
        }
    }
}

static void look_at(struct packet_area *area, unsigned i, struct arrival *ret_arrival)
{
    struct mmsghdr *message = &area->in[i];
    const struct packet_socket *socket = area->socket;
    struct arrival arrival = {.name = &area->in_names[i], .name_bytes = message->msg_hdr.msg_namelen};
    size_t room = area->in_parts[i].iov_len;

    take_control(&arrival, &message->msg_hdr);
    arrival.data = area->in_parts[i].iov_base;
    arrival.n_whole_bytes = message->msg_len;
    arrival.n_bytes = message->msg_len < room ? message->msg_len : room;
    arrival.flags = SONDE_MESSAGE | (message->msg_hdr.msg_flags & MSG_TRUNC ? SONDE_CUT : 0u);
    if (socket->is_udp) {
        address_from_sockaddr((struct sockaddr *)&area->in_names[i], arrival.name_bytes, &arrival.from);
    } else if (socket->only != NULL) {
        arrival.from = socket->only->stream->peer;
    } else {
        arrival.from = (struct sonde_address){.family = AF_UNIX, .u.peer.uid = UINT32_MAX};
        if (arrival.has_credentials) {
            arrival.from.u.peer.pid = arrival.credentials.pid;
            arrival.from.u.peer.uid = arrival.credentials.uid;
        }
    }
    *ret_arrival = arrival;
}

/* --- drops ---------------------------------------------------------------------------------------------------------
 */

void packet_note_drops(struct packet_socket *socket, uint32_t n_dropped)
{
    uint32_t n_more = n_dropped - socket->n_dropped; /* the counter wraps */

    if (n_more == 0 || n_more > INT32_MAX)
        return;
    socket->n_dropped = n_dropped;
    if (socket->server != NULL) {
        socket->server->n_lost += n_more;
        return;
    }
    socket->only->n_lost += n_more;
    loop_defer(socket->loop, socket->io);
}

/* What was dropped behind the last datagram that came is told by none: so ask, once things are quiet. */
void packet_on_drops(struct sonde_timer *timer)
{
    struct packet_socket *socket = timer->user;
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t n = sizeof info;
    int64_t quiet_ns = sonde_loop_now_ns(socket->loop) - socket->received_ns;

    if (call_getsockopt(socket->loop, socket->io->fd, SOL_SOCKET, SO_MEMINFO, info, &n) == 0 &&
        n > SK_MEMINFO_DROPS * sizeof *info)
        packet_note_drops(socket, info[SK_MEMINFO_DROPS]);
    if (quiet_ns < drops_ns)
        sonde_timer_start_in(timer, drops_ns);
    if (socket->server != NULL)
        packet_server_tell(socket->server);
}

/* --- a batch -------------------------------------------------------------------------------------------------------
 */

static void report(struct packet_area *area, unsigned i, const struct arrival *arrival, const struct packets *packets)
{
    struct packet_socket *socket = area->socket;
    struct sonde_probe_event event = {
        .operation = SONDE_OP_RECEIVE,
        .fd = socket->io->fd,
        .result = (int64_t)arrival->n_whole_bytes,
        .start_ns = area->start_ns,
        .stream = packets != NULL ? packets->stream->id : 0,
        .data = arrival->data,
        .n_bytes = area->in_parts[i].iov_len,
        .address = arrival->from,
    };

    loop_probe_emit(socket->loop, &event, socket->io->fd);
}

/* Nothing, and nobody's: the end of a connection. */
static bool is_end(const struct packet_socket *socket, const struct arrival *arrival)
{
    return socket->has_end && arrival->n_whole_bytes == 0 && !arrival->has_credentials;
}

static void connection_over(struct packets *packets, int result)
{
    struct sonde_stream *stream = packets->stream;

    if (stream->state & (STREAM_FAILED | STREAM_CLOSING | STREAM_ENDED | STREAM_END_WAITS | STREAM_LOSS_WAITS))
        return;
    if (stream->state & STREAM_PAUSED || packets->kept != NULL) {
        stream->error = result;
        stream->state |= result == 0 ? STREAM_END_WAITS : STREAM_LOSS_WAITS;
        return;
    }
    packet_settle(stream); /* whoever is told of the end must be able to see whether the answer has gone */
    stream_receiving_over(stream, result);
}

static void dispatch(struct packet_area *area, unsigned i)
{
    struct packet_socket *socket = area->socket;
    struct packets *packets = socket->only;
    struct arrival arrival;

    look_at(area, i, &arrival);
    if (arrival.has_drops)
        packet_note_drops(socket, arrival.n_dropped);
    if (socket->server != NULL)
        packets = packet_peer(socket->server, &arrival);
    if (loop_probing(socket->loop))
        report(area, i, &arrival, packets);
    if (packets == NULL)
        return;
    if (is_end(socket, &arrival))
        connection_over(packets, 0);
    else
        packet_take(packets, &arrival);
}

bool packet_batch_finish(struct packet_area *area)
{
    struct packet_socket *socket = area->socket;

    if (socket == NULL)
        return true;
    struct packet_server *server = socket->server;
    if (server != NULL)
        server->n_users++;
    area->gathering = socket;
    while (area->socket == socket && area->next < area->n && !loop_is_stopping(socket->loop))
        dispatch(area, area->next++);
    packet_flush(area);
    area->gathering = NULL;
    bool is_done = area->socket != socket || area->next == area->n;
    if (area->socket == socket && is_done)
        area->socket = NULL;
    if (!is_done)
        loop_defer(socket->loop, socket->io);
    if (server != NULL) {
        packet_server_tell(server);
        packet_server_release(server);
    }
    return is_done;
}

void packet_batch_forget(struct packet_socket *socket)
{
    struct packet_area *area = packet_area(socket->loop);

    if (area == NULL)
        return;
    if (area->gathering == socket) {
        packet_flush(area);
        area->gathering = NULL;
    }
    if (area->socket == socket) {
        area->socket = NULL;
        area->n = area->next = 0;
    }
}

static unsigned prepare(struct packet_area *area, const struct packet_socket *socket)
{
    unsigned n = socket->is_batch_only_one ? 1 : BATCH_MESSAGES;

    for (unsigned i = 0; i < n; i++) {
        struct msghdr *header = &area->in[i].msg_hdr;
        area->in_parts[i].iov_base = area->room + (size_t)i * SLOT_BYTES;
        area->in_parts[i].iov_len = socket->is_batch_only_one ? ROOM_BYTES : SLOT_BYTES;
        header->msg_iov = &area->in_parts[i];
        header->msg_iovlen = 1;
        header->msg_name = socket->is_connected ? NULL : &area->in_names[i];
        header->msg_namelen = socket->is_connected ? 0 : sizeof area->in_names[i];
        header->msg_control = area->in_control[i];
        /* Credentials come first, and then there is no room for descriptors. */
        header->msg_controllen = socket->is_udp ? CONTROL_BYTES : CMSG_SPACE(sizeof(struct ucred));
        header->msg_flags = 0;
    }
    return n;
}

static bool is_gone(const struct packet_socket *socket, const struct packets *only)
{
    return only != NULL && only->socket != socket;
}

/* Receiving has failed. Should it be tried at once? */
static bool goes_on(struct packet_socket *socket, int error)
{
    if (error == -EINTR)
        return true;
    if (error == -EAGAIN)
        return false;
    if (socket->is_udp && packet_take_errors(socket) > 0)
        return true;
    if (socket->is_udp && (error == -ECONNREFUSED || error == -EHOSTUNREACH || error == -ENETUNREACH))
        return true; /* of a message that the queue of errors had no room for */
    if (socket->only != NULL) {
        connection_over(socket->only, error);
        return false;
    }
    socket->is_troubled = true;
    sonde_timer_start_in(&socket->again, retry_ns);
    if (socket->server->leg != NULL)
        listener_in_trouble(socket->server->leg->listener, error);
    return false;
}

void packet_receive(struct packet_socket *socket)
{
    struct packet_area *area = packet_area(socket->loop);
    struct packet_server *server = socket->server;
    const struct packets *only = socket->only;
    unsigned n_turns = socket->is_batch_only_one ? TURN_MESSAGES : TURN_BATCHES, n_errors = 0;

    if (!packet_batch_finish(area)) { /* of another one, from before the loop was stopped */
        packet_watch(socket);
        return;
    }
    if (server != NULL)
        server->n_users++;
    if (socket->is_udp) {
        socket->received_ns = sonde_loop_now_ns(socket->loop);
        if (!sonde_timer_is_running(&socket->drops))
            sonde_timer_start_in(&socket->drops, drops_ns);
    }
    while (n_turns-- > 0) {
        unsigned n_asked = prepare(area, socket);
        area->start_ns = loop_probing(socket->loop) ? clock_monotonic_ns() : 0;
        int n =
            call_recvmmsg(socket->loop, socket->io->fd, area->in, n_asked, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
        if (n < 0) {
            if (n_errors++ == ERROR_ROUNDS || !goes_on(socket, n))
                break;
            continue;
        }
        area->socket = socket;
        area->n = (unsigned)n;
        area->next = 0;
        if (!packet_batch_finish(area) || is_gone(socket, only) || (unsigned)n < n_asked)
            break;
        if (only != NULL && only->stream->state & (STREAM_PAUSED | STREAM_ENDED | STREAM_END_WAITS | STREAM_FAILED))
            break;
    }
    if (!is_gone(socket, only))
        packet_watch(socket);
    if (server != NULL)
        packet_server_release(server);
}
