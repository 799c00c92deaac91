/* SPDX-License-Identifier: MIT */
/* TCP over IPv4 as a capture has it, made by hand, for the tests of tracing. Numbers count from each end's ISN. */
#ifndef PACKET_MAKE_H
#define PACKET_MAKE_H

#include "observe/capture/capture.h"
#include "observe/event/event.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

enum { F = SEGMENT_FIN, S = SEGMENT_SYN, R = SEGMENT_RST, P = SEGMENT_PSH, K = SEGMENT_ACK };

struct tuple {
    uint8_t host[N_ENDS]; /* 127.0.0.x */
    uint16_t port[N_ENDS];
    uint32_t isn[N_ENDS];
};

static inline struct sonde_address address_of(const struct tuple *tuple, enum event_end end)
{
    return (struct sonde_address){
        .family = AF_INET, .port = tuple->port[end], .u.ip = {127, 0, 0, tuple->host[end] ? tuple->host[end] : 1}};
}

struct made_packet {
    struct packet packet;
    uint8_t data[20 + 40 + 2048];
};

static inline uint8_t *put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, value >> 16), value & 0xffff);
}

/* A SYN has the options that Linux gives it; n_bytes of payload, from text or zeros. */
static inline const struct packet *make_packet(struct made_packet *made, const struct tuple *tuple, enum event_end from,
                                               unsigned flags, uint32_t seq, uint32_t ack, const void *payload,
                                               uint32_t n_payload)
{
    static const uint8_t syn_options[20] = {2, 4, 0xff, 0xd7, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7};
    struct sonde_address source = address_of(tuple, from), destination = address_of(tuple, other_end(from));
    uint32_t n_options = flags & S ? sizeof syn_options : 0, n_bytes = 40 + n_options + n_payload;
    uint8_t *at = made->data;

    assert(n_bytes <= sizeof made->data);
    memset(made->data, 0, n_bytes);
    at = put16(at, 0x4500);
    at = put16(at, n_bytes);
    at = put16(at, seq + 7u * n_payload); /* id */
    at = put16(at, 0x4000);
    at = put16(at, 64 << 8 | IPPROTO_TCP);
    at = put16(at, 0);
    memcpy(at, source.u.ip, 4);
    memcpy(at + 4, destination.u.ip, 4);
    at = put16(at + 8, source.port);
    at = put16(at, destination.port);
    at = put32(at, tuple->isn[from] + seq);
    at = put32(at, flags & K ? tuple->isn[other_end(from)] + ack : 0);
    at = put16(at, (5 + n_options / 4) << 12 | flags);
    at = put16(at, flags & R ? 0 : flags & S ? 65495 : 512);
    at = put32(at, 0);
    memcpy(at, syn_options, n_options);
    if (payload)
        memcpy(at + n_options, payload, n_payload);
    made->packet = (struct packet){
        .number = made->packet.number + 1,
        .data = made->data,
        .n_captured = n_bytes,
        .n_wire = n_bytes,
        .link_type = LINK_RAW,
        .checksum_left = true,
    };
    return &made->packet;
}

#endif
