/* SPDX-License-Identifier: MIT */
/* S16. The three segments, their numbers, and when connect() comes back. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <unistd.h>

static const struct lab_claim claims[] = {
    {"C40", N_("The acknowledgement of a SYN with sequence number seq is seq + 1.")},
    {"C21", N_("connect() blocks while the handshake is going on.")},
    {"C29", N_("connect() returns once the server has sent data.")},
    {0},
};

static const char *const choices[] = {
    N_("a) at once"),
    N_("b) after about 20 ms, when the SYN has arrived"),
    N_("c) after about 40 ms, when the SYN-ACK has come back"),
    N_("d) after about 60 ms, when the server has its acknowledgement"),
    NULL,
};

struct opened {
    struct lab *lab;
    uint16_t server_port, client_port;
    int fd, result;
    int64_t before_ns, after_ns; /* around connect() */
    int64_t rtt_us;              /* as the kernel took it from the handshake */
    ssize_t n_received;
};

static void *run_client(struct party *party, void *data)
{
    struct opened *opened = data;
    struct tcp_info info;
    char greeting[16];

    opened->fd = opening_socket(party, opened->lab);
    opened->before_ns = lab_now();
    opened->result = party_connect(party, opened->fd, lab_address(opened->lab, END_B), opened->server_port);
    opened->after_ns = lab_now();
    opened->client_port = lab_local_port(opened->fd);
    if (lab_tcp_info(opened->fd, &info)) {
        opened->rtt_us = info.tcpi_rtt;
    }
    opened->n_received = party_recv(party, opened->fd, greeting, sizeof greeting, 0);
    return NULL;
}

struct three {
    unsigned n; /* of the handshake's segments that were seen */
    bool has_data;
    struct lab_segment syn, syn_ack, ack, data; /* data: the server's first */
};

static void find_three(struct lab *lab, uint16_t client_port, struct three *ret_three)
{
    size_t n;
    const struct lab_segment *segments = lab_segments(lab, client_port, &n);

    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;
        bool syn = segment->flags & SEGMENT_SYN;

        if (ret_three->n == 0 && syn && segment->from == END_A) {
            ret_three->syn = segments[i];
            ret_three->n = 1;
        } else if (ret_three->n == 1 && syn && segment->from == END_B) {
            ret_three->syn_ack = segments[i];
            ret_three->n = 2;
        } else if (ret_three->n == 2 && !syn && segment->from == END_A) {
            ret_three->ack = segments[i];
            ret_three->n = 3;
        } else if (!ret_three->has_data && segment->from == END_B && segment->n_bytes) {
            ret_three->data = segments[i];
            ret_three->has_data = true;
        }
    }
}

