/* SPDX-License-Identifier: MIT */
/* Time lines composed by hand: what a ladder is to make of them stands in ladder/NAME-WIDTH.txt. */
#ifndef TESTS_UNIT_LADDER_SCENES_H
#define TESTS_UNIT_LADDER_SCENES_H

#include "observe/ladder/ladder.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/probe.h>
#include <sonde/url.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SCENE_EVENTS_MAX 160
#define SCENE_ORIGIN_NS INT64_C(5000000000000)
/* 2026-11-21 10:04:11.302118 UTC */
#define SCENE_REALTIME_NS INT64_C(1795255451302118000)

struct scene {
    const char *name;
    bool compact;
    struct event events[SCENE_EVENTS_MAX];
    size_t n_events;
    uint64_t conn;
    uint32_t n_segments;
    uint64_t n_calls;
    uint8_t state[N_ENDS];
};

static inline struct event *scene_add(struct scene *scene, int64_t us, enum event_kind kind)
{
    struct event *event = &scene->events[scene->n_events++];
    if (scene->n_events > SCENE_EVENTS_MAX)
        abort();
    *event = (struct event){.kind = (uint8_t)kind, .conn = scene->conn, .t_ns = SCENE_ORIGIN_NS + us * NS_PER_US};
    return event;
}

static inline struct sonde_address scene_ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {a, b, c, d}};
}

static inline struct event_connection *scene_begin(struct scene *scene, const char *name, struct sonde_address a,
                                                   struct sonde_address b, const char *where)
{
    scene->name = name;
    if (scene->conn == 0)
        scene->conn = 1;
    scene->n_segments = 0;
    struct event_connection *connection = &scene_add(scene, 0, EVENT_KIND_CONNECTION)->connection;
    connection->protocol = IPPROTO_TCP;
    connection->has_segments = true;
    connection->where = where;
    connection->end[END_A].address = a;
    connection->end[END_B].address = b;
    connection->end[END_A].role = ROLE_CLIENT;
    connection->end[END_B].role = ROLE_SERVER;
    connection->end[END_A].state = TCP_STATE_CLOSED;
    connection->end[END_B].state = TCP_STATE_LISTEN;
    scene->state[END_A] = TCP_STATE_CLOSED;
    scene->state[END_B] = TCP_STATE_LISTEN;
    return connection;
}

static inline void scene_program(struct event_connection *connection, enum event_end end, const char *program,
                                 int32_t pid)
{
    connection->end[end].program = program;
    connection->end[end].pid = pid;
    connection->end[end].calls_seen = true;
}

/* Both ends' states after it; 0: as before. */
static inline struct event_segment *scene_segment(struct scene *scene, int64_t us, enum event_end from, unsigned flags,
                                                  uint64_t seq, uint32_t n_bytes, uint64_t ack, uint64_t window,
                                                  enum tcp_state state_a, enum tcp_state state_b)
{
    struct event_segment *segment = &scene_add(scene, us, EVENT_KIND_SEGMENT)->segment;
    segment->number = ++scene->n_segments;
    segment->from = (uint8_t)from;
    segment->flags = (uint16_t)flags;
    segment->seq = seq;
    segment->ack = ack;
    segment->seq_raw = 1829340012u + (uint32_t)seq;
    segment->ack_raw = 4000000000u + (uint32_t)ack;
    segment->n_bytes = n_bytes;
    segment->window = window;
    segment->options.window_scale = -1;
    if (state_a != TCP_STATE_UNKNOWN)
        scene->state[END_A] = (uint8_t)state_a;
    if (state_b != TCP_STATE_UNKNOWN)
        scene->state[END_B] = (uint8_t)state_b;
    memcpy(segment->state, scene->state, sizeof segment->state);
    return segment;
}

static inline void scene_again(struct event_segment *segment, uint64_t notes, uint32_t again_of, uint32_t n_repeat)
{
    segment->notes |= notes;
    segment->again_of = again_of;
    segment->n_repeat = n_repeat;
}

