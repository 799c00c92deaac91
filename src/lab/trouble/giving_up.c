/* SPDX-License-Identifier: MIT */
/*
 * When does TCP give up? The sysctl that decides is a number of retransmissions by its name. What it sets is a time:
 * that which so many retransmissions would take if the timeout began at its minimum. So with the same setting a
 * connection over a long path is given up after about as long as one over a short path, but after fewer
 * retransmissions.
 *
 * Three senders and one that connects wait at the same time, each in a thread of its own.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

#define RETRIES2 "net.ipv4.tcp_retries2"
#define SYN_RETRIES "net.ipv4.tcp_syn_retries"
#define SYN_LINEAR "net.ipv4.tcp_syn_linear_timeouts"
#define PATIENCE_NS (20 * NS_PER_S)

enum { NEAR_FEW, NEAR_MORE, FAR_MORE, N_SENDERS };

/* The setting is read when the timer runs out, so two values need two ends: one sender is at A, the others at B. */
static const struct plan {
    const char *name;
    enum event_end end;
    bool far;
} plans[N_SENDERS] = {
    [NEAR_FEW] = {N_("2 ms"), END_A, false},
    [NEAR_MORE] = {N_("2 ms"), END_B, false},
    [FAR_MORE] = {N_("300 ms"), END_B, true},
};

struct sender {
    const struct plan *plan;
    struct party *party;
    int fd;
    uint16_t client_port;
    int64_t sent_ns, gave_up_ns; /* 0: it did not */
    int error;
    int64_t retries;
    uint32_t rto_us;
    unsigned n_again, n_probes; /* n_probes: tail probes among them */
};

struct syn {
    struct lab *lab;
    int64_t took_ns;
    int error;
    unsigned n_syns;
    uint16_t port;
};

static void *wait_for_the_end(struct party *party, void *data)
{
    struct sender *sender = data;
    char scrap[8];

    sender->sent_ns = lab_now();
    party_send(party, sender->fd, "hello", 5, 0);
    sender->error = (int)party_recv(party, sender->fd, scrap, sizeof scrap, 0);
    if (sender->error != -EAGAIN)
        sender->gave_up_ns = lab_now();
    return NULL;
}

static void *connect_to_nobody(struct party *party, void *data)
{
    struct syn *syn = data;
    int fd = party_socket(party, AF_INET, SOCK_STREAM, 0);
    int64_t began_ns = lab_now();

    party_bind(party, fd, "", 0);
    syn->port = lab_local_port(fd);
    syn->error = party_connect(party, fd, lab_address(syn->lab, END_B), 9);
    syn->took_ns = lab_now() - began_ns;
    party_close(party, fd);
    return NULL;
}

/* The sender's connection, over a path of its length. */
static void prepare(struct lab *lab, const struct plan *plan, struct sender *sender)
{
    struct party *client = lab_party(lab, plan->end == END_A ? "sender" : "other", END_A);
    struct party *server = lab_party(lab, plan->end == END_A ? "other" : "sender", END_B);
    const char *rules = plan->far ? "delay 150ms" : "delay 1ms";
    const struct timeval patience = {.tv_sec = PATIENCE_NS / NS_PER_S};
    struct tcp_info info = {0};
    struct lab_pair pair;

    *sender = (struct sender){.plan = plan};
    lab_rules(lab, END_A, rules);
    lab_rules(lab, END_B, rules);
    lab_connected(client, server, &pair);
    lab_settle(lab);
    sender->party = plan->end == END_A ? client : server;
    sender->fd = plan->end == END_A ? pair.client : pair.server;
    sender->client_port = pair.client_port;
    sender->retries = lab_setting(lab, plan->end, RETRIES2);
    party_set_bytes(sender->party, sender->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    lab_tcp_info(sender->fd, &info);
    sender->rto_us = info.tcpi_rto;
}

static void count(struct lab *lab, struct sender *sender)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, sender->client_port, &n);
    unsigned n_sent = 0;

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        if (segment->from != sender->plan->end || segment->n_bytes == 0)
            continue;
        n_sent++;
        sender->n_probes += has_note(segment->notes, NOTE_AGAIN_TLP);
    }
    sender->n_again = n_sent > 0 ? n_sent - 1 : 0;
}

