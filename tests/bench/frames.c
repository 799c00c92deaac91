/* SPDX-License-Identifier: MIT */
/*
 * The codec of lib/ws against wslay's, without sockets: a server's end that is given a buffer full of masked messages
 * and echoes them into another one.
 *
 *     frames [BYTES ...]
 *
 * For each length of message: nanoseconds a message and MB/s of each, from the median of rounds that take turns. What
 * they write is compared.
 */
#include "ws/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wslay/wslay.h>

enum { BUFFER = 256 * 1024, ROUNDS = 31, ROUND_BYTES = 16 * 1024 * 1024, LONGEST = BUFFER / 2 };

struct bench {
    uint8_t master[BUFFER], in[BUFFER], out[BUFFER];
    size_t n_in, at, n_out;
    unsigned n_messages;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void fill(struct bench *bench, size_t n_bytes)
{
    uint64_t seed = 88172645463325252u;

    bench->n_in = bench->n_messages = 0;
    while (bench->n_in + WS_HEAD_MAX + n_bytes <= BUFFER) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint32_t mask = (uint32_t)seed;
        uint8_t *to = bench->master + bench->n_in;
        size_t n_head = ws_head(to, WS_FIN | WS_BINARY, n_bytes, &mask);
        memset(to + n_head, 'a' + (int)(seed % 26), n_bytes);
        ws_mask(to + n_head, n_bytes, mask);
        bench->n_in += n_head + n_bytes;
        bench->n_messages++;
    }
}

/* --- lib/ws ----------------------------------------------------------------------------------------------------- */

static void *take(size_t n_bytes, void *user)
{
    (void)user;
    return malloc(n_bytes);
}

static void give(void *memory, size_t n_bytes, void *user)
{
    (void)n_bytes, (void)user;
    free(memory);
}

static void echo_own(struct bench *bench, struct ws_decoder *decoder)
{
    struct ws_event event;
    size_t at = 0, n_taken;

    memcpy(bench->in, bench->master, bench->n_in);
    bench->n_out = 0;
    while (ws_decode(decoder, bench->in + at, bench->n_in - at, &n_taken, &event) == WS_FOUND_MESSAGE) {
        at += n_taken;
        uint8_t *to = bench->out + bench->n_out;
        size_t n_head = ws_head(to, WS_FIN | event.opcode, event.n_bytes, NULL);
        memcpy(to + n_head, event.data, event.n_bytes);
        bench->n_out += n_head + event.n_bytes;
    }
}

/* --- wslay ------------------------------------------------------------------------------------------------------ */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
    struct bench *bench = user;
    size_t n = bench->n_in - bench->at;

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > len)
        n = len;
    memcpy(buf, bench->master + bench->at, n);
    bench->at += n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
    struct bench *bench = user;

    (void)ctx, (void)flags;
    memcpy(bench->out + bench->n_out, data, len);
    bench->n_out += len;
    return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    (void)user;
    if (!wslay_is_ctrl_frame(arg->opcode))
        wslay_event_queue_msg(ctx, &(struct wslay_event_msg){arg->opcode, arg->msg, arg->msg_length});
}

static void echo_wslay(struct bench *bench, wslay_event_context_ptr ctx)
{
    bench->at = bench->n_out = 0;
    if (wslay_event_recv(ctx) != 0 || wslay_event_send(ctx) != 0)
        exit(1);
}

/* --- both ------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static int measure(size_t n_bytes)
{
    static struct bench own, other;
    static const struct sonde_allocator allocator = {.alloc = take, .free = give};
    const struct ws_decoder_options options = {.allocator = &allocator, .is_server = true, .limit_bytes = BUFFER};
    const struct wslay_event_callbacks callbacks = {on_recv, on_send, NULL, NULL, NULL, NULL, on_message};
    struct ws_decoder decoder;
    wslay_event_context_ptr ctx;
    double took_own[ROUNDS], took_other[ROUNDS];

    fill(&own, n_bytes);
    fill(&other, n_bytes);
    ws_decoder_init(&decoder, &options);
    if (wslay_event_context_server_init(&ctx, &callbacks, &other) != 0)
        return 1;
    unsigned n_times = (unsigned)(ROUND_BYTES / own.n_in);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin_ns = now_ns();
        for (unsigned i = 0; i < n_times; i++)
            echo_own(&own, &decoder);
        int64_t middle_ns = now_ns();
        for (unsigned i = 0; i < n_times; i++)
            echo_wslay(&other, ctx);
        took_other[round] = (double)(now_ns() - middle_ns) / n_times / own.n_messages;
        took_own[round] = (double)(middle_ns - begin_ns) / n_times / own.n_messages;
    }
    ws_decoder_free(&decoder);
    wslay_event_context_free(ctx);
    if (own.n_out != other.n_out || memcmp(own.out, other.out, own.n_out) != 0) {
        fprintf(stderr, "frames: they write different things\n");
        return 1;
    }
    qsort(took_own, ROUNDS, sizeof *took_own, compare);
    qsort(took_other, ROUNDS, sizeof *took_other, compare);
    double one = took_own[ROUNDS / 2], two = took_other[ROUNDS / 2];
    printf("%7zu B: lib/ws %8.1f ns %8.0f MB/s, wslay %8.1f ns %8.0f MB/s: %.2f times\n", n_bytes, one,
           (double)n_bytes / one * 1e3, two, (double)n_bytes / two * 1e3, two / one);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t usual[] = {64, 1024, 16 * 1024};
    int status = 0;

    for (size_t i = 0; argc < 2 && i < sizeof usual / sizeof *usual; i++)
        status |= measure(usual[i]);
    for (int i = 1; i < argc; i++) {
        unsigned long n_bytes = strtoul(argv[i], NULL, 10);
        if (n_bytes > LONGEST)
            n_bytes = LONGEST;
        status |= measure(n_bytes);
    }
    return status;
}
