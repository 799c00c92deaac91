/* SPDX-License-Identifier: MIT */
/*
 * Hold: listen and never accept. Connections stand all the same, because the kernel answers the handshake: they wait in
 * the accept queue, and hold tells how long it is.
 *
 * It sleeps: while the queue is empty it waits for the listening descriptor to become readable, which is when somebody
 * is there to be accepted. From then on that descriptor stays readable and tells nothing more, so the queue is looked
 * at on a timer, until it is empty again (those who waited have gone, or the program has ended).
 *
 * Datagrams are not read either: they wait in the socket's receive buffer, and what finds no room there the kernel
 * drops, and counts (SO_MEMINFO, socket(7)). They never go away again. Of UNIX datagrams it is not known how many wait:
 * they are in their senders' buffers.
 */
#include "service/service_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sonde/poll.h>
#include <sonde/timer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_AGAIN_NS (100 * INT64_C(1000000))

/* One listening socket. */
struct held {
    struct service_run *run;
    struct held *next;
    struct sonde_listener *listener;
    unsigned index;
    int fd; /* a duplicate of the listener's: a poll's descriptor must outlive it, the listener does not */
    struct sonde_poll *poll; /* NULL: closed */
    struct sonde_timer timer;
    bool datagrams; /* length and limit are bytes of the receive buffer */
    unsigned length, limit, n_dropped;
};

static int find_buffer(const struct sonde_listener *listener, unsigned index, unsigned *ret_n_bytes,
                       unsigned *ret_limit, unsigned *ret_n_dropped)
{
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t size = sizeof(memory);

    memset(memory, 0, sizeof(memory));
    if (getsockopt(sonde_listener_fd(listener, index), SOL_SOCKET, SO_MEMINFO, memory, &size) != 0)
        return -errno;
    *ret_n_bytes = memory[SK_MEMINFO_RMEM_ALLOC];
    *ret_limit = memory[SK_MEMINFO_RCVBUF];
    *ret_n_dropped = memory[SK_MEMINFO_DROPS];
    return 0;
}

static bool look_at_buffer(struct held *held, bool first)
{
    struct service_run *run = held->run;
    unsigned n_bytes = 0, limit = 0, n_dropped = 0;

    if (find_buffer(held->listener, held->index, &n_bytes, &limit, &n_dropped) != 0)
        return false;
    if (first || n_bytes != held->length || limit != held->limit || n_dropped != held->n_dropped) {
        held->length = n_bytes;
        held->limit = limit;
        held->n_dropped = n_dropped;
        run->host->buffer(run, held->listener, held->index, n_bytes, limit, n_dropped);
    }
    return n_bytes > 0;
}

/* Look, and tell what is new. Returns whether somebody waits. */
static bool look(struct held *held, bool first)
{
    struct service_run *run = held->run;
    unsigned length, limit;

    if (held->datagrams)
        return look_at_buffer(held, first);
    if (sonde_listener_queue(held->listener, held->index, &length, &limit) != 0)
        return false;
    if (first || length != held->length || limit != held->limit) {
        held->length = length;
        held->limit = limit;
        run->host->queue(run, held->listener, held->index, length, limit);
    }
    return length > 0;
}

static void wait_more(struct held *held, bool somebody)
{
    if (held->poll == NULL)
        return;
    /* When there is no memory to wait with, looking from time to time does as well. */
    if (somebody || sonde_poll_start(held->poll, SONDE_READABLE) != 0)
        sonde_timer_start_in(&held->timer, LOOK_AGAIN_NS);
}

static void ready(struct sonde_poll *poll, unsigned events, void *user)
{
    (void)poll, (void)events;
    look(user, false);
    /* Even if nobody waits (they have gone already): the timer keeps a descriptor that is ready for another reason from
     * spinning the loop. */
    wait_more(user, true);
}

static void look_again(struct sonde_timer *timer)
{
    wait_more(timer->user, look(timer->user, false));
}

static void poll_closed(void *user)
{
    const struct held *held = user;

    close(held->fd);
}

static const struct sonde_poll_handler poll_handler = {.ready = ready, .closed = poll_closed};

static bool is_udp(const struct sonde_listener *listener, unsigned index)
{
    struct sonde_url url;

    sonde_listener_address(listener, index, &url);
    return url.scheme == SONDE_SCHEME_UDP;
}

/* Hold one socket of a listener. */
static int hold(struct service_run *run, struct sonde_listener *listener, unsigned index)
{
    bool datagrams = is_udp(listener, index);
    unsigned length, limit;
    int error = datagrams ? 0 : sonde_listener_queue(listener, index, &length, &limit);

    if (error != 0) {
        run->host->queue_unknown(run, listener, index, error);
        return 0;
    }
    struct held *held = calloc(1, sizeof(*held));
    if (held == NULL)
        return -ENOMEM;
    *held = (struct held){.run = run, .listener = listener, .index = index, .datagrams = datagrams, .next = run->state};
    held->fd = fcntl(sonde_listener_fd(listener, index), F_DUPFD_CLOEXEC, 0);
    error = held->fd < 0 ? -errno : sonde_poll_create(run->loop, held->fd, &poll_handler, held, &held->poll);
    if (error != 0) {
        if (held->fd >= 0)
            close(held->fd);
        free(held);
        return error;
    }
    sonde_timer_init(&held->timer, run->loop, look_again, held);
    run->state = held;
    wait_more(held, look(held, true));
    return 0;
}

static int listening(struct service_run *run, struct sonde_listener *listener)
{
    unsigned n = sonde_listener_count(listener);
    int error = 0;

    for (unsigned i = 0; i < n && error == 0; i++)
        error = hold(run, listener, i);
    return error;
}

static void stop(struct service_run *run)
{
    for (struct held *held = run->state; held != NULL; held = held->next) {
        sonde_timer_stop(&held->timer);
        if (held->poll != NULL)
            sonde_poll_close(held->poll);
        held->poll = NULL;
    }
}

static void release(struct service_run *run)
{
    struct held *next;

    for (struct held *held = run->state; held != NULL; held = next) {
        next = held->next;
        free(held);
    }
    run->state = NULL;
}

const struct service service_hold = {
    .name = "hold",
    .help = "listen and never accept: connections wait in the accept queue",
    .flags = SERVICE_LISTENS_ONLY,
    .listening = listening,
    .stop = stop,
    .release = release,
};
