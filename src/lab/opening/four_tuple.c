/* SPDX-License-Identifier: MIT */
/* S22. What names a connection: all four of both addresses and both ports, and no fewer. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define N_CLIENTS 4
#define N_SERVERS 2

static const struct lab_claim claims[] = {{0}};

static const char *const choices[] = {
    N_("a) no: the port is taken"),
    N_("b) yes, both at once"),
    N_("c) yes, but the first connection ends"),
    NULL,
};

struct bench {
    struct lab *lab;
    struct party *client, *server;
    int listener[N_SERVERS];
    uint16_t port[N_SERVERS];
    int first_client[N_CLIENTS], first_accepted[N_CLIENTS];
};

/* Several clients of the first server: one of them is to speak, and only its own connection is to hear it. */
static unsigned many(struct bench *bench, unsigned *ret_heard)
{
    unsigned n = 0, spoke = N_CLIENTS / 2;
    char data[8];

    *ret_heard = 0;
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        bench->first_client[i] = opening_socket(bench->client, bench->lab);
        bench->first_accepted[i] = -1;
        if (party_connect(bench->client, bench->first_client[i], lab_address(bench->lab, END_B), bench->port[0]) == 0) {
            bench->first_accepted[i] = party_accept(bench->server, bench->listener[0]);
            n += bench->first_accepted[i] >= 0;
        }
    }
    if (n == N_CLIENTS) {
        party_send(bench->client, bench->first_client[spoke], "hello", 5, 0);
        /* the one that is spoken to blocks until it has it; then the others, which have nothing */
        party_recv(bench->server, bench->first_accepted[spoke], data, sizeof data, 0);
        *ret_heard = 1;
        for (unsigned i = 0; i < N_CLIENTS; i++) {
            *ret_heard +=
                i != spoke && party_recv(bench->server, bench->first_accepted[i], data, sizeof data, MSG_DONTWAIT) > 0;
        }
    }
    return n;
}

static void list(struct bench *bench)
{
    static const char *const heads[] = {N_("server's address"), N_("port"), N_("client's address"), N_("port"),
                                        N_("state")};

    opening_table(bench->lab, 5, heads);
    for (unsigned server = 0; server < N_SERVERS; server++) {
        struct socket_info found[16];
        int n = lab_sockets(bench->lab, END_B, bench->port[server], 0, found, 16);

        for (int i = 0; i < n && i < 16; i++) {
            char text[64];

            if (found[i].state != TCP_STATE_ESTABLISHED) {
                continue;
            }
            lab_cell(bench->lab, "%s", lab_address(bench->lab, END_B));
            lab_cell(bench->lab, "%u", bench->port[server]);
            snprintf(text, sizeof text, "%s", lab_address(bench->lab, END_A));
            lab_cell(bench->lab, "%s", text);
            lab_cell(bench->lab, "%u", (unsigned)found[i].peer.port);
            lab_cell(bench->lab, "%s", tcp_state_name(found[i].state));
        }
    }
    lab_table_end(bench->lab);
}

/* A client at the given port, which others may have bound too. */
static int connect_from(struct bench *bench, uint16_t port, uint16_t server_port, int *ret_fd)
{
    int fd = opening_socket(bench->client, bench->lab);

    party_set(bench->client, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int result = party_bind(bench->client, fd, lab_address(bench->lab, END_A), port);
    if (result == 0) {
        result = party_connect(bench->client, fd, lab_address(bench->lab, END_B), server_port);
    }
    *ret_fd = fd;
    return result;
}

static void run(struct lab *lab)
{
    struct bench bench = {.lab = lab};
    unsigned n_heard;
    int fd[4];

    bench.client = lab_party(lab, "client", END_A);
    bench.server = lab_party(lab, "server", END_B);
    for (unsigned i = 0; i < N_SERVERS; i++) {
        bench.listener[i] = lab_listening(bench.server, N_CLIENTS, &bench.port[i]);
    }
    unsigned n = many(&bench, &n_heard);

    /* the same client port towards both servers, then towards one of them once more */
    int first = connect_from(&bench, 0, bench.port[0], &fd[0]);
    uint16_t port = lab_local_port(fd[0]);
    int second = connect_from(&bench, port, bench.port[1], &fd[1]);
    int again = connect_from(&bench, port, bench.port[0], &fd[2]);
    int same_socket = party_connect(bench.client, fd[0], lab_address(lab, END_B), bench.port[1]);
    bool first_lives = opening_state(fd[0]) == TCP_STATE_ESTABLISHED;

    list(&bench);
    lab_answer(lab, "%s", second < 0 ? "a" : first_lives ? "b" : "c");
    lab_say(lab,
            n_heard == 1
                ? _("%u of %d clients were connected to the one port %u at once. One of them spoke, and %u of the "
                    "server's %u sockets heard it: the client's port tells them apart.")
                : _("%u of %d clients were connected to the one port %u at once. One of them spoke, and %u of the "
                    "server's %u sockets heard it."),
            n, N_CLIENTS, bench.port[0], n_heard, n);
    lab_say(lab,
            _("From the client's port %u a connection to server port %u gave %s, and from the same port another to "
              "%u gave %s; the first was in %s then. (Both sockets had set SO_REUSEADDR, to bind the same port.)"),
            port, bench.port[0], opening_result(first), bench.port[1], opening_result(second),
            tcp_state_name(opening_state(fd[0])));
    lab_say(lab,
            again < 0
                ? _("The very same four a second time, port %u to port %u: %s, as there would be no telling the two "
                    "connections apart. A socket that is connected cannot be connected elsewhere either: %s.")
                : _("The very same four a second time, port %u to port %u: %s. A connected socket, connected "
                    "elsewhere: %s."),
            port, bench.port[0], opening_result(again), opening_result(same_socket));
}

const struct experiment experiment_four_tuple = {
    .name = "four-tuple",
    .chapter = CHAPTER_OPENING,
    .title = N_("what names a connection: two addresses and two ports"),
    .claims = claims,
    .systems = "S22",
    .milliseconds = 50,
    .done =
        N_("Four clients connect to one port, and one of them speaks. Then one client port is used for connections to "
           "two ports of the server at once, and for one of these a second time."),
    .question =
        N_("A client has a connection from its port p to port 7007 of a server. Can it have another from the same "
           "port p to port 7008 of that server?"),
    .choices = choices,
    .by_hand = "sonde serve echo :7007 :7008 &\n"
               "sleep 60 | sonde connect -4 -p 40404 :7007 &\n"
               "sleep 60 | sonde connect -4 -p 40404 :7008 &\n"
               "sonde connect -4 -p 40404 :7007   # the very same once more",
    .read = "RFC 9293, 3.3.1 and 3.4; ip(7), SO_REUSEADDR; connect(2)",
    .settings = NULL,
    .run = run,
};
