/* SPDX-License-Identifier: MIT */
#include "lab/opening/clients.h"

#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <unistd.h>

#define DECIDED_WITHIN_NS (500 * NS_PER_MS)
#define SERVER_SOCKETS_MAX 128

unsigned clients_bound(struct clients *clients)
{
    if (clients->n == CLIENTS_MAX) {
        lab_give_up(clients->lab, _("More than %d clients are not made here."), CLIENTS_MAX);
    }
    int fd = party_socket(clients->party, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        lab_give_up(clients->lab, _("A socket could not be made: %s."), sonde_strerror(fd));
    }
    int result = party_bind(clients->party, fd, "", 0);
    if (result < 0) {
        lab_give_up(clients->lab, _("A client could not be bound to a port: %s."), sonde_strerror(result));
    }
    clients->fd[clients->n] = fd;
    clients->port[clients->n] = lab_local_port(fd);
    return clients->n++;
}

void clients_connect(struct clients *clients, unsigned index, uint16_t port)
{
    int result = party_connect(clients->party, clients->fd[index], lab_address(clients->lab, END_B), port);
    if (result < 0 && result != -EINPROGRESS) {
        lab_give_up(clients->lab, _("A client could not connect: %s."), sonde_strerror(result));
    }
}

struct decided {
    const struct clients *clients;
    int64_t n_drops;
};

static bool is_decided(void *data)
{
    const struct decided *decided = data;
    unsigned n_established = 0;

    for (unsigned i = 0; i < decided->clients->n; i++) {
        n_established += opening_state(decided->clients->fd[i]) == TCP_STATE_ESTABLISHED;
    }
    int64_t n_dropped = lab_counter(decided->clients->lab, END_B, "ListenDrops") - decided->n_drops;
    return n_established + (n_dropped > 0 ? n_dropped : 0) >= decided->clients->n;
}

void opening_settle(struct lab *lab)
{
    if (lab_wire(lab)) {
        /* once for each segment of a handshake */
        for (unsigned i = 0; i < 3; i++) {
            lab_settle(lab);
        }
    }
}

void clients_decided(struct clients *clients, int64_t n_drops)
{
    struct decided decided = {clients, n_drops};

    opening_settle(clients->lab);
    lab_until(is_decided, &decided, DECIDED_WITHIN_NS);
    opening_settle(clients->lab);
}

void clients_open(struct clients *clients, unsigned n, uint16_t port)
{
    int64_t n_drops = lab_counter(clients->lab, END_B, "ListenDrops");
    unsigned n_waiting = 0;

    /* those whose SYN was dropped before stay as they are */
    for (unsigned i = 0; i < clients->n; i++) {
        n_waiting += opening_state(clients->fd[i]) != TCP_STATE_ESTABLISHED;
    }
    /* one after the other: a SYN that comes before the last one's ACK would find room that is as good as taken */
    for (unsigned i = 0; i < n; i++) {
        clients_connect(clients, clients_bound(clients), port);
        clients_decided(clients, n_drops - n_waiting);
    }
}

struct clients_look clients_look(struct clients *clients, uint16_t server_port)
{
    static const struct clients_look nothing;
    struct clients_look look = nothing;
    struct socket_info found[SERVER_SOCKETS_MAX], listener;

    for (unsigned i = 0; i < clients->n; i++) {
        enum tcp_state state = opening_state(clients->fd[i]);

        look.established += state == TCP_STATE_ESTABLISHED;
        look.syn_sent += state == TCP_STATE_SYN_SENT;
    }
    int n = lab_sockets(clients->lab, END_B, server_port, 0, found, SERVER_SOCKETS_MAX);
    for (int i = 0; i < n && i < SERVER_SOCKETS_MAX; i++) {
        look.half_open += found[i].state == TCP_STATE_SYN_RECV;
        look.at_server += found[i].state == TCP_STATE_ESTABLISHED;
    }
    if (lab_listener_of(clients->lab, END_B, server_port, &listener)) {
        look.queue = listener.receive_queue;
        look.limit = listener.send_queue;
    }
    return look;
}

void clients_reset(struct clients *clients)
{
    for (unsigned i = 0; i < clients->n; i++) {
        opening_linger(clients->fd[i]);
        party_close(clients->party, clients->fd[i]);
    }
    clients->n = 0;
    opening_settle(clients->lab);
}

int opening_socket(struct party *party, struct lab *lab)
{
    const struct timeval patience = {.tv_sec = 2};
    int fd = party_socket(party, AF_INET, SOCK_STREAM, 0);

    if (fd < 0) {
        lab_give_up(lab, _("A socket could not be made: %s."), sonde_strerror(fd));
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

void opening_linger(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void opening_meet(struct lab *lab, struct party *client, struct party *server)
{
    /* bound and never listening: the port is nobody else's, and whoever connects is refused */
    int closed = party_socket(server, AF_INET, SOCK_STREAM, 0);
    int fd = opening_socket(client, lab);

    if (closed >= 0 && party_bind(server, closed, lab_address(lab, END_B), 0) == 0) {
        party_connect(client, fd, lab_address(lab, END_B), lab_local_port(closed));
    }
    party_close(client, fd);
    if (closed >= 0) {
        party_close(server, closed);
    }
    opening_settle(lab);
    lab_forget(lab);
}

enum tcp_state opening_state(int fd)
{
    struct tcp_info info;

    return lab_tcp_info(fd, &info) ? tcp_state_of_kernel(info.tcpi_state) : TCP_STATE_UNKNOWN;
}

const char *opening_result(long result)
{
    return result < 0 ? sonde_error_name((int)result) : "0";
}

struct queue_is {
    struct lab *lab;
    uint16_t port;
    unsigned at_least;
};

static bool queue_holds(void *data)
{
    const struct queue_is *wanted = data;
    struct socket_info listener;

    return lab_listener_of(wanted->lab, END_B, wanted->port, &listener) && listener.receive_queue >= wanted->at_least;
}

bool opening_queue_is(struct lab *lab, uint16_t server_port, unsigned at_least)
{
    struct queue_is wanted = {lab, server_port, at_least};

    return lab_until(queue_holds, &wanted, DECIDED_WITHIN_NS);
}

void opening_table(struct lab *lab, unsigned n_columns, const char *const *heads)
{
    const char *translated[8];

    for (unsigned i = 0; i < n_columns; i++) {
        translated[i] = _(heads[i]);
    }
    lab_table(lab, n_columns, translated);
}
