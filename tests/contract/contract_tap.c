/* SPDX-License-Identifier: MIT */
/* The tap: what is heard on it is what the owners say and hear, on streams of every kind. */
#include "contract.h"

#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <string.h>

/* What was said one way at one end: to its owner, or by it, and on the tap. */
struct way {
    uint64_t n, n_bytes, hash;
    unsigned flags; /* of all together */
};

struct side {
    struct sonde_stream *stream; /* NULL: closed */
    struct way said[2], heard[2];
    bool echoes, is_over;
};

struct room {
    struct contract *c;
    struct side client, server;
    struct sonde_listener *listener;
    struct sonde_tls *server_tls, *client_tls;
    uint64_t n_strangers; /* heard of streams that nobody has */
    bool opened;
};

/* How bytes are cut into pieces is the engine's affair: the hash goes over bytes alone. Messages count. */
static void note(struct way *way, const void *data, size_t n_bytes, unsigned flags)
{
    const unsigned char *bytes = data;

    way->n++;
    way->n_bytes += n_bytes;
    way->flags |= flags;
    for (size_t i = 0; i < n_bytes; i++)
        way->hash = (way->hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    if (flags & SONDE_MESSAGE)
        way->hash = (way->hash ^ n_bytes ^ (uint64_t)(flags & SONDE_TEXT) << 32) * UINT64_C(0x100000001b3);
}

static bool agree(const struct way *one, const struct way *other)
{
    return one->n_bytes == other->n_bytes && one->hash == other->hash && one->flags == other->flags;
}

static struct side *side_of(struct room *room, const struct sonde_stream *stream)
{
    return stream == room->client.stream ? &room->client : stream == room->server.stream ? &room->server : NULL;
}

static void on_tap(struct sonde_stream *stream, enum sonde_direction direction, const struct sonde_lent *bytes,
                   void *user)
{
    struct side *side = side_of(user, stream);

    if (side == NULL) {
        ((struct room *)user)->n_strangers++;
        return;
    }
    assert_int_equal(contract_calling != 0, direction == SONDE_OUT);
    note(&side->heard[direction], bytes->data, bytes->n_bytes, bytes->flags);
}

static void say(struct side *side, const void *data, size_t n_bytes, unsigned flags, unsigned message)
{
    uint64_t n = side->heard[SONDE_OUT].n;

    assert_int_equal(CALL(sonde_stream_send(side->stream, data, n_bytes, flags)), 0);
    assert_int_equal(side->heard[SONDE_OUT].n, n + 1);
    note(&side->said[SONDE_OUT], data, n_bytes, flags | message);
}

static void on_opened(struct sonde_stream *stream)
{
    struct room *room = sonde_stream_owner(stream);
    room->opened = true;
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct room *room = sonde_stream_owner(stream);
    struct side *side = side_of(room, stream);

    /* The tap has heard it already, and the same. */
    note(&side->said[SONDE_IN], bytes->data, bytes->n_bytes, bytes->flags);
    assert_int_equal(side->said[SONDE_IN].n, side->heard[SONDE_IN].n);
    if (side->echoes && CALL(sonde_stream_forward(stream, bytes)) == 0)
        note(&side->said[SONDE_OUT], bytes->data, bytes->n_bytes, bytes->flags);
    assert_true(agree(&side->said[SONDE_OUT], &side->heard[SONDE_OUT]));
}

static void on_end(struct sonde_stream *stream)
{
    struct room *room = sonde_stream_owner(stream);
    side_of(room, stream)->is_over = true;
    if (stream == room->server.stream)
        DO(sonde_stream_finish(stream, SONDE_WHILE_MOVING));
}

static void on_closed(struct sonde_stream *stream)
{
    struct room *room = sonde_stream_owner(stream);
    side_of(room, stream)->stream = NULL;
}

static const struct sonde_stream_handler handler = {
    .opened = on_opened, .data = on_data, .end = on_end, .closed = on_closed};

/* Nobody listens to the data; the tap hears it all the same. */
static const struct sonde_stream_handler deaf = {.end = on_end, .closed = on_closed};

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct room *room = owner;

    (void)listener;
    room->server.stream = stream;
    sonde_stream_set_handler(stream, room->server.echoes ? &handler : &deaf, room);
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    (void)listener;
    ((struct room *)owner)->listener = NULL;
}

