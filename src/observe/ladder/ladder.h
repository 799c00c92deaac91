/* SPDX-License-Identifier: MIT */
/*
 * The ladder: a time line drawn as text or SVG. Two endpoints as two vertical lines, time running down, each end's
 * state beside it, segments as arrows between them, the program's calls as brackets, the kernel's values on the row of
 * what changed them, and under it the sentences. Pure: it is given events in order, and writes text.
 */
#ifndef OBSERVE_LADDER_LADDER_H
#define OBSERVE_LADDER_LADDER_H

#include "observe/event/event.h"

#define LADDER_WIDTH_MAX 140 /* wider terminals leave the rest empty */
#define LADDER_LIST_BELOW 64 /* narrower than this: a list, one event a line */

struct ladder_options {
    unsigned width; /* cells; 0: 80 */
    bool unicode;   /* else ASCII */
    bool color;
    bool raw;      /* sequence numbers as on the wire */
    bool compact;  /* pauses take one row */
    bool live;     /* events come as they happen: what is known later is shown later */
    bool list;     /* one event a line, whatever the width */
    bool tags;     /* a tag cell (a, b, ...) before the time from the second connection on */
    uint64_t only; /* this connection; 0: all */
};

/*
 * What the ladder makes of events:
 *   - A connection's first event, best its EVENT_KIND_CONNECTION, is its time 0 (live: the ladder's first event is).
 *     Whether it has calls decides the width of its columns: calls_seen should be known then. A server whose state is
 *     CLOSED is "nobody listens on port N". Later such events add what is known; the title is not printed again.
 *   - A call's begin and end with nothing between, within 1 ms, are one row.
 *   - Values within 1 ms of a row that concerns their end are put onto it, when its cell is free. A connection without
 *     segments shows them in the wire.
 *   - A segment with arrived_ns takes two rows when its receiver does something meanwhile, or when another one crosses
 *     or overtakes it.
 *   - A sentence with mark '-' is a note under the segment that it is about; the others are lines of full width. They
 *     stand where they come: behind the last row when they come last.
 *   - A polled state that contradicts what segments have told already is passed over.
 */

/* Takes text as it is made, whole lines. n_bytes may be large. */
typedef void (*ladder_write_function)(const char *text, size_t n_bytes, void *user);

struct ladder;

/* Text, for one connection after the other, or, live, for several at once (each row with its tag). NULL: no memory. */
struct ladder *ladder_new(const struct ladder_options *options, ladder_write_function write, void *user);
void ladder_event(struct ladder *ladder, const struct event *event);
/* Live: nothing has come for a while: show what was held back to see whether it can be drawn in one row with what
 * follows (at most two rows are, and segments that had not arrived by then). now_ns: what is earlier has come. */
void ladder_idle(struct ladder *ladder, int64_t now_ns);
/* The end: everything that was held back. */
void ladder_finish(struct ladder *ladder);
void ladder_free(struct ladder *ladder);

/* "a", "b", ... "z", "aa" of the n-th connection (from 0). */
void ladder_tag(unsigned n, char ret_tag[8]);

/* One connection as a picture: a whole SVG document, self-contained, without script. Events of other connections are
 * passed over. title may be NULL. Errors: -ENOMEM; -ENOENT: no event is of this connection. */
int ladder_svg(const struct event *const *events, size_t n_events, uint64_t conn, const char *title,
               ladder_write_function write, void *user);

/* ---- formats that are shared with tables: the sizes are enough for any value. */

/* "0.000 011", "12.345 678", "100.345 67": seconds, at most 10 cells; put right-aligned into 10, their decimal points
 * stand below each other as long as they can. Negative: "-12.4 s". */
void ladder_time_text(int64_t since_ns, char ret_text[16]);
/* Three digits and the unit: "+7us", "+5.08ms", "+212ms", "+60.09s"; without plus: "7 us", "5.08 ms". */
void ladder_delta_text(int64_t ns, bool plus, char ret_text[16]);
/* "1,234,567" */
void ladder_count_text(uint64_t n, char ret_text[32]);

#endif
