/*
 * Holds many TCP sockets, for programs that list sockets: pairs of connected ones, both ends here, in a network
 * namespace of their own, so that nothing else is in the lists and nothing stays behind.
 *
 *     many SOCKETS
 *
 * Prints "READY PID SOCKETS" when all are open and have carried a message each way; whoever wants to see them enters
 * the namespaces of PID. Holds them until standard input ends, at most ten minutes. With 0 sockets it is only an empty
 * namespace whose loopback is up. The limit of open files is for one process, so as many processes as needed share
 * them.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKETS_MAX = 1000000, SPARE_FILES = 64, HOLDERS_MAX = 250, HOLD_SECONDS = 600, MESSAGE = 64 };

static int fail(const char *what)
{
    fprintf(stderr, "many: %s: %s\n", what, strerror(errno));
    return -1;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Without rights, a user namespace gives them: in it this user is root. */
static int own_namespace(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWNET) == 0)
        return 0;
    char map[64];
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return fail("no network namespace");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    if (write_file("/proc/self/uid_map", map) || write_file("/proc/self/setgroups", "deny"))
        return fail("uid_map");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    return write_file("/proc/self/gid_map", map) ? fail("gid_map") : 0;
}

static int loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request))
        return fail("lo");
    request.ifr_flags |= IFF_UP;
    int error = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return error ? fail("lo") : 0;
}

/* A message each way, so that the sockets have something to tell. */
static int exchange(int one, int other)
{
    char bytes[MESSAGE] = {0};
    for (int i = 0; i < 2; i++) {
        if (send(i ? other : one, bytes, sizeof bytes, MSG_NOSIGNAL) != MESSAGE)
            return fail("send");
        if (recv(i ? one : other, bytes, sizeof bytes, MSG_WAITALL) != MESSAGE)
            return fail("recv");
    }
    return 0;
}

static int open_pair(int listener, const struct sockaddr_in *to)
{
    /* Closing resets them: no TIME_WAIT, and the next run begins with none. */
    const struct linger none = {.l_onoff = 1};
    int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one < 0 || connect(one, (const struct sockaddr *)to, sizeof *to))
        return fail("connect");
    int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (other < 0)
        return fail("accept");
    setsockopt(one, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    setsockopt(other, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return exchange(one, other);
}

static int open_all(unsigned number, unsigned pairs)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number);
    socklen_t length = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&to, sizeof to) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&to, &length))
        return fail("listen");
    for (unsigned i = 0; i < pairs; i++)
        if (open_pair(listener, &to))
            return -1;
    close(listener);
    return 0;
}

/* A process that opens its share, says so, and waits to be killed: by its parent's end if by nothing else. */
static int start_holder(unsigned number, unsigned pairs, int ready)
{
    pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid < 0 ? fail("fork") : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || open_all(number, pairs) || write(ready, "+", 1) != 1)
        _exit(1);
    close(ready);
    for (;;)
        pause();
}

static void hold_until_end_of_input(void)
{
    char scrap[64];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, HOLD_SECONDS * 1000) > 0 && read(STDIN_FILENO, scrap, sizeof scrap) > 0)
        ;
}

int main(int argc, char **argv)
{
    char *rest;
    unsigned long sockets = argc == 2 ? strtoul(argv[1], &rest, 10) : SOCKETS_MAX + 1ul;
    struct rlimit files;
    int ready[2];
    if (argc != 2 || *rest || sockets > SOCKETS_MAX) {
        fprintf(stderr, "usage: many SOCKETS\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) || own_namespace() || loopback_up() || pipe2(ready, O_CLOEXEC))
        return 1;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    unsigned long most = files.rlim_cur > SPARE_FILES + 2 ? (files.rlim_cur - SPARE_FILES) / 2 : 1;
    unsigned holders = 0;
    for (unsigned long pairs = sockets / 2; pairs; holders++) {
        unsigned long share = pairs < most ? pairs : most;
        if (holders == HOLDERS_MAX || start_holder(holders, (unsigned)share, ready[1]))
            return 1;
        pairs -= share;
    }
    close(ready[1]);
    for (unsigned i = 0; i < holders; i++) {
        char plus;
        if (read(ready[0], &plus, 1) != 1)
            return 1;
    }
    printf("READY %d %lu\n", (int)getpid(), sockets / 2 * 2);
    fflush(stdout);
    hold_until_end_of_input();
    return 0;
}
