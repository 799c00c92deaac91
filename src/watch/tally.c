/* SPDX-License-Identifier: MIT */
#include "watch/tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PLACES 64

static uint64_t hash_of(const struct sonde_address *address)
{
    uint64_t low, high;
    memcpy(&low, address->u.ip, sizeof low);
    memcpy(&high, address->u.ip + 8, sizeof high);
    uint64_t hash = (low ^ (uint64_t)address->port << 32) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ high ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

static bool is_same(const struct sonde_address *a, const struct sonde_address *b)
{
    return a->port == b->port && a->family == b->family && memcmp(a->u.ip, b->u.ip, sizeof a->u.ip) == 0;
}

/* The place where it stands, or where it would. */
static struct tally_entry *find(const struct tally *tally, const struct sonde_address *address)
{
    size_t at = hash_of(address) & (tally->n_places - 1);
    while (tally->entries[at].count > 0 && !is_same(&tally->entries[at].address, address))
        at = (at + 1) & (tally->n_places - 1);
    return &tally->entries[at];
}

static bool grow(struct tally *tally)
{
    struct tally larger = {.n_places = tally->n_places ? 2 * tally->n_places : FIRST_PLACES,
                           .n_entries = tally->n_entries,
                           .n_refused = tally->n_refused};
    if (larger.n_places > 2 * TALLY_MAX)
        return false;
    larger.entries = calloc(larger.n_places, sizeof *larger.entries);
    if (!larger.entries)
        return false;
    for (size_t i = 0; i < tally->n_places; i++) {
        if (tally->entries[i].count > 0)
            *find(&larger, &tally->entries[i].address) = tally->entries[i];
    }
    free(tally->entries);
    *tally = larger;
    return true;
}

void tally_free(struct tally *tally)
{
    free(tally->entries);
    *tally = (struct tally){.entries = NULL};
}

void tally_clear(struct tally *tally)
{
    if (tally->n_entries > 0)
        memset(tally->entries, 0, tally->n_places * sizeof *tally->entries);
    tally->n_entries = 0;
    tally->n_refused = 0;
}

uint32_t tally_add(struct tally *tally, const struct sonde_address *address)
{
    if (2 * tally->n_entries >= tally->n_places && !grow(tally)) {
        tally->n_refused++;
        return 0;
    }
    struct tally_entry *entry = find(tally, address);
    if (entry->count == 0) {
        entry->address = *address;
        tally->n_entries++;
    }
    return ++entry->count;
}

uint32_t tally_count(const struct tally *tally, const struct sonde_address *address)
{
    return tally->n_entries > 0 ? find(tally, address)->count : 0;
}
