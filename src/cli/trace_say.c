/* SPDX-License-Identifier: MIT */
#include "cli/trace_internal.h"
#include "observe/ladder/ladder.h"
#include "term/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ---- what is said at the end, beside what was shown */

static void say_no_memory(uint64_t n_packets)
{
    if (n_packets > 0)
        say(_("%" PRIu64 " packets could not be followed, or not whole, for want of memory."), n_packets);
}

static void say_clock(uint64_t n_steps, int64_t step_ns)
{
    char step[16];
    if (n_steps == 0)
        return;
    ladder_delta_text(step_ns < 0 ? -step_ns : step_ns, false, step);
    say(step_ns < 0
            ? ngettext("the capture's clock was set back %" PRIu64 " time, by %s; times go on from there.",
                       "the capture's clock was set %" PRIu64 " times, last back by %s; times go on from there.",
                       n_steps)
            : ngettext("the capture's clock was set forward %" PRIu64 " time, by %s; times go on from there.",
                       "the capture's clock was set %" PRIu64 " times, last forward by %s; times go on from there.",
                       n_steps),
        n_steps, step);
}

/* Only --layers shows them. */
static void say_others(const struct trace_run *run, uint64_t n_others, uint64_t n_packets)
{
    if (n_others > 0 && !run->settings->layers)
        say(ngettext("%" PRIu64 " of %" PRIu64 " packets is neither TCP nor UDP, nor about them.",
                     "%" PRIu64 " of %" PRIu64 " packets are neither TCP nor UDP, nor about them.", n_others),
            n_others, n_packets);
}

void trace_say_file_counts(const struct trace_run *run, const struct trace_file_counts *counts)
{
    if (counts->events && run->filter[0])
        say(_("the filter was not applied: it is for packets, and these are recorded events. --conn N shows one "
              "connection."));
    if (counts->events)
        return;
    uint64_t n_others = counts->n_other > counts->n_unknown_links ? counts->n_other - counts->n_unknown_links : 0;
    if (counts->n_dropped > 0)
        say(ngettext("%" PRIu64 " packet was dropped while this was captured: it is missing here.",
                     "%" PRIu64 " packets were dropped while this was captured: they are missing here.",
                     counts->n_dropped),
            counts->n_dropped);
    if (counts->n_unknown_links > 0)
        say(ngettext("%" PRIu64 " of %" PRIu64 " packets has a link layer that is not read (link type %u).",
                     "%" PRIu64 " of %" PRIu64 " packets have a link layer that is not read (link type %u).",
                     counts->n_unknown_links),
            counts->n_unknown_links, counts->n_packets, (unsigned)counts->unknown_link);
    say_others(run, n_others, counts->n_packets);
    say_no_memory(counts->n_no_memory);
    if (counts->n_fragments_lost > 0)
        say(ngettext("%" PRIu64 " fragmented packet could not be put together.",
                     "%" PRIu64 " fragmented packets could not be put together.", counts->n_fragments_lost),
            counts->n_fragments_lost);
    if (counts->n_made_room > 0)
        say(ngettext("%" PRIu64 " connection was given up to make room for others.",
                     "%" PRIu64 " connections were given up to make room for others.", counts->n_made_room),
            counts->n_made_room);
    say_clock(counts->n_clock_steps, counts->clock_step_ns);
}

void trace_say_live_counts(const struct trace_run *run, const struct session_counts *counts)
{
    say(ngettext("%" PRIu64 " packet seen, %" PRIu64 " dropped for want of room.",
                 "%" PRIu64 " packets seen, %" PRIu64 " dropped for want of room.", counts->n_packets),
        counts->n_packets, counts->n_dropped);
    say_others(run, counts->n_other, counts->n_packets);
    if (counts->n_late > 0)
        say(ngettext("%" PRIu64 " event came too late to be put in order.",
                     "%" PRIu64 " events came too late to be put in order.", counts->n_late),
            counts->n_late);
    say_no_memory(counts->n_no_memory);
    if (counts->n_lost_events > 0)
        say(ngettext("%" PRIu64 " event was lost for want of memory.",
                     "%" PRIu64 " events were lost for want of memory.", counts->n_lost_events),
            counts->n_lost_events);
    if (counts->n_connections_left_out > 0)
        say(ngettext("%" PRIu64 " connection was left out: there were too many.",
                     "%" PRIu64 " connections were left out: there were too many.", counts->n_connections_left_out),
            counts->n_connections_left_out);
    say_clock(counts->n_clock_steps, counts->clock_step_ns);
}

/* ---- what went wrong */

/* True: it was the filter, and has been said. */
bool trace_say_filter_error(const struct trace_run *run, const struct sonde_why *why, enum exit_status *ret_status)
{
    char detail[WORD_MAX];
    if (!why->call)
        return false;
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (why->code == -ENOENT && strcmp(why->call, "dlopen") == 0) {
        say(_("a filter is compiled by libpcap, which is not there: install it (libpcap0.8), or leave out the "
              "filter."));
        *ret_status = EXIT_NETWORK;
        return true;
    }
    if (strcmp(why->call, "filter") != 0)
        return false;
    if (strstr(run->filter, "://"))
        say(_("a filter is no URL: write it as pcap-filter(7) does, \"host 127.0.0.1 and port 7007\"."));
    else if (!run->settings->file && access(run->filter, R_OK) == 0)
        say(_("this names a file, and a file is read with -r: sonde trace -r FILE"));
    else
        say(_("the filter is not understood: %s. See pcap-filter(7)."), detail);
    *ret_status = EXIT_MISUSE;
    return true;
}
