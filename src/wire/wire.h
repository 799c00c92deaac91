/* SPDX-License-Identifier: MIT */
/*
 * The wire: two network namespaces, A and B, with a real kernel each, joined by a wire that loses, delays, reorders and
 * repeats as it is told, and on which every packet is seen. Made of a user namespace, so no root is needed.
 *
 *     A  eth0 10.0.0.1, fd00::1  <-- veth -->  the wire  <-- veth -->  eth0 10.0.0.2, fd00::2  B
 *
 * Theory of operation
 *
 * The wire is a process of its own: this program executed again (/proc/self/exe), since a process with threads may not
 * make a user namespace. It makes the namespaces, forwards between two packet sockets in the middle one, and answers
 * requests that come over a socket pair: a socket of end A, please. Such a socket comes back by SCM_RIGHTS and is used
 * like any other: its namespace stays with it. When its starter ends, however that happens, the wire ends, and with it
 * the namespaces and all that was in them: nothing is ever left behind.
 *
 * Packets pass the wire without offloads: one frame is one segment, with right checksums. What becomes of each is
 * decided when it leaves (rules.h), and written to the tap when it has arrived at the other end, or never will.
 *
 * One thread at a time uses a wire's requests; the tap may be read by another.
 *
 * A program that starts wires is executed again to be one, so its main begins with
 *
 *     if (wire_process_asked(argc, argv))
 *         return wire_process_run();
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "observe/event/event.h"
#include "wire/rules.h"

#include <sonde/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_A_IPV4 "10.0.0.1"
#define WIRE_B_IPV4 "10.0.0.2"
#define WIRE_A_IPV6 "fd00::1"
#define WIRE_B_IPV6 "fd00::2"
/* The second path, where it was asked for: a wire of its own, with addresses of its own at both ends. */
#define WIRE_A_IPV4_SECOND "10.0.1.1"
#define WIRE_B_IPV4_SECOND "10.0.1.2"
#define WIRE_INTERFACE "eth0"
#define WIRE_INTERFACE_SECOND "eth1"
#define WIRE_LABEL_MAX 256

struct wire;

struct wire_settings {
    struct wire_rules rules[N_ENDS]; /* what happens to packets that leave this end */
    uint64_t seed;
    uint32_t mtu;             /* 0: 1500 */
    uint32_t snap_bytes;      /* of each packet into the tap; 0: no tap */
    size_t tap_bytes;         /* room for packets that were not taken yet; 0: 16 MiB */
    bool inherit_settings;    /* TCP's settings (sysctl) of the caller's namespace hold in both ends */
    bool second_path;         /* eth1 at both ends, over a second wire with the same rules */
    bool keep_user_namespace; /* root too makes one, to see what others see */
};

/* Was this program executed again to be a wire's process? Then wire_process_run is to be called before anything else:
 * before descriptors are opened, signals handled or threads made. It returns the exit status, when the wire has ended;
 * started by hand it says so and ends at once. */
bool wire_process_asked(int argc, char **argv);
int wire_process_run(void);

/* Up when it returns: links up, addresses usable (IPv6 without duplicate address detection), neighbours not yet known.
 * Errors: -EPERM, -EACCES, -ENOSPC and others when namespaces are refused: the detail of ret_why is a sentence that
 * says by what (sysctl, AppArmor, seccomp, a limit) and what to do. -ENOTSUP: main does not begin as said above. */
int wire_start(const struct wire_settings *settings, struct wire **ret_wire, struct sonde_why *ret_why);
/* Everything in it goes. NULL is fine. */
void wire_stop(struct wire *wire);

/* The process that holds it; it is a child of ours and reaped by wire_stop. Readable descriptor when it has ended. */
pid_t wire_pid(const struct wire *wire);
int wire_ended_fd(const struct wire *wire);

/* When it began (CLOCK_MONOTONIC): what "from 2s" in its rules counts from. */
int64_t wire_began_ns(const struct wire *wire);
/* inherit_settings: those that differ and could not be set, names with spaces between; "" when there are none. */
const char *wire_not_inherited(const struct wire *wire);

/* All requests return -EPIPE when the wire has ended, and -ETIMEDOUT when it does not answer: then it is to be stopped.
 */

