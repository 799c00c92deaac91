/* SPDX-License-Identifier: MIT */
/*
 * Servers and clients in one call.
 *
 * Theory of operation
 *
 * Each call makes a loop and lets it run. The streams have the caller's own handler: what has to be said about them is
 * learnt by watching all streams of the loop (struct net_watch), so that a handler that is changed on the way, or one
 * whose members are NULL, changes nothing about what is said.
 */
#include "net/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sonde/simple.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, ATTEMPTS_SHOWN = 8 };

struct simple {
    const struct sonde_stream_handler *handler;
    void *owner;
    void (*tell)(const char *line, void *owner);
    unsigned flags;
    struct sonde_loop *loop;
    struct sonde_listener *listener; /* NULL: a client, or closed */
    int result;                      /* of the one connection, where there is one only */
};

/* --- words ------------------------------------------------------------------------------------------------------ */

size_t sonde_why_text(const struct sonde_why *why, char *ret_text, size_t size_bytes)
{
    const char *between = why->subject[0] != '\0' ? " " : "", *words = sonde_strerror(why->code);

    if (size_bytes == 0)
        return 0;
    if (why->detail[0] != '\0')
        snprintf(ret_text, size_bytes, "%s%s%s: %s (%s)", why->call, between, why->subject, words, why->detail);
    else
        snprintf(ret_text, size_bytes, "%s%s%s: %s", why->call, between, why->subject, words);
    for (char *c = ret_text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return strlen(ret_text);
}

static void say(const struct simple *simple, const char *line)
{
    if (simple->tell != NULL)
        simple->tell(line, simple->owner);
}

static int say_why(const struct simple *simple, const struct sonde_why *why)
{
    char text[SONDE_WHY_TEXT];

    sonde_why_text(why, text, sizeof text);
    say(simple, text);
    return why->code;
}

/* What was never sent belongs to the reason. */
static void add_unsent(const struct sonde_stream *stream, char *line, size_t size_bytes)
{
    unsigned long long n = sonde_stream_unsent_bytes(stream);
    size_t length = strlen(line);

    if (n > 0)
        snprintf(line + length, size_bytes - length, ", %llu %s not sent", n, n == 1 ? "byte" : "bytes");
}

/* Of several addresses that were tried each has its own reason. */
static void add_attempts(const struct sonde_stream *stream, char *line, size_t size_bytes)
{
    struct sonde_attempt attempts[ATTEMPTS_SHOWN];
    unsigned n = sonde_stream_attempts(stream, attempts, ATTEMPTS_SHOWN);

    for (unsigned i = 0; n > 1 && i < n && i < ATTEMPTS_SHOWN; i++) {
        char address[SONDE_ADDRESS_TEXT];
        size_t length = strlen(line);
        sonde_address_format(&attempts[i].address, address, sizeof address);
        snprintf(line + length, size_bytes - length, "%s%s %s", i == 0 ? "; tried: " : ", ", address,
                 attempts[i].error < 0 ? sonde_strerror(attempts[i].error) : "no answer");
    }
    if (n > ATTEMPTS_SHOWN) {
        size_t length = strlen(line);
        snprintf(line + length, size_bytes - length, " and %u more", n - ATTEMPTS_SHOWN);
    }
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void on_stream_failed(struct sonde_stream *stream, void *watcher)
{
    struct simple *simple = watcher;
    struct sonde_why why;
    char line[LINE_MAX_BYTES];

    sonde_stream_why(stream, &why);
    sonde_why_text(&why, line, sizeof line);
    add_attempts(stream, line, sizeof line);
    add_unsent(stream, line, sizeof line);
    simple->result = stream->error;
    say(simple, line);
}

static void on_stream_closed(struct sonde_stream *stream, void *watcher)
{
    struct simple *simple = watcher;

    if (!(stream->state & STREAM_FAILED) && sonde_stream_unsent_bytes(stream) > 0) {
        struct sonde_why why = {.code = -ECANCELED, .call = "close"};
        struct sonde_address peer;
        char line[LINE_MAX_BYTES];
        sonde_stream_peer(stream, &peer);
        sonde_address_format(&peer, why.subject, sizeof why.subject);
        sonde_why_text(&why, line, sizeof line);
        add_unsent(stream, line, sizeof line);
        simple->result = -ECANCELED;
        say(simple, line);
    }
    if (simple->flags & SONDE_SERVE_IN_TURN && simple->listener != NULL && stream->listener == simple->listener)
        sonde_listener_resume(simple->listener);
}

static const struct net_watch stream_watch = {.failed = on_stream_failed, .closed = on_stream_closed};

/* Started with one of them closed, the next socket would become standard output. open takes the lowest that is free. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return;
}

static int make_loop(struct simple *simple, struct sonde_why *ret_why)
{
    open_standard_descriptors();
    int error = sonde_loop_create(NULL, &simple->loop, ret_why);

    if (error == 0) {
        loop_net(simple->loop)->watch = &stream_watch;
        loop_net(simple->loop)->watcher = simple;
    }
    return error;
}

/* Run; then let go of whatever is left, as after sonde_loop_stop. */
static int run(struct simple *simple)
{
    struct sonde_why why = {.call = "wait"};

    why.code = sonde_loop_run(simple->loop);
    if (simple->listener != NULL)
        sonde_listener_close(simple->listener);
    for (struct sonde_stream *stream = NULL; (stream = sonde_stream_next(simple->loop, stream)) != NULL;)
        sonde_stream_close(stream);
    if (why.code == 0)
        why.code = sonde_loop_run(simple->loop);
    int error = sonde_loop_destroy(simple->loop);
    if (why.code == 0 && error < 0)
        why = (struct sonde_why){.code = error, .call = "sonde_loop_destroy"};
    return why.code < 0 ? say_why(simple, &why) : 0;
}

/* --- servers ---------------------------------------------------------------------------------------------------- */

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct simple *simple = owner;
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer); /* so that it is known in closed too */
    if (simple->flags & SONDE_SERVE_ONCE) {
        simple->listener = NULL;
        sonde_listener_close(listener);
    } else if (simple->flags & SONDE_SERVE_IN_TURN) {
        sonde_listener_pause(listener);
    }
    sonde_stream_set_handler(stream, simple->handler, simple->owner);
    if (simple->handler->opened != NULL)
        simple->handler->opened(stream);
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    char line[SONDE_WHY_TEXT];

    (void)listener;
    if (error < 0)
        snprintf(line, sizeof line, "accept: %s; clients wait", sonde_strerror(error));
    else
        snprintf(line, sizeof line, "accept: clients wait no more");
    say(owner, line);
}

