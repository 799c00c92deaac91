/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/summary.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t n_text;

static void print(struct summary *summary, void (*how)(struct summary *summary, FILE *out))
{
    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, &n_text);
    assert_non_null(out);
    how(summary, out);
    fclose(out);
}

static int free_text(void **state)
{
    free(text);
    text = NULL;
    return 0;
}

static struct conversation tcp(uint64_t id)
{
    struct conversation conversation = {
        .id = id,
        .protocol = IPPROTO_TCP,
        .opening = OPENED_HANDSHAKE,
        .ending = ENDED_IN_4,
        .closed_first = END_A,
        .reset_by = N_ENDS,
        .a_is_client = true,
        .first_ns = 5 * NS_PER_S,
        .last_ns = 5 * NS_PER_S + 12 * NS_PER_MS,
    };
    conversation.side[END_A].address = (struct sonde_address){.family = AF_INET, .port = 40488, .u.ip = {127, 0, 0, 1}};
    conversation.side[END_B].address = (struct sonde_address){.family = AF_INET, .port = 7007, .u.ip = {127, 0, 0, 1}};
    return conversation;
}

static void full(struct summary *summary)
{
    struct conversation conversation = tcp(1);
    struct conversation_side *a = &conversation.side[END_A], *b = &conversation.side[END_B];
    *a = (struct conversation_side){.address = a->address,
                                    .n_unique_bytes = 5,
                                    .n_bytes = 10,
                                    .n_packets = 6,
                                    .n_again = 1,
                                    .rtt_min_ns = 20 * NS_PER_US,
                                    .rtt_max_ns = 30 * NS_PER_US,
                                    .rtt_sum_ns = 50 * NS_PER_US,
                                    .n_rtt = 2};
    *b = (struct conversation_side){.address = b->address,
                                    .n_unique_bytes = 1234567,
                                    .n_packets = 4,
                                    .n_again = 2,
                                    .n_missing_bytes = 17,
                                    .rtt_min_ns = 10 * NS_PER_US,
                                    .rtt_max_ns = 70 * NS_PER_US,
                                    .rtt_sum_ns = 70 * NS_PER_US,
                                    .n_rtt = 1};
    summary_add(summary, &conversation);
}

static void udp(struct summary *summary, uint64_t id)
{
    struct conversation conversation = {.id = id, .protocol = IPPROTO_UDP, .first_ns = 6 * NS_PER_S};
    conversation.last_ns = conversation.first_ns;
    for (int end = 0; end < N_ENDS; end++)
        conversation.side[end].address =
            (struct sonde_address){.family = AF_INET6, .port = (uint16_t)(53 + end), .u.ip = {[15] = 1}};
    conversation.side[END_A].n_packets = 1;
    summary_add(summary, &conversation);
}

/* In the order in which they began, though they end in another; each column below its head. */
static void a_table(void **state)
{
    struct summary summary = {0};
    udp(&summary, 2);
    full(&summary);
    print(&summary, summary_print);
    assert_string_equal(
        text,
        "CONN  PROTO  CLIENT           SERVER             START  DURATION  BYTES ->   BYTES <-  PACKETS        RTT "
        "MIN/AVG/MAX  AGAIN  OPENED, ENDED\n"
        "   1  tcp    127.0.0.1:40488  127.0.0.1:7007  0.000000     12 ms         5  1,234,567       10  20 us / 25 us "
        "/ 30 us      3  handshake, 4 segments, client first\n"
        "   2  udp    [::1]:53         [::1]:54        1.000000      0 us         0          0        1               "
        "       -      0\n");
    summary_free(&summary);
}

static void lines_of_json(void **state)
{
    struct summary summary = {0};
    udp(&summary, 2);
    full(&summary);
    print(&summary, summary_print_json);
    assert_string_equal(
        text, "{\"conn\":1,\"protocol\":\"tcp\",\"client\":\"127.0.0.1:40488\",\"bytes_from_client\":5,"
              "\"packets_from_client\":6,\"server\":\"127.0.0.1:7007\",\"bytes_from_server\":1234567,"
              "\"packets_from_server\":4,\"first_ns\":5000000000,\"duration_ns\":12000000,\"rtt_min_ns\":20000,"
              "\"rtt_avg_ns\":25000,\"rtt_max_ns\":30000,\"retransmissions\":3,\"missing_bytes\":17,"
              "\"opened\":\"handshake\",\"ended\":\"4 segments, client first\"}\n"
              "{\"conn\":2,\"protocol\":\"udp\",\"client\":\"[::1]:53\",\"bytes_from_client\":0,"
              "\"packets_from_client\":1,\"server\":\"[::1]:54\",\"bytes_from_server\":0,\"packets_from_server\":0,"
              "\"first_ns\":6000000000,\"duration_ns\":0,\"retransmissions\":0,\"missing_bytes\":0}\n");
    summary_free(&summary);
}

