/* SPDX-License-Identifier: MIT */
/*
 * A line for each change. The sockets are looked at every 20 ms, and between two looks the kernel tells of each TCP
 * socket that dies, so that none lives and dies unseen; but states that a socket merely passed through between two
 * looks are not seen.
 *
 * Whether a socket matches the filter may change with its state. So all are looked at, and a change is told when the
 * socket matches now or did before.
 */
#include "term/escape.h"
#include "term/translate.h"
#include "watch/signals.h"
#include "watch/source.h"
#include "watch/transition.h"
#include "watch/words.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS (20 * NS_PER_MS)
#define DEATHS_MAX 65536

struct follow {
    struct source source;
    struct model model;
    struct sockets_deaths *deaths; /* NULL: the kernel does not tell */
    struct socket_info *dead;
    size_t n_dead, dead_room;
    struct text out;
    bool matches; /* the socket that is being seen */
    int64_t begin_ns, wall_ns;
    uint64_t n_lines, n_looks, n_missed, n_lost;
    int error;
    bool is_over;
};

/* ---- a change */

static const struct owner *owner_of(struct follow *follow, uint64_t inode)
{
    struct source *source = &follow->source;
    if (inode == 0)
        return NULL;
    const struct owner *owner = source->owners ? owners_find(source->owners, inode) : NULL;
    /* Once a look; the pause between looks grows with what they take. */
    if (owner || source->owners_ns >= follow->model.now_ns)
        return owner;
    source_refresh_owners(source);
    return source->owners ? owners_find(source->owners, inode) : NULL;
}

static void write_out(struct follow *follow)
{
    if (follow->out.n_bytes == 0)
        return;
    int error = text_write(&follow->out, STDOUT_FILENO);
    text_clear(&follow->out);
    if (error == 0)
        return;
    follow->error = error;
    follow->is_over = true;
}

static void tell(struct follow *follow, const struct change *change)
{
    const struct watch_settings *settings = follow->source.settings;
    const struct owner *owner = settings->owners ? owner_of(follow, change->row->inode) : NULL;
    char name[64] = "?", holder[96];
    if (settings->json) {
        struct transition_owner known = {.asked = settings->owners};
        if (owner)
            known = (struct transition_owner){true, owner->program, owner->pid, owner->fd};
        transition_json(change, follow->wall_ns, follow->model.now_ns, &known, &follow->out);
    } else {
        if (owner) {
            escape_short(owner->program, strnlen(owner->program, OWNER_NAME_MAX), name, sizeof name);
            snprintf(holder, sizeof holder, "%s[%d]", name, (int)owner->pid);
        }
        transition_line(change, follow->wall_ns, owner ? holder : NULL, &follow->out);
    }
    follow->n_lines++;
    if (settings->count > 0 && follow->n_lines >= (uint64_t)settings->count)
        follow->is_over = true;
    write_out(follow);
}

static void on_change(const struct change *change, void *user)
{
    struct follow *follow = user;
    bool matches = change->track->wanted;
    if (change->kind == CHANGE_APPEARED || change->kind == CHANGE_STATE)
        matches |= follow->matches;
    if (change->first_look || !matches || follow->is_over)
        return;
    follow->n_missed += change->kind == CHANGE_MISSED;
    tell(follow, change);
}

/* ---- looking */

static void drain_deaths(struct follow *follow)
{
    struct socket_info socket;
    int result;
    while (follow->deaths && (result = sockets_deaths_next(follow->deaths, &socket)) != 0) {
        if (result == -ENOBUFS) {
            follow->n_lost++;
            continue;
        }
        if (result < 0) {
            sockets_deaths_close(follow->deaths);
            follow->deaths = NULL;
            break;
        }
        if (follow->n_dead == follow->dead_room) {
            size_t room = follow->dead_room ? 2 * follow->dead_room : 64;
            struct socket_info *dead = room > DEATHS_MAX ? NULL : realloc(follow->dead, room * sizeof *dead);
            if (!dead) {
                follow->n_lost++;
                continue;
            }
            follow->dead = dead;
            follow->dead_room = room;
        }
        follow->dead[follow->n_dead++] = socket;
    }
}

/* It died in state CLOSED; a filter that asks for a state means the one it lived in. */
static bool matches_dead(const struct follow *follow, const struct socket_info *socket)
{
    const struct watch_settings *settings = follow->source.settings;
    struct socket_info alive = *socket;
    alive.state = TCP_STATE_ESTABLISHED;
    return (settings->kinds & SOCKETS_TCP) && (source_matches(&follow->source, settings->filter, socket) ||
                                               source_matches(&follow->source, settings->filter, &alive));
}

static bool see(const struct socket_info *socket, void *user)
{
    struct follow *follow = user;
    if (source_leaves_out(&follow->source, socket))
        return true;
    follow->matches = source_matches(&follow->source, follow->source.settings->filter, socket);
    struct row *row = model_see(&follow->model, socket);
    if (row)
        model_track(&follow->model, row)->wanted = follow->matches;
    return !follow->is_over;
}

static int look(struct follow *follow)
{
    const struct watch_settings *settings = follow->source.settings;
    drain_deaths(follow);
    follow->wall_ns = clock_wall_ns();
    model_begin(&follow->model, clock_now_ns());
    for (size_t i = 0; i < follow->n_dead; i++) {
        bool known = model_find(&follow->model, follow->dead[i].cookie) != NULL;
        model_died(&follow->model, &follow->dead[i]);
        struct row *row = known ? NULL : model_find(&follow->model, follow->dead[i].cookie);
        if (row)
            model_track(&follow->model, row)->wanted = matches_dead(follow, &follow->dead[i]);
    }
    follow->n_dead = 0;
    unsigned with = settings->filter ? filter_needs(settings->filter) : 0;
    int error = sockets_dump(follow->source.sockets, settings->kinds, with, NULL, see, follow);
    if (!follow->is_over)
        model_end(&follow->model);
    follow->n_looks++;
    if (error < 0)
        settings->say(_("the kernel does not tell its sockets: %s."), sonde_strerror(error));
    return error < 0 ? error : 0;
}