static inline void scene_data(struct event_segment *segment, const char *text)
{
    segment->data = text;
    segment->n_data = (uint32_t)strlen(text);
}

static inline struct event_call *scene_call(struct scene *scene, int64_t us, enum event_end end,
                                            enum event_call_phase phase, enum sonde_operation operation, int fd,
                                            int64_t result)
{
    struct event_call *call = &scene_add(scene, us, EVENT_KIND_CALL)->call;
    call->phase = (uint8_t)phase;
    call->operation = (uint8_t)operation;
    call->end = (uint8_t)end;
    call->fd = fd;
    call->result = result;
    /* One call of each kind at an end is open at once in these scenes. */
    call->number = phase == CALL_WHOLE ? 1000000 + ++scene->n_calls
                                       : (uint64_t)fd * 1000 + (uint64_t)operation * 10 + (uint64_t)end + 1;
    return call;
}

static inline void scene_send(struct event_call *call, uint64_t n_bytes)
{
    call->n_bytes = n_bytes;
}

static inline void scene_received(struct event_call *call, const char *text)
{
    call->data = text;
    call->n_data = (uint32_t)strlen(text);
}

static inline struct event_values *scene_values(struct scene *scene, int64_t us, enum event_end end)
{
    struct event_values *values = &scene_add(scene, us, EVENT_KIND_VALUES)->values;
    values->end = (uint8_t)end;
    return values;
}

static inline void scene_value(struct event_values *values, enum event_value value, int64_t n)
{
    values->value[value] = n;
    values->present |= 1u << value;
    values->changed |= 1u << value;
}

static inline void scene_state(struct scene *scene, int64_t us, enum event_end end, enum tcp_state after)
{
    struct event_state *state = &scene_add(scene, us, EVENT_KIND_STATE)->state;
    state->end = (uint8_t)end;
    state->before = scene->state[end];
    state->after = (uint8_t)after;
    scene->state[end] = (uint8_t)after;
}

static inline void scene_sentence(struct scene *scene, int64_t us, char mark, uint32_t about, const char *text)
{
    struct event_sentence *sentence = &scene_add(scene, us, EVENT_KIND_SENTENCE)->sentence;
    sentence->mark = mark;
    sentence->about = about;
    sentence->name = "test";
    sentence->text = text;
}

#define S SEGMENT_SYN
#define F SEGMENT_FIN
#define P SEGMENT_PSH
#define R SEGMENT_RST
#define ACK SEGMENT_ACK
#define STATE(name) TCP_STATE_##name
#define SAME TCP_STATE_UNKNOWN

