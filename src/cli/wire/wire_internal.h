/* SPDX-License-Identifier: MIT */
/*
 * What the files of `sonde wire` share: wire.c is the verb and its course, options.c what it is told, program.c and
 * keeper.c run the two programs, ready.c sees when the server listens, observer.c and order.c take what the tap tells
 * to the views, report.c says at the end what the wire did.
 */
#ifndef CLI_WIRE_WIRE_INTERNAL_H
#define CLI_WIRE_WIRE_INTERNAL_H

#include "cli/option.h"
#include "cli/say.h"
#include "wire/wire.h"

#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

#define WORD_MAX 256

/* ---- options.c */

struct wire_options {
    const char *delay, *jitter, *loss, *duplicate, *reorder, *corrupt, *rate, *mtu;
    struct option_list a_to_b, b_to_a, a_sysctl, b_sysctl;
    long long seed; /* -1: not given */
    long long ready_timeout_ns;
    bool trace, json, quiet, offloads, ascii, raw, compact, list;
    const char *trace_json, *svg, *write;
    long long width;
};

extern const struct option_row wire_option_rows[];

/* What was asked for, as rules; and in words, for titles: "delay 5ms each way, a→b drop data #1". False: the user has
 * been told. */
bool wire_options_rules(const struct wire_options *options, struct wire_rules ret_rules[N_ENDS], char *ret_words,
                        size_t size_bytes);

/* ---- program.c: one of the two programs, in its end */

struct program {
    enum event_end end;
    char *const *argv;
    pid_t keeper; /* the process that looks after it; 0: not started, or over */
    int fd;       /* of what its keeper says; -1: none */
    pid_t pid;    /* its own; 0: not known */
    int error;    /* it could not be started: a negative errno; */
    bool entered; /* ... after its end had been entered: it could not be executed */
    bool ended;   /* its main process has */
    bool over;    /* nothing of it is left */
    int status;   /* of wait(2), once it has ended */
};

/* 0: its keeper is there; a negative errno: not even that. mask: the signals that were blocked when we were started. */
int program_start(struct program *program, struct wire *wire, const sigset_t *mask);
/* What its keeper has said meanwhile. */
void program_look(struct program *program);
/* SIGTERM; what is left after PROGRAM_PATIENCE_NS gets SIGKILL. */
void program_end(struct program *program);
/* 0..255, as shells have it. */
int program_exit_status(const struct program *program);
bool program_runs(const struct program *program);

#define PROGRAM_PATIENCE_NS (2 * NS_PER_S)

/* ---- keeper.c: the process that looks after a program */

enum keeper_word { KEEPER_STARTED, KEEPER_CANNOT_ENTER, KEEPER_CANNOT_EXECUTE, KEEPER_ENDED };

struct keeper_says {
    int32_t word;  /* enum keeper_word */
    int32_t value; /* pid, negative errno, status of wait(2) */
};

/* In a child of ours without threads. */
_Noreturn void keeper_run(const struct program *program, struct wire *wire, const sigset_t *mask, pid_t parent,
                          int out);

/* ---- ready.c: does something listen in B? */

struct ready;

/* NULL: it cannot be known. */
struct ready *ready_new(struct wire *wire);
void ready_free(struct ready *ready);

/* ---- unsent.c */

struct unsent;

/* NULL: it cannot be known. */
struct unsent *unsent_new(struct wire *wire);
/* Has the client, which has ended, left something to its kernel that is not acknowledged? NULL: false. */
bool unsent_look(struct unsent *unsent);
void unsent_free(struct unsent *unsent);
enum ready_state { READY_NOTHING, READY_LOOPBACK_ONLY, READY_LISTENS };
/* ret_address: of the listener that was found. */
enum ready_state ready_look(struct ready *ready, struct sonde_address *ret_address);

/* ---- order.c: packets, each at its time */

struct taken {
    int64_t t_ns;
    uint64_t order;
    bool arrival; /* seen at the other end; otherwise as it left */
    struct wire_packet packet;
    uint8_t data[];
};

struct packet_order {
    struct taken **heap;
    size_t n, room, n_bytes;
    uint64_t n_put, n_no_memory;
};

void order_put(struct packet_order *order, const struct wire_packet *packet, bool arrival);
/* The earliest, if it is not later than that; NULL: none. free() it. */
struct taken *order_take(struct packet_order *order, int64_t until_ns);
bool order_is_full(const struct packet_order *order);
void order_free(struct packet_order *order);

/* ---- observer.c */

struct observer;

/* *ret_observer NULL: nothing is to be observed. False: the user has been told. longest_ns: by the rules. where: for
 * titles. program[end] is asked for names when a connection begins. */
bool observer_open(const struct wire_options *options, struct wire *wire, const struct program program[N_ENDS],
                   int64_t longest_ns, const char *where, struct observer **ret_observer);
bool observer_is_wanted(const struct wire_options *options);
/* Take what the tap has, look at the kernels, show what is old enough. */
void observer_turn(struct observer *observer, int64_t now_ns);
int64_t observer_next_ns(const struct observer *observer); /* when observer_turn is to be called at the latest */
/* Everything that there will be is in the tap. False: something could not be written, which has been said. */
bool observer_finish(struct observer *observer);
void observer_free(struct observer *observer);

/* ---- report.c */

/* chance: some of the rules leave something to it. */
void report_say(const struct wire_options *options, const struct wire_counts counts[N_ENDS], uint64_t seed,
                bool chance);

int64_t verb_now_ns(void);

#endif
