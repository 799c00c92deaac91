/* SPDX-License-Identifier: MIT */
/* Packets under way: a binary heap by when they are to be looked at, then in the order in which they left. */
#include "observe/track/course_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct flight *flight_new(const struct decoded *decoded)
{
    uint32_t n_bytes = decoded->payload ? decoded->n_payload_captured : 0;
    struct flight *flight = calloc(1, sizeof *flight + n_bytes);
    if (!flight)
        return NULL;
    flight->decoded = *decoded;
    flight->n_bytes = n_bytes;
    if (n_bytes > 0)
        memcpy(flight->payload, decoded->payload, n_bytes);
    flight->decoded.payload = n_bytes > 0 ? flight->payload : NULL;
    return flight;
}

static bool before(const struct flight *one, const struct flight *other)
{
    return one->at_ns != other->at_ns ? one->at_ns < other->at_ns : one->order < other->order;
}

static void sift_up(struct flights *flights, size_t at)
{
    struct flight *moved = flights->heap[at];
    for (; at > 0 && before(moved, flights->heap[(at - 1) / 2]); at = (at - 1) / 2)
        flights->heap[at] = flights->heap[(at - 1) / 2];
    flights->heap[at] = moved;
}

static void sift_down(struct flights *flights, size_t at)
{
    struct flight *moved = flights->heap[at];
    for (size_t child; (child = 2 * at + 1) < flights->n; at = child) {
        if (child + 1 < flights->n && before(flights->heap[child + 1], flights->heap[child]))
            child++;
        if (!before(flights->heap[child], moved))
            break;
        flights->heap[at] = flights->heap[child];
    }
    flights->heap[at] = moved;
}

bool flights_full(const struct flights *flights)
{
    return flights->n >= COURSE_UNDER_WAY_MAX || flights->n_bytes >= COURSE_UNDER_WAY_BYTES_MAX;
}

bool flights_push(struct flights *flights, struct flight *flight)
{
    if (flights->n == flights->room) {
        size_t room = flights->room ? 2 * flights->room : 64;
        struct flight **heap = reallocarray(flights->heap, room, sizeof(struct flight *));
        if (!heap)
            return false;
        flights->heap = heap;
        flights->room = room;
    }
    flight->order = flights->n_pushed++;
    flights->n_bytes += flight->n_bytes;
    flights->heap[flights->n] = flight;
    sift_up(flights, flights->n++);
    return true;
}

static struct flight *take_out(struct flights *flights, size_t at)
{
    struct flight *flight = flights->heap[at], *last = flights->heap[--flights->n];
    flights->n_bytes -= flight->n_bytes;
    if (at == flights->n)
        return flight;
    flights->heap[at] = last;
    sift_up(flights, at);
    if (flights->heap[at] == last)
        sift_down(flights, at);
    return flight;
}

struct flight *flights_pop(struct flights *flights, int64_t until_ns)
{
    return flights->n > 0 && flights->heap[0]->at_ns <= until_ns ? take_out(flights, 0) : NULL;
}

static bool same_address(const struct decoded *one, const struct decode_address *a, const struct decode_address *b)
{
    return memcmp(a->bytes, b->bytes, one->network == DECODE_IPV6 ? 16 : 4) == 0;
}

static bool is_shown(const struct flight *flight, const struct shown_by *by)
{
    const struct decoded *sent = &flight->decoded, *answer = by->segment;
    if (flight->to != by->view || flight->awaits || sent->network != answer->network || sent->protocol != IPPROTO_TCP ||
        sent->source_port != answer->destination_port || sent->destination_port != answer->source_port ||
        !same_address(sent, &sent->source, &answer->destination) ||
        !same_address(sent, &sent->destination, &answer->source))
        return false;
    uint32_t end =
        sent->seq + sent->n_payload + ((sent->flags & SEGMENT_SYN) != 0) + ((sent->flags & SEGMENT_FIN) != 0);
    if (answer->flags & SEGMENT_ACK)
        return end != sent->seq && (int32_t)(answer->ack - end) >= 0 &&
               (!by->has_known || (int32_t)(end - by->known) > 0);
    return answer->flags & SEGMENT_RST && sent->flags & SEGMENT_ACK && answer->seq == sent->ack;
}

/* What is due by then stands above what is not. */
static size_t find_shown(const struct flights *flights, size_t at, const struct shown_by *by)
{
    if (at >= flights->n || flights->heap[at]->at_ns > by->until_ns)
        return SIZE_MAX;
    if (is_shown(flights->heap[at], by))
        return at;
    size_t found = find_shown(flights, 2 * at + 1, by);
    return found != SIZE_MAX ? found : find_shown(flights, 2 * at + 2, by);
}

struct flight *flights_pop_shown(struct flights *flights, const struct shown_by *by)
{
    size_t at = find_shown(flights, 0, by);
    return at != SIZE_MAX ? take_out(flights, at) : NULL;
}