/* Handshake, one message, close in four segments. */
static inline void scene_a(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "a", scene_ip(127, 0, 0, 1, 40488), scene_ip(127, 0, 0, 1, 7007), "lo");
    connection->realtime_ns = SCENE_REALTIME_NS;
    scene_program(connection, END_A, "nc", 4121);
    scene_program(connection, END_B, "sonde", 4098);
    scene_call(scene, -12400000, END_B, CALL_BEGIN, SONDE_OP_ACCEPT, 3, 0);
    scene_call(scene, 0, END_A, CALL_BEGIN, SONDE_OP_CONNECT, 3, 0);
    scene_segment(scene, 11, END_A, S, 0, 0, 0, 65495, STATE(SYN_SENT), STATE(SYN_RECV))->options.mss = 65495;
    scene_segment(scene, 18, END_B, S | ACK, 0, 0, 1, 65483, STATE(ESTABLISHED), SAME)->options.mss = 65495;
    scene_segment(scene, 25, END_A, ACK, 1, 0, 1, 65536, SAME, STATE(ESTABLISHED));
    scene_call(scene, 34, END_A, CALL_END, SONDE_OP_CONNECT, 3, 0);
    scene_call(scene, 41, END_B, CALL_END, SONDE_OP_ACCEPT, 3, 4);
    scene_call(scene, 52, END_B, CALL_BEGIN, SONDE_OP_RECEIVE, 4, 0);
    scene_send(scene_call(scene, 98, END_A, CALL_BEGIN, SONDE_OP_SEND, 3, 0), 5);
    scene_data(scene_segment(scene, 104, END_A, P | ACK, 1, 5, 1, 65536, SAME, SAME), "hello");
    scene_segment(scene, 109, END_B, ACK, 1, 0, 6, 65536, SAME, SAME);
    scene_send(scene_call(scene, 113, END_A, CALL_END, SONDE_OP_SEND, 3, 5), 5);
    scene_received(scene_call(scene, 128, END_B, CALL_END, SONDE_OP_RECEIVE, 4, 5), "hello");
    scene_call(scene, 139, END_B, CALL_BEGIN, SONDE_OP_RECEIVE, 4, 0);
    scene_call(scene, 2140, END_A, CALL_BEGIN, SONDE_OP_CLOSE, 3, 0);
    scene_segment(scene, 2146, END_A, F | ACK, 6, 0, 1, 65536, STATE(FIN_WAIT_1), STATE(CLOSE_WAIT));
    scene_call(scene, 2152, END_A, CALL_END, SONDE_OP_CLOSE, 3, 0);
    scene_call(scene, 2171, END_B, CALL_END, SONDE_OP_RECEIVE, 4, 0);
    scene_segment(scene, 2702, END_B, ACK, 1, 0, 7, 65536, STATE(FIN_WAIT_2), SAME);
    scene_call(scene, 250310, END_B, CALL_BEGIN, SONDE_OP_CLOSE, 4, 0);
    scene_segment(scene, 250317, END_B, F | ACK, 1, 0, 7, 65536, STATE(TIME_WAIT), STATE(LAST_ACK));
    scene_segment(scene, 250323, END_A, ACK, 7, 0, 2, 65536, SAME, STATE(CLOSED));
    scene_call(scene, 250329, END_B, CALL_END, SONDE_OP_CLOSE, 4, 0);
    scene_state(scene, 60340412, END_A, STATE(CLOSED));
    scene_sentence(scene, 60340412, '=', 0,
                   "5 bytes →, 0 ←; 9 segments, none lost; opened by handshake in 25 us; closed in 4 segments, client "
                   "first: the client held TIME_WAIT 60.09 s");
}

static inline void scene_b_copy(struct scene *scene, int64_t us, uint64_t timer, uint32_t n_repeat,
                                enum segment_fate fate)
{
    struct event_segment *segment = scene_segment(scene, us, END_A, P | ACK, 1, 5, 1, 64512, SAME, SAME);
    scene_data(segment, "hello");
    scene_again(segment, NOTE_BIT(NOTE_AGAIN) | timer, 4, n_repeat);
    segment->fate = (uint8_t)fate;
}

static inline void scene_b_values(struct scene *scene, int64_t us, int64_t rto_ms, int64_t cwnd)
{
    struct event_values *values = scene_values(scene, us, END_A);
    scene_value(values, VALUE_RTO, rto_ms * 1000);
    scene_value(values, VALUE_CWND, cwnd);
}

