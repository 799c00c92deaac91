/* SPDX-License-Identifier: MIT */
/* The starter's side: starts the wire's process, asks it for things, reaps it. */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_WAIT_MS 10000
#define END_WAIT_MS 2000
#define MTU_DEFAULT 1500
#define MTU_LEAST 68
#define MTU_MOST 65535

extern char **environ;

struct wire {
    pid_t pid;
    int pidfd; /* -1: this kernel has none */
    int fd;    /* requests */
    int user;  /* -1: none of its own */
    int net[WIRE_PLACES];
    int error; /* no request is answered any more, for this reason */
    uint32_t number;
    int64_t began_ns;
    char missed[WIRE_MISSED_MAX];
    struct tap tap;
};

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* ---- asking */

/* Until there is an answer, or nobody who could give one. */
static int await_answer(struct wire *wire)
{
    int64_t deadline_ns = clock_ns() + ANSWER_WAIT_MS * NS_PER_MS;
    for (;;) {
        struct pollfd polled[] = {{.fd = wire->fd, .events = POLLIN}, {.fd = wire->pidfd, .events = POLLIN}};
        int64_t left_ns = deadline_ns - clock_ns();
        int n = poll(polled, 2, left_ns > 0 ? (int)(left_ns / NS_PER_MS) + 1 : 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        if (n > 0 && polled[0].revents)
            return 0;
        if (n > 0)
            return -EPIPE;
    }
}

static int ask(struct wire *wire, struct wire_request *request, const int *fds, unsigned n_fds,
               struct wire_answer *ret_answer, int *ret_fds)
{
    if (wire->error < 0)
        return wire->error;
    request->magic = WIRE_MAGIC;
    request->number = ++wire->number;
    unsigned n_given = 0;
    int error = message_send(wire->fd, request, sizeof *request, fds, n_fds);
    if (error == 0)
        error = await_answer(wire);
    if (error == 0)
        error = message_receive(wire->fd, ret_answer, sizeof *ret_answer, ret_fds, WIRE_FDS_MAX, &n_given);
    if (error == -EMFILE)
        return error; /* it is answered; the next one may be taken */
    if (error == 0 &&
        (ret_answer->magic != WIRE_MAGIC || ret_answer->number != request->number || ret_answer->n_fds != n_given)) {
        while (n_given > 0)
            close(ret_fds[--n_given]);
        error = -EPROTO;
    }
    if (error < 0)
        wire->error = error == -ETIMEDOUT ? -ETIMEDOUT : -EPIPE;
    return wire->error;
}

/* For those that give no descriptor. */
static int ask_simply(struct wire *wire, struct wire_request *request, struct wire_answer *ret_answer)
{
    int fds[WIRE_FDS_MAX];
    int error = ask(wire, request, NULL, 0, ret_answer, fds);
    return error < 0 ? error : ret_answer->result;
}

static int ask_for_fd(struct wire *wire, struct wire_request *request)
{
    struct wire_answer answer;
    int fds[WIRE_FDS_MAX];
    int error = ask(wire, request, NULL, 0, &answer, fds);
    if (error < 0 || answer.result < 0)
        return error < 0 ? error : answer.result;
    return answer.n_fds == 1 ? fds[0] : -EPROTO;
}

int wire_socket(struct wire *wire, enum event_end end, int family, int type, int protocol)
{
    struct wire_request request = {.operation = WIRE_SOCKET, .place = end};
    request.socket.family = family;
    request.socket.type = type;
    request.socket.protocol = protocol;
    return ask_for_fd(wire, &request);
}

int wire_socket_between(struct wire *wire, int family, int type, int protocol)
{
    return wire_socket(wire, (enum event_end)WIRE_BETWEEN, family, type, protocol);
}

int wire_open(struct wire *wire, enum event_end end, const char *path)
{
    struct wire_request request = {.operation = WIRE_OPEN, .place = end};
    if (strlen(path) >= sizeof request.path)
        return -ENAMETOOLONG;
    strcpy(request.path, path);
    return ask_for_fd(wire, &request);
}

int wire_sysctl_get(struct wire *wire, enum event_end end, const char *name, char *ret_value, size_t size_bytes)
{
    char path[WIRE_PATH_MAX];
    int error = sysctl_path(name, path, sizeof path);
    if (error < 0)
        return error;
    int fd = wire_open(wire, end, path);
    if (fd < 0)
        return fd;
    ssize_t n = read(fd, ret_value, size_bytes - 1);
    error = n < 0 ? -errno : 0;
    close(fd);
    if (error < 0)
        return error;
    while (n > 0 && ret_value[n - 1] == '\n')
        n--;
    ret_value[n] = '\0';
    return 0;
}

int wire_sysctl_set(struct wire *wire, enum event_end end, const char *name, const char *value)
{
    struct wire_request request = {.operation = WIRE_SYSCTL_SET, .place = end};
    struct wire_answer answer;
    /* Of several lines the kernel takes the first, and says nothing of the others. */
    if (strlen(name) >= sizeof request.sysctl.name || strlen(value) >= sizeof request.sysctl.value ||
        strchr(value, '\n'))
        return -EINVAL;
    strcpy(request.sysctl.name, name);
    strcpy(request.sysctl.value, value);
    return ask_simply(wire, &request, &answer);
}

int wire_set_path(struct wire *wire, enum event_end end, unsigned path)
{
    struct wire_request request = {.operation = WIRE_SET_PATH, .place = end, .number_of_path = path};
    struct wire_answer answer;
    return ask_simply(wire, &request, &answer);
}

int wire_set_rules(struct wire *wire, enum event_end from, const struct wire_rules *rules)
{
    struct wire_request request = {.operation = WIRE_SET_RULES, .place = from, .rules = *rules};
    struct wire_answer answer;
    return ask_simply(wire, &request, &answer);
}

int wire_set_offloads(struct wire *wire, bool on)
{
    struct wire_request request = {.operation = WIRE_SET_OFFLOADS, .on = on};
    struct wire_answer answer;
    return ask_simply(wire, &request, &answer);
}

int wire_get_counts(struct wire *wire, struct wire_counts ret_counts[N_ENDS])
{
    struct wire_request request = {.operation = WIRE_GET_COUNTS};
    struct wire_answer answer;
    int error = ask_simply(wire, &request, &answer);
    if (error == 0)
        memcpy(ret_counts, answer.counts, sizeof answer.counts);
    return error;
}

int wire_tap_flush(struct wire *wire)
{
    struct wire_request request = {.operation = WIRE_FLUSH};
    struct wire_answer answer;
    return ask_simply(wire, &request, &answer);
}

/* ---- without asking */

pid_t wire_pid(const struct wire *wire)
{
    return wire->pid;
}

int wire_ended_fd(const struct wire *wire)
{
    return wire->pidfd >= 0 ? wire->pidfd : wire->fd;
}

int64_t wire_began_ns(const struct wire *wire)
{
    return wire->began_ns;
}

const char *wire_not_inherited(const struct wire *wire)
{
    return wire->missed;
}

int wire_enter(const struct wire *wire, enum event_end end)
{
    if (wire->user >= 0 && setns(wire->user, CLONE_NEWUSER) < 0)
        return -errno;
    return setns(wire->net[end], CLONE_NEWNET) < 0 ? -errno : 0;
}

int wire_tap_next(struct wire *wire, struct wire_packet *ret_packet)
{
    return tap_read(&wire->tap, ret_packet);
}

int wire_tap_fd(const struct wire *wire)
{
    return wire->tap.shared ? wire->tap.wake : -1;
}

/* ---- beginning and end */

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t signals;
    sigfillset(&signals);
    int error = posix_spawnattr_setsigdefault(attributes, &signals);
    /* Until it ignores those it wants to ignore. */
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &signals);
    if (!error)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return error;
}

