/* SPDX-License-Identifier: MIT */
/* The tap tells of packets when their fate is known: here they are put back into the order of time. */
#include "cli/wire/wire_internal.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX (256 * 1024)
#define BYTES_MAX ((size_t)256 << 20) /* with offloads, a packet has up to 64 KiB */

static bool before(const struct taken *one, const struct taken *other)
{
    return one->t_ns != other->t_ns ? one->t_ns < other->t_ns : one->order < other->order;
}

bool order_is_full(const struct packet_order *order)
{
    return order->n >= PACKETS_MAX || order->n_bytes >= BYTES_MAX;
}

static bool make_room(struct packet_order *order)
{
    if (order->n < order->room)
        return true;
    size_t room = order->room ? 2 * order->room : 64;
    struct taken **heap = reallocarray(order->heap, room, sizeof(struct taken *));
    if (!heap)
        return false;
    order->heap = heap;
    order->room = room;
    return true;
}

void order_put(struct packet_order *order, const struct wire_packet *packet, bool arrival)
{
    struct taken *taken = make_room(order) ? malloc(sizeof *taken + packet->n_captured) : NULL;
    if (!taken) {
        order->n_no_memory++;
        return;
    }
    /* A copy comes behind its original, which left at the same time. */
    *taken = (struct taken){.t_ns = arrival ? packet->arrived_ns : packet->left_ns,
                            .order = packet->number * 2 + packet->copy,
                            .arrival = arrival,
                            .packet = *packet};
    memcpy(taken->data, packet->data, packet->n_captured);
    taken->packet.data = taken->data;
    order->n_bytes += packet->n_captured;
    size_t at = order->n++;
    for (; at > 0 && before(taken, order->heap[(at - 1) / 2]); at = (at - 1) / 2)
        order->heap[at] = order->heap[(at - 1) / 2];
    order->heap[at] = taken;
}

struct taken *order_take(struct packet_order *order, int64_t until_ns)
{
    if (order->n == 0 || order->heap[0]->t_ns > until_ns)
        return NULL;
    struct taken *first = order->heap[0], *last = order->heap[--order->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < order->n; at = child) {
        if (child + 1 < order->n && before(order->heap[child + 1], order->heap[child]))
            child++;
        if (!before(order->heap[child], last))
            break;
        order->heap[at] = order->heap[child];
    }
    if (order->n > 0)
        order->heap[at] = last;
    order->n_bytes -= first->packet.n_captured;
    return first;
}

void order_free(struct packet_order *order)
{
    for (size_t i = 0; i < order->n; i++)
        free(order->heap[i]);
    free(order->heap);
    memset(order, 0, sizeof *order);
}
