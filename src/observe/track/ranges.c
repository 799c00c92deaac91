/* SPDX-License-Identifier: MIT */
/*
 * What was sent in which piece, and what of it is missing: two small sorted arrays for each direction, which grow on
 * demand up to TRACK_RANGES_MAX. Nearly always the change is at the end. Pieces that are acknowledged stay as long as
 * there is room, so that a needless repeat can still be named.
 */
#include "observe/track/track_internal.h"

#include <string.h>

#define ROOM_FIRST 1

/* ---- what was sent */

static int64_t end_of(const struct range *range)
{
    return range->seq + range->n_bytes;
}

struct range *ranges_end(const struct ranges *ranges)
{
    return ranges->n > 0 ? ranges->range + ranges->n : NULL;
}

struct range *ranges_find(const struct ranges *ranges, int64_t seq)
{
    size_t low = 0, high = ranges->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (end_of(&ranges->range[middle]) > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low < ranges->n ? &ranges->range[low] : NULL;
}

static void drop_first(struct ranges *ranges, size_t n)
{
    memmove(ranges->range, ranges->range + n, (ranges->n - n) * sizeof *ranges->range);
    ranges->n -= (uint16_t)n;
    ranges->n_acked -= (uint16_t)(n < ranges->n_acked ? n : ranges->n_acked);
}

/* Is there room for one more at last? */
static bool make_room(struct tracker *tracker, struct ranges *ranges)
{
    if (ranges->n < ranges->room)
        return true;
    if (ranges->n_acked > 0 && (size_t)ranges->n_acked * 2 >= ranges->n) {
        size_t keep = ranges->room / 4;
        drop_first(ranges, ranges->n_acked > keep ? ranges->n_acked - keep : 1);
        return true;
    }
    if (ranges->room < TRACK_RANGES_MAX) {
        size_t room = ranges->room ? ranges->room * 2 : ROOM_FIRST;
        struct range *range = track_allocate(tracker, ranges->range, room * sizeof *range);
        if (range) {
            ranges->range = range;
            ranges->room = (uint16_t)room;
            return true;
        }
        if (ranges->room == 0)
            return false;
    }
    drop_first(ranges, ranges->n > 4 ? ranges->n / 4 : 1);
    return true;
}

void ranges_append(struct tracker *tracker, struct flow *flow, const struct range *range)
{
    if (make_room(tracker, &flow->sent))
        flow->sent.range[flow->sent.n++] = *range;
}

void ranges_insert(struct tracker *tracker, struct flow *flow, const struct range *range)
{
    struct ranges *ranges = &flow->sent;
    if (!make_room(tracker, ranges))
        return;
    struct range *next = ranges_find(ranges, range->seq);
    size_t at = next ? (size_t)(next - ranges->range) : ranges->n;
    if (next && next->seq < end_of(range))
        return; /* overlapping what is remembered already */
    memmove(ranges->range + at + 1, ranges->range + at, (ranges->n - at) * sizeof *range);
    ranges->range[at] = *range;
    ranges->n++;
    if (at < ranges->n_acked)
        ranges->n_acked++;
}

bool ranges_all_marked(const struct flow *flow, int64_t from, int64_t to, uint8_t mark)
{
    const struct range *range = ranges_find(&flow->sent, from);
    const struct range *end = ranges_end(&flow->sent);

    if (!range || range->seq > from)
        return false;
    for (; range < end && range->seq < to; range++) {
        if (!(range->marks & mark))
            return false;
    }
    return end_of(&range[-1]) >= to;
}

void ranges_split(struct tracker *tracker, struct flow *flow, int64_t at)
{
    struct ranges *ranges = &flow->sent;
    struct range *range = ranges_find(ranges, at);

    if (!range || range->seq >= at || !make_room(tracker, ranges))
        return;
    range = ranges_find(ranges, at);
    if (!range || range->seq >= at)
        return; /* it was dropped to make room */
    size_t index = (size_t)(range - ranges->range);
    memmove(range + 1, range, (ranges->n - index) * sizeof *range);
    range[0].n_bytes = (uint32_t)(at - range->seq);
    range[1].n_bytes -= range[0].n_bytes;
    range[1].seq = at;
    ranges->n++;
    if (index < ranges->n_acked)
        ranges->n_acked++;
}

/* ---- what is missing */

static void remove_hole(struct holes *holes, size_t at)
{
    holes->n--;
    memmove(holes->hole + at, holes->hole + at + 1, (holes->n - at) * sizeof *holes->hole);
}

static void insert_hole(struct holes *holes, size_t at, const struct hole *hole)
{
    memmove(holes->hole + at + 1, holes->hole + at, (holes->n - at) * sizeof *hole);
    holes->hole[at] = *hole;
    holes->n++;
}

/* A hole that is given up counts as missing, unless it was counted when it was acknowledged. */
static void give_up_first(struct conversation_side *side, struct holes *holes)
{
    if (!holes->hole[0].acked)
        side->n_missing_bytes += (uint64_t)(holes->hole[0].to - holes->hole[0].from);
    remove_hole(holes, 0);
}

static bool make_hole_room(struct tracker *tracker, struct conversation_side *side, struct holes *holes)
{
    if (holes->n < holes->room)
        return true;
    if (holes->room < TRACK_RANGES_MAX) {
        size_t room = holes->room ? holes->room * 2 : ROOM_FIRST;
        struct hole *hole = track_allocate(tracker, holes->hole, room * sizeof *hole);
        if (hole) {
            holes->hole = hole;
            holes->room = (uint16_t)room;
            return true;
        }
        if (holes->room == 0)
            return false;
    }
    give_up_first(side, holes);
    return true;
}

/* Holes are found at the end: this one lies behind all others. */
void holes_add(struct tracker *tracker, struct conversation_side *side, struct flow *flow, const struct hole *hole)
{
    if (hole->acked)
        side->n_missing_bytes += (uint64_t)(hole->to - hole->from);
    if (make_hole_room(tracker, side, &flow->holes))
        flow->holes.hole[flow->holes.n++] = *hole;
    else if (!hole->acked)
        side->n_missing_bytes += (uint64_t)(hole->to - hole->from);
}

static size_t find_hole(const struct holes *holes, int64_t seq)
{
    size_t low = 0, high = holes->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (holes->hole[middle].to > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void remember_piece(struct segment *segment, int64_t from, int64_t to)
{
    struct range range = {
        .seq = from,
        .n_bytes = (uint32_t)(to - from),
        .first_ns = segment->t_ns,
        .last_ns = segment->t_ns,
        .number = segment->event.number,
        .n_sent = 1,
        .marks = RANGE_LATE,
    };
    ranges_insert(segment->tracker, segment->flow, &range);
}

uint64_t holes_fill(struct segment *segment, int64_t from, int64_t to, int64_t *ret_since_ns)
{
    struct holes *holes = &segment->flow->holes;
    uint64_t n_filled = 0;
    size_t at = find_hole(holes, from);

    while (at < holes->n && holes->hole[at].from < to) {
        struct hole hole = holes->hole[at];
        int64_t first = hole.from > from ? hole.from : from, last = hole.to < to ? hole.to : to;
        if (n_filled == 0)
            *ret_since_ns = hole.since_ns;
        n_filled += (uint64_t)(last - first);
        if (hole.acked)
            segment->side->n_missing_bytes -= (uint64_t)(last - first);
        remember_piece(segment, first, last);
        if (hole.from < first && last < hole.to) {
            struct hole behind = hole;
            behind.from = last;
            holes->hole[at].to = first;
            if (make_hole_room(segment->tracker, segment->side, holes)) {
                at = find_hole(holes, first); /* making room may have moved it */
                insert_hole(holes, at, &behind);
            }
            break;
        }
        if (hole.from < first) {
            holes->hole[at++].to = first;
        } else if (last < hole.to) {
            holes->hole[at].from = last;
            break;
        } else {
            remove_hole(holes, at);
        }
    }
    return n_filled;
}

uint64_t holes_acknowledge(struct conversation_side *side, struct flow *flow, int64_t below, int64_t now_ns)
{
    struct holes *holes = &flow->holes;
    uint64_t n_missing = 0;

    /* Those that were acknowledged are kept a little, since a capture may have its packets in a wrong order. */
    while (holes->n > 0 && holes->hole[0].acked && now_ns - holes->hole[0].since_ns > REORDER_NS)
        remove_hole(holes, 0);
    for (size_t i = 0; i < holes->n && holes->hole[i].from < below; i++) {
        struct hole *hole = &holes->hole[i];
        if (hole->acked)
            continue;
        if (hole->to > below) {
            struct hole behind = {.from = below, .to = hole->to, .since_ns = hole->since_ns};
            hole->to = below;
            if (holes->n < holes->room)
                insert_hole(holes, i + 1, &behind);
            else
                side->n_missing_bytes += (uint64_t)(behind.to - behind.from);
        }
        hole->acked = true;
        hole->since_ns = now_ns;
        n_missing += (uint64_t)(hole->to - hole->from);
    }
    side->n_missing_bytes += n_missing;
    return n_missing;
}

bool holes_open(const struct flow *flow)
{
    for (size_t i = flow->holes.n; i-- > 0;) {
        if (!flow->holes.hole[i].acked)
            return true;
    }
    return false;
}
