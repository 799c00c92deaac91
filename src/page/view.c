/* SPDX-License-Identifier: MIT */
/* The trace's view: all that it is handed goes into the store, on the trace's thread. */
#include "page/store_internal.h"
#include "trace/packets.h"

#include <errno.h>
#include <netinet/in.h>

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
    store_trace_begins(store_of(run));
    return 0;
}

static void on_event(struct view_run *run, const struct event *event)
{
    if (run->settings->only == 0 || event->conn == 0 || event->conn == run->settings->only)
        store_event(store_of(run), event);
}

/* Datagrams are no segments, but numbered in the same way. */
static void on_packet(struct view_run *run, const struct view_packet *shown)
{
    uint64_t conn = shown->conversation ? packets_number(shown->conversation) : 0;
    if (conn == 0 || (run->settings->only != 0 && conn != run->settings->only))
        return;
    uint32_t segment = shown->segment ? shown->segment->number : 0;
    if (shown->conversation->protocol == IPPROTO_UDP && shown->decoded->protocol == IPPROTO_UDP)
        segment = shown->conversation->n_segments; /* the number that it has just been given */
    store_packet(store_of(run), conn, segment, shown->t_ns, shown->packet);
}

static void on_data(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing, bool push)
{
    uint64_t conn = packets_number(conversation);
    (void)push;
    if (conn != 0 && (run->settings->only == 0 || conn == run->settings->only))
        store_data(store_of(run), conn, t_ns, from, data, n_bytes, n_missing);
}

static void on_conversation(struct view_run *run, const struct conversation *conversation)
{
    store_trace_over(store_of(run), packets_number(conversation));
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
