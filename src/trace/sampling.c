/* SPDX-License-Identifier: MIT */
#include "trace/sampling.h"

#include "observe/event/event.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKETS_KEPT 16384 /* a power of two. The kernel gives cookies out one after the other, so few collide */
#define ADAPT_NS (500 * NS_PER_MS)
#define CALM_PERIODS 6 /* so often in a row N was too great, before it falls */
#define ASK_NS (50 * NS_PER_MS)

struct known_socket {
    _Atomic uint64_t cookie;
    _Atomic uint32_t key;
};

#define KEYS_OF_ONE 3

struct wanted {
    uint64_t looker; /* 0: this place is free */
    uint32_t key[KEYS_OF_ONE];
    unsigned n_keys;
};

struct sort {
    _Atomic uint64_t n_offered;
    _Atomic uint32_t one_in;
    uint64_t n_offered_before, per_s_max;
    unsigned n_calm;
};

struct sampling {
    struct sort sort[SAMPLING_N_SORTS];
    _Atomic uint64_t events_per_s;
    int64_t adapted_ns;

    _Atomic int64_t asked_ns; /* the period for questions began then */
    _Atomic uint32_t n_asked;

    pthread_mutex_t lock; /* of those who change what follows */
    struct wanted wanted[SAMPLING_WANTED_MAX];
    _Atomic unsigned generation, n_keys;
    _Atomic uint32_t key[KEYS_OF_ONE * SAMPLING_WANTED_MAX]; /* of all of them */

    struct known_socket socket[SOCKETS_KEPT];
};

struct sampling *sampling_new(void)
{
    struct sampling *sampling = calloc(1, sizeof *sampling);
    if (!sampling)
        return NULL;
    if (pthread_mutex_init(&sampling->lock, NULL) != 0) {
        free(sampling);
        return NULL;
    }
    sampling->sort[SAMPLING_COMMON].one_in = sampling->sort[SAMPLING_RARE].one_in = 1;
    sampling->sort[SAMPLING_COMMON].per_s_max = SAMPLING_EVENTS_PER_S;
    sampling->sort[SAMPLING_RARE].per_s_max = SAMPLING_RARE_PER_S;
    return sampling;
}

void sampling_free(struct sampling *sampling)
{
    if (!sampling)
        return;
    pthread_mutex_destroy(&sampling->lock);
    free(sampling);
}

/* ---- keys */

static uint32_t scatter(uint64_t value)
{
    return (uint32_t)(value * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* IPv4 through an IPv6 socket (RFC 4291, 2.5.5.2) is IPv4 on the wire. */
static uint64_t hash_end(const struct sonde_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint64_t low = 0, high = 0;
    if (address->family == AF_INET) {
        memcpy(&low, address->u.ip, 4);
    } else if (memcmp(address->u.ip, mapped, sizeof mapped) == 0) {
        memcpy(&low, address->u.ip + sizeof mapped, 4);
    } else {
        memcpy(&low, address->u.ip, sizeof low);
        memcpy(&high, address->u.ip + sizeof low, sizeof high);
    }
    return (low ^ high * 31) * UINT64_C(0xd6e8feb86659fd93) + address->port;
}

uint32_t sampling_key(const struct sonde_address *one, const struct sonde_address *other)
{
    return scatter(hash_end(one) + hash_end(other));
}

uint32_t sampling_key_of_peer(const struct sonde_address *peer)
{
    return scatter(hash_end(peer));
}

uint32_t sampling_key_of_socket(uint64_t cookie)
{
    return scatter(cookie);
}

/* ---- those that are looked at */

static struct wanted *wanted_by(struct sampling *sampling, uint64_t looker)
{
    for (unsigned i = 0; i < SAMPLING_WANTED_MAX; i++) {
        if (sampling->wanted[i].looker == looker)
            return &sampling->wanted[i];
    }
    return NULL;
}

/* Who reads meanwhile finds some keys that are wanted, or were a moment ago. */
static void publish(struct sampling *sampling)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SAMPLING_WANTED_MAX; i++) {
        const struct wanted *wanted = &sampling->wanted[i];
        for (unsigned k = 0; wanted->looker != 0 && k < wanted->n_keys; k++)
            sampling->key[n++] = wanted->key[k];
    }
    sampling->n_keys = n;
    sampling->generation++;
}

void sampling_want(struct sampling *sampling, uint64_t looker, uint64_t cookie, const struct sonde_address *local,
                   const struct sonde_address *peer)
{
    bool is_ip = peer->family == AF_INET || peer->family == AF_INET6;
    struct wanted made = {.looker = looker};
    if (cookie != 0)
        made.key[made.n_keys++] = sampling_key_of_socket(cookie);
    if (is_ip)
        made.key[made.n_keys++] = sampling_key_of_peer(peer);
    if (is_ip && local->family != 0)
        made.key[made.n_keys++] = sampling_key(local, peer);
    pthread_mutex_lock(&sampling->lock);
    struct wanted *wanted = wanted_by(sampling, 0);
    if (wanted) {
        *wanted = made;
        publish(sampling);
    }
    pthread_mutex_unlock(&sampling->lock);
}

