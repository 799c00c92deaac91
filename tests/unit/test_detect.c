/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    const char *bytes;
    size_t n_bytes;
    enum detected detected;
    size_t n_needed; /* it is known behind so many bytes, and not before; 0: not looked at */
};

#define SAMPLE(text, detected, n_needed)                                                                               \
    {                                                                                                                  \
        text, sizeof text - 1, detected, n_needed                                                                      \
    }

static const struct sample samples[] = {
    /* TLS */
    SAMPLE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", DETECT_TLS, 6),
    SAMPLE("\x16\x03\x03\x40\x00\x01", DETECT_TLS, 6),
    SAMPLE("\x16\x03\x00\x00\x01\x01", DETECT_TLS, 6),
    SAMPLE("\x16\x03\x04\x00\x2e\x01", DETECT_TLS, 6),
    SAMPLE("\x16\x03\x05\x00\x2e\x01", DETECT_RAW, 3),
    SAMPLE("\x16\x02\x00\x00\x2e\x01", DETECT_RAW, 2),
    SAMPLE("\x16\x03\x01\x00\x00\x01", DETECT_RAW, 5),
    SAMPLE("\x16\x03\x01\x40\x01\x01", DETECT_RAW, 5),
    SAMPLE("\x16\x03\x01\xff\xff\x01", DETECT_RAW, 4),
    SAMPLE("\x16\x03\x01\x00\x2e\x02", DETECT_RAW, 6),
    SAMPLE("\x17\x03\x03\x00\x2e", DETECT_RAW, 1),
    SAMPLE("\x15\x03\x03\x00\x02\x02", DETECT_RAW, 1),
    SAMPLE("\x80\x2e\x01\x00\x02", DETECT_RAW, 1),
    SAMPLE("\x16hello", DETECT_RAW, 2),
    SAMPLE("\x16\x03", DETECT_MORE, 0),
    /* HTTP */
    SAMPLE("GET / HTTP/1.1\r\nHost: x\r\n\r\n", DETECT_HTTP, 16),
    SAMPLE("GET / HTTP/1.0\n", DETECT_HTTP, 15),
    SAMPLE("GET /a?b=c%20d HTTP/1.1\r\n", DETECT_HTTP, 25),
    SAMPLE("OPTIONS * HTTP/1.1\r\n", DETECT_HTTP, 20),
    SAMPLE("CONNECT x:443 HTTP/1.1\r\n", DETECT_HTTP, 24),
    SAMPLE("GET http://x/ HTTP/1.1\r\n", DETECT_HTTP, 24),
    SAMPLE("GET HTTPS://x/ HTTP/1.1\r\n", DETECT_HTTP, 25),
    SAMPLE("GET ws://x/ HTTP/1.1\r\n", DETECT_HTTP, 22),
    SAMPLE("FROB / HTTP/1.1\r\n", DETECT_HTTP, 17),
    SAMPLE("get / HTTP/1.1\r\n", DETECT_HTTP, 16),
    SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", DETECT_HTTP, 16),
    SAMPLE("GET /\xc3\xa9 HTTP/1.1\r\n", DETECT_HTTP, 18),
    /* text that begins like it */
    SAMPLE("GET lost\n", DETECT_RAW, 5),
    SAMPLE("GET http:lost\n", DETECT_RAW, 10),
    SAMPLE("GET htttp://x HTTP/1.1\r\n", DETECT_RAW, 8),
    SAMPLE("GET /\r\n", DETECT_RAW, 6),
    SAMPLE("GET / HTTP/1.1", DETECT_MORE, 0),
    SAMPLE("GET / HTTP/1.1\r", DETECT_MORE, 0),
    SAMPLE("GET / HTTP/1.1\rx", DETECT_RAW, 16),
    SAMPLE("GET / HTTP/1.1 \r\n", DETECT_RAW, 15),
    SAMPLE("GET / HTTP/1.12\r\n", DETECT_RAW, 15),
    SAMPLE("GET / HTTP/x.1\r\n", DETECT_RAW, 12),
    SAMPLE("GET / HTTPS/1.1\r\n", DETECT_RAW, 11),
    SAMPLE("GET / or not\r\n", DETECT_RAW, 7),
    SAMPLE("GET  / HTTP/1.1\r\n", DETECT_RAW, 5),
    SAMPLE("GET\t/ HTTP/1.1\r\n", DETECT_RAW, 4),
    SAMPLE("GET\r\n", DETECT_RAW, 4),
    SAMPLE("CONNECTED x HTTP/1.1\r\n", DETECT_RAW, 11),
    SAMPLE("CONNEC x HTTP/1.1\r\n", DETECT_RAW, 8),
    SAMPLE("XCONNECT x HTTP/1.1\r\n", DETECT_RAW, 10),
    SAMPLE(" GET / HTTP/1.1\r\n", DETECT_RAW, 1),
    SAMPLE("\r\nGET / HTTP/1.1\r\n", DETECT_RAW, 1),
    SAMPLE("hello, world\n", DETECT_RAW, 6),
    SAMPLE("hello\n", DETECT_RAW, 6),
    SAMPLE("hello", DETECT_MORE, 0),
    SAMPLE("{\"a\":1}\n", DETECT_RAW, 1),
    SAMPLE("SSH-2.0-x\r\n", DETECT_RAW, 10),
    SAMPLE("\0", DETECT_RAW, 1),
    SAMPLE("\n", DETECT_RAW, 1),
    SAMPLE("", DETECT_MORE, 0),
};

