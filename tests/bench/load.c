/*
 * load: a closed-loop load generator for TCP, WebSocket and UDP echo servers.
 *
 * The generator decides what a benchmark sees: one that is slower than the server measures itself. This one uses
 * io_uring in its leanest form (multishot receives into provided buffers, sends without completion, registered files)
 * and says in its result how busy its own core was, and how much processor time somebody else used meanwhile.
 *
 * What is measured begins after a warm-up and ends after a fixed time. The server's processor time per message, read
 * from the scheduler's own count at both ends of the window, is the figure that depends least on the machine's mood.
 * The content of every echo is compared with what was sent; a wrong byte counts as an error.
 *
 * Every run is bounded: in connections, in bytes and, by a timer that kills the process, in time.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { GRACE_SECONDS = 30 };

static const struct load_mode *const modes[] = {&load_pingpong, &load_ws, &load_datagram, &load_connect, &load_idle};

static void print_usage(void)
{
    printf("usage: load [OPTION...] PORT\n"
           "\n"
           "  -m, --mode MODE        what to do:\n");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        printf("                           %-10s %s\n", modes[i]->name, modes[i]->what);
    printf("  -c, --connections N    connections, or how many at a time (1)\n"
           "  -s, --size BYTES       size of a message (64)\n"
           "  -d, --depth N          messages outstanding on a connection (1)\n"
           "  -t, --seconds S        length of the measured window (1)\n"
           "  -w, --warmup S         seconds before it (0.3)\n"
           "  -S, --sources N        connect from 127.0.0.1 to 127.0.0.N in turn (1)\n"
           "  -x, --exchanges N      mode idle: messages echoed on each connection first (1)\n"
           "  -p, --cpu N            run on this processor\n"
           "  -P, --server-pid PID   read this process's processor time, and its children's\n"
           "  -h, --help\n");
}

static const struct load_mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i]->name, name))
            return modes[i];
    fprintf(stderr, "load: no mode '%s'\n", name);
    exit(2);
}

static double number(const char *what, const char *text, double lowest, double highest)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= lowest && value <= highest)) {
        fprintf(stderr, "load: %s: '%s' is not between %g and %g\n", what, text, lowest, highest);
        exit(2);
    }
    return value;
}

static unsigned count(const char *what, const char *text, unsigned highest)
{
    return (unsigned)number(what, text, 1, highest);
}

static void pin_to(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        fprintf(stderr, "load: cpu %d: %s\n", cpu, strerror(errno));
        exit(1);
    }
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static const struct load_mode *parse(int argc, char **argv, struct load_options *options)
{
    static const struct option longs[] = {
        {"mode", required_argument, NULL, 'm'},    {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},    {"depth", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 't'}, {"warmup", required_argument, NULL, 'w'},
        {"sources", required_argument, NULL, 'S'}, {"exchanges", required_argument, NULL, 'x'},
        {"cpu", required_argument, NULL, 'p'},     {"server-pid", required_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    const struct load_mode *mode = &load_pingpong;
    int option;
    while ((option = getopt_long(argc, argv, "m:c:s:d:t:w:S:x:p:P:h", longs, NULL)) != -1) {
        switch (option) {
        case 'm':
            mode = find_mode(optarg);
            break;
        case 'c':
            options->connections = count("connections", optarg, LOAD_CONNECTIONS_MAX);
            break;
        case 's':
            options->size = count("size", optarg, LOAD_SIZE_MAX);
            break;
        case 'd':
            options->depth = count("depth", optarg, LOAD_DEPTH_MAX);
            break;
        case 't':
            options->seconds = number("seconds", optarg, 0.01, LOAD_SECONDS_MAX);
            break;
        case 'w':
            options->warmup = number("warmup", optarg, 0, LOAD_SECONDS_MAX);
            break;
        case 'S':
            options->sources = count("sources", optarg, LOAD_SOURCES_MAX);
            break;
        case 'x':
            options->exchanges = (unsigned)number("exchanges", optarg, 0, 1000);
            break;
        case 'p':
            pin_to((int)number("cpu", optarg, 0, CPU_SETSIZE - 1));
            break;
        case 'P':
            options->server = (pid_t)number("server-pid", optarg, 1, 1 << 22);
            break;
        case 'h':
            print_usage();
            exit(0);
        default:
            exit(2); /* getopt has said why */
        }
    }
    if (optind != argc - 1) {
        fprintf(stderr, "load: one argument is needed, the port; see load --help\n");
        exit(2);
    }
    options->to.sin_port = htons((uint16_t)number("port", argv[optind], 1, 65535));
    if (options->depth > 1 && options->depth * options->size > LOAD_WINDOW_MAX) {
        fprintf(stderr, "load: more than %d bytes outstanding\n", LOAD_WINDOW_MAX);
        exit(2);
    }
    return mode;
}

int main(int argc, char **argv)
{
    struct load_options options = {
        .to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .connections = 1,
        .size = 64,
        .depth = 1,
        .sources = 1,
        .exchanges = 1,
        .seconds = 1,
        .warmup = 0.3,
    };
    const struct load_mode *mode = parse(argc, argv, &options);
    signal(SIGPIPE, SIG_IGN);
    alarm((unsigned)(options.seconds + options.warmup) + GRACE_SECONDS);
    raise_file_limit();
    return mode->run(&options);
}
