/* SPDX-License-Identifier: MIT */
/*
 * Rows: made, found, ended, forgotten. A row that lives is never thrown away for another one, but for those that only a
 * trace tells of: of these the quietest goes. When there is no room, the new one is not made, and that is counted.
 */
#include "page/store_parts_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HASH_PLACES 8192

int64_t store_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void free_plain(struct item *item)
{
    free(item);
}

static unsigned can_of(const struct page_settings *settings)
{
    unsigned can = 0;
    if (settings->read_only)
        return 0;
    if (settings->rights & PAGE_SEND)
        can |= ROW_CAN_SEND | ROW_CAN_HALF_CLOSE;
    if (settings->rights & PAGE_KICK)
        can |= ROW_CAN_KICK;
    return can;
}

static bool init_hashes(struct store *store)
{
    struct hash *const hashes[] = {&store->rows, &store->cookies, &store->ends, &store->traces, &store->trace_ends};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        if (!store_hash_init(hashes[i], HASH_PLACES))
            return false;
    }
    return true;
}

static void free_hashes(struct store *store)
{
    store_hash_free(&store->rows);
    store_hash_free(&store->cookies);
    store_hash_free(&store->ends);
    store_hash_free(&store->traces);
    store_hash_free(&store->trace_ends);
}

struct store *store_new(const struct page_settings *settings)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->mode = settings->rows;
    store->can = can_of(settings);
    store->version = 1;
    TAILQ_INIT(&store->living);
    TAILQ_INIT(&store->ended);
    TAILQ_INIT(&store->waiting);
    TAILQ_INIT(&store->joined);
    store->events =
        (struct shelf){.n_items_max = PAGE_EVENTS_MAX, .n_bytes_max = UINT64_MAX, .free_item = store_free_event};
    store->messages = (struct shelf){.n_items_max = SIZE_MAX, .n_bytes_max = PAGE_BYTES_MAX, .free_item = free_plain};
    store->packets =
        (struct shelf){.n_items_max = SIZE_MAX, .n_bytes_max = PAGE_PACKETS_BYTES_MAX, .free_item = free_plain};
    store->rate_ns = store_now_ns();
    store->listeners = calloc(LISTENERS_MAX, sizeof *store->listeners);
    store->sampling = sampling_new();
    if (!store->listeners || !store->sampling || !init_hashes(store) || pthread_mutex_init(&store->lock, NULL) != 0) {
        free_hashes(store);
        sampling_free(store->sampling);
        free(store->listeners);
        free(store);
        return NULL;
    }
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    store_traces_free(store);
    struct store_row *row;
    while ((row = TAILQ_FIRST(&store->living)) || (row = TAILQ_FIRST(&store->ended)))
        store_row_forget(store, row);
    store_listeners_free(store);
    free_hashes(store);
    sampling_free(store->sampling);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

struct sampling *store_sampling(const struct store *store)
{
    return store->sampling;
}

uint64_t store_version(struct store *store)
{
    store_lock(store);
    uint64_t version = store->version;
    store_unlock(store);
    return version;
}

/* ---- small things */

void store_keep_text(char **text, const char *bytes, size_t n_bytes)
{
    if (*text && bytes && strlen(*text) == n_bytes && memcmp(*text, bytes, n_bytes) == 0)
        return;
    free(*text);
    *text = bytes && n_bytes > 0 ? strndup(bytes, n_bytes) : NULL;
}

void store_figures_clear(struct figures *figures)
{
    *figures = (struct figures){NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN};
}

static bool is_mapped(const struct sonde_address *address)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return address->family == AF_INET6 && memcmp(address->u.ip, prefix, sizeof prefix) == 0;
}

/* The four bytes of IPv4, also where it is written as ::ffff:a.b.c.d, or the sixteen of IPv6. */
static const uint8_t *ip_of(const struct sonde_address *address, size_t *ret_n)
{
    bool mapped = is_mapped(address);
    *ret_n = address->family == AF_INET6 && !mapped ? 16 : 4;
    return mapped ? address->u.ip + 12 : address->u.ip;
}

bool store_same_end(const struct sonde_address *one, const struct sonde_address *other)
{
    size_t n, n_other;
    const uint8_t *ip = ip_of(one, &n), *other_ip = ip_of(other, &n_other);
    return one->port == other->port && n == n_other && memcmp(ip, other_ip, n) == 0;
}

static uint64_t hash_of_end(const struct sonde_address *address)
{
    size_t n;
    const uint8_t *ip = ip_of(address, &n);
    uint64_t hash = 0xcbf29ce484222325u ^ address->port;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ip[i]) * 0x100000001b3u;
    return hash * 0x9e3779b97f4a7c15u;
}

/* The same whichever end is named first. */
uint64_t store_hash_of_ends(uint8_t protocol, const struct sonde_address *one, const struct sonde_address *other)
{
    return (hash_of_end(one) + hash_of_end(other)) ^ protocol;
}

