/* SPDX-License-Identifier: MIT */
/*
 * Traces on demand: while somebody looks at a TCP or UDP row, exactly that connection's packets are captured.
 *
 * Theory of operation
 *
 * page_traces_follow, on the page's thread, holds what is looked at against what is traced. A trace has a thread of its
 * own, since asking for the right to capture may take a while: it opens the capture, runs a session whose one view is
 * the page, and frees both. The page's thread only tells it to stop, by its descriptor, and joins it when it has said
 * that it is over. Where capturing is not permitted the session asks the kernel alone, and the page says why.
 *
 * Both rows of a connection within this machine have one trace. One that is looked at again while its trace is still
 * ending waits for the next turn, as does one for which there is no place. A trace that has ended by itself keeps its
 * place until nobody looks: it would end again.
 *
 * Each session has a number of its own, with which the store tells its connections from those of the others.
 */
#include "observe/capture/capture.h"
#include "page/page_internal.h"
#include "term/escape.h"
#include "term/translate.h"
#include "trace/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TRACES_MAX = 4,
    DEMANDS_MAX = 64,
    FILTER_MAX = 1024,
};

#define BUFFER_BYTES ((uint32_t)8 << 20) /* of one capture: it is of one connection */

struct trace {
    struct page *page;
    bool is_used, is_wanted, is_stopping;
    struct sonde_address local, peer; /* as they are on the wire */
    uint8_t protocol;
    uint64_t session;
    int stop_fd;
    pthread_t thread;
    atomic_bool is_over; /* the last that its thread says */
};

struct page_traces {
    uint64_t last_session;
    struct trace trace[TRACES_MAX];
};

/* --- addresses ---------------------------------------------------------------------------------------------------- */

/* IPv4 in IPv6's clothes is IPv4 on the wire. */
static struct sonde_address on_wire(const struct sonde_address *address)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    struct sonde_address plain = *address;

    if (address->family == AF_INET6 && memcmp(address->u.ip, prefix, sizeof prefix) == 0) {
        plain = (struct sonde_address){.family = AF_INET, .port = address->port};
        memcpy(plain.u.ip, address->u.ip + sizeof prefix, 4);
    }
    return plain;
}

static bool is_same_ip(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->family == other->family && memcmp(one->u.ip, other->u.ip, one->family == AF_INET6 ? 16 : 4) == 0;
}

static bool is_same(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->port == other->port && is_same_ip(one, other);
}

static bool is_loopback(const struct sonde_address *address)
{
    return address->family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address->u.ip)
                                       : address->u.ip[0] == 127;
}

static bool is_of_interface(const struct sonde_address *address)
{
    struct ifaddrs *all = NULL;
    bool found = false;

    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
        const struct sockaddr *own = one->ifa_addr;
        if (own == NULL || own->sa_family != address->family)
            continue;
        const void *ip = own->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)own)->sin6_addr
                                                    : (const void *)&((const struct sockaddr_in *)own)->sin_addr;
        found = memcmp(address->u.ip, ip, own->sa_family == AF_INET6 ? 16 : 4) == 0;
    }
    freeifaddrs(all);
    return found;
}

/* What this machine says to itself goes over lo, also where the addresses are those of another interface. */
static const char *interface_of(const struct trace *trace)
{
    bool is_own = is_loopback(&trace->peer) || is_same_ip(&trace->local, &trace->peer) || is_of_interface(&trace->peer);

    return is_own ? "lo" : "any";
}

/* --- the capture, on the trace's thread --------------------------------------------------------------------------- */

/* This four-tuple, and errors that this end is told. Of a datagram's fragments only the first has ports. */
static void put_filter(const struct trace *trace, char ret_filter[FILTER_MAX])
{
    char local[INET6_ADDRSTRLEN], peer[INET6_ADDRSTRLEN];
    bool is_6 = trace->local.family == AF_INET6, is_udp = trace->protocol == IPPROTO_UDP;
    unsigned local_port = trace->local.port, peer_port = trace->peer.port;

    inet_ntop(trace->local.family, trace->local.u.ip, local, sizeof local);
    inet_ntop(trace->peer.family, trace->peer.u.ip, peer, sizeof peer);
    int n = snprintf(ret_filter, FILTER_MAX,
                     "(%s and ((src host %s and src port %u and dst host %s and dst port %u) or "
                     "(src host %s and src port %u and dst host %s and dst port %u))) or (%s and host %s)",
                     is_udp ? "udp" : "tcp", local, local_port, peer, peer_port, peer, peer_port, local, local_port,
                     is_6 ? "icmp6" : "icmp", local);
    if (is_udp)
        snprintf(ret_filter + n, FILTER_MAX - (size_t)n, " or (host %s and host %s and %s)", local, peer,
                 is_6 ? "ip6[6] == 44" : "ip proto 17 and ip[6:2] & 0x1fff != 0");
}

