/* SPDX-License-Identifier: MIT */
/*
 * Round trips and throughput between two programs, wherever they are: on loopback, or at the ends of a wire.
 *
 *     across serve PORT                                 until it is ended
 *     across measure ADDRESS PORT ROUND-TRIPS SECONDS   prints one line of JSON
 *
 * The first byte of a connection says what it is for: 'e', each byte comes back; 's', bytes are counted, and the count
 * comes back at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUND_TRIPS_MAX 100000
#define WARM_UP 20 /* the neighbour is looked up, the quick acknowledgements are over */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *call)
{
    fprintf(stderr, "across: %s: %s\n", call, strerror(errno));
    return 1;
}

static void serve_one(int fd)
{
    static char block[1 << 18];
    uint64_t n_bytes = 0;
    char purpose;
    ssize_t n = read(fd, &purpose, 1);
    while (n > 0 && (n = read(fd, block, purpose == 'e' ? 1 : sizeof block)) > 0) {
        n_bytes += (uint64_t)n;
        if (purpose == 'e' && write(fd, block, 1) != 1)
            return;
    }
    if (n == 0 && write(fd, &n_bytes, sizeof n_bytes) < 0)
        fail("write");
}

static int serve(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0)
        return fail("listen");
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return fail("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        serve_one(fd);
        close(fd);
    }
}

static int open_connection(const char *address, uint16_t port, char purpose)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (double end = now() + 5; connect(fd, (struct sockaddr *)&name, sizeof name) < 0; usleep(1000)) {
        if (errno != ECONNREFUSED || now() > end) {
            close(fd);
            return -1;
        }
    }
    return write(fd, &purpose, 1) == 1 ? fd : -1;
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static bool measure_round_trips(int fd, unsigned n, double *took)
{
    for (unsigned i = 0; i < n + WARM_UP; i++) {
        char byte = 'x';
        double begin = now();
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            return false;
        if (i >= WARM_UP)
            took[i - WARM_UP] = now() - begin;
    }
    qsort(took, n, sizeof *took, compare);
    return true;
}

/* Bits a second; negative: failed. */
static double measure_throughput(int fd, double seconds)
{
    static char block[1 << 16];
    uint64_t n_bytes = 0;
    double begin = now();
    while (now() - begin < seconds) {
        if (write(fd, block, sizeof block) < 0)
            return -1;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, &n_bytes, sizeof n_bytes) != sizeof n_bytes)
        return -1;
    return (double)n_bytes * 8 / (now() - begin);
}

static int measure(const char *address, uint16_t port, unsigned n, double seconds)
{
    static double took[ROUND_TRIPS_MAX];
    double rate = 0;
    int fd = open_connection(address, port, 'e');
    if (fd < 0 || !measure_round_trips(fd, n, took))
        return fail("round trips");
    close(fd);
    if (seconds > 0) {
        fd = open_connection(address, port, 's');
        rate = fd < 0 ? -1 : measure_throughput(fd, seconds);
        if (rate < 0)
            return fail("throughput");
        close(fd);
    }
    printf("{\"n\":%u,\"least_us\":%.1f,\"median_us\":%.1f,\"p95_us\":%.1f,\"bits_per_s\":%.0f}\n", n, took[0] * 1e6,
           took[n / 2] * 1e6, took[n * 19 / 20] * 1e6, rate);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned n = argc == 6 ? (unsigned)atoi(argv[4]) : 0;
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve((uint16_t)atoi(argv[2]));
    if (n > 0 && n <= ROUND_TRIPS_MAX && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], (uint16_t)atoi(argv[3]), n, atof(argv[5]));
    fprintf(stderr, "usage: across serve PORT\n       across measure ADDRESS PORT ROUND-TRIPS SECONDS\n");
    return 2;
}
