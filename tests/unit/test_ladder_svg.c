// SPDX-License-Identifier: MIT
/* The picture: sound XML whatever the peers send, and what it must show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ladder_scenes.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define DEPTH_MAX 16

static struct written svg_of(const struct scene *scene, const char *title)
{
    const struct event *events[SCENE_EVENTS_MAX];
    for (size_t i = 0; i < scene->n_events; i++)
        events[i] = &scene->events[i];
    struct written written = {0};
    assert_int_equal(ladder_svg(events, scene->n_events, 1, title, written_add, &written), 0);
    return written;
}

static const char *check_tag(const char *at, char names[DEPTH_MAX][24], unsigned *depth)
{
    bool closes = at[1] == '/';
    const char *name = at + 1 + closes;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    assert_in_range(length, 1, 23);
    const char *end = name + length;
    while (*end && *end != '>') {
        assert_int_not_equal(*end, '<');
        if (*end == '"') {
            end = strchr(end + 1, '"');
            assert_non_null(end);
        }
        end++;
    }
    assert_int_equal(*end, '>');
    if (closes) {
        assert_true(*depth > 0);
        --*depth;
        assert_int_equal(strlen(names[*depth]), length);
        assert_memory_equal(names[*depth], name, length);
    } else if (end[-1] != '/') {
        assert_true(*depth < DEPTH_MAX);
        snprintf(names[*depth], sizeof names[0], "%.*s", (int)length, name);
        ++*depth;
    }
    return end + 1;
}

/* Tags that match, entities that exist, no control characters: as much of XML as is written here. */
static void check_sound(const char *text)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    char names[DEPTH_MAX][24];
    unsigned depth = 0;
    for (const char *at = text; *at;) {
        if (*at == '<') {
            at = check_tag(at, names, &depth);
            continue;
        }
        if (*at == '&') {
            bool known = false;
            for (size_t i = 0; i < 4; i++)
                known |= strncmp(at, entities[i], strlen(entities[i])) == 0;
            assert_true(known);
        }
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
        at++;
    }
    assert_int_equal(depth, 0);
}

/* The same by a parser that knows all of XML, where there is one. */
static void check_with_xmllint(const char *text, size_t n_bytes)
{
    FILE *pipe = popen("command -v xmllint > /dev/null && exec xmllint --noout --nonet - || cat > /dev/null", "w");
    assert_non_null(pipe);
    assert_int_equal(fwrite(text, 1, n_bytes, pipe), n_bytes);
    assert_int_equal(pclose(pipe), 0);
}

static void check_svg(const struct written *written)
{
    check_sound(written->text);
    check_with_xmllint(written->text, written->n_bytes);
    assert_null(strstr(written->text, "<script"));
    assert_null(strstr(written->text, "\033"));
    assert_non_null(strstr(written->text, "<title id=\"t\">"));
    assert_non_null(strstr(written->text, "<desc id=\"d\">"));
    assert_non_null(strstr(written->text, "prefers-color-scheme:dark"));
}

static void scenes(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    for (size_t i = 0; i < N_SCENES; i++) {
        memset(scene, 0, sizeof *scene);
        scene_makers[i](scene);
        struct written written = svg_of(scene, i & 1 ? "A title" : NULL);
        check_svg(&written);
        assert_int_equal(i & 1, strstr(written.text, ">A title<") != NULL);
        free(written.text);
    }
    free(scene);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

static void shows_the_story(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_h(scene);
    struct written written = svg_of(scene, NULL);
    assert_int_equal(count(written.text, "class=\"lost\""), 3);
    assert_int_equal(count(written.text, "class=\"link\""), 3);
    assert_int_equal(count(written.text, "class=\"again\""), 3);
    assert_int_equal(count(written.text, "marker-end=\"url(#ar)\""), 1); /* the copy that got through */
    assert_int_equal(count(written.text, " of silence<"), 3);
    assert_non_null(strstr(written.text, ">tail probe, 4 again<"));
    assert_non_null(strstr(written.text, ">RTO 1, 4 again<"));
    assert_non_null(strstr(written.text, ">RTO 2, 4 again<"));
    assert_non_null(strstr(written.text, "after 859 ms<"));
    assert_non_null(strstr(written.text, ">848<"));
    assert_non_null(
        strstr(written.text, "Segments from client nc[4121]: 6, from server sonde[4098]: 2. Lost: 3, sent again: 3."));
    assert_non_null(strstr(written.text, "Slopes are the flight."));
    free(written.text);
    memset(scene, 0, sizeof *scene);
    scene_a(scene);
    written = svg_of(scene, NULL);
    /* Flights that nobody has seen are not drawn as if they had been. */
    assert_non_null(strstr(written.text, "arrows are level"));
    assert_int_equal(count(written.text, "rotate(0.0 "), 9);
    free(written.text);
    free(scene);
}

static void hostile_names(void **state)
{
    (void)state;
    static const char bad[] = "</text><script>alert(1)</script>&amp;\"'\033[0m\x01\xff\xef\xbf\xbe]]>";
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    struct event_connection *connection =
        scene_begin(scene, "bad", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 2), bad);
    scene_program(connection, END_A, bad, 5);
    scene_program(connection, END_B, bad, 6);
    scene_data(scene_segment(scene, 10, END_A, SEGMENT_ACK, 1, 100, 1, 1, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED),
               bad);
    scene_received(scene_call(scene, 20, END_B, CALL_WHOLE, SONDE_OP_RECEIVE, 4, 100), bad);
    scene_sentence(scene, 30, '!', 0, bad);
    scene_sentence(scene, 30, '-', 1, bad);
    struct event_loss *loss = &scene_add(scene, 40, EVENT_KIND_LOSS)->loss;
    *loss = (struct event_loss){.what = "packets", .n = 3, .why = bad};
    scene_add(scene, 50, EVENT_KIND_HANDSHAKE)->handshake =
        (struct event_handshake){.end = END_A, .layer = SONDE_LAYER_TLS, .agreed = bad};
    scene_add(scene, 60, EVENT_KIND_MESSAGE)->message = (struct event_message){
        .kind = MESSAGE_TEXT, .from = END_B, .end = END_A, .n_bytes = 9, .data = bad, .n_data = sizeof bad - 1};
    scene_add(scene, 70, EVENT_KIND_MESSAGE)->message =
        (struct event_message){.kind = MESSAGE_MALFORMED, .from = END_B, .end = N_ENDS, .n_bytes = 9, .words = bad};
    struct written written = svg_of(scene, bad);
    check_svg(&written);
    assert_null(strstr(written.text, "<script"));
    assert_non_null(strstr(written.text, "&lt;script&gt;"));
    free(written.text);
    free(scene);
}

