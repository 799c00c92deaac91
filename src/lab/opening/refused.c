/* SPDX-License-Identifier: MIT */
/*
 * S5. Connecting where nobody listens. "Nobody" is made sure of by a socket that is bound to the port and never
 * listens: no other program can have it. The exception is a client whose own port is the one that it connects to: its
 * SYN comes to itself, which is a simultaneous open with one end.
 */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <string.h>

static const struct lab_claim claims[] = {
    {"C9", N_("Connecting to a port on which nobody listens fails.")},
    {0},
};

static const char *const choices[] = {
    N_("a) ECONNREFUSED, as nobody listens"),
    N_("b) it waits for ever"),
    N_("c) it is connected, with itself"),
    NULL,
};

struct refusal {
    int result;
    int64_t took_ns;
    bool seen;                 /* on the wire: */
    bool reset;                /* the answer was a RST */
    uint32_t seq_raw, ack_raw; /* of the SYN, and acknowledged by the answer */
};

static struct refusal be_refused(struct lab *lab, struct party *client, struct party *server)
{
    struct refusal refusal = {0};
    uint16_t client_port = 0; /* the socket has lost it by then */
    int closed = party_socket(server, AF_INET, SOCK_STREAM, 0);
    int fd = opening_socket(client, lab);

    int result = party_bind(server, closed, lab_address(lab, END_B), 0);
    if (result < 0) {
        lab_give_up(lab, _("No port could be had: %s."), sonde_strerror(result));
    }
    int64_t begin_ns = lab_now();
    refusal.result = party_connect(client, fd, lab_address(lab, END_B), lab_local_port(closed));
    refusal.took_ns = lab_now() - begin_ns;
    if (lab_wire(lab)) {
        size_t n;

        lab_settle(lab);
        const struct lab_segment *segments = lab_segments(lab, 0, &n);
        for (size_t i = 0; i < n; i++) {
            client_port = segments[i].client_port;
            if (segments[i].segment.from == END_A) {
                refusal.seq_raw = segments[i].segment.seq_raw;
            } else {
                refusal.seen = true;
                refusal.reset = segments[i].segment.flags & SEGMENT_RST;
                refusal.ack_raw = segments[i].segment.ack_raw;
            }
        }
    }
    lab_ladder(lab, client_port, _("Nobody listens on that port."));
    party_close(client, fd);
    party_close(server, closed);
    return refusal;
}

struct to_itself {
    int result;
    ssize_t n_received;
    bool same; /* what it received is what it sent */
    bool own_port;
    uint16_t port;
};

static struct to_itself connect_to_itself(struct lab *lab, struct party *client)
{
    struct to_itself self = {0};
    int fd = opening_socket(client, lab);
    char data[8] = "";

    int result = party_bind(client, fd, "127.0.0.1", 0);
    if (result < 0) {
        lab_give_up(lab, _("No port could be had: %s."), sonde_strerror(result));
    }
    self.port = lab_local_port(fd);
    self.result = party_connect(client, fd, "127.0.0.1", self.port);
    if (self.result == 0) {
        self.own_port = lab_peer_port(fd) == self.port;
        party_send(client, fd, "hello", 5, 0);
        self.n_received = party_recv(client, fd, data, sizeof data, 0);
        self.same = self.n_received == 5 && memcmp(data, "hello", 5) == 0;
    }
    opening_linger(fd);
    party_close(client, fd);
    return self;
}

/* A port on which somebody listens, whose queue is full: no refusal either, and no connection. */
static enum tcp_state at_full_queue(struct lab *lab, struct party *client, struct party *server)
{
    struct clients clients = {.lab = lab, .party = client};
    uint16_t port;
    int listener = lab_listening(server, 0, &port);

    clients_open(&clients, 2, port);
    enum tcp_state state = opening_state(clients.fd[1]);
    clients_reset(&clients);
    party_close(server, listener);
    return state;
}

