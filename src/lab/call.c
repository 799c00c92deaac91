/* SPDX-License-Identifier: MIT */
/*
 * The calls. Each is made between record_begin and record_end, so that what somebody is blocked in can be drawn while
 * it lasts; meanwhile the party counts as being inside of it.
 */
#include "lab/call.h"

#include "lab/lab_internal.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SIOCOUTQNSD
#define SIOCOUTQNSD 0x894B
#endif

union any_address {
    struct sockaddr base;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

struct calling {
    struct party *party;
    size_t record;
    struct sonde_probe_event probe;
};

static void begin(struct calling *calling, struct party *party, enum sonde_operation operation, int fd)
{
    int64_t now_ns = lab_now();
    *calling = (struct calling){
        .party = party,
        .record = record_begin(party, operation, fd, now_ns),
        .probe = {.size = sizeof calling->probe, .operation = (uint8_t)operation, .fd = fd, .start_ns = now_ns},
    };
    atomic_store(&party->inside_since_ns, now_ns);
}

/* The call is to be made again: it was interrupted, and nobody wanted that. */
static bool again(struct calling *calling, int64_t result)
{
    return result < 0 && errno == EINTR && !atomic_load(&calling->party->interrupting);
}

static int64_t end(struct calling *calling, int64_t result)
{
    calling->probe.result = result < 0 ? -errno : result;
    calling->probe.end_ns = lab_now();
    atomic_store(&calling->party->inside_since_ns, 0);
    if (result < 0)
        atomic_store(&calling->party->interrupting, false);
    record_end(calling->party, calling->record, &calling->probe);
    return calling->probe.result;
}

/* ---- addresses */

static int family_of(int fd)
{
    int family = AF_UNSPEC;
    socklen_t n = sizeof family;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n);
    return family;
}

static socklen_t unix_address(const char *text, struct sockaddr_un *ret_address)
{
    size_t n = strlen(text);
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n >= sizeof ret_address->sun_path)
        n = sizeof ret_address->sun_path - 1;
    memcpy(ret_address->sun_path, text, n);
    if (text[0] != '@')
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    ret_address->sun_path[0] = '\0'; /* the abstract namespace of unix(7) */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* 0: the text is no address of this family. */
static socklen_t make_address(int fd, const char *text, uint16_t port, union any_address *ret_address)
{
    int family = family_of(fd);
    memset(ret_address, 0, sizeof *ret_address);
    if (family == AF_UNIX)
        return unix_address(text, &ret_address->un);
    if (family == AF_INET6) {
        char mapped[INET6_ADDRSTRLEN + 8];
        bool is_ipv4 = strchr(text, '.') && !strchr(text, ':');
        snprintf(mapped, sizeof mapped, "%s%s", is_ipv4 ? "::ffff:" : "", text[0] ? text : "::");
        ret_address->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        return inet_pton(AF_INET6, mapped, &ret_address->in6.sin6_addr) == 1 ? sizeof ret_address->in6 : 0;
    }
    ret_address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    return inet_pton(AF_INET, text[0] ? text : "0.0.0.0", &ret_address->in.sin_addr) == 1 ? sizeof ret_address->in : 0;
}

static void probe_address(struct sonde_probe_event *probe, const union any_address *address, socklen_t n_address)
{
    struct sonde_address *said = &probe->address;
    if (address->base.sa_family == AF_INET) {
        said->family = AF_INET;
        said->port = ntohs(address->in.sin_port);
        memcpy(said->u.ip, &address->in.sin_addr, 4);
    } else if (address->base.sa_family == AF_INET6) {
        said->family = AF_INET6;
        said->port = ntohs(address->in6.sin6_port);
        said->scope = address->in6.sin6_scope_id;
        memcpy(said->u.ip, &address->in6.sin6_addr, 16);
    } else if (address->base.sa_family == AF_UNIX && n_address > offsetof(struct sockaddr_un, sun_path)) {
        probe->path = address->un.sun_path;
        probe->path_bytes = n_address - offsetof(struct sockaddr_un, sun_path);
    }
}

/* ---- the calls */

int party_socket(struct party *party, int family, int type, int protocol)
{
    struct calling calling;
    begin(&calling, party, SONDE_OP_SOCKET, -1);
    int fd = lab_socket(party->lab, party->end, family, type, protocol);
    if (fd < 0)
        errno = -fd;
    calling.probe.args[0] = family;
    calling.probe.args[1] = type;
    calling.probe.args[2] = protocol;
    return (int)end(&calling, fd);
}

