/* SPDX-License-Identifier: MIT */
/* What listen() takes: which kinds of sockets, whether they must be bound, and which backlogs. */
#include "lab/opening/clients.h"
#include "lab/table.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/un.h>

static const struct lab_claim claims[] = {
    {"C8", N_("listen() takes only sockets of the types SOCK_STREAM and SOCK_SEQPACKET.")},
    {"C53", N_("listen() must follow bind().")},
    {"C54", N_("The backlog must be greater than 0.")},
    {0},
};

static const char *const choices[] = {
    N_("a) it fails: the socket has no port"),
    N_("b) it listens, on a port that the kernel picks"),
    N_("c) it listens on no port"),
    NULL,
};

struct kind {
    int family, type, protocol;
    const char *name;
    bool may; /* by its type */
};

static const struct kind kinds[] = {
    {AF_INET, SOCK_STREAM, 0, "AF_INET SOCK_STREAM", true},
    {AF_INET6, SOCK_STREAM, 0, "AF_INET6 SOCK_STREAM", true},
    {AF_UNIX, SOCK_STREAM, 0, "AF_UNIX SOCK_STREAM", true},
    {AF_UNIX, SOCK_SEQPACKET, 0, "AF_UNIX SOCK_SEQPACKET", true},
    {AF_INET, SOCK_DGRAM, 0, "AF_INET SOCK_DGRAM", false},
    {AF_UNIX, SOCK_DGRAM, 0, "AF_UNIX SOCK_DGRAM", false},
    {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "AF_NETLINK SOCK_RAW", false},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static void types(struct lab *lab, struct party *server)
{
    static const char *const heads[] = {N_("socket"), "listen()"};
    const struct sockaddr_un automatic = {.sun_family = AF_UNIX};
    unsigned n_made = 0, n_as_said = 0, n_may = 0;
    const char *refusal = NULL;

    opening_table(lab, 2, heads);
    for (unsigned i = 0; i < N_KINDS; i++) {
        int fd = party_socket(server, kinds[i].family, kinds[i].type, kinds[i].protocol);

        if (fd < 0) {
            continue; /* not in this kernel: not a matter of listen() */
        }
        if (kinds[i].family == AF_UNIX) {
            /* a name of the kernel's choice: without one listen() fails for that reason */
            bind(fd, (const struct sockaddr *)&automatic, sizeof automatic.sun_family);
        }
        int result = party_listen(server, fd, 1);
        lab_cell(lab, "%s", kinds[i].name);
        lab_cell(lab, "%s", opening_result(result));
        party_close(server, fd);
        n_made++;
        n_may += kinds[i].may;
        n_as_said += kinds[i].may ? result == 0 : result < 0;
        if (!kinds[i].may && result < 0) {
            refusal = opening_result(result);
        }
    }
    lab_table_end(lab);
    lab_figure(lab, "C8", "kinds", n_made);
    lab_figure(lab, "C8", "as_said", n_as_said);
    lab_figure_text(lab, "C8", "refusal", refusal ? refusal : "none");
    if (n_may == n_made || !n_may) {
        lab_verdict(lab, "C8", LAB_NOT_SHOWN, _("This kernel made only %u of the sockets to try."), n_made);
    } else if (n_as_said == n_made) {
        lab_verdict(lab, "C8", LAB_TRUE, _("All %u of these types listened, and the other %u got %s."), n_may,
                    n_made - n_may, refusal);
    } else {
        lab_verdict(lab, "C8", LAB_FALSE, _("Only %u of %u kinds of sockets did as is said."), n_as_said, n_made);
    }
}

static bool can_connect(struct lab *lab, struct party *client, uint16_t port)
{
    int fd = opening_socket(client, lab);
    bool connected = party_connect(client, fd, lab_address(lab, END_B), port) == 0;

    opening_linger(fd);
    party_close(client, fd);
    return connected;
}

static void unbound(struct lab *lab, struct party *client, struct party *server)
{
    int fd = opening_socket(server, lab);
    int result = party_listen(server, fd, 5);
    uint16_t port = lab_local_port(fd);
    char ports[64] = "?";

    lab_setting_text(lab, END_B, "net.ipv4.ip_local_port_range", ports, sizeof ports);
    bool connected = result == 0 && port && can_connect(lab, client, port);
    lab_answer(lab, "%s", result < 0 ? "a" : port ? "b" : "c");
    if (connected) {
        lab_verdict(lab, "C53", LAB_FALSE,
                    _("Without bind(), listen() gave 0, and the kernel had picked port %u (from ip_local_port_range, "
                      "%s); a client connected to it."),
                    port, ports);
    } else {
        lab_verdict(lab, "C53", LAB_TRUE, _("Without bind(), listen() gave %s, and nobody could connect to port %u."),
                    opening_result(result), port);
    }
    lab_figure_text(lab, "C53", "listen_result", opening_result(result));
    lab_figure(lab, "C53", "port", port);
    lab_figure(lab, "C53", "connected", connected);
    party_close(server, fd);
}

/* listen(fd, backlog): its result, the limit that came of it, and whether a client gets in. */
static int with_backlog(struct lab *lab, struct party *client, struct party *server, int backlog, unsigned *ret_limit,
                        bool *ret_connected)
{
    struct socket_info listener;
    int fd = opening_socket(server, lab);
    int result = party_bind(server, fd, lab_address(lab, END_B), 0);

    if (result == 0) {
        result = party_listen(server, fd, backlog);
    }
    *ret_limit = 0;
    *ret_connected = result == 0 && can_connect(lab, client, lab_local_port(fd));
    if (lab_listener_of(lab, END_B, lab_local_port(fd), &listener)) {
        *ret_limit = listener.send_queue;
    }
    party_close(server, fd);
    return result;
}

static void backlogs(struct lab *lab, struct party *client, struct party *server)
{
    static const char *const heads[] = {N_("backlog"), "listen()", N_("limit"), N_("a client connects")};
    static const int tried[] = {1, 0, -1, -1000};
    int64_t somaxconn = lab_setting(lab, END_B, "net.core.somaxconn");
    unsigned limit[4];
    int result[4];
    bool connected[4];

    opening_table(lab, 4, heads);
    for (unsigned i = 0; i < 4; i++) {
        result[i] = with_backlog(lab, client, server, tried[i], &limit[i], &connected[i]);
        lab_cell(lab, "%d", tried[i]);
        lab_cell(lab, "%s", opening_result(result[i]));
        lab_cell(lab, "%u", limit[i]);
        lab_cell(lab, "%s", connected[i] ? _("yes") : _("no"));
    }
    lab_table_end(lab);
    if (connected[1] && connected[2]) {
        lab_verdict(
            lab, "C54", LAB_FALSE,
            _("With backlog 0 listen() succeeded, and a client still got in: the limit is %u, and a queue is full "
              "when it holds more. Backlog -1 gave a limit of %u, %s."),
            limit[1], limit[2],
            limit[2] == somaxconn ? _("which is somaxconn: it is taken as unsigned, and cut")
                                  : _("which is not somaxconn"));
    } else if (connected[1] || connected[2]) {
        lab_verdict(lab, "C54", LAB_DEPENDS, _("With backlog 0 a client %s, with backlog -1 one %s."),
                    connected[1] ? _("got in") : _("did not get in"), connected[2] ? _("got in") : _("did not get in"));
    } else {
        lab_verdict(lab, "C54", LAB_TRUE, _("listen() gave %s with backlog 0 and %s with -1, and no client got in."),
                    opening_result(result[1]), opening_result(result[2]));
    }
    lab_figure(lab, "C54", "limit_of_0", limit[1]);
    lab_figure(lab, "C54", "limit_of_negative", limit[2]);
    lab_figure(lab, "C54", "connected_with_0", connected[1]);
    lab_figure(lab, "C54", "somaxconn", (double)somaxconn);
}

static void run(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A);
    struct party *server = lab_party(lab, "server", END_B);

    types(lab, server);
    unbound(lab, client, server);
    backlogs(lab, client, server);
}

static const char *const settings[] = {"net.core.somaxconn", "net.ipv4.ip_local_port_range", NULL};

const struct experiment experiment_listen_arguments = {
    .name = "listen-arguments",
    .chapter = CHAPTER_OPENING,
    .title = N_("what listen() takes: types, unbound sockets, odd backlogs"),
    .claims = claims,
    .milliseconds = 50,
    .done = N_("listen() is called on sockets of several families and types; on a TCP socket that was never bound, to "
               "which a client then connects; and with the backlogs 1, 0, -1 and -1000, each with one client. UNIX "
               "sockets are bound first."),
    .question = N_("listen() is called on a TCP socket that was never bound. What happens?"),
    .choices = choices,
    .by_hand = "sonde serve hold 'tcp://:7009?backlog=0' &\n"
               "nc -vz 127.0.0.1 7009   # it gets in\n"
               "sonde watch --once listening   # Send-Q is the limit",
    .read = "listen(2); ip(7), ip_local_port_range",
    .settings = settings,
    .run = run,
};
