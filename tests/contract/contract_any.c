/* SPDX-License-Identifier: MIT */
/* One port for every client (any://): raw, TLS, HTTP and WebSocket, told apart however the bytes are cut. */
#include "ends.h"

#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT "any://127.0.0.1:0"

/* A certificate is made for each listener, which takes a while: most of these tests do without. */
#define NO_TLS (1u << SONDE_ANY_RAW | 1u << SONDE_ANY_HTTP | 1u << SONDE_ANY_WS)

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

static void send_bytes(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* What a plain socket has been answered, until its end. */
struct answer {
    char text[8192];
    size_t n;
    bool is_over;
};

static bool read_more(int fd, struct answer *answer)
{
    int n = raw_read(fd, answer->text + answer->n, sizeof answer->text - 1 - answer->n);

    answer->is_over = n == 0 || (n < 0 && n != -EAGAIN);
    answer->n += n > 0 ? (size_t)n : 0;
    answer->text[answer->n] = '\0';
    return answer->is_over;
}

static const char *body_of(const struct answer *answer)
{
    const char *end = strstr(answer->text, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
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

/* --- HTTP ------------------------------------------------------------------------------------------------------- */

#define POST(body) "POST /x?y HTTP/1.1\r\nHost: localhost\r\n" body
#define CHUNKED POST("Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1;x\r\no\r\n0\r\nT: x\r\n\r\n")
#define LENGTH POST("Content-Length: 5\r\n\r\nhello")

/* Hosts have the port in them unless the listener is told of a further name; this is shorter. */
static const char *const hosts[] = {"localhost", NULL};

static void open_web(struct server *server, struct contract *c, unsigned most_ends, unsigned kinds)
{
    const struct sonde_web_server web = {.size = sizeof web, .hosts = hosts, .subprotocols = "chat"};
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .any_kinds = kinds,
        .any_wait_ns = 60 * SECOND,
        .web = &web,
    };

    server_open_at(server, c, most_ends, &options, AT);
}

static void check_request(struct end *end)
{
    const struct sonde_http_request *request = sonde_stream_request(end->stream);

    assert_non_null(request);
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->target, "/x?y");
    assert_string_equal(sonde_http_header(request, "HOST"), "localhost");
    assert_int_equal(sonde_stream_layers(end->stream), SONDE_LAYER_ANY | SONDE_LAYER_HTTP);
    assert_false(sonde_stream_has_messages(end->stream));
    assert_int_equal(sonde_http_answer(end->stream, 99, NULL), -EINVAL);
    assert_int_equal(sonde_http_answer(end->stream, 200, "text/html\r\nX: y"), -EINVAL);
    assert_int_equal(sonde_http_answer(end->stream, 202, "text/plain"), 0);
    assert_int_equal(sonde_http_answer_header(end->stream, "X-One: 1"), 0);
    assert_int_equal(sonde_http_answer_header(end->stream, "X-Two:2"), 0);
}

static void http_any_split(struct contract *c)
{
    static const char *const samples[] = {CHUNKED, LENGTH};

    for (size_t i = 0; i < 2; i++)
        for (size_t cut = 0; cut <= strlen(samples[i]); cut += 3) {
            struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}, .on_accepted = check_request};
            struct answer answer = {.n = 0};
            snprintf(c->note, sizeof c->note, "sample %zu cut at %zu", i, cut);
            open_web(&server, c, 1, NO_TLS);
            int raw = raw_connect(server_port(&server));
            send_bytes(raw, samples[i], cut);
            some_turns(c);
            send_bytes(raw, samples[i] + cut, strlen(samples[i]) - cut);
            until(c, read_more(raw, &answer));
            assert_string_equal(server.ends[0].text, "hello");
            assert_memory_equal(answer.text, "HTTP/1.1 202 Accepted\r\n", 23);
            assert_non_null(strstr(answer.text, "\r\nX-Content-Type-Options: nosniff\r\n"));
            assert_non_null(strstr(answer.text, "\r\nContent-Type: text/plain\r\n"));
            assert_non_null(strstr(answer.text, "\r\nX-One: 1\r\nX-Two:2\r\n\r\n"));
            assert_string_equal(body_of(&answer) + strlen(body_of(&answer)) - 5, "0\r\n\r\n");
            raw_close(raw);
            until(c, server.ends[0].closed);
            assert_string_equal(server.ends[0].story, "dec");
            server_wind_up(&server);
        }
}

/* The answer's forms. */
static void answers(struct contract *c)
{
    static const struct {
        const char *request, *body;
    } samples[] = {
        {LENGTH, "5\r\nhello\r\n0\r\n\r\n"},
        {"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "hello"},
        {"HEAD / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", ""},
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "0\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /second HTTP/1.1\r\n", "0\r\n\r\n"},
    };

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
        struct answer answer = {.n = 0};
        snprintf(c->note, sizeof c->note, "sample %zu", i);
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, samples[i].request);
        until(c, read_more(raw, &answer));
        assert_memory_equal(answer.text, "HTTP/1.1 200 OK\r\nConnection: close\r\n", 36);
        assert_string_equal(body_of(&answer), samples[i].body);
        raw_close(raw);
        until(c, server.ends[0].closed);
        server_wind_up(&server);
    }
}

