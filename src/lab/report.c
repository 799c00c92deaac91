/* SPDX-License-Identifier: MIT */
#include "lab/report.h"

#include "term/translate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const verdict_names[N_LAB_VERDICTS] = {"true", "false", "it depends", "not shown here"};

static const char *const chapter_names[N_CHAPTERS] = {
    N_("Sockets"), N_("Opening"), N_("Data"), N_("Trouble"), N_("Closing"), N_("Layers"),
};

static const char *const chapter_short_names[N_CHAPTERS] = {
    "sockets", "opening", "data", "trouble", "closing", "layers",
};

const char *lab_verdict_name(enum lab_verdict verdict)
{
    return verdict_names[verdict];
}

const char *lab_chapter_name(enum lab_chapter chapter)
{
    return _(chapter_names[chapter]);
}

const char *lab_chapter_short_name(enum lab_chapter chapter)
{
    return chapter_short_names[chapter];
}

struct report *report_new(const struct experiment *experiment)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        return NULL;
    report->experiment = experiment;
    while (experiment->claims[report->n_claims].id && report->n_claims < REPORT_CLAIMS_MAX)
        report->n_claims++;
    return report;
}

static void free_table(struct report_table *table)
{
    for (unsigned i = 0; i < table->n_columns; i++)
        free(table->heads[i]);
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
}

static void free_ladder(struct report_ladder *ladder)
{
    for (size_t i = 0; i < ladder->n_events; i++)
        free(ladder->events[i]);
    free(ladder->events);
}

static void free_plot(struct report_plot *plot)
{
    free(plot->x_label);
    free(plot->y_label);
    for (unsigned i = 0; i < plot->n_series; i++) {
        free(plot->series[i].name);
        free(plot->series[i].x);
        free(plot->series[i].y);
    }
}

static void free_item(struct report_item *item)
{
    free(item->text);
    switch ((enum report_kind)item->kind) {
    case REPORT_TABLE:
        free_table(&item->table);
        break;
    case REPORT_LADDER:
        free_ladder(&item->ladder);
        break;
    case REPORT_PLOT:
        free_plot(&item->plot);
        break;
    case REPORT_PARAGRAPH:
    case REPORT_FOOTNOTE:
    case REPORT_LINES:
        break;
    }
}

static void free_verdict(struct report_verdict *verdict)
{
    free(verdict->text);
    for (unsigned i = 0; i < verdict->n_figures; i++) {
        free(verdict->figures[i].name);
        free(verdict->figures[i].text);
    }
}

static void free_setting(struct report_setting *setting)
{
    free(setting->machine);
    for (enum event_end end = END_A; end < N_ENDS; end++)
        free(setting->end[end]);
    for (unsigned i = 0; i < setting->n_set; i++)
        free(setting->set[i]);
}

void report_free(struct report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->n_items; i++)
        free_item(&report->items[i]);
    for (unsigned i = 0; i < report->n_claims; i++)
        free_verdict(&report->verdicts[i]);
    for (unsigned i = 0; i < report->n_settings; i++)
        free_setting(&report->settings[i]);
    for (unsigned i = 0; i < report->n_remarks; i++)
        free(report->remarks[i]);
    free(report->answer);
    free(report->where);
    free(report);
}

struct report_item *report_add(struct report *report, enum report_kind kind, char *text)
{
    if (report->n_items == REPORT_ITEMS_MAX) {
        report->n_items_lost++;
        free(text);
        return NULL;
    }
    struct report_item *item = &report->items[report->n_items++];
    item->kind = (uint8_t)kind;
    item->text = text;
    return item;
}

struct report_verdict *report_verdict(struct report *report, const char *claim)
{
    for (unsigned i = 0; i < report->n_claims; i++) {
        if (strcasecmp(report->experiment->claims[i].id, claim) == 0)
            return &report->verdicts[i];
    }
    return NULL;
}

void report_figure(struct report_verdict *verdict, const char *name, double value, const char *text)
{
    if (verdict->n_figures == REPORT_FIGURES_MAX) {
        verdict->n_figures_lost++;
        return;
    }
    struct report_figure *figure = &verdict->figures[verdict->n_figures];
    *figure = (struct report_figure){.name = strdup(name), .is_text = text != NULL, .value = value};
    if (text)
        figure->text = strdup(text);
    if (figure->name && (!text || figure->text)) {
        verdict->n_figures++;
        return;
    }
    free(figure->name);
    free(figure->text);
    verdict->n_figures_lost++;
}

void report_remark(struct report *report, const char *text)
{
    if (report->n_remarks == sizeof report->remarks / sizeof report->remarks[0])
        return;
    char *copy = strdup(text);
    if (copy)
        report->remarks[report->n_remarks++] = copy;
}

void report_give_up(struct report *report, const char *why)
{
    /* One that has no claim has something to show all the same. */
    if (report->n_claims == 0 && !report->gave_up)
        report_remark(report, why);
    report->gave_up = true;
    for (unsigned i = 0; i < report->n_claims; i++) {
        struct report_verdict *verdict = &report->verdicts[i];
        if (verdict->given)
            continue;
        verdict->given = true;
        verdict->verdict = LAB_NOT_SHOWN;
        verdict->text = strdup(why);
    }
}

unsigned report_n_not_shown(const struct report *report)
{
    unsigned n = 0;
    for (unsigned i = 0; i < report->n_claims; i++)
        n += !report->verdicts[i].given || report->verdicts[i].verdict == LAB_NOT_SHOWN;
    return n;
}

struct report_setting *report_setting(struct report *report, const char *name)
{
    for (unsigned i = 0; i < report->n_settings; i++) {
        if (strcmp(report->settings[i].name, name) == 0)
            return &report->settings[i];
    }
    if (report->n_settings == REPORT_SETTINGS_MAX)
        return NULL;
    struct report_setting *setting = &report->settings[report->n_settings++];
    setting->name = name;
    return setting;
}
