/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sockets, asked through sock_diag(7) as any user may: all of the network namespace, with their queues,
 * timers and TCP_INFO. Owners are another matter (owners.h): /proc has to be searched for them.
 */
#ifndef OBSERVE_SOCKETS_SOCKETS_H
#define OBSERVE_SOCKETS_SOCKETS_H

#include "observe/event/event.h"
#include "observe/sockets/tcp_info.h"

#include <sonde/error.h>

/* Which kinds, as bits. */
#define SOCKETS_TCP 1u
#define SOCKETS_UDP 2u
#define SOCKETS_UNIX 4u
#define SOCKETS_INET (SOCKETS_TCP | SOCKETS_UDP)
#define SOCKETS_ALL (SOCKETS_INET | SOCKETS_UNIX)

/* What of each; more costs more. */
#define SOCKETS_WITH_INFO 1u   /* TCP_INFO */
#define SOCKETS_WITH_MEMORY 2u /* SKMEMINFO */
#define SOCKETS_WITH_CONGESTION 4u

enum socket_timer {
    TIMER_NONE,
    TIMER_RETRANSMIT, /* also SYN and SYN-ACK, and tail probes */
    TIMER_KEEPALIVE,
    TIMER_TIME_WAIT,
    TIMER_PROBE, /* of a closed window */
};

#define SOCKET_UNIX_NAME_MAX 108

struct socket_memory {
    uint32_t receive_used, receive_limit, send_used,
        send_limit; /* bytes, with the kernel's overhead; limit: SO_RCVBUF */
    uint32_t forward, queued, option, backlog, drops;
};

/* One socket as the kernel describes it. Plain data. The members up to `info` are always there. */
struct socket_info {
    uint64_t cookie;  /* unique in this boot; 0: it has none (TIME_WAIT and SYN_RECV entries have one of their own) */
    uint8_t family;   /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t type;     /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0 for UNIX */
    uint8_t state; /* enum tcp_state; UDP: ESTABLISHED when connected, else CLOSED; UNIX: LISTEN, ESTABLISHED, CLOSED */
    uint8_t timer; /* enum socket_timer */
    uint8_t n_retransmits; /* of the timer: retransmissions, probes or SYN-ACKs in a row */
    uint8_t shutdown;      /* bit 0 receiving, bit 1 sending */
    bool has_info, has_memory;
    bool v6_only;
    int64_t timer_ns;                 /* until the timer expires, at the time of the dump */
    struct sonde_address local, peer; /* peer.port 0: none. UNIX: family AF_UNIX only */
    uint32_t interface;               /* bound to; 0: none */
    uint32_t uid;
    uint64_t inode; /* 0: no descriptor holds it (TIME_WAIT, SYN_RECV, not accepted yet, orphaned) */
    /* TCP listener: accept queue's length and limit. Else bytes: unread, and not acknowledged. The one that the kernel
     * counts for SYN or FIN is taken off. UDP's both, and what a UNIX socket has sent, are with the kernel's overhead:
     * more than the bytes that a program will read. A UNIX listener: connections that wait, and their limit. */
    uint32_t receive_queue, send_queue;
    char congestion[16]; /* "" unless asked for */
    /* UNIX */
    uint64_t peer_inode;
    char unix_name[SOCKET_UNIX_NAME_MAX + 1]; /* as it is: an abstract name begins with NUL */
    uint8_t n_unix_name;
    struct socket_memory memory;
    struct tcp_info_whole info;
};

struct sockets;        /* a netlink socket */
struct sockets_filter; /* filter.h */

/* Errors: -EPERM where even this is refused; -EPROTONOSUPPORT: a kernel without inet_diag. */
int sockets_open(struct sockets **ret_sockets, struct sonde_why *ret_why);
/* The same of another network namespace: `open` is socket(2) there, and gives a descriptor, or a negative errno. It is
 * called again after a dump that was stopped, so user must live as long. */
int sockets_open_at(int (*open)(int family, int type, int protocol, void *user), void *user,
                    struct sockets **ret_sockets, struct sonde_why *ret_why);
void sockets_close(struct sockets *sockets);

/* Call each for every socket of these kinds that matches (filter may be NULL); the socket is lent for the call, and
 * members past those asked for are not touched (has_info and has_memory say). The kernel filters as far as it can, the
 * rest is done here, but for what only an owner decides: that is let through, and filter_matches with an owner is to be
 * asked. Returns 0; 1 when the kernel says that sockets changed under the dump so that some may be missing or doubled
 * (NLM_F_DUMP_INTR); or a negative error. each returns false to stop, and may not use sockets meanwhile. */
int sockets_dump(struct sockets *sockets, unsigned kinds, unsigned with, const struct sockets_filter *filter,
                 bool (*each)(const struct socket_info *socket, void *user), void *user);

/* One TCP socket by its addresses, and its cookie when it is not 0; peer NULL or its port 0: a listener. IPv4 addresses
 * and the same as ::ffff:a.b.c.d are equal. A socket that is bound to an interface (SO_BINDTODEVICE) is found only when
 * a scope names it, also for IPv4. Errors: -ENOENT. */
int sockets_find(struct sockets *sockets, const struct sonde_address *local, const struct sonde_address *peer,
                 uint64_t cookie, unsigned with, struct socket_info *ret_socket);

/* Parse one netlink message of sock_diag into a socket (which the fuzz target does too). Pure. False: it is none, or
 * damaged, and ret_socket is untouched. n_bytes: of the whole message with its header. Dumps do not say whether TCP or
 * UDP: such a message is taken for TCP, and sockets_dump, which knows, sets it right. */
bool sockets_parse(const void *message, size_t n_bytes, struct socket_info *ret_socket);

/* ---- sockets that die: every TCP socket of the namespace, with its last TCP_INFO (SKNLGRP_INET_TCP_DESTROY). */

struct sockets_deaths;

int sockets_deaths_open(struct sockets_deaths **ret_deaths, struct sonde_why *ret_why);
int sockets_deaths_fd(const struct sockets_deaths *deaths); /* readable when there are some */
/* It is CLOSED and its inode 0. A connection that was reset by its own end (SO_LINGER of 0) has lost its counts by
 * then. 1: one; 0: none now; -ENOBUFS: some were missed for want of room, go on; negative: no more. */
int sockets_deaths_next(struct sockets_deaths *deaths, struct socket_info *ret_socket);
void sockets_deaths_close(struct sockets_deaths *deaths);

/* ---- counters of the namespace (/proc/net/netstat, /proc/net/snmp), and its settings */

struct socket_counters {
    uint64_t listen_overflows, listen_drops, syn_queue_full_cookies, syn_queue_full_drops, retransmitted_segments,
        time_wait_overflows, established, attempt_fails, resets_sent;
    uint32_t n_time_wait;         /* now */
    uint32_t time_wait_limit;     /* tcp_max_tw_buckets */
    uint16_t port_low, port_high; /* ip_local_port_range */
    uint32_t retries2, syn_retries, synack_retries, somaxconn;
    int64_t fin_timeout_ns;
};

/* What cannot be read keeps 0. */
void sockets_counters(struct socket_counters *ret_counters);

const char *socket_timer_name(enum socket_timer timer); /* "retransmit", "keepalive", ...; "" for none */

#endif