static void judge(struct lab *lab, const struct refusal *refusal, const struct to_itself *self)
{
    bool refused = refusal->result == -ECONNREFUSED;
    bool with_itself = self->result == 0 && self->own_port;

    lab_answer(lab, "%s", with_itself ? "c" : self->result == -ECONNREFUSED ? "a" : "b");
    lab_figure_text(lab, "C9", "connect_result", opening_result(refusal->result));
    lab_figure(lab, "C9", "connect_us", (double)refusal->took_ns / NS_PER_US);
    lab_figure_text(lab, "C9", "self_connect_result", opening_result(self->result));
    lab_figure(lab, "C9", "self_connect_bytes", (double)self->n_received);
    if (refusal->seen) {
        lab_figure(lab, "C9", "answered_by_reset", refusal->reset);
    }
    if (refused && with_itself) {
        lab_verdict(
            lab, "C9", LAB_DEPENDS,
            refusal->reset
                ? _("Where nobody listened, the answer to the SYN was a reset, and connect() gave %s after %s. But "
                    "a client bound to port %u could connect to port %u of its own, and read the %zd bytes that "
                    "it had sent itself.")
                : _("Where nobody listened, connect() gave %s after %s. But a client bound to port %u could "
                    "connect to port %u of its own, and read the %zd bytes that it had sent itself."),
            opening_result(refusal->result), lab_time_text(refusal->took_ns), self->port, self->port, self->n_received);
    } else if (refused) {
        lab_verdict(lab, "C9", LAB_TRUE, _("connect() gave %s after %s; to one's own port it gave %s."),
                    opening_result(refusal->result), lab_time_text(refusal->took_ns), opening_result(self->result));
    } else {
        lab_verdict(lab, "C9", refusal->result < 0 ? LAB_TRUE : LAB_FALSE, _("connect() gave %s after %s."),
                    opening_result(refusal->result), lab_time_text(refusal->took_ns));
    }
}

static void run(struct lab *lab)
{
    static const char *const heads[] = {N_("connect() to"), N_("gives")};
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);

    if (lab_wire(lab)) {
        opening_meet(lab, client, server);
    }
    struct refusal refusal = be_refused(lab, client, server);
    struct to_itself self = connect_to_itself(lab, client);
    enum tcp_state full = at_full_queue(lab, client, server);

    opening_table(lab, 2, heads);
    lab_cell(lab, "%s", _("a port on which nobody listens"));
    lab_cell(lab, "%s", opening_result(refusal.result));
    lab_cell(lab, "%s", _("the port that is the client's own"));
    lab_cell(lab, "%s", opening_result(self.result));
    lab_cell(lab, "%s", _("a listener whose accept queue is full"));
    lab_cell(lab, full == TCP_STATE_SYN_SENT ? _("nothing yet: %s") : "%s", tcp_state_name(full));
    lab_table_end(lab);
    if (refusal.seen && refusal.reset && refusal.ack_raw == refusal.seq_raw + 1) {
        lab_say(lab,
                _("The reset acknowledges the SYN, %u by %u: that is how the client knows that it is meant. A full "
                  "accept queue is another matter (sonde lab overflow), and so is a host or a firewall that keeps "
                  "silent: connect() then waits, and gives ETIMEDOUT in the end."),
                refusal.seq_raw, refusal.ack_raw);
    }
    judge(lab, &refusal, &self);
}

static const char *const settings[] = {"net.ipv4.tcp_syn_retries", NULL};

const struct experiment experiment_refused = {
    .name = "refused",
    .chapter = CHAPTER_OPENING,
    .title = N_("connecting where nobody listens"),
    .claims = claims,
    .systems = "S5",
    .milliseconds = 50,
    .done =
        N_("A client connects to a port that is bound but not listened on, so that nobody can listen there. Another "
           "binds itself to a port and connects to that same port. A third one finds a listener whose accept queue "
           "is full."),
    .question = N_("A client binds itself to port p of 127.0.0.1 and connects to port p of 127.0.0.1. Nobody listens "
                   "there. What happens?"),
    .choices = choices,
    .by_hand = "nc -v 127.0.0.1 1   # or any port where nobody listens\n"
               "sonde connect --trace 127.0.0.1:1\n"
               "echo hello | nc -N -s 127.0.0.1 -p 40404 127.0.0.1 40404",
    .read = "RFC 9293, 3.5.2 (reset generation) and 3.5 (simultaneous open); connect(2)",
    .settings = settings,
    .run = run,
};
