/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/event/event.h"

#include "observe/event/event_json.h"
#include "observe/event/timeline.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/probe.h>
#include <sonde/url.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct sonde_address v4(uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {127, 0, 0, 1}};
}

static struct sonde_address v6(uint16_t port)
{
    return (struct sonde_address){.family = AF_INET6, .port = port, .u.ip = {[15] = 1}};
}

/* Written, read back and written again, both lines have to be the same: nothing is lost on the way. */
static struct event *there_and_back(const struct event *event, char ret_line[EVENT_JSON_MAX])
{
    static char again[EVENT_JSON_MAX];
    char why[128] = "";
    struct event *read = NULL;
    size_t n = event_json_write(event, ret_line, EVENT_JSON_MAX);
    assert_true(n > 0);
    assert_int_equal(ret_line[n - 1], '\n');
    if (event_json_read(ret_line, n, &read, why) != 0)
        fail_msg("%s: %s", why, ret_line);
    assert_int_equal(event_json_write(read, again, sizeof again), n);
    assert_string_equal(again, ret_line);
    return read;
}

static void segments_survive_json(void **state)
{
    char line[EVENT_JSON_MAX];
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_SEGMENT, .conn = 7, .t_ns = 1234567890123};
    event.segment = (struct event_segment){
        .source = v4(40488),
        .destination = v6(7007),
        .number = 4,
        .from = END_B,
        .fate = FATE_LOST,
        .state = {TCP_STATE_ESTABLISHED, TCP_STATE_SYN_RECV},
        .state_guess = {false, true},
        .flags = SEGMENT_PSH | SEGMENT_ACK | SEGMENT_AE,
        .seq_raw = UINT32_MAX,
        .ack_raw = 5,
        .seq = INT64_C(5000000000),
        .ack = 1,
        .n_bytes = 1448,
        .window_raw = 512,
        .window = 65536,
        .options = {.mss = 1460,
                    .window_scale = 0,
                    .sack_permitted = true,
                    .has_timestamps = true,
                    .ts_value = UINT32_MAX,
                    .n_sacks = 2,
                    .sack = {{1, 5}, {9, 11}}},
        .notes = NOTE_BIT(NOTE_AGAIN) | NOTE_BIT(NOTE_AGAIN_RTO) | NOTE_BIT(NOTE_FAST_OPEN),
        .again_of = 2,
        .n_repeat = 3,
        .reset_cause = RESET_UNREAD,
        .in_flight = 99,
        .rtt_ns = 10200000,
        .arrived_ns = 1234567890999,
        .packet = 12,
        .data = "a\0b\"\xff",
        .n_data = 5,
    };
    struct event *read = there_and_back(&event, line);
    const struct event_segment *segment = &read->segment;
    assert_non_null(strstr(line, "\"flags\":\"Pe.\""));
    assert_non_null(strstr(line, "\"notes\":[\"retransmission\",\"rto\",\"fast-open\"]"));
    assert_int_equal(read->conn, 7);
    assert_int_equal(read->t_ns, event.t_ns);
    assert_int_equal(segment->flags, event.segment.flags);
    assert_int_equal(segment->seq, event.segment.seq);
    assert_int_equal(segment->notes, event.segment.notes);
    assert_int_equal(segment->options.window_scale, 0);
    assert_int_equal(segment->options.sack[1].to, 11);
    assert_int_equal(segment->reset_cause, RESET_UNREAD);
    assert_int_equal(segment->destination.family, AF_INET6);
    assert_int_equal(segment->destination.port, 7007);
    assert_int_equal(segment->n_data, 5);
    assert_memory_equal(segment->data, "a\0b\"\xff", 5);
    free(read);
}

