/* SPDX-License-Identifier: MIT */
/*
 * Packets, from a file or an interface, and into a file. What is in them is not looked at here.
 */
#ifndef OBSERVE_CAPTURE_CAPTURE_H
#define OBSERVE_CAPTURE_CAPTURE_H

#include <sonde/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Link types, as pcap files number them (tcpdump.org/linktypes.html). */
#define LINK_NULL 0
#define LINK_ETHERNET 1
#define LINK_RAW_OPENBSD 12
#define LINK_RAW_BSDOS 14
#define LINK_RAW 101
#define LINK_LOOP 108
#define LINK_LINUX_SLL 113
#define LINK_IPV4 228
#define LINK_IPV6 229
#define LINK_LINUX_SLL2 276

enum packet_direction { PACKET_UNKNOWN, PACKET_IN, PACKET_OUT };

/* One packet. Its bytes and comment are lent until the next call on where it comes from. */
struct packet {
    uint64_t number;     /* from 1 */
    int64_t realtime_ns; /* since the epoch, as it was stamped */
    const uint8_t *data;
    uint32_t n_captured; /* bytes of data */
    uint32_t n_wire;     /* bytes that it had; more than n_captured when the capture cut it */
    uint16_t link_type;  /* LINK_... or another */
    uint8_t direction;   /* enum packet_direction */
    bool checksum_left;  /* the kernel says that the checksum was left to the card */
    uint32_t interface;  /* index into the capture's interfaces */
    const char *comment; /* pcapng; NULL: none. Raw bytes of who knows whom, NUL-terminated */
};

/* ---- files: pcap (both byte orders, micro- and nanoseconds) and pcapng (all sections, several interfaces, any
 *      timestamp resolution and offset), told apart by their first bytes. Read in bounded memory, from a file or a
 *      pipe. */

struct capture_file;

/* "-": standard input. why->call is "open" or "read"; -EINVAL with a detail that names the offset when it is no capture
 * file. */
int capture_file_open(const char *path, struct capture_file **ret_file, struct sonde_why *ret_why);
/* From a descriptor, which it then owns, also when it fails. */
int capture_file_open_fd(int fd, const char *name, struct capture_file **ret_file, struct sonde_why *ret_why);
/* The same for a descriptor whose first bytes were read already: they are copied. fd -1: there are no more. */
int capture_file_open_begun(int fd, const char *name, const void *begun, size_t n_begun, struct capture_file **ret_file,
                            struct sonde_why *ret_why);
/* 1: a packet; 0: the end; negative: it goes no further, and ret_why names the offset. A file that ends within a packet
 * gives all before it, then -EPIPE. */
int capture_file_next(struct capture_file *file, struct packet *ret_packet, struct sonde_why *ret_why);
unsigned capture_file_n_interfaces(const struct capture_file *file);
/* Lent until close; "" when it has none. */
const char *capture_file_interface_name(const struct capture_file *file, unsigned index);
const char *capture_file_interface_description(const struct capture_file *file, unsigned index);
/* Packets dropped while it was captured, as the file itself says (pcapng statistics); 0 when it does not. */
uint64_t capture_file_n_dropped(const struct capture_file *file);
/* Is this the beginning of a capture file? n_bytes >= 4. (Otherwise it may be recorded events.) */
bool capture_file_is(const void *data, size_t n_bytes);
void capture_file_close(struct capture_file *file);

/* ---- writing pcapng */

struct capture_writer;

int capture_writer_open(const char *path, struct capture_writer **ret_writer, struct sonde_why *ret_why);
/* Returns the interface's index, or a negative error. Timestamps are in nanoseconds. */
int capture_writer_interface(struct capture_writer *writer, const char *name, uint16_t link_type, uint32_t snap_bytes);
/* The same with a description; NULL or "": it has none. */
int capture_writer_described(struct capture_writer *writer, const char *name, const char *description,
                             uint16_t link_type, uint32_t snap_bytes);
/* packet->interface is an index that capture_writer_interface gave; comment may be NULL (packet's own is not taken). */
int capture_writer_packet(struct capture_writer *writer, const struct packet *packet, const char *comment);
int capture_writer_statistics(struct capture_writer *writer, uint32_t interface, uint64_t n_received,
                              uint64_t n_dropped);
int capture_writer_flush(struct capture_writer *writer);
/* Write what is left and close. The first error of all its life, or 0. */
int capture_writer_close(struct capture_writer *writer);

/* ---- capture filters (pcap-filter(7)), compiled by libpcap, which is opened for it */

struct capture_filter;

/* For packets of this link type at first; for others it is compiled when they come. snap_bytes 0: 262144. -EINVAL: the
 * filter (why->detail is libpcap's words, why->call "filter"); -ENOENT: there is no libpcap. */
int capture_filter_compile(const char *text, uint16_t link_type, uint32_t snap_bytes,
                           struct capture_filter **ret_filter, struct sonde_why *ret_why);
/* False, too, where the filter makes no sense for the packet's link type. */
bool capture_filter_matches(struct capture_filter *filter, const struct packet *packet);
void capture_filter_free(struct capture_filter *filter);

/* ---- live: a packet socket with a memory-mapped ring (packet(7), TPACKET_V3). Opening one takes CAP_NET_RAW: it is
 *      tried directly, then asked of the helper sonde-capture, which opens the socket, hands it over and exits. On the
 *      loopback interface each packet is seen once: when it is sent. */

struct capture_live;

struct capture_live_options {
    const char *interface; /* "lo", "any"; NULL: any */
    const char *filter;    /* pcap-filter(7), compiled by libpcap; NULL: everything */
    uint32_t snap_bytes;   /* 0: whole packets, up to 127 KiB */
    uint32_t buffer_bytes; /* 0: 16 MiB */
    const char *helper;    /* path of sonde-capture; NULL: beside the program, then where it is installed */
};

/* Errors: -EPERM: neither we nor the helper may (why->detail is the command that would permit it, nothing else: "sudo
 * setcap cap_net_raw+ep /usr/local/libexec/sonde-capture", with the path of the helper that was found or would be);
 * -ENODEV; -EINVAL: the filter (why->call is "filter", why->detail libpcap's words), which is looked at before rights
 * are asked for; -ETIMEDOUT, -EPROTO: the helper is not what it should be. The interface is not made promiscuous. */
int capture_live_open(const struct capture_live_options *options, struct capture_live **ret_live,
                      struct sonde_why *ret_why);
/* LINK_ETHERNET, LINK_RAW for interfaces without a link header (tun), LINK_LINUX_SLL2 for "any" and all others. */
uint16_t capture_live_link_type(const struct capture_live *live);
/* Becomes readable when there are packets, at the latest 10 ms after the first. */
int capture_live_fd(const struct capture_live *live);
/* 1: a packet; 0: none at the moment, or many did not match: wait for the descriptor, and ask again; -ENODEV: the
 * interface is gone. That does not always wake a waiter: ask once in a while. An interface that is down may come up. */
int capture_live_next(struct capture_live *live, struct packet *ret_packet);
/* Since it was opened: packets that the buffer took, and those that it had no room for. Of those that match, unless
 * the filter has to be applied behind the buffer (VLAN tags; lengths with "any"): then of all. */
void capture_live_counts(struct capture_live *live, uint64_t *ret_n_received, uint64_t *ret_n_dropped);
/* Name of a packet's interface ("lo"); "?". Of a named interface's packets, all are of interface 0; with "any", they
 * are numbered as they appear. Lent until close. */
const char *capture_live_interface_name(struct capture_live *live, uint32_t interface);
void capture_live_close(struct capture_live *live);

#endif
