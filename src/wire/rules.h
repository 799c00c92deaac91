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
 *   drop data every 10      drop data #5- every 10         each 10th; the 5th, the 15th and so on
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
 * Words
 *
 * In either case, and behind the first word in any order, each once. Times have a unit: ns, us (µs), ms, s, m, h; up to
 * 1 h, in from and to up to 1000 h; from is part of the window, to is not. Shares have a percent sign, 0.0001% is the
 * finest. Rates are bit, kbit, Mbit, Gbit (also with /s, or as Mbps, Mb/s: b is a bit) or B/s, kB/s, MB/s (B is eight),
 * with Ki, Mi, Gi for powers of 1024; up to 1000Gbit. Sizes are B, KiB, MiB, GiB, kB, MB, GB; k alone is 1024. A blank
 * may stand before a unit. Nothing is rounded: what is finer than a nanosecond, byte or bit a second is refused. queue
 * may be given for each of its three units, and then all of these bounds hold; without it, 1000 packets. An mtu is 68
 * to 65535 bytes of the IP packet.
 *
 * Drop, duplicate, reorder and corrupt choose packets: by a share, a kind (perhaps with "of"), numbers, "every", and
 * how many copies ("x2", "once", "always"), all of which have to be so. Without numbers and without copies, every copy;
 * with numbers or "every", the first. The other clauses are for every packet.
 *
 * Kinds: any (the default), data (TCP or UDP that carries bytes), ack (TCP: an ACK and nothing else), syn, syn-ack,
 * fin, rst, udp, icmp (ICMPv6 too). A packet may be of several: a FIN with bytes is data and fin.
 *
 * Numbers and copies
 *
 * "#n" counts, per connection and direction, packets of that kind that are not repeats of earlier ones. TCP data is new
 * if it goes beyond the highest byte sent so far, and else repeats what its first byte belonged to: it has that one's
 * number, and is the copy after as many as that byte was sent before, however it was cut. SYN, SYN-ACK and FIN are #1,
 * and copies of that. ACKs, resets, datagrams and ICMP have no copies, each is a new one; the ACK that completes the
 * handshake is ack #1. With other rules (wire_judge_set_rules) numbers begin anew, and what was sent before has none.
 *
 * A connection is its addresses and ports; a SYN with another sequence number begins a new one. Other IP protocols,
 * and later fragments, which have no ports and are of no kind but any, make up one for each pair of addresses.
 * "port" is the quoted packet's for an ICMP error.
 *
 * What happens, in this order
 *
 * Clauses that take packets away (drop, loss, mtu, stop): the first that matches names the reason. Then the lines
 * (rate), one behind the other, each with its queue, which has what was not taken away: a packet takes the time of its
 * whole Ethernet frame, without checksum, preamble and gap. The one being sent is not in the queue, so an idle line
 * takes any. Then the delays, added up. Nothing is due before what left before it in its direction, whether by jitter
 * or by other rules since, but for two things: reorder holds packets back from where they would be due, so that later
 * ones overtake them; and where delay or rate has a port, that port's packets are in order among themselves. At the far
 * end, corrupt changes a bit of what IP carries, and duplicate makes a second copy, due at the same time as the first,
 * and like it.
 *
 * mtu drops IPv4 packets that may be fragmented, too: a wire does not fragment. About ICMP errors and later fragments
 * nobody is told.
 *
 * ARP, neighbour discovery and multicast listeners (ICMPv6 130 to 137 and 143) are the link's own: they always pass,
 * with rate and delay, without jitter.
 *
 * Chance
 *
 * Which connection it is, is the same when the conversation is had again: IP version, protocol, the end that opened it,
 * the server's port (where the SYN or the first datagram goes; of 32768 and above, which a kernel picks, all are as
 * one), and its number among those that have this in common. The packet is known by its sequence range and copy; an ACK
 * by what it acknowledges and how often it did so; a datagram by its number. Last comes the place of the clause.
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
    uint64_t every;              /* "every 10": of those, each 10th; 0: each */
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

/* Adds the text's clauses to *rules, which is untouched on failure. Empty clauses are none. Errors: -SONDE_EOPTION with
 * the clause as subject and what is wrong with it as detail; -E2BIG: more than WIRE_RULES_MAX. ret_why may be NULL. */
int wire_rules_parse(const char *text, struct wire_rules *rules, struct sonde_why *ret_why);
/* Back to text (ASCII) that wire_rules_parse reads as the same rules. Returns the length that it has, or would have if
 * there were room for it; what fits is written, always NUL-terminated. */
size_t wire_rules_format(const struct wire_rules *rules, char *ret_text, size_t size_bytes);
/* The longest that a packet may be under way by these rules (a bounded queue counts as full, of frames of 1514 bytes);
 * INT64_MAX: not bounded. */
int64_t wire_rules_longest_ns(const struct wire_rules *rules);

/* ---- the judge: one for a wire, both directions */

#define WIRE_COPIES_MAX 2

struct wire_fate {
    uint8_t reason; /* enum wire_reason */
    bool reordered, corrupted;
    bool tell_mtu;                   /* TOO_LARGE: the sender is to be told (ICMP), */
    uint32_t mtu_bytes;              /* ... this size */
    uint32_t corrupt_offset;         /* byte of the frame, */
    uint8_t corrupt_mask;            /* ... to be changed by exclusive or */
    uint8_t n_copies;                /* 1, or 2: duplicated; 0 with any reason but PASSED */
    int64_t due_ns[WIRE_COPIES_MAX]; /* of two that are due at the same time, the one that left first goes first */
};

#define WIRE_FLOWS_MAX 65536

struct wire_judge;

/* t_ns 0 of the rules' from and to is start_ns. NULL: no memory. Its memory grows with the connections and with what is
 * not acknowledged of them, up to some 100 MiB; none is allocated for a packet as such. */
struct wire_judge *wire_judge_new(uint64_t seed, int64_t start_ns);
void wire_judge_free(struct wire_judge *judge); /* NULL is fine */
/* Without rules at first. Queues are empty then, and the order of what is under way is kept. */
void wire_judge_set_rules(struct wire_judge *judge, enum event_end from, const struct wire_rules *rules);
/* One packet of n_bytes (Ethernet frame) that left this end at t_ns. Times must not run backwards (one that does counts
 * as the last one). What it is, is found out here. */
void wire_judge_packet(struct wire_judge *judge, enum event_end from, int64_t t_ns, const void *frame, size_t n_bytes,
                       struct wire_fate *ret_fate);
/* What it remembers is bounded; so many connections were forgotten for newer ones, or directions of them had to forget
 * data that was not acknowledged: what is sent again of that has no number. */
uint64_t wire_judge_n_forgotten(const struct wire_judge *judge);

#endif
