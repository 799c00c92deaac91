/* SPDX-License-Identifier: MIT */
/* A loop's one probe for several who want to hear it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/taps.h"

#include <sonde/listener.h>
#include <sonde/loop.h>
#include <sonde/url.h>
#include <string.h>

struct heard {
    unsigned n, of[SONDE_N_OPERATIONS];
    unsigned *clock; /* shared: whoever hears first has the lower time */
    unsigned first_at;
};

static void hear(const struct sonde_probe_event *event, void *user)
{
    struct heard *heard = user;
    assert_true(event->operation < SONDE_N_OPERATIONS);
    heard->of[event->operation]++;
    if (heard->n++ == 0)
        heard->first_at = ++*heard->clock;
}

static void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
}

static const struct sonde_listener_handler handler = {.accepted = accepted};

/* Opens a listener, and closes it and the loop. */
static void listen_once(struct sonde_loop *loop)
{
    struct sonde_url url;
    struct sonde_why why;
    struct sonde_listener *listener;
    assert_int_equal(sonde_url_parse("tcp://127.0.0.1:0", &url, &why), 0);
    assert_int_equal(sonde_listen(loop, &url, NULL, &handler, NULL, &listener, &why), 0);
    sonde_listener_close(listener);
    assert_int_equal(sonde_loop_run(loop), 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

static struct sonde_loop *new_loop(void)
{
    struct sonde_loop *loop;
    struct sonde_why why;
    assert_int_equal(sonde_loop_create(NULL, &loop, &why), 0);
    return loop;
}

/* Each hears every call, in the order in which they asked to. */
static void all_hear_all(void **state)
{
    struct taps taps = {.n = 0};
    struct heard heard[TAPS_MAX] = {0};
    unsigned clock = 0;
    struct sonde_loop *loop = new_loop();
    for (unsigned i = 0; i < TAPS_MAX; i++) {
        heard[i].clock = &clock;
        taps_add(&taps, loop, hear, &heard[i]);
    }
    listen_once(loop);
    for (unsigned i = 0; i < TAPS_MAX; i++) {
        assert_int_equal(heard[i].of[SONDE_OP_SOCKET], 1);
        assert_int_equal(heard[i].of[SONDE_OP_BIND], 1);
        assert_int_equal(heard[i].of[SONDE_OP_LISTEN], 1);
        assert_int_equal(heard[i].of[SONDE_OP_CLOSE], 1);
        assert_int_equal(heard[i].n, heard[0].n);
        assert_int_equal(heard[i].first_at, i + 1);
    }
}

/* Taps are of one loop: another's are not heard. */
static void each_loop_has_its_own(void **state)
{
    struct taps taps[2] = {0};
    struct heard heard[2] = {0};
    struct sonde_loop *loops[2];
    unsigned clock = 0;
    for (unsigned i = 0; i < 2; i++) {
        loops[i] = new_loop();
        heard[i].clock = &clock;
        taps_add(&taps[i], loops[i], hear, &heard[i]);
    }
    listen_once(loops[0]);
    assert_true(heard[0].n > 0);
    assert_int_equal(heard[1].n, 0);
    listen_once(loops[1]);
    assert_int_equal(heard[1].n, heard[0].n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hear_all),
        cmocka_unit_test(each_loop_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
