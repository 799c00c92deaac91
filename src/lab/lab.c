/* SPDX-License-Identifier: MIT */
/* What an experiment says, asks and waits for. */
#include "lab/lab_internal.h"
#include "observe/ladder/ladder.h"
#include "term/translate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LENT_TEXTS 8
#define LOOK_AGAIN_NS (200 * NS_PER_US)

/* ---- where it is run */

struct wire *lab_wire(struct lab *lab)
{
    return lab->wire;
}

const char *lab_address(const struct lab *lab, enum event_end end)
{
    if (!lab->wire)
        return "127.0.0.1";
    return end == END_A ? WIRE_A_IPV4 : WIRE_B_IPV4;
}

bool lab_full(const struct lab *lab)
{
    return lab->request->full;
}

const char *lab_given(const struct lab *lab)
{
    return lab->request->given;
}

void lab_rules(struct lab *lab, enum event_end from, const char *rules)
{
    struct wire_rules parsed = {0};
    struct sonde_why why = {0};
    if (!lab->wire)
        lab_give_up(lab, _("There is no wire here to make rules for."));
    int error = wire_rules_parse(rules, &parsed, &why);
    if (error == 0) {
        pthread_mutex_lock(&lab->wire_lock);
        error = wire_set_rules(lab->wire, from, &parsed);
        pthread_mutex_unlock(&lab->wire_lock);
    }
    if (error < 0)
        lab_give_up(lab, _("The wire does not take the rules \"%s\": %s %s"), rules, why.detail, sonde_strerror(error));
    snprintf(lab->rules[from], sizeof lab->rules[from], "%s", rules);
}

/* ---- time */

