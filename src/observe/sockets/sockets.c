/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * A dump is one request and many answers. The kernel fills an answer of at most 32 KiB each time that we receive, and
 * walks its tables in between: a socket may move or vanish meanwhile, which the kernel reports with NLM_F_DUMP_INTR.
 *
 * TCP is asked in the older form of the request (TCPDIAG_GETSOCK), which walks the tables once for both families; the
 * newer one walks them for each family, and walking is what costs. Where the kernel does not know the older one, the
 * newer is used.
 *
 * States and a filter program go along, so that the kernel leaves out what cannot match; a kernel that refuses the
 * program is asked again without it.
 */
#include "observe/sockets/filter.h"
#include "observe/sockets/sockets_internal.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Twice of what the kernel puts into one answer. */
#define ANSWER_BYTES 65536
#define REQUEST_BYTES 16384
#define PROGRAM_BYTES 12288

struct sockets {
    struct mnl_socket *netlink; /* NULL: could not be opened again */
    int (*open)(int family, int type, int protocol, void *user);
    void *user;
    uint32_t sequence;
    unsigned n_programs_refused;
    _Alignas(8) unsigned char request[REQUEST_BYTES];
    _Alignas(8) unsigned char answer[ANSWER_BYTES];
};

/* A dump under way. */
struct dump {
    struct sockets *sockets;
    unsigned with;
    const struct sockets_filter *filter;
    bool (*each)(const struct socket_info *socket, void *user);
    void *user;
    uint32_t states;
    const void *program;
    size_t n_program;
    uint8_t protocol; /* of inet sockets: their messages do not say */
    bool was_changed; /* NLM_F_DUMP_INTR */
    bool stopped;     /* by each */
    bool any;         /* something came already */
    struct socket_info socket;
};

int sockets_fail(struct sonde_why *ret_why, int error, const char *call)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = error, .call = call};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%s", "the kernel's list of sockets");
    }
    return error;
}

/* socket(2), here. */
static int open_here(int family, int type, int protocol, void *user)
{
    (void)user;
    int fd = socket(family, type, protocol);
    return fd < 0 ? -errno : fd;
}

static int connect_kernel(struct sockets *sockets, const char **ret_call)
{
    int fd = sockets->open(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG, sockets->user);

    *ret_call = "socket";
    if (fd < 0)
        return fd;
    struct mnl_socket *netlink = mnl_socket_fdopen(fd);
    if (netlink == NULL) {
        int error = -errno;
        close(fd);
        return error;
    }
    *ret_call = "bind";
    if (mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0) {
        int error = -errno;
        mnl_socket_close(netlink);
        return error;
    }
    sockets->netlink = netlink;
    return 0;
}

int sockets_open(struct sockets **ret_sockets, struct sonde_why *ret_why)
{
    return sockets_open_at(open_here, NULL, ret_sockets, ret_why);
}

int sockets_open_at(int (*open)(int family, int type, int protocol, void *user), void *user,
                    struct sockets **ret_sockets, struct sonde_why *ret_why)
{
    struct sockets *sockets = malloc(sizeof *sockets);
    const char *call = "malloc";
    int error = -ENOMEM;

    if (sockets != NULL) {
        sockets->sequence = 0;
        sockets->n_programs_refused = 0;
        sockets->open = open;
        sockets->user = user;
        error = connect_kernel(sockets, &call);
    }
    if (error < 0) {
        free(sockets);
        return sockets_fail(ret_why, error, call);
    }
    *ret_sockets = sockets;
    return 0;
}

void sockets_close(struct sockets *sockets)
{
    if (sockets == NULL)
        return;
    if (sockets->netlink != NULL)
        mnl_socket_close(sockets->netlink);
    free(sockets);
}

/* A dump that is not read to its end leaves the socket busy: the next one gets a fresh socket. */
static int start_afresh(struct sockets *sockets)
{
    const char *call;

    if (sockets->netlink != NULL)
        mnl_socket_close(sockets->netlink);
    sockets->netlink = NULL;
    return connect_kernel(sockets, &call);
}

/* ---- requests */

