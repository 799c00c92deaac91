/* SPDX-License-Identifier: MIT */
/*
 * Talk: the operator and the clients talk, line by line. Clients do not hear each other.
 *
 * What the operator says is queued for each client by itself, so that nobody waits for anybody. A client that takes
 * nothing is told of, and in the end reset: when its queue is full, or when nothing of it has gone for a minute. Lines
 * that come faster than people type (from a pipe) are read as fast as the fastest client takes them.
 *
 * What a client says is shown in whole lines. One that does not end is shown in pieces: after a second of silence,
 * because somebody may be waiting at a prompt, and when it is long, because it may never end.
 *
 * Messages: each is a line or several, whether its last one has its newline or not. What the operator says is a text
 * message without a newline on a WebSocket, and one datagram or packet with it elsewhere, for terminals to show.
 *
 * Half-close: a client that has ended its side has left: it is given what waits for it, and closed. (Nobody can tell it
 * from one that has gone.) The operator's end is each client's end of data; what they still say is shown, and with the
 * last of them talk is over.
 */
#include "service/talk_internal.h"

#include "term/translate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The room that the host has for a connection: where ours is. */
struct own {
    struct talk_client *client; /* NULL: there was no memory for it */
};

/* --- what is looked at by and by -----------------------------------------------------------------------------------
 */

void talk_wake(struct talk *talk, int64_t deadline_ns)
{
    if (!sonde_timer_is_running(&talk->timer) || deadline_ns < talk->timer.deadline_ns)
        sonde_timer_start(&talk->timer, deadline_ns);
}

void talk_want(struct talk *talk)
{
    bool wanted = false;

    for (const struct talk_client *client = talk->first; client != NULL && !wanted; client = client->next)
        wanted = talk_is_here(client) && sonde_stream_queued_bytes(client->stream) <= TALK_ENOUGH_BYTES;
    if (talk->lines_ended)
        wanted = false;
    if (wanted == talk->wanted)
        return;
    talk->wanted = wanted;
    talk->run->host->wants_lines(talk->run, wanted);
}

void talk_drop(struct talk *talk, struct talk_client *client, size_t n_bytes)
{
    uint64_t n_lost = sonde_stream_queued_bytes(client->stream) + (uint64_t)n_bytes;
    char number[TALK_NUMBER], text[128];

    talk_number(n_lost, number);
    snprintf(text, sizeof(text), _("does not read, and is dropped: %s bytes did not reach it."), number);
    client->leaving = true;
    talk->run->host->tell(talk->run, client->stream, text);
    talk->run->host->unanswered(talk->run, client->stream, n_bytes);
    talk->run->host->done(talk->run, client->stream, SERVICE_NOT_READING);
    sonde_stream_abort(client->stream);
    talk_want(talk);
}

void talk_look_at(struct talk *talk, struct talk_client *client)
{
    size_t n_waiting = sonde_stream_queued_bytes(client->stream);
    int64_t now_ns = sonde_loop_now_ns(talk->run->loop);
    char number[TALK_NUMBER], text[128];

    if (client->leaving)
        return;
    switch (talk_look(&client->reader, n_waiting, sonde_stream_sent_bytes(client->stream), now_ns)) {
    case TALK_READS:
        break;
    case TALK_STALLS:
        talk_number(n_waiting, number);
        snprintf(text, sizeof(text), _("is not reading: %s bytes wait."), number);
        talk->run->host->tell(talk->run, client->stream, text);
        break;
    case TALK_READS_AGAIN:
        talk->run->host->tell(talk->run, client->stream, _("is reading again."));
        break;
    case TALK_GIVEN_UP:
        talk_drop(talk, client, 0);
        return;
    }
    if (n_waiting > 0)
        talk_wake(talk, now_ns + TALK_LOOK_NS);
}

/* --- what clients say -----------------------------------------------------------------------------------------------
 */

static void show(struct talk *talk, const struct talk_client *client, const char *text, size_t n_bytes)
{
    talk->run->host->said(talk->run, client->stream, text, n_bytes);
}

/* What there is of its line, though it has not ended. */
static void show_piece(struct talk *talk, struct talk_client *client)
{
    if (client->n_line_bytes == 0)
        return;
    show(talk, client, client->line, client->n_line_bytes);
    client->n_line_bytes = 0;
    client->cut = true;
}

/* The same when there is no room for more. A character of UTF-8 is not cut in two: its beginning waits for the rest. */
static void make_room(struct talk *talk, struct talk_client *client)
{
    size_t n = client->n_line_bytes, n_rest = 0;

    while (n_rest < 3 && ((unsigned char)client->line[n - 1 - n_rest] & 0xc0) == 0x80)
        n_rest++;
    n_rest = (unsigned char)client->line[n - 1 - n_rest] >= 0xc0 ? n_rest + 1 : 0;
    client->n_line_bytes -= n_rest;
    show_piece(talk, client);
    memmove(client->line, client->line + n - n_rest, n_rest);
    client->n_line_bytes = n_rest;
}

/* The line has ended: CR LF and LF are one to who reads it. */
static void show_line(struct talk *talk, struct talk_client *client)
{
    size_t n_bytes = client->n_line_bytes;

    if (n_bytes > 1 && client->line[n_bytes - 2] == '\r')
        client->line[--n_bytes - 1] = '\n';
    /* When only the end was missing, there is nothing more to be seen. */
    if (!client->cut || n_bytes > 1)
        show(talk, client, client->line, n_bytes);
    client->n_line_bytes = 0;
    client->cut = false;
}

