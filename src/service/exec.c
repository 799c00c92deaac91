/* SPDX-License-Identifier: MIT */
/*
 * Exec: a program for each connection. Its standard input is what the client sends, its standard output goes to the
 * client; its standard error goes to the host, line by line.
 *
 * Theory of operation
 *
 * A child is known from when it was started until everything about it is over: it has ended and was reaped, its
 * connection is closed, and what it said on standard error was passed on. Three things may thus come in any order.
 *
 *   its output ends   the client is told (half-close), after all that was queued. The program may live on, and still
 *                     read: the connection stays.
 *   it ends           it is reaped at once. What it has started may still hold the pipe: output goes on to the client
 *                     until the pipe's end, for as long as the client is there.
 *   the client goes   its pipes are closed, and its process group gets SIGHUP, and SIGKILL after KILL_NS when anything
 *                     of the group is still there then.
 *
 * When output and program are both at their end the connection is closed politely (exec_output.c), and how the program
 * ended is told with it. A connection that goes first is told of as it is; `ended` follows.
 *
 * A client that ends its side only ends the program's input (exec_input.c): nothing is signalled, and the answer may
 * take its time.
 *
 * Processes are watched and signalled through descriptors (pidfd_open(2)): there is no handler for SIGCHLD, and a
 * number that was given to another process meanwhile is never signalled. For the group that takes Linux 6.9; before,
 * the group is signalled while its leader has not been reaped, and no more.
 *
 * At the end of everything the groups get SIGTERM, and their connections go on until the programs end; when patience
 * ends, SIGKILL. A process that even then does not end (it waits for a disk) is left behind, and that is said.
 */
#include "service/exec_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2) /* Linux 6.9 */
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define KILL_NS (INT64_C(5) * 1000000000)
#define LOOK_NS (INT64_C(2) * 1000000)
#define LEAVE_NS (INT64_C(2) * 1000000000) /* from the last SIGKILL until a child is given up */

/* What is kept in the room of a connection. */
struct own {
    struct child *child; /* NULL: none was started */
};

/* --- its process ---------------------------------------------------------------------------------------------------
 */

static bool is_running(const struct child *child)
{
    return child->outcome.fate == SERVICE_RUNNING;
}

