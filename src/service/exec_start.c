/* SPDX-License-Identifier: MIT */
/*
 * Starting a process. posix_spawn shares our memory with the child until the new program runs (vfork(2)), so that what
 * a server of many connections has in its page tables is not copied; and it tells whether the program could be run.
 *
 * The child leads a session of its own: it is out of reach of what is typed on our terminal, and what it starts can be
 * signalled with it. A terminal becomes its controlling one because a leader without one opens it (tty_ioctl(4)): that
 * is why it is opened by name, after the session was made. Whatever is open beyond the three descriptors is closed in
 * the child, ours and what we have inherited alike.
 */
#include "service/exec_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_BYTES = 128 };

/* The child's ends are closed here once it has them. */
struct ends {
    int in[2], out[2], err[2]; /* [0] is read from, [1] written to */
    char terminal[NAME_BYTES];
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_all(struct ends *ends)
{
    for (int i = 0; i < 2; i++) {
        close_one(&ends->in[i]);
        close_one(&ends->out[i]);
        close_one(&ends->err[i]);
    }
}

/* `ours`: which end stays here, and does not block. The other one is as any program expects it. */
static int make_pipe(int ret_ends[2], int ours)
{
    if (pipe2(ret_ends, O_CLOEXEC) != 0)
        return -errno;
    int flags = fcntl(ret_ends[ours], F_GETFL);
    return flags < 0 || fcntl(ret_ends[ours], F_SETFL, flags | O_NONBLOCK) != 0 ? -errno : 0;
}

static int make_ends(const struct service_program *program, struct ends *ends, const char **ret_call)
{
    *ends = (struct ends){.in = {-1, -1}, .out = {-1, -1}, .err = {-1, -1}};
    if (program->pty) {
        *ret_call = "openpt";
        return exec_pty_open(&ends->out[0], ends->terminal, sizeof ends->terminal);
    }
    *ret_call = "pipe";
    int error = make_pipe(ends->in, 1);
    if (error == 0)
        error = make_pipe(ends->out, 0);
    if (error == 0)
        error = make_pipe(ends->err, 0);
    return error;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;

    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    return error;
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct service_program *program,
                       const struct ends *ends)
{
    int error;

    if (program->pty) {
        error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, ends->terminal, O_RDWR, 0);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDERR_FILENO);
    } else {
        error = posix_spawn_file_actions_adddup2(actions, ends->in[0], STDIN_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(actions, ends->out[1], STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(actions, ends->err[1], STDERR_FILENO);
    }
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return error;
}

static int spawn(const struct service_program *program, char *const *environment, const struct ends *ends,
                 pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    error = set_attributes(&attributes);
    if (error == 0)
        error = set_actions(&actions, program, ends);
    if (error == 0)
        error = posix_spawn(ret_pid, program->path, &actions, &attributes, program->argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/* It cannot be watched, and so cannot be kept. It has hardly begun, and a killed process is soon over. */
static void undo(pid_t pid)
{
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int exec_start(const struct service_program *program, char *const *environment, struct started *ret_started,
               const char **ret_call)
{
    struct ends ends;
    pid_t pid;

    int error = make_ends(program, &ends, ret_call);
    if (error == 0) {
        *ret_call = "exec";
        error = spawn(program, environment, &ends, &pid);
    }
    if (error != 0) {
        close_all(&ends);
        return error;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        error = -errno;
        *ret_call = "pidfd_open";
        undo(pid);
        close_all(&ends);
        return error;
    }
    *ret_started =
        (struct started){.pid = pid, .pidfd = pidfd, .in = ends.in[1], .out = ends.out[0], .err = ends.err[0]};
    close_one(&ends.in[0]);
    close_one(&ends.out[1]);
    close_one(&ends.err[1]);
    return 0;
}
