/* SPDX-License-Identifier: MIT */
/* Time: the seconds since 1900-01-01 00:00 UTC in 32 bits, big-endian, then close; the same for each datagram. The
 * count wraps in 2036. */
#include "service/service_internal.h"

#include <time.h>

#define SECONDS_1900_TO_1970 UINT32_C(2208988800)

static bool say(struct service_run *run, struct sonde_stream *stream)
{
    uint32_t seconds = (uint32_t)service_now() + SECONDS_1900_TO_1970;
    const unsigned char bytes[4] = {(unsigned char)(seconds >> 24), (unsigned char)(seconds >> 16),
                                    (unsigned char)(seconds >> 8), (unsigned char)seconds};

    return service_send(run, stream, bytes, sizeof(bytes), 0);
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    if (sonde_stream_has_end(stream) && say(run, stream))
        service_finish(run, stream);
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    (void)own, (void)bytes;
    if (!sonde_stream_has_end(stream))
        say(run, stream);
}

const struct service service_time = {
    .name = "time",
    .help = "say the seconds since 1900 as four bytes, and close",
    .rfc = "RFC 868",
    .flags = SERVICE_MANY_THREADS | SERVICE_ANSWERS | SERVICE_SPEAKS_FIRST,
    .opened = opened,
    .data = data,
};
