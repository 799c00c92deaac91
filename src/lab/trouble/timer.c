/* SPDX-License-Identifier: MIT */
/*
 * The retransmission timer: where its time comes from, what it does when it runs out again and again, and that there is
 * one for the connection rather than one for each segment.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define N_PATHS 3
#define N_ROUNDS 3
#define N_IN_FLIGHT 5
#define N_EXPIRIES_MAX 8
#define N_EXPIRIES_WANTED 3
#define WITHIN_NS (8 * NS_PER_S)

static const struct path {
    const char *name, *rules;
} paths[N_PATHS] = {
    {"1 ms", "delay 1ms"},
    {"20 ms", "delay 20ms"},
    {"100 ms", "delay 100ms"},
};

struct estimate {
    uint32_t rtt_us, rttvar_us, rto_us;
};

/* Some questions and answers; then what the kernel makes of their round trips. */
static void estimate(struct lab *lab, struct party *client, struct party *server, const struct path *path,
                     struct estimate *ret_estimate)
{
    struct lab_pair pair;
    struct tcp_info info = {0};
    char byte = 'x';

    lab_rules(lab, END_A, path->rules);
    lab_rules(lab, END_B, path->rules);
    lab_connected(client, server, &pair);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        party_send(client, pair.client, &byte, 1, 0);
        party_recv(server, pair.server, &byte, 1, 0);
        party_send(server, pair.server, &byte, 1, 0);
        party_recv(client, pair.client, &byte, 1, 0);
    }
    lab_tcp_info(pair.client, &info);
    *ret_estimate = (struct estimate){info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_rto};
    party_close(client, pair.client);
    party_close(server, pair.server);
}

/* ---- five segments, and none arrives */

struct expiry {
    int64_t after_ns;    /* since the one before, or since all was sent */
    unsigned n_segments; /* sent at this expiry */
    uint64_t seq;        /* of the first of them */
};

struct expiries {
    unsigned n, n_probes;
    struct expiry expiry[N_EXPIRIES_MAX];
    bool one_timer; /* sock_diag shows one for the connection */
    unsigned n_unacked;
    uint64_t oldest_seq;
};

struct wait {
    struct lab *lab;
    struct lab_pair *pair;
    unsigned n_retransmits;
};

static bool has_expired(void *data)
{
    struct wait *wait = data;
    struct socket_info info;

    return lab_socket_of(wait->lab, END_A, wait->pair->client_port, wait->pair->server_port, &info) &&
           info.n_retransmits >= wait->n_retransmits;
}

/* With nothing answered a repeat of the oldest bytes is the timer's, whatever its least value is: a probe sends the
 * newest. */
static bool is_expiry(const struct event_segment *segment, const struct expiries *expiries)
{
    return has_note(segment->notes, NOTE_AGAIN_RTO) ||
           (has_note(segment->notes, NOTE_AGAIN) && !has_note(segment->notes, NOTE_AGAIN_TLP) &&
            segment->seq == expiries->oldest_seq);
}

static void find_expiries(struct lab *lab, uint16_t client_port, struct expiries *expiries)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, client_port, &n);
    int64_t last_ns = 0;
    bool first_seen = false, answered = false;

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        answered |= first_seen && segment->from == END_B; /* what goes now, the timer has not sent */
        if (segment->from != END_A || segment->n_bytes == 0 || answered)
            continue;
        if (!first_seen) {
            first_seen = true;
            expiries->oldest_seq = segment->seq;
        }
        expiries->n_probes += has_note(segment->notes, NOTE_AGAIN_TLP);
        if (!is_expiry(segment, expiries)) {
            last_ns = segments[i].left_ns;
            continue;
        }
        struct expiry *expiry = expiries->n > 0 ? &expiries->expiry[expiries->n - 1] : NULL;
        if (expiry && segments[i].left_ns - last_ns < 20 * NS_PER_MS) {
            expiry->n_segments++;
            continue;
        }
        if (expiries->n == N_EXPIRIES_MAX)
            break;
        expiries->expiry[expiries->n++] =
            (struct expiry){.after_ns = segments[i].left_ns - last_ns, .n_segments = 1, .seq = segment->seq};
        last_ns = segments[i].left_ns;
    }
}

