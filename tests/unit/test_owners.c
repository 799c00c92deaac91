/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/sockets/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_MANY 3000

static uint64_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

/* A child that does nothing until the returned descriptor is closed. */
static pid_t start_child(const char *name, int *ret_leash)
{
    int leash[2], ready[2];
    char byte;
    assert_int_equal(pipe2(leash, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(leash[1]);
        prctl(PR_SET_NAME, name);
        if (write(ready[1], "r", 1) == 1 && read(leash[0], &byte, 1) == 0)
            _exit(0);
        _exit(1);
    }
    close(leash[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    *ret_leash = leash[1];
    return pid;
}

static void end_child(pid_t pid, int leash)
{
    int status;
    close(leash);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static size_t count(const struct owner *owner)
{
    size_t n = 0;
    for (; owner != NULL; owner = owner->next)
        n++;
    return n;
}

static void own_sockets(void **state)
{
    (void)state;
    struct owners *owners = owners_new();
    int fd = new_socket();
    uint64_t inode = inode_of(fd);
    char name[OWNER_NAME_MAX] = "";
    prctl(PR_GET_NAME, name);
    assert_non_null(owners);
    assert_null(owners_find(owners, inode));
    assert_int_equal(owners_refresh(owners), 0);
    const struct owner *owner = owners_find(owners, inode);
    assert_non_null(owner);
    assert_int_equal(owner->pid, getpid());
    assert_int_equal(owner->fd, fd);
    assert_string_equal(owner->program, name);
    assert_null(owner->next);
    assert_null(owners_find(owners, 0));
    /* It is known until the next search, and no longer. */
    close(fd);
    assert_ptr_equal(owners_find(owners, inode), owner);
    assert_int_equal(owners_refresh(owners), 0);
    assert_null(owners_find(owners, inode));
    owners_free(owners);
    owners_free(NULL);
}

/* Every holder is asked, not only the first. */
static bool filter_finds(const struct owners *owners, uint64_t inode, pid_t pid)
{
    const struct filter_owner known = {.owners = owners};
    const struct socket_info socket = {.family = AF_UNIX, .inode = inode};
    struct sockets_filter *filter;
    char text[32], why[192];
    snprintf(text, sizeof text, "pid:%d", (int)pid);
    assert_int_equal(filter_parse(text, &filter, why), 0);
    bool found = filter_matches(filter, &socket, &known);
    filter_free(filter);
    return found;
}

static void several_holders(void **state)
{
    (void)state;
    struct owners *owners = owners_new();
    int fd = new_socket(), again = dup(fd), leash;
    uint64_t inode = inode_of(fd);
    pid_t pid = start_child("a b\033[2J", &leash);
    assert_int_equal(owners_refresh(owners), 0);
    const struct owner *owner = owners_find(owners, inode);
    assert_int_equal(count(owner), 4); /* two descriptors in each of two processes */
    bool child_seen = false;
    for (; owner != NULL; owner = owner->next) {
        assert_true(owner->pid == pid || owner->pid == getpid());
        assert_true(owner->fd == fd || owner->fd == again);
        child_seen |= owner->pid == pid && strcmp(owner->program, "a b\033[2J") == 0;
    }
    assert_true(child_seen);
    assert_true(filter_finds(owners, inode, pid));
    assert_true(filter_finds(owners, inode, getpid()));
    assert_false(filter_finds(owners, inode, INT32_MAX));
    assert_false(filter_finds(owners, 0, pid));
    /* Only one of them, and then nobody. */
    int32_t pids[] = {0, -5, pid, INT32_MAX};
    assert_int_equal(owners_refresh_some(owners, pids, 4), 0);
    assert_int_equal(count(owners_find(owners, inode)), 2);
    assert_int_equal(owners_find(owners, inode)->pid, pid);
    assert_int_equal(owners_refresh_some(owners, NULL, 0), 0);
    assert_null(owners_find(owners, inode));
    end_child(pid, leash);
    close(fd);
    close(again);
    owners_free(owners);
}

/* The hash grows, and the list of descriptors takes several reads. */
static void many(void **state)
{
    (void)state;
    static int fd[N_MANY];
    struct owners *owners = owners_new();
    int32_t self = getpid();
    size_t n = 0;
    while (n < N_MANY && (fd[n] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0)
        n++;
    assert_true(n > 500); /* RLIMIT_NOFILE may be 1024 */
    close(fd[--n]);       /* the search needs a few */
    close(fd[--n]);
    close(fd[--n]);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(owners_refresh_some(owners, &self, 1), 0);
        for (size_t i = 0; i < n; i++) {
            const struct owner *owner = owners_find(owners, inode_of(fd[i]));
            assert_non_null(owner);
            assert_int_equal(owner->fd, fd[i]);
            assert_null(owner->next);
        }
    }
    for (size_t i = 0; i < n; i++)
        close(fd[i]);
    owners_free(owners);
}

/* Another user's process is counted, and no error. */
static void refused(void **state)
{
    (void)state;
    int leash, status;
    if (getuid() != 0)
        skip();
    pid_t pid = start_child("of root", &leash);
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        close(leash);
        struct owners *owners = owners_new();
        int32_t pids[] = {pid, getpid()};
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        struct stat socket_status;
        bool good = owners != NULL && setgid(65534) == 0 && setuid(65534) == 0;
        prctl(PR_SET_DUMPABLE, 1); /* changing the user took it, and with it our own /proc/PID/fd */
        good = good && fstat(fd, &socket_status) == 0 && owners_refresh_some(owners, pids, 2) == 0 &&
               owners_n_refused(owners) == 1 && owners_find(owners, socket_status.st_ino) != NULL;
        owners_free(owners);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    end_child(pid, leash);
}

/* Without a descriptor left it fails, and what was found before stays. */
static void no_descriptor(void **state)
{
    (void)state;
    struct owners *owners = owners_new();
    int fd = new_socket(), last = -1, next;
    uint64_t inode = inode_of(fd);
    assert_int_equal(owners_refresh(owners), 0);
    int first = dup(fd);
    while ((next = dup(fd)) >= 0)
        last = next;
    assert_int_equal(errno, EMFILE);
    assert_int_equal(owners_refresh(owners), -EMFILE);
    assert_non_null(owners_find(owners, inode));
    for (int i = first; i <= last; i++)
        close(i);
    close(fd);
    owners_free(owners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_sockets), cmocka_unit_test(several_holders), cmocka_unit_test(many),
        cmocka_unit_test(refused),     cmocka_unit_test(no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
