/* SPDX-License-Identifier: MIT */
/*
 * The table of conversations: a hash of both ends that is the same in both directions, with a seed of its own so that
 * nobody can choose ports that collide; chained, and doubled when there is one conversation for each bucket. Two lists
 * by last use, one of those that are open and one of those that ended, since only ended ones are forgotten by time.
 */
#include "observe/track/track_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

uint64_t table_mix(uint64_t one, uint64_t other)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(one ^ UINT64_C(0x9e3779b97f4a7c15)) * (other ^ UINT64_C(0xd6e8feb86659fd93));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_end(uint64_t seed, const struct sonde_address *address)
{
    uint64_t high, low;
    memcpy(&high, address->u.ip, sizeof high);
    memcpy(&low, address->u.ip + 8, sizeof low);
    return table_mix(high ^ seed, low + address->port + ((uint64_t)address->family << 32));
}

static uint64_t hash_of(const struct tracker *tracker, uint8_t protocol, const struct sonde_address *one,
                        const struct sonde_address *other)
{
    return table_mix(hash_end(tracker->seed, one) + hash_end(tracker->seed, other), protocol);
}

static bool same_end(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->port == other->port && one->family == other->family &&
           memcmp(one->u.ip, other->u.ip, sizeof one->u.ip) == 0;
}

struct tracked *table_find(const struct tracker *tracker, uint8_t protocol, const struct sonde_address *source,
                           const struct sonde_address *destination, enum event_end *ret_from)
{
    uint64_t hash = hash_of(tracker, protocol, source, destination);
    struct tracked *conv = tracker->buckets[hash & (tracker->n_buckets - 1)];

    for (; conv; conv = conv->chain) {
        const struct conversation_side *side = conv->shown.side;
        if (conv->hash != hash || conv->shown.protocol != protocol)
            continue;
        if (same_end(&side[END_A].address, source) && same_end(&side[END_B].address, destination)) {
            *ret_from = END_A;
            return conv;
        }
        if (same_end(&side[END_B].address, source) && same_end(&side[END_A].address, destination)) {
            *ret_from = END_B;
            return conv;
        }
    }
    return NULL;
}

/* ---- lists */

#define LIST_APPEND(list, conv, link)                                                                                  \
    do {                                                                                                               \
        (conv)->link.previous = (list)->last;                                                                          \
        (conv)->link.next = NULL;                                                                                      \
        if ((list)->last)                                                                                              \
            (list)->last->link.next = (conv);                                                                          \
        else                                                                                                           \
            (list)->first = (conv);                                                                                    \
        (list)->last = (conv);                                                                                         \
    } while (0)

#define LIST_REMOVE(list, conv, link)                                                                                  \
    do {                                                                                                               \
        if ((conv)->link.previous)                                                                                     \
            (conv)->link.previous->link.next = (conv)->link.next;                                                      \
        else                                                                                                           \
            (list)->first = (conv)->link.next;                                                                         \
        if ((conv)->link.next)                                                                                         \
            (conv)->link.next->link.previous = (conv)->link.previous;                                                  \
        else                                                                                                           \
            (list)->last = (conv)->link.previous;                                                                      \
    } while (0)

static struct tracked_list *list_of(struct tracker *tracker, const struct tracked *conv)
{
    return conv->ended ? &tracker->ended : &tracker->open;
}

void table_touch(struct tracker *tracker, struct tracked *conv)
{
    bool ended = conv->shown.protocol == IPPROTO_TCP && state_is_over(&conv->shown);
    struct tracked_list *list = list_of(tracker, conv);

    conv->shown.last_ns = tracker->now_ns;
    if (ended == conv->ended && list->last == conv)
        return;
    LIST_REMOVE(list, conv, used);
    conv->ended = ended;
    list = list_of(tracker, conv);
    LIST_APPEND(list, conv, used);
}

/* ---- coming and going */

