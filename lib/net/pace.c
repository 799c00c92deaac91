/* SPDX-License-Identifier: MIT */
/*
 * Streams with a rate.
 *
 * Theory of operation
 *
 * Each way has a token bucket; a byte that is delivered to the owner, or that the kernel has taken, costs a token.
 *
 * A paced stream receives one by one, never multishot, and only when there are tokens: else nothing is asked of the
 * kernel, its receive buffer fills, and the peer has to wait, as when the owner pauses. What one receive brought beyond
 * the tokens is kept and delivered in pieces as they come, by the same way as what came during a pause; the owner's own
 * pause holds back both. Ends are not data: once nothing is kept they are delivered without a token.
 *
 * For sending, the pump gives the kernel no more than there are tokens, and is started again by a timer.
 *
 * Nobody is woken for each byte: a wait is for what comes within quantum_ns, or for what is there to go, if that is
 * less. No timer runs while there is nothing to wait for, so an idle stream costs none; and a stream without a rate
 * costs nothing at all, since what this needs stands behind the stream's extra, with what stood there before.
 */
#include "net/pace.h"

#include "base/bucket.h"

#include <errno.h>

enum { ROOM_LEAST_BYTES = 1024, ROOMS_PER_S = 10, QUANTA_PER_S = 50 };

struct lane {
    struct bucket bucket;
    struct sonde_timer timer;
};

struct pace {
    struct lane lanes[N_PACE_WAYS];
    union stream_extra extra; /* what stood in the stream */
};

union stream_extra *pace_extra(struct pace *pace)
{
    return &pace->extra;
}

size_t pace_wait(struct sonde_stream *stream, enum pace_way way, size_t n_bytes)
{
    struct lane *lane = &stream->extra.pace->lanes[way];
    struct bucket *bucket = &lane->bucket;
    uint64_t tokens = bucket_tokens(bucket, sonde_loop_now_ns(stream->loop));
    uint64_t enough = bucket->rate / QUANTA_PER_S;

    if (enough == 0)
        enough = 1;
    if (enough > n_bytes)
        enough = n_bytes;
    if (tokens >= enough)
        return tokens < n_bytes ? (size_t)tokens : n_bytes;
    sonde_timer_start(&lane->timer, bucket_when(bucket, enough));
    return 0;
}

void pace_count(struct sonde_stream *stream, enum pace_way way, size_t n_bytes)
{
    bucket_take(&stream->extra.pace->lanes[way].bucket, n_bytes);
}

static void may_receive(struct sonde_timer *timer)
{
    stream_deliver(timer->user);
}

static void may_send(struct sonde_timer *timer)
{
    stream_pump_again(timer->user);
}

void pace_stop(struct sonde_stream *stream)
{
    if (!stream->paced)
        return;
    for (unsigned i = 0; i < N_PACE_WAYS; i++)
        sonde_timer_stop(&stream->extra.pace->lanes[i].timer);
}

void pace_free(struct sonde_stream *stream)
{
    if (!stream->paced)
        return;
    struct pace *pace = stream->extra.pace;
    pace_stop(stream);
    stream->extra = pace->extra;
    stream->paced = 0;
    loop_free(stream->loop, pace, sizeof *pace);
}

static int pace_create(struct sonde_stream *stream, uint64_t rate, uint64_t room)
{
    static void (*const fire[N_PACE_WAYS])(struct sonde_timer *) = {may_receive, may_send};
    struct pace *pace = loop_alloc(stream->loop, sizeof *pace);

    if (pace == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < N_PACE_WAYS; i++) {
        bucket_init(&pace->lanes[i].bucket, rate, room, sonde_loop_now_ns(stream->loop));
        sonde_timer_init(&pace->lanes[i].timer, stream->loop, fire[i], stream);
    }
    pace->extra = stream->extra;
    stream->extra.pace = pace;
    stream->paced = 1;
    return 0;
}

static void change(struct sonde_stream *stream, uint64_t rate, uint64_t room)
{
    for (unsigned i = 0; i < N_PACE_WAYS; i++) {
        struct lane *lane = &stream->extra.pace->lanes[i];
        bucket_change(&lane->bucket, rate, room, sonde_loop_now_ns(stream->loop));
        sonde_timer_stop(&lane->timer);
    }
}

int sonde_stream_set_rate(struct sonde_stream *stream, uint64_t bytes_per_s)
{
    uint64_t room = bytes_per_s / ROOMS_PER_S;
    int error = 0;

    if (stream->packets != NULL)
        return bytes_per_s == 0 ? 0 : -EOPNOTSUPP;
    if (stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return 0;
    if (room < ROOM_LEAST_BYTES)
        room = ROOM_LEAST_BYTES;
    if (bytes_per_s == 0)
        pace_free(stream);
    else if (stream->paced)
        change(stream, bytes_per_s, room);
    else
        error = pace_create(stream, bytes_per_s, room);
    if (error < 0)
        return error;
    /* What waits may go by another rate; receiving may have to be done in another way. */
    stream_pump_again(stream);
    if (stream->state & STREAM_CONNECTING)
        return 0;
    if (stream->io.active & IO_RECV)
        stream_ask_again(stream);
    stream_go_on(stream); /* what is kept has no other timer now */
    return 0;
}
