/*
 * What the parts of the load generator share. One mode of load is one file with one entry in the table of load.c.
 *
 * Everything runs on one thread. Times are nanoseconds of CLOCK_MONOTONIC unless their name says otherwise.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    LOAD_CONNECTIONS_MAX = 100000,
    LOAD_SIZE_MAX = 1 << 20,
    LOAD_DEPTH_MAX = 1024,
    /* Bytes a connection may have outstanding if they are more than one message: see load_pingpong.c. */
    LOAD_WINDOW_MAX = 1 << 16,
    LOAD_SECONDS_MAX = 600,
    LOAD_SOURCES_MAX = 250,
    /* A run that has seen this many errors is worth nothing, and ends. */
    LOAD_ERRORS_MAX = 100,
};

struct load_options {
    struct sockaddr_in to;
    unsigned connections; /* how many, or in mode connect how many at a time */
    unsigned size;        /* bytes of a message */
    unsigned depth;       /* messages outstanding on a connection */
    unsigned sources;     /* source addresses in use: 127.0.0.1, 127.0.0.2, ... */
    unsigned exchanges;   /* mode idle: messages echoed on each connection before it falls idle */
    double seconds;       /* the measured window */
    double warmup;        /* seconds before it */
    pid_t server;         /* whose CPU time is read, 0 for nobody's */
};

struct load_mode {
    const char *name;
    const char *what;
    /* Returns the exit status. */
    int (*run)(const struct load_options *options);
};

extern const struct load_mode load_pingpong, load_ws, load_datagram, load_connect, load_idle;

/* --- load_account.c: time, who used the processors, latencies -------------------------------------------------- */

uint64_t load_now(void);

/* Processor time used until now, in nanoseconds. */
struct load_usage {
    uint64_t at;
    uint64_t server; /* every thread of the server and of its children */
    uint64_t own;
    uint64_t waited; /* by both, ready to run, for a processor that somebody else had */
    uint64_t busy;   /* everybody, all processors together; counted by the kernel in ticks, so only good to about 1 % */
    uint64_t steal;  /* taken by the host */
};

void load_usage_read(struct load_usage *usage, pid_t server);

struct load_histogram;
struct load_histogram *load_histogram_new(void);
void load_histogram_free(struct load_histogram *histogram);
void load_histogram_clear(struct load_histogram *histogram);
void load_histogram_add(struct load_histogram *histogram, uint64_t ns);

/* The measured window: begins when the warm-up is over, ends `seconds` later or when there is nothing left to do. */
struct load_window {
    uint64_t begin, end;
    bool open;
    uint64_t n; /* messages or connections completed in it */
    uint64_t errors;
    uint64_t waits;
    struct load_usage first, last;
    struct load_histogram *latency;
};

void load_window_init(struct load_window *window, const struct load_options *options);
/* To be called with the present time after each wait. False: the window is over. */
bool load_window_step(struct load_window *window, const struct load_options *options, uint64_t now);
/* Closes the window, prints the line of JSON, frees. Returns the exit status. */
int load_window_report(struct load_window *window, const struct load_options *options, const char *mode);

/* --- load_net.c: connections, rings, and the bytes that are sent ------------------------------------------------ */

/*
 * Each connection sends one endless periodic stream and so expects the same stream back. The period is a prime and
 * connections start at different places, so that lost, doubled and exchanged pieces all show.
 */
enum { LOAD_PERIOD = 1021 };

struct load_pattern {
    unsigned char *bytes; /* the stream from place 0, long enough to read `longest` bytes from each place */
    size_t longest;
    unsigned looked;
};

bool load_pattern_init(struct load_pattern *pattern, size_t longest);
void load_pattern_free(struct load_pattern *pattern);
/*
 * Whether `n` received bytes are the stream from `place` on. Short pieces are compared in full; of long ones both ends
 * and a window in between that moves from call to call, and one in 64 in full, so that the comparison costs little.
 */
bool load_pattern_check(struct load_pattern *pattern, unsigned place, const unsigned char *bytes, size_t n);

/* A connected, blocking socket from the `i`-th source address; -errno on failure. */
int load_connect_blocking(const struct load_options *options, unsigned i);

/* Receive buffers that the kernel takes from in turn. */
struct load_buffers {
    struct io_uring_buf_ring *ring;
    unsigned char *bytes;
    unsigned count, size, stride;
    unsigned returned; /* given back, not yet published */
};

int load_ring_init(struct io_uring *ring);
struct io_uring_sqe *load_sqe(struct io_uring *ring);
/* Submits and waits for at least one completion, at most for a short while. */
void load_wait(struct io_uring *ring);

int load_buffers_init(struct load_buffers *buffers, struct io_uring *ring, unsigned message);
void load_buffers_free(struct load_buffers *buffers);
unsigned char *load_buffer(const struct load_buffers *buffers, unsigned id);
void load_buffer_return(struct load_buffers *buffers, unsigned id);
void load_buffers_publish(struct load_buffers *buffers);

#endif