static void nothing_at_all(void **state)
{
    struct summary summary = {0};
    print(&summary, summary_print_json);
    assert_string_equal(text, "");
    print(&summary, summary_print);
    assert_non_null(strchr(text, '\n'));
    assert_string_equal(strchr(text, '\n'), "\n"); /* the head alone */
    summary_free(&summary);
}

/* Rows are told in the order of their numbers, and none is lost when memory moves. */
static void many(void **state)
{
    struct summary summary = {0};
    for (uint64_t id = 5000; id > 0; id--) {
        struct conversation conversation = tcp(id);
        summary_add(&summary, &conversation);
    }
    assert_int_equal(summary.n_rows, 5000);
    print(&summary, summary_print_json);
    const char *line = text;
    for (unsigned id = 1; id <= 5000; id++) {
        char begin[32];
        int n = snprintf(begin, sizeof begin, "{\"conn\":%u,", id);
        assert_memory_equal(line, begin, n);
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(line - text, n_text);
    summary_free(&summary);
}

/* The largest numbers fit into cells and lines. */
static void the_largest(void **state)
{
    struct summary summary = {0};
    struct conversation conversation = tcp(UINT64_MAX);
    conversation.first_ns = 0;
    conversation.last_ns = INT64_MAX;
    conversation.ending = ENDED_RESET;
    conversation.reset_by = END_B;
    conversation.reset_cause = RESET_NO_SUCH;
    for (int end = 0; end < N_ENDS; end++) {
        struct conversation_side *side = &conversation.side[end];
        side->address = (struct sonde_address){.family = AF_INET6, .port = 65535, .scope = UINT32_MAX};
        memset(side->address.u.ip, 0xfe, 16);
        side->n_unique_bytes = UINT64_MAX;
        side->n_packets = UINT64_MAX / 2;
        side->n_again = side->n_missing_bytes = UINT64_MAX / 2;
        side->n_rtt = 1;
        side->rtt_min_ns = side->rtt_max_ns = side->rtt_sum_ns = INT64_MAX / 2;
    }
    summary_add(&summary, &conversation);
    print(&summary, summary_print);
    assert_non_null(strstr(text, "18446744073709551615"));
    assert_non_null(strstr(text, "handshake, reset by server (no-such-connection)\n"));
    print(&summary, summary_print_json);
    assert_non_null(strstr(text, "\"bytes_from_client\":18446744073709551615"));
    assert_int_equal(text[n_text - 1], '\n');
    assert_non_null(strstr(text, "\"ended\":\"reset by server (no-such-connection)\"}\n"));
    summary_free(&summary);
}

static void endings_in_words(void **state)
{
    static const struct {
        uint8_t ending, closed_first, reset_by, reset_cause;
        bool a_is_client;
        const char *words;
    } rows[] = {
        {ENDED_NOT, N_ENDS, N_ENDS, 0, true, "open"},
        {ENDED_IN_4, END_A, N_ENDS, 0, true, "4 segments, client first"},
        {ENDED_IN_4, END_B, N_ENDS, 0, false, "4 segments, B first"},
        {ENDED_IN_3, END_B, N_ENDS, 0, true, "3 segments, server first"},
        {ENDED_IN_3, N_ENDS, N_ENDS, 0, true, "3 segments, ? first"},
        {ENDED_SIMULTANEOUSLY, END_A, N_ENDS, 0, true, "both at once"},
        {ENDED_HALF, END_A, N_ENDS, 0, false, "half, by A"},
        {ENDED_RESET, N_ENDS, END_B, RESET_UNREAD, true, "reset by server (unread-data)"},
        {ENDED_RESET, N_ENDS, END_A, RESET_ABORT, false, "reset by A (abort)"},
        {ENDED_REFUSED, N_ENDS, END_B, RESET_REFUSED, true, "refused"},
        {ENDED_WITHOUT_ACK, END_A, N_ENDS, 0, true, "last FIN not acknowledged"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char words[64];
        struct conversation conversation = tcp(1);
        conversation.ending = rows[i].ending;
        conversation.closed_first = rows[i].closed_first;
        conversation.reset_by = rows[i].reset_by;
        conversation.reset_cause = rows[i].reset_cause;
        conversation.a_is_client = rows[i].a_is_client;
        size_t n = conversation_ending_words(&conversation, words, sizeof words);
        assert_string_equal(words, rows[i].words);
        assert_int_equal(n, strlen(words));
    }
    assert_string_equal(conversation_opening_words(OPENED_UNKNOWN), "before");
    assert_string_equal(conversation_opening_words(OPENED_SIMULTANEOUSLY), "simultaneously");
    assert_string_equal(conversation_opening_words(OPENED_NOT_YET), "not open");
    assert_string_equal(conversation_opening_words(OPENED_REFUSED), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_table, free_text),        cmocka_unit_test_teardown(lines_of_json, free_text),
        cmocka_unit_test_teardown(nothing_at_all, free_text), cmocka_unit_test_teardown(many, free_text),
        cmocka_unit_test_teardown(the_largest, free_text),    cmocka_unit_test(endings_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
