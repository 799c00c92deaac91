/* SPDX-License-Identifier: MIT */
/*
 * What is known of a socket only once all were seen: half-open connections of a listener, local ports in use towards
 * one peer, which addresses and listening ports are this machine's. Taken anew with each look. Pure.
 */
#ifndef WATCH_CENSUS_H
#define WATCH_CENSUS_H

#include "observe/sockets/sockets.h"
#include "watch/tally.h"

enum direction {
    DIRECTION_UNKNOWN,
    DIRECTION_IN,  /* it was accepted here */
    DIRECTION_OUT, /* it connected */
};

/* Begins zeroed, but for the ports, which the caller sets. */
struct census {
    uint16_t port_low, port_high; /* ephemeral; 0: not known, nothing is counted */
    struct tally half_open;       /* SYN_RECV, by local address */
    struct tally peers;           /* ephemeral local ports, by peer */
    struct tally locals;          /* local addresses, port 0 */
    struct sonde_address last_local, most_peer;
    uint32_t n_ports_most; /* towards most_peer */
    uint64_t n_sockets, n_time_wait;
    uint8_t listening[8192]; /* local TCP ports, a bit each */
};

void census_free(struct census *census);
void census_clear(struct census *census);
void census_count(struct census *census, const struct socket_info *socket);

uint64_t census_half_open(const struct census *census, const struct sonde_address *listener);
uint64_t census_same_peer(const struct census *census, const struct sonde_address *peer);
bool census_is_local(const struct census *census, const struct sonde_address *address);
enum direction census_direction(const struct census *census, const struct socket_info *socket);

#endif