static void on_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                       void *owner)
{
    (void)listener, (void)peer;
    say_why(owner, why);
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct simple *simple = owner;

    (void)listener;
    simple->listener = NULL;
}

static const struct sonde_listener_handler listener_handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .refused = on_refused,
    .closed = on_listener_closed,
};

static int listen_on(struct simple *simple, const struct sonde_url *url, struct sonde_why *ret_why)
{
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .flags = simple->flags & (SONDE_SERVE_ONCE | SONDE_SERVE_IN_TURN) ? SONDE_LISTEN_ONE_BY_ONE : 0,
    };
    int error = sonde_listen(simple->loop, url, &options, &listener_handler, simple, &simple->listener, ret_why);

    if (error < 0)
        return error;
    for (unsigned i = 0; i < sonde_listener_count(simple->listener); i++) {
        struct sonde_url address;
        char line[SONDE_URL_MAX + 16] = "listening ";
        sonde_listener_address(simple->listener, i, &address);
        sonde_url_format(&address, line + strlen(line), SONDE_URL_MAX);
        say(simple, line);
    }
    return 0;
}

int sonde_serve(const char *url, const struct sonde_stream_handler *handler, void *owner, unsigned flags,
                void (*tell)(const char *line, void *owner))
{
    struct simple simple = {.handler = handler, .owner = owner, .tell = tell, .flags = flags};
    struct sonde_url parsed;
    struct sonde_why why;

    if (sonde_url_parse(url, &parsed, &why) < 0 || make_loop(&simple, &why) < 0)
        return say_why(&simple, &why);
    if (listen_on(&simple, &parsed, &why) < 0) {
        sonde_loop_destroy(simple.loop);
        return say_why(&simple, &why);
    }
    int error = run(&simple);
    return error == 0 && flags & SONDE_SERVE_ONCE ? simple.result : error;
}

/* --- clients ---------------------------------------------------------------------------------------------------- */

int sonde_call(const char *url, const struct sonde_stream_handler *handler, void *owner,
               void (*tell)(const char *line, void *owner))
{
    struct simple simple = {.handler = handler, .owner = owner, .tell = tell};
    struct sonde_stream *stream;
    struct sonde_url parsed;
    struct sonde_why why;

    if (sonde_url_parse(url, &parsed, &why) < 0 || make_loop(&simple, &why) < 0)
        return say_why(&simple, &why);
    if (sonde_connect(simple.loop, &parsed, NULL, handler, owner, &stream, &why) < 0) {
        sonde_loop_destroy(simple.loop);
        return say_why(&simple, &why);
    }
    int error = run(&simple);
    return error == 0 ? simple.result : error;
}