/* ---- rows */

/* Sockets in TIME_WAIT stand at the head. */
static struct store_row *first_lingering(const struct store *store)
{
    struct store_row *row;
    TAILQ_FOREACH(row, &store->living, link)
    {
        if (row->state != TCP_STATE_TIME_WAIT)
            break;
        if (!row->tap && row->n_watching == 0)
            return row;
    }
    return NULL;
}

static struct store_row *whoever_goes(const struct store *store, bool lingers)
{
    struct store_row *row = TAILQ_FIRST(&store->ended);
    if (!row && !lingers)
        row = first_lingering(store);
    if (row)
        return row;
    row = TAILQ_FIRST(&store->living);
    return row && !row->has_socket && !row->tap ? row : NULL;
}

static bool make_room(struct store *store, bool lingers)
{
    if (store->n_rows < PAGE_ROWS_MAX)
        return true;
    struct store_row *row = whoever_goes(store, lingers);
    if (row)
        store_row_forget(store, row);
    return row;
}

struct store_row *store_row_new(struct store *store, bool lingers)
{
    struct store_row *row = make_room(store, lingers) ? calloc(1, sizeof *row) : NULL;
    if (!row) {
        store->n_rows_dropped++;
        return NULL;
    }
    row->id = ++store->last_id;
    row->messages.shelf = &store->messages;
    store_figures_clear(&row->figures);
    row->in_per_s = row->out_per_s = NOT_KNOWN;
    row->rate_in = row->rate_out = NOT_KNOWN;
    store_hash_put(&store->rows, &row->by_id, row->id);
    TAILQ_INSERT_TAIL(&store->living, row, link);
    store->n_rows++;
    store->version++;
    return row;
}

void store_row_set_state(struct store *store, struct store_row *row, enum tcp_state state)
{
    bool lingers = state == TCP_STATE_TIME_WAIT, lingered = row->state == TCP_STATE_TIME_WAIT;
    row->state = (uint8_t)state;
    if (row->is_ended || lingers == lingered)
        return;
    TAILQ_REMOVE(&store->living, row, link);
    if (lingers)
        TAILQ_INSERT_HEAD(&store->living, row, link);
    else
        TAILQ_INSERT_TAIL(&store->living, row, link);
}

void store_row_end(struct store *store, struct store_row *row)
{
    if (row->is_ended)
        return;
    row->is_ended = true;
    row->has_socket = false;
    row->weight = VERDICT_NONE;
    row->timer = TIMER_NONE;
    row->can = 0;
    row->in_per_s = row->out_per_s = 0;
    row->figures.receive_queue = row->figures.send_queue = row->figures.unsent = NOT_KNOWN;
    store_keep_text(&row->brief, NULL, 0);
    store_keep_text(&row->verdict, NULL, 0);
    TAILQ_REMOVE(&store->living, row, link);
    TAILQ_INSERT_TAIL(&store->ended, row, link);
    store->n_ended++;
    store->version++;
}

void store_row_revive(struct store *store, struct store_row *row)
{
    if (!row->is_ended)
        return;
    row->is_ended = false;
    TAILQ_REMOVE(&store->ended, row, link);
    TAILQ_INSERT_TAIL(&store->living, row, link);
    store->n_ended--;
    store->version++;
}

static void unwatch_all(struct store *store, const struct store_row *row)
{
    for (size_t i = 0; row->n_watching > 0 && i < sizeof store->watching / sizeof *store->watching; i++) {
        if (store->watching[i] != row->id)
            continue;
        store->watching[i] = 0;
        store->n_watching--;
        sampling_let_go(store->sampling, i + 1);
    }
}

void store_row_forget(struct store *store, struct store_row *row)
{
    store_trace_part(store, row);
    unwatch_all(store, row);
    if (row->tap)
        row->tap->row = NULL;
    pile_clear(&row->messages);
    store_hash_remove(&store->rows, &row->by_id);
    store_hash_remove(&store->cookies, &row->by_cookie);
    store_hash_remove(&store->ends, &row->by_ends);
    TAILQ_REMOVE(row->is_ended ? &store->ended : &store->living, row, link);
    store->n_ended -= row->is_ended;
    store->n_rows--;
    store->version++;
    free(row->local_name);
    free(row->note);
    free(row->brief);
    free(row->verdict);
    free(row->points);
    free(row);
}

struct store_row *store_row_of(const struct store *store, uint64_t id)
{
    struct hash_link *link = store_hash_find(&store->rows, id);
    return link ? HASH_OF(link, struct store_row, by_id) : NULL;
}

void store_row_set_cookie(struct store *store, struct store_row *row, uint64_t cookie)
{
    store_hash_remove(&store->cookies, &row->by_cookie);
    row->cookie = cookie;
    if (cookie != 0)
        store_hash_put(&store->cookies, &row->by_cookie, cookie);
}

