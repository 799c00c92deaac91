/*
 * ev: an echo server on libev, in its leanest use: one ev_io for each connection, recv and send called directly.
 *
 * libev is a thin layer over epoll and has no buffers of its own. All connections share one receive buffer; what a
 * send doesn't take is kept in memory of the connection's own, which meanwhile waits for being writable only.
 */
#include "peer.h"

#include <ev.h>

struct connection {
    ev_io io; /* first, so that the watcher is the connection */
    size_t length, sent;
    char *rest; /* NULL unless a send was short */
};

static char buffer[PEER_BUFFER_SIZE];

static void drop(struct ev_loop *loop, struct connection *c)
{
    ev_io_stop(loop, &c->io);
    close(c->io.fd);
    free(c->rest);
    free(c);
}

static void watch(struct ev_loop *loop, struct connection *c, int events)
{
    ev_io_stop(loop, &c->io);
    ev_io_modify(&c->io, events);
    ev_io_start(loop, &c->io);
}

static void flush(struct ev_loop *loop, struct connection *c)
{
    ssize_t sent = send(c->io.fd, c->rest + c->sent, c->length - c->sent, 0);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(loop, c);
        return;
    }
    c->sent += (size_t)sent;
    if (c->sent < c->length)
        return;
    free(c->rest);
    c->rest = NULL;
    watch(loop, c, EV_READ);
}

static void keep(struct ev_loop *loop, struct connection *c, const char *bytes, size_t length)
{
    c->rest = malloc(length);
    if (!c->rest) {
        drop(loop, c);
        return;
    }
    memcpy(c->rest, bytes, length);
    c->length = length;
    c->sent = 0;
    watch(loop, c, EV_WRITE);
}

static void echo(struct ev_loop *loop, struct connection *c)
{
    ssize_t length = recv(c->io.fd, buffer, sizeof buffer, 0);
    if (length <= 0) {
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            drop(loop, c);
        return;
    }
    ssize_t sent = send(c->io.fd, buffer, (size_t)length, 0);
    if (sent == length)
        return;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        drop(loop, c);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    keep(loop, c, buffer + taken, (size_t)length - taken);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct connection *c = (struct connection *)io;
    if (c->rest)
        flush(loop, c);
    else
        echo(loop, c);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    for (int i = 0; i < PEER_ACCEPTS_MAX; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left, or out of descriptors until some connection closes */
        struct connection *c = calloc(1, sizeof *c);
        if (!c) {
            close(fd);
            return;
        }
        ev_io_init(&c->io, on_ready, fd, EV_READ);
        ev_io_start(loop, &c->io);
    }
}

int main(int argc, char **argv)
{
    peer_raise_file_limit();
    int listener = peer_listen(argc, argv, SOCK_NONBLOCK);
    /* The environment must not choose another backend than the fastest. */
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!loop)
        peer_die("libev", ENOSYS);
    ev_io accepting;
    ev_io_init(&accepting, on_connection, listener, EV_READ);
    ev_io_start(loop, &accepting);
    peer_announce(listener);
    ev_run(loop, 0);
    return 0;
}
