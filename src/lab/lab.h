/* SPDX-License-Identifier: MIT */
/*
 * The lab: what is commonly said of sockets, checked on this machine's kernel.
 *
 * An experiment is one file with one const description and one row in table.c. Its run function makes real sockets,
 * with real blocking calls (lab/call.h, never libsonde's streams: that a call blocks is part of what is shown), puts
 * what it measured into the report, and gives a verdict on each of its claims. A verdict comes from a measurement that
 * was made in this run, and from nothing else; what could not be measured is said to be not shown, and why.
 *
 * Each experiment runs in a process of its own, forked before there are threads. It may be killed when it takes too
 * long. It has a wire of its own (wire/wire.h), two hosts that nobody else uses, with this machine's settings; or only
 * this machine, where namespaces are refused.
 *
 * What is checked of other kernels: relations, never numbers. Sentences are built from what was measured.
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include "observe/event/event.h"
#include "observe/sockets/sockets.h"
#include "wire/wire.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lab_chapter {
    CHAPTER_SOCKETS,
    CHAPTER_OPENING,
    CHAPTER_DATA,
    CHAPTER_TROUBLE,
    CHAPTER_CLOSING,
    CHAPTER_LAYERS,
    N_CHAPTERS,
};

enum lab_verdict {
    LAB_TRUE,
    LAB_FALSE,
    LAB_DEPENDS,   /* "it depends": true and false, and the sentence says on what */
    LAB_NOT_SHOWN, /* "not shown here" */
    N_LAB_VERDICTS,
};

struct lab_claim {
    const char *id;    /* "C41"; NULL ends a list */
    const char *claim; /* as commonly stated, in our own words, one sentence */
};

/* What an experiment cannot do without. Without LAB_WIRE it gets a wire all the same where there is one, and END_A and
 * END_B are both this machine, by loopback, where there is none. */
#define LAB_WIRE 1u        /* two hosts and what is between them */
#define LAB_SECOND_PATH 2u /* and a second wire */
#define LAB_COLD 4u        /* the ends do not know each other's MAC address yet; else they have met by IPv4 */

struct lab;

struct experiment {
    const char *name; /* "acknowledgement" */
    enum lab_chapter chapter;
    const char *title;              /* one line for lists: "which number acknowledges n bytes" */
    const struct lab_claim *claims; /* in the order in which they are told */
    const char *systems;            /* "S17 S18"; NULL: none */
    unsigned needs;                 /* LAB_... */
    unsigned milliseconds;          /* it takes about, without --full */
    const char *done;               /* what is done, in plain words; what was shortened, and by which setting, too */
    const char *question;           /* for the reader, before it is run; "With backlog 2, ... How many are ...?" */
    const char *const *choices;     /* "a) 5"...: shown behind it, NULL-terminated; NULL: a number or a word */
    const char *by_hand;            /* commands to see it with one's own hands, sonde's and nc's; lines */
    const char *read;               /* "RFC 9293, 3.4; tcp(7)" */
    const char *const *settings;    /* sysctls that matter, "net.ipv4.tcp_retries2", NULL-terminated; NULL: none do */
    void (*run)(struct lab *lab);
};

extern const struct experiment *const experiments[]; /* by chapter, in the order of reading; ends with NULL */

/* ---- where it is run */

struct wire *lab_wire(struct lab *lab); /* NULL: there is none, and LAB_WIRE was not asked for */
/* The address of an end as text: 10.0.0.1 and 10.0.0.2 on a wire, 127.0.0.1 for both without one. */
const char *lab_address(const struct lab *lab, enum event_end end);
/* "127.0.0.1" in END_B is the loopback interface of that end: for what needs one host only. */

/* What a run was asked for. */
bool lab_full(const struct lab *lab);         /* --full: wait as long as it takes */
const char *lab_given(const struct lab *lab); /* operand for experiments that take one (an address); NULL: none */

/* The wire's rules for what leaves this end, in its language; the text is a constant of the experiment, so a mistake in
 * it ends the run. Needs LAB_WIRE. */
void lab_rules(struct lab *lab, enum event_end from, const char *rules);
/* A setting of that end for this experiment; told in the report beside what this machine has. False: it cannot be set
 * here (no wire, not for this user). */
bool lab_set(struct lab *lab, enum event_end end, const char *setting, const char *value);
/* A setting of that end as it is now; -1: cannot be read. lab_setting_text for those that are no single number. */
int64_t lab_setting(struct lab *lab, enum event_end end, const char *setting);
bool lab_setting_text(struct lab *lab, enum event_end end, const char *setting, char *ret_text, size_t size_bytes);

/* ---- time. CLOCK_MONOTONIC ns */

int64_t lab_now(void);
void lab_sleep(int64_t ns);
/* Looks again every 200 us until it is so: true; or for so long: false. */
bool lab_until(bool (*is_so)(void *data), void *data, int64_t within_ns);
/* Was this machine too busy to measure? Says so in the report, once, when it was: so long did a thread that was to wake
 * at once have to wait, or the wire hand packets on late. A verdict that rests on time asks first. */
