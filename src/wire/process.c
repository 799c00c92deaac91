/* SPDX-License-Identifier: MIT */
/*
 * The wire's process: makes the namespaces, forwards, answers its starter.
 *
 * It lives as long as its starter: it ends when the socket between them is closed, or when the starter's process has
 * ended, even if a child of that still has the socket open. (Not PR_SET_PDEATHSIG: that is about the thread that
 * started it, which may end long before its process.) Signals from the terminal are not for it: the programs that run
 * in its namespaces are to be ended first, by who started them.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BEGIN_WAIT_MS 10000
#define TURNS_BETWEEN_POLLS 8
#define LARGE_FRAME_BYTES 66000u /* what offloads make, with its headers */
#define VLAN_TAGS_BYTES 8
#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_BY_HAND 2

struct process {
    int fd;      /* to the starter */
    int starter; /* its pidfd; -1: there is none */
    struct spaces spaces;
    struct links links;
    struct tap tap;
    struct forwarder *forwarder;
    uint32_t mtu;
};

bool wire_process_asked(int argc, char **argv)
{
    return argc == 1 && strcmp(argv[0], WIRE_PROCESS_NAME) == 0;
}

static bool is_request_socket(int fd)
{
    int domain = -1, type = -1;
    socklen_t n_domain = sizeof domain, n_type = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n_domain) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n_type) == 0 && type == SOCK_SEQPACKET;
}

static void detach_from_terminal(void)
{
    static const int signals[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGTERM, SIGTSTP,
                                  SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "sonde-wire");
    prctl(PR_SET_TIMERSLACK, 1);
    if (chdir("/") < 0)
        return; /* then a folder stays in use for as long */
}

/* ---- the beginning */

static int make_tap(struct process *process, const struct wire_request *request, const int *fds, unsigned n_fds,
                    struct sonde_why *ret_why)
{
    if (n_fds < 2)
        return 0;
    int memory = fds[n_fds - 2], wake = fds[n_fds - 1]; /* behind the starter's pidfd, if there is one */
    int error = tap_map(&process->tap, memory, request->begin.tap_bytes, wake, request->begin.settings.snap_bytes);
    close(memory);
    return error < 0 ? wire_refuse(ret_why, error, "mmap") : 0;
}

static uint32_t frame_bytes(uint32_t mtu, bool offloads)
{
    uint32_t n_bytes = mtu + ETHERNET_HEADER_BYTES + VLAN_TAGS_BYTES;
    return offloads && n_bytes < LARGE_FRAME_BYTES ? LARGE_FRAME_BYTES : n_bytes;
}

struct making {
    struct ports ports;
    unsigned n_paths;
    uint32_t frame_bytes;
    int error;
};

static void *make_ports(void *data)
{
    struct making *making = data;
    making->error = ports_make(&making->ports, making->n_paths, making->frame_bytes);
    return NULL;
}

static int make_forwarder(struct process *process, const struct wire_settings *settings, struct making *making,
                          struct wire_answer *ret_answer)
{
    struct sonde_why *why = &ret_answer->begin.why;
    if (making->error < 0)
        return wire_refuse(why, making->error, "packet socket");
    ret_answer->begin.began_ns = clock_ns();
    process->mtu = settings->mtu;
    process->forwarder =
        forwarder_new(&process->links, &making->ports, settings, &process->tap, ret_answer->begin.began_ns);
    if (!process->forwarder) {
        ports_close(&making->ports);
        return wire_refuse(why, -ENOMEM, "malloc");
    }
    int error = ports_open(&making->ports, &process->links);
    return error < 0 ? wire_refuse(why, error, "packet socket") : 0;
}

/* The sockets are made meanwhile: that takes the kernel longer than all the rest. */
static int make_network(struct process *process, const struct wire_settings *settings, struct inherited *inherited,
                        struct wire_answer *ret_answer)
{
    struct sonde_why *why = &ret_answer->begin.why;
    struct making making = {
        .n_paths = settings->second_path ? 2 : 1,
        .frame_bytes = frame_bytes(settings->mtu, false),
    };
    pthread_t thread;
    bool is_thread = pthread_create(&thread, NULL, make_ports, &making) == 0;
    int error = links_make(&process->links, &process->spaces, settings->mtu, making.n_paths, why);
    if (error == 0 && inherited)
        inherited_apply(inherited, &process->spaces, ret_answer->begin.missed);
    if (is_thread)
        pthread_join(thread, NULL);
    else
        make_ports(&making);
    if (error == 0)
        error = make_forwarder(process, settings, &making, ret_answer);
    if (error == 0)
        error = links_up(&process->links, why);
    if (error == 0)
        forwarder_clear_errors(process->forwarder);
    return error;
}

