// SPDX-License-Identifier: MIT
/* The n-th allocation fails, for every n: the files that allocate are built in here with an allocator that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ladder_scenes.h"

#include <stdio.h>

static long n_left = -1; /* allocations that work before one fails; negative: all work */

static bool refused(void)
{
    if (n_left < 0)
        return false;
    return n_left-- == 0;
}

static void *count_calloc(size_t n, size_t n_bytes)
{
    return refused() ? NULL : calloc(n, n_bytes);
}

static char *count_strdup(const char *text)
{
    return refused() ? NULL : strdup(text);
}

#define calloc count_calloc
#undef strdup
#define strdup count_strdup
#include "observe/ladder/connections.c"
#include "observe/ladder/svg.c"
#include "observe/ladder/svg_marks.c"
#include "observe/ladder/text.c"
#undef calloc
#undef strdup

static void texts(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_g(scene);
    bool done = false;
    for (long n = 0; !done; n++) {
        struct written written = {0};
        written_add("", 0, &written);
        n_left = n;
        struct ladder *ladder = ladder_new(&(struct ladder_options){.width = 80}, written_add, &written);
        if (ladder) {
            for (size_t i = 0; i < scene->n_events; i++)
                ladder_event(ladder, &scene->events[i]);
            ladder_finish(ladder);
        }
        done = n_left >= 0;
        n_left = -1;
        ladder_free(ladder);
        /* Whatever is missing, no half line is there. */
        assert_true(written.n_bytes == 0 || written.text[written.n_bytes - 1] == '\n');
        assert_true(!done || strstr(written.text, "missing here: no memory") == NULL);
        assert_in_range(n, 0, 1000);
        free(written.text);
    }
    free(scene);
}

/* An event that had no room is told. */
static void lost_event(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_a(scene);
    struct written written = {0};
    struct ladder *ladder = ladder_new(&(struct ladder_options){.width = 80}, written_add, &written);
    assert_non_null(ladder);
    for (size_t i = 0; i < scene->n_events; i++) {
        n_left = i == 8 ? 0 : -1;
        ladder_event(ladder, &scene->events[i]);
    }
    n_left = -1;
    ladder_finish(ladder);
    ladder_free(ladder);
    assert_non_null(strstr(written.text, "\ni 1 events are missing here: no memory\n"));
    free(written.text);
    free(scene);
}

static void pictures(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_h(scene);
    const struct event *events[SCENE_EVENTS_MAX];
    for (size_t i = 0; i < scene->n_events; i++)
        events[i] = &scene->events[i];
    int r = -ENOMEM;
    for (long n = 0; r == -ENOMEM; n++) {
        struct written written = {0};
        n_left = n;
        r = ladder_svg(events, scene->n_events, 1, NULL, written_add, &written);
        n_left = -1;
        assert_int_equal(r == 0, written.n_bytes > 0);
        assert_in_range(n, 0, 100);
        free(written.text);
    }
    assert_int_equal(r, 0);
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(lost_event),
        cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
