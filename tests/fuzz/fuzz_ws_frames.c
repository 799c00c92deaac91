/* SPDX-License-Identifier: MIT */
/*
 * Any bytes to the decoder of WebSocket: as one piece, byte by byte, and cut as the input says. It comes to the same,
 * and what is handed out keeps to the limit; text is UTF-8. Then some bytes as a message: what is written is read
 * again.
 *
 * Input: a byte of switches (1: server, 2: compression was agreed on, 4: without takeover), one for the limit, one for
 * the cuts, the stream.
 */
#include "../unit/ws_heard.h"

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { SERVER = 1, DEFLATE = 2, NO_TAKEOVER = 4, BEYOND = 64 * 1024 };

static void check_same(const struct ws_heard *one, const struct ws_heard *other)
{
    must(one->n == other->n && memcmp(one->text, other->text, one->n) == 0);
}

static void check_messages(const struct ws_hear *how, const uint8_t *data, size_t n_bytes)
{
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    uint8_t *bytes = malloc(n_bytes + 1);
    struct ws_decoder decoder;
    struct ws_event event;
    enum ws_found found;
    size_t at = 0, n_taken;

    must(bytes != NULL);
    memcpy(bytes, data, n_bytes);
    ws_decoder_init(&decoder, &(struct ws_decoder_options){.allocator = &allocator,
                                                           .is_server = how->is_server,
                                                           .limit_bytes = how->limit_bytes,
                                                           .deflate = how->deflate});
    do {
        found = ws_decode(&decoder, bytes + at, n_bytes - at, &n_taken, &event);
        at += n_taken;
        must(at <= n_bytes);
        if (found == WS_FOUND_MESSAGE)
            must(event.n_bytes <= how->limit_bytes);
        if (found == WS_FOUND_MESSAGE && event.opcode == WS_TEXT)
            must(ws_utf8_valid(event.data, event.n_bytes));
        if (found == WS_FOUND_PING || found == WS_FOUND_PONG)
            must(event.n_bytes <= WS_CONTROL_MAX);
        if (found == WS_FOUND_CLOSE)
            must(event.n_bytes <= WS_REASON_MAX && (event.code == 1005 || ws_close_code_valid(event.code)));
        if (found == WS_FOUND_VIOLATION)
            must(event.error < 0 && event.words[0] != '\0' && ws_close_code_valid(event.code));
    } while (found != WS_FOUND_NOTHING);
    must(at == n_bytes);
    must(memory.most_bytes <= 2 * how->limit_bytes + 2 * n_bytes + BEYOND);
    ws_decoder_free(&decoder);
    must(memory.n_live == 0);
    free(bytes);
}

/* A message there and back. */
static void check_round(const struct ws_hear *how, const uint8_t *data, size_t n_bytes)
{
    static struct ws_said said;
    uint32_t mask = 0;

    if (n_bytes > how->limit_bytes)
        return;
    memcpy(&mask, data, n_bytes < 4 ? n_bytes : 4);
    said.n = 0;
    ws_say(&said, WS_FIN | WS_BINARY, data, n_bytes, how->is_server ? &mask : NULL);
    struct ws_heard *heard = ws_hear(how, said.bytes, said.n, 0, 0);
    must(heard->n_messages == 1 && heard->n_events == 1);
    must(n_bytes == 0 || memcmp(strchr(heard->text, '|') + 1, data, n_bytes) == 0);
    ws_heard_free(heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 3 || n_bytes > 65536)
        return 0;
    const struct ws_deflate_terms terms = {.server_no_context_takeover = data[0] & NO_TAKEOVER,
                                           .client_no_context_takeover = data[0] & NO_TAKEOVER,
                                           .server_max_window_bits = 15,
                                           .client_max_window_bits = 15};
    const struct ws_hear how = {.is_server = data[0] & SERVER,
                                .limit_bytes = 16 + (uint64_t)data[1] * 64,
                                .deflate = data[0] & DEFLATE ? &terms : NULL};
    size_t cut = 1 + data[2];

    data += 3;
    n_bytes -= 3;
    struct ws_heard *whole = ws_hear(&how, data, n_bytes, 0, 0), *bytes = ws_hear(&how, data, n_bytes, 1, 1),
                    *pieces = ws_hear(&how, data, n_bytes, cut, cut);
    check_same(whole, bytes);
    check_same(whole, pieces);
    ws_heard_free(whole);
    ws_heard_free(bytes);
    ws_heard_free(pieces);
    check_messages(&how, data, n_bytes);
    check_round(&how, data, n_bytes);
    return 0;
}
