/* SPDX-License-Identifier: MIT */
/*
 * A hash of things that have a link in them, by a number. Several things may have one number. Pure.
 *
 *   struct hash_link *link = store_hash_find(&hash, key);
 *   for (; link; link = store_hash_next(link)) ... HASH_OF(link, struct thing, by_key)
 */
#ifndef PAGE_STORE_HASH_H
#define PAGE_STORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_link {
    struct hash_link *after, **place; /* place NULL: it is in no hash */
    uint64_t key;
};

struct hash {
    struct hash_link **places;
    size_t n_places, n_links;
};

#define HASH_OF(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

/* n_places: a power of two; it does not grow. False: no memory. */
bool store_hash_init(struct hash *hash, size_t n_places);
void store_hash_free(struct hash *hash); /* what is in it is the caller's */

void store_hash_put(struct hash *hash, struct hash_link *link, uint64_t key); /* newest first */
void store_hash_remove(struct hash *hash, struct hash_link *link);            /* nothing where it is in none */
struct hash_link *store_hash_find(const struct hash *hash, uint64_t key);
struct hash_link *store_hash_next(const struct hash_link *link); /* another one of the same number */

#endif
