/* SPDX-License-Identifier: MIT */
/* What services share. */
#ifndef SERVICE_SERVICE_INTERNAL_H
#define SERVICE_SERVICE_INTERNAL_H

#include "service/service.h"

extern const struct service service_echo, service_discard, service_chargen, service_daytime, service_time,
    service_greet, service_hold, service_exec, service_talk;

/* How long a service that has said all waits for the peer's end. */
#define SERVICE_FINISH_NS (5 * INT64_C(1000000000))

/* All is said: close politely, so that what the peer still sends does not turn the close into a reset that could
 * destroy what it was sent (RFC 2525, 2.17). */
void service_finish(struct service_run *run, struct sonde_stream *stream);

/* A write or forward has failed. When the peer (or a shutdown) is the reason, nothing is done, and true returned: what
 * the peer still sends is to be read, and the stream tells its end by itself. When memory is the reason, the connection
 * is reset. */
bool service_cannot_send(struct service_run *run, struct sonde_stream *stream, int error);

/* Messages that are sent back, gathered so that many small ones cost one write (echo_messages.c). start makes room for
 * them in the run's state; false: the connection has been given up. */
int echo_messages_start(struct service_run *run);
void echo_messages_release(struct service_run *run);
bool echo_messages_add(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes);
bool echo_messages_send(struct service_run *run, struct sonde_stream *stream);

/* end() of the services that owe their peer nothing. */
void service_close_at_end(struct service_run *run, struct sonde_stream *stream, void *own);

#endif
