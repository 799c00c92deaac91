/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a capture file. What must hold whatever they are:
 *
 * - nothing is read outside of its memory (the sanitizers see to that), and every byte that is lent can be read;
 * - packets are numbered without a gap, are of an interface that is there, and no shorter than what was captured;
 * - it ends, or an error says where; and then it goes on saying so;
 * - how many of the bytes come at first, and how many later, makes no difference.
 */
#include "observe/capture/capture.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct sum {
    int result;
    uint64_t n_packets, bytes;
    struct sonde_why why;
};

static void check_packet(const struct capture_file *file, const struct packet *packet, struct sum *sum)
{
    must(packet->number == ++sum->n_packets);
    must(packet->n_wire >= packet->n_captured);
    must(packet->interface < capture_file_n_interfaces(file));
    must(packet->direction <= PACKET_OUT);
    for (uint32_t i = 0; i < packet->n_captured; i++)
        sum->bytes = sum->bytes * 31 + packet->data[i];
    for (const char *c = packet->comment; c && *c; c++)
        sum->bytes = sum->bytes * 31 + (uint8_t)*c;
    sum->bytes += (uint64_t)packet->realtime_ns + packet->link_type;
}

static void check_why(const struct sonde_why *why, int error)
{
    must(why->code == error && strcmp(why->call, "read") == 0);
    must(memchr(why->detail, '\0', sizeof why->detail) != NULL);
    must(strncmp(why->detail, "at offset ", 10) == 0);
    must(error == -EINVAL || error == -EPIPE || error == -EOVERFLOW);
}

static struct sum read_all(int fd, const uint8_t *data, size_t n_bytes)
{
    struct sum sum = {0};
    struct capture_file *file;
    sum.result = capture_file_open_begun(fd, "fuzz", data, n_bytes, &file, &sum.why);
    if (sum.result < 0) {
        check_why(&sum.why, sum.result);
        return sum;
    }
    struct packet packet;
    while ((sum.result = capture_file_next(file, &packet, &sum.why)) == 1)
        check_packet(file, &packet, &sum);
    must(capture_file_next(file, &packet, &sum.why) == sum.result);
    if (sum.result < 0)
        check_why(&sum.why, sum.result);
    for (unsigned i = 0; i <= capture_file_n_interfaces(file); i++)
        sum.bytes += strlen(capture_file_interface_name(file, i));
    sum.bytes += capture_file_n_dropped(file);
    capture_file_close(file);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    /* In memory that ends with it, or nearly. */
    uint8_t *copy = calloc(n_bytes + 1, 1);
    must(copy != NULL);
    if (n_bytes > 0)
        memcpy(copy, data, n_bytes);
    struct sum whole = read_all(-1, copy, n_bytes);
    if (n_bytes >= 4)
        must(whole.n_packets == 0 || capture_file_is(copy, n_bytes));
    free(copy);

    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, n_bytes) == (ssize_t)n_bytes);
    size_t n_begun = n_bytes / 3;
    must(lseek(fd, (off_t)n_begun, SEEK_SET) == (off_t)n_begun);
    struct sum pieces = read_all(fd, data, n_begun);
    must(pieces.result == whole.result && pieces.n_packets == whole.n_packets && pieces.bytes == whole.bytes);
    must(whole.result == 0 || strcmp(pieces.why.detail, whole.why.detail) == 0);
    return 0;
}