/* Standard error stays, for what must not happen. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int its_end)
{
    int error = posix_spawn_file_actions_adddup2(actions, its_end, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return error;
}

/* A positive errno, as posix_spawn gives it. */
static int spawn(int its_end, pid_t *ret_pid)
{
    char name[] = WIRE_PROCESS_NAME, *arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = set_attributes(&attributes);
        if (!error)
            error = set_descriptors(&actions, its_end);
        if (!error)
            error = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int start_process(struct wire *wire, struct sonde_why *ret_why)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return wire_refuse(ret_why, -errno, "socketpair");
    int error = -spawn(pair[1], &wire->pid);
    close(pair[1]);
    wire->fd = pair[0];
    if (error < 0) {
        wire->pid = -1;
        return wire_refuse(ret_why, error, "posix_spawn");
    }
    wire->pidfd = open_pidfd(wire->pid);
    return 0;
}

/* The names of calls travel as text; a struct sonde_why has constants. */
static const char *find_call(const char *name)
{
    static const char *const calls[] = {
        "unshare", "uid_map", "gid_map",       "setgroups", "open",   "setns", "netlink",
        "veth",    "ethtool", "packet socket", "rtnetlink", "malloc", "mmap",
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(calls[i], name) == 0)
            return calls[i];
    }
    return "wire";
}

