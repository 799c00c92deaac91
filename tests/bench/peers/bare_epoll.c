/*
 * bare_epoll: the smallest echo server on epoll, as fast as that interface goes on one thread.
 *
 * Level triggered: one wait for many events, then one recv and one send for each. Level triggering costs nothing here,
 * because what a single recv doesn't take is reported again by the next wait, and it saves the second recv that edge
 * triggering needs to see EAGAIN. All connections share one receive buffer: what was received is sent at once.
 *
 * Only when a send is short is the rest kept, in memory of its own, and from then until it is gone the connection
 * waits for being writable instead of readable, so that at most one buffer is kept for each.
 */
#include "peer.h"

#include <stdbool.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 512 };

/* What could not be sent yet. */
struct rest {
    size_t length, sent;
    char bytes[];
};

static struct rest **rests; /* by descriptor */
static char buffer[PEER_BUFFER_SIZE];
static int poller;

static void watch(int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, operation, fd, &event))
        peer_die("epoll_ctl", errno);
}

static void drop(int fd)
{
    free(rests[fd]);
    rests[fd] = NULL;
    close(fd);
}

static void accept_some(int listener)
{
    for (int i = 0; i < PEER_ACCEPTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left, or out of descriptors until some connection closes */
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/* Keeps what send didn't take. */
static void keep(int fd, const char *bytes, size_t length)
{
    struct rest *rest = malloc(sizeof *rest + length);
    if (!rest) {
        drop(fd);
        return;
    }
    rest->length = length;
    rest->sent = 0;
    memcpy(rest->bytes, bytes, length);
    rests[fd] = rest;
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void flush(int fd)
{
    struct rest *rest = rests[fd];
    ssize_t sent = send(fd, rest->bytes + rest->sent, rest->length - rest->sent, 0);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(fd);
        return;
    }
    rest->sent += (size_t)sent;
    if (rest->sent < rest->length)
        return;
    free(rest);
    rests[fd] = NULL;
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void echo(int fd)
{
    ssize_t length = recv(fd, buffer, sizeof buffer, 0);
    if (length <= 0) {
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            drop(fd);
        return;
    }
    ssize_t sent = send(fd, buffer, (size_t)length, 0);
    if (sent == length)
        return;
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            drop(fd);
            return;
        }
        sent = 0;
    }
    keep(fd, buffer + sent, (size_t)(length - sent));
}

int main(int argc, char **argv)
{
    rests = calloc(peer_raise_file_limit(), sizeof(struct rest *));
    int listener = peer_listen(argc, argv, SOCK_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!rests || poller < 0)
        peer_die("start", errno);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    peer_announce(listener);

    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_some(listener);
            else if (rests[fd])
                flush(fd);
            else
                echo(fd);
        }
    }
}
