/* SPDX-License-Identifier: MIT */
/*
 * SO_LINGER with a time makes close(2) wait, on a non-blocking socket too, until the peer has acknowledged everything
 * or the time is over. A loop can't wait. So the socket gets a second descriptor, which a thread of its own closes and
 * waits on: the first one closes at once, being not the last.
 */
#include "net/net_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *close_and_wait(void *user)
{
    close((int)(intptr_t)user);
    return NULL;
}

void linger_elsewhere(struct sonde_loop *loop, int lingering)
{
    const struct linger none = {0};
    int fd = io_borrow_fd(loop, lingering);
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error = -1;

    if (fd < 0) /* nothing can be done about it */
        return;
    int second = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (second >= 0) {
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        sigfillset(&all); /* signals are for the program's own threads */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&thread, &attributes, close_and_wait, (void *)(intptr_t)second);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (error != 0) {
        /* No descriptor or no thread: the kernel delivers in the background, as it does without the option. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        if (second >= 0)
            close(second);
    }
    io_return_fd(loop, lingering, fd);
}