static const struct sonde_listener_handler listener_handler = {.accepted = on_accepted, .closed = on_listener_closed};

static void room_open(struct room *room, struct contract *c, const char *address)
{
    struct sonde_tls_options tls = {.size = sizeof tls, .server = 1};
    struct sonde_url url = contract_url("%s", address);

    room->c = c;
    assert_int_equal(sonde_tls_create(&tls, &room->server_tls, NULL), 0);
    tls = (struct sonde_tls_options){.size = sizeof tls, .pin = sonde_tls_fingerprint(room->server_tls)};
    assert_int_equal(sonde_tls_create(&tls, &room->client_tls, NULL), 0);
    sonde_loop_set_tap(c->loop, on_tap, room);
    const struct sonde_listen_options listening = {.size = sizeof listening, .tls = room->server_tls};
    assert_int_equal(CALL(sonde_listen(c->loop, &url, &listening, &listener_handler, room, &room->listener, NULL)), 0);
    sonde_listener_address(room->listener, 0, &url);
    const struct sonde_connect_options options = {.size = sizeof options, .tls = room->client_tls};
    assert_int_equal(CALL(sonde_connect(c->loop, &url, &options, &handler, room, &room->client.stream, NULL)), 0);
}

static void room_close(struct room *room)
{
    sonde_loop_set_tap(room->c->loop, NULL, NULL);
    if (room->client.stream != NULL)
        DO(sonde_stream_close(room->client.stream));
    if (room->server.stream != NULL)
        DO(sonde_stream_close(room->server.stream));
    if (room->listener != NULL)
        DO(sonde_listener_close(room->listener));
    contract_run(room->c);
    sonde_tls_free(room->server_tls);
    sonde_tls_free(room->client_tls);
    assert_int_equal(room->n_strangers, 0);
}

static bool all_came_back(const struct room *room)
{
    return room->client.heard[SONDE_IN].n_bytes == room->client.heard[SONDE_OUT].n_bytes &&
           room->client.heard[SONDE_IN].hash == room->client.heard[SONDE_OUT].hash;
}

/* Said by one, heard by the other, and the same on the tap of both. */
static void check_both(const struct room *room, const uint64_t *n_messages)
{
    const struct side *client = &room->client, *server = &room->server;

    for (int way = 0; way < 2; way++) {
        assert_true(agree(&client->said[way], &client->heard[way]));
        assert_true(agree(&client->heard[way], &server->heard[1 - way]));
        if (n_messages != NULL)
            assert_true(client->heard[way].n == *n_messages && server->heard[way].n == *n_messages);
    }
    assert_int_equal(sonde_stream_received_bytes(client->stream), client->heard[SONDE_IN].n_bytes);
    assert_int_equal(sonde_stream_sent_bytes(client->stream), client->heard[SONDE_OUT].n_bytes);
    assert_int_equal(sonde_stream_received_bytes(server->stream), server->heard[SONDE_IN].n_bytes);
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

static unsigned char bytes[150 * 1000];

static void talk_bytes(struct contract *c, const char *address)
{
    static const size_t sizes[] = {1, 5, 4096, 70000, 3, 150 * 1000};
    struct room room = {.server.echoes = true};

    memset(bytes, 'b', sizeof bytes);
    room_open(&room, c, address);
    say(&room.client, "early", 5, 0, 0); /* before it is open */
    until(c, room.opened && room.server.stream != NULL);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        say(&room.client, bytes, sizes[i], SONDE_TEXT, 0); /* which means nothing here */
        room.client.said[SONDE_OUT].flags = 0;
        if (i & 1)
            until(c, all_came_back(&room));
    }
    until(c, all_came_back(&room));
    check_both(&room, NULL);

    /* Nothing was taken, so nothing is heard. */
    uint64_t n = room.client.heard[SONDE_OUT].n;
    assert_int_equal(CALL(sonde_stream_write(room.client.stream, "", 0)), 0);
    DO(sonde_stream_shutdown(room.client.stream));
    assert_true(CALL(sonde_stream_write(room.client.stream, "late", 4)) < 0);
    assert_int_equal(room.client.heard[SONDE_OUT].n, n);
    until(c, room.client.is_over);
    room_close(&room);
}

static void tcp(struct contract *c)
{
    talk_bytes(c, "tcp://127.0.0.1:0");
}

