/* SPDX-License-Identifier: MIT */
/*
 * A line of so many bits a second, and the queue before it. A packet's time on the line is that of its whole Ethernet
 * frame (without the checksum, preamble and gap, which are not there). The one being sent is not in the queue: a packet
 * that finds the line idle passes whatever the queue's size.
 *
 * Time is exact: what is less than a nanosecond is carried on to the next packet as long as the line is busy.
 */
#include "wire/judge_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 64
#define WAIT_MAX_NS WINDOW_MAX_NS /* so that time cannot overflow */

/* Whose turn has come, waits no more. */
static void let_go(struct rate *rate, int64_t t_ns)
{
    while (rate->n > 0 && rate->ring[rate->first].start_ns <= t_ns) {
        rate->n_bytes -= rate->ring[rate->first].n_bytes;
        rate->first = (rate->first + 1) & (rate->room - 1);
        rate->n--;
    }
}

static bool make_room(struct rate *rate)
{
    if (rate->n < rate->room)
        return true;
    uint32_t room = rate->room ? rate->room * 2 : ROOM_LEAST;
    if (room > QUEUE_PACKETS_MAX)
        return false;
    struct waiting *ring = malloc(room * sizeof *ring);
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < rate->n; i++)
        ring[i] = rate->ring[(rate->first + i) & (rate->room - 1)];
    free(rate->ring);
    rate->ring = ring;
    rate->room = room;
    rate->first = 0;
    return true;
}

enum wire_reason rate_judge(struct rate *rate, const struct wire_rule *rule, int64_t t_ns, uint32_t n_bytes)
{
    let_go(rate, t_ns);
    if (rate->free_ns <= t_ns)
        return WIRE_PASSED;
    bool full = (rule->queue_packets != 0 && rate->n >= rule->queue_packets) ||
                (rule->queue_bytes != 0 && rate->n_bytes + n_bytes > rule->queue_bytes) ||
                (rule->queue_ns != 0 && rate->free_ns - t_ns > rule->queue_ns);
    if (full)
        return WIRE_QUEUE_FULL;
    return rate->free_ns - t_ns < WAIT_MAX_NS && make_room(rate) ? WIRE_PASSED : WIRE_NO_ROOM;
}

int64_t rate_take(struct rate *rate, const struct wire_rule *rule, int64_t t_ns, uint32_t n_bytes)
{
    let_go(rate, t_ns);
    if (rate->free_ns - t_ns >= WAIT_MAX_NS)
        return rate->free_ns;
    if (rate->free_ns <= t_ns) {
        rate->free_ns = t_ns;
        rate->part = 0;
    } else if (make_room(rate)) {
        rate->ring[(rate->first + rate->n++) & (rate->room - 1)] = (struct waiting){rate->free_ns, n_bytes};
        rate->n_bytes += n_bytes;
    }
    uint64_t parts = (uint64_t)n_bytes * 8 * (uint64_t)NS_PER_S + rate->part;
    rate->free_ns += (int64_t)(parts / rule->bits_per_s);
    rate->part = parts % rule->bits_per_s;
    return rate->free_ns;
}

void rate_free(struct rate *rate)
{
    free(rate->ring);
    *rate = (struct rate){0};
}
