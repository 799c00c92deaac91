/* SPDX-License-Identifier: MIT */
/* A wire's life: how it begins, what it leaves behind, and what is set in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire_child.h"
#include "wire_talk.h"

#include "wire/wire_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define N_AT_ONCE 20
#define N_LEAK 50

/* ---- helpers */

static bool ends_within(pid_t pid, int within_ms)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return errno == ESRCH;
    bool ended = readable(pidfd, within_ms);
    close(pidfd);
    return ended;
}

/* How many processes are in that network namespace. */
static unsigned count_in_space(ino_t inode)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[300];
        struct stat status;
        snprintf(path, sizeof path, "/proc/%s/ns/net", entry->d_name);
        n += isdigit((unsigned char)entry->d_name[0]) && stat(path, &status) == 0 && status.st_ino == inode;
    }
    closedir(folder);
    return n;
}

static ino_t space_of(pid_t pid)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* ---- beginning and end */

static void test_leaks_nothing(void **state)
{
    needs_wires();
    unsigned n_before = count_fds();
    for (unsigned i = 0; i < N_LEAK; i++) {
        struct wire *wire = wire_begun(plain, NULL, NULL);
        int fd = wire_socket(wire, END_A, AF_INET, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
        wire_stop(wire);
    }
    assert_int_equal(count_fds(), n_before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    assert_int_equal(errno, ECHILD);
    wire_stop(NULL);
}

static void test_many_at_once(void **state)
{
    struct wire *wires[N_AT_ONCE];
    struct talk talks[N_AT_ONCE];
    for (unsigned i = 0; i < N_AT_ONCE; i++)
        wires[i] = wire_begun(plain, NULL, NULL);
    for (unsigned i = 0; i < N_AT_ONCE; i++) {
        assert_int_equal(wire_sysctl_set(wires[i], END_A, "net.ipv4.tcp_retries2", i % 2 ? "5" : "6"), 0);
        talk_open(&talks[i], wires[i], i % 2 ? END_A : END_B, i % 2 ? WIRE_B_IPV4 : WIRE_A_IPV6);
    }
    for (unsigned i = 0; i < N_AT_ONCE; i++) {
        char value[8];
        ping_pong(&talks[i], 5);
        talk_close(&talks[i]);
        assert_int_equal(wire_sysctl_get(wires[i], END_A, "net.ipv4.tcp_retries2", value, sizeof value), 0);
        assert_string_equal(value, i % 2 ? "5" : "6");
        wire_stop(wires[i]);
    }
}

static void test_requests_after_its_end(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct wire_counts counts[N_ENDS];
    struct wire_rules rules = {0};
    struct wire_packet packet;
    char value[16];
    assert_false(readable(wire_ended_fd(wire), 0));
    assert_int_equal(kill(wire_pid(wire), SIGKILL), 0);
    assert_true(readable(wire_ended_fd(wire), TALK_MS));
    assert_int_equal(wire_socket(wire, END_A, AF_INET, SOCK_STREAM, 0), -EPIPE);
    assert_int_equal(wire_open(wire, END_A, "/proc/net/dev"), -EPIPE);
    assert_int_equal(wire_sysctl_get(wire, END_A, "net.ipv4.tcp_retries2", value, sizeof value), -EPIPE);
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4.tcp_retries2", "3"), -EPIPE);
    assert_int_equal(wire_set_rules(wire, END_A, &rules), -EPIPE);
    assert_int_equal(wire_set_offloads(wire, true), -EPIPE);
    assert_int_equal(wire_get_counts(wire, counts), -EPIPE);
    assert_int_equal(wire_tap_flush(wire), -EPIPE);
    assert_int_equal(wire_tap_next(wire, &packet), 0);
    wire_stop(wire);
}

/* What a terminal or a service manager sends to all of a group is for the programs, not for the wire. */
static void test_signals_are_not_for_it(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    struct wire *wire = wire_begun(plain, NULL, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        assert_int_equal(kill(wire_pid(wire), signals[i]), 0);
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 2);
    talk_close(&talk);
    wire_stop(wire);
}

static void *start_one(void *data)
{
    *(struct wire **)data = wire_begun(plain, NULL, NULL);
    return NULL;
}

static void test_thread_that_started_it_ends(void **state)
{
    needs_wires();
    struct wire *wire = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, start_one, &wire), 0);
    pthread_join(thread, NULL);
    assert_non_null(wire);
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 2);
    talk_close(&talk);
    wire_stop(wire);
}

