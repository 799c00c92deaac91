/* SPDX-License-Identifier: MIT */
/*
 * Experiments that are run from the page. The lab forks, which a program with threads may not do: so sonde starts
 * itself, as `sonde lab NAME --json --whole`, and reads the report from a pipe.
 *
 *   page_lab_run -> [output comes ...] -> the process has ended (its pidfd is readable) -> report, or why there is none
 *
 * It is in a process group of its own, so that Ctrl-C is not for it, and is ended with that group: when the page ends,
 * when it takes too long, or says too much. It is waited for by its pidfd: other children are none of ours. What it
 * starts has asked to die with it.
 */
#include "lab/report.h"
#include "page/page_internal.h"
#include "term/translate.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sonde/poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_BYTES_MAX (16u * 1024 * 1024)
#define LAB_NS (120 * INT64_C(1000000000))
#define READ_BYTES 65536
#define PREDICTION_MAX 128
#define LIST_BYTES (256 * 1024)

extern char **environ;

enum trouble { TROUBLE_NONE, TROUBLE_TIME, TROUBLE_LENGTH, TROUBLE_MEMORY };

struct page_lab {
    struct page *page;
    const struct experiment *running; /* NULL: none */
    pid_t pid;
    int output_fd, exit_fd; /* -1: none; closed when the polls are */
    struct sonde_poll *output, *exit;
    struct sonde_timer patience;
    enum trouble trouble;
    siginfo_t info; /* how it ended */
    struct text text;
    /* Who is to be told. */
    uint64_t viewer;
    int64_t re;
};

/* --- the list ----------------------------------------------------------------------------------------------------- */

static void put_experiment(struct json *json, const struct experiment *experiment)
{
    json_object_begin(json, NULL);
    json_string(json, "name", experiment->name);
    json_string(json, "chapter", lab_chapter_short_name(experiment->chapter));
    json_string(json, "title", experiment->title);
    json_array_begin(json, "claims");
    for (const struct lab_claim *claim = experiment->claims; claim->id; claim++) {
        json_object_begin(json, NULL);
        json_string(json, "id", claim->id);
        json_string(json, "claim", claim->claim);
        json_object_end(json);
    }
    json_array_end(json);
    json_string(json, "systems", experiment->systems);
    json_string(json, "question", experiment->question ? experiment->question : "");
    json_array_begin(json, "choices");
    for (size_t i = 0; experiment->choices && experiment->choices[i]; i++)
        json_string(json, NULL, experiment->choices[i]);
    json_array_end(json);
    json_number(json, "milliseconds", experiment->milliseconds);
    json_object_end(json);
}