/* NULL: the page has been told why. */
static struct capture_live *open_capture(const struct trace *trace, const char *where, char *ret_why, size_t size_bytes)
{
    char filter[FILTER_MAX], detail[400];
    const struct capture_live_options options = {.interface = where, .filter = filter, .buffer_bytes = BUFFER_BYTES};
    struct capture_live *live = NULL;
    struct sonde_why why = {.code = 0};

    put_filter(trace, filter);
    if (capture_live_open(&options, &live, &why) == 0) {
        page_set_no_packets(trace->page, NULL);
        return live;
    }
    escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
    if (why.code == -EPERM)
        snprintf(ret_why, size_bytes, _("No segments: capturing on %s needs CAP_NET_RAW. To permit it: %s"), where,
                 detail);
    else
        snprintf(ret_why, size_bytes, _("No segments: capturing on %s failed: %s."), where,
                 detail[0] != '\0' ? detail : sonde_strerror(why.code));
    page_set_no_packets(trace->page, ret_why);
    return NULL;
}

static void run_session(const struct trace *trace, struct view_run *view, struct capture_live *live, const char *where,
                        const char *no_packets)
{
    /* A is the client; where nobody says who that is, the end with the higher port. */
    bool local_is_a = trace->local.port >= trace->peer.port;
    const struct sonde_address ends[N_ENDS] = {local_is_a ? trace->local : trace->peer,
                                               local_is_a ? trace->peer : trace->local};
    const struct session_settings settings = {
        .live = live,
        .where = where,
        .no_packets = no_packets[0] != '\0' ? no_packets : NULL,
        .kernel = true,
        .ends = trace->protocol == IPPROTO_TCP ? ends : NULL,
        .views = view,
        .n_views = 1,
        .stop_fd = trace->stop_fd,
        .checksums = true,
        .while_any = true,
    };
    struct session *session = session_new(&settings);

    if (session != NULL)
        session_run(session);
    session_free(session);
}

static void *run(void *user)
{
    struct trace *trace = user;
    const struct view_settings settings = {.live = true, .page = trace->page, .session = trace->session};
    const char *where = interface_of(trace);
    char no_packets[640] = "";
    struct view_run view;
    struct sonde_why why;
    struct capture_live *live = open_capture(trace, where, no_packets, sizeof no_packets);

    if (trace_view_open(&page_view, &settings, &view, &why) == 0) {
        run_session(trace, &view, live, where, no_packets);
        trace_view_close(&view);
    }
    capture_live_close(live);
    store_session_over(trace->page->store, trace->session);
    atomic_store(&trace->is_over, true);
    return NULL;
}

/* --- which there are, on the page's thread ------------------------------------------------------------------------ */

static void stop(struct trace *trace)
{
    const uint64_t one = 1;

    if (!trace->is_stopping && write(trace->stop_fd, &one, sizeof one) == sizeof one)
        trace->is_stopping = true;
}

static void join(struct trace *trace)
{
    pthread_join(trace->thread, NULL);
    close(trace->stop_fd);
    trace->is_used = false;
}

static bool is_of(const struct trace *trace, const struct demand *demand)
{
    struct sonde_address local = on_wire(&demand->local), peer = on_wire(&demand->peer);

    return trace->is_used && trace->protocol == demand->protocol &&
           ((is_same(&trace->local, &local) && is_same(&trace->peer, &peer)) ||
            (is_same(&trace->local, &peer) && is_same(&trace->peer, &local)));
}

