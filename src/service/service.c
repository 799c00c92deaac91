/* SPDX-License-Identifier: MIT */
#include "service/service_internal.h"

#include <errno.h>
#include <sonde/ws.h>
#include <string.h>
#include <sys/socket.h>

/* An answer of this length to an empty datagram is not worth anybody's forging: IP and UDP headers are 28 bytes. */
enum { HARMLESS_BYTES = 64 };

void service_finish(struct service_run *run, struct sonde_stream *stream)
{
    run->host->done(run, stream, SERVICE_SAID_ALL);
    sonde_stream_finish(stream, sonde_loop_now_ns(run->loop) + SERVICE_FINISH_NS);
}

bool service_cannot_send(struct service_run *run, struct sonde_stream *stream, int error)
{
    if ((error != -ENOMEM && error != -ENOBUFS) || !sonde_stream_has_end(stream))
        return true;
    run->host->broken(run, stream, error);
    sonde_stream_abort(stream);
    return false;
}

bool service_send(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes,
                  unsigned flags)
{
    int error = sonde_stream_send(stream, data, n_bytes, flags);

    if (error == -EILSEQ)
        error = sonde_stream_send(stream, data, n_bytes, 0);
    if (error == 0)
        return true;
    if (error == -EMSGSIZE)
        run->host->withheld(run, stream, SERVICE_TOO_LONG, n_bytes);
    else
        run->host->unanswered(run, stream, n_bytes);
    return service_cannot_send(run, stream, error);
}

bool service_is_near(const struct sonde_stream *stream)
{
    static const uint8_t loopback[16] = {[15] = 1}, mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer);
    if (peer.family == AF_INET)
        return peer.u.ip[0] == 127;
    if (peer.family == AF_INET6)
        return memcmp(peer.u.ip, loopback, sizeof(loopback)) == 0 || memcmp(peer.u.ip, mapped, sizeof(mapped)) == 0;
    return true;
}

bool service_may_answer(struct service_run *run, struct sonde_stream *stream, size_t n_asked_bytes,
                        size_t n_answer_bytes)
{
    if (n_answer_bytes <= HARMLESS_BYTES || n_answer_bytes <= n_asked_bytes || service_is_near(stream))
        return true;
    run->host->withheld(run, stream, SERVICE_WOULD_AMPLIFY, n_answer_bytes);
    return false;
}

void service_says_text(struct sonde_stream *stream)
{
    if (sonde_stream_layers(stream) & SONDE_LAYER_HTTP)
        sonde_http_answer(stream, 200, "text/plain; charset=utf-8");
}

void service_close_at_end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    run->host->done(run, stream, SERVICE_ANSWERED);
    if (sonde_stream_layers(stream) & (SONDE_LAYER_TLS | SONDE_LAYER_WS | SONDE_LAYER_HTTP))
        sonde_stream_finish(stream, sonde_loop_now_ns(run->loop) + SERVICE_FINISH_NS);
    else
        sonde_stream_close(stream);
}

time_t service_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}
