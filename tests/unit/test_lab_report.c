/* SPDX-License-Identifier: MIT */
/* A report as text, as JSON, as a row of Markdown; and its plots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/plot.h"
#include "lab/render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const settings[] = {"net.ipv4.tcp_retries2", NULL};
static const char *const choices[] = {"a) 5", "b) 6", "c) 7", NULL};

static const struct lab_claim one_claim[] = {{"C41", "n bytes at seq are acknowledged by seq+n+1."}, {NULL, NULL}};
static const struct lab_claim two_claims[] = {{"C41", "the first | claim."}, {"C40", "the second."}, {NULL, NULL}};
static const struct lab_claim no_claims[] = {{NULL, NULL}};

static const struct experiment one = {
    .name = "acknowledgement",
    .chapter = CHAPTER_DATA,
    .title = "which number acknowledges n bytes",
    .claims = one_claim,
    .systems = "S17",
    .done = "A client sends 5 bytes, then 1,448, then closes; nothing is lost, and every segment that comes back is "
            "looked at.",
    .question = "5 bytes start at sequence number 1. Which acknowledgement number comes back?",
    .choices = choices,
    .by_hand = "sonde serve echo --trace --raw &\nprintf hello | nc 127.0.0.1 7007",
    .read = "RFC 9293, 3.4",
    .settings = settings,
};

static const struct experiment two = {.name = "two", .chapter = CHAPTER_DATA, .title = "two", .claims = two_claims};
static const struct experiment none = {.name = "none", .chapter = CHAPTER_DATA, .title = "none", .claims = no_claims};

static void give(struct report *report, const char *claim, enum lab_verdict verdict, const char *text)
{
    struct report_verdict *kept = report_verdict(report, claim);
    assert_non_null(kept);
    kept->given = true;
    kept->verdict = (uint8_t)verdict;
    kept->text = strdup(text);
}

static char *text_of(const struct report *report, unsigned width, bool unicode)
{
    struct render_options options = {.width = width, .ladder_width = width, .unicode = unicode};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    render_text(report, &options, out);
    fclose(out);
    return text;
}

static unsigned widest(const char *text)
{
    unsigned most = 0, n = 0;
    for (; *text; text++) {
        if (*text == '\n')
            n = 0;
        else
            n += ((unsigned char)*text & 0xc0) != 0x80;
        most = n > most ? n : most;
    }
    return most;
}

static struct report *filled(void)
{
    struct report *report = report_new(&one);
    assert_non_null(report);
    assert_non_null(report_add(report, REPORT_FOOTNOTE, strdup("(a) a note")));
    assert_non_null(report_add(report, REPORT_PARAGRAPH, strdup("2 of 2 segments → acknowledged by seq + n.")));
    give(report, "c41", LAB_FALSE, "2 of 2: ack = seq + n, the number of the next byte wanted.");
    report->answer = strdup("b");
    return report;
}

static void heads_stand_in_their_order(void **state)
{
    static const char *const heads[] = {"\nClaim        ", "\nWhat is done ", "\nQuestion     ", "\nEvidence     ",
                                        "\nVerdict      ", "\nSettings     ", "\nBy hand      ", "\nRead         "};
    struct report *report = filled();
    char *text = text_of(report, 80, true);
    const char *at = text;
    (void)state;
    assert_int_equal(strncmp(text, "acknowledgement   Data   C41, S17 ", 34), 0);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        at = strstr(at, heads[i]);
        assert_non_null(at);
    }
    /* Footnotes come behind all other evidence. */
    assert_true(strstr(text, "(a) a note") > strstr(text, "2 of 2 segments"));
    assert_non_null(strstr(text, "\nVerdict      FALSE   2 of 2"));
    assert_non_null(strstr(text, "\n             printf hello | nc 127.0.0.1 7007\n"));
    free(text);
    report_free(report);
}

static void lines_fit(void **state)
{
    (void)state;
    for (unsigned width = 40; width <= 100; width++) {
        struct report *report = filled();
        char *text = text_of(report, width, true);
        /* Commands are not torn apart; everything else is. */
        char *by_hand = strstr(text, "By hand");
        assert_non_null(by_hand);
        *by_hand = '\0';
        assert_true(widest(text) <= width);
        free(text);
        report_free(report);
    }
}

