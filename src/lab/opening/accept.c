/* SPDX-License-Identifier: MIT */
/* accept(): which connection it takes, that it blocks, what it gives, and what it does with the address. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N_CLIENTS 3
#define BLOCKED_NS (20 * NS_PER_MS)

static const struct lab_claim claims[] = {
    {"C5", N_("accept() takes the oldest completed connection, and blocks when there is none.")},
    {"C6",
     N_("accept() returns a new, connected socket that does not listen; the address length must be set before the "
        "call.")},
    {"C32", N_("listen() does not block, accept() does.")},
    {0},
};

static const char *const choices[] = {
    N_("a) the first: its SYN came first"),
    N_("b) the second: its handshake was completed first"),
    N_("c) either"),
    NULL,
};

/* ---- order */

struct order {
    unsigned n, n_in_order;
    bool late_shown;      /* a client whose handshake was held up */
    bool completed_first; /* ... was given behind one whose SYN had come later */
};

static struct order take_in_order(struct lab *lab, struct party *client, struct party *server)
{
    struct order order = {0};
    struct clients clients = {.lab = lab, .party = client};
    uint16_t port;
    int listener = lab_listening(server, N_CLIENTS, &port);

    for (unsigned i = 0; i < N_CLIENTS; i++) {
        clients_open(&clients, 1, port);
        opening_queue_is(lab, port, i + 1);
    }
    unsigned n_waiting = clients_look(&clients, port).queue;
    for (unsigned i = 0; i < n_waiting && i < N_CLIENTS; i++) {
        int fd = party_accept(server, listener);

        order.n++;
        order.n_in_order += fd >= 0 && lab_peer_port(fd) == clients.port[i];
        if (fd >= 0) {
            party_close(server, fd);
        }
    }
    clients_reset(&clients);
    party_close(server, listener);
    return order;
}

/* The first client's acknowledgement is dropped, so that the second, whose SYN came later, is completed before it. */
static void overtake(struct lab *lab, struct party *client, struct party *server, struct order *order)
{
    struct clients clients = {.lab = lab, .party = client};
    uint16_t port;
    char rule[48];
    int listener = lab_listening(server, N_CLIENTS, &port);

    unsigned held = clients_bound(&clients);
    snprintf(rule, sizeof rule, "drop ack port %u", clients.port[held]);
    lab_rules(lab, END_A, rule);
    int64_t n_drops = lab_counter(lab, END_B, "ListenDrops");
    clients_connect(&clients, held, port);
    clients_decided(&clients, n_drops);
    clients_open(&clients, 1, port);
    if (opening_queue_is(lab, port, 1)) {
        /* data brings the acknowledgement that was dropped */
        party_send(client, clients.fd[held], "hello", 5, 0);
        if (opening_queue_is(lab, port, 2)) {
            int fd = party_accept(server, listener);

            order->late_shown = fd >= 0;
            order->completed_first = fd >= 0 && lab_peer_port(fd) == clients.port[1];
            if (fd >= 0) {
                party_close(server, fd);
            }
        }
    }
    lab_rules(lab, END_A, "");
    clients_reset(&clients);
    party_close(server, listener);
}

/* ---- blocking */

struct waiting {
    struct lab *lab;
    int listener, fd;
};

static void *run_server(struct party *party, void *data)
{
    struct waiting *waiting = data;

    waiting->fd = party_accept(party, waiting->listener);
    return NULL;
}

struct blocking {
    int64_t listen_ns;
    bool blocked;
    int64_t blocked_ns; /* accept: so long when the client came */
    int fd;
    uint16_t client_port, given_port;
    int listener_listens, given_listens; /* SO_ACCEPTCONN */
    int listener;
};

static struct blocking wait_for_one(struct lab *lab, struct party *client)
{
    struct blocking blocking = {0};
    struct party *server = lab_party(lab, "server", END_B);
    struct waiting waiting = {.lab = lab, .fd = -1};

    lab_forget(lab);
    waiting.listener = party_socket(server, AF_INET, SOCK_STREAM, 0);
    int result = party_bind(server, waiting.listener, lab_address(lab, END_B), 0);
    int64_t begin_ns = lab_now();
    if (result == 0) {
        result = party_listen(server, waiting.listener, 5);
    }
    blocking.listen_ns = lab_now() - begin_ns;
    if (result < 0) {
        lab_give_up(lab, _("There could be no listener: %s."), sonde_strerror(result));
    }
    uint16_t port = lab_local_port(waiting.listener);
    party_start(server, run_server, &waiting);
    blocking.blocked = party_until_blocked(server, BLOCKED_NS, NS_PER_S);
    blocking.blocked_ns = party_blocked_ns(server);
    int fd = opening_socket(client, lab);
    party_connect(client, fd, lab_address(lab, END_B), port);
    party_join(server);
    blocking.fd = waiting.fd;
    blocking.listener = waiting.listener;
    if (waiting.fd >= 0) {
        blocking.client_port = lab_local_port(fd);
        blocking.given_port = lab_peer_port(waiting.fd);
        party_get(server, waiting.listener, SOL_SOCKET, SO_ACCEPTCONN, &blocking.listener_listens);
        party_get(server, waiting.fd, SOL_SOCKET, SO_ACCEPTCONN, &blocking.given_listens);
        party_close(server, waiting.fd);
    }
    opening_settle(lab);
    lab_ladder(lab, lab_local_port(fd), _("accept() waits for a client."));
    opening_linger(fd);
    party_close(client, fd);
    party_close(server, waiting.listener);
    return blocking;
}