/* A message lost three times, repaired by timers. */
static inline void scene_b(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "b", scene_ip(10, 0, 0, 1, 40488), scene_ip(10, 0, 0, 2, 7007),
                    "wire: 5 ms each way, a→b drop data #1-#3");
    scene_program(connection, END_A, "nc", 4121);
    scene_program(connection, END_B, "sonde", 4098);
    connection->end[END_A].captured_here = connection->end[END_B].captured_here = true;
    scene_call(scene, 0, END_A, CALL_BEGIN, SONDE_OP_CONNECT, 3, 0);
    scene_segment(scene, 30, END_A, S, 0, 0, 0, 64240, STATE(SYN_SENT), STATE(SYN_RECV))->options.mss = 1460;
    scene_segment(scene, 5112, END_B, S | ACK, 0, 0, 1, 65160, STATE(ESTABLISHED), SAME)->options.mss = 1460;
    scene_segment(scene, 10231, END_A, ACK, 1, 0, 1, 64512, SAME, STATE(ESTABLISHED));
    scene_b_values(scene, 10240, 212, 10);
    scene_call(scene, 10248, END_A, CALL_END, SONDE_OP_CONNECT, 3, 0);
    scene_call(scene, 15340, END_B, CALL_BEGIN, SONDE_OP_RECEIVE, 4, 0);
    scene_send(scene_call(scene, 20410, END_A, CALL_BEGIN, SONDE_OP_SEND, 3, 0), 5);
    struct event_segment *segment = scene_segment(scene, 20420, END_A, P | ACK, 1, 5, 1, 64512, SAME, SAME);
    scene_data(segment, "hello");
    segment->fate = FATE_LOST;
    scene_send(scene_call(scene, 20431, END_A, CALL_END, SONDE_OP_SEND, 3, 5), 5);
    scene_b_copy(scene, 232508, NOTE_BIT(NOTE_AGAIN_TLP), 1, FATE_LOST);
    scene_b_copy(scene, 444612, NOTE_BIT(NOTE_AGAIN_RTO), 2, FATE_LOST);
    scene_b_values(scene, 444620, 424, 1);
    scene_b_copy(scene, 868790, NOTE_BIT(NOTE_AGAIN_RTO), 3, FATE_ARRIVED);
    scene_b_values(scene, 868799, 848, 1);
    scene_received(scene_call(scene, 873914, END_B, CALL_END, SONDE_OP_RECEIVE, 4, 5), "hello");
    scene_segment(scene, 873921, END_B, ACK, 1, 0, 6, 65536, SAME, SAME);
    scene_b_values(scene, 874000, 212, 2);
    scene_sentence(scene, 874000, '!', 0,
                   "Segment #4 was lost on the wire, and so were its first two repeats. It was the only one in flight, "
                   "so no later segment could raise duplicate ACKs: only timers could repair it. Tail probe after 212 "
                   "ms, then RTO after 212 and 424 ms (doubling); #7 got through.");
    scene_sentence(scene, 874000, '=', 0,
                   "5 bytes → reached the server 853 ms after send() had returned; 3 retransmissions (1 tail probe, 2 "
                   "RTO); rtt 10.2 ms; still open");
}

/* The same, seen at both ends. */
static inline void scene_h(struct scene *scene)
{
    scene_b(scene);
    scene->name = "h";
    for (size_t i = 0; i < scene->n_events; i++) {
        struct event *event = &scene->events[i];
        if (event->kind == EVENT_KIND_SEGMENT && event->segment.fate != FATE_LOST)
            event->segment.arrived_ns = event->t_ns + 5080 * NS_PER_US;
    }
}

static inline void scene_c_probe(struct scene *scene, int64_t us, uint32_t n_repeat)
{
    struct event_segment *segment = scene_segment(scene, us, END_A, ACK, 4344, 0, 1, 64512, SAME, SAME);
    segment->notes = NOTE_BIT(NOTE_WINDOW_PROBE);
    segment->n_repeat = n_repeat;
}

