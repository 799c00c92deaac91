/* SPDX-License-Identifier: MIT */
/* Both ends of a WebSocket under observation, and plain sockets that speak it by hand. */
#ifndef CONTRACT_WS_SIDES_H
#define CONTRACT_WS_SIDES_H

#include "ends.h"
#include "ws/ws.h"

#include <sonde/ws.h>

enum { SIDE_LOG = 4096, SIDE_SHOWN = 24 };

struct side {
    struct contract *c;
    struct sonde_stream *stream; /* NULL before there is one and after it is closed */
    bool echoes;
    unsigned pause_every;  /* messages; 0: never */
    bool keeps_open;       /* is told of the end, and does nothing */
    bool stays_after_fail; /* the same of a failure */

    bool opened, ended, failed, closed, draining;
    int error; /* the last that was returned or told */
    struct sonde_why why;
    unsigned n_messages, n_pings, n_pongs, n_closes;
    uint64_t n_bytes, hash; /* of the messages, in order: their kinds, lengths, bytes */
    char log[SIDE_LOG];     /* "t5 hello|b0 |", the first bytes of each; "ping x|", "close 1000 bye|" */
    size_t n_log;
    int64_t rtt_ns;            /* of the last pong; -2: none */
    struct sonde_ws_info info; /* at the end, or the failure */
};

extern const struct sonde_stream_handler side_handler;

/* A listener whose one connection goes to `server`. */
struct ws_listen {
    struct contract *c;
    struct side server;
    struct sonde_listener *listener; /* NULL after it is closed */
    int refusal;
    int buffer_bytes; /* of the sockets of this end and of raw_ws_connect; 0: as the kernel likes */
    uint16_t port;
};

void ws_open(struct ws_listen *listen, struct contract *c, const struct sonde_ws_settings *settings);
int ws_try_open(struct ws_listen *listen, struct contract *c, const struct sonde_ws_settings *settings);

/* Close what is still open, and run until nothing is. */
void ws_wind_up(struct ws_listen *listen, struct side *client);

int side_connect(struct side *side, struct contract *c, uint16_t port, const struct sonde_ws_settings *settings);

/* A message of this side's, as its peer will log it. */
int side_send(struct side *side, const void *data, size_t n_bytes, unsigned flags);

/* What a message does to `hash`. */
uint64_t ws_hash(uint64_t hash, const void *data, size_t n_bytes, unsigned flags);

/* A plain socket that has shaken hands with the listener, or with a stream that connects. */
int raw_ws_connect(struct ws_listen *listen);
int raw_ws_accept(struct contract *c, struct side *client);

/* Write a frame; masked if it is a client's. */
void raw_frame(int fd, bool is_client, unsigned first, const void *data, size_t n_bytes);

/* What comes on a plain socket: fed to a decoder and logged as a side's. */
struct raw_ws {
    int fd;
    struct ws_decoder decoder;
    bool ended;
    char log[SIDE_LOG];
    size_t n_log;
    char last[SIDE_SHOWN + 1]; /* the first bytes of the last */
    unsigned n_messages, n_pongs;
};

void raw_ws_begin(struct raw_ws *raw, int fd, bool is_client);
void raw_ws_read(struct raw_ws *raw);
void raw_ws_end(struct raw_ws *raw);

#endif