static void take_spaces(struct wire *wire, const struct wire_answer *answer, const int *fds)
{
    for (unsigned i = 0; i < answer->n_fds; i++) {
        if (i < WIRE_PLACES)
            wire->net[i] = fds[i];
        else
            wire->user = fds[i];
    }
}

static int begin(struct wire *wire, const struct wire_settings *settings, struct sonde_why *ret_why)
{
    struct wire_request request = {.operation = WIRE_BEGIN};
    struct wire_answer answer;
    int given[WIRE_FDS_MAX], fds[3], memory = -1, starter = open_pidfd(getpid());
    unsigned n_fds = 0;
    request.begin.settings = *settings;
    if (request.begin.settings.mtu == 0)
        request.begin.settings.mtu = MTU_DEFAULT;
    if (starter >= 0)
        fds[n_fds++] = starter;
    int error = 0;
    if (settings->snap_bytes > 0) {
        request.begin.tap_bytes = tap_round(settings->tap_bytes);
        error = tap_make(&wire->tap, request.begin.tap_bytes, &memory);
        fds[n_fds++] = memory;
        fds[n_fds++] = wire->tap.wake;
    }
    if (error < 0) {
        wire_refuse(ret_why, error, "mmap");
    } else {
        error = ask(wire, &request, fds, n_fds, &answer, given);
        if (error < 0)
            wire_refuse(ret_why, error, "wire");
    }
    close_if_open(starter);
    close_if_open(memory);
    if (error < 0)
        return error;
    take_spaces(wire, &answer, given);
    wire->began_ns = answer.begin.began_ns;
    memcpy(wire->missed, answer.begin.missed, sizeof wire->missed);
    if (answer.result < 0 && ret_why) {
        *ret_why = answer.begin.why;
        ret_why->call = find_call(answer.begin.call_name);
    }
    return answer.result;
}

static int check(const struct wire_settings *settings, struct sonde_why *ret_why)
{
    int error = 0;
    /* Executed again, main has not called wire_process_run, and would go on for ever. */
    if (strcmp(program_invocation_name, WIRE_PROCESS_NAME) == 0)
        error = -ENOTSUP;
    else if (settings->mtu != 0 && (settings->mtu < MTU_LEAST || settings->mtu > MTU_MOST))
        error = -EINVAL;
    return error < 0 ? wire_refuse(ret_why, error, "wire") : 0;
}

int wire_start(const struct wire_settings *settings, struct wire **ret_wire, struct sonde_why *ret_why)
{
    int error = check(settings, ret_why);
    if (error < 0)
        return error;
    struct wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return wire_refuse(ret_why, -ENOMEM, "malloc");
    *wire = (struct wire){.pid = -1, .pidfd = -1, .fd = -1, .user = -1, .net = {-1, -1, -1}};
    error = start_process(wire, ret_why);
    if (error == 0)
        error = begin(wire, settings, ret_why);
    if (error < 0) {
        wire_stop(wire);
        return error;
    }
    *ret_wire = wire;
    return 0;
}

static void reap(struct wire *wire)
{
    struct pollfd ended = {.fd = wire->pidfd, .events = POLLIN};
    /* It ends by itself, as its socket is closed, unless it is stuck. */
    if (wire->pidfd < 0 || poll(&ended, 1, END_WAIT_MS) != 1)
        kill(wire->pid, SIGKILL);
    while (waitpid(wire->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void wire_stop(struct wire *wire)
{
    if (!wire)
        return;
    if (wire->fd >= 0)
        shutdown(wire->fd, SHUT_RDWR); /* a forked child may have it open too */
    close_if_open(wire->fd);
    close_if_open(wire->user);
    for (unsigned place = 0; place < WIRE_PLACES; place++)
        close_if_open(wire->net[place]);
    if (wire->pid > 0)
        reap(wire);
    close_if_open(wire->pidfd);
    tap_unmap(&wire->tap);
    free(wire);
}