static void every_kind_survives_json(void **state)
{
    static char line[EVENT_JSON_MAX];
    struct event events[EVENT_N_KINDS] = {
        {.kind = EVENT_KIND_CONNECTION,
         .connection = {.protocol = IPPROTO_TCP,
                        .has_segments = true,
                        .realtime_ns = INT64_C(1795000000123456789),
                        .where = "capture \"lunch\".pcapng",
                        .netns_cookie = UINT64_MAX,
                        .end = {{.address = v4(1), .role = ROLE_CLIENT, .state = TCP_STATE_CLOSED, .program = "n\033c"},
                                {.address = v6(2), .role = ROLE_SERVER, .state = TCP_STATE_LISTEN, .pid = 4098}}}},
        {.kind = EVENT_KIND_CALL,
         .call = {.phase = CALL_END,
                  .operation = SONDE_OP_RECEIVE,
                  .end = END_B,
                  .fd = 4,
                  .number = 3,
                  .result = -ECONNRESET,
                  .start_ns = 5,
                  .arguments = "4, \"hello\", 5"}},
        {.kind = EVENT_KIND_SEGMENT, .segment = {.options.window_scale = -1}},
        {.kind = EVENT_KIND_DATAGRAM, .datagram = {.number = 1, .n_bytes = 5, .data = "hello", .n_data = 5}},
        {.kind = EVENT_KIND_ICMP, .icmp = {.version = 4, .type = 3, .code = 3, .words = "port unreachable"}},
        {.kind = EVENT_KIND_HANDSHAKE,
         .handshake = {.end = END_B,
                       .layer = SONDE_LAYER_WS,
                       .result = -ECONNRESET,
                       .start_ns = 7,
                       .agreed = "TLSv1.3, CN=\033[31m"}},
        {.kind = EVENT_KIND_MESSAGE,
         .message = {.kind = MESSAGE_CLOSE,
                     .from = END_B,
                     .end = END_A,
                     .compressed = true,
                     .joined = true,
                     .code = 1000,
                     .about = 4,
                     .number = 9,
                     .n_bytes = 5,
                     .rtt_ns = 1200000,
                     .data = "bye",
                     .n_data = 3}},
        {.kind = EVENT_KIND_STATE, .state = {END_B, TCP_STATE_FIN_WAIT_2, TCP_STATE_TIME_WAIT, true}},
        {.kind = EVENT_KIND_VALUES,
         .values = {.present = 1u << VALUE_RTO | 1u << VALUE_CWND, .changed = 1u << VALUE_RTO, .value = {212000}}},
        {.kind = EVENT_KIND_SENTENCE, .sentence = {'!', "refused", "Refused: nothing listens.", 2}},
        {.kind = EVENT_KIND_LOSS, .loss = {"packets", 12, "the capture's buffer was full"}},
    };
    events[EVENT_KIND_VALUES].values.value[VALUE_CWND] = 10;
    for (unsigned kind = 0; kind < EVENT_N_KINDS; kind++) {
        assert_int_equal(events[kind].kind, kind);
        struct event *read = there_and_back(&events[kind], line);
        assert_int_equal(read->kind, kind);
        assert_null(strchr(line, '\033'));
        free(read);
    }
}

