/* SPDX-License-Identifier: MIT */
/*
 * permessage-deflate. Any text as an offer and as an answer: what is agreed to can be said, and is understood again.
 * Any messages, compressed and decompressed: they come back. Any bytes to the decompressor: it ends, within its room.
 *
 * Input: a byte for the window, one of switches (1: takeover), one for the lengths of messages and of room; the rest.
 */
#include "../unit/ws_heard.h"

#include <errno.h>

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check_terms(const struct ws_deflate_terms *terms)
{
    must(terms->server_max_window_bits >= 8 && terms->server_max_window_bits <= 15);
    must(terms->client_max_window_bits >= 8 && terms->client_max_window_bits <= 15);
}

static void check_texts(const uint8_t *data, size_t n_bytes)
{
    char *text = malloc(n_bytes + 1), answer[WS_TERMS_TEXT];
    struct ws_deflate_terms terms, again;

    must(text != NULL);
    if (n_bytes > 0)
        memcpy(text, data, n_bytes);
    text[n_bytes] = '\0';
    int error = ws_deflate_choose(text, &terms);
    must(error == 0 || error == -ENOENT || error == -EBADMSG);
    if (error == 0) {
        check_terms(&terms);
        must(ws_deflate_answer(&terms, answer) == strlen(answer));
        must(ws_deflate_agree(answer, &again) == 0);
        must(again.server_max_window_bits == terms.server_max_window_bits &&
             again.client_max_window_bits == terms.client_max_window_bits &&
             again.server_no_context_takeover == terms.server_no_context_takeover &&
             again.client_no_context_takeover == terms.client_no_context_takeover);
    }
    error = ws_deflate_agree(text, &again);
    must(error == 0 || error == -ENOENT || error == -EBADMSG);
    if (error == 0)
        check_terms(&again);
    char accept[WS_ACCEPT_TEXT];
    must(ws_accept(text, accept) == 0 && strlen(accept) == WS_ACCEPT_TEXT - 1);
    ws_key_valid(text);
    free(text);
}

/* Decompress all of a message in so small a room. */
static size_t decompress(struct ws_decompressor *decompressor, const uint8_t *data, size_t n_bytes, size_t room,
                         uint8_t *ret_bytes, size_t most, int *ret_error)
{
    size_t n = 0;
    int error = -ENOBUFS;

    for (bool at_end = false; error == -ENOBUFS || !at_end;) {
        size_t n_taken = 0, n_written = 0, n_room = most - n < room ? most - n : room;
        if (error == 0)
            at_end = true;
        if (n_room == 0)
            break;
        error = at_end ? ws_decompress_end(decompressor, ret_bytes + n, n_room, &n_written)
                       : ws_decompress(decompressor, data, n_bytes, ret_bytes + n, n_room, &n_taken, &n_written);
        must(n_taken <= n_bytes && n_written <= n_room);
        if (n_taken > 0)
            data += n_taken;
        n_bytes -= n_taken;
        n += n_written;
        if (error < 0 && error != -ENOBUFS)
            break;
    }
    *ret_error = error;
    return n;
}

static void check_there_and_back(unsigned bits, bool takeover, size_t length, const uint8_t *data, size_t n_bytes)
{
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_compressor *compressor;
    struct ws_decompressor *decompressor;
    uint8_t *small = malloc(length + 4), *back = malloc(length + 1);

    must(small != NULL && back != NULL);
    must(ws_compressor_create(&allocator, bits, takeover, &compressor) == 0);
    must(ws_decompressor_create(&allocator, bits, takeover, &decompressor) == 0);
    for (size_t at = 0; at < n_bytes; at += length) {
        size_t n = n_bytes - at < length ? n_bytes - at : length, n_small = 0;
        if (ws_compress(compressor, data + at, n, small, n + 4, &n_small) < 0)
            continue;
        must(n_small < n);
        int error;
        must(decompress(decompressor, small, n_small, 1 + length / 3, back, length + 1, &error) == n);
        must(error == 0 && memcmp(back, data + at, n) == 0);
    }
    must(memory.most_bytes <= 80 * 1024);
    ws_compressor_free(compressor);
    ws_decompressor_free(decompressor);
    must(memory.n_live == 0);
    free(small);
    free(back);
}

static void check_any_bytes(unsigned bits, bool takeover, size_t length, const uint8_t *data, size_t n_bytes)
{
    enum { MOST = 20000 };
    static uint8_t back[MOST];
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_decompressor *decompressor;
    int error = 0;

    must(ws_decompressor_create(&allocator, bits, takeover, &decompressor) == 0);
    for (size_t at = 0; at < n_bytes && error == 0; at += length)
        decompress(decompressor, data + at, n_bytes - at < length ? n_bytes - at : length, length, back, MOST, &error);
    must(error == 0 || error == -EBADMSG || error == -ENOBUFS);
    ws_decompressor_free(decompressor);
    must(memory.n_live == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 3 || n_bytes > 65536)
        return 0;
    unsigned bits = 9 + data[0] % 7;
    bool takeover = data[1] & 1;
    size_t length = 1 + (size_t)data[2] * 8;

    data += 3;
    n_bytes -= 3;
    check_texts(data, n_bytes);
    check_there_and_back(bits, takeover, length, data, n_bytes);
    check_any_bytes(bits, takeover, length, data, n_bytes);
    return 0;
}