static void add_headers(struct end *end)
{
    static const char *const bad[] = {
        "",
        "X",
        ": y",
        "X : y",
        "X: y\r\nSet-Cookie: z",
        "X: y\n",
        "X: \x7f",
        "X: \x01",
        "content-length: 3",
        "Transfer-Encoding: identity",
        "Connection: keep-alive",
        "Content-Type: text/html",
        "Cache-Control: public",
        "X-Content-Type-Options: sniff",
    };
    char text[1024];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sonde_http_answer_header(end->stream, bad[i]), -EINVAL);
    memset(text, 'x', sizeof text);
    memcpy(text, "X-Long: ", 8);
    text[1022] = '\0'; /* a KiB with its line's end */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sonde_http_answer_header(end->stream, text), 0);
    assert_int_equal(sonde_http_answer_header(end->stream, "X: y"), -ENOBUFS);
    DO(sonde_stream_write(end->stream, "hello", 5));
    assert_int_equal(sonde_http_answer_header(end->stream, "X: y"), -EALREADY);
    DO(sonde_stream_finish(end->stream, SONDE_WHILE_MOVING));
}

/* Headers of the owner's own, up to their limit and not beyond, in an answer with a body and in one without. */
static void more_headers(struct contract *c)
{
    static const char *const samples[][2] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
        {"GET / HTTP/1.0\r\n\r\n", "hello"},
    };

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct server server = {.on_accepted = add_headers};
        struct answer answer = {.n = 0};
        snprintf(c->note, sizeof c->note, "sample %zu", i);
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, samples[i][0]);
        until(c, read_more(raw, &answer));
        unsigned n = 0;
        for (const char *at = answer.text; (at = strstr(at, "\r\nX-Long: ")) != NULL; at++)
            n++;
        assert_int_equal(n, 4);
        assert_null(strstr(answer.text, "\r\nX: y"));
        assert_string_equal(body_of(&answer), samples[i][1]);
        raw_close(raw);
        until(c, server.ends[0].closed);
        server_wind_up(&server);
    }
}

static void pause_it(struct end *end)
{
    DO(sonde_stream_pause(end->stream));
}

/* Neither the body nor its end comes to who has paused; and 100 Continue is said when somebody reads. */
static void paused(struct contract *c)
{
    for (int expects = 0; expects < 2; expects++) {
        struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}, .on_accepted = pause_it};
        struct answer answer = {.n = 0};
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, expects ? POST("Content-Length: 5\r\nExpect: 100-continue\r\n\r\n") : LENGTH);
        until(c, server.n_ends == 1);
        some_turns(c);
        assert_string_equal(server.ends[0].story, "");
        assert_false(read_more(raw, &answer));
        assert_int_equal(answer.n, 0);
        DO(sonde_stream_resume(server.ends[0].stream));
        if (expects) {
            until(c, read_more(raw, &answer) || answer.n > 0);
            assert_string_equal(answer.text, "HTTP/1.1 100 Continue\r\n\r\n");
            answer.n = 0;
            raw_write(raw, "hello");
        }
        until(c, read_more(raw, &answer));
        assert_string_equal(body_of(&answer), "5\r\nhello\r\n0\r\n\r\n");
        raw_close(raw);
        until(c, server.ends[0].closed);
        server_wind_up(&server);
    }
}

/* Bytes that come in bulk while the owner pauses for each piece: all of them arrive, in order. */
static void much(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
    const size_t n_bytes = 300000;
    unsigned char *bytes = malloc(n_bytes);
    size_t n_sent = 0, n_answered = 0;
    char head[128], got[8192];
    int n;

    assert_non_null(bytes);
    fill_pattern(bytes, n_bytes, 7, 0);
    server.model.checked = true;
    server.model.seed = 7;
    open_web(&server, c, 1, NO_TLS);
    int raw = raw_connect_small(server_port(&server), 8192);
    snprintf(head, sizeof head, "POST / HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", n_bytes);
    raw_write(raw, head);
    do {
        ssize_t sent = send(raw, bytes + n_sent, n_bytes - n_sent, MSG_NOSIGNAL);
        n_sent += sent > 0 ? (size_t)sent : 0;
        contract_turn(c);
        while ((n = raw_read(raw, got, sizeof got)) > 0)
            n_answered += (size_t)n;
    } while (n != 0 && n != -ECONNRESET);
    assert_int_equal(n, 0);
    assert_int_equal(server.ends[0].n_received, n_bytes);
    assert_true(n_answered > n_bytes && n_answered < n_bytes + 512);
    raw_close(raw);
    free(bytes);
    server_wind_up(&server);
}

/* The body breaks off, or is none. */
static void bad_bodies(struct contract *c)
{
    static const char *const samples[] = {POST("Content-Length: 5\r\n\r\nhell"),
                                          POST("Transfer-Encoding: chunked\r\n\r\n5\r\nhell"),
                                          POST("Transfer-Encoding: chunked\r\n\r\nfive\r\nhello")};

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct server server = {.model = {0}};
        struct answer answer = {.n = 0};
        open_web(&server, c, 1, NO_TLS);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, samples[i]);
        raw_shutdown(raw);
        until(c, server.n_ends == 1 && server.ends[0].failed);
        assert_int_equal(server.ends[0].error, -SONDE_EHTTP);
        assert_false(server.ends[0].ended);
        until(c, read_more(raw, &answer));
        assert_memory_equal(answer.text, "HTTP/1.1 400 ", 13);
        raw_close(raw);
        server_wind_up(&server);
    }
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
        CONTRACT_TEST(ends_at_once),        CONTRACT_TEST(http_any_split),   CONTRACT_TEST(answers),
        CONTRACT_TEST(more_headers),        CONTRACT_TEST(paused),           CONTRACT_TEST(much),
        CONTRACT_TEST(bad_bodies),          CONTRACT_TEST(refused),          CONTRACT_TEST(huge_head),
        CONTRACT_TEST(websocket_any_split), CONTRACT_TEST(our_clients),      CONTRACT_TEST(silent_in_tls),
        CONTRACT_TEST(closed_meanwhile),    CONTRACT_TEST(every_allocation), CONTRACT_TEST(spoken_to_a_busy_loop),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
