/* SPDX-License-Identifier: MIT */
/*
 * Peers of a datagram socket, found by their address.
 *
 * A hash table with chains, keyed with a random number, so that nobody can choose addresses that share a chain. The
 * nodes are the caller's. Only the first bytes of a key are hashed, who the peer is; the rest, the address of ours that
 * it speaks to, is compared too, but can be left out in a search.
 */
#ifndef NET_PEER_TABLE_H
#define NET_PEER_TABLE_H

#include <sonde/loop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_KEY_BYTES = 110 }; /* a UNIX name, and what kind of key it is */

struct peer_key {
    uint8_t n_bytes, n_hashed;
    uint8_t bytes[PEER_KEY_BYTES];
};

struct peer_node {
    struct peer_node *next;
    uint64_t hash;
    struct peer_key key;
};

struct peer_table {
    struct sonde_loop *loop;
    struct peer_node **buckets;
    unsigned n_buckets; /* a power of two */
    unsigned n;
    uint64_t seed;
};

/* 0 or -ENOMEM. */
int peer_table_create(struct peer_table *table, struct sonde_loop *loop);
void peer_table_free(struct peer_table *table);

/* NULL: it is not there. */
struct peer_node *peer_table_find(const struct peer_table *table, const struct peer_key *key);

/* The next one after `node` (NULL: the first) of which only the hashed bytes are those of the key. */
struct peer_node *peer_table_next_like(const struct peer_table *table, const struct peer_node *node,
                                       const struct peer_key *key);

/* node->key is set, and not there yet. Can't fail: without memory to grow the chains are longer. */
void peer_table_add(struct peer_table *table, struct peer_node *node);
void peer_table_remove(struct peer_table *table, struct peer_node *node);

#endif
