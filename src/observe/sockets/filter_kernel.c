/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * inet_diag runs a small program for each socket. An operation goes on behind itself ("yes") or jumps forward ("no").
 * Who arrives exactly at the end is let through; who jumps four bytes past it is left out. The kernel checks that every
 * "yes" leads to the next operation and every "no" to the start of one, or to one of the two ends.
 *
 * Operations know ports, addresses and the interface. All other conditions are taken as "may be", whether there is a
 * "not" before them or not; so "not" is carried down to the conditions first, and the program lets through a little too
 * much, never too little. States have no operation: they are a mask of their own, found in the same manner.
 *
 * Jumps are not known when their operation is written. All open ones of a part are chained through their "no".
 */
#include "observe/sockets/filter_internal.h"
#include "observe/sockets/sockets_internal.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <string.h>
#include <sys/socket.h>

#define NO_JUMP UINT16_MAX
#define PROGRAM_MAX 32768

struct program {
    const struct sockets_filter *filter;
    unsigned char *bytes;
    size_t n_bytes, size_bytes;
    bool too_long;
};

/* ---- states */

static uint32_t states_of(const struct sockets_filter *filter, unsigned index, bool negated)
{
    const struct filter_node *node = &filter->node[index];

    if (node->kind == FILTER_STATE)
        return negated ? FILTER_ALL_STATES & ~node->states : node->states;
    if (node->kind == FILTER_NOT)
        return states_of(filter, node->left, !negated);
    if (node->kind != FILTER_AND && node->kind != FILTER_OR)
        return FILTER_ALL_STATES;
    uint32_t left = states_of(filter, node->left, negated), right = states_of(filter, node->right, negated);
    return (node->kind == FILTER_AND) != negated ? left & right : left | right;
}

uint32_t filter_kernel_states(const struct sockets_filter *filter)
{
    uint32_t states = filter->root < 0 ? FILTER_ALL_STATES : states_of(filter, (unsigned)filter->root, false);
    uint32_t kernels = 0;

    if (states == FILTER_ALL_STATES)
        return KERNEL_ALL_STATES;
    for (unsigned number = 0; number <= KERNEL_BOUND_INACTIVE; number++) {
        if (states >> sockets_state_of_kernel(number) & 1)
            kernels |= UINT32_C(1) << number;
    }
    return kernels;
}

/* ---- program */

/* Has the kernel an operation for it? A zone is known to the kernel only as the interface: good enough for "may be". */
static bool kernel_knows(const struct filter_node *node, bool negated)
{
    switch (node->kind) {
    case FILTER_PORT:
    case FILTER_DEVICE:
        return true;
    case FILTER_HOST:
        return node->number == 0 || !negated;
    default:
        return false;
    }
}

/* Is there something that the kernel can leave out because of this part? */
static bool decides(const struct sockets_filter *filter, unsigned index, bool negated)
{
    const struct filter_node *node = &filter->node[index];

    if (node->kind == FILTER_NOT)
        return decides(filter, node->left, !negated);
    if (node->kind != FILTER_AND && node->kind != FILTER_OR)
        return kernel_knows(node, negated);
    bool left = decides(filter, node->left, negated), right = decides(filter, node->right, negated);
    return (node->kind == FILTER_AND) != negated ? left || right : left && right;
}

static struct inet_diag_bc_op get_op(const struct program *program, size_t at)
{
    struct inet_diag_bc_op op;

    memcpy(&op, program->bytes + at, sizeof op);
    return op;
}

static void set_no(struct program *program, size_t at, uint16_t no)
{
    struct inet_diag_bc_op op = get_op(program, at);

    op.no = no;
    memcpy(program->bytes + at, &op, sizeof op);
}

/* An operation with what belongs to it, whose "no" is open. Returns the chain of that one. */
static uint16_t put(struct program *program, unsigned code, const void *argument, size_t n_argument)
{
    struct inet_diag_bc_op op = {.code = (unsigned char)code, .no = NO_JUMP};
    size_t at = program->n_bytes, n_bytes = sizeof op + n_argument;

    op.yes = (unsigned char)n_bytes;
    if (n_bytes > program->size_bytes - at || at + n_bytes > PROGRAM_MAX) {
        program->too_long = true;
        return NO_JUMP;
    }
    memcpy(program->bytes + at, &op, sizeof op);
    if (n_argument > 0)
        memcpy(program->bytes + at + sizeof op, argument, n_argument);
    program->n_bytes += n_bytes;
    return (uint16_t)at;
}

