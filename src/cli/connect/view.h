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
    END_OF_DATA,        /* in order: the peer's end came, and everything was acknowledged */
    END_HERE,           /* we ended it, as asked: --once, -q, --eof close, --expect */
    END_STOPPED,        /* SIGINT */
    END_IDLE,           /* -w */
    END_LATE,           /* --within */
    END_BAD_MESSAGE,    /* --frame: what came is no message */
    END_DIFFERS,        /* --verify-echo: what came back was not what was sent */
    END_RESET,          /* by the peer */
    END_TIMEOUT,        /* the kernel's patience, or -w while connecting */
    END_OUTPUT,         /* nobody takes what is received */
    END_OTHER,          /* another error */
    END_NO_CLOSE,       /* WebSocket: our Close was not answered */
    END_NO_SUBPROTOCOL, /* WebSocket: none of --subprotocol was agreed on */
    END_KICKED,         /* reset from the page */
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
    /* Where there are messages, or layers on top. */
    bool has_messages, has_layers;
    uint64_t n_messages_in, n_messages_out, n_wire_in, n_wire_out;
    uint64_t n_cut, n_lost, n_undelivered; /* datagrams, as struct messages counts them */
    struct sonde_address undelivered_by;   /* who has said so last; family 0: not known */
    struct websocket_end {
        unsigned code_sent; /* of our Close, when it went first; 0: none */
        bool closed_here;   /* our Close went first */
        unsigned code;      /* of the peer's Close; 1005: it had none; 0: no Close came */
        char reason[124];   /* the peer's bytes */
        size_t n_reason;
    } ws;
};

/* Room for what end_format_... write. */
#define END_ADDRESS_TEXT SONDE_URL_MAX
void end_format_local(const struct connection_end *end, char *ret_text, size_t size_bytes);
void end_format_peer(const struct connection_end *end, char *ret_text, size_t size_bytes);

/* The machine that has said that a datagram did not arrive, without a port. False: it is not known. */
bool end_format_reporter(const struct connection_end *end, char *ret_text, size_t size_bytes);

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

/* A message of a transport that has messages; instead of the same two. */
struct shown_message {
    bool sent;
    const char *kind; /* "text", "binary"; NULL: there is but one */
    const void *data;
    size_t n_bytes, n_whole_bytes; /* it was cut when they differ */
    /* Received: as it goes to a pipe or a file, and whether a newline follows. NULL: it does not. */
    const void *written;
    size_t n_written;
    bool newline;
    bool is_plain; /* written is fit for a terminal */
};
void view_shown_message(struct view *view, const struct shown_message *message);

/* Is what goes to a pipe or a file of any use to it? */
bool view_takes_written(const struct view *view);

/* For --json: an event with up to two further members; what is NULL is left out. */
struct shown_notice {
    const char *event;
    const char *number_key, *text_key;
    int64_t number;
    const char *text; /* of ours */
    const void *data; /* of the peer's; NULL: none */
    size_t n_bytes;
};
void view_notice(struct view *view, const struct shown_notice *notice);

/* What --expect waits for has come: where, counted from the first byte received. */
void view_matched(struct view *view, uint64_t offset, uint64_t n_bytes);

/* -l: here we listen. */
void view_listening(struct view *view, const char *url);
void view_page(struct view *view, const char *url); /* where the page is */

/* Sent bytes are shown too, and so have to wait for a slow reader as received ones do. */
bool view_shows_sent(const struct view *view);

bool view_is_stuck(const struct view *view);

/* 0, or the negative errno that broke an output; *ret_is_file says whether it was --output. */
int view_error(const struct view *view, bool *ret_is_file);

void view_close(struct view *view);

#endif
