/* SPDX-License-Identifier: MIT */
/*
 * Signals are read from a descriptor. Ctrl-Z stops the process as it would stop any other, but the terminal is given
 * back before, and taken again afterwards, when the process is in the foreground; the signals that end it are let
 * through once the terminal is as it was.
 */
#include "cli/typing.h"

#include "cli/say.h"
#include "term/prompt.h"

#include <errno.h>
#include <signal.h>
#include <sonde/poll.h>
#include <sonde/timer.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* When something cannot be done now, it is tried again so often: the terminal takes nothing (Ctrl-S), or belongs to
 * another process (we are a background job). */
#define TRY_AGAIN_NS (100 * INT64_C(1000000))

struct typing {
    struct sonde_loop *loop;
    const struct typing_handler *handler;
    void *user;
    struct term_prompt *prompt;
    struct sonde_poll *keys, *signals;
    unsigned n_polls; /* not closed yet */
    int signal_fd;
    sigset_t taken;     /* signals that were not blocked before */
    bool stopped;       /* by us: SIGCONT is no news */
    bool in_background; /* keys are another process's */
    bool ended; /* keys mean nothing any more, and are not waited for: a terminal that is gone is always ready */
    struct sonde_timer show, again;
};

/* A process has one terminal, and so at most one line that is being typed on it. Everything that prints asks here,
 * wherever it is; but a thread that is not the loop's cannot wait for its turn, and prints as it always does. */
static _Thread_local struct typing *typing_now;

static void take_signals(struct typing *typing);

void typing_make_room(int fd)
{
    struct typing *typing = typing_now;

    if (typing == NULL || !isatty(fd))
        return;
    take_signals(typing);
    term_prompt_hide(typing->prompt);
    if (!sonde_timer_is_running(&typing->show))
        sonde_timer_start_in(&typing->show, 0);
}

static void try_again(struct typing *typing)
{
    if (term_prompt_is_stuck(typing->prompt) || typing->in_background)
        sonde_timer_start_in(&typing->again, TRY_AGAIN_NS);
}

static void await_keys(struct typing *typing)
{
    if (typing->keys != NULL && !typing->in_background && !typing->ended &&
        sonde_poll_start(typing->keys, SONDE_READABLE) != 0)
        sonde_timer_start_in(&typing->again, TRY_AGAIN_NS);
}

static void show(struct sonde_timer *timer)
{
    struct typing *typing = timer->user;

    take_signals(typing);
    if (typing->handler->may_show != NULL && !typing->handler->may_show(typing->user)) {
        sonde_timer_start_in(timer, TRY_AGAIN_NS);
        return;
    }
    term_prompt_show(typing->prompt);
    try_again(typing);
}

/* Is the terminal ours (again)? */
static void enter(struct typing *typing)
{
    typing->in_background = !term_prompt_enter(typing->prompt);
    await_keys(typing);
    try_again(typing);
}

static void again(struct sonde_timer *timer)
{
    struct typing *typing = timer->user;

    term_prompt_writable(typing->prompt);
    enter(typing);
}

/* --- what the prompt tells ------------------------------------------------------------------------------------------
 */

static void on_line(const char *text, size_t n_bytes, void *user)
{
    struct typing *typing = user;

    typing->handler->line(text, n_bytes, typing->user);
}

static void on_end(void *user)
{
    struct typing *typing = user;

    typing->ended = true;
    typing->handler->end(typing->user);
}

static void on_dropped(size_t n_characters, void *user)
{
    (void)user;
    say(_("a line has at most %u characters: %zu more were not taken."), PROMPT_LINE_MAX, n_characters);
}

static const struct term_prompt_handler prompt_handler = {.line = on_line, .end = on_end, .dropped = on_dropped};

static void keys_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct typing *typing = user;

    (void)poll, (void)events;
    take_signals(typing);
    term_prompt_readable(typing->prompt);
    /* A handler may have closed it. */
    if (typing_now != typing)
        return;
    await_keys(typing);
    try_again(typing);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

