/* SPDX-License-Identifier: MIT */
#include "ws_sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void log_line(char *log, size_t *n_log, const char *head, const void *data, size_t n_bytes)
{
    size_t n = n_bytes < SIDE_SHOWN ? n_bytes : SIDE_SHOWN, room = SIDE_LOG - *n_log;
    int written = snprintf(log + *n_log, room, "%s %.*s|", head, (int)n, n > 0 ? (const char *)data : "");

    if (written > 0 && (size_t)written < room)
        *n_log += (size_t)written;
}

uint64_t ws_hash(uint64_t hash, const void *data, size_t n_bytes, unsigned flags)
{
    const unsigned char *bytes = data;

    hash = (hash ^ n_bytes ^ (uint64_t)(flags & SONDE_TEXT) << 32) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* --- streams ---------------------------------------------------------------------------------------------------- */

static struct side *told(struct sonde_stream *stream)
{
    struct side *side = sonde_stream_owner(stream);

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(side->stream, stream);
    assert_false(side->closed);
    return side;
}

static void tell(struct side *side, int error)
{
    if (error < 0)
        side->error = error;
}

static void on_opened(struct sonde_stream *stream)
{
    told(stream)->opened = true;
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct side *side = told(stream);
    char head[32];

    assert_false(side->ended || side->failed || sonde_stream_is_paused(stream));
    assert_true(bytes->flags & SONDE_MESSAGE && !(bytes->flags & SONDE_CUT));
    assert_int_equal(bytes->n_whole_bytes, bytes->n_bytes);
    assert_non_null(bytes->data);
    side->n_messages++;
    side->n_bytes += bytes->n_bytes;
    assert_int_equal(sonde_stream_received_bytes(stream), side->n_bytes);
    assert_int_equal(sonde_stream_received_messages(stream), side->n_messages);
    side->hash = ws_hash(side->hash, bytes->data, bytes->n_bytes, bytes->flags);
    snprintf(head, sizeof head, "%c%zu", bytes->flags & SONDE_TEXT ? 't' : 'b', bytes->n_bytes);
    log_line(side->log, &side->n_log, head, bytes->data, bytes->n_bytes);
    if (side->echoes) {
        int error = CALL(sonde_stream_forward(stream, bytes));
        tell(side, error);
        if (error < 0) {
            DO(sonde_stream_close(stream));
            return;
        }
        if (sonde_stream_queued_bytes(stream) > 64 * 1024) {
            side->draining = true;
            DO(sonde_stream_pause(stream));
        }
    }
    if (side->pause_every > 0 && side->n_messages % side->pause_every == 0)
        DO(sonde_stream_pause(stream));
}

static void on_end(struct sonde_stream *stream)
{
    struct side *side = told(stream);

    assert_false(side->ended || side->failed || sonde_stream_is_paused(stream));
    side->ended = true;
    sonde_stream_ws_info(stream, &side->info);
    if (!side->keeps_open)
        DO(sonde_stream_finish(stream, sonde_loop_now_ns(sonde_stream_loop(stream)) + 10 * SECOND));
}

static void on_drained(struct sonde_stream *stream)
{
    struct side *side = told(stream);

    if (side->draining)
        DO(sonde_stream_resume(stream));
    side->draining = false;
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct side *side = told(stream);

    assert_true(error < 0 && !side->failed);
    side->failed = true;
    side->error = error;
    sonde_stream_why(stream, &side->why);
    sonde_stream_ws_info(stream, &side->info);
    assert_int_equal(side->why.code, error);
    if (!side->stays_after_fail)
        DO(sonde_stream_close(stream));
}

static void on_closed(struct sonde_stream *stream)
{
    struct side *side = told(stream);

    side->closed = true;
    side->stream = NULL;
}

static void on_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct side *side = told(stream);
    char head[32];

    assert_false(side->ended || side->failed);
    if (notice->kind == SONDE_NOTICE_PING) {
        side->n_pings++;
        log_line(side->log, &side->n_log, "ping", notice->data, notice->n_bytes);
    } else if (notice->kind == SONDE_NOTICE_PONG) {
        side->n_pongs++;
        side->rtt_ns = notice->rtt_ns;
    } else if (notice->kind == SONDE_NOTICE_CLOSE) {
        side->n_closes++;
        snprintf(head, sizeof head, "close %d", notice->code);
        log_line(side->log, &side->n_log, head, notice->data, notice->n_bytes);
    }
}

