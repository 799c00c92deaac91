/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/answer.h"
#include "http/body.h"
#include "http/field.h"
#include "http/head.h"
#include "http/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- memory that is counted, and fails when it is told to -------------------------------------------------------- */

struct heap {
    size_t n_bytes, n_most_bytes;
    int n_until_failure; /* -1: never */
};

static void *resize(void *user, void *old, size_t old_bytes, size_t n_bytes)
{
    struct heap *heap = user;
    void *memory = NULL;

    if (n_bytes > 0) {
        if (heap->n_until_failure == 0)
            return NULL;
        if (heap->n_until_failure > 0)
            heap->n_until_failure--;
        memory = malloc(n_bytes);
        assert_non_null(memory);
        if (old != NULL)
            memcpy(memory, old, old_bytes < n_bytes ? old_bytes : n_bytes);
    }
    heap->n_bytes += n_bytes;
    heap->n_bytes -= old_bytes;
    if (heap->n_bytes > heap->n_most_bytes)
        heap->n_most_bytes = heap->n_bytes;
    free(old);
    return memory;
}

/* --- reading in pieces ------------------------------------------------------------------------------------------- */

struct reading {
    struct heap heap;
    struct http_head *head;
    enum http_step step;
    size_t n_taken;
};

/* cut: where the first piece ends; then pieces of `piece`. Each piece is a copy of its own, so that a byte read beyond
 * its end is found by the sanitizer. */
static void read_head(struct reading *reading, bool is_response, size_t limit, const char *text, size_t n_bytes,
                      size_t cut, size_t piece)
{
    struct http_memory memory = {resize, &reading->heap};
    size_t at = 0;

    *reading = (struct reading){.heap = {.n_until_failure = -1}, .step = HTTP_GOES_ON};
    reading->head = http_head_create(is_response, limit, &memory);
    assert_non_null(reading->head);
    while (at < n_bytes && reading->step == HTTP_GOES_ON) {
        size_t n = at < cut ? cut - at : piece, n_taken = SIZE_MAX;
        if (n > n_bytes - at)
            n = n_bytes - at;
        uint8_t *copy = malloc(n);
        memcpy(copy, text + at, n);
        reading->step = http_head_take(reading->head, copy, n, &n_taken);
        free(copy);
        assert_true(n_taken <= n && (reading->step == HTTP_DONE || n_taken == n));
        at += n_taken;
    }
    reading->n_taken = at;
}

static void finish(struct reading *reading)
{
    http_head_free(reading->head);
    assert_int_equal(reading->heap.n_bytes, 0);
}

/* The request as one line, to be compared. */
static void describe(const struct http_head *head, char *ret_text, size_t size_bytes)
{
    const struct sonde_http_request *request = http_head_request(head);
    size_t n = (size_t)snprintf(ret_text, size_bytes, "%s|%s|%d", request->method, request->target, request->version);

    for (unsigned i = 0; i < request->n_headers; i++)
        n += (size_t)snprintf(ret_text + n, size_bytes - n, "|%s=%s", request->headers[i].name,
                              request->headers[i].value);
}

struct sample {
    const char *text;
    const char *described; /* NULL: refused with status */
    unsigned status;
    size_t n_bytes; /* 0: strlen(text) */
};

