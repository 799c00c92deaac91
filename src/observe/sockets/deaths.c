/* SPDX-License-Identifier: MIT */
/*
 * Sockets that die. The kernel tells every member of a netlink group of each TCP socket that it destroys, any user may
 * be one. What waits is kept in the socket's receive buffer; when that overflows, the kernel says so once (ENOBUFS),
 * and what was missed is lost.
 */
#include "observe/sockets/sockets_internal.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A thousand sockets that die at once need about a megabyte, with the kernel's overhead. */
#define WAITING_BYTES (8 << 20)
#define DEATH_BYTES 8192

struct sockets_deaths {
    struct mnl_socket *netlink;
    size_t n_bytes, at; /* of the answer; how far it has been read */
    _Alignas(8) unsigned char answer[DEATH_BYTES];
};

static int join(struct mnl_socket *netlink, int group)
{
    return mnl_socket_setsockopt(netlink, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0 ? -errno : 0;
}

static int open_groups(struct sockets_deaths *deaths, const char **ret_call)
{
    int waiting = WAITING_BYTES;

    *ret_call = "socket";
    deaths->netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (deaths->netlink == NULL)
        return -errno;
    /* More than the limit only with rights; else the limit. Either is better than nothing. */
    int fd = mnl_socket_get_fd(deaths->netlink);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &waiting, sizeof waiting) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &waiting, sizeof waiting);
    *ret_call = "bind";
    int error = mnl_socket_bind(deaths->netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
    if (error == 0)
        error = join(deaths->netlink, SKNLGRP_INET_TCP_DESTROY);
    if (error == 0)
        error = join(deaths->netlink, SKNLGRP_INET6_TCP_DESTROY);
    return error;
}

int sockets_deaths_open(struct sockets_deaths **ret_deaths, struct sonde_why *ret_why)
{
    struct sockets_deaths *deaths = calloc(1, sizeof *deaths);
    const char *call = "malloc";
    int error = deaths != NULL ? open_groups(deaths, &call) : -ENOMEM;

    if (error < 0) {
        sockets_deaths_close(deaths);
        return sockets_fail(ret_why, error, call);
    }
    *ret_deaths = deaths;
    return 0;
}

int sockets_deaths_fd(const struct sockets_deaths *deaths)
{
    return mnl_socket_get_fd(deaths->netlink);
}

/* The next message of the answer that describes a socket. */
static bool next_of_answer(struct sockets_deaths *deaths, struct socket_info *ret_socket)
{
    while (deaths->n_bytes - deaths->at >= NLMSG_HDRLEN) {
        const unsigned char *message = deaths->answer + deaths->at;
        size_t n_left = deaths->n_bytes - deaths->at;
        struct nlmsghdr header;
        memcpy(&header, message, sizeof header);
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > n_left)
            break;
        size_t n_whole = NLMSG_ALIGN(header.nlmsg_len);
        deaths->at += n_whole < n_left ? n_whole : n_left;
        if (sockets_parse(message, header.nlmsg_len, ret_socket))
            return true;
    }
    deaths->at = deaths->n_bytes = 0;
    return false;
}

int sockets_deaths_next(struct sockets_deaths *deaths, struct socket_info *ret_socket)
{
    while (!next_of_answer(deaths, ret_socket)) {
        ssize_t n = mnl_socket_recvfrom(deaths->netlink, deaths->answer, sizeof deaths->answer);
        if (n >= 0) {
            deaths->n_bytes = (size_t)n;
            continue;
        }
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR && errno != ENOSPC) /* ENOSPC: a message that is too long, which is none of these */
            return -errno;
    }
    return 1;
}

void sockets_deaths_close(struct sockets_deaths *deaths)
{
    if (deaths == NULL)
        return;
    if (deaths->netlink != NULL)
        mnl_socket_close(deaths->netlink);
    free(deaths);
}
