/* SPDX-License-Identifier: MIT */
/*
 * What happens at a full queue. There are three cases, which are often taken for one: a SYN finds the accept queue
 * full; the last segment of a handshake finds it full, because the SYN came while there was room; a SYN finds no room
 * among the half-open. For the second, one client's bare acknowledgements are dropped by the wire while another takes
 * the last place; then the first one's data brings the acknowledgement.
 */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define ABORT "net.ipv4.tcp_abort_on_overflow"
#define SYNCOOKIES "net.ipv4.tcp_syncookies"
#define BACKLOG 2

static const struct lab_claim claims[] = {{0}};

static const char *const choices[] = {
    N_("a) it is refused at once"),
    N_("b) it hangs, and comes in when there is room"),
    N_("c) it hangs, and fails even when there is room"),
    NULL,
};

struct bench {
    struct lab *lab;
    struct party *server;
    struct clients clients;
    int listener;
    uint16_t port;
    unsigned limit;
};

/* What is counted meanwhile. */
enum counter { OVERFLOWS, HALF_OPEN_DROPS, COOKIES, EMBRYONIC_RESETS, N_COUNTERS };
static const char *const counters[N_COUNTERS] = {"ListenOverflows", "TCPReqQFullDrop", "SyncookiesSent",
                                                 "EmbryonicRsts"};

struct counted {
    int64_t value[N_COUNTERS];
};

static struct counted count(struct lab *lab)
{
    struct counted counted;

    for (unsigned i = 0; i < N_COUNTERS; i++) {
        counted.value[i] = lab_counter(lab, END_B, counters[i]);
    }
    return counted;
}

/* SYN or the last segment of a handshake at the accept queue, SYN at the half-open. */
enum comes { SYN_COMES, ACK_COMES, SYN_COMES_HALF_OPEN };

struct outcome {
    bool shown;
    uint8_t comes; /* enum comes: what came to the full queue */
    int64_t value; /* of the setting that decides */
    enum tcp_state client;
    enum tcp_state server; /* CLOSED: it has nothing of it */
    int error;             /* what the client then reads: a negative errno; 0: nothing yet */
    struct counted more;
};

static void listen_anew(struct bench *bench)
{
    struct socket_info listener;

    bench->listener = lab_listening(bench->server, BACKLOG, &bench->port);
    bench->limit = lab_listener_of(bench->lab, END_B, bench->port, &listener) ? listener.send_queue : 0;
    bench->clients.n = 0;
}

static void end(struct bench *bench)
{
    lab_rules(bench->lab, END_A, "");
    clients_reset(&bench->clients);
    party_close(bench->server, bench->listener);
}

static enum tcp_state at_server(const struct bench *bench, uint16_t client_port)
{
    struct socket_info found;

    return lab_socket_of(bench->lab, END_B, bench->port, client_port, &found) ? (enum tcp_state)found.state
                                                                              : TCP_STATE_CLOSED;
}

static void finish(struct bench *bench, unsigned client, const struct counted *before, struct outcome *outcome)
{
    struct counted after = count(bench->lab);
    char data[8];

    for (unsigned i = 0; i < N_COUNTERS; i++) {
        outcome->more.value[i] = after.value[i] - before->value[i];
    }
    outcome->client = opening_state(bench->clients.fd[client]);
    outcome->server = at_server(bench, bench->clients.port[client]);
    if (outcome->client != TCP_STATE_SYN_SENT) {
        ssize_t n = party_recv(bench->clients.party, bench->clients.fd[client], data, sizeof data, MSG_DONTWAIT);
        outcome->error = n == -EAGAIN ? 0 : (int)n;
    }
    outcome->shown = true;
}

static struct outcome syn_at_accept_queue(struct bench *bench)
{
    struct outcome outcome = {.comes = SYN_COMES, .value = lab_setting(bench->lab, END_B, ABORT)};

    listen_anew(bench);
    clients_open(&bench->clients, bench->limit + 1, bench->port);
    struct counted before = count(bench->lab);
    clients_open(&bench->clients, 1, bench->port);
    finish(bench, bench->clients.n - 1, &before, &outcome);
    end(bench);
    return outcome;
}

