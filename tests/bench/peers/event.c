/*
 * event: an echo server on libevent, in its leanest use: persistent read events with recv and send called directly.
 *
 * The library's bufferevents copy every byte in and out of chained buffers and cost half as much again; servers that
 * care use raw events, as this one does. The base is made without locks and without the library's cached clock being
 * read for nothing. EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST saves system calls where interest changes back and forth,
 * which here only happens after short sends.
 *
 * All connections share one receive buffer; what a send doesn't take is kept in memory of the connection's own, which
 * meanwhile waits for being writable only.
 */
#include "peer.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct connection {
    struct event io;
    int fd;
    size_t length, sent;
    char *rest; /* NULL unless a send was short */
};

static struct event_base *base;
static char buffer[PEER_BUFFER_SIZE];

static void on_ready(evutil_socket_t fd, short events, void *connection);

static void drop(struct connection *c)
{
    event_del(&c->io);
    close(c->fd);
    free(c->rest);
    free(c);
}

static void watch(struct connection *c, short events)
{
    event_del(&c->io);
    event_assign(&c->io, base, c->fd, (short)(events | EV_PERSIST), on_ready, c);
    event_add(&c->io, NULL);
}

static void flush(struct connection *c)
{
    ssize_t sent = send(c->fd, c->rest + c->sent, c->length - c->sent, 0);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(c);
        return;
    }
    c->sent += (size_t)sent;
    if (c->sent < c->length)
        return;
    free(c->rest);
    c->rest = NULL;
    watch(c, EV_READ);
}

static void keep(struct connection *c, const char *bytes, size_t length)
{
    c->rest = malloc(length);
    if (!c->rest) {
        drop(c);
        return;
    }
    memcpy(c->rest, bytes, length);
    c->length = length;
    c->sent = 0;
    watch(c, EV_WRITE);
}

static void echo(struct connection *c)
{
    ssize_t length = recv(c->fd, buffer, sizeof buffer, 0);
    if (length <= 0) {
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return;
    }
    ssize_t sent = send(c->fd, buffer, (size_t)length, 0);
    if (sent == length)
        return;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        drop(c);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    keep(c, buffer + taken, (size_t)length - taken);
}

static void on_ready(evutil_socket_t fd, short events, void *connection)
{
    (void)fd;
    (void)events;
    struct connection *c = connection;
    if (c->rest)
        flush(c);
    else
        echo(c);
}

static void on_connection(evutil_socket_t listener, short events, void *unused)
{
    (void)events;
    (void)unused;
    for (int i = 0; i < PEER_ACCEPTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left, or out of descriptors until some connection closes */
        struct connection *c = calloc(1, sizeof *c);
        if (!c) {
            close(fd);
            return;
        }
        c->fd = fd;
        event_assign(&c->io, base, fd, EV_READ | EV_PERSIST, on_ready, c);
        event_add(&c->io, NULL);
    }
}

static struct event_base *lean_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME |
                                      EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *made = event_base_new_with_config(config);
    event_config_free(config);
    return made;
}

int main(int argc, char **argv)
{
    peer_raise_file_limit();
    int listener = peer_listen(argc, argv, SOCK_NONBLOCK);
    base = lean_base();
    if (!base)
        peer_die("libevent", ENOMEM);
    struct event accepting;
    event_assign(&accepting, base, listener, EV_READ | EV_PERSIST, on_connection, NULL);
    event_add(&accepting, NULL);
    peer_announce(listener);
    event_base_dispatch(base);
    return 0;
}
