/* SPDX-License-Identifier: MIT */
/*
 * Packets wait in the order of the file. One that left is found again, when it arrives, by its bytes, the earliest of
 * those that are alike: nothing changes them on a wire. The first may go on when its course is known; and if it was
 * made twice, when the copy is there, which is told behind its original.
 *
 * Until one has arrived nothing is given: that both ends are there is not known before.
 */
#include "trace/ends.h"

#include "trace/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096
#define WHY_NEVER "never arrived: "
#define WHY_COPY "a copy, made on the wire"
#define WHY_TWICE "made twice on the wire"
#define WHY_BIT "a bit was changed on the wire"
#define WHY_OWN "sent by the wire itself"
#define WHY_HELD "held back on the wire"

struct item {
    struct item *next;       /* in the order of the file */
    struct item *chain;      /* those that left, in their bucket, later ones behind */
    struct item *copy;       /* of one that left: the one that was made of it, which waits too */
    struct packet packet;    /* its bytes and comment are behind it */
    struct wire_packet wire; /* as the tap had told of it */
    const char *why;         /* within the comment */
    int64_t t_ns;
    uint64_t hash;
    size_t n_bytes;
    bool left, known, given;
    uint8_t bytes[];
};

struct bucket {
    struct item *first, **last;
};

enum mode { UNDECIDED, ONE_PLACE, BOTH_ENDS };

struct ends {
    void (*give)(const struct ends_packet *packet, void *user);
    void *user;
    enum mode mode;
    struct item *first, **last;
    struct bucket bucket[BUCKETS];
    size_t n, n_unknown, n_bytes;
    int64_t now_ns;
};

/* ---- what a packet's comment says */

static const char *find(const char *comment, const char *words)
{
    return comment ? strstr(comment, words) : NULL;
}

static uint8_t reason_of(const char *name)
{
    for (unsigned reason = WIRE_PASSED + 1; reason < N_WIRE_REASONS; reason++) {
        if (strcmp(name, wire_reason_name((enum wire_reason)reason)) == 0)
            return (uint8_t)reason;
    }
    return WIRE_PASSED;
}

static void read_comment(struct item *item)
{
    static const char *const words[] = {WHY_NEVER, WHY_COPY, WHY_TWICE, WHY_BIT, WHY_OWN, WHY_HELD};
    const char *comment = item->packet.comment, *never = find(comment, WHY_NEVER);
    for (size_t i = 0; i < sizeof words / sizeof *words && !item->why; i++)
        item->why = find(comment, words[i]);
    if (never)
        item->wire.reason = reason_of(never + strlen(WHY_NEVER));
    item->known = never;
    item->wire.copy = find(comment, WHY_COPY);
    item->wire.twice = find(comment, WHY_TWICE);
    item->wire.own = find(comment, WHY_OWN);
    item->wire.corrupted = find(comment, WHY_BIT);
}

/* ---- by their bytes */

