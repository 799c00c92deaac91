/* SPDX-License-Identifier: MIT */
/*
 * The calls that experiments make: the plain system calls, blocking unless the descriptor says otherwise, each of which
 * is also an event of the ladder. A party is a program in the play: "client" at END_A, "server" at END_B; it has a
 * thread of its own when it has to block while another one acts.
 *
 * All return what the system call returns, or a negative errno. Interrupted ones begin again. MSG_NOSIGNAL is set by
 * itself. Descriptors are the party's to close; what is left open goes with the process.
 */
#ifndef LAB_CALL_H
#define LAB_CALL_H

#include "lab/lab.h"

#include <linux/tcp.h>
#include <sys/socket.h>

struct party;

/* Another program of the play; at most 64. The name appears on the ladder. */
struct party *lab_party(struct lab *lab, const char *name, enum event_end end);
enum event_end party_end(const struct party *party);

/* On a thread of its own from now on: the party's calls are made there. The function's result is party_join's. A party
 * that is not started makes its calls on whatever thread calls. */
void party_start(struct party *party, void *(*run)(struct party *party, void *data), void *data);
void *party_join(struct party *party);
/* Is it inside of a blocking call now, and has been for so long? 0: it is not. */
int64_t party_blocked_ns(const struct party *party);
/* Wait until it is: true. For what must be seen to block. */
bool party_until_blocked(const struct party *party, int64_t at_least_ns, int64_t within_ns);
/* The call it is blocked in is interrupted and gives -EINTR (of which no other call makes use). */
void party_interrupt(struct party *party);

int party_socket(struct party *party, int family, int type, int protocol);
int party_bind(struct party *party, int fd, const char *address, uint16_t port); /* "10.0.0.2", "::1", "" is any */
int party_listen(struct party *party, int fd, int backlog);
int party_accept(struct party *party, int fd);
int party_connect(struct party *party, int fd, const char *address, uint16_t port);
ssize_t party_send(struct party *party, int fd, const void *data, size_t n_bytes, int flags);
ssize_t party_recv(struct party *party, int fd, void *data, size_t n_bytes, int flags);
ssize_t party_sendto(struct party *party, int fd, const void *data, size_t n_bytes, int flags, const char *address,
                     uint16_t port);
ssize_t party_recvfrom(struct party *party, int fd, void *data, size_t n_bytes, int flags, char ret_address[64],
                       uint16_t *ret_port);
int party_shutdown(struct party *party, int fd, int how);
int party_close(struct party *party, int fd);
int party_set(struct party *party, int fd, int level, int name, int value); /* setsockopt of an int */
int party_set_bytes(struct party *party, int fd, int level, int name, const void *value, size_t n_bytes);
int party_get(struct party *party, int fd, int level, int name, int *ret_value); /* getsockopt of an int */

/* Without an event. */
uint16_t lab_local_port(int fd);
uint16_t lab_peer_port(int fd);
bool lab_tcp_info(int fd, struct tcp_info *ret_info); /* what the kernel does not fill in is 0 */
int64_t lab_queued_unsent(int fd);                    /* SIOCOUTQNSD */
int64_t lab_queued_out(int fd);                       /* SIOCOUTQ: sent or not, not acknowledged */
int64_t lab_queued_in(int fd);                        /* SIOCINQ */

/* ---- what is usual */

/* A listener at the party's end on a port that the kernel picks; ends the run when that fails. */
int lab_listening(struct party *party, int backlog, uint16_t *ret_port);
/* A client and a server with a connection between them, over the wire or loopback; listener closed. Ends the run when
 * that fails. */
struct lab_pair {
    int client, server;
    uint16_t client_port, server_port;
};
void lab_connected(struct party *client, struct party *server, struct lab_pair *ret_pair);

/* From now on what the kernel knows of this descriptor (RTO, RTT, cwnd, queues, backoff) is looked at each millisecond,
 * and changes go onto the ladder; until it is closed or the experiment ends. At most 16 at once. */
void lab_watch(struct party *party, int fd);
/* Look once, now. */
void lab_note(struct party *party, int fd);

#endif
