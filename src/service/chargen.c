/* SPDX-License-Identifier: MIT */
/*
 * Chargen: the rotating pattern as fast as the peer reads it; what the peer says is ignored, its end too (it may have
 * half-closed and read on), so that only a reset or an error ends a connection. A WebSocket's Close is meant for both
 * sides, and is obeyed.
 *
 * A chunk is a whole number of periods, so that no connection has to remember where in the pattern it is. A chunk is
 * written when the one before has gone to the kernel. A peer that reads as fast as we write would keep us in that loop
 * for ever and starve the others (epoll(7), "Starvation"): after a few chunks the stream goes to the end of a list of
 * those that can go on, which a timer takes up in the next turn of the loop.
 *
 * Where there are messages each holds one period. A datagram is answered with one of 0 to 512 characters, as many as
 * chance will have it (RFC 864); one from another machine with no more than it brought, for whoever sends it may have
 * forged its address, and the answer is not to hit somebody else harder than the question hit us.
 */
#include "service/chargen.h"
#include "service/service_internal.h"

#include <errno.h>
#include <sonde/timer.h>
#include <stdlib.h>
#include <string.h>

enum {
    PERIODS_PER_CHUNK = 8,
    CHUNK_BYTES = PERIODS_PER_CHUNK * CHARGEN_PERIOD_BYTES,
    CHUNKS_PER_TURN = 4,
    DATAGRAM_BYTES_MAX = 512,
};

/* Of one connection. */
struct generator {
    struct sonde_stream *stream; /* NULL: not on the list */
    struct generator *next;      /* after this on the list */
};

/* Of all on one loop: those that could go on, first come first served. */
struct chargen {
    struct service_run *run;
    struct sonde_timer turn;
    struct generator *first, **tail;
    uint64_t chance;
    char chunk[CHUNK_BYTES];
};

_Static_assert(sizeof(struct generator) <= SERVICE_CONNECTION_BYTES_MAX, "the room of a connection");

void chargen_fill(char ret_period[CHARGEN_PERIOD_BYTES])
{
    char *to = ret_period;

    for (int line = 0; line < CHARGEN_N_PRINTABLE; line++) {
        for (int column = 0; column < CHARGEN_COLUMNS; column++)
            *to++ = (char)(' ' + (line + column) % CHARGEN_N_PRINTABLE);
        *to++ = '\r';
        *to++ = '\n';
    }
}

static void list(struct chargen *chargen, struct generator *generator, struct sonde_stream *stream)
{
    generator->stream = stream;
    generator->next = NULL;
    *chargen->tail = generator;
    chargen->tail = &generator->next;
    if (!sonde_timer_is_running(&chargen->turn))
        sonde_timer_start_in(&chargen->turn, 0);
}

static void unlist(struct chargen *chargen, struct generator *generator)
{
    struct generator **link = &chargen->first;

    if (generator->stream == NULL)
        return;
    while (*link != generator)
        link = &(*link)->next;
    *link = generator->next;
    if (generator->next == NULL)
        chargen->tail = link;
    generator->stream = NULL;
}

static void generate(struct service_run *run, struct sonde_stream *stream, struct generator *generator)
{
    struct chargen *chargen = run->state;
    bool messages = sonde_stream_has_messages(stream) != 0;

    for (int i = 0; i < CHUNKS_PER_TURN; i++) {
        int error =
            sonde_stream_send(stream, chargen->chunk, messages ? CHARGEN_PERIOD_BYTES : CHUNK_BYTES, SONDE_TEXT);
        if (error != 0) {
            service_cannot_send(run, stream, error);
            return;
        }
        if (sonde_stream_queued_bytes(stream) > 0)
            return; /* drained goes on */
    }
    list(chargen, generator, stream);
}

static void take_turns(struct sonde_timer *timer)
{
    struct chargen *chargen = timer->user;
    struct generator *generator = chargen->first;

    /* Those that are listed again meanwhile have their turn after the loop has looked at everybody else. */
    chargen->first = NULL;
    chargen->tail = &chargen->first;
    while (generator != NULL) {
        struct generator *next = generator->next;
        struct sonde_stream *stream = generator->stream;
        generator->stream = NULL;
        generate(chargen->run, stream, generator);
        generator = next;
    }
}

static int start(struct service_run *run)
{
    struct chargen *chargen = malloc(sizeof(*chargen));

    if (chargen == NULL)
        return -ENOMEM;
    chargen->run = run;
    chargen->first = NULL;
    chargen->tail = &chargen->first;
    chargen->chance = (uint64_t)sonde_loop_now_ns(run->loop) | 1;
    sonde_timer_init(&chargen->turn, run->loop, take_turns, chargen);
    chargen_fill(chargen->chunk);
    for (int i = 1; i < PERIODS_PER_CHUNK; i++)
        memcpy(chargen->chunk + i * CHARGEN_PERIOD_BYTES, chargen->chunk, CHARGEN_PERIOD_BYTES);
    run->state = chargen;
    return 0;
}

static void release(struct service_run *run)
{
    free(run->state);
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    if (!sonde_stream_has_end(stream))
        return;
    service_says_text(stream);
    generate(run, stream, own);
}

/* xorshift64: for lengths, it need not be hard to guess. */
static size_t chance(struct chargen *chargen, size_t most)
{
    chargen->chance ^= chargen->chance << 13;
    chargen->chance ^= chargen->chance >> 7;
    chargen->chance ^= chargen->chance << 17;
    return (size_t)((chargen->chance >> 32) % (most + 1));
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    struct chargen *chargen = run->state;
    size_t most = DATAGRAM_BYTES_MAX;

    (void)own;
    if (sonde_stream_has_end(stream))
        return;
    if (bytes->n_whole_bytes < most && !service_is_near(stream))
        most = bytes->n_whole_bytes;
    service_send(run, stream, chargen->chunk, chance(chargen, most), SONDE_TEXT);
}

static void drained(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct generator *generator = own;

    /* A stream whose queue was dropped because it is gone is told so here too: the next write finds out. */
    if (generator->stream == NULL && sonde_stream_has_end(stream))
        generate(run, stream, generator);
}

static void end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    if (!(sonde_stream_layers(stream) & SONDE_LAYER_WS))
        return;
    unlist(run->state, own);
    service_close_at_end(run, stream, own);
}

static void failed(struct service_run *run, struct sonde_stream *stream, void *own, int error)
{
    (void)stream, (void)error;
    unlist(run->state, own);
}

static void closed(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)stream;
    unlist(run->state, own);
}

const struct service service_chargen = {
    .name = "chargen",
    .help = "send a pattern of characters as fast as the peer reads",
    .rfc = "RFC 864",
    .flags = SERVICE_MANY_THREADS | SERVICE_ANSWERS | SERVICE_SPEAKS_FIRST,
    .connection_bytes = sizeof(struct generator),
    .start = start,
    .release = release,
    .opened = opened,
    .data = data,
    .end = end,
    .drained = drained,
    .failed = failed,
    .closed = closed,
};
