/* SPDX-License-Identifier: MIT */
/*
 * Headers into conversations: whose segment is it, what are both ends' states after it, and what is to be said of it.
 * Pure: it is given packets in the order in which they were captured, each with its time; nothing else. Both ends'
 * states are inferred from segments alone (RFC 9293), as if each segment arrived right after it was seen.
 *
 * A conversation ends for good when its tuple is used again by a new SYN, when it was quiet for so long that its ends
 * must have forgotten it, or when it has to make room; the tuple's next packet begins another. Numbers are unwrapped to
 * 64 bits, so that connections of any length are followed.
 */
#ifndef OBSERVE_TRACK_TRACK_H
#define OBSERVE_TRACK_TRACK_H

#include "observe/decode/decode.h"
#include "observe/event/event.h"

enum conversation_opening {
    OPENED_UNKNOWN, /* midway */
    OPENED_HANDSHAKE,
    OPENED_SIMULTANEOUSLY,
    OPENED_NOT_YET, /* SYN, and no answer so far, or only half of it */
    OPENED_REFUSED,
};

enum conversation_ending {
    ENDED_NOT,
    ENDED_IN_4, /* FIN, ACK, FIN, ACK */
    ENDED_IN_3, /* the second FIN carried the ACK */
    ENDED_SIMULTANEOUSLY,
    ENDED_HALF,  /* one end closed, the other has not */
    ENDED_RESET, /* reset_by, reset_cause */
    ENDED_REFUSED,
    ENDED_WITHOUT_ACK, /* both FINs, the last never acknowledged */
};

/* Of one direction: what this end has sent. */
struct conversation_side {
    struct sonde_address address;
    uint8_t state;  /* enum tcp_state */
    bool isn_known; /* its SYN was seen: relative numbers count from there */
    bool syn_seen, fin_seen, rst_seen;
    int8_t window_scale; /* offered in its SYN; -1: none, or not seen */
    uint16_t mss;        /* offered; 0: none, or not seen */
    bool sack_permitted;
    uint32_t isn;                /* or the first number seen, less one */
    uint64_t n_packets, n_bytes; /* payload as sent, repeats included */
    uint64_t n_unique_bytes;     /* payload, each byte once */
    uint64_t n_again, n_again_rto, n_again_fast, n_again_tlp, n_again_spurious, n_again_bytes;
    uint64_t n_out_of_order, n_duplicate_acks, n_holes, n_missing_bytes; /* missing: never captured */
    uint64_t n_zero_windows, n_probes, n_keep_alives, n_syns;
    uint64_t in_flight, in_flight_max;
    uint64_t window;       /* it advertised last, scaled */
    int64_t zero_since_ns; /* it advertises 0 since; 0: it does not */
    int64_t zero_total_ns; /* ... closed stretches that are over */
    int64_t zero_first_ns; /* start of the longest closed stretch, and its length so far */
    int64_t zero_longest_ns;
    int64_t
        first_again_ns; /* of the longest stall by repeats: its first sending, and when it was acknowledged at last */
    int64_t stall_ns;   /* 0: none */
    uint32_t stall_first_number, stall_n_again, stall_n_rto, stall_n_tlp;
    int64_t rtt_min_ns, rtt_max_ns, rtt_sum_ns; /* of segments that it sent; to be read with n_rtt */
    uint64_t n_rtt;
};

struct conversation {
    uint64_t id;                                   /* from 1, never used twice */
    uint8_t protocol;                              /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t opening, ending;                       /* enum conversation_... */
    uint8_t reset_by, reset_cause;                 /* enum event_end, enum reset_cause */
    uint8_t closed_first;                          /* enum event_end whose FIN came first; N_ENDS: none */
    bool begins_midway, tuple_reused, a_is_client; /* a_is_client: known, not guessed from ports */
    uint32_t interface;
    uint32_t n_segments; /* the last one's number */
    int64_t first_ns, last_ns;
    int64_t syn_ns, syn_ack_ns, established_ns; /* 0: not seen */
    uint32_t n_syn_retries;
    uint8_t icmp_type, icmp_code, icmp_version; /* of the last ICMP error about it; version 0: none */
    uint64_t n_offload, n_checksum_bad, n_cut, n_seen_twice;
    struct conversation_side side[N_ENDS];
};

/* Any may be NULL. The conversation is lent for the call; its address stays the same until it is forgotten, and user
 * may be kept per conversation with conversation_set_user. */
struct track_handler {
    void (*opened)(struct conversation *conversation, int64_t t_ns, void *user);
    void (*segment)(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user);
    void (*datagram)(struct conversation *conversation, int64_t t_ns, const struct event_datagram *datagram,
                     void *user);
    void (*icmp)(struct conversation *conversation, int64_t t_ns, const struct event_icmp *icmp, void *user);
    /* New payload in order, each byte once: for --follow. n_missing bytes before it are not in the capture. */
    void (*data)(struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data, size_t n_bytes,
                 uint64_t n_missing, bool push, void *user);
    /* It is about to be freed; no more will come. */
    void (*forgotten)(struct conversation *conversation, int64_t t_ns, void *user);
};

#define TRACK_CONVERSATIONS_MAX 1000000
/* Bytes that wait for a hole to be filled, for data: of one direction, and of all together. Past them the hole counts
 * as missing. */
#define TRACK_WAITING_BYTES_MAX (1024 * 1024)
#define TRACK_WAITING_ALL_MAX (64 * 1024 * 1024)
/* Ranges sent and not acknowledged, SACKed or out of order that are remembered for one direction; the oldest go. */
#define TRACK_RANGES_MAX 1024

struct tracker;

/* n_max: conversations at once; the one that was quiet for longest makes room. NULL: no memory. */
struct tracker *tracker_new(size_t n_max, const struct track_handler *handler, void *user);
/* Forgets all of them, in the order in which they began. */
void tracker_free(struct tracker *tracker);

/* One packet. t_ns must not run backwards (an earlier time is taken as the latest so far). Not TCP or UDP, nor ICMP
 * about one of them: counted and passed over. Returns the conversation, NULL when it belongs to none (or no memory). */
struct conversation *tracker_packet(struct tracker *tracker, int64_t t_ns, uint64_t packet_number, uint32_t interface,
                                    const struct decoded *packet);

void conversation_set_user(struct conversation *conversation, void *user);
void *conversation_user(const struct conversation *conversation);

struct tracker_counts {
    uint64_t n_packets, n_other; /* seen; of those: no TCP, UDP, or error about them */
    uint64_t n_fragments, n_damaged;
    uint64_t n_conversations, n_made_room; /* all; given up because there were too many */
    uint64_t n_no_memory;
};
void tracker_counts(const struct tracker *tracker, struct tracker_counts *ret_counts);

/* The conversation of two addresses as of now, in either direction; NULL: none. */
struct conversation *tracker_find(const struct tracker *tracker, uint8_t protocol, const struct sonde_address *one,
                                  const struct sonde_address *other);

#endif
