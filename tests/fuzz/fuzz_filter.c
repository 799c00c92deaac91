/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a filter. What must hold whatever they are:
 *
 * - a refusal has words that a terminal may be shown;
 * - what is understood can be written, and what was written is understood as the same;
 * - a socket that matches may match, has a state that the kernel is asked for, and is let through by the kernel's
 *   program, which the kernel's check accepts; where the kernel can decide all of it, nothing else is let through.
 *
 * The kernel's check and its interpreter are written down here once more, from what they are known to do.
 */
#include "observe/sockets/filter_internal.h"
#include "observe/sockets/sockets_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the kernel */

/* linux/inet_diag.h */
enum { OP_NOP, OP_JMP, OP_S_GE, OP_S_LE, OP_D_GE, OP_D_LE, OP_AUTO, OP_S_COND, OP_D_COND, OP_DEV };
enum { OP_BYTES = 4, HEAD_BYTES = 8 };

struct op {
    uint8_t code, yes;
    uint16_t no;
};

struct head {
    uint8_t family, prefix_len;
    int32_t port;
};

static struct op op_at(const uint8_t *program, size_t at)
{
    struct op op;
    memcpy(&op, program + at, sizeof op);
    return op;
}

static struct head head_at(const uint8_t *program, size_t at)
{
    struct head head;
    memcpy(&head, program + at + OP_BYTES, sizeof head);
    return head;
}

static size_t least_bytes(const uint8_t *program, size_t at, size_t n_left)
{
    struct head head;

    switch (op_at(program, at).code) {
    case OP_JMP:
        return OP_BYTES;
    case OP_S_GE:
    case OP_S_LE:
    case OP_D_GE:
    case OP_D_LE:
    case OP_DEV:
        return OP_BYTES + 4;
    case OP_S_COND:
    case OP_D_COND:
        must(n_left >= OP_BYTES + HEAD_BYTES);
        head = head_at(program, at);
        must(head.family == 0 || head.family == AF_INET || head.family == AF_INET6);
        must(head.prefix_len <= (head.family == 0 ? 0 : head.family == AF_INET ? 32 : 128));
        return OP_BYTES + HEAD_BYTES + (head.family == 0 ? 0 : head.family == AF_INET ? 4 : 16);
    default:
        abort();
    }
}

static void audit(const uint8_t *program, size_t n_bytes)
{
    static bool starts[1 << 16];

    memset(starts, 0, sizeof starts);
    for (size_t at = 0; at < n_bytes; at += op_at(program, at).yes) {
        struct op op = op_at(program, at);
        must(op.yes >= least_bytes(program, at, n_bytes - at) && op.yes <= n_bytes - at && op.yes % 4 == 0);
        must(op.no >= least_bytes(program, at, n_bytes - at) && op.no <= n_bytes - at + OP_BYTES && op.no % 4 == 0);
        starts[at] = true;
    }
    starts[n_bytes] = starts[n_bytes + OP_BYTES] = true;
    for (size_t at = 0; at < n_bytes; at += op_at(program, at).yes)
        must(starts[at + op_at(program, at).no]);
}