void sampling_let_go(struct sampling *sampling, uint64_t looker)
{
    pthread_mutex_lock(&sampling->lock);
    struct wanted *wanted = wanted_by(sampling, looker);
    if (wanted) {
        wanted->looker = 0;
        publish(sampling);
    }
    pthread_mutex_unlock(&sampling->lock);
}

unsigned sampling_generation(const struct sampling *sampling)
{
    return sampling->generation;
}

bool sampling_is_wanted(const struct sampling *sampling, uint32_t key)
{
    unsigned n = atomic_load_explicit(&sampling->n_keys, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        if (atomic_load_explicit(&sampling->key[i], memory_order_relaxed) == key)
            return true;
    }
    return false;
}

/* ---- what is taken */

enum sampling_take sampling_offer(struct sampling *sampling, uint32_t key, enum sampling_sort sort)
{
    struct sort *of = &sampling->sort[sort];
    atomic_fetch_add_explicit(&of->n_offered, 1, memory_order_relaxed);
    if (sampling_is_wanted(sampling, key))
        return SAMPLING_WHOLE;
    uint32_t one_in = atomic_load_explicit(&of->one_in, memory_order_relaxed);
    return (key & (one_in - 1)) == 0 ? SAMPLING_TAKE : SAMPLING_LEAVE;
}

static struct known_socket *socket_place(const struct sampling *sampling, uint64_t cookie)
{
    return (struct known_socket *)&sampling->socket[cookie & (SOCKETS_KEPT - 1)];
}

/* The key is written before the cookie that makes it valid, and nobody may have the old cookie with the new key. */
void sampling_learn(struct sampling *sampling, uint64_t cookie, uint32_t key)
{
    struct known_socket *place = socket_place(sampling, cookie);
    pthread_mutex_lock(&sampling->lock);
    atomic_store(&place->cookie, 0);
    atomic_store(&place->key, key);
    atomic_store(&place->cookie, cookie);
    pthread_mutex_unlock(&sampling->lock);
}

uint32_t sampling_look_up(const struct sampling *sampling, uint64_t cookie)
{
    struct known_socket *place = socket_place(sampling, cookie);
    if (atomic_load(&place->cookie) != cookie)
        return sampling_key_of_socket(cookie);
    uint32_t key = atomic_load(&place->key);
    return atomic_load(&place->cookie) == cookie ? key : sampling_key_of_socket(cookie);
}

bool sampling_may_ask(struct sampling *sampling, int64_t now_ns)
{
    if (now_ns - atomic_load_explicit(&sampling->asked_ns, memory_order_relaxed) >= ASK_NS) {
        atomic_store_explicit(&sampling->asked_ns, now_ns, memory_order_relaxed);
        atomic_store_explicit(&sampling->n_asked, 0, memory_order_relaxed);
    }
    return atomic_fetch_add_explicit(&sampling->n_asked, 1, memory_order_relaxed) <
           SAMPLING_QUESTIONS_PER_S * ASK_NS / NS_PER_S;
}

/* ---- N */

static uint32_t fitting(uint64_t per_s, uint64_t per_s_max)
{
    uint32_t one_in = 1;
    while (one_in < SAMPLING_ONE_IN_MAX && per_s / one_in > per_s_max)
        one_in *= 2;
    return one_in;
}

/* Up at once; down one step at a time, and only if there is room to spare: what wavers does not make N waver. */
static uint64_t adapt(struct sort *sort, int64_t span_ns)
{
    uint64_t n_offered = atomic_load_explicit(&sort->n_offered, memory_order_relaxed);
    uint64_t per_s = (n_offered - sort->n_offered_before) * (uint64_t)NS_PER_S / (uint64_t)span_ns;
    uint32_t before = sort->one_in, fits = fitting(per_s, sort->per_s_max);
    sort->n_offered_before = n_offered;
    if (fits > before)
        sort->one_in = fits;
    bool is_calm = before > 1 && per_s / (before / 2) < sort->per_s_max * 3 / 4;
    sort->n_calm = is_calm ? sort->n_calm + 1 : 0;
    if (sort->n_calm == CALM_PERIODS) {
        sort->one_in = before / 2;
        sort->n_calm = 0;
    }
    return per_s;
}

void sampling_adapt(struct sampling *sampling, int64_t now_ns)
{
    int64_t span_ns = now_ns - sampling->adapted_ns;
    if (span_ns < ADAPT_NS)
        return;
    bool first = sampling->adapted_ns == 0;
    sampling->adapted_ns = now_ns;
    if (first)
        return;
    uint64_t per_s = adapt(&sampling->sort[SAMPLING_COMMON], span_ns);
    per_s += adapt(&sampling->sort[SAMPLING_RARE], span_ns);
    atomic_store_explicit(&sampling->events_per_s, per_s, memory_order_relaxed);
}

void sampling_state(const struct sampling *sampling, struct sampling_state *ret_state)
{
    uint32_t common = sampling->sort[SAMPLING_COMMON].one_in, rare = sampling->sort[SAMPLING_RARE].one_in;
    ret_state->one_in = common > rare ? common : rare;
    ret_state->events_per_s = sampling->events_per_s;
}
