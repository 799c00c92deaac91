/* SPDX-License-Identifier: MIT */
/*
 * How many connections each peer has, counted by what one peer cannot easily be several of: an IPv4 address, the first
 * 64 bits of an IPv6 address (what one customer gets at least, RFC 6177), a UNIX user.
 *
 * Any thread may call all of it but peers_free.
 */
#ifndef CLI_PEERS_H
#define CLI_PEERS_H

#include <sonde/address.h>
#include <stddef.h>

struct peers;

/* Let each peer have at most so many. 0 or -ENOMEM. */
int peers_new(long long n_max, struct peers **ret_peers);
void peers_free(struct peers *peers); /* NULL is fine */

/* One more of this peer: 0, -EUSERS when it has as many as it may, or -ENOMEM. */
int peers_enter(struct peers *peers, const struct sonde_address *address);

/* One that had entered has left. */
void peers_leave(struct peers *peers, const struct sonde_address *address);

/* How many peers have any. */
size_t peers_count(struct peers *peers);

#endif
