/* SPDX-License-Identifier: MIT */
/* Connect, say one thing, half-close, print everything that comes back until the server ends its side. */
#include <sonde/sonde.h>
#include <stdio.h>
#include <string.h>

static int status = 1;

static void opened(struct sonde_stream *stream)
{
    const char *text = sonde_stream_owner(stream);
    if (sonde_stream_write(stream, text, strlen(text)) < 0)
        sonde_stream_abort(stream);
    else
        sonde_stream_shutdown(stream);
}

static void data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    (void)stream;
    fwrite(bytes->data, 1, bytes->n_bytes, stdout);
}

static void end(struct sonde_stream *stream)
{
    status = 0;
    sonde_stream_close(stream);
}

static void failed(struct sonde_stream *stream, int error)
{
    struct sonde_why why;
    sonde_stream_why(stream, &why);
    fprintf(stderr, "%s %s: %s\n", why.call, why.subject, sonde_strerror(error));
    sonde_stream_close(stream);
}

int main(int argc, char **argv)
{
    static const struct sonde_stream_handler handler = {.opened = opened, .data = data, .end = end, .failed = failed};
    static char hello[] = "hello\n";
    struct sonde_loop *loop = NULL;
    struct sonde_stream *stream = NULL;
    struct sonde_url url;
    struct sonde_why why;

    if (sonde_url_parse(argc > 1 ? argv[1] : "tcp://127.0.0.1:7007", &url, &why) < 0 ||
        sonde_loop_create(NULL, &loop, &why) < 0 ||
        sonde_connect(loop, &url, NULL, &handler, argc > 2 ? argv[2] : hello, &stream, &why) < 0) {
        fprintf(stderr, "%s %s: %s\n", why.call, why.subject, sonde_strerror(why.code));
        return 1;
    }
    /* Nothing is left open once the stream is closed, and so the loop returns. */
    if (sonde_loop_run(loop) < 0 || sonde_loop_destroy(loop) < 0)
        return 1;
    return status;
}
