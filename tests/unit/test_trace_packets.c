/* SPDX-License-Identifier: MIT */
/* Packets into events: which, in what order, with which numbers; and what is concluded, when. As everywhere, events go
 * through a time line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/event/timeline.h"
#include "packet_make.h"
#include "trace/packets.h"

#include <stdlib.h>

#define EVENTS_MAX 256
#define SETTLE_NS (20 * NS_PER_MS)

static struct {
    struct packets *packets;
    struct timeline *line;
    int64_t t_ns;
    struct made_packet made;
    struct packets_result result;
    struct event *events[EVENTS_MAX];
    unsigned n_events, n_seen; /* n_seen: those that the test has looked at */
    struct conversation over[16];
    unsigned n_over;
    uint64_t next_number;
    char followed[N_ENDS][64];
    size_t n_followed[N_ENDS];
} scene;

static void on_event(const struct event *event, void *user)
{
    assert_ptr_equal(user, &scene);
    assert_int_equal(timeline_push(scene.line, event), 0);
}

static void on_ordered(const struct event *event, void *user)
{
    assert_false(event->late);
    assert_true(scene.n_events < EVENTS_MAX);
    scene.events[scene.n_events] = event_clone(event);
    assert_non_null(scene.events[scene.n_events++]);
}

static uint64_t on_number(const struct conversation *conversation, int64_t t_ns, void *user)
{
    assert_int_equal(t_ns, conversation->first_ns);
    return scene.next_number++;
}

static void on_data(const struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    assert_true(scene.n_followed[from] + n_bytes <= sizeof scene.followed[from]);
    memcpy(scene.followed[from] + scene.n_followed[from], data, n_bytes);
    scene.n_followed[from] += n_bytes;
}

static void on_conversation(const struct conversation *conversation, void *user)
{
    assert_true(scene.n_over < 16);
    scene.over[scene.n_over++] = *conversation;
}

static void begin_with(struct packets_owner owner)
{
    memset(&scene, 0, sizeof scene);
    scene.t_ns = 1000 * NS_PER_S;
    owner.user = &scene;
    scene.line = timeline_new(TIMELINE_HOLD_NS, 1000, (struct timeline_sink){on_ordered, NULL});
    assert_non_null(scene.line);
    scene.packets = packets_new(&owner);
    assert_non_null(scene.packets);
}

static const struct packets_owner from_file = {
    .event = on_event, .conversation = on_conversation, .sentences = true, .where = "capture x.pcap"};
static const struct packets_owner live = {
    .event = on_event, .conversation = on_conversation, .sentences = true, .settle_ns = SETTLE_NS, .where = "lo"};

/* All that there is to be told by now. */
static void tell(void)
{
    if (scene.packets)
        packets_release(scene.packets);
    timeline_flush(scene.line);
}

static int end(void **state)
{
    packets_free(scene.packets);
    timeline_free(scene.line);
    scene.packets = NULL;
    scene.line = NULL;
    for (unsigned i = 0; i < scene.n_events; i++)
        free(scene.events[i]);
    scene.n_events = 0;
    return 0;
}

static void send_bytes(const struct tuple *tuple, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                       const char *payload)
{
    scene.t_ns += 10 * NS_PER_US;
    make_packet(&scene.made, tuple, from, flags, seq, ack, payload, payload ? (uint32_t)strlen(payload) : 0);
    packets_packet(scene.packets, scene.t_ns, &scene.made.packet, &scene.result);
}

/* The next event that the test has not looked at. */
static const struct event *next(enum event_kind kind, uint64_t conn)
{
    tell();
    assert_true(scene.n_seen < scene.n_events);
    const struct event *event = scene.events[scene.n_seen++];
    if (event->kind != kind)
        fail_msg("%s, and should be %s", event_kind_name(event->kind), event_kind_name(kind));
    assert_int_equal(event->conn, conn);
    return event;
}

static const struct event_segment *next_segment(uint64_t conn, enum event_end from, unsigned flags)
{
    const struct event *event = next(EVENT_KIND_SEGMENT, conn);
    assert_int_equal(event->t_ns, scene.t_ns);
    assert_int_equal(event->segment.from, from);
    assert_int_equal(event->segment.flags, flags);
    assert_ptr_not_equal(scene.result.segment, NULL);
    assert_int_equal(event->segment.packet, scene.made.packet.number);
    assert_int_equal(scene.result.segment->number, event->segment.number);
    return &event->segment;
}