static struct outcome ack_at_accept_queue(struct bench *bench)
{
    struct outcome outcome = {.comes = ACK_COMES, .value = lab_setting(bench->lab, END_B, ABORT)};
    struct clients *clients = &bench->clients;
    char rule[48];

    listen_anew(bench);
    if (bench->limit) {
        clients_open(clients, bench->limit, bench->port);
    }
    unsigned held = clients_bound(clients);
    snprintf(rule, sizeof rule, "drop ack port %u", clients->port[held]);
    lab_rules(bench->lab, END_A, rule);
    int64_t n_drops = lab_counter(bench->lab, END_B, "ListenDrops");
    clients_connect(clients, held, bench->port);
    clients_decided(clients, n_drops);
    clients_open(clients, 1, bench->port);
    if (opening_queue_is(bench->lab, bench->port, bench->limit + 1)) {
        struct counted before = count(bench->lab);
        party_send(clients->party, clients->fd[held], "hello", 5, 0);
        lab_settle(bench->lab);
        lab_settle(bench->lab);
        finish(bench, held, &before, &outcome);
    }
    end(bench);
    return outcome;
}

static struct outcome syn_at_half_open(struct bench *bench)
{
    struct outcome outcome = {.comes = SYN_COMES_HALF_OPEN, .value = lab_setting(bench->lab, END_B, SYNCOOKIES)};
    struct clients *clients = &bench->clients;

    listen_anew(bench);
    lab_rules(bench->lab, END_A, "drop ack");
    clients_open(clients, bench->limit + 1, bench->port);
    lab_rules(bench->lab, END_A, "");
    struct counted before = count(bench->lab);
    clients_open(clients, 1, bench->port);
    finish(bench, clients->n - 1, &before, &outcome);
    end(bench);
    return outcome;
}

/* ---- a client that blocks at the full queue */

struct patient {
    struct lab *lab;
    uint16_t server_port, client_port;
    int fd, result;
};

static void *run_patient(struct party *party, void *data)
{
    struct patient *patient = data;

    patient->result = party_connect(party, patient->fd, lab_address(patient->lab, END_B), patient->server_port);
    return NULL;
}

struct hung {
    bool blocked;
    int result;
    int64_t after_accept_ns;
    unsigned n_syns;
    uint16_t client_port;
};

static struct hung hang(struct bench *bench)
{
    struct hung hung = {0};
    struct party *party = lab_party(bench->lab, "client", END_A);
    struct patient patient = {.lab = bench->lab};
    size_t n;

    listen_anew(bench);
    clients_open(&bench->clients, bench->limit + 1, bench->port);
    lab_settle(bench->lab);
    lab_forget(bench->lab);
    patient.server_port = bench->port;
    patient.fd = opening_socket(party, bench->lab);
    party_bind(party, patient.fd, lab_address(bench->lab, END_A), 0);
    hung.client_port = lab_local_port(patient.fd);
    party_start(party, run_patient, &patient);
    hung.blocked = party_until_blocked(party, 50 * NS_PER_MS, NS_PER_S);
    party_accept(bench->server, bench->listener);
    int64_t room_ns = lab_now();
    party_join(party);
    hung.after_accept_ns = lab_now() - room_ns;
    hung.result = patient.result;
    lab_settle(bench->lab);
    const struct lab_segment *segments = lab_segments(bench->lab, hung.client_port, &n);
    for (size_t i = 0; i < n; i++) {
        hung.n_syns += segments[i].segment.from == END_A && segments[i].segment.flags & SEGMENT_SYN;
    }
    lab_ladder(bench->lab, hung.client_port,
               _("The accept queue is full: SYN 1 arrives, and the server's kernel drops it."));
    party_close(party, patient.fd);
    end(bench);
    return hung;
}

/* ---- the report */

