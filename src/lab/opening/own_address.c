/* SPDX-License-Identifier: MIT */
/* S4. The client's own address: the kernel's choice, or the client's. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OWN_ADDRESS "127.0.0.77" /* every address of 127.0.0.0/8 is this host's own */

static const struct lab_claim claims[] = {
    {"C11", N_("The kernel picks the client's address and port; the client may bind its own.")},
    {0},
};

static const char *const choices[] = {
    N_("a) 127.0.0.1 and the port that it chose"),
    N_("b) 127.0.0.77 and the port that it chose"),
    N_("c) 127.0.0.77 and another port"),
    NULL,
};

/* One client, as it is told of itself and as the server is told of it. */
struct own {
    int bound, connected;
    char wanted[32], own[32], seen[32];
    uint16_t wanted_port, own_port, seen_port;
};

static void name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), char *ret_text, uint16_t *ret_port)
{
    struct sockaddr_in address = {0};
    socklen_t n = sizeof address;

    if (ask(fd, (struct sockaddr *)&address, &n) == 0) {
        inet_ntop(AF_INET, &address.sin_addr, ret_text, 32);
        *ret_port = ntohs(address.sin_port);
    }
}

/* wanted NULL: the kernel chooses; wanted_port 0: the port alone. */
static struct own connect_from(struct lab *lab, struct party *client, struct party *server, const char *to,
                               int listener, const char *wanted, uint16_t wanted_port)
{
    struct own own = {.wanted = "-", .own = "-", .seen = "-", .wanted_port = wanted_port};
    int fd = opening_socket(client, lab);

    if (wanted) {
        snprintf(own.wanted, sizeof own.wanted, "%s", wanted);
        own.bound = party_bind(client, fd, wanted, wanted_port);
    }
    if (own.bound == 0) {
        own.connected = party_connect(client, fd, to, lab_local_port(listener));
    }
    if (own.bound == 0 && own.connected == 0) {
        int accepted = party_accept(server, listener);

        name_of(fd, getsockname, own.own, &own.own_port);
        if (accepted >= 0) {
            name_of(accepted, getpeername, own.seen, &own.seen_port);
            opening_linger(accepted);
            party_close(server, accepted);
        }
    }
    opening_linger(fd);
    party_close(client, fd);
    return own;
}

static void cells(struct lab *lab, const struct own *own)
{
    int result = own->bound < 0 ? own->bound : own->connected;

    if (strcmp(own->wanted, "-") == 0) {
        lab_cell(lab, "%s", _("nothing"));
    } else if (own->wanted_port) {
        lab_cell(lab, "%s:%u", own->wanted, own->wanted_port);
    } else {
        lab_cell(lab, "%s", own->wanted);
    }
    if (result < 0) {
        lab_cell(lab, "%s", opening_result(result));
        lab_cell(lab, "-");
        return;
    }
    lab_cell(lab, "%s:%u", own->own, own->own_port);
    lab_cell(lab, "%s:%u", own->seen, own->seen_port);
}

static bool agrees(const struct own *own)
{
    return own->own_port && own->own_port == own->seen_port && strcmp(own->own, own->seen) == 0;
}

/* A free port, which nobody else will take in the moment until it is bound again. */
static uint16_t free_port(struct lab *lab, struct party *party)
{
    int fd = opening_socket(party, lab);

    party_bind(party, fd, OWN_ADDRESS, 0);
    uint16_t port = lab_local_port(fd);
    party_close(party, fd);
    return port;
}