static void next_sentence(uint64_t conn, char mark, const char *name)
{
    const struct event *event = next(EVENT_KIND_SENTENCE, conn);
    assert_int_equal(event->source, EVENT_VERDICT);
    assert_int_equal(event->sentence.mark, mark);
    assert_string_equal(event->sentence.name, name);
    assert_true(strlen(event->sentence.text) > 0);
}

/* Conclusions of that connection, if they are next. */
static void next_sentences(uint64_t conn)
{
    tell();
    while (scene.n_seen < scene.n_events && scene.events[scene.n_seen]->kind == EVENT_KIND_SENTENCE)
        next(EVENT_KIND_SENTENCE, conn);
}

static void no_more(void)
{
    tell();
    if (scene.n_seen < scene.n_events)
        fail_msg("there is more: %s", event_kind_name(scene.events[scene.n_seen]->kind));
}

static void handshake(const struct tuple *tuple)
{
    send_bytes(tuple, END_A, S, 0, 0, NULL);
    send_bytes(tuple, END_B, S | K, 0, 1, NULL);
    send_bytes(tuple, END_A, K, 1, 1, NULL);
}

/* "hello" is echoed, and the client closes first. */
static void talk(const struct tuple *tuple)
{
    handshake(tuple);
    send_bytes(tuple, END_A, P | K, 1, 1, "hello");
    send_bytes(tuple, END_B, P | K, 1, 6, "HELLO");
    send_bytes(tuple, END_A, K, 6, 6, NULL);
}

static void close_in_3(const struct tuple *tuple)
{
    send_bytes(tuple, END_A, F | K, 6, 6, NULL);
    send_bytes(tuple, END_B, F | K, 6, 7, NULL);
    send_bytes(tuple, END_A, K, 7, 7, NULL);
}

static const struct tuple tuple = {.port = {40000, 7007}, .isn = {UINT32_MAX - 2, 5000}};

static void a_conversation_in_order(void **state)
{
    begin_with(from_file);
    send_bytes(&tuple, END_A, S, 0, 0, NULL);
    const struct event *event = next(EVENT_KIND_CONNECTION, 1);
    const struct event_connection *connection = &event->connection;
    assert_int_equal(event->source, EVENT_WIRE);
    assert_int_equal(event->t_ns, scene.t_ns);
    assert_int_equal(connection->protocol, IPPROTO_TCP);
    assert_true(connection->has_segments && !connection->begins_midway);
    assert_int_equal(connection->realtime_ns, 0); /* nobody said */
    assert_string_equal(connection->where, "capture x.pcap");
    assert_int_equal(connection->end[END_A].address.port, 40000);
    assert_int_equal(connection->end[END_B].address.port, 7007);
    assert_int_equal(connection->end[END_A].role, ROLE_CLIENT);
    assert_int_equal(connection->end[END_A].state, TCP_STATE_CLOSED);
    assert_int_equal(connection->end[END_B].role, ROLE_SERVER);
    assert_int_equal(connection->end[END_B].state, TCP_STATE_LISTEN);
    const struct event_segment *segment = next_segment(1, END_A, S);
    assert_int_equal(segment->source.port, 40000);
    assert_int_equal(segment->destination.port, 7007);
    assert_int_equal(segment->seq_raw, UINT32_MAX - 2);
    send_bytes(&tuple, END_B, S | K, 0, 1, NULL);
    next_segment(1, END_B, S | K);
    send_bytes(&tuple, END_A, K, 1, 1, NULL);
    next_segment(1, END_A, K);
    send_bytes(&tuple, END_A, P | K, 1, 1, "hello");
    segment = next_segment(1, END_A, P | K);
    assert_int_equal(segment->number, 4);
    assert_int_equal(segment->seq, 1);
    assert_int_equal(segment->n_bytes, 5);
    assert_memory_equal(segment->data, "hello", 5);
    send_bytes(&tuple, END_B, F | K, 1, 6, NULL);
    next_segment(1, END_B, F | K);
    send_bytes(&tuple, END_A, F | K, 6, 2, NULL);
    next_segment(1, END_A, F | K);
    no_more();
    send_bytes(&tuple, END_B, K, 2, 7, NULL);
    next_segment(1, END_B, K);
    next_sentence(1, '=', "summary"); /* from a file: at once */
    no_more();
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);
    packets_finish(scene.packets);
    no_more();
    assert_int_equal(scene.n_over, 1);
    assert_int_equal(scene.over[0].ending, ENDED_IN_3);
}

/* One end closes, resets, and begins again on the same port: three connections, each with a number of its own, though
 * no second has passed. */
