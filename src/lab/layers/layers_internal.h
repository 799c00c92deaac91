/* SPDX-License-Identifier: MIT */
/* The parts of the experiment "layers". */
#ifndef LAB_LAYERS_LAYERS_INTERNAL_H
#define LAB_LAYERS_LAYERS_INTERNAL_H

#include "lab/lab.h"

#define MAC_BYTES 6
#define MAC_TEXT 18

/* An interface's hardware address, asked for on any socket of that end; 0 or a negative errno. */
int mac_of(int fd, const char *interface, uint8_t ret_mac[MAC_BYTES], uint16_t *ret_kind);
int mac_set(int fd, const char *interface, const uint8_t mac[MAC_BYTES]);
const char *mac_text(const uint8_t mac[MAC_BYTES], char ret_text[MAC_TEXT]);

/* The MAC that END_A's neighbour table (/proc/net/arp) has for this address on that interface. False: none. */
bool neighbour_of(struct lab *lab, const char *address, const char *interface, uint8_t ret_mac[MAC_BYTES]);

/* C28 and C52: a datagram that goes over a router. */
void layers_hop(struct lab *lab);
/* C63 */
void layers_mac(struct lab *lab);

#endif
