/* SPDX-License-Identifier: MIT */
/* The parent's side: fork, wait, and make a report of one's own when none came. */
#include "lab/run.h"

#include "term/translate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHDOG_FACTOR 10
#define WATCHDOG_NS (20 * NS_PER_S)
#define WATCHDOG_FULL_NS (150 * NS_PER_S)
#define LOOK_MS 100

struct running {
    pid_t pid;
    int fd;
    int64_t start_ns, deadline_ns;
    bool interrupted, too_late;
    int start_error; /* there was no process; a negative errno */
    struct lab_result result;
    size_t n_result; /* bytes of it that came */
    char *text;
    size_t n_text;
};

static int start(const struct experiment *experiment, const struct lab_request *request, FILE *out,
                 struct running *running)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fflush(out);
    fflush(stdout);
    running->pid = fork();
    if (running->pid < 0) {
        int error = -errno;
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    if (running->pid == 0) {
        /* Its own group: it, and all that it starts, can be ended at once; and Ctrl-C is the parent's alone. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        setpgid(0, 0);
        close(ends[0]);
        lab_run_here(experiment, request, ends[1]);
    }
    setpgid(running->pid, running->pid);
    close(ends[1]);
    running->fd = ends[0];
    return 0;
}

/* 1: go on; 0: the end. */
static int take(struct running *running)
{
    struct lab_result *result = &running->result;
    ssize_t n;
    if (running->n_result < sizeof *result) {
        n = read(running->fd, (char *)result + running->n_result, sizeof *result - running->n_result);
        if (n <= 0)
            return n < 0 && errno == EINTR;
        running->n_result += (size_t)n;
        if (running->n_result < sizeof *result)
            return 1;
        if (result->magic != LAB_RESULT_MAGIC || result->n_text > LAB_RESULT_MAX)
            return 0;
        running->text = malloc((size_t)result->n_text + 1);
        return running->text && result->n_text > 0;
    }
    n = read(running->fd, running->text + running->n_text, (size_t)result->n_text - running->n_text);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    running->n_text += (size_t)n;
    return running->n_text < result->n_text;
}

static bool has_died(const struct running *running)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)running->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == running->pid;
}

static void wait_for(struct running *running, int signal_fd)
{
    bool died = false;
    for (;;) {
        struct pollfd polled[] = {{.fd = running->fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
        int n = poll(polled, 2, died ? 0 : LOOK_MS);
        if (n > 0 && polled[1].revents != 0) {
            running->interrupted = true;
            return;
        }
        if (n > 0 && polled[0].revents != 0) {
            if (!take(running))
                return;
            continue;
        }
        /* What it left running may hold the pipe's other end: its own end counts, once the pipe is empty. */
        if (died)
            return;
        died = has_died(running);
        if (!died && lab_now() > running->deadline_ns) {
            running->too_late = true;
            return;
        }
    }
}

/* Waits for the process to end by itself, if it may, and ends all of its group. Returns its wait status. */
static int reap(struct running *running, bool may_end)
{
    int status = 0;
    for (int64_t since_ns = lab_now(); may_end && !has_died(running) && lab_now() - since_ns < 2 * NS_PER_S;)
        lab_sleep(NS_PER_MS / 5);
    kill(-running->pid, SIGKILL);
    kill(running->pid, SIGKILL);
    while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(running->fd);
    return status;
}

static void why_none(const struct running *running, int status, char *ret_text, size_t size_bytes)
{
    if (running->start_error == -EAGAIN)
        snprintf(ret_text, size_bytes, _("No process could be made for the experiment: there may be no more here."));
    else if (running->start_error < 0)
        snprintf(ret_text, size_bytes, _("No process could be made for the experiment: %s."),
                 sonde_strerror(running->start_error));
    else if (running->too_late)
        snprintf(ret_text, size_bytes, _("The experiment had not ended after %.0f s, and was stopped."),
                 (double)(running->deadline_ns - running->start_ns) / NS_PER_S);
    else if (WIFSIGNALED(status))
        snprintf(ret_text, size_bytes, _("The experiment's process was killed by signal %d (SIG%s)."), WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(ret_text, size_bytes, _("The experiment's process ended with status %d, without a report."),
                 WEXITSTATUS(status));
}

void lab_render(const struct report *report, const struct lab_request *request, FILE *out)
{
    switch (request->format) {
    case LAB_TEXT:
        render_text(report, &request->render, out);
        break;
    case LAB_JSON:
        render_json(report, out);
        break;
    case LAB_WHOLE:
        render_whole(report, &request->render, out);
        break;
    case LAB_MARKDOWN:
        render_markdown(report, out);
        break;
    }
}

static int report_death(const struct experiment *experiment, const struct lab_request *request,
                        const struct running *running, int status, FILE *out, struct lab_outcome *outcome)
{
    char why[160];
    struct report *report = report_new(experiment);
    if (!report)
        return -ENOMEM;
    why_none(running, status, why, sizeof why);
    report->prediction = request->prediction;
    report_give_up(report, why);
    report->took_ns = lab_now() - running->start_ns;
    lab_render(report, request, out);
    outcome->failed = report->n_claims == 0;
    outcome->n_not_shown = report->n_claims;
    outcome->not_shown = (UINT32_C(1) << report->n_claims) - 1;
    report_free(report);
    return 0;
}

int lab_run(const struct experiment *experiment, const struct lab_request *request, int signal_fd, FILE *out,
            struct lab_outcome *ret_outcome)
{
    struct lab_outcome outcome = {0};
    struct running running = {.start_ns = lab_now()};
    int64_t usual_ns = WATCHDOG_FACTOR * (int64_t)experiment->milliseconds * NS_PER_MS +
                       (request->full ? WATCHDOG_FULL_NS : WATCHDOG_NS);
    running.deadline_ns = running.start_ns + (request->watchdog_ns > 0 ? request->watchdog_ns : usual_ns);
    int error = running.start_error = start(experiment, request, out, &running);
    if (error < 0) {
        error = report_death(experiment, request, &running, 0, out, &outcome);
        if (error == 0)
            *ret_outcome = outcome;
        return error;
    }
    wait_for(&running, signal_fd);
    bool whole = running.n_result == sizeof running.result && running.result.magic == LAB_RESULT_MAGIC &&
                 running.n_text == running.result.n_text;
    int status = reap(&running, !running.interrupted && !running.too_late);
    if (running.interrupted) {
        outcome.interrupted = true;
    } else if (whole) {
        fwrite(running.text, 1, running.n_text, out);
        outcome.n_not_shown = running.result.n_not_shown;
        outcome.not_shown = running.result.not_shown;
        outcome.failed = running.result.failed;
        outcome.n_pictures = running.result.n_pictures;
        outcome.picture_error = running.result.picture_error;
    } else {
        error = report_death(experiment, request, &running, status, out, &outcome);
    }
    free(running.text);
    if (error == 0)
        *ret_outcome = outcome;
    return error;
}
