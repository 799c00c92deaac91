/* SPDX-License-Identifier: MIT */
/*
 * What is lost is sent again: by which means, and after how long. The timer is the last resort. Segments behind the
 * lost one are acknowledged selectively, and that is news within a round trip; a tail probe asks for such news when
 * nothing came behind (RFC 8985). Only when there is none at all does the timer run out.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define N_SEGMENTS 10
#define WITHIN_NS (5 * NS_PER_S)

struct accident {
    const char *name;
    unsigned n_segments;
    const char *there, *back; /* rules of the two directions */
    const char *caption;      /* its ladder is drawn; NULL: it is not */
};

enum { ONE_OF_TEN, LAST_OF_TEN, ALONE, ALONE_TWICE, AN_ACK, OVERTAKEN, N_ACCIDENTS };

/* 10 ms each way everywhere: 20 ms of round trip. */
static const struct accident accidents[N_ACCIDENTS] = {
    [ONE_OF_TEN] = {N_("the 3rd of 10 segments"), N_SEGMENTS, "delay 10ms, drop data #3", "delay 10ms", NULL},
    [LAST_OF_TEN] = {N_("the last of 10 segments"), N_SEGMENTS, "delay 10ms, drop data #10", "delay 10ms", NULL},
    [ALONE] = {N_("a segment that goes alone"), 1, "delay 10ms, drop data #1", "delay 10ms", NULL},
    [ALONE_TWICE] = {N_("a lone segment and its first copy"), 1, "delay 10ms, drop data #1 x2", "delay 10ms",
                     N_("a segment goes alone; it and its first copy are dropped")},
    [AN_ACK] = {N_("the first acknowledgement of 10 segments"), N_SEGMENTS, "delay 10ms", "delay 10ms, drop ack #1",
                NULL},
    [OVERTAKEN] = {N_("nothing; the 3rd is overtaken, 3 ms late"), N_SEGMENTS, "delay 10ms, reorder data #3 by 3ms",
                   "delay 10ms", NULL},
};

struct outcome {
    bool whole; /* everything arrived */
    unsigned n_again, n_fast, n_probe, n_timer, n_needless, n_dropped;
    int64_t first_again_ns; /* from a sending of those bytes to the next one; the longest is the last */
    int64_t by_timer_ns;    /* of the one that the timer sent; 0: none */
    int64_t rtt_ns, rto_ns; /* before the accident */
    bool sack;              /* agreed on by both ends */
};

/* When those bytes had been sent before. */
static int64_t sent_before_ns(const struct lab_segment *segments, size_t index)
{
    const struct event_segment *again = &segments[index].segment;

    for (size_t i = index; i-- > 0;) {
        const struct event_segment *segment = &segments[i].segment;
        if (segment->from == again->from && segment->n_bytes > 0 && segment->seq <= again->seq &&
            segment->seq + segment->n_bytes > again->seq)
            return segments[i].left_ns;
    }
    return 0;
}

/* The client's kernel's own counters. */
struct kernel_counts {
    int64_t n_timeouts, n_probes;
};

static struct kernel_counts kernel_counts(struct lab *lab)
{
    return (struct kernel_counts){lab_counter(lab, END_A, "TCPTimeouts"), lab_counter(lab, END_A, "TCPLossProbes")};
}

static void look_at(struct lab *lab, uint16_t client_port, struct kernel_counts counted, struct outcome *outcome)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, client_port, &n);

    int64_t last_ns = 0;

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        outcome->n_dropped += segments[i].reason != WIRE_PASSED;
        if (segment->from != END_A || !has_note(segment->notes, NOTE_AGAIN))
            continue;
        int64_t before_ns = sent_before_ns(segments, i);
        int64_t waited_ns = before_ns ? segments[i].left_ns - before_ns : 0;
        if (outcome->n_again++ == 0)
            outcome->first_again_ns = waited_ns;
        last_ns = waited_ns;
        outcome->n_fast += has_note(segment->notes, NOTE_AGAIN_FAST);
        outcome->n_probe += has_note(segment->notes, NOTE_AGAIN_TLP);
        outcome->n_needless += has_note(segment->notes, NOTE_AGAIN_SPURIOUS);
        if (has_note(segment->notes, NOTE_AGAIN_RTO)) {
            outcome->n_timer++;
            outcome->by_timer_ns = waited_ns;
        }
    }
    /* What the wire alone does not tell, where the timer's least value is small, the kernel counted. */
    if (counted.n_timeouts > outcome->n_timer) {
        outcome->n_timer = (unsigned)counted.n_timeouts;
        outcome->by_timer_ns = outcome->by_timer_ns ? outcome->by_timer_ns : last_ns;
    }
    if (counted.n_probes > outcome->n_probe)
        outcome->n_probe = (unsigned)counted.n_probes;
}

