/* SPDX-License-Identifier: MIT */
#include "watch/screen_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WIDTHS_KEPT_NS (5 * NS_PER_S)
#define NOTED_MAX 4096 /* of more, widths are those of the rows that are drawn */
#define WITH_MOST (SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY)

/* ---- looking */

static void take_deaths(struct screen *screen)
{
    struct socket_info socket;
    int result;
    while (screen->deaths && (result = sockets_deaths_next(screen->deaths, &socket)) != 0) {
        if (result > 0) {
            model_died(&screen->model, &socket);
        } else if (result != -ENOBUFS) {
            sockets_deaths_close(screen->deaths);
            screen->deaths = NULL;
        } else {
            screen->model.n_missed++;
        }
    }
}

static bool see(const struct socket_info *socket, void *user)
{
    struct screen *screen = user;
    if (source_leaves_out(&screen->source, socket))
        return true;
    struct row *row = model_see(&screen->model, socket);
    if (!row)
        return true;
    judge_row(&screen->source.judge, socket, model_track(&screen->model, row), screen->model.now_ns, row);
    return true;
}

int screen_look(struct screen *screen)
{
    struct source *source = &screen->source;
    const struct watch_settings *settings = source->settings;
    int64_t begin_ns = clock_now_ns();
    sockets_counters(&source->judge.counters);
    screen->model.census.port_low = source->judge.counters.port_low;
    screen->model.census.port_high = source->judge.counters.port_high;
    source->judge.census = &screen->model.census;
    model_begin(&screen->model, begin_ns);
    take_deaths(screen);
    int error = sockets_dump(source->sockets, settings->kinds, WITH_MOST, NULL, see, screen);
    model_end(&screen->model);
    screen->view.seen_ns = screen->view.now_ns = begin_ns;
    screen->machine_weight = judge_machine(&source->judge, NULL, screen->machine);
    bool filter_asks = screen->filter && filter_needs_owner(screen->filter);
    if (screen->owners_shown || filter_asks)
        source_refresh_owners_now_and_then(source);
    screen->view.owners = screen->owners_shown ? source->owners : NULL;
    screen->next_look_ns =
        begin_ns + (screen->interval_ns > 4 * screen->look_cost_ns ? screen->interval_ns : 4 * screen->look_cost_ns);
    return error < 0 ? error : 0;
}

/* ---- the list */

const struct row *screen_row(const struct screen *screen, size_t index)
{
    return index < screen->n_places ? &screen->model.rows[screen->places[index].row] : NULL;
}

static bool make_room(struct screen *screen)
{
    if (screen->model.n_rows <= screen->places_room)
        return true;
    size_t room = 2 * screen->model.n_rows;
    struct place *places = realloc(screen->places, room * sizeof *places);
    if (!places)
        return false;
    screen->places = places;
    screen->places_room = room;
    return true;
}

static bool is_wanted(const struct screen *screen, const struct row *row)
{
    struct socket_info socket;
    const struct track *track = model_track(&screen->model, row);
    if (!track_is_shown(&screen->model, track) || (track->gone_ns != 0 && track->from_state == TCP_STATE_UNKNOWN))
        return false; /* the latter was never here */
    if (!screen->filter)
        return true;
    row_to_socket(row, &socket);
    if (track->gone_ns != 0)
        socket.state = track->from_state;
    return source_matches(&screen->source, screen->filter, &socket);
}