static const struct sample requests[] = {
    {"GET / HTTP/1.1\r\n\r\n", "GET|/|11", 0, 0},
    {"GET / HTTP/1.0\r\n\r\n", "GET|/|10", 0, 0},
    {"\r\nGET / HTTP/1.1\r\n\r\n", "GET|/|11", 0, 0},
    {"GET /chat?room=1&x=%20 HTTP/1.1\r\nHost: 127.0.0.1:7007\r\n\r\n", "GET|/chat?room=1&x=%20|11|Host=127.0.0.1:7007",
     0, 0},
    {"HEAD * HTTP/1.1\r\nA:b\r\nC: \t d e \t\r\nEmpty:\r\nBlank:   \r\n\r\n", "HEAD|*|11|A=b|C=d e|Empty=|Blank=", 0,
     0},
    {"POST /x HTTP/1.1\r\nContent-Length: 5\r\nx-Y_z!#$%&'*+-.^`|~: \xff\x80 caf\xc3\xa9\r\n\r\n",
     "POST|/x|11|Content-Length=5|x-Y_z!#$%&'*+-.^`|~=\xff\x80 caf\xc3\xa9", 0, 0},
    {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "POST|/x|11|Transfer-Encoding=chunked", 0, 0},
    {"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET|/chat|11|Host=x|Connection=keep-alive, Upgrade|Upgrade=websocket", 0, 0},
    {"CONNECT x:443 HTTP/1.1\r\n\r\n", "CONNECT|x:443|11", 0, 0},
    {"GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n", "GET|http://x/y|11|Host=x", 0, 0},
    /* lines */
    {"GET / HTTP/1.1\n\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\r\n\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\n A: b\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", NULL, 400, 26},
    {"GET /\0 HTTP/1.1\r\n\r\n", NULL, 400, 19},
    {"GET / HTTP/1.1\r\nA: \x1b[2J\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA: \x7f\r\n\r\n", NULL, 400, 0},
    /* names */
    {"GET / HTTP/1.1\r\nA : b\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA b: c\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\n: b\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA\xc3\xa9: b\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1\r\nA(b): c\r\n\r\n", NULL, 400, 0},
    /* the first line */
    {"GET  / HTTP/1.1\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/1.1 \r\n\r\n", NULL, 400, 0},
    {"GET / x HTTP/1.1\r\n\r\n", NULL, 400, 0},
    {"GET /\tx HTTP/1.1\r\n\r\n", NULL, 400, 0},
    {"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", NULL, 400, 0},
    {" GET / HTTP/1.1\r\n\r\n", NULL, 400, 0},
    {"GET /\r\n\r\n", NULL, 400, 0},
    {"OPTIONS * RTSP/1.0\r\n\r\n", NULL, 400, 0},
    {"SOURCE /x ICE/1.0\r\n\r\n", NULL, 400, 0},
    {"GET / HTTP/2.0\r\n\r\n", NULL, 505, 0},
    {"GET / HTTP/0.9\r\n\r\n", NULL, 505, 0},
    {"GET / HTTP/1.2\r\n\r\n", NULL, 505, 0},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL, 505, 0},
    {"FROB / HTTP/1.1\r\n\r\n", NULL, 501, 0},
    {"get / HTTP/1.1\r\n\r\n", NULL, 501, 0},
    /* how long? */
    {"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL, 400, 0},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", NULL, 400, 0},
    {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", NULL, 400, 0},
    {"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", NULL, 400, 0},
    {"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", NULL, 400, 0},
    {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", NULL, 400, 0},
};

static void check_request(const struct sample *sample, size_t cut, size_t piece)
{
    size_t n_bytes = sample->n_bytes != 0 ? sample->n_bytes : strlen(sample->text);
    struct reading reading;
    char text[512];

    read_head(&reading, false, 4096, sample->text, n_bytes, cut, piece);
    if (sample->described != NULL) {
        if (reading.step != HTTP_DONE)
            fail_msg("%s in pieces of %zu behind %zu: step %d", sample->text, piece, cut, reading.step);
        assert_int_equal(reading.n_taken, n_bytes);
        describe(reading.head, text, sizeof text);
        assert_string_equal(text, sample->described);
    } else {
        if (reading.step != HTTP_WRONG || http_head_refusal(reading.head)->status != sample->status)
            fail_msg("%s in pieces of %zu behind %zu: step %d, status %u", sample->text, piece, cut, reading.step,
                     reading.step == HTTP_WRONG ? http_head_refusal(reading.head)->status : 0);
    }
    finish(&reading);
}

static void all_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        for (size_t piece = 1; piece <= 8; piece++)
            check_request(&requests[i], 0, piece);
        for (size_t cut = 0; cut < 140; cut++)
            check_request(&requests[i], cut, 4096);
    }
}

static void what_follows(void **state)
{
    static const char text[] = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n";
    struct reading reading;

    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        read_head(&reading, false, 4096, text, sizeof text - 1, 0, piece);
        assert_int_equal(reading.step, HTTP_DONE);
        assert_int_equal(reading.n_taken, strlen("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"));
        finish(&reading);
    }
}

