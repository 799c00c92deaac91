/* SPDX-License-Identifier: MIT */
/* Between the files of this folder: bytes with their bounds, and what one IP header says. */
#ifndef OBSERVE_DECODE_DECODE_INTERNAL_H
#define OBSERVE_DECODE_DECODE_INTERNAL_H

#include "observe/decode/decode.h"

#include <endian.h>
#include <string.h>

/* Link types, as capture files number them. */
enum link_type {
    TYPE_NULL = 0,
    TYPE_ETHERNET = 1,
    TYPE_RAW_OPENBSD = 12,
    TYPE_RAW_BSDOS = 14,
    TYPE_RAW = 101,
    TYPE_LOOP = 108,
    TYPE_LINUX_SLL = 113,
    TYPE_IPV4 = 228,
    TYPE_IPV6 = 229,
    TYPE_LINUX_SLL2 = 276,
};

enum ether_type {
    ETHER_LENGTHS_BELOW = 0x600, /* the field is a length, and LLC follows */
    ETHER_IPV4 = 0x0800,
    ETHER_ARP = 0x0806,
    ETHER_VLAN = 0x8100,
    ETHER_IPV6 = 0x86dd,
    ETHER_VLAN_SERVICE = 0x88a8,
    ETHER_VLAN_OLD = 0x9100,
};

enum {
    ETHERNET_BYTES = 14,
    VLAN_BYTES = 4,
    SLL_BYTES = 16,
    SLL2_BYTES = 20,
    FAMILY_BYTES = 4,
    ARP_FIXED_BYTES = 8,
    ARP_IPV4_BYTES = 28,
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    IPV6_FRAGMENT_BYTES = 8,
    TCP_BYTES = 20,
    UDP_BYTES = 8,
    ICMP_BYTES = 8,
    GRE_BYTES = 4,
};

#define BYTES_MAX 0x40000000u /* of a packet; sums of two such offsets still fit */

struct bytes {
    const uint8_t *data;
    uint32_t n_captured, n_wire; /* n_wire >= n_captured */
};

static inline uint16_t be16(const uint8_t *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return be16toh(value);
}

static inline uint32_t be32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return be32toh(value);
}

static inline uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline bool is_vlan(unsigned ether_type)
{
    return ether_type == ETHER_VLAN || ether_type == ETHER_VLAN_SERVICE || ether_type == ETHER_VLAN_OLD;
}

/* What to call it when bytes are wanted that are not there. */
static inline uint16_t trouble_of_end(const struct bytes *bytes)
{
    return bytes->n_captured < bytes->n_wire ? DECODE_CUT : DECODE_SHORT;
}

/* ---- link.c */

struct link_end {
    uint32_t offset;  /* where the network layer begins */
    unsigned version; /* of IP; 0: it is something else */
};

/* False: the link layer was not understood, or is not whole; ret_decoded's trouble says so. */
bool link_decode(uint16_t link_type, const struct bytes *bytes, struct decoded *ret_decoded, struct link_end *ret_end);
/* IP version that a family word of the BSDs means, in either byte order; 0: none. */
unsigned link_family_version(const uint8_t *word);

/* ---- ip.c */

/* One IP header with what is between it and its payload. Offsets are into the packet. */
struct ip_header {
    uint8_t version, protocol, ttl, traffic_class;
    bool is_fragment, more_fragments;
    bool routed;       /* its destination is only a stop on the way: the pseudo header has another */
    bool frame_length; /* it says 0, the frame's length was taken */
    bool whole;        /* all headers are there, up to what it carries */
    uint16_t trouble;
    uint32_t offset, header_bytes; /* without extension headers */
    uint32_t transport;            /* what it carries; if not whole: as far as its headers were understood */
    uint32_t end;                  /* as the header says: may be past what was captured */
    uint32_t id, fragment_offset;
    uint32_t fragment_data; /* where a fragment's part of the packet begins */
    uint32_t fragment_next; /* IPv6: offset of the byte that says that a fragment header follows, */
    uint32_t fragment_at;   /* ... and of that header */
    const uint8_t *source, *destination;
};

/* version: 4 or 6. wire_end: where the bytes end that could be its. False: it is not even IP; trouble is set all the
 * same. */
bool ip_parse(const struct bytes *bytes, uint32_t at, uint32_t wire_end, unsigned version, struct ip_header *ret_ip);
/* Are the bytes up to end there, within the IP packet? If not, *trouble says why. */
bool ip_has(const struct bytes *bytes, const struct ip_header *ip, uint32_t end, uint16_t *trouble);

/* What a GRE header is followed by. */
struct gre {
    uint32_t n_bytes;
    unsigned ether_type;
};

/* False: not there, or not version 0; *trouble says why. */
bool gre_parse(const struct bytes *bytes, const struct ip_header *ip, struct gre *ret_gre, uint16_t *trouble);

/* ---- checksum.c */

enum checksum_verdict {
    CHECKSUM_UNJUDGED, /* cut, or a fragment */
    CHECKSUM_GOOD,
    CHECKSUM_BAD,
    CHECKSUM_PARTIAL, /* left to the card */
    CHECKSUM_NONE,    /* UDP without one */
};

/* The ones' complement sum of bytes, folded; not complemented. */
uint16_t checksum_sum(const void *data, size_t n_bytes);
/* Of IPv4's header, all of which has to be there. */
enum checksum_verdict checksum_judge_ipv4(const uint8_t *header, size_t n_bytes, uint16_t *ret_right);
/* Of what ip carries, TCP, UDP, ICMP or ICMPv6, whose header has to be there. */
enum checksum_verdict checksum_judge(const struct bytes *bytes, const struct ip_header *ip, uint16_t *ret_right);

/* ---- tcp.c, icmp.c: ret_decoded's depth becomes DECODE_TRANSPORT when the header is whole. */

enum tcp_option_kind {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_WINDOW_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
    OPTION_MD5 = 19,
    OPTION_USER_TIMEOUT = 28,
    OPTION_AO = 29,
    OPTION_MPTCP = 30,
    OPTION_FAST_OPEN = 34,
    OPTION_ACCECN0 = 172,
    OPTION_ACCECN1 = 174,
    OPTION_EXPERIMENT_1 = 253,
    OPTION_EXPERIMENT_2 = 254,
};

enum tcp_experiment {
    EXPERIMENT_FAST_OPEN = 0xf989,
    EXPERIMENT_ACCECN0 = 0xacc0,
    EXPERIMENT_ACCECN1 = 0xacc1,
    EXPERIMENT_ACCECN = 0xacce,
};

#define WINDOW_SCALE_MAX 14 /* RFC 7323, 2.3: more is taken as this */

struct tcp_option {
    unsigned kind;
    unsigned n_bytes; /* with kind and length */
    bool size_wrong;  /* for its kind */
    const uint8_t *value;
};

/* The option at options, of which n_bytes are left; false: its length makes no sense, and nothing behind it can be
 * found. */
bool tcp_option_parse(const uint8_t *options, size_t n_bytes, struct tcp_option *ret_option);
void tcp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded);
void udp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded);
void icmp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded);

/* Does this type quote the packet that it is about? */
bool icmp_type_quotes(unsigned version, unsigned type);
bool icmp_type_is_echo(unsigned version, unsigned type);
/* Where it tells the next hop's MTU: ICMP's "fragmentation needed", ICMPv6's "packet too big". */
bool icmp_tells_mtu(unsigned version, unsigned type, unsigned code);

#endif
