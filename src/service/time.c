/* SPDX-License-Identifier: MIT */
/* Time: the seconds since 1900-01-01 00:00 UTC in 32 bits, big-endian, then close. The count wraps in 2036. */
#include "service/service_internal.h"

#include <time.h>

#define SECONDS_1900_TO_1970 UINT32_C(2208988800)

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    uint32_t seconds = (uint32_t)time(NULL) + SECONDS_1900_TO_1970;
    const unsigned char bytes[4] = {(unsigned char)(seconds >> 24), (unsigned char)(seconds >> 16),
                                    (unsigned char)(seconds >> 8), (unsigned char)seconds};

    (void)own;
    int error = sonde_stream_write(stream, bytes, sizeof(bytes));
    if (error == 0 || service_cannot_send(run, stream, error))
        service_finish(run, stream);
}

const struct service service_time = {
    .name = "time",
    .help = "say the seconds since 1900 as four bytes, and close",
    .rfc = "RFC 868",
    .flags = SERVICE_MANY_THREADS,
    .opened = opened,
};
