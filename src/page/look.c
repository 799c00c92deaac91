/* SPDX-License-Identifier: MIT */
/*
 * The kernel's sockets, looked at with watch's parts, on the page's thread.
 *
 * A look asks for all sockets of the kinds that are wanted, and costs 2 to 3 us for each: so it is made every 500 ms
 * while there are viewers, every 2 s while there are none, and in any case no oftener than that a hundredth of the time
 * is spent on it. Where only streams of ours are shown, only their ports are asked for. The one socket that somebody
 * looks at is asked for by itself, every 100 ms.
 *
 * Owners are searched for in /proc, which is dearer: only where sockets are rows, while there are viewers, and for a
 * hundredth of the time.
 */
#include "page/store_parts_internal.h"
#include "term/translate.h"
#include "watch/source.h"
#include "watch/words.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WITH (SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY)
#define INTERVAL_NS (NS_PER_S / 2)
#define ALONE_NS (2 * NS_PER_S) /* while there are no viewers */
#define POINT_NS (100 * NS_PER_MS)
#define LOOK_SHARE 100
#define OWNERS_NS (5 * NS_PER_S)
#define OWNERS_SHARE 100
#define PORTS_MAX 16
#define WATCHED_MAX 64
#define DEATHS_AT_ONCE 10000

struct look {
    struct store *store;
    enum page_rows mode;
    struct watch_settings settings;
    struct source source;
    bool is_open;                  /* the kernel is asked */
    struct sockets_deaths *deaths; /* NULL: the kernel does not tell, or is not asked */
    struct model model;
    struct sockets_filter *ports; /* of our own making; NULL: all */
    uint16_t port[PORTS_MAX];
    size_t n_ports;
    bool all_ports;
    int64_t first_ns, last_ns, next_ns, cost_ns, points_ns;
    unsigned n_viewers;
    char why[192];
};

/* What there is to say is said by whoever opened it. */
static void say_nothing(const char *format, ...)
{
    (void)format;
}

static void on_change(const struct change *change, void *user);

int look_new(struct store *store, const struct page_settings *settings, struct look **ret_look)
{
    struct look *look = calloc(1, sizeof *look);
    struct sonde_why why;
    if (!look)
        return -ENOMEM;
    look->store = store;
    look->mode = settings->rows;
    look->settings = (struct watch_settings){.kinds = settings->kinds, .filter = settings->filter, .say = say_nothing};
    if (settings->kinds != 0) {
        int error = source_open(&look->source, &look->settings);
        if (error != 0 && look->mode == PAGE_ROWS_SOCKETS) {
            free(look);
            return error;
        }
        look->is_open = error == 0; /* other rows are there without it */
    }
    model_init(&look->model, true);
    look->model.on_change = on_change;
    look->model.user = look;
    if (look->is_open && look->mode == PAGE_ROWS_SOCKETS && (settings->kinds & SOCKETS_TCP) &&
        sockets_deaths_open(&look->deaths, &why) != 0)
        look->deaths = NULL;
    *ret_look = look;
    return 0;
}

void look_free(struct look *look)
{
    if (!look)
        return;
    sockets_deaths_close(look->deaths);
    model_free(&look->model);
    filter_free(look->ports);
    if (look->is_open)
        source_close(&look->source);
    free(look);
}

void look_set_filter(struct look *look, unsigned kinds, const struct sockets_filter *filter)
{
    look->settings.kinds = kinds;
    look->settings.filter = filter;
}

/* ---- one socket */

static void tell(struct look *look, const struct socket_info *socket, const struct row *row, const struct track *track,
                 bool matches, bool is_point)
{
    struct judgement judgement;
    char program[64];
    int32_t pid = 0;
    bool is_listener = socket->state == TCP_STATE_LISTEN, is_server = !is_listener && socket->peer.port == 0;
    const char *owner = source_program(&look->source, socket->inode, program, &pid);
    judge_socket(&look->source.judge, socket, &track->past, look->model.now_ns, owner, pid, &judgement);
    struct seen seen = {
        .key = row->key,
        .socket = socket,
        .now_ns = is_point ? store_now_ns() : look->model.now_ns,
        .since_ns = track->past.first_seen_ns > look->first_ns ? track->past.first_seen_ns : 0,
        .bytes_known = row->has_info,
        .in = row->bytes_in,
        .out = row->bytes_out,
        .judgement = &judgement,
        .owner = owner,
        .pid = pid,
        .is_point = is_point,
    };
    if (is_listener && socket->family != AF_UNIX)
        seen.half_open = census_half_open(&look->model.census, &socket->local);
    if (is_listener || (is_server && socket->protocol == IPPROTO_UDP))
        store_see_listener(look->store, &seen, matches);
    if (!is_listener)
        store_see(look->store, &seen, matches);
}

