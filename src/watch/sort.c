/* SPDX-License-Identifier: MIT */
#include "watch/sort.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

const char *const watch_sort_names[SORT_N + 1] = {
    [SORT_STATE] = "state", [SORT_RECV] = "recv", [SORT_SEND] = "send", [SORT_LOCAL] = "local", [SORT_PEER] = "peer",
    [SORT_TIMER] = "timer", [SORT_IN] = "in",     [SORT_OUT] = "out",   [SORT_RTT] = "rtt",     [SORT_OWNER] = "owner",
};

static uint64_t owner_key(const struct view *view, const struct row *row)
{
    const struct owner *owner = view->owners && row->inode ? owners_find(view->owners, row->inode) : NULL;
    uint64_t key = 0;
    for (int i = 0; owner && i < 8; i++)
        key = key << 8 | (unsigned char)owner->program[i];
    return owner ? key : UINT64_MAX;
}

static uint64_t key_of(const struct view *view, const struct row *row, const struct track *track, int sort)
{
    switch (sort) {
    case SORT_RECV:
        return ~(uint64_t)row->receive_queue;
    case SORT_SEND:
        return ~(uint64_t)row->send_queue;
    case SORT_LOCAL:
    case SORT_PEER:
        return 0;
    case SORT_TIMER:
        return row->timer == TIMER_NONE ? UINT64_MAX : (uint64_t)(row->timer_ns > 0 ? row->timer_ns : 0);
    case SORT_IN:
        return track ? ~track->in_per_s : ~row->bytes_in;
    case SORT_OUT:
        return track ? ~track->out_per_s : ~row->bytes_out;
    case SORT_RTT:
        return ~(uint64_t)row->rtt_us;
    case SORT_OWNER:
        return owner_key(view, row);
    default:
        /* Sockets without states of their own stand behind those with. */
        return row->state + (row->family == AF_UNIX ? 64u : row->protocol == IPPROTO_UDP ? 32u : 0u);
    }
}

struct place place_of_row(const struct model *model, const struct view *view, const struct row *row, int sort)
{
    return (struct place){.key = key_of(view, row, model_track(model, row), sort),
                          .row = (uint32_t)(row - model->rows),
                          .weight = row->weight == VERDICT_TROUBLE};
}

struct place place_kept(const struct model *model, const struct view *view, const struct row *row, struct track *track,
                        int sort, bool at_once, bool *ret_moved)
{
    struct place wanted = place_of_row(model, view, row, sort);
    bool same = wanted.key == track->place_key && wanted.weight == track->place_weight;
    if (same)
        track->place_differs_ns = 0;
    else if (track->place_differs_ns == 0)
        track->place_differs_ns = view->now_ns;
    if (!same && (at_once || view->now_ns - track->place_differs_ns >= PLACE_KEPT_NS)) {
        track->place_key = wanted.key;
        track->place_weight = wanted.weight;
        track->place_differs_ns = 0;
        *ret_moved = true;
    }
    wanted.key = track->place_key;
    wanted.weight = track->place_weight;
    return wanted;
}

struct context {
    const struct model *model;
    int sort;
};

static int compare_addresses(const struct sonde_address *a, const struct sonde_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    int order = memcmp(a->u.ip, b->u.ip, sizeof a->u.ip);
    if (order != 0)
        return order;
    return a->port < b->port ? -1 : a->port > b->port;
}

static int compare(const void *one, const void *other, void *user)
{
    const struct context *context = user;
    const struct place *a = one, *b = other;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    const struct row *x = &context->model->rows[a->row], *y = &context->model->rows[b->row];
    bool peer_first = context->sort == SORT_PEER;
    int order = peer_first ? compare_addresses(&x->peer, &y->peer) : compare_addresses(&x->local, &y->local);
    if (order == 0)
        order = peer_first ? compare_addresses(&x->local, &y->local) : compare_addresses(&x->peer, &y->peer);
    return order != 0 ? order : x->key < y->key ? -1 : x->key > y->key;
}

void places_sort(const struct model *model, struct place *places, size_t n, int sort)
{
    struct context context = {model, sort};
    qsort_r(places, n, sizeof *places, compare, &context);
}
