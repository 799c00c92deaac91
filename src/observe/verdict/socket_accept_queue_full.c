/* SPDX-License-Identifier: MIT */
/* Full is more than the limit: the kernel compares before it adds, so that a limit of 1 holds 2. */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static void say_drops(const struct socket_case *about, struct sentences *text)
{
    uint64_t now = about->counters->listen_overflows, first = about->counters_first->listen_overflows;

    if (now > first)
        sentence(text,
                 ngettext("Since we began to look, %s ago, full accept queues of this machine have turned %s attempt "
                          "away (ListenOverflows counts all listeners together).",
                          "Since we began to look, %s ago, full accept queues of this machine have turned %s attempts "
                          "away (ListenOverflows counts all listeners together).",
                          now - first),
                 DURATION(since(about->now_ns, about->counters_first_ns)), COUNT(now - first));
    if (about->socket->has_memory && about->socket->memory.drops > 0)
        sentence(text, _("Attempts dropped by this listener since it was opened: %s."),
                 COUNT(about->socket->memory.drops));
}

static void say_remedy(const struct socket_case *about, struct sentences *text)
{
    uint32_t limit = about->socket->send_queue, most = about->counters->somaxconn;
    int64_t idle_ns = about->past->no_accept_since_ns ? since(about->now_ns, about->past->no_accept_since_ns) : 0;

    if (idle_ns >= LONG_NS)
        sentence(text, _("The queue has not been seen to shrink for %s: see what %s is doing."), DURATION(idle_ns),
                 PROGRAM(about));
    if (most > 0 && limit >= most)
        sentence(text, _("Remedy: accept faster; or raise net.core.somaxconn, which cuts every backlog to %s."),
                 COUNT(most));
    else if (most > 0)
        sentence(text, _("Remedy: accept faster, or give listen() a larger backlog (up to net.core.somaxconn, %s)."),
                 COUNT(most));
    else
        sentence(text, _("Remedy: accept faster, or give listen() a larger backlog."));
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    uint64_t limit = socket->send_queue;

    if (socket->state != TCP_STATE_LISTEN || socket->receive_queue <= limit)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("accept queue full: %s"), BRIEF(socket->receive_queue));
    sentence(&text,
             ngettext("The accept queue is full: %s connection waits for accept() (limit %s holds %s).",
                      "The accept queue is full: %s connections wait for accept() (limit %s holds %s).",
                      socket->receive_queue),
             COUNT(socket->receive_queue), COUNT(limit), COUNT(limit + 1));
    int64_t full_ns = about->past->queue_full_since_ns ? since(about->now_ns, about->past->queue_full_since_ns) : 0;
    if (full_ns >= NS_PER_MS)
        sentence(&text, _("It was full whenever we looked in the last %s."), DURATION(full_ns));
    if (is_tcp_listener(socket)) {
        sentence(&text, _("The kernel drops further SYNs without an answer, so that connect() at the other end waits "
                          "and tries again, after 1 s at first."));
        say_drops(about, &text);
    } else {
        sentence(&text, _("Further connect() calls wait, or fail with EAGAIN where they may not wait."));
    }
    say_remedy(about, &text);
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_accept_queue_full = {
    .name = "accept-queue-full",
    .what = N_("a listener's accept queue is full, and new connections are dropped"),
    .judge = judge,
};
