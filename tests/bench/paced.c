/*
 * Many connections to an echo server, and so many messages a second on all of them together: a load that does not grow
 * with the server's speed, so that what something beside it costs can be told from how much was served.
 *
 *     paced PORT CONNECTIONS PER_SECOND BYTES SECONDS
 *
 * Connects to 127.0.0.1, prints READY, then sends one message after the other, each on the next connection that has its
 * echo back. It ends after so many seconds, or when standard input does, and prints one line of JSON. A message that
 * could not be sent in time, because its connections still waited, is left out, and counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 10000
#define BYTES_MAX 65536
#define TICK_NS 2000000
#define READY_MAX 256
#define NS_PER_S 1000000000LL

struct connection {
    int fd;
    unsigned missing; /* bytes of its echo */
};

static struct connection *connections;
static long n_connections, per_second, n_bytes;
static long long n_sent, n_echoed, n_left_out;
static char message[BYTES_MAX], received[BYTES_MAX];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "paced: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long number(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > most) {
        fprintf(stderr, "paced: '%s' is no number from 1 to %ld\n", text, most);
        exit(2);
    }
    return value;
}

static void open_all(int poller, long port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connections = calloc((size_t)n_connections, sizeof *connections);
    if (!connections)
        die("connections");
    for (long i = 0; i < n_connections; i++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
        connections[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connections[i].fd < 0 || connect(connections[i].fd, (struct sockaddr *)&to, sizeof to) < 0 ||
            epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].fd, &wanted) < 0)
            die("connect");
    }
}

static void take_echoes(int poller, int wait_ms)
{
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(poller, ready, READY_MAX, wait_ms);
    for (int i = 0; i < n; i++) {
        struct connection *connection = &connections[ready[i].data.u64];
        ssize_t bytes = recv(connection->fd, received, sizeof received, MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN)
            continue;
        if (bytes <= 0 || bytes > connection->missing)
            die("echo");
        connection->missing -= (unsigned)bytes;
        n_echoed += connection->missing == 0;
    }
}

/* On the next connection that waits for nothing. */
static void send_one(void)
{
    static long next;
    for (long tries = 0; tries < n_connections; tries++) {
        struct connection *connection = &connections[next];
        next = (next + 1) % n_connections;
        if (connection->missing > 0)
            continue;
        if (send(connection->fd, message, (size_t)n_bytes, MSG_NOSIGNAL) != n_bytes)
            die("send");
        connection->missing = (unsigned)n_bytes;
        n_sent++;
        return;
    }
    n_left_out++;
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void run(int poller, long seconds)
{
    long long start_ns = now_ns(), end_ns = start_ns + seconds * NS_PER_S, t_ns = start_ns;
    while (t_ns < end_ns && !input_ended()) {
        long long due = (t_ns - start_ns) / 1000 * per_second / 1000000;
        while (n_sent + n_left_out < due)
            send_one();
        long long tick_ns = t_ns + TICK_NS;
        do {
            take_echoes(poller, 1);
            t_ns = now_ns();
        } while (t_ns < tick_ns);
    }
    for (int i = 0; i < 100 && n_echoed < n_sent; i++)
        take_echoes(poller, 10);
    printf("{\"connections\":%ld,\"sent\":%lld,\"echoed\":%lld,\"left_out\":%lld,\"seconds\":%.3f}\n", n_connections,
           n_sent, n_echoed, n_left_out, (double)(t_ns - start_ns) / (double)NS_PER_S);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 6) {
        fprintf(stderr, "usage: paced PORT CONNECTIONS PER_SECOND BYTES SECONDS\n");
        return 2;
    }
    long port = number(argv[1], 65535);
    n_connections = number(argv[2], CONNECTIONS_MAX);
    per_second = number(argv[3], 1000000);
    n_bytes = number(argv[4], BYTES_MAX);
    long seconds = number(argv[5], 600);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    memset(message, 'x', sizeof message);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    open_all(poller, port);
    printf("READY\n");
    fflush(stdout);
    run(poller, seconds);
    return n_echoed == n_sent ? 0 : 1;
}