static void ends(struct lab *lab, const struct outcome *outcome)
{
    lab_cell(lab, "%s", outcome->error ? sonde_error_name(outcome->error) : tcp_state_name(outcome->client));
    lab_cell(lab, "%s", outcome->server == TCP_STATE_CLOSED ? "-" : tcp_state_name(outcome->server));
}

static void tables(struct lab *lab, const struct outcome *outcomes, unsigned n)
{
    static const char *const accept_heads[] = {N_("comes"), "abort_on_overflow", N_("client"), N_("server"),
                                               "ListenOverflows"};
    static const char *const half_open_heads[] = {"syncookies", N_("client"), N_("server"), N_("cookies"), N_("drops")};

    lab_say(lab, _("The accept queue is full:"));
    opening_table(lab, 5, accept_heads);
    for (unsigned i = 0; i < n; i++) {
        if (outcomes[i].shown && outcomes[i].comes != SYN_COMES_HALF_OPEN) {
            lab_cell(lab, "%s", outcomes[i].comes == SYN_COMES ? "SYN" : "ACK");
            lab_cell(lab, "%" PRId64, outcomes[i].value);
            ends(lab, &outcomes[i]);
            lab_cell(lab, "+%" PRId64, outcomes[i].more.value[OVERFLOWS]);
        }
    }
    lab_table_end(lab);
    lab_say(lab, _("There are as many half-open connections as there may be, and one more SYN comes:"));
    opening_table(lab, 5, half_open_heads);
    for (unsigned i = 0; i < n; i++) {
        if (outcomes[i].shown && outcomes[i].comes == SYN_COMES_HALF_OPEN) {
            lab_cell(lab, "%" PRId64, outcomes[i].value);
            ends(lab, &outcomes[i]);
            lab_cell(lab, "+%" PRId64, outcomes[i].more.value[COOKIES]);
            lab_cell(lab, "+%" PRId64, outcomes[i].more.value[HALF_OPEN_DROPS]);
        }
    }
    lab_table_end(lab);
}

static const struct outcome *find(const struct outcome *outcomes, unsigned n, enum comes comes, int64_t value)
{
    for (unsigned i = 0; i < n; i++) {
        if (outcomes[i].shown && outcomes[i].comes == comes && outcomes[i].value == value) {
            return &outcomes[i];
        }
    }
    return NULL;
}

static void say_aborts(struct lab *lab, const struct outcome *outcomes, unsigned n)
{
    const struct outcome *syn[2], *ack[2];

    for (unsigned i = 0; i < 2; i++) {
        syn[i] = find(outcomes, n, SYN_COMES, i);
        ack[i] = find(outcomes, n, ACK_COMES, i);
    }
    if (syn[0] && syn[1]) {
        lab_say(
            lab,
            syn[0]->client == syn[1]->client && syn[0]->error == syn[1]->error
                ? _("A SYN that finds the accept queue full is dropped without an answer, and tcp_abort_on_overflow "
                    "changes nothing about that: the client was in %s with 0 and in %s with 1.")
                : _("A SYN that finds the accept queue full: the client was in %s with tcp_abort_on_overflow 0 and "
                    "in %s with 1."),
            tcp_state_name(syn[0]->client), tcp_state_name(syn[1]->client));
    }
    if (ack[0] && ack[1] && ack[1]->error) {
        lab_say(
            lab,
            _("That setting is about the last segment of a handshake whose SYN came while there was room. With 0 it "
              "was ignored: the client was in %s, the server in %s. With 1 it was answered by a reset (EmbryonicRsts "
              "+%" PRId64 "), and the client got %s."),
            tcp_state_name(ack[0]->client), tcp_state_name(ack[0]->server), ack[1]->more.value[EMBRYONIC_RESETS],
            sonde_error_name(ack[1]->error));
    } else if (ack[0] && ack[1]) {
        lab_say(
            lab,
            _("The last segment of a handshake whose SYN came while there was room: with tcp_abort_on_overflow 0 the "
              "client was in %s and the server in %s, with 1 in %s and %s."),
            tcp_state_name(ack[0]->client), tcp_state_name(ack[0]->server), tcp_state_name(ack[1]->client),
            tcp_state_name(ack[1]->server));
    }
}

