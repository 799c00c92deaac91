/* SPDX-License-Identifier: MIT */
/*
 * A filter for a packet socket. Pure.
 *
 * A packet on the loopback interface passes a packet socket twice, when it is sent and when it is received; the copy
 * that is received is dropped here. The one that is sent is the earlier: it is stamped in the sender's own system call,
 * so that the order of the ring is the order of sending on every processor, and it is there even when the receiving
 * queue has no room for the packet.
 *
 * A cooked socket hands out packets from the network header on, and the header that capture files have before it (SLL2)
 * is made up afterwards. A filter that was compiled for such packets is moved: what it reads of the made-up header is
 * asked of the kernel, all else lies so many bytes earlier. Not everything can be moved: the packet's length differs.
 */
#include "observe/capture/filter_internal.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <string.h>

struct ancillary {
    uint8_t offset;
    uint16_t size; /* BPF_B, ... */
    int32_t asks;
};

/* Members of the SLL2 header (tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html) that the kernel knows. */
static const struct ancillary sll2_members[] = {
    {0, BPF_H, SKF_AD_PROTOCOL},
    {4, BPF_W, SKF_AD_IFINDEX},
    {8, BPF_H, SKF_AD_HATYPE},
    {10, BPF_B, SKF_AD_PKTTYPE},
};

static int move_load(struct sock_filter *instruction, unsigned n_header)
{
    if (instruction->k >= n_header) {
        /* The kernel's own extensions lie at the end of the range, and are not packet bytes. */
        if (instruction->k < (uint32_t)SKF_NET_OFF)
            instruction->k -= n_header;
        return 0;
    }
    for (size_t i = 0; i < sizeof sll2_members / sizeof sll2_members[0]; i++) {
        const struct ancillary *member = &sll2_members[i];
        if (member->offset == instruction->k && member->size == BPF_SIZE(instruction->code)) {
            instruction->k = (uint32_t)(SKF_AD_OFF + member->asks);
            return 0;
        }
    }
    return -ENOTSUP;
}

static int move(struct sock_filter *instruction, unsigned n_header)
{
    uint16_t class = BPF_CLASS(instruction->code), mode = BPF_MODE(instruction->code);
    if (class != BPF_LD && class != BPF_LDX)
        return 0;
    switch (mode) {
    case BPF_ABS:
        return move_load(instruction, n_header);
    case BPF_IND:
    case BPF_MSH:
        if (instruction->k < n_header)
            return -ENOTSUP;
        instruction->k -= n_header;
        return 0;
    case BPF_LEN:
        return -ENOTSUP;
    default:
        return 0;
    }
}

int socket_filter_make(const struct sock_filter *program, unsigned n_instructions, unsigned n_header,
                       uint32_t snap_bytes, struct sock_filter *ret_program)
{
    static const struct sock_filter one_of_both[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, snap_bytes);
    unsigned n_own = sizeof one_of_both / sizeof one_of_both[0];

    if (!program) {
        program = &all;
        n_instructions = 1;
    }
    if (n_own + n_instructions > SOCKET_FILTER_MAX)
        return -ENOTSUP;
    memcpy(ret_program, one_of_both, sizeof one_of_both);
    memcpy(ret_program + n_own, program, n_instructions * sizeof *program);
    for (unsigned i = 0; n_header > 0 && i < n_instructions; i++) {
        int error = move(&ret_program[n_own + i], n_header);
        if (error < 0)
            return error;
    }
    return (int)(n_own + n_instructions);
}
