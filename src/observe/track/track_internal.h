/* SPDX-License-Identifier: MIT */
/*
 * The parts of the tracker, and what they share: a conversation with what is remembered of both its directions, and the
 * one segment that is being looked at.
 *
 * segment.c takes a segment through the parts in this order: syn.c (whose numbers are these), sequence.c (64 bits, and
 * what is too far away to be true), window.c (is it a question: a probe, a keep-alive), loss.c (again, out of order, a
 * hole), ack.c (what it acknowledges), window.c (what it says of its window), reset.c and state.c (what it does to both
 * ends). follow.c hands on the payload.
 *
 * Numbers are relative to the sender's ISN and signed, since midway there may be numbers below the first one seen.
 */
#ifndef OBSERVE_TRACK_INTERNAL_H
#define OBSERVE_TRACK_INTERNAL_H

#include "observe/track/track.h"

/* ---- what is remembered of one direction */

/* What was sent in one piece, for saying of which a repeat is, and for round trips. Sorted, without overlap. */
struct range {
    int64_t seq;
    int64_t first_ns, last_ns; /* its first and its latest copy */
    uint32_t n_bytes;          /* with SYN and FIN */
    uint32_t number;           /* of the segment that brought it first */
    uint16_t n_sent;
    uint8_t n_rto, n_tlp;
    uint8_t n_lost; /* copies that were seen to be lost */
    uint8_t marks;  /* RANGE_... */
};

#define RANGE_SACKED 1u
#define RANGE_LATE 2u     /* came to fill a hole: when it was sent first is not known */
#define RANGE_SPURIOUS 4u /* its needless repeats were counted */
#define RANGE_ARRIVED 8u  /* seen to arrive, or to be on its way there: only where fates are known */

struct ranges {
    struct range *range;
    uint16_t n, room;
    uint16_t n_acked; /* so many at the beginning are acknowledged, and only kept for being named */
};

/* Bytes below the highest that were never captured. Sorted, without overlap. */
struct hole {
    int64_t from, to;
    int64_t since_ns; /* found then; acknowledged: since then */
    bool acked;       /* they arrived, so it is the capture that lacks them */
};

struct holes {
    struct hole *hole;
    uint16_t n, room;
};

/* Payload that waits for a hole to be filled. */
struct chunk {
    struct chunk *next;
    int64_t seq;
    int64_t since_ns;
    uint32_t n_bytes, n_captured;
    bool push;
    uint8_t data[];
};

enum question { ASKS_NOTHING, ASKS_WINDOW, ASKS_ALIVE };

/* The direction from this end. Numbers are this end's, but for what it says of the other's in the last part. */
struct flow {
    int64_t nxt;        /* behind the highest seen */
    int64_t acked;      /* the highest that the peer has acknowledged */
    int64_t sacked_top; /* behind the highest that it has SACKed */
    int64_t fin_seq;
    int64_t new_ns;      /* new data was seen last */
    int64_t ack_ns;      /* acked grew last */
    int64_t evidence_ns; /* a duplicate ACK or SACK for this direction came last */
    int64_t recover;     /* repeats below this belong to the recovery that is going on */
    int64_t srtt_ns;     /* smoothed; 0: no sample yet */
    struct ranges sent;
    struct holes holes;
    struct chunk *waiting; /* payload */
    int64_t handed;        /* payload below this was handed on */
    uint64_t n_missing;    /* bytes missing before what is handed on next */
    uint32_t n_waiting, waiting_bytes;

    uint32_t last_ack_raw; /* of its last segment, where last_acks; */
    uint32_t suspect;      /* a number too far away to be believed, unless the next one agrees */
    uint32_t window_max;   /* this end's largest window */
    uint32_t n_unanswered; /* repeats and questions since the peer was heard last */
    uint16_t n_dup_acks;   /* that this end has sent in a row */
    uint16_t n_probes;     /* since the peer's window closed */
    uint8_t asks;          /* its last segment: enum question */
    bool based : 1;        /* its numbers have a beginning */
    bool has_suspect : 1;
    bool has_ack : 1;     /* acked is known */
    bool has_window : 1;  /* this end's window is known, */
    bool syn_window : 1;  /* ... from its SYN, where it is not scaled: later ones cannot be compared with it */
    bool syn_ack : 1;     /* its SYN with an ACK was seen */
    bool fast_open : 1;   /* its SYN carried data or a cookie */
    bool fin_arrived : 1; /* the peer has it, as far as it shows */
    bool fin_acked : 1;
    bool fin_late : 1;    /* it crosses the peer's: the peer has sent its own without having this one */
    bool alive : 1;       /* it has sent data, SYN or FIN: it had not closed before */
    bool probe_byte : 1;  /* the byte at nxt was sent as a probe */
    bool recover_rto : 1; /* the recovery began with a timeout */
    bool handing : 1;     /* handed is set */
    bool sack_seen : 1;   /* this end sends SACK */
    bool last_acks : 1;   /* its last segment had an ACK, */
    bool last_data : 1;   /* ... and payload */
};