static bool same_bits(const uint8_t *one, const uint8_t *other, unsigned n_bits)
{
    for (unsigned i = 0; i < n_bits; i++)
        if (((one[i / 8] ^ other[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

static bool host_matches(const uint8_t *program, size_t at, const struct sonde_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct head head = head_at(program, at);
    const uint8_t *ip = program + at + OP_BYTES + HEAD_BYTES;

    if (head.port != -1 && head.port != address->port)
        return false;
    if (head.family == 0)
        return true;
    if (head.family == address->family)
        return same_bits(address->u.ip, ip, head.prefix_len);
    return head.family == AF_INET && memcmp(address->u.ip, mapped, 12) == 0 &&
           same_bits(address->u.ip + 12, ip, head.prefix_len);
}

static bool op_says(const uint8_t *program, size_t at, const struct socket_info *socket)
{
    uint16_t port = op_at(program, at + OP_BYTES).no;
    uint32_t interface;

    switch (op_at(program, at).code) {
    case OP_S_GE:
        return socket->local.port >= port;
    case OP_S_LE:
        return socket->local.port <= port;
    case OP_D_GE:
        return socket->peer.port >= port;
    case OP_D_LE:
        return socket->peer.port <= port;
    case OP_S_COND:
        return host_matches(program, at, &socket->local);
    case OP_D_COND:
        return host_matches(program, at, &socket->peer);
    case OP_DEV:
        memcpy(&interface, program + at + OP_BYTES, sizeof interface);
        return socket->interface == interface;
    default:
        return false;
    }
}

static bool run(const uint8_t *program, size_t n_bytes, const struct socket_info *socket)
{
    size_t at = 0;

    while (at < n_bytes) {
        struct op op = op_at(program, at);
        at += op.code != OP_JMP && op_says(program, at, socket) ? op.yes : op.no;
    }
    return at == n_bytes;
}

/* ---- filters */

static struct socket_info sample_of(unsigned i)
{
    static const uint8_t ips[][16] = {
        {127, 0, 0, 1},
        {0},
        {10, 1, 2, 3},
        {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    };
    static const uint16_t ports[] = {7007, 0, 80, 65535, 40488, 1};
    struct socket_info socket = {.type = SOCK_STREAM, .protocol = IPPROTO_TCP};

    socket.family = i % 6 < 3 ? AF_INET : AF_INET6;
    socket.state = (uint8_t)(TCP_STATE_CLOSED + i % (TCP_N_STATES - 1));
    socket.local.family = socket.peer.family = socket.family;
    socket.local.port = ports[i % 6];
    socket.peer.port = ports[(i / 2 + 3) % 6];
    memcpy(socket.local.u.ip, ips[i % 6], 16);
    memcpy(socket.peer.u.ip, ips[socket.family == AF_INET ? (i + 1) % 3 : 3 + (i + 1) % 3], 16);
    socket.interface = i % 3;
    socket.local.scope = socket.local.u.ip[0] == 0xfe && socket.family == AF_INET6 ? socket.interface : 0;
    socket.receive_queue = i % 2 * 5;
    socket.inode = i;
    return socket;
}

static bool kernel_decides(const struct sockets_filter *filter)
{
    for (unsigned i = 0; i < filter->n_nodes; i++) {
        const struct filter_node *node = &filter->node[i];
        if (node->kind > FILTER_DEVICE || node->kind == FILTER_STATE ||
            (node->kind == FILTER_HOST && node->number != 0))
            return false;
    }
    return true;
}

static bool state_is_asked_for(uint32_t kernel_states, unsigned state)
{
    for (unsigned number = 0; number < 32; number++)
        if (kernel_states >> number & 1 && (unsigned)sockets_state_of_kernel(number) == state)
            return true;
    return false;
}

static void check_kernel(const struct sockets_filter *filter)
{
    static _Alignas(4) uint8_t program[1 << 14];
    int n = filter_bytecode(filter, program, sizeof program);
    uint32_t states = filter_kernel_states(filter);
    bool decides = kernel_decides(filter);

    must(n >= 0 && n <= 12288 && n % 4 == 0);
    audit(program, (size_t)n);
    for (unsigned i = 0; i < 24; i++) {
        struct socket_info socket = sample_of(i);
        bool matches = filter_matches(filter, &socket, NULL), may_match = filter_may_match(filter, &socket);
        bool let_through = run(program, (size_t)n, &socket);
        must(!may_match || (let_through && state_is_asked_for(states, socket.state)));
        must(filter_needs_owner(filter) || matches == may_match);
        must(!decides || let_through == may_match);
    }
}

static void check_written(const struct sockets_filter *filter)
{
    static char text[FILTER_FORMAT_MAX], again[FILTER_FORMAT_MAX];
    char why[192], little[9];
    struct sockets_filter *same;
    size_t n = filter_format(filter, text, sizeof text);

    must(n == strlen(text) && n < sizeof text - 1);
    must(filter_format(filter, little, sizeof little) < sizeof little && memcmp(text, little, strlen(little)) == 0);
    if (n >= FILTER_TEXT_MAX)
        return;
    int error = filter_parse(text, &same, why);
    must(error == 0 || error == -E2BIG); /* it has more parentheses than were typed */
    if (error < 0)
        return;
    filter_format(same, again, sizeof again);
    must(strcmp(text, again) == 0);
    filter_free(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct sockets_filter *filter = NULL;
    char why[192];
    char *text = malloc(n_bytes + 1);

    must(text != NULL);
    if (n_bytes > 0)
        memcpy(text, data, n_bytes);
    text[n_bytes] = '\0';
    memset(why, 'u', sizeof why);
    int error = filter_parse(text, &filter, why);
    if (error < 0) {
        must((error == -EINVAL || error == -E2BIG) && filter == NULL);
        const char *end = memchr(why, '\0', sizeof why);
        must(end != NULL && end > why);
        for (const char *byte = why; byte < end; byte++)
            must(*byte >= ' ' && *byte < 0x7f);
    } else {
        check_kernel(filter);
        check_written(filter);
        filter_free(filter);
    }
    free(text);
    return 0;
}
