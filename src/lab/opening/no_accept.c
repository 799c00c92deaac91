/* SPDX-License-Identifier: MIT */
/* S7. A server that listens and never calls accept(): what its clients get, and what they do not. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>

static const struct lab_claim claims[] = {
    {"C10", N_("A client may connect before the server calls accept().")},
    {"C17", N_("The handshake completes without accept().")},
    {"C18", N_("A connection that was not accepted belongs to no process.")},
    {0},
};

static const char *const choices[] = {
    N_("a) it waits until the server accepts"),
    N_("b) it fails"),
    N_("c) it returns, and the client can send"),
    NULL,
};

struct unaccepted {
    int connected; /* connect()'s result */
    ssize_t sent;
    bool acknowledged; /* all that was sent */
    enum tcp_state client;
    bool at_server; /* and there: */
    struct socket_info server;
    struct socket_info listener;
};

static bool is_acknowledged(void *data)
{
    return lab_queued_out(*(int *)data) == 0;
}

static struct unaccepted connect_and_send(struct lab *lab, struct party *client, int fd, uint16_t port)
{
    struct unaccepted found = {0};

    found.connected = party_connect(client, fd, lab_address(lab, END_B), port);
    if (found.connected < 0) {
        found.client = opening_state(fd);
        return found;
    }
    found.sent = party_send(client, fd, "hello", 5, 0);
    found.acknowledged = lab_until(is_acknowledged, &fd, NS_PER_S);
    found.client = opening_state(fd);
    opening_queue_is(lab, port, 1);
    found.at_server = lab_socket_of(lab, END_B, port, lab_local_port(fd), &found.server);
    lab_listener_of(lab, END_B, port, &found.listener);
    return found;
}

static void table(struct lab *lab, const struct unaccepted *found, const struct socket_info *accepted,
                  bool has_accepted)
{
    static const char *const heads[] = {N_("at the server"), N_("never accepted"), N_("after accept()")};

    opening_table(lab, has_accepted ? 3 : 2, heads);
    lab_cell(lab, "%s", _("state"));
    lab_cell(lab, "%s", tcp_state_name(found->server.state));
    if (has_accepted) {
        lab_cell(lab, "%s", tcp_state_name(accepted->state));
    }
    lab_cell(lab, "%s", _("inode (0: no descriptor)"));
    lab_cell(lab, "%" PRIu64, found->server.inode);
    if (has_accepted) {
        lab_cell(lab, "%" PRIu64, accepted->inode);
    }
    lab_cell(lab, "%s", _("bytes received, not read"));
    lab_cell(lab, "%u", found->server.receive_queue);
    if (has_accepted) {
        lab_cell(lab, "%u", accepted->receive_queue);
    }
    lab_table_end(lab);
}

/* How many more get in until the queue is full, and how the next one fares. */
static struct clients_look fill(struct lab *lab, struct party *party, uint16_t port, unsigned limit)
{
    struct clients clients = {.lab = lab, .party = party};
    struct clients_look look = {0};

    /* one is there already; one more than the limit gets in, and the one behind it does not */
    if (limit + 1 <= CLIENTS_MAX) {
        clients_open(&clients, limit + 1, port);
        look = clients_look(&clients, port);
        clients_reset(&clients);
    }
    return look;
}