static void a_tuple_three_times(void **state)
{
    begin_with(live);
    for (uint64_t conn = 1; conn <= 3; conn++) {
        struct tuple again = tuple;
        again.isn[END_A] += (uint32_t)conn * 100000;
        again.isn[END_B] += (uint32_t)conn * 70000;
        talk(&again);
        send_bytes(&again, END_A, R | K, 6, 6, NULL);
        next_sentences(conn - 1);
        next(EVENT_KIND_CONNECTION, conn);
        for (unsigned number = 1; number <= 7; number++) {
            next_sentences(conn - 1); /* at the same moment as the first segment that replaces it */
            assert_int_equal(next(EVENT_KIND_SEGMENT, conn)->segment.number, number);
        }
        no_more();
    }
    packets_finish(scene.packets);
    assert_int_equal(scene.n_over, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(scene.over[i].n_segments, 7);
        assert_int_equal(scene.over[i].ending, ENDED_RESET);
        assert_int_equal(scene.over[i].side[END_A].n_unique_bytes, 5);
    }
    unsigned n_summaries[4] = {0};
    tell();
    for (unsigned i = 0; i < scene.n_events; i++) {
        const struct event *event = scene.events[i];
        if (event->kind == EVENT_KIND_SENTENCE && event->sentence.mark == '=')
            n_summaries[event->conn]++;
    }
    for (unsigned conn = 1; conn <= 3; conn++)
        assert_int_equal(n_summaries[conn], 1);
}

/* Live, what the last segment made happen is still to come: the conclusion waits for it. */
static void conclusions_settle(void **state)
{
    begin_with(live);
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);
    talk(&tuple);
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);
    close_in_3(&tuple);
    int64_t over_ns = scene.t_ns;
    for (unsigned i = 0; i < 10; i++)
        next(i == 0 ? EVENT_KIND_CONNECTION : EVENT_KIND_SEGMENT, 1);
    no_more();
    assert_int_equal(packets_next_ns(scene.packets), over_ns + SETTLE_NS);
    packets_idle(scene.packets, over_ns + SETTLE_NS - 1);
    no_more();
    packets_idle(scene.packets, over_ns + SETTLE_NS);
    next_sentence(1, '=', "summary");
    assert_int_equal(scene.events[scene.n_seen - 1]->t_ns, over_ns + SETTLE_NS);
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);

    /* The last FIN comes again: a segment, and nothing that was concluded is said a second time. */
    scene.t_ns += NS_PER_S;
    send_bytes(&tuple, END_B, F | K, 6, 7, NULL);
    next_segment(1, END_B, F | K);
    send_bytes(&tuple, END_A, K, 7, 7, NULL);
    next_segment(1, END_A, K);
    packets_idle(scene.packets, scene.t_ns + 10 * NS_PER_S);
    no_more();
    packets_finish(scene.packets);
    no_more();
}

/* In trouble and quiet: judged once, though it is still open; then over, with its summary. */
static void trouble_is_told_when_it_is_quiet(void **state)
{
    begin_with(live);
    handshake(&tuple);
    send_bytes(&tuple, END_A, P | K, 1, 1, "hello");
    for (int again = 0; again < 3; again++) {
        scene.t_ns += (200 * NS_PER_MS) << again;
        send_bytes(&tuple, END_A, P | K, 1, 1, "hello");
    }
    int64_t due_ns = packets_next_ns(scene.packets);
    assert_true(due_ns > scene.t_ns && due_ns < INT64_MAX);
    tell();
    unsigned n_before = scene.n_events;
    packets_idle(scene.packets, due_ns - 1);
    tell();
    assert_int_equal(scene.n_events, n_before);
    packets_idle(scene.packets, due_ns);
    tell();
    assert_true(scene.n_events > n_before);
    for (unsigned i = n_before; i < scene.n_events; i++) {
        assert_int_equal(scene.events[i]->kind, EVENT_KIND_SENTENCE);
        assert_int_not_equal(scene.events[i]->sentence.mark, '=');
    }
    /* Quiet as before: nothing to be said again. */
    n_before = scene.n_events;
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);
    packets_idle(scene.packets, due_ns + 100 * NS_PER_S);
    tell();
    assert_int_equal(scene.n_events, n_before);
    packets_finish(scene.packets);
    timeline_flush(scene.line);
    assert_int_equal(scene.events[scene.n_events - 1]->sentence.mark, '=');
}