static int64_t nonblocking_took_ns(struct lab *lab, struct party *client, uint16_t server_port, int *ret_result)
{
    int fd = party_socket(client, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int64_t begin_ns = lab_now();

    *ret_result = party_connect(client, fd, lab_address(lab, END_B), server_port);
    int64_t took_ns = lab_now() - begin_ns;
    opening_linger(fd);
    party_close(client, fd);
    return took_ns;
}

static void numbers(struct lab *lab, const struct three *three)
{
    static const char *const heads[] = {N_("segment"), N_("seq, raw"), N_("acknowledged by"), N_("difference")};
    uint32_t seq[2] = {three->syn.segment.seq_raw, three->syn_ack.segment.seq_raw};
    uint32_t ack[2] = {three->syn_ack.segment.ack_raw, three->ack.segment.ack_raw};
    unsigned n_as_said = 0;

    opening_table(lab, 4, heads);
    for (unsigned i = 0; i < 2; i++) {
        lab_cell(lab, "%s", i == 0 ? "SYN" : "SYN-ACK");
        lab_cell(lab, "%u", seq[i]);
        lab_cell(lab, "%u", ack[i]);
        lab_cell(lab, "%u", ack[i] - seq[i]);
        n_as_said += ack[i] == seq[i] + 1;
    }
    lab_table_end(lab);
    lab_verdict(lab, "C40", n_as_said == 2 ? LAB_TRUE : LAB_FALSE,
                n_as_said == 2
                    ? _("%u of 2: the SYN at %u was acknowledged by %u, the SYN-ACK at %u by %u. A SYN takes "
                        "one number of the sequence, as if it were a byte.")
                    : _("Only %u of 2 were so: the SYN at %u was acknowledged by %u, the SYN-ACK at %u by "
                        "%u."),
                n_as_said, seq[0], ack[0], seq[1], ack[1]);
    lab_figure(lab, "C40", "syn_seq_raw", seq[0]);
    lab_figure(lab, "C40", "syn_acknowledged_raw", ack[0]);
    lab_figure(lab, "C40", "syn_ack_seq_raw", seq[1]);
    lab_figure(lab, "C40", "syn_ack_acknowledged_raw", ack[1]);
}

static void blocks(struct lab *lab, const struct opened *opened, const struct three *three, int64_t quick_ns, int quick)
{
    int64_t took_ns = opened->after_ns - opened->before_ns;
    int64_t rtt_ns = opened->rtt_us * NS_PER_US;
    bool waited = opened->after_ns >= three->syn_ack.arrived_ns;
    double round_trips = rtt_ns > 0 ? (double)took_ns / (double)rtt_ns : 0;

    /* the answer is what lies nearest to one way, two and three; a machine that was too busy has said so */
    lab_starved(lab, 5 * NS_PER_MS);
    lab_answer(lab, "%s",
               !waited                                                              ? "a"
               : opened->after_ns < three->ack.arrived_ns || !three->ack.arrived_ns ? "c"
                                                                                    : "d");
    if (waited) {
        lab_verdict(lab, "C21", LAB_TRUE,
                    _("connect() took %s, %.2f of the round trip that the kernel measured meanwhile (%s): it came back "
                      "%s after the SYN-ACK had arrived. That is for a socket that may block: on a non-blocking one "
                      "connect() gave %s after %s."),
                    lab_time_text(took_ns), round_trips, lab_time_text(rtt_ns),
                    lab_time_text(opened->after_ns - three->syn_ack.arrived_ns), opening_result(quick),
                    lab_time_text(quick_ns));
    } else {
        lab_verdict(lab, "C21", LAB_FALSE, _("connect() came back after %s, %s before the SYN-ACK had arrived."),
                    lab_time_text(took_ns), lab_time_text(three->syn_ack.arrived_ns - opened->after_ns));
    }
    lab_figure(lab, "C21", "connect_ms", (double)took_ns / NS_PER_MS);
    lab_figure(lab, "C21", "rtt_ms", (double)rtt_ns / NS_PER_MS);
    lab_figure(lab, "C21", "nonblocking_us", (double)quick_ns / NS_PER_US);
    lab_figure_text(lab, "C21", "nonblocking_result", opening_result(quick));
}

static void without_data(struct lab *lab, const struct opened *opened, const struct three *three)
{
    if (!three->has_data) {
        lab_verdict(lab, "C29", LAB_NOT_SHOWN, _("The server's data was not seen on the wire."));
        return;
    }
    int64_t later_ns = three->data.left_ns - opened->after_ns;

    if (later_ns > 0) {
        lab_verdict(
            lab, "C29", LAB_FALSE,
            _("When connect() came back, the server had sent its SYN-ACK and not one byte of data: its first %u "
              "bytes left %s later. What then waited for data was recv(), not connect()."),
            three->data.segment.n_bytes, lab_time_text(later_ns));
    } else {
        lab_verdict(lab, "C29", LAB_TRUE, _("The server's first %u bytes left %s before connect() came back."),
                    three->data.segment.n_bytes, lab_time_text(-later_ns));
    }
    lab_figure(lab, "C29", "data_after_connect_ms", (double)later_ns / NS_PER_MS);
    lab_figure(lab, "C29", "received_bytes", (double)opened->n_received);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);
    struct opened opened = {.lab = lab};
    int quick;

    int listener = lab_listening(server, 5, &opened.server_port);
    opening_meet(lab, client, server);
    lab_rules(lab, END_A, "delay 20ms");
    lab_rules(lab, END_B, "delay 20ms");

    party_start(client, run_client, &opened);
    int accepted = party_accept(server, listener);
    /* the server keeps quiet until the client is seen to wait for it */
    party_until_blocked(client, 20 * NS_PER_MS, NS_PER_S);
    if (accepted >= 0) {
        party_send(server, accepted, "hello", 5, 0);
    }
    party_join(client);
    lab_settle(lab);
    if (opened.result < 0) {
        lab_give_up(lab, _("The client could not connect: %s."), sonde_strerror(opened.result));
    }
    lab_ladder(lab, opened.client_port, _("The handshake, then data from the server. One way takes 20 ms."));

    struct three three = {0};
    find_three(lab, opened.client_port, &three);
    if (three.n < 3) {
        lab_give_up(lab, _("Not all three segments of the handshake were seen."));
    }
    numbers(lab, &three);
    int64_t quick_ns = nonblocking_took_ns(lab, client, opened.server_port, &quick);
    blocks(lab, &opened, &three, quick_ns, quick);
    without_data(lab, &opened, &three);
}

const struct experiment experiment_handshake = {
    .name = "handshake",
    .chapter = CHAPTER_OPENING,
    .title = N_("three segments: their numbers, and when connect() comes back"),
    .claims = claims,
    .systems = "S16 S3",
    .needs = LAB_WIRE,
    .milliseconds = 250,
    .done =
        N_("A client connects to a server across a wire on which each way takes 20 ms. The server stays silent until "
           "the client is seen to wait in recv(), then sends 5 bytes. The numbers are those on the wire."),
    .question = N_("Each way takes 20 ms, and the server sends no data. When does the client's connect() come back?"),
    .choices = choices,
    .by_hand = "sonde wire --trace --delay 20ms -- sonde serve greet 'hello\\n' \\\n"
               "  tcp://10.0.0.2:7007 --- nc -N 10.0.0.2 7007\n"
               "sonde serve hold :7007 &\n"
               "nc -v 127.0.0.1 7007   # no data comes",
    .read = "RFC 9293, 3.4 and 3.5; connect(2); tcp(7)",
    .settings = NULL,
    .run = run,
};
