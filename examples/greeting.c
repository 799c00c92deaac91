/* SPDX-License-Identifier: MIT */
/*
 * Greet each client and close. Closing is the interesting part: close(2) right after send(2) would reset the connection
 * if the client had sent something that was left unread, and the greeting could be lost. sonde_stream_finish sends,
 * half-closes, takes what the client still says, and waits for its end.
 */
#include <sonde/sonde.h>
#include <stdio.h>

static void data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    (void)stream;
    (void)bytes; /* whatever the client says is taken, and dropped */
}

static void end(struct sonde_stream *stream)
{
    (void)stream; /* finish waits for this by itself */
}

static void failed(struct sonde_stream *stream, int error)
{
    (void)error;
    sonde_stream_close(stream);
}

static void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    static const struct sonde_stream_handler greet = {.data = data, .end = end, .failed = failed};
    static const char greeting[] = "hello, and goodbye\n";

    sonde_stream_set_handler(stream, &greet, owner);
    sonde_stream_write(stream, greeting, sizeof greeting - 1);
    sonde_stream_finish(stream, sonde_loop_now_ns(sonde_listener_loop(listener)) + INT64_C(5000000000));
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
