/* SPDX-License-Identifier: MIT */
/*
 * Asks sonde-capture for a packet socket. The helper is not trusted to be what it should be: it gets nothing but one
 * end of a socket pair, has a limited time, may give one descriptor, and that has to be a packet socket of the type
 * that was asked for. It is always reaped.
 */
#include "observe/capture/helper.h"

#include "observe/capture/live_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S 1000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

/* A positive errno, as posix_spawn gives it. */
static int start(const char *path, int type, int its_end, pid_t *ret_pid)
{
    char mode[16], *environment[] = {NULL}, *arguments[] = {(char *)(uintptr_t)path, mode, NULL};
    strcpy(mode, type == SOCK_RAW ? SONDE_CAPTURE_RAW : SONDE_CAPTURE_COOKED);

    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    posix_spawnattr_t attributes;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigset_t signals;
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    error = posix_spawn_file_actions_adddup2(&actions, its_end, STDIN_FILENO);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && !error; fd++)
        error = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (!error)
        error = posix_spawn(ret_pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int await(int fd)
{
    int64_t deadline_ms = now_ms() + (int64_t)SONDE_CAPTURE_SECONDS * MS_PER_S;
    for (;;) {
        int64_t left_ms = deadline_ms - now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int n = left_ms > 0 ? poll(&wait, 1, (int)left_ms) : 0;
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static bool is_packet_socket(int fd, int type)
{
    int is_domain = -1, is_type = -1;
    socklen_t n_domain = sizeof is_domain, n_type = sizeof is_type;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &is_domain, &n_domain) == 0 && is_domain == AF_PACKET &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &is_type, &n_type) == 0 && is_type == type;
}

static int receive(int fd, int type, int *ret_fd)
{
    struct sonde_capture_answer said = {0};
    struct iovec bytes = {.iov_base = &said, .iov_len = sizeof said};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    /* CMSG_LEN, not CMSG_SPACE: with its padding there would be room for two descriptors. The kernel does not install
     * those that have no room, and says so. */
    struct msghdr message = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_LEN(sizeof(int)),
    };
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN ? -EPROTO : -errno;
    int given = -1;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
        rights->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&given, CMSG_DATA(rights), sizeof given);

    int error = 0;
    if (n != (ssize_t)sizeof said || (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) ||
        said.magic != SONDE_CAPTURE_MAGIC || said.error > 0 || said.error < -4095)
        error = -EPROTO;
    else if (said.error < 0)
        error = said.error;
    else if (given < 0 || !is_packet_socket(given, type))
        error = -EPROTO;
    if (error < 0) {
        if (given >= 0)
            close(given);
        return error;
    }
    *ret_fd = given;
    return 0;
}

int helper_ask(const char *path, int type, int *ret_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t pid;
    int error = -start(path, type, pair[1], &pid);
    close(pair[1]);
    if (error == 0) {
        error = await(pair[0]);
        if (error == 0)
            error = receive(pair[0], type, ret_fd);
        /* It has nothing more to do, or does not do it. */
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(pair[0]);
    return error;
}