/* A head of exactly the limit is taken; a byte more is not, wherever it is. */
static void limits(void **state)
{
    struct reading reading;
    char text[3000];

    (void)state;
    for (int in_target = 0; in_target < 2; in_target++)
        for (size_t n_bytes = 1999; n_bytes <= 2001; n_bytes++) {
            size_t n_fixed = in_target ? strlen("GET / HTTP/1.1\r\n\r\n") : strlen("GET / HTTP/1.1\r\nA: \r\n\r\n");
            char filler[2001];
            memset(filler, 'x', sizeof filler);
            filler[n_bytes - n_fixed] = '\0';
            snprintf(text, sizeof text, in_target ? "GET /%s HTTP/1.1\r\n\r\n" : "GET / HTTP/1.1\r\nA: %s\r\n\r\n",
                     filler);
            assert_int_equal(strlen(text), n_bytes);
            read_head(&reading, false, 2000, text, n_bytes, 0, n_bytes);
            assert_int_equal(reading.step, n_bytes <= 2000 ? HTTP_DONE : HTTP_WRONG);
            if (n_bytes > 2000)
                assert_int_equal(http_head_refusal(reading.head)->status, 431);
            assert_true(reading.heap.n_most_bytes < 2 * 2048 + 2048 + 512);
            finish(&reading);
        }
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /", 5);
    read_head(&reading, false, 2000, text, sizeof text, 0, 7);
    assert_int_equal(reading.step, HTTP_WRONG);
    assert_int_equal(http_head_refusal(reading.head)->status, 414);
    finish(&reading);
}

static void many_headers(void **state)
{
    struct reading reading;
    char text[8192];

    (void)state;
    for (unsigned n_headers = HTTP_HEADERS_MAX; n_headers <= HTTP_HEADERS_MAX + 1; n_headers++) {
        size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n");
        for (unsigned i = 0; i < n_headers; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "a%u:%u\r\n", i, i);
        n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
        read_head(&reading, false, sizeof text, text, n, 0, 11);
        assert_int_equal(reading.step, n_headers <= HTTP_HEADERS_MAX ? HTTP_DONE : HTTP_WRONG);
        if (reading.step == HTTP_DONE)
            assert_string_equal(http_head_request(reading.head)->headers[HTTP_HEADERS_MAX - 1].value, "199");
        else
            assert_int_equal(http_head_refusal(reading.head)->status, 431);
        finish(&reading);
    }
}

static void no_memory(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
    int n_failed = 0;

    (void)state;
    for (int n = 0;; n++) {
        struct heap heap = {.n_until_failure = n};
        struct http_memory memory = {resize, &heap};
        struct http_head *head = http_head_create(false, 1000, &memory);
        size_t n_taken;
        enum http_step step =
            head != NULL ? http_head_take(head, (const uint8_t *)text, strlen(text), &n_taken) : HTTP_NO_MEMORY;
        http_head_free(head);
        assert_int_equal(heap.n_bytes, 0);
        if (step == HTTP_DONE)
            break;
        assert_int_equal(step, HTTP_NO_MEMORY);
        n_failed++;
    }
    assert_int_equal(n_failed, 3); /* the head, its text, its table */
}

/* --- responses --------------------------------------------------------------------------------------------------- */

static void responses(void **state)
{
    static const struct {
        const char *text, *described;
        unsigned status;
    } samples[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
         "|Switching Protocols|11|Upgrade=websocket|Connection=Upgrade", 101},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n", "|Not Found|11|Content-Length=12", 404},
        {"HTTP/1.0 200 \xc3\xa9\r\n\r\n", "|\xc3\xa9|10", 200},
        {"HTTP/1.1 100 Continue\r\n\r\n", "|Continue|11", 100},
        {"HTTP/1.1 204 \r\n\r\n", "||11", 204},
        {"HTTP/1.1 200 OK\n\n", NULL, 0},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", NULL, 0},
        {"SSH-2.0-x\r\n", NULL, 0},
        {"HTTP/1.1 2x0 OK\r\n\r\n", NULL, 0},
    };
    struct reading reading;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (size_t piece = 1; piece < 90; piece++) {
            read_head(&reading, true, 4096, samples[i].text, strlen(samples[i].text), 0, piece);
            if (samples[i].described != NULL) {
                if (reading.step != HTTP_DONE)
                    fail_msg("%s in pieces of %zu: %d", samples[i].text, piece, reading.step);
                describe(reading.head, text, sizeof text);
                assert_string_equal(text, samples[i].described);
                assert_int_equal(http_head_status(reading.head), samples[i].status);
            } else {
                assert_int_equal(reading.step, HTTP_WRONG);
            }
            finish(&reading);
        }
}