static bool see(const struct socket_info *socket, void *user)
{
    struct look *look = user;
    if (source_leaves_out(&look->source, socket))
        return true;
    struct row *row = model_see(&look->model, socket);
    if (!row)
        return true;
    struct track *track = model_track(&look->model, row);
    bool matches = source_matches(&look->source, look->settings.filter, socket);
    track->wanted |= matches || look->mode != PAGE_ROWS_SOCKETS;
    if (track->wanted)
        tell(look, socket, row, track, matches, false);
    return true;
}

/* ---- those that have gone */

static void on_change(const struct change *change, void *user)
{
    struct look *look = user;
    const struct row *row = change->row;
    struct socket_info socket;
    if (change->kind != CHANGE_GONE && change->kind != CHANGE_MISSED)
        return;
    struct seen seen = {
        .key = row->key,
        .socket = &socket,
        .now_ns = look->model.now_ns,
        .since_ns = change->kind == CHANGE_MISSED ? change->track->past.first_seen_ns : 0,
        .bytes_known = row->has_info,
        .in = row->bytes_in,
        .out = row->bytes_out,
    };
    if (change->kind == CHANGE_MISSED) {
        row_to_socket(row, &socket);
        socket.state = TCP_STATE_ESTABLISHED; /* it must have been */
        if (look->mode != PAGE_ROWS_SOCKETS || !source_matches(&look->source, look->settings.filter, &socket))
            return;
        store_see(look->store, &seen, true);
    }
    store_gone(look->store, &seen);
}

static void take_deaths(struct look *look)
{
    struct socket_info socket;
    int result = 1;
    for (int i = 0; i < DEATHS_AT_ONCE && look->deaths && result != 0; i++) {
        result = sockets_deaths_next(look->deaths, &socket);
        if (result > 0) {
            model_died(&look->model, &socket);
        } else if (result < 0 && result != -ENOBUFS) {
            sockets_deaths_close(look->deaths);
            look->deaths = NULL;
        }
    }
}

/* ---- which to ask for */

/* Of streams alone: those with their ports. */
static void choose_ports(struct look *look)
{
    uint16_t ports[PORTS_MAX];
    char text[PORTS_MAX * 24] = "", why[192];
    size_t n = store_stream_ports(look->store, ports, PORTS_MAX), n_text = 0;
    bool all = n > PORTS_MAX;
    if (all == look->all_ports && (all || (n == look->n_ports && memcmp(ports, look->port, n * sizeof *ports) == 0)))
        return;
    filter_free(look->ports);
    look->ports = NULL;
    look->all_ports = all;
    look->n_ports = all ? 0 : n;
    for (size_t i = 0; i < look->n_ports; i++) {
        look->port[i] = ports[i];
        n_text += (size_t)snprintf(text + n_text, sizeof text - n_text, "%ssport = :%u", i > 0 ? " or " : "", ports[i]);
    }
    if (n_text > 0 && filter_parse(text, &look->ports, why) != 0)
        look->ports = NULL;
}

static int dump(struct look *look)
{
    struct sockets *sockets = look->source.sockets;
    unsigned kinds = look->settings.kinds;
    if (look->mode != PAGE_ROWS_STREAMS)
        return sockets_dump(sockets, kinds, WITH, NULL, see, look);
    choose_ports(look);
    int error = 0;
    if ((kinds & SOCKETS_INET) && (look->ports || look->all_ports))
        error = sockets_dump(sockets, kinds & SOCKETS_INET, WITH, look->ports, see, look);
    if (error >= 0 && (kinds & SOCKETS_UNIX))
        error = sockets_dump(sockets, SOCKETS_UNIX, WITH, NULL, see, look);
    return error;
}

/* ---- owners */

