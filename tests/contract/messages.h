/* SPDX-License-Identifier: MIT */
/* Streams of messages under observation, and listeners that make them; as ends.h is for streams of bytes. */
#ifndef CONTRACT_MESSAGES_H
#define CONTRACT_MESSAGES_H

#include "contract.h"
#include "ends.h"

struct hub;

struct user {
    struct contract *c;
    struct hub *hub;             /* NULL: it has connected */
    struct sonde_stream *stream; /* NULL: closed */
    bool opened, ended, closed;
    bool numbered; /* each message is one byte: the number of messages before it, from next on */
    unsigned next;
    unsigned pauses_at; /* after so many messages; 0: never */
    bool stops;         /* the loop, after each message */
    unsigned n_messages, n_drained;
    struct sonde_lent first, last; /* without their data */
    struct sonde_address last_from;
    int error; /* given to failed */
    int icmp;  /* the last that was told */
    struct sonde_address icmp_says;
    uint64_t n_lost;
};

struct hub {
    struct contract *c;
    struct sonde_listener *listener;
    bool echoes;
    bool refuses; /* in accepted, with a reset */
    bool stops;   /* the loop, after each message */
    bool closes;  /* the stream, after its first message */
    struct user users[128];
    unsigned n_users;
    uint64_t n_lost, n_peerless;
    unsigned n_troubles;
    bool closed;
};

extern const struct sonde_stream_handler user_handler;
extern const struct sonde_listener_handler hub_handler;

void hub_open(struct hub *hub, struct contract *c, const struct sonde_listen_options *options, const char *text);
struct sonde_url hub_url(const struct hub *hub);
uint16_t hub_port(const struct hub *hub);

/* Close what is still open; and run until nothing is. */
void hub_stop(struct hub *hub);
void hub_close(struct hub *hub);

void user_connect(struct user *user, struct contract *c, const struct sonde_url *url);
void user_close(struct user *user);

#endif
