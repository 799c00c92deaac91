/* SPDX-License-Identifier: MIT */
/*
 * What the user sees of a connection: the received bytes as they are, escaped for a terminal, both directions in hex,
 * or everything as JSON events; and the received bytes in a file.
 */
#ifndef CLI_CONNECT_VIEW_H
#define CLI_CONNECT_VIEW_H

#include "cli/connect/edit.h"
#include "cli/connect/output.h"
#include "term/escape.h"

#include <sonde/address.h>
#include <sonde/url.h>
#include <stdint.h>

enum view_kind {
    VIEW_RAW,
    VIEW_TEXT, /* escaped, for a terminal */
    VIEW_HEX,
    VIEW_JSON,
    VIEW_NOTHING, /* but the file */
};

/* How a connection ended. */
enum end_reason {
    END_OF_DATA,     /* in order: the peer's end came, and everything was acknowledged */
    END_HERE,        /* we ended it, as asked: --once, -q, --eof close, --expect */
    END_STOPPED,     /* SIGINT */
    END_IDLE,        /* -w */
    END_LATE,        /* --within */
    END_BAD_MESSAGE, /* --frame: what came is no message */
    END_DIFFERS,     /* --verify-echo: what came back was not what was sent */
    END_RESET,       /* by the peer */
    END_TIMEOUT,     /* the kernel's patience, or -w while connecting */
    END_OUTPUT,      /* nobody takes what is received */
    END_OTHER,       /* another error */
    N_END_REASONS,
};

struct connection_end {
    enum end_reason reason;
    int error;   /* negative errno; 0: none */
    bool opened; /* false: it never stood, and the addresses are not known */
    struct sonde_address local, peer;
    const char *local_name, *peer_name; /* where the address is not known: what is known, fit for a terminal; or NULL */
    uint64_t n_received, n_sent, n_unsent;
    uint64_t at_byte, n_partial; /* --frame: where it is wrong, from 0; of a message that came in part, how much */
    int64_t duration_ns;
};

/* Room for what end_format_... write. */
#define END_ADDRESS_TEXT SONDE_URL_MAX
void end_format_local(const struct connection_end *end, char *ret_text, size_t size_bytes);
void end_format_peer(const struct connection_end *end, char *ret_text, size_t size_bytes);

/* "end of data", "reset by peer". Lines of text are for programs too, so they are never translated. Static. */
const char *end_reason_text(const struct connection_end *end);

struct view {
    enum view_kind kind;
    bool has_file;
    struct output out, file; /* standard output, --output */
    struct edit *edit;       /* lines are edited on that terminal; NULL: they are not. Set after view_open */
    int error;               /* of our own; see view_error */
    const char *url;         /* as JSON shows it */
    struct escape escape;
    uint64_t connection, n_received, n_sent; /* which one, and its offsets; with --frame they count messages */
    void (*unstuck)(void *user);
    void *user;
};

/* file_fd is taken over; -1: there is none. unstuck is called when view_is_stuck has become false, or on failure. */
int view_open(struct view *view, struct sonde_loop *loop, enum view_kind kind, int file_fd, const char *url,
              void (*unstuck)(void *user), void *user);

/* What the file held before goes, if it is one that holds anything. */
void view_empty_file(struct view *view);

/* A connection begins and ends; number counts from 1. */
void view_opened(struct view *view, uint64_t number, const struct connection_end *end);
void view_received(struct view *view, const void *data, size_t n_bytes);
void view_sent(struct view *view, const void *data, size_t n_bytes);
void view_closed(struct view *view, const struct connection_end *end);

/* --frame: a message, received or sent; instead of the two above. */
void view_message(struct view *view, bool sent, const void *data, size_t n_bytes);

/* What --expect waits for has come: where, counted from the first byte received. */
void view_matched(struct view *view, uint64_t offset, uint64_t n_bytes);

/* -l: here we listen. */
void view_listening(struct view *view, const char *url);

/* Sent bytes are shown too, and so have to wait for a slow reader as received ones do. */
bool view_shows_sent(const struct view *view);

bool view_is_stuck(const struct view *view);

/* 0, or the negative errno that broke an output; *ret_is_file says whether it was --output. */
int view_error(const struct view *view, bool *ret_is_file);

void view_close(struct view *view);

#endif
