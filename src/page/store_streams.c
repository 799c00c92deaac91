/* SPDX-License-Identifier: MIT */
/*
 * Streams of ours, and what is said on them.
 *
 * The tap is called for every piece of every stream, by loops that may carry gigabytes: so it takes the lock only for
 * what it keeps. Of what comes above the budget (all loops together, in each tenth of a second) only the lengths are
 * added up, without the lock; the row's pile is told of them when somebody looks. Rows that are looked at have a budget
 * of their own.
 */
#include "page/store_parts_internal.h"

#include <netinet/in.h>
#include <sonde/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TAP_PLACES 1024
#define STRETCH_NS (100 * NS_PER_MS)
#define STRETCH_BYTES (8u * 1024 * 1024 / 10)
#define STRETCH_MESSAGES 2000
#define ENDED_SEARCHED 64

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

bool tap_init(struct tap *tap, struct store *store, struct page_loop *loop)
{
    *tap = (struct tap){.store = store, .loop = loop};
    return store_hash_init(&tap->streams, TAP_PLACES);
}

static struct tap_stream *find(const struct tap *tap, const struct sonde_stream *stream)
{
    struct hash_link *link = store_hash_find(&tap->streams, sonde_stream_id(stream));
    return link ? HASH_OF(link, struct tap_stream, link) : NULL;
}

/* ---- what is known of a stream */

static bool is_datagram(const struct sonde_stream *stream)
{
    return sonde_stream_has_messages(stream) && !sonde_stream_has_end(stream);
}

/* 0: it has none of its own. */
static uint64_t cookie_of(const struct sonde_stream *stream)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    int fd = sonde_stream_fd(stream);
    if (fd < 0 || (is_datagram(stream) && sonde_stream_listener(stream)))
        return 0; /* one socket has many peers */
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == 0 ? cookie : 0;
}

static uint8_t protocol_of(const struct sonde_stream *stream, unsigned family)
{
    if (family == AF_VSOCK)
        return EVENT_PROTOCOL_VSOCK;
    if (family != AF_INET && family != AF_INET6)
        return 0;
    return is_datagram(stream) ? IPPROTO_UDP : IPPROTO_TCP;
}

static void describe(struct store *store, struct store_row *row, const struct sonde_stream *stream, const char *local,
                     const char *note)
{
    struct sonde_address here, there;
    sonde_stream_local(stream, &here);
    sonde_stream_peer(stream, &there);
    row->layers = (uint8_t)sonde_stream_layers(stream);
    row->has_messages = sonde_stream_has_messages(stream);
    row->protocol = protocol_of(stream, here.family != 0 ? here.family : there.family);
    row->type = (uint8_t)(is_datagram(stream)                                           ? SOCK_DGRAM
                          : row->protocol == 0 && row->has_messages && row->layers == 0 ? SOCK_SEQPACKET
                                                                                        : SOCK_STREAM);
    row->since_ns = sonde_stream_since_ns(stream);
    store_row_set_ends(store, row, &here, &there);
    if (row->family == 0)
        row->family = (uint8_t)there.family;
    if (local)
        store_keep_text(&row->local_name, local, strnlen(local, NAME_MAX_BYTES));
    if (note)
        store_keep_text(&row->note, note, strnlen(note, NAME_MAX_BYTES));
}

static void row_opened(struct tap *tap, struct tap_stream *known, const struct sonde_stream *stream, const char *local,
                       const char *note, unsigned can)
{
    struct store *store = tap->store;
    uint64_t cookie = cookie_of(stream);
    struct store_row *row = known->row ? known->row : store_row_of_cookie(store, cookie);
    if (!row)
        row = store_row_new(store, false);
    if (!row || (row->tap && row->tap != known))
        return;
    store_row_revive(store, row);
    known->row = row;
    row->tap = known;
    row->loop = tap->loop;
    row->stream = sonde_stream_id(stream);
    row->state = TCP_STATE_ESTABLISHED;
    row->can = can & store->can;
    if (!sonde_stream_has_end(stream))
        row->can &= ~ROW_CAN_HALF_CLOSE;
    describe(store, row, stream, local, note);
    if (row->cookie != cookie)
        store_row_set_cookie(store, row, cookie);
    atomic_store_explicit(&known->watched, row->n_watching > 0, memory_order_relaxed);
    store_trace_find_for(store, row);
    store->version++;
}

