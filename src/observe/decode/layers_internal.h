/* SPDX-License-Identifier: MIT */
/*
 * Between the files that take a packet apart layer by layer.
 *
 * There is one position (at), which only goes forward: a field is emitted where it stands and moves it by the field's
 * size, so that the fields cover the packet without a gap. What is read is read with bounds: what lies behind the end
 * reads as 0, and a field that is there in part is shown as what is left of it. So no layer has to ask whether its
 * bytes are there.
 */
#ifndef OBSERVE_DECODE_LAYERS_INTERNAL_H
#define OBSERVE_DECODE_LAYERS_INTERNAL_H

#include "observe/decode/decode_internal.h"

#define LAYER_VALUE_SIZE 128
#define LAYER_REMARK_SIZE 128
#define DUMP_ROW_BYTES 16

struct layers {
    const uint8_t *data;
    uint32_t at;  /* the next byte */
    uint32_t end; /* of what the layers so far may hold, as far as it was captured */
    uint32_t n_captured, n_wire;
    uint16_t link_type;
    bool quoted;      /* within the packet that an ICMP error quotes */
    unsigned n_depth; /* IP headers within IP headers */
    const char *layer;
    void (*field)(const struct decode_field *field, void *user);
    void *user;
};

/* Names of layers that an ICMP error may quote. */
#define LAYER_NAME(layers, name) ((layers)->quoted ? "quoted " name : name)

static inline uint32_t left(const struct layers *layers)
{
    return layers->end > layers->at ? layers->end - layers->at : 0;
}

/* Bytes ahead of the position; 0 past the end. */
static inline unsigned peek8(const struct layers *layers, uint32_t ahead)
{
    return ahead < left(layers) ? layers->data[layers->at + ahead] : 0;
}

static inline unsigned peek16(const struct layers *layers, uint32_t ahead)
{
    return peek8(layers, ahead) << 8 | peek8(layers, ahead + 1);
}

static inline uint32_t peek32(const struct layers *layers, uint32_t ahead)
{
    return (uint32_t)peek16(layers, ahead) << 16 | peek16(layers, ahead + 2);
}

/* ---- layers_emit.c */

/* A layer begins, n_bytes long if they are there. Nothing when nothing is there; value may be "". */
void layer_begin(struct layers *layers, const char *name, uint32_t n_bytes, const char *remark, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A field; the position moves. remark may be NULL. */
void layer_field(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A field that shares its n_bytes with the next: the position stays. */
void layer_bits(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Bytes as hex and text, a row for each 16 of them. */
void layer_dump(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark);
/* A checksum field of two bytes. */
void layer_checksum(struct layers *layers, enum checksum_verdict verdict, uint16_t right, const char *unjudged);

#define ADDRESS_TEXT_SIZE 46
/* Of the bytes ahead, n_address of them: 4, 6 or 16. */
void layer_address(const struct layers *layers, uint32_t ahead, uint32_t n_address, char ret_text[ADDRESS_TEXT_SIZE]);

#define COUNT_TEXT_SIZE 24
/* "1 byte", "5 bytes". Returns ret_text. */
const char *count_bytes(uint32_t n_bytes, char ret_text[COUNT_TEXT_SIZE]);

/* ---- names; "unknown" when there is none. Static. */

const char *protocol_name(unsigned version, unsigned protocol);
const char *ether_type_name(unsigned type);

/* ---- layers_link.c, layers_ip.c, layers_transport.c, layers_tcp.c: each emits what it understands, and hands on. */

void layers_link(struct layers *layers);
void layers_ether_type(struct layers *layers, unsigned type);
void layers_ip(struct layers *layers, unsigned version);
/* What ip carries; the position is at ip->transport. */
void layers_udp(struct layers *layers, const struct ip_header *ip);
void layers_icmp(struct layers *layers, const struct ip_header *ip);
void layers_tcp(struct layers *layers, const struct ip_header *ip);
/* The checksum field of what ip carries, whose header has n_header bytes. */
void layers_checksum_of(struct layers *layers, const struct ip_header *ip, uint32_t n_header);
/* What is left of this layer's extent. */
void layers_payload(struct layers *layers, const char *remark);

#endif
