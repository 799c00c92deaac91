/* SPDX-License-Identifier: MIT */
/*
 * The judge's parts: judge_flow.c remembers connections, judge_count.c numbers their packets and the copies of them,
 * judge_ranges.c says how often a byte was sent, judge_rate.c holds what waits for its turn, judge.c decides.
 */
#ifndef WIRE_JUDGE_INTERNAL_H
#define WIRE_JUDGE_INTERNAL_H

#include "wire/rules_internal.h"

/* ---- chance: a number that looks like one of all 2^64, and is a function of what it was made from */

static inline uint64_t chance_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t chance_add(uint64_t chance, uint64_t what)
{
    return chance_mix((chance ^ chance_mix(what + UINT64_C(0x9e3779b97f4a7c15))) + UINT64_C(0x9e3779b97f4a7c15));
}

/* Evenly from 0 to below - 1. */
static inline uint64_t chance_below(uint64_t chance, uint64_t below)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)chance * below >> 64);
}

/* ---- what was sent in one direction of a TCP connection: pieces of the stream, one behind the other */

#define RANGES_MAX 32768            /* of a direction */
#define RANGES_TOTAL_MAX (1u << 21) /* of all */

struct range {
    int64_t begin; /* its first byte; the next one's begin is its end */
    uint32_t data_number, any_number;
    uint32_t n_sent;
};

struct ranges {
    struct range *range;
    uint32_t n, room;
    int64_t end;      /* of the last */
    int64_t acked;    /* the other end has it, and the acknowledgement passed */
    uint32_t n_older; /* segments seen whose bytes are remembered no more */
    bool forgot;      /* ... though they were not acknowledged */
};

/* A segment that carries these bytes. Its first byte's count, this one included; and the numbers of what it repeats, 0
 * if that is not remembered. Where end is beyond ranges->end, new_data_number and new_any_number are what the new part
 * is numbered, and stay out of *ret_range. */
void ranges_sent(struct ranges *ranges, uint32_t *n_total, int64_t begin, int64_t end, uint32_t new_data_number,
                 uint32_t new_any_number, struct range *ret_range);
void ranges_clear(struct ranges *ranges, uint32_t *n_total);

/* ---- connections */

/* A SYN, a SYN-ACK or a FIN: there is one, sent again and again. */
struct once {
    uint32_t n_sent, any_number;
};

struct side {
    bool started, syn_seen;
    uint32_t isn;                 /* offset 0 is the byte behind it */
    int64_t nxt;                  /* behind the highest byte sent */
    uint32_t epoch;               /* of the rules that base belongs to */
    uint32_t count[N_WIRE_KINDS]; /* packets that were no repeats */
    uint32_t base[N_WIRE_KINDS];  /* ... so many of them before these rules */
    struct once syn, syn_ack, fin;
    int64_t ack; /* acknowledged last, relative */
    uint32_t n_same_acks;
    struct ranges ranges;
};

struct flow_key {
    uint8_t version, protocol;
    uint16_t port[N_ENDS];
    uint8_t address[N_ENDS][16];
};

struct flow {
    struct flow_key key;
    uint64_t chance;       /* the seed and which connection it is */
    uint32_t next;         /* of the same bucket */
    uint32_t newer, older; /* by last use */
    struct side side[N_ENDS];
};

#define FLOW_NONE UINT32_MAX
#define PORTS_KEPT 32768 /* from here on a port is a number that a kernel has picked */
#define N_ORDINALS (2 * 3 * N_ENDS)

struct flows {
    struct flow *flow;
    uint32_t n, room;
    uint32_t *bucket; /* index + 1 */
    uint32_t n_buckets;
    uint32_t newest, oldest;
    uint32_t n_ranges; /* room for so many, of all together */
    uint64_t n_forgotten, seed;
    /* How many connections there were: by IP version, protocol and client's end, each by port. */
    uint32_t *ordinal[N_ORDINALS];
};

bool flows_init(struct flows *flows, uint64_t seed);
void flows_free(struct flows *flows);
/* The packet's connection, a new one if there is none. server_port is what the connection is known by if so. */
struct flow *flows_find(struct flows *flows, const struct flow_key *key, enum event_end from, uint16_t server_port);
/* The same addresses and ports, and another connection. */
void flows_renew(struct flows *flows, struct flow *flow, enum event_end from, uint16_t server_port);

/* ---- what a packet is */

struct seen {
    bool is_ip;                        /* and not the link's own talk: rules are about these */
    bool tells;                        /* its sender may be told by ICMP */
    uint16_t kinds;                    /* bits */
    uint16_t port[2];                  /* 0: none */
    uint32_t ip_bytes;                 /* the IP packet */
    uint32_t payload_from, payload_to; /* what IP carries, offsets in the frame */
    uint32_t number[N_WIRE_KINDS];     /* of each kind that it is, 0: not known */
    uint32_t copy[N_WIRE_KINDS];
    uint64_t chance;
    struct ranges *acknowledges; /* NULL: nothing; else up to here */
    int64_t acked;
};

/* Finds its connection, and counts it. epoch: of the rules. */
void seen_packet(struct flows *flows, enum event_end from, uint32_t epoch, const void *frame, size_t n_bytes,
                 struct seen *ret_seen);

/* ---- one rate's queue */

struct waiting {
    int64_t start_ns;
    uint32_t n_bytes;
};

struct rate {
    int64_t free_ns;      /* everything taken so far has gone */
    uint64_t part;        /* ... but for so many parts of a nanosecond, bits_per_s to one */
    struct waiting *ring; /* those that waited for their turn when they came */
    uint32_t first, n, room;
    uint64_t n_bytes; /* in the ring */
};

/* Is there room for it at t_ns? The reason, or WIRE_PASSED. */
enum wire_reason rate_judge(struct rate *rate, const struct wire_rule *rule, int64_t t_ns, uint32_t n_bytes);
/* Takes it: when its last bit has left. */
int64_t rate_take(struct rate *rate, const struct wire_rule *rule, int64_t t_ns, uint32_t n_bytes);
void rate_free(struct rate *rate);

#endif
