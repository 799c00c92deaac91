/* SPDX-License-Identifier: MIT */
/* Wires begun in a child process, which may have a user namespace of its own, other limits or fewer rights. */
#ifndef TESTS_UNIT_WIRE_CHILD_H
#define TESTS_UNIT_WIRE_CHILD_H

#include "wire_talk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

static const struct wire_settings plain = {.snap_bytes = 128};

static inline unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* 0 when it returned 0; the line otherwise, as CHECK has it. */
static inline int in_child(int (*run)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TALK_MS / 1000);
        int line = run();
        if (line)
            fprintf(stderr, "line %d\n", line);
        _exit(line ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__;                                                                                           \
    } while (0)

static inline int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* A user namespace of our own, in which its limits may be set. */
static inline bool own_user_space(int more)
{
    char uid_map[32], gid_map[32];
    snprintf(uid_map, sizeof uid_map, "0 %u 1", (unsigned)geteuid());
    snprintf(gid_map, sizeof gid_map, "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | more) < 0)
        return false;
    return write_text("/proc/self/uid_map", uid_map) == 0 && write_text("/proc/self/setgroups", "deny") == 0 &&
           write_text("/proc/self/gid_map", gid_map) == 0;
}

static inline void needs_wires(void)
{
    wire_stop(wire_begun(plain, NULL, NULL));
}

#endif
