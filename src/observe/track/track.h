/* SPDX-License-Identifier: MIT */
/*
 * Headers into conversations: whose segment is it, what are both ends' states after it, and what is to be said of it.
 * Pure: it is given packets in the order in which they were captured, each with its time; nothing else. Both ends'
 * states are inferred from segments alone (RFC 9293), as if each segment arrived right after it was seen.
 *
 * A conversation ends for good when its tuple is used again by a new SYN, when it was quiet for so long that its ends
 * must have forgotten it, or when it has to make room; the tuple's next packet begins another. Numbers are unwrapped to
 * 64 bits, so that connections of any length are followed.
 *
 * What the notes mean (event.h lists them). Each is said on evidence only; where it does not suffice, nothing is said.
 *
 *   retransmission   below the highest number seen, and in no hole: these bytes were seen before. Also when it fills
 *                    a hole, too late to have been overtaken: its first copy was never captured (again_of 0).
 *                    n_repeat counts its copies but for the first. A SYN is a syn-retry instead.
 *     fast           since it was sent last, two or more duplicate ACKs asked for just this, or SACK reported what is
 *                    behind it, less than 20 ms ago, or two round trips if they are longer. Or: in a recovery that
 *                    began so, an ACK came since that ends where it begins.
 *     tail-probe     the last that was sent, for the first time; both ends do SACK, nothing was SACKed behind it, and
 *                    the wait since it was sent, or since the last ACK, fits RFC 8985: two round trips, and 200 ms
 *                    more when it is alone.
 *     rto            begins at what is not acknowledged, after 180 ms or more without news; or, without being asked
 *                    for, goes again because such a one gave it up.
 *     spurious       all of it had been acknowledged or SACKed. What DSACK reports later is only counted, since the
 *                    segment's event is out by then (n_again_spurious).
 *   hole             begins behind the highest number seen. The hole stays until it is filled or acknowledged.
 *   out-of-order     fills a hole that was found less than a round trip ago (3 ms, where none is known), and no two
 *                    duplicate ACKs asked for it. Or: a SYN that was captured behind its answer.
 *   not-captured     acknowledges bytes that were never seen (n_missing_bytes).
 *   duplicate-ack    no payload, SYN, FIN, RST; the same ACK as before; and it SACKs something above it, or has the
 *                    same window while data is outstanding. Answers to probes and keep-alives are none, nor are ACKs
 *                    that do no more than report a duplicate.
 *   dsack            the first SACK block lies below the ACK, or within the second block (RFC 2883).
 *   zero-window      advertises 0; not on SYN, FIN, RST.
 *   window-probe     the peer advertised 0 last and has acknowledged everything; and this is an empty segment one
 *                    below the next number, or one byte there, or one new byte. That new byte counts as sent when it
 *                    is acknowledged. n_repeat counts since the window closed.
 *   probe-answer     the next from the peer: the same ACK, and still 0.
 *   window-update    no payload; the same ACK, and a larger window. Windows are not compared with a SYN's.
 *   window-full      ends where the peer's last ACK and window end; only where its scale is known.
 *   keep-alive       empty, or one byte, one below the next number, when everything is acknowledged and nothing new
 *                    was sent for 0.9 s. Its answer is the next from the peer, with the same ACK.
 *   seen-twice       the same header, IP id included, within 1 ms: at another interface, or on the same one (a mirror
 *                    port) if it has an IP id, or is a SYN: a repeat has another id, and one of a SYN comes later.
 *                    Without an id it is a retransmission there. Within 10 s at another interface, if it has an id or
 *                    timestamps: it took so long to come there. again_of says of which; nothing else is concluded from
 *                    it.
 *   after-end        both ends were CLOSED or TIME_WAIT before, and still are.
 *   offload          payload is more than the MSS that the receiver offered.
 *   tuple-reused     a SYN with another ISN; or, after the end, two numbers that have nothing to do with the old ones.
 *   reset            on every RST; refused too, when it answers a SYN. Why (reset_cause):
 *     refused        acknowledges the SYN of an end that is still in SYN_SENT.
 *     unread-data    no ACK in it, and its number is what the peer's last segment acknowledged, so it answers that;
 *                    that had data, and the resetting end had sent its FIN: its socket was closed.
 *     after-close    the same, when both directions were closed.
 *     no-such-connection   answers a segment in the same way, and is neither of those.
 *     timeout        behind two or more repeats or questions that nobody answered.
 *     abort          any other. A close with unread data looks the same on the wire as SO_LINGER 0.
 *     unknown        the other end does not take it, as far as its number shows; no state changes.
 *
 * A number that is further away than four of the largest window (at least 4 MiB) is not believed until the next one
 * agrees with it: nothing is said of its segment. Fate is always FATE_UNKNOWN here: one place cannot tell. What is
 * watched at two places, both ends, is in course.h.
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
    uint64_t n_zero_windows;                                             /* times that its window closed */
    uint64_t n_probes, n_keep_alives, n_syns; /* that it sent; n_syns: with SYN-ACKs and repeats */
    uint32_t n_lost, n_thrown;                /* both ends watched: never arrived, or arrived and were not taken */
    uint32_t n_syns_lost, n_syns_thrown;      /* ... those of them with SYN */
    uint64_t n_syns_again;                    /* repeats of either */
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
    uint32_t stall_n_lost; /* both ends watched: so many of its copies, the first counted, were lost */
    int64_t rtt_min_ns, rtt_max_ns, rtt_sum_ns; /* of segments that it sent; to be read with n_rtt */
    uint64_t n_rtt;
};

struct conversation {
    uint64_t id;                                   /* from 1, never used twice */
    uint8_t protocol;                              /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t opening, ending;                       /* enum conversation_... */
    uint8_t reset_by, reset_cause;                 /* enum event_end, N_ENDS: none; enum reset_cause */
    uint8_t closed_first;                          /* enum event_end whose FIN came first; N_ENDS: none */
    bool begins_midway, tuple_reused, a_is_client; /* a_is_client: known, not guessed from ports */
    bool both_watched;                             /* at both ends: nothing in it is assumed (course.h) */
    uint32_t interface;
    uint32_t n_segments; /* the last one's number */
    int64_t first_ns, last_ns;
    int64_t syn_ns, syn_ack_ns, established_ns; /* 0: not seen */
    uint32_t n_syn_retries;                     /* of SYNs without ACK */
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
