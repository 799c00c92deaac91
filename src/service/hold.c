/* SPDX-License-Identifier: MIT */
/*
 * Hold: listen and never accept. Connections stand all the same, because the kernel answers the handshake: they wait in
 * the accept queue, and hold tells how long it is.
 *
 * It sleeps: while the queue is empty it waits for the listening descriptor to become readable, which is when somebody
 * is there to be accepted. From then on that descriptor stays readable and tells nothing more, so the queue is looked
 * at on a timer, until it is empty again (those who waited have gone, or the program has ended).
 */
#include "service/service_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sonde/poll.h>
#include <sonde/timer.h>
#include <stdlib.h>
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
    unsigned length, limit;
};

/* Look, and tell what is new. Returns whether somebody waits. */
static bool look(struct held *held, bool first)
{
    struct service_run *run = held->run;
    unsigned length, limit;

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

/* Hold one socket of a listener. */
static int hold(struct service_run *run, struct sonde_listener *listener, unsigned index)
{
    unsigned length, limit;
    int error = sonde_listener_queue(listener, index, &length, &limit);

    if (error != 0) {
        run->host->queue_unknown(run, listener, index, error);
        return 0;
    }
    struct held *held = calloc(1, sizeof(*held));
    if (held == NULL)
        return -ENOMEM;
    *held = (struct held){.run = run, .listener = listener, .index = index, .next = run->state};
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
