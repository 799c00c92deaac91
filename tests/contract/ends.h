/* SPDX-License-Identifier: MIT */
/*
 * Streams under observation. A struct end records what its stream is told, and checks on the way what must always
 * hold: nothing calls back inside a call, nothing comes after `closed`, nothing but `closed` after `failed`, neither
 * data nor end after the end, and none of them while paused.
 */
#ifndef CONTRACT_ENDS_H
#define CONTRACT_ENDS_H

#include "contract.h"

struct end {
    struct contract *c;
    struct sonde_stream *stream; /* NULL before there is one and after it is closed */

    /* What happens besides recording; NULL: nothing. */
    void (*on_opened)(struct end *end);
    void (*on_data)(struct end *end, const struct sonde_lent *bytes);
    void (*on_end)(struct end *end);
    void (*on_drained)(struct end *end);
    void (*on_failed)(struct end *end);
    void (*on_closed)(struct end *end);
    void *user;

    /* What was told: o(pened) d(ata) e(nd) f(ailed) c(losed), data only once in a row. */
    char story[24];
    bool opened, ended, failed, closed;
    bool closing; /* end_close or end_abort was called: nothing but closed may follow */
    unsigned n_drained;
    int error; /* given to failed */
    struct sonde_why why;
    struct sonde_address peer;
    uint64_t unsent; /* at the end */

    uint64_t n_received;
    char text[64]; /* the first bytes, and a NUL */

    bool checked; /* what is received must be the pattern of `seed` */
    uint32_t seed;
    uint64_t n_written; /* of the pattern, by end_write */
};

extern const struct sonde_stream_handler end_handler;

/* What an echo server does, as far as its data goes: set on_data and on_drained to these. */
void end_echo(struct end *end, const struct sonde_lent *bytes);
void end_go_on(struct end *end);

/* Ready-made reactions. */
void end_close(struct end *end);
void end_abort(struct end *end);
void end_finish(struct end *end);
void end_shutdown(struct end *end);

void end_connect(struct end *end, struct contract *c, const struct sonde_url *url);

/* A descriptor of the stream's socket, to ask, whether it has one or not; to be given back before the loop runs. */
int end_borrow_fd(const struct end *end);
void end_return_fd(const struct end *end, int fd);

/* Write the next n bytes of the pattern. */
int end_write(struct end *end, size_t n_bytes);

unsigned char pattern(uint32_t seed, uint64_t offset);
void fill_pattern(unsigned char *bytes, size_t n_bytes, uint32_t seed, uint64_t offset);

/* A listener whose connections are given to ends, in turn: each is a copy of `model`. */
struct server {
    struct contract *c;
    struct sonde_listener *listener; /* NULL after it is closed */
    struct end model;
    struct end *ends;
    unsigned n_ends, most_ends;
    void (*on_accepted)(struct end *end); /* after the handler was set; may be NULL */
    unsigned n_troubles;
    int trouble; /* the last that was told */
    unsigned n_refused;
    int refusal; /* the last that was told */
    struct sonde_address refused_peer;
    bool closed;
};

extern const struct sonde_listener_handler server_handler;

/* Listen on a loopback port, or where text says; room for so many ends. */
void server_open(struct server *server, struct contract *c, unsigned most_ends);
void server_open_at(struct server *server, struct contract *c, unsigned most_ends,
                    const struct sonde_listen_options *options, const char *text);
struct sonde_url server_url(const struct server *server);
uint16_t server_port(const struct server *server);

/* Close the listener and all of its streams that are still open, run until nothing is open, and free the ends. */
void server_wind_up(struct server *server);

/* --- plain sockets, for peers that do what no stream would ------------------------------------------------------- */

/* On 127.0.0.1; non-blocking once connected. buffer_bytes: SO_SNDBUF and SO_RCVBUF, or 0. */
int raw_connect(uint16_t port);
int raw_connect_small(uint16_t port, int buffer_bytes);
int raw_listen(int backlog, int buffer_bytes, uint16_t *ret_port);
int raw_accept(struct contract *c, int listener);
void raw_write(int fd, const char *text);
void raw_shutdown(int fd);
void raw_close(int fd);
void raw_reset(int fd);

/* A socket that has a port of 127.0.0.1, and of ::1 where ret_other is given (-1: there is no IPv6), on which nobody
 * listens: connections are refused there, and the port is nobody else's until the sockets are closed. */
int raw_refusing(uint16_t *ret_port, int *ret_other);

/* Until there is a connection that listener has not accepted; for queues that are to be full. */
void raw_until_queued(int listener);

/* What read(2) says now: a count, or a negative errno. */
int raw_read(int fd, void *buffer, size_t n_bytes);

/* Read what there is and hold it against the pattern from *n_read on; 1 at the end of data, 0, or a negative errno. */
int raw_read_pattern(int fd, uint32_t seed, uint64_t *n_read);

/* Has the peer's kernel got everything that was written here, and acknowledged it? */
bool raw_all_acknowledged(int fd);

/* --- one stream and a plain socket at its other end --------------------------------------------------------------- */

enum role { ACCEPTED, CONNECTED, N_ROLES };

struct pair {
    struct contract *c;
    enum role role;
    struct end model; /* copied to the end */
    int buffer_bytes; /* of both sockets; 0: as the kernel likes */
    struct end *end;  /* the stream's */
    int raw;          /* the plain socket; whoever closes it sets it to -1 */
    struct server server;
    struct end client;
};

/* Open both; the stream has been accepted, or has opened. */
void pair_open(struct pair *pair, struct contract *c, enum role role);

/* Close what is still open, and run until nothing is. */
void pair_close(struct pair *pair);

/* The stream's story without `opened`, which only one role has. */
const char *pair_story(const struct pair *pair);

#endif
