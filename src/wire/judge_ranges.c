/* SPDX-License-Identifier: MIT */
/*
 * How often was this byte sent? New data always comes behind all other, so that the pieces are an array in order, and a
 * new one is added at its end. Data sent again is looked up; where it is cut differently, pieces are cut too.
 *
 * Pieces are forgotten from the front: those that are acknowledged, once there are many, and at the limits of memory
 * others too. Acknowledged ones are kept for a while since what was acknowledged may still be sent again.
 */
#include "wire/judge_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 8
#define KEEP_ACKED 256

static int64_t end_of(const struct ranges *ranges, uint32_t i)
{
    return i + 1 < ranges->n ? ranges->range[i + 1].begin : ranges->end;
}

/* The piece that holds this byte; offset is inside of all of them. */
static uint32_t find(const struct ranges *ranges, int64_t offset)
{
    uint32_t low = 0, high = ranges->n - 1;

    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (ranges->range[middle].begin <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void drop_oldest(struct ranges *ranges, uint32_t n)
{
    ranges->n -= n;
    memmove(ranges->range, ranges->range + n, ranges->n * sizeof *ranges->range);
}

static bool grow(struct ranges *ranges, uint32_t *n_total)
{
    uint32_t room = ranges->room ? ranges->room * 2 : ROOM_LEAST;

    if (room > RANGES_MAX || *n_total + (room - ranges->room) > RANGES_TOTAL_MAX)
        return false;
    struct range *range = realloc(ranges->range, room * sizeof *range);
    if (range == NULL)
        return false;
    *n_total += room - ranges->room;
    ranges->range = range;
    ranges->room = room;
    return true;
}

/* Room for one more: false, there is no memory at all. */
static bool make_room(struct ranges *ranges, uint32_t *n_total)
{
    if (ranges->n < ranges->room)
        return true;
    if (ranges->room >= KEEP_ACKED && ranges->acked > ranges->range[0].begin) {
        uint32_t n_acked = ranges->acked >= ranges->end ? ranges->n : find(ranges, ranges->acked);
        uint32_t n_drop = n_acked < ranges->n / 2 ? n_acked : ranges->n / 2;
        if (n_drop >= ranges->room / 4) {
            drop_oldest(ranges, n_drop);
            return true;
        }
    }
    if (grow(ranges, n_total))
        return true;
    if (ranges->n == 0)
        return false;
    drop_oldest(ranges, (ranges->n + 3) / 4);
    if (ranges->acked < ranges->range[0].begin)
        ranges->forgot = true;
    return true;
}

/* A piece begins at this byte from now on. */
static void cut(struct ranges *ranges, uint32_t *n_total, int64_t at)
{
    if (ranges->n == 0 || at <= ranges->range[0].begin || at >= ranges->end)
        return;
    if (ranges->range[find(ranges, at)].begin == at || !make_room(ranges, n_total))
        return;
    if (at <= ranges->range[0].begin)
        return; /* making room has forgotten it */
    uint32_t i = find(ranges, at);
    memmove(ranges->range + i + 1, ranges->range + i, (ranges->n - i) * sizeof *ranges->range);
    ranges->n++;
    ranges->range[i + 1].begin = at;
}

static void count_again(struct ranges *ranges, uint32_t *n_total, int64_t begin, int64_t end)
{
    cut(ranges, n_total, begin);
    cut(ranges, n_total, end);
    if (begin < ranges->range[0].begin)
        begin = ranges->range[0].begin;
    if (begin >= end)
        return;
    for (uint32_t i = find(ranges, begin); i < ranges->n && end_of(ranges, i) <= end; i++)
        ranges->range[i].n_sent++;
}

static void append(struct ranges *ranges, uint32_t *n_total, const struct range *range, int64_t end)
{
    if (make_room(ranges, n_total))
        ranges->range[ranges->n++] = *range;
    else
        ranges->forgot = true;
    ranges->end = end;
}

void ranges_sent(struct ranges *ranges, uint32_t *n_total, int64_t begin, int64_t end, uint32_t new_data_number,
                 uint32_t new_any_number, struct range *ret_range)
{
    int64_t known_from = ranges->n > 0 ? ranges->range[0].begin : ranges->end;

    *ret_range = (struct range){.begin = begin, .n_sent = 1};
    if (begin < ranges->end) {
        if (begin >= known_from) {
            count_again(ranges, n_total, begin, end < ranges->end ? end : ranges->end);
            *ret_range = ranges->range[find(ranges, begin)];
        } else {
            /* At least once before. Counting on makes each of these a copy of its own. */
            ret_range->n_sent = ++ranges->n_older + 1;
        }
    }
    if (end > ranges->end) {
        struct range added = {begin > ranges->end ? begin : ranges->end, new_data_number, new_any_number, 1};
        append(ranges, n_total, &added, end);
    }
}

void ranges_clear(struct ranges *ranges, uint32_t *n_total)
{
    *n_total -= ranges->room;
    free(ranges->range);
    *ranges = (struct ranges){0};
}
