/* SPDX-License-Identifier: MIT */
/*
 * One port for every client (any://): raw, TLS, HTTP and WebSocket, told apart however the bytes are cut. What HTTP
 * does once it is told is in contract_any_http.c.
 */
#include "any_port.h"

#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Long enough to begin with TLS on any machine; and shorter than a handshake may take. */
#define WAIT_NS (3 * SECOND)

static void open_any(struct server *server, struct contract *c, unsigned most_ends, unsigned kinds, int64_t wait_ns)
{
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .any_kinds = kinds,
        .any_wait_ns = wait_ns,
    };

    server_open_at(server, c, most_ends, &options, AT);
}

/* --- raw -------------------------------------------------------------------------------------------------------- */

struct raw_sample {
    const char *bytes;
    size_t n_bytes;
};

#define RAW(text)                                                                                                      \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }

static const struct raw_sample raw_samples[] = {
    RAW("hello, world\n"),
    RAW("\0\1\2\3"),
    RAW("GET lost\nGET / HTTP/1.1\r\n\r\n"),
    RAW("GET / HTTP/1.1 or not\r\n"),
    RAW("GET / HTTP/1.1"),
    RAW("POST /x HTTP"),
    RAW("\x16\x03\x01\x02\x00\x02hello"),
    RAW("\x16\x03"),
    RAW("word"),
};

/* Nothing is lost and nothing is added, whatever it begins like and however it comes. The time-out is far away: what
 * can't be told is told by the end. */
static void raw_any_split(struct contract *c)
{
    for (size_t i = 0; i < sizeof raw_samples / sizeof *raw_samples; i++)
        for (size_t cut = 0; cut <= raw_samples[i].n_bytes; cut += cut < 8 ? 1 : 5) {
            struct server server = {.model = {.on_end = end_close}};
            snprintf(c->note, sizeof c->note, "sample %zu cut at %zu", i, cut);
            open_any(&server, c, 1, NO_TLS, 60 * SECOND);
            int raw = raw_connect(server_port(&server));
            send_bytes(raw, raw_samples[i].bytes, cut);
            some_turns(c);
            send_bytes(raw, raw_samples[i].bytes + cut, raw_samples[i].n_bytes - cut);
            raw_shutdown(raw);
            until(c, server.n_ends == 1 && server.ends[0].closed);
            assert_string_equal(server.ends[0].story, "dec");
            assert_int_equal(server.ends[0].n_received, raw_samples[i].n_bytes);
            assert_memory_equal(server.ends[0].text, raw_samples[i].bytes, raw_samples[i].n_bytes);
            assert_int_equal(server.n_refused, 0);
            raw_close(raw);
            server_wind_up(&server);
        }
}

/* Whoever says nothing is a raw client after a while: a service that speaks first gets to. */
static void silent(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo}};
    char text[16];

    open_any(&server, c, 1, NO_TLS, 5 * MILLISECOND);
    int raw = raw_connect(server_port(&server));
    until(c, server.n_ends == 1);
    struct end *end = &server.ends[0];
    assert_int_equal(sonde_stream_layers(end->stream), SONDE_LAYER_ANY);
    assert_int_equal(CALL(sonde_stream_write(end->stream, "hi", 2)), 0);
    until(c, raw_read(raw, text, sizeof text) == 2);
    raw_write(raw, "GET / HTTP/1.1\r\n\r\n");
    until(c, end->n_received == 18);
    raw_close(raw);
    server_wind_up(&server);
}

static void unfinished_is_raw_in_time(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo}};

    open_any(&server, c, 1, NO_TLS, 5 * MILLISECOND);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, "GET / HTT");
    until(c, server.n_ends == 1 && server.ends[0].n_received == 9);
    raw_write(raw, "P/1.1\r\n\r\n");
    until(c, server.ends[0].n_received == 18);
    assert_string_equal(server.ends[0].text, "GET / HTTP/1.1\r\n\r\n");
    raw_close(raw);
    server_wind_up(&server);
}

/* The time is over before the loop has looked at what came in it: that is not silence. */
static void spoken_to_a_busy_loop(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo}};

    open_any(&server, c, 1, NO_TLS, 5 * SECOND);
    int raw = raw_connect(server_port(&server));
    some_turns(c);
    raw_write(raw, "GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
    contract_jump(6 * SECOND);
    until(c, server.n_ends + server.n_refused > 0);
    assert_int_equal(server.n_refused, 1); /* for its Host, which is none of ours: as a request, that is */
    raw_close(raw);
    server_wind_up(&server);
}

