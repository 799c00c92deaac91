/* SPDX-License-Identifier: MIT */
#include "trace/program.h"

#include "observe/calls/calls.h"
#include "observe/sockets/tcp_info.h"
#include "trace/kernel.h"
#include "trace/sampling.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_INFO
#define TCP_INFO 11
#endif

struct program_calls {
    struct sampling *sampling; /* NULL: all are taken */
    pthread_mutex_t lock;
    int wake_fd;
    struct program_call *first, **end;
    size_t n_waiting;
    uint64_t n_dropped;
};

struct program_calls *program_calls_new(void)
{
    struct program_calls *calls = calloc(1, sizeof *calls);
    if (!calls)
        return NULL;
    calls->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (calls->wake_fd < 0 || pthread_mutex_init(&calls->lock, NULL) != 0) {
        if (calls->wake_fd >= 0)
            close(calls->wake_fd);
        free(calls);
        return NULL;
    }
    calls->end = &calls->first;
    return calls;
}

void program_call_free(struct program_call *call)
{
    free(call->event);
    free(call);
}

void program_calls_free(struct program_calls *calls)
{
    if (!calls)
        return;
    uint64_t n_dropped;
    struct program_call *next;
    for (struct program_call *call = program_calls_take(calls, &n_dropped); call; call = next) {
        next = call->next;
        program_call_free(call);
    }
    pthread_mutex_destroy(&calls->lock);
    close(calls->wake_fd);
    free(calls);
}

void program_calls_set_sampling(struct program_calls *calls, struct sampling *sampling)
{
    calls->sampling = sampling;
}

int program_calls_fd(const struct program_calls *calls)
{
    return calls->wake_fd;
}

/* IPv4 through an IPv6 socket (RFC 4291, 2.5.5.2) is IPv4 on the wire. */
static void unmap(struct sonde_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family != AF_INET6 || memcmp(address->u.ip, mapped, sizeof mapped) != 0)
        return;
    struct sonde_address inner = {.family = AF_INET, .port = address->port};
    memcpy(inner.u.ip, address->u.ip + sizeof mapped, 4);
    *address = inner;
}

static bool take_address(const struct sockaddr_storage *from, struct sonde_address *ret_address)
{
    const struct sockaddr_in *in = (const void *)from;
    const struct sockaddr_in6 *in6 = (const void *)from;
    struct sonde_address address = {.family = from->ss_family};
    if (from->ss_family == AF_INET) {
        address.port = ntohs(in->sin_port);
        memcpy(address.u.ip, &in->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        address.port = ntohs(in6->sin6_port);
        address.scope = in6->sin6_scope_id;
        memcpy(address.u.ip, &in6->sin6_addr, 16);
    } else {
        return false;
    }
    unmap(&address);
    *ret_address = address;
    return true;
}

static bool is_any(const struct sonde_address *address)
{
    static const uint8_t any[16];
    return address->port == 0 || memcmp(address->u.ip, any, address->family == AF_INET ? 4 : 16) == 0;
}

/* The kernel names no peer before a connection stands, and none any more when it was reset, perhaps before it was
 * accepted: then it is whom the call named. */
static void look_at_addresses(struct program_call *call, int fd, const struct sonde_address *named)
{
    struct sockaddr_storage local = {0}, peer = {0};
    socklen_t n_local = sizeof local, n_peer = sizeof peer;
    if (getsockname(fd, (struct sockaddr *)&local, &n_local) < 0)
        return;
    call->is_unix = local.ss_family == AF_UNIX;
    if (call->is_unix || !take_address(&local, &call->local) || is_any(&call->local))
        return;
    call->peer = *named;
    unmap(&call->peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &n_peer) == 0)
        call->has_addresses = take_address(&peer, &call->peer);
    else
        call->has_addresses = call->peer.family == call->local.family && !is_any(&call->peer);
}

/* What the socket is. */
static void look_at_kind(struct program_call *call, int family, int type)
{
    call->has_protocol = true;
    call->is_datagram = type == SOCK_DGRAM;
    call->protocol = family == AF_UNIX    ? 0
                     : family == AF_VSOCK ? EVENT_PROTOCOL_VSOCK
                     : type == SOCK_DGRAM ? IPPROTO_UDP
                                          : IPPROTO_TCP;
}