/* --- bodies ------------------------------------------------------------------------------------------------------ */

struct body_sample {
    const char *head, *body, *data; /* data NULL: refused */
    unsigned status;                /* 0: the body is wrong, and not the head; or nothing is */
    size_t n_behind;
};

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct body_sample bodies[] = {
    {"", "", "", 0, 0},
    {"", "GET", "", 0, 3},
    {"Content-Length: 0\r\n", "x", "", 0, 1},
    {"Content-Length: 5\r\n", "hello", "hello", 0, 0},
    {"Content-Length: 00005\r\n", "helloGET", "hello", 0, 3},
    {CHUNKED, "0\r\n\r\n", "", 0, 0},
    {CHUNKED, "5\r\nhello\r\n0\r\n\r\nmore", "hello", 0, 4},
    {CHUNKED, "1\r\nh\r\n4\r\nello\r\n000\r\n\r\n", "hello", 0, 0},
    {CHUNKED, "a\r\n0123456789\r\nA;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: x\r\nB: c\r\n\r\n", "01234567890123456789",
     0, 0},
    {CHUNKED, "5 \r\nhello\r\n0\r\n\r\n", "hello", 0, 0},
    {CHUNKED, "5\nhello\r\n0\r\n\r\n", NULL, 400, 0},
    {CHUNKED, "5\r\nhelloX\r\n0\r\n\r\n", NULL, 400, 0},
    {CHUNKED, "5\r\nhello\n0\r\n\r\n", NULL, 400, 0},
    {CHUNKED, "\r\nhello", NULL, 400, 0},
    {CHUNKED, "x\r\nhello", NULL, 400, 0},
    {CHUNKED, "-1\r\nhello", NULL, 400, 0},
    {CHUNKED, "0x5\r\nhello", NULL, 400, 0},
    {CHUNKED, "10000000000000005\r\nhello", NULL, 400, 0},
    {CHUNKED, "5;\x01\r\nhello", NULL, 400, 0},
    {CHUNKED, "5;a\nb\r\nhello", NULL, 400, 0},
    {CHUNKED, "0\r\n Trailer: x\r\n\r\n", NULL, 400, 0},
    {CHUNKED, "0\r\nTrailer: x\n\r\n", NULL, 400, 0},
    {"Transfer-Encoding: gzip, chunked\r\n", "", NULL, 501, 0},
    {"Transfer-Encoding: Chunked\r\n", "0\r\n\r\n", "", 0, 0},
    {CHUNKED CHUNKED, "", NULL, 501, 0},
};

static void check_body(const struct body_sample *sample, size_t piece)
{
    char text[512], data[256];
    size_t n_data = 0, at = 0, n_body = strlen(sample->body);
    struct reading reading;
    struct http_body body;
    enum http_step step = HTTP_GOES_ON;

    snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%s\r\n", sample->head);
    read_head(&reading, false, 4096, text, strlen(text), 0, 512);
    if (reading.step == HTTP_WRONG) { /* what llhttp refuses already */
        assert_null(sample->data);
        assert_int_equal(http_head_refusal(reading.head)->status, sample->status);
        finish(&reading);
        return;
    }
    assert_int_equal(reading.step, HTTP_DONE);
    const struct http_refusal *refusal = http_body_begin(&body, http_head_request(reading.head));
    if (refusal != NULL)
        assert_int_equal(refusal->status, sample->status);
    while (refusal == NULL && step == HTTP_GOES_ON && at < n_body) {
        size_t n = n_body - at < piece ? n_body - at : piece, n_taken = SIZE_MAX, n_piece = SIZE_MAX;
        uint8_t *copy = malloc(n);
        memcpy(copy, sample->body + at, n);
        step = http_body_take(&body, copy, n, &n_taken, &n_piece);
        if (step == HTTP_WRONG)
            refusal = body.wrong;
        if (step != HTTP_WRONG) {
            assert_true(n_taken <= n && n_piece <= n_taken && (n_taken > 0 || step == HTTP_DONE));
            memcpy(data + n_data, copy + n_taken - n_piece, n_piece);
            n_data += n_piece;
            at += n_taken;
        }
        free(copy);
    }
    if (sample->data == NULL) {
        assert_non_null(refusal);
        assert_int_equal(refusal->status, sample->status);
    } else {
        assert_null(refusal);
        assert_true(http_body_over(&body));
        assert_int_equal(n_data, strlen(sample->data));
        assert_memory_equal(data, sample->data, n_data);
        assert_int_equal(n_body - at, sample->n_behind);
    }
    finish(&reading);
}