bool lab_starved(struct lab *lab, int64_t tolerated_ns);

/* ---- the kernel, looked at from outside */

/* Sockets of that end that match (all TCP, without LISTEN when only_connections): at most n_max; returns how many there
 * are, or a negative errno. */
int lab_sockets(struct lab *lab, enum event_end end, uint16_t local_port, uint16_t peer_port,
                struct socket_info *ret_sockets, unsigned n_max);
/* The one of these two ports, whatever its state, SYN_RECV and TIME_WAIT included. False: there is none. */
bool lab_socket_of(struct lab *lab, enum event_end end, uint16_t local_port, uint16_t peer_port,
                   struct socket_info *ret_socket);
/* The listener on that port: length and limit of its accept queue are receive_queue and send_queue. */
bool lab_listener_of(struct lab *lab, enum event_end end, uint16_t port, struct socket_info *ret_socket);
/* A counter of /proc/net/netstat or snmp: "ListenOverflows", "TCPTimeouts", "RetransSegs"; -1: this kernel has none. */
int64_t lab_counter(struct lab *lab, enum event_end end, const char *name);

/* ---- what was on the wire. Needs LAB_WIRE; these take what came since the start, or since lab_forget */

struct lab_segment {
    struct event_segment segment; /* numbers relative; seq_raw, ack_raw as on the wire; data is not kept */
    int64_t left_ns, arrived_ns;  /* 0: never arrived */
    uint8_t reason;               /* enum wire_reason */
    bool copy;
    uint16_t client_port, server_port; /* END_A's and END_B's, as the conversation has them */
    uint8_t frame[128];                /* its first bytes, Ethernet header first */
    uint32_t n_frame, n_wire;
};

/* Everything that has left an end so far has arrived or been dropped, but for what the rules still hold back. */
void lab_settle(struct lab *lab);
/* All segments of the connection of this client port (0: of all), in the order of leaving. Lent until the next call
 * that takes the tap. */
const struct lab_segment *lab_segments(struct lab *lab, uint16_t client_port, size_t *ret_n);
/* Raw packets, of any protocol, as the tap had them. */
size_t lab_n_packets(struct lab *lab);
const struct wire_packet *lab_packet(struct lab *lab, size_t index);
/* Begin anew: packets and calls until now are not drawn any more. */
void lab_forget(struct lab *lab);

/* ---- the report: evidence, in the order in which it is given */

void lab_say(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));      /* a paragraph */
void lab_footnote(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3))); /* "(a) ..." */

/* A table: heads, then cells row by row; it ends with lab_table_end. Columns whose cells are numbers are set to the
 * right by themselves. At most 8 columns. */
void lab_table(struct lab *lab, unsigned n_columns, const char *const *heads);
void lab_cell(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lab_table_end(struct lab *lab);

/* The ladder of the connection of this client port (0: the first), from the calls made through lab/call.h, the values
 * that were noted, and the wire's segments if there is a wire; caption may be NULL. Drawn into the text, and as SVG. */
void lab_ladder(struct lab *lab, uint16_t client_port, const char *caption);

/* A packet, layer by layer, as `sonde trace --layers` shows it. */
void lab_layers(struct lab *lab, size_t packet_index);

/* A plot: one or more series over a common x axis. */
enum lab_scale { SCALE_LINEAR, SCALE_LOG };

#define LAB_SERIES_MAX 6

struct lab_series {
    const char *name;
    const double *x, *y; /* n of each; lent for the call */
    size_t n;
};

struct lab_plot {
    const char *title;
    const char *x_label, *y_label; /* with units: "loss (%)", "goodput (Mbit/s)" */
    enum lab_scale x_scale, y_scale;
    bool steps; /* values hold until the next */
    struct lab_series series[LAB_SERIES_MAX];
    unsigned n_series;
};

void lab_plot(struct lab *lab, const struct lab_plot *plot);

/* The measured answer to the question, as the reader would have typed it ("3", "c"), compared with the prediction. */
void lab_answer(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The verdict on one of the experiment's claims: one to three sentences with the measured figures in them. Once for
 * each claim; a claim that got none is reported as not shown, because the experiment did not get that far. */
void lab_verdict(struct lab *lab, const char *claim, enum lab_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Figures for --json; the name has its unit where it has one ("rto_first_ms"). */
void lab_figure(struct lab *lab, const char *claim, const char *name, double value);
void lab_figure_text(struct lab *lab, const char *claim, const char *name, const char *value);

/* All claims that have no verdict yet are not shown, for this reason; then the run ends (it does not return). For what
 * must not happen: a socket that could not be made. */
void lab_give_up(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* How a number of bytes, a duration is written: "1,448", "5.08 ms". Lent: the last eight stay. */
const char *lab_count_text(uint64_t n);
const char *lab_time_text(int64_t ns);

#endif