/* From a copy of its own, so that a byte read beyond it is found. */
static enum detected feed(struct detector *detector, const char *bytes, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes + 1);

    memcpy(copy, bytes, n_bytes);
    enum detected detected = detect(detector, copy, n_bytes);
    free(copy);
    return detected;
}

static void every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *sample = &samples[i];
        for (size_t cut = 0; cut <= sample->n_bytes; cut++)
            for (size_t next = cut; next <= sample->n_bytes; next++) {
                struct detector detector = {0};
                feed(&detector, sample->bytes, cut);
                feed(&detector, sample->bytes + cut, next - cut);
                if (feed(&detector, sample->bytes + next, sample->n_bytes - next) != sample->detected)
                    fail_msg("sample %zu cut at %zu and %zu", i, cut, next);
            }
    }
}

static void as_soon_as_possible(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct detector detector = {0};
        size_t n = 0;
        while (n < samples[i].n_bytes && feed(&detector, samples[i].bytes + n, 1) == DETECT_MORE)
            n++;
        if (samples[i].n_needed != 0 && n + 1 != samples[i].n_needed)
            fail_msg("sample %zu was known behind %zu bytes", i, n + 1);
    }
}

/* Once decided it stays so. */
static void for_good(void **state)
{
    struct detector detector = {0};

    (void)state;
    assert_int_equal(feed(&detector, "x\n", 2), DETECT_RAW);
    assert_int_equal(feed(&detector, "GET / HTTP/1.1\r\n", 16), DETECT_RAW);
}

static void bounds(void **state)
{
    struct detector word = {0}, target = {0}, version = {0};

    (void)state;
    for (size_t n = 1; n < DETECT_LINE_MAX; n++)
        assert_int_equal(feed(&word, "x", 1), DETECT_MORE);
    assert_int_equal(feed(&word, "x", 1), DETECT_RAW);
    feed(&target, "GET /", 5);
    for (size_t n = 6; n < DETECT_LINE_MAX; n++)
        assert_int_equal(feed(&target, "x", 1), DETECT_MORE);
    assert_int_equal(feed(&target, "x", 1), DETECT_HTTP);
    feed(&version, "GET /", 5);
    for (size_t n = 6; n < DETECT_LINE_MAX - 3; n++)
        feed(&version, "x", 1);
    assert_int_equal(feed(&version, " HT", 3), DETECT_MORE);
    assert_int_equal(feed(&version, "T", 1), DETECT_HTTP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
        cmocka_unit_test(as_soon_as_possible),
        cmocka_unit_test(for_good),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
