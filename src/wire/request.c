/* SPDX-License-Identifier: MIT */
/* Messages between the wire and its starter. */
#include "wire/wire_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

union control {
    char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
    struct cmsghdr aligned;
};

int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int message_send(int fd, const void *message, size_t n_bytes, const int *fds, unsigned n_fds)
{
    union control control = {{0}};
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)message, .iov_len = n_bytes};
    struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (n_fds > WIRE_FDS_MAX)
        return -EINVAL;
    if (n_fds > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &header, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == ECONNRESET)
            return -EPIPE;
        if (errno != EINTR)
            return -errno;
    }
}

static unsigned take_fds(struct msghdr *header, int *ret_fds, unsigned n_max)
{
    unsigned n = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n_given = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n_given; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (n < n_max)
                ret_fds[n++] = fd;
            else
                close(fd);
        }
    }
    return n;
}

int message_receive(int fd, void *ret_message, size_t n_bytes, int *ret_fds, unsigned n_fds_max, unsigned *ret_n_fds)
{
    union control control = {{0}};
    struct iovec bytes = {.iov_base = ret_message, .iov_len = n_bytes};
    struct msghdr header = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t n;
    do
        n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (n == 0)
        return -EPIPE;
    unsigned n_fds = take_fds(&header, ret_fds, n_fds_max);
    if (n != (ssize_t)n_bytes || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        while (n_fds > 0)
            close(ret_fds[--n_fds]);
        /* Descriptors that were sent and did not come: we may not have more. */
        return n == (ssize_t)n_bytes && !(header.msg_flags & MSG_TRUNC) ? -EMFILE : -EPROTO;
    }
    *ret_n_fds = n_fds;
    return 0;
}
