/* SPDX-License-Identifier: MIT */
/* Datagrams with many peers of one socket, and what is spoken above connections: which conversation each belongs to. */
#include "trace_scene.h"

#include <errno.h>
#include <sonde/url.h>
#include <sys/socket.h>

/* ---- datagrams */

static void datagram(const struct tuple *of, enum event_end from, const char *payload)
{
    struct sonde_address source = address_of(of, from), destination = address_of(of, other_end(from));
    uint32_t n_payload = (uint32_t)strlen(payload), n_bytes = 28 + n_payload;
    uint8_t *at = scene.made.data;
    pass(10 * US);
    memset(at, 0, n_bytes);
    at = put16(at, 0x4500);
    at = put16(at, n_bytes);
    at = put16(at, (uint32_t)scene.made.packet.number + 1);
    at = put16(at, 0x4000);
    at = put16(at, 64 << 8 | IPPROTO_UDP);
    at = put16(at, 0);
    memcpy(at, source.u.ip, 4);
    memcpy(at + 4, destination.u.ip, 4);
    at = put16(at + 8, source.port);
    at = put16(at, destination.port);
    at = put16(at, 8 + n_payload);
    at = put16(at, 0);
    memcpy(at, payload, n_payload);
    scene.made.packet = (struct packet){.number = scene.made.packet.number + 1,
                                        .data = scene.made.data,
                                        .n_captured = n_bytes,
                                        .n_wire = n_bytes,
                                        .link_type = LINK_RAW,
                                        .checksum_left = true};
    packets_packet(scene.session->packets, scene.t_ns, &scene.made.packet, NULL);
}

/* A call of the listening socket that names the peer; bound to any address. */
static void with_peer(enum sonde_operation operation, uint64_t stream, const struct sonde_address *peer, uint64_t key,
                      bool is_unix)
{
    struct program_call *call = new_call(operation, 1, 0, 5);
    call->stream = stream;
    call->is_datagram = call->has_protocol = true;
    call->protocol = is_unix ? 0 : IPPROTO_UDP;
    call->is_unix = is_unix;
    call->peer_key = key;
    call->peer = *peer;
    call->has_addresses = !is_unix;
    call->local = (struct sonde_address){.family = AF_INET, .port = 7007};
    give(call);
}

static void opened_socket(void)
{
    struct program_call *call = new_call(SONDE_OP_SOCKET, 1, US, 101);
    call->stream = 0;
    call->is_datagram = call->has_protocol = true;
    call->protocol = IPPROTO_UDP;
    give(call);
}

static void many_peers_of_one_socket(void **state)
{
    (void)state;
    struct tuple other = tuple;
    other.port[END_A] = 40001;
    struct sonde_address peer[] = {address_of(&tuple, END_A), address_of(&other, END_A)};
    begin(ROLE_SERVER);
    opened_socket();
    called(SONDE_OP_BIND, 1, US, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2; i++) {
            datagram(i == 0 ? &tuple : &other, END_A, "hello");
            with_peer(SONDE_OP_RECEIVE, 10 + i, &peer[i], 100 + i, false);
            with_peer(SONDE_OP_SEND, 10 + i, &peer[i], 100 + i, false);
        }
    }
    struct program_call *nobody = new_call(SONDE_OP_RECEIVE, 1, 0, -EAGAIN);
    nobody->stream = 0;
    give(nobody);
    show();
    introduced_first();
    for (uint64_t conn = 1; conn <= 2; conn++) {
        const struct event_connection *connection = introduction(conn);
        assert_int_equal(connection->protocol, IPPROTO_UDP);
        assert_int_equal(connection->end[END_A].address.port, 40000 + conn - 1);
        assert_int_equal(connection->end[END_B].role, ROLE_SERVER);
        assert_int_equal(n_of(EVENT_KIND_DATAGRAM, conn), 3);
        assert_int_equal(n_of(EVENT_KIND_CALL, conn), 6);
    }
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 3), 0);
    for (unsigned i = 0; i < scene.n_shown; i++)
        assert_true(scene.shown[i]->kind != EVENT_KIND_CALL || scene.shown[i]->conn == 0 ||
                    scene.shown[i]->call.end == END_B);
    assert_int_equal(n_of(EVENT_KIND_CALL, 0), 2 + 1); /* socket, bind, and what was of nobody */
}

/* More than the table begins with; a peer whose stream was closed and who comes again is another conversation. */
static void hundreds_of_peers(void **state)
{
    (void)state;
    begin_without_packets(ROLE_SERVER);
    opened_socket();
    for (unsigned round = 0; round < 2; round++) {
        for (uint16_t i = 0; i < 150; i++) {
            struct tuple one = tuple;
            one.port[END_A] = (uint16_t)(20000 + i);
            struct sonde_address peer = address_of(&one, END_A);
            with_peer(SONDE_OP_RECEIVE, 10 + i, &peer, 1000 + i, false);
        }
    }
    struct sonde_address peer = address_of(&tuple, END_A);
    peer.port = 20000;
    with_peer(SONDE_OP_RECEIVE, 900, &peer, 1000, false);
    show();
    for (uint64_t conn = 1; conn <= 150; conn++)
        assert_int_equal(n_of(EVENT_KIND_CALL, conn), 2);
    assert_int_equal(introduction(150)->end[END_A].address.port, 20149);
    assert_int_equal(n_of(EVENT_KIND_CALL, 151), 1);
    assert_int_equal(introduction(151)->end[END_A].address.port, 20000);
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 152), 0);
}