struct tracked_link {
    struct tracked *previous, *next;
};

struct tracked_list {
    struct tracked *first, *last;
};

/* A conversation. UDP has no flow: its memory ends before. */
/* The last datagrams of one direction, to know of which an error speaks. */
#define DATAGRAMS_KEPT 8

struct sent_datagrams {
    struct sent_datagram {
        uint32_t number; /* 0: none */
        uint32_t ip_id;
        uint16_t n_bytes, checksum;
        bool reported; /* an error spoke of it already */
    } sent[DATAGRAMS_KEPT];
    unsigned next;
};

struct tracked {
    struct conversation shown; /* first: its address is the conversation's */
    void *user;
    uint64_t hash;
    struct tracked *chain;    /* of the same bucket */
    struct tracked_link born; /* in the order of their beginnings */
    struct tracked_link used; /* by their last packet: one list of open ones, one of ended ones */
    bool ended;               /* in the list of ended ones */
    bool simultaneous;        /* both have sent a SYN without having seen the other's */
    uint8_t ending_planned;   /* when the last FIN is acknowledged */
    union {
        struct flow flow[N_ENDS];
        struct sent_datagrams datagrams[N_ENDS]; /* UDP: the memory ends behind them */
    };
};

/* The last packets, to know one that is seen again at another interface: more of them once there is one, since a packet
 * may take long from one to the other. */
#define TWINS_MAX 1024
#define TWINS_MORE 32768
#define TWINS_WAYS 4 /* of them, places that a packet may take */
#define TWINS_NS NS_PER_MS
#define TWINS_FAR_NS (10 * NS_PER_S)

struct twin {
    uint64_t hash;
    int64_t t_ns;
    uint32_t interface, number;
};

struct tracker {
    struct track_handler handler;
    void *user;
    int64_t now_ns;
    struct tracker_counts counts;
    size_t n, n_max, n_buckets;
    struct tracked **buckets;
    uint64_t seed;
    struct tracked_list born, open, ended;
    uint64_t waiting_bytes;          /* of all conversations */
    uint64_t n_allocations, fail_at; /* for tests: this allocation fails; 0: none */
    uint32_t given_number;           /* of the next packet, within its conversation; 0: they are counted here */
    uint8_t fate;                    /* of the packet that is looked at; FATE_UNKNOWN: one place cannot tell */
    struct twin twins[TWINS_MAX];
    struct twin *more_twins; /* instead: packets came from several interfaces; NULL: not yet, or there was no memory */
    uint32_t interface;      /* of the first packet */
    bool has_interface, tried_more;
};

/* Reordering is shorter than this, where no round trip was measured. */
#define REORDER_NS (3 * NS_PER_MS)

/* ---- one segment under consideration */

struct segment {
    struct tracker *tracker;
    struct tracked *conv;
    const struct decoded *packet;
    int64_t t_ns;
    enum event_end from, to;
    struct conversation_side *side, *peer;
    struct flow *flow, *back; /* what its sender sends, and the other direction */
    int64_t seq, end, ack;    /* end: behind its last byte, SYN and FIN counted */
    uint16_t flags;
    bool has_ack;   /* and it can be believed */
    bool seq_stray; /* its numbers are too far away: nothing is concluded from them */
    bool ack_moved; /* it acknowledges something new */
    bool ack_same;  /* ... just what was acknowledged before */
    bool pure;      /* no payload, no SYN, FIN, RST */
    bool syn_is_new;
    bool fin_is_new;
    bool old_window_known;
    uint64_t old_window; /* its sender's, before this segment */
    struct event_segment event;
};

static inline void note(struct segment *segment, enum segment_note which)
{
    segment->event.notes |= NOTE_BIT(which);
}

static inline bool noted(const struct segment *segment, enum segment_note which)
{
    return has_note(segment->event.notes, which);
}

/* ---- tracker.c: all memory but the tracker's own is asked for here. NULL: none, which is counted; old is untouched.
 */
void *track_allocate(struct tracker *tracker, void *old, size_t n_bytes);

/* ---- table.c */
struct tracked *table_find(const struct tracker *tracker, uint8_t protocol, const struct sonde_address *source,
                           const struct sonde_address *destination, enum event_end *ret_from);
/* Makes room first when there are too many. NULL: no memory, which is counted. */
struct tracked *table_add(struct tracker *tracker, uint8_t protocol, const struct sonde_address *a,
                          const struct sonde_address *b);