void page_lab_list(struct page *page, struct viewer *viewer, int64_t re)
{
    struct json json;
    char *text = malloc(LIST_BYTES);

    if (!text) {
        viewer_result(viewer, re, _("There is no memory for it."), true);
        return;
    }
    json_begin(&json, text, LIST_BYTES);
    json_string(&json, "kind", "experiments");
    json_number(&json, "re", re);
    json_array_begin(&json, "experiments");
    for (size_t i = 0; experiments[i]; i++)
        put_experiment(&json, experiments[i]);
    json_array_end(&json);
    json_string(&json, "needs",
                page->rights & PAGE_RUN ? NULL : _("This page is read-only: experiments are run without that option."));
    size_t n = json_end(&json);
    if (n > 0)
        viewer_send(viewer, text, n - 1);
    free(text);
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

/* NULL: nothing runs any more. */
static void tell_running(struct page *page, const char *name)
{
    char text[256];
    struct json json;

    json_begin(&json, text, sizeof text);
    json_string(&json, "kind", "running");
    json_string(&json, "name", name);
    size_t n = json_end(&json);
    if (n > 0)
        page_to_all(page, text, n - 1);
}

/* It is one line of JSON, and a whole one, or it is none. */
static bool has_report(const struct page_lab *lab)
{
    const struct text *text = &lab->text;

    return lab->trouble == TROUBLE_NONE && !text->failed && text->n_bytes > 2 && text->bytes[0] == '{' &&
           text->bytes[text->n_bytes - 2] == '}' && text->bytes[text->n_bytes - 1] == '\n' &&
           memchr(text->bytes, '\n', text->n_bytes - 1) == NULL;
}

static void send_report(struct page_lab *lab, struct viewer *viewer)
{
    struct text message = {.n_bytes = 0};

    /* The name is one of the lab's own. */
    text_format(&message, "{\"kind\":\"report\",\"re\":%lld,\"name\":\"%s\",\"report\":", (long long)lab->re,
                lab->running->name);
    text_append(&message, lab->text.bytes, lab->text.n_bytes - 1);
    text_string(&message, "}");
    if (message.failed)
        viewer_result(viewer, lab->re, _("There is no memory for it."), true);
    else
        viewer_send(viewer, message.bytes, message.n_bytes);
    text_free(&message);
}

static void send_failure(const struct page_lab *lab, struct viewer *viewer)
{
    char sentence[PAGE_SENTENCE_MAX];
    const char *name = lab->running->name;

    if (lab->trouble == TROUBLE_TIME)
        snprintf(sentence, sizeof sentence, _("%s had not ended after %d s, and was stopped."), name,
                 (int)(LAB_NS / 1000000000));
    else if (lab->trouble == TROUBLE_LENGTH)
        snprintf(sentence, sizeof sentence, _("The report of %s is longer than %u MiB, and is not shown."), name,
                 REPORT_BYTES_MAX / 1024 / 1024);
    else if (lab->trouble == TROUBLE_MEMORY || lab->text.failed)
        snprintf(sentence, sizeof sentence, _("There is no memory for the report of %s."), name);
    else if (lab->info.si_code == CLD_EXITED)
        snprintf(sentence, sizeof sentence, _("%s ended with status %d, without a report."), name, lab->info.si_status);
    else
        snprintf(sentence, sizeof sentence, _("%s was killed by signal %d."), name, lab->info.si_status);
    viewer_result(viewer, lab->re, sentence, false);
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

static void stop(struct page_lab *lab, enum trouble trouble)
{
    if (lab->trouble == TROUBLE_NONE)
        lab->trouble = trouble;
    kill(-lab->pid, SIGKILL);
}

/* All is over, and the next one may be run as soon as this is heard. */
static void conclude(struct page_lab *lab)
{
    struct viewer *viewer = page_find_viewer(lab->page, lab->viewer);

    if (!lab->running || lab->output_fd >= 0 || lab->exit_fd >= 0)
        return;
    if (viewer && has_report(lab))
        send_report(lab, viewer);
    else if (viewer)
        send_failure(lab, viewer);
    text_free(&lab->text);
    lab->running = NULL;
    tell_running(lab->page, NULL);
}

/* The polls' last words: the descriptors are not needed any more. */
static void output_closed(void *user)
{
    struct page_lab *lab = user;

    close(lab->output_fd);
    lab->output_fd = -1;
    conclude(lab);
}

static void exit_closed(void *user)
{
    struct page_lab *lab = user;

    close(lab->exit_fd);
    lab->exit_fd = -1;
    conclude(lab);
}

/* Nobody has to wait long for one that was killed; one that has ended is there already. */
static void reap(struct page_lab *lab)
{
    lab->info = (siginfo_t){.si_code = CLD_EXITED};
    /* While it is not waited for, its number is nobody else's. */
    kill(-lab->pid, SIGKILL);
    while (waitid(P_PIDFD, (id_t)lab->exit_fd, &lab->info, WEXITED) < 0 && errno == EINTR)
        ;
}

static void close_all(struct page_lab *lab)
{
    sonde_timer_stop(&lab->patience);
    if (lab->output)
        sonde_poll_close(lab->output);
    if (lab->exit)
        sonde_poll_close(lab->exit);
    lab->output = lab->exit = NULL;
}

/* Everything that has come; false: that was all. */
static bool read_output(struct page_lab *lab)
{
    for (;;) {
        char *room = text_room(&lab->text, READ_BYTES);
        if (!room) {
            stop(lab, TROUBLE_MEMORY);
            return false;
        }
        ssize_t n = read(lab->output_fd, room, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        lab->text.n_bytes += (size_t)n;
        if (lab->text.n_bytes > REPORT_BYTES_MAX) {
            stop(lab, TROUBLE_LENGTH);
            return false;
        }
    }
}

static void on_output(struct sonde_poll *poll, unsigned events, void *user)
{
    (void)events;
    if (read_output(user))
        sonde_poll_start(poll, SONDE_READABLE);
}

static void on_exit_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct page_lab *lab = user;

    (void)poll, (void)events;
    if (lab->trouble == TROUBLE_NONE)
        read_output(lab);
    reap(lab);
    close_all(lab);
}

static void on_patience(struct sonde_timer *timer)
{
    stop(timer->user, TROUBLE_TIME);
}

static const struct sonde_poll_handler output_handler = {.ready = on_output, .closed = output_closed};
static const struct sonde_poll_handler exit_handler = {.ready = on_exit_ready, .closed = exit_closed};

/* --- its beginning ------------------------------------------------------------------------------------------------ */

static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int output_fd)
{
    sigset_t none, usual;

    /* Our thread blocks all signals, and the program ignores SIGPIPE. */
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &usual);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return error;
}