static void grow(struct tracker *tracker)
{
    size_t n_buckets = tracker->n_buckets * 2;
    struct tracked **buckets = track_allocate(tracker, NULL, n_buckets * sizeof(struct tracked *));
    if (!buckets)
        return; /* longer chains are slower, and no worse */
    memset(buckets, 0, n_buckets * sizeof(struct tracked *));
    for (struct tracked *conv = tracker->born.first; conv; conv = conv->born.next) {
        struct tracked **bucket = &buckets[conv->hash & (n_buckets - 1)];
        conv->chain = *bucket;
        *bucket = conv;
    }
    free(tracker->buckets);
    tracker->buckets = buckets;
    tracker->n_buckets = n_buckets;
}

static void make_room(struct tracker *tracker)
{
    struct tracked *open = tracker->open.first, *ended = tracker->ended.first;
    struct tracked *oldest = !open || (ended && ended->shown.last_ns <= open->shown.last_ns) ? ended : open;

    table_forget(tracker, oldest);
    tracker->counts.n_made_room++;
}

struct tracked *table_add(struct tracker *tracker, uint8_t protocol, const struct sonde_address *a,
                          const struct sonde_address *b)
{
    size_t n_bytes = protocol == IPPROTO_TCP
                         ? sizeof(struct tracked)
                         : offsetof(struct tracked, datagrams) + sizeof(struct sent_datagrams[N_ENDS]);
    struct tracked *conv = track_allocate(tracker, NULL, n_bytes);
    if (!conv)
        return NULL;
    memset(conv, 0, n_bytes);
    if (tracker->n >= tracker->n_max)
        make_room(tracker);
    if (tracker->n >= tracker->n_buckets)
        grow(tracker);
    conv->shown.id = ++tracker->counts.n_conversations;
    conv->shown.protocol = protocol;
    conv->shown.closed_first = N_ENDS;
    conv->shown.reset_by = N_ENDS;
    conv->shown.first_ns = conv->shown.last_ns = tracker->now_ns;
    conv->shown.side[END_A].address = *a;
    conv->shown.side[END_B].address = *b;
    conv->shown.side[END_A].window_scale = conv->shown.side[END_B].window_scale = -1;
    conv->hash = hash_of(tracker, protocol, a, b);
    struct tracked **bucket = &tracker->buckets[conv->hash & (tracker->n_buckets - 1)];
    conv->chain = *bucket;
    *bucket = conv;
    LIST_APPEND(&tracker->born, conv, born);
    LIST_APPEND(&tracker->open, conv, used);
    tracker->n++;
    return conv;
}

static void free_flow(struct tracker *tracker, struct flow *flow)
{
    follow_drop(tracker, flow);
    free(flow->sent.range);
    free(flow->holes.hole);
}

void table_forget(struct tracker *tracker, struct tracked *conv)
{
    bool tcp = conv->shown.protocol == IPPROTO_TCP;
    if (tcp) {
        window_time(&conv->shown, tracker->now_ns);
        follow_flush(tracker, conv);
    }
    if (tracker->handler.forgotten)
        tracker->handler.forgotten(&conv->shown, tracker->now_ns, tracker->user);

    struct tracked **link = &tracker->buckets[conv->hash & (tracker->n_buckets - 1)];
    while (*link != conv)
        link = &(*link)->chain;
    *link = conv->chain;
    struct tracked_list *list = list_of(tracker, conv);
    LIST_REMOVE(list, conv, used);
    LIST_REMOVE(&tracker->born, conv, born);
    tracker->n--;
    if (tcp) {
        free_flow(tracker, &conv->flow[END_A]);
        free_flow(tracker, &conv->flow[END_B]);
    }
    free(conv);
}

void table_sweep(struct tracker *tracker)
{
    while (tracker->ended.first && tracker->now_ns - tracker->ended.first->shown.last_ns > FORGET_NS)
        table_forget(tracker, tracker->ended.first);
}
