/* SPDX-License-Identifier: MIT */
/* Streams with a rate, for the files of this folder: what may be received and sent now. */
#ifndef NET_PACE_H
#define NET_PACE_H

#include "net/net_internal.h"

enum pace_way { PACE_RECEIVE, PACE_SEND, N_PACE_WAYS };

size_t pace_wait(struct sonde_stream *stream, enum pace_way way, size_t n_bytes);
void pace_count(struct sonde_stream *stream, enum pace_way way, size_t n_bytes);

/* How many of these bytes may go now, without another call of this meanwhile. 0: none yet; the stream goes on by itself
 * when some may. */
static inline size_t pace_allows(struct sonde_stream *stream, enum pace_way way, size_t n_bytes)
{
    return __builtin_expect(stream->paced, 0) ? pace_wait(stream, way, n_bytes) : n_bytes;
}

/* So many have gone. */
static inline void pace_took(struct sonde_stream *stream, enum pace_way way, size_t n_bytes)
{
    if (__builtin_expect(stream->paced, 0))
        pace_count(stream, way, n_bytes);
}

/* Nothing will be received or sent any more. */
void pace_stop(struct sonde_stream *stream);

/* After what else is in stream_extra was freed. */
void pace_free(struct sonde_stream *stream);

#endif
