/* SPDX-License-Identifier: MIT */
#ifndef OBSERVE_CAPTURE_LIVE_INTERNAL_H
#define OBSERVE_CAPTURE_LIVE_INTERNAL_H

#include "observe/capture/capture.h"

#include <net/if.h>

#define SLL2_HEADER_BYTES 20
#define VLAN_TAG_BYTES 4
#define LIVE_INTERFACES_MAX 256

/* ---- a packet socket (live_socket.c) */

/* A packet socket of the type (SOCK_RAW, SOCK_DGRAM), bound to nothing: opened here, or by the helper. helper: its
 * path, or NULL: where it is looked for. */
int live_socket_open(int type, const char *helper, int *ret_fd, struct sonde_why *ret_why);

/* The same from this helper. -EPERM or -EACCES: it may not either, or may not be executed; -ENOENT: it is not there;
 * -ETIMEDOUT: it gave no answer; -EPROTO: what it answered is not what was agreed. */
int helper_ask(const char *path, int type, int *ret_fd);

/* ---- its ring (ring.c): blocks that the kernel fills and we give back */

struct ring {
    uint8_t *memory;
    size_t n_bytes;
    uint32_t block_bytes, n_blocks;
    uint32_t block;  /* the one to be read next, or in hand */
    bool in_hand;    /* it is ours until it is given back */
    uint32_t n_left; /* packets in it that were not taken */
    uint8_t *at;     /* the first of them */
};

/* Sets up and maps the ring; of less memory when there is not so much. */
int ring_open(struct ring *ring, int fd, uint32_t buffer_bytes, uint32_t snap_bytes);
/* The next packet's header (struct tpacket3_hdr); NULL: none at the moment. Lent until the next call. */
void *ring_next(struct ring *ring);
void ring_close(struct ring *ring);

/* ---- */

struct live_interface {
    int index;
    char name[IF_NAMESIZE];
};

struct capture_live {
    int fd;
    int ifindex; /* 0: any */
    uint16_t link_type;
    struct ring ring;
    struct capture_filter *filter; /* to be applied here; NULL: the kernel does */
    struct live_interface *interfaces;
    uint32_t n_interfaces, last_interface;
    uint64_t n_packets, n_received, n_dropped;
};

/* Brings a packet of the ring into shape: its interface, link header, VLAN tag, stamp. */
void live_packet(struct capture_live *live, void *header, struct packet *ret_packet);

#endif
