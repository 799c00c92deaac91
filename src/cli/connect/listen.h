/* SPDX-License-Identifier: MIT */
/*
 * -l: wait for a connection rather than make one. One at a time: while somebody is talked to, others wait in the
 * kernel's accept queue.
 */
#ifndef CLI_CONNECT_LISTEN_H
#define CLI_CONNECT_LISTEN_H

#include <sonde/listener.h>

struct listening {
    struct sonde_listener *listener; /* NULL: there is none, or it is closing */
    unsigned n_urls;
    struct sonde_url urls[SONDE_LISTENER_MAX]; /* where it listens, with the ports that the kernel chose */
    /* Somebody has connected. Nobody else comes before listening_next. */
    void (*came)(struct sonde_stream *stream, void *user);
    void *user;
};

/* Listen, but let nobody in before listening_next; of the options the flags are chosen here. Errors: those of
 * sonde_listen. */
int listening_open(struct listening *listening, struct sonde_loop *loop, const struct sonde_url *url,
                   const struct sonde_listen_options *options, struct sonde_why *ret_why);

/* Let the next one in: came follows, from the loop. */
void listening_next(struct listening *listening);

/* Nobody is let in any more, and those who wait are refused. The memory must stay until the loop has run out. */
void listening_close(struct listening *listening);

#endif
