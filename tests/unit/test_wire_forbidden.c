/* SPDX-License-Identifier: MIT */
/* A wire where something is forbidden or missing: what it does without, and what it says where there can be none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire_child.h"
#include "wire_talk.h"

#include "wire/wire_internal.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int start_refused(int error, const char *word)
{
    struct wire_settings settings = plain;
    struct sonde_why why = {0};
    struct wire *wire = NULL;
    unsigned n_before = count_fds();
    settings.keep_user_namespace = true;
    CHECK(wire_start(&settings, &wire, &why) == error);
    CHECK(!wire);
    CHECK(why.code == error);
    CHECK(strstr(why.detail, word));
    CHECK(strlen(why.detail) < sizeof why.detail - 1); /* whole */
    CHECK(count_fds() == n_before);
    return 0;
}

static int without_user_spaces(void)
{
    if (!own_user_space(0))
        return 0;
    CHECK(write_text("/proc/sys/user/max_user_namespaces", "0") == 0);
    return start_refused(-ENOSPC, "user.max_user_namespaces=");
}

static int without_net_spaces(void)
{
    if (!own_user_space(0))
        return 0;
    CHECK(write_text("/proc/sys/user/max_net_namespaces", "0") == 0);
    return start_refused(-ENOSPC, "user.max_net_namespaces=");
}

static int with_too_few_spaces(void)
{
    if (!own_user_space(0))
        return 0;
    CHECK(write_text("/proc/sys/user/max_net_namespaces", "2") == 0);
    return start_refused(-ENOSPC, "lsns");
}

static bool forbid(int number, int error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int with_seccomp(void)
{
    if (!forbid(SYS_unshare, EPERM))
        return 0;
    return start_refused(-EPERM, "seccomp");
}

/* Older kernels, and some filters, have none. */
static int without_pidfds(void)
{
    struct wire *wire = NULL;
    if (!forbid(SYS_pidfd_open, ENOSYS))
        return 0;
    CHECK(wire_start(&plain, &wire, NULL) == 0);
    int fd = wire_socket(wire, END_A, AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    kill(wire_pid(wire), SIGKILL);
    CHECK(readable(wire_ended_fd(wire), TALK_MS));
    CHECK(wire_socket(wire, END_A, AF_INET, SOCK_STREAM, 0) == -EPIPE);
    wire_stop(wire);
    return 0;
}

static int without_proc(void)
{
    struct wire *wire = NULL;
    struct sonde_why why = {0};
    if (!own_user_space(CLONE_NEWNS) || mount("none", "/proc", "tmpfs", 0, NULL) < 0)
        return 0;
    CHECK(wire_start(&plain, &wire, &why) == -ENOENT);
    CHECK(strstr(why.detail, "/proc"));
    return 0;
}

static void test_refusals(void **state)
{
    needs_wires();
    assert_int_equal(in_child(without_user_spaces), 0);
    assert_int_equal(in_child(without_net_spaces), 0);
    assert_int_equal(in_child(with_too_few_spaces), 0);
    assert_int_equal(in_child(with_seccomp), 0);
    assert_int_equal(in_child(without_proc), 0);
}

static void test_without_pidfds(void **state)
{
    needs_wires();
    assert_int_equal(in_child(without_pidfds), 0);
}

/* Root without the right to make user namespaces. */
static int root_with_seccomp(void)
{
    struct wire *wire = NULL;
    struct wire_settings settings = plain;
    /* unshare of anything with a user namespace in it */
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (geteuid() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        return 0;
    CHECK(wire_start(&settings, &wire, NULL) == 0);
    wire_stop(wire);
    return 0;
}

static void test_root_needs_no_user_space(void **state)
{
    needs_wires();
    assert_int_equal(in_child(root_with_seccomp), 0);
}

int main(int argc, char **argv)
{
    if (wire_process_asked(argc, argv))
        return wire_process_run();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_without_pidfds),
        cmocka_unit_test(test_root_needs_no_user_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