void table_forget(struct tracker *tracker, struct tracked *conv);
/* It has had a packet: it is the last to make room. */
void table_touch(struct tracker *tracker, struct tracked *conv);
/* Forget those that ended and were quiet for FORGET_NS since. */
#define FORGET_NS (300 * NS_PER_S)
void table_sweep(struct tracker *tracker);
uint64_t table_mix(uint64_t one, uint64_t other);

/* The number of the next packet of a conversation. */
uint32_t track_number(struct tracker *tracker, struct conversation *conversation);

/* ---- segment.c, datagram.c, icmp.c: a packet each. NULL: no memory, or none of ours. */
void address_of(const struct decoded *packet, const struct decode_address *address, uint16_t port,
                struct sonde_address *ret_address);
struct tracked *segment_packet(struct tracker *tracker, uint64_t number, uint32_t interface,
                               const struct decoded *packet);
struct tracked *datagram_packet(struct tracker *tracker, uint64_t number, uint32_t interface,
                                const struct decoded *packet);
/* The number of the datagram that this error quotes; 0: it is not known any more. */
uint32_t datagram_quoted(struct tracked *conv, enum event_end from, const struct decoded *packet);
struct tracked *icmp_packet(struct tracker *tracker, uint64_t number, const struct decoded *packet);

/* ---- syn.c: the conversation of a TCP packet, a new one where its SYN says so; then the numbers that a SYN sets. */
struct tracked *syn_find(struct tracker *tracker, const struct decoded *packet, const struct sonde_address *source,
                         const struct sonde_address *destination, enum event_end *ret_from, bool *ret_new);
void syn_take(struct segment *segment);

/* ---- sequence.c */
void sequence_take(struct segment *segment);
int64_t sequence_unwrap(const struct conversation_side *side, const struct flow *flow, uint32_t raw);
/* How far a number of this end may be from the highest and still be believed. */
int64_t sequence_reach(const struct tracked *conv, enum event_end end);
bool scale_known(const struct tracked *conv, enum event_end end);
unsigned scale_of(const struct tracked *conv, enum event_end end);
/* The direction's numbers begin anew. */
void sequence_restart(struct tracker *tracker, struct flow *flow);

/* ---- ranges.c */
struct range *ranges_find(const struct ranges *ranges, int64_t seq); /* that holds seq, or else the next; NULL: none */
struct range *ranges_end(const struct ranges *ranges);
void ranges_append(struct tracker *tracker, struct flow *flow, const struct range *range);
void ranges_insert(struct tracker *tracker, struct flow *flow, const struct range *range);
/* Is this mark on all of from..to? False, too, where it is not remembered. */
bool ranges_all_marked(const struct flow *flow, int64_t from, int64_t to, uint8_t mark);
/* A range that holds at becomes two, so that each part of a long segment is counted apart. */
void ranges_split(struct tracker *tracker, struct flow *flow, int64_t at);
void holes_add(struct tracker *tracker, struct conversation_side *side, struct flow *flow, const struct hole *hole);
/* Take from..to out of the holes. Returns how many bytes were missing; *ret_since_ns is when the first of those holes
 * was found. inserted, for each piece, is told. */
uint64_t holes_fill(struct segment *segment, int64_t from, int64_t to, int64_t *ret_since_ns);
/* The peer acknowledges all below. Returns how many bytes of it were never captured. */
uint64_t holes_acknowledge(struct conversation_side *side, struct flow *flow, int64_t below, int64_t now_ns);
bool holes_open(const struct flow *flow); /* one that is not acknowledged */

/* ---- loss.c, ack.c, rtt.c, window.c, reset.c, state.c */
void loss_of_segment(struct segment *segment);
void loss_of_syn(struct segment *segment);
void loss_arrives(struct segment *segment);
void ack_of_segment(struct segment *segment);
void rtt_sample(struct segment *segment, int64_t rtt_ns);
/* Of the whole way, as far as known: 0 when not. The smallest, and smoothed. */
int64_t rtt_least(const struct conversation *conv);
int64_t rtt_smooth(const struct tracked *conv);
bool window_question(struct segment *segment); /* true: it only asks, and sends nothing new */
void window_take(struct segment *segment);     /* what it advertises; before the notes that compare */
void window_notes(struct segment *segment);
void window_time(struct conversation *conv, int64_t now_ns);
void reset_of_segment(struct segment *segment);
void state_of_segment(struct segment *segment);
bool state_is_over(const struct conversation *conv);
void state_guesses(struct segment *segment);

/* ---- follow.c */
void follow_segment(struct segment *segment);
void follow_flush(struct tracker *tracker, struct tracked *conv); /* nothing more will fill the holes */
void follow_drop(struct tracker *tracker, struct flow *flow);

#endif
