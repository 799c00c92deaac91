// SPDX-License-Identifier: MIT
/* What holds for every ladder, of any events at any width. The events are random, but the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ladder_scenes.h"

#include <inttypes.h>
#include <stdio.h>

#define N_RANDOM 120

static uint64_t seed;

static uint64_t any(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static uint64_t any_number(void)
{
    return any(4) == 0 ? any(UINT64_C(1) << 34) : any(200000);
}

static const char hostile[] = "\033[31m\r\n\t\x01\x80\xff<&>\"'日本語\xe2\x80\xae;-->\\x\xf0\x9f\x98\x80 e\xcc\x81";

static void random_segment(struct scene *scene, int64_t us)
{
    static const uint16_t flags[] = {
        SEGMENT_ACK, SEGMENT_ACK | SEGMENT_PSH, SEGMENT_SYN, SEGMENT_FIN | SEGMENT_ACK, SEGMENT_RST, 0x1ff};
    struct event_segment *segment =
        scene_segment(scene, us, any(2) ? END_A : END_B, flags[any(6)], any_number(), (uint32_t)any(3) * 1448,
                      any_number(), any(3) ? any_number() : 0, any(TCP_N_STATES), any(TCP_N_STATES));
    if (any(8) == 0)
        segment->number = scene->n_segments += (uint32_t)any(2000000);
    segment->notes = any(3) ? 0 : NOTE_BIT(any(N_NOTES)) | NOTE_BIT(any(N_NOTES));
    segment->again_of = (uint32_t)any(20);
    segment->n_repeat = (uint32_t)any(5);
    segment->fate = (uint8_t)any(4);
    segment->reset_cause = (uint8_t)any(N_RESET_CAUSES);
    segment->arrived_ns = any(2) ? SCENE_ORIGIN_NS + (us + (int64_t)any(9000)) * NS_PER_US : 0;
    segment->data = hostile;
    segment->n_data = (uint32_t)any(sizeof hostile);
    segment->options.mss = (uint16_t)any(65536);
    segment->options.window_scale = (int8_t)((int)any(16) - 1);
    segment->options.sack_permitted = segment->options.has_timestamps = any(2);
    segment->options.n_sacks = (uint8_t)any(5);
    for (unsigned i = 0; i < SEGMENT_SACKS_MAX; i++) {
        segment->options.sack[i].from = any_number();
        segment->options.sack[i].to = any_number();
    }
}

static void random_call(struct scene *scene, int64_t us)
{
    struct event_call *call = scene_call(scene, us, any(2) ? END_A : END_B, (enum event_call_phase)any(3),
                                         (enum sonde_operation)any(SONDE_N_OPERATIONS), (int)any(5) - 1,
                                         any(4) ? (int64_t)any_number() : -(int64_t)any(140));
    call->number = any(6);
    call->n_bytes = any_number();
    call->start_ns = any(2) ? SCENE_ORIGIN_NS - (int64_t)any(100000000) : 0;
    call->data = hostile;
    call->n_data = (uint32_t)any(sizeof hostile);
}

static void random_event(struct scene *scene, int64_t us)
{
    switch (any(14)) {
    case 0: {
        struct event_values *values = scene_values(scene, us, any(2) ? END_A : END_B);
        for (unsigned i = 0; i < N_VALUES; i++)
            values->value[i] = (int64_t)any_number();
        values->present = (uint32_t)any(1u << N_VALUES);
        values->changed = (uint32_t)any(1u << N_VALUES);
        break;
    }
    case 1:
        scene_state(scene, us, any(2) ? END_A : END_B, (enum tcp_state)any(TCP_N_STATES));
        break;
    case 2:
        scene_sentence(scene, us, "!i=-\n"[any(5)], (uint32_t)any(9), any(2) ? hostile : "A sentence → as they are…");
        break;
    case 3: {
        struct event_icmp *icmp = &scene_add(scene, us, EVENT_KIND_ICMP)->icmp;
        icmp->to = any(2) ? END_A : END_B;
        icmp->sender = (struct sonde_address){.family = AF_INET6};
        memset(icmp->sender.u.ip, 0xfe, 16);
        icmp->words = any(2) ? "fragmentation needed" : NULL;
        icmp->mtu = (uint32_t)any(1500);
        icmp->about_number = (uint32_t)any(3);
        break;
    }
    case 4: {
        struct event_loss *loss = &scene_add(scene, us, EVENT_KIND_LOSS)->loss;
        *loss = (struct event_loss){.what = "packets", .n = any_number(), .why = any(2) ? hostile : NULL};
        break;
    }
    case 5: {
        struct event_datagram *datagram = &scene_add(scene, us, EVENT_KIND_DATAGRAM)->datagram;
        *datagram = (struct event_datagram){.number = (uint32_t)any_number(),
                                            .from = any(2) ? END_A : END_B,
                                            .n_bytes = (uint32_t)any(70000),
                                            .data = hostile,
                                            .n_data = (uint32_t)any(sizeof hostile)};
        break;
    }
    case 8: {
        struct event_handshake *handshake = &scene_add(scene, us, EVENT_KIND_HANDSHAKE)->handshake;
        *handshake = (struct event_handshake){.end = any(2) ? END_A : END_B,
                                              .layer = (uint8_t)(1u << any(4)),
                                              .result = any(2) ? 0 : -(int64_t)any(140),
                                              .start_ns = any(2) ? SCENE_ORIGIN_NS : 0,
                                              .agreed = any(4) ? hostile : NULL};
        break;
    }
    case 9: {
        struct event_message *message = &scene_add(scene, us, EVENT_KIND_MESSAGE)->message;
        *message = (struct event_message){.kind = (uint8_t)any(N_MESSAGE_KINDS),
                                          .from = any(2) ? END_A : END_B,
                                          .end = (uint8_t)any(N_ENDS + 1),
                                          .compressed = any(2),
                                          .joined = any(2),
                                          .code = (uint16_t)any(5000),
                                          .about = (uint32_t)any(9),
                                          .number = any_number(),
                                          .n_bytes = any_number(),
                                          .rtt_ns = (int64_t)any(1000000000),
                                          .words = any(2) ? hostile : NULL,
                                          .data = hostile,
                                          .n_data = (uint32_t)any(sizeof hostile)};
        break;
    }
    case 6:
    case 7:
        random_call(scene, us);
        break;
    default:
        random_segment(scene, us);
    }
}

static void random_scene(struct scene *scene, uint64_t from)
{
    seed = from * 0x9e3779b97f4a7c15u + 1;
    memset(scene, 0, sizeof *scene);
    uint64_t n_connections = 1 + any(3);
    int64_t us = 0;
    for (uint64_t i = 1; i <= n_connections; i++) {
        scene->conn = i;
        struct event_connection *connection =
            scene_begin(scene, "random", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 2), any(2) ? hostile : NULL);
        if (any(4) == 0) {
            connection->end[END_A].address = (struct sonde_address){.family = AF_INET6, .port = 65535};
            memset(connection->end[END_A].address.u.ip, 0xab, 16);
        }
        connection->realtime_ns = any(2) ? SCENE_REALTIME_NS : 0;
        connection->protocol = any(5) ? IPPROTO_TCP : (uint8_t)any(256);
        for (enum event_end end = END_A; end < N_ENDS; end++) {
            connection->end[end].role = (uint8_t)any(3);
            connection->end[end].state = (uint8_t)any(TCP_N_STATES);
            connection->end[end].calls_seen = any(2);
            connection->end[end].captured_here = any(2);
            connection->end[end].pid = (int32_t)any(2) * 4194304;
            connection->end[end].program = any(2) ? hostile : NULL;
        }
    }
    for (unsigned i = 0; i < N_RANDOM; i++) {
        us += (int64_t)any(any(5) ? 3000 : 400000);
        scene->conn = 1 + any(n_connections);
        random_event(scene, us);
    }
}

/* Cells of a line that is known to be made of these characters only. */
static unsigned cells_of(const char *line, size_t n_bytes)
{
    unsigned n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)line[i];
        if ((byte & 0xc0) == 0x80)
            continue;
        bool combines = byte == 0xcc && (unsigned char)line[i + 1] == 0x81;
        bool wide = (byte >= 0xe3 && byte <= 0xe9) || byte >= 0xf0;
        n += combines ? 0 : wide ? 2 : 1;
    }
    return n;
}

