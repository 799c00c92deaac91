/* SPDX-License-Identifier: MIT */
/*
 * C62: the first program has a TCP port; a second one, a child of ours, tries to have it too. Its sockets are made
 * before it is forked, so that they are of the same end; what it does with them it does itself.
 */
#include "lab/sockets/ports_internal.h"

#include "lab/call.h"
#include "lab/sockets/child.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_CONNECTIONS 16

/* For the second program, in shared memory. */
struct second {
    int fd;
    uint32_t address; /* network order */
    uint16_t port;
    bool listens;
    int result;          /* 0 or a negative errno */
    unsigned n_accepted; /* by accept_all */
};

struct shared {
    struct lab *lab;
    struct party *first, *client;
    struct second *second;
    int listener;
    uint16_t port;
    unsigned n_many;           /* connections that fit into an accept queue: somaxconn may be small */
    unsigned n_ways, n_worked; /* ways to share the port that were tried, beside the plain one */
    int plain;                 /* result of the plain one */
};

/* ---- in the child */

static void bind_second(void *data)
{
    struct second *second = data;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(second->port), .sin_addr.s_addr = second->address};

    second->result = 0;
    if (bind(second->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        second->result = -errno;
    else if (second->listens && listen(second->fd, N_CONNECTIONS) < 0)
        second->result = -errno;
}

static void accept_all(void *data)
{
    struct second *second = data;

    fcntl(second->fd, F_SETFL, O_NONBLOCK);
    for (int fd; (fd = accept4(second->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        second->n_accepted++;
        close(fd);
    }
    second->result = 0;
}

static void accept_one(void *data)
{
    struct second *second = data;
    int fd = accept4(second->fd, NULL, NULL, SOCK_CLOEXEC);

    second->result = fd < 0 ? -errno : 0;
    second->n_accepted = fd >= 0;
    if (fd >= 0)
        close(fd);
}

/* ---- in the first program */

static void tell(struct shared *shared, const char *what, int result)
{
    lab_cell(shared->lab, "%s", what);
    lab_cell(shared->lab, "%s", result < 0 ? sonde_error_name(result) : _("works"));
}

/* The second program binds a socket of this type to the first one's port: 0, or a negative errno. The socket stays, for
 * the caller to close, in second->fd. */
static int second_binds(struct shared *shared, int type, const char *address, bool reuse)
{
    struct second *second = shared->second;
    struct party *party = shared->first;

    *second = (struct second){.port = shared->port, .listens = type == SOCK_STREAM};
    inet_pton(AF_INET, address, &second->address);
    second->fd = party_socket(party, AF_INET, type, 0);
    if (second->fd < 0)
        return second->fd;
    if (reuse)
        party_set(party, second->fd, SOL_SOCKET, SO_REUSEPORT, 1);
    int error = child_run(bind_second, second, false);
    return error < 0 ? error : second->result;
}

static void try_second(struct shared *shared, const char *what, const char *name, int type, const char *address)
{
    int result = second_binds(shared, type, address, false);

    if (shared->second->fd >= 0)
        party_close(shared->first, shared->second->fd);
    tell(shared, what, result);
    lab_figure_text(shared->lab, "C62", name, result < 0 ? sonde_error_name(result) : "bound");
    if (strcmp(name, "plain") == 0) {
        shared->plain = result;
        return;
    }
    shared->n_ways++;
    shared->n_worked += result == 0;
}

/* Connections to the port; returns how many there are. The clients' sockets are in ret_clients. */
static unsigned connect_many(struct shared *shared, unsigned n, int *ret_clients)
{
    unsigned n_connected = 0;

    for (unsigned i = 0; i < n; i++) {
        int fd = party_socket(shared->client, AF_INET, SOCK_STREAM, 0);
        if (fd < 0)
            break;
        if (party_connect(shared->client, fd, "127.0.0.1", shared->port) == 0)
            ret_clients[n_connected++] = fd;
        else
            party_close(shared->client, fd);
    }
    return n_connected;
}

static void close_many(struct shared *shared, const int *clients, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        party_close(shared->client, clients[i]);
}

/* A child inherits the listener and accepts from it. */
static void inherited(struct shared *shared)
{
    int clients[1];
    unsigned n = connect_many(shared, 1, clients);
    int result = -ECONNREFUSED;

    *shared->second = (struct second){.fd = shared->listener};
    if (n == 1) {
        result = child_run(accept_one, shared->second, false);
        result = result < 0 ? result : shared->second->result;
    }
    close_many(shared, clients, n);
    tell(shared, _("a descriptor inherited by fork"), result);
    lab_figure_text(shared->lab, "C62", "inherited", result < 0 ? sonde_error_name(result) : "accepted");
    shared->n_ways++;
    shared->n_worked += result == 0;
}

/* Accepted sockets have the listener's port, too. */
static void accepted(struct shared *shared)
{
    int clients[2], servers[2];
    unsigned n = 0, n_same = 0;

    /* one after the other: the accept queue may be as short as one */
    for (; n < 2 && connect_many(shared, 1, &clients[n]) == 1; n++) {
        servers[n] = party_accept(shared->first, shared->listener);
        n_same += servers[n] >= 0 && lab_local_port(servers[n]) == shared->port;
    }
    for (unsigned i = 0; i < n; i++)
        if (servers[i] >= 0)
            party_close(shared->first, servers[i]);
    close_many(shared, clients, n);
    lab_figure(shared->lab, "C62", "n_accepted_on_port", n_same);
    tell(shared, _("two accepted sockets beside their listener"), n_same == 2 ? 0 : -EADDRINUSE);
    shared->n_ways++;
    shared->n_worked += n_same == 2;
}

static int reusable_listener(struct shared *shared)
{
    int fd = party_socket(shared->first, AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || party_set(shared->first, fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0 ||
        party_bind(shared->first, fd, "127.0.0.1", 0) < 0 || party_listen(shared->first, fd, N_CONNECTIONS) < 0) {
        if (fd >= 0)
            party_close(shared->first, fd);
        return -1;
    }
    return fd;
}

/* SO_REUSEPORT on both: who gets the connections? */
static void reuse_port(struct shared *shared, unsigned *ret_first, unsigned *ret_second)
{
    int clients[N_CONNECTIONS];
    int listener = reusable_listener(shared);
    uint16_t port = shared->port;

    *ret_first = *ret_second = 0;
    shared->n_ways++;
    if (listener < 0) {
        tell(shared, _("SO_REUSEPORT on both"), -EOPNOTSUPP);
        return;
    }
    shared->port = lab_local_port(listener);
    int result = second_binds(shared, SOCK_STREAM, "127.0.0.1", true);
    int other = shared->second->fd;
    tell(shared, _("SO_REUSEPORT on both"), result);
    shared->n_worked += result == 0;
    if (result == 0) {
        unsigned n = connect_many(shared, shared->n_many, clients);
        if (child_run(accept_all, shared->second, false) == 0)
            *ret_second = shared->second->n_accepted;
        *ret_first = n - *ret_second;
        close_many(shared, clients, n);
    }
    lab_figure_text(shared->lab, "C62", "reuse_port", result < 0 ? sonde_error_name(result) : "bound");
    if (other >= 0)
        party_close(shared->first, other);
    party_close(shared->first, listener);
    shared->port = port;
}

static void judge(const struct shared *shared, unsigned n_first, unsigned n_second)
{
    struct lab *lab = shared->lab;

    lab_figure(lab, "C62", "n_ways", shared->n_ways);
    lab_figure(lab, "C62", "n_worked", shared->n_worked);
    lab_figure(lab, "C62", "reuse_port_first", n_first);
    lab_figure(lab, "C62", "reuse_port_second", n_second);
    if (shared->n_worked == 0) {
        lab_verdict(lab, "C62", LAB_TRUE, _("None of %u ways to share a port worked."), shared->n_ways);
        return;
    }
    char divided[160] = "";
    if (n_first + n_second > 1)
        snprintf(divided, sizeof(divided), _(" With SO_REUSEPORT, of %u connections one got %u and the other %u."),
                 n_first + n_second, n_first, n_second);
    if (shared->plain < 0)
        lab_verdict(
            lab, "C62", LAB_FALSE,
            _("The second program got %s for the same protocol, address and port, but in %u of %u other ways one "
              "port number served both, or several sockets.%s"),
            sonde_error_name(shared->plain), shared->n_worked, shared->n_ways, divided);
    else
        lab_verdict(
            lab, "C62", LAB_FALSE,
            _("The second program could even bind to the same protocol, address and port without asking to share; "
              "%u of %u other ways worked too."),
            shared->n_worked, shared->n_ways);
}

void ports_shared(struct lab *lab)
{
    static const char *const heads[] = {N_("one port number for"), N_("result")};
    struct shared shared = {
        .lab = lab,
        .first = lab_party(lab, "first", END_B),
        .client = lab_party(lab, "client", END_B),
        .second = shared_memory(sizeof(*shared.second)),
    };
    unsigned n_first, n_second;

    shared.listener = shared.second ? party_socket(shared.first, AF_INET, SOCK_STREAM, 0) : -1;
    if (shared.listener < 0 || party_bind(shared.first, shared.listener, "127.0.0.1", 0) < 0 ||
        party_listen(shared.first, shared.listener, N_CONNECTIONS) < 0)
        lab_give_up(lab, _("No listener could be made on 127.0.0.1."));
    shared.port = lab_local_port(shared.listener);
    int64_t somaxconn = lab_setting(lab, END_B, "net.core.somaxconn");
    shared.n_many = somaxconn >= 0 && somaxconn < N_CONNECTIONS ? (unsigned)somaxconn + 1 : N_CONNECTIONS;
    lab_say(lab, _("The port of the first program, tried by a second one (C62):"));
    lab_table(lab, 2, heads);
    try_second(&shared, _("TCP twice, the same address"), "plain", SOCK_STREAM, "127.0.0.1");
    try_second(&shared, _("TCP, another address (127.0.0.2)"), "other_address", SOCK_STREAM, "127.0.0.2");
    try_second(&shared, _("UDP beside TCP"), "other_protocol", SOCK_DGRAM, "127.0.0.1");
    inherited(&shared);
    accepted(&shared);
    reuse_port(&shared, &n_first, &n_second);
    lab_table_end(lab);
    party_close(shared.first, shared.listener);
    judge(&shared, n_first, n_second);
}
