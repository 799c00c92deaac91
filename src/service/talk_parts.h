/* SPDX-License-Identifier: MIT */
/* The parts of talk that are only text and arithmetic. Pure. */
#ifndef SERVICE_TALK_PARTS_H
#define SERVICE_TALK_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- what the operator has typed ---------------------------------------------------------------------------------- */

enum talk_verb {
    TALK_SAY,    /* text, to everybody */
    TALK_SAY_TO, /* text, to `number` */
    TALK_WHO,
    TALK_KICK, /* `number` */
    TALK_HELP,
    TALK_QUIT,
    TALK_UNKNOWN,       /* text: the word */
    TALK_NEEDS_NUMBER,  /* text: the command's word */
    TALK_TAKES_NOTHING, /* text: the command's word */
};

struct talk_command {
    enum talk_verb verb;
    uint64_t number;
    const char *text; /* points into the line */
    size_t n_text_bytes;
};

/* "hello"; "@2 hello"; "/who", "/kick 2", "/help", "/quit"; "//x" says "/x", and so does " /x": of spaces before a
 * slash or before @2 the first is left out. Several lines at once (a paste) are never a command. */
void talk_parse(const char *line, size_t n_bytes, struct talk_command *ret_command);

/* "1,234". ret_text has room for TALK_NUMBER. */
#define TALK_NUMBER 32
void talk_number(uint64_t number, char *ret_text);

/* --- who does not read ----------------------------------------------------------------------------------------------
 */

#define TALK_QUEUE_BYTES (256u * 1024u)         /* what waits for one client, at most */
#define TALK_TELL_NS (5 * INT64_C(1000000000))  /* nothing of it has gone for so long: the operator is told */
#define TALK_DROP_NS (60 * INT64_C(1000000000)) /* and for so long: the client is dropped */

/* One client's reading; all zero at the beginning. */
struct talk_reader {
    uint64_t n_sent;  /* when looked at last */
    int64_t since_ns; /* when that was, or when something began to wait */
    bool waits, told;
};

enum talk_reading {
    TALK_READS,
    TALK_STALLS,      /* tell: it is not reading. Said once */
    TALK_READS_AGAIN, /* tell: it is reading again */
    TALK_GIVEN_UP,    /* drop it */
};

/* Look: n_waiting bytes wait for it, and n_sent have gone since it came. To be asked whenever something was queued or
 * has gone, and every second while anything waits. */
enum talk_reading talk_look(struct talk_reader *reader, size_t n_waiting, uint64_t n_sent, int64_t now_ns);

#endif
