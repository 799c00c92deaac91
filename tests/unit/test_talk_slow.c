/* SPDX-License-Identifier: MIT */
/* talk with clients that do not read: what waits is bounded, they are told of and dropped, and nobody waits for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/talk_parts.h"
#include "talk_scene.h"

/* A client that does not read: nobody waits for it, its queue is bounded, it is dropped, and what it did not get is
 * counted to the byte. */
static void a_client_that_does_not_read(struct host *host)
{
    static char text[2001];
    uint64_t n_said = 0, n_heard = 0;
    int slow = client(host, 4096), good = client(host, 0);
    unsigned n_turns = 0;

    memset(text, 'x', sizeof(text) - 1);
    while (!has(host, "tell 1 does not read, and is dropped: ")) {
        char bytes[65536];
        line(host, text);
        n_said += sizeof(text);
        /* The other one has everything before the next line is said. */
        for (; n_heard < n_said; n_turns++) {
            ssize_t got = recv(good, bytes, sizeof(bytes), 0);
            n_heard += got > 0 ? (size_t)got : 0;
            turn(host);
            assert_true(n_turns < 100000);
        }
        struct sonde_stream *first = sonde_stream_next(host->loop, NULL);
        assert_true(number(first) != 1 || sonde_stream_queued_bytes(first) <= TALK_QUEUE_BYTES);
        assert_true(n_said < 16 * TALK_QUEUE_BYTES);
    }
    assert_true(n_said > TALK_QUEUE_BYTES);
    assert_true(has(host, "done 1 not reading"));
    until(host, host->n_streams == 1);
    until(host, is_reset(slow));
    assert_true(host->n_lost > TALK_QUEUE_BYTES / 2 && host->n_lost <= n_said);
    char lost[TALK_NUMBER], sentence[128];
    talk_number(host->n_lost, lost);
    snprintf(sentence, sizeof(sentence), "is dropped: %s bytes did not reach it.", lost);
    assert_true(has(host, sentence));
    line(host, "and on");
    client_hears(host, good, "and on\n");
    close(slow);
    close(good);
}

/* Lines from a pipe: asked for as long as somebody takes them. */
static void lines_are_asked_for(struct host *host)
{
    static char text[1001];
    int one = client(host, 4096);

    memset(text, 'x', sizeof(text) - 1);
    for (unsigned n = 0; host->wanted; n++) {
        line(host, text);
        assert_true(n < 100000);
        if (n % 16 == 0)
            turn(host);
    }
    struct sonde_stream *stream = sonde_stream_next(host->loop, NULL);
    assert_true(sonde_stream_queued_bytes(stream) <= TALK_QUEUE_BYTES);
    /* Another one comes, who takes them: this one is waited for no more. */
    int two = client(host, 0);
    assert_true(host->wanted);
    line(host, "@2 x");
    client_hears(host, two, "x\n");
    close(two);
    until(host, host->n_streams == 1);
    assert_false(host->wanted);
    /* It reads: lines are asked for again. */
    char bytes[65536];
    until(host, (recv(one, bytes, sizeof(bytes), 0), host->wanted));
    close(one);
    until(host, host->n_streams == 0);
}

/* Five seconds at least. */
static void a_client_that_stalls_for_a_while(struct host *host)
{
    static char text[1001];
    char bytes[65536];

    if (host->engine != SONDE_ENGINE_EPOLL)
        return; /* once is enough */
    int one = client(host, 4096);
    memset(text, 'x', sizeof(text) - 1);
    while (host->wanted) {
        line(host, text);
        turn(host);
    }
    until(host, jump(100 * MILLISECOND) && has(host, "tell 1 is not reading: "));
    assert_true(has(host, " bytes wait."));
    until(host, (recv(one, bytes, sizeof(bytes), 0), jump(20 * MILLISECOND) && has(host, "tell 1 is reading again.")));
    until(host, (recv(one, bytes, sizeof(bytes), 0), host->wanted));
    assert_int_equal(host->n_streams, 1);
    close(one);
}

EACH(a_client_that_does_not_read)
EACH(lines_are_asked_for)
EACH(a_client_that_stalls_for_a_while)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_does_not_read_on_each),
        cmocka_unit_test(lines_are_asked_for_on_each),
        cmocka_unit_test(a_client_that_stalls_for_a_while_on_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