static void judge(struct lab *lab, const struct own *kernel, const struct own *chosen, const struct own *foreign,
                  unsigned low, unsigned high)
{
    bool picked = agrees(kernel) && kernel->own_port >= low && kernel->own_port <= high;
    bool kept = agrees(chosen) && strcmp(chosen->own, chosen->wanted) == 0 && chosen->own_port == chosen->wanted_port;

    lab_answer(lab, "%s", kept ? "b" : strcmp(chosen->seen, chosen->wanted) == 0 ? "c" : "a");
    enum lab_verdict verdict = picked && kept ? LAB_TRUE : picked || kept ? LAB_DEPENDS : LAB_FALSE;
    lab_verdict(lab, "C11", verdict,
                _("Without bind() the server saw %s port %u: the kernel's choice, from ip_local_port_range (%u to %u). "
                  "With bind() to %s port %u it saw %s port %u. bind() to an address that is not this host's own gave "
                  "%s."),
                kernel->seen, kernel->seen_port, low, high, chosen->wanted, chosen->wanted_port, chosen->seen,
                chosen->seen_port, opening_result(foreign->bound));
    lab_figure_text(lab, "C11", "kernel_address", kernel->seen);
    lab_figure(lab, "C11", "kernel_port", kernel->seen_port);
    lab_figure(lab, "C11", "port_low", low);
    lab_figure(lab, "C11", "port_high", high);
    lab_figure_text(lab, "C11", "chosen_address", chosen->wanted);
    lab_figure_text(lab, "C11", "chosen_seen_address", chosen->seen);
    lab_figure(lab, "C11", "chosen_port", chosen->wanted_port);
    lab_figure(lab, "C11", "chosen_seen_port", chosen->seen_port);
    lab_figure_text(lab, "C11", "foreign_result", opening_result(foreign->bound));
}

static void run(struct lab *lab)
{
    static const char *const heads[] = {N_("bind()"), N_("getsockname() says"), N_("the server sees")};
    struct party *server = lab_party(lab, "server", END_B);
    /* on the server's own host: it has more than one address to choose from, 127.0.0.0/8 */
    struct party *client = lab_party(lab, "client", END_B);
    struct own rows[5];
    unsigned low = 0, high = 0, n = 0;
    char range[64] = "";

    int listener = opening_socket(server, lab);
    int result = party_bind(server, listener, "127.0.0.1", 0);
    if (result == 0) {
        result = party_listen(server, listener, 5);
    }
    if (result < 0) {
        lab_give_up(lab, _("There could be no listener: %s."), sonde_strerror(result));
    }
    lab_setting_text(lab, END_B, "net.ipv4.ip_local_port_range", range, sizeof range);
    if (sscanf(range, "%u %u", &low, &high) != 2) {
        low = 1;
        high = UINT16_MAX;
    }
    rows[n++] = connect_from(lab, client, server, "127.0.0.1", listener, NULL, 0);
    rows[n++] = connect_from(lab, client, server, "127.0.0.1", listener, OWN_ADDRESS, free_port(lab, client));
    rows[n++] = connect_from(lab, client, server, "127.0.0.1", listener, OWN_ADDRESS, 0);
    rows[n++] = connect_from(lab, client, server, "127.0.0.1", listener, "", free_port(lab, client));
    snprintf(rows[n - 1].wanted, sizeof rows[0].wanted, "0.0.0.0");
    rows[n++] = connect_from(lab, client, server, "127.0.0.1", listener, "192.0.2.1", 0);

    opening_table(lab, 3, heads);
    for (unsigned i = 0; i < n; i++) {
        cells(lab, &rows[i]);
    }
    lab_table_end(lab);
    lab_say(lab, _("A port of 0 leaves the port to the kernel, the address 0.0.0.0 the address: that is chosen by "
                   "connect(), from the route to the server."));
    judge(lab, &rows[0], &rows[1], &rows[4], low, high);
}

static const char *const settings[] = {"net.ipv4.ip_local_port_range", "net.ipv4.ip_nonlocal_bind", NULL};

const struct experiment experiment_own_address = {
    .name = "own-address",
    .chapter = CHAPTER_OPENING,
    .title = N_("a client that chooses its own address and port"),
    .claims = claims,
    .systems = "S4",
    .milliseconds = 20,
    .done =
        N_("Clients of a server at 127.0.0.1 connect without bind(); bound to 127.0.0.77 and a port; to the address "
           "alone; to a port alone; and one tries to bind to an address that is not this host's. Each end says what "
           "the client's address is."),
    .question =
        N_("A client binds itself to 127.0.0.77 and a free port, then connects to 127.0.0.1. What does the server "
           "see as its address?"),
    .choices = choices,
    .by_hand = "sonde serve echo 127.0.0.1:7007 &   # says who connects\n"
               "sonde connect --bind 127.0.0.77:40404 127.0.0.1:7007 </dev/null\n"
               "nc -N -s 127.0.0.77 -p 40405 127.0.0.1 7007 </dev/null",
    .read = "bind(2); ip(7), ip_local_port_range; connect(2)",
    .settings = settings,
    .run = run,
};
