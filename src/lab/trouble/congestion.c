/* SPDX-License-Identifier: MIT */
/*
 * How much gets through when packets are lost, for each congestion control that this kernel lets us use. Those that
 * take a loss for congestion slow down at each one, however free the path is (Mathis et al. 1997: the rate falls with
 * the root of the loss); one that looks at the rate of delivery does not.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define RUN_NS (300 * NS_PER_MS)
#define N_SHARES 4
#define N_CONTROLS_MAX 4
#define RATE "rate 200Mbit queue 200ms"

static const double shares[N_SHARES] = {0.01, 0.1, 1, 3};
static const char *const rules[N_SHARES] = {
    "delay 5ms, " RATE ", loss 0.01% of data",
    "delay 5ms, " RATE ", loss 0.1% of data",
    "delay 5ms, " RATE ", loss 1% of data",
    "delay 5ms, " RATE ", loss 3% of data",
};

struct flow {
    int fd;
    int64_t until_ns;
    uint64_t n_bytes;
};

/* Sends as much as is taken until time is over. */
static void *pour(struct party *party, void *data)
{
    static const char block[65536];
    struct flow *flow = data;

    (void)party;
    while (lab_now() < flow->until_ns && send(flow->fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

static void *take(struct party *party, void *data)
{
    static char block[262144];
    struct flow *flow = data;

    (void)party;
    while (lab_now() < flow->until_ns) {
        ssize_t n = recv(flow->fd, block, sizeof block, 0);
        if (n > 0)
            flow->n_bytes += (uint64_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return NULL;
}

/* Megabits per second that the reader got; negative: this control cannot be used. */
static double goodput(struct lab *lab, const char *control, const char *loss)
{
    struct party *client = lab_party(lab, "sender", END_A), *server = lab_party(lab, "reader", END_B);
    const struct timeval patience = {.tv_usec = 50000};
    const struct linger none = {.l_onoff = 1};
    struct lab_pair pair;

    lab_rules(lab, END_A, "delay 5ms, " RATE);
    lab_rules(lab, END_B, "delay 5ms");
    lab_connected(client, server, &pair);
    if (party_set_bytes(client, pair.client, IPPROTO_TCP, TCP_CONGESTION, control, strlen(control)) < 0)
        return -1;
    setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    lab_rules(lab, END_A, loss);
    struct flow out = {.fd = pair.client, .until_ns = lab_now() + RUN_NS};
    struct flow in = {.fd = pair.server, .until_ns = out.until_ns};
    party_start(server, take, &in);
    party_start(client, pour, &out);
    party_join(client);
    party_join(server);
    setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    party_close(client, pair.client);
    party_close(server, pair.server);
    lab_rules(lab, END_A, "");
    lab_forget(lab);
    return (double)in.n_bytes * 8 / 1e6 / ((double)RUN_NS / NS_PER_S);
}

static void run(struct lab *lab)
{
    char available[256], *at = NULL;
    const char *names[N_CONTROLS_MAX];
    static double y[N_CONTROLS_MAX][N_SHARES];
    unsigned n = 0;

    if (!lab_setting_text(lab, END_A, "net.ipv4.tcp_available_congestion_control", available, sizeof available))
        lab_give_up(lab, _("Which congestion controls there are could not be read."));
    for (char *name = strtok_r(available, " ", &at); name && n < N_CONTROLS_MAX; name = strtok_r(NULL, " ", &at)) {
        bool usable = true;
        for (unsigned i = 0; i < N_SHARES && usable; i++)
            usable = (y[n][i] = goodput(lab, name, rules[i])) >= 0;
        if (usable)
            names[n++] = name;
    }
    if (n == 0)
        lab_give_up(lab, _("None of this kernel's congestion controls can be used here: %s."), available);

    struct lab_plot plot = {
        .title = N_("goodput against loss, 10 ms of round trip, 200 Mbit/s, 0.3 s each"),
        .x_label = N_("data segments lost (%)"),
        .y_label = N_("goodput (Mbit/s)"),
        .x_scale = SCALE_LOG,
        .y_scale = SCALE_LOG,
        .n_series = n,
    };
    const char *heads[N_CONTROLS_MAX + 1] = {N_("lost")};
    for (unsigned i = 0; i < n; i++) {
        plot.series[i] = (struct lab_series){.name = names[i], .x = shares, .y = y[i], .n = N_SHARES};
        heads[i + 1] = names[i];
    }
    lab_table(lab, n + 1, heads);
    for (unsigned share = 0; share < N_SHARES; share++) {
        lab_cell(lab, "%g %%", shares[share]);
        for (unsigned i = 0; i < n; i++)
            lab_cell(lab, "%.1f", y[i][share]);
    }
    lab_table_end(lab);
    lab_plot(lab, &plot);
    lab_starved(lab, 50 * NS_PER_MS);
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (y[i][N_SHARES - 1] > y[best][N_SHARES - 1])
            best = i;
    lab_answer(lab, "%s", names[best]);
    lab_say(lab,
            _("At %g %% of loss %s delivered most: %.1f Mbit/s, after %.1f at %g %%. What this shows is 0.3 s of one "
              "connection each, slow start included; it is no judgement on long transfers."),
            shares[N_SHARES - 1], names[best], y[best][N_SHARES - 1], y[best][0], shares[0]);
}

static const struct lab_claim claims[] = {{NULL, NULL}};

static const char *const settings[] = {"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_available_congestion_control",
                                       "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", NULL};

const struct experiment experiment_congestion = {
    .name = "congestion",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("how much gets through when packets are lost"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE,
    .milliseconds = 5000,
    .done = N_(
        "A client sends as fast as it may for 0.3 s over a wire of 5 ms each way and 200 Mbit/s that loses a share of "
        "its data segments; again for each share, and each congestion control of this kernel."),
    .question = N_("Which of them delivers most when 3 % of the segments are lost?"),
    .by_hand = "sonde wire --delay 5ms --rate 200Mbit --a-to-b 'loss 1% of data' -- sonde serve discard \\\n"
               "  'tcp://10.0.0.2:7007' --- sh -c 'head -c 5M /dev/zero | sonde connect tcp://10.0.0.2:7007'",
    .read = "RFC 5681 (Reno); RFC 9438 (CUBIC); draft-ietf-ccwg-bbr; tcp(7), TCP_CONGESTION",
    .settings = settings,
    .run = run,
};