/* ---- waiting */

static void wait_until(struct follow *follow, const struct signals *signals, int64_t until_ns)
{
    for (;;) {
        int64_t left_ns = until_ns - clock_now_ns();
        if (left_ns <= 0 || follow->is_over)
            return;
        struct timespec timeout = {left_ns / NS_PER_S, left_ns % NS_PER_S};
        struct pollfd fds[] = {
            {.fd = signals->fd, .events = POLLIN},
            {.fd = STDOUT_FILENO}, /* for its reader's going away */
            {.fd = follow->deaths ? sockets_deaths_fd(follow->deaths) : -1, .events = POLLIN},
        };
        if (ppoll(fds, 3, &timeout, NULL) < 0 && errno != EINTR)
            return;
        if (fds[0].revents && signals_next(signals) != 0)
            follow->is_over = true;
        if (fds[1].revents & POLLERR) {
            follow->error = -EPIPE;
            follow->is_over = true;
        }
        if (fds[2].revents)
            drain_deaths(follow);
    }
}

static void say_begin(const struct follow *follow, int64_t interval_ns)
{
    char every[WORDS_MAX], sockets[WORDS_MAX];
    words_span(interval_ns, every);
    words_count(follow->model.n_rows, sockets);
    follow->source.settings->say(_("%s sockets are followed, looked at every %s; a line for each change."), sockets,
                                 every);
}

static void say_end(const struct follow *follow)
{
    const struct watch_settings *settings = follow->source.settings;
    char looks[WORDS_MAX], lines[WORDS_MAX], missed[WORDS_MAX], every[WORDS_MAX];
    words_count(follow->n_looks, looks);
    words_count(follow->n_lines, lines);
    words_count(follow->n_missed, missed);
    words_span((clock_now_ns() - follow->begin_ns) / (int64_t)(follow->n_looks ? follow->n_looks : 1), every);
    settings->say(_("%s changes seen in %s looks, one every %s; %s missed: sockets that opened and closed between two "
                    "looks, each with a line. States passed through between two looks were not seen."),
                  lines, looks, every, missed);
    if (!follow->deaths)
        settings->say(_("The kernel did not tell which sockets died: such as lived shorter than that were not seen."));
    if (follow->n_lost > 0)
        settings->say(_("The kernel had more dead sockets to tell than there was room for, %llu times: some that lived "
                        "shortly were not seen."),
                      (unsigned long long)follow->n_lost);
    if (follow->model.n_nameless > 0)
        settings->say(_("%llu sockets died of which the kernel had no address any more, and have no line: they were "
                        "never used, or reset by their own program between two looks."),
                      (unsigned long long)follow->model.n_nameless);
    struct text refused = {.bytes = NULL};
    if (settings->owners)
        source_put_refused(&follow->source, &refused);
    if (refused.n_bytes > 0)
        settings->say("%.*s", (int)refused.n_bytes, refused.bytes);
    text_free(&refused);
}

static int run(struct follow *follow, const struct signals *signals)
{
    const struct watch_settings *settings = follow->source.settings;
    int64_t interval_ns = settings->interval_ns ? settings->interval_ns : INTERVAL_NS, next_ns = follow->begin_ns;
    int error = look(follow);
    if (error == 0)
        say_begin(follow, interval_ns);
    while (error == 0 && !follow->is_over) {
        int64_t now_ns = clock_now_ns(), end_ns = follow->begin_ns + settings->duration_ns;
        /* Looks that take long must leave as much time to everybody else. */
        next_ns = next_ns + interval_ns > now_ns ? next_ns + interval_ns : now_ns + (now_ns - follow->model.now_ns);
        if (settings->duration_ns > 0 && next_ns > end_ns)
            next_ns = end_ns;
        wait_until(follow, signals, next_ns);
        if (follow->is_over)
            break;
        error = look(follow);
        if (settings->duration_ns > 0 && clock_now_ns() >= end_ns)
            follow->is_over = true;
    }
    write_out(follow);
    if (error == 0 && follow->error != -EPIPE)
        say_end(follow);
    if (follow->error != 0 && follow->error != -EPIPE) {
        settings->say(_("the changes could not be written: %s."), sonde_strerror(follow->error));
        return follow->error;
    }
    return error;
}

int watch_follow(const struct watch_settings *settings)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, 0};
    struct follow follow = {.error = 0};
    struct signals signals;
    struct sonde_why why;
    int error = source_open(&follow.source, settings);
    if (error == 0) {
        model_init(&follow.model, true);
        follow.model.on_change = on_change;
        follow.model.user = &follow;
        if (!(settings->kinds & SOCKETS_TCP) || sockets_deaths_open(&follow.deaths, &why) != 0)
            follow.deaths = NULL;
        follow.begin_ns = clock_now_ns();
        error = signals_open(&signals, numbers);
        if (error == 0) {
            error = run(&follow, &signals);
            signals_close(&signals);
        }
        sockets_deaths_close(follow.deaths);
        model_free(&follow.model);
    }
    free(follow.dead);
    text_free(&follow.out);
    source_close(&follow.source);
    return error;
}
