/* SPDX-License-Identifier: MIT */
/*
 * A hash table with chains. There is an entry for each peer that has a connection, so never more than there are
 * connections. The hash is keyed by chance: who chooses addresses (with a PROXY protocol header anybody may) must not
 * choose chains.
 */
#include "cli/serve/peers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum { FIRST_CHAINS = 64 }; /* a power of two, as all later numbers */

struct key {
    uint64_t kind, id;
};

struct peer {
    struct peer *next;
    struct key key;
    long long n;
};

struct peers {
    pthread_mutex_t lock;
    long long n_max;
    uint64_t secret[2];
    struct peer **chains;
    size_t n_chains, n_peers;
};

static struct key key_of(const struct sonde_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip = address->u.ip;
    struct key key = {.kind = address->family};
    uint32_t ipv4;

    if (address->family == AF_UNIX) {
        key.id = address->u.peer.uid;
        return key;
    }
    if (address->family == AF_INET6 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
        key.kind = AF_INET;
        ip += sizeof(mapped);
    }
    if (key.kind == AF_INET) {
        memcpy(&ipv4, ip, sizeof(ipv4));
        key.id = ipv4;
    } else if (key.kind == AF_INET6) {
        memcpy(&key.id, ip, sizeof(key.id));
        key.kind |= (uint64_t)address->scope << 32; /* link-local networks all have one number */
    }
    return key;
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

static struct peer **chain_of(const struct peers *peers, const struct key *key)
{
    uint64_t hash = mix(mix(key->id ^ peers->secret[0]) ^ key->kind ^ peers->secret[1]);

    return &peers->chains[hash & (peers->n_chains - 1)];
}

/* The link that points at this peer, or at the end of its chain. */
static struct peer **find(const struct peers *peers, const struct key *key)
{
    struct peer **link = chain_of(peers, key);

    while (*link != NULL && ((*link)->key.kind != key->kind || (*link)->key.id != key->id))
        link = &(*link)->next;
    return link;
}

/* Twice as many chains. Without memory for them the old ones grow longer: slower, and right. */
static void spread(struct peers *peers)
{
    size_t n_before = peers->n_chains;
    struct peer **before = peers->chains, **chains = calloc(2 * n_before, sizeof(struct peer *));

    if (chains == NULL)
        return;
    peers->chains = chains;
    peers->n_chains = 2 * n_before;
    for (size_t i = 0; i < n_before; i++) {
        while (before[i] != NULL) {
            struct peer *peer = before[i], **chain = chain_of(peers, &peer->key);
            before[i] = peer->next;
            peer->next = *chain;
            *chain = peer;
        }
    }
    free(before);
}

int peers_new(long long n_max, struct peers **ret_peers)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    struct peer **chains = calloc(FIRST_CHAINS, sizeof(struct peer *));

    if (peers == NULL || chains == NULL) {
        free(peers);
        free(chains);
        return -ENOMEM;
    }
    *peers = (struct peers){.n_max = n_max, .chains = chains, .n_chains = FIRST_CHAINS};
    pthread_mutex_init(&peers->lock, NULL);
    if (getrandom(peers->secret, sizeof(peers->secret), GRND_NONBLOCK) != sizeof(peers->secret)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        peers->secret[0] = (uint64_t)now.tv_nsec;
        peers->secret[1] = (uintptr_t)peers;
    }
    *ret_peers = peers;
    return 0;
}

void peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    for (size_t i = 0; i < peers->n_chains; i++) {
        while (peers->chains[i] != NULL) {
            struct peer *peer = peers->chains[i];
            peers->chains[i] = peer->next;
            free(peer);
        }
    }
    free(peers->chains);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

static int enter(struct peers *peers, const struct key *key)
{
    struct peer **link = find(peers, key), *peer = *link;

    if (peer != NULL && peer->n >= peers->n_max)
        return -EUSERS;
    if (peer == NULL) {
        peer = malloc(sizeof(*peer));
        if (peer == NULL)
            return -ENOMEM;
        *peer = (struct peer){.key = *key};
        *link = peer;
        if (++peers->n_peers > peers->n_chains)
            spread(peers);
    }
    peer->n++;
    return 0;
}

int peers_enter(struct peers *peers, const struct sonde_address *address)
{
    struct key key = key_of(address);

    pthread_mutex_lock(&peers->lock);
    int error = enter(peers, &key);
    pthread_mutex_unlock(&peers->lock);
    return error;
}

void peers_leave(struct peers *peers, const struct sonde_address *address)
{
    struct key key = key_of(address);

    pthread_mutex_lock(&peers->lock);
    struct peer **link = find(peers, &key), *peer = *link;
    if (peer != NULL && --peer->n == 0) {
        *link = peer->next;
        free(peer);
        peers->n_peers--;
    }
    pthread_mutex_unlock(&peers->lock);
}

size_t peers_count(struct peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    size_t n = peers->n_peers;
    pthread_mutex_unlock(&peers->lock);
    return n;
}