static int make_wire(struct process *process, const struct wire_request *request, struct wire_answer *ret_answer)
{
    const struct wire_settings *settings = &request->begin.settings;
    struct inherited *inherited = settings->inherit_settings ? inherited_read() : NULL;
    int error = spaces_make(&process->spaces, settings->keep_user_namespace, &ret_answer->begin.why);
    if (error == 0)
        error = make_network(process, settings, inherited, ret_answer);
    inherited_free(inherited);
    return error;
}

static int begin(struct process *process)
{
    struct wire_request request;
    struct wire_answer answer = {.magic = WIRE_MAGIC};
    int fds[WIRE_FDS_MAX];
    unsigned n_fds = 0;
    struct pollfd wait = {.fd = process->fd, .events = POLLIN};
    if (!is_request_socket(process->fd) || poll(&wait, 1, BEGIN_WAIT_MS) != 1)
        return -EPROTO;
    int error = message_receive(process->fd, &request, sizeof request, fds, WIRE_FDS_MAX, &n_fds);
    if (error == -EPIPE)
        return error; /* the starter was ended before it had asked for anything */
    if (error < 0 || request.magic != WIRE_MAGIC || request.operation != WIRE_BEGIN)
        return -EPROTO;
    process->starter = n_fds == 1 || n_fds == 3 ? fds[0] : -1;
    answer.number = request.number;
    answer.result = make_tap(process, &request, fds, n_fds, &answer.begin.why);
    if (answer.result == 0)
        answer.result = make_wire(process, &request, &answer);
    if (answer.begin.why.call)
        snprintf(answer.begin.call_name, sizeof answer.begin.call_name, "%s", answer.begin.why.call);
    n_fds = 0;
    for (unsigned place = 0; place < WIRE_PLACES && answer.result == 0; place++)
        fds[n_fds++] = process->spaces.net[place];
    if (answer.result == 0 && process->spaces.user >= 0)
        fds[n_fds++] = process->spaces.user;
    answer.n_fds = n_fds;
    error = message_send(process->fd, &answer, sizeof answer, fds, n_fds);
    return answer.result < 0 ? answer.result : error;
}

/* ---- requests */

static int make_socket(struct process *process, const struct wire_request *request)
{
    int error = spaces_enter(&process->spaces, request->place);
    if (error < 0)
        return error;
    int fd = socket(request->socket.family, request->socket.type | SOCK_CLOEXEC, request->socket.protocol);
    int result = fd < 0 ? -errno : fd;
    spaces_enter(&process->spaces, WIRE_BETWEEN);
    return result;
}

