/* SPDX-License-Identifier: MIT */
/* An iterative server: one client after another. The others are not refused: their connections stand, and wait in the
 * accept queue, until the one before is closed. Each is given its number, and then what it sends. */
#include <sonde/sonde.h>
#include <stdio.h>

static void opened(struct sonde_stream *stream)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu: ", (unsigned long long)sonde_stream_id(stream));
    int error = sonde_stream_write(stream, text, (size_t)n);
    if (error < 0)
        sonde_stream_fail(stream, error);
}

static void data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    int error = sonde_stream_forward(stream, bytes);
    if (error < 0)
        sonde_stream_fail(stream, error);
    else if (sonde_stream_queued_bytes(stream) > 65536)
        sonde_stream_pause(stream);
}

static void tell(const char *line, void *owner)
{
    (void)owner;
    fprintf(stderr, "iterative_server: %s\n", line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened, .data = data, .drained = sonde_stream_resume};
    const char *url = argc > 1 ? argv[1] : "tcp://127.0.0.1:7007";
    return sonde_serve(url, &handler, NULL, SONDE_SERVE_IN_TURN, tell) < 0;
}