static void check_lines(const char *text, unsigned width, bool ascii)
{
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        size_t n_bytes = (size_t)(end - line);
        if (cells_of(line, n_bytes) > width)
            fail_msg("width %u: %.*s", width, (int)n_bytes, line);
        for (size_t i = 0; i < n_bytes; i++) {
            unsigned char byte = (unsigned char)line[i];
            if (byte < 0x20 || byte == 0x7f || (ascii && byte > 0x7f))
                fail_msg("byte %02x at width %u: %.*s", byte, width, (int)n_bytes, line);
        }
        if (n_bytes > 0 && line[n_bytes - 1] == ' ')
            fail_msg("blank at the end: %.*s|", (int)n_bytes, line);
        line = end + 1;
    }
}

static void lines_fit(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    for (unsigned width = 20; width <= 145; width++) {
        random_scene(scene, width);
        for (unsigned variant = 0; variant < 4; variant++) {
            struct ladder_options options = {.width = width,
                                             .unicode = variant & 1,
                                             .live = variant & 2,
                                             .tags = variant & 2,
                                             .raw = variant == 3,
                                             .compact = variant == 1,
                                             .list = width == 139};
            struct written written = scene_render(scene, &options);
            check_lines(written.text, width < LADDER_WIDTH_MAX ? width : LADDER_WIDTH_MAX, !options.unicode);
            free(written.text);
        }
    }
    free(scene);
}