static void all_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (size_t piece = 1; piece < 90; piece++)
            check_body(&bodies[i], piece);
}

/* What is passed over is bounded, too. */
static void endless_bodies(void **state)
{
    static const char *const begins[] = {"5;", "0\r\nTrailer: "};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct http_body body = {.state = HTTP_BODY_CHUNK_SIZE, .is_chunked = true};
        size_t n_taken, n_data, n = 0;
        enum http_step step = http_body_take(&body, (const uint8_t *)begins[i], strlen(begins[i]), &n_taken, &n_data);
        while (step == HTTP_GOES_ON && n++ < 100000)
            step = http_body_take(&body, (const uint8_t *)"x", 1, &n_taken, &n_data);
        assert_int_equal(step, HTTP_WRONG);
        assert_true(n > 500 && n < 20000);
    }
}

static void old_requests_have_no_chunks(void **state)
{
    static const char text[] = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct reading reading;
    struct http_body body;

    (void)state;
    read_head(&reading, false, 4096, text, strlen(text), 0, 100);
    if (reading.step == HTTP_DONE)
        assert_int_equal(http_body_begin(&body, http_head_request(reading.head))->status, 400);
    else
        assert_int_equal(reading.step, HTTP_WRONG);
    finish(&reading);
}

/* --- fields and upgrades ----------------------------------------------------------------------------------------- */

static void fields(void **state)
{
    static const struct sonde_http_header headers[] = {
        {"Connection", "keep-alive, ,Upgrade ,\tx"}, {"connection", "close"}, {"Upgrade", "websocket2, WebSocket"}};
    const struct sonde_http_request request = {"GET", "/", 11, 3, headers};
    char text[64];

    (void)state;
    assert_true(http_header_has(&request, "Connection", "upgrade"));
    assert_true(http_header_has(&request, "CONNECTION", "Close"));
    assert_true(http_header_has(&request, "Connection", "x"));
    assert_false(http_header_has(&request, "Connection", "up"));
    assert_false(http_header_has(&request, "Connection", ""));
    assert_true(http_header_has(&request, "Upgrade", "websocket"));
    assert_int_equal(http_header_count(&request, "CONNECTION"), 2);
    assert_string_equal(sonde_http_header(&request, "cONNECTION"), headers[0].value);
    assert_null(sonde_http_header(&request, "Connectio"));
    assert_int_equal(http_header_join(&request, "Connection", text, sizeof text),
                     strlen("keep-alive, ,Upgrade ,\tx, close"));
    assert_string_equal(text, "keep-alive, ,Upgrade ,\tx, close");
}

static void subprotocols(void **state)
{
    static const struct sonde_http_header headers[] = {{"Sec-WebSocket-Protocol", "chat, Superchat"},
                                                       {"sec-websocket-protocol", "x.y"}};
    const struct sonde_http_request request = {"GET", "/", 11, 2, headers};
    static const struct {
        const char *ours, *chosen;
    } samples[] = {{NULL, ""},
                   {"", ""},
                   {"chat", "chat"},
                   {"superchat", ""},
                   {"a, x.y,chat", "x.y"},
                   {"Superchat, chat", "Superchat"},
                   {"cha", ""}};
    char text[HTTP_SUBPROTOCOL_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        http_choose_subprotocol(samples[i].ours, &request, text);
        assert_string_equal(text, samples[i].chosen);
    }
}

#define UPGRADE                                                                                                        \
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void upgrades(void **state)
{
    static const struct {
        const char *text;
        bool wants;
        unsigned status;
    } samples[] = {
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", true, 0},
        {"GET / HTTP/1.1\r\n" UPGRADE "\r\n", true, 426},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 8\r\n\r\n", true, 426},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n\r\n", true, 426},
        {"GET / HTTP/1.0\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", true, 400},
        {"POST / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", true, 400},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", true, 400},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n\r\n", true, 400},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n", true, 0},
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", false, 0},
        {"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", false, 0},
    };
    struct reading reading;

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        read_head(&reading, false, 4096, samples[i].text, strlen(samples[i].text), 0, 4096);
        assert_int_equal(reading.step, HTTP_DONE);
        const struct sonde_http_request *request = http_head_request(reading.head);
        assert_int_equal(http_wants_upgrade(request), samples[i].wants);
        if (samples[i].wants) {
            const struct http_refusal *refusal = http_upgrade_check(request);
            assert_int_equal(refusal != NULL ? refusal->status : 0, samples[i].status);
        }
        finish(&reading);
    }
}

