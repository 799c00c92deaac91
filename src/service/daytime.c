/* SPDX-License-Identifier: MIT */
/* Daytime: one line of ASCII, which people and programs can read (RFC 867 leaves the form open; this is ISO 8601 with
 * the offset from UTC), then close. */
#include "service/service_internal.h"

#include <string.h>
#include <time.h>

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    char line[64];
    struct tm tm;
    time_t now = time(NULL);

    (void)own;
    localtime_r(&now, &tm);
    size_t n = strftime(line, sizeof(line) - 3, "%Y-%m-%dT%H:%M:%S%z", &tm);
    /* The offset of %z is +0000; beside a time with colons it is written +00:00. */
    memmove(line + n - 1, line + n - 2, 2);
    line[n - 2] = ':';
    memcpy(line + n + 1, "\r\n", 2);
    n += 3;
    int error = sonde_stream_write(stream, line, n);
    if (error == 0 || service_cannot_send(run, stream, error))
        service_finish(run, stream);
}

const struct service service_daytime = {
    .name = "daytime",
    .help = "say the date and time, and close",
    .rfc = "RFC 867",
    .flags = SERVICE_MANY_THREADS,
    .opened = opened,
};