void tap_opened(struct tap *tap, struct sonde_stream *stream, const char *local, const char *note, unsigned can)
{
    struct tap_stream *known = find(tap, stream);
    bool is_new = !known;
    if (is_new && !(known = calloc(1, sizeof *known)))
        return;
    store_lock(tap->store);
    row_opened(tap, known, stream, local, note, can);
    bool has_row = known->row != NULL;
    store_unlock(tap->store);
    if (!is_new)
        return;
    if (has_row)
        store_hash_put(&tap->streams, &known->link, sonde_stream_id(stream));
    else
        free(known);
}

/* ---- its end */

void store_row_heard(struct store_row *row)
{
    struct tap_stream *known = row->tap;
    if (!known)
        return;
    row->tap_in = atomic_load_explicit(&known->n_in, memory_order_relaxed);
    row->tap_out = atomic_load_explicit(&known->n_out, memory_order_relaxed);
    uint64_t n = atomic_exchange_explicit(&known->n_passed, 0, memory_order_relaxed);
    if (n > 0)
        pile_pass(&row->messages, n, atomic_exchange_explicit(&known->n_bytes_passed, 0, memory_order_relaxed));
}

static void close_stream(struct tap *tap, struct tap_stream *known)
{
    struct store *store = tap->store;
    store_lock(store);
    struct store_row *row = known->row;
    if (row) {
        store_row_heard(row);
        row->tap = NULL;
        row->can = 0;
        if (!row->has_socket) { /* else the kernel tells what becomes of it */
            row->state = TCP_STATE_CLOSED;
            store_row_end(store, row);
        }
        store->version++;
    }
    store_unlock(store);
    store_hash_remove(&tap->streams, &known->link);
    free(known);
}

void tap_closed(struct tap *tap, struct sonde_stream *stream)
{
    struct tap_stream *known = find(tap, stream);
    if (known)
        close_stream(tap, known);
}

void tap_end(struct tap *tap)
{
    for (size_t i = 0; tap->streams.places && i < tap->streams.n_places; i++) {
        while (tap->streams.places[i])
            close_stream(tap, HASH_OF(tap->streams.places[i], struct tap_stream, link));
    }
    store_hash_free(&tap->streams);
}

void tap_can(struct tap *tap, const struct sonde_stream *stream, unsigned can)
{
    struct tap_stream *known = find(tap, stream);
    if (!known)
        return;
    store_lock(tap->store);
    if (known->row)
        known->row->can = can & tap->store->can;
    tap->store->version++;
    store_unlock(tap->store);
}

uint64_t tap_row(const struct tap *tap, const struct sonde_stream *stream)
{
    const struct tap_stream *known = find(tap, stream);
    if (!known)
        return 0;
    store_lock(tap->store);
    uint64_t id = known->row ? known->row->id : 0;
    store_unlock(tap->store);
    return id;
}

/* ---- what is said */

