/* SPDX-License-Identifier: MIT */
/*
 * Which connections a live trace takes in, where there are too many events to take all: whoever only looks must not
 * cost what is looked at its processor.
 *
 * Theory of operation
 *
 * Packets are all tracked, so that a connection's state, its numbers and what is wrong with it are known whenever
 * somebody asks. What is saved is what comes behind: events, their place on the time line, and what the views make of
 * them; and of calls, everything.
 *
 * It is decided by connection: a ladder with every tenth of its segments would be worth nothing. A connection has a
 * key, a hash of its addresses; one in N is taken, N a power of two, so that those that are taken with a greater N are
 * taken with a smaller one, too. Those that somebody looks at are taken whole, from then on. What begins, ends or is in
 * trouble is counted, and left out, apart from the rest: it is rare but where connections are very short, and it is
 * what people look for.
 *
 * N follows the rate: it rises as soon as more than the budget would be taken, and falls when it has been too great for
 * a while. Whoever shows the trace says it (sampling_state).
 *
 * Any thread may call; what is called for each event takes no lock.
 */
#ifndef TRACE_SAMPLING_H
#define TRACE_SAMPLING_H

#include <sonde/address.h>
#include <stdbool.h>
#include <stdint.h>

#define SAMPLING_WANTED_MAX 64 /* connections that are looked at; more are taken like others */
#define SAMPLING_ONE_IN_MAX 1024
#define SAMPLING_EVENTS_PER_S 1000   /* of the rest */
#define SAMPLING_RARE_PER_S 500      /* of what begins, ends or is in trouble */
#define SAMPLING_QUESTIONS_PER_S 100 /* questions to the kernel, right after calls on connections nobody looks at */

enum sampling_sort { SAMPLING_COMMON, SAMPLING_RARE, SAMPLING_N_SORTS };

enum sampling_take {
    SAMPLING_LEAVE,
    SAMPLING_TAKE,
    SAMPLING_WHOLE, /* somebody looks at it */
};

struct sampling;

struct sampling *sampling_new(void); /* NULL: no memory */
void sampling_free(struct sampling *sampling);

/* The same for both ends of a connection. */
uint32_t sampling_key(const struct sonde_address *one, const struct sonde_address *other);
/* Of datagrams, whose socket may be bound to any address. */
uint32_t sampling_key_of_peer(const struct sonde_address *peer);
/* Of a socket that has neither. */
uint32_t sampling_key_of_socket(uint64_t cookie);

/* Somebody looks at this connection, whom `looker` stands for: a number that is not 0, and once at a time. What is not
 * known of it is 0 and has no family. */
void sampling_want(struct sampling *sampling, uint64_t looker, uint64_t cookie, const struct sonde_address *local,
                   const struct sonde_address *peer);
/* No longer. */
void sampling_let_go(struct sampling *sampling, uint64_t looker);
/* Changes with each of both. */
unsigned sampling_generation(const struct sampling *sampling);

/* Is an event of this connection taken? It is counted in any case. */
enum sampling_take sampling_offer(struct sampling *sampling, uint32_t key, enum sampling_sort sort);
/* Is somebody looking at it? */
bool sampling_is_wanted(const struct sampling *sampling, uint32_t key);

/* A socket of ours has this key from now on; what was said last of a socket, by its cookie. Of very many sockets some
 * are forgotten; those have a key of their cookie. */
void sampling_learn(struct sampling *sampling, uint64_t cookie, uint32_t key);
uint32_t sampling_look_up(const struct sampling *sampling, uint64_t cookie);

/* May the kernel be asked about a connection that nobody looks at? */
bool sampling_may_ask(struct sampling *sampling, int64_t now_ns);

/* Once in a while: N is chosen anew. */
void sampling_adapt(struct sampling *sampling, int64_t now_ns);

struct sampling_state {
    uint32_t one_in;       /* so many connections, of which one is taken; 1: all are */
    uint64_t events_per_s; /* as they came, taken or not */
};

void sampling_state(const struct sampling *sampling, struct sampling_state *ret_state);

#endif