int party_bind(struct party *party, int fd, const char *address, uint16_t port)
{
    struct calling calling;
    union any_address bound;
    socklen_t n = make_address(fd, address, port, &bound);
    begin(&calling, party, SONDE_OP_BIND, fd);
    probe_address(&calling.probe, &bound, n);
    return (int)end(&calling, bind(fd, &bound.base, n));
}

int party_listen(struct party *party, int fd, int backlog)
{
    struct calling calling;
    begin(&calling, party, SONDE_OP_LISTEN, fd);
    calling.probe.args[0] = backlog;
    return (int)end(&calling, listen(fd, backlog));
}

int party_accept(struct party *party, int fd)
{
    struct calling calling;
    union any_address peer = {0};
    socklen_t n;
    int result;
    begin(&calling, party, SONDE_OP_ACCEPT, fd);
    do {
        n = sizeof peer;
        result = accept4(fd, &peer.base, &n, SOCK_CLOEXEC);
    } while (again(&calling, result));
    if (result >= 0)
        probe_address(&calling.probe, &peer, n);
    return (int)end(&calling, result);
}

int party_connect(struct party *party, int fd, const char *address, uint16_t port)
{
    struct calling calling;
    union any_address to;
    socklen_t n = make_address(fd, address, port, &to);
    int result;
    begin(&calling, party, SONDE_OP_CONNECT, fd);
    probe_address(&calling.probe, &to, n);
    do
        result = connect(fd, &to.base, n);
    while (again(&calling, result));
    return (int)end(&calling, result);
}

static ssize_t send_to(struct party *party, int fd, const void *data, size_t n_bytes, int flags,
                       const union any_address *to, socklen_t n_to)
{
    struct calling calling;
    ssize_t result;
    begin(&calling, party, SONDE_OP_SEND, fd);
    do
        result = sendto(fd, data, n_bytes, flags | MSG_NOSIGNAL, to ? &to->base : NULL, n_to);
    while (again(&calling, result));
    calling.probe.data = data;
    calling.probe.n_bytes = n_bytes;
    calling.probe.args[0] = flags;
    return (ssize_t)end(&calling, result);
}

ssize_t party_send(struct party *party, int fd, const void *data, size_t n_bytes, int flags)
{
    return send_to(party, fd, data, n_bytes, flags, NULL, 0);
}

ssize_t party_sendto(struct party *party, int fd, const void *data, size_t n_bytes, int flags, const char *address,
                     uint16_t port)
{
    union any_address to;
    socklen_t n = make_address(fd, address, port, &to);
    return send_to(party, fd, data, n_bytes, flags, &to, n);
}

static ssize_t receive_from(struct party *party, int fd, void *data, size_t n_bytes, int flags, union any_address *from)
{
    struct calling calling;
    ssize_t result;
    begin(&calling, party, SONDE_OP_RECEIVE, fd);
    do {
        socklen_t n = sizeof *from;
        result = recvfrom(fd, data, n_bytes, flags, from ? &from->base : NULL, from ? &n : NULL);
    } while (again(&calling, result));
    /* With MSG_TRUNC the result may be more than there is room for, and on TCP nothing was stored. */
    calling.probe.data = result > 0 && (size_t)result <= n_bytes && !(flags & MSG_TRUNC) ? data : NULL;
    calling.probe.n_bytes = n_bytes;
    calling.probe.args[0] = flags;
    return (ssize_t)end(&calling, result);
}

ssize_t party_recv(struct party *party, int fd, void *data, size_t n_bytes, int flags)
{
    return receive_from(party, fd, data, n_bytes, flags, NULL);
}

ssize_t party_recvfrom(struct party *party, int fd, void *data, size_t n_bytes, int flags, char ret_address[64],
                       uint16_t *ret_port)
{
    union any_address from = {0};
    ssize_t result = receive_from(party, fd, data, n_bytes, flags, &from);
    if (result < 0)
        return result;
    uint16_t port = 0;
    char text[64] = "";
    if (from.base.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from.in.sin_addr, text, sizeof text);
        port = ntohs(from.in.sin_port);
    } else if (from.base.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &from.in6.sin6_addr, text, sizeof text);
        port = ntohs(from.in6.sin6_port);
    }
    if (ret_address)
        memcpy(ret_address, text, sizeof text);
    if (ret_port)
        *ret_port = port;
    return result;
}

