/* SPDX-License-Identifier: MIT */
/*
 * The report of one experiment as data: what was measured, in the order in which it was given, and the verdicts. The
 * renderers (render.h) make text of it. It owns all it points to; texts are ours, or were escaped when they came in.
 */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include "lab/lab.h"

#define REPORT_ITEMS_MAX 256
#define REPORT_CLAIMS_MAX 16
#define REPORT_FIGURES_MAX 48
#define REPORT_COLUMNS_MAX 8
#define REPORT_CELLS_MAX 4096
#define REPORT_SETTINGS_MAX 24
#define REPORT_VALUES_MAX 6
#define REPORT_TEXT_MAX 4096 /* bytes of one paragraph */

enum report_kind {
    REPORT_PARAGRAPH,
    REPORT_FOOTNOTE,
    REPORT_TABLE,
    REPORT_LADDER,
    REPORT_PLOT,
    REPORT_LINES, /* to be shown as they are */
};

struct report_table {
    unsigned n_columns;
    char *heads[REPORT_COLUMNS_MAX];
    char **cells; /* row by row */
    size_t n_cells, n_lost;
};

struct report_ladder {
    struct event **events;
    size_t n_events;
    uint64_t conn;
};

struct report_plot {
    char *x_label, *y_label;
    enum lab_scale x_scale, y_scale;
    bool steps;
    unsigned n_series;
    struct report_series {
        char *name;
        double *x, *y;
        size_t n;
    } series[LAB_SERIES_MAX];
};

struct report_item {
    uint8_t kind; /* enum report_kind */
    char *text;   /* the paragraph; caption or title; may be NULL */
    union {
        struct report_table table;
        struct report_ladder ladder;
        struct report_plot plot;
    };
};

struct report_figure {
    char *name;
    bool is_text;
    double value;
    char *text;
};

struct report_verdict {
    bool given;
    uint8_t verdict; /* enum lab_verdict */
    char *text;
    unsigned n_figures, n_figures_lost;
    struct report_figure figures[REPORT_FIGURES_MAX];
};

struct report_setting {
    const char *name;
    char *machine;     /* NULL: this machine has none, or does not show it */
    char *end[N_ENDS]; /* at the end of the run; NULL as above */
    unsigned n_set;    /* values that the experiment gave it */
    char *set[REPORT_VALUES_MAX];
};

struct report {
    const struct experiment *experiment;
    int64_t took_ns;
    const char *prediction; /* NULL: nobody was asked; lent */
    char *answer;
    char *where; /* a sentence, when it was not run on a wire though one is usual; NULL: none */
    unsigned n_claims;
    struct report_verdict verdicts[REPORT_CLAIMS_MAX];
    unsigned n_settings;
    struct report_setting settings[REPORT_SETTINGS_MAX];
    size_t n_items, n_items_lost;
    struct report_item items[REPORT_ITEMS_MAX];
    char *remarks[8]; /* of the lab itself: starved, events lost */
    unsigned n_remarks;
    bool gave_up;
};

/* NULL: no memory. The experiment is lent. */
struct report *report_new(const struct experiment *experiment);
void report_free(struct report *report);

/* NULL: no room for more, or no memory. text is taken over. */
struct report_item *report_add(struct report *report, enum report_kind kind, char *text);
/* The claim's; NULL: the experiment has no such claim. */
struct report_verdict *report_verdict(struct report *report, const char *claim);
void report_figure(struct report_verdict *verdict, const char *name, double value, const char *text);
void report_remark(struct report *report, const char *text);
/* Claims without a verdict are not shown, for this reason. Without claims it is a remark. */
void report_give_up(struct report *report, const char *why);
unsigned report_n_not_shown(const struct report *report);

/* The setting's row; made when there is none. NULL: no room. */
struct report_setting *report_setting(struct report *report, const char *name);

/* "true", "false", "it depends", "not shown here". */
const char *lab_verdict_name(enum lab_verdict verdict);
const char *lab_chapter_name(enum lab_chapter chapter);       /* "Opening" */
const char *lab_chapter_short_name(enum lab_chapter chapter); /* "opening" */

#endif
