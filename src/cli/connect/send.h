/* SPDX-License-Identifier: MIT */
/*
 * --send, --repeat and --every: what is sent instead of standard input. A source of input: it is read as standard input
 * is, in chunks, when it is wished for.
 *
 * Without --every the pieces follow each other, and many rounds of short ones fill one chunk. With it each piece waits
 * for its own time. The times are those of a clock that began with the first piece, whatever the sending took; one that
 * could not be kept is missed and counted, so that what was late is never made up for in a burst.
 */
#ifndef CLI_CONNECT_SEND_H
#define CLI_CONNECT_SEND_H

#include "cli/connect/input.h"

#define SEND_PIECES_MAX 64
#define SEND_FOR_EVER UINT64_MAX

/* When the pieces go. Pure. Start with all zero but every_ns. */
struct send_schedule {
    int64_t every_ns; /* 0: at once */
    int64_t next_ns;  /* once begun */
    bool begun;
    uint64_t n_missed; /* times at which nothing could be sent */
};

/* May a piece go now? True: it goes, and the next one's time is set. False: not before *ret_due_ns. */
bool send_schedule_take(struct send_schedule *schedule, int64_t now_ns, int64_t *ret_due_ns);

enum send_error {
    SEND_OK,
    SEND_ESCAPE,  /* a backslash that means nothing; *ret_wrong is where */
    SEND_HEX,     /* no hexadecimal digit, or half a byte; *ret_wrong is where */
    SEND_NO_FILE, /* "@" alone */
    SEND_MEMORY,
};

/* The bytes of TEXT (\n \r \t \0 \\ \xHH undone; LF becomes CR LF when crlf) or of hex:48 65 6c; *ret_bytes is to be
 * freed. Of @FILE *ret_bytes is NULL, and *ret_file its name, within text. Pure. */
enum send_error send_parse(const char *text, bool crlf, char **ret_bytes, size_t *ret_n_bytes, const char **ret_file,
                           const char **ret_wrong);

struct send_piece {
    char *bytes; /* NULL: a file */
    size_t n_bytes;
    const char *file; /* its name; "-" is standard input */
    int fd;
    bool is_stream;      /* can be read only once, when it is ready */
    int64_t first_bytes; /* of a regular file: where it begins */
};

/* Zeroed before send_add. */
struct send {
    struct sonde_loop *loop; /* for its time */
    unsigned n_pieces;       /* 0: there is no --send */
    struct send_piece pieces[SEND_PIECES_MAX];
    uint64_t n_rounds; /* SEND_FOR_EVER */
    struct send_schedule schedule;

    unsigned piece; /* the one that is being given, and how much of it has been */
    uint64_t n_given_bytes;
    uint64_t round;
    bool in_piece, over;
    bool empty; /* the round has given nothing so far */
};

/* Add what one --send says; at most SEND_PIECES_MAX. A file is opened, and kept open. False: the user has been told
 * why. */
bool send_add(struct send *send, const char *text, bool crlf);

/* The first piece that can be read only once, a pipe or a terminal; NULL: there is none. */
const char *send_find_stream(const struct send *send);

/* The file that is being given, fit for a sentence: for errors. */
const char *send_file_name(const struct send *send);

/* Its user is the struct send. */
extern const struct input_source send_source;

/* After the loop has run out. */
void send_free(struct send *send);

#endif