static int open_path(struct process *process, const struct wire_request *request)
{
    int error = spaces_enter(&process->spaces, request->place);
    if (error < 0)
        return error;
    int fd = open(request->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result = fd < 0 ? -errno : fd;
    spaces_enter(&process->spaces, WIRE_BETWEEN);
    return result;
}

static int set_sysctl(struct process *process, const struct wire_request *request)
{
    char path[WIRE_PATH_MAX];
    int error = sysctl_path(request->sysctl.name, path, sizeof path);
    if (error == 0)
        error = spaces_enter(&process->spaces, request->place);
    if (error < 0)
        return error;
    error = sysctl_write(path, request->sysctl.value);
    spaces_enter(&process->spaces, WIRE_BETWEEN);
    return error;
}

/* The rings are made for the larger frames before there are any, and for the smaller ones when there are no more. */
static int set_offloads(struct process *process, const struct wire_request *request)
{
    struct ports ports;
    if (!request->on) {
        int error = links_offload(&process->links, &process->spaces, false);
        if (error < 0)
            return error;
    }
    int error = ports_make(&ports, process->links.n_paths, frame_bytes(process->mtu, request->on));
    if (error == 0)
        error = forwarder_change_ports(process->forwarder, &ports);
    if (error == 0 && request->on)
        error = links_offload(&process->links, &process->spaces, true);
    return error;
}

static int set_path(struct process *process, const struct wire_request *request)
{
    if (request->number_of_path >= process->links.n_paths)
        return -EINVAL;
    return process->links.n_paths > 1 ? links_route(&process->links, request->place, request->number_of_path) : 0;
}

static int do_request(struct process *process, const struct wire_request *request, struct wire_answer *ret_answer)
{
    bool is_end = request->place < N_ENDS;
    if (request->place >= WIRE_PLACES)
        return -EINVAL;
    switch (request->operation) {
    case WIRE_SOCKET:
        return make_socket(process, request);
    case WIRE_OPEN:
        return open_path(process, request);
    case WIRE_SYSCTL_SET:
        return set_sysctl(process, request);
    case WIRE_SET_PATH:
        return is_end ? set_path(process, request) : -EINVAL;
    case WIRE_SET_RULES:
        if (!is_end)
            return -EINVAL;
        forwarder_flush(process->forwarder); /* what has left by now has left under the old ones */
        forwarder_set_rules(process->forwarder, request->place, &request->rules);
        return 0;
    case WIRE_SET_OFFLOADS:
        return set_offloads(process, request);
    case WIRE_GET_COUNTS:
        forwarder_get_counts(process->forwarder, ret_answer->counts);
        return 0;
    case WIRE_FLUSH:
        forwarder_flush(process->forwarder);
        return 0;
    }
    return -EINVAL;
}

/* Negative: there is nobody any more to be answered. */
static int serve_request(struct process *process)
{
    struct wire_request request;
    int fds[WIRE_FDS_MAX];
    unsigned n_fds = 0;
    int error = message_receive(process->fd, &request, sizeof request, fds, WIRE_FDS_MAX, &n_fds);
    while (n_fds > 0)
        close(fds[--n_fds]);
    if (error < 0)
        return error == -EAGAIN ? 0 : error;
    struct wire_answer answer = {.magic = WIRE_MAGIC, .number = request.number};
    answer.result = do_request(process, &request, &answer);
    int given =
        answer.result >= 0 && (request.operation == WIRE_SOCKET || request.operation == WIRE_OPEN) ? answer.result : -1;
    if (given < 0)
        return message_send(process->fd, &answer, sizeof answer, NULL, 0);
    answer.n_fds = 1;
    answer.result = 0;
    error = message_send(process->fd, &answer, sizeof answer, &given, 1);
    close(given);
    return error;
}

/* ---- the loop */

enum { AT_STARTER, AT_REQUEST, AT_PORTS, N_POLLED = AT_PORTS + N_ENDS * WIRE_PATHS };

/* Sleeps until something is there, or due; not at all when is_busy. */
static int wait_for_work(struct process *process, bool is_busy)
{
    struct pollfd polled[N_POLLED] = {
        {.fd = process->starter, .events = POLLIN},
        {.fd = process->fd, .events = POLLIN},
    };
    int fds[N_ENDS * WIRE_PATHS];
    unsigned n_fds = forwarder_fds(process->forwarder, fds);
    for (unsigned i = 0; i < n_fds; i++)
        polled[AT_PORTS + i] = (struct pollfd){.fd = fds[i], .events = POLLIN};

    int64_t next_ns = forwarder_next_ns(process->forwarder), wait_ns = 0;
    struct timespec wait = {0};
    if (!is_busy && next_ns != INT64_MAX)
        wait_ns = next_ns - clock_ns();
    if (wait_ns > 0)
        wait = (struct timespec){.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
    bool for_good = !is_busy && next_ns == INT64_MAX;
    int n = ppoll(polled, AT_PORTS + n_fds, for_good ? NULL : &wait, NULL);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (polled[AT_STARTER].revents)
        return -EPIPE;
    for (unsigned i = 0; i < n_fds; i++) {
        if (polled[AT_PORTS + i].revents & POLLERR)
            forwarder_clear_errors(process->forwarder);
    }
    return polled[AT_REQUEST].revents ? serve_request(process) : 0;
}

static void forward(struct process *process)
{
    for (unsigned n_turns = 1;; n_turns++) {
        bool is_busy = forwarder_turn(process->forwarder);
        if (is_busy && n_turns % TURNS_BETWEEN_POLLS != 0)
            continue;
        if (wait_for_work(process, is_busy) < 0)
            return;
    }
}

int wire_process_run(void)
{
    struct process process = {.fd = STDIN_FILENO, .starter = -1, .spaces = {.user = -1, .net = {-1, -1, -1}}};
    detach_from_terminal();
    int error = begin(&process);
    if (error == -EPROTO) {
        fprintf(stderr, "%s is a part of sonde wire and sonde lab, which start it: it is not for use by hand.\n",
                WIRE_PROCESS_NAME);
        return EXIT_BY_HAND;
    }
    if (error == 0)
        forward(&process);
    forwarder_free(process.forwarder);
    links_free(&process.links);
    tap_unmap(&process.tap);
    return error < 0 ? EXIT_FAILED : EXIT_DONE;
}
