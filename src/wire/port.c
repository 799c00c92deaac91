/* SPDX-License-Identifier: MIT */
/*
 * A packet socket of the middle that faces one end: with a ring that the kernel fills (TPACKET_V2), since a socket's
 * own buffer is small for who is not root of the machine. Each frame is handed over at once. It is sent on from where
 * it lies, and given back afterwards.
 *
 * With each packet comes what the kernel knows of its segmentation and checksum (PACKET_VNET_HDR), and goes with it to
 * the other end: so a packet of many segments, whose checksum was left to a card, passes as it is.
 */
#include "wire/wire_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES ((size_t)4 << 20)
#define FRAMES_LEAST 64u /* large ones */
#define BLOCK_BYTES_LEAST ((uint32_t)64 << 10)
#define VLAN_BYTES 4
#define ADDRESSES_BYTES 12 /* both, before the type */
/* The frame's header, the room that we ask for before the packet (for a tag), what the kernel adds, and for Ethernet.
 */
#define OVERHEAD_BYTES ((uint32_t)(TPACKET2_HDRLEN + 16 + VNET_HEADER_BYTES + VLAN_BYTES + ETH_HLEN + 32))

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_HEADER_BYTES, "it is sent as it came");

static int set_option(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int make_ring(struct port *port, uint32_t frame_bytes_max)
{
    port->frame_bytes = TPACKET_ALIGNMENT;
    while (port->frame_bytes < frame_bytes_max + OVERHEAD_BYTES)
        port->frame_bytes *= 2;
    port->block_bytes = port->frame_bytes > BLOCK_BYTES_LEAST ? port->frame_bytes : BLOCK_BYTES_LEAST;
    port->frames_per_block = port->block_bytes / port->frame_bytes;
    uint32_t n_blocks = (uint32_t)(RING_BYTES / port->block_bytes);
    if (n_blocks * port->frames_per_block < FRAMES_LEAST)
        n_blocks = FRAMES_LEAST / port->frames_per_block;
    port->n_frames = n_blocks * port->frames_per_block;
    struct tpacket_req request = {
        .tp_block_size = port->block_bytes,
        .tp_block_nr = n_blocks,
        .tp_frame_size = port->frame_bytes,
        .tp_frame_nr = port->n_frames,
    };
    if (setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
        return -errno;
    port->n_ring = (size_t)port->block_bytes * n_blocks;
    void *ring = mmap(NULL, port->n_ring, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
    if (ring == MAP_FAILED)
        return -errno;
    port->ring = ring;
    return 0;
}

int port_make(struct port *port, uint32_t frame_bytes_max)
{
    *port = (struct port){.fd = -1};
    /* Protocol 0: nothing is received yet. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    port->fd = fd;
    int error = set_option(fd, PACKET_VERSION, TPACKET_V2);
    if (error == 0)
        error = set_option(fd, PACKET_VNET_HDR, 1);
    if (error == 0)
        error = set_option(fd, PACKET_RESERVE, VLAN_BYTES);
    if (error == 0)
        error = make_ring(port, frame_bytes_max);
    /* Kernels without these have what we sent come back, which then is to be left out, and a queue that is never full.
     */
    set_option(fd, PACKET_IGNORE_OUTGOING, 1);
    set_option(fd, PACKET_QDISC_BYPASS, 1);
    if (error < 0)
        port_close(port);
    return error;
}

int port_open(const struct port *port, int index)
{
    const struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = index,
    };
    return bind(port->fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

void port_close(struct port *port)
{
    if (port->ring)
        munmap(port->ring, port->n_ring);
    if (port->fd >= 0)
        close(port->fd);
    port->ring = NULL;
    port->fd = -1;
}

void port_clear_error(const struct port *port)
{
    int error;
    socklen_t n_bytes = sizeof error;
    getsockopt(port->fd, SOL_SOCKET, SO_ERROR, &error, &n_bytes);
}

static struct tpacket2_hdr *frame_at(const struct port *port, uint32_t number)
{
    size_t offset = (size_t)(number / port->frames_per_block) * port->block_bytes +
                    (size_t)(number % port->frames_per_block) * port->frame_bytes;
    return (void *)(port->ring + offset);
}

bool port_has(const struct port *port)
{
    const struct tpacket2_hdr *header = frame_at(port, port->next);
    return port->n_held < port->n_frames && __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

int64_t port_peek_realtime_ns(const struct port *port)
{
    const struct tpacket2_hdr *header = frame_at(port, port->next);
    return header->tp_sec * NS_PER_S + header->tp_nsec;
}

/* The kernel has taken the tag out of the frame: back with it. */
static void insert_tag(const struct tpacket2_hdr *header, struct port_frame *frame)
{
    uint16_t type = header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->tp_vlan_tpid : ETH_P_8021Q;
    uint16_t tag[2] = {htons(type), htons(header->tp_vlan_tci)};
    struct virtio_net_hdr vnet;
    memcpy(&vnet, frame->header, sizeof vnet);
    if (vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        vnet.csum_start += VLAN_BYTES;
    if (vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE)
        vnet.hdr_len += VLAN_BYTES;
    memmove(frame->data - VLAN_BYTES, frame->data, ADDRESSES_BYTES);
    frame->data -= VLAN_BYTES;
    frame->header -= VLAN_BYTES;
    memcpy(frame->header, &vnet, sizeof vnet);
    memcpy(frame->data + ADDRESSES_BYTES, tag, sizeof tag);
    frame->n_bytes += VLAN_BYTES;
}

bool port_take(struct port *port, struct port_frame *ret_frame)
{
    while (port_has(port)) {
        struct tpacket2_hdr *header = frame_at(port, port->next);
        const struct sockaddr_ll *from = (void *)((uint8_t *)header + TPACKET_ALIGN(sizeof *header));
        port->next = port->next + 1 == port->n_frames ? 0 : port->next + 1;
        port->n_held++;
        if (from->sll_pkttype == PACKET_OUTGOING)
            continue;
        port->n_seen++;
        if (header->tp_snaplen < header->tp_len || header->tp_snaplen < ETHERNET_HEADER_BYTES) {
            port->n_lost++; /* larger than the interface was made for */
            continue;
        }
        *ret_frame = (struct port_frame){
            .data = (uint8_t *)header + header->tp_mac,
            .header = (uint8_t *)header + header->tp_mac - VNET_HEADER_BYTES,
            .n_bytes = header->tp_snaplen,
            .realtime_ns = header->tp_sec * NS_PER_S + header->tp_nsec,
        };
        if (header->tp_status & TP_STATUS_VLAN_VALID)
            insert_tag(header, ret_frame);
        return true;
    }
    return false;
}

void port_give_back(struct port *port)
{
    uint32_t first = (port->next + port->n_frames - port->n_held) % port->n_frames;
    for (uint32_t i = 0; i < port->n_held; i++)
        __atomic_store_n(&frame_at(port, (first + i) % port->n_frames)->tp_status, (uint32_t)TP_STATUS_KERNEL,
                         __ATOMIC_RELEASE);
    port->n_held = 0;
}

uint64_t port_lost(struct port *port)
{
    struct tpacket_stats stats;
    socklen_t n_bytes = sizeof stats;
    if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &n_bytes) == 0)
        port->n_lost += stats.tp_drops; /* since it was read last */
    return port->n_lost;
}
