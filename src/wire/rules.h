/* SPDX-License-Identifier: MIT */
/*
 * What a wire does to packets: rules, the language they are written in, and the judge that applies them. Pure: time is
 * a parameter, and there is no chance in it: every choice is a function of the seed and of what the packet is
 * (connection, direction, which bytes of the stream, the how-manieth copy of them), never of when or in which order
 * it came. The same conversation meets the same fate again.
 *
 * The language, as --a-to-b takes it (sonde-wire(1) has it for users): clauses with commas between.
 *
 *   delay 20ms              delay 20ms ±5ms (or +-5ms)     each packet; with jitter, evenly spread, order is kept
 *   loss 1%                 drop 1% of data                a share
 *   drop data #3            drop data #3-#5                exactly these, their first copy only
 *   drop data #3 x2         drop data #3 always            ... their first two copies; every copy
 *   drop syn-ack            drop ack                       all of a kind
 *   duplicate 2%            duplicate data #1              with the words of drop
 *   reorder 5% by 10ms      reorder data #2 by 10ms        held back for so long, beside the delay
 *   corrupt 0.1%            corrupt data #4                one bit changed, checksums left as they were
 *   rate 10Mbit             rate 10Mbit queue 64KiB        one packet after the other; what the queue has no room for
 *                                                          is dropped (64KiB, 100ms or 50 packets)
 *   mtu 1400                                               larger ones are dropped, with ICMP told to the sender
 *   stop                    stop from 2s to 4s             nothing passes: a black hole
 *   ... from 2s to 4s                                      behind any clause: only then (since the wire began)
 *   ... port 7007                                          behind any clause: only this port at either side
 *
 * Kinds: any (the default), data (carries bytes), ack (an ACK and nothing else), syn, syn-ack, fin, rst, udp, icmp.
 * "#n" counts, per connection and direction, packets of that kind that are not repeats of earlier ones.
 */
#ifndef WIRE_RULES_H
#define WIRE_RULES_H

#include "observe/decode/decode.h"
#include "observe/event/event.h"

#include <sonde/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_reason {
    WIRE_PASSED,
    WIRE_LOST,       /* by share */
    WIRE_DROPPED,    /* by name: "drop data #3" */
    WIRE_QUEUE_FULL, /* of rate */
    WIRE_TOO_LARGE,  /* of mtu */
    WIRE_STOPPED,    /* stop */
    WIRE_NO_ROOM,    /* the wire itself had too much under way: never by rule, always said */
    N_WIRE_REASONS,
};

/* "lost", "dropped", ... Static. */
const char *wire_reason_name(enum wire_reason reason);

enum wire_action { WIRE_DELAY, WIRE_DROP, WIRE_DUPLICATE, WIRE_REORDER, WIRE_CORRUPT, WIRE_RATE, WIRE_MTU, WIRE_STOP };

enum wire_kind {
    WIRE_ANY,
    WIRE_DATA,
    WIRE_ACK,
    WIRE_SYN,
    WIRE_SYN_ACK,
    WIRE_FIN,
    WIRE_RST,
    WIRE_UDP,
    WIRE_ICMP,
    N_WIRE_KINDS,
};

#define WIRE_RULES_MAX 32
#define WIRE_COPIES_ALL UINT32_MAX

/* One clause. Plain data, without pointers: it is sent to the wire as it is. */
struct wire_rule {
    uint8_t action; /* enum wire_action */
    uint8_t kind;   /* enum wire_kind */
    bool by_share;
    uint32_t share_ppm;          /* by_share: of a million */
    uint64_t first, last;        /* "#3-#5"; 0: no number was given; last UINT64_MAX: "#3-" */
    uint32_t n_copies;           /* how many copies of each: 1, "x2", WIRE_COPIES_ALL */
    int64_t from_ns, to_ns;      /* since the wire began; to_ns INT64_MAX: for good */
    uint16_t port;               /* 0: any */
    int64_t delay_ns, jitter_ns; /* DELAY; REORDER: delay_ns */
    uint64_t bits_per_s;         /* RATE */
    uint64_t queue_bytes;        /* RATE: 0: not bounded by bytes */
    int64_t queue_ns;            /* RATE: 0: not bounded by time */
    uint32_t queue_packets;      /* RATE: 0: not bounded by number */
    uint32_t mtu_bytes;          /* MTU: of the IP packet */
};

struct wire_rules {
    uint32_t n;
    struct wire_rule rule[WIRE_RULES_MAX];
};

/* Adds the text's clauses to *rules, which is untouched on failure. Empty text: none. Errors: SONDE_EOPTION with the
 * clause as subject and what is wrong with it as detail; -E2BIG: too many. */
int wire_rules_parse(const char *text, struct wire_rules *rules, struct sonde_why *ret_why);
/* Back to text that wire_rules_parse reads as the same rules. Returns the length; always NUL-terminated. */
size_t wire_rules_format(const struct wire_rules *rules, char *ret_text, size_t size_bytes);
/* The longest that a packet may be under way by these rules (a bounded queue counts as full); INT64_MAX: not bounded.
 */
int64_t wire_rules_longest_ns(const struct wire_rules *rules);

/* ---- the judge: one for a wire, both directions */

#define WIRE_COPIES_MAX 2

struct wire_fate {
    uint8_t reason; /* enum wire_reason */
    bool reordered, corrupted;
    bool tell_mtu;           /* TOO_LARGE: the sender is to be told (ICMP), */
    uint32_t mtu_bytes;      /* ... this size */
    uint32_t corrupt_offset; /* byte of the frame, */
    uint8_t corrupt_mask;    /* ... to be changed by exclusive or */
    uint8_t n_copies;        /* 1, or 2: duplicated; 0 with any reason but PASSED */
    int64_t due_ns[WIRE_COPIES_MAX];
};

#define WIRE_FLOWS_MAX 65536

struct wire_judge;

/* t_ns 0 of the rules' from and to is start_ns. NULL: no memory. */
struct wire_judge *wire_judge_new(uint64_t seed, int64_t start_ns);
void wire_judge_free(struct wire_judge *judge);
void wire_judge_set_rules(struct wire_judge *judge, enum event_end from, const struct wire_rules *rules);
/* One packet of n_bytes (Ethernet frame) that left this end at t_ns. Times must not run backwards. What it is, is found
 * out here. Packets that are neither IPv4 nor IPv6 (ARP) always pass, with delay and rate. */
void wire_judge_packet(struct wire_judge *judge, enum event_end from, int64_t t_ns, const void *frame, size_t n_bytes,
                       struct wire_fate *ret_fate);
/* What it remembers of connections is bounded; so many were forgotten for newer ones. */
uint64_t wire_judge_n_forgotten(const struct wire_judge *judge);

#endif