int64_t lab_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void lab_sleep(int64_t ns)
{
    int64_t until_ns = lab_now() + ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    while (ns > 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

bool lab_until(bool (*is_so)(void *data), void *data, int64_t within_ns)
{
    int64_t until_ns = lab_now() + within_ns;
    for (;;) {
        /* Looked at once more after the time is over: a machine that was busy is not to be blamed on the kernel. */
        bool last = lab_now() >= until_ns;
        if (is_so(data))
            return true;
        if (last)
            return false;
        lab_sleep(LOOK_AGAIN_NS);
    }
}

bool lab_starved(struct lab *lab, int64_t tolerated_ns)
{
    struct wire_counts counts[N_ENDS];
    char text[256];
    int64_t late_ns = atomic_load(&lab->sampler.late_max_ns), wire_ns = 0;
    if (lab->wire) {
        pthread_mutex_lock(&lab->wire_lock);
        if (wire_get_counts(lab->wire, counts) == 0)
            wire_ns = counts[END_A].late_max_ns > counts[END_B].late_max_ns ? counts[END_A].late_max_ns
                                                                            : counts[END_B].late_max_ns;
        pthread_mutex_unlock(&lab->wire_lock);
    }
    if (late_ns <= tolerated_ns && wire_ns <= tolerated_ns)
        return false;
    pthread_mutex_lock(&lab->lock);
    if (!lab->starved_said) {
        if (wire_ns > late_ns)
            snprintf(text, sizeof text,
                     _("This machine was busy: the wire handed a packet on %s late. Times here show the load, too."),
                     lab_time_text(wire_ns));
        else
            snprintf(text, sizeof text,
                     _("This machine was busy: a thread that was to wake at once waited %s for a processor. Times here "
                       "show the load, too."),
                     lab_time_text(late_ns));
        report_remark(lab->report, text);
        lab->starved_said = true;
    }
    pthread_mutex_unlock(&lab->lock);
    return true;
}

/* ---- the report */

static char *format_text(const char *format, va_list arguments)
{
    char *text = NULL;
    return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

static void add(struct lab *lab, enum report_kind kind, const char *format, va_list arguments)
{
    char *text = format_text(format, arguments);
    if (!text)
        return;
    pthread_mutex_lock(&lab->lock);
    report_add(lab->report, kind, text);
    pthread_mutex_unlock(&lab->lock);
}

void lab_say(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(lab, REPORT_PARAGRAPH, format, arguments);
    va_end(arguments);
}

void lab_footnote(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(lab, REPORT_FOOTNOTE, format, arguments);
    va_end(arguments);
}

void lab_table(struct lab *lab, unsigned n_columns, const char *const *heads)
{
    pthread_mutex_lock(&lab->lock);
    struct report_item *item = report_add(lab->report, REPORT_TABLE, NULL);
    lab->table = item;
    if (item) {
        item->table.n_columns = n_columns < REPORT_COLUMNS_MAX ? n_columns : REPORT_COLUMNS_MAX;
        for (unsigned i = 0; i < item->table.n_columns; i++)
            item->table.heads[i] = strdup(heads[i]);
    }
    pthread_mutex_unlock(&lab->lock);
}

void lab_cell(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    if (!text)
        return;
    pthread_mutex_lock(&lab->lock);
    struct report_table *table = lab->table ? &lab->table->table : NULL;
    char **cells = NULL;
    if (table && table->n_cells < REPORT_CELLS_MAX)
        cells = reallocarray(table->cells, table->n_cells + 1, sizeof *cells);
    if (cells) {
        table->cells = cells;
        table->cells[table->n_cells++] = text;
        text = NULL;
    } else if (table) {
        table->n_lost++;
    }
    pthread_mutex_unlock(&lab->lock);
    free(text);
}

void lab_table_end(struct lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    lab->table = NULL;
    pthread_mutex_unlock(&lab->lock);
}

static double *copy_numbers(const double *numbers, size_t n)
{
    double *copy = calloc(n + 1, sizeof *copy);
    if (copy && n > 0)
        memcpy(copy, numbers, n * sizeof *copy);
    return copy;
}

void lab_plot(struct lab *lab, const struct lab_plot *plot)
{
    pthread_mutex_lock(&lab->lock);
    struct report_item *item = report_add(lab->report, REPORT_PLOT, strdup(plot->title));
    if (item) {
        struct report_plot *kept = &item->plot;
        kept->x_label = strdup(plot->x_label);
        kept->y_label = strdup(plot->y_label);
        kept->x_scale = plot->x_scale;
        kept->y_scale = plot->y_scale;
        kept->steps = plot->steps;
        for (unsigned i = 0; i < plot->n_series && i < LAB_SERIES_MAX; i++) {
            struct report_series *series = &kept->series[kept->n_series++];
            series->name = strdup(plot->series[i].name);
            series->x = copy_numbers(plot->series[i].x, plot->series[i].n);
            series->y = copy_numbers(plot->series[i].y, plot->series[i].n);
            series->n = series->x && series->y ? plot->series[i].n : 0;
        }
    }
    pthread_mutex_unlock(&lab->lock);
}

void lab_answer(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lab->lock);
    free(lab->report->answer);
    lab->report->answer = text;
    pthread_mutex_unlock(&lab->lock);
}

void lab_verdict(struct lab *lab, const char *claim, enum lab_verdict verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lab->lock);
    struct report_verdict *kept = report_verdict(lab->report, claim);
    bool first = kept && !kept->given && text;
    if (first) {
        kept->given = true;
        kept->verdict = (uint8_t)verdict;
        kept->text = text;
    } else {
        free(text);
    }
    pthread_mutex_unlock(&lab->lock);
    if (!first && text)
        lab_give_up(lab, _("The experiment gave a verdict on %s, which is not its to give, or had been given."), claim);
}

static void add_figure(struct lab *lab, const char *claim, const char *name, double value, const char *text)
{
    pthread_mutex_lock(&lab->lock);
    struct report_verdict *verdict = report_verdict(lab->report, claim);
    if (verdict)
        report_figure(verdict, name, value, text);
    pthread_mutex_unlock(&lab->lock);
    if (!verdict)
        lab_give_up(lab, _("The experiment has a figure for %s, which is not its claim."), claim);
}

void lab_figure(struct lab *lab, const char *claim, const char *name, double value)
{
    add_figure(lab, claim, name, value, NULL);
}

void lab_figure_text(struct lab *lab, const char *claim, const char *name, const char *value)
{
    add_figure(lab, claim, name, 0, value);
}

void lab_give_up(struct lab *lab, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lab->lock);
    report_give_up(lab->report, text ? text : _("The experiment gave up."));
    pthread_mutex_unlock(&lab->lock);
    free(text);
    lab_finish(lab);
}

/* ---- numbers as text */

/* Eight texts for each thread, lent in turn. */
static char *lend(void)
{
    static _Thread_local struct {
        char texts[LENT_TEXTS][40];
        unsigned next;
    } lent;
    return lent.texts[lent.next++ % LENT_TEXTS];
}

const char *lab_count_text(uint64_t n)
{
    char *text = lend();
    ladder_count_text(n, text);
    return text;
}

const char *lab_time_text(int64_t ns)
{
    char *text = lend();
    if (ns >= 0 && ns < NS_PER_US)
        snprintf(text, 40, "%lld ns", (long long)ns);
    else
        ladder_delta_text(ns, false, text);
    return text;
}
