/* SPDX-License-Identifier: MIT */
/*
 * pcap: a header, then records, all in the byte order of the machine that wrote it. Variants: nanoseconds, and the
 * "modified" one with eight bytes more in each record, which say the interface and the direction. Versions before 2.3
 * wrote a record's two lengths in the other order, and 2.3 sometimes did.
 */
#include "observe/capture/file_internal.h"

#include <errno.h>

#define HEADER_BYTES 24
#define RECORD_BYTES 16
#define RECORD_MODIFIED_BYTES 24
#define MODIFIED_PACKET_TYPE 22 /* as in packet(7): 4 is outgoing */
#define MODIFIED_OUTGOING 4

static int pcap_next(struct capture_file *file, struct packet *ret_packet, struct sonde_why *ret_why)
{
    struct source *source = &file->source;
    uint32_t n_header = file->modified ? RECORD_MODIFIED_BYTES : RECORD_BYTES;
    int result = source_need(source, n_header);
    if (result == 0 && source->at == source->end)
        return 0;
    if (result <= 0)
        return file_ends(file, result, ret_why);

    const uint8_t *record = source->buffer + source->at;
    uint32_t n_captured = get_32(file, record + 8), n_wire = get_32(file, record + 12);
    if (file->lengths_swap || (file->lengths_may_swap && n_captured > n_wire)) {
        uint32_t other = n_captured;
        n_captured = n_wire;
        n_wire = other;
    }
    if (n_captured > PACKET_BYTES_MAX)
        return file_fails(file, -EINVAL, source_offset(source), "a packet of more than 256 MiB; the file is damaged",
                          ret_why);
    result = source_need(source, (size_t)n_header + n_captured);
    if (result <= 0)
        return file_ends(file, result, ret_why);

    record = source->buffer + source->at;
    uint64_t fraction = get_32(file, record + 4);
    *ret_packet = (struct packet){
        .number = ++file->n_packets,
        .realtime_ns =
            (int64_t)(get_32(file, record) * NS_PER_SECOND + (file->nanoseconds ? fraction : fraction * 1000)),
        .data = record + n_header,
        .n_captured = n_captured,
        .n_wire = n_wire > n_captured ? n_wire : n_captured,
        .link_type = file->interfaces[0].link_type,
    };
    if (file->modified)
        ret_packet->direction = record[MODIFIED_PACKET_TYPE] == MODIFIED_OUTGOING ? PACKET_OUT : PACKET_IN;
    source->at += (size_t)n_header + n_captured;
    return 1;
}

int pcap_begin(struct capture_file *file, struct sonde_why *ret_why)
{
    struct source *source = &file->source;
    int result = source_need(source, HEADER_BYTES);
    if (result <= 0)
        return file_ends(file, result, ret_why);
    const uint8_t *header = source->buffer + source->at;
    uint32_t magic = get_32(file, header);
    uint16_t major = get_16(file, header + 4), minor = get_16(file, header + 6);
    if (major != 2 && major != 543)
        return file_fails(file, -EINVAL, source_offset(source) + 4, "a version of pcap that is not known", ret_why);
    file->nanoseconds = magic == PCAP_NANOSECONDS;
    file->modified = magic == PCAP_MODIFIED;
    file->lengths_swap = major == 543 || minor < 3;
    file->lengths_may_swap = major == 2 && minor == 3;

    struct file_interface *interface;
    int error = file_add_interface(file, &interface);
    if (error < 0)
        return file_fails(file, error, 0, sonde_strerror(error), ret_why);
    interface->snap_bytes = get_32(file, header + 16);
    /* The upper half says how long the frame check sequence is. */
    interface->link_type = (uint16_t)get_32(file, header + 20);
    source->at += HEADER_BYTES;
    file->next = pcap_next;
    return 0;
}
