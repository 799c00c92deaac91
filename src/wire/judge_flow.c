/* SPDX-License-Identifier: MIT */
/*
 * The connections that the judge remembers: a table that grows, up to a limit. When it is full, or there is no memory,
 * the one that was used longest ago goes.
 *
 * Which connection it is must be the same when the conversation is had again, though the client's port differs: it is
 * known by IP version, protocol, which end opened it, the server's port, and its number among those that have all this
 * in common. A server's port that a kernel has picked differs too, and does not tell anything: such ports are as one.
 */
#include "wire/judge_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 64

static uint32_t *bucket_of(const struct flows *flows, const struct flow_key *key)
{
    uint64_t words[N_ENDS * 2], hash = flows->seed;

    memcpy(words, key->address, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= (uint64_t)key->port[END_A] << 32 | (uint64_t)key->port[END_B] << 16 | key->version << 8 | key->protocol;
    return &flows->bucket[chance_mix(hash) & (flows->n_buckets - 1)];
}

/* A bucket for each flow that there is room for; then all of them are put in anew. */
static bool grow_buckets(struct flows *flows)
{
    uint32_t *bucket = calloc(flows->room, sizeof *bucket);

    if (bucket == NULL)
        return false;
    free(flows->bucket);
    flows->bucket = bucket;
    flows->n_buckets = flows->room;
    for (uint32_t i = 0; i < flows->n; i++) {
        bucket = bucket_of(flows, &flows->flow[i].key);
        flows->flow[i].next = *bucket;
        *bucket = i + 1;
    }
    return true;
}

static bool grow(struct flows *flows)
{
    uint32_t room = flows->room ? flows->room * 2 : ROOM_LEAST;

    if (room > WIRE_FLOWS_MAX)
        return false;
    struct flow *flow = realloc(flows->flow, room * sizeof *flow);
    if (flow == NULL)
        return false;
    flows->flow = flow;
    flows->room = room;
    return grow_buckets(flows) || flows->n_buckets > 0; /* few buckets are slow, and work */
}

bool flows_init(struct flows *flows, uint64_t seed)
{
    *flows = (struct flows){.newest = FLOW_NONE, .oldest = FLOW_NONE, .seed = seed};
    if (grow(flows))
        return true;
    flows_free(flows);
    return false;
}

void flows_free(struct flows *flows)
{
    for (uint32_t i = 0; i < flows->n; i++) {
        for (unsigned end = 0; end < N_ENDS; end++)
            ranges_clear(&flows->flow[i].side[end].ranges, &flows->n_ranges);
    }
    for (size_t i = 0; i < N_ORDINALS; i++)
        free(flows->ordinal[i]);
    free(flows->flow);
    free(flows->bucket);
    *flows = (struct flows){0};
}

static void unlink_use(struct flows *flows, uint32_t i)
{
    struct flow *flow = &flows->flow[i];

    if (flow->newer == FLOW_NONE)
        flows->newest = flow->older;
    else
        flows->flow[flow->newer].older = flow->older;
    if (flow->older == FLOW_NONE)
        flows->oldest = flow->newer;
    else
        flows->flow[flow->older].newer = flow->newer;
}

static void link_use(struct flows *flows, uint32_t i)
{
    struct flow *flow = &flows->flow[i];

    flow->newer = FLOW_NONE;
    flow->older = flows->newest;
    if (flows->newest == FLOW_NONE)
        flows->oldest = i;
    else
        flows->flow[flows->newest].newer = i;
    flows->newest = i;
}

static uint32_t free_place(struct flows *flows)
{
    if (flows->n < flows->room || grow(flows))
        return flows->n++;
    uint32_t i = flows->oldest;
    struct flow *flow = &flows->flow[i];
    uint32_t *link = bucket_of(flows, &flow->key);
    while (*link != i + 1)
        link = &flows->flow[*link - 1].next;
    *link = flow->next;
    unlink_use(flows, i);
    for (unsigned end = 0; end < N_ENDS; end++)
        ranges_clear(&flow->side[end].ranges, &flows->n_ranges);
    flows->n_forgotten++;
    return i;
}

/* How many connections there were that have so much in common, this one not counted. */
static uint32_t ordinal(struct flows *flows, size_t row, unsigned port)
{
    if (flows->ordinal[row] == NULL)
        flows->ordinal[row] = calloc(PORTS_KEPT + 1, sizeof *flows->ordinal[row]);
    return flows->ordinal[row] != NULL ? flows->ordinal[row][port]++ : 0;
}

static void name(struct flows *flows, struct flow *flow, enum event_end client, uint16_t server_port)
{
    unsigned which = flow->key.protocol == IPPROTO_TCP ? 0 : flow->key.protocol == IPPROTO_UDP ? 1 : 2;
    unsigned version = flow->key.version == 6, port = server_port < PORTS_KEPT ? server_port : PORTS_KEPT;
    uint64_t common = (uint64_t)version << 40 | (uint64_t)flow->key.protocol << 32 | (uint64_t)client << 24 | port;
    uint32_t number = ordinal(flows, (version * 3u + which) * N_ENDS + client, port);

    flow->chance = chance_add(chance_add(flows->seed, common), number);
}

struct flow *flows_find(struct flows *flows, const struct flow_key *key, enum event_end from, uint16_t server_port)
{
    uint32_t i = *bucket_of(flows, key);

    while (i != 0 && memcmp(&flows->flow[i - 1].key, key, sizeof *key) != 0)
        i = flows->flow[i - 1].next;
    if (i != 0) {
        if (flows->newest != i - 1) {
            unlink_use(flows, i - 1);
            link_use(flows, i - 1);
        }
        return &flows->flow[i - 1];
    }
    i = free_place(flows);
    struct flow *flow = &flows->flow[i];
    uint32_t *bucket = bucket_of(flows, key);
    *flow = (struct flow){.key = *key, .next = *bucket};
    *bucket = i + 1;
    link_use(flows, i);
    name(flows, flow, from, server_port);
    return flow;
}

void flows_renew(struct flows *flows, struct flow *flow, enum event_end from, uint16_t server_port)
{
    for (unsigned end = 0; end < N_ENDS; end++) {
        ranges_clear(&flow->side[end].ranges, &flows->n_ranges);
        flow->side[end] = (struct side){0};
    }
    name(flows, flow, from, server_port);
}
