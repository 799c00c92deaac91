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

/* What uv_try_write didn't take. */
struct rest {
    uv_write_t write; /* first, so that the request is the rest */
    char bytes[];
};

static char buffer[PEER_BUFFER_SIZE];

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *read);

static void on_closed(uv_handle_t *connection)
{
    free(connection);
}

static void drop(uv_stream_t *connection)
{
    if (!uv_is_closing((uv_handle_t *)connection))
        uv_close((uv_handle_t *)connection, on_closed);
}

static void give_buffer(uv_handle_t *connection, size_t suggested, uv_buf_t *read)
{
    (void)connection;
    (void)suggested;
    *read = uv_buf_init(buffer, sizeof buffer);
}

/* Also called when the connection is closed before. */
static void on_written(uv_write_t *write, int status)
{
    uv_stream_t *connection = write->handle;
    free(write);
    if (status < 0 || uv_read_start(connection, give_buffer, on_read))
        drop(connection);
}

static void keep(uv_stream_t *connection, const char *bytes, size_t length)
{
    struct rest *rest = malloc(sizeof *rest + length);
    if (!rest) {
        drop(connection);
        return;
    }
    memcpy(rest->bytes, bytes, length);
    uv_buf_t piece = uv_buf_init(rest->bytes, (unsigned)length);
    uv_read_stop(connection);
    if (uv_write(&rest->write, connection, &piece, 1, on_written)) {
        free(rest);
        drop(connection);
    }
}

static void on_read(uv_stream_t *connection, ssize_t length, const uv_buf_t *read)
{
    if (length < 0) {
        drop(connection);
        return;
    }
    if (length == 0)
        return; /* libuv's EAGAIN */
    uv_buf_t echo = uv_buf_init(read->base, (unsigned)length);
    int sent = uv_try_write(connection, &echo, 1);
    if (sent == length)
        return;
    if (sent < 0 && sent != UV_EAGAIN) {
        drop(connection);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    keep(connection, read->base + taken, (size_t)length - taken);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (!tcp)
        return;
    if (uv_tcp_init(listener->loop, tcp)) {
        free(tcp);
        return;
    }
    uv_stream_t *connection = (uv_stream_t *)tcp;
    if (uv_accept(listener, connection) || uv_read_start(connection, give_buffer, on_read))
        drop(connection);
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