static void unix_datagrams(void **state)
{
    (void)state;
    static const struct sonde_address peer = {.family = AF_UNIX};
    begin_without_packets(ROLE_SERVER);
    opened_socket();
    for (unsigned round = 0; round < 2; round++) {
        with_peer(SONDE_OP_RECEIVE, 10, &peer, 501, true);
        with_peer(SONDE_OP_RECEIVE, 11, &peer, 503, true);
    }
    show();
    introduced_first();
    for (uint64_t conn = 1; conn <= 2; conn++) {
        assert_int_equal(introduction(conn)->protocol, 0);
        assert_int_equal(n_of(EVENT_KIND_CALL, conn), 2);
    }
}

/* ---- above */

static void above(const struct event *event, uint64_t cookie)
{
    struct program_call *call = new_call(SONDE_OP_SEND, cookie, 0, 0);
    struct event own = *event;
    own.source = EVENT_APP;
    own.t_ns = scene.t_ns;
    free(call->event);
    call->event = event_clone(&own);
    assert_non_null(call->event);
    give(call);
}

static void message(enum message_kind kind, bool out, const char *data, uint64_t cookie)
{
    struct event event = {.kind = EVENT_KIND_MESSAGE};
    event.message = (struct event_message){.kind = (uint8_t)kind,
                                           .from = out ? END_A : END_B,
                                           .end = END_A,
                                           .n_bytes = strlen(data),
                                           .data = data,
                                           .n_data = (uint32_t)strlen(data)};
    above(&event, cookie);
}

static const struct event_message *shown_message(unsigned which)
{
    for (unsigned i = 0; i < scene.n_shown; i++) {
        if (scene.shown[i]->kind == EVENT_KIND_MESSAGE && which-- == 0)
            return &scene.shown[i]->message;
    }
    fail_msg("there are not so many messages");
    return NULL;
}

static void what_is_spoken_above(void **state)
{
    (void)state;
    begin(ROLE_SERVER);
    called(SONDE_OP_SOCKET, 1, US, 101);
    called(SONDE_OP_LISTEN, 1, US, 0);
    handshake(&tuple);
    accepted(&tuple, 2);
    struct event done = {.kind = EVENT_KIND_HANDSHAKE};
    done.handshake = (struct event_handshake){.layer = SONDE_LAYER_TLS, .agreed = "TLSv1.3"};
    above(&done, 2);
    message(MESSAGE_TEXT, false, "one", 2);
    message(MESSAGE_PING, true, "p", 2);
    pass(300 * US);
    message(MESSAGE_PING, true, "q", 2);
    message(MESSAGE_PING, true, "p", 2);
    pass(700 * US);
    message(MESSAGE_PONG, false, "p", 2);
    message(MESSAGE_PONG, false, "p", 2);
    message(MESSAGE_TEXT, true, "two", 2);
    message(MESSAGE_BINARY, false, "three", 2);
    message(MESSAGE_TEXT, false, "nobody's", 77);
    show();
    introduced_first();
    assert_int_equal(n_of(EVENT_KIND_HANDSHAKE, 1), 1);
    assert_int_equal(n_of(EVENT_KIND_MESSAGE, 1), 8);
    assert_int_equal(n_of(EVENT_KIND_MESSAGE, 0), 1);
    for (unsigned i = 0; i < scene.n_shown; i++)
        assert_true(scene.shown[i]->kind != EVENT_KIND_HANDSHAKE || scene.shown[i]->handshake.end == END_B);
    assert_int_equal(shown_message(0)->from, END_A); /* it came to the server, */
    assert_int_equal(shown_message(0)->end, END_B);  /* which says so */
    assert_int_equal(shown_message(0)->number, 1);
    assert_int_equal(shown_message(1)->from, END_B);
    assert_int_equal(shown_message(1)->number, 0);
    /* It answers the latest ping that looks like it, and no ping is answered twice. */
    assert_in_range(shown_message(4)->rtt_ns, 700 * US, 800 * US);
    assert_int_equal(shown_message(5)->rtt_ns, 0);
    assert_int_equal(shown_message(6)->number, 1);
    assert_int_equal(shown_message(7)->number, 2);
}

/* The codec's messages stand behind the segments that complete them. */
static void framed(void **state)
{
    (void)state;
    struct framing_codec codec;
    struct sonde_why why;
    assert_int_equal(framing_parse("line", &codec, &why), 0);
    begin_with((struct session_settings){.our_role = ROLE_UNKNOWN, .frame = &codec});
    handshake(&tuple);
    segment(&tuple, END_A, P | K, 1, 1, "one\ntwo\nth");
    segment(&tuple, END_A, P | K, 11, 1, "ree\n");
    show();
    introduced_first();
    assert_int_equal(n_of(EVENT_KIND_MESSAGE, 1), 3);
    assert_int_equal(shown_message(1)->about, 4);
    assert_int_equal(shown_message(2)->about, 5);
    assert_int_equal(shown_message(2)->n_bytes, 5);
    assert_int_equal(shown_message(2)->end, N_ENDS);
    unsigned last = 0;
    for (unsigned i = 0; i < scene.n_shown; i++) {
        if (scene.shown[i]->kind == EVENT_KIND_SEGMENT)
            last = scene.shown[i]->segment.number;
        assert_true(scene.shown[i]->kind != EVENT_KIND_MESSAGE || scene.shown[i]->message.about == last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(many_peers_of_one_socket, end),
        cmocka_unit_test_teardown(hundreds_of_peers, end),
        cmocka_unit_test_teardown(unix_datagrams, end),
        cmocka_unit_test_teardown(what_is_spoken_above, end),
        cmocka_unit_test_teardown(framed, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
