/* SPDX-License-Identifier: MIT */
/*
 * Messages on their way back. Those that came in one piece leave in one write, as far as they fit into the room here;
 * a larger one leaves by itself. Between two pieces nothing waits here, so that one room is enough for all connections.
 */
#include "service/service_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { ROOM_BYTES = 128 * 1024 };

struct gathered {
    size_t n_bytes;
    unsigned char bytes[ROOM_BYTES];
};

int echo_messages_start(struct service_run *run)
{
    if (run->frame == NULL)
        return 0;
    struct gathered *gathered = malloc(sizeof(*gathered));
    if (gathered == NULL)
        return -ENOMEM;
    gathered->n_bytes = 0;
    run->state = gathered;
    return 0;
}

void echo_messages_release(struct service_run *run)
{
    free(run->state);
    run->state = NULL;
}

static bool write_out(struct service_run *run, struct sonde_stream *stream, const void *bytes, size_t n_bytes)
{
    int error = n_bytes > 0 ? sonde_stream_write(stream, bytes, n_bytes) : 0;

    if (error == 0)
        return true;
    run->host->unanswered(run, stream, n_bytes);
    service_cannot_send(run, stream, error);
    return false;
}

bool echo_messages_send(struct service_run *run, struct sonde_stream *stream)
{
    struct gathered *gathered = run->state;
    size_t n_bytes = gathered->n_bytes;

    gathered->n_bytes = 0;
    return write_out(run, stream, gathered->bytes, n_bytes);
}

static bool give_up(struct service_run *run, struct sonde_stream *stream, int error)
{
    run->host->broken(run, stream, error);
    sonde_stream_abort(stream);
    return false;
}

static bool send_large(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes,
                       size_t n_most)
{
    unsigned char *bytes = malloc(n_most);
    size_t n = 0;

    if (bytes == NULL)
        return give_up(run, stream, -ENOMEM);
    int error = sonde_frame_encode(run->frame, data, n_bytes, bytes, n_most, &n);
    bool sent = error == 0 ? write_out(run, stream, bytes, n) : give_up(run, stream, error);
    free(bytes);
    return sent;
}

bool echo_messages_add(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    struct gathered *gathered = run->state;
    size_t n_most = sonde_frame_bound(run->frame, n_bytes), n = 0;

    if (n_most > ROOM_BYTES - gathered->n_bytes && !echo_messages_send(run, stream))
        return false;
    if (n_most > ROOM_BYTES)
        return send_large(run, stream, data, n_bytes, n_most);
    int error = sonde_frame_encode(run->frame, data, n_bytes, gathered->bytes + gathered->n_bytes,
                                   ROOM_BYTES - gathered->n_bytes, &n);
    if (error < 0)
        return give_up(run, stream, error);
    gathered->n_bytes += n;
    return true;
}
