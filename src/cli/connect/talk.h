/* SPDX-License-Identifier: MIT */
/*
 * One connection: standard input to the peer, the peer to the view, both ways at once.
 *
 * Neither direction waits for the other. Towards the peer, input is not read while the stream holds more than
 * TALK_QUEUE_HIGH, until it has drained. From the peer, the stream is paused while the view is stuck, and only then: an
 * echo that we do not read would stop reading us.
 *
 *   CONNECTING -> OPEN -> [ENDING] -> CLOSING -> DONE
 *
 * ENDING: nothing more will be sent; what the peer still sends is shown. CLOSING: the stream is on its way out.
 * A talk is done once the stream is closed and everything received has been written.
 */
#ifndef CLI_CONNECT_TALK_H
#define CLI_CONNECT_TALK_H

#include "cli/connect/attempts.h"
#include "cli/connect/echo_window.h"
#include "cli/connect/expect.h"
#include "cli/connect/frame.h"
#include "cli/connect/input.h"
#include "cli/connect/messages.h"
#include "cli/connect/parts.h"
#include "cli/connect/tls.h"
#include "cli/connect/verify.h"
#include "cli/connect/view.h"

#include <sonde/stream.h>

#define TALK_QUEUE_HIGH (256u * 1024u)

enum talk_state {
    TALK_NONE, /* not started, or done */
    TALK_CONNECTING,
    TALK_OPEN,
    TALK_ENDING,
    TALK_CLOSING, /* the stream was told to close */
    TALK_CLOSED,  /* it has; the view is still stuck */
};

/* How a talk ends that has no half-close: what is waited for now (talk_messages.c). */
enum talk_ending {
    ENDING_NOT,
    ENDING_SENT,  /* until everything has been sent */
    ENDING_PONG,  /* the pong to the ping that followed the last message */
    ENDING_QUIET, /* that nothing more comes */
    ENDING_CLOCK, /* the time of --eof after: */
    ENDING_CLOSE, /* the end of a WebSocket that has been closed on our side */
};

struct talk_rules {
    struct eof_rule eof;
    bool half_close;       /* -N was said, and not only meant */
    bool quit_at_peer_end; /* --peer-eof quit */
    bool once;
    int64_t idle_ns;           /* 0: for ever */
    struct expect *expect;     /* what is received is to match; NULL: it is not */
    int64_t within_ns;         /* so long after the connection stands at most; 0: until its end */
    struct verify *verify;     /* what is received is to be what was sent; NULL: it is not */
    struct framing *framing;   /* messages are received; NULL: bytes */
    struct messages *messages; /* the transport has messages of its own; NULL: it has not */
    struct echo_window *echo;  /* --verify-echo of those; NULL: not asked for */
    bool wants_subprotocol;    /* without one the WebSocket is of no use */
    bool tells_pings;          /* on standard error */
};

struct talk {
    const struct talk_rules *rules;
    struct sonde_loop *loop;
    struct input *input;
    struct view *view;
    /* It stands; and it is over, with everything shown: the talk may be started again. */
    const char *local_name, *peer_name; /* as in struct connection_end; may be set after talk_init */
    void (*opened)(struct talk *talk);
    void (*closed)(struct talk *talk); /* the stream that has been opened is about to be freed; may be NULL */
    void (*done)(struct talk *talk);
    void *user;

    enum talk_state state;
    struct sonde_stream *stream; /* valid from CONNECTING to CLOSING */
    uint64_t number;             /* connections that stood so far, with this one */
    bool input_ended, peer_ended;
    bool queue_is_full;  /* above TALK_QUEUE_HIGH since it last was drained */
    bool waits_for_acks; /* EOF_CLOSE */
    bool ends_by_clock;  /* EOF_AFTER */
    int64_t deadline_ns; /* of EOF_AFTER, once everything is sent: being cut then is as good as the peer's end */
    enum talk_ending ending;
    bool close_sent;                  /* WebSocket: our Close frame went, or was queued */
    bool may_break;                   /* WebSocket: after our Close nothing that the peer does is an error */
    enum end_reason closing_for_lack; /* ENDING_CLOSE: what it is when the end does not come in time */
    int64_t echo_ns;                  /* --verify-echo on datagrams: when an answer last came */
    struct sonde_timer idle, acks, within, quiet, ending_timer, echo_timer;
    int64_t acks_delay_ns;
    int64_t active_ns;    /* when something last moved */
    uint64_t n_sent_seen; /* what sonde_stream_sent_bytes last said to the idle timer */
    uint64_t n_refused;   /* bytes of input that came when nothing could be sent any more */
    struct connection_end end;
    struct sonde_why why;
    char fingerprint[CONNECT_FINGERPRINT_TEXT]; /* of a certificate that was refused; "" none */
    struct attempts attempts;                   /* what was tried on the way there */
};

/* Set it up, once. */
void talk_init(struct talk *talk, struct sonde_loop *loop, struct input *input, struct view *view,
               const struct talk_rules *rules);

/* Connect. Returns what sonde_connect returns; done follows only when that is 0. */
int talk_start(struct talk *talk, const struct sonde_url *url, const struct sonde_connect_options *options);

/* Talk over a connection that was accepted. opened is called before this returns. */
void talk_adopt(struct talk *talk, struct sonde_stream *stream);

/* Close at once; done follows as soon as the stream is closed, whatever the view still holds. */
void talk_stop(struct talk *talk);

/* From the input's handler. */
void talk_bytes(struct talk *talk, const void *data, size_t n_bytes);
void talk_input_end(struct talk *talk);

/* From the page: the stream is about to be reset; and it is half-closed, as if the input had ended. False: there is no
 * half-close here, or not any more. */
void talk_kicked(struct talk *talk);
bool talk_half_close(struct talk *talk);

/* From the messages: one that is to be sent. 0, or it cannot be: -EILSEQ, -EMSGSIZE. */
int talk_send_message(struct talk *talk, const void *data, size_t n_bytes, unsigned flags);

/* May another message be sent now? If not, messages_go_on is called in time. */
bool talk_wants_more(struct talk *talk);

/* From a command: a ping, and our Close. */
void talk_ping(struct talk *talk, const void *data, size_t n_bytes);
void talk_close(struct talk *talk, unsigned code, const void *reason, size_t n_bytes);

/* From the framing: a message was received. False: no more of them is wanted. */
bool talk_message(struct talk *talk, const void *data, size_t n_bytes);

/* From the view's: it goes on, or is broken. */
void talk_view_unstuck(struct talk *talk);

#endif