/* FNV-1a, eight bytes at once; the table is small, and what is found is compared. */
static uint64_t hash_of(const struct packet *packet)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ packet->n_captured, word;
    uint32_t at = 0;
    for (; at + 8 <= packet->n_captured; at += 8) {
        memcpy(&word, packet->data + at, sizeof word);
        hash = (hash ^ word) * UINT64_C(1099511628211);
        hash ^= hash >> 29;
    }
    for (; at < packet->n_captured; at++)
        hash = (hash ^ packet->data[at]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static void chain_add(struct ends *ends, struct item *item)
{
    struct bucket *bucket = &ends->bucket[item->hash % BUCKETS];
    *(bucket->first ? bucket->last : &bucket->first) = item;
    bucket->last = &item->chain;
}

/* They go in the order in which they came: it is the first. */
static void chain_remove_first(struct ends *ends, const struct item *item)
{
    ends->bucket[item->hash % BUCKETS].first = item->chain;
}

static bool is_same(const struct item *left, const struct packet *packet)
{
    return left->packet.interface != packet->interface && left->packet.n_wire == packet->n_wire &&
           left->packet.n_captured == packet->n_captured &&
           memcmp(left->packet.data, packet->data, packet->n_captured) == 0;
}

static bool awaits_copy(const struct item *item)
{
    return item->wire.twice && !item->copy;
}

/* copy: its original may have arrived, too, or never. */
static struct item *original_of(const struct ends *ends, const struct packet *packet, uint64_t hash, bool copy)
{
    for (struct item *item = ends->bucket[hash % BUCKETS].first; item; item = item->chain) {
        if (item->hash == hash && (copy ? awaits_copy(item) : !item->known) && is_same(item, packet))
            return item;
    }
    return NULL;
}

static bool arrives(struct ends *ends, int64_t t_ns, const struct packet *packet, uint64_t hash)
{
    struct item *original = original_of(ends, packet, hash, false);
    if (!original)
        return false;
    original->known = true;
    original->wire.arrived_ns = t_ns;
    ends->n_unknown--;
    if (ends->mode == UNDECIDED)
        ends->mode = BOTH_ENDS;
    return true;
}

/* ---- given back */

static void give(const struct ends *ends, enum ends_kind kind, const struct item *item, const struct packet *packet,
                 int64_t t_ns)
{
    struct ends_packet given = {.kind = kind, .packet = packet, .t_ns = t_ns, .why = item->why};
    if (kind == ENDS_LEFT || kind == ENDS_COPY)
        given.course = tap_course(&item->wire);
    ends->give(&given, ends->user);
}

static void give_copy(const struct ends *ends, const struct item *original)
{
    struct item *copy = original->copy;
    if (!copy)
        return;
    struct packet packet = copy->packet;
    packet.number = original->packet.number;
    copy->given = true;
    give(ends, ENDS_COPY, copy, &packet, original->t_ns);
}

static void give_first(struct ends *ends)
{
    struct item *item = ends->first;
    ends->first = item->next;
    if (!ends->first)
        ends->last = &ends->first;
    ends->n--;
    ends->n_bytes -= item->n_bytes;
    if (item->left)
        chain_remove_first(ends, item);
    if (!item->known)
        ends->n_unknown--;
    /* What left nobody, and a copy of what was not waited for, is told when it arrives. */
    bool own = item->wire.own || item->wire.copy;
    enum ends_kind kind = ends->mode != BOTH_ENDS               ? ENDS_ALONE
                          : item->left || (own && !item->given) ? ENDS_LEFT
                                                                : ENDS_ARRIVED;
    give(ends, kind, item, &item->packet, item->t_ns);
    if (kind == ENDS_LEFT && item->left)
        give_copy(ends, item);
    free(item);
}

static void give_known(struct ends *ends)
{
    for (const struct item *first; ends->mode != UNDECIDED && (first = ends->first); give_first(ends)) {
        if (ends->mode == BOTH_ENDS && first->left && (!first->known || awaits_copy(first)))
            return;
    }
}

/* The first has waited too long, or too much waits. */
static void give_up(struct ends *ends)
{
    struct item *first = ends->first;
    if (ends->mode == UNDECIDED)
        ends->mode = ONE_PLACE;
    bool late = ends->now_ns - first->t_ns > ENDS_WAIT_NS;
    if (!first->known && !late)
        first->wire.arrived_ns = ends->now_ns;
    give_first(ends);
}

static void give_what_may_go(struct ends *ends)
{
    give_known(ends);
    while (ends->first && (ends->n > ENDS_PACKETS_MAX || ends->n_bytes > ENDS_BYTES_MAX ||
                           ends->now_ns - ends->first->t_ns > ENDS_WAIT_NS)) {
        give_up(ends);
        give_known(ends);
    }
}

/* ---- taken */

static struct item *item_new(int64_t t_ns, const struct packet *packet)
{
    size_t n_comment = packet->comment ? strlen(packet->comment) + 1 : 0;
    size_t n_bytes = sizeof(struct item) + packet->n_captured + n_comment;
    struct item *item = malloc(n_bytes);
    if (!item)
        return NULL;
    *item = (struct item){.packet = *packet, .t_ns = t_ns, .n_bytes = n_bytes};
    memcpy(item->bytes, packet->data, packet->n_captured);
    item->packet.data = item->bytes;
    if (n_comment > 0) {
        memcpy(item->bytes + packet->n_captured, packet->comment, n_comment);
        item->packet.comment = (const char *)item->bytes + packet->n_captured;
    }
    read_comment(item);
    return item;
}

static void take_arrival(struct ends *ends, struct item *item)
{
    item->known = true;
    item->wire.arrived_ns = item->t_ns;
    if (item->wire.own)
        return;
    if (!item->wire.copy) {
        arrives(ends, item->t_ns, &item->packet, item->hash);
        return;
    }
    struct item *original = original_of(ends, &item->packet, item->hash, true);
    if (original)
        original->copy = item;
}

int ends_put(struct ends *ends, int64_t t_ns, const struct packet *packet)
{
    struct item *item = item_new(t_ns, packet);
    if (!item)
        return -ENOMEM;
    ends->now_ns = t_ns;
    item->hash = hash_of(packet);
    item->left = packet->direction == PACKET_OUT && !item->wire.own && !item->wire.copy;
    if (item->left) {
        chain_add(ends, item);
        ends->n_unknown += !item->known;
    } else {
        take_arrival(ends, item);
    }
    *ends->last = item;
    ends->last = &item->next;
    ends->n++;
    ends->n_bytes += item->n_bytes;
    give_what_may_go(ends);
    return 0;
}

void ends_look(struct ends *ends, int64_t t_ns, const struct packet *packet)
{
    bool told = find(packet->comment, WHY_COPY) || find(packet->comment, WHY_OWN);
    ends->now_ns = t_ns;
    if (packet->direction != PACKET_OUT && !told)
        arrives(ends, t_ns, packet, hash_of(packet));
    give_what_may_go(ends);
}

bool ends_wait(const struct ends *ends)
{
    return ends->n_unknown > 0;
}

void ends_finish(struct ends *ends)
{
    if (ends->mode == UNDECIDED)
        ends->mode = ONE_PLACE;
    while (ends->first)
        give_first(ends);
}

struct ends *ends_new(void (*give_to)(const struct ends_packet *packet, void *user), void *user)
{
    struct ends *ends = calloc(1, sizeof *ends);
    if (!ends)
        return NULL;
    ends->give = give_to;
    ends->user = user;
    ends->last = &ends->first;
    return ends;
}

void ends_free(struct ends *ends)
{
    if (!ends)
        return;
    while (ends->first) {
        struct item *item = ends->first;
        ends->first = item->next;
        free(item);
    }
    free(ends);
}