const struct sonde_stream_handler side_handler = {
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
    .notice = on_notice,
};

int side_connect(struct side *side, struct contract *c, uint16_t port, const struct sonde_ws_settings *settings)
{
    struct sonde_ws_client client = {.size = sizeof client};
    const struct sonde_connect_options options = {.size = sizeof options, .ws = &client};
    struct sonde_url url = contract_url("ws://127.0.0.1:%u/", port);

    side->c = c;
    side->rtt_ns = -2;
    if (settings != NULL)
        client.settings = *settings;
    return CALL(sonde_connect(c->loop, &url, &options, &side_handler, side, &side->stream, NULL));
}

int side_send(struct side *side, const void *data, size_t n_bytes, unsigned flags)
{
    return CALL(sonde_stream_send(side->stream, data, n_bytes, flags));
}

/* --- the listener ----------------------------------------------------------------------------------------------- */

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct ws_listen *listen = owner;

    assert_ptr_equal(listener, listen->listener);
    assert_null(listen->server.stream);
    listen->server.stream = stream;
    listen->server.opened = true;
    DO(sonde_stream_set_handler(stream, &side_handler, &listen->server));
}

static void on_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                       void *owner)
{
    struct ws_listen *listen = owner;

    (void)listener, (void)peer;
    listen->refusal = why->code;
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct ws_listen *listen = owner;

    (void)listener;
    if (error < 0)
        listen->refusal = error;
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct ws_listen *listen = owner;

    (void)listener;
    listen->listener = NULL;
}

static const struct sonde_listener_handler listener_handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .refused = on_refused,
    .closed = on_listener_closed,
};

int ws_try_open(struct ws_listen *listen, struct contract *c, const struct sonde_ws_settings *settings)
{
    struct sonde_web_server server = {.size = sizeof server};
    const struct sonde_listen_options options = {.size = sizeof options, .web = &server};
    struct sonde_url url = contract_url("ws://127.0.0.1:0/");

    if (listen->buffer_bytes > 0)
        url = contract_url("ws://127.0.0.1:0/#sndbuf=%d&rcvbuf=%d", listen->buffer_bytes, listen->buffer_bytes);
    listen->c = listen->server.c = c;
    listen->server.rtt_ns = -2;
    if (settings != NULL)
        server.settings = *settings;
    int error = CALL(sonde_listen(c->loop, &url, &options, &listener_handler, listen, &listen->listener, NULL));
    if (error < 0)
        return error;
    sonde_listener_address(listen->listener, 0, &url);
    listen->port = url.port;
    return 0;
}

void ws_open(struct ws_listen *listen, struct contract *c, const struct sonde_ws_settings *settings)
{
    assert_int_equal(ws_try_open(listen, c, settings), 0);
}

void ws_wind_up(struct ws_listen *listen, struct side *client)
{
    if (listen->listener != NULL)
        DO(sonde_listener_close(listen->listener));
    if (listen->server.stream != NULL)
        DO(sonde_stream_close(listen->server.stream));
    if (client != NULL && client->stream != NULL)
        DO(sonde_stream_close(client->stream));
    contract_run(listen->c);
    assert_null(listen->listener);
    assert_null(listen->server.stream);
}

/* --- plain sockets ---------------------------------------------------------------------------------------------- */

/* Read an HTTP head, and nothing behind it. */
static bool read_head(int fd, char *head, size_t room, size_t *n)
{
    while (*n + 1 < room && raw_read(fd, head + *n, 1) == 1) {
        (*n)++;
        if (*n >= 4 && memcmp(head + *n - 4, "\r\n\r\n", 4) == 0) {
            head[*n] = '\0';
            return true;
        }
    }
    return false;
}