static void ascii_is_ascii(void **state)
{
    struct report *report = filled();
    char *text = text_of(report, 80, false);
    (void)state;
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    assert_non_null(strstr(text, "segments -> acknowledged"));
    free(text);
    report_free(report);
}

static void prediction_is_compared(void **state)
{
    static const struct {
        const char *said, *expected;
    } rows[] = {
        {"c", "You said 7, measured 6."},        {"C)", "You said 7, measured 6."},
        {"b", "You said 6, and so it was."},     {"6", "You said 6, and so it was."},
        {"6.0", "You said 6.0, and so it was."}, {"six", "You said six, measured 6."},
        {"bb", "You said bb, measured 6."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct report *report = filled();
        report->prediction = rows[i].said;
        char *text = text_of(report, 300, true);
        assert_non_null(strstr(text, rows[i].expected));
        free(text);
        report_free(report);
    }
    struct report *report = filled();
    char *text = text_of(report, 300, true);
    assert_non_null(strstr(text, "The answer to the question: 6."));
    free(text);
    report_free(report);
}

static void claims_without_verdict_are_not_shown(void **state)
{
    struct report *report = report_new(&two);
    (void)state;
    give(report, "C40", LAB_TRUE, "It was so.");
    report_give_up(report, "There was no wire.");
    assert_int_equal(report_n_not_shown(report), 1);
    char *text = text_of(report, 80, true);
    assert_non_null(strstr(text, "C41 NOT SHOWN HERE   There was no wire."));
    assert_non_null(strstr(text, "C40 TRUE   It was so."));
    free(text);
    report_free(report);

    report = report_new(&none);
    report_give_up(report, "There was no wire.");
    text = text_of(report, 80, true);
    assert_non_null(strstr(text, "Evidence     There was no wire."));
    free(text);
    report_free(report);
}

static void settings_tell_what_was_changed(void **state)
{
    struct report *report = filled();
    struct report_setting *row = report_setting(report, "net.ipv4.tcp_retries2");
    (void)state;
    assert_ptr_equal(row, report_setting(report, "net.ipv4.tcp_retries2"));
    row->machine = strdup("15");
    row->end[END_A] = strdup("3");
    row->end[END_B] = strdup("15");
    char *text = text_of(report, 80, true);
    assert_non_null(strstr(text, "tcp_retries2 3 at the client, 15 at the server"));
    free(text);
    row->set[row->n_set++] = strdup("3");
    text = text_of(report, 80, true);
    assert_non_null(strstr(text, "tcp_retries2 3 here (15 on this machine)"));
    free(text);
    row->set[row->n_set++] = strdup("4");
    text = text_of(report, 80, true);
    assert_non_null(strstr(text, "tcp_retries2 3 and 4 here (15 on this machine)"));
    free(text);
    report_free(report);
}

static void columns_of_numbers_are_set_to_the_right(void **state)
{
    static const char *const heads[] = {"backlog", "held", "by"};
    static const char *const cells[] = {"0", "1", "queue", "10000", "-", "5 of them", "2", "3 ms", ""};
    struct report *report = filled();
    struct report_table *table = &report_add(report, REPORT_TABLE, NULL)->table;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    (void)state;
    table->n_columns = 3;
    table->n_cells = sizeof cells / sizeof cells[0];
    table->cells = calloc(table->n_cells, sizeof *table->cells);
    for (size_t i = 0; i < 3; i++)
        table->heads[i] = strdup(heads[i]);
    for (size_t i = 0; i < table->n_cells; i++)
        table->cells[i] = strdup(cells[i]);
    render_table(table, 0, &(struct render_options){.width = 80, .unicode = true}, out);
    fclose(out);
    assert_string_equal(text, "backlog  held  by\n"
                              "      0     1  queue\n"
                              "  10000     -  5 of them\n"
                              "      2  3 ms\n");
    free(text);
    report_free(report);
}

static void a_table_is_made_to_fit(void **state)
{
    static const char *const heads[] = {"what is lost on the way", "dropped", "sent again by which means"};
    static const char *const cells[] = {
        "the 3rd of 10 segments → and more", "1", "selective acknowledgement, needlessly", "", "22,222", "tail probe"};
    (void)state;
    for (unsigned width = 50; width < 110; width++) {
        struct report *report = filled();
        struct report_table *table = &report_add(report, REPORT_TABLE, NULL)->table;
        table->n_columns = 3;
        table->n_cells = 6;
        table->cells = calloc(6, sizeof *table->cells);
        for (size_t i = 0; i < 3; i++)
            table->heads[i] = strdup(heads[i]);
        for (size_t i = 0; i < 6; i++)
            table->cells[i] = strdup(cells[i]);
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        render_table(table, 0, &(struct render_options){.width = width, .unicode = true}, out);
        fclose(out);
        assert_true(widest(text) <= width - 2);
        assert_non_null(strstr(text, "22,222"));
        assert_non_null(strstr(text, "acknowledgement,"));
        assert_null(strstr(text, " \n"));
        free(text);
        report_free(report);
    }
}

static void blanks_of_cells_stay(void **state)
{
    struct report *report = filled();
    struct report_table *table = &report_add(report, REPORT_TABLE, NULL)->table;
    static const char *const cells[] = {"  sa_family", "2  bytes", "   ", "x  "};
    (void)state;
    table->n_columns = 2;
    table->n_cells = 4;
    table->cells = calloc(4, sizeof *table->cells);
    table->heads[0] = strdup("member");
    table->heads[1] = strdup("size");
    for (size_t i = 0; i < 4; i++)
        table->cells[i] = strdup(cells[i]);
    for (unsigned width = 1; width < 40; width++) {
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        render_table(table, 0, &(struct render_options){.width = width, .unicode = true}, out);
        fclose(out);
        assert_non_null(strstr(text, "\n  sa_family"));
        if (width > 30)
            assert_non_null(strstr(text, "  sa_family  2  bytes\n"));
        free(text);
    }
    report_free(report);
}

static char *rendered(const struct report *report, void (*render)(const struct report *report, FILE *out))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    render(report, out);
    fclose(out);
    return text;
}

