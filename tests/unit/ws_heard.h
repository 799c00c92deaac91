/* SPDX-License-Identifier: MIT */
/*
 * What a WebSocket decoder finds in a stream of bytes, written down in one text, so that two can be compared. For unit
 * tests and fuzz targets. Every piece is handed over in memory of exactly its size.
 */
#ifndef UNIT_WS_HEARD_H
#define UNIT_WS_HEARD_H

#include "ws/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An allocator that counts, and that fails once. */
struct ws_memory {
    size_t n_live_bytes, most_bytes;
    unsigned n_live, n_calls, fail_at; /* counted from 1; 0: never */
};

static inline void *ws_memory_alloc(size_t n_bytes, void *user)
{
    struct ws_memory *memory = user;

    if (++memory->n_calls == memory->fail_at)
        return NULL;
    memory->n_live++;
    memory->n_live_bytes += n_bytes;
    if (memory->n_live_bytes > memory->most_bytes)
        memory->most_bytes = memory->n_live_bytes;
    return malloc(n_bytes);
}

static inline void ws_memory_free(void *bytes, size_t n_bytes, void *user)
{
    struct ws_memory *memory = user;

    memory->n_live--;
    memory->n_live_bytes -= n_bytes;
    free(bytes);
}

struct ws_heard {
    char *text;
    size_t n, room;
    unsigned n_messages, n_events;
    unsigned code; /* of the violation, or of Close */
    int error;
    const char *words;
    struct ws_memory memory;
};

static inline void ws_heard_add(struct ws_heard *heard, const void *data, size_t n)
{
    if (heard->n + n + 1 > heard->room) {
        heard->room = (heard->n + n + 1) * 2;
        heard->text = realloc(heard->text, heard->room);
        if (heard->text == NULL)
            abort();
    }
    if (n > 0)
        memcpy(heard->text + heard->n, data, n);
    heard->n += n;
    heard->text[heard->n] = '\0';
}

static inline void ws_heard_event(struct ws_heard *heard, enum ws_found found, const struct ws_event *event)
{
    static const char *const names[] = {"", "message", "ping", "pong", "close", "violation"};
    char line[256];
    int n = snprintf(line, sizeof line, "%s %u%s %u %zu %s|", names[found], event->opcode, event->compressed ? "z" : "",
                     event->code, event->n_bytes, event->words);

    heard->n_events++;
    heard->n_messages += found == WS_FOUND_MESSAGE;
    if (found == WS_FOUND_VIOLATION || found == WS_FOUND_CLOSE) {
        heard->code = event->code;
        heard->error = event->error;
        heard->words = event->words;
    }
    ws_heard_add(heard, line, (size_t)n);
    if (found != WS_FOUND_VIOLATION)
        ws_heard_add(heard, event->data, event->n_bytes);
    ws_heard_add(heard, "\n", 1);
}

/* One piece. */
static inline void ws_heard_feed(struct ws_heard *heard, struct ws_decoder *decoder, const uint8_t *bytes, size_t n)
{
    uint8_t *piece = malloc(n > 0 ? n : 1);
    size_t at = 0, n_taken;
    struct ws_event event;
    enum ws_found found;

    if (piece == NULL)
        abort();
    if (n > 0)
        memcpy(piece, bytes, n);
    while ((found = ws_decode(decoder, piece + at, n - at, &n_taken, &event)) != WS_FOUND_NOTHING) {
        at += n_taken;
        if (at > n)
            abort();
        ws_heard_event(heard, found, &event);
    }
    if (at + n_taken != n)
        abort();
    free(piece);
}

struct ws_hear {
    bool is_server;
    uint64_t limit_bytes; /* 0: 1 MiB */
    const struct ws_deflate_terms *deflate;
    unsigned fail_at;
};

/* The stream in a first piece, and then in pieces of so many bytes (0: all at once). To be freed with ws_heard_free. */
static inline struct ws_heard *ws_hear(const struct ws_hear *how, const void *data, size_t n_bytes, size_t first,
                                       size_t piece)
{
    struct ws_heard *heard = calloc(1, sizeof *heard);
    const uint8_t *bytes = data;
    struct ws_decoder decoder;

    if (heard == NULL)
        abort();
    heard->words = "";
    heard->memory.fail_at = how->fail_at;
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &heard->memory};
    ws_decoder_init(&decoder, &(struct ws_decoder_options){
                                  .allocator = &allocator,
                                  .is_server = how->is_server,
                                  .limit_bytes = how->limit_bytes != 0 ? how->limit_bytes : 1024 * 1024,
                                  .deflate = how->deflate,
                              });
    ws_heard_add(heard, "", 0);
    for (size_t at = 0, n = first; at < n_bytes; at += n, n = piece) {
        if (n == 0 || n > n_bytes - at)
            n = n_bytes - at;
        ws_heard_feed(heard, &decoder, bytes + at, n);
    }
    ws_decoder_free(&decoder);
    if (heard->memory.n_live != 0 || heard->memory.n_live_bytes != 0)
        abort();
    return heard;
}

static inline void ws_heard_free(struct ws_heard *heard)
{
    free(heard->text);
    free(heard);
}

/* A stream that is being written. */
struct ws_said {
    uint8_t bytes[256 * 1024];
    size_t n;
};

/* A frame; masked with this mask, or not (NULL). */
static inline void ws_say(struct ws_said *said, unsigned first, const void *data, size_t n_bytes, const uint32_t *mask)
{
    if (said->n + WS_HEAD_MAX + n_bytes > sizeof said->bytes)
        abort();
    said->n += ws_head(said->bytes + said->n, first, n_bytes, mask);
    if (n_bytes > 0)
        memcpy(said->bytes + said->n, data, n_bytes);
    if (mask != NULL)
        ws_mask(said->bytes + said->n, n_bytes, *mask);
    said->n += n_bytes;
}

#endif
