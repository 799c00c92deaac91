/* SPDX-License-Identifier: MIT */
/*
 * A conversation told to the tracker segment by segment, for its tests: relative numbers, as the ladder shows them.
 * Each segment comes 10 us after the one before, unless time is let pass.
 */
#ifndef TRACK_TALK_H
#define TRACK_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/track/track.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { F = SEGMENT_FIN, S = SEGMENT_SYN, R = SEGMENT_RST, P = SEGMENT_PSH, K = SEGMENT_ACK, U = SEGMENT_URG };
enum { MSS = 1460, SCALE = 7, WINDOW = 502 }; /* 502 * 128 = 64256 */
#define STEP_NS (10 * NS_PER_US)
#define N(name) NOTE_BIT(NOTE_##name)

static struct {
    struct tracker *tracker;
    int64_t t_ns;
    uint32_t isn[N_ENDS];
    uint16_t port[N_ENDS];
    uint16_t window[N_ENDS];
    uint32_t interface;
    uint64_t n_packets;
    struct segment_options syn_options;
    struct segment_options options; /* of the next segment */
    uint16_t trouble;               /* of the next segment */
    uint32_t ip_id;                 /* of the next segment */
    const void *payload;            /* of the next segment */
    struct conversation *conv;      /* the last segment's */
    struct event_segment last;
    struct event_datagram datagram;
    struct event_icmp icmp;
    unsigned n_opened, n_segments, n_datagrams, n_icmps, n_forgotten;
    uint64_t forgotten[16];   /* ids */
    struct conversation gone; /* the last that was forgotten */
    char followed[N_ENDS][256];
    size_t n_followed[N_ENDS];
    uint64_t n_missing[N_ENDS];
    uint8_t opened_state[N_ENDS];
} talk;

static void on_opened(struct conversation *conversation, int64_t t_ns, void *user)
{
    assert_ptr_equal(user, &talk);
    assert_true(t_ns <= talk.t_ns);
    talk.n_opened++;
    talk.opened_state[END_A] = conversation->side[END_A].state;
    talk.opened_state[END_B] = conversation->side[END_B].state;
}

static void on_segment(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user)
{
    assert_ptr_equal(user, &talk);
    assert_int_equal(conversation->last_ns, t_ns);
    assert_int_equal(segment->number, conversation->n_segments);
    talk.n_segments++;
    talk.last = *segment;
}

static void on_datagram(struct conversation *conversation, int64_t t_ns, const struct event_datagram *datagram,
                        void *user)
{
    (void)conversation, (void)t_ns, (void)user;
    talk.n_datagrams++;
    talk.datagram = *datagram;
}

static void on_icmp(struct conversation *conversation, int64_t t_ns, const struct event_icmp *icmp, void *user)
{
    (void)conversation, (void)t_ns, (void)user;
    talk.n_icmps++;
    talk.icmp = *icmp;
}

static void on_data(struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    (void)conversation, (void)t_ns, (void)push, (void)user;
    assert_true(n_bytes > 0);
    if (talk.n_followed[from] + n_bytes < sizeof talk.followed[from])
        memcpy(talk.followed[from] + talk.n_followed[from], data, n_bytes);
    talk.n_followed[from] += n_bytes;
    talk.n_missing[from] += n_missing;
}

static void on_forgotten(struct conversation *conversation, int64_t t_ns, void *user)
{
    (void)t_ns, (void)user;
    talk.gone = *conversation;
    if (talk.n_forgotten < 16)
        talk.forgotten[talk.n_forgotten] = conversation->id;
    talk.n_forgotten++;
}

static const struct track_handler talk_handler = {
    .opened = on_opened,
    .segment = on_segment,
    .datagram = on_datagram,
    .icmp = on_icmp,
    .data = on_data,
    .forgotten = on_forgotten,
};

static inline struct segment_options no_options(void)
{
    return (struct segment_options){.window_scale = -1};
}

static inline void talk_begin_with(size_t n_max)
{
    memset(&talk, 0, sizeof talk);
    talk.tracker = tracker_new(n_max, &talk_handler, &talk);
    assert_non_null(talk.tracker);
    talk.t_ns = 1000 * NS_PER_S;
    talk.isn[END_A] = 1000;
    talk.isn[END_B] = 700000;
    talk.port[END_A] = 40488;
    talk.port[END_B] = 7007;
    talk.window[END_A] = talk.window[END_B] = WINDOW;
    talk.syn_options = (struct segment_options){.mss = MSS, .window_scale = SCALE, .sack_permitted = true};
    talk.options = no_options();
}

