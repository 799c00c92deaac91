/* SPDX-License-Identifier: MIT */
/* What talk.c, talk_judge.c and talk_messages.c do for each other. */
#ifndef CLI_CONNECT_TALK_INTERNAL_H
#define CLI_CONNECT_TALK_INTERNAL_H

#include "cli/connect/talk.h"

/* --- talk.c --- */

/* The stream is to close now, for this reason. */
void talk_leave(struct talk *talk, enum end_reason reason, int error);

/* Nothing more will be sent; the stream closes when the peer has ended, or at the deadline. */
void talk_finish(struct talk *talk, int64_t deadline_ns);

/* Let each side go on or wait, as things stand. */
void talk_regulate(struct talk *talk);

void talk_moved(struct talk *talk);

/* --- talk_judge.c --- */

void talk_judge_init(struct talk *talk);

/* The connection stands: nothing has come yet. */
void talk_start_judging(struct talk *talk);

/* Is what has come what it should be? It may be the last that is wanted. */
void talk_judge(struct talk *talk, const void *data, size_t n_bytes);

/* No more will come: is that a line's end that was waited for? */
bool talk_look_at_end(struct talk *talk);

/* The peer has ended, and what it still owes will never come back. */
bool talk_is_cut_short(const struct talk *talk);

/* --- talk_messages.c --- */

static inline enum transport talk_transport(const struct talk *talk)
{
    return talk->rules->messages != NULL ? talk->rules->messages->settings.transport : TRANSPORT_BYTES;
}

static inline bool talk_has_no_half_close(const struct talk *talk)
{
    return talk_transport(talk) == TRANSPORT_WEBSOCKET || talk_transport(talk) == TRANSPORT_DATAGRAMS;
}

void talk_messages_init(struct talk *talk);

/* The connection stands. False: it is left again. */
bool talk_messages_begin(struct talk *talk);

void talk_message_came(struct talk *talk, const struct sonde_lent *message);
void talk_message_went(struct talk *talk, const void *data, size_t n_bytes, unsigned flags);
void talk_notice_came(struct sonde_stream *stream, const struct sonde_notice *notice);

/* --verify-echo: may another message be sent now? If not, the talk is regulated again in time. */
bool talk_echo_has_room(struct talk *talk);

/* Standard input has ended, where there is no half-close. */
void talk_end_messages(struct talk *talk);

/* The queue has run empty. */
void talk_all_sent(struct talk *talk);

/* The peer's Close has come, and what it sent before. */
void talk_websocket_ended(struct talk *talk);

/* The talk is left: a WebSocket says so, and closes by itself. False: there is none, or it knows. */
bool talk_says_goodbye(struct talk *talk);

#endif