static void handshakes_and_messages(void **state)
{
    (void)state;
    static char line[EVENT_JSON_MAX];
    char why[128];
    struct event event = {.kind = EVENT_KIND_HANDSHAKE, .source = EVENT_APP};
    event.handshake = (struct event_handshake){.end = END_B, .layer = SONDE_LAYER_TLS, .agreed = "TLSv1.3"};
    struct event *read = there_and_back(&event, line);
    assert_int_equal(read->handshake.layer, SONDE_LAYER_TLS);
    assert_int_equal(read->handshake.end, END_B);
    assert_string_equal(read->handshake.agreed, "TLSv1.3");
    free(read);
    for (unsigned kind = 0; kind < N_MESSAGE_KINDS; kind++) {
        event = (struct event){.kind = EVENT_KIND_MESSAGE, .source = EVENT_WIRE};
        event.message = (struct event_message){.kind = (uint8_t)kind, .from = END_B, .end = N_ENDS, .n_bytes = 77};
        event.message.words = kind == MESSAGE_MALFORMED ? "no comma" : NULL;
        read = there_and_back(&event, line);
        assert_int_equal(read->message.kind, kind);
        assert_int_equal(read->message.from, END_B);
        assert_int_equal(read->message.end, N_ENDS);
        assert_int_equal(read->message.n_bytes, 77);
        free(read);
    }
    static const char *const wrong[] = {
        "{\"event\":\"message\",\"t_ns\":1,\"from\":\"a\"}",
        "{\"event\":\"message\",\"t_ns\":1,\"kind\":\"text\"}",
        "{\"event\":\"message\",\"t_ns\":1,\"kind\":\"telegram\",\"from\":\"a\"}",
        "{\"event\":\"message\",\"t_ns\":1,\"kind\":\"text\",\"from\":\"a\",\"end\":\"c\"}",
        "{\"event\":\"handshake\",\"t_ns\":1,\"end\":\"a\"}",
        "{\"event\":\"handshake\",\"t_ns\":1,\"end\":\"a\",\"layer\":\"ssl\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(event_json_read(wrong[i], strlen(wrong[i]), &read, why), -EINVAL);
}

/* Whatever an address is written as is read back. */
static void addresses_of_every_family(void **state)
{
    (void)state;
    static char line[EVENT_JSON_MAX];
    struct event event = {.kind = EVENT_KIND_CONNECTION};
    event.connection.protocol = EVENT_PROTOCOL_VSOCK;
    event.connection.end[END_A].address = (struct sonde_address){.family = AF_VSOCK, .u.vsock = {3, 70000}};
    event.connection.end[END_B].address = (struct sonde_address){.family = AF_UNIX, .u.peer = {0, 1000}};
    struct event *read = there_and_back(&event, line);
    assert_int_equal(read->connection.protocol, EVENT_PROTOCOL_VSOCK);
    assert_int_equal(read->connection.end[END_A].address.u.vsock.cid, 3);
    assert_int_equal(read->connection.end[END_A].address.u.vsock.port, 70000);
    assert_int_equal(read->connection.end[END_B].address.u.peer.uid, 1000);
    free(read);
    event.connection.protocol = IPPROTO_SCTP;
    read = there_and_back(&event, line);
    assert_int_equal(read->connection.protocol, IPPROTO_SCTP);
    free(read);
}

static void bad_lines_are_refused_with_a_reason(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "[]",
        "{\"event\":\"nonsense\",\"t_ns\":1}",
        "{\"event\":\"segment\",\"from\":\"a\"}",
        "{\"event\":\"segment\",\"from\":\"c\",\"t_ns\":1}",
        "{\"event\":\"segment\",\"from\":\"a\",\"t_ns\":1.5}",
        "{\"event\":\"segment\",\"from\":\"a\",\"t_ns\":1,\"src\":\"nowhere\"}",
        "{\"event\":\"segment\",\"from\":\"a\",\"t_ns\":1,\"flags\":\"Z\"}",
        "{\"event\":\"segment\",\"from\":\"a\",\"t_ns\":1,\"window_raw\":65536}",
        "{\"event\":\"state\",\"t_ns\":1,\"end\":\"a\",\"before\":\"OPEN\"}",
        "{\"event\":\"call\",\"t_ns\":1,\"end\":\"a\",\"call\":\"fork\"}",
        "{\"event\":\"sentence\",\"t_ns\":1,\"mark\":\"?\",\"sentence\":\"x\"}",
        "{\"event\":\"loss\",\"t_ns\":1}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct event *event = NULL;
        char why[128] = "";
        assert_int_equal(event_json_read(lines[i], strlen(lines[i]), &event, why), -EINVAL);
        assert_null(event);
        assert_true(strlen(why) > 0);
    }
}

