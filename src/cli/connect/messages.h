/* SPDX-License-Identifier: MIT */
/*
 * Transports that carry messages: standard input is cut into them, and those that come are written so that they can be
 * told apart again, or as they are.
 *
 *                what standard input is cut into            what is written to a pipe or a file
 *   WebSocket    lines, each a message of text              text and a newline; a binary one as it is
 *     --binary   what one read brings, a binary message     any message as it is
 *     --base64   lines, each base64 of a binary message     a binary one as a line of base64
 *   datagrams,   what one read brings; typed on a terminal  as they are
 *   packets      a line with its newline
 *   --frame X    messages of X                              messages of X, whatever their kind
 *
 * What --send says is a message each. A message is sent whole or not at all: one that cannot be sent is told of and
 * counted, and the exit status is 1.
 */
#ifndef CLI_CONNECT_MESSAGES_H
#define CLI_CONNECT_MESSAGES_H

#include "cli/connect/send.h"
#include "cli/connect/transport.h"

#include <sonde/frame.h>
#include <sonde/stream.h>

struct talk;

struct message_settings {
    enum transport transport;
    const char *frame; /* --frame; NULL: as above */
    bool binary, base64, commands;
    bool on_terminal; /* lines are typed */
    bool each_line;   /* --each-line: always lines */
    uint64_t max_bytes;
};

#define MESSAGES_REFUSED_TOLD 10 /* those after them are counted */

struct messages {
    struct message_settings settings;
    struct talk *talk;
    bool is_cut;     /* by input_frame; otherwise by each read */
    bool is_wrapped; /* --send: input_frame is our own */
    bool has_frame;  /* --frame: what is written is framed */
    struct sonde_frame input_frame, frame;
    char name[SONDE_FRAME_TEXT];
    struct sonde_frame_decoder *input;
    uint64_t n_input, n_refused;           /* messages of standard input; and those that were not sent */
    uint64_t n_unwritten;                  /* received, and not to be framed, which was said */
    uint64_t n_cut, n_lost, n_undelivered; /* datagrams: received in part, dropped by the kernel, told of by ICMP */
    /* --verify-echo: of standard input, what waits until others have come back. */
    unsigned char *waiting;
    size_t begin, end;
    bool is_feeding;
    unsigned char *room; /* for a message on its way */
    size_t room_bytes;
};

/* What is wrong has been said, where these return false. */
bool messages_open(struct messages *messages, const struct message_settings *settings);
bool messages_wrap_send(struct messages *messages, struct send *send);
void messages_free(struct messages *messages);

/* The send queue that a stream needs, so that one read of standard input is never too long for it. */
uint64_t messages_send_limit(const struct messages *messages);

/* A connection stands. */
void messages_attach(struct messages *messages, struct talk *talk);

/* From standard input, and its end; what is in it goes to the talk. */
void messages_input(struct messages *messages, const void *data, size_t n_bytes);
void messages_input_end(struct messages *messages);

/* --verify-echo: what has waited may go on now, as far as there is room; and does anything wait? */
void messages_go_on(struct messages *messages);
bool messages_wait(const struct messages *messages);

/* A message as it is to be written: valid until the next call. False: it cannot be, which was said and counted. */
bool messages_write(struct messages *messages, const struct sonde_lent *message, const void **ret_data,
                    size_t *ret_n_bytes, bool *ret_newline);

/* Do lines that begin with a slash mean something? */
bool messages_take_commands(const struct messages *messages);

/* "text", "binary"; NULL: this transport has but one kind. */
const char *messages_kind(const struct messages *messages, unsigned flags);

#endif
