/* SPDX-License-Identifier: MIT */
/* What the two said, piece by piece, as --follow prints it: text, hexadecimal or JSON. */
#ifndef TRACE_FOLLOW_H
#define TRACE_FOLLOW_H

#include "trace/framing.h"
#include "trace/view.h"

#define FOLLOW_MESSAGE_MAX (64 * 1024) /* of JSON; what is longer becomes several lines */

enum follow_kind {
    FOLLOW_PUSHED, /* what one side said until it pushed: no message of anybody's */
    FOLLOW_DATAGRAM,
    FOLLOW_FRAMED,
};

struct follow_message {
    enum follow_kind kind;
    const struct framing_message *framed; /* FOLLOW_FRAMED */
    uint64_t conn;
    enum event_end from;
    struct sonde_address address[N_ENDS];
    int64_t t_ns;
    uint64_t number;    /* FOLLOW_DATAGRAM */
    uint64_t n_missing; /* bytes before it that are not in the capture */
    bool continued;
    bool one_line;    /* a datagram as framed messages are */
    uint64_t n_bytes; /* as it was sent; n_data of it are here */
    const void *data;
    size_t n_data;
};

/* line: room of JSON_ROOM(FOLLOW_MESSAGE_MAX) for JSON. */
void follow_print(const struct view_settings *settings, const struct follow_message *message, int64_t origin_ns,
                  char *line, size_t size_bytes);

#endif
