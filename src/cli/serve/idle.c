/* SPDX-License-Identifier: MIT */
/*
 * --idle-timeout. Nothing is done per message: a sweep looks at all connections of the worker from time to time, and
 * remembers of each how many bytes it had moved and since when that is so. A connection is thus closed when it was
 * silent for the time asked for, or up to a quarter longer, never before.
 */
#include "cli/serve/serve_internal.h"

#define NS_PER_MS INT64_C(1000000)
#define GOOD_BYE_NS (1000 * NS_PER_MS)

/* Milliseconds, which go round after 49 days: only differences are used. */
static uint32_t now_ms(struct worker *worker)
{
    return (uint32_t)(sonde_loop_now_ns(worker->loop) / NS_PER_MS);
}

static int64_t interval_ns(const struct worker *worker)
{
    int64_t interval = worker->serve->settings->idle_ns / 8;

    if (interval < 10 * NS_PER_MS)
        return 10 * NS_PER_MS;
    return interval > 1000 * NS_PER_MS ? 1000 * NS_PER_MS : interval;
}

/* Connections that move 4 GiB between two looks, to the byte, would be taken for idle; none does. */
static void look(struct worker *worker, struct sonde_stream *stream, uint32_t now)
{
    struct connection *connection = connection_of(stream);
    if (!sonde_stream_has_end(stream))
        return; /* the library closes peers that are silent */
    uint32_t bytes = (uint32_t)(sonde_stream_received_bytes(stream) + sonde_stream_sent_bytes(stream));

    if (bytes != connection->seen_bytes) {
        connection->seen_bytes = bytes;
        connection->seen_ms = now;
        return;
    }
    /* Those that are being closed already have their own deadline. */
    if (connection->reason != SERVE_OPEN || now - connection->seen_ms < worker->serve->settings->idle_ns / NS_PER_MS)
        return;
    connection->reason = SERVE_IDLE;
    /* What is spoken on top has an end of its own to tell, but nobody may be there. */
    if (sonde_stream_layers(stream) & (SONDE_LAYER_TLS | SONDE_LAYER_WS | SONDE_LAYER_HTTP))
        sonde_stream_finish(stream, sonde_loop_now_ns(worker->loop) + GOOD_BYE_NS);
    else
        sonde_stream_close(stream);
}

static void sweep(struct sonde_timer *timer)
{
    struct worker *worker = timer->user;
    uint32_t now = now_ms(worker);

    for (struct sonde_stream *stream = sonde_stream_next(worker->loop, NULL); stream != NULL;
         stream = sonde_stream_next(worker->loop, stream))
        look(worker, stream, now);
    sonde_timer_start_in(timer, interval_ns(worker)); /* stopped when the last connection closes */
}

void serve_idle_init(struct worker *worker)
{
    sonde_timer_init(&worker->sweep, worker->loop, sweep, worker);
}

void serve_idle_opened(struct worker *worker, struct connection *connection)
{
    connection->seen_ms = now_ms(worker);
    if (!sonde_timer_is_running(&worker->sweep))
        sonde_timer_start_in(&worker->sweep, interval_ns(worker));
}