static struct nlmsghdr *begin(struct sockets *sockets, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(sockets->request);

    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = ++sockets->sequence;
    return message;
}

static int post(struct sockets *sockets, const struct nlmsghdr *message)
{
    ssize_t n;

    do
        n = mnl_socket_sendto(sockets->netlink, message, message->nlmsg_len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static uint8_t extensions(unsigned with)
{
    return (uint8_t)((with & SOCKETS_WITH_INFO ? 1u << (INET_DIAG_INFO - 1) : 0) |
                     (with & SOCKETS_WITH_MEMORY ? 1u << (INET_DIAG_SKMEMINFO - 1) : 0) |
                     (with & SOCKETS_WITH_CONGESTION ? 1u << (INET_DIAG_CONG - 1) : 0));
}

static void put_program(const struct dump *dump, struct nlmsghdr *message)
{
    if (dump->n_program > 0)
        mnl_attr_put(message, INET_DIAG_REQ_BYTECODE, dump->n_program, dump->program);
}

/* family AF_UNSPEC: both, in the older form, for TCP alone. */
static int ask_inet(struct dump *dump, uint8_t family)
{
    struct nlmsghdr *message;

    if (family == AF_UNSPEC) {
        message = begin(dump->sockets, TCPDIAG_GETSOCK, NLM_F_DUMP);
        struct inet_diag_req *request = mnl_nlmsg_put_extra_header(message, sizeof *request);
        request->idiag_ext = extensions(dump->with);
        request->idiag_states = dump->states;
    } else {
        message = begin(dump->sockets, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
        struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(message, sizeof *request);
        request->sdiag_family = family;
        request->sdiag_protocol = dump->protocol;
        request->idiag_ext = extensions(dump->with);
        request->idiag_states = dump->states;
    }
    put_program(dump, message);
    return post(dump->sockets, message);
}

static int ask_unix(struct dump *dump)
{
    struct nlmsghdr *message = begin(dump->sockets, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    struct unix_diag_req *request = mnl_nlmsg_put_extra_header(message, sizeof *request);

    request->sdiag_family = AF_UNIX;
    request->udiag_states = dump->states;
    request->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID;
    if (dump->with & SOCKETS_WITH_MEMORY)
        request->udiag_show |= UDIAG_SHOW_MEMINFO;
    return post(dump->sockets, message);
}

/* ---- answers */

static int receive(struct sockets *sockets, size_t *ret_n_bytes)
{
    ssize_t n;

    do
        n = mnl_socket_recvfrom(sockets->netlink, sockets->answer, sizeof sockets->answer);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ENOSPC ? -EMSGSIZE : -errno;
    *ret_n_bytes = (size_t)n;
    return 0;
}

/* The error in NLMSG_ERROR, and behind the end of a dump. 0: none. */
static int error_in(const struct nlmsghdr *message, size_t n_bytes)
{
    int error = 0;

    if (n_bytes >= NLMSG_HDRLEN + sizeof error)
        memcpy(&error, (const char *)message + NLMSG_HDRLEN, sizeof error);
    if (error > 0 || (error == 0 && message->nlmsg_type == NLMSG_ERROR))
        error = -EPROTO;
    /* Said of a family or protocol that has no diag. */
    return error == -ENOENT || error == -EOPNOTSUPP ? -EPROTONOSUPPORT : error;
}

static void hand_over(struct dump *dump, const void *message, size_t n_bytes)
{
    struct socket_info *socket = &dump->socket;

    dump->any = true;
    if (!sockets_parse(message, n_bytes, socket))
        return;
    if (dump->protocol == IPPROTO_UDP)
        sockets_set_protocol(socket, IPPROTO_UDP);
    if (dump->filter != NULL && !filter_may_match(dump->filter, socket))
        return;
    dump->stopped = !dump->each(socket, dump->user);
}

/* All messages of one answer. 1: go on; 0: that was all; negative: an error. */
static int read_answer(struct dump *dump, size_t n_bytes)
{
    const unsigned char *bytes = dump->sockets->answer;

    while (n_bytes >= NLMSG_HDRLEN && !dump->stopped) {
        const struct nlmsghdr *message = (const void *)bytes;
        size_t n_message = message->nlmsg_len;
        if (n_message < NLMSG_HDRLEN || n_message > n_bytes)
            return -EPROTO;
        if (message->nlmsg_seq == dump->sockets->sequence) {
            dump->was_changed |= message->nlmsg_flags & NLM_F_DUMP_INTR;
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
                return error_in(message, n_message);
            if (message->nlmsg_type >= NLMSG_MIN_TYPE)
                hand_over(dump, message, n_message);
        }
        size_t n_whole = NLMSG_ALIGN(n_message);
        if (n_whole >= n_bytes)
            break;
        bytes += n_whole;
        n_bytes -= n_whole;
    }
    return 1;
}

static int read_answers(struct dump *dump)
{
    size_t n_bytes;
    int result;

    do {
        result = receive(dump->sockets, &n_bytes);
        if (result == 0)
            result = read_answer(dump, n_bytes);
    } while (result > 0 && !dump->stopped);
    if (result < 0 || dump->stopped) {
        int error = start_afresh(dump->sockets);
        return result < 0 ? result : error;
    }
    return 0;
}

/* ---- dumps */

static int dump_one(struct dump *dump, uint8_t family)
{
    if (dump->sockets->netlink == NULL) {
        int error = start_afresh(dump->sockets);
        if (error < 0)
            return error;
    }
    dump->any = false;
    int error = family == AF_UNIX ? ask_unix(dump) : ask_inet(dump, family);
    if (error == 0)
        error = read_answers(dump);
    if (error == -EINVAL && dump->n_program > 0 && !dump->any) {
        dump->n_program = 0;
        dump->sockets->n_programs_refused++;
        return dump_one(dump, family);
    }
    return error;
}

static int dump_tcp(struct dump *dump)
{
    dump->protocol = IPPROTO_TCP;
    int error = dump_one(dump, AF_UNSPEC);
    if ((error != -EPROTONOSUPPORT && error != -EINVAL) || dump->any)
        return error;
    error = dump_one(dump, AF_INET);
    if (error == 0 && !dump->stopped)
        error = dump_one(dump, AF_INET6);
    return error;
}

/* Always with memory: what was dropped there stands nowhere else, and these sockets are few. */
static int dump_udp(struct dump *dump)
{
    unsigned with = dump->with;
    dump->protocol = IPPROTO_UDP;
    dump->with |= SOCKETS_WITH_MEMORY;
    int error = dump_one(dump, AF_INET);
    if (error == 0 && !dump->stopped)
        error = dump_one(dump, AF_INET6);
    dump->with = with;
    return error;
}

static int dump_unix(struct dump *dump)
{
    dump->protocol = 0;
    return dump_one(dump, AF_UNIX);
}

int sockets_dump(struct sockets *sockets, unsigned kinds, unsigned with, const struct sockets_filter *filter,
                 bool (*each)(const struct socket_info *socket, void *user), void *user)
{
    static const struct {
        unsigned kind;
        uint32_t states; /* kernel's states that the kind can be in */
        int (*dump)(struct dump *dump);
    } parts[] = {
        {SOCKETS_TCP, KERNEL_ALL_STATES, dump_tcp},
        {SOCKETS_UDP, 1u << 1 | 1u << 7, dump_udp},
        {SOCKETS_UNIX, KERNEL_ALL_STATES, dump_unix},
    };
    _Alignas(4) unsigned char program[PROGRAM_BYTES];
    struct dump dump = {.sockets = sockets, .with = with, .filter = filter, .each = each, .user = user};
    uint32_t states = KERNEL_ALL_STATES;
    int error = 0;

    if (filter != NULL) {
        int n = filter_bytecode(filter, program, sizeof program);
        dump.program = program;
        dump.n_program = n > 0 ? (size_t)n : 0;
        dump.with |= filter_needs(filter);
        states = filter_kernel_states(filter);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !dump.stopped; i++) {
        dump.states = states & parts[i].states;
        if (!(kinds & parts[i].kind) || dump.states == 0)
            continue;
        int part_error = parts[i].dump(&dump);
        if (error == 0)
            error = part_error;
    }
    return error < 0 ? error : dump.was_changed;
}

unsigned sockets_n_programs_refused(const struct sockets *sockets)
{
    return sockets->n_programs_refused;
}

/* ---- one socket */

static void put_ip(const struct sonde_address *address, __be32 ret_ip[4])
{
    memcpy(ret_ip, address->u.ip, address->family == AF_INET ? 4 : 16);
}

/* The four bytes of an IPv4 address, also of one that an IPv6 socket sees as ::ffff:a.b.c.d. NULL: it is none. */
static const uint8_t *ipv4_of(const struct sonde_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (address->family == AF_INET)
        return address->u.ip;
    return memcmp(address->u.ip, mapped, sizeof mapped) == 0 ? address->u.ip + 12 : NULL;
}

static bool same_end(const struct sonde_address *one, const struct sonde_address *other)
{
    const uint8_t *one_v4 = ipv4_of(one), *other_v4 = ipv4_of(other);

    if (one->port != other->port || (one_v4 == NULL) != (other_v4 == NULL))
        return false;
    return one_v4 != NULL ? memcmp(one_v4, other_v4, 4) == 0 : memcmp(one->u.ip, other->u.ip, 16) == 0;
}

/* Where no connection is found the kernel answers with the listener of that port: that is not what was asked for. */
static bool is_the_one(const struct socket_info *socket, const struct sonde_address *local,
                       const struct sonde_address *peer)
{
    if (peer == NULL || peer->port == 0)
        return socket->local.port == local->port && socket->peer.port == 0;
    return same_end(&socket->local, local) && same_end(&socket->peer, peer);
}

static int ask_one(struct sockets *sockets, const struct sonde_address *local, const struct sonde_address *peer,
                   uint64_t cookie, unsigned with)
{
    struct nlmsghdr *message = begin(sockets, SOCK_DIAG_BY_FAMILY, 0);
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(message, sizeof *request);

    request->sdiag_family = (uint8_t)local->family;
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_ext = extensions(with);
    request->idiag_states = KERNEL_ALL_STATES;
    request->id.idiag_sport = htons(local->port);
    put_ip(local, request->id.idiag_src);
    if (peer != NULL) {
        request->id.idiag_dport = htons(peer->port);
        put_ip(peer, request->id.idiag_dst);
    }
    request->id.idiag_if = local->scope != 0 || peer == NULL ? local->scope : peer->scope;
    request->id.idiag_cookie[0] = cookie != 0 ? (uint32_t)cookie : INET_DIAG_NOCOOKIE;
    request->id.idiag_cookie[1] = cookie != 0 ? (uint32_t)(cookie >> 32) : INET_DIAG_NOCOOKIE;
    return post(sockets, message);
}

/* -ESTALE: the cookie is of another socket that had these addresses. */
static int error_of_one(const struct nlmsghdr *message, size_t n_bytes)
{
    int error = error_in(message, n_bytes);

    return error == -EPROTONOSUPPORT || error == -ESTALE ? -ENOENT : error;
}

int sockets_find(struct sockets *sockets, const struct sonde_address *local, const struct sonde_address *peer,
                 uint64_t cookie, unsigned with, struct socket_info *ret_socket)
{
    struct socket_info socket;
    size_t n_bytes;

    if (local->family != AF_INET && local->family != AF_INET6)
        return -EAFNOSUPPORT;
    if (sockets->netlink == NULL) {
        int error = start_afresh(sockets);
        if (error < 0)
            return error;
    }
    int error = ask_one(sockets, local, peer, cookie, with);
    const struct nlmsghdr *message = (const void *)sockets->answer;
    do {
        if (error == 0)
            error = receive(sockets, &n_bytes);
        if (error < 0)
            return error;
    } while (n_bytes < NLMSG_HDRLEN || message->nlmsg_seq != sockets->sequence);
    if (message->nlmsg_type == NLMSG_ERROR)
        return error_of_one(message, n_bytes);
    if (!sockets_parse(message, n_bytes, &socket))
        return -EPROTO;
    if (!is_the_one(&socket, local, peer))
        return -ENOENT;
    *ret_socket = socket;
    return 0;
}
