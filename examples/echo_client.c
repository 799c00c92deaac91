/* SPDX-License-Identifier: MIT */
/* An echo client: sends the words it is given, a line each, or else standard input, and prints what comes back, at the
 * same time: one that sends everything before it reads anything waits for ever for an echo server that does the same.
 * Ending our side (half-close) says that this was all; the server's end says it has answered all. */
#include <sonde/sonde.h>
#include <stdio.h>
#include <string.h>

static void opened(struct sonde_stream *stream)
{
    char **words = sonde_stream_owner(stream);
    int error = 0, in_fd = *words ? -1 : 0;
    for (; *words && error == 0; words++) {
        error = sonde_stream_write(stream, *words, strlen(*words));
        if (error == 0)
            error = sonde_stream_write(stream, "\n", 1);
    }
    if (error == 0)
        error = sonde_stream_join(stream, in_fd, 1); /* what comes goes to standard output */
    if (error < 0)
        sonde_stream_fail(stream, error);
}

static void tell(const char *line, void *owner)
{
    (void)owner;
    fprintf(stderr, "echo_client: %s\n", line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened};
    return sonde_call(argc > 1 ? argv[1] : "tcp://127.0.0.1:7007", &handler, argv + (argc > 2 ? 2 : argc), tell) < 0;
}
