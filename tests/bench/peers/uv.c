/*
 * uv: an echo server on libuv, tuned.
 *
 * The example that everybody copies allocates a buffer for each read and a request for each write, and is half as fast
 * as this. Here all connections read into one shared buffer of 64 KiB, which is free again when the read callback
 * returns, and uv_try_write sends from it directly. Only what that doesn't take is copied and written by a request;
 * until that is done the connection isn't read, so at most one buffer is kept for each.
 */
#include "peer.h"

#include <uv.h>

struct connection {
    uv_tcp_t tcp; /* first, so that the handle is the connection */
    uv_write_t write;
    char *rest; /* what `write` writes */
};

static char buffer[PEER_BUFFER_SIZE];

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *read);

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = (struct connection *)handle;
    free(c->rest);
    free(c);
}

static void drop(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *read)
{
    (void)handle;
    (void)suggested;
    *read = uv_buf_init(buffer, sizeof buffer);
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;
    free(c->rest);
    c->rest = NULL;
    if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, give_buffer, on_read))
        drop(c);
}

static void keep(struct connection *c, const char *bytes, size_t length)
{
    c->rest = malloc(length);
    if (!c->rest) {
        drop(c);
        return;
    }
    memcpy(c->rest, bytes, length);
    c->write.data = c;
    uv_buf_t rest = uv_buf_init(c->rest, (unsigned)length);
    uv_read_stop((uv_stream_t *)&c->tcp);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_written))
        drop(c);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *read)
{
    struct connection *c = (struct connection *)stream;
    if (length < 0) {
        drop(c);
        return;
    }
    if (length == 0)
        return; /* libuv's EAGAIN */
    uv_buf_t echo = uv_buf_init(read->base, (unsigned)length);
    int sent = uv_try_write(stream, &echo, 1);
    if (sent == length)
        return;
    if (sent < 0 && sent != UV_EAGAIN) {
        drop(c);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    keep(c, read->base + taken, (size_t)length - taken);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return;
    if (uv_tcp_init(listener->loop, &c->tcp)) {
        free(c);
        return;
    }
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) || uv_read_start((uv_stream_t *)&c->tcp, give_buffer, on_read))
        drop(c);
}

int main(int argc, char **argv)
{
    peer_raise_file_limit();
    int fd = peer_listen(argc, argv, SOCK_NONBLOCK);
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    int error = uv_tcp_init(loop, &listener);
    if (!error)
        error = uv_tcp_open(&listener, fd);
    if (!error)
        error = uv_listen((uv_stream_t *)&listener, PEER_BACKLOG, on_connection);
    if (error)
        peer_die("libuv", -error);
    peer_announce(fd);
    return uv_run(loop, UV_RUN_DEFAULT);
}