/* ---- the address */

#define N_LENGTHS 4

struct address_case {
    int length_given, length_returned;
    int result;         /* a negative errno, or 0: a descriptor */
    unsigned n_written; /* bytes of the buffer that were touched */
    bool client_ended;  /* the client was told of an end at once */
};

static bool has_ended(void *data)
{
    return opening_state(*(int *)data) != TCP_STATE_ESTABLISHED;
}

static struct address_case accept_address(struct lab *lab, struct party *client, int listener, uint16_t port,
                                          int length)
{
    struct address_case one = {.length_given = length, .length_returned = length};
    unsigned char buffer[sizeof(struct sockaddr_in) + 16];
    int fd = opening_socket(client, lab);

    unsigned char untouched = 0xa5; /* no byte of the address: its port's may be any */

    int connected = party_connect(client, fd, lab_address(lab, END_B), port);
    if (connected < 0) {
        lab_give_up(lab, _("The client could not connect: %s."), sonde_strerror(connected));
    }
    for (uint16_t own = lab_local_port(fd); (own & 0xff) == untouched || own >> 8 == untouched;) {
        untouched++;
    }
    memset(buffer, untouched, sizeof buffer);
    /* not through lab/call: it has no way to ask for a wrong length */
    int given = accept4(listener, (struct sockaddr *)buffer, (socklen_t *)&one.length_returned, SOCK_CLOEXEC);
    one.result = given < 0 ? -errno : 0;
    while (one.n_written < sizeof buffer && buffer[one.n_written] != untouched) {
        one.n_written++;
    }
    if (given < 0) {
        one.client_ended = lab_until(has_ended, &fd, 200 * NS_PER_MS);
    } else {
        close(given);
    }
    opening_linger(fd);
    party_close(client, fd);
    return one;
}

static void addresses(struct lab *lab, struct party *client, struct party *server, struct address_case cases[N_LENGTHS])
{
    static const char *const heads[] = {N_("length"), "accept()", N_("written"), N_("length then"), N_("client")};
    static const int lengths[N_LENGTHS] = {sizeof(struct sockaddr_in), 4, 0, -1};
    uint16_t port;
    int listener = lab_listening(server, 5, &port);

    opening_table(lab, 5, heads);
    for (unsigned i = 0; i < N_LENGTHS; i++) {
        cases[i] = accept_address(lab, client, listener, port, lengths[i]);
        lab_cell(lab, "%d", cases[i].length_given);
        lab_cell(lab, "%s", cases[i].result < 0 ? sonde_error_name(cases[i].result) : _("a descriptor"));
        lab_cell(lab, "%u", cases[i].n_written);
        lab_cell(lab, "%d", cases[i].length_returned);
        lab_cell(lab, "%s", cases[i].client_ended ? _("ended") : _("connected"));
    }
    lab_table_end(lab);
    party_close(server, listener);
}

/* ---- verdicts */

static void judge_order(struct lab *lab, const struct order *order, const struct blocking *blocking)
{
    bool in_order = order->n && order->n_in_order == order->n;

    lab_figure(lab, "C5", "accepted", order->n);
    lab_figure(lab, "C5", "in_order", order->n_in_order);
    lab_figure(lab, "C5", "blocked_ms", (double)blocking->blocked_ns / NS_PER_MS);
    if (order->late_shown) {
        lab_figure(lab, "C5", "completed_first", order->completed_first);
        lab_answer(lab, "%s", order->completed_first ? "b" : "a");
    }
    if (order->n < 2) {
        lab_verdict(lab, "C5", LAB_NOT_SHOWN, _("Only %u could wait at once, so there was no order to be seen."),
                    order->n);
        return;
    }
    if (in_order && blocking->blocked && (!order->late_shown || order->completed_first)) {
        lab_verdict(
            lab, "C5", LAB_TRUE,
            _("%u of %u came in the order in which they had connected.%s With none there, accept() blocked, %s "
              "by then, until a client came; on a non-blocking socket it would fail instead."),
            order->n_in_order, order->n,
            order->late_shown ? _(" One whose SYN came first, but whose handshake was completed last, came last.") : "",
            lab_time_text(blocking->blocked_ns));
    } else {
        lab_verdict(lab, "C5", LAB_FALSE,
                    order->late_shown && !order->completed_first
                        ? _("%u of %u came in order, but one whose handshake was completed last came first. With none "
                            "there, accept() blocked for %s.")
                        : _("%u of %u came in order. With none there, accept() blocked for %s."),
                    order->n_in_order, order->n, lab_time_text(blocking->blocked_ns));
    }
}

