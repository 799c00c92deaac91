/* SPDX-License-Identifier: MIT */
/*
 * Closing politely.
 *
 * Theory of operation
 *
 * A finishing stream sends what is queued, half-closes, and receives until the peer's end. Then both sides have sent
 * all they had, but our last bytes and our FIN may not have arrived: only the kernel knows, and it has no event for
 * it. TCP_INFO says it: the socket's state is CLOSE once everything was acknowledged (a TIME_WAIT is kept by the
 * kernel apart from the socket), or once it was reset, and then SO_ERROR tells which. So it is asked at once, which
 * on a short way is enough, and then again after pauses that double. A UNIX socket's bytes are in the peer's queue as
 * soon as they are sent; there is nothing to wait for.
 */
#include "net/layer.h"
#include "net/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

struct finishing {
    struct sonde_timer timer; /* fires at the deadline, or when it is time to ask the kernel again */
    struct sonde_stream *stream;
    int64_t deadline_ns, pause_ns;
    bool while_moving;
    uint64_t n_moved; /* when the deadline was set */
};

static const int64_t first_pause_ns = 500 * 1000, longest_pause_ns = 50 * 1000 * 1000;

void finishing_free(struct sonde_stream *stream)
{
    struct finishing *finishing = stream_extra(stream)->finishing;

    if (!(stream->state & STREAM_FINISHING) || finishing == NULL)
        return;
    sonde_timer_stop(&finishing->timer);
    loop_free(stream->loop, finishing, sizeof *finishing);
    stream_extra(stream)->finishing = NULL;
}

static void look(struct finishing *finishing)
{
    struct sonde_stream *stream = finishing->stream;
    struct tcp_info info;
    socklen_t n = sizeof info;

    if (stream_family(stream) != AF_UNIX &&
        call_getsockopt(stream->loop, stream->io.fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
        info.tcpi_state != TCP_CLOSE) {
        int64_t again_ns = sonde_loop_now_ns(stream->loop) + finishing->pause_ns;
        if (finishing->pause_ns < longest_pause_ns)
            finishing->pause_ns *= 2;
        sonde_timer_start(&finishing->timer, again_ns < finishing->deadline_ns ? again_ns : finishing->deadline_ns);
        return;
    }
    int error = 0;
    n = sizeof error;
    call_getsockopt(stream->loop, stream->io.fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0)
        stream_fail(stream, -error);
    else
        sonde_stream_close(stream);
}

/* Bytes received, and bytes of ours that have arrived. */
static uint64_t count_moved(const struct sonde_stream *stream)
{
    uint64_t n_waiting = 0;

    sonde_stream_unacknowledged_bytes(stream, &n_waiting);
    return stream->n_received + stream->n_sent - n_waiting;
}

/* The deadline has come; has something moved, so that there is to be another? */
static bool moves(struct finishing *finishing)
{
    uint64_t n_moved = finishing->while_moving ? count_moved(finishing->stream) : finishing->n_moved;

    if (n_moved == finishing->n_moved)
        return false;
    finishing->n_moved = n_moved;
    finishing->deadline_ns = sonde_loop_now_ns(finishing->stream->loop) + SONDE_MOVING_NS;
    return true;
}

static bool both_have_ended(const struct sonde_stream *stream)
{
    bool has_end = stream->packets == NULL || packet_has_end(stream);

    return (stream->state & STREAM_ENDED || !has_end) && stream->state & STREAM_SHUT;
}

static void on_timer(struct sonde_timer *timer)
{
    struct finishing *finishing = timer->user;

    if (sonde_loop_now_ns(timer->loop) >= finishing->deadline_ns && !moves(finishing))
        stream_fail(finishing->stream, -ETIMEDOUT);
    else if (both_have_ended(finishing->stream))
        look(finishing);
    else
        sonde_timer_start(timer, finishing->deadline_ns);
}

/* Called from inside other calls, so that it may not call back: the look is taken when the loop comes round. */
void stream_check_finished(struct sonde_stream *stream)
{
    struct finishing *finishing = stream_extra(stream)->finishing;

    if (finishing == NULL || stream->state & (STREAM_CLOSING | STREAM_FAILED) || !both_have_ended(stream))
        return;
    sonde_timer_start_in(&finishing->timer, 0);
}

void sonde_stream_finish(struct sonde_stream *stream, int64_t deadline_ns)
{
    if (stream->state & (STREAM_CLOSING | STREAM_FINISHING))
        return;
    if (stream->state & (STREAM_CONNECTING | STREAM_FAILED) || layers_opening(stream)) {
        sonde_stream_close(stream);
        return;
    }
    struct finishing *finishing = loop_alloc(stream->loop, sizeof *finishing);
    if (finishing == NULL) {
        /* Not silently: the peer may not get all. */
        stream->send_error = -ENOMEM;
        stream->state |= STREAM_FINISHING | STREAM_FAILURE_DUE;
        loop_defer(stream->loop, &stream->io);
        return;
    }
    *finishing = (struct finishing){.stream = stream, .deadline_ns = deadline_ns, .pause_ns = first_pause_ns};
    sonde_timer_init(&finishing->timer, stream->loop, on_timer, finishing);
    stream_extra(stream)->finishing = finishing;
    stream->state |= STREAM_FINISHING;
    if (deadline_ns == SONDE_WHILE_MOVING) {
        finishing->while_moving = true;
        finishing->n_moved = count_moved(stream);
        finishing->deadline_ns = sonde_loop_now_ns(stream->loop) + SONDE_MOVING_NS;
    }
    sonde_timer_start(&finishing->timer, finishing->deadline_ns);
    sonde_stream_shutdown(stream);
    stream_check_finished(stream);
}
