/* SPDX-License-Identifier: MIT */
/*
 * A packet socket's receive ring (TPACKET_V3). The kernel fills one block after the other and hands a block over when
 * it is full, or some milliseconds after its first packet; we go through it and give it back. A quiet interface so uses
 * a block for each packet: many small blocks outlast a reader's pause for longer than few large ones. But a packet has
 * to fit into a block, and on the loopback interface it is as long as 64 KiB and headers.
 */
#include "observe/capture/live_internal.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BLOCK_BYTES_LEAST ((uint32_t)128 << 10)
#define BLOCK_BYTES_MOST ((uint32_t)1 << 20)
#define BLOCKS_LEAST 4u
#define HEADROOM_BYTES 512u /* of a block and a packet, before its bytes */
#define FRAME_BYTES 2048u   /* means nothing here, but the kernel checks it */
#define RETIRE_MS 8         /* two ticks at 250 Hz, one at 100 Hz */
#define RESERVE_BYTES 32u   /* before each packet, for the header or tag that we put there */

static uint32_t block_bytes_for(uint32_t snap_bytes)
{
    uint32_t bytes = BLOCK_BYTES_LEAST;
    while (bytes < BLOCK_BYTES_MOST && bytes - HEADROOM_BYTES < snap_bytes)
        bytes *= 2;
    return bytes;
}

static int ask_for_ring(const struct ring *ring, int fd)
{
    struct tpacket_req3 request = {
        .tp_block_size = ring->block_bytes,
        .tp_block_nr = ring->n_blocks,
        .tp_frame_size = FRAME_BYTES,
        .tp_frame_nr = ring->block_bytes / FRAME_BYTES * ring->n_blocks,
        .tp_retire_blk_tov = RETIRE_MS,
    };
    return setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0 ? -errno : 0;
}

static int try_ring(struct ring *ring, int fd)
{
    int error = ask_for_ring(ring, fd);
    if (error < 0)
        return error;
    ring->n_bytes = (size_t)ring->block_bytes * ring->n_blocks;
    void *memory = mmap(NULL, ring->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        struct tpacket_req3 none = {0};
        error = -errno;
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &none, sizeof none);
        return error;
    }
    ring->memory = memory;
    return 0;
}

int ring_open(struct ring *ring, int fd, uint32_t buffer_bytes, uint32_t snap_bytes)
{
    const int version = TPACKET_V3;
    const unsigned reserve = RESERVE_BYTES;
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) < 0)
        return -errno;
    *ring = (struct ring){.block_bytes = block_bytes_for(snap_bytes)};
    ring->n_blocks = buffer_bytes / ring->block_bytes;
    if (ring->n_blocks < BLOCKS_LEAST)
        ring->n_blocks = BLOCKS_LEAST;
    int error = try_ring(ring, fd);
    while (error == -ENOMEM && ring->n_blocks > BLOCKS_LEAST) {
        ring->n_blocks /= 2;
        error = try_ring(ring, fd);
    }
    return error;
}

static struct tpacket_hdr_v1 *block_header(const struct ring *ring)
{
    struct tpacket_block_desc *block = (void *)(ring->memory + (size_t)ring->block * ring->block_bytes);
    return &block->hdr.bh1;
}

/* 1: the next block is ours. */
static int take_block(struct ring *ring)
{
    struct tpacket_hdr_v1 *header = block_header(ring);
    if (!(__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return 0;
    ring->in_hand = true;
    ring->n_left = header->num_pkts;
    ring->at = (uint8_t *)header - offsetof(struct tpacket_block_desc, hdr) + header->offset_to_first_pkt;
    return 1;
}

static void give_back(struct ring *ring)
{
    __atomic_store_n(&block_header(ring)->block_status, (uint32_t)TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->in_hand = false;
    if (++ring->block == ring->n_blocks)
        ring->block = 0;
}

void *ring_next(struct ring *ring)
{
    /* The last packet of a block was lent until now. */
    while (!ring->in_hand || ring->n_left == 0) {
        if (ring->in_hand)
            give_back(ring);
        if (!take_block(ring))
            return NULL;
    }
    struct tpacket3_hdr *header = (void *)ring->at;
    ring->n_left--;
    ring->at += header->tp_next_offset;
    return header;
}

void ring_close(struct ring *ring)
{
    if (ring->memory)
        munmap(ring->memory, ring->n_bytes);
    ring->memory = NULL;
}