/* The owner numbers connections as it likes; 0 is not told, but counted all the same. */
static void numbers_of_the_owner(void **state)
{
    struct packets_owner owner = live;
    owner.number = on_number;
    begin_with(owner);
    scene.next_number = 0;
    talk(&tuple); /* 0 */
    no_more();
    assert_non_null(scene.result.conversation);
    struct tuple other = tuple;
    other.port[END_A]++;
    talk(&other); /* 1 */
    next(EVENT_KIND_CONNECTION, 1);
    for (unsigned i = 0; i < 6; i++)
        next(EVENT_KIND_SEGMENT, 1);
    no_more();
    packets_finish(scene.packets);
    timeline_flush(scene.line);
    while (scene.n_seen < scene.n_events)
        next(EVENT_KIND_SENTENCE, 1);
    assert_int_equal(scene.n_over, 2);
}

static void the_wall_clock_beside(void **state)
{
    struct packets_owner owner = live;
    owner.has_realtime = true;
    owner.realtime_minus_ns = 7 * NS_PER_S;
    begin_with(owner);
    struct tuple other = tuple;
    send_bytes(&other, END_A, S, 0, 0, NULL);
    assert_int_equal(next(EVENT_KIND_CONNECTION, 1)->connection.realtime_ns, scene.t_ns + 7 * NS_PER_S);
    next_segment(1, END_A, S);
    packets_set_offset(scene.packets, -NS_PER_S);
    other.port[END_A]++;
    send_bytes(&other, END_A, S, 0, 0, NULL);
    assert_int_equal(next(EVENT_KIND_CONNECTION, 2)->connection.realtime_ns, scene.t_ns - NS_PER_S);
}

static void midway_and_strangers(void **state)
{
    begin_with(from_file);
    send_bytes(&tuple, END_B, P | K, 100, 50, "midway");
    const struct event *event = next(EVENT_KIND_CONNECTION, 1);
    assert_true(event->connection.begins_midway);
    assert_int_equal(event->connection.end[END_A].state, TCP_STATE_UNKNOWN);
    next_segment(1, scene.result.segment->from, P | K);
    static const uint8_t junk[] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 89, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1};
    const struct packet stranger = {
        .data = junk, .n_captured = sizeof junk, .n_wire = sizeof junk, .link_type = LINK_RAW};
    packets_packet(scene.packets, scene.t_ns, &stranger, &scene.result);
    assert_null(scene.result.conversation);
    assert_null(scene.result.segment);
    no_more();
    struct tracker_counts counts;
    uint64_t n_lost;
    packets_counts(scene.packets, &counts, &n_lost);
    assert_int_equal(counts.n_packets, 2);
    assert_int_equal(counts.n_other, 1);
    assert_int_equal(n_lost, 0);
    packets_packet(scene.packets, scene.t_ns, &stranger, NULL); /* nobody wants to know */
}

static void payload_in_order(void **state)
{
    struct packets_owner owner = from_file;
    owner.data = on_data;
    owner.event = NULL; /* --follow alone */
    begin_with(owner);
    handshake(&tuple);
    send_bytes(&tuple, END_A, P | K, 4, 1, "lo");
    send_bytes(&tuple, END_A, P | K, 1, 1, "hel");
    send_bytes(&tuple, END_B, P | K, 1, 6, "yes");
    assert_int_equal(scene.n_events, 0);
    assert_int_equal(scene.n_followed[END_A], 5);
    assert_memory_equal(scene.followed[END_A], "hello", 5);
    assert_int_equal(scene.n_followed[END_B], 3);
    packets_finish(scene.packets);
    assert_int_equal(scene.n_over, 1);
    assert_int_equal(scene.n_events, 0);
}

/* ---- recorded events */

static void same_side(const struct conversation_side *one, const struct conversation_side *other)
{
    assert_int_equal(one->address.port, other->address.port);
    assert_memory_equal(one->address.u.ip, other->address.u.ip, 16);
    assert_int_equal(one->state, other->state);
    assert_int_equal(one->isn, other->isn);
    assert_int_equal(one->window_scale, other->window_scale);
    assert_int_equal(one->mss, other->mss);
    assert_int_equal(one->sack_permitted, other->sack_permitted);
#define SAME(member) assert_int_equal(one->member, other->member)
    SAME(n_packets), SAME(n_bytes), SAME(n_unique_bytes), SAME(n_again), SAME(n_again_rto), SAME(n_again_fast);
    SAME(n_again_tlp), SAME(n_again_spurious), SAME(n_again_bytes), SAME(n_out_of_order), SAME(n_duplicate_acks);
    SAME(n_holes), SAME(n_missing_bytes), SAME(n_zero_windows), SAME(n_probes), SAME(n_keep_alives), SAME(n_syns);
    SAME(in_flight), SAME(in_flight_max), SAME(window), SAME(n_rtt), SAME(rtt_min_ns), SAME(rtt_max_ns);
    SAME(rtt_sum_ns), SAME(stall_ns);
}

