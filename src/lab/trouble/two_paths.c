/* SPDX-License-Identifier: MIT */
/*
 * A connection is kept by its two ends alone. Nothing between them knows of it, and each packet goes where the route of
 * that moment says: half-way through a conversation it is changed to another wire.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <netinet/in.h>
#include <sonde/error.h>
#include <string.h>

#define N_ROUNDS 20
#define ETHERNET_BYTES 14

struct counted {
    unsigned n_segments[N_ENDS][2]; /* by who sent them, and over which wire */
    unsigned n_changes[N_ENDS];     /* how often the wire was another than that of the packet before */
};

static bool is_tcp(const struct wire_packet *packet)
{
    const uint8_t *frame = packet->data;

    return packet->n_captured >= ETHERNET_BYTES + 20 && frame[12] == 0x08 && frame[13] == 0x00 &&
           frame[ETHERNET_BYTES + 9] == IPPROTO_TCP;
}

static struct counted count(struct lab *lab)
{
    struct counted counted = {0};
    int last[N_ENDS] = {-1, -1};

    for (size_t i = 0; i < lab_n_packets(lab); i++) {
        const struct wire_packet *packet = lab_packet(lab, i);
        if (!is_tcp(packet) || packet->path > 1)
            continue;
        counted.n_segments[packet->from][packet->path]++;
        counted.n_changes[packet->from] += last[packet->from] >= 0 && last[packet->from] != packet->path;
        last[packet->from] = packet->path;
    }
    return counted;
}

/* To and fro; how many rounds were answered rightly. The route changes every five. */
static unsigned talk(struct lab *lab, struct party *client, struct party *server, const struct lab_pair *pair)
{
    unsigned n_right = 0;
    char question, answer = 0;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        if (i % 5 == 0 && i > 0) {
            int error = wire_set_path(lab_wire(lab), END_A, i / 5 % 2);
            if (error < 0)
                lab_give_up(lab, _("The route could not be changed: %s."), sonde_strerror(error));
        }
        question = (char)('a' + i);
        party_send(client, pair->client, &question, 1, 0);
        if (party_recv(server, pair->server, &answer, 1, 0) == 1)
            party_send(server, pair->server, &answer, 1, 0);
        n_right += party_recv(client, pair->client, &answer, 1, 0) == 1 && answer == question;
    }
    return n_right;
}

static void tell(struct lab *lab, const struct counted *counted)
{
    static const char *const heads[] = {N_("sent by"), N_("over the first wire"), N_("over the second"),
                                        N_("changes of wire")};

    lab_table(lab, 4, heads);
    for (unsigned end = 0; end < N_ENDS; end++) {
        lab_cell(lab, "%s", end == END_A ? _("client") : _("server"));
        lab_cell(lab, "%u", counted->n_segments[end][0]);
        lab_cell(lab, "%u", counted->n_segments[end][1]);
        lab_cell(lab, "%u", counted->n_changes[end]);
    }
    lab_table_end(lab);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    const struct timeval patience = {.tv_sec = 2};
    struct lab_pair pair;

    lab_rules(lab, END_A, "delay 1ms");
    lab_rules(lab, END_B, "delay 1ms");
    lab_connected(client, server, &pair);
    party_set_bytes(client, pair.client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    party_set_bytes(server, pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    unsigned n_right = talk(lab, client, server, &pair);
    party_close(client, pair.client);
    party_close(server, pair.server);
    lab_settle(lab);
    struct counted counted = count(lab);
    const unsigned *sent = counted.n_segments[END_A];

    tell(lab, &counted);
    lab_figure(lab, "C25", "segments_first_path", sent[0]);
    lab_figure(lab, "C25", "segments_second_path", sent[1]);
    lab_figure(lab, "C25", "rounds_answered", n_right);
    lab_answer(lab, "%s", n_right == N_ROUNDS && sent[1] > 0 ? "a" : "b");
    if (sent[0] > 0 && sent[1] > 0)
        lab_verdict(
            lab, "C25", n_right == N_ROUNDS ? LAB_FALSE : LAB_DEPENDS,
            _("One connection, and %u of the client's segments went over one wire, %u over another; the server's "
              "answers over %s. %u of %d questions were answered. What is fixed are the two ends' addresses and "
              "ports; the way between them is chosen for each packet by the routes of the moment."),
            sent[0], sent[1],
            counted.n_segments[END_B][0] && counted.n_segments[END_B][1] ? _("both") : _("one of them"), n_right,
            N_ROUNDS);
    else
        lab_verdict(lab, "C25", LAB_NOT_SHOWN,
                    _("All %u of the client's segments took the same wire although the route had been changed."),
                    sent[0] + sent[1]);
}

static const struct lab_claim claims[] = {
    {"C25", N_("Connection-oriented means that there is a fixed path through the network.")},
    {NULL, NULL},
};

static const char *const choices[] = {N_("a) it goes on, over the other wire"), N_("b) it hangs"), N_("c) it is reset"),
                                      NULL};

static const char *const settings[] = {"net.ipv4.conf.all.rp_filter", NULL};

const struct experiment experiment_two_paths = {
    .name = "two-paths",
    .chapter = CHAPTER_TROUBLE,
    .title = N_("a connection has two ends, and no path of its own"),
    .claims = claims,
    .systems = "S17",
    .needs = LAB_WIRE | LAB_SECOND_PATH,
    .milliseconds = 300,
    .done =
        N_("Two wires join the hosts. A client and a server exchange single bytes, and every five rounds the client's "
           "route to the server is changed to the other wire. Which wire each packet takes is seen on the wires."),
    .question = N_("A connection stands, and then the route to its other end is changed. What becomes of it?"),
    .choices = choices,
    .by_hand =
        "ip route get 127.0.0.1            # which way the next packet takes\n"
        "ip route show; ip monitor route   # while changing networks, a connection can live on if its address does",
    .read = "RFC 791, 1.4 (each datagram is an entity of its own); RFC 9293, 3.3.1; ip-route(8)",
    .settings = settings,
    .run = run,
};
