/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define NEAR_PERCENT 80
#define SERIOUS_PERCENT 95

static enum verdict_weight judge(const struct machine_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_counters *now = about->counters;
    uint64_t n = about->n_ports_most;

    if (now->port_high == 0 || now->port_high < now->port_low)
        return VERDICT_NONE;
    uint64_t n_ports = (uint64_t)(now->port_high - now->port_low) + 1;
    unsigned percent = percent_of(n, n_ports);
    if (percent < NEAR_PERCENT)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("ports: %s of %s"), BRIEF(n), BRIEF(n_ports));
    sentence(&text, _("Local ports towards %s run out: %s of %s are in use (ip_local_port_range %u to %u)."),
             ADDRESS(&about->most_peer), COUNT(n), COUNT(n_ports), (unsigned)now->port_low, (unsigned)now->port_high);
    sentence(&text, _("Without a free one, connect() there fails with EADDRNOTAVAIL. Each end of a connection that was "
                      "closed here first keeps its port for about 60 s more (TIME_WAIT)."));
    sentence(&text,
             _("Remedy: keep connections open and use them again, a wider ip_local_port_range, or more addresses "
               "at either end."));
    return percent >= SERIOUS_PERCENT ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct machine_verdict machine_ports_running_out = {
    .name = "ports-running-out",
    .what = N_("local ports towards one peer run out"),
    .judge = judge,
};