/* Zero window. */
static inline void scene_c(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "c", scene_ip(10, 0, 0, 1, 40490), scene_ip(10, 0, 0, 2, 7007),
                    "wire: 5 ms each way; server rcvbuf=4096");
    scene_program(connection, END_A, "nc", 4133);
    scene_program(connection, END_B, "slow", 4130);
    scene_segment(scene, 0, END_A, S, 0, 0, 0, 64240, STATE(SYN_SENT), STATE(SYN_RECV))->options.mss = 1460;
    scene_segment(scene, 5084, END_B, S | ACK, 0, 0, 1, 2896, STATE(ESTABLISHED), SAME)->options.mss = 1460;
    scene_segment(scene, 10190, END_A, ACK, 1, 0, 1, 64512, SAME, STATE(ESTABLISHED));
    scene_call(scene, 15307, END_B, CALL_WHOLE, SONDE_OP_ACCEPT, 3, 4);
    scene_send(scene_call(scene, 20402, END_A, CALL_BEGIN, SONDE_OP_SEND, 3, 0), 8000);
    scene_send(scene_call(scene, 20410, END_A, CALL_END, SONDE_OP_SEND, 3, 8000), 8000);
    scene_segment(scene, 20415, END_A, ACK, 1, 1448, 1, 64512, SAME, SAME);
    scene_value(scene_values(scene, 20416, END_A), VALUE_SEND_QUEUE, 8000);
    scene_segment(scene, 20419, END_A, ACK, 1449, 1448, 1, 64512, SAME, SAME);
    scene_segment(scene, 25561, END_B, ACK, 1, 0, 2897, 1448, SAME, SAME);
    scene_value(scene_values(scene, 25562, END_B), VALUE_RECEIVE_QUEUE, 2896);
    scene_segment(scene, 30650, END_A, ACK, 2897, 1448, 1, 64512, SAME, SAME);
    scene_value(scene_values(scene, 30651, END_A), VALUE_SEND_QUEUE, 5104);
    scene_segment(scene, 35770, END_B, ACK, 1, 0, 4345, 0, SAME, SAME)->notes = NOTE_BIT(NOTE_ZERO_WINDOW);
    scene_value(scene_values(scene, 35771, END_A), VALUE_SEND_QUEUE, 3656);
    scene_value(scene_values(scene, 35772, END_B), VALUE_RECEIVE_QUEUE, 4344);
    scene_c_probe(scene, 252961, 1);
    scene_segment(scene, 258033, END_B, ACK, 1, 0, 4345, 0, SAME, SAME);
    scene_c_probe(scene, 687120, 2);
    scene_sentence(scene, 687120, '-', 11, "no answer: replies to probes are limited to one in 500 ms");
    scene_c_probe(scene, 1535210, 3);
    scene_segment(scene, 1540288, END_B, ACK, 1, 0, 4345, 0, SAME, SAME);
    scene_call(scene, 2100310, END_B, CALL_WHOLE, SONDE_OP_RECEIVE, 4, 4344);
    scene_segment(scene, 2100322, END_B, ACK, 1, 0, 4345, 2896, SAME, SAME);
    scene_value(scene_values(scene, 2100323, END_B), VALUE_RECEIVE_QUEUE, 0);
    scene_segment(scene, 2105420, END_A, ACK, 4345, 1448, 1, 64512, SAME, SAME);
    scene_sentence(scene, 2105420, '!', 0,
                   "Stalled 2.06 s because the server did not read: from 0.036 s it advertised window 0, with 4,344 "
                   "bytes waiting in its Recv-Q and 3,656 here in Send-Q. Not the network: every probe arrived. It "
                   "ended when slow[4130] called recv() at 2.100 s.");
}

/* Refused. */
static inline void scene_d(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "d", scene_ip(127, 0, 0, 1, 40492), scene_ip(127, 0, 0, 1, 7008), "lo");
    scene_program(connection, END_A, "nc", 4140);
    connection->end[END_B].state = STATE(CLOSED);
    scene->state[END_B] = STATE(CLOSED);
    scene_call(scene, 0, END_A, CALL_BEGIN, SONDE_OP_CONNECT, 3, 0);
    scene_segment(scene, 13, END_A, S, 0, 0, 0, 65495, STATE(SYN_SENT), SAME)->options.mss = 65495;
    struct event_segment *segment = scene_segment(scene, 19, END_B, R | ACK, 0, 0, 1, 0, STATE(CLOSED), SAME);
    segment->notes = NOTE_BIT(NOTE_REFUSED) | NOTE_BIT(NOTE_RESET);
    segment->reset_cause = RESET_REFUSED;
    scene_call(scene, 27, END_A, CALL_END, SONDE_OP_CONNECT, 3, -ECONNREFUSED);
    scene_sentence(scene, 27, '!', 0,
                   "Refused: 127.0.0.1 is there and answered in 6 us, but nothing listens on port 7008. Try: sonde "
                   "watch listening");
}

