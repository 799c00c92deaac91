/* SPDX-License-Identifier: MIT */
#include "cli/connect/connect_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct interrupt *interrupt = user;
    struct signalfd_siginfo info;

    (void)events;
    if (read(interrupt->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        interrupt->number = (int)info.ssi_signo;
        interrupt->came(interrupt->user);
    }
    sonde_poll_start(poll, SONDE_READABLE);
}

static void on_closed(void *user)
{
    struct interrupt *interrupt = user;
    close(interrupt->fd);
}

static const struct sonde_poll_handler poll_handler = {.ready = on_ready, .closed = on_closed};

int interrupt_open(struct interrupt *interrupt, struct sonde_loop *loop, bool also_term, void (*came)(void *user),
                   void *user)
{
    struct sigaction action;
    sigset_t set;

    *interrupt = (struct interrupt){.fd = -1, .came = came, .user = user};
    bool is_ignored = sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    if (is_ignored && !also_term)
        return 0;
    sigemptyset(&set);
    if (!is_ignored)
        sigaddset(&set, SIGINT);
    if (also_term)
        sigaddset(&set, SIGTERM);
    interrupt->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (interrupt->fd < 0)
        return -errno;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int error = sonde_poll_create(loop, interrupt->fd, &poll_handler, interrupt, &interrupt->poll);
    return error < 0 ? error : sonde_poll_start(interrupt->poll, SONDE_READABLE);
}

void interrupt_close(struct interrupt *interrupt)
{
    if (interrupt->poll != NULL)
        sonde_poll_close(interrupt->poll);
    interrupt->poll = NULL;
}
