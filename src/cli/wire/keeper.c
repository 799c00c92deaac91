/* SPDX-License-Identifier: MIT */
/*
 * A keeper: the parent of one program, between it and us. Whatever a program starts, and however it hides that (by
 * forking twice, by a session of its own), becomes its keeper's child when its own parent ends. So a keeper can end all
 * of it, and it does when we ask for it, and at once when we are gone, however we went.
 *
 * The client is ended when its main process ends: what it has left running is killed. The server may have gone to the
 * background: it is over when nothing of it is left.
 */
#include "cli/wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_NS (10 * NS_PER_MS)
#define CHILDREN_BYTES 65536
#define EXIT_CANNOT_EXECUTE 126

struct keeping {
    int out;
    pid_t pid; /* the program's main process */
    bool is_server, ended, ending, killing;
    int64_t kill_at_ns;
};

static void tell(int fd, enum keeper_word word, int32_t value)
{
    struct keeper_says says = {.word = word, .value = value};
    ssize_t n;
    do
        n = write(fd, &says, sizeof says);
    while (n < 0 && errno == EINTR);
}

/* ---- the program */

static void set_environment(void)
{
    setenv("SONDE_A", WIRE_A_IPV4, 1);
    setenv("SONDE_B", WIRE_B_IPV4, 1);
    setenv("SONDE_A6", WIRE_A_IPV6, 1);
    setenv("SONDE_B6", WIRE_B_IPV6, 1);
}

/* The server is no part of the terminal's foreground; the client stays with us, so that it may read there, and gets
 * what is typed to end it. */
static void leave_terminal(void)
{
    setpgid(0, 0);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        dup2(fd, STDIN_FILENO);
}

static _Noreturn void become_program(const struct program *program, struct wire *wire, const sigset_t *mask,
                                     pid_t keeper, int out)
{
    if (program->end == END_B)
        leave_terminal();
    set_environment();
    int error = wire_enter(wire, program->end);
    if (error < 0) {
        tell(out, KEEPER_CANNOT_ENTER, error);
        _exit(EXIT_CANNOT_EXECUTE);
    }
    /* Entering takes it away, so it stands behind it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(EXIT_CANNOT_EXECUTE);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    tell(out, KEEPER_STARTED, getpid());
    execvp(program->argv[0], program->argv);
    tell(out, KEEPER_CANNOT_EXECUTE, -errno);
    _exit(EXIT_CANNOT_EXECUTE);
}

/* ---- looking after it */

static int64_t now_ns(void)
{
    return verb_now_ns();
}

/* Our children, as the kernel lists them: the program, and what lost its parent. */
static void signal_children(int number)
{
    static char text[CHILDREN_BYTES];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    for (char *at = text, *end; *at; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        if (pid > 1)
            kill((pid_t)pid, number);
    }
}

static void signal_all(const struct keeping *keeping, int number)
{
    if (keeping->is_server && !keeping->ended)
        kill(-keeping->pid, number);
    else if (!keeping->ended)
        kill(keeping->pid, number);
    if (keeping->is_server || number == SIGKILL)
        signal_children(number);
}

/* False: there are no children any more. */
static bool reap(struct keeping *keeping)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != keeping->pid)
            continue;
        keeping->ended = true;
        tell(keeping->out, KEEPER_ENDED, status);
    }
    return pid == 0 || errno != ECHILD;
}

/* The next signal that concerns us; 0: it is time to look again. */
static int wait_for_signal(const struct keeping *keeping, const sigset_t *signals)
{
    bool again = keeping->killing;
    int64_t until_ns = keeping->kill_at_ns, now = now_ns();
    if (again)
        until_ns = now + AGAIN_NS;
    if (!again && !keeping->ending) {
        int number = sigwaitinfo(signals, NULL);
        return number > 0 ? number : 0;
    }
    int64_t left_ns = until_ns > now ? until_ns - now : 0;
    struct timespec left = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
    int number = sigtimedwait(signals, NULL, &left);
    return number > 0 ? number : 0;
}

static void keep(struct keeping *keeping, const sigset_t *signals)
{
    while (reap(keeping)) {
        if (keeping->ended && !keeping->is_server)
            keeping->killing = true; /* what it has left behind */
        if (keeping->ending && now_ns() >= keeping->kill_at_ns)
            keeping->killing = true;
        if (keeping->killing)
            signal_all(keeping, SIGKILL);
        int number = wait_for_signal(keeping, signals);
        if (number == SIGUSR1) { /* our parent is gone */
            keeping->killing = true;
        } else if (number == SIGTERM && !keeping->ending) {
            keeping->ending = true;
            keeping->kill_at_ns = now_ns() + PROGRAM_PATIENCE_NS;
            signal_all(keeping, SIGTERM);
        }
    }
}

/* Nothing of ours stays open in it, but its voice: others wait for their ends. */
static void close_all_but(int fd)
{
    if (fd > STDERR_FILENO + 1)
        syscall(SYS_close_range, STDERR_FILENO + 1, fd - 1, 0);
    syscall(SYS_close_range, fd + 1, ~0u, 0);
}

_Noreturn void keeper_run(const struct program *program, struct wire *wire, const sigset_t *mask, pid_t parent, int out)
{
    struct keeping keeping = {.out = out, .is_server = program->end == END_B};
    sigset_t all, signals;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid();
    if (getppid() != parent)
        _exit(EXIT_NETWORK);
    keeping.pid = fork();
    if (keeping.pid == 0)
        become_program(program, wire, mask, self, out);
    if (keeping.pid < 0) {
        tell(out, KEEPER_CANNOT_ENTER, -errno);
        _exit(EXIT_NETWORK);
    }
    close_all_but(out);
    keep(&keeping, &signals);
    _exit(EXIT_DONE);
}