/* Signal 0 asks whether there is anybody. False: there is not, or it cannot be known any more. */
static bool signal_group(const struct child *child, int number)
{
    if (syscall(SYS_pidfd_send_signal, child->exit.fd, number, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0)
        return true;
    /* Not reaped: the number is still its own. */
    return errno != ESRCH && is_running(child) && kill(-child->pid, number) == 0;
}

static void kill_group(struct child *child)
{
    signal_group(child, SIGKILL);
    child->killed = true;
    child->hanging_up = false;
    sonde_timer_start_in(&child->timer, is_running(child) ? LEAVE_NS : 0);
}

static void hang_up(struct child *child)
{
    if (child->hanging_up || child->killed || child->over)
        return;
    if (child->exec->cut) {
        kill_group(child);
    } else if (signal_group(child, SIGHUP)) {
        signal_group(child, SIGCONT); /* one that is stopped could not obey */
        child->hanging_up = true;
        child->kill_ns = sonde_loop_now_ns(child->exec->run->loop) + KILL_NS;
        child->pause_ns = LOOK_NS;
        sonde_timer_start(&child->timer, child->kill_ns);
    }
}

static void give_place_back(struct child *child)
{
    struct exec *exec = child->exec;

    if (!child->counted)
        return;
    child->counted = false;
    exec->n_children--;
    if (exec->held && exec->n_children < exec->run->program->n_max) {
        exec->held = false;
        exec->run->host->hold(exec->run, false);
    }
}

static void reap(struct child *child)
{
    struct exec *exec = child->exec;
    siginfo_t info = {.si_pid = 0};
    bool watched = exec_channel_is_open(&child->exit);

    int result =
        waitid(watched ? P_PIDFD : P_PID, (id_t)(watched ? child->exit.fd : child->pid), &info, WEXITED | WNOHANG);
    if (result == 0 && info.si_pid == 0)
        return;
    /* An error: somebody else has reaped it, and how it ended is not known. */
    child->outcome.fate = result == 0 && info.si_code != CLD_EXITED ? SERVICE_SIGNALED : SERVICE_EXITED;
    child->outcome.value = result == 0 ? info.si_status : 0;
    exec_channel_want(&child->exit, SONDE_READABLE, false);
    give_place_back(child);
    /* Its last words come before word of its end. */
    exec_error_go_on(child);
    if (child->stream == NULL)
        exec->run->host->ended(exec->run, child->id, &child->outcome);
}

static void exit_ready(struct child *child, unsigned events)
{
    (void)events;
    if (is_running(child))
        reap(child);
    exec_step(child);
}

/* --- its descriptors -------------------------------------------------------------------------------------------------
 */

static void in_ready(struct child *child, unsigned events)
{
    (void)events;
    exec_input_ready(child);
}

static void out_ready(struct child *child, unsigned events)
{
    if (child->sink == &child->out) {
        if (events & SONDE_HANGUP)
            exec_input_give_up(child); /* nobody has the terminal any more */
        else if (events & SONDE_WRITABLE)
            exec_input_ready(child);
    }
    if (child->out.wanted & SONDE_READABLE && events & (SONDE_READABLE | SONDE_HANGUP))
        exec_output_ready(child);
}

static void err_ready(struct child *child, unsigned events)
{
    (void)events;
    exec_error_ready(child);
}

static void forget(struct child *child)
{
    struct exec *exec = child->exec;

    sonde_timer_stop(&child->timer);
    give_place_back(child);
    LIST_REMOVE(child, link);
    free(child->kept);
    free(child->said);
    free(child);
    if (--exec->n_known == 0)
        exec->run->host->busy(exec->run, false);
}

static void channel_closed(struct child *child)
{
    if (--child->n_channels == 0 && child->over)
        forget(child);
}

static int open_channel(struct child *child, struct channel *channel, int fd,
                        void (*ready)(struct child *child, unsigned events))
{
    *channel = (struct channel){.fd = -1, .child = child, .ready = ready, .closed = channel_closed};
    if (fd < 0)
        return 0;
    int error = exec_channel_open(channel, child->exec->run->loop, fd);
    if (error == 0)
        child->n_channels++;
    return error;
}

/* --- its life
 * ----------------------------------------------------------------------------------------------------------- */

/* It has ended while its group was hung up on: is anybody of the group left? They end as it did, but nothing tells of
 * it, so they are looked at, at pauses that double until they are to be killed. */
static bool group_is_left(struct child *child)
{
    if (!child->hanging_up || !signal_group(child, 0))
        return false;
    int64_t next_ns = sonde_loop_now_ns(child->exec->run->loop) + child->pause_ns;
    child->pause_ns *= 2;
    sonde_timer_start(&child->timer, next_ns < child->kill_ns ? next_ns : child->kill_ns);
    return true;
}

/* Everything is over but closing. */
static void end(struct child *child)
{
    child->over = true;
    sonde_timer_stop(&child->timer);
    exec_channel_close(&child->in);
    exec_channel_close(&child->out);
    exec_channel_close(&child->err);
    exec_channel_close(&child->exit);
    if (child->n_channels == 0)
        sonde_timer_start_in(&child->timer, 0); /* whoever has called may still look at it */
}

void exec_step(struct child *child)
{
    if (child->over)
        return;
    if (child->stream != NULL && !child->gone) {
        if (child->output_over && !is_running(child))
            exec_output_finish(child);
        return;
    }
    if (child->stream != NULL || is_running(child))
        return;
    if (!child->errors_over)
        return;
    exec_channel_close(&child->err);
    if (!group_is_left(child))
        end(child);
}

/* The client has gone, or is to be rid of. */
static void client_gone(struct child *child)
{
    if (child->gone)
        return;
    child->gone = true;
    exec_input_give_up(child);
    exec_output_close(child);
    if (!child->finishing)
        hang_up(child);
}

void exec_break(struct child *child, int error)
{
    struct exec *exec = child->exec;

    if (child->stream == NULL || child->gone || child->finishing)
        return;
    exec->run->host->broken(exec->run, child->stream, error);
    client_gone(child);
    sonde_stream_abort(child->stream);
}

static void leave_behind(struct child *child)
{
    struct exec *exec = child->exec;
    char text[128];

    snprintf(text, sizeof text, _("process %ld does not end, not even by SIGKILL: it is left behind."),
             (long)child->pid);
    exec->run->host->tell(exec->run, child->stream, text);
    child->outcome.fate = SERVICE_SIGNALED;
    child->outcome.value = SIGKILL;
    child->errors_over = true;
    end(child);
}

static void timer_fires(struct sonde_timer *timer)
{
    struct child *child = timer->user;

    if (child->over) {
        forget(child);
        return;
    }
    if (is_running(child) && (child->hanging_up || child->killed))
        reap(child); /* should its descriptor have been unable to tell */
    if (child->hanging_up && sonde_loop_now_ns(timer->loop) >= child->kill_ns) {
        kill_group(child);
    } else if (child->killed && is_running(child)) {
        if (child->exec->cut && child->stream == NULL) {
            leave_behind(child);
            return;
        }
        sonde_timer_start_in(timer, LEAVE_NS);
    }
    exec_step(child);
}

/* --- starting
 * ------------------------------------------------------------------------------------------------------------- */

extern char **environ;

static void say_not_started(struct service_run *run, struct sonde_stream *stream, int error, const char *call)
{
    char name[128], text[512];

    escape_short(run->program->path, strlen(run->program->path), name, sizeof name);
    if (strcmp(call, "exec") != 0)
        snprintf(text, sizeof text, _("%s cannot be started: %s: %s."), name, call, sonde_strerror(error));
    else if (error == -ENOEXEC)
        snprintf(text, sizeof text,
                 _("%s cannot be started: it is no program. A script has to begin with a line such as #!/bin/sh."),
                 name);
    else if (error == -EAGAIN)
        snprintf(text, sizeof text, _("%s cannot be started: there are too many processes (ulimit -u)."), name);
    else
        snprintf(text, sizeof text, _("%s cannot be started: %s."), name, sonde_strerror(error));
    run->host->tell(run, stream, text);
    run->host->broken(run, stream, error);
    sonde_stream_abort(stream);
}

static int start_program(struct service_run *run, struct sonde_stream *stream, struct started *ret_started,
                         const char **ret_call)
{
    struct sonde_address peer, local;

    sonde_stream_peer(stream, &peer);
    sonde_stream_local(stream, &local);
    *ret_call = "malloc";
    char **environment = exec_environment(environ, &peer, &local);
    if (environment == NULL)
        return -ENOMEM;
    int error = exec_start(run->program, environment, ret_started, ret_call);
    free(environment);
    return error;
}

/* All channels, or as many as could be had. */
static int open_channels(struct child *child, const struct started *started)
{
    int error = open_channel(child, &child->exit, started->pidfd, exit_ready), failed;

    failed = open_channel(child, &child->in, started->in, in_ready);
    error = error != 0 ? error : failed;
    failed = open_channel(child, &child->out, started->out, out_ready);
    error = error != 0 ? error : failed;
    failed = open_channel(child, &child->err, started->err, err_ready);
    return error != 0 ? error : failed;
}

static void enlist(struct child *child, struct exec *exec, struct sonde_stream *stream, const struct started *started)
{
    child->exec = exec;
    child->stream = stream;
    child->id = sonde_stream_id(stream);
    child->pid = started->pid;
    child->outcome.fate = SERVICE_RUNNING;
    child->errors_over = started->err < 0;
    child->sink = started->in < 0 ? &child->out : &child->in;
    child->counted = true;
    sonde_timer_init(&child->timer, exec->run->loop, timer_fires, child);
    LIST_INSERT_HEAD(&exec->children, child, link);
    if (exec->n_known++ == 0)
        exec->run->host->busy(exec->run, true);
    if (++exec->n_children >= exec->run->program->n_max && !exec->held) {
        exec->held = true;
        exec->run->host->hold(exec->run, true);
    }
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *room)
{
    struct own *own = room;
    struct exec *exec = run->state;
    struct started started;
    const char *call = "malloc";

    struct child *child = calloc(1, sizeof *child);
    int error = child == NULL ? -ENOMEM : start_program(run, stream, &started, &call);
    if (error != 0) {
        free(child);
        say_not_started(run, stream, error, call);
        return;
    }
    enlist(child, exec, stream, &started);
    own->child = child;
    error = open_channels(child, &started);
    if (error != 0) {
        exec_break(child, error);
        return;
    }
    exec_channel_want(&child->exit, SONDE_READABLE, true);
    exec_channel_want(&child->out, SONDE_READABLE, true);
    exec_channel_want(&child->err, SONDE_READABLE, true);
}

/* --- its connection
 * --------------------------------------------------------------------------------------------------------- */

static struct child *child_of(const void *room)
{
    return ((const struct own *)room)->child;
}

static void data(struct service_run *run, struct sonde_stream *stream, void *room, const struct sonde_lent *bytes)
{
    (void)run, (void)stream;
    struct child *child = child_of(room);

    if (child != NULL)
        exec_messages_take(child, bytes);
}

static void ended(struct service_run *run, struct sonde_stream *stream, void *room)
{
    (void)run, (void)stream;
    struct child *child = child_of(room);

    if (child != NULL)
        exec_input_end(child);
}

static void drained(struct service_run *run, struct sonde_stream *stream, void *room)
{
    (void)run;
    struct child *child = child_of(room);

    if (child == NULL || child->gone)
        return;
    if (sonde_stream_unsent_bytes(stream) > 0)
        exec_output_lost(child);
    else
        exec_output_go_on(child);
    exec_step(child);
}

static void failed(struct service_run *run, struct sonde_stream *stream, void *room, int error)
{
    (void)run, (void)stream, (void)error;
    struct child *child = child_of(room);

    if (child != NULL)
        client_gone(child);
}

static void closed(struct service_run *run, struct sonde_stream *stream, void *room)
{
    (void)run, (void)stream;
    struct child *child = child_of(room);

    if (child == NULL)
        return;
    client_gone(child);
    child->stream = NULL;
    if (child->errors_over && exec_channel_is_open(&child->err))
        exec_error_go_on(child); /* the piece of a line that was waited for */
    else
        exec_step(child);
}

static void outcome(const void *room, struct service_outcome *ret_outcome)
{
    const struct child *child = child_of(room);

    *ret_outcome = child != NULL ? child->outcome : (struct service_outcome){.fate = SERVICE_NOT_STARTED};
}

/* --- the service
 * --------------------------------------------------------------------------------------------------------------- */

static int start(struct service_run *run)
{
    struct exec *exec = malloc(sizeof *exec);

    if (exec == NULL)
        return -ENOMEM;
    exec->run = run;
    LIST_INIT(&exec->children);
    exec->n_children = 0;
    exec->n_known = 0;
    exec->held = false;
    exec->ending = false;
    exec->cut = false;
    exec->deadline_ns = 0;
    sonde_timer_init(&exec->watch, run->loop, exec_input_watch, exec);
    run->state = exec;
    return 0;
}

static void ending(struct service_run *run, int64_t deadline_ns)
{
    struct exec *exec = run->state;
    struct child *child;

    exec->cut = deadline_ns <= sonde_loop_now_ns(run->loop);
    exec->deadline_ns = deadline_ns;
    LIST_FOREACH(child, &exec->children, link)
    {
        if (child->over || child->killed)
            continue;
        if (exec->cut)
            kill_group(child);
        else if (!exec->ending && signal_group(child, SIGTERM))
            signal_group(child, SIGCONT);
    }
    exec->ending = true;
}

static void error_room(struct service_run *run)
{
    struct exec *exec = run->state;
    struct child *child, *next;

    for (child = LIST_FIRST(&exec->children); child != NULL; child = next) {
        next = LIST_NEXT(child, link);
        if (child->errors_wait)
            exec_error_go_on(child);
    }
}

/* The loop has failed if there is still a child: it is not to outlive us. */
static void release(struct service_run *run)
{
    struct exec *exec = run->state;
    struct child *child;

    if (exec == NULL)
        return;
    while ((child = LIST_FIRST(&exec->children)) != NULL) {
        signal_group(child, SIGKILL);
        LIST_REMOVE(child, link);
        free(child->kept);
        free(child->said);
        free(child);
    }
    free(exec);
    run->state = NULL;
}

const struct service service_exec = {
    .name = "exec",
    .help = "run a program for each connection: -- PROGRAM ARGUMENT..., or --sh COMMAND",
    .flags = SERVICE_TAKES_PROGRAM | SERVICE_NEEDS_END,
    .connection_bytes = sizeof(struct own),
    .start = start,
    .ending = ending,
    .release = release,
    .error_room = error_room,
    .outcome = outcome,
    .opened = opened,
    .data = data,
    .end = ended,
    .drained = drained,
    .failed = failed,
    .closed = closed,
};
