/* SPDX-License-Identifier: MIT */
/*
 * pcapng: one section of this machine's byte order, an interface block for each interface, stamps in nanoseconds, and
 * comments as options of the packets. Everything goes through one buffer. After the first error nothing more is
 * written, and every call returns that error.
 */
#include "observe/capture/writer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)256 << 10)
#define TEXT_BYTES_MAX 65532 /* an option's length has 16 bits, and is padded to four */
#define NAME_BYTES_MAX 255
#define INTERFACES_MAX 65536

#define SECTION_BLOCK UINT32_C(0x0a0d0d0a)
#define INTERFACE_BLOCK 1u
#define STATISTICS_BLOCK 5u
#define PACKET_BLOCK 6u

#define BYTE_ORDER_MAGIC UINT32_C(0x1a2b3c4d)
#define OPTION_END 0
#define OPTION_COMMENT 1
#define OPTION_FLAGS 2
#define OPTION_IF_NAME 2
#define OPTION_IF_DESCRIPTION 3
#define OPTION_IF_RESOLUTION 9
#define OPTION_START 2
#define OPTION_STOP 3
#define OPTION_RECEIVED 4
#define OPTION_DROPPED 5
#define OPTION_PROGRAM 4

#define RESOLUTION_NS 9
#define FLAG_CHECKSUM_LEFT (1u << 9)

struct written_interface {
    uint64_t first_ns, last_ns;
    bool used;
};

struct capture_writer {
    int fd;
    int error;
    size_t n_buffered;
    struct written_interface *interfaces;
    uint32_t n_interfaces;
    char text[TEXT_BYTES_MAX]; /* of the option in hand */
    uint8_t buffer[BUFFER_BYTES];
};

/* ---- bytes */

static void write_out(struct capture_writer *writer, const void *data, size_t n_bytes)
{
    const uint8_t *at = data;
    while (n_bytes > 0 && writer->error == 0) {
        ssize_t n = write(writer->fd, at, n_bytes);
        if (n >= 0) {
            at += n;
            n_bytes -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = writer->fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            writer->error = -errno;
        }
    }
}

static void empty_buffer(struct capture_writer *writer)
{
    write_out(writer, writer->buffer, writer->n_buffered);
    writer->n_buffered = 0;
}

static void put(struct capture_writer *writer, const void *data, size_t n_bytes)
{
    if (writer->n_buffered + n_bytes > BUFFER_BYTES)
        empty_buffer(writer);
    if (n_bytes > BUFFER_BYTES) {
        write_out(writer, data, n_bytes);
    } else if (n_bytes > 0) {
        memcpy(writer->buffer + writer->n_buffered, data, n_bytes);
        writer->n_buffered += n_bytes;
    }
}

static uint32_t padded(uint32_t n_bytes)
{
    return (n_bytes + 3) & ~UINT32_C(3);
}

static void put_padded(struct capture_writer *writer, const void *data, uint32_t n_bytes)
{
    static const uint8_t zeros[4];
    put(writer, data, n_bytes);
    put(writer, zeros, padded(n_bytes) - n_bytes);
}

static void put_16(struct capture_writer *writer, uint16_t value)
{
    put(writer, &value, sizeof value);
}

static void put_32(struct capture_writer *writer, uint32_t value)
{
    put(writer, &value, sizeof value);
}

/* High half first, whatever the byte order. */
static void put_stamp(struct capture_writer *writer, uint64_t ns)
{
    put_32(writer, (uint32_t)(ns >> 32));
    put_32(writer, (uint32_t)ns);
}

static void put_option(struct capture_writer *writer, uint16_t code, const void *value, uint32_t n_bytes)
{
    put_16(writer, code);
    put_16(writer, (uint16_t)n_bytes);
    put_padded(writer, value, n_bytes);
}

static uint32_t option_bytes(uint32_t n_value)
{
    return 4 + padded(n_value);
}

#define OPTION_END_BYTES 4

/* ---- blocks */

static void put_section(struct capture_writer *writer)
{
    static const char program[] = "sonde " SONDE_VERSION_STRING;
    static const uint64_t length_unknown = UINT64_MAX;
    uint32_t n_program = sizeof program - 1, n_block = 28 + option_bytes(n_program) + OPTION_END_BYTES;
    put_32(writer, SECTION_BLOCK);
    put_32(writer, n_block);
    put_32(writer, BYTE_ORDER_MAGIC);
    put_16(writer, 1);
    put_16(writer, 0);
    put(writer, &length_unknown, sizeof length_unknown);
    put_option(writer, OPTION_PROGRAM, program, n_program);
    put_option(writer, OPTION_END, NULL, 0);
    put_32(writer, n_block);
}

int capture_writer_open(const char *path, struct capture_writer **ret_writer, struct sonde_why *ret_why)
{
    bool standard = strcmp(path, "-") == 0;
    /* What a capture holds is nobody else's business, as long as its owner does not say otherwise. */
    int fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                      : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = fd < 0 ? -errno : 0;
    struct capture_writer *writer = error ? NULL : malloc(sizeof *writer);
    if (!writer) {
        if (fd >= 0) {
            close(fd);
            error = -ENOMEM;
        }
        *ret_why = (struct sonde_why){.code = error, .call = "open"};
        strncpy(ret_why->subject, path, sizeof ret_why->subject - 1);
        return error;
    }
    writer->fd = fd;
    writer->error = 0;
    writer->n_buffered = 0;
    writer->interfaces = NULL;
    writer->n_interfaces = 0;
    put_section(writer);
    *ret_writer = writer;
    return 0;
}

