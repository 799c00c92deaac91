/* SPDX-License-Identifier: MIT */
#include "cli/connect/echo_window.h"

#include <stdlib.h>
#include <string.h>

static struct echo_sent *at(struct echo_window *window, unsigned index)
{
    return &window->ring[(window->begin + index) % ECHO_MESSAGES];
}

static void forget_oldest(struct echo_window *window)
{
    struct echo_sent *sent = at(window, 0);

    if (!sent->returned && !sent->given_up) {
        window->n_waiting--;
        window->n_given_up++;
    }
    window->n_kept_bytes -= sent->n_bytes;
    free(sent->bytes);
    *sent = (struct echo_sent){.bytes = NULL};
    window->begin = (window->begin + 1) % ECHO_MESSAGES;
    window->n--;
}

void echo_restart(struct echo_window *window, bool in_order)
{
    while (window->n > 0)
        forget_oldest(window);
    *window = (struct echo_window){.in_order = in_order};
}

bool echo_has_room(const struct echo_window *window)
{
    return window->n_waiting < ECHO_UNANSWERED && (window->n_waiting == 0 || window->n_kept_bytes < ECHO_BYTES);
}

bool echo_sent(struct echo_window *window, const void *data, size_t n_bytes, unsigned kind)
{
    void *copy = malloc(n_bytes > 0 ? n_bytes : 1);

    if (copy == NULL)
        return false;
    memcpy(copy, data, n_bytes);
    /* Those that have come back already make room first; they are the older ones as a rule. */
    while (window->n == ECHO_MESSAGES ||
           (window->n > 0 && window->n_kept_bytes + n_bytes > ECHO_BYTES && at(window, 0)->returned))
        forget_oldest(window);
    *at(window, window->n++) = (struct echo_sent){.bytes = copy, .n_bytes = n_bytes, .kind = kind};
    window->n_kept_bytes += n_bytes;
    window->n_waiting++;
    window->n_sent++;
    return true;
}

static bool is_same(const struct echo_sent *sent, const void *data, size_t n_bytes, unsigned kind)
{
    return sent->n_bytes == n_bytes && sent->kind == kind && memcmp(sent->bytes, data, n_bytes) == 0;
}

static size_t show(const void *bytes, size_t n_bytes, unsigned char *ret_shown)
{
    size_t n = n_bytes < ECHO_SHOWN ? n_bytes : ECHO_SHOWN;

    memcpy(ret_shown, bytes, n);
    return n;
}

static void note_wrong(struct echo_window *window, const struct echo_sent *expected, const void *data, size_t n_bytes)
{
    if (window->n_wrong++ > 0)
        return;
    window->wrong_number = window->n_came_messages;
    window->none_expected = expected == NULL;
    window->n_came_bytes = n_bytes;
    window->n_came = show(data, n_bytes, window->came);
    if (expected == NULL)
        return;
    window->n_expected_bytes = expected->n_bytes;
    window->n_expected = show(expected->bytes, expected->n_bytes, window->expected);
}

static void give_up(struct echo_window *window, struct echo_sent *sent)
{
    if (sent->returned || sent->given_up)
        return;
    sent->given_up = true;
    window->n_waiting--;
    window->n_given_up++;
}

static enum echo_verdict take(struct echo_window *window, unsigned index)
{
    struct echo_sent *sent = at(window, index);
    bool was_late = sent->given_up;

    for (unsigned i = 0; i < index; i++)
        give_up(window, at(window, i));
    if (was_late)
        window->n_given_up--;
    else
        window->n_waiting--;
    sent->returned = true;
    sent->given_up = false;
    window->n_returned++;
    window->n_late += was_late;
    return was_late ? ECHO_LATE : ECHO_SAME;
}

/* What does not fit is told apart: it was there already, or it never was. */
static enum echo_verdict judge_other(struct echo_window *window, const struct echo_sent *first, bool was_there,
                                     const void *data, size_t n_bytes)
{
    if (was_there && !window->in_order) {
        window->n_doubled++;
        return ECHO_DOUBLE;
    }
    note_wrong(window, first, data, n_bytes);
    return ECHO_WRONG;
}

enum echo_verdict echo_received(struct echo_window *window, const void *data, size_t n_bytes, unsigned kind)
{
    const struct echo_sent *first = NULL;
    bool was_there = false;

    window->n_came_messages++;
    for (unsigned i = 0; i < window->n; i++) {
        const struct echo_sent *sent = at(window, i);
        bool same = is_same(sent, data, n_bytes, kind), awaited = !sent->returned && !sent->given_up;
        if (awaited && first == NULL)
            first = sent;
        if (same && !sent->returned && (sent == first || !window->in_order))
            return take(window, i);
        was_there = was_there || same;
    }
    return judge_other(window, first, was_there, data, n_bytes);
}

void echo_give_up(struct echo_window *window)
{
    for (unsigned i = 0; i < window->n; i++)
        give_up(window, at(window, i));
}

uint64_t echo_missing(const struct echo_window *window)
{
    return window->n_waiting + window->n_given_up;
}
