/* SPDX-License-Identifier: MIT */
/* Daytime: one line of ASCII, which people and programs can read (RFC 867 leaves the form open; this is ISO 8601 with
 * the offset from UTC), then close; the same line for each datagram. */
#include "service/service_internal.h"

#include <string.h>
#include <time.h>

static bool say(struct service_run *run, struct sonde_stream *stream)
{
    char line[64];
    struct tm tm;
    time_t now = service_now();

    localtime_r(&now, &tm);
    size_t n = strftime(line, sizeof(line) - 3, "%Y-%m-%dT%H:%M:%S%z", &tm);
    /* The offset of %z is +0000; beside a time with colons it is written +00:00. */
    memmove(line + n - 1, line + n - 2, 2);
    line[n - 2] = ':';
    memcpy(line + n + 1, "\r\n", 2);
    n += 3;
    return service_send(run, stream, line, n, SONDE_TEXT);
}

static void opened(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    if (!sonde_stream_has_end(stream))
        return;
    service_says_text(stream);
    if (say(run, stream))
        service_finish(run, stream);
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    (void)own, (void)bytes;
    if (!sonde_stream_has_end(stream))
        say(run, stream);
}

const struct service service_daytime = {
    .name = "daytime",
    .help = "say the date and time, and close",
    .rfc = "RFC 867",
    .flags = SERVICE_MANY_THREADS | SERVICE_ANSWERS | SERVICE_SPEAKS_FIRST,
    .opened = opened,
    .data = data,
};
