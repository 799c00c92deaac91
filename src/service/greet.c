/* SPDX-License-Identifier: MIT */
/*
 * Greet: say a text, then close. The text is sent exactly as given, in chunks, so that a slow reader of a long one
 * costs one chunk in memory and not the whole.
 *
 * Where there are messages it is one message, however long; a datagram with the text answers each that comes.
 */
#include "service/service_internal.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct greeting {
    uint64_t n_said_bytes;
};

/* What has not been said never will be. */
static void give_up(struct service_run *run, struct sonde_stream *stream, struct greeting *greeting)
{
    if (greeting->n_said_bytes < run->n_text_bytes)
        run->host->unanswered(run, stream, run->n_text_bytes - greeting->n_said_bytes);
    greeting->n_said_bytes = run->n_text_bytes;
}

static void say_more(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct greeting *greeting = own;

    while (greeting->n_said_bytes < run->n_text_bytes) {
        size_t n_bytes = run->n_text_bytes - greeting->n_said_bytes;
        if (n_bytes > CHUNK_BYTES)
            n_bytes = CHUNK_BYTES;
        int error = sonde_stream_write(stream, run->text + greeting->n_said_bytes, n_bytes);
        if (error != 0) {
            give_up(run, stream, greeting);
            service_cannot_send(run, stream, error);
            return;
        }
        greeting->n_said_bytes += n_bytes;
        if (sonde_stream_queued_bytes(stream) > 0)
            return; /* drained goes on */
    }
    /* A queue that was dropped has not been said: failed says why. */
    if (sonde_stream_unsent_bytes(stream) == 0)
        service_finish(run, stream);
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct greeting *greeting = own;

    if (!sonde_stream_has_messages(stream)) {
        service_says_text(stream);
        say_more(run, stream, greeting);
        return;
    }
    greeting->n_said_bytes = run->n_text_bytes;
    if (sonde_stream_has_end(stream) && service_send(run, stream, run->text, run->n_text_bytes, SONDE_TEXT))
        service_finish(run, stream);
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    (void)own;
    if (!sonde_stream_has_end(stream) && service_may_answer(run, stream, bytes->n_whole_bytes, run->n_text_bytes))
        service_send(run, stream, run->text, run->n_text_bytes, SONDE_TEXT);
}

static void drained(struct service_run *run, struct sonde_stream *stream, void *own)
{
    if (!sonde_stream_has_messages(stream))
        say_more(run, stream, own);
}

static void failed(struct service_run *run, struct sonde_stream *stream, void *own, int error)
{
    (void)error;
    give_up(run, stream, own);
}

const struct service service_greet = {
    .name = "greet",
    .help = "send TEXT (or the content of --file), and close",
    .flags = SERVICE_TAKES_TEXT | SERVICE_MANY_THREADS | SERVICE_ANSWERS | SERVICE_SPEAKS_FIRST,
    .connection_bytes = sizeof(struct greeting),
    .opened = opened,
    .data = data,
    .drained = drained,
    .failed = failed,
};