/* Listeners at the front of the list, the others behind. */
static bool collect(struct screen *screen)
{
    const struct sonde_address *first = NULL;
    bool moved = false;
    size_t n_front = 0, n_back = 0, n_rows = screen->model.n_rows;
    screen->n_trouble = 0;
    screen->all_agree = screen->queues_empty = true;
    for (size_t i = 0; i < n_rows; i++) {
        struct row *row = &screen->model.rows[i];
        struct track *track = model_track(&screen->model, row);
        if (!is_wanted(screen, row))
            continue;
        bool at_once = screen->needs_order || (track->place_key == 0 && track->place_differs_ns == 0);
        struct place place = place_kept(&screen->model, &screen->view, row, track, screen->sort, at_once, &moved);
        screen->n_trouble += row->weight == VERDICT_TROUBLE;
        if (n_rows <= NOTED_MAX) {
            layout_note(&screen->layout, &screen->view, row);
            layout_note(&screen->layout_since, &screen->view, row);
        }
        if (row_is_listener(row) || track->from_state == TCP_STATE_LISTEN) {
            screen->places[n_front++] = place;
            continue;
        }
        screen->places[n_rows - ++n_back] = place;
        screen->queues_empty = screen->queues_empty && row->receive_queue == 0 && row->send_queue == 0;
        screen->all_agree = screen->all_agree && row->family != AF_UNIX && (!first || view_same_ip(first, &row->local));
        first = &row->local;
    }
    memmove(screen->places + n_front, screen->places + (n_rows - n_back), n_back * sizeof *screen->places);
    screen->n_listeners = n_front;
    screen->n_places = n_front + n_back;
    return moved;
}

/* The cursor goes where its socket went; the line on which it stands stays. */
static void follow_cursor(struct screen *screen)
{
    size_t was = screen->cursor;
    for (size_t i = 0; i < screen->n_places; i++) {
        if (screen_row(screen, i)->key == screen->cursor_key) {
            screen->cursor = i;
            break;
        }
    }
    if (screen->cursor >= screen->n_places)
        screen->cursor = screen->n_places ? screen->n_places - 1 : 0;
    const struct row *row = screen_row(screen, screen->cursor);
    screen->cursor_key = row ? row->key : 0;
    if (screen->cursor >= screen->n_listeners && screen->has_order) {
        ptrdiff_t top = (ptrdiff_t)screen->top + (ptrdiff_t)screen->cursor - (ptrdiff_t)was;
        screen->top = top > 0 ? (size_t)top : 0;
    }
}

/* What needs attention first is what is looked at first. */
static void choose_first(struct screen *screen)
{
    screen->cursor = 0;
    if (screen->n_places > screen->n_listeners &&
        (screen->n_listeners == 0 || screen_row(screen, 0)->weight != VERDICT_TROUBLE))
        screen->cursor = screen->n_listeners;
    screen->cursor_key = screen->n_places ? screen_row(screen, screen->cursor)->key : 0;
    screen->top = screen->listener_top = 0;
    screen->has_order = screen->n_places > 0;
}

void screen_forget_widths(struct screen *screen)
{
    layout_init(&screen->layout);
    layout_init(&screen->layout_since);
    screen->layout_since_ns = screen->view.now_ns;
}

void screen_order(struct screen *screen)
{
    if (!make_room(screen))
        return;
    size_t n_listeners_before = screen->n_listeners;
    if (screen->view.now_ns - screen->layout_since_ns >= WIDTHS_KEPT_NS) {
        layout_shrink(&screen->layout, &screen->layout_since);
        screen->layout_since_ns = screen->view.now_ns;
    }
    collect(screen);
    places_sort(&screen->model, screen->places, screen->n_listeners, SORT_LOCAL);
    places_sort(&screen->model, screen->places + screen->n_listeners, screen->n_places - screen->n_listeners,
                screen->sort);
    /* A listener more moves no line of the other table. */
    if (screen->cursor >= n_listeners_before)
        screen->cursor += screen->n_listeners - n_listeners_before;
    screen->needs_order = false;
    if (!screen->has_order)
        choose_first(screen);
    else
        follow_cursor(screen);
    screen_choose(screen);
}

void screen_choose(struct screen *screen)
{
    const struct row *row = screen_row(screen, screen->cursor);
    screen->has_chosen = row != NULL;
    if (!row)
        return;
    char program[64];
    int32_t pid;
    const struct track *track = model_track(&screen->model, row);
    if (screen->is_paused || track->gone_ns != 0)
        row_to_socket(row, &screen->chosen);
    else
        source_fetch(&screen->source, row, WITH_MOST | SOCKETS_WITH_CONGESTION, &screen->chosen);
    const char *name = source_program(&screen->source, row->inode, program, &pid);
    judge_socket(&screen->source.judge, &screen->chosen, &track->past, screen->view.now_ns, name, pid,
                 &screen->judgement);
}