/* A port that is only tried is told of, as by tcp://. */
static void ends_at_once(struct contract *c)
{
    struct server server = {.model = {.on_end = end_close}};

    open_any(&server, c, 1, NO_TLS, 60 * SECOND);
    int raw = raw_connect(server_port(&server));
    raw_shutdown(raw);
    until(c, server.n_ends == 1 && server.ends[0].closed);
    assert_string_equal(server.ends[0].story, "ec");
    raw_close(raw);
    server_wind_up(&server);
}

/* --- refused ---------------------------------------------------------------------------------------------------- */

struct refused_sample {
    const char *request;
    int error;
    const char *answer; /* how it begins; NULL: without a word */
    unsigned kinds;     /* 0: NO_TLS */
};

#define UPGRADE                                                                                                        \
    "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const struct refused_sample refused_samples[] = {
    {"GET / HTTP/1.1\r\n\r\n", -SONDE_EHTTP, "HTTP/1.1 400 ", 0},
    {"GET / HTTP/1.1\nHost: localhost\n\n", -SONDE_EHTTP, "HTTP/1.1 400 ", 0},
    {"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n", -SONDE_EHOST, "HTTP/1.1 421 ", 0},
    {"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.com\r\n\r\n", -SONDE_EORIGIN, "HTTP/1.1 403 ", 0},
    {"GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", -SONDE_EORIGIN, "HTTP/1.1 403 ", 0},
    {UPGRADE "Sec-WebSocket-Version: 13\r\nOrigin: http://evil.com\r\n\r\n", -SONDE_EORIGIN, "HTTP/1.1 403 ", 0},
    {UPGRADE "Sec-WebSocket-Version: 8\r\n\r\n", -SONDE_EHTTP, "HTTP/1.1 426 ", 0},
    {UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", -SONDE_EHTTP, "HTTP/1.1 400 ", 0},
    {"CONNECT evil.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", -SONDE_EHTTP, "HTTP/1.1 405 ", 0},
    {"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", -SONDE_EHTTP, "HTTP/1.1 405 ", 0},
    {"GET http://evil.com/ HTTP/1.1\r\nHost: localhost\r\n\r\n", -SONDE_EHOST, "HTTP/1.1 421 ", 0},
    {POST("Content-Length: 5\r\nExpect: miracles\r\n\r\n"), -SONDE_EHTTP, "HTTP/1.1 417 ", 0},
    {"FROB / HTTP/1.1\r\n", -SONDE_EHTTP, "HTTP/1.1 501 ", 0},
    {"GET / HTTP/3.0\r\n", -SONDE_EHTTP, "HTTP/1.1 505 ", 0},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -SONDE_EHTTP, NULL, 0},
    {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", -SONDE_EKIND, "HTTP/1.1 403 ", 1u << SONDE_ANY_RAW},
    {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", -SONDE_EKIND, "HTTP/1.1 426 ", 1u << SONDE_ANY_WS},
    {UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", -SONDE_EKIND, "HTTP/1.1 403 ", 1u << SONDE_ANY_HTTP},
    {"hello\n", -SONDE_EKIND, NULL, 1u << SONDE_ANY_HTTP},
    {"\x16\x03\x01\x02\x01\x01", -SONDE_EKIND, "\x15\x03\x01", NO_TLS},
};

static void refused(struct contract *c)
{
    for (size_t i = 0; i < sizeof refused_samples / sizeof *refused_samples; i++) {
        const struct refused_sample *sample = &refused_samples[i];
        struct server server = {.model = {0}};
        struct answer answer = {.n = 0};
        snprintf(c->note, sizeof c->note, "sample %zu", i);
        open_web(&server, c, 1, sample->kinds != 0 ? sample->kinds : NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, sample->request);
        until(c, read_more(raw, &answer));
        raw_close(raw);
        until(c, server.n_refused == 1);
        if (server.refusal != sample->error)
            fail_msg("%s: %s", c->note, sonde_error_name(server.refusal));
        if (sample->answer != NULL)
            assert_memory_equal(answer.text, sample->answer, strlen(sample->answer));
        assert_int_equal(server.n_ends, 0);
        server_wind_up(&server);
    }
}

/* A head that never ends is not read for ever, nor kept. */
static void huge_head(struct contract *c)
{
    static const struct {
        const char *begin, *more, *answer;
    } samples[] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n", "X: 0123456789012345678901234567890123456789\r\n", "HTTP/1.1 431 "},
        {"GET / HTTP/1.1\r\nX: ", "01234567890123456789012345678901234567890123456789", "HTTP/1.1 431 "},
        {"GET /", "01234567890123456789012345678901234567890123456789", "HTTP/1.1 414 "},
    };

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct server server = {.model = {0}};
        struct answer answer = {.n = 0};
        size_t n = 0;
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, samples[i].begin);
        while (!read_more(raw, &answer)) {
            for (unsigned k = 0; k < 8; k++)
                if (answer.n == 0 && send(raw, samples[i].more, strlen(samples[i].more), MSG_NOSIGNAL) > 0)
                    assert_true((n += strlen(samples[i].more)) < 1 << 20);
            contract_turn(c);
        }
        assert_memory_equal(answer.text, samples[i].answer, 13);
        until(c, server.n_refused == 1);
        assert_true(c->memory.most_bytes < 4 << 20);
        raw_close(raw);
        server_wind_up(&server);
    }
}

