/* SPDX-License-Identifier: MIT */
/*
 * One end has closed: what becomes of the other? Nothing, until its own program does something. It stays in CLOSE_WAIT
 * for as long as that takes, and may still send; whether anybody takes that, is another question.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <sonde/error.h>
#include <string.h>
#include <sys/socket.h>

#define WITHIN_NS (3 * NS_PER_S)
#define LATER_NS (300 * NS_PER_MS)

struct look {
    struct lab *lab;
    struct lab_pair pair;
    struct socket_info info;
    int fd;
};

static bool in_close_wait(void *data)
{
    struct look *look = data;

    return lab_socket_of(look->lab, END_A, look->pair.client_port, look->pair.server_port, &look->info) &&
           look->info.state == TCP_STATE_CLOSE_WAIT;
}

/* The error is looked at without taking it away: SO_ERROR would. */
static bool was_reset(void *data)
{
    struct look *look = data;

    return !lab_socket_of(look->lab, END_A, look->pair.client_port, look->pair.server_port, &look->info);
}

static bool has_come(void *data)
{
    return lab_queued_in(*(int *)data) > 0;
}

struct result {
    bool close_wait, close_wait_later;
    uint64_t inode;
    ssize_t first_send, second_send; /* towards a server that has closed */
    bool reset;
    ssize_t half_send, half_received; /* towards one that has only shut down its sending */
};

static void server_has_closed(struct lab *lab, struct party *client, struct party *server, struct result *result)
{
    struct look look = {.lab = lab};
    char scrap[8];

    lab_connected(client, server, &look.pair);
    party_close(server, look.pair.server);
    party_recv(client, look.pair.client, scrap, sizeof scrap, 0);
    result->close_wait = lab_until(in_close_wait, &look, WITHIN_NS);
    result->inode = look.info.inode;
    lab_sleep(LATER_NS);
    result->close_wait_later = in_close_wait(&look);
    result->first_send = party_send(client, look.pair.client, "anybody?", 8, 0);
    result->reset = lab_until(was_reset, &look, WITHIN_NS);
    result->second_send = party_send(client, look.pair.client, "hello?", 6, 0);
    party_close(client, look.pair.client);
    if (lab_wire(lab)) {
        lab_settle(lab);
        lab_ladder(lab, look.pair.client_port, _("the server closes, the client does not"));
    }
}

static void server_has_shut_down(struct party *client, struct party *server, struct result *result)
{
    struct lab_pair pair;
    char scrap[64];

    lab_connected(client, server, &pair);
    party_shutdown(server, pair.server, SHUT_WR);
    party_recv(client, pair.client, scrap, sizeof scrap, 0);
    result->half_send = party_send(client, pair.client, "still here", 10, 0);
    lab_until(has_come, &pair.server, WITHIN_NS);
    result->half_received = party_recv(server, pair.server, scrap, sizeof scrap, MSG_DONTWAIT);
    party_close(client, pair.client);
    party_close(server, pair.server);
}

static const char *send_text(ssize_t result)
{
    return result < 0 ? sonde_error_name((int)result) : lab_count_text((uint64_t)result);
}

static void tell(struct lab *lab, const struct result *result)
{
    static const char *const heads[] = {N_("the server has called"), N_("the client's send()"),
                                        N_("what became of it")};

    lab_table(lab, 3, heads);
    lab_cell(lab, "close()");
    lab_cell(lab, "%s", send_text(result->first_send));
    lab_cell(lab, "%s", result->reset ? _("answered by a reset: nobody reads there") : _("no reset within 3 s"));
    lab_cell(lab, "%s", result->reset ? _("close(), and the reset has come") : _("close(), once more"));
    lab_cell(lab, "%s", send_text(result->second_send));
    lab_cell(lab, "%s", result->second_send < 0 ? sonde_strerror((int)result->second_send) : _("taken"));
    lab_cell(lab, "shutdown(SHUT_WR)");
    lab_cell(lab, "%s", send_text(result->half_send));
    lab_cell(lab, _("%s bytes received by the server"), send_text(result->half_received));
    lab_table_end(lab);
}

static void judge(struct lab *lab, const struct result *result)
{
    lab_figure(lab, "C60", "first_send", (double)result->first_send);
    lab_figure(lab, "C60", "second_send", (double)result->second_send);
    lab_figure(lab, "C60", "received_after_shutdown", (double)result->half_received);
    lab_answer(lab, "%s", result->close_wait_later ? "b" : "a");
    if (!result->close_wait || !result->close_wait_later)
        lab_verdict(lab, "C60", LAB_TRUE,
                    result->close_wait ? _("The client's socket was in CLOSE_WAIT at first, and 300 ms later no more.")
                                       : _("The client's socket did not come to CLOSE_WAIT within 3 s."));
    else
        lab_verdict(
            lab, "C60", LAB_FALSE,
            _("300 ms after the server's close the client's socket was in CLOSE_WAIT, with its descriptor (inode "
              "%llu) as before, and send() there gave %s. Only its own close() ends it. Against a server that had "
              "only shut down its sending, %s of %s bytes arrived."),
            (unsigned long long)result->inode, send_text(result->first_send), send_text(result->half_received),
            send_text(result->half_send));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct result result = {0};

    if (lab_wire(lab)) {
        lab_rules(lab, END_A, "delay 5ms");
        lab_rules(lab, END_B, "delay 5ms");
    }
    server_has_closed(lab, client, server, &result);
    server_has_shut_down(client, server, &result);
    tell(lab, &result);
    judge(lab, &result);
}

static const struct lab_claim claims[] = {
    {"C60", N_("When the server closes the connection, the client's socket is cleaned up with it.")},
    {NULL, NULL},
};

static const char *const choices[] = {N_("a) it is gone"), N_("b) it is in CLOSE_WAIT, until its program closes it"),
                                      N_("c) it is in TIME_WAIT"), NULL};

const struct experiment experiment_left_open = {
    .name = "left-open",
    .chapter = CHAPTER_CLOSING,
    .title = N_("the server has closed: what is left of the client's socket"),
    .claims = claims,
    .systems = "S18",
    .milliseconds = 600,
    .done =
        N_("A server closes, and the client does not: its socket is looked at right away and 300 ms later, and then it "
           "sends all the same. The same against a server that has only shut down its sending."),
    .question = N_("The server has closed, the client has not. What has become of the client's socket?"),
    .choices = choices,
    .by_hand = "sonde serve greet 'hello\\n' tcp://127.0.0.1:1234 &\n"
               "sonde connect --peer-eof wait tcp://127.0.0.1:1234    # in another terminal; type something\n"
               "sonde watch --once state close-wait",
    .read = "RFC 9293, 3.6; shutdown(2); tcp(7)",
    .run = run,
};