/* The words stand for themselves: nothing of them is ever looked at by a shell. */
static int start_program(const char *name, const char *prediction, int output_fd, pid_t *ret_pid)
{
    char predicted[sizeof "--prediction=" + PREDICTION_MAX];
    const char *words[] = {"sonde", "lab", name, "--json", "--whole", "--width=100", NULL, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    if (prediction) {
        snprintf(predicted, sizeof predicted, "--prediction=%s", prediction);
        words[6] = predicted;
    }
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return -error;
    posix_spawnattr_init(&attributes);
    error = set_up(&actions, &attributes, output_fd);
    if (error == 0)
        error = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, (char **)words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

static int start(struct page_lab *lab, const struct experiment *experiment, const char *prediction)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int error = start_program(experiment->name, prediction, ends[1], &lab->pid);
    close(ends[1]);
    if (error == 0) {
        lab->exit_fd = (int)syscall(SYS_pidfd_open, lab->pid, 0);
        error = lab->exit_fd < 0 ? -errno : fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        if (error < 0) {
            kill(-lab->pid, SIGKILL);
            waitpid(lab->pid, NULL, 0);
        }
    }
    if (error < 0)
        close(ends[0]);
    else
        lab->output_fd = ends[0];
    return error;
}

/* What cannot be watched is not kept. */
static int watch(struct page_lab *lab)
{
    struct sonde_loop *loop = lab->page->loop;
    int error = sonde_poll_create(loop, lab->output_fd, &output_handler, lab, &lab->output);

    if (error == 0)
        error = sonde_poll_create(loop, lab->exit_fd, &exit_handler, lab, &lab->exit);
    if (error == 0)
        error = sonde_poll_start(lab->output, SONDE_READABLE);
    if (error == 0)
        error = sonde_poll_start(lab->exit, SONDE_READABLE);
    if (error == 0) {
        sonde_timer_start_in(&lab->patience, LAB_NS);
        return 0;
    }
    reap(lab);
    if (!lab->output)
        output_closed(lab);
    if (!lab->exit)
        exit_closed(lab);
    close_all(lab);
    return error;
}

static const struct experiment *find(const char *name)
{
    for (size_t i = 0; experiments[i]; i++) {
        if (strcmp(experiments[i]->name, name) == 0)
            return experiments[i];
    }
    return NULL;
}

/* NULL: no memory. */
static struct page_lab *lab_of(struct page *page)
{
    if (page->lab)
        return page->lab;
    struct page_lab *lab = calloc(1, sizeof *lab);
    if (!lab)
        return NULL;
    lab->page = page;
    lab->output_fd = lab->exit_fd = -1;
    sonde_timer_init(&lab->patience, page->loop, on_patience, lab);
    page->lab = lab;
    return lab;
}

/* NULL: it may be run. */
static const char *why_not(const struct page_lab *lab, const struct experiment *experiment, const char *prediction,
                           bool *ret_busy)
{
    if (!experiment)
        return _("There is no such experiment.");
    if (prediction && strlen(prediction) > PREDICTION_MAX)
        return _("The answer is too long: 128 bytes are the most.");
    *ret_busy = true;
    if (!lab)
        return _("There is no memory for it.");
    /* Between the end of one and the next its descriptors are still being closed. */
    if (lab->running || lab->output_fd >= 0 || lab->exit_fd >= 0)
        return _("Another experiment is running: one at a time.");
    return NULL;
}

void page_lab_run(struct page *page, struct viewer *viewer, int64_t re, const char *name, const char *prediction)
{
    const struct experiment *experiment = find(name);
    struct page_lab *lab = lab_of(page);
    bool busy = false;
    const char *no = why_not(lab, experiment, prediction, &busy);

    if (no) {
        viewer_result(viewer, re, no, busy);
        return;
    }
    int error = start(lab, experiment, prediction);
    if (error == 0)
        error = watch(lab);
    if (error < 0) {
        char sentence[PAGE_SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, _("The experiment cannot be started: %s."), sonde_strerror(error));
        viewer_result(viewer, re, sentence, error == -EAGAIN || error == -ENOMEM);
        return;
    }
    lab->running = experiment;
    lab->trouble = TROUBLE_NONE;
    lab->viewer = viewer->id;
    lab->re = re;
    tell_running(page, experiment->name);
}

/* --- the page's end ----------------------------------------------------------------------------------------------- */

void page_lab_stop(struct page *page)
{
    struct page_lab *lab = page->lab;

    if (!lab || !lab->running)
        return;
    if (lab->exit)
        reap(lab);
    lab->running = NULL;
    text_free(&lab->text);
    close_all(lab);
}

void page_lab_free(struct page *page)
{
    struct page_lab *lab = page->lab;

    if (!lab)
        return;
    if (lab->output_fd >= 0)
        close(lab->output_fd);
    if (lab->exit_fd >= 0)
        close(lab->exit_fd);
    text_free(&lab->text);
    free(lab);
    page->lab = NULL;
}