static void clones_own_their_texts(void **state)
{
    char name[] = "zero-window", text[] = "Stalled.";
    struct event event = {.kind = EVENT_KIND_SENTENCE, .sentence = {'!', name, text, 0}};
    struct event *clone = event_clone(&event);
    assert_non_null(clone);
    memset(name, 'x', sizeof name - 1);
    memset(text, 'x', sizeof text - 1);
    assert_string_equal(clone->sentence.name, "zero-window");
    assert_string_equal(clone->sentence.text, "Stalled.");
    free(clone);
}

static void flags_have_tcpdumps_letters(void **state)
{
    static const struct {
        unsigned flags;
        const char *text;
    } rows[] = {
        {SEGMENT_SYN, "S"},
        {SEGMENT_SYN | SEGMENT_ACK, "S."},
        {SEGMENT_ACK, "."},
        {SEGMENT_PSH | SEGMENT_ACK, "P."},
        {SEGMENT_FIN | SEGMENT_PSH | SEGMENT_ACK, "FP."},
        {SEGMENT_RST | SEGMENT_ACK, "R."},
        {0, "none"},
        {0x1ff, "SFRPUEWe."},
    };
    char text[12];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        segment_flags_text(rows[i].flags, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void states_are_found_however_they_are_spelled(void **state)
{
    assert_int_equal(tcp_state_find("ESTAB"), TCP_STATE_ESTABLISHED);
    assert_int_equal(tcp_state_find("established"), TCP_STATE_ESTABLISHED);
    assert_int_equal(tcp_state_find("syn-sent"), TCP_STATE_SYN_SENT);
    assert_int_equal(tcp_state_find("SYN_RECV"), TCP_STATE_SYN_RECV);
    assert_int_equal(tcp_state_find("fin-wait-1"), TCP_STATE_FIN_WAIT_1);
    assert_int_equal(tcp_state_find("FIN_WAIT2"), TCP_STATE_FIN_WAIT_2);
    assert_int_equal(tcp_state_find("time-wait"), TCP_STATE_TIME_WAIT);
    assert_int_equal(tcp_state_find("?"), TCP_N_STATES);
    assert_int_equal(tcp_state_find(""), TCP_N_STATES);
    assert_int_equal(tcp_state_find("ESTABLISHEDESTABLISHED"), TCP_N_STATES);
    for (unsigned i = TCP_STATE_CLOSED; i < TCP_N_STATES; i++)
        assert_int_equal(tcp_state_find(tcp_state_name(i)), i);
    assert_int_equal(tcp_state_of_kernel(1), TCP_STATE_ESTABLISHED);
    assert_int_equal(tcp_state_of_kernel(6), TCP_STATE_TIME_WAIT);
    assert_int_equal(tcp_state_of_kernel(12), TCP_STATE_SYN_RECV);
    assert_int_equal(tcp_state_of_kernel(99), TCP_STATE_UNKNOWN);
}

/* ---- the time line */

struct seen {
    int64_t t_ns[64];
    uint8_t kind[64];
    bool late[64];
    size_t n;
};

static void note(const struct event *event, void *user)
{
    struct seen *seen = user;
    assert_true(seen->n < 64);
    seen->t_ns[seen->n] = event->t_ns;
    seen->kind[seen->n] = event->kind;
    seen->late[seen->n++] = event->late;
}

static void push(struct timeline *line, enum event_kind kind, int64_t t_ns)
{
    struct event event = {.kind = (uint8_t)kind, .t_ns = t_ns};
    assert_int_equal(timeline_push(line, &event), 0);
}

static void events_are_held_and_put_in_order(void **state)
{
    struct seen seen = {.n = 0};
    struct timeline *line = timeline_new(50, 100, (struct timeline_sink){note, &seen});
    assert_int_equal(timeline_next_ns(line), INT64_MAX);
    push(line, EVENT_KIND_SEGMENT, 30);
    push(line, EVENT_KIND_SEGMENT, 10);
    push(line, EVENT_KIND_SEGMENT, 20);
    assert_int_equal(timeline_next_ns(line), 60);
    timeline_advance(line, 59);
    assert_int_equal(seen.n, 0);
    timeline_advance(line, 70);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.t_ns[0], 10);
    assert_int_equal(seen.t_ns[1], 20);
    timeline_flush(line);
    assert_int_equal(seen.n, 3);
    assert_int_equal(timeline_n_late(line), 0);
    timeline_free(line);
}

static void equal_times_are_ordered_by_cause(void **state)
{
    static const uint8_t wanted[] = {EVENT_KIND_CONNECTION, EVENT_KIND_CALL,   EVENT_KIND_SEGMENT, EVENT_KIND_SEGMENT,
                                     EVENT_KIND_STATE,      EVENT_KIND_VALUES, EVENT_KIND_CALL,    EVENT_KIND_SENTENCE};
    struct seen seen = {.n = 0};
    struct timeline *line = timeline_new(0, 100, (struct timeline_sink){note, &seen});
    struct event end = {.kind = EVENT_KIND_CALL, .call.phase = CALL_END};
    struct event begin = {.kind = EVENT_KIND_CALL, .call.phase = CALL_BEGIN};
    push(line, EVENT_KIND_SENTENCE, 0);
    assert_int_equal(timeline_push(line, &end), 0);
    push(line, EVENT_KIND_VALUES, 0);
    push(line, EVENT_KIND_STATE, 0);
    push(line, EVENT_KIND_SEGMENT, 0);
    push(line, EVENT_KIND_SEGMENT, 0);
    assert_int_equal(timeline_push(line, &begin), 0);
    push(line, EVENT_KIND_CONNECTION, 0);
    timeline_flush(line);
    assert_int_equal(seen.n, sizeof wanted);
    assert_memory_equal(seen.kind, wanted, sizeof wanted);
    timeline_free(line);
}

static void late_events_are_handed_on_marked_and_counted(void **state)
{
    struct seen seen = {.n = 0};
    struct timeline *line = timeline_new(10, 100, (struct timeline_sink){note, &seen});
    push(line, EVENT_KIND_SEGMENT, 100);
    timeline_advance(line, 110);
    push(line, EVENT_KIND_SEGMENT, 90);
    timeline_advance(line, 110);
    assert_int_equal(seen.n, 2);
    assert_false(seen.late[0]);
    assert_true(seen.late[1]);
    assert_int_equal(timeline_n_late(line), 1);
    timeline_free(line);
}

static void a_full_line_hands_on_its_oldest(void **state)
{
    struct seen seen = {.n = 0};
    struct timeline *line = timeline_new(1000, 4, (struct timeline_sink){note, &seen});
    for (int i = 8; i > 0; i--)
        push(line, EVENT_KIND_SEGMENT, i);
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.t_ns[0], 5);
    timeline_flush(line);
    assert_int_equal(seen.n, 8);
    assert_int_equal(timeline_n_lost(line), 0);
    assert_true(timeline_n_late(line) > 0);
    timeline_free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_survive_json),
        cmocka_unit_test(every_kind_survives_json),
        cmocka_unit_test(handshakes_and_messages),
        cmocka_unit_test(addresses_of_every_family),
        cmocka_unit_test(bad_lines_are_refused_with_a_reason),
        cmocka_unit_test(clones_own_their_texts),
        cmocka_unit_test(flags_have_tcpdumps_letters),
        cmocka_unit_test(states_are_found_however_they_are_spelled),
        cmocka_unit_test(events_are_held_and_put_in_order),
        cmocka_unit_test(equal_times_are_ordered_by_cause),
        cmocka_unit_test(late_events_are_handed_on_marked_and_counted),
        cmocka_unit_test(a_full_line_hands_on_its_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
