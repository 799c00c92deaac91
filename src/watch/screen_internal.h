/* SPDX-License-Identifier: MIT */
/*
 * The full screen. The files beside it: screen.c opens the terminal, waits and closes; screen_look.c looks at the
 * sockets and puts them in order; screen_draw.c and screen_pane.c draw; screen_keys.c and screen_prompt.c obey.
 *
 * Sockets are looked at every 250 ms, or less often where a look takes long, so that it takes a quarter of the time at
 * most. In between only what counts down is drawn anew. Everything that moves keeps its place for two seconds, and the
 * cursor stays on its socket and that on its line, so that nothing is under a finger that was not there when it moved.
 */
#ifndef WATCH_SCREEN_INTERNAL_H
#define WATCH_SCREEN_INTERNAL_H

#include "watch/detail.h"
#include "watch/signals.h"
#include "watch/sort.h"
#include "watch/source.h"

enum page_kind {
    PAGE_NONE,
    PAGE_HELP,
    PAGE_DETAIL,
    PAGE_WHY,
};

struct prompt {
    bool is_open;
    char text[FILTER_TEXT_MAX], before[FILTER_TEXT_MAX]; /* before: to come back to */
    size_t n_bytes, at;                                  /* at: the cursor, in bytes */
    char why[192];                                       /* "" : it is understood */
};

struct screen {
    struct source source;
    struct model model;
    struct sockets_deaths *deaths;
    struct signals signals;
    struct view view;
    struct layout layout, layout_since; /* see layout_shrink */
    int64_t layout_since_ns;

    struct sockets_filter *filter; /* NULL: none; ours */
    char filter_text[FILTER_TEXT_MAX];
    struct prompt prompt;

    int sort; /* -1: by state */
    bool owners_shown, is_paused, is_over, needs_order, has_order;
    enum page_kind page;
    size_t page_top;
    char message[FILTER_TEXT_MAX]; /* in the place of the keys, until the next key */

    /* The list: listeners first, then the others. */
    struct place *places;
    size_t n_places, places_room, n_listeners;
    size_t cursor, top, listener_top; /* indices in the list; top counts from the first that is no listener */
    uint64_t cursor_key;
    uint64_t n_trouble;
    bool all_agree, queues_empty; /* local addresses; see layout_fit */
    char machine[VERDICT_TEXT_MAX];
    enum verdict_weight machine_weight;

    /* The socket under the cursor. */
    bool has_chosen;
    struct socket_info chosen;
    struct judgement judgement;

    int n_lines, n_columns;
    int64_t interval_ns, next_look_ns, look_cost_ns;
    int error;
};

/* From look to look. */
static inline int64_t screen_interval(const struct screen *screen)
{
    return screen->interval_ns > 4 * screen->look_cost_ns ? screen->interval_ns : 4 * screen->look_cost_ns;
}

/* screen_look.c */
int screen_look(struct screen *screen);
void screen_forget_widths(struct screen *screen);
void screen_order(struct screen *screen);  /* the list anew, after a look, a key or a filter */
void screen_choose(struct screen *screen); /* what is under the cursor, whole */
const struct row *screen_row(const struct screen *screen, size_t index);
/* How many of the others fit on the screen, and how many listeners. */
void screen_room(const struct screen *screen, unsigned *ret_listeners, unsigned *ret_others, unsigned *ret_pane);

/* screen_draw.c */
void screen_begin_colors(bool color);
void screen_draw(struct screen *screen);
void draw_line(int y, const struct line *line, bool reverse, bool ascii);

/* screen_pane.c */
void draw_pane(struct screen *screen, int y, unsigned n_lines);
void draw_page(struct screen *screen, int y, unsigned n_lines);
void name_chosen(const struct screen *screen, struct line *line);

/* screen_keys.c */
void screen_key(struct screen *screen, bool is_code, unsigned key);

/* screen_prompt.c */
void prompt_open(struct screen *screen);
void prompt_key(struct screen *screen, bool is_code, unsigned key);
void draw_prompt(struct screen *screen);

#endif