static inline void scene_d2_retry(struct scene *scene, int64_t us, uint32_t n_repeat, enum segment_fate fate,
                                  enum tcp_state state_b)
{
    struct event_segment *segment = scene_segment(scene, us, END_A, S, 0, 0, 0, 65495, SAME, state_b);
    segment->options.mss = 65495;
    scene_again(segment, NOTE_BIT(NOTE_SYN_RETRY), 1, n_repeat);
    segment->fate = (uint8_t)fate;
}

/* A full accept queue. */
static inline void scene_d2(struct scene *scene)
{
    scene->compact = true;
    struct event_connection *connection = scene_begin(
        scene, "d2", scene_ip(127, 0, 0, 1, 40498), scene_ip(127, 0, 0, 1, 7009), "lo; listener backlog 1; --compact");
    scene_program(connection, END_A, "nc", 4152);
    scene_program(connection, END_B, "slow", 4130);
    scene_call(scene, 0, END_A, CALL_BEGIN, SONDE_OP_CONNECT, 3, 0);
    struct event_segment *segment = scene_segment(scene, 12, END_A, S, 0, 0, 0, 65495, STATE(SYN_SENT), SAME);
    segment->options.mss = 65495;
    segment->fate = FATE_THROWN;
    struct event_values *values = scene_values(scene, 14, END_B);
    scene_value(values, VALUE_ACCEPT_QUEUE, 2);
    scene_value(values, VALUE_ACCEPT_LIMIT, 1);
    scene_sentence(scene, 14, '-', 1, "dropped at the full queue, no answer");
    scene_d2_retry(scene, 1017204, 1, FATE_THROWN, SAME);
    scene_d2_retry(scene, 2041190, 2, FATE_THROWN, SAME);
    scene_d2_retry(scene, 3065226, 3, FATE_THROWN, SAME);
    scene_call(scene, 3402118, END_B, CALL_WHOLE, SONDE_OP_ACCEPT, 3, 5);
    scene_d2_retry(scene, 4089215, 4, FATE_ARRIVED, STATE(SYN_RECV));
    scene_segment(scene, 4089223, END_B, S | ACK, 0, 0, 1, 65483, STATE(ESTABLISHED), SAME)->options.mss = 65495;
    scene_segment(scene, 4089231, END_A, ACK, 1, 0, 1, 65536, SAME, STATE(ESTABLISHED));
    scene_call(scene, 4089240, END_A, CALL_END, SONDE_OP_CONNECT, 3, 0);
    scene_sentence(scene, 4089240, '!', 0,
                   "connect() took 4.09 s: the accept queue of :7009 was full (limit 1 holds 2), so the kernel dropped "
                   "4 SYNs without an answer. accept() at 3.402 s made room; the next SYN retry got in. Remedy: accept "
                   "faster, or a larger backlog.");
}

