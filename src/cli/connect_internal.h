/* SPDX-License-Identifier: MIT */
/* What the files of connect share: the settings, and one run of the verb. */
#ifndef CLI_CONNECT_INTERNAL_H
#define CLI_CONNECT_INTERNAL_H

#include "cli/connect_attempts.h"
#include "cli/connect_input.h"
#include "cli/connect_parts.h"
#include "cli/connect_talk.h"
#include "cli/connect_view.h"

#include <sonde/sonde.h>

enum peer_eof { PEER_EOF_QUIT, PEER_EOF_WAIT };

struct connect_settings {
    bool verbose, calls, json, hex, once, crlf, numeric, scan, only_ipv4, only_ipv6;
    bool trace;
    bool half_close;     /* -N */
    const char *eof;     /* --eof, -q; NULL: the default, wait */
    int peer_eof;        /* enum peer_eof */
    int each_line;       /* index of its choices; -1: not given */
    int engine;          /* enum sonde_engine */
    long long wait_ns;   /* -w; 0: for ever */
    long long delay_ns;  /* -i */
    long long n_retries; /* 0: none */
    const char *source_address, *source_port, *bind;
    const char *output, *trace_json;
};

/* Where to, as the command line says it. */
struct connect_target {
    struct sonde_url url;
    const char *given;        /* the address as the user gave it; a host and a port apart: as a URL */
    char name[SONDE_URL_MAX]; /* the same, fit for a terminal */
    struct port_range ports;  /* -z; {0, 0}: the one of the URL */
};

/* Make the target of the operands; it must stay where it is, and so must they. False: the user has been told why, and
 * *ret_status is the exit status. */
bool connect_target_make(const struct connect_settings *settings, int n_operands, char **operands,
                         struct connect_target *ret_target, int *ret_status);

/* The options that each connection of this run is made with. */
struct sonde_connect_options connect_options_of(const struct connect_settings *settings);

/* SIGINT as an event of the loop. */
struct interrupt {
    struct sonde_poll *poll;
    int fd;
    void (*came)(void *user);
    void *user;
};

/* Not when the signal was ignored from the start (nohup, a background job): then it stays ignored. */
int interrupt_open(struct interrupt *interrupt, struct sonde_loop *loop, void (*came)(void *user), void *user);
void interrupt_close(struct interrupt *interrupt);

/* -z. Returns the exit status. */
int connect_scan(struct sonde_loop *loop, const struct connect_settings *settings, const struct connect_target *target);

/* Everything else: one connection after the other until there is nothing more to do. Returns the exit status. */
int connect_run(struct sonde_loop *loop, struct taps *taps, const struct connect_settings *settings,
                const struct connect_target *target, int file_fd);

#endif