static void client_requests(void **state)
{
    static const char *const more[] = {"Authorization: Bearer x", "X-Empty:", NULL};
    struct sonde_ws_client client = {.size = sizeof client};
    struct http_upgrade upgrade = {.host = "::1", .port = 7007, .target = "?a", .key = "KEY", .client = &client};
    char text[512];

    (void)state;
    assert_int_equal(http_upgrade_valid(&upgrade), 0);
    size_t n = http_upgrade_format(&upgrade, text, sizeof text);
    assert_string_equal(text, "GET /?a HTTP/1.1\r\nHost: [::1]:7007\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\n\r\n");
    assert_int_equal(n, strlen(text));
    client.headers = more;
    client.origin = "http://x";
    client.subprotocols = "a,b";
    upgrade = (struct http_upgrade){"x.test", 0, "/chat", "KEY", "permessage-deflate", &client};
    assert_int_equal(http_upgrade_valid(&upgrade), 0);
    http_upgrade_format(&upgrade, text, sizeof text);
    assert_string_equal(text, "GET /chat HTTP/1.1\r\nHost: x.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nOrigin: http://x\r\n"
                              "Sec-WebSocket-Protocol: a,b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
                              "Authorization: Bearer x\r\nX-Empty:\r\n\r\n");
    assert_int_equal(http_upgrade_format(&upgrade, text, 10), n = http_upgrade_format(&upgrade, NULL, 0));
    assert_int_equal(strlen(text), 9);
}

static void client_refuses(void **state)
{
    static const char *const headers[] = {"Host: x",
                                          "upgrade: y",
                                          "Connection: z",
                                          "Sec-WebSocket-Foo: x",
                                          "Content-Length: 1",
                                          "Transfer-Encoding: chunked",
                                          "no colon",
                                          ": x",
                                          "A : b",
                                          "A: b\r\nC: d",
                                          "A: \x1b",
                                          "",
                                          "A\r: b"};
    static const char *const origins[] = {"", "http://x y", "http://x\r\n"};
    static const char *const lists[] = {"", ",", "a b", "a,\r\nb", "a;b"};
    static const char *const targets[] = {"chat", "/a b", "/a\r\n", "/\xc3\xa9"};
    struct sonde_ws_client client = {.size = sizeof client};
    struct http_upgrade upgrade = {.host = "x", .target = "/", .key = "KEY", .client = &client};

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const char *const list[] = {headers[i], NULL};
        client.headers = list;
        if (http_upgrade_valid(&upgrade) != -EINVAL)
            fail_msg("the header %s was taken", headers[i]);
    }
    client.headers = NULL;
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        client.origin = origins[i];
        assert_int_equal(http_upgrade_valid(&upgrade), -EINVAL);
    }
    client.origin = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        client.subprotocols = lists[i];
        assert_int_equal(http_upgrade_valid(&upgrade), -EINVAL);
    }
    client.subprotocols = NULL;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        upgrade.target = targets[i];
        assert_int_equal(http_upgrade_valid(&upgrade), -EINVAL);
    }
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"