static void same_conversation(const struct conversation *one, const struct conversation *other)
{
    SAME(id), SAME(protocol), SAME(opening), SAME(ending), SAME(reset_by), SAME(reset_cause), SAME(closed_first);
    SAME(begins_midway), SAME(tuple_reused), SAME(a_is_client), SAME(n_segments), SAME(first_ns), SAME(last_ns);
    SAME(syn_ns), SAME(syn_ack_ns), SAME(established_ns), SAME(n_syn_retries), SAME(n_offload), SAME(n_checksum_bad);
    SAME(n_cut), SAME(n_seen_twice);
    for (int side = 0; side < N_ENDS; side++)
        same_side(&one->side[side], &other->side[side]);
}

/* Of all that can be in a segment: repeats, holes, a copy at another interface, damage. */
static void a_bad_day(void)
{
    struct tuple second = tuple;
    talk(&tuple);
    send_bytes(&tuple, END_A, P | K, 11, 6, "out of order");
    send_bytes(&tuple, END_B, K, 6, 6, NULL);
    scene.t_ns += 300 * NS_PER_MS;
    send_bytes(&tuple, END_A, P | K, 6, 6, "what?");
    send_bytes(&tuple, END_B, K, 6, 23, NULL);
    close_in_3(&tuple);
    second.port[END_A]++;
    talk(&second);
    send_bytes(&second, END_B, P | K, 6, 6, "left the card");
    scene.made.packet.interface = 1;
    scene.made.packet.number++;
    packets_packet(scene.packets, scene.t_ns, &scene.made.packet, &scene.result); /* and arrived: the same packet */
    make_packet(&scene.made, &second, END_A, P | K, 6, 19, "cut off", 7);
    scene.made.packet.n_captured -= 3;
    packets_packet(scene.packets, scene.t_ns, &scene.made.packet, &scene.result);
    make_packet(&scene.made, &second, END_A, P | K, 13, 19, "damaged", 7);
    scene.made.data[36] ^= 0x55; /* of the checksum, which is looked at */
    scene.made.packet.checksum_left = false;
    packets_packet(scene.packets, scene.t_ns, &scene.made.packet, &scene.result);
    second.isn[END_A] += 1000000;
    second.isn[END_B] += 1000000;
    handshake(&second);
    send_bytes(&second, END_B, R | K, 1, 1, NULL);
}

/* What was recorded as events is counted as it was when it was seen. */
static void replayed_as_it_was(void **state)
{
    struct packets_owner owner = from_file;
    owner.checksums = true;
    begin_with(owner);
    a_bad_day();
    packets_finish(scene.packets);
    timeline_flush(scene.line);
    packets_free(scene.packets);
    scene.packets = NULL;
    struct conversation before[16];
    unsigned n_before = scene.n_over;
    memcpy(before, scene.over, sizeof before);
    assert_int_equal(n_before, 3);
    assert_int_equal(before[0].id, 2); /* it made room for the third */
    assert_int_equal(before[0].n_seen_twice, 1);
    assert_int_equal(before[0].n_cut, 1);
    assert_int_equal(before[0].n_checksum_bad, 1);
    assert_true(before[1].side[END_A].n_again > 0 && before[1].side[END_A].n_holes > 0);
    assert_int_equal(before[2].ending, ENDED_RESET);

    scene.n_over = 0;
    unsigned n_recorded = scene.n_events;
    scene.packets = packets_new(&(struct packets_owner){.conversation = on_conversation, .user = &scene});
    assert_non_null(scene.packets);
    for (unsigned i = 0; i < n_recorded; i++) {
        if (scene.events[i]->kind == EVENT_KIND_SEGMENT)
            packets_segment(scene.packets, scene.events[i]->t_ns, &scene.events[i]->segment);
    }
    packets_finish(scene.packets);
    assert_int_equal(scene.n_events, n_recorded);
    assert_int_equal(scene.n_over, n_before);
    for (unsigned i = 0; i < n_before; i++)
        same_conversation(&before[i], &scene.over[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_conversation_in_order, end),
        cmocka_unit_test_teardown(a_tuple_three_times, end),
        cmocka_unit_test_teardown(conclusions_settle, end),
        cmocka_unit_test_teardown(trouble_is_told_when_it_is_quiet, end),
        cmocka_unit_test_teardown(numbers_of_the_owner, end),
        cmocka_unit_test_teardown(the_wall_clock_beside, end),
        cmocka_unit_test_teardown(midway_and_strangers, end),
        cmocka_unit_test_teardown(payload_in_order, end),
        cmocka_unit_test_teardown(replayed_as_it_was, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