/* A capture only, from the middle of a connection. */
static inline void scene_e(struct scene *scene)
{
    struct event_connection *connection = scene_begin(scene, "e", scene_ip(192, 168, 1, 20, 52114),
                                                      scene_ip(198, 51, 100, 7, 80), "capture lunch.pcapng");
    connection->begins_midway = true;
    connection->end[END_A].captured_here = true;
    connection->end[END_A].state = connection->end[END_B].state = STATE(UNKNOWN);
    scene->state[END_A] = scene->state[END_B] = STATE(ESTABLISHED);
    struct event_segment *segment = scene_segment(scene, 0, END_A, P | ACK, 1, 78, 1, 64256, SAME, SAME);
    scene_data(segment, "GET / HTTP/1.1\r\nHost: www.example.net\r\nUser-Agent: curl/7.88.1");
    segment->notes = NOTE_BIT(NOTE_MIDWAY);
    segment->state_guess[END_A] = segment->state_guess[END_B] = true;
    scene_segment(scene, 90114, END_B, ACK, 1, 0, 79, 65280, SAME, SAME);
    scene_segment(scene, 91480, END_B, P | ACK, 1449, 652, 79, 65280, SAME, SAME)->notes = NOTE_BIT(NOTE_HOLE);
    segment = scene_segment(scene, 91502, END_A, ACK, 79, 0, 1, 64256, SAME, SAME);
    segment->options.n_sacks = 1;
    segment->options.sack[0].from = 1449;
    segment->options.sack[0].to = 2101;
    scene_segment(scene, 204110, END_B, ACK, 1, 1448, 79, 65280, SAME, SAME)->notes = NOTE_BIT(NOTE_FILLS_HOLE);
    scene_segment(scene, 204139, END_A, ACK, 79, 0, 2101, 63488, SAME, SAME);
    scene_segment(scene, 204402, END_B, F | ACK, 2101, 0, 79, 65280, STATE(CLOSE_WAIT), STATE(FIN_WAIT_1));
    scene_segment(scene, 204620, END_A, F | ACK, 79, 0, 2102, 63488, STATE(LAST_ACK), STATE(TIME_WAIT));
    scene_segment(scene, 294518, END_B, ACK, 2102, 0, 80, 65280, STATE(CLOSED), SAME);
    scene_sentence(scene, 294518, 'i', 0,
                   "States are inferred from segments seen at the client; the server's are as of sending. Calls and "
                   "kernel values: not in a capture; use sonde trace --pid or sonde serve --trace.");
    scene_sentence(
        scene, 294518, '=', 0,
        "78 bytes →, 2,100 ←; 1 hole repaired after 113 ms (1.25 round trips: by SACK and RACK, not by RTO); "
        "closed in 3 segments by the server, which holds TIME_WAIT");
}

/* Calls and kernel only. */
static inline void scene_f(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "f", scene_ip(127, 0, 0, 1, 40488), scene_ip(127, 0, 0, 1, 7007), NULL);
    connection->has_segments = false;
    connection->end[END_A].program = "nc";
    connection->end[END_A].state = STATE(UNKNOWN);
    scene_program(connection, END_B, "sonde", 4098);
    scene_call(scene, -12400000, END_B, CALL_BEGIN, SONDE_OP_ACCEPT, 3, 0);
    scene_call(scene, 38, END_B, CALL_END, SONDE_OP_ACCEPT, 3, 4);
    scene_state(scene, 45, END_B, STATE(ESTABLISHED));
    scene_state(scene, 45, END_A, STATE(ESTABLISHED));
    struct event_values *values = scene_values(scene, 45, END_B);
    scene_value(values, VALUE_RTO, 200000);
    scene_value(values, VALUE_RTT, 20);
    scene_value(values, VALUE_CWND, 10);
    scene_received(scene_call(scene, 131, END_B, CALL_WHOLE, SONDE_OP_RECEIVE, 4, 5), "hello");
    scene_send(scene_call(scene, 152, END_B, CALL_WHOLE, SONDE_OP_SEND, 4, 5), 5);
    values = scene_values(scene, 160, END_B);
    scene_value(values, VALUE_BYTES_ACKED, 5);
    scene_value(values, VALUE_BYTES_RECEIVED, 5);
    scene_call(scene, 171, END_B, CALL_BEGIN, SONDE_OP_RECEIVE, 4, 0);
    scene_call(scene, 13402, END_B, CALL_END, SONDE_OP_RECEIVE, 4, 0);
    scene_state(scene, 13409, END_B, STATE(CLOSE_WAIT));
    scene_call(scene, 13431, END_B, CALL_WHOLE, SONDE_OP_CLOSE, 4, 0);
    scene_state(scene, 13470, END_B, STATE(CLOSED));
    scene_state(scene, 20160, END_A, STATE(TIME_WAIT));
    scene_sentence(scene, 20160, 'i', 0,
                   "No segments: capturing on lo needs CAP_NET_RAW. To permit it: sudo setcap cap_net_raw+ep "
                   "/usr/local/libexec/sonde-capture   The client's states are polled every 20 ms: short ones "
                   "(FIN_WAIT_1, FIN_WAIT_2) are missed, and times are when seen.");
}