static void find_owners(struct look *look)
{
    struct source *source = &look->source;
    bool asks = look->settings.filter && filter_needs_owner(look->settings.filter);
    if (look->mode != PAGE_ROWS_SOCKETS || (look->n_viewers == 0 && !asks))
        return;
    int64_t pause_ns = OWNERS_SHARE * source->owners_cost_ns;
    if (pause_ns < OWNERS_NS)
        pause_ns = OWNERS_NS;
    if (source->owners_ns == 0 || look->model.now_ns - source->owners_ns >= pause_ns)
        source_refresh_owners(source);
}

/* ---- looks */

/* Where the machine's sockets are shown, what is wrong with all of them together is, too. */
static void judge_all(struct look *look)
{
    char brief[VERDICT_SHORT_MAX] = "", text[VERDICT_TEXT_MAX] = "";
    if (look->mode != PAGE_ROWS_SOCKETS)
        return;
    bool is_trouble = judge_machine(&look->source.judge, brief, text) == VERDICT_TROUBLE;
    store_see_machine(look->store, is_trouble ? brief : "", is_trouble ? text : "");
}

/* What it takes of a core: what others take of it meanwhile is none of its business. */
static int64_t spent_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}

static void look_at_all(struct look *look)
{
    struct source *source = &look->source;
    int64_t begin_ns = store_now_ns();
    sockets_counters(&source->judge.counters);
    look->model.census.port_low = source->judge.counters.port_low;
    look->model.census.port_high = source->judge.counters.port_high;
    source->judge.census = &look->model.census;
    if (look->first_ns == 0)
        look->first_ns = begin_ns;
    model_begin(&look->model, begin_ns);
    find_owners(look);
    int64_t before_ns = spent_ns();
    store_look_begins(look->store);
    take_deaths(look);
    if (dump(look) >= 0) {
        model_end(&look->model);
        store_look_ends(look->store);
        judge_all(look);
    }
    look->last_ns = begin_ns;
    look->cost_ns = spent_ns() - before_ns;
}

static void look_at_one(struct look *look, const struct watched *watched)
{
    struct socket_info socket;
    struct row *row = model_find(&look->model, watched->cookie);
    if (!row || watched->state == TCP_STATE_TIME_WAIT || watched->state == TCP_STATE_SYN_RECV)
        return;
    if (sockets_find(look->source.sockets, &watched->local, &watched->peer, watched->cookie, WITH, &socket) != 0)
        return;
    if (socket.has_info)
        socket_payload(&socket, row->direction, &row->bytes_in, &row->bytes_out);
    tell(look, &socket, row, model_track(&look->model, row), false, true);
}

static void look_at_watched(struct look *look, int64_t now_ns)
{
    struct watched watched[WATCHED_MAX];
    size_t n = store_watched(look->store, now_ns, watched, WATCHED_MAX);
    for (size_t i = 0; look->is_open && i < n; i++) {
        if (i == 0 || watched[i].cookie != watched[i - 1].cookie)
            look_at_one(look, &watched[i]);
    }
}

static void say_why(struct look *look, int64_t interval_ns)
{
    char cost[WORDS_MAX], every[WORDS_MAX], n[WORDS_MAX];
    look->why[0] = '\0';
    if (interval_ns < 2 * INTERVAL_NS || look->n_viewers == 0)
        return;
    words_count(look->model.n_rows, n);
    words_span(look->cost_ns, cost);
    words_span(interval_ns, every);
    snprintf(look->why, sizeof look->why,
             _("the kernel takes %s to tell of its %s sockets, so it is asked every %s only."), cost, n, every);
}

int64_t look_run(struct look *look, unsigned n_viewers)
{
    int64_t now_ns = store_now_ns();
    int64_t interval_ns = n_viewers > 0 ? INTERVAL_NS : ALONE_NS;
    if (interval_ns < LOOK_SHARE * look->cost_ns)
        interval_ns = LOOK_SHARE * look->cost_ns;
    look->n_viewers = n_viewers;
    if (look->is_open && now_ns >= look->last_ns + interval_ns) {
        look_at_all(look);
        now_ns = store_now_ns();
    }
    say_why(look, interval_ns);
    int64_t next_ns = look->is_open ? look->last_ns + interval_ns : now_ns + ALONE_NS;
    if (store_is_watched(look->store)) {
        look_at_watched(look, now_ns);
        if (next_ns > now_ns + POINT_NS)
            next_ns = now_ns + POINT_NS;
    }
    return next_ns > now_ns ? next_ns : now_ns + NS_PER_MS;
}

const char *look_why_rarely(const struct look *look)
{
    return look->why[0] ? look->why : NULL;
}
