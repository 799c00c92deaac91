/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define NEAR_PERCENT 90

static enum verdict_weight judge(const struct machine_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_counters *now = about->counters, *first = about->counters_first;
    uint64_t limit = now->time_wait_limit,
             n = about->n_time_wait > now->n_time_wait ? about->n_time_wait : now->n_time_wait;
    uint64_t n_over = now->time_wait_overflows > first->time_wait_overflows
                          ? now->time_wait_overflows - first->time_wait_overflows
                          : 0;

    if (n_over == 0 && (limit == 0 || percent_of(n, limit) < NEAR_PERCENT))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("TIME_WAIT: %s of %s"), BRIEF(n), BRIEF(limit));
    if (n_over > 0)
        sentence(&text, _("TIME_WAIT has reached its limit (tcp_max_tw_buckets): %s now, of %s at most."), COUNT(n),
                 COUNT(limit));
    else
        sentence(&text, _("TIME_WAIT comes near its limit (tcp_max_tw_buckets): %s now, of %s at most."), COUNT(n),
                 COUNT(limit));
    if (n_over > 0)
        sentence(&text, _("Connections that have skipped it since we began to look: %s."), COUNT(n_over));
    sentence(&text,
             _("At the limit the kernel ends connections without TIME_WAIT, so that late segments of an old one "
               "could meet a new one with the same ports. Remedy: keep connections open longer, or let the other "
               "end close first."));
    return n_over > 0 ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct machine_verdict machine_time_wait_limit = {
    .name = "time-wait-limit",
    .what = N_("TIME_WAIT is near its limit"),
    .judge = judge,
};
