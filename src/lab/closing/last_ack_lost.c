/* SPDX-License-Identifier: MIT */
/*
 * What TIME_WAIT is for: the last acknowledgement is dropped on the wire. The other end, which is in LAST_ACK, sends
 * its FIN again, and somebody has to be there who answers it.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <sys/socket.h>

#define WITHIN_NS (3 * NS_PER_S)

struct look {
    struct lab *lab;
    struct lab_pair pair;
    struct socket_info client, server;
    bool client_found, server_found;
};

static void look_again(struct look *look)
{
    look->client_found = lab_socket_of(look->lab, END_A, look->pair.client_port, look->pair.server_port, &look->client);
    look->server_found = lab_socket_of(look->lab, END_B, look->pair.server_port, look->pair.client_port, &look->server);
}

static bool half_closed(void *data)
{
    struct look *look = data;

    look_again(look);
    return look->client_found && look->client.state == TCP_STATE_FIN_WAIT_2;
}

static bool ack_was_lost(void *data)
{
    struct look *look = data;

    look_again(look);
    return look->client_found && look->client.state == TCP_STATE_TIME_WAIT && look->server_found &&
           look->server.state == TCP_STATE_LAST_ACK && look->server.n_retransmits > 0;
}

static bool server_is_gone(void *data)
{
    struct look *look = data;

    look_again(look);
    return !look->server_found;
}

struct counted {
    unsigned n_fins;         /* of the server's, copies and all */
    unsigned n_acks;         /* of the client's behind them, */
    unsigned n_acks_dropped; /* ... that did not arrive */
    int64_t between_ns;      /* from its first FIN to its second */
};

static struct counted count(struct lab *lab, uint16_t client_port)
{
    struct counted counted = {0};
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, client_port, &n);
    int64_t first_ns = 0;

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        if (segment->from == END_B && segment->flags & SEGMENT_FIN) {
            if (++counted.n_fins == 1)
                first_ns = segments[i].left_ns;
            else if (counted.n_fins == 2)
                counted.between_ns = segments[i].left_ns - first_ns;
        } else if (segment->from == END_A && counted.n_fins > 0) {
            counted.n_acks++;
            counted.n_acks_dropped += segments[i].arrived_ns == 0;
        }
    }
    return counted;
}

static void judge(struct lab *lab, const struct counted *counted, int64_t left_before_ns, int64_t left_after_ns,
                  bool was_gone)
{
    lab_figure(lab, "C59", "fins_of_the_server", counted->n_fins);
    lab_figure(lab, "C59", "acks_dropped", counted->n_acks_dropped);
    lab_figure(lab, "C59", "fin_again_after_ms", (double)counted->between_ns / NS_PER_MS);
    lab_answer(lab, "%u", counted->n_fins);
    if (counted->n_acks_dropped == 0 || counted->n_fins < 2)
        lab_verdict(
            lab, "C59", LAB_NOT_SHOWN,
            _("%u acknowledgements of the server's FIN were dropped and it sent %u FINs: the case did not arise."),
            counted->n_acks_dropped, counted->n_fins);
    else if (was_gone && counted->n_acks > counted->n_acks_dropped)
        lab_verdict(
            lab, "C59", LAB_TRUE,
            _("The server sent its FIN %u times, the second %s after the first; the client's socket was closed and "
              "in TIME_WAIT, and its kernel sent %u acknowledgements (%u of them were dropped). With one that arrived "
              "the server left LAST_ACK. The client's wait had %s to go when the first had been lost, and %s at the "
              "end: each FIN begins it anew."),
            counted->n_fins, lab_time_text(counted->between_ns), counted->n_acks, counted->n_acks_dropped,
            lab_time_text(left_before_ns), lab_time_text(left_after_ns));
    else if (was_gone)
        lab_verdict(lab, "C59", LAB_FALSE,
                    _("The server sent its FIN %u times and went without an answer: %u acknowledgements were sent, and "
                      "%u of them dropped."),
                    counted->n_fins, counted->n_acks, counted->n_acks_dropped);
    else
        lab_verdict(
            lab, "C59", LAB_FALSE,
            _("The server sent its FIN %u times, %u acknowledgements came back of which %u were dropped, and it was "
              "still there 3 s later."),
            counted->n_fins, counted->n_acks, counted->n_acks_dropped);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct look look = {.lab = lab};
    char scrap[8];

    lab_rules(lab, END_A, "delay 5ms");
    lab_rules(lab, END_B, "delay 5ms");
    lab_connected(client, server, &look.pair);
    lab_watch(server, look.pair.server);
    lab_settle(lab);
    party_close(client, look.pair.client);
    party_recv(server, look.pair.server, scrap, sizeof scrap, 0);
    if (!lab_until(half_closed, &look, WITHIN_NS))
        lab_give_up(lab, _("The client did not come to FIN_WAIT_2 within 3 s."));
    lab_rules(lab, END_A, "delay 5ms, drop ack always");
    party_close(server, look.pair.server);
    if (!lab_until(ack_was_lost, &look, WITHIN_NS))
        lab_give_up(lab,
                    look.client_found && look.client.state == TCP_STATE_TIME_WAIT
                        ? _("With the client's acknowledgements dropped, the server did not send its FIN again within "
                            "3 s.")
                        : _("The client's kernel kept no entry in TIME_WAIT. (tcp_max_tw_buckets bounds how many there "
                            "may be.)"));
    int64_t left_before_ns = look.client.timer_ns;
    lab_rules(lab, END_A, "delay 5ms");
    bool was_gone = lab_until(server_is_gone, &look, WITHIN_NS);
    int64_t left_after_ns = look.client_found ? look.client.timer_ns : 0;
    lab_settle(lab);
    struct counted counted = count(lab, look.pair.client_port);
    lab_ladder(lab, look.pair.client_port, _("the client's last acknowledgements are dropped"));
    judge(lab, &counted, left_before_ns, left_after_ns, was_gone);
}

static const struct lab_claim claims[] = {
    {"C59", N_("TIME_WAIT is there to answer a FIN that comes again because the last acknowledgement was lost.")},
    {NULL, NULL},
};

static const char *const settings[] = {"net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_rto_min_us",
                                       "net.ipv4.tcp_max_tw_buckets", NULL};

const struct experiment experiment_last_ack_lost = {
    .name = "last-ack-lost",
    .chapter = CHAPTER_CLOSING,
    .title = N_("what TIME_WAIT is for"),
    .claims = claims,
    .systems = "S18",
    .needs = LAB_WIRE,
    .milliseconds = 900,
    .done = N_("A connection is closed, client first. When the client is in FIN_WAIT_2 the wire begins to drop its "
               "acknowledgements; then the server closes. Once its FIN has been sent again, the wire lets them pass."),
    .question =
        N_("One or more of the client's last ACKs are lost. How many FINs does the server send until it may go?"),
    .by_hand = "sonde wire --delay 5ms --a-to-b 'drop ack from 0.9s to 1.5s' --trace -- \\\n"
               "  sonde serve echo tcp://10.0.0.2:7007 --- sh -c '(echo hi; sleep 1) | nc -N 10.0.0.2 7007; sleep 2'",
    .read = "RFC 9293, 3.6.1 and 3.10.7.4 (TIME-WAIT STATE); RFC 1337",
    .settings = settings,
    .run = run,
};
