/*
 * Mode idle: open connections, echo some messages on each, then hold them until standard input ends.
 *
 * Prints "READY N" when all are open and echoed, which also means that the server has accepted them all. A connection
 * that never carried anything would be a poor measure of what one costs, since servers allocate on first use.
 */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int echo_once(int fd, struct load_pattern *pattern, unsigned char *bytes, unsigned size)
{
    if (send(fd, pattern->bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        return -errno;
    ssize_t n = recv(fd, bytes, size, MSG_WAITALL);
    if (n < 0)
        return -errno;
    if (n != (ssize_t)size || !load_pattern_check(pattern, 0, bytes, size))
        return -EBADMSG;
    return 0;
}

static int open_one(const struct load_options *options, unsigned i, struct load_pattern *pattern, unsigned char *bytes)
{
    int fd = load_connect_blocking(options, i);
    if (fd < 0)
        return fd;
    for (unsigned k = 0; k < options->exchanges; k++) {
        int error = echo_once(fd, pattern, bytes, options->size);
        if (error) {
            close(fd);
            return error;
        }
    }
    return fd;
}

static void hold_until_end_of_input(double seconds)
{
    uint64_t end = load_now() + (uint64_t)(seconds * 1e9);
    char scrap[256];
    for (uint64_t now; (now = load_now()) < end;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, (int)((end - now) / 1000000) + 1) > 0 && read(STDIN_FILENO, scrap, sizeof scrap) <= 0)
            return;
    }
}

static int run(const struct load_options *options)
{
    struct load_pattern pattern = {0};
    unsigned char *bytes = malloc(options->size);
    int *fds = calloc(options->connections, sizeof *fds);
    int status = 1;
    unsigned open = 0;
    if (!bytes || !fds || !load_pattern_init(&pattern, options->size))
        goto out;
    for (; open < options->connections; open++) {
        fds[open] = open_one(options, open, &pattern, bytes);
        if (fds[open] < 0) {
            fprintf(stderr, "load: connection %u: %s\n", open, strerror(-fds[open]));
            goto out;
        }
    }
    printf("READY %u\n", open);
    fflush(stdout);
    hold_until_end_of_input(options->seconds);
    status = 0;
out:
    while (open)
        close(fds[--open]);
    load_pattern_free(&pattern);
    free(fds);
    free(bytes);
    return status;
}

const struct load_mode load_idle = {
    .name = "idle",
    .what = "open connections and hold them until standard input ends",
    .run = run,
};