static void json_has_a_line_for_each_claim(void **state)
{
    struct report *report = report_new(&two);
    (void)state;
    give(report, "C41", LAB_FALSE, "\"quoted\"");
    give(report, "C40", LAB_DEPENDS, "b");
    report_figure(report_verdict(report, "C41"), "rto_first_ms", 204.5, NULL);
    report_figure(report_verdict(report, "C41"), "not_a_number", NAN, NULL);
    report_figure(report_verdict(report, "C41"), "large", 4294967296.0, NULL);
    report_figure(report_verdict(report, "C41"), "third", 1.0 / 3, NULL);
    report_figure(report_verdict(report, "C41"), "control", 0, "bbr");
    char *text = rendered(report, render_json);
    assert_string_equal(
        text,
        "{\"claim\":\"C41\",\"experiment\":\"two\",\"verdict\":\"false\",\"evidence\":\"\\\"quoted\\\"\","
        "\"figures\":{\"rto_first_ms\":204.5,\"not_a_number\":null,\"large\":4294967296,"
        "\"third\":0.3333333333333333,\"control\":\"bbr\"}}\n"
        "{\"claim\":\"C40\",\"experiment\":\"two\",\"verdict\":\"it depends\",\"evidence\":\"b\",\"figures\":{}}\n");
    free(text);
    report_free(report);
}

static void render_all(const struct report *report, FILE *out)
{
    const struct render_options options = {.width = 80, .ladder_width = 80, .unicode = true, .color = true};
    render_whole(report, &options, out);
}