int raw_ws_connect(struct ws_listen *listen)
{
    int fd = raw_connect_small(listen->port, listen->buffer_bytes);
    char head[4096];
    size_t n = 0;

    int n_head = snprintf(head, sizeof head,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          listen->port);
    assert_int_equal(write(fd, head, (size_t)n_head), n_head);
    until(listen->c, read_head(fd, head, sizeof head, &n));
    assert_memory_equal(head, "HTTP/1.1 101 ", 13);
    assert_non_null(strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    until(listen->c, listen->server.stream != NULL);
    return fd;
}

int raw_ws_accept(struct contract *c, struct side *client)
{
    uint16_t port;
    int listener = raw_listen(1, 0, &port);
    char head[4096], key[WS_KEY_TEXT] = "", accept[WS_ACCEPT_TEXT];
    size_t n = 0;

    assert_int_equal(side_connect(client, c, port, NULL), 0);
    int fd = raw_accept(c, listener);
    close(listener);
    until(c, read_head(fd, head, sizeof head, &n));
    const char *line = strcasestr(head, "sec-websocket-key: ");
    assert_non_null(line);
    memcpy(key, line + 19, WS_KEY_TEXT - 1);
    assert_true(ws_key_valid(key));
    assert_int_equal(ws_accept(key, accept), 0);
    snprintf(head, sizeof head,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    raw_write(fd, head);
    until(c, client->opened);
    return fd;
}

void raw_frame(int fd, bool is_client, unsigned first, const void *data, size_t n_bytes)
{
    const uint32_t mask = 0x12345678;
    uint8_t *bytes = malloc(WS_HEAD_MAX + n_bytes);

    assert_non_null(bytes);
    size_t n = ws_head(bytes, first, n_bytes, is_client ? &mask : NULL);
    if (n_bytes > 0)
        memcpy(bytes + n, data, n_bytes);
    if (is_client)
        ws_mask(bytes + n, n_bytes, mask);
    assert_int_equal(send(fd, bytes, n + n_bytes, MSG_NOSIGNAL), n + n_bytes);
    free(bytes);
}

static void *take_memory(size_t n_bytes, void *user)
{
    (void)user;
    return malloc(n_bytes);
}

static void give_memory(void *memory, size_t n_bytes, void *user)
{
    (void)n_bytes, (void)user;
    free(memory);
}

void raw_ws_begin(struct raw_ws *raw, int fd, bool is_client)
{
    static const struct sonde_allocator allocator = {.alloc = take_memory, .free = give_memory};

    *raw = (struct raw_ws){.fd = fd};
    ws_decoder_init(&raw->decoder, &(struct ws_decoder_options){.allocator = &allocator,
                                                                .is_server = !is_client,
                                                                .limit_bytes = 16 * 1024 * 1024});
}

static void log_event(struct raw_ws *raw, enum ws_found found, const struct ws_event *event)
{
    char head[160];

    raw->n_messages += found == WS_FOUND_MESSAGE;
    raw->n_pongs += found == WS_FOUND_PONG;
    if (found == WS_FOUND_MESSAGE)
        snprintf(head, sizeof head, "%c%zu", event->opcode == WS_TEXT ? 't' : 'b', event->n_bytes);
    else if (found == WS_FOUND_CLOSE)
        snprintf(head, sizeof head, "close %u", event->code);
    else if (found == WS_FOUND_VIOLATION)
        snprintf(head, sizeof head, "violation %s", event->words);
    else
        snprintf(head, sizeof head, "%s", found == WS_FOUND_PING ? "ping" : "pong");
    log_line(raw->log, &raw->n_log, head, event->data, event->n_bytes);
    snprintf(raw->last, sizeof raw->last, "%.*s", (int)(event->n_bytes < SIDE_SHOWN ? event->n_bytes : SIDE_SHOWN),
             (const char *)event->data);
}

void raw_ws_read(struct raw_ws *raw)
{
    static uint8_t bytes[64 * 1024];
    struct ws_event event;
    enum ws_found found;
    int n;

    while (!raw->ended && (n = raw_read(raw->fd, bytes, sizeof bytes)) >= 0) {
        raw->ended = n == 0;
        size_t at = 0, n_taken;
        while ((found = ws_decode(&raw->decoder, bytes + at, (size_t)n - at, &n_taken, &event)) != WS_FOUND_NOTHING) {
            at += n_taken;
            log_event(raw, found, &event);
        }
    }
}

void raw_ws_end(struct raw_ws *raw)
{
    ws_decoder_free(&raw->decoder);
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
}
