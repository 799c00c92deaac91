/* SPDX-License-Identifier: MIT */
/*
 * Streams of messages: UDP, UNIX datagrams and UNIX packets, for the files that deal with any stream and listener. How
 * it works stands at the top of packet.c.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include "net/net_internal.h"

struct leg;
struct addresses;

/* --- of a stream ------------------------------------------------------------------------------------------------ */

/* A stream that is to have a socket of its own: one that connects, or one that a seqpacket: listener has accepted. Call
 * packet_stand when its descriptor is there. 0 or -ENOMEM. */
int packet_create(struct sonde_stream *stream, const struct sonde_url *url);
int packet_stand(struct sonde_stream *stream);

/* The functions of stream.h, for streams whose `packets` is not NULL. */
int packet_send(struct sonde_stream *stream, const void *data, size_t n_bytes);

/* Send what is queued, as far as there is room. */
void packet_pump(struct sonde_stream *stream);

/* Send what is being gathered: something is about to happen behind which it would not go. */
void packet_settle(struct sonde_stream *stream);

/* Receive, or not, as the stream's state says. */
void packet_read_on(struct sonde_stream *stream);

/* Deliver what was kept, then its end, if that waits. Calls back. */
void packet_deliver(struct sonde_stream *stream);

/* Is there something to be delivered? */
bool packet_keeps(const struct sonde_stream *stream);

/* Its owner is told no more of its peer, who may come anew. */
void packet_forget_peer(struct sonde_stream *stream);

/* It is being closed. */
void packet_leave(struct sonde_stream *stream);

/* Its memory goes. */
void packet_free(struct sonde_stream *stream);

bool packet_has_end(const struct sonde_stream *stream);
void packet_count(const struct sonde_stream *stream, uint64_t *ret_received, uint64_t *ret_sent);

/* The address of ours that a server's peer speaks to; false: ask the socket. */
bool packet_local(const struct sonde_stream *stream, struct sonde_address *ret_address);

/* --- of a socket that is being made ----------------------------------------------------------------------------- */

/* Before bind: what this kind of socket needs besides the URL's options. stream_id as in calls.h; call is what failed.
 * Does nothing for streams of bytes. */
int packet_prepare(struct sonde_loop *loop, uint64_t stream_id, int fd, const struct sonde_url *url,
                   const struct sonde_address *address);

/* A name of its own for a client, so that it can be answered. */
int packet_autobind(struct sonde_loop *loop, uint64_t stream_id, int fd);

/* Where a URL with ?join= is bound, and which group is joined. */
int packet_find_group(const struct sonde_url *url, int family, struct addresses *ret_addresses,
                      struct sonde_address *ret_group, struct sonde_why *why);
int packet_join(struct sonde_loop *loop, int fd, const struct sonde_address *group, struct sonde_why *why);

/* Nobody can be connected to there, but many can be sent to. */
bool packet_is_group(const struct sonde_url *url, const struct sonde_address *address);

/* Any address, or a group: not one of this machine's. */
bool packet_is_many(const struct sonde_address *address);

/* --- of a listener's leg ---------------------------------------------------------------------------------------- */

struct sonde_listen_options;

/* Its socket is bound. The descriptor is the server's from then on. */
int packet_serve(struct leg *leg, int64_t peer_idle_ns, unsigned n_peers_max);

/* Undo packet_serve for a leg that has not been used, if it was done. The descriptor is the leg's again. */
void packet_unserve(struct leg *leg);

/* Accept peers, or not any more for now: as the listener's state says. */
void packet_leg_changed(struct leg *leg);

/* The listener is closing: the socket stays for its streams. */
void packet_leg_close(struct leg *leg);

/* Called by packet_peers.c: may this leg accept one now? In listener.c. */
bool listener_accepts(const struct sonde_listener *listener);

#endif