/* All of the chain jump to this place. */
static void lead(struct program *program, uint16_t chain, size_t to)
{
    while (chain != NO_JUMP) {
        uint16_t next = get_op(program, chain).no;
        set_no(program, chain, (uint16_t)(to - chain));
        chain = next;
    }
}

static uint16_t chain_both(struct program *program, uint16_t one, uint16_t other)
{
    uint16_t last = one;

    if (one == NO_JUMP)
        return other;
    for (uint16_t next = last; next != NO_JUMP; next = get_op(program, last).no)
        last = next;
    set_no(program, last, other);
    return one;
}

/* What went on behind this now jumps, and the other way round. */
static uint16_t put_opposite(struct program *program, uint16_t chain)
{
    uint16_t jump = put(program, INET_DIAG_BC_JMP, NULL, 0);

    lead(program, chain, program->n_bytes);
    return jump;
}

static uint16_t put_host(struct program *program, const struct filter_node *node)
{
    struct inet_diag_hostcond head = {.family = node->family, .port = node->has_port ? node->port : -1};
    size_t n_ip = node->family == AF_INET6 ? 16 : node->family == AF_INET ? 4 : 0;
    unsigned char condition[sizeof head + sizeof node->ip];

    if (node->family != 0)
        head.prefix_len = node->prefix_bits;
    memcpy(condition, &head, sizeof head);
    memcpy(condition + sizeof head, node->ip, n_ip);
    return put(program, node->is_peer ? INET_DIAG_BC_D_COND : INET_DIAG_BC_S_COND, condition, sizeof head + n_ip);
}

static uint16_t put_port(struct program *program, const struct filter_node *node, bool *negated)
{
    struct inet_diag_bc_op argument = {.no = node->port};
    struct filter_node host = {.is_peer = node->is_peer, .has_port = true, .port = node->port};

    switch ((enum filter_compare)node->compare) {
    case COMPARE_NE:
        *negated = !*negated;
        break;
    case COMPARE_EQ:
        break;
    case COMPARE_LT:
        *negated = !*negated;
        return put(program, node->is_peer ? INET_DIAG_BC_D_GE : INET_DIAG_BC_S_GE, &argument, sizeof argument);
    case COMPARE_GE:
        return put(program, node->is_peer ? INET_DIAG_BC_D_GE : INET_DIAG_BC_S_GE, &argument, sizeof argument);
    case COMPARE_GT:
        *negated = !*negated;
        return put(program, node->is_peer ? INET_DIAG_BC_D_LE : INET_DIAG_BC_S_LE, &argument, sizeof argument);
    case COMPARE_LE:
        return put(program, node->is_peer ? INET_DIAG_BC_D_LE : INET_DIAG_BC_S_LE, &argument, sizeof argument);
    }
    return put_host(program, &host); /* every kernel has it, S_EQ only newer ones */
}

static uint16_t put_condition(struct program *program, const struct filter_node *node, bool negated)
{
    uint16_t chain;

    if (!kernel_knows(node, negated))
        return NO_JUMP;
    if (node->kind == FILTER_PORT)
        chain = put_port(program, node, &negated);
    else if (node->kind == FILTER_HOST)
        chain = put_host(program, node);
    else
        chain = put(program, INET_DIAG_BC_DEV_COND, &node->number, sizeof node->number);
    return negated ? put_opposite(program, chain) : chain;
}

/* Returns the chain of the jumps for "no"; "yes" goes on behind what is written. */
static uint16_t translate(struct program *program, unsigned index, bool negated)
{
    const struct filter_node *node = &program->filter->node[index];

    if (program->too_long || !decides(program->filter, index, negated))
        return NO_JUMP;
    if (node->kind == FILTER_NOT)
        return translate(program, node->left, !negated);
    if (node->kind != FILTER_AND && node->kind != FILTER_OR)
        return put_condition(program, node, negated);
    uint16_t left = translate(program, node->left, negated);
    if ((node->kind == FILTER_AND) != negated)
        return chain_both(program, left, translate(program, node->right, negated));
    uint16_t jump = put_opposite(program, left);
    uint16_t right = translate(program, node->right, negated);
    lead(program, jump, program->n_bytes);
    return right;
}

int filter_bytecode(const struct sockets_filter *filter, void *ret_program, size_t size_bytes)
{
    struct program program = {.filter = filter, .bytes = ret_program, .size_bytes = size_bytes};

    if (filter->root < 0)
        return 0;
    uint16_t chain = translate(&program, (unsigned)filter->root, false);
    if (program.too_long)
        return -ENOSPC;
    lead(&program, chain, program.n_bytes + sizeof(struct inet_diag_bc_op));
    return (int)program.n_bytes;
}
