/* SPDX-License-Identifier: MIT */
/* Two terminals: what is typed here is printed there, and the other way round, at the same time. One of them listens
 * (two_terminals -l) and takes one caller, the other calls. Ctrl-D ends one direction; the other goes on until its own
 * end. */
#include <sonde/sonde.h>
#include <stdio.h>
#include <string.h>

static void opened(struct sonde_stream *stream)
{
    int error = sonde_stream_join(stream, 0, 1); /* standard input and output */
    if (error < 0)
        sonde_stream_fail(stream, error);
}

static void tell(const char *line, void *owner)
{
    (void)owner;
    fprintf(stderr, "two_terminals: %s\n", line);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened};
    int listens = argc > 1 && strcmp(argv[1], "-l") == 0;
    const char *url = argc > 1 + listens ? argv[1 + listens] : "tcp://127.0.0.1:7007";
    if (listens)
        return sonde_serve(url, &handler, NULL, SONDE_SERVE_ONCE, tell) < 0;
    return sonde_call(url, &handler, NULL, tell) < 0;
}