/* With every kind of evidence; footnotes and remarks last. */
static void whole_has_everything(void **state)
{
    struct report *report = report_new(&two);
    static const char *const cells[] = {"a", "1", "b", "20"};
    (void)state;
    give(report, "C41", LAB_FALSE, "\"quoted\"");
    give(report, "C40", LAB_DEPENDS, "b");
    report->answer = strdup("3");
    report->prediction = "5";
    report->took_ns = 41 * NS_PER_MS;
    report_add(report, REPORT_FOOTNOTE, strdup("a note"));
    report_add(report, REPORT_PARAGRAPH, strdup("</script>\n"));
    struct report_item *item = report_add(report, REPORT_TABLE, NULL);
    item->table.n_columns = 2;
    item->table.heads[0] = strdup("what");
    item->table.heads[1] = strdup("n");
    item->table.cells = calloc(4, sizeof *item->table.cells);
    for (item->table.n_cells = 0; item->table.n_cells < 4; item->table.n_cells++)
        item->table.cells[item->table.n_cells] = strdup(cells[item->table.n_cells]);
    report_add(report, REPORT_LINES, strdup("Ethernet II\n"));
    report_remark(report, "starved");
    struct report_setting *setting = report_setting(report, "net.ipv4.tcp_retries2");
    setting->machine = strdup("15");
    setting->end[END_A] = strdup("3");
    setting->end[END_B] = strdup("3");
    char *text = rendered(report, render_all);
    assert_string_equal(
        text,
        "{\"name\":\"two\",\"chapter\":\"data\",\"title\":\"two\",\"done\":\"\",\"question\":\"\",\"choices\":[],"
        "\"prediction\":\"5\",\"answer\":\"3\",\"outcome\":\"You said 5, measured 3.\",\"claims\":["
        "{\"id\":\"C41\",\"claim\":\"the first | claim.\",\"verdict\":\"FALSE\",\"sentence\":\"\\\"quoted\\\"\"},"
        "{\"id\":\"C40\",\"claim\":\"the second.\",\"verdict\":\"IT DEPENDS\",\"sentence\":\"b\"}],\"evidence\":["
        "{\"kind\":\"paragraph\",\"text\":\"</script>\\n\"},"
        "{\"kind\":\"table\",\"heads\":[\"what\",\"n\"],\"rows\":[[\"a\",\"1\"],[\"b\",\"20\"]],"
        "\"numeric\":[false,true]},"
        "{\"kind\":\"layers\",\"text\":\"Ethernet II\\n\"},"
        "{\"kind\":\"footnote\",\"text\":\"a note\"},{\"kind\":\"footnote\",\"text\":\"starved\"}],"
        "\"settings\":[{\"name\":\"tcp_retries2\",\"value\":\"3\",\"machine\":\"15\"}],\"by_hand\":\"\",\"read\":\"\","
        "\"failed\":false,\"ms\":41}\n");
    free(text);
    report_free(report);
}

static void whole_without_claims_says_that_it_failed(void **state)
{
    struct report *report = report_new(&none);
    (void)state;
    report_give_up(report, "there is no wire");
    char *text = rendered(report, render_all);
    assert_non_null(strstr(text, "\"failed\":true"));
    assert_non_null(strstr(text, "there is no wire"));
    free(text);
    report_free(report);
}

static void markdown_has_a_row_for_each_claim(void **state)
{
    struct report *report = report_new(&two);
    (void)state;
    give(report, "C41", LAB_FALSE, "a | b\nc");
    report_give_up(report, "no");
    char *text = rendered(report, render_markdown);
    assert_string_equal(text, "| C41 | the first \\| claim. | false | a \\| b c | `two` |\n"
                              "| C40 | the second. | not shown here | no | `two` |\n");
    free(text);
    report_free(report);
}

/* ---- plots */

static struct report *with_plot(enum lab_scale x_scale, enum lab_scale y_scale, size_t n, const double *x,
                                const double *y)
{
    struct report *report = filled();
    struct report_item *item = report_add(report, REPORT_PLOT, strdup("goodput <against> loss"));
    item->plot = (struct report_plot){
        .x_label = strdup("loss (%)"),
        .y_label = strdup("goodput (Mbit/s)"),
        .x_scale = x_scale,
        .y_scale = y_scale,
        .n_series = 1,
    };
    item->plot.series[0] = (struct report_series){
        .name = strdup("cubic & co"),
        .x = calloc(n + 1, sizeof *x),
        .y = calloc(n + 1, sizeof *y),
        .n = n,
    };
    for (size_t i = 0; i < n; i++) {
        item->plot.series[0].x[i] = x[i];
        item->plot.series[0].y[i] = y[i];
    }
    return report;
}

