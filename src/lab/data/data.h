/* SPDX-License-Identifier: MIT */
/* What the experiments of the chapter "Data" have in common. */
#ifndef LAB_DATA_DATA_H
#define LAB_DATA_DATA_H

#include "lab/call.h"
#include "lab/lab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How large things were, in their order: segments, receives. Beyond so many they are counted only. */
#define SIZES_MAX 12

struct sizes {
    unsigned n;
    uint64_t sum;
    uint32_t of[SIZES_MAX];
};

void sizes_add(struct sizes *sizes, size_t n_bytes);
/* "3+6"; "" for none. */
const char *sizes_text(const struct sizes *sizes, char ret_text[96]);

/* Bytes that say where in the stream they belong: the same at the same offset, in every run. */
void pattern_fill(void *data, size_t n_bytes, uint64_t offset);
/* How many of these are not what belongs there. */
size_t pattern_wrong(const void *data, size_t n_bytes, uint64_t offset);

/* Wait until so many bytes can be received there, until all that was sent is acknowledged. False: not in time. */
bool data_arrived(int fd, int64_t n_bytes, int64_t within_ns);
bool data_acknowledged(int fd, int64_t within_ns);
/* Wait until both queues have not changed for quiet_ns. */
void data_at_rest(int sender, int receiver, int64_t quiet_ns, int64_t within_ns);

/* Send the pattern until the kernel takes no more, and takes none for quiet_ns either: how many bytes it took. No event
 * is made of it, and it does not block. */
int64_t data_fill(int fd, int64_t limit_bytes, int64_t quiet_ns);

/* Receive and throw away, without events, until so many bytes were read, or the end, an error, or wait_ns without any:
 * how many it were. ret_wrong: bytes that were not the pattern's; ret_end: 0 the end, 1 all of them, else a negative
 * errno (-EAGAIN: none came). Each may be NULL. */
int64_t data_drain(int fd, int64_t n_bytes, int64_t wait_ns, int64_t *ret_wrong, int *ret_end);

/* The sizes of the segments with data that left that end for the first time, on the connection of this client port, and
 * how many were repeats. */
void data_segments(struct lab *lab, uint16_t client_port, enum event_end from, struct sizes *ret_sizes,
                   unsigned *ret_n_repeats);

/* As lab_connected, with SO_SNDBUF of the client and SO_RCVBUF of the server set before there is a connection, which is
 * when they count for the window. 0: as it is. */
void data_connected(struct lab *lab, struct party *client, struct party *server, int send_bytes, int receive_bytes,
                    struct lab_pair *ret_pair);

/* The one in the middle; the values are sorted by that. */
int64_t data_median(int64_t *values, size_t n);

/* A call's result that ends the run when it is an error. */
ssize_t data_expect(struct lab *lab, const char *what, ssize_t result);

/* "ECONNRESET", "the end", ... of data_drain's ret_end. */
const char *data_end_text(int end);

#endif
