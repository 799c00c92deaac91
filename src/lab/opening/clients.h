/* SPDX-License-Identifier: MIT */
/*
 * Many clients of one server, for the experiments about queues: they connect without blocking, so that one whose SYN is
 * not answered holds up nobody, and are looked at from both ends. What they share with the other experiments of this
 * chapter stands here too.
 */
#ifndef LAB_OPENING_CLIENTS_H
#define LAB_OPENING_CLIENTS_H

#include "lab/call.h"

#define CLIENTS_MAX 48

struct clients {
    struct lab *lab;
    struct party *party;
    unsigned n;
    int fd[CLIENTS_MAX];
    uint16_t port[CLIENTS_MAX];
};

/* How one listener and its clients stand. */
struct clients_look {
    unsigned established, syn_sent; /* clients */
    unsigned queue, limit;          /* the listener's accept queue */
    unsigned half_open;             /* SYN_RECV at the server's port */
    unsigned at_server;             /* connections of that port at the server that are ESTABLISHED */
};

/* Binds a new client to a port of the kernel's choice, for rules that name it; connects nowhere yet. Its index. */
unsigned clients_bound(struct clients *clients);
void clients_connect(struct clients *clients, unsigned index, uint16_t port);
/* So many more clients of that server port, one after the other; returns when each is ESTABLISHED or its SYN was
 * dropped by the server. */
void clients_open(struct clients *clients, unsigned n, uint16_t port);
/* Waits until no client's fate is open: `n_drops` is ListenDrops before they began. */
void clients_decided(struct clients *clients, int64_t n_drops);
struct clients_look clients_look(struct clients *clients, uint16_t server_port);
/* All of them gone, by reset, which leaves nothing at the server but what is in its accept queue. */
void clients_reset(struct clients *clients);

/* ---- for all experiments of the chapter */

/* A TCP socket that gives up blocking after two seconds (SO_RCVTIMEO and SO_SNDTIMEO), so that a kernel that does not
 * do what is expected cannot hold the experiment. Ends the run when there is none. */
int opening_socket(struct party *party, struct lab *lab);
/* The next close of it is a reset: no TIME_WAIT keeps its port. */
void opening_linger(int fd);
/* The ends find each other's link addresses, which is a round trip of its own; then what was seen is forgotten. */
void opening_meet(struct lab *lab, struct party *client, struct party *server);
/* The three segments of any handshake under way are through. Nothing where there is no wire. */
void opening_settle(struct lab *lab);
/* lab_table with its heads translated. */
void opening_table(struct lab *lab, unsigned n_columns, const char *const *heads);
enum tcp_state opening_state(int fd);
/* "0", or the error's name: "ECONNREFUSED". */
const char *opening_result(long result);
/* Waits until so many connections are in the accept queue of that port: false, they do not come. */
bool opening_queue_is(struct lab *lab, uint16_t server_port, unsigned at_least);

#endif