static void server_answers(void **state)
{
    static const struct {
        const char *text, *why, *subprotocol; /* why NULL: it is right */
    } samples[] = {
        {SWITCHING "Sec-WebSocket-Accept: ACC\r\n\r\n", NULL, ""},
        {SWITCHING "Sec-WebSocket-Accept: ACC\r\nSec-WebSocket-Protocol: b\r\n\r\n", NULL, "b"},
        {SWITCHING "Sec-WebSocket-Accept: ACC\r\nSec-WebSocket-Protocol: c\r\n\r\n",
         "the server chose a subprotocol that was not offered", NULL},
        {SWITCHING "Sec-WebSocket-Accept: ACC\r\nSec-WebSocket-Protocol: \r\n\r\n",
         "the server chose a subprotocol that was not offered", NULL},
        {SWITCHING "Sec-WebSocket-Accept: acc\r\n\r\n", "the server's Sec-WebSocket-Accept does not fit our key", NULL},
        {SWITCHING "\r\n", "the server's Sec-WebSocket-Accept does not fit our key", NULL},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: ACC\r\n\r\n", "the server answered 101, but not for WebSocket", NULL},
        {"HTTP/1.1 404 Not Found\r\n\r\n", "the server answered 404 Not Found", NULL},
        {"HTTP/1.1 404 \r\n\r\n", "the server answered 404 Not Found", NULL},
        {"HTTP/1.1 403 N\xc3\xb3\r\n\r\n", "the server answered 403 N??", NULL},
        {"HTTP/1.1 200 OK\r\n\r\n", "the server answered 200 OK", NULL},
        {"HTTP/1.1 302 Found\r\nLocation: wss://x/y\xff\r\n\r\n",
         "the server answered 302 Found, and sends us to wss://x/y?", NULL},
    };
    struct sonde_ws_client client = {.size = sizeof client, .subprotocols = "a, b"};
    struct http_upgrade upgrade = {.host = "x", .target = "/", .key = "KEY", .client = &client};
    struct reading reading;
    char why[192], subprotocol[HTTP_SUBPROTOCOL_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        read_head(&reading, true, 4096, samples[i].text, strlen(samples[i].text), 0, 4096);
        assert_int_equal(reading.step, HTTP_DONE);
        int error = http_upgrade_answered(reading.head, &upgrade, "ACC", subprotocol, why, sizeof why);
        assert_int_equal(error, samples[i].why != NULL ? -SONDE_EHTTP : 0);
        if (error < 0)
            assert_string_equal(why, samples[i].why);
        else
            assert_string_equal(subprotocol, samples[i].subprotocol);
        finish(&reading);
    }
}

/* What we say is what we read. */
static void our_answers(void **state)
{
    static const struct http_refusal refusals[] = {{426, "Upgrade."}, {405, "No."}, {421, "Who?"}};
    char text[HTTP_ANSWER_MAX + 1], longest[HTTP_CONTENT_TYPE_MAX];
    struct reading reading;

    (void)state;
    for (int is_head = 0; is_head < 2; is_head++)
        for (size_t i = 0; i < 3; i++) {
            size_t n = http_answer_refusal(&refusals[i], is_head, text);
            read_head(&reading, true, 4096, text, n, 0, 4096);
            assert_int_equal(reading.step, HTTP_DONE);
            assert_int_equal(http_head_status(reading.head), refusals[i].status);
            assert_int_equal(n - reading.n_taken, is_head ? 0 : strlen(refusals[i].sentence) + 1);
            assert_true(http_header_has(http_head_request(reading.head), "Connection", "close"));
            assert_non_null(sonde_http_header(http_head_request(reading.head), "X-Content-Type-Options"));
            assert_string_equal(sonde_http_header(http_head_request(reading.head), "Content-Security-Policy"),
                                "default-src 'none'; frame-ancestors 'none'");
            finish(&reading);
        }
    memset(longest, 'x', sizeof longest - 1);
    longest[3] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_true(http_content_type_valid(longest));
    assert_false(http_content_type_valid("text"));
    assert_false(http_content_type_valid("text/plain\r\nX: y"));
    for (unsigned status = 200; status < 600; status++) {
        size_t n = http_answer_head(status, longest, true, text);
        assert_true(n < HTTP_ANSWER_MAX);
        read_head(&reading, true, 4096, text, n, 0, 4096);
        assert_int_equal(reading.step, HTTP_DONE);
        assert_int_equal(sonde_http_header(http_head_request(reading.head), "Transfer-Encoding") != NULL,
                         http_status_has_body(status));
        finish(&reading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_requests),
        cmocka_unit_test(what_follows),
        cmocka_unit_test(limits),
        cmocka_unit_test(many_headers),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(responses),
        cmocka_unit_test(all_bodies),
        cmocka_unit_test(endless_bodies),
        cmocka_unit_test(old_requests_have_no_chunks),
        cmocka_unit_test(fields),
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(client_requests),
        cmocka_unit_test(client_refuses),
        cmocka_unit_test(server_answers),
        cmocka_unit_test(our_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
