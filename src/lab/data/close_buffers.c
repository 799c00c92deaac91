/* SPDX-License-Identifier: MIT */
/*
 * What close() does to the two buffers. To the one to send: usually nothing, the kernel delivers it afterwards. To the
 * one received: what is in it is gone, and since the other end believes it delivered, it is told by a reset; which in
 * turn ends the delivery of what this end had still to send.
 */
#include "lab/data/data.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <stdlib.h>

#define SENT_BYTES 40000
#define UNREAD_BYTES 1000
#define WITHIN_NS (3 * NS_PER_S)

enum closing { CLOSE_PLAIN, CLOSE_LINGER, CLOSE_ABORT, CLOSE_UNREAD, N_CLOSINGS };

struct delivery {
    int64_t n_sent, n_queued; /* taken by send(); not acknowledged when close() was called */
    int64_t close_ns;
    int64_t n_read, n_wrong;
    int end; /* what the reader gets behind them */
};

static void deliver(struct lab *lab, struct party *client, struct party *server, enum closing closing,
                    struct delivery *ret_delivery)
{
    struct linger linger = {.l_onoff = 1, .l_linger = closing == CLOSE_LINGER ? 2 : 0};
    struct delivery delivery = {0};
    char *bytes = malloc(SENT_BYTES);
    struct lab_pair pair;
    int64_t start_ns;

    if (!bytes)
        lab_give_up(lab, _("There was no memory."));
    pattern_fill(bytes, SENT_BYTES, 0);
    lab_connected(client, server, &pair);
    if (closing == CLOSE_UNREAD) {
        data_expect(lab, "send()", party_send(server, pair.server, "unread", 6, 0));
        data_arrived(pair.client, 6, WITHIN_NS);
    }
    if (closing == CLOSE_LINGER || closing == CLOSE_ABORT)
        party_set_bytes(client, pair.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    delivery.n_sent = data_expect(lab, "send()", party_send(client, pair.client, bytes, SENT_BYTES, MSG_DONTWAIT));
    delivery.n_queued = lab_queued_out(pair.client);
    start_ns = lab_now();
    party_close(client, pair.client);
    delivery.close_ns = lab_now() - start_ns;
    delivery.n_read = data_drain(pair.server, SENT_BYTES + 1, WITHIN_NS, &delivery.n_wrong, &delivery.end);
    party_close(server, pair.server);
    free(bytes);
    *ret_delivery = delivery;
}

/* ---- C38 */

struct throwing {
    int64_t n_unread;         /* in the closer's queue when it closed */
    int64_t n_unacknowledged; /* at the sender at that time */
    bool saw_fin, saw_reset;  /* from the closer, on the wire */
    uint16_t client_port;
    int end; /* what the other end's recv() gives */
};

static void look_for_end(struct lab *lab, uint16_t client_port, struct throwing *throwing)
{
    const struct lab_segment *segments;
    size_t n;

    lab_settle(lab);
    segments = lab_segments(lab, client_port, &n);
    for (size_t i = 0; i < n; i++)
        if (segments[i].segment.from == END_B) {
            throwing->saw_fin = throwing->saw_fin || segments[i].segment.flags & SEGMENT_FIN;
            throwing->saw_reset = throwing->saw_reset || segments[i].segment.flags & SEGMENT_RST;
        }
}

static void throw_away(struct lab *lab, struct party *client, struct party *server, int64_t n_left,
                       struct throwing *ret_throwing)
{
    char bytes[UNREAD_BYTES];
    struct throwing throwing = {0};
    struct lab_pair pair;

