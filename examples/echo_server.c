/* SPDX-License-Identifier: MIT */
/* An echo server: each of any number of clients gets back what it sends. A client that does not read is not read from,
 * and so costs 64 KiB and holds nobody up; at its end it still gets the rest, and then our end. */
#include <sonde/sonde.h>
#include <stdio.h>

static void data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    int error = sonde_stream_forward(stream, bytes);
    if (error < 0)
        sonde_stream_fail(stream, error); /* reset it: better no answer than one with a hole */
    else if (sonde_stream_queued_bytes(stream) > 65536)
        sonde_stream_pause(stream); /* until it is drained */
}

static void tell(const char *line, void *owner)
{
    (void)owner;
    fprintf(stderr, "echo_server: %s\n", line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler echo = {.data = data, .drained = sonde_stream_resume};
    return sonde_serve(argc > 1 ? argv[1] : "tcp://127.0.0.1:7007", &echo, NULL, 0, tell) < 0;
}
