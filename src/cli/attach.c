/* SPDX-License-Identifier: MIT */
#include "cli/attach.h"

#include "cli/say.h"
#include "page/page.h"
#include "term/escape.h"
#include "term/style.h"
#include "trace/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VIEWS_MAX 3
#define FILTER_MAX 2048

struct attach {
    struct program_calls *calls;
    struct capture_live *live;
    struct session *session;
    struct page *page;         /* NULL: none */
    struct sampling *sampling; /* the page's; NULL: all is taken */
    struct view_settings ladder_settings, json_settings, page_settings;
    struct view_run views[VIEWS_MAX];
    size_t n_views;
    FILE *ladder_out, *json_out;
    char no_packets[640];
    const char *where;
    bool running;
    uint8_t our_role;
    int stop_fd;
    pthread_t thread;
};

static void close_json(FILE *file)
{
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0)
        say(_("the trace could not be written whole: %s."), sonde_strerror(-errno));
    else if (failed) /* while it ran, where nobody could say it */
        say(_("the trace could not be written whole, and ends early."));
}

static void attach_free(struct attach *attach)
{
    session_free(attach->session);
    for (size_t i = 0; i < attach->n_views; i++)
        trace_view_close(&attach->views[i]);
    if (attach->live)
        capture_live_close(attach->live);
    program_calls_free(attach->calls);
    if (attach->ladder_out)
        fclose(attach->ladder_out);
    if (attach->json_out)
        close_json(attach->json_out);
    if (attach->stop_fd >= 0)
        close(attach->stop_fd);
    free(attach);
}

static bool add_view(struct attach *attach, const struct view *view, const struct view_settings *settings)
{
    struct sonde_why why;
    if (trace_view_open(view, settings, &attach->views[attach->n_views], &why) < 0)
        return false;
    attach->n_views++;
    return true;
}

/* A stream of its own: standard error is not buffered, and a ladder's rows should come in few writes. */
static bool open_ladder(struct attach *attach)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    attach->ladder_out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!attach->ladder_out) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    attach->ladder_settings = (struct view_settings){
        .out = attach->ladder_out,
        .live = true,
        .unicode = term_is_unicode(),
        .color = term_wants_color(STDERR_FILENO),
        .width = term_width(STDERR_FILENO),
    };
    return add_view(attach, &view_ladder, &attach->ladder_settings);
}

static bool open_json(struct attach *attach, const char *path)
{
    attach->json_out = fopen(path, "we");
    if (!attach->json_out) {
        char shown[256];
        int error = -errno;
        escape_short(path, strlen(path), shown, sizeof shown);
        say(_("%s cannot be written: %s."), shown, sonde_strerror(error));
        return false;
    }
    attach->json_settings = (struct view_settings){.out = attach->json_out, .live = true, .json = true};
    return add_view(attach, &view_json, &attach->json_settings);
}

static bool open_page(struct attach *attach)
{
    attach->page_settings = (struct view_settings){.live = true, .page = attach->page};
    return add_view(attach, &page_view, &attach->page_settings);
}

bool attach_new(const struct attach_settings *settings, struct attach **ret_attach, int *ret_status)
{
    struct attach *attach = calloc(1, sizeof *attach);
    *ret_status = EXIT_NETWORK;
    if (!attach)
        return false;
    attach->our_role = settings->is_client ? ROLE_CLIENT : ROLE_SERVER;
    attach->page = settings->page;
    attach->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    attach->calls = program_calls_new();
    if (attach->stop_fd < 0 || !attach->calls || (settings->ladder && !open_ladder(attach)) ||
        (attach->page && !open_page(attach))) {
        say(_("there is not enough memory, or there are too few descriptors, for a trace."));
        attach_free(attach);
        return false;
    }
    if (settings->json && !open_json(attach, settings->json)) {
        *ret_status = EXIT_MISUSE;
        attach_free(attach);
        return false;
    }
    /* Whoever asked for a trace gets all of it; who has a page open should not notice that it is there. */
    if (attach->page && attach->n_views == 1) {
        attach->sampling = page_sampling(attach->page);
        program_calls_set_sampling(attach->calls, attach->sampling);
    }
    *ret_attach = attach;
    return true;
}

void attach_tap(struct attach *attach, struct taps *taps, struct sonde_loop *loop)
{
    taps_add(taps, loop, program_calls_probe, attach->calls);
}

/* ---- the capture */