static inline void talk_begin(void)
{
    talk_begin_with(100);
}

static inline void talk_end(void)
{
    tracker_free(talk.tracker);
    talk.tracker = NULL;
}

static inline void pass(int64_t ns)
{
    talk.t_ns += ns;
}

static inline struct decoded talk_packet(enum event_end from, uint8_t protocol)
{
    struct decoded packet = {
        .depth = DECODE_TRANSPORT,
        .network = DECODE_IPV4,
        .protocol = protocol,
        .ttl = 64,
        .source_port = talk.port[from],
        .destination_port = talk.port[other_end(from)],
        .options = no_options(),
    };
    memcpy(packet.source.bytes, from == END_A ? "\x0a\0\0\1" : "\x0a\0\0\2", 4);
    memcpy(packet.destination.bytes, from == END_A ? "\x0a\0\0\2" : "\x0a\0\0\1", 4);
    return packet;
}

static inline struct conversation *talk_give(const struct decoded *packet)
{
    talk.t_ns += STEP_NS;
    return tracker_packet(talk.tracker, talk.t_ns, ++talk.n_packets, talk.interface, packet);
}

/* Numbers count from each end's isn; ack is left out without K. */
static inline const struct event_segment *say(enum event_end from, unsigned flags, uint64_t seq, uint64_t ack,
                                              uint32_t n_payload)
{
    static const char zeros[65536];
    struct decoded packet = talk_packet(from, IPPROTO_TCP);

    packet.seq = talk.isn[from] + (uint32_t)seq;
    packet.ack = flags & K ? talk.isn[other_end(from)] + (uint32_t)ack : 0;
    packet.flags = (uint16_t)flags;
    packet.window = flags & R ? 0 : flags & S ? 64240 : talk.window[from];
    packet.options = flags & S ? talk.syn_options : talk.options;
    packet.n_payload = packet.n_payload_captured = n_payload;
    packet.payload = talk.payload ? talk.payload : (const uint8_t *)zeros;
    packet.trouble = talk.trouble;
    packet.ip_id = talk.ip_id;
    talk.ip_id = 0;
    talk.options = no_options();
    talk.payload = NULL;
    talk.trouble = 0;
    talk.conv = talk_give(&packet);
    assert_non_null(talk.conv);
    return &talk.last;
}

/* The next segment SACKs from..to of the peer's. */
static inline void sack(enum event_end from, uint64_t first, uint64_t last)
{
    uint32_t isn = talk.isn[other_end(from)];
    unsigned n = talk.options.n_sacks++;
    talk.options.sack[n].from = isn + (uint32_t)first;
    talk.options.sack[n].to = isn + (uint32_t)last;
}

static inline void print_notes(const char *what, uint64_t notes)
{
    print_error("%s:", what);
    for (unsigned each = 0; each < N_NOTES; each++) {
        if (has_note(notes, each))
            print_error(" %s", segment_note_name(each));
    }
    print_error("\n");
}

static inline void expect_at(int line, enum tcp_state a, enum tcp_state b, uint64_t notes)
{
    bool right = talk.last.state[END_A] == a && talk.last.state[END_B] == b && talk.last.notes == notes;
    if (right)
        return;
    print_error("line %d: states are %s and %s, should be %s and %s\n", line, tcp_state_name(talk.last.state[END_A]),
                tcp_state_name(talk.last.state[END_B]), tcp_state_name(a), tcp_state_name(b));
    print_notes("notes are", talk.last.notes);
    print_notes("should be", notes);
    fail();
}

/* Both ends' states, and all the notes there are. */
#define expect(a, b, notes) expect_at(__LINE__, TCP_STATE_##a, TCP_STATE_##b, notes)
#define expect_open(notes) expect(ESTABLISHED, ESTABLISHED, notes)

static inline void handshake(void)
{
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, 0);
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, 0);
    say(END_A, K, 1, 1, 0);
    expect(ESTABLISHED, ESTABLISHED, 0);
}

/* The same, with a round trip of ns. */
static inline void handshake_over(int64_t ns)
{
    say(END_A, S, 0, 0, 0);
    pass(ns);
    say(END_B, S | K, 0, 1, 0);
    say(END_A, K, 1, 1, 0);
    assert_int_equal(talk.conv->opening, OPENED_HANDSHAKE);
}

#endif
