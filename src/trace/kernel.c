/* SPDX-License-Identifier: MIT */
#include "trace/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct watched_end {
    bool seen; /* the kernel has had a socket for it */
    bool gone;
    uint8_t state;
};

struct watched {
    uint64_t conn;
    struct sonde_address address[N_ENDS];
    bool has_segments;
    unsigned n_misses; /* looks in a row that found neither end */
    struct watched_end end[N_ENDS];
};

#define PLACES_MAX 2

struct kernel_source {
    struct sockets *sockets[PLACES_MAX]; /* one for each network namespace that is asked */
    unsigned n_places;
    void (*event)(const struct event *event, void *user);
    void *user;
    size_t n_watched, next; /* next: whose turn it is */
    struct watched watched[KERNEL_WATCHED_MAX];
};

/* Looks that may find nothing before a connection counts as gone: its socket may not be there yet. */
#define MISSES_MAX 25
/* One look at a connection is two questions to the kernel. When there are more, they take turns. */
#define LOOKED_AT_ONCE 8

static struct kernel_source *new_source(void (*event)(const struct event *event, void *user), void *user)
{
    struct kernel_source *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->event = event;
    source->user = user;
    return source;
}

struct kernel_source *kernel_source_new(void (*event)(const struct event *event, void *user), void *user)
{
    struct sonde_why why;
    struct kernel_source *source = new_source(event, user);
    if (!source)
        return NULL;
    if (sockets_open(&source->sockets[0], &why) < 0) {
        kernel_source_free(source);
        return NULL;
    }
    source->n_places = 1;
    return source;
}

struct kernel_source *kernel_source_new_at(int (*open)(int family, int type, int protocol, void *user),
                                           void *const where[2], void (*event)(const struct event *event, void *user),
                                           void *user)
{
    struct sonde_why why;
    struct kernel_source *source = new_source(event, user);
    for (unsigned i = 0; source && i < PLACES_MAX; i++) {
        if (sockets_open_at(open, where[i], &source->sockets[i], &why) < 0) {
            kernel_source_free(source);
            return NULL;
        }
        source->n_places++;
    }
    return source;
}

void kernel_source_free(struct kernel_source *source)
{
    if (!source)
        return;
    for (unsigned i = 0; i < source->n_places; i++)
        sockets_close(source->sockets[i]);
    free(source);
}

static bool same_address(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->family == other->family && one->port == other->port &&
           memcmp(one->u.ip, other->u.ip, one->family == AF_INET ? 4 : 16) == 0;
}

static bool same_tuple(const struct watched *watched, const struct sonde_address address[N_ENDS])
{
    for (int end = 0; end < N_ENDS; end++) {
        if (same_address(&watched->address[END_A], &address[end]) &&
            same_address(&watched->address[END_B], &address[other_end(end)]))
            return true;
    }
    return false;
}

bool kernel_watch(struct kernel_source *source, uint64_t conn, const struct sonde_address address[N_ENDS],
                  bool has_segments)
{
    size_t i = 0;
    /* An earlier connection of the tuple is over: what is found there from now on is this one's. */
    while (i < source->n_watched && !same_tuple(&source->watched[i], address))
        i++;
    if (i == KERNEL_WATCHED_MAX)
        return false;
    if (i < source->n_watched && source->watched[i].conn == conn)
        return true;
    source->watched[i] =
        (struct watched){.conn = conn, .address = {address[END_A], address[END_B]}, .has_segments = has_segments};
    source->n_watched += i == source->n_watched;
    return true;
}

void kernel_watch_none(struct kernel_source *source)
{
    source->n_watched = 0;
}

size_t kernel_n_watched(const struct kernel_source *source)
{
    return source->n_watched;
}

/* ---- values */

static void set(struct event_values *values, enum event_value which, int64_t value)
{
    values->value[which] = value;
    values->present |= 1u << which;
}

void kernel_values(const struct socket_info *socket, struct event_values *ret_values)
{
    const struct tcp_info_whole *info = &socket->info;
    set(ret_values, VALUE_SEND_QUEUE, socket->send_queue);
    set(ret_values, VALUE_RECEIVE_QUEUE, socket->receive_queue);
    if (!socket->has_info)
        return;
    set(ret_values, VALUE_RTO, info->rto_us);
    set(ret_values, VALUE_RTT, info->rtt_us);
    set(ret_values, VALUE_RTT_VAR, info->rttvar_us);
    set(ret_values, VALUE_CWND, info->snd_cwnd);
    set(ret_values, VALUE_SSTHRESH, info->snd_ssthresh);
    set(ret_values, VALUE_UNSENT, info->notsent_bytes);
    set(ret_values, VALUE_PEER_WINDOW, info->snd_wnd);
    set(ret_values, VALUE_UNACKED, info->unacked);
    set(ret_values, VALUE_RETRANSMITS, info->retransmits);
    set(ret_values, VALUE_RETRANSMITS_TOTAL, info->total_retrans);
    set(ret_values, VALUE_BACKOFF, info->backoff);
    set(ret_values, VALUE_BYTES_ACKED, (int64_t)info->bytes_acked);
    set(ret_values, VALUE_BYTES_RECEIVED, (int64_t)info->bytes_received);
}