/* socket(2) in that end: a descriptor, CLOEXEC, blocking unless the type says otherwise; or a negative errno. */
int wire_socket(struct wire *wire, enum event_end end, int family, int type, int protocol);
/* The same in the middle, where the wire itself is. */
int wire_socket_between(struct wire *wire, int family, int type, int protocol);

/* Over which of two paths does this end send to the other's first address (10.0.0.x)? 0, or 1: the second. What the
 * other end sends is its own decision. Needs second_path. */
int wire_set_path(struct wire *wire, enum event_end end, unsigned path);

/* open(2) as seen from that end: "/proc/net/netstat", "/proc/sys/net/ipv4/tcp_retries2" (reading). */
int wire_open(struct wire *wire, enum event_end end, const char *path);
/* A setting of that end, by its name: "net.ipv4.tcp_retries2". Read without the newline. */
int wire_sysctl_get(struct wire *wire, enum event_end end, const char *name, char *ret_value, size_t size_bytes);
int wire_sysctl_set(struct wire *wire, enum event_end end, const char *name, const char *value);

/* A forked child without threads: become a process of that end (user and network namespace), before it executes a
 * program, as the user who is root in the user namespace. Async-signal-safe after fork. 0 or a negative errno. */
int wire_enter(const struct wire *wire, enum event_end end);

/* From now on these rules hold for what leaves that end. What is under way stays under way. Counters of rules ("the
 * 3rd data segment") begin anew; connections are remembered. */
int wire_set_rules(struct wire *wire, enum event_end from, const struct wire_rules *rules);

/* Offloads of both ends' interfaces: off unless switched on here. Then one frame may be many segments, its checksum
 * left to a card that is not there, and so it is in the tap; the other end takes it as it is. For showing what they
 * hide. A rule for shares or numbers counts such a frame as one; of one that it corrupts, the checksum may not tell.
 * Switch while nobody talks: packets of that moment may be lost. */
int wire_set_offloads(struct wire *wire, bool on);

/* What left an end, and what became of it. */
struct wire_counts {
    uint64_t n_packets, n_bytes; /* left this end */
    uint64_t n_arrived;          /* copies count */
    uint64_t n_dropped[N_WIRE_REASONS];
    uint64_t n_duplicated, n_reordered, n_corrupted;
    uint64_t n_overrun;  /* the wire did not keep up: packets that its own socket had no room for; never by rule */
    uint64_t n_tap_lost; /* packets that the tap had no room for */
    uint64_t n_waiting;  /* under way now */
    uint64_t n_told_mtu; /* ICMP messages that the wire itself sent to this end (rule mtu) */
    int64_t late_max_ns; /* handed on later than the rules said, at worst: a busy machine */
    int64_t late_total_ns;
};

int wire_get_counts(struct wire *wire, struct wire_counts ret_counts[N_ENDS]);

/* ---- the tap: every packet, and what became of it, in the order in which that was known */

struct wire_packet {
    uint64_t number;             /* of the packet, in the order of leaving, from 1; copies have the same */
    uint8_t from;                /* enum event_end */
    uint8_t path;                /* 0, or 1: the second */
    uint8_t reason;              /* enum wire_reason: WIRE_PASSED, or why it never arrived */
    bool own;                    /* the wire's own: ICMP that tells the MTU; from is the end it speaks for */
    bool corrupted;              /* arrived with a byte changed; data is as it left */
    bool reordered;              /* held back so that later ones overtake it */
    bool copy;                   /* a duplicate of one that has its own record */
    bool twice;                  /* ... which this is: a copy of it was made */
    int64_t left_ns;             /* CLOCK_MONOTONIC: the kernel's stamp, when it had left the end */
    int64_t arrived_ns;          /* ... when it was handed to the other end; 0: never */
    uint32_t n_wire, n_captured; /* Ethernet frame */
    const void *data;            /* lent until the next call */
};

/* 1: a packet; 0: none at the moment. Readable descriptor: wire_tap_fd, until 0 was returned. */
int wire_tap_next(struct wire *wire, struct wire_packet *ret_packet);
int wire_tap_fd(const struct wire *wire);

/* All packets that left before this call have been decided and, but for those still under way, are in the tap. What was
 * due before it is not under way any more. */
int wire_tap_flush(struct wire *wire);

#endif
