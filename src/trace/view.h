/* SPDX-License-Identifier: MIT */
/*
 * Views: the ways to show what was traced. A view is one file with one const description; the command chooses. It is
 * handed what it asks for by having a function for it: events in the order of time, packets as they were captured,
 * payload in order, conversations that are over.
 */
#ifndef TRACE_VIEW_H
#define TRACE_VIEW_H

#include "observe/capture/capture.h"
#include "observe/decode/decode.h"
#include "observe/event/event.h"
#include "observe/track/track.h"

#include <stdio.h>

struct framing_codec;
struct page;

/* What all views of one run share. */
struct view_settings {
    FILE *out;         /* of those that print; may be NULL for the others */
    const char *title; /* where it comes from: "lo", "capture lunch.pcapng" */
    bool live, unicode, color, raw, compact, list, hex, json, all;
    unsigned width;
    uint64_t only;                     /* this connection; 0: all */
    const char *svg, *write;           /* paths */
    const struct framing_codec *frame; /* --frame; NULL: none */
    struct page *page;                 /* --page: of page_view; NULL: none */
    uint64_t session;                  /* of page_view, where there are several traces: its number; 0: the only one */
};

struct holder;

/* A packet, and what became of it. */
struct view_packet {
    const struct packet *packet;
    const struct decoded *decoded;
    int64_t t_ns;
    const struct conversation *conversation; /* NULL: it belongs to none */
    const struct event_segment *segment;     /* NULL: it is no TCP segment of a conversation */
    const char *interface;                   /* "" when it has no name */
    const char *description;                 /* of the interface; NULL or "": none */
    bool arrival;                            /* of a packet that was shown when it left (trace/ends.h) */
    const char *conclusion;                  /* NULL: none */
    const char *why;                         /* what became of it on its way, for its comment; NULL: nothing to say */
    const struct holder *holder;             /* of both ends; NULL: not known */
};

struct view_run;

struct view {
    const char *name;
    size_t state_bytes; /* zeroed before open */
    /* Negative: it cannot be shown, and ret_why says why. */
    int (*open)(struct view_run *run, struct sonde_why *ret_why);
    void (*event)(struct view_run *run, const struct event *event);
    void (*packet)(struct view_run *run, const struct view_packet *packet);
    void (*data)(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                 const void *data, size_t n_bytes, uint64_t n_missing, bool push);
    void (*conversation)(struct view_run *run, const struct conversation *conversation);
    /* Live, at the end: how many packets the capture received, and dropped for want of room. */
    void (*statistics)(struct view_run *run, uint64_t n_received, uint64_t n_dropped);
    void (*idle)(struct view_run *run, int64_t now_ns); /* live: nothing came for a while */
    /* Everything has come: the rest is shown. Returns 0 or the first error of the view's file. */
    int (*finish)(struct view_run *run);
    void (*close)(struct view_run *run);
};

struct view_run {
    const struct view *view;
    const struct view_settings *settings;
    void *state;
    int error; /* its file cannot be written any further; what finish returned */
};

extern const struct view view_ladder, view_json, view_svg, view_follow, view_summary, view_layers, view_write;

/* Opens one. Errors: -ENOMEM, and those of its open. */
int trace_view_open(const struct view *view, const struct view_settings *settings, struct view_run *ret_run,
                    struct sonde_why *ret_why);
int trace_view_finish(struct view_run *run);
/* What it has printed is to be seen now; and: it cannot print, or write its file, any more. */
void view_flush(const struct view_run *run);
bool view_is_gone(const struct view_run *run);
void trace_view_close(struct view_run *run);

#endif