static bool is_loopback(const struct sonde_url *url)
{
    const char *host = url->host;
    return host[0] == '\0' || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* Errors about datagrams, and those of their fragments that have no ports. */
#define BESIDE_UDP "icmp or icmp6 or (ip proto 17 and ip[6:2] & 0x1fff != 0) or ip6[6] == 44"

/* False: there is nothing to capture (UNIX sockets, virtual machines'). */
static bool describe(const struct sonde_url *urls, const uint16_t *ports, unsigned n, char ret_filter[FILTER_MAX],
                     bool *ret_loopback)
{
    size_t length = 0;
    bool udp = false;
    *ret_loopback = true;
    ret_filter[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        bool is_udp = urls[i].scheme == SONDE_SCHEME_UDP;
        if (urls[i].scheme != SONDE_SCHEME_TCP && !is_udp)
            continue;
        *ret_loopback = *ret_loopback && is_loopback(&urls[i]);
        int more = snprintf(ret_filter + length, FILTER_MAX - length, "%s%s port %u", length > 0 ? " or " : "",
                            is_udp ? "udp" : "tcp", (unsigned)ports[i]);
        if (more < 0 || (size_t)more >= FILTER_MAX - length - sizeof BESIDE_UDP - sizeof " or ")
            break;
        udp |= is_udp;
        length += (size_t)more;
    }
    if (udp)
        snprintf(ret_filter + length, FILTER_MAX - length, " or %s", BESIDE_UDP);
    return length > 0;
}

static void open_capture(struct attach *attach, const struct sonde_url *urls, const uint16_t *ports, unsigned n)
{
    char filter[FILTER_MAX], detail[400];
    bool loopback;
    struct sonde_why why = {.code = 0};
    if (!describe(urls, ports, n, filter, &loopback)) {
        if (attach->page)
            page_set_no_packets(attach->page, _("No segments: there is nothing here that can be captured."));
        return;
    }
    attach->where = loopback ? "lo" : "any";
    const struct capture_live_options options = {.interface = attach->where, .filter = filter};
    if (capture_live_open(&options, &attach->live, &why) == 0)
        return;
    escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
    if (why.code == -EPERM)
        snprintf(attach->no_packets, sizeof attach->no_packets,
                 _("No segments: capturing on %s needs CAP_NET_RAW. To permit it: %s"), attach->where, detail);
    else
        snprintf(attach->no_packets, sizeof attach->no_packets, _("No segments: capturing on %s failed: %s."),
                 attach->where, detail[0] ? detail : sonde_strerror(why.code));
}

static void *run_thread(void *user)
{
    const struct attach *attach = user;
    session_run(attach->session);
    return NULL;
}

/* Signals are for the threads that expect them: this one would be ended by those that others wait for. */
static int start_thread(struct attach *attach)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&attach->thread, NULL, run_thread, attach);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

void attach_begin(struct attach *attach, const struct sonde_url *urls, const uint16_t *ports, unsigned n)
{
    open_capture(attach, urls, ports, n);
    if (attach->page && attach->no_packets[0])
        page_set_no_packets(attach->page, attach->no_packets);
    const struct session_settings settings = {
        .live = attach->live,
        .where = attach->where,
        .no_packets = attach->no_packets[0] ? attach->no_packets : NULL,
        .calls = attach->calls,
        .our_role = attach->our_role,
        .kernel = true,
        .views = attach->views,
        .n_views = attach->n_views,
        .stop_fd = attach->stop_fd,
        .checksums = true,
        .while_any = true,
        .sampling = attach->sampling,
    };
    attach->session = session_new(&settings);
    int error = attach->session ? start_thread(attach) : ENOMEM;
    attach->running = error == 0;
    if (error != 0)
        say(_("the trace cannot be shown: %s."), sonde_strerror(-error));
}

void attach_end(struct attach *attach)
{
    const uint64_t one = 1;
    struct session_counts counts = {0};
    if (!attach)
        return;
    if (attach->running && write(attach->stop_fd, &one, sizeof one) == sizeof one) {
        pthread_join(attach->thread, NULL);
        session_get_counts(attach->session, &counts);
    }
    if (counts.n_dropped > 0)
        say(ngettext("%" PRIu64 " packet is missing in the trace: the capture's buffer was full.",
                     "%" PRIu64 " packets are missing in the trace: the capture's buffer was full.", counts.n_dropped),
            counts.n_dropped);
    if (counts.n_late > 0)
        say(ngettext("%" PRIu64 " event came too late to be put in order in the trace.",
                     "%" PRIu64 " events came too late to be put in order in the trace.", counts.n_late),
            counts.n_late);
    if (counts.n_connections_left_out > 0)
        say(ngettext("%" PRIu64 " connection was left out of the trace: there were too many.",
                     "%" PRIu64 " connections were left out of the trace: there were too many.",
                     counts.n_connections_left_out),
            counts.n_connections_left_out);
    attach_free(attach);
}
