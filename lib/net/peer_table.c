/* SPDX-License-Identifier: MIT */
#include "net/peer_table.h"

#include "loop/io.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 16 };

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold, eight bytes at a time, each with the seed in it. */
static uint64_t hash_of(const struct peer_table *table, const struct peer_key *key)
{
    uint64_t hash = table->seed ^ key->n_hashed;

    for (unsigned i = 0; i < key->n_hashed; i += 8) {
        uint64_t word = 0;
        memcpy(&word, key->bytes + i, key->n_hashed - i < 8u ? key->n_hashed - i : 8u);
        hash = mix(hash ^ word ^ UINT64_C(0x9e3779b97f4a7c15), table->seed ^ UINT64_C(0xd6e8feb86659fd93));
    }
    return mix(hash, table->seed | 1);
}

static struct peer_node **bucket_of(const struct peer_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

int peer_table_create(struct peer_table *table, struct sonde_loop *loop)
{
    struct peer_node **buckets = loop_alloc(loop, FIRST_BUCKETS * sizeof(struct peer_node *));

    if (buckets == NULL)
        return -ENOMEM;
    memset(buckets, 0, FIRST_BUCKETS * sizeof(struct peer_node *));
    *table = (struct peer_table){.loop = loop, .buckets = buckets, .n_buckets = FIRST_BUCKETS};
    if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) != sizeof table->seed)
        table->seed = (uint64_t)clock_monotonic_ns() ^ (uint64_t)(uintptr_t)table;
    return 0;
}

void peer_table_free(struct peer_table *table)
{
    loop_free(table->loop, table->buckets, table->n_buckets * sizeof(struct peer_node *));
    *table = (struct peer_table){.loop = table->loop};
}

static bool is_same(const struct peer_key *a, const struct peer_key *b)
{
    return a->n_bytes == b->n_bytes && a->n_hashed == b->n_hashed && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

static bool is_like(const struct peer_key *a, const struct peer_key *b)
{
    return a->n_hashed == b->n_hashed && memcmp(a->bytes, b->bytes, a->n_hashed) == 0;
}

struct peer_node *peer_table_find(const struct peer_table *table, const struct peer_key *key)
{
    uint64_t hash = hash_of(table, key);

    for (struct peer_node *node = *bucket_of(table, hash); node != NULL; node = node->next)
        if (node->hash == hash && is_same(&node->key, key))
            return node;
    return NULL;
}

struct peer_node *peer_table_next_like(const struct peer_table *table, const struct peer_node *node,
                                       const struct peer_key *key)
{
    struct peer_node *next = node != NULL ? node->next : *bucket_of(table, hash_of(table, key));

    while (next != NULL && !is_like(&next->key, key))
        next = next->next;
    return next;
}

static void grow(struct peer_table *table)
{
    unsigned n_buckets = table->n_buckets * 2;
    struct peer_node **old = table->buckets,
                     **buckets = loop_alloc(table->loop, n_buckets * sizeof(struct peer_node *));
    unsigned n_old = table->n_buckets;

    if (buckets == NULL)
        return;
    memset(buckets, 0, n_buckets * sizeof(struct peer_node *));
    table->buckets = buckets;
    table->n_buckets = n_buckets;
    for (unsigned i = 0; i < n_old; i++)
        for (struct peer_node *node = old[i], *next; node != NULL; node = next) {
            struct peer_node **bucket = bucket_of(table, node->hash);
            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    loop_free(table->loop, old, n_old * sizeof(struct peer_node *));
}

void peer_table_add(struct peer_table *table, struct peer_node *node)
{
    if (table->n >= table->n_buckets)
        grow(table);
    node->hash = hash_of(table, &node->key);
    struct peer_node **bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
    table->n++;
}

void peer_table_remove(struct peer_table *table, struct peer_node *node)
{
    struct peer_node **link = bucket_of(table, node->hash);

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    node->next = NULL;
    table->n--;
}