static void judge_new(struct lab *lab, const struct blocking *blocking, const struct address_case cases[N_LENGTHS])
{
    const struct address_case *small = &cases[1], *none = &cases[2], *negative = &cases[3];
    bool is_new = blocking->fd >= 0 && blocking->fd != blocking->listener;
    bool connected = is_new && blocking->given_port == blocking->client_port;
    bool listens = blocking->given_listens;
    char negative_text[160] = "";

    if (negative->result < 0) {
        snprintf(negative_text, sizeof negative_text,
                 negative->client_ended ? _(" With a negative one accept() gave %s, and the connection was lost.")
                                        : _(" With a negative one accept() gave %s."),
                 opening_result(negative->result));
    }

    lab_figure(lab, "C6", "descriptor_is_new", is_new);
    lab_figure(lab, "C6", "descriptor_is_connected", connected);
    lab_figure(lab, "C6", "descriptor_listens", listens);
    lab_figure(lab, "C6", "small_written", small->n_written);
    lab_figure(lab, "C6", "small_length_after", small->length_returned);
    lab_figure(lab, "C6", "none_written", none->n_written);
    lab_figure_text(lab, "C6", "negative_result", opening_result(negative->result));
    lab_figure(lab, "C6", "negative_lost", negative->client_ended);
    if (connected && !listens) {
        lab_verdict(
            lab, "C6", LAB_TRUE,
            _("A new descriptor, connected to the client, with SO_ACCEPTCONN 0 (the listener's: %d). The length "
              "says how much the buffer takes: with %d, %u bytes of the address were written and it became %d; "
              "with 0, %u were written.%s"),
            blocking->listener_listens, small->length_given, small->n_written, small->length_returned, none->n_written,
            negative_text);
    } else {
        lab_verdict(lab, "C6", LAB_FALSE, _("The descriptor was %s, %s, and %s."), is_new ? _("new") : _("not new"),
                    connected ? _("connected to the client") : _("not connected to the client"),
                    listens ? _("listening") : _("not listening"));
    }
}

static void judge_blocking(struct lab *lab, const struct blocking *blocking)
{
    lab_figure(lab, "C32", "listen_us", (double)blocking->listen_ns / NS_PER_US);
    lab_figure(lab, "C32", "accept_blocked_ms", (double)blocking->blocked_ns / NS_PER_MS);
    if (blocking->blocked && blocking->listen_ns < blocking->blocked_ns) {
        lab_verdict(lab, "C32", LAB_TRUE,
                    _("listen() came back after %s, with no client anywhere; accept() had not come back after %s, and "
                      "did when a client connected."),
                    lab_time_text(blocking->listen_ns), lab_time_text(blocking->blocked_ns));
    } else if (lab_starved(lab, BLOCKED_NS / 4)) {
        lab_verdict(lab, "C32", LAB_NOT_SHOWN, _("This machine was too busy to tell."));
    } else {
        lab_verdict(lab, "C32", LAB_FALSE, _("listen() took %s, and accept() was seen to block for %s."),
                    lab_time_text(blocking->listen_ns), lab_time_text(blocking->blocked_ns));
    }
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "opener", END_B);
    struct address_case cases[N_LENGTHS];

    struct order order = take_in_order(lab, client, server);
    if (lab_wire(lab)) {
        overtake(lab, client, server, &order);
    }
    struct blocking blocking = wait_for_one(lab, client);
    addresses(lab, client, server, cases);
    judge_order(lab, &order, &blocking);
    judge_new(lab, &blocking, cases);
    judge_blocking(lab, &blocking);
}

const struct experiment experiment_accept = {
    .name = "accept",
    .chapter = CHAPTER_OPENING,
    .title = N_("which connection accept() takes, and what it gives"),
    .claims = claims,
    .systems = "S3",
    .milliseconds = 150,
    .done = N_("Three clients connect one after the other and are accepted. Then the wire drops the acknowledgement of "
               "one client until another, whose SYN came later, has completed its handshake. Then accept() is called "
               "when there is nobody, and a client comes 20 ms later. Then it is called with wrong lengths of the "
               "address buffer."),
    .question = N_("Two clients wait in the accept queue. The first one's SYN came earlier, but its handshake was "
                   "completed later. Which one does accept() give?"),
    .choices = choices,
    .by_hand = "strace -e accept,accept4 nc.openbsd -l 7007   # it waits\n"
               "nc 127.0.0.1 7007   # now accept returns\n"
               "sonde connect -l --calls 7007   # the same",
    .read = "accept(2); listen(2); socket(7), SO_ACCEPTCONN",
    .settings = NULL,
    .run = run,
};
