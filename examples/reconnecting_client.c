/* SPDX-License-Identifier: MIT */
/* A client that makes a new connection for each line of standard input (4095 bytes at most): connect, send it, end our
 * side, print what comes until the server's end. A connection that has ended cannot be used again: it takes a new
 * socket, and each gets a port of its own. A line that fails is told of, and the next one is tried. */
#include <sonde/sonde.h>
#include <stdio.h>
#include <string.h>

static void opened(struct sonde_stream *stream)
{
    const char *line = sonde_stream_owner(stream);
    int error = sonde_stream_write(stream, line, strlen(line));
    if (error == 0)
        error = sonde_stream_join(stream, -1, 1); /* nothing more to send; what comes goes to standard output */
    if (error < 0)
        sonde_stream_fail(stream, error);
}

static void tell(const char *text, void *line)
{
    fprintf(stderr, "reconnecting_client: %s; not answered: %s", text, (const char *)line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened};
    const char *url = argc > 1 ? argv[1] : "tcp://127.0.0.1:7007";
    char line[4096];
    int n_failed = 0;
    while (fgets(line, sizeof line, stdin))
        n_failed += sonde_call(url, &handler, line, tell) < 0;
    return n_failed > 0;
}