static void judge(struct lab *lab, const struct unaccepted *found, const struct clients_look *full, uint64_t inode)
{
    bool both =
        found->client == TCP_STATE_ESTABLISHED && found->at_server && found->server.state == TCP_STATE_ESTABLISHED;

    lab_answer(lab, "%s", found->connected == -EINPROGRESS ? "a" : found->connected < 0 ? "b" : "c");
    if (found->connected == 0) {
        lab_verdict(lab, "C10", LAB_TRUE,
                    _("connect() returned 0 to a server that had called listen() and nothing since; the %zd bytes that "
                      "the client then sent %s."),
                    found->sent,
                    found->acknowledged ? _("were acknowledged by the server's kernel, and wait there")
                                        : _("were not acknowledged within a second"));
    } else {
        lab_verdict(lab, "C10", LAB_FALSE, _("connect() gave %s as long as nobody accepted."),
                    opening_result(found->connected));
    }
    if (!both) {
        lab_verdict(lab, "C17", LAB_FALSE, _("The client was %s; the server had %s."), tcp_state_name(found->client),
                    found->at_server ? tcp_state_name(found->server.state) : _("no such connection"));
    } else if (full->syn_sent) {
        lab_verdict(lab, "C17", LAB_TRUE,
                    _("Both ends were ESTABLISHED, and nobody had accepted: the kernel alone does it. But only until "
                      "the accept queue is full: with a limit of %u it held %u, and the next client stayed in "
                      "SYN_SENT."),
                    full->limit, full->queue);
    } else {
        lab_verdict(lab, "C17", LAB_TRUE,
                    _("Both ends were ESTABLISHED, and nobody had accepted: the kernel alone does it. The listener "
                      "counted %u in its accept queue."),
                    found->listener.receive_queue);
    }
    if (!found->at_server) {
        lab_verdict(lab, "C18", LAB_NOT_SHOWN, _("The server had no such connection."));
    } else if (found->server.inode == 0) {
        lab_verdict(
            lab, "C18", LAB_TRUE,
            inode ? _("Its inode was 0, so no process can hold a descriptor of it: only the listener's queue counts "
                      "it. accept() gave it the inode %" PRIu64 ".")
                  : _("Its inode was 0, so no process can hold a descriptor of it: only the listener's queue "
                      "counts it."),
            inode);
    } else {
        lab_verdict(lab, "C18", LAB_FALSE, _("It had the inode %" PRIu64 " already."), found->server.inode);
    }
    lab_figure(lab, "C10", "connect_result", found->connected);
    lab_figure(lab, "C10", "acknowledged", found->acknowledged);
    lab_figure_text(lab, "C17", "client_state", tcp_state_name(found->client));
    lab_figure_text(lab, "C17", "server_state", found->at_server ? tcp_state_name(found->server.state) : "none");
    lab_figure(lab, "C17", "accept_queue_limit", full->limit);
    lab_figure(lab, "C17", "accept_queue_held", full->queue);
    lab_figure(lab, "C17", "syn_sent", full->syn_sent);
    lab_figure(lab, "C18", "inode", (double)found->server.inode);
    lab_figure(lab, "C18", "inode_accepted", (double)inode);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);
    struct socket_info accepted = {0};
    uint16_t port;
    char data[16];

    int listener = lab_listening(server, 1, &port);
    int fd = opening_socket(client, lab);
    struct unaccepted found = connect_and_send(lab, client, fd, port);
    uint16_t client_port = lab_local_port(fd);
    struct clients_look full = fill(lab, client, port, found.listener.send_queue);

    bool has_accepted = false;
    int late = found.at_server ? party_accept(server, listener) : -1;
    if (late >= 0) {
        has_accepted = lab_socket_of(lab, END_B, port, client_port, &accepted);
        party_recv(server, late, data, sizeof data, 0);
    }
    lab_ladder(lab, client_port, _("The handshake and the data come first, accept() last."));
    if (found.at_server) {
        table(lab, &found, &accepted, has_accepted);
        lab_say(lab, _("The listener then counted %u in its accept queue, with a limit of %u."),
                found.listener.receive_queue, found.listener.send_queue);
    }
    judge(lab, &found, &full, accepted.inode);
}

static const char *const settings[] = {"net.core.somaxconn", NULL};

const struct experiment experiment_no_accept = {
    .name = "no-accept",
    .chapter = CHAPTER_OPENING,
    .title = N_("a server that never calls accept()"),
    .claims = claims,
    .systems = "S7",
    .milliseconds = 100,
    .done =
        N_("A server calls listen(fd, 1) and then nothing. A client connects and sends 5 bytes; both kernels are "
           "asked what they have. More clients connect until one does not get in. At last the server accepts once."),
    .question = N_("The server listens and never calls accept(). What does a client's connect() do?"),
    .choices = choices,
    .by_hand = "sonde serve hold 'tcp://:7007?backlog=1' &\n"
               "(echo hello; sleep 60) | nc 127.0.0.1 7007 &\n"
               "sonde watch --once --owners 7007   # the server's has no owner",
    .read = "listen(2); accept(2); tcp(7)",
    .settings = settings,
    .run = run,
};
