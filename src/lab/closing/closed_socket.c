/* SPDX-License-Identifier: MIT */
/*
 * May a socket be used again? A descriptor that was closed is a number and nothing else. But a socket that is still
 * open can lose its connection and get another one, on Linux.
 */
#include "lab/call.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <sys/socket.h>
#include <unistd.h>

struct result {
    int closed;    /* send() on a closed descriptor */
    int again;     /* connect() of one that is connected */
    int dissolved; /* connect() to AF_UNSPEC, */
    int after;     /* ... and to another listener */
    int refused;   /* connect() where nobody listens, */
    int then;      /* ... and the same descriptor again, where somebody does */
};

static const char *text(int result)
{
    return result < 0 ? sonde_error_name(result) : "0";
}

/* A port where nobody listens. */
static uint16_t nobodys_port(struct party *server)
{
    uint16_t port;
    int fd = lab_listening(server, 1, &port);

    party_close(server, fd);
    return port;
}

/* To this listener, which accepts and closes: its queue is empty for the next. */
static int connect_and_accept(struct lab *lab, struct party *client, int fd, struct party *server, int listener)
{
    int result = party_connect(client, fd, lab_address(lab, END_B), lab_local_port(listener));

    if (result == 0)
        party_close(server, party_accept(server, listener));
    return result;
}

static void measure(struct lab *lab, struct party *client, struct party *server, struct result *result)
{
    const char *there = lab_address(lab, END_B);
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    uint16_t first, second, refusing;
    int listener[2] = {lab_listening(server, 4, &first), lab_listening(server, 4, &second)};
    int fd = party_socket(client, AF_INET, SOCK_STREAM, 0);

    if (connect_and_accept(lab, client, fd, server, listener[0]) < 0)
        lab_give_up(lab, _("The first connection could not be made."));
    result->again = party_connect(client, fd, there, second);
    result->dissolved = connect(fd, &nowhere, sizeof nowhere) < 0 ? -errno : 0;
    result->after = connect_and_accept(lab, client, fd, server, listener[1]);
    party_close(client, fd);
    result->closed = (int)party_send(client, fd, "x", 1, 0);

    refusing = nobodys_port(server);
    fd = party_socket(client, AF_INET, SOCK_STREAM, 0);
    result->refused = party_connect(client, fd, there, refusing);
    result->then = connect_and_accept(lab, client, fd, server, listener[0]);
    party_close(client, fd);
    party_close(server, listener[0]);
    party_close(server, listener[1]);
}

static void tell(struct lab *lab, const struct result *result)
{
    static const char *const heads[] = {N_("what was done with one descriptor"), N_("result")};

    lab_table(lab, 2, heads);
    lab_cell(lab, _("connected, and closed; send()"));
    lab_cell(lab, "%s", text(result->closed));
    lab_cell(lab, _("connected; connect() to another listener"));
    lab_cell(lab, "%s", text(result->again));
    lab_cell(lab, _("... connect() to AF_UNSPEC, which dissolves the connection"));
    lab_cell(lab, "%s", text(result->dissolved));
    lab_cell(lab, _("... connect() to another listener now"));
    lab_cell(lab, "%s", text(result->after));
    lab_cell(lab, _("connect() where nobody listens"));
    lab_cell(lab, "%s", text(result->refused));
    lab_cell(lab, _("... connect() where somebody listens"));
    lab_cell(lab, "%s", text(result->then));
    lab_table_end(lab);
}

static void judge(struct lab *lab, const struct result *result)
{
    bool reusable = result->after == 0 || result->then == 0;

    lab_figure_text(lab, "C50", "closed", text(result->closed));
    lab_figure_text(lab, "C50", "dissolved_and_connected_again", text(result->after));
    lab_figure_text(lab, "C50", "refused_and_connected_again", text(result->then));
    lab_answer(lab, "%s", result->then == 0 ? _("yes") : _("no"));
    if (result->closed == 0)
        lab_verdict(lab, "C50", LAB_FALSE,
                    _("A closed descriptor could be sent on: the number had been given out again."));
    else if (reusable)
        lab_verdict(
            lab, "C50", LAB_DEPENDS,
            _("Closed, the descriptor is nothing (%s). Open, it may serve again: after connect() to AF_UNSPEC a "
              "second connect() gave %s, and after a refused one %s. POSIX leaves the latter open, so portable "
              "programs make a new socket."),
            text(result->closed), text(result->after), text(result->then));
    else
        lab_verdict(
            lab, "C50", LAB_TRUE,
            _("Closed, the descriptor is nothing (%s), and neither could an open one be connected again: %s after "
              "AF_UNSPEC, %s after a refusal."),
            text(result->closed), text(result->after), text(result->then));
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct result result;

    measure(lab, client, server, &result);
    tell(lab, &result);
    judge(lab, &result);
}

static const struct lab_claim claims[] = {
    {"C50", N_("A socket that was closed cannot be used again; each new request needs a new socket.")},
    {NULL, NULL},
};

const struct experiment experiment_closed_socket = {
    .name = "closed-socket",
    .chapter = CHAPTER_CLOSING,
    .title = N_("whether a socket can be used again"),
    .claims = claims,
    .systems = "S10",
    .milliseconds = 100,
    .done = N_("A descriptor is closed and then used; another is connected, dissolved by connect() to AF_UNSPEC and "
               "connected again; a third is refused and tries again elsewhere."),
    .question = N_("connect() was refused. May the same socket try again at another port (yes or no)?"),
    .by_hand = "sonde serve echo --sequential --calls tcp://127.0.0.1:7007 &\n"
               "sonde connect --retry=3 --calls tcp://127.0.0.1:7007    # a new socket for each attempt",
    .read = "connect(2), notes on AF_UNSPEC and on a failed connect(); close(2)",
    .run = run,
};
