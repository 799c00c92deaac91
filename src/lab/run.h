/* SPDX-License-Identifier: MIT */
/*
 * Running an experiment: in a process of its own, that gives back its report as finished text, or dies, or is killed
 * when it takes too long. Either way there is a report.
 */
#ifndef LAB_RUN_H
#define LAB_RUN_H

#include "lab/render.h"

enum lab_format { LAB_TEXT, LAB_JSON, LAB_WHOLE, LAB_MARKDOWN }; /* LAB_WHOLE: render_whole */

struct lab_request {
    enum lab_format format;
    struct render_options render;
    bool full;
    bool without_wire;         /* as if namespaces were refused */
    int64_t watchdog_ns;       /* it is stopped when it takes longer; 0: ten times what it takes, and 20 s */
    const char *given;         /* lab_given; NULL: none */
    const char *prediction;    /* what the reader thinks; NULL: was not asked */
    const char *svg_directory; /* NULL: no pictures */
};

struct lab_outcome {
    bool interrupted;     /* SIGINT: nothing was written */
    bool failed;          /* it has no claims, and did not show what it is there for */
    unsigned n_not_shown; /* claims */
    uint32_t not_shown;   /* ... which, as bits of the experiment's list */
    unsigned n_pictures;  /* written */
    int picture_error;    /* 0, or why one was not */
};

/* No thread may be running, and signal_fd is a signalfd of SIGINT, which is blocked (-1: SIGINT is not waited for).
 * Writes the report to out, also when no process could be made: it says so. Errors: -ENOMEM. */
int lab_run(const struct experiment *experiment, const struct lab_request *request, int signal_fd, FILE *out,
            struct lab_outcome *ret_outcome);

/* In the form that is wanted. */
void lab_render(const struct report *report, const struct lab_request *request, FILE *out);

/* In the experiment's process; run_child.c. */
_Noreturn void lab_run_here(const struct experiment *experiment, const struct lab_request *request, int result_fd);

/* What the experiment's process sends, before the text. */
#define LAB_RESULT_MAGIC 0x62616c73u
#define LAB_RESULT_MAX (256u * 1024 * 1024)
struct lab_result {
    uint32_t magic;
    uint32_t n_not_shown, not_shown, n_pictures;
    int32_t picture_error;
    uint32_t failed;
    uint64_t n_text;
};

#endif