/* Only one thread writes it. */
static void add(atomic_uint_fast64_t *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Is there some of the budget left? Where two threads begin a stretch at once, one of them gives a little away. */
bool store_may_keep(struct store *store, int64_t now_ns, bool watched, uint64_t n_bytes)
{
    int_fast64_t now = now_ns / STRETCH_NS;
    int_fast64_t stretch = atomic_load_explicit(&store->stretch, memory_order_relaxed);
    if (now > stretch && atomic_compare_exchange_strong(&store->stretch, &stretch, now)) {
        atomic_store_explicit(&store->stretch_bytes, 0, memory_order_relaxed);
        atomic_store_explicit(&store->stretch_watched_bytes, 0, memory_order_relaxed);
        atomic_store_explicit(&store->stretch_messages, 0, memory_order_relaxed);
    }
    atomic_uint_fast64_t *bytes = watched ? &store->stretch_watched_bytes : &store->stretch_bytes;
    if (atomic_load_explicit(bytes, memory_order_relaxed) >= STRETCH_BYTES ||
        atomic_load_explicit(&store->stretch_messages, memory_order_relaxed) >= STRETCH_MESSAGES)
        return false;
    atomic_fetch_add_explicit(bytes, n_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->stretch_messages, 1, memory_order_relaxed);
    return true;
}

struct kept_message *store_copy_message(const struct sonde_lent *bytes, enum sonde_direction direction, int64_t t_ns)
{
    uint32_t n = bytes->n_bytes < PAGE_MESSAGE_MAX ? (uint32_t)bytes->n_bytes : PAGE_MESSAGE_MAX;
    struct kept_message *kept = malloc(sizeof *kept + n);
    if (!kept)
        return NULL;
    *kept = (struct kept_message){
        .t_ns = t_ns,
        .n_whole_bytes = bytes->n_whole_bytes,
        .direction = (uint8_t)direction,
        .is_text = bytes->flags & SONDE_TEXT,
        .is_message = bytes->flags & SONDE_MESSAGE,
        .is_cut = bytes->flags & SONDE_CUT,
        .n_bytes = n,
    };
    if (n > 0)
        memcpy(kept->data, bytes->data, n);
    return kept;
}

void store_said(struct store *store, struct pile *pile, struct kept_message *kept)
{
    static const struct pile_bounds bounds = {PAGE_ROW_MESSAGES_MAX, PAGE_ROW_BYTES_MAX};
    pile_put(pile, &kept->item, sizeof *kept + kept->n_bytes, kept->n_whole_bytes, &bounds);
    store->n_messages++;
    store->version++;
}

void tap_heard(struct sonde_stream *stream, enum sonde_direction direction, const struct sonde_lent *bytes, void *user)
{
    struct tap *tap = user;
    struct tap_stream *known = find(tap, stream);
    if (!known)
        return;
    uint64_t n_bytes = bytes->n_whole_bytes;
    add(direction == SONDE_IN ? &known->n_in : &known->n_out, n_bytes);
    struct kept_message *kept = NULL;
    int64_t now_ns = sonde_loop_now_ns(sonde_stream_loop(stream)); /* not asked for again: it may be one of thousands */
    if (store_may_keep(tap->store, now_ns, atomic_load_explicit(&known->watched, memory_order_relaxed), n_bytes))
        kept = store_copy_message(bytes, direction, store_now_ns());
    if (!kept) {
        atomic_fetch_add_explicit(&known->n_bytes_passed, n_bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&known->n_passed, 1, memory_order_relaxed);
        return;
    }
    store_lock(tap->store);
    if (known->row) {
        store_row_heard(known->row);
        kept->from_page = direction == SONDE_OUT && tap->from_page;
        store_said(tap->store, &known->row->messages, kept);
        kept = NULL;
    }
    store_unlock(tap->store);
    free(kept);
}

/* ---- for the kernel's look */

/* False: there are too many. */
static bool note_port(uint16_t port, uint16_t *ports, size_t *n, size_t n_max)
{
    if (port == 0)
        return true;
    for (size_t i = 0; i < *n; i++) {
        if (ports[i] == port)
            return true;
    }
    if (*n == n_max)
        return false;
    ports[(*n)++] = port;
    return true;
}

size_t store_stream_ports(struct store *store, uint16_t *ret_ports, size_t n_max)
{
    const struct store_row *row;
    size_t n = 0, n_left = ENDED_SEARCHED;
    bool fits = true;
    store_lock(store);
    for (size_t i = 0; i < store->n_listeners; i++)
        fits = fits && note_port(store->listeners[i].local.port, ret_ports, &n, n_max);
    TAILQ_FOREACH(row, &store->living, link)
    {
        fits = fits && (row->stream == 0 || note_port(row->local.port, ret_ports, &n, n_max));
    }
    /* The kernel may still have those that were closed just now. */
    TAILQ_FOREACH_REVERSE(row, &store->ended, row_list, link)
    {
        if (n_left-- == 0)
            break;
        fits = fits && (row->stream == 0 || row->cookie == 0 || note_port(row->local.port, ret_ports, &n, n_max));
    }
    store_unlock(store);
    return fits ? n : n_max + 1;
}