    pattern_fill(bytes, sizeof(bytes), 0);
    lab_connected(client, server, &pair);
    data_expect(lab, "send()", party_send(client, pair.client, bytes, sizeof(bytes), 0));
    data_arrived(pair.server, sizeof(bytes), WITHIN_NS);
    data_acknowledged(pair.client, WITHIN_NS);
    if (n_left < UNREAD_BYTES)
        party_recv(server, pair.server, bytes, (size_t)(UNREAD_BYTES - n_left), 0);
    throwing.n_unread = lab_queued_in(pair.server);
    throwing.n_unacknowledged = lab_queued_out(pair.client);
    party_close(server, pair.server);
    data_drain(pair.client, 1, WITHIN_NS, NULL, &throwing.end);
    if (lab_wire(lab))
        look_for_end(lab, pair.client_port, &throwing);
    throwing.client_port = pair.client_port;
    party_close(client, pair.client);
    *ret_throwing = throwing;
}

/* ---- */

static void show(struct lab *lab, const struct delivery *deliveries, const struct throwing throwings[2])
{
    const char *names[N_CLOSINGS] = {_("as it is"), _("SO_LINGER 2 s"), _("SO_LINGER 0"), _("6 bytes unread")};
    const char *heads[] = {_("closed with"), _("unacked"), _("close() took"), _("reader got"), _("and then")};
    const char *heads_thrown[] = {_("unread at close()"), _("unacked"), _("closer sends"), _("other end's recv()")};

    lab_table(lab, 5, heads);
    for (unsigned i = 0; i < N_CLOSINGS; i++) {
        lab_cell(lab, "%s", names[i]);
        lab_cell(lab, "%s", lab_count_text((uint64_t)deliveries[i].n_queued));
        lab_cell(lab, "%s", lab_time_text(deliveries[i].close_ns));
        lab_cell(lab, "%s", lab_count_text((uint64_t)deliveries[i].n_read));
        lab_cell(lab, "%s", data_end_text(deliveries[i].end));
    }
    lab_table_end(lab);
    lab_say(lab, _("An end that closes with and without received bytes that it has not read:"));
    lab_table(lab, 4, heads_thrown);
    for (unsigned i = 0; i < 2; i++) {
        lab_cell(lab, "%s", lab_count_text((uint64_t)throwings[i].n_unread));
        lab_cell(lab, "%s", lab_count_text((uint64_t)throwings[i].n_unacknowledged));
        lab_cell(lab, "%s", throwings[i].saw_reset ? "RST" : throwings[i].saw_fin ? "FIN" : _("(not seen)"));
        lab_cell(lab, "%s", data_end_text(throwings[i].end));
    }
    lab_table_end(lab);
    lab_ladder(lab, throwings[0].client_port, _("the server closes with bytes unread"));
}

static bool is_delivered(const struct delivery *delivery)
{
    return delivery->n_read == delivery->n_sent && !delivery->n_wrong && delivery->end == 0;
}

static void judge_delivery(struct lab *lab, const struct delivery *deliveries)
{
    const struct delivery *plain = &deliveries[CLOSE_PLAIN], *abort = &deliveries[CLOSE_ABORT],
                          *unread = &deliveries[CLOSE_UNREAD];

    lab_figure(lab, "C37", "sent_bytes", (double)plain->n_sent);
    lab_figure(lab, "C37", "unacknowledged_at_close_bytes", (double)plain->n_queued);
    lab_figure(lab, "C37", "read_bytes", (double)plain->n_read);
    lab_figure(lab, "C37", "read_linger_bytes", (double)deliveries[CLOSE_LINGER].n_read);
    lab_figure(lab, "C37", "read_linger_0_bytes", (double)abort->n_read);
    lab_figure(lab, "C37", "read_unread_bytes", (double)unread->n_read);
    lab_figure_text(lab, "C37", "then_linger_0", data_end_text(abort->end));
    lab_figure_text(lab, "C37", "then_unread", data_end_text(unread->end));
    if (!is_delivered(plain))
        lab_verdict(lab, "C37", LAB_FALSE, _("Of %s bytes the reader got %s, then %s."),
                    lab_count_text((uint64_t)plain->n_sent), lab_count_text((uint64_t)plain->n_read),
                    data_end_text(plain->end));
    else if (!is_delivered(abort) || !is_delivered(unread))
        lab_verdict(
            lab, "C37", LAB_TRUE,
            _("%s bytes were not acknowledged when close() was called, and all %s came, with the end of data "
              "behind them. Unless close() makes a reset of it: with SO_LINGER 0 the reader got %s and %s, with "
              "unread data at the closer %s and %s."),
            lab_count_text((uint64_t)plain->n_queued), lab_count_text((uint64_t)plain->n_read),
            lab_count_text((uint64_t)abort->n_read), data_end_text(abort->end),
            lab_count_text((uint64_t)unread->n_read), data_end_text(unread->end));
    else
        lab_verdict(lab, "C37", LAB_TRUE,
                    _("%s bytes were not acknowledged when close() was called, and all %s came, in all four cases."),
                    lab_count_text((uint64_t)plain->n_queued), lab_count_text((uint64_t)plain->n_read));
}

static void judge_throwing(struct lab *lab, const struct throwing throwings[2])
{
    const struct throwing *unread = &throwings[0], *none = &throwings[1];

    lab_figure(lab, "C38", "unread_bytes", (double)unread->n_unread);
    lab_figure(lab, "C38", "unacknowledged_bytes", (double)unread->n_unacknowledged);
    lab_figure_text(lab, "C38", "then_unread", data_end_text(unread->end));
    lab_figure_text(lab, "C38", "then_all_read", data_end_text(none->end));
    if (unread->end < 0 && none->end == 0 && !unread->n_unacknowledged)
        lab_verdict(
            lab, "C38", LAB_TRUE,
            _("%s bytes, all of them acknowledged to the sender, were thrown away unread, and it was told so: its "
              "recv() gave %s, where it gave the %s when all had been read before."),
            lab_count_text((uint64_t)unread->n_unread), data_end_text(unread->end), data_end_text(none->end));
    else if (unread->end < 0 && none->end == 0)
        lab_verdict(
            lab, "C38", LAB_TRUE,
            _("%s bytes were thrown away unread, and the sender was told so: its recv() gave %s, where it gave the "
              "%s when all had been read before."),
            lab_count_text((uint64_t)unread->n_unread), data_end_text(unread->end), data_end_text(none->end));
    else if (unread->end == 0)
        lab_verdict(lab, "C38", LAB_DEPENDS,
                    _("%s unread bytes were thrown away, but the other end was not told: its recv() gave the end of "
                      "data."),
                    lab_count_text((uint64_t)unread->n_unread));
    else
        lab_verdict(lab, "C38", LAB_NOT_SHOWN,
                    _("The other end's recv() gave %s after %s unread bytes, and %s after none: no difference."),
                    data_end_text(unread->end), lab_count_text((uint64_t)unread->n_unread), data_end_text(none->end));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct delivery deliveries[N_CLOSINGS];
    struct throwing throwings[2];

    if (lab_wire(lab)) {
        lab_rules(lab, END_A, "delay 10ms");
        lab_rules(lab, END_B, "delay 10ms");
    }
    for (enum closing closing = 0; closing < N_CLOSINGS; closing++)
        deliver(lab, client, server, closing, &deliveries[closing]);
    throw_away(lab, client, server, UNREAD_BYTES, &throwings[0]);
    throw_away(lab, client, server, 0, &throwings[1]);
    show(lab, deliveries, throwings);
    lab_answer(lab, "%s", is_delivered(&deliveries[CLOSE_PLAIN]) ? "a" : deliveries[CLOSE_PLAIN].n_read ? "b" : "c");
    judge_delivery(lab, deliveries);
    judge_throwing(lab, throwings);
}

static const struct lab_claim claims[] = {
    {"C37", N_("Close still delivers what was written before.")},
    {"C38", N_("Close throws away what was received and not read.")},
    {0},
};

static const char *const choices[] = {N_("a) all 40,000"), N_("b) some"), N_("c) none"), NULL};

static const char *const settings[] = {"net.ipv4.tcp_wmem", "net.ipv4.tcp_fin_timeout", NULL};

const struct experiment experiment_close_and_buffers = {
    .name = "close-and-buffers",
    .chapter = CHAPTER_DATA,
    .title = N_("what close() does to bytes not sent and not read"),
    .claims = claims,
    .systems = "S14",
    .milliseconds = 500,
    .done =
        N_("A client sends 40,000 bytes over a wire that takes 10 ms each way and closes at once, in four ways. Then "
           "a server closes with received bytes unread, and another one that has read them all."),
    .question =
        N_("A client calls send() with 40,000 bytes, then close() at once; the first bytes have not even arrived. "
           "How many does the server get?"),
    .choices = choices,
    .by_hand = "sonde wire --trace --delay 10ms -- \\\n"
               "    sonde serve discard tcp://10.0.0.2:7007 --- \\\n"
               "    sh -c 'head -c 40000 /dev/zero | nc -N 10.0.0.2 7007'",
    .read = "RFC 9293, 3.6 and 3.10.4; RFC 1122, 4.2.2.13; socket(7), SO_LINGER; close(2)",
    .settings = settings,
    .run = run,
};
