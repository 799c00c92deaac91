/* SPDX-License-Identifier: MIT */
/* What services share. */
#ifndef SERVICE_SERVICE_INTERNAL_H
#define SERVICE_SERVICE_INTERNAL_H

#include "service/service.h"

#include <time.h>

extern const struct service service_echo, service_discard, service_chargen, service_daytime, service_time,
    service_greet, service_hold, service_exec, service_talk;

/* How long a service that has said all waits for the peer's end. */
#define SERVICE_FINISH_NS (5 * INT64_C(1000000000))

/* All is said: close politely, so that what the peer still sends does not turn the close into a reset that could
 * destroy what it was sent (RFC 2525, 2.17). */
void service_finish(struct service_run *run, struct sonde_stream *stream);

/* The seconds since 1970, to the moment: time(2) is behind by up to a tick, and says the last second's for so long. */
time_t service_now(void);

/* A write or forward has failed. When the peer (or a shutdown) is the reason, nothing is done, and true returned: what
 * the peer still sends is to be read, and the stream tells its end by itself. When memory is the reason, the connection
 * is reset; but a datagram may be lost. */
bool service_cannot_send(struct service_run *run, struct sonde_stream *stream, int error);

/* Send this in one message, where there are messages; flags: SONDE_TEXT, if it may be text. What can't be sent is told.
 * False: the connection has been given up. */
bool service_send(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes,
                  unsigned flags);

/* May a datagram of so many bytes be answered with so many? Not when the sender's address may be forged and the answer
 * would hit whoever has it harder than the question did (RFC 4732, 2.2.2). No: that has been told. */
bool service_may_answer(struct service_run *run, struct sonde_stream *stream, size_t n_asked_bytes,
                        size_t n_answer_bytes);

/* Has it come from this machine? */
bool service_is_near(const struct sonde_stream *stream);

/* An HTTP request is answered with text, and not with just any bytes. */
void service_says_text(struct sonde_stream *stream);

/* Messages that are sent back, gathered so that many small ones cost one write (echo_messages.c). start makes room for
 * them in the run's state; false: the connection has been given up. */
int echo_messages_start(struct service_run *run);
void echo_messages_release(struct service_run *run);
bool echo_messages_add(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes);
bool echo_messages_send(struct service_run *run, struct sonde_stream *stream);

/* end() of the services that owe their peer nothing. What is spoken on top of the stream may have its own end to tell:
 * then it is finished. */
void service_close_at_end(struct service_run *run, struct sonde_stream *stream, void *own);

#endif
