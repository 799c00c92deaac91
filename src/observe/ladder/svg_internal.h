/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SVG ladder share. Events become marks in order of time (svg_marks.c), marks get their heights
 * (svg_layout.c), and are drawn (svg_draw.c, svg.c). Lengths are in tenths of a pixel: whole numbers are written the
 * same in every locale.
 */
#ifndef OBSERVE_LADDER_SVG_INTERNAL_H
#define OBSERVE_LADDER_SVG_INTERNAL_H

#include "observe/ladder/ladder_internal.h"

#define SVG_MARKS_MAX 4000 /* a picture with more than this helps nobody; what is left out is said */
#define MARK_TEXTS_MAX 4
#define MARK_TEXT_BYTES 96
#define SVG_NOTES_MAX 12
#define SVG_NOTE_BYTES 768

enum mark_kind {
    MARK_NOTHING, /* joined to the one before it */
    MARK_SEGMENT,
    MARK_ARRIVAL,
    MARK_CALL_BEGIN,
    MARK_CALL_END,
    MARK_CALL_WHOLE,
    MARK_STATE,
    MARK_VALUES,
    MARK_DATAGRAM,
    MARK_ICMP,
    MARK_LOSS,
    MARK_HANDSHAKE,
    MARK_MESSAGE,
};

struct mark_text {
    char text[MARK_TEXT_BYTES];
    const char *classes; /* of the style sheet */
};

struct mark {
    uint8_t kind; /* enum mark_kind */
    const struct event *event;
    int64_t t_ns;
    size_t order, mate; /* the arrival of a segment, the begin of a call, and back; SIZE_MAX: none */
    int y;
    bool pause_before;
    int pause_from, pause_to;
    int64_t pause_ns;
    uint8_t state[N_ENDS]; /* of both ends from here on */
    uint32_t n_rto;
    struct mark_text text[N_ENDS][MARK_TEXTS_MAX];
    unsigned n_text[N_ENDS];
    struct messages messages; /* MARK_MESSAGE */
    bool has_rto, has_cwnd;   /* kernel column */
    int64_t rto_us, cwnd;
};

struct svg {
    ladder_write_function write;
    void *user;
    char buffer[4096];
    size_t n_buffer;

    struct connection connection;
    uint8_t first_state[N_ENDS];
    struct mark *marks;
    size_t n_marks, n_left_out;
    const struct event **sentences;
    size_t n_sentences;
    char notes[SVG_NOTES_MAX][SVG_NOTE_BYTES];
    unsigned n_notes, n_notes_left_out;
    unsigned n_segments, n_from[N_ENDS], n_lost, n_again;
    int64_t flight_ns; /* the usual one; 0: none is known */
    bool has_kernel;   /* RTO and cwnd of one end */
    enum event_end kernel_end;
    int64_t rto_least_us;
    int x_a, x_b, width, y_end;
};

/* ---- svg_marks.c. -ENOMEM, -ENOENT */
int svg_collect(struct svg *svg, const struct event *const *events, size_t n_events, uint64_t conn);

/* ---- svg_layout.c */

#define SVG_TOP 1180 /* where the first mark may be */

void svg_layout(struct svg *svg);
/* How far down a segment goes that was not seen to arrive: 0 when flights are not known. */
int svg_flight_height(const struct svg *svg);

/* ---- svg_draw.c */
void svg_put(struct svg *svg, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Escaped. */
void svg_put_text(struct svg *svg, const char *text);
void svg_flush(struct svg *svg);
void svg_draw_marks(struct svg *svg);
/* "12.5": a length, for %s. Each call has its own ret_text. */
const char *svg_length(int tenths, char ret_text[16]);

#endif
