/* SPDX-License-Identifier: MIT */
/*
 * --frame: messages instead of bytes. A line of standard input, or what one --send says, becomes a message and is
 * framed before it reaches the talk; what the talk receives is taken apart here, and so is what it has sent, where that
 * is shown.
 */
#ifndef CLI_CONNECT_FRAME_H
#define CLI_CONNECT_FRAME_H

#include "cli/connect/send.h"
#include "cli/connect/view.h"

#include <sonde/frame.h>

struct talk;

struct framing {
    struct sonde_frame frame;
    char name[SONDE_FRAME_TEXT];
    uint64_t max_bytes;
    bool is_transport; /* only for --send, on a transport that has messages of its own */
    struct talk *talk;
    struct sonde_frame_decoder *received, *sent; /* of this connection */
    struct sonde_frame_decoder *lines;           /* standard input */
    struct sonde_frame_fault fault;              /* of what was received */
    uint64_t n_lines, n_refused; /* of standard input; and those that could not be sent, which was said */
    unsigned char *wire;         /* framed, on its way to the talk */
    size_t n_wire, room;
};

/* What is wrong has been said, where these return false. max_bytes: 0 is the default. */
bool framing_open(struct framing *framing, const char *codec, long long max_bytes);
bool framing_wrap_send(const struct framing *framing, struct send *send);
void framing_close(struct framing *framing);

/* The send queue that a stream needs, so that one message is never too long for it. */
uint64_t framing_send_limit(const struct framing *framing);

/* A connection stands. -ENOMEM. */
int framing_begin(struct framing *framing, struct talk *talk);

/* From standard input, and its end; the messages go to the talk. */
void framing_lines(struct framing *framing, const void *data, size_t n_bytes);
void framing_lines_end(struct framing *framing);

/* The messages in it go to the talk. Errors: those of sonde_frame_decoder_feed, with where it is wrong. */
int framing_received(struct framing *framing, const void *data, size_t n_bytes, uint64_t *ret_at_byte);

/* Nothing more will come: how many bytes of a message have, that will never be whole? */
uint64_t framing_end(struct framing *framing);

/* What the talk has sent; its messages are shown. */
void framing_sent(struct framing *framing, const void *data, size_t n_bytes);

#endif
