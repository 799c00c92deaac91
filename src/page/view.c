/* SPDX-License-Identifier: MIT */
/* The trace's view: all that it is handed goes into the store, on the trace's thread. */
#include "page/store_internal.h"
#include "trace/packets.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static struct store *store_of(const struct view_run *run)
{
    return page_store(run->settings->page);
}

static int on_open(struct view_run *run, struct sonde_why *ret_why)
{
    if (!run->settings->page) {
        *ret_why = (struct sonde_why){.code = -EINVAL, .call = "page"};
        return -EINVAL;
    }
    if (run->settings->session == 0)
        store_trace_begins(store_of(run));
    else
        store_session_begins(store_of(run));
    return 0;
}

static uint64_t number(const struct view_run *run, uint64_t conn)
{
    return conn != 0 ? store_conn_of(run->settings->session, conn) : 0;
}

/* One session of several: what concerns none of its connections concerns none of the others' either. */
static void store_event_of_session(const struct view_run *run, const struct event *event)
{
    struct event own = *event;
    own.conn = number(run, event->conn != 0 ? event->conn : 1);
    store_event(store_of(run), &own);
}

static void on_event(struct view_run *run, const struct event *event)
{
    if (run->settings->session != 0)
        store_event_of_session(run, event);
    else if (run->settings->only == 0 || event->conn == 0 || event->conn == run->settings->only)
        store_event(store_of(run), event);
}

/* What is said in datagrams comes by no other way. Of fragments the first tells how long the whole is, and no more. */
static void say_datagram(const struct view_run *run, const struct view_packet *shown, uint64_t conn)
{
    const struct decoded *decoded = shown->decoded;
    const struct sonde_address *a = &shown->conversation->side[END_A].address;
    bool is_ipv6 = decoded->network == DECODE_IPV6;
    bool from_a = decoded->source_port == a->port && memcmp(decoded->source.bytes, a->u.ip, is_ipv6 ? 16 : 4) == 0;
    store_datagram(store_of(run), conn, shown->t_ns, from_a ? END_A : END_B, decoded->payload,
                   decoded->n_payload_captured, decoded->n_payload);
}

/* Datagrams are no segments, but numbered in the same way. */
static void on_packet(struct view_run *run, const struct view_packet *shown)
{
    uint64_t conn = shown->conversation ? packets_number(shown->conversation) : 0;
    if (conn == 0 || shown->arrival || (run->settings->only != 0 && conn != run->settings->only))
        return;
    uint32_t segment = shown->segment ? shown->segment->number : 0;
    bool is_datagram = shown->conversation->protocol == IPPROTO_UDP && shown->decoded->protocol == IPPROTO_UDP;
    if (is_datagram)
        segment = shown->conversation->n_segments; /* the number that it has just been given */
    if (is_datagram && run->settings->session != 0)
        say_datagram(run, shown, number(run, conn));
    store_packet(store_of(run), number(run, conn), segment, shown->t_ns, shown->packet);
}

static void on_data(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing, bool push)
{
    uint64_t conn = packets_number(conversation);
    (void)push;
    if (conn != 0 && (run->settings->only == 0 || conn == run->settings->only))
        store_data(store_of(run), number(run, conn), t_ns, from, data, n_bytes, n_missing);
}

static void on_conversation(struct view_run *run, const struct conversation *conversation)
{
    store_trace_over(store_of(run), number(run, packets_number(conversation)));
}

static void on_statistics(struct view_run *run, uint64_t n_received, uint64_t n_dropped)
{
    (void)n_received;
    store_packets_dropped(store_of(run), n_dropped);
}

const struct view page_view = {
    .name = "page",
    .open = on_open,
    .event = on_event,
    .packet = on_packet,
    .data = on_data,
    .conversation = on_conversation,
    .statistics = on_statistics,
};
