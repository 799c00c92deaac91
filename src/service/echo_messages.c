/* SPDX-License-Identifier: MIT */
/*
 * Messages on their way back. Those that came in one piece leave in one write, as far as they fit into the room here;
 * a larger one leaves by itself. Between two pieces nothing waits here, so that one room is enough for all connections.
 *
 * Where the stream has messages itself, frames that came in one of them go back in one, however long: then the room
 * grows for as long as that takes.
 */
#include "service/service_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { ROOM_BYTES = 128 * 1024 };

struct gathered {
    size_t n_bytes, room_bytes;
    bool any; /* a frame, which may be empty as it is written */
    unsigned char *bytes;
};

int echo_messages_start(struct service_run *run)
{
    if (run->frame == NULL)
        return 0;
    struct gathered *gathered = calloc(1, sizeof(*gathered));
    if (gathered == NULL)
        return -ENOMEM;
    gathered->bytes = malloc(ROOM_BYTES);
    if (gathered->bytes == NULL) {
        free(gathered);
        return -ENOMEM;
    }
    gathered->room_bytes = ROOM_BYTES;
    run->state = gathered;
    return 0;
}

void echo_messages_release(struct service_run *run)
{
    struct gathered *gathered = run->state;

    if (gathered != NULL)
        free(gathered->bytes);
    free(gathered);
    run->state = NULL;
}

static void shrink(struct gathered *gathered)
{
    unsigned char *bytes;

    if (gathered->room_bytes == ROOM_BYTES)
        return;
    bytes = realloc(gathered->bytes, ROOM_BYTES);
    if (bytes == NULL)
        return;
    gathered->bytes = bytes;
    gathered->room_bytes = ROOM_BYTES;
}

bool echo_messages_send(struct service_run *run, struct sonde_stream *stream)
{
    struct gathered *gathered = run->state;
    bool sent = true;

    if (gathered->any && (gathered->n_bytes > 0 || run->message_flags & SONDE_MESSAGE))
        sent = service_send(run, stream, gathered->bytes, gathered->n_bytes, run->message_flags & SONDE_TEXT);
    gathered->n_bytes = 0;
    gathered->any = false;
    shrink(gathered);
    return sent;
}

static bool give_up(struct service_run *run, struct sonde_stream *stream, int error)
{
    struct gathered *gathered = run->state;

    gathered->n_bytes = 0;
    gathered->any = false;
    run->host->broken(run, stream, error);
    sonde_stream_abort(stream);
    return false;
}

/* At least twice as much, so that many small frames don't cost as many copies. */
static bool grow(struct gathered *gathered, size_t n_more)
{
    size_t room = gathered->n_bytes + n_more;

    room = room > 2 * gathered->room_bytes ? room : 2 * gathered->room_bytes;
    unsigned char *bytes = realloc(gathered->bytes, room);
    if (bytes == NULL)
        return false;
    gathered->bytes = bytes;
    gathered->room_bytes = room;
    return true;
}

bool echo_messages_add(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    struct gathered *gathered = run->state;
    size_t n_most = sonde_frame_bound(run->frame, n_bytes), n = 0;

    if (n_most > gathered->room_bytes - gathered->n_bytes && !(run->message_flags & SONDE_MESSAGE) &&
        !echo_messages_send(run, stream))
        return false;
    if (n_most > gathered->room_bytes - gathered->n_bytes && !grow(gathered, n_most))
        return give_up(run, stream, -ENOMEM);
    int error = sonde_frame_encode(run->frame, data, n_bytes, gathered->bytes + gathered->n_bytes,
                                   gathered->room_bytes - gathered->n_bytes, &n);
    if (error < 0)
        return give_up(run, stream, error);
    gathered->n_bytes += n;
    gathered->any = true;
    return true;
}
