/* SPDX-License-Identifier: MIT */
/* An echo server: each client gets back what it sends. A client that does not read is not read from. */
#include <sonde/sonde.h>
#include <stdio.h>

static void data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    if (sonde_stream_forward(stream, bytes) < 0)
        sonde_stream_abort(stream);
    else if (sonde_stream_queued_bytes(stream) > 65536)
        sonde_stream_pause(stream);
}

static void end(struct sonde_stream *stream)
{
    /* The client has said all. Send what is queued, then close: half a minute is enough for it to read. */
    sonde_stream_finish(stream, sonde_loop_now_ns(sonde_stream_loop(stream)) + INT64_C(30000000000));
}

static void failed(struct sonde_stream *stream, int error)
{
    fprintf(stderr, "connection %llu: %s\n", (unsigned long long)sonde_stream_id(stream), sonde_strerror(error));
    sonde_stream_close(stream);
}

static const struct sonde_stream_handler echo = {
    .data = data,
    .end = end,
    .drained = sonde_stream_resume,
    .failed = failed,
};

static void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    (void)listener;
    sonde_stream_set_handler(stream, &echo, owner);
}

int main(int argc, char **argv)
{
    static const struct sonde_listener_handler handler = {.accepted = accepted};
    struct sonde_loop *loop = NULL;
    struct sonde_listener *listener = NULL;
    struct sonde_url url;
    struct sonde_why why;
    char text[SONDE_URL_MAX];

    if (sonde_url_parse(argc > 1 ? argv[1] : "tcp://127.0.0.1:7007", &url, &why) < 0 ||
        sonde_loop_create(NULL, &loop, &why) < 0 ||
        sonde_listen(loop, &url, NULL, &handler, NULL, &listener, &why) < 0) {
        fprintf(stderr, "%s %s: %s\n", why.call, why.subject, sonde_strerror(why.code));
        return 1;
    }
    sonde_listener_address(listener, 0, &url);
    sonde_url_format(&url, text, sizeof text);
    printf("listening %s\n", text);
    fflush(stdout);
    return sonde_loop_run(loop) < 0;
}
