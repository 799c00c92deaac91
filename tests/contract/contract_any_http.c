/* SPDX-License-Identifier: MIT */
/* Plain HTTP at a port for every client (any://): requests with bodies, and answers of the owner's. */
#include "any_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *body_of(const struct answer *answer)
{
    const char *end = strstr(answer->text, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
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

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(http_any_split), CONTRACT_TEST(answers), CONTRACT_TEST(more_headers),
        CONTRACT_TEST(paused),         CONTRACT_TEST(much),    CONTRACT_TEST(bad_bodies),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