static void what_is_spoken_above(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_begin(scene, "above", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 2), "lo");
    scene_add(scene, 3200, EVENT_KIND_HANDSHAKE)->handshake =
        (struct event_handshake){.end = END_A,
                                 .layer = SONDE_LAYER_TLS,
                                 .start_ns = SCENE_ORIGIN_NS + 100 * NS_PER_US,
                                 .agreed = "TLSv1.3, ALPN h2"};
    scene_add(scene, 3300, EVENT_KIND_MESSAGE)->message = (struct event_message){
        .kind = MESSAGE_TEXT, .from = END_A, .end = END_A, .n_bytes = 5, .data = "hello", .n_data = 5};
    scene_segment(scene, 4000, END_A, SEGMENT_PSH | SEGMENT_ACK, 1, 12, 1, 100, 0, 0);
    for (uint64_t number = 1; number <= 3; number++)
        scene_add(scene, 4000, EVENT_KIND_MESSAGE)->message = (struct event_message){
            .kind = MESSAGE_FRAMED, .from = END_A, .end = N_ENDS, .number = number, .n_bytes = 4, .about = 1};
    struct written written = svg_of(scene, NULL);
    check_svg(&written);
    assert_non_null(strstr(written.text, ">TLS handshake, 3.1 ms</text>"));
    assert_non_null(strstr(written.text, "client: TLS handshake, 3.1 ms: TLSv1.3, ALPN h2"));
    assert_non_null(strstr(written.text, ">text 5 &quot;hello&quot; »</text>"));
    assert_non_null(strstr(written.text, ">messages 1-3 end here, 12 bytes</text>"));
    free(written.text);
    free(scene);
}

static void nothing_of_it(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene_a(scene);
    const struct event *events[] = {&scene->events[0]};
    struct written written = {0};
    assert_int_equal(ladder_svg(events, 1, 99, NULL, written_add, &written), -ENOENT);
    assert_int_equal(written.n_bytes, 0);
    assert_int_equal(ladder_svg(events, 1, 1, NULL, written_add, &written), 0);
    check_svg(&written);
    free(written.text);
    free(scene);
}

/* However much there is: what has no room is counted. */
static void very_long(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct scene *scene = calloc(1, sizeof *scene);
    struct event *all = calloc(N, sizeof *all);
    const struct event **events = calloc(N, sizeof *events);
    assert_non_null(scene);
    assert_non_null(all);
    assert_non_null(events);
    scene_begin(scene, "long", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 2), NULL);
    scene_segment(scene, 0, END_A, SEGMENT_ACK, 1, 1448, 1, 1, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED);
    for (size_t i = 0; i < N; i++) {
        all[i] = scene->events[i > 0];
        all[i].t_ns += (int64_t)i * NS_PER_MS;
        if (i > 0)
            all[i].segment.number = (uint32_t)i;
        events[i] = &all[i];
    }
    struct written written = {0};
    assert_int_equal(ladder_svg(events, N, 1, NULL, written_add, &written), 0);
    check_sound(written.text);
    assert_non_null(strstr(written.text, "999 later events are not drawn"));
    free(written.text);
    free(events);
    free(all);
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes),        cmocka_unit_test(shows_the_story),
        cmocka_unit_test(hostile_names), cmocka_unit_test(what_is_spoken_above),
        cmocka_unit_test(nothing_of_it), cmocka_unit_test(very_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
