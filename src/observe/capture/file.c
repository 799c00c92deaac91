/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a capture file, in order, and what both formats share.
 *
 * One buffer slides over the file: packets are lent right out of it, and only the piece at its end that is cut in two
 * is moved to the front before the next read. Reading in large pieces costs little more than mapping the file would,
 * works for pipes too, and does not die of SIGBUS when somebody cuts the file shorter meanwhile. A length in the file
 * makes the buffer grow only as far as bytes really come.
 */
#include "observe/capture/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

static int read_more(struct source *source)
{
    for (;;) {
        ssize_t n = read(source->fd, source->buffer + source->end, source->size - source->end);
        if (n >= 0) {
            source->end += (size_t)n;
            return n > 0;
        }
        if (errno == EAGAIN) {
            struct pollfd wait = {.fd = source->fd, .events = POLLIN};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

static int grow(struct source *source)
{
    size_t size = source->size ? 2 * source->size : BUFFER_BYTES;
    uint8_t *buffer = realloc(source->buffer, size);
    if (!buffer)
        return -ENOMEM;
    source->buffer = buffer;
    source->size = size;
    return 0;
}

int source_fill(struct source *source, size_t n_bytes)
{
    if (source->fd < 0)
        return 0;
    if (source->at > 0) {
        memmove(source->buffer, source->buffer + source->at, source->end - source->at);
        source->base += source->at;
        source->end -= source->at;
        source->at = 0;
    }
    while (source->end < n_bytes) {
        int error = source->end == source->size ? grow(source) : 0;
        int result = error < 0 ? error : read_more(source);
        if (result <= 0)
            return result;
    }
    return 1;
}

int source_skip(struct source *source, uint64_t n_bytes)
{
    while (n_bytes > 0) {
        int result = source_need(source, 1);
        if (result <= 0)
            return result;
        size_t n = source->end - source->at;
        if (n > n_bytes)
            n = (size_t)n_bytes;
        source->at += n;
        n_bytes -= n;
    }
    return 1;
}

int file_fails(const struct capture_file *file, int error, uint64_t offset, const char *words,
               struct sonde_why *ret_why)
{
    *ret_why = (struct sonde_why){.code = error, .call = "read"};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", file->name);
    snprintf(ret_why->detail, sizeof ret_why->detail, "at offset %" PRIu64 ": %s", offset, words);
    return error;
}

int file_ends(const struct capture_file *file, int result, struct sonde_why *ret_why)
{
    uint64_t end = file->source.base + file->source.end;
    if (result == 0)
        return file_fails(file, -EPIPE, end, "the file ends in the middle of something", ret_why);
    return file_fails(file, result, end, sonde_strerror(result), ret_why);
}

int file_add_interface(struct capture_file *file, struct file_interface **ret_interface)
{
    if (file->n_interfaces == INTERFACES_MAX)
        return -EOVERFLOW;
    if (file->n_interfaces == file->n_interfaces_room) {
        uint32_t room = file->n_interfaces_room ? 2 * file->n_interfaces_room : 4;
        struct file_interface *more = realloc(file->interfaces, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        file->interfaces = more;
        file->n_interfaces_room = room;
    }
    struct file_interface *interface = &file->interfaces[file->n_interfaces++];
    *interface = (struct file_interface){.tick_factor = 1};
    *ret_interface = interface;
    return 0;
}

/* ---- open */

static uint32_t magic_of(const void *data)
{
    uint32_t magic;
    memcpy(&magic, data, sizeof magic);
    return magic;
}

static bool is_pcap(uint32_t magic)
{
    return magic == PCAP_MICROSECONDS || magic == PCAP_NANOSECONDS || magic == PCAP_MODIFIED;
}

bool capture_file_is(const void *data, size_t n_bytes)
{
    if (n_bytes < 4)
        return false;
    uint32_t magic = magic_of(data);
    if (is_pcap(magic) || is_pcap(__builtin_bswap32(magic)))
        return true;
    if (magic != PCAPNG_SECTION)
        return false;
    if (n_bytes < 12)
        return true;
    uint32_t order = magic_of((const uint8_t *)data + 8);
    return order == PCAPNG_ORDER || order == __builtin_bswap32(PCAPNG_ORDER);
}

static const char *what_else(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes == 0)
        return "the file is empty";
    if (n_bytes >= 2 && data[0] == 0x1f && data[1] == 0x8b)
        return "this is no capture file: it is compressed by gzip, unpack it first";
    if (n_bytes >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0)
        return "this is no capture file: it is compressed by zstd, unpack it first";
    if (n_bytes >= 4 && memcmp(data,
                               "\xfd"
                               "7zX",
                               4) == 0)
        return "this is no capture file: it is compressed by xz, unpack it first";
    return "this is no capture file: neither pcap nor pcapng begins like this";
}

static int begin(struct capture_file *file, struct sonde_why *ret_why)
{
    struct source *source = &file->source;
    int result = source_need(source, 4);
    if (result < 0)
        return file_ends(file, result, ret_why);
    const uint8_t *data = source->buffer ? source->buffer + source->at : NULL;
    size_t n_bytes = source->end - source->at;
    if (result == 0 || !capture_file_is(data, 4))
        return file_fails(file, -EINVAL, 0, what_else(data, n_bytes), ret_why);
    if (magic_of(data) == PCAPNG_SECTION)
        return pcapng_begin(file, ret_why);
    file->swapped = !is_pcap(magic_of(data));
    return pcap_begin(file, ret_why);
}

int capture_file_open_begun(int fd, const char *name, const void *begun, size_t n_begun, struct capture_file **ret_file,
                            struct sonde_why *ret_why)
{
    int error = -ENOMEM;
    struct capture_file *file = calloc(1, sizeof *file);
    if (!file) {
        *ret_why = (struct sonde_why){.code = error, .call = "open"};
        if (fd >= 0)
            close(fd);
        return error;
    }
    file->source.fd = fd;
    snprintf(file->name, sizeof file->name, "%s", name);
    size_t size = fd < 0 || n_begun > BUFFER_BYTES ? n_begun : BUFFER_BYTES;
    file->source.buffer = malloc(size ? size : 1);
    if (file->source.buffer) {
        file->source.size = size;
        file->source.end = n_begun;
        if (n_begun > 0)
            memcpy(file->source.buffer, begun, n_begun);
        error = begin(file, ret_why);
    } else {
        error = file_fails(file, error, 0, sonde_strerror(error), ret_why);
    }
    if (error < 0) {
        capture_file_close(file);
        return error;
    }
    *ret_file = file;
    return 0;
}

int capture_file_open_fd(int fd, const char *name, struct capture_file **ret_file, struct sonde_why *ret_why)
{
    return capture_file_open_begun(fd, name, NULL, 0, ret_file, ret_why);
}

int capture_file_open(const char *path, struct capture_file **ret_file, struct sonde_why *ret_why)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int error = -errno;
        *ret_why = (struct sonde_why){.code = error, .call = "open"};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%s", path);
        return error;
    }
    return capture_file_open_fd(fd, standard ? "standard input" : path, ret_file, ret_why);
}

/* ---- after that */

int capture_file_next(struct capture_file *file, struct packet *ret_packet, struct sonde_why *ret_why)
{
    if (file->error < 0) {
        *ret_why = file->why;
        return file->error;
    }
    int result = file->next(file, ret_packet, ret_why);
    if (result < 0) {
        file->error = result;
        file->why = *ret_why;
    }
    return result;
}

unsigned capture_file_n_interfaces(const struct capture_file *file)
{
    return file->n_interfaces;
}

const char *capture_file_interface_name(const struct capture_file *file, unsigned index)
{
    return index < file->n_interfaces ? file->interfaces[index].name : "";
}

const char *capture_file_interface_description(const struct capture_file *file, unsigned index)
{
    return index < file->n_interfaces ? file->interfaces[index].description : "";
}

uint64_t capture_file_n_dropped(const struct capture_file *file)
{
    uint64_t n_dropped = 0;
    for (uint32_t i = 0; i < file->n_interfaces; i++) {
        /* Two ways to say the same. */
        const struct file_interface *interface = &file->interfaces[i];
        uint64_t said = interface->n_dropped_said, summed = interface->n_dropped_summed;
        n_dropped += said > summed ? said : summed;
    }
    return n_dropped;
}

void capture_file_close(struct capture_file *file)
{
    if (!file)
        return;
    if (file->source.fd >= 0)
        close(file->source.fd);
    free(file->source.buffer);
    free(file->interfaces);
    free(file->comment);
    free(file);
}
