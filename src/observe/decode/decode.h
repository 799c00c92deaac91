/* SPDX-License-Identifier: MIT */
/*
 * Packet bytes into headers. Pure, never reads outside the bytes it is given, never trusts a length in them.
 *
 * decode_packet is for whoever goes through many packets: one struct, nothing allocated. decode_layers is for whoever
 * looks at one: every layer and field with its byte offset.
 */
#ifndef OBSERVE_DECODE_DECODE_H
#define OBSERVE_DECODE_DECODE_H

#include "observe/event/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As far as it was understood. */
enum decode_depth {
    DECODE_NOTHING,   /* not even the link layer */
    DECODE_LINK,      /* no IP in it, or none that is understood (ARP: network is DECODE_ARP) */
    DECODE_NETWORK,   /* IP, and what it carries is something else, or is cut, or a fragment that is not the first */
    DECODE_TRANSPORT, /* TCP, UDP, ICMP or ICMPv6 with its header whole; of TCP's options the capture may miss some */
};

enum decode_network { DECODE_NO_NETWORK, DECODE_IPV4, DECODE_IPV6, DECODE_ARP };

/* What is wrong with the bytes. */
#define DECODE_CUT 1u               /* the capture ends before the packet does */
#define DECODE_SHORT 2u             /* the packet ends before its headers do, or lengths contradict each other */
#define DECODE_FRAGMENT 4u          /* an IP fragment: fragment_offset and more_fragments say which */
#define DECODE_CHECKSUM_BAD 8u      /* only when checked */
#define DECODE_CHECKSUM_PARTIAL 16u /* the TCP or UDP checksum is just that of the pseudo header: left to the card */
#define DECODE_OPTIONS_BAD 32u      /* TCP options that contradict themselves */
#define DECODE_TUNNEL 64u           /* what is described is inside another IP packet (IP in IP, GRE): the innermost */

/* An address as it stands in the packet; IPv4 in the first four bytes, the rest zero. */
struct decode_address {
    uint8_t bytes[16];
};

struct decoded {
    uint8_t depth;    /* enum decode_depth */
    uint8_t network;  /* enum decode_network */
    uint8_t protocol; /* IPPROTO_..., behind extension headers */
    uint8_t ttl;
    uint16_t trouble; /* DECODE_... */
    uint16_t n_vlans;
    uint16_t vlan[2]; /* ids, outermost first */
    uint16_t ether_type;

    struct decode_address source, destination;
    uint32_t ip_id; /* IPv4, and IPv6 with a fragment header */
    uint32_t fragment_offset;
    bool more_fragments;
    uint8_t traffic_class; /* DSCP and ECN */

    uint32_t network_offset, transport_offset, payload_offset; /* into the data; of layers that were reached */
    uint32_t ip_bytes;                                         /* of the whole IP packet, as its header says (or GSO:
                                                                  as the frame says, where the header says 0) */

    uint16_t source_port, destination_port; /* TCP, UDP */

    /* TCP */
    uint32_t seq, ack;
    uint16_t flags; /* SEGMENT_... */
    uint16_t window;
    uint16_t urgent;
    uint16_t checksum;
    uint8_t tcp_header_bytes;
    struct segment_options options; /* sack[] holds raw numbers here */

    /* ICMP */
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_mtu;
    bool icmp_quotes; /* an error that quotes a packet: the members below describe that */
    uint8_t quoted_protocol;
    struct decode_address quoted_source, quoted_destination;
    uint16_t quoted_source_port, quoted_destination_port;
    uint32_t quoted_seq;
    bool quoted_has_seq;
    bool quoted_has_datagram;  /* UDP: length and checksum are there */
    uint16_t quoted_n_payload; /* UDP */
    uint16_t quoted_checksum;  /* UDP */
    uint32_t quoted_ip_id;
    uint16_t echo_id, echo_sequence;

    /* TCP, UDP: what they carry. n_payload is as sent, as the IP header says even if the frame is shorter
     * (DECODE_SHORT), of which n_payload_captured bytes are at payload (NULL: none are). Of a first fragment: its part.
     */
    const uint8_t *payload;
    uint32_t n_payload, n_payload_captured;
};

#define DECODE_CHECK_CHECKSUMS 1u

/* link_type as capture files number them. Returns the depth, which is also in *ret_decoded, filled in as far as that
 * says. n_wire >= n_captured. */
enum decode_depth decode_packet(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire, unsigned flags,
                                struct decoded *ret_decoded);

/* Is this a link type that is understood? */
bool decode_knows_link(uint16_t link_type);

/* "port unreachable", "time exceeded in transit", "packet too big"; "type 40 code 0" is written into the buffer.
 * Never NULL. */
const char *decode_icmp_words(unsigned version, unsigned type, unsigned code, char buffer[32]);

/* ---- IP fragments put together again: bounded to DECODE_REASSEMBLIES_MAX packets at once and 64 KiB each; the oldest
 *      is given up for a new one. Time is the packets' own. */

#define DECODE_REASSEMBLIES_MAX 64
#define DECODE_REASSEMBLY_NS (30 * NS_PER_S)

struct reassembly;

struct reassembly *reassembly_new(void); /* NULL: no memory */
void reassembly_free(struct reassembly *reassembly);
/* One fragment, decoded with DECODE_FRAGMENT, from data. True: its packet is whole, and *ret_decoded describes it, its
 * checksums judged; the bytes it points to are lent until the next call. Its offsets count from the IP header, which is
 * payload_offset bytes before payload. What does not help, a copy of a fragment that is there, say, changes nothing. */
bool reassembly_add(struct reassembly *reassembly, int64_t t_ns, const struct decoded *fragment, const void *data,
                    size_t n_captured, struct decoded *ret_decoded);
/* Packets given up: too old, too many, overlapping, too large. */
uint64_t reassembly_n_lost(const struct reassembly *reassembly);

/* ---- layer by layer */

struct decode_field {
    uint32_t offset, n_bytes; /* in the packet; fields that share bytes have the same offset and size */
    const char *layer;        /* "Ethernet", "VLAN", "IPv4", "TCP", "payload" */
    const char *name;         /* "destination"; NULL: the row of the layer itself, with its header's whole extent */
    const char *value;        /* as people read it: "127.0.0.1", "S.", "0x1a2b (bad, should be 0x1a2c)"; may be "" */
    const char *remark;       /* what it means: "next hop's, not the peer's"; NULL: none */
};

/* Every layer and field, in the packet's order. Texts are printable ASCII, whatever the packet holds, and lent for the
 * call. The fields cover the bytes captured from the first to the last, without a gap: what is not understood is shown
 * too, 16 bytes at a time. When the capture has cut the packet, a last row of the layer "not captured" says how much is
 * missing. */
void decode_layers(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire,
                   void (*field)(const struct decode_field *field, void *user), void *user);

#define DECODE_LINE_SIZE 320

/* The same as lines of text, without their newlines: offset and size in decimal, then the layer, or the field, its
 * value and remark.
 *
 *   0000   14  Ethernet                                     from hop to hop
 *   0000    6    destination           00:00:00:00:00:00    the loopback interface has none
 */
void decode_layers_text(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire,
                        void (*line)(const char *text, void *user), void *user);

#endif