static void unix_stream(struct contract *c)
{
    char path[160];
    snprintf(path, sizeof path, "unix:%s", contract_path());
    talk_bytes(c, path);
}

static void tls(struct contract *c)
{
    talk_bytes(c, "tls://127.0.0.1:0");
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static void talk_messages(struct contract *c, const char *address, bool has_text)
{
    struct room room = {.server.echoes = true};
    uint64_t n = 0;

    memset(bytes, 'm', sizeof bytes);
    room_open(&room, c, address);
    until(c, room.opened);
    while (n < 24) {
        unsigned text = has_text && n % 3 == 0 ? SONDE_TEXT : 0;
        say(&room.client, bytes, n * 400, text, SONDE_MESSAGE); /* the first is empty */
        n++;
        until(c, room.client.heard[SONDE_IN].n == n);
    }
    check_both(&room, &n);
    assert_int_equal(room.server.heard[SONDE_IN].flags, has_text ? SONDE_MESSAGE | SONDE_TEXT : SONDE_MESSAGE);
    room_close(&room);
}

static void datagrams(struct contract *c)
{
    talk_messages(c, "udp://127.0.0.1:0", false);
}

static void packets(struct contract *c)
{
    char path[160];
    snprintf(path, sizeof path, "seqpacket:%s", contract_path());
    talk_messages(c, path, false);
}

static void websocket(struct contract *c)
{
    talk_messages(c, "ws://127.0.0.1:0/", true);
}

static void websocket_in_tls(struct contract *c)
{
    talk_messages(c, "wss://127.0.0.1:0/", true);
}

/* Of what is refused nothing is heard. */
static void too_long(struct contract *c)
{
    static unsigned char long_one[70000];
    struct room room = {.server.echoes = true};

    room_open(&room, c, "udp://127.0.0.1:0");
    until(c, room.opened);
    assert_int_equal(CALL(sonde_stream_write(room.client.stream, long_one, sizeof long_one)), -EMSGSIZE);
    assert_int_equal(room.client.heard[SONDE_OUT].n, 0);
    say(&room.client, "b", 1, 0, SONDE_MESSAGE);
    until(c, room.client.heard[SONDE_IN].n == 1);
    room_close(&room);
}

/* --- who listens ------------------------------------------------------------------------------------------------ */

static void without_data(struct contract *c)
{
    struct room room = {0}; /* the server's owner has no function for data */

    room_open(&room, c, "tcp://127.0.0.1:0");
    until(c, room.opened && room.server.stream != NULL);
    say(&room.client, "hello", 5, 0, 0);
    until(c, room.server.heard[SONDE_IN].n_bytes == 5);
    assert_true(agree(&room.client.heard[SONDE_OUT], &room.server.heard[SONDE_IN]));
    room_close(&room);
}

static void ended(struct contract *c)
{
    struct room room = {0};

    room_open(&room, c, "tcp://127.0.0.1:0");
    until(c, room.opened && room.server.stream != NULL);
    sonde_loop_set_tap(c->loop, NULL, NULL);
    assert_int_equal(CALL(sonde_stream_write(room.client.stream, "hello", 5)), 0);
    until(c, sonde_stream_received_bytes(room.server.stream) == 5);
    assert_int_equal(room.client.heard[SONDE_OUT].n + room.server.heard[SONDE_IN].n, 0);
    room_close(&room);
}

/* What was kept while paused is heard when it is delivered. */
static void paused(struct contract *c)
{
    struct room room = {.server.echoes = true};

    room_open(&room, c, "tcp://127.0.0.1:0");
    until(c, room.opened && room.server.stream != NULL);
    DO(sonde_stream_pause(room.server.stream));
    say(&room.client, "hello", 5, 0, 0);
    some_turns(c);
    assert_int_equal(room.server.heard[SONDE_IN].n, 0);
    DO(sonde_stream_resume(room.server.stream));
    until(c, all_came_back(&room));
    check_both(&room, NULL);
    room_close(&room);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(tcp),
        CONTRACT_TEST(unix_stream),
        CONTRACT_TEST(tls),
        CONTRACT_TEST(datagrams),
        CONTRACT_TEST(packets),
        CONTRACT_TEST(websocket),
        CONTRACT_TEST(websocket_in_tls),
        CONTRACT_TEST(too_long),
        CONTRACT_TEST(without_data),
        CONTRACT_TEST(ended),
        CONTRACT_TEST(paused),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
