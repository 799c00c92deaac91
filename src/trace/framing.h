/* SPDX-License-Identifier: MIT */
/*
 * --frame: messages in what a capture has of streams. Payload in order goes in, each direction of each conversation is
 * cut by a codec of its own, and messages come out, with the bytes of the stream that are none.
 */
#ifndef TRACE_FRAMING_H
#define TRACE_FRAMING_H

#include "observe/event/event.h"
#include "observe/track/track.h"

#include <sonde/frame.h>

/* Memory for messages that have not ended, of all conversations together. Past it a direction is given up, and told. */
#define FRAMING_BYTES_MAX (256u * 1024 * 1024)

/* A codec of sonde/frame.h; or "ws": WebSocket, behind its HTTP heads. */
struct framing_codec {
    bool is_websocket;
    struct sonde_frame frame;
};

/* 0 or -SONDE_EOPTION, as sonde_frame_parse. */
int framing_parse(const char *text, struct framing_codec *ret_codec, struct sonde_why *ret_why);

/* Lent for the call. */
struct framing_message {
    const struct conversation *conversation;
    int64_t t_ns;
    enum event_end from;
    uint8_t kind;     /* enum message_kind; MESSAGE_MALFORMED: from here on this direction is not cut any more */
    bool compressed;  /* WebSocket */
    bool joined;      /* it may be the rest of another one: bytes before it are missing */
    uint64_t number;  /* 0: it is none (control frames, heads, malformed) */
    uint64_t n_bytes; /* its length */
    const void *data; /* its first n_data bytes: all of them, but of WebSocket */
    size_t n_data;
    uint64_t at_byte;  /* MALFORMED: the byte of the stream, from 0 */
    const char *words; /* ... and why; static */
};

typedef void (*framing_function)(const struct framing_message *message, void *user);

struct framing;

/* NULL: no memory. */
struct framing *framing_new(const struct framing_codec *codec, framing_function function, void *user);
void framing_free(struct framing *framing);
void framing_set_user(struct framing *framing, void *user);

/* As the tracker hands it out. Returns how many of the bytes were taken: all, or what came before the place where this
 * direction was malformed (0 from then on). */
size_t framing_data(struct framing *framing, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing);

/* The conversation is over: what has not ended is told. */
void framing_over(struct framing *framing, const struct conversation *conversation);

/* What was found as an event (its conn is the owner's to say; about: the segment that the tracker has just told). */
void framing_event(const struct framing_message *message, struct event *ret_event);

#endif
