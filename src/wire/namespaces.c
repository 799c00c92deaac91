/* SPDX-License-Identifier: MIT */
/*
 * The namespaces: one for users, in which whoever starts the wire is root, and three for the network that belong to it.
 * Root makes no namespace for users, unless it is to or has to: it may make network namespaces as it is.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int open_space(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static int map_user(uid_t uid, gid_t gid, struct sonde_why *ret_why)
{
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    int error = write_file("/proc/self/uid_map", map);
    if (error < 0)
        return wire_refuse(ret_why, error, "uid_map");
    /* Kernels before 3.19 have no such file, and need none. */
    error = write_file("/proc/self/setgroups", "deny");
    if (error < 0 && error != -ENOENT)
        return wire_refuse(ret_why, error, "setgroups");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    error = write_file("/proc/self/gid_map", map);
    return error < 0 ? wire_refuse(ret_why, error, "gid_map") : 0;
}

static int make_user_space(struct spaces *spaces, struct sonde_why *ret_why)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    /* A program with file capabilities is not, and then its own files in /proc are root's. */
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return wire_refuse(ret_why, -errno, "unshare");
    int error = map_user(uid, gid, ret_why);
    if (error < 0)
        return error;
    error = open_space("/proc/self/ns/user", &spaces->user);
    return error < 0 ? wire_refuse(ret_why, error, "open") : 0;
}

int spaces_make(struct spaces *spaces, bool keep_user_namespace, struct sonde_why *ret_why)
{
    *spaces = (struct spaces){.user = -1, .net = {-1, -1, -1}};
    bool is_privileged = geteuid() == 0 && !keep_user_namespace && unshare(CLONE_NEWNET) == 0;
    int error = is_privileged ? 0 : make_user_space(spaces, ret_why);
    if (error < 0)
        return error;
    for (unsigned place = WIRE_PLACES; place-- > 0;) {
        if (place != WIRE_BETWEEN && unshare(CLONE_NEWNET) < 0)
            return wire_refuse(ret_why, -errno, "unshare");
        error = open_space("/proc/self/ns/net", &spaces->net[place]);
        if (error < 0)
            return wire_refuse(ret_why, error, "open");
    }
    error = spaces_enter(spaces, WIRE_BETWEEN);
    return error < 0 ? wire_refuse(ret_why, error, "setns") : 0;
}

int spaces_enter(const struct spaces *spaces, unsigned place)
{
    return setns(spaces->net[place], CLONE_NEWNET) < 0 ? -errno : 0;
}