/* Escape sequences of our own, and none other. */
static void only_own_colors(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    for (uint64_t i = 1000; i < 1020; i++) {
        random_scene(scene, i);
        struct ladder_options options = {.width = 100, .unicode = true};
        struct written plain = scene_render(scene, &options);
        options.color = true;
        struct written colored = scene_render(scene, &options);
        char *at = colored.text;
        for (const char *from = colored.text; *from;) {
            if (*from == '\033') {
                assert_int_equal(from[1], '[');
                from += strcspn(from, "m") + 1;
            } else {
                *at++ = *from++;
            }
        }
        *at = '\0';
        assert_string_equal(colored.text, plain.text);
        free(plain.text);
        free(colored.text);
    }
    free(scene);
}

/* At 64 cells and more: flags, numbers and lengths of each segment are there, under the arrow when not on it; states
 * are never cut. */
static void numbers_are_kept(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {1, 1449, 1234567, UINT64_C(12345678901)};
    static const uint32_t numbers[] = {1, 99, 123456, 7654321};
    for (unsigned width = 64; width <= 140; width++) {
        for (unsigned i = 0; i < 4; i++) {
            struct scene *scene = calloc(1, sizeof *scene);
            assert_non_null(scene);
            scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), NULL)->end[END_A].calls_seen =
                true;
            scene->n_segments = numbers[i] - 1;
            struct event_segment *segment =
                scene_segment(scene, 10, i & 1 ? END_B : END_A, SEGMENT_PSH | SEGMENT_ACK | SEGMENT_FIN, firsts[i],
                              1448, firsts[i], 64512, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED);
            segment->state_guess[END_A] = segment->state_guess[END_B] = true;
            segment->data = hostile;
            segment->n_data = sizeof hostile - 1;
            segment->fate = (uint8_t)(i % 4);
            struct written written = scene_render(scene, &(struct ladder_options){.width = width});
            char flags[12], range[64], number[16];
            segment_flags_text(segment->flags, flags);
            snprintf(range, sizeof range, "%" PRIu64 ":%" PRIu64 "(1448)", firsts[i], firsts[i] + 1448);
            snprintf(number, sizeof number, "-%u-", numbers[i]);
            /* Long ones may be wrapped below: then their pieces stand in lines of their own. */
            char *joined = calloc(1, written.n_bytes + 1);
            assert_non_null(joined);
            size_t n = 0;
            for (size_t j = 0; j < written.n_bytes; j++) {
                if (!strchr(" \n#%:\\.", written.text[j]) ||
                    (written.text[j] == ':' && j > 0 && written.text[j - 1] >= '0' && written.text[j - 1] <= '9'))
                    joined[n++] = written.text[j];
            }
            assert_non_null(strstr(joined, range));
            assert_non_null(strstr(written.text, flags));
            assert_non_null(strstr(written.text, number));
            const char *established = strstr(written.text, "ESTABLISHED?");
            assert_non_null(established);
            /* What did not come to its receiver says nothing of it. */
            bool came = segment->fate != FATE_LOST && segment->fate != FATE_THROWN;
            assert_true(came == !!strstr(established + 1, "ESTABLISHED?"));
            free(joined);
            free(written.text);
            free(scene);
        }
    }
}

/* Of anything at all, the picture is sound XML. */
static void pictures(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    for (uint64_t i = 2000; i < 2012; i++) {
        random_scene(scene, i);
        const struct event *events[SCENE_EVENTS_MAX];
        for (size_t j = 0; j < scene->n_events; j++)
            events[j] = &scene->events[j];
        struct written written = {0};
        assert_int_equal(ladder_svg(events, scene->n_events, 1, NULL, written_add, &written), 0);
        FILE *pipe = popen("command -v xmllint > /dev/null && exec xmllint --noout --nonet - || cat > /dev/null", "w");
        assert_non_null(pipe);
        assert_int_equal(fwrite(written.text, 1, written.n_bytes, pipe), written.n_bytes);
        assert_int_equal(pclose(pipe), 0);
        free(written.text);
    }
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_fit),
        cmocka_unit_test(only_own_colors),
        cmocka_unit_test(numbers_are_kept),
        cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