static void count_syns(struct lab *lab, struct syn *syn)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, syn->port, &n);

    for (size_t i = 0; i < n; i++)
        syn->n_syns += (segments[i].segment.flags & (SEGMENT_SYN | SEGMENT_ACK)) == SEGMENT_SYN;
}

/* ---- telling */

static void tell(struct lab *lab, const struct sender senders[N_SENDERS], const struct syn *syn)
{
    static const char *const heads[] = {N_("round trip"), "tcp_retries2",       N_("first RTO"),
                                        N_("sent again"), N_("given up after"), N_("with")};

    lab_table(lab, 6, heads);
    for (unsigned i = 0; i < N_SENDERS; i++) {
        const struct sender *sender = &senders[i];
        lab_cell(lab, "%s", _(sender->plan->name));
        lab_cell(lab, "%lld", (long long)sender->retries);
        lab_cell(lab, "%s", lab_time_text(sender->rto_us * NS_PER_US));
        lab_cell(lab, "%u", sender->n_again);
        lab_cell(lab, "%s",
                 sender->gave_up_ns ? lab_time_text(sender->gave_up_ns - sender->sent_ns) : _("not within 20 s"));
        lab_cell(lab, "%s", sender->error < 0 ? sonde_error_name(sender->error) : "0");
    }
    lab_table_end(lab);
    int64_t syn_retries = lab_setting(lab, END_A, SYN_RETRIES), linear = lab_setting(lab, END_A, SYN_LINEAR);
    lab_say(lab, _("connect() where nothing answers, tcp_syn_retries %lld: %u SYNs, %s after %s."),
            (long long)syn_retries, syn->n_syns, syn->error < 0 ? sonde_error_name(syn->error) : _("no error"),
            lab_time_text(syn->took_ns));
    if (linear > 0 && syn->n_syns > syn_retries + 1)
        lab_say(lab,
                _("More than the setting says: the first pauses are of the same length (tcp_syn_linear_timeouts %lld), "
                  "and here too it is the time of so many doubled ones that counts."),
                (long long)linear);
}

static void judge(struct lab *lab, const struct sender senders[N_SENDERS], const struct syn *syn,
                  int64_t machine_retries)
{
    const struct sender *few = &senders[NEAR_FEW], *near = &senders[NEAR_MORE], *far = &senders[FAR_MORE];
    char name[32];

    for (unsigned i = 0; i < N_SENDERS; i++) {
        snprintf(name, sizeof name, "sent_again_%u", i + 1);
        lab_figure(lab, "C45", name, senders[i].n_again);
        snprintf(name, sizeof name, "rto_first_ms_%u", i + 1);
        lab_figure(lab, "C45", name, senders[i].rto_us / 1000.0);
        snprintf(name, sizeof name, "given_up_after_ms_%u", i + 1);
        lab_figure(lab, "C45", name, (double)(senders[i].gave_up_ns - senders[i].sent_ns) / NS_PER_MS);
    }
    lab_figure(lab, "C45", "syns", syn->n_syns);
    if (!few->gave_up_ns || !near->gave_up_ns || !far->gave_up_ns) {
        lab_verdict(lab, "C45", LAB_NOT_SHOWN, _("Not all of the connections were given up within 20 s."));
        return;
    }
    lab_answer(lab, "%s", far->n_again < near->n_again ? "a" : far->n_again == near->n_again ? "b" : "c");
    if (few->n_again == 3 && near->n_again == 3 && far->n_again == 3) {
        lab_verdict(lab, "C45", LAB_TRUE,
                    _("3 retransmissions each time, with tcp_retries2 %lld, with %lld, and with that over the long "
                      "path."),
                    (long long)few->retries, (long long)near->retries);
        return;
    }
    unsigned n_probes = few->n_probes + near->n_probes + far->n_probes;
    lab_verdict(
        lab, "C45", LAB_FALSE,
        _("%u retransmissions in %s with tcp_retries2 %lld, %u in %s with %lld, and over the long path, with %lld as "
          "well, %u in %s%s.%s This machine's setting is %lld. For SYNs it is tcp_syn_retries: %u were sent with "
          "%lld."),
        few->n_again, lab_time_text(few->gave_up_ns - few->sent_ns), (long long)few->retries, near->n_again,
        lab_time_text(near->gave_up_ns - near->sent_ns), (long long)near->retries, (long long)far->retries,
        far->n_again, lab_time_text(far->gave_up_ns - far->sent_ns),
        far->n_again < near->n_again ? _(": what the setting gives is a time, computed from the smallest timeout, and "
                                         "the count follows from it")
                                     : "",
        n_probes > 0 ? _(" (Tail probes are among them.)") : "", (long long)machine_retries, syn->n_syns,
        (long long)lab_setting(lab, END_A, SYN_RETRIES));
}