static void hear(struct talk *talk, struct talk_client *client, const char *text, size_t n_bytes)
{
    while (n_bytes > 0) {
        size_t n_room = TALK_PIECE_BYTES - client->n_line_bytes;
        size_t n = n_bytes < n_room ? n_bytes : n_room;
        const char *end = memchr(text, '\n', n);
        if (end != NULL)
            n = (size_t)(end - text) + 1;
        memcpy(client->line + client->n_line_bytes, text, n);
        client->n_line_bytes += n;
        text += n;
        n_bytes -= n;
        if (end != NULL)
            show_line(talk, client);
        else if (client->n_line_bytes == TALK_PIECE_BYTES)
            make_room(talk, client);
    }
    client->heard_ns = sonde_loop_now_ns(talk->run->loop);
    if (client->n_line_bytes > 0)
        talk_wake(talk, client->heard_ns + TALK_SILENCE_NS);
}

static void look(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;
    int64_t now_ns = sonde_loop_now_ns(talk->run->loop);

    for (struct talk_client *client = talk->first; client != NULL; client = client->next) {
        if (client->n_line_bytes > 0 && now_ns - client->heard_ns >= TALK_SILENCE_NS)
            show_piece(talk, client);
        else if (client->n_line_bytes > 0)
            talk_wake(talk, client->heard_ns + TALK_SILENCE_NS);
        if (client->reader.waits)
            talk_look_at(talk, client);
    }
    talk_want(talk);
}

/* --- clients come and go ------------------------------------------------------------------------------------------ */

static struct talk_client *client_of(void *own)
{
    return ((struct own *)own)->client;
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct talk *talk = run->state;
    struct talk_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        run->host->broken(run, stream, -ENOMEM);
        sonde_stream_abort(stream);
        return;
    }
    ((struct own *)own)->client = client;
    client->stream = stream;
    client->link = talk->last;
    *talk->last = client;
    talk->last = &client->next;
    talk->somebody_came = true;
    service_says_text(stream);
    if (talk->lines_ended)
        sonde_stream_shutdown(stream);
    talk_want(talk);
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    struct talk_client *client = client_of(own);

    (void)stream;
    if (client == NULL || client->leaving)
        return;
    hear(run->state, client, (const char *)bytes->data, bytes->n_bytes);
    if (!(bytes->flags & SONDE_MESSAGE))
        return;
    if (bytes->flags & SONDE_CUT)
        show_piece(run->state, client);
    else if (bytes->n_bytes == 0 || bytes->data[bytes->n_bytes - 1] != '\n')
        hear(run->state, client, "\n", 1);
    client->cut = false;
}

/* A client that has ended leaves once it has been given all there was for it. */
static void finish(struct talk *talk, struct talk_client *client)
{
    if (!client->ended || client->leaving || sonde_stream_queued_bytes(client->stream) > 0 ||
        sonde_stream_unsent_bytes(client->stream) > 0)
        return;
    client->leaving = true;
    service_close_at_end(talk->run, client->stream, NULL);
}

static void end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct talk *talk = run->state;
    struct talk_client *client = client_of(own);

    (void)stream;
    if (client == NULL || client->leaving)
        return;
    show_piece(talk, client);
    client->ended = true;
    finish(talk, client);
    talk_want(talk);
}

static void drained(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct talk *talk = run->state;
    struct talk_client *client = client_of(own);

    (void)stream;
    if (client == NULL)
        return;
    talk_look_at(talk, client);
    finish(talk, client);
    talk_want(talk);
}

static void failed(struct service_run *run, struct sonde_stream *stream, void *own, int error)
{
    struct talk_client *client = client_of(own);

    (void)stream, (void)error;
    if (client != NULL)
        client->leaving = true;
    talk_want(run->state);
}

static void closed(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct talk *talk = run->state;
    struct talk_client *client = client_of(own);

    (void)stream;
    if (client == NULL)
        return;
    show_piece(talk, client);
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
    else
        talk->last = client->link;
    free(client);
    talk_want(talk);
    if (talk->first != NULL)
        return;
    sonde_timer_stop(&talk->timer);
    if (talk->lines_ended)
        run->host->quit(run);
}

static void lines_end(struct service_run *run)
{
    struct talk *talk = run->state;

    talk->lines_ended = true;
    talk_want(talk);
    for (struct talk_client *client = talk->first; client != NULL; client = client->next) {
        if (talk_is_here(client))
            sonde_stream_shutdown(client->stream);
    }
    if (talk->first == NULL && talk->somebody_came)
        run->host->quit(run);
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

static int start(struct service_run *run)
{
    struct talk *talk = calloc(1, sizeof(*talk));

    if (talk == NULL)
        return -ENOMEM;
    talk->run = run;
    talk->last = &talk->first;
    sonde_timer_init(&talk->timer, run->loop, look, talk);
    run->state = talk;
    return 0;
}

static void release(struct service_run *run)
{
    struct talk *talk = run->state;
    struct talk_client *next;

    sonde_timer_stop(&talk->timer);
    for (struct talk_client *client = talk->first; client != NULL; client = next) {
        next = client->next;
        free(client);
    }
    free(talk);
    run->state = NULL;
}

const struct service service_talk = {
    .name = "talk",
    .help = "talk with the clients, line by line",
    .flags = SERVICE_TAKES_LINES,
    .connection_bytes = sizeof(struct own),
    .start = start,
    .release = release,
    .line = talk_line,
    .lines_end = lines_end,
    .opened = opened,
    .data = data,
    .end = end,
    .drained = drained,
    .failed = failed,
    .closed = closed,
};
