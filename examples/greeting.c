/* SPDX-License-Identifier: MIT */
/* A greeting server: says one text to each client, and closes. Closing is the interesting part: close(2) right after
 * send(2) resets the connection if the client has said something that nobody has read, and the greeting may be lost on
 * the way. Finishing sends it, half-closes, takes what the client still says, and waits for its end. */
#include <sonde/sonde.h>
#include <stdio.h>

static void opened(struct sonde_stream *stream)
{
    static const char greeting[] = "hello, and goodbye\n";
    int error = sonde_stream_write(stream, greeting, sizeof greeting - 1);
    if (error < 0)
        sonde_stream_fail(stream, error);
    else
        sonde_stream_finish(stream, SONDE_WHILE_MOVING);
}

static void tell(const char *line, void *owner)
{
    (void)owner;
    fprintf(stderr, "greeting: %s\n", line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened};
    return sonde_serve(argc > 1 ? argv[1] : "tcp://127.0.0.1:1234", &handler, NULL, 0, tell) < 0;
}
