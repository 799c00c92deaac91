/* SPDX-License-Identifier: MIT */
/*
 * One message of sock_diag becomes one socket. It is done for each of a hundred thousand sockets, straight from the
 * buffer that the kernel filled: nothing is allocated, and what was not asked for is not written.
 *
 * The kernel counts SYN and FIN as one byte each of a queue, as they are in sequence numbers. They are taken off, so
 * that "unread 1" means one byte:
 *
 *   SYN_SENT                       our SYN is not acknowledged; what was written before is behind it
 *   SYN_RECV                       a simultaneous open has its SYN in the queue; the child of a fast open has not
 *   FIN_WAIT_1, CLOSING, LAST_ACK  our FIN is not acknowledged
 *   CLOSE_WAIT, CLOSING, LAST_ACK  the peer's FIN is unread, until the program has read the end of data
 */
#include "observe/sockets/sockets_internal.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define SAME_PLACE(ours, kernels)                                                                                      \
    _Static_assert(offsetof(struct tcp_info_whole, ours) == offsetof(struct tcp_info, kernels), #ours)
SAME_PLACE(rto_us, tcpi_rto);
SAME_PLACE(unacked, tcpi_unacked);
SAME_PLACE(rtt_us, tcpi_rtt);
SAME_PLACE(total_retrans, tcpi_total_retrans);
SAME_PLACE(pacing_rate, tcpi_pacing_rate);
SAME_PLACE(notsent_bytes, tcpi_notsent_bytes);
SAME_PLACE(busy_time_us, tcpi_busy_time);
SAME_PLACE(bytes_sent, tcpi_bytes_sent);
SAME_PLACE(snd_wnd, tcpi_snd_wnd);

#define ATTRIBUTE_ALIGN(n) (((n) + 3u) & ~(size_t)3)
#define N_MEMORY 9
_Static_assert(sizeof(struct socket_memory) == N_MEMORY * sizeof(uint32_t), "SKMEMINFO's numbers and no others");

/* The bytes that are still to be looked at. */
struct rest {
    const unsigned char *bytes;
    size_t n_bytes;
};

struct attribute {
    unsigned type;
    const unsigned char *value;
    size_t n_bytes;
};

/* 1: one was there; 0: the end; -1: damaged. */
static inline int next_attribute(struct rest *rest, struct attribute *ret)
{
    struct nlattr header;

    if (rest->n_bytes < sizeof header)
        return rest->n_bytes == 0 ? 0 : -1;
    memcpy(&header, rest->bytes, sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > rest->n_bytes)
        return -1;
    ret->type = header.nla_type & NLA_TYPE_MASK;
    ret->value = rest->bytes + sizeof header;
    ret->n_bytes = header.nla_len - sizeof header;
    size_t n_whole = ATTRIBUTE_ALIGN(header.nla_len);
    if (n_whole > rest->n_bytes)
        n_whole = rest->n_bytes;
    rest->bytes += n_whole;
    rest->n_bytes -= n_whole;
    return 1;
}

/* Before anything is written: a damaged message leaves the caller's socket alone. */
static bool attributes_are_whole(struct rest rest)
{
    struct attribute attribute;
    int more;

    do
        more = next_attribute(&rest, &attribute);
    while (more > 0);
    return more == 0;
}

static inline uint8_t byte_of(const struct attribute *attribute)
{
    return attribute->n_bytes > 0 ? attribute->value[0] : 0;
}

static inline uint32_t number_of(const struct attribute *attribute)
{
    uint32_t number = 0;

    if (attribute->n_bytes >= sizeof number)
        memcpy(&number, attribute->value, sizeof number);
    return number;
}

static void take_info(const struct attribute *attribute, struct socket_info *socket)
{
    size_t n = attribute->n_bytes < TCP_INFO_KERNEL_BYTES ? attribute->n_bytes : TCP_INFO_KERNEL_BYTES;

    memcpy(&socket->info, attribute->value, n);
    memset((char *)&socket->info + n, 0, sizeof socket->info - n);
    socket->info.n_bytes = (uint32_t)n;
    socket->has_info = true;
}

static void take_memory(const struct attribute *attribute, struct socket_info *socket)
{
    size_t n = attribute->n_bytes < sizeof socket->memory ? attribute->n_bytes : sizeof socket->memory;

    memset(&socket->memory, 0, sizeof socket->memory);
    memcpy(&socket->memory, attribute->value, n - n % sizeof(uint32_t));
    socket->has_memory = true;
}

static void take_congestion(const struct attribute *attribute, struct socket_info *socket)
{
    size_t n = attribute->n_bytes;

    if (n > sizeof socket->congestion - 1)
        n = sizeof socket->congestion - 1;
    memcpy(socket->congestion, attribute->value, n);
    socket->congestion[n] = '\0';
}

/* What every kind has, and what its attributes may add. */
static void clear(struct socket_info *socket)
{
    socket->has_info = socket->has_memory = socket->v6_only = false;
    socket->timer = TIMER_NONE;
    socket->n_retransmits = socket->shutdown = 0;
    socket->timer_ns = 0;
    socket->congestion[0] = '\0';
    socket->peer_inode = 0;
    socket->n_unix_name = 0;
    socket->unix_name[0] = '\0';
}

static inline void take_address(struct sonde_address *address, uint8_t family, __be16 port, const __be32 ip[4],
                                uint32_t interface)
{
    address->family = family;
    address->port = ntohs(port);
    memcpy(address->u.ip, ip, sizeof address->u.ip);
    /* Only link-local addresses have a zone, fe80::/10. */
    bool is_zoned = family == AF_INET6 && address->u.ip[0] == 0xfe && (address->u.ip[1] & 0xc0) == 0x80;
    address->scope = is_zoned ? interface : 0;
    if (family == AF_INET)
        memset(address->u.ip + 4, 0, sizeof address->u.ip - 4);
}

static inline void take_one_off(uint32_t *queue)
{
    if (*queue > 0)
        --*queue;
}

static void correct_queues(struct socket_info *socket)
{
    switch ((enum tcp_state)socket->state) {
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_FIN_WAIT_1:
        take_one_off(&socket->send_queue);
        break;
    case TCP_STATE_SYN_RECV:
        if (socket->send_queue == 1)
            socket->send_queue = 0;
        break;
    case TCP_STATE_CLOSE_WAIT:
        take_one_off(&socket->receive_queue);
        break;
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
        take_one_off(&socket->receive_queue);
        take_one_off(&socket->send_queue);
        break;
    default:
        break;
    }
}

/* A closed connection still shows what nobody read or acknowledged; nothing tells whether a FIN is among it. */
static void take_inet(const struct inet_diag_msg *msg, struct socket_info *socket)
{
    socket->cookie = msg->id.idiag_cookie[0] | (uint64_t)msg->id.idiag_cookie[1] << 32;
    socket->family = msg->idiag_family;
    socket->type = SOCK_STREAM;
    socket->protocol = IPPROTO_TCP;
    socket->state = (uint8_t)sockets_state_of_kernel(msg->idiag_state);
    if (msg->idiag_timer <= TIMER_PROBE) {
        socket->timer = msg->idiag_timer;
        socket->n_retransmits = msg->idiag_retrans;
        socket->timer_ns = msg->idiag_expires * NS_PER_MS;
    }
    take_address(&socket->local, msg->idiag_family, msg->id.idiag_sport, msg->id.idiag_src, msg->id.idiag_if);
    take_address(&socket->peer, msg->idiag_family, msg->id.idiag_dport, msg->id.idiag_dst, msg->id.idiag_if);
    socket->interface = msg->id.idiag_if;
    socket->uid = msg->idiag_uid;
    socket->inode = msg->idiag_inode;
    socket->receive_queue = msg->idiag_rqueue;
    socket->send_queue = msg->idiag_wqueue;
    correct_queues(socket);
}

static bool parse_inet(struct rest rest, struct socket_info *socket)
{
    struct inet_diag_msg msg;
    struct attribute attribute;

    if (rest.n_bytes < sizeof msg)
        return false;
    memcpy(&msg, rest.bytes, sizeof msg);
    rest.bytes += sizeof msg;
    rest.n_bytes -= sizeof msg;
    if (!attributes_are_whole(rest))
        return false;
    clear(socket);
    take_inet(&msg, socket);
    while (next_attribute(&rest, &attribute) > 0) {
        switch (attribute.type) {
        case INET_DIAG_INFO:
            take_info(&attribute, socket);
            break;
        case INET_DIAG_SKMEMINFO:
            take_memory(&attribute, socket);
            break;
        case INET_DIAG_CONG:
            take_congestion(&attribute, socket);
            break;
        case INET_DIAG_SHUTDOWN:
            socket->shutdown = byte_of(&attribute) & 3;
            break;
        case INET_DIAG_SKV6ONLY:
            socket->v6_only = byte_of(&attribute) != 0;
            break;
        case INET_DIAG_PROTOCOL:
            sockets_set_protocol(socket, byte_of(&attribute));
            break;
        default:
            break;
        }
    }
    return true;
}

/* Names in the file system come with their NUL, abstract ones begin with one and may hold others. */
static void take_unix_name(const struct attribute *attribute, struct socket_info *socket)
{
    size_t n = attribute->n_bytes < SOCKET_UNIX_NAME_MAX ? attribute->n_bytes : SOCKET_UNIX_NAME_MAX;

    if (n > 0 && attribute->value[0] != '\0')
        n = strnlen((const char *)attribute->value, n);
    memcpy(socket->unix_name, attribute->value, n);
    socket->unix_name[n] = '\0';
    socket->n_unix_name = (uint8_t)n;
}

static void take_unix(const struct unix_diag_msg *msg, struct socket_info *socket)
{
    static const struct sonde_address unnamed = {.family = AF_UNIX};

    socket->cookie = msg->udiag_cookie[0] | (uint64_t)msg->udiag_cookie[1] << 32;
    socket->family = AF_UNIX;
    socket->type = msg->udiag_type;
    socket->protocol = 0;
    socket->state = (uint8_t)sockets_state_of_kernel(msg->udiag_state);
    socket->local = socket->peer = unnamed;
    socket->interface = socket->uid = 0;
    socket->inode = msg->udiag_ino;
    socket->receive_queue = socket->send_queue = 0;
}

static void take_unix_queues(const struct attribute *attribute, struct socket_info *socket)
{
    struct unix_diag_rqlen queues;

    if (attribute->n_bytes < sizeof queues)
        return;
    memcpy(&queues, attribute->value, sizeof queues);
    socket->receive_queue = queues.udiag_rqueue;
    socket->send_queue = queues.udiag_wqueue;
}

static bool parse_unix(struct rest rest, struct socket_info *socket)
{
    struct unix_diag_msg msg;
    struct attribute attribute;

    if (rest.n_bytes < sizeof msg)
        return false;
    memcpy(&msg, rest.bytes, sizeof msg);
    rest.bytes += sizeof msg;
    rest.n_bytes -= sizeof msg;
    if (!attributes_are_whole(rest))
        return false;
    clear(socket);
    take_unix(&msg, socket);
    while (next_attribute(&rest, &attribute) > 0) {
        switch (attribute.type) {
        case UNIX_DIAG_NAME:
            take_unix_name(&attribute, socket);
            break;
        case UNIX_DIAG_PEER:
            socket->peer_inode = number_of(&attribute);
            break;
        case UNIX_DIAG_RQLEN:
            take_unix_queues(&attribute, socket);
            break;
        case UNIX_DIAG_MEMINFO:
            take_memory(&attribute, socket);
            break;
        case UNIX_DIAG_SHUTDOWN:
            socket->shutdown = byte_of(&attribute) & 3;
            break;
        case UNIX_DIAG_UID:
            socket->uid = number_of(&attribute);
            break;
        default:
            break;
        }
    }
    return true;
}

bool sockets_parse(const void *message, size_t n_bytes, struct socket_info *ret_socket)
{
    struct nlmsghdr header;

    if (n_bytes < NLMSG_HDRLEN + 1)
        return false;
    memcpy(&header, message, sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN + 1 || header.nlmsg_len > n_bytes)
        return false;
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY && header.nlmsg_type != TCPDIAG_GETSOCK)
        return false;
    struct rest rest = {(const unsigned char *)message + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN};
    switch (rest.bytes[0]) { /* the family is the first byte of both */
    case AF_INET:
    case AF_INET6:
        return parse_inet(rest, ret_socket);
    case AF_UNIX:
        return header.nlmsg_type == SOCK_DIAG_BY_FAMILY && parse_unix(rest, ret_socket);
    default:
        return false;
    }
}

void sockets_set_protocol(struct socket_info *socket, uint8_t protocol)
{
    socket->protocol = protocol;
    socket->type = protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
}

enum tcp_state sockets_state_of_kernel(unsigned number)
{
    return number == KERNEL_BOUND_INACTIVE ? TCP_STATE_CLOSED : tcp_state_of_kernel(number);
}

const char *socket_timer_name(enum socket_timer timer)
{
    static const char *const names[] = {"", "retransmit", "keepalive", "time-wait", "probe"};

    return (unsigned)timer < sizeof names / sizeof names[0] ? names[timer] : "";
}
