/* SPDX-License-Identifier: MIT */
#include "page/store_hash.h"

#include <stdlib.h>

static struct hash_link **place_of(const struct hash *hash, uint64_t key)
{
    return &hash->places[(key * 0x9e3779b97f4a7c15u >> 32) & (hash->n_places - 1)];
}

bool store_hash_init(struct hash *hash, size_t n_places)
{
    *hash = (struct hash){.places = calloc(n_places, sizeof *hash->places), .n_places = n_places};
    return hash->places != NULL;
}

void store_hash_free(struct hash *hash)
{
    free(hash->places);
    *hash = (struct hash){.places = NULL};
}

void store_hash_put(struct hash *hash, struct hash_link *link, uint64_t key)
{
    struct hash_link **place = place_of(hash, key);
    *link = (struct hash_link){.after = *place, .place = place, .key = key};
    if (link->after)
        link->after->place = &link->after;
    *place = link;
    hash->n_links++;
}

void store_hash_remove(struct hash *hash, struct hash_link *link)
{
    if (!link->place)
        return;
    *link->place = link->after;
    if (link->after)
        link->after->place = link->place;
    link->place = NULL;
    hash->n_links--;
}

static struct hash_link *from(struct hash_link *link, uint64_t key)
{
    while (link && link->key != key)
        link = link->after;
    return link;
}

struct hash_link *store_hash_find(const struct hash *hash, uint64_t key)
{
    return from(*place_of(hash, key), key);
}

struct hash_link *store_hash_next(const struct hash_link *link)
{
    return from(link->after, link->key);
}
