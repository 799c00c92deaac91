/* SPDX-License-Identifier: MIT */
/* What is waited for in what comes: --expect, --verify, --verify-echo, and how long. */
#include "cli/connect/talk_internal.h"

#define QUIET_NS (20 * NS_PER_MS) /* nothing more comes for a moment */

static void on_within(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;

    if (talk->state == TALK_OPEN || talk->state == TALK_ENDING)
        talk_leave(talk, END_LATE, 0);
}

/* The expression has matched, and that is all that was waited for. */
static void has_matched(struct talk *talk)
{
    uint64_t offset, n_bytes;

    if (talk->view->kind == VIEW_JSON) {
        expect_where(talk->rules->expect, &offset, &n_bytes);
        view_matched(talk->view, offset, n_bytes);
    }
    talk_leave(talk, END_HERE, 0);
}

static void on_quiet(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;

    if ((talk->state == TALK_OPEN || talk->state == TALK_ENDING) && expect_look(talk->rules->expect, false))
        has_matched(talk);
}

bool talk_is_cut_short(const struct talk *talk)
{
    return talk->peer_ended && ((talk->rules->verify != NULL && talk->rules->verify->n_bytes > 0) ||
                                (talk->rules->echo != NULL && echo_missing(talk->rules->echo) > 0));
}

bool talk_look_at_end(struct talk *talk)
{
    if (talk->state >= TALK_CLOSING || talk->rules->expect == NULL || !expect_look(talk->rules->expect, true))
        return false;
    has_matched(talk);
    return true;
}

void talk_judge(struct talk *talk, const void *data, size_t n_bytes)
{
    const struct talk_rules *rules = talk->rules;

    if (rules->verify != NULL && verify_received(rules->verify, data, n_bytes) != VERIFY_SAME) {
        talk_leave(talk, END_DIFFERS, 0);
        return;
    }
    if (rules->expect == NULL)
        return;
    if (expect_received(rules->expect, data, n_bytes))
        has_matched(talk);
    else if (expect_is_behind(rules->expect))
        sonde_timer_start_in(&talk->quiet, QUIET_NS);
}

void talk_start_judging(struct talk *talk)
{
    const struct talk_rules *rules = talk->rules;

    if (rules->expect != NULL)
        expect_restart(rules->expect);
    if (rules->verify != NULL)
        verify_restart(rules->verify);
    if (rules->echo != NULL)
        echo_restart(rules->echo, talk_transport(talk) != TRANSPORT_DATAGRAMS);
    if (rules->within_ns > 0)
        sonde_timer_start_in(&talk->within, rules->within_ns);
    if (rules->within_ns > 0 && rules->expect != NULL)
        rules->expect->deadline_ns = talk->within.deadline_ns;
}

void talk_judge_init(struct talk *talk)
{
    sonde_timer_init(&talk->within, talk->loop, on_within, talk);
    sonde_timer_init(&talk->quiet, talk->loop, on_quiet, talk);
}