static void let_expire(struct lab *lab, struct party *client, struct party *server, struct expiries *expiries)
{
    static char data[N_IN_FLIGHT * 1448];
    struct lab_pair pair;
    struct tcp_info info = {0};
    struct socket_info sockets[4];

    *expiries = (struct expiries){0};
    lab_rules(lab, END_A, "delay 1ms");
    lab_rules(lab, END_B, "delay 1ms");
    lab_connected(client, server, &pair);
    lab_watch(client, pair.client);
    lab_rules(lab, END_A, "delay 1ms, drop data always");
    lab_tcp_info(pair.client, &info);
    size_t n_bytes = N_IN_FLIGHT * (size_t)info.tcpi_snd_mss;
    if (n_bytes > sizeof data)
        n_bytes = sizeof data;
    party_send(client, pair.client, data, n_bytes, 0);
    lab_tcp_info(pair.client, &info);
    expiries->n_unacked = info.tcpi_unacked;
    struct wait wait = {.lab = lab, .pair = &pair, .n_retransmits = N_EXPIRIES_WANTED - 1};
    lab_until(has_expired, &wait, WITHIN_NS);
    expiries->one_timer = lab_sockets(lab, END_A, pair.client_port, pair.server_port, sockets, 4) == 1 &&
                          sockets[0].timer == TIMER_RETRANSMIT;
    lab_rules(lab, END_A, "delay 1ms");
    const struct timeval patience = {.tv_sec = WITHIN_NS / NS_PER_S};
    party_set_bytes(server, pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    party_recv(server, pair.server, data, n_bytes, MSG_WAITALL);
    lab_settle(lab);
    find_expiries(lab, pair.client_port, expiries);
    lab_ladder(lab, pair.client_port, _("five segments; until the timer has run out twice, no data passes"));
    party_close(client, pair.client);
    party_close(server, pair.server);
}

/* ---- telling */

static double least_growth(const struct expiries *expiries)
{
    double least = 0;

    for (unsigned i = 1; i < expiries->n; i++) {
        double growth = (double)expiries->expiry[i].after_ns / (double)expiries->expiry[i - 1].after_ns;
        if (least == 0 || growth < least)
            least = growth;
    }
    return least;
}

static void tell_estimates(struct lab *lab, const struct estimate estimates[N_PATHS])
{
    static const char *const heads[] = {N_("each way"), N_("round trip, smoothed"), N_("its variation"), "RTO"};

    lab_table(lab, 4, heads);
    for (unsigned i = 0; i < N_PATHS; i++) {
        lab_cell(lab, "%s", paths[i].name);
        lab_cell(lab, "%s", lab_time_text(estimates[i].rtt_us * NS_PER_US));
        lab_cell(lab, "%s", lab_time_text(estimates[i].rttvar_us * NS_PER_US));
        lab_cell(lab, "%s", lab_time_text(estimates[i].rto_us * NS_PER_US));
    }
    lab_table_end(lab);
}

static void tell_expiries(struct lab *lab, const struct expiries *expiries)
{
    static const char *const heads[] = {N_("expiry"), N_("after"), N_("of the one before"), N_("segments sent"),
                                        N_("first byte")};

    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < expiries->n; i++) {
        lab_cell(lab, "%u", i + 1);
        lab_cell(lab, "%s", lab_time_text(expiries->expiry[i].after_ns));
        if (i == 0)
            lab_cell(lab, "-");
        else
            lab_cell(lab, "%.2f x", (double)expiries->expiry[i].after_ns / (double)expiries->expiry[i - 1].after_ns);
        lab_cell(lab, "%u", expiries->expiry[i].n_segments);
        lab_cell(lab, "%llu", (unsigned long long)expiries->expiry[i].seq);
    }
    lab_table_end(lab);
}

static void judge_rto(struct lab *lab, const struct estimate estimates[N_PATHS], const struct expiries *expiries)
{
    const struct estimate *near = &estimates[0], *far = &estimates[N_PATHS - 1];
    double growth = least_growth(expiries);
    bool adapts = far->rto_us > near->rto_us && far->rto_us >= far->rtt_us && near->rto_us >= near->rtt_us;

    lab_figure(lab, "C44", "rto_near_ms", near->rto_us / 1000.0);
    lab_figure(lab, "C44", "rto_far_ms", far->rto_us / 1000.0);
    lab_figure(lab, "C44", "rtt_far_ms", far->rtt_us / 1000.0);
    lab_figure(lab, "C44", "least_growth", growth);
    if (expiries->n < 2) {
        lab_verdict(lab, "C44", LAB_NOT_SHOWN,
                    expiries->n == 1 ? _("The timer was seen to run out once, which is too little to compare.")
                                     : _("The timer was not seen to run out."));
        return;
    }
    lab_verdict(
        lab, "C44", adapts ? LAB_TRUE : LAB_FALSE,
        _("RTO was %s where a round trip took %s, and %s where it took %s: the smoothed round trip and a multiple of "
          "its "
          "variation, for which the kernel has a least value (RTO was %s more than the round trip or longer, "
          "here). From one expiry to the next the pause grew, by a factor of %.2f or more."),
        lab_time_text(near->rto_us * NS_PER_US), lab_time_text(near->rtt_us * NS_PER_US),
        lab_time_text(far->rto_us * NS_PER_US), lab_time_text(far->rtt_us * NS_PER_US),
        lab_time_text(((near->rto_us - near->rtt_us) < (far->rto_us - far->rtt_us) ? near->rto_us - near->rtt_us
                                                                                   : far->rto_us - far->rtt_us) *
                      NS_PER_US),
        growth);
}

