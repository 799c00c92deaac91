/* SPDX-License-Identifier: MIT */
/*
 * Lines that begin with a slash, in a WebSocket session: what is to be done, rather than sent. Pure.
 *
 *   /ping [TEXT]              a ping, with up to 125 bytes
 *   /close [CODE [REASON]]    the Close frame; 1000 without a code
 *   /binary HEX               a binary message
 *   /help
 *   //...                     a message that begins with a slash
 */
#ifndef CLI_CONNECT_SLASH_H
#define CLI_CONNECT_SLASH_H

#include <stdbool.h>
#include <stddef.h>

#define SLASH_PING_MAX 125u
#define SLASH_REASON_MAX 123u

enum slash_kind {
    SLASH_MESSAGE, /* no command: text is to be sent */
    SLASH_PING,
    SLASH_CLOSE,
    SLASH_BINARY,
    SLASH_HELP,
    SLASH_WRONG,
};

struct slash {
    enum slash_kind kind;
    unsigned code;    /* SLASH_CLOSE */
    const char *text; /* in the line: the message, the ping's bytes, the reason, the digits */
    size_t n_text;
    const char *wrong; /* SLASH_WRONG: a sentence, marked for translation */
};

/* line stands without its newline, and may hold any bytes. */
void slash_parse(const char *line, size_t n_bytes, struct slash *ret_slash);

/* "48 65 6c": ret_bytes has room for n_text / 2. False: these are no bytes of two digits each. */
bool slash_unhex(const char *text, size_t n_text, void *ret_bytes, size_t *ret_n_bytes);

#endif
