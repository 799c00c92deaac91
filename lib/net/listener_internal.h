/* SPDX-License-Identifier: MIT */
/* The inside of a listener, for listen.c, listener.c and listener_headers.c. */
#ifndef NET_LISTENER_INTERNAL_H
#define NET_LISTENER_INTERNAL_H

#include "net/net_internal.h"
#include "net/unixpath.h"

#include <sonde/listener.h>

struct leg {
    struct io io;
    struct sonde_listener *listener;
    struct sonde_address address;
    int family;
    struct io_peer peer;          /* for the engine */
    struct packet_server *server; /* of datagrams: it has the socket; otherwise NULL */
};

/* A connection that was taken from the kernel while the listener was paused. */
struct waiting {
    int fd;
    unsigned leg;
};

struct sonde_listener {
    struct sonde_loop *loop;
    const struct sonde_listener_handler *handler;
    void *owner;
    struct sonde_url url;
    struct leg legs[SONDE_LISTENER_MAX];
    unsigned n_legs, n_open_legs;
    unsigned flags;
    size_t user_bytes;
    uint64_t send_limit;
    bool paused, closing;

    int trouble;  /* what accepting stopped for last; 0: out of trouble */
    bool stopped; /* it is stopped for that now */
    bool told_trouble, is_starved;
    int64_t pause_ns;
    struct sonde_timer timer; /* to try again, or to find that the trouble is over */
    struct sonde_listener *next_starved;

    struct waiting *waiting;
    unsigned n_waiting, waiting_room;
    struct unix_name name;
    struct sonde_address group; /* that every leg joins; family 0: none */
    struct headers *headers;    /* with ?proxy=in; otherwise NULL */
    struct layered *layered;    /* with TLS, WebSocket, any://; otherwise NULL */
};

void listener_in_trouble(struct sonde_listener *listener, int error);
void listener_on_timer(struct sonde_timer *timer);
void listener_on_accept(struct io *io, int result, const struct sockaddr *peer, socklen_t peer_bytes);
void listener_on_work(struct io *io);
void listener_on_closed(struct io *io);
struct io_peer *listener_peer_room(struct io *io);
void listener_free(struct sonde_listener *listener);

/* Hand a stream over to the listener's owner. */
void listener_tell_accepted(struct sonde_listener *listener, struct sonde_stream *stream);

/* Something that may have held it up is over. */
void listener_go_on(struct sonde_listener *listener);

/* Somebody has been found not to be a client: tell the owner. */
void listener_tell_refused(struct sonde_listener *listener, const struct sonde_address *peer,
                           const struct sonde_why *why);

/* --- listener_layers.c ------------------------------------------------------------------------------------------ */

/* For a URL with layers: 0, or an error that is in why. */
int layered_create(struct sonde_listener *listener, const struct sonde_listen_options *options, struct sonde_why *why);
void layered_free(struct sonde_listener *listener);

/* A new stream: it is handed over once its handshakes are done, or refused. */
void layered_await(struct sonde_listener *listener, struct sonde_stream *stream);

/* As with headers below. */
bool layered_hold_up(const struct sonde_listener *listener);
bool layered_any_ready(const struct sonde_listener *listener);
void layered_hand_over_ready(struct sonde_listener *listener);
void layered_close(struct sonde_listener *listener);

/* --- listener_headers.c ----------------------------------------------------------------------------------------- */

/* For ?proxy=in; trusted as in struct sonde_listen_options. 0, -ENOMEM, or -EINVAL: too many. */
int headers_create(struct sonde_listener *listener, const struct sonde_prefix *trusted, unsigned n_trusted);
void headers_free(struct sonde_listener *listener);

/* A new stream: it is handed over once its header is there, or refused. */
void headers_await(struct sonde_listener *listener, struct sonde_stream *stream);

/* Does one that waits keep the listener from accepting more? */
bool headers_hold_up(const struct sonde_listener *listener);

/* Those whose header came while the listener was paused. */
bool headers_any_ready(const struct sonde_listener *listener);
void headers_hand_over_ready(struct sonde_listener *listener);

/* Reset all that wait. */
void headers_close(struct sonde_listener *listener);

#endif
