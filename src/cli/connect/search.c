/* SPDX-License-Identifier: MIT */
#include "cli/connect/search.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

struct searcher {
    pthread_t thread;
    int wanted_fd, done_fd; /* eventfds: one search each */
    int given_up;           /* 0, or why */
    bool ends;

    /* The thread's between the two. */
    const regex_t *regex;
    const char *text;
    regmatch_t match;
    int flags, result;
};

static void tell(int fd)
{
    const uint64_t one = 1;

    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void hear(int fd)
{
    uint64_t n;

    while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
        continue;
}

static void *work(void *user)
{
    struct searcher *searcher = user;

    for (hear(searcher->wanted_fd); !searcher->ends; hear(searcher->wanted_fd)) {
        searcher->result = regexec(searcher->regex, searcher->text, 1, &searcher->match, searcher->flags);
        tell(searcher->done_fd);
    }
    return NULL;
}

static void discard(struct searcher *searcher)
{
    if (searcher->wanted_fd >= 0)
        close(searcher->wanted_fd);
    if (searcher->done_fd >= 0)
        close(searcher->done_fd);
    free(searcher);
}

int searcher_open(struct searcher **ret_searcher)
{
    struct searcher *searcher = calloc(1, sizeof *searcher);
    sigset_t all, before;

    if (searcher == NULL)
        return -ENOMEM;
    searcher->wanted_fd = eventfd(0, EFD_CLOEXEC);
    searcher->done_fd = eventfd(0, EFD_CLOEXEC);
    int error = searcher->wanted_fd < 0 || searcher->done_fd < 0 ? -errno : 0;
    if (error == 0) {
        sigfillset(&all); /* signals are for the main thread */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = -pthread_create(&searcher->thread, NULL, work, searcher);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (error < 0) {
        discard(searcher);
        return error;
    }
    *ret_searcher = searcher;
    return 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* 0: it is done. */
static int await(const struct searcher *searcher, int64_t deadline_ns, int patience_fd)
{
    struct pollfd fds[] = {{.fd = searcher->done_fd, .events = POLLIN}, {.fd = patience_fd, .events = POLLIN}};

    for (;;) {
        int64_t left_ns = deadline_ns == 0 ? NS_PER_S : deadline_ns - now_ns();
        if (left_ns < 0)
            left_ns = 0;
        const struct timespec timeout = {left_ns / NS_PER_S, left_ns % NS_PER_S};
        int n = ppoll(fds, 2, &timeout, NULL);
        if (n > 0 && fds[0].revents != 0)
            return 0;
        if (n > 0)
            return -EINTR;
        if (n == 0 && deadline_ns != 0)
            return -ETIMEDOUT;
    }
}

int searcher_run(struct searcher *searcher, const regex_t *regex, const char *text, regmatch_t *match, int flags,
                 int64_t deadline_ns, int patience_fd)
{
    if (searcher->given_up != 0)
        return searcher->given_up;
    searcher->regex = regex;
    searcher->text = text;
    searcher->match = *match;
    searcher->flags = flags;
    tell(searcher->wanted_fd);
    searcher->given_up = await(searcher, deadline_ns, patience_fd);
    if (searcher->given_up != 0)
        return searcher->given_up;
    hear(searcher->done_fd);
    *match = searcher->match;
    return searcher->result;
}

bool searcher_close(struct searcher *searcher)
{
    if (searcher->given_up != 0) {
        pthread_detach(searcher->thread);
        return false;
    }
    searcher->ends = true;
    tell(searcher->wanted_fd);
    pthread_join(searcher->thread, NULL);
    discard(searcher);
    return true;
}