static void run(struct lab *lab)
{
    struct sender senders[N_SENDERS];
    struct syn syn = {.lab = lab};
    struct party *caller = lab_party(lab, "caller", END_A);
    int64_t machine_retries = lab_setting(lab, END_B, RETRIES2); /* inherited */

    if (!lab_set(lab, END_A, RETRIES2, "1") || !lab_set(lab, END_B, RETRIES2, "2") ||
        !lab_set(lab, END_A, SYN_RETRIES, "1"))
        lab_give_up(lab, _("tcp_retries2 cannot be set here, and with this machine's it would take minutes."));
    for (unsigned i = 0; i < N_SENDERS; i++)
        prepare(lab, &plans[i], &senders[i]);
    lab_rules(lab, END_A, "stop");
    lab_rules(lab, END_B, "stop");
    party_start(caller, connect_to_nobody, &syn);
    for (unsigned i = 0; i < N_SENDERS; i++)
        party_start(senders[i].party, wait_for_the_end, &senders[i]);
    for (unsigned i = 0; i < N_SENDERS; i++)
        party_join(senders[i].party);
    party_join(caller);
    lab_settle(lab);
    for (unsigned i = 0; i < N_SENDERS; i++)
        count(lab, &senders[i]);
    count_syns(lab, &syn);
    tell(lab, senders, &syn);
    lab_ladder(lab, senders[NEAR_FEW].client_port, _("nothing passes any more; tcp_retries2 is 1"));
    lab_starved(lab, 50 * NS_PER_MS);
    judge(lab, senders, &syn, machine_retries);
}

static const struct lab_claim claims[] = {
    {"C45", N_("After three retransmissions TCP gives up.")},
    {NULL, NULL},
};

static const char *const choices[] = {N_("a) fewer"), N_("b) as many"), N_("c) more"), NULL};

static const char *const settings[] = {RETRIES2, SYN_RETRIES, SYN_LINEAR, "net.ipv4.tcp_retries1", NULL};

const struct experiment experiment_giving_up = {
    .name = "giving-up",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("how long TCP goes on trying"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE,
    .milliseconds = 4500,
    .done =
        N_("Three connections stand when the wire stops to pass anything, and each sends five bytes. With this "
           "machine's tcp_retries2 that would go on for many minutes, so it is 1 at one end and 2 at the other. Beside "
           "them connect() is tried, with tcp_syn_retries at 1."),
    .question = N_("The same tcp_retries2, but a round trip of 300 ms instead of 2: how many retransmissions are made "
                   "before it is given up?"),
    .choices = choices,
    .by_hand = "sonde wire --a-sysctl net.ipv4.tcp_retries2=3 --a-to-b 'stop from 1s' --trace -- \\\n"
               "  sonde serve echo tcp://10.0.0.2:7007 --- \\\n"
               "  sh -c '(sleep 2; echo hello; sleep 9) | nc 10.0.0.2 7007'",
    .read = "tcp(7), tcp_retries2, tcp_syn_retries; kernel ip-sysctl; RFC 9293, 3.8.3; RFC 1122, 4.2.3.5",
    .settings = settings,
    .run = run,
};
