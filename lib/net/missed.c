/* SPDX-License-Identifier: MIT */
/*
 * Ends that a multishot receive misses.
 *
 * Theory of operation
 *
 * A multishot receive of io_uring waits for wake-ups of its socket. Two that come before it has dealt with the first
 * count as one, and after taking the data it may not look for what the second was about: when that was a reset behind
 * the data, there is no third, and it waits for ever. Seen on Linux 6.18: 3 of 15,000 connections that were reset right
 * behind their data, and 2 of 100 behind 1.5 MB of it, where receiving puts itself off in between. A receive that is
 * started anew asks the socket first, and finds the end.
 *
 * So a stream that receives multishot and has gone quiet is looked at once: poll(2) says, without taking anything from
 * the socket, whether something is there that the receive ought to have told; then it is started anew. Looking round is
 * the work of one timer per loop, which only runs while something has been received of late, and costs a look at each
 * stream four times a second and a poll for each that has just gone quiet. (Not to be started anew for nothing: with
 * thousands of receives it takes the kernel longer to find the one that is meant.) Engines that wait for readiness miss
 * nothing and have none of this.
 */
#include "net/net_internal.h"

#include <poll.h>

static const int64_t round_ns = INT64_C(250) * 1000 * 1000;

/* stream->fresh */
enum {
    QUIET,     /* nothing was received since it was looked at */
    WAS_FRESH, /* received in the round before this one */
    FRESH,     /* received in this round */
};

static void look_at(struct sonde_stream *stream)
{
    struct pollfd pollfd = {.events = POLLIN | POLLRDHUP};

    if (!(stream->io.active & IO_RECV))
        return;
    pollfd.fd = io_borrow_fd(stream->loop, stream->io.fd);
    bool is_ready = pollfd.fd < 0 || poll(&pollfd, 1, 0) > 0;
    io_return_fd(stream->loop, stream->io.fd, pollfd.fd);
    if (is_ready)
        stream_ask_again(stream);
}

static void look_round(struct sonde_timer *timer)
{
    struct loop_net *net = loop_net(timer->loop);
    struct sonde_stream *stream;
    bool again = false;

    TAILQ_FOREACH(stream, &net->streams, link)
    {
        if (stream->fresh == QUIET)
            continue;
        stream->fresh--;
        if (stream->fresh == QUIET)
            look_at(stream);
        else
            again = true;
    }
    if (again)
        sonde_timer_start_in(timer, round_ns);
}

void missed_note(struct sonde_stream *stream)
{
    struct sonde_timer *timer = &loop_net(stream->loop)->missed;

    if (__builtin_expect(stream->fresh == FRESH, 1) || stream->once > 0 || !io_misses_ends(stream->loop))
        return;
    stream->fresh = FRESH;
    if (timer->fire == NULL)
        sonde_timer_init(timer, stream->loop, look_round, NULL);
    if (!sonde_timer_is_running(timer))
        sonde_timer_start_in(timer, round_ns);
}

void missed_forget(struct sonde_loop *loop)
{
    struct loop_net *net = loop_net(loop);

    /* A timer alone would keep the loop running. */
    if (TAILQ_EMPTY(&net->streams) && net->missed.fire != NULL)
        sonde_timer_stop(&net->missed);
}