/* Do what the signal does when nobody has taken it. Returns if the process goes on. */
static void let_through(unsigned signal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, (int)signal);
    raise((int)signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* now */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void take_signal(struct typing *typing, unsigned signal)
{
    switch (signal) {
    case SIGWINCH:
        term_prompt_resized(typing->prompt);
        break;
    case SIGTSTP:
        term_prompt_leave(typing->prompt);
        typing->stopped = true;
        let_through(signal);
        enter(typing);
        break;
    case SIGCONT:
        /* After a stop that nobody could foresee (SIGSTOP) the terminal has been somebody else's. */
        if (!typing->stopped)
            term_prompt_lost(typing->prompt);
        typing->stopped = false;
        enter(typing);
        break;
    default:
        term_prompt_leave(typing->prompt);
        let_through(signal);
        enter(typing);
        break;
    }
}

/* Before anything is drawn: after a stop the terminal is not what it was. */
static void take_signals(struct typing *typing)
{
    struct signalfd_siginfo info;

    while (read(typing->signal_fd, &info, sizeof(info)) == sizeof(info))
        take_signal(typing, info.ssi_signo);
}

static void signals_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct typing *typing = user;

    (void)events;
    take_signals(typing);
    /* Without it the size of the terminal is the last thing to worry about. */
    sonde_poll_start(poll, SONDE_READABLE);
}

/* Those that the program was not told to ignore (nohup). */
static int open_signals(struct typing *typing, bool ends_by_signal)
{
    const int wanted[] = {SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT, SIGHUP, SIGTERM};
    size_t n = sizeof(wanted) / sizeof(wanted[0]);
    sigset_t set, before;

    sigemptyset(&set);
    for (size_t i = 0; i < n - (ends_by_signal ? 0 : 2); i++) {
        struct sigaction action;
        if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
            sigaddset(&set, wanted[i]);
    }
    typing->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (typing->signal_fd < 0)
        return -errno;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    for (size_t i = 0; i < n; i++)
        if (sigismember(&set, wanted[i]) == 1 && sigismember(&before, wanted[i]) == 0)
            sigaddset(&typing->taken, wanted[i]);
    return 0;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void free_when_closed(struct typing *typing)
{
    if (typing->n_polls > 0)
        return;
    if (typing->signal_fd >= 0)
        close(typing->signal_fd);
    free(typing);
}

static void poll_closed(void *user)
{
    struct typing *typing = user;

    typing->n_polls--;
    free_when_closed(typing);
}

static const struct sonde_poll_handler keys_handler = {.ready = keys_ready, .closed = poll_closed};
static const struct sonde_poll_handler signals_handler = {.ready = signals_ready, .closed = poll_closed};

static int open_polls(struct typing *typing)
{
    int error = sonde_poll_create(typing->loop, STDIN_FILENO, &keys_handler, typing, &typing->keys);

    if (error == 0) {
        typing->n_polls++;
        error = sonde_poll_create(typing->loop, typing->signal_fd, &signals_handler, typing, &typing->signals);
    }
    if (error == 0) {
        typing->n_polls++;
        error = sonde_poll_start(typing->signals, SONDE_READABLE);
    }
    return error;
}

int typing_open(struct sonde_loop *loop, bool ends_by_signal, const struct typing_handler *handler, void *user,
                struct typing **ret_typing)
{
    int out = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
    struct typing *typing = calloc(1, sizeof(*typing));

    if (typing == NULL)
        return -ENOMEM;
    *typing = (struct typing){.loop = loop, .handler = handler, .user = user, .signal_fd = -1};
    sigemptyset(&typing->taken);
    sonde_timer_init(&typing->show, loop, show, typing);
    sonde_timer_init(&typing->again, loop, again, typing);
    /* The signals first: from here on the terminal is given back whatever comes. */
    int error = open_signals(typing, ends_by_signal);
    if (error == 0)
        error = term_prompt_open(STDIN_FILENO, out, &prompt_handler, typing, &typing->prompt);
    if (error == 0)
        error = open_polls(typing);
    if (error != 0) {
        typing_close(typing);
        return error;
    }
    typing_now = typing;
    sonde_timer_start_in(&typing->show, 0);
    enter(typing);
    *ret_typing = typing;
    return 0;
}

void typing_set_text(struct typing *typing, const char *text)
{
    term_prompt_set_text(typing->prompt, text);
}

void typing_close(struct typing *typing)
{
    if (typing == NULL)
        return;
    if (typing_now == typing)
        typing_now = NULL;
    term_prompt_close(typing->prompt);
    typing->prompt = NULL;
    pthread_sigmask(SIG_UNBLOCK, &typing->taken, NULL);
    sonde_timer_stop(&typing->show);
    sonde_timer_stop(&typing->again);
    if (typing->keys != NULL)
        sonde_poll_close(typing->keys);
    if (typing->signals != NULL)
        sonde_poll_close(typing->signals);
    typing->keys = typing->signals = NULL;
    free_when_closed(typing);
}
