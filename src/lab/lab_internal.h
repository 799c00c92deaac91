/* SPDX-License-Identifier: MIT */
/* What the files of the lab share: the state of one experiment's process. */
#ifndef LAB_LAB_INTERNAL_H
#define LAB_LAB_INTERNAL_H

#include "lab/call.h"
#include "lab/report.h"
#include "lab/run.h"
#include "observe/track/course.h"
#include "trace/kernel.h"

#include <pthread.h>
#include <sonde/probe.h>
#include <stdatomic.h>

#define PARTIES_MAX 64
#define CALLS_MAX 100000u
#define DESCRIPTORS_MAX 200000u
#define VALUES_MAX 20000u
#define WATCHED_MAX 16
#define PACKETS_MAX 200000u
#define PACKETS_BYTES_MAX (64u * 1024 * 1024)
#define NO_DESCRIPTOR SIZE_MAX

/* One life of a descriptor, from socket() or accept() to close(). */
struct descriptor {
    int fd;
    uint8_t end; /* enum event_end */
    bool closed, listening;
    uint8_t role;                     /* enum event_role */
    int protocol;                     /* IPPROTO_... */
    struct sonde_address local, peer; /* port 0: not known */
};

/* One call; begun, and perhaps ended. */
struct call_record {
    struct event *event; /* NULL: it has not ended */
    const struct party *party;
    int64_t start_ns;
    size_t descriptor; /* NO_DESCRIPTOR: none */
    size_t accepted;   /* of accept: the new one */
    int32_t fd;
    uint8_t operation;
};

/* What the kernel said of a descriptor. */
struct value_record {
    int64_t t_ns;
    size_t descriptor;
    struct event_values values;
};

struct record {
    struct call_record *calls;
    size_t n_calls, calls_room, n_calls_lost;
    struct descriptor *descriptors;
    size_t n_descriptors, descriptors_room;
    size_t *of_fd; /* 1 + index of the descriptor's present life; 0: none */
    size_t n_fds;
    struct value_record *values;
    size_t n_values, values_room, n_values_lost;
};

struct party {
    struct lab *lab;
    char name[32];
    enum event_end end;
    bool started;
    pthread_t thread;
    pid_t tid;
    void *(*run)(struct party *party, void *data);
    void *data;
    _Atomic int64_t inside_since_ns; /* 0: in no call */
    atomic_bool interrupting;
};

struct watched_fd {
    int fd;      /* a duplicate; -1: none */
    int watched; /* the party's own number */
    size_t descriptor;
    uint8_t end;
    struct event_values told;
};

struct sampler {
    pthread_t thread;
    bool running;
    atomic_bool stop;
    _Atomic int64_t late_max_ns; /* woke so much later than it should have, at worst */
    struct watched_fd watched[WATCHED_MAX];
};

struct packet_kept {
    struct wire_packet packet; /* its data is bytes + offset when it is lent */
    size_t offset;
};

struct packets_kept {
    struct packet_kept *packets; /* sorted in the order of leaving when they are lent */
    size_t n, room;
    uint8_t *bytes;
    size_t n_bytes, bytes_room;
    uint64_t n_lost;
    size_t n_sorted;
    /* Packets up to this number are forgotten: they only serve to understand those behind them. */
    uint64_t forgotten;
    size_t *shown; /* indices of the others */
    size_t n_shown;
    struct kept_segment *followed;
    struct lab_segment *segments;
    size_t n_segments;
};

struct lab {
    const struct experiment *experiment;
    const struct lab_request *request;
    struct wire *wire; /* NULL: there is none */
    int result_fd;
    int64_t start_ns;
    pthread_mutex_t lock;      /* report, record, sampler's watched */
    pthread_mutex_t wire_lock; /* requests */
    struct report *report;
    struct record record;
    struct sampler sampler;
    struct party *parties[PARTIES_MAX];
    unsigned n_parties;
    struct packets_kept kept;
    struct report_item *table; /* that is being filled; NULL: none */
    struct sockets *sockets[N_ENDS];
    char rules[N_ENDS][WIRE_LABEL_MAX]; /* as text */
    uint64_t n_call_numbers;
    bool starved_said, tap_loss_said, finishing;
};

/* ---- record.c. All take the lock themselves. */

/* A call begins: its number in the record; NO_DESCRIPTOR: no room. */
size_t record_begin(struct party *party, enum sonde_operation operation, int fd, int64_t start_ns);
/* ... and has ended. */
void record_end(struct party *party, size_t call, const struct sonde_probe_event *probe);
/* The present life of a descriptor; made when it has none yet. The lock is held. */
size_t record_descriptor(struct lab *lab, enum event_end end, int fd);
void record_values(struct lab *lab, size_t descriptor, const struct event_values *values, int64_t t_ns);
void record_forget(struct lab *lab);
void record_free(struct record *record);
/* False: no such (anymore). The lock is held. */
bool record_addresses(struct descriptor *descriptor);

/* ---- sampler.c */
void sampler_start(struct lab *lab);
void sampler_stop(struct lab *lab);
/* The descriptor is about to be closed. */
void sampler_forget(struct lab *lab, int fd);

/* ---- kept.c */
/* All that the tap has into memory. The wire lock is not held. */
void kept_take(struct lab *lab);
void kept_free(struct packets_kept *kept);

/* ---- look.c */
/* socket(2) at that end. */
int lab_socket(struct lab *lab, enum event_end end, int family, int type, int protocol);
/* Settings as they are at the end, for the report. */
void settings_read(struct lab *lab);
void look_close(struct lab *lab);

/* ---- run_child.c */
/* The report is written, the wire is gone, the process ends. */
_Noreturn void lab_finish(struct lab *lab);

#endif
