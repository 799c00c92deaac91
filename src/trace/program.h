/* SPDX-License-Identifier: MIT */
/*
 * Our own program as a source of events: the library's probe, on whichever thread its loop runs, hands over each call
 * with what can only be known while the descriptor is open (both addresses, the kernel's values). Whoever draws takes
 * them out on another thread.
 */
#ifndef TRACE_PROGRAM_H
#define TRACE_PROGRAM_H

#include "observe/event/event.h"

#include <sonde/probe.h>

#define PROGRAM_CALLS_MAX 65536 /* that wait to be taken; the next are dropped and counted */

/* One call, handshake or message. */
struct program_call {
    struct program_call *next;
    struct event *event;    /* EVENT_KIND_CALL, HANDSHAKE, MESSAGE; free() it */
    uint64_t socket_cookie; /* of the socket that the call is about: of the new one for accept */
    uint64_t netns_cookie;
    uint64_t stream; /* sonde_stream_id, 0: none */
    int32_t fd;      /* of that same socket; -1: none */
    bool is_unix;
    bool is_datagram; /* of a socket of datagrams: each peer of it is a connection of its own */
    uint8_t protocol; /* as in struct event_connection; valid when has_protocol */
    bool has_protocol;
    bool has_addresses; /* of a datagram that names its peer: of that; local may be any address */
    uint64_t peer_key;  /* not 0: a datagram that names its peer, one number for each */
    struct sonde_address local, peer;
    bool has_target; /* connect: where to, whether it worked or not */
    struct sonde_address target;
    struct event_values values; /* present is 0: there are none */
    uint8_t state;              /* enum tcp_state when the call had returned */
};

struct program_calls;
struct sampling;

/* NULL: no memory or descriptors. */
struct program_calls *program_calls_new(void);
void program_calls_free(struct program_calls *calls);
/* Only what it takes is handed over. Before the first call; it stays the caller's. */
void program_calls_set_sampling(struct program_calls *calls, struct sampling *sampling);
/* Becomes readable when there are calls. */
int program_calls_fd(const struct program_calls *calls);
/* The probe; user is the struct program_calls. Any thread. */
void program_calls_probe(const struct sonde_probe_event *probe, void *user);
/* All that wait, in the order of their ends; program_call_free each. NULL: none. *ret_n_dropped: since the last time.
 */
struct program_call *program_calls_take(struct program_calls *calls, uint64_t *ret_n_dropped);
void program_call_free(struct program_call *call);

#endif