int party_shutdown(struct party *party, int fd, int how)
{
    struct calling calling;
    begin(&calling, party, SONDE_OP_SHUTDOWN, fd);
    calling.probe.args[0] = how;
    return (int)end(&calling, shutdown(fd, how));
}

int party_close(struct party *party, int fd)
{
    struct calling calling;
    sampler_forget(party->lab, fd);
    begin(&calling, party, SONDE_OP_CLOSE, fd);
    return (int)end(&calling, close(fd));
}

int party_set_bytes(struct party *party, int fd, int level, int name, const void *value, size_t n_bytes)
{
    struct calling calling;
    begin(&calling, party, SONDE_OP_SETSOCKOPT, fd);
    calling.probe.data = value;
    calling.probe.n_bytes = n_bytes;
    calling.probe.args[0] = level;
    calling.probe.args[1] = name;
    if (n_bytes == sizeof(int))
        memcpy(&calling.probe.args[2], value, sizeof(int));
    return (int)end(&calling, setsockopt(fd, level, name, value, (socklen_t)n_bytes));
}

int party_set(struct party *party, int fd, int level, int name, int value)
{
    return party_set_bytes(party, fd, level, name, &value, sizeof value);
}

int party_get(struct party *party, int fd, int level, int name, int *ret_value)
{
    int value = 0;
    socklen_t n = sizeof value;
    (void)party; /* a look is no event of the ladder */
    if (getsockopt(fd, level, name, &value, &n) < 0)
        return -errno;
    *ret_value = value;
    return 0;
}

/* ---- without an event */

static uint16_t port_of(int fd, int (*name_of)(int fd, struct sockaddr *address, socklen_t *n))
{
    union any_address address = {0};
    socklen_t n = sizeof address;
    if (name_of(fd, &address.base, &n) < 0)
        return 0;
    if (address.base.sa_family == AF_INET)
        return ntohs(address.in.sin_port);
    return address.base.sa_family == AF_INET6 ? ntohs(address.in6.sin6_port) : 0;
}

static int local_name(int fd, struct sockaddr *address, socklen_t *n)
{
    return getsockname(fd, address, n);
}

static int peer_name(int fd, struct sockaddr *address, socklen_t *n)
{
    return getpeername(fd, address, n);
}

uint16_t lab_local_port(int fd)
{
    return port_of(fd, local_name);
}

uint16_t lab_peer_port(int fd)
{
    return port_of(fd, peer_name);
}

bool lab_tcp_info(int fd, struct tcp_info *ret_info)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return false;
    *ret_info = info;
    return true;
}

static int64_t queued(int fd, unsigned long request)
{
    int n_bytes = 0;
    return ioctl(fd, request, &n_bytes) < 0 ? -errno : n_bytes;
}

int64_t lab_queued_unsent(int fd)
{
    return queued(fd, SIOCOUTQNSD);
}

int64_t lab_queued_out(int fd)
{
    return queued(fd, SIOCOUTQ);
}

int64_t lab_queued_in(int fd)
{
    return queued(fd, SIOCINQ);
}

/* ---- what is usual */

static void must(struct party *party, int64_t result, const char *what)
{
    if (result < 0)
        lab_give_up(party->lab, _("%s, which should have worked, failed: %s (%s)"), what, sonde_error_name((int)result),
                    sonde_strerror((int)result));
}

int lab_listening(struct party *party, int backlog, uint16_t *ret_port)
{
    int fd = party_socket(party, AF_INET, SOCK_STREAM, 0);
    must(party, fd, "socket()");
    must(party, party_bind(party, fd, lab_address(party->lab, party->end), 0), "bind()");
    must(party, party_listen(party, fd, backlog), "listen()");
    *ret_port = lab_local_port(fd);
    return fd;
}

void lab_connected(struct party *client, struct party *server, struct lab_pair *ret_pair)
{
    struct lab_pair pair;
    int listener = lab_listening(server, 1, &pair.server_port);
    pair.client = party_socket(client, AF_INET, SOCK_STREAM, 0);
    must(client, pair.client, "socket()");
    must(client, party_connect(client, pair.client, lab_address(client->lab, server->end), pair.server_port),
         "connect()");
    pair.server = party_accept(server, listener);
    must(server, pair.server, "accept()");
    pair.client_port = lab_local_port(pair.client);
    party_close(server, listener);
    *ret_pair = pair;
}
