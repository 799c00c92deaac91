/* SPDX-License-Identifier: MIT */
/*
 * The mailbox: the one way into a loop from another thread. A bounded ring of messages under a lock, and an eventfd
 * that wakes the loop; it is only written when the mailbox was empty, so that a burst costs one wake-up.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void run_messages(struct sonde_loop *loop)
{
    /* Not more than stood there at the start: messages that post messages must not hold the loop. */
    pthread_mutex_lock(&loop->mailbox_lock);
    unsigned n = loop->mailbox_length;
    pthread_mutex_unlock(&loop->mailbox_lock);
    for (; n > 0 && !loop->stop; n--) {
        pthread_mutex_lock(&loop->mailbox_lock);
        struct message message = loop->mailbox[loop->mailbox_first];
        loop->mailbox_first = (loop->mailbox_first + 1) % loop->n_mailbox;
        loop->mailbox_length--;
        pthread_mutex_unlock(&loop->mailbox_lock);
        message.function(message.user);
    }
}

static void on_wake(struct io *io, int result)
{
    struct sonde_loop *loop = (struct sonde_loop *)((char *)io - offsetof(struct sonde_loop, wake));
    uint64_t count;

    (void)result;
    ssize_t got = read(io->fd, &count, sizeof count);
    (void)got; /* EAGAIN: a wake-up without a message does no harm */
    run_messages(loop);
    pthread_mutex_lock(&loop->mailbox_lock);
    bool more = loop->mailbox_length > 0;
    pthread_mutex_unlock(&loop->mailbox_lock);
    if (more) {
        uint64_t one = 1;
        got = write(io->fd, &one, sizeof one);
    }
    if (io_poll_start(loop, io, POLLIN) < 0)
        loop_defer(loop, io); /* try again at the end of the turn */
}

static void on_work(struct io *io)
{
    struct sonde_loop *loop = (struct sonde_loop *)((char *)io - offsetof(struct sonde_loop, wake));

    if (!(io->active & IO_POLL) && io_poll_start(loop, io, POLLIN) < 0)
        loop_defer(loop, io);
}

static const struct io_handler wake_handler = {.poll = on_wake, .work = on_work};

int mailbox_create(struct sonde_loop *loop, unsigned n_messages)
{
    loop->mailbox = loop_alloc(loop, n_messages * sizeof *loop->mailbox);
    if (loop->mailbox == NULL)
        return -ENOMEM;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        int error = -errno;
        loop_free(loop, loop->mailbox, n_messages * sizeof *loop->mailbox);
        return error;
    }
    loop->n_mailbox = n_messages;
    io_init(&loop->wake, &wake_handler, fd);
    pthread_mutex_init(&loop->mailbox_lock, NULL);
    return 0;
}

int mailbox_listen(struct sonde_loop *loop)
{
    return io_poll_start(loop, &loop->wake, POLLIN);
}

void mailbox_destroy(struct sonde_loop *loop)
{
    pthread_mutex_destroy(&loop->mailbox_lock);
    close(loop->wake.fd);
    loop_free(loop, loop->mailbox, loop->n_mailbox * sizeof *loop->mailbox);
}

int sonde_loop_post(struct sonde_loop *loop, void (*function)(void *user), void *user)
{
    pthread_mutex_lock(&loop->mailbox_lock);
    if (loop->mailbox_length == loop->n_mailbox) {
        pthread_mutex_unlock(&loop->mailbox_lock);
        return -ENOBUFS;
    }
    unsigned last = (loop->mailbox_first + loop->mailbox_length) % loop->n_mailbox;
    loop->mailbox[last] = (struct message){function, user};
    bool was_empty = loop->mailbox_length++ == 0;
    /* Under the lock: the loop may be destroyed as soon as the message has run. */
    if (was_empty) {
        uint64_t one = 1;
        ssize_t written = write(loop->wake.fd, &one, sizeof one);
        (void)written; /* cannot be full: it is read on every wake-up */
    }
    pthread_mutex_unlock(&loop->mailbox_lock);
    return 0;
}
