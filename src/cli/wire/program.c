/* SPDX-License-Identifier: MIT */
/* A program in its end, by way of its keeper: what that says comes through a pipe, whose end is the end of all of it.
 */
#include "cli/wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NOT_FOUND 127
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_SIGNAL 128

int program_start(struct program *program, struct wire *wire, const sigset_t *mask)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fflush(NULL); /* else a child might write it again */
    pid_t parent = getpid(), keeper = fork();
    if (keeper == 0)
        keeper_run(program, wire, mask, parent, ends[1]);
    int error = keeper < 0 ? -errno : 0;
    close(ends[1]);
    if (error < 0) {
        close(ends[0]);
        return error;
    }
    program->keeper = keeper;
    program->fd = ends[0];
    return 0;
}

static void hear(struct program *program, const struct keeper_says *says)
{
    switch ((enum keeper_word)says->word) {
    case KEEPER_STARTED:
        program->pid = says->value;
        break;
    case KEEPER_CANNOT_ENTER:
    case KEEPER_CANNOT_EXECUTE:
        program->error = says->value;
        program->entered = says->word == KEEPER_CANNOT_EXECUTE;
        break;
    case KEEPER_ENDED:
        program->ended = true;
        program->status = says->value;
        break;
    }
}

/* The pipe is at its end: the keeper has gone, and all that it looked after. */
static void is_over(struct program *program)
{
    int status;
    close(program->fd);
    program->fd = -1;
    while (waitpid(program->keeper, &status, 0) < 0 && errno == EINTR)
        ;
    program->keeper = 0;
    if (!program->ended)
        program->status = SIGKILL; /* somebody has killed the keeper, and so the program */
    program->ended = program->over = true;
}

void program_look(struct program *program)
{
    struct keeper_says says;
    while (program->fd >= 0) {
        ssize_t n = read(program->fd, &says, sizeof says);
        if (n == (ssize_t)sizeof says)
            hear(program, &says);
        else if (n == 0)
            is_over(program);
        else if (n > 0 || errno != EINTR)
            return;
    }
}

void program_end(struct program *program)
{
    if (program->keeper > 0)
        kill(program->keeper, SIGTERM);
}

bool program_runs(const struct program *program)
{
    return program->keeper > 0;
}

int program_exit_status(const struct program *program)
{
    if (program->error < 0)
        return program->error == -ENOENT || program->error == -ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    if (WIFSIGNALED(program->status))
        return STATUS_SIGNAL + WTERMSIG(program->status);
    return WEXITSTATUS(program->status);
}
