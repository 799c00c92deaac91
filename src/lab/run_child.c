/* SPDX-License-Identifier: MIT */
/*
 * The experiment's process: a wire, the sampler's thread, the experiment, the report. Whoever ends it, its wire ends
 * with it; and what it forks has asked to be killed when it dies.
 */
#include "lab/lab_internal.h"
#include "lab/run.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SNAP_BYTES 1600 /* a packet of the usual MTU, whole */
#define DISCARD_PORT 9
#define MEET_MS 200

static void die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void prepare_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    pthread_atfork(NULL, NULL, die_with_parent);
}

/* False: none, and the experiment can't do without. */
static bool start_wire(struct lab *lab)
{
    struct wire_settings settings = {
        .snap_bytes = SNAP_BYTES,
        .inherit_settings = true,
        .second_path = lab->experiment->needs & LAB_SECOND_PATH,
    };
    struct sonde_why why = {0};
    char text[512];
    int error = lab->request->without_wire ? -EPERM : wire_start(&settings, &lab->wire, &why);
    if (error == 0)
        return true;
    lab->wire = NULL;
    const char *reason = why.detail[0] ? why.detail : sonde_strerror(error);
    if (lab->experiment->needs & (LAB_WIRE | LAB_SECOND_PATH)) {
        snprintf(text, sizeof text, _("It needs two hosts and a wire between them, which could not be made: %s."),
                 reason);
        report_give_up(lab->report, text);
        return false;
    }
    snprintf(text, sizeof text, _("On this machine's loopback, since namespaces are refused: %s."), reason);
    lab->report->where = strdup(text);
    return true;
}

/* Both ends learn each other's MAC address, so that no experiment's first packet has to wait for ARP. Then all of that
 * is forgotten. A datagram to a port that nobody has is answered with an ICMP error. */
static void meet(struct lab *lab)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(DISCARD_PORT)};
    int fd = lab_socket(lab, END_A, AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return;
    inet_pton(AF_INET, WIRE_B_IPV4, &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send(fd, "", 1, MSG_NOSIGNAL) == 1) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        poll(&polled, 1, MEET_MS);
    }
    close(fd);
    lab_forget(lab);
}

static void say_what_was_lost(struct lab *lab)
{
    char text[256];
    const struct record *record = &lab->record;
    size_t n_lost = record->n_calls_lost + record->n_values_lost;
    if (n_lost > 0) {
        snprintf(text, sizeof text, _("%zu later calls and values found no room, and are not drawn."), n_lost);
        report_remark(lab->report, text);
    }
    if (lab->report->n_items_lost > 0) {
        snprintf(text, sizeof text, _("%zu more pieces of evidence found no room in this report."),
                 lab->report->n_items_lost);
        report_remark(lab->report, text);
    }
}

static int write_picture(const struct lab *lab, const struct report_item *item, unsigned number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%u.svg", lab->request->svg_directory, lab->experiment->name, number);
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    int error = 0;
    if (item->kind == REPORT_PLOT)
        plot_svg(item, file);
    else
        error = render_ladder_svg(item, file);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed)
        error = error ? error : -EIO;
    if (error < 0)
        unlink(path);
    return error;
}

static void write_pictures(const struct lab *lab, struct lab_result *result)
{
    if (!lab->request->svg_directory)
        return;
    for (size_t i = 0; i < lab->report->n_items; i++) {
        const struct report_item *item = &lab->report->items[i];
        if (item->kind != REPORT_PLOT && item->kind != REPORT_LADDER)
            continue;
        int error = write_picture(lab, item, result->n_pictures + 1);
        if (error == 0)
            result->n_pictures++;
        else if (error != -ENOENT && result->picture_error == 0)
            result->picture_error = error;
    }
}

static void write_all(int fd, const void *data, size_t n_bytes)
{
    for (const char *at = data; n_bytes > 0;) {
        ssize_t n = write(fd, at, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(1);
        at += n;
        n_bytes -= (size_t)n;
    }
}

static void send_result(struct lab *lab)
{
    struct lab_result result = {.magic = LAB_RESULT_MAGIC, .n_not_shown = report_n_not_shown(lab->report)};
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = open_memstream(&text, &n_text);
    if (!out)
        _exit(1);
    write_pictures(lab, &result);
    lab_render(lab->report, lab->request, out);
    if (fclose(out) != 0)
        _exit(1);
    for (unsigned i = 0; i < lab->report->n_claims; i++) {
        if (lab->report->verdicts[i].verdict == LAB_NOT_SHOWN)
            result.not_shown |= UINT32_C(1) << i;
    }
    result.failed = lab->report->n_claims == 0 && lab->report->gave_up;
    result.n_text = n_text;
    write_all(lab->result_fd, &result, sizeof result);
    write_all(lab->result_fd, text, n_text);
    free(text);
}

void lab_finish(struct lab *lab)
{
    /* Whoever comes second waits here for the process to end. */
    pthread_mutex_lock(&lab->lock);
    while (lab->finishing) {
        pthread_mutex_unlock(&lab->lock);
        pause();
        pthread_mutex_lock(&lab->lock);
    }
    lab->finishing = true;
    pthread_mutex_unlock(&lab->lock);

    lab->report->took_ns = lab_now() - lab->start_ns;
    settings_read(lab);
    /* Both locks stay taken to the end: other threads may still be at work, and must neither change the report while it
     * is read nor use the wire that is gone. */
    pthread_mutex_lock(&lab->wire_lock);
    pthread_mutex_lock(&lab->lock);
    if (lab->report->n_claims > 0)
        report_give_up(lab->report, _("The experiment did not get as far as this."));
    say_what_was_lost(lab);
    /* No process of the wire is left when the report is read. */
    wire_stop(lab->wire);
    send_result(lab);
    _exit(0);
}

void lab_run_here(const struct experiment *experiment, const struct lab_request *request, int result_fd)
{
    struct lab *lab = calloc(1, sizeof *lab);
    if (!lab)
        _exit(1);
    prepare_signals();
    *lab = (struct lab){
        .experiment = experiment,
        .request = request,
        .result_fd = result_fd,
        .start_ns = lab_now(),
        .report = report_new(experiment),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .wire_lock = PTHREAD_MUTEX_INITIALIZER,
    };
    if (!lab->report)
        _exit(1);
    lab->report->prediction = request->prediction;
    if (start_wire(lab)) {
        if (lab->wire && !(experiment->needs & LAB_COLD))
            meet(lab);
        sampler_start(lab);
        experiment->run(lab);
        sampler_stop(lab);
    }
    lab_finish(lab);
}
