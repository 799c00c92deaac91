/*
 * A crowd of clients: more TCP connections than one process may have files, to a server on the loopback.
 *
 *     crowd PORT CONNECTIONS
 *
 * As many processes as needed share them, each with a source address of its own (127.1.x.y): with more than some
 * thousand connections between the same two addresses the search for a free port gets slow. Prints "READY N" when all
 * are open. Each line "N" on standard input makes N connections, chosen at random, send a message that nobody else
 * sends and compare what comes back; prints "ECHOED RIGHT WRONG". Ends, resetting all, with standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
    SHARE = 12500, /* connections of a process */
    HOLDERS_MAX = 100,
    SPARE_FILES = 32,
    PACE = 128, /* after so many the server has to answer, so that it keeps up */
    MESSAGE = 24,
    WAIT_SECONDS = 60,
};

struct holder {
    int pipe; /* both ways */
    unsigned n_connections;
};

struct answer {
    uint32_t right, wrong;
};

static int fail(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    return -1;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A message that no other connection has ever sent, and its way back. 0, or -1 if something else came. */
static int echo(int fd, unsigned number, uint64_t *random)
{
    unsigned char sent[MESSAGE], got[MESSAGE];
    uint64_t words[3] = {number, next_random(random), next_random(random)};

    memcpy(sent, words, sizeof sent);
    if (send(fd, sent, sizeof sent, MSG_NOSIGNAL) != MESSAGE || recv(fd, got, sizeof got, MSG_WAITALL) != MESSAGE)
        return -1;
    return memcmp(sent, got, sizeof sent) == 0 ? 0 : -1;
}

static int open_one(unsigned holder, uint16_t port)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = WAIT_SECONDS};
    const int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    from.sin_addr.s_addr = htonl(0x7f010001 + holder);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
        bind(fd, (struct sockaddr *)&from, sizeof from) || connect(fd, (struct sockaddr *)&to, sizeof to))
        return fail("connect");
    return fd;
}

static int open_all(unsigned holder, uint16_t port, int *fds, unsigned n, uint64_t *random)
{
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open_one(holder, port);
        if (fds[i] < 0)
            return -1;
        if ((i % PACE == PACE - 1 || i == n - 1) && echo(fds[i], i, random))
            return fail("the first echo");
    }
    return 0;
}

static void hold(unsigned holder, uint16_t port, unsigned n, int parent)
{
    uint64_t random = 0x9e3779b97f4a7c15u * (holder + 1);
    int *fds = calloc(n, sizeof *fds);
    struct answer answer = {n, 0};
    uint32_t n_echoes;

    if (fds == NULL || open_all(holder, port, fds, n, &random))
        answer = (struct answer){0, n};
    while (write(parent, &answer, sizeof answer) == sizeof answer &&
           read(parent, &n_echoes, sizeof n_echoes) == sizeof n_echoes) {
        answer = (struct answer){0, 0};
        for (uint32_t i = 0; i < n_echoes; i++) {
            unsigned chosen = (unsigned)(next_random(&random) % n);
            if (echo(fds[chosen], chosen, &random) == 0)
                answer.right++;
            else
                answer.wrong++;
        }
    }
    _exit(0);
}

static int start_holder(struct holder *holders, unsigned number, uint16_t port)
{
    int ends[2];
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return fail("socketpair");
    pid_t pid = fork();
    if (pid < 0)
        return fail("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned i = 0; i < number; i++)
            close(holders[i].pipe);
        close(ends[0]);
        if (getppid() != parent)
            _exit(1);
        hold(number, port, holders[number].n_connections, ends[1]);
    }
    close(ends[1]);
    holders[number].pipe = ends[0];
    return 0;
}

static int collect(const struct holder *holders, unsigned n, struct answer *ret_sum)
{
    *ret_sum = (struct answer){0, 0};
    for (unsigned i = 0; i < n; i++) {
        struct answer answer;
        if (read(holders[i].pipe, &answer, sizeof answer) != sizeof answer)
            return fail("a process of the crowd");
        ret_sum->right += answer.right;
        ret_sum->wrong += answer.wrong;
    }
    return 0;
}

static int talk(const struct holder *holders, unsigned n)
{
    char line[64];
    struct answer sum;

    while (fgets(line, sizeof line, stdin) != NULL) {
        uint32_t wanted = (uint32_t)strtoul(line, NULL, 10);
        for (unsigned i = 0; i < n; i++) {
            uint32_t part = wanted / n + (i < wanted % n);
            if (write(holders[i].pipe, &part, sizeof part) != sizeof part)
                return fail("write");
        }
        if (collect(holders, n, &sum))
            return -1;
        printf("ECHOED %u %u\n", sum.right, sum.wrong);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct holder holders[HOLDERS_MAX];
    unsigned long port = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    struct rlimit files;
    struct answer sum;
    unsigned share = SHARE, n_holders = 0;

    if (port == 0 || port > UINT16_MAX || n == 0 || getrlimit(RLIMIT_NOFILE, &files)) {
        fprintf(stderr, "usage: crowd PORT CONNECTIONS\n");
        return 2;
    }
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < share + SPARE_FILES)
        share = files.rlim_cur > 2 * SPARE_FILES ? (unsigned)files.rlim_cur - SPARE_FILES : SPARE_FILES;
    for (unsigned long left = n; left > 0; n_holders++) {
        if (n_holders == HOLDERS_MAX) {
            fprintf(stderr, "crowd: %lu connections are too many\n", n);
            return 2;
        }
        holders[n_holders].n_connections = (unsigned)(left < share ? left : share);
        left -= holders[n_holders].n_connections;
        if (start_holder(holders, n_holders, (uint16_t)port))
            return 1;
    }
    if (collect(holders, n_holders, &sum))
        return 1;
    if (sum.wrong > 0) {
        fprintf(stderr, "crowd: %u connections were not opened\n", sum.wrong);
        return 1;
    }
    printf("READY %u\n", sum.right);
    fflush(stdout);
    return talk(holders, n_holders) ? 1 : 0;
}
