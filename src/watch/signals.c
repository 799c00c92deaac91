/* SPDX-License-Identifier: MIT */
#include "watch/signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(struct signals *signals, const int *numbers)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *numbers; numbers++) {
        struct sigaction action;
        if (sigaction(*numbers, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, *numbers);
    }
    if (sigprocmask(SIG_BLOCK, &set, &signals->before) != 0)
        return -errno;
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd >= 0)
        return 0;
    int error = -errno;
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
    return error;
}

int signals_next(const struct signals *signals)
{
    struct signalfd_siginfo info;
    return read(signals->fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

void signals_close(struct signals *signals)
{
    while (signals_next(signals) != 0) /* answered by the end; must not strike once unblocked */
        ;
    close(signals->fd);
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
}