static void look_at_kind_of(struct program_call *call, int fd)
{
    int family = 0, type = 0, protocol = 0;
    socklen_t n = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0)
        return;
    look_at_kind(call, family, type);
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 && protocol == IPPROTO_SCTP)
        call->protocol = IPPROTO_SCTP;
}

static uint64_t mix(uint64_t key, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < n_bytes; i++)
        key = (key ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return key;
}

static uint64_t key_of(const struct sonde_probe_event *probe, const struct sonde_address *peer)
{
    uint64_t key = mix(UINT64_C(0xcbf29ce484222325), &peer->family, sizeof peer->family);
    if (peer->family == AF_UNIX && probe->path)
        key = mix(key, probe->path, (size_t)probe->path_bytes);
    else if (peer->family == AF_UNIX)
        key = mix(key, &probe->stream, sizeof probe->stream); /* no name is told */
    else
        key = mix(mix(key, &peer->port, sizeof peer->port), peer->u.ip, sizeof peer->u.ip);
    return key | 1;
}

/* A datagram that names its peer: it belongs to the conversation with that one. */
static void look_at_peer(struct program_call *call, int fd, const struct sonde_probe_event *probe)
{
    struct sockaddr_storage local = {0};
    socklen_t n = sizeof local;
    look_at_kind_of(call, fd);
    if (!call->is_datagram)
        return;
    call->peer = probe->address;
    unmap(&call->peer);
    call->peer_key = key_of(probe, &call->peer);
    call->is_unix = call->peer.family == AF_UNIX;
    if (!call->is_unix && getsockname(fd, (struct sockaddr *)&local, &n) == 0)
        call->has_addresses = take_address(&local, &call->local);
    /* A socket of both families: what it is bound to there is no address here. */
    if (call->has_addresses && call->local.family != call->peer.family) {
        call->local.family = call->peer.family;
        memset(&call->local.u, 0, sizeof call->local.u);
    }
}

/* SYN and FIN take a number each, and are counted with the bytes until they are acknowledged. */
static bool counts_itself(enum tcp_state state)
{
    return state == TCP_STATE_SYN_SENT || state == TCP_STATE_FIN_WAIT_1 || state == TCP_STATE_CLOSING ||
           state == TCP_STATE_LAST_ACK;
}

static void look_at_kernel(struct program_call *call, int fd)
{
    struct socket_info socket = {0};
    socklen_t n = TCP_INFO_KERNEL_BYTES;
    int bytes;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &socket.info, &n) < 0 || socket.info.state == 0)
        return;
    enum tcp_state state = tcp_state_of_kernel(socket.info.state);
    /* CLOSED is what a socket says, too, of which the kernel keeps a TIME_WAIT entry: it is no news of the connection.
     */
    if (state == TCP_STATE_CLOSED || state == TCP_STATE_LISTEN)
        return;
    call->state = (uint8_t)state;
    socket.has_info = true;
    if (ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0)
        socket.send_queue = (uint32_t)bytes - counts_itself(tcp_state_of_kernel(socket.info.state));
    if (ioctl(fd, SIOCINQ, &bytes) == 0 && bytes > 0)
        socket.receive_queue = (uint32_t)bytes;
    kernel_values(&socket, &call->values);
}

/* ---- what is taken */

/* The key of a socket whose peer is known now. */
static void learn_key(struct sampling *sampling, const struct sonde_probe_event *probe, int fd)
{
    struct sockaddr_storage local = {0};
    socklen_t n = sizeof local;
    struct sonde_address address;
    if (getsockname(fd, (struct sockaddr *)&local, &n) == 0 && take_address(&local, &address))
        sampling_learn(sampling, probe->socket_cookie, sampling_key(&address, &probe->address));
}