/* --- WebSocket and TLS ------------------------------------------------------------------------------------------ */

#define FRAME "\x81\x85\0\0\0\0hello"

static void websocket_any_split(struct contract *c)
{
    static const char all[] = UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: x, chat\r\n\r\n" FRAME;
    size_t n_all = sizeof all - 1;

    for (size_t cut = 0; cut <= n_all; cut += 7) {
        struct server server = {.model = {.on_data = end_echo}};
        struct answer answer = {.n = 0};
        snprintf(c->note, sizeof c->note, "cut at %zu", cut);
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        send_bytes(raw, all, cut);
        some_turns(c);
        send_bytes(raw, all + cut, n_all - cut);
        until(c, read_more(raw, &answer) || (answer.n > 7 && strcmp(answer.text + answer.n - 7, "\x81\5hello") == 0));
        assert_memory_equal(answer.text, "HTTP/1.1 101 ", 13);
        assert_non_null(strstr(answer.text, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_non_null(strstr(answer.text, "\r\nSec-WebSocket-Protocol: chat\r\n"));
        assert_int_equal(sonde_stream_layers(server.ends[0].stream), SONDE_LAYER_ANY | SONDE_LAYER_WS);
        assert_string_equal(sonde_stream_request(server.ends[0].stream)->target, "/chat");
        assert_int_equal(sonde_http_answer(server.ends[0].stream, 200, NULL), -EOPNOTSUPP);
        assert_int_equal(sonde_http_answer_header(server.ends[0].stream, "X: y"), -EOPNOTSUPP);
        raw_close(raw);
        server_wind_up(&server);
    }
}

static void connect_with(struct end *end, struct contract *c, const char *scheme, uint16_t port,
                         const struct sonde_tls *tls)
{
    struct sonde_url url = contract_url("%s://127.0.0.1:%u", scheme, port);
    const struct sonde_connect_options options = {.size = sizeof options, .tls = tls};

    end->c = c;
    assert_int_equal(CALL(sonde_connect(c->loop, &url, &options, &end_handler, end, &end->stream, NULL)), 0);
}

/* Our own clients, all at once on one port. */
static void our_clients(struct contract *c)
{
    static const struct {
        const char *scheme;
        unsigned layers;
    } kinds[] = {
        {"tcp", 0}, {"tls", SONDE_LAYER_TLS}, {"ws", SONDE_LAYER_WS}, {"wss", SONDE_LAYER_TLS | SONDE_LAYER_WS}};
    const struct sonde_tls_options tls_options = {.size = sizeof tls_options, .insecure = 1};
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end clients[4] = {{0}};
    struct sonde_tls *tls;

    assert_int_equal(sonde_tls_create(&tls_options, &tls, NULL), 0);
    open_any(&server, c, 4, 0, WAIT_NS);
    for (int i = 0; i < 4; i++)
        connect_with(&clients[i], c, kinds[i].scheme, server_port(&server), tls);
    for (int i = 0; i < 4; i++) {
        snprintf(c->note, sizeof c->note, "%s", kinds[i].scheme);
        until(c, clients[i].opened);
        assert_int_equal(sonde_stream_layers(clients[i].stream), kinds[i].layers);
        assert_int_equal(CALL(sonde_stream_write(clients[i].stream, "hello", 5)), 0);
    }
    /* What the raw ones say might still become something else. */
    until(c, clients[2].n_received == 5 && clients[3].n_received == 5);
    contract_jump(WAIT_NS);
    for (int i = 0; i < 4; i++) {
        until(c, clients[i].n_received == 5);
        assert_string_equal(clients[i].text, "hello");
        end_finish(&clients[i]);
    }
    for (int i = 0; i < 4; i++)
        until(c, clients[i].closed);
    assert_int_equal(server.n_ends, 4);
    sonde_tls_free(tls);
    server_wind_up(&server);
}

/* A silent client within TLS is a raw one, too. */
static void silent_in_tls(struct contract *c)
{
    const struct sonde_tls_options tls_options = {.size = sizeof tls_options, .insecure = 1};
    struct server server = {.model = {.on_end = end_finish}};
    struct end client = {0};
    struct sonde_tls *tls;

    assert_int_equal(sonde_tls_create(&tls_options, &tls, NULL), 0);
    open_any(&server, c, 1, 0, WAIT_NS);
    connect_with(&client, c, "tls", server_port(&server), tls);
    until(c, client.opened);
    some_turns(c);
    contract_jump(WAIT_NS);
    until(c, server.n_ends == 1);
    assert_int_equal(sonde_stream_layers(server.ends[0].stream), SONDE_LAYER_ANY | SONDE_LAYER_TLS);
    assert_int_equal(CALL(sonde_stream_write(server.ends[0].stream, "hi", 2)), 0);
    until(c, client.n_received == 2);
    DO(sonde_stream_close(client.stream));
    until(c, client.closed);
    sonde_tls_free(tls);
    server_wind_up(&server);
}

/* The listener goes while clients are at every stage of their way in. */
static void closed_meanwhile(struct contract *c)
{
    static const char *const begins[] = {"", "GET / HT", "GET / HTTP/1.1\r\nHost: ", "\x16\x03\x01\x02\x01\x01\x01"};
    struct server server = {.model = {0}};
    struct answer answer;
    int raw[4];

    open_any(&server, c, 4, 0, 60 * SECOND);
    for (int i = 0; i < 4; i++) {
        raw[i] = raw_connect(server_port(&server));
        raw_write(raw[i], begins[i]);
    }
    some_turns(c);
    DO(sonde_listener_close(server.listener));
    for (int i = 0; i < 4; i++) {
        answer.n = 0;
        until(c, read_more(raw[i], &answer));
        raw_close(raw[i]);
    }
    assert_int_equal(server.n_ends, 0);
    server_wind_up(&server);
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

static void add_header(struct end *end)
{
    (void)sonde_http_answer_header(end->stream, "X-One: 1");
}

/* However it goes with the n-th allocation failing: it ends, nothing is left behind, and what is answered is either
 * right or nothing. */
static void every_allocation(struct contract *c)
{
    static const char *const samples[] = {"raw text\n", LENGTH, CHUNKED,
                                          UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n" FRAME "\x88\x80\0\0\0\0"};
    unsigned n_failed = 0;

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (long n = 1, n_clean = 0; n_clean < 2; n++) {
            struct server server = {.model = {.on_data = end_echo, .on_end = end_finish, .on_failed = end_close},
                                    .on_accepted = add_header};
            struct answer answer = {.n = 0};
            snprintf(c->note, sizeof c->note, "sample %zu, allocation %ld", i, n);
            open_web(&server, c, 1, NO_TLS);
            int raw = raw_connect(server_port(&server));
            c->memory.failed = false;
            c->memory.fail_at = c->memory.n_calls + n;
            /* The body of HTTP and the frame of WebSocket come by themselves: two pieces are kept, too. */
            size_t n_first = strlen(samples[i]) / 2, n_all = i == 3 ? strlen(samples[i]) + 20 : strlen(samples[i]);
            if (i == 3) {
                static const char ws[] = UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n" FRAME "\x88\x80\0\0\0\0";
                n_all = sizeof ws - 1;
                (void)send(raw, ws, n_first, MSG_NOSIGNAL);
                some_turns(c);
                (void)send(raw, ws + n_first, n_all - n_first, MSG_NOSIGNAL);
            } else {
                (void)send(raw, samples[i], n_first, MSG_NOSIGNAL);
                some_turns(c);
                (void)send(raw, samples[i] + n_first, n_all - n_first, MSG_NOSIGNAL);
            }
            (void)shutdown(raw, SHUT_WR);
            until(c, read_more(raw, &answer));
            c->memory.fail_at = 0;
            n_clean = c->memory.failed ? 0 : n_clean + 1;
            n_failed += c->memory.failed;
            if (!c->memory.failed)
                assert_true(answer.n > 5);
            raw_close(raw);
            server_wind_up(&server);
        }
    assert_true(n_failed >= 16);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(raw_any_split),       CONTRACT_TEST(silent),           CONTRACT_TEST(unfinished_is_raw_in_time),
        CONTRACT_TEST(ends_at_once),        CONTRACT_TEST(refused),          CONTRACT_TEST(huge_head),
        CONTRACT_TEST(websocket_any_split), CONTRACT_TEST(our_clients),      CONTRACT_TEST(silent_in_tls),
        CONTRACT_TEST(closed_meanwhile),    CONTRACT_TEST(every_allocation), CONTRACT_TEST(spoken_to_a_busy_loop),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
