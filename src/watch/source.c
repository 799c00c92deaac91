/* SPDX-License-Identifier: MIT */
#include "watch/source.h"

#include "term/escape.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OWNERS_EVERY_NS (2 * NS_PER_S)
#define OWNERS_SHARE 20

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int source_open(struct source *source, const struct watch_settings *settings)
{
    struct sonde_why why;
    *source = (struct source){.settings = settings};
    int error = sockets_open(&source->sockets, &why);
    if (error != 0) {
        settings->say(_("the kernel cannot be asked for its sockets: %s: %s."), why.call, sonde_strerror(error));
        return error;
    }
    sockets_counters(&source->judge.counters);
    source->judge.counters_first = source->judge.counters;
    source->judge.counters_first_ns = clock_now_ns();
    if (settings->owners || (settings->filter && filter_needs_owner(settings->filter)))
        source_refresh_owners(source);
    return 0;
}

void source_close(struct source *source)
{
    owners_free(source->owners);
    sockets_close(source->sockets);
    *source = (struct source){.sockets = NULL};
}

/* ---- owners */

void source_refresh_owners(struct source *source)
{
    int64_t begin_ns = clock_now_ns();
    if (!source->owners)
        source->owners = owners_new();
    if (source->owners)
        owners_refresh(source->owners);
    source->owners_ns = clock_now_ns();
    source->owners_cost_ns = source->owners_ns - begin_ns;
}

void source_refresh_owners_now_and_then(struct source *source)
{
    int64_t pause_ns = OWNERS_SHARE * source->owners_cost_ns;
    if (pause_ns < OWNERS_EVERY_NS)
        pause_ns = OWNERS_EVERY_NS;
    if (source->owners_ns == 0 || clock_now_ns() - source->owners_ns >= pause_ns)
        source_refresh_owners(source);
}

const char *source_program(const struct source *source, uint64_t inode, char ret_text[64], int32_t *ret_pid)
{
    const struct owner *owner = source->owners && inode != 0 ? owners_find(source->owners, inode) : NULL;
    *ret_pid = 0;
    if (!owner)
        return NULL;
    escape_short(owner->program, strnlen(owner->program, OWNER_NAME_MAX), ret_text, 64);
    *ret_pid = owner->pid;
    return ret_text;
}

void source_put_refused(const struct source *source, struct text *text)
{
    uint64_t n = source->owners ? owners_n_refused(source->owners) : 0;
    if (n == 0)
        return;
    text_format(text,
                ngettext("%llu process could not be looked into: whose its sockets are is not known (?).",
                         "%llu processes could not be looked into: whose their sockets are is not known (?).", n),
                (unsigned long long)n);
    if (geteuid() != 0)
        text_string(text, _(" Root may look into those of other users."));
}

bool source_matches(const struct source *source, const struct sockets_filter *filter, const struct socket_info *socket)
{
    struct filter_owner owner = {.owners = source->owners};
    return !filter || filter_matches(filter, socket, source->owners ? &owner : NULL);
}

/* ---- sockets */

/* An idle one: neither listening nor connected, without a port or anything to read. A bound UDP socket serves. */
bool source_leaves_out(const struct source *source, const struct socket_info *socket)
{
    if (source->settings->all || socket->state != TCP_STATE_CLOSED)
        return false;
    if (socket->protocol == IPPROTO_UDP)
        return socket->local.port == 0;
    return socket->receive_queue == 0 && (socket->family != AF_UNIX || socket->n_unix_name == 0);
}

void row_to_socket(const struct row *row, struct socket_info *ret_socket)
{
    *ret_socket = (struct socket_info){
        .cookie = row->key,
        .family = row->family,
        .type = row->type,
        .protocol = row->protocol,
        .state = row->state,
        .timer = row->timer,
        .n_retransmits = row->n_retransmits,
        .shutdown = row->shutdown,
        .v6_only = row->v6_only,
        .timer_ns = row->timer_ns,
        .local = row->local,
        .peer = row->peer,
        .interface = row->interface,
        .uid = row->uid,
        .inode = row->inode,
        .receive_queue = row->receive_queue,
        .send_queue = row->send_queue,
        .peer_inode = row->peer_inode,
        .n_unix_name = row->n_unix_name,
    };
    if (row->unix_name)
        memcpy(ret_socket->unix_name, row->unix_name, row->n_unix_name);
}

