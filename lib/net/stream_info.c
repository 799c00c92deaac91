/* SPDX-License-Identifier: MIT */
/* What can be asked of a stream. */
#include "net/address.h"
#include "net/layers_internal.h"
#include "net/packet.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

size_t sonde_stream_queued_bytes(const struct sonde_stream *stream)
{
    return stream->queued_bytes + stream->lent_bytes;
}

uint64_t sonde_stream_unsent_bytes(const struct sonde_stream *stream)
{
    return stream->unsent_bytes;
}

void sonde_stream_peer(const struct sonde_stream *stream, struct sonde_address *ret_address)
{
    struct sockaddr_storage peer;
    /* SO_PEERNAME refuses room for more than the address. */
    socklen_t n = stream->peer.family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    /* An accepted stream's peer is asked for once, by the first who wants to know: for thousands of short connections
     * nobody does. Not getpeername: that refuses once the peer has reset the connection, and it may have. */
    if (stream->peer.port == 0 && stream->peer_said == 0 && stream->peer.family != AF_UNIX &&
        io_is_file(stream->io.fd) &&
        call_getsockopt(stream->loop, stream->io.fd, SOL_SOCKET, SO_PEERNAME, &peer, &n) == 0)
        address_from_sockaddr((struct sockaddr *)&peer, n, &((struct sonde_stream *)(uintptr_t)stream)->peer);
    *ret_address = stream->peer;
}

void sonde_stream_local(const struct sonde_stream *stream, struct sonde_address *ret_address)
{
    const struct sonde_address *bound = stream->listener != NULL ? listener_local(stream->listener, stream->leg) : NULL;
    struct sockaddr_storage local;
    socklen_t n = sizeof local;

    /* Not kept: either it is the listener's, or the kernel knows it, unlike the peer's even after a reset. */
    if (stream->packets != NULL && packet_local(stream, ret_address))
        return;
    if (bound != NULL)
        *ret_address = *bound;
    else if (io_is_file(stream->io.fd) &&
             call_getsockname(stream->loop, stream->io.fd, (struct sockaddr *)&local, &n) == 0)
        address_from_sockaddr((struct sockaddr *)&local, n, ret_address);
    else
        memset(ret_address, 0, sizeof *ret_address);
}

uint64_t sonde_stream_id(const struct sonde_stream *stream)
{
    return stream->id;
}

uint64_t sonde_stream_received_bytes(const struct sonde_stream *stream)
{
    return stream->n_received;
}

uint64_t sonde_stream_sent_bytes(const struct sonde_stream *stream)
{
    return stream->layers != NULL ? layers_sent_bytes(stream) : stream->n_sent;
}

uint64_t sonde_stream_wire_received_bytes(const struct sonde_stream *stream)
{
    return stream->layers != NULL ? stream->layers->n_wire_received : stream->n_received;
}

uint64_t sonde_stream_wire_sent_bytes(const struct sonde_stream *stream)
{
    return stream->n_sent;
}

int sonde_stream_has_messages(const struct sonde_stream *stream)
{
    return stream->packets != NULL || (stream->layers != NULL && layers_have_messages(stream));
}

int sonde_stream_has_end(const struct sonde_stream *stream)
{
    return stream->packets == NULL || packet_has_end(stream);
}

uint64_t sonde_stream_received_messages(const struct sonde_stream *stream)
{
    uint64_t n_received = 0, n_sent;

    if (stream->packets != NULL)
        packet_count(stream, &n_received, &n_sent);
    else if (sonde_stream_has_messages(stream))
        n_received = stream->layers->n_messages_received;
    return n_received;
}

uint64_t sonde_stream_sent_messages(const struct sonde_stream *stream)
{
    uint64_t n_received, n_sent = 0;

    if (stream->packets != NULL)
        packet_count(stream, &n_received, &n_sent);
    else if (sonde_stream_has_messages(stream))
        n_sent = stream->layers->n_messages_sent;
    return n_sent;
}

int sonde_stream_unacknowledged_bytes(const struct sonde_stream *stream, uint64_t *ret_n_bytes)
{
    if (stream->packets != NULL && !packet_has_end(stream))
        return -EOPNOTSUPP;
    int fd = io_borrow_fd(stream->loop, stream->io.fd), n_bytes = 0, error = 0;

    if (fd < 0)
        return io_is_file(stream->io.fd) ? fd : -ENOTCONN;
    if (ioctl(fd, SIOCOUTQ, &n_bytes) < 0)
        error = -errno;
    io_return_fd(stream->loop, stream->io.fd, fd);
    if (error == 0)
        *ret_n_bytes = (uint64_t)n_bytes;
    return error;
}

int64_t sonde_stream_since_ns(const struct sonde_stream *stream)
{
    return stream->since_ns;
}

void sonde_stream_why(const struct sonde_stream *stream, struct sonde_why *ret_why)
{
    if (stream->state & STREAM_CONNECTING) {
        connecting_why(stream, ret_why);
        return;
    }
    if (layers_why(stream, ret_why))
        return;
    *ret_why = (struct sonde_why){.code = stream->error, .call = stream->send_error < 0 ? "send" : "recv"};
    struct sonde_address peer;
    sonde_stream_peer(stream, &peer);
    sonde_address_format(&peer, ret_why->subject, sizeof ret_why->subject);
    if (stream->own_call == OWN_READ || stream->own_call == OWN_WRITE) {
        bool reads = stream->own_call == OWN_READ;
        ret_why->call = reads ? "read" : "write";
        snprintf(ret_why->detail, sizeof ret_why->detail, "the descriptor it is copied %s", reads ? "from" : "to");
    }
}

int sonde_stream_fd(const struct sonde_stream *stream)
{
    return stream->io.fd >= 0 ? stream->io.fd : -1;
}

struct sonde_loop *sonde_stream_loop(const struct sonde_stream *stream)
{
    return stream->loop;
}

struct sonde_listener *sonde_stream_listener(const struct sonde_stream *stream)
{
    return stream->listener;
}

void *sonde_stream_owner(const struct sonde_stream *stream)
{
    return stream->owner;
}

void *sonde_stream_user(const struct sonde_stream *stream)
{
    return stream->user_bytes > 0 ? (void *)(stream + 1) : NULL;
}

void sonde_stream_set_handler(struct sonde_stream *stream, const struct sonde_stream_handler *handler, void *owner)
{
    stream->handler = handler;
    stream->owner = owner;
}

struct sonde_stream *sonde_stream_next(struct sonde_loop *loop, const struct sonde_stream *stream)
{
    struct sonde_stream *next = stream == NULL ? TAILQ_FIRST(&loop_net(loop)->streams) : TAILQ_NEXT(stream, link);

    while (next != NULL && next->handler == NULL) /* nobody has been told of it */
        next = TAILQ_NEXT(next, link);
    return next;
}