static struct trace *find(struct page_traces *traces, const struct demand *demand)
{
    for (int i = 0; i < TRACES_MAX; i++) {
        if (is_of(&traces->trace[i], demand))
            return &traces->trace[i];
    }
    return NULL;
}

/* A place; NULL: all are taken. *ret_soon: one of them will be free in a moment. */
static struct trace *find_place(struct page_traces *traces, bool *ret_soon)
{
    *ret_soon = false;
    for (int i = 0; i < TRACES_MAX; i++) {
        if (!traces->trace[i].is_used)
            return &traces->trace[i];
        *ret_soon |= traces->trace[i].is_stopping;
    }
    return NULL;
}

static int begin_thread(struct trace *trace)
{
    sigset_t all, before;

    sigfillset(&all); /* signals are for the threads that expect them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(&trace->thread, NULL, run, trace);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int begin(struct page *page, struct trace *trace, const struct demand *demand)
{
    trace->page = page;
    trace->is_wanted = true;
    trace->is_stopping = false;
    trace->local = on_wire(&demand->local);
    trace->peer = on_wire(&demand->peer);
    trace->protocol = demand->protocol;
    trace->session = ++page->traces->last_session;
    atomic_store(&trace->is_over, false);
    trace->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (trace->stop_fd < 0)
        return -errno;
    int error = begin_thread(trace);
    if (error < 0)
        close(trace->stop_fd);
    trace->is_used = error == 0;
    return error;
}

/* Those who look at this row, once each. */
static void tell(struct page *page, uint64_t row, const char *sentence, bool is_busy)
{
    for (struct viewer *viewer = page->viewers; viewer != NULL; viewer = viewer->next) {
        if (viewer->row != row || viewer->is_told_why)
            continue;
        viewer->is_told_why = true;
        viewer_result(viewer, 0, sentence, is_busy);
    }
}

static void begin_if_possible(struct page *page, const struct demand *demand)
{
    bool soon;
    char text[PAGE_SENTENCE_MAX];
    struct trace *place = find_place(page->traces, &soon);

    if (place == NULL && !soon) {
        snprintf(text, sizeof text,
                 _("Packets of %d other connections are captured for those who look at them, and that is the most: "
                   "this one's will be when one of those is closed here."),
                 TRACES_MAX);
        tell(page, demand->row, text, true);
        return;
    }
    int error = place != NULL ? begin(page, place, demand) : 0;
    if (error < 0) {
        snprintf(text, sizeof text, _("This connection's packets cannot be captured: %s."), sonde_strerror(error));
        tell(page, demand->row, text, false);
    }
}

/* What is over is joined; what nobody wants any more is stopped. */
static void tidy(struct page_traces *traces)
{
    for (int i = 0; i < TRACES_MAX; i++) {
        struct trace *trace = &traces->trace[i];
        if (!trace->is_used)
            continue;
        if (!trace->is_wanted)
            stop(trace);
        if (trace->is_stopping && atomic_load(&trace->is_over))
            join(trace);
    }
}

void page_traces_follow(struct page *page)
{
    struct demand demands[DEMANDS_MAX];

    if (!page->settings.traces)
        return;
    size_t n = page->ending ? 0 : store_demands(page->store, demands, DEMANDS_MAX);
    if (page->traces == NULL && (n == 0 || (page->traces = calloc(1, sizeof *page->traces)) == NULL))
        return;
    for (int i = 0; i < TRACES_MAX; i++)
        page->traces->trace[i].is_wanted = false;
    for (size_t i = 0; i < n; i++) {
        struct trace *trace = find(page->traces, &demands[i]);
        if (trace != NULL)
            trace->is_wanted = true;
    }
    tidy(page->traces);
    for (size_t i = 0; i < n; i++) {
        if (!demands[i].is_ended && find(page->traces, &demands[i]) == NULL)
            begin_if_possible(page, &demands[i]);
    }
}

void page_traces_free(struct page *page)
{
    if (page->traces == NULL)
        return;
    for (int i = 0; i < TRACES_MAX; i++) {
        if (page->traces->trace[i].is_used)
            stop(&page->traces->trace[i]);
    }
    for (int i = 0; i < TRACES_MAX; i++) {
        if (page->traces->trace[i].is_used)
            join(&page->traces->trace[i]);
    }
    free(page->traces);
    page->traces = NULL;
}