static enum sampling_take take_of(struct sampling *sampling, const struct sonde_probe_event *probe)
{
    enum sonde_operation operation = probe->operation;
    bool is_ip = probe->address.family == AF_INET || probe->address.family == AF_INET6;
    bool moved = operation == SONDE_OP_SEND || operation == SONDE_OP_RECEIVE;
    bool is_common = moved || operation == SONDE_OP_MESSAGE_IN || operation == SONDE_OP_MESSAGE_OUT;
    if (is_ip && operation == SONDE_OP_ACCEPT && probe->result >= 0)
        learn_key(sampling, probe, (int)probe->result);
    else if (is_ip && operation == SONDE_OP_CONNECT)
        learn_key(sampling, probe, probe->fd);
    uint32_t key =
        moved && is_ip ? sampling_key_of_peer(&probe->address) : sampling_look_up(sampling, probe->socket_cookie);
    return sampling_offer(sampling, key, is_common ? SAMPLING_COMMON : SAMPLING_RARE);
}

static bool may_ask(struct sampling *sampling, enum sampling_take take, const struct sonde_probe_event *probe)
{
    return !sampling || take == SAMPLING_WHOLE || sampling_may_ask(sampling, probe->end_ns);
}

static struct program_call *make(const struct sonde_probe_event *probe, struct sampling *sampling,
                                 enum sampling_take take)
{
    char arguments[CALLS_LINE_SIZE];
    struct event event;
    struct program_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    calls_event(probe, arguments, &event);
    call->event = event_clone(&event);
    if (!call->event) {
        free(call);
        return NULL;
    }
    bool made = probe->operation == SONDE_OP_ACCEPT || probe->operation == SONDE_OP_SOCKET;
    call->fd = !made ? probe->fd : probe->result >= 0 ? (int32_t)probe->result : -1;
    call->socket_cookie = probe->socket_cookie;
    call->netns_cookie = probe->netns_cookie;
    call->stream = probe->stream;
    if (call->event->kind != EVENT_KIND_CALL)
        return call;
    bool opened = probe->operation == SONDE_OP_ACCEPT || probe->operation == SONDE_OP_CONNECT;
    bool moved = probe->operation == SONDE_OP_SEND || probe->operation == SONDE_OP_RECEIVE;
    if (probe->operation == SONDE_OP_SOCKET)
        look_at_kind(call, probe->args[0], probe->args[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (call->fd >= 0 && probe->operation != SONDE_OP_CLOSE) {
        if (opened) {
            look_at_addresses(call, call->fd, &probe->address);
            look_at_kind_of(call, call->fd);
        }
        if (moved && probe->address.family != 0)
            look_at_peer(call, call->fd, probe);
        if (!call->is_datagram && may_ask(sampling, take, probe))
            look_at_kernel(call, call->fd);
    }
    if (probe->operation == SONDE_OP_CONNECT && probe->address.family != 0) {
        call->has_target = true;
        call->target = probe->address;
        unmap(&call->target);
    }
    return call;
}

void program_calls_probe(const struct sonde_probe_event *probe, void *user)
{
    struct program_calls *calls = user;
    const uint64_t one = 1;
    enum sampling_take take = calls->sampling ? take_of(calls->sampling, probe) : SAMPLING_TAKE;
    if (take == SAMPLING_LEAVE)
        return;
    struct program_call *call = make(probe, calls->sampling, take);
    pthread_mutex_lock(&calls->lock);
    if (!call || calls->n_waiting >= PROGRAM_CALLS_MAX) {
        calls->n_dropped++;
    } else {
        *calls->end = call;
        calls->end = &call->next;
        calls->n_waiting++;
        /* It cannot fail: the counter was read to 0 with the queue. */
        if (calls->n_waiting == 1 && write(calls->wake_fd, &one, sizeof one) < 0)
            calls->n_dropped++;
        call = NULL;
    }
    pthread_mutex_unlock(&calls->lock);
    if (call)
        program_call_free(call);
}

struct program_call *program_calls_take(struct program_calls *calls, uint64_t *ret_n_dropped)
{
    uint64_t n;
    pthread_mutex_lock(&calls->lock);
    struct program_call *first = calls->first;
    calls->first = NULL;
    calls->end = &calls->first;
    calls->n_waiting = 0;
    *ret_n_dropped = calls->n_dropped;
    calls->n_dropped = 0;
    while (read(calls->wake_fd, &n, sizeof n) > 0)
        continue;
    pthread_mutex_unlock(&calls->lock);
    return first;
}