struct datagram_fetch {
    uint64_t cookie;
    struct socket_info *socket;
    bool found;
};

static bool is_datagram_socket(const struct socket_info *socket, void *user)
{
    struct datagram_fetch *fetch = user;
    if (socket->cookie != fetch->cookie)
        return true;
    *fetch->socket = *socket;
    fetch->found = true;
    return false;
}

/* The kernel finds those of UDP by their addresses only as it would for a datagram that arrives: many have no peer. */
static bool fetch_datagram(struct source *source, const struct row *row, unsigned with, struct socket_info *ret_socket)
{
    struct datagram_fetch fetch = {.cookie = row->key, .socket = ret_socket};
    struct sockets_filter *filter;
    char text[32], why[192];
    snprintf(text, sizeof text, "sport = :%u", row->local.port);
    if (filter_parse(text, &filter, why) != 0)
        return false;
    sockets_dump(source->sockets, SOCKETS_UDP, with, filter, is_datagram_socket, &fetch);
    filter_free(filter);
    return fetch.found;
}

void source_fetch(struct source *source, const struct row *row, unsigned with, struct socket_info *ret_socket)
{
    if (row->protocol == IPPROTO_TCP && row->state != TCP_STATE_TIME_WAIT && row->state != TCP_STATE_SYN_RECV &&
        sockets_find(source->sockets, &row->local, &row->peer, row->key, with, ret_socket) == 0)
        return;
    if (row->protocol == IPPROTO_UDP && row->local.port != 0 && fetch_datagram(source, row, with, ret_socket))
        return;
    row_to_socket(row, ret_socket);
}

/* ---- one look */

struct look {
    struct source *source;
    struct model *model;
    const struct sockets_filter *filter;
    void (*listener)(const struct socket_info *socket, void *user);
    void *user;
};

static bool see_listener(const struct socket_info *socket, void *user)
{
    struct look *look = user;
    if (source_matches(look->source, look->filter, socket)) {
        model_see(look->model, socket);
        if (look->listener)
            look->listener(socket, look->user);
    } else {
        census_count(&look->model->next_census, socket);
    }
    return true;
}

static bool see_half_open(const struct socket_info *socket, void *user)
{
    struct look *look = user;
    if (!source_matches(look->source, look->filter, socket)) /* those are counted when they come as rows */
        tally_add(&look->model->next_census.half_open, &socket->local);
    return true;
}

static bool see_other(const struct socket_info *socket, void *user)
{
    struct look *look = user;
    if (socket->state == TCP_STATE_LISTEN || source_leaves_out(look->source, socket))
        return true;
    if (source_matches(look->source, look->filter, socket))
        model_see(look->model, socket);
    return true;
}

static int dump_state(struct look *look, const char *state, unsigned kinds, unsigned with,
                      bool (*each)(const struct socket_info *socket, void *user))
{
    struct sockets_filter *filter;
    char why[192];
    int error = filter_parse(state, &filter, why);
    if (error != 0)
        return error;
    error = sockets_dump(look->source->sockets, kinds, with, filter, each, look);
    filter_free(filter);
    return error;
}

int source_look_once(struct source *source, struct model *model, unsigned with,
                     void (*listener)(const struct socket_info *socket, void *user), void *user)
{
    const struct watch_settings *settings = source->settings;
    struct look look = {source, model, settings->filter, listener, user};
    model->census.port_low = source->judge.counters.port_low;
    model->census.port_high = source->judge.counters.port_high;
    model_begin(model, clock_now_ns());
    int error =
        dump_state(&look, "state listening", settings->kinds, SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY, see_listener);
    if (error >= 0 && look.filter && (settings->kinds & SOCKETS_TCP))
        error = dump_state(&look, "state syn-recv", SOCKETS_TCP, 0, see_half_open);
    if (error >= 0)
        error = sockets_dump(source->sockets, settings->kinds, with, look.filter, see_other, &look);
    model_end(model);
    source->judge.census = &model->census;
    if (error < 0)
        settings->say(_("the kernel does not tell its sockets: %s."), sonde_strerror(error));
    return error < 0 ? error : 0;
}