/* Round trips scatter: those are told when they have doubled or halved. */
static bool differs(enum event_value which, int64_t value, int64_t told)
{
    int64_t distance = value > told ? value - told : told - value;
    switch (which) {
    case VALUE_RTT:
        return value >= 2 * told || 2 * value <= told;
    case VALUE_RTO:
        return distance * 10 > told;
    case VALUE_CWND:
    case VALUE_SEND_QUEUE:
    case VALUE_RECEIVE_QUEUE:
    case VALUE_UNSENT:
    case VALUE_BACKOFF:
    case VALUE_ACCEPT_QUEUE:
        return distance != 0;
    default:
        return false; /* in the JSON, not worth a mark of its own */
    }
}

void kernel_changes(struct event_values *values, struct event_values *told)
{
    values->changed = 0;
    for (unsigned i = 0; i < N_VALUES; i++) {
        uint32_t bit = 1u << i;
        if (!(values->present & bit))
            continue;
        /* Queues and the like begin at 0, which is nothing to tell. */
        bool first = !(told->present & bit);
        bool news = first ? i == VALUE_RTO || i == VALUE_RTT || i == VALUE_CWND || differs(i, values->value[i], 0)
                          : differs(i, values->value[i], told->value[i]);
        if (!news)
            continue;
        values->changed |= bit;
        told->present |= bit;
        told->value[i] = values->value[i];
    }
    /* Before the first round trip these are the kernel's defaults. */
    if (values->value[VALUE_RTT] == 0)
        values->changed &= ~(1u << VALUE_RTT | 1u << VALUE_RTO | 1u << VALUE_CWND);
}

/* ---- looking */

static void tell_state(struct kernel_source *source, const struct watched *watched, enum event_end end, uint8_t after,
                       int64_t now_ns)
{
    const struct watched_end *seen = &watched->end[end];
    bool end_of_wait = seen->state == TCP_STATE_TIME_WAIT && after == TCP_STATE_CLOSED;
    if (seen->state == after || (watched->has_segments && !end_of_wait))
        return;
    struct event event = {.source = EVENT_KERNEL, .kind = EVENT_KIND_STATE, .conn = watched->conn, .t_ns = now_ns};
    event.state = (struct event_state){.end = (uint8_t)end, .before = seen->state, .after = after, .polled = true};
    source->event(&event, source->user);
}

static bool find(struct kernel_source *source, const struct watched *watched, enum event_end end,
                 struct socket_info *ret_socket)
{
    const struct sonde_address *local = &watched->address[end], *peer = &watched->address[other_end(end)];
    for (unsigned i = 0; i < source->n_places; i++) {
        if (sockets_find(source->sockets[i], local, peer, 0, SOCKETS_WITH_INFO, ret_socket) < 0)
            continue;
        /* A port that listens answers for connections that it does not have. */
        if (ret_socket->state != TCP_STATE_LISTEN && ret_socket->peer.port == peer->port)
            return true;
    }
    return false;
}

static void look_at(struct kernel_source *source, struct watched *watched, enum event_end end, int64_t now_ns)
{
    struct watched_end *seen = &watched->end[end];
    struct socket_info socket;
    if (!find(source, watched, end, &socket)) {
        if (seen->seen && !seen->gone)
            tell_state(source, watched, end, TCP_STATE_CLOSED, now_ns);
        seen->gone = seen->seen;
        seen->state = TCP_STATE_CLOSED;
        return;
    }
    tell_state(source, watched, end, socket.state, now_ns);
    seen->seen = true;
    seen->gone = false;
    seen->state = socket.state;
    if (!socket.has_info)
        return;
    struct event event = {.source = EVENT_KERNEL, .kind = EVENT_KIND_VALUES, .conn = watched->conn, .t_ns = now_ns};
    event.values.end = (uint8_t)end;
    kernel_values(&socket, &event.values);
    source->event(&event, source->user);
}

void kernel_look(struct kernel_source *source, int64_t now_ns)
{
    size_t n = source->n_watched < LOOKED_AT_ONCE ? source->n_watched : LOOKED_AT_ONCE;
    for (size_t i = source->next; n > 0 && source->n_watched > 0; n--) {
        i = i < source->n_watched ? i : 0;
        struct watched *watched = &source->watched[i];
        look_at(source, watched, END_A, now_ns);
        look_at(source, watched, END_B, now_ns);
        bool a = watched->end[END_A].seen, b = watched->end[END_B].seen;
        bool over = (a || b) && (!a || watched->end[END_A].gone) && (!b || watched->end[END_B].gone);
        if (!a && !b)
            over = ++watched->n_misses > MISSES_MAX;
        if (over)
            *watched = source->watched[--source->n_watched];
        else
            i++;
        source->next = i;
    }
}