static inline void scene_crossing(struct scene *scene, int64_t us, enum event_end from, unsigned flags, uint64_t seq,
                                  uint64_t ack, int64_t flight_us, enum tcp_state state_a, enum tcp_state state_b)
{
    struct event_segment *segment = scene_segment(scene, us, from, flags, seq, 0, ack, 65536, state_a, state_b);
    segment->arrived_ns = SCENE_ORIGIN_NS + (us + flight_us) * NS_PER_US;
    segment->fate = FATE_ARRIVED;
}

/* Simultaneous close: both FINs on their way at once. */
static inline void scene_g(struct scene *scene)
{
    struct event_connection *connection =
        scene_begin(scene, "g", scene_ip(10, 0, 0, 1, 40500), scene_ip(10, 0, 0, 2, 7007), "wire: 5 ms each way");
    connection->end[END_A].captured_here = connection->end[END_B].captured_here = true;
    scene_program(connection, END_A, "nc", 4121);
    scene_program(connection, END_B, "sonde", 4098);
    scene_crossing(scene, 0, END_A, S, 0, 0, 5000, STATE(SYN_SENT), STATE(SYN_RECV));
    scene_crossing(scene, 5020, END_B, S | ACK, 0, 1, 5000, STATE(ESTABLISHED), SAME);
    scene_crossing(scene, 10040, END_A, ACK, 1, 1, 5000, SAME, STATE(ESTABLISHED));
    scene_call(scene, 100000, END_A, CALL_BEGIN, SONDE_OP_CLOSE, 3, 0);
    scene_crossing(scene, 100010, END_A, F | ACK, 1, 1, 5000, STATE(FIN_WAIT_1), STATE(ESTABLISHED));
    scene->events[scene->n_events - 1].segment.state[END_B] = STATE(CLOSING);
    scene_call(scene, 100020, END_A, CALL_END, SONDE_OP_CLOSE, 3, 0);
    scene_call(scene, 101000, END_B, CALL_BEGIN, SONDE_OP_CLOSE, 4, 0);
    scene_crossing(scene, 101010, END_B, F | ACK, 1, 1, 5000, STATE(CLOSING), STATE(FIN_WAIT_1));
    scene_call(scene, 101020, END_B, CALL_END, SONDE_OP_CLOSE, 4, 0);
    scene_crossing(scene, 105030, END_B, ACK, 2, 2, 5000, STATE(TIME_WAIT), STATE(CLOSING));
    scene_crossing(scene, 106030, END_A, ACK, 2, 2, 5000, STATE(CLOSING), STATE(TIME_WAIT));
    scene_sentence(scene, 111030, '=', 0, "0 bytes; closed by both ends at once");
}

static void (*const scene_makers[])(struct scene *) = {scene_a, scene_b, scene_c, scene_d, scene_d2,
                                                       scene_e, scene_f, scene_g, scene_h};
#define N_SCENES (sizeof scene_makers / sizeof scene_makers[0])

#undef S
#undef F
#undef P
#undef R
#undef ACK
#undef STATE
#undef SAME

/* What a ladder writes, in memory. */
struct written {
    char *text;
    size_t n_bytes, n_room;
};

static inline void written_add(const char *text, size_t n_bytes, void *user)
{
    struct written *written = user;
    if (written->n_bytes + n_bytes + 1 > written->n_room) {
        written->n_room = 2 * (written->n_bytes + n_bytes + 1);
        written->text = realloc(written->text, written->n_room);
        if (!written->text)
            abort();
    }
    memcpy(written->text + written->n_bytes, text, n_bytes);
    written->n_bytes += n_bytes;
    written->text[written->n_bytes] = '\0';
}

static inline struct written scene_render(const struct scene *scene, const struct ladder_options *options)
{
    struct written written = {0};
    written_add("", 0, &written);
    struct ladder *ladder = ladder_new(options, written_add, &written);
    if (!ladder)
        abort();
    for (size_t i = 0; i < scene->n_events; i++)
        ladder_event(ladder, &scene->events[i]);
    ladder_finish(ladder);
    ladder_free(ladder);
    return written;
}

#endif