static int make_room(struct capture_writer *writer)
{
    if (writer->n_interfaces == INTERFACES_MAX)
        return -EOVERFLOW;
    uint32_t n = writer->n_interfaces;
    if ((n & (n - 1)) == 0) {
        struct written_interface *more = realloc(writer->interfaces, (n ? 2 * (size_t)n : 1) * sizeof *more);
        if (!more)
            return -ENOMEM;
        writer->interfaces = more;
    }
    writer->interfaces[n] = (struct written_interface){.used = false};
    return 0;
}

int capture_writer_described(struct capture_writer *writer, const char *name, const char *description,
                             uint16_t link_type, uint32_t snap_bytes)
{
    static const uint8_t resolution = RESOLUTION_NS;
    int error = writer->error < 0 ? writer->error : make_room(writer);
    if (error < 0)
        return error;

    char *about = writer->text + NAME_BYTES_MAX + 1;
    uint32_t n_name = (uint32_t)utf8_make_valid(name, writer->text, NAME_BYTES_MAX);
    uint32_t n_about = (uint32_t)utf8_make_valid(description ? description : "", about, NAME_BYTES_MAX);
    uint32_t n_block = 20 + (n_name ? option_bytes(n_name) : 0) + (n_about ? option_bytes(n_about) : 0) +
                       option_bytes(1) + OPTION_END_BYTES;
    put_32(writer, INTERFACE_BLOCK);
    put_32(writer, n_block);
    put_16(writer, link_type);
    put_16(writer, 0);
    put_32(writer, snap_bytes);
    if (n_name > 0)
        put_option(writer, OPTION_IF_NAME, writer->text, n_name);
    if (n_about > 0)
        put_option(writer, OPTION_IF_DESCRIPTION, about, n_about);
    put_option(writer, OPTION_IF_RESOLUTION, &resolution, 1);
    put_option(writer, OPTION_END, NULL, 0);
    put_32(writer, n_block);
    if (writer->error < 0)
        return writer->error;
    return (int)writer->n_interfaces++;
}

int capture_writer_interface(struct capture_writer *writer, const char *name, uint16_t link_type, uint32_t snap_bytes)
{
    return capture_writer_described(writer, name, NULL, link_type, snap_bytes);
}

static void note_stamp(struct written_interface *interface, uint64_t ns)
{
    if (!interface->used || ns < interface->first_ns)
        interface->first_ns = ns;
    if (!interface->used || ns > interface->last_ns)
        interface->last_ns = ns;
    interface->used = true;
}

int capture_writer_packet(struct capture_writer *writer, const struct packet *packet, const char *comment)
{
    if (writer->error < 0)
        return writer->error;
    if (packet->interface >= writer->n_interfaces || packet->n_captured > UINT32_MAX / 2)
        return -EINVAL;
    uint64_t ns = packet->realtime_ns > 0 ? (uint64_t)packet->realtime_ns : 0;
    note_stamp(&writer->interfaces[packet->interface], ns);

    uint32_t n_comment = comment ? (uint32_t)utf8_make_valid(comment, writer->text, TEXT_BYTES_MAX) : 0;
    uint32_t flags = packet->direction | (packet->checksum_left ? FLAG_CHECKSUM_LEFT : 0);
    uint32_t n_options = (n_comment ? option_bytes(n_comment) : 0) + (flags ? option_bytes(sizeof flags) : 0);
    if (n_options > 0)
        n_options += OPTION_END_BYTES;
    uint32_t n_block = 32 + padded(packet->n_captured) + n_options;

    put_32(writer, PACKET_BLOCK);
    put_32(writer, n_block);
    put_32(writer, packet->interface);
    put_stamp(writer, ns);
    put_32(writer, packet->n_captured);
    put_32(writer, packet->n_wire);
    put_padded(writer, packet->data, packet->n_captured);
    if (n_comment > 0)
        put_option(writer, OPTION_COMMENT, writer->text, n_comment);
    if (flags)
        put_option(writer, OPTION_FLAGS, &flags, sizeof flags);
    if (n_options > 0)
        put_option(writer, OPTION_END, NULL, 0);
    put_32(writer, n_block);
    return writer->error;
}

static void put_stamp_option(struct capture_writer *writer, uint16_t code, uint64_t ns)
{
    uint32_t halves[2] = {(uint32_t)(ns >> 32), (uint32_t)ns};
    put_option(writer, code, halves, sizeof halves);
}

int capture_writer_statistics(struct capture_writer *writer, uint32_t interface, uint64_t n_received,
                              uint64_t n_dropped)
{
    if (writer->error < 0)
        return writer->error;
    if (interface >= writer->n_interfaces)
        return -EINVAL;
    const struct written_interface *written = &writer->interfaces[interface];
    uint32_t n_block = 24 + (written->used ? 4u : 2u) * option_bytes(8) + OPTION_END_BYTES;
    put_32(writer, STATISTICS_BLOCK);
    put_32(writer, n_block);
    put_32(writer, interface);
    put_stamp(writer, written->used ? written->last_ns : 0);
    if (written->used) {
        put_stamp_option(writer, OPTION_START, written->first_ns);
        put_stamp_option(writer, OPTION_STOP, written->last_ns);
    }
    put_option(writer, OPTION_RECEIVED, &n_received, sizeof n_received);
    put_option(writer, OPTION_DROPPED, &n_dropped, sizeof n_dropped);
    put_option(writer, OPTION_END, NULL, 0);
    put_32(writer, n_block);
    return writer->error;
}

int capture_writer_flush(struct capture_writer *writer)
{
    empty_buffer(writer);
    return writer->error;
}

int capture_writer_close(struct capture_writer *writer)
{
    if (!writer)
        return 0;
    empty_buffer(writer);
    int error = writer->error;
    if (close(writer->fd) < 0 && error == 0 && errno != EINTR)
        error = -errno;
    free(writer->interfaces);
    free(writer);
    return error;
}
