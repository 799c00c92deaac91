/*
 * What the echo servers of this folder have in common: how they start. Everything after that is each one's own.
 *
 * All of them take the same command line, PEER PORT, listen on 127.0.0.1 with the same options and print where as
 * their first line. TCP_NODELAY is set on the listener, from which accepted sockets inherit it: without it a server
 * that answers in several pieces stalls for the length of a delayed acknowledgement.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEER_BACKLOG = 4096,
    PEER_BUFFER_SIZE = 64 * 1024,
    /*
     * Connections accepted for one readiness event. More than a few would keep the open connections waiting; just one
     * would cost a wait for each.
     */
    PEER_ACCEPTS_MAX = 64,
};

static inline _Noreturn void peer_die(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* Raises the soft limit of open files to the hard one, and returns it. */
static inline unsigned peer_raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        peer_die("RLIMIT_NOFILE", errno);
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files))
        peer_die("RLIMIT_NOFILE", errno);
    return (unsigned)files.rlim_cur;
}

static inline void peer_announce(int listener)
{
    struct sockaddr_in at;
    socklen_t length = sizeof at;
    if (getsockname(listener, (struct sockaddr *)&at, &length))
        peer_die("getsockname", errno);
    printf("listening tcp://127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
}

/* The listening socket; `flags` are those of socket(2), like SOCK_NONBLOCK. Exits on failure. */
static inline int peer_listen(int argc, char **argv, int flags)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN);
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (listener < 0)
        peer_die("socket", errno);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (bind(listener, (const struct sockaddr *)&at, sizeof at))
        peer_die("bind", errno);
    if (listen(listener, PEER_BACKLOG))
        peer_die("listen", errno);
    return listener;
}

#endif