static void every_value_stands_on_its_axes(void **state)
{
    static const double values[][4] = {
        {0, 1, 2, 3},      {5, 5, 5, 5},     {0, 0, 0, 0},     {-3, -2, 5, 1e9},      {1e-9, 2e-9, 1e-8, 3},
        {0.01, 0.1, 1, 3}, {0, 0.1, 1, 100}, {1e300, 1, 2, 3}, {NAN, 1, INFINITY, 2}, {999, 1000, 1001, 1002},
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (int scales = 0; scales < 4; scales++) {
            struct report *report =
                with_plot(scales & 1 ? SCALE_LOG : SCALE_LINEAR, scales & 2 ? SCALE_LOG : SCALE_LINEAR, 4, values[i],
                          values[(i + 1) % (sizeof values / sizeof values[0])]);
            const struct report_item *item = &report->items[report->n_items - 1];
            struct plot_axis x, y;
            assert_true(plot_axes(&item->plot, 8, 6, &x, &y));
            for (size_t k = 0; k < 4; k++) {
                double a = item->plot.series[0].x[k], b = item->plot.series[0].y[k];
                if (!plot_is_drawn(&x, &y, a, b))
                    continue;
                assert_true(plot_at(&x, a) >= -1e-9 && plot_at(&x, a) <= 1 + 1e-9);
                assert_true(plot_at(&y, b) >= -1e-9 && plot_at(&y, b) <= 1 + 1e-9);
            }
            assert_true(x.n_ticks > 0 && y.n_ticks > 0);
            for (unsigned tick = 0; tick < x.n_ticks; tick++)
                assert_true(x.ticks[tick].at >= -1e-9 && x.ticks[tick].at <= 1 + 1e-9);
            report_free(report);
        }
    }
}

static void nothing_to_draw_is_said(void **state)
{
    struct report *report = with_plot(SCALE_LINEAR, SCALE_LINEAR, 0, NULL, NULL);
    char *text = text_of(report, 80, true);
    (void)state;
    assert_non_null(strstr(text, "nothing was measured"));
    free(text);
    report_free(report);
}

static void plots_have_labels_with_units(void **state)
{
    static const double x[] = {0.1, 1, 3}, y[] = {150, 20, 8};
    struct report *report = with_plot(SCALE_LOG, SCALE_LOG, 3, x, y);
    char *text = text_of(report, 72, false);
    (void)state;
    assert_true(widest(text) <= 72);
    assert_non_null(strstr(text, "goodput (Mbit/s)"));
    assert_non_null(strstr(text, "loss (%)"));
    assert_non_null(strstr(text, "o cubic & co"));
    free(text);

    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    plot_svg(&report->items[report->n_items - 1], out);
    fclose(out);
    assert_non_null(strstr(text, "<title id=\"t\">goodput &lt;against&gt; loss</title>"));
    assert_non_null(strstr(text, "<desc id=\"d\">"));
    assert_non_null(strstr(text, "cubic &amp; co"));
    assert_non_null(strstr(text, "prefers-color-scheme"));
    assert_null(strstr(text, "script"));
    assert_null(strstr(text, "nan"));
    free(text);
    report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_stand_in_their_order),
        cmocka_unit_test(lines_fit),
        cmocka_unit_test(ascii_is_ascii),
        cmocka_unit_test(prediction_is_compared),
        cmocka_unit_test(claims_without_verdict_are_not_shown),
        cmocka_unit_test(settings_tell_what_was_changed),
        cmocka_unit_test(columns_of_numbers_are_set_to_the_right),
        cmocka_unit_test(a_table_is_made_to_fit),
        cmocka_unit_test(blanks_of_cells_stay),
        cmocka_unit_test(json_has_a_line_for_each_claim),
        cmocka_unit_test(whole_has_everything),
        cmocka_unit_test(whole_without_claims_says_that_it_failed),
        cmocka_unit_test(markdown_has_a_row_for_each_claim),
        cmocka_unit_test(every_value_stands_on_its_axes),
        cmocka_unit_test(nothing_to_draw_is_said),
        cmocka_unit_test(plots_have_labels_with_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