static void run_accident(struct lab *lab, struct party *client, struct party *server, const struct accident *accident,
                         struct outcome *ret_outcome)
{
    static char data[N_SEGMENTS * 1448];
    struct lab_pair pair;
    struct tcp_info info = {0};

    *ret_outcome = (struct outcome){0};
    lab_rules(lab, END_A, accident->there);
    lab_rules(lab, END_B, accident->back);
    lab_connected(client, server, &pair);
    party_set(client, pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
    if (lab_tcp_info(pair.client, &info)) {
        ret_outcome->rtt_ns = info.tcpi_rtt * NS_PER_US;
        ret_outcome->rto_ns = info.tcpi_rto * NS_PER_US;
        ret_outcome->sack = info.tcpi_options & TCPI_OPT_SACK;
    }
    if (accident->caption)
        lab_watch(client, pair.client);
    size_t n_bytes = accident->n_segments > 1 ? accident->n_segments * (size_t)info.tcpi_snd_mss : 5;
    if (n_bytes > sizeof data)
        n_bytes = sizeof data;
    const struct timeval patience = {.tv_sec = WITHIN_NS / NS_PER_S};
    party_set_bytes(server, pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct kernel_counts before = kernel_counts(lab);
    party_send(client, pair.client, data, n_bytes, 0);
    ret_outcome->whole = party_recv(server, pair.server, data, n_bytes, MSG_WAITALL) == (ssize_t)n_bytes;
    lab_sleep(30 * NS_PER_MS); /* the last acknowledgement, and whatever it gives rise to */
    lab_settle(lab);
    struct kernel_counts after = kernel_counts(lab);
    look_at(lab, pair.client_port,
            (struct kernel_counts){after.n_timeouts - before.n_timeouts, after.n_probes - before.n_probes},
            ret_outcome);
    if (accident->caption)
        lab_ladder(lab, pair.client_port, _(accident->caption));
    party_close(client, pair.client);
    party_close(server, pair.server);
}

/* ---- telling */

static const char *means(const struct outcome *outcome)
{
    if (outcome->n_again == 0)
        return _("not needed");
    if (outcome->n_fast > 0 && outcome->n_needless == outcome->n_again)
        return outcome->sack ? _("selective ACK, needlessly") : _("duplicate ACKs, needlessly");
    if (outcome->n_timer > 0)
        return outcome->n_probe > 0 ? _("tail probe, then timer") : _("timer");
    if (outcome->n_fast > 0 && outcome->n_probe > 0)
        return outcome->sack ? _("tail probe, then selective ACK") : _("tail probe, then duplicate ACKs");
    if (outcome->n_fast > 0)
        return outcome->sack ? _("selective ACK") : _("duplicate ACKs");
    return outcome->n_probe > 0 ? _("tail probe") : _("not told apart");
}

static void tell(struct lab *lab, const struct outcome outcomes[N_ACCIDENTS])
{
    static const char *const heads[] = {N_("lost"), N_("dropped"),           N_("sent again"),
                                        N_("by"),   N_("first again after"), N_("all arrived")};

    lab_table(lab, 6, heads);
    for (unsigned i = 0; i < N_ACCIDENTS; i++) {
        lab_cell(lab, "%s", _(accidents[i].name));
        lab_cell(lab, "%u", outcomes[i].n_dropped);
        lab_cell(lab, "%u", outcomes[i].n_again);
        lab_cell(lab, "%s", means(&outcomes[i]));
        lab_cell(lab, "%s", outcomes[i].n_again > 0 ? lab_time_text(outcomes[i].first_again_ns) : "-");
        lab_cell(lab, "%s", outcomes[i].whole ? _("yes") : _("no"));
    }
    lab_table_end(lab);
}

static void judge(struct lab *lab, const struct outcome outcomes[N_ACCIDENTS])
{
    const struct outcome *timer = &outcomes[ALONE_TWICE], *fast = &outcomes[ONE_OF_TEN], *tail = &outcomes[LAST_OF_TEN];

    lab_figure(lab, "C43", "by_timer_after_ms", (double)timer->by_timer_ns / NS_PER_MS);
    lab_figure(lab, "C43", "rto_ms", (double)timer->rto_ns / NS_PER_MS);
    lab_figure(lab, "C43", "behind_others_after_ms", (double)fast->first_again_ns / NS_PER_MS);
    lab_figure(lab, "C43", "last_after_ms", (double)tail->first_again_ns / NS_PER_MS);
    lab_figure(lab, "C43", "again_after_a_lost_ack", outcomes[AN_ACK].n_again);
    lab_answer(lab, "%u", outcomes[AN_ACK].n_again);
    if (timer->n_timer == 0 || timer->n_dropped < 2) {
        lab_verdict(lab, "C43", LAB_NOT_SHOWN,
                    _("No repeat by the timer was seen: %u segments were dropped, %u sent again."), timer->n_dropped,
                    timer->n_again);
        return;
    }
    const char *after_ack = outcomes[AN_ACK].n_again == 0
                                ? _("and for a lost acknowledgement none went again, since the next one covered it")
                                : _("and for a lost acknowledgement something went again as well");
    lab_verdict(
        lab, "C43", LAB_TRUE,
        _("With nothing behind it to be acknowledged, and its first copy lost as well, the timer sent it again, "
          "%s after the copy (RTO was %s at first). But the timer is the last resort: with others behind it "
          "the lost segment went again after %s (%s), the last of ten after %s (%s); %s."),
        lab_time_text(timer->by_timer_ns), lab_time_text(timer->rto_ns), lab_time_text(fast->first_again_ns),
        means(fast), lab_time_text(tail->first_again_ns), means(tail), after_ack);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct outcome outcomes[N_ACCIDENTS];

    for (unsigned i = 0; i < N_ACCIDENTS; i++)
        run_accident(lab, client, server, &accidents[i], &outcomes[i]);
    tell(lab, outcomes);
    lab_starved(lab, 20 * NS_PER_MS);
    judge(lab, outcomes);
}

static const struct lab_claim claims[] = {
    {"C43", N_("A segment that is not acknowledged is sent again when its timer runs out.")},
    {NULL, NULL},
};

static const char *const settings[] = {
    "net.ipv4.tcp_sack",       "net.ipv4.tcp_early_retrans",      "net.ipv4.tcp_recovery",
    "net.ipv4.tcp_rto_min_us", "net.ipv4.tcp_congestion_control", NULL};

const struct experiment experiment_repairs = {
    .name = "repairs",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("what is lost is sent again: by what, and how soon"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE,
    .milliseconds = 1800,
    .done =
        N_("Over a wire of 10 ms each way a client sends ten segments at once, or one alone. The wire drops one data "
           "segment, or an acknowledgement, or lets one segment be overtaken."),
    .question = N_("Ten segments are sent; the server's first acknowledgement is lost. How many segments go again?"),
    .by_hand = "sonde wire --delay 10ms --a-to-b 'drop data #1 x2' --trace -- \\\n"
               "  sonde serve echo tcp://10.0.0.2:7007 --- sh -c \"printf 'hello' | nc -N 10.0.0.2 7007\"",
    .read = "RFC 6298 (timer); RFC 2018 (SACK); RFC 8985 (RACK and tail probes); RFC 5681, 3.2",
    .settings = settings,
    .run = run,
};