static void say_cookies(struct lab *lab, const struct outcome *outcomes, unsigned n)
{
    const struct outcome *dropped = find(outcomes, n, SYN_COMES_HALF_OPEN, 0);

    for (int64_t value = 1; value <= 2; value++) {
        const struct outcome *cookie = find(outcomes, n, SYN_COMES_HALF_OPEN, value);

        if (cookie) {
            lab_say(lab,
                    _("With as many half-open as there may be, tcp_syncookies %" PRId64 " answered the next SYN by a "
                      "cookie (SyncookiesSent +%" PRId64 "): the client was in %s, the server in %s."),
                    value, cookie->more.value[COOKIES], tcp_state_name(cookie->client), tcp_state_name(cookie->server));
        }
    }
    if (dropped) {
        lab_say(lab, _("With tcp_syncookies 0 it was dropped (TCPReqQFullDrop +%" PRId64 "): the client was in %s."),
                dropped->more.value[HALF_OPEN_DROPS], tcp_state_name(dropped->client));
    }
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct bench bench = {
        .lab = lab, .server = lab_party(lab, "server", END_B), .clients = {.lab = lab, .party = client}};
    struct outcome outcomes[6];
    unsigned n = 0;

    opening_meet(lab, client, bench.server);
    outcomes[n++] = syn_at_accept_queue(&bench);
    outcomes[n++] = ack_at_accept_queue(&bench);
    outcomes[n++] = syn_at_half_open(&bench);
    struct hung hung = hang(&bench);
    if (lab_set(lab, END_B, ABORT, outcomes[0].value ? "0" : "1")) {
        outcomes[n++] = syn_at_accept_queue(&bench);
        outcomes[n++] = ack_at_accept_queue(&bench);
    }
    if (lab_set(lab, END_B, SYNCOOKIES, outcomes[2].value ? "0" : "1")) {
        outcomes[n++] = syn_at_half_open(&bench);
    }
    tables(lab, outcomes, n);
    lab_answer(lab, "%s", !hung.blocked ? "a" : hung.result == 0 ? "b" : "c");
    if (hung.blocked) {
        lab_say(lab,
                _("connect() hung. It gave %s %s after accept() had made room, having sent %u SYNs: the first came "
                  "in vain, and the next is sent when the retransmission timer says so, not when there is room."),
                opening_result(hung.result), lab_time_text(hung.after_accept_ns), hung.n_syns);
    } else {
        lab_say(lab, _("connect() did not hang: it gave %s."), opening_result(hung.result));
    }
    say_aborts(lab, outcomes, n);
    say_cookies(lab, outcomes, n);
}

static const char *const settings[] = {
    ABORT, SYNCOOKIES, "net.core.somaxconn", "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_syn_linear_timeouts", NULL};

const struct experiment experiment_overflow = {
    .name = "overflow",
    .chapter = CHAPTER_OPENING,
    .title = N_("what a client meets when one of the two queues is full"),
    .claims = claims,
    .systems = "S7",
    .needs = LAB_WIRE,
    .milliseconds = 1400,
    .done =
        N_("A server with backlog 2 never accepts, and its accept queue is filled. One more client connects and "
           "blocks; after 50 ms the server accepts one. Then the queue is filled between a client's SYN and its "
           "acknowledgement; then the half-open are as many as there may be. Each with this machine's settings, and "
           "with the opposite of tcp_abort_on_overflow and tcp_syncookies."),
    .question = N_("The accept queue is full, and the server accepts one connection after a while. What does the next "
                   "client's connect() do?"),
    .choices = choices,
    .by_hand = "sonde serve hold 'tcp://:7009?backlog=0' &\n"
               "sleep 60 | nc 127.0.0.1 7009 &\n"
               "nc -vz -w 3 127.0.0.1 7009\n"
               "sonde watch --once listening",
    .read = "listen(2); tcp(7), tcp_abort_on_overflow; kernel ip-sysctl, tcp_syncookies",
    .settings = settings,
    .run = run,
};
