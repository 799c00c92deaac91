/* SPDX-License-Identifier: MIT */
/* What the files of trace share: the settings and one run of the verb (trace.c), and its words (trace_say.c). */
#ifndef CLI_TRACE_INTERNAL_H
#define CLI_TRACE_INTERNAL_H

#include "cli/page_options.h"
#include "cli/say.h"
#include "trace/file.h"
#include "trace/framing.h"
#include "trace/session.h"

#define VIEWS_MAX 4
#define FILTER_MAX 4096
#define WORD_MAX 256

struct trace_settings {
    const char *interface, *file, *svg, *write, *conn, *frame;
    bool json, follow, hex, summary, layers, raw, compact, ascii, list, all;
    long long n_packets, duration_ns, width;
    int color; /* index of its choices; -1: not given */
    struct page_options page;
};

struct trace_run {
    const struct trace_settings *settings;
    struct view_settings view_settings;
    struct view_run views[VIEWS_MAX];
    size_t n_views;
    struct framing_codec frame; /* settings->frame */
    bool sentences;
    struct page *page; /* --page; NULL: none */
    bool has_shown;    /* something of the file, whatever became of the rest */
    char filter[FILTER_MAX], title[WORD_MAX];
};

/* At the end, beside what was shown: what is missing, and why. */
void trace_say_file_counts(const struct trace_run *run, const struct trace_file_counts *counts);
void trace_say_live_counts(const struct trace_run *run, const struct session_counts *counts);
/* Was it the filter? Then the user has been told, and *ret_status is the exit status. */
bool trace_say_filter_error(const struct trace_run *run, const struct sonde_why *why, enum exit_status *ret_status);

#endif
