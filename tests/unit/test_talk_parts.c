/* SPDX-License-Identifier: MIT */
/* talk without sockets: what the operator's lines mean, and when a reader is slow, by a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/talk_parts.h"

#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

/* --- lines ----------------------------------------------------------------------------------------------------------
 */

static void check(const char *line, enum talk_verb verb, uint64_t number, const char *text)
{
    /* A copy that ends where it ends: a sanitizer sees a step past it. */
    size_t n = strlen(line);
    char *exact = malloc(n > 0 ? n : 1);
    struct talk_command command;

    assert_non_null(exact);
    memcpy(exact, line, n);
    talk_parse(exact, n, &command);
    assert_int_equal(command.verb, verb);
    if (verb == TALK_SAY_TO || verb == TALK_KICK)
        assert_int_equal(command.number, number);
    if (text != NULL) {
        assert_int_equal(command.n_text_bytes, strlen(text));
        assert_memory_equal(command.text, text, strlen(text));
    }
    free(exact);
}

static void what_is_said(void **state)
{
    (void)state;
    check("hello", TALK_SAY, 0, "hello");
    check("", TALK_SAY, 0, "");
    check(" ", TALK_SAY, 0, " ");
    check("  hello ", TALK_SAY, 0, "  hello ");
    check("a/who", TALK_SAY, 0, "a/who");
    check("@", TALK_SAY, 0, "@");
    check("@all hello", TALK_SAY, 0, "@all hello");
    check("@2x hello", TALK_SAY, 0, "@2x hello");
    /* What looks like something else. */
    check("//x", TALK_SAY, 0, "/x");
    check("//", TALK_SAY, 0, "/");
    check("///x", TALK_SAY, 0, "//x");
    check(" /x", TALK_SAY, 0, "/x");
    check("  /x", TALK_SAY, 0, " /x");
    check(" @2 x", TALK_SAY, 0, "@2 x");
    check(" @x", TALK_SAY, 0, " @x");
    check("/who\n/quit", TALK_SAY, 0, "/who\n/quit");
}

static void to_whom(void **state)
{
    (void)state;
    check("@2 hello", TALK_SAY_TO, 2, "hello");
    check("@2  hello ", TALK_SAY_TO, 2, " hello ");
    check("@2 /who", TALK_SAY_TO, 2, "/who");
    check("@2 a\nb", TALK_SAY_TO, 2, "a\nb");
    check("@2 ", TALK_SAY_TO, 2, "");
    check("@2", TALK_SAY_TO, 2, "");
    check("@0002 x", TALK_SAY_TO, 2, "x");
    check("@18446744073709551615 x", TALK_SAY_TO, UINT64_MAX, "x");
    check("@18446744073709551616 x", TALK_SAY_TO, 0, "x");
    check("@99999999999999999999999 x", TALK_SAY_TO, 0, "x");
}

static void commands(void **state)
{
    (void)state;
    check("/who", TALK_WHO, 0, NULL);
    check("/who  ", TALK_WHO, 0, NULL);
    check("/help", TALK_HELP, 0, NULL);
    check("/quit", TALK_QUIT, 0, NULL);
    check("/kick 2", TALK_KICK, 2, NULL);
    check("/kick   12  ", TALK_KICK, 12, NULL);
    check("/kick", TALK_NEEDS_NUMBER, 0, "/kick");
    check("/kick x", TALK_NEEDS_NUMBER, 0, "/kick");
    check("/kick 2x", TALK_NEEDS_NUMBER, 0, "/kick");
    check("/kick 2 3", TALK_NEEDS_NUMBER, 0, "/kick");
    check("/who 2", TALK_TAKES_NOTHING, 0, "/who");
    check("/quit now", TALK_TAKES_NOTHING, 0, "/quit");
    check("/", TALK_UNKNOWN, 0, "/");
    check("/whom", TALK_UNKNOWN, 0, "/whom");
    check("/usr/bin is full", TALK_UNKNOWN, 0, "/usr/bin");
}

static void numbers(void **state)
{
    static const struct {
        uint64_t number;
        const char *text;
    } rows[] = {{0, "0"},          {999, "999"},        {1000, "1,000"},
                {12345, "12,345"}, {262144, "262,144"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
    char text[TALK_NUMBER];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        talk_number(rows[i].number, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* --- slow readers ---------------------------------------------------------------------------------------------------
 */

struct scene {
    struct talk_reader reader;
    int64_t now_ns;
    uint64_t n_sent;
    size_t n_waiting;
};

static enum talk_reading look(struct scene *scene, int64_t s)
{
    scene->now_ns += s * SECOND;
    return talk_look(&scene->reader, scene->n_waiting, scene->n_sent, scene->now_ns);
}

static void who_reads_is_never_told_of(void **state)
{
    struct scene scene = {.now_ns = 77 * SECOND};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        scene.n_waiting = i % 3 == 0 ? 0 : 100;
        scene.n_sent += scene.n_waiting > 0;
        assert_int_equal(look(&scene, 4), TALK_READS);
    }
}

static void who_does_not_read(void **state)
{
    struct scene scene = {.now_ns = 77 * SECOND, .n_sent = 10, .n_waiting = 100};

    (void)state;
    assert_int_equal(look(&scene, 0), TALK_READS); /* it begins to wait */
    for (int s = 1; s < 5; s++)
        assert_int_equal(look(&scene, 1), TALK_READS);
    assert_int_equal(look(&scene, 1), TALK_STALLS);
    for (int s = 6; s < 60; s++) {
        scene.n_waiting += 10; /* more is said to it: no news */
        assert_int_equal(look(&scene, 1), TALK_READS);
    }
    assert_int_equal(look(&scene, 1), TALK_GIVEN_UP);
}

static void who_reads_again(void **state)
{
    struct scene scene = {.n_waiting = 100};

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(look(&scene, 0), TALK_READS);
        assert_int_equal(look(&scene, 5), TALK_STALLS);
        assert_int_equal(look(&scene, 54), TALK_READS);
        scene.n_sent++; /* one byte is enough, for another minute */
        assert_int_equal(look(&scene, 0), TALK_READS_AGAIN);
    }
    assert_int_equal(look(&scene, 5), TALK_STALLS);
    scene.n_waiting = 0;
    assert_int_equal(look(&scene, 100), TALK_READS_AGAIN);
    /* Nothing waits: no time passes. */
    assert_int_equal(look(&scene, 1000), TALK_READS);
    scene.n_waiting = 1;
    assert_int_equal(look(&scene, 1000), TALK_READS);
    assert_int_equal(look(&scene, 4), TALK_READS);
    assert_int_equal(look(&scene, 56), TALK_GIVEN_UP);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(to_whom),
        cmocka_unit_test(commands),
        cmocka_unit_test(numbers),
        cmocka_unit_test(who_reads_is_never_told_of),
        cmocka_unit_test(who_does_not_read),
        cmocka_unit_test(who_reads_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