void store_row_set_ends(struct store *store, struct store_row *row, const struct sonde_address *local,
                        const struct sonde_address *peer)
{
    store_hash_remove(&store->ends, &row->by_ends);
    row->local = *local;
    row->peer = *peer;
    row->family = (uint8_t)local->family;
    if (local->port != 0 && peer->port != 0)
        store_hash_put(&store->ends, &row->by_ends, store_hash_of_ends(row->protocol, local, peer));
}

void store_row_moved(struct store *store, struct store_row *row)
{
    if (row->is_ended)
        return;
    TAILQ_REMOVE(&store->living, row, link);
    TAILQ_INSERT_TAIL(&store->living, row, link);
}

struct store_row *store_row_of_cookie(const struct store *store, uint64_t cookie)
{
    struct hash_link *link = cookie != 0 ? store_hash_find(&store->cookies, cookie) : NULL;
    return link ? HASH_OF(link, struct store_row, by_cookie) : NULL;
}

/* ---- points */

/* Grows to what it may have; the ring is laid out anew, oldest first. */
static bool grow_points(struct store_row *row, unsigned room)
{
    struct point *points = calloc(room, sizeof *points);
    if (!points)
        return row->points != NULL;
    for (unsigned i = 0; i < row->n_points; i++)
        points[i] = row->points[(row->next_point + row->points_room - row->n_points + i) % row->points_room];
    free(row->points);
    row->points = points;
    row->points_room = room;
    row->next_point = row->n_points;
    return true;
}

void store_row_add_point(struct store_row *row, int64_t t_ns)
{
    const struct figures *figures = &row->figures;
    unsigned most = row->n_watching > 0 || row->points_room > POINTS_COARSE_MAX ? PAGE_POINTS_MAX : POINTS_COARSE_MAX;
    if (row->n_watching == 0 && row->point_ns != 0 && t_ns - row->point_ns < POINT_COARSE_NS)
        return;
    if (row->n_points == row->points_room && row->points_room < most) {
        unsigned room = row->points_room ? 4 * row->points_room : 15;
        if (!grow_points(row, room < most ? room : most))
            return;
    }
    row->next_point %= row->points_room;
    row->points[row->next_point++] = (struct point){
        t_ns,
        {figures->in, figures->out, figures->rtt_us, figures->cwnd, figures->receive_queue, figures->send_queue,
         figures->unsent, figures->retransmits},
    };
    row->n_points += row->n_points < row->points_room;
    row->n_points_ever++;
    row->point_ns = t_ns;
}

/* ---- looked at */

void store_watch_row(struct store *store, uint64_t id, int change)
{
    store_lock(store);
    struct store_row *row = store_row_of(store, id);
    size_t n = sizeof store->watching / sizeof *store->watching, i = 0;
    /* A row that has gone has taken what stood here with it. */
    uint64_t wanted = change > 0 ? 0 : id;
    while (i < n && store->watching[i] != wanted)
        i++;
    if (row && i < n) {
        store->watching[i] = change > 0 ? id : 0;
        store->n_watching += (unsigned)change;
        row->n_watching += (unsigned)change;
        if (change > 0)
            sampling_want(store->sampling, i + 1, row->cookie, &row->local, &row->peer);
        else
            sampling_let_go(store->sampling, i + 1);
        if (row->tap)
            atomic_store_explicit(&row->tap->watched, row->n_watching > 0, memory_order_relaxed);
    }
    store_unlock(store);
}

bool store_is_watched(struct store *store)
{
    store_lock(store);
    bool is_watched = store->n_watching > 0;
    store_unlock(store);
    return is_watched;
}

size_t store_watched(struct store *store, int64_t now_ns, struct watched *ret_watched, size_t n_max)
{
    size_t n = 0;
    store_lock(store);
    for (size_t i = 0; i < sizeof store->watching / sizeof *store->watching; i++) {
        struct store_row *row = store->watching[i] ? store_row_of(store, store->watching[i]) : NULL;
        if (!row || row->is_ended || now_ns - row->point_ns < 50 * NS_PER_MS)
            continue;
        if (row->has_socket && row->protocol == IPPROTO_TCP && n < n_max) {
            ret_watched[n++] = (struct watched){row->cookie, row->local, row->peer, row->protocol, row->state};
            continue;
        }
        store_row_refresh(row, now_ns);
        store_row_add_point(row, now_ns);
    }
    store_unlock(store);
    return n;
}

bool store_find_stream(struct store *store, uint64_t id, struct store_stream *ret_stream)
{
    store_lock(store);
    const struct store_row *row = store_row_of(store, id);
    bool found = row && row->tap;
    if (found)
        *ret_stream = (struct store_stream){row->loop, row->stream};
    store_unlock(store);
    return found;
}