static void judge_timers(struct lab *lab, const struct expiries *expiries)
{
    unsigned n_most = 0, n_oldest = 0, n_before = expiries->n < N_EXPIRIES_WANTED ? expiries->n : N_EXPIRIES_WANTED - 1;

    for (unsigned i = 0; i < n_before; i++) {
        if (expiries->expiry[i].n_segments > n_most)
            n_most = expiries->expiry[i].n_segments;
        n_oldest += expiries->expiry[i].seq == expiries->oldest_seq;
    }
    lab_figure(lab, "C57", "segments_in_flight", expiries->n_unacked);
    lab_figure(lab, "C57", "segments_at_an_expiry", n_most);
    lab_answer(lab, "%u", n_most);
    if (n_before == 0 || expiries->n_unacked < 2) {
        lab_verdict(lab, "C57", LAB_NOT_SHOWN,
                    _("The timer did not run out while several segments were in flight (%u)."), expiries->n_unacked);
        return;
    }
    if (n_most >= expiries->n_unacked) {
        lab_verdict(lab, "C57", LAB_TRUE,
                    _("%u segments were in flight and all were lost. While nothing passed the timer ran out %u times, "
                      "and sent %u of them at once."),
                    expiries->n_unacked, n_before, n_most);
        return;
    }
    lab_verdict(
        lab, "C57", LAB_FALSE,
        _("%u segments were in flight and all were lost. While nothing passed the timer ran out %u times, and sent no "
          "more than %u each time: the oldest, %u of %u times. The kernel shows %s for the connection; the others "
          "wait until that one is acknowledged."),
        expiries->n_unacked, n_before, n_most, n_oldest, n_before,
        expiries->one_timer ? _("one retransmission timer") : _("no retransmission timer"));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct estimate estimates[N_PATHS];
    struct expiries expiries;

    /* First: what the kernel learns of the longer paths it keeps for the peer's address (tcp_no_metrics_save). */
    let_expire(lab, client, server, &expiries);
    tell_expiries(lab, &expiries);
    for (unsigned i = 0; i < N_PATHS; i++)
        estimate(lab, client, server, &paths[i], &estimates[i]);
    tell_estimates(lab, estimates);
    lab_starved(lab, 20 * NS_PER_MS);
    judge_rto(lab, estimates, &expiries);
    judge_timers(lab, &expiries);
}

static const struct lab_claim claims[] = {
    {"C44", N_("The retransmission timeout adapts to the round trip time.")},
    {"C57", N_("A timer is started for every packet that is sent.")},
    {NULL, NULL},
};

static const char *const settings[] = {"net.ipv4.tcp_rto_min_us", "net.ipv4.tcp_early_retrans", "net.ipv4.tcp_frto",
                                       "net.ipv4.tcp_thin_linear_timeouts", NULL};

const struct experiment experiment_timer = {
    .name = "timer",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("the retransmission timer"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE,
    .milliseconds = 3000,
    .done =
        N_("Five segments are sent of which none arrives, until the timer has run out twice. Then, over wires of 1, 20 "
           "and 100 ms each way, some bytes go to and fro, and the kernel is asked for its RTO."),
    .question = N_("Five segments are in flight and all are lost. The timer runs out: how many does it send again?"),
    .by_hand = "sonde wire --a-to-b 'drop data from 0s to 1s' --trace -- sonde serve discard tcp://10.0.0.2:7007 \\\n"
               "  --- sh -c 'head -c 7000 /dev/zero | nc -N 10.0.0.2 7007'",
    .read = "RFC 6298, 2 (computing RTO), 5 (one timer, and backing off); RFC 8985, 7.2 (tail probes)",
    .settings = settings,
    .run = run,
};