/* Tells its wire's process, and waits to be killed. */
static void be_starter(int tell, bool with_child)
{
    struct wire *wire = NULL;
    if (wire_start(&plain, &wire, NULL) < 0)
        _exit(1);
    pid_t pids[2] = {wire_pid(wire), 0};
    if (with_child) {
        pids[1] = fork(); /* has the wire's descriptors too */
        if (pids[1] == 0) {
            alarm(TALK_MS / 1000);
            pause();
            _exit(0);
        }
    }
    if (write(tell, pids, sizeof pids) != sizeof pids)
        _exit(1);
    pause();
    _exit(0);
}

static void kill_starter(bool with_child)
{
    int pipes[2];
    pid_t pids[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t starter = fork();
    assert_true(starter >= 0);
    if (starter == 0)
        be_starter(pipes[1], with_child);
    close(pipes[1]);
    assert_int_equal(read(pipes[0], pids, sizeof pids), sizeof pids);
    close(pipes[0]);
    ino_t space = space_of(pids[0]);
    assert_true(space != 0 && space != space_of(getpid()));
    /* As long as it is held no other gets its number. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pids[0]);
    int held = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(held >= 0);
    assert_int_equal(count_in_space(space), 1);
    kill(starter, SIGKILL);
    assert_int_equal(waitpid(starter, NULL, 0), starter);
    assert_true(ends_within(pids[0], TALK_MS));
    assert_int_equal(waitpid(pids[0], NULL, 0), pids[0]); /* we are who adopts */
    assert_int_equal(count_in_space(space), 0);
    close(held);
    if (with_child) {
        kill(pids[1], SIGKILL);
        waitpid(pids[1], NULL, 0);
    }
}

static void test_starter_is_killed(void **state)
{
    needs_wires();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    kill_starter(false);
    kill_starter(true);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_children_are_ignored(void **state)
{
    needs_wires();
    signal(SIGCHLD, SIG_IGN);
    wire_stop(wire_begun(plain, NULL, NULL));
    signal(SIGCHLD, SIG_DFL);
}

/* ---- programs in it */

static void run_inside(struct wire *wire, enum event_end end, char *ret_text, size_t size_bytes)
{
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (wire_enter(wire, end) == 0 && dup2(pipes[1], STDOUT_FILENO) >= 0 && getuid() == 0)
            execlp("sh", "sh", "-c", "cat /proc/net/dev /proc/net/fib_trie /proc/net/if_inet6", (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    size_t n_bytes = 0;
    ssize_t n;
    while ((n = read(pipes[0], ret_text + n_bytes, size_bytes - 1 - n_bytes)) > 0)
        n_bytes += (size_t)n;
    ret_text[n_bytes] = '\0';
    close(pipes[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ThreadSanitizer's runtime has a thread of its own, in a forked child too: it may not change its user namespace. */
#ifdef __SANITIZE_THREAD__
#define N_KEEPS 1u
#else
#define N_KEEPS 2u
#endif

static void test_programs_inside(void **state)
{
    static char a[65536], b[65536];
    if (N_KEEPS < 2 && geteuid() != 0)
        skip();
    for (unsigned keep = 0; keep < N_KEEPS; keep++) {
        struct wire_settings settings = {.keep_user_namespace = keep};
        struct wire *wire = wire_begun(settings, NULL, NULL);
        run_inside(wire, END_A, a, sizeof a);
        run_inside(wire, END_B, b, sizeof b);
        assert_non_null(strstr(a, "eth0:"));
        assert_null(strstr(a, "eth1:"));
        assert_non_null(strstr(a, "|-- " WIRE_A_IPV4 "\n"));
        assert_null(strstr(a, "|-- " WIRE_B_IPV4 "\n"));
        assert_non_null(strstr(b, "|-- " WIRE_B_IPV4 "\n"));
        assert_non_null(strstr(b, "fd000000000000000000000000000002"));
        int fd = wire_open(wire, END_A, "/proc/net/dev");
        assert_true(fd >= 0);
        ssize_t n = read(fd, b, sizeof b - 1);
        assert_true(n > 0);
        close(fd);
        assert_int_equal(strncmp(a, b, 100), 0);
        assert_int_equal(wire_open(wire, END_A, "/proc/net/nothing"), -ENOENT);
        assert_int_equal(wire_tap_fd(wire), -1);
        wire_stop(wire);
    }
}

/* ---- settings */

static void test_settings_by_name(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    char value[64];
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4.tcp_retries2", "4"), 0);
    assert_int_equal(wire_sysctl_get(wire, END_A, "net.ipv4.tcp_retries2", value, sizeof value), 0);
    assert_string_equal(value, "4");
    assert_int_equal(wire_sysctl_get(wire, END_B, "net.ipv4.tcp_retries2", value, sizeof value), 0);
    assert_string_not_equal(value, "4");
    assert_int_equal(wire_sysctl_set(wire, END_B, "net/ipv4/conf/eth0/rp_filter", "2"), 0);
    assert_int_equal(wire_sysctl_get(wire, END_B, "net.ipv4.conf.eth0.rp_filter", value, sizeof value), 0);
    assert_string_equal(value, "2");
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4.tcp_retries2", "many"), -EINVAL);
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4.nothing", "1"), -ENOENT);
    /* The machine's own are not to be reached through a wire, though root may set them. */
    assert_int_equal(wire_sysctl_set(wire, END_A, "kernel.hostname", "x"), -EPERM);
    assert_int_equal(wire_sysctl_set(wire, END_A, "net/../kernel/hostname", "x"), -EINVAL);
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4. tcp", "x"), -EINVAL);
    wire_stop(wire);
}

static int inherit(void)
{
    char value[64];
    struct wire *wire = NULL;
    struct wire_settings settings = {.inherit_settings = true, .keep_user_namespace = true};
    if (!own_user_space(CLONE_NEWNET))
        return 0;
    CHECK(write_text("/proc/sys/net/ipv4/tcp_retries2", "7") == 0);
    CHECK(write_text("/proc/sys/net/core/somaxconn", "33") == 0);
    CHECK(write_text("/proc/sys/net/ipv4/ip_local_port_range", "40000 40100") == 0);
    CHECK(wire_start(&settings, &wire, NULL) == 0);
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        CHECK(wire_sysctl_get(wire, end, "net.ipv4.tcp_retries2", value, sizeof value) == 0);
        CHECK(strcmp(value, "7") == 0);
        CHECK(wire_sysctl_get(wire, end, "net.core.somaxconn", value, sizeof value) == 0);
        CHECK(strcmp(value, "33") == 0);
        CHECK(wire_sysctl_get(wire, end, "net.ipv4.ip_local_port_range", value, sizeof value) == 0);
        CHECK(strcmp(value, "40000\t40100") == 0);
    }
    CHECK(strcmp(wire_not_inherited(wire), "") == 0);
    wire_stop(wire);
    settings.inherit_settings = false;
    CHECK(wire_start(&settings, &wire, NULL) == 0);
    CHECK(wire_sysctl_get(wire, END_A, "net.ipv4.tcp_retries2", value, sizeof value) == 0);
    CHECK(strcmp(value, "7") != 0);
    wire_stop(wire);
    return 0;
}

static void test_settings_are_inherited(void **state)
{
    needs_wires();
    assert_int_equal(in_child(inherit), 0);
}

/* ---- started by hand, and by a program that does not know of it */

static int run_by_hand(int input)
{
    char name[] = WIRE_PROCESS_NAME, *arguments[] = {name, NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_started_by_hand(void **state)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), pair[2];
    assert_true(nothing >= 0);
    assert_int_equal(run_by_hand(nothing), 2);
    close(nothing);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(send(pair[0], "hello", 5, 0), 5);
    assert_int_equal(run_by_hand(pair[1]), 2);
    close(pair[0]);
    close(pair[1]);
}

static void test_main_must_know(void **state)
{
    struct sonde_why why = {0};
    struct wire *wire = NULL;
    char name[] = WIRE_PROCESS_NAME, *own = program_invocation_name;
    program_invocation_name = name;
    assert_int_equal(wire_start(&plain, &wire, &why), -ENOTSUP);
    program_invocation_name = own;
    assert_null(wire);
}

int main(int argc, char **argv)
{
    if (wire_process_asked(argc, argv))
        return wire_process_run();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaks_nothing),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_requests_after_its_end),
        cmocka_unit_test(test_signals_are_not_for_it),
        cmocka_unit_test(test_thread_that_started_it_ends),
        cmocka_unit_test(test_starter_is_killed),
        cmocka_unit_test(test_children_are_ignored),
        cmocka_unit_test(test_programs_inside),
        cmocka_unit_test(test_settings_by_name),
        cmocka_unit_test(test_settings_are_inherited),
        cmocka_unit_test(test_started_by_hand),
        cmocka_unit_test(test_main_must_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
