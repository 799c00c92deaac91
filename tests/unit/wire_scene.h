/* SPDX-License-Identifier: MIT */
/*
 * Packets before the judge of a wire: Ethernet frames made by hand, and a conversation whose numbers count from each
 * end's ISN. A (10.0.0.1) is the client, B (10.0.0.2) the server.
 */
#ifndef WIRE_SCENE_H
#define WIRE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/rules.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { F = SEGMENT_FIN, S = SEGMENT_SYN, R = SEGMENT_RST, P = SEGMENT_PSH, K = SEGMENT_ACK };

#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define TCP_BYTES 20
#define FRAME_MAX 66000

struct scene {
    struct wire_judge *judge;
    int64_t t_ns;
    uint16_t client_port, server_port;
    uint32_t isn[N_ENDS];
    bool ipv6, may_fragment;
    struct wire_fate fate;
    uint8_t frame[FRAME_MAX];
    size_t n_frame;
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

/* Ethernet and IP around n_bytes; returns where these begin. */
static inline uint8_t *put_ip(struct scene *scene, enum event_end from, unsigned protocol, size_t n_bytes)
{
    uint8_t *at = scene->frame;
    uint8_t source = from == END_A ? 1 : 2, destination = from == END_A ? 2 : 1;

    memset(at, 0, ETHERNET_BYTES + IPV6_BYTES + n_bytes);
    at[5] = destination;
    at[11] = source;
    put16(at + 12, scene->ipv6 ? 0x86dd : 0x0800);
    at += ETHERNET_BYTES;
    if (scene->ipv6) {
        at[0] = 0x60;
        put16(at + 4, (uint32_t)n_bytes);
        at[6] = (uint8_t)protocol;
        at[7] = 64;
        at[8] = at[24] = 0xfd;
        at[23] = source;
        at[39] = destination;
        scene->n_frame = ETHERNET_BYTES + IPV6_BYTES + n_bytes;
        return at + IPV6_BYTES;
    }
    at[0] = 0x45;
    put16(at + 2, (uint32_t)(IPV4_BYTES + n_bytes));
    put16(at + 6, scene->may_fragment ? 0 : 0x4000);
    at[8] = 64;
    at[9] = (uint8_t)protocol;
    at[12] = at[16] = 10;
    at[15] = source;
    at[19] = destination;
    scene->n_frame = ETHERNET_BYTES + IPV4_BYTES + n_bytes;
    return at + IPV4_BYTES;
}

static inline uint8_t *put_ports(const struct scene *scene, enum event_end from, uint8_t *at)
{
    at = put16(at, from == END_A ? scene->client_port : scene->server_port);
    return put16(at, from == END_A ? scene->server_port : scene->client_port);
}

static inline const struct wire_fate *judge_frame(struct scene *scene, enum event_end from)
{
    memset(&scene->fate, 0xa5, sizeof scene->fate);
    wire_judge_packet(scene->judge, from, scene->t_ns, scene->frame, scene->n_frame, &scene->fate);
    return &scene->fate;
}

static inline const struct wire_fate *tcp(struct scene *scene, enum event_end from, unsigned flags, uint32_t seq,
                                          uint32_t ack, uint32_t n_payload)
{
    uint8_t *at = put_ip(scene, from, IPPROTO_TCP, TCP_BYTES + n_payload);

    at = put_ports(scene, from, at);
    at = put32(at, scene->isn[from] + seq);
    at = put32(at, flags & K ? scene->isn[other_end(from)] + ack : 0);
    at = put16(at, 5u << 12 | flags);
    put16(at, 512);
    return judge_frame(scene, from);
}

static inline const struct wire_fate *udp(struct scene *scene, enum event_end from, uint32_t n_payload)
{
    uint8_t *at = put_ip(scene, from, IPPROTO_UDP, 8 + n_payload);

    at = put_ports(scene, from, at);
    put16(at, 8 + n_payload);
    return judge_frame(scene, from);
}

static inline const struct wire_fate *icmp(struct scene *scene, enum event_end from, unsigned type, uint16_t id)
{
    uint8_t *at = put_ip(scene, from, scene->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 64);

    at[0] = (uint8_t)type;
    put16(at + 4, id);
    return judge_frame(scene, from);
}

static inline const struct wire_fate *arp(struct scene *scene, enum event_end from)
{
    memset(scene->frame, 0, 42);
    memset(scene->frame, 0xff, 6);
    put16(scene->frame + 12, 0x0806);
    put16(put16(scene->frame + 14, 1), 0x0800);
    scene->frame[18] = 6;
    scene->frame[19] = 4;
    scene->frame[21] = 1;
    scene->n_frame = 42;
    return judge_frame(scene, from);
}

static inline void rules_for(struct scene *scene, enum event_end from, const char *text)
{
    struct wire_rules rules = {0};
    struct sonde_why why = {0};

    if (wire_rules_parse(text, &rules, &why) != 0)
        fail_msg("%s: %s", why.subject, why.detail);
    wire_judge_set_rules(scene->judge, from, &rules);
}

/* Begins at 1000 s, as the wire does. */
static inline void scene_begin(struct scene *scene, uint64_t seed, const char *a_to_b)
{
    int64_t start_ns = 1000 * NS_PER_S;

    memset(scene, 0, sizeof *scene);
    scene->judge = wire_judge_new(seed, start_ns);
    assert_non_null(scene->judge);
    scene->t_ns = start_ns;
    scene->client_port = 40000;
    scene->server_port = 7007;
    scene->isn[END_A] = 1000000;
    scene->isn[END_B] = 4000000000;
    rules_for(scene, END_A, a_to_b);
}

static inline void scene_end(struct scene *scene)
{
    wire_judge_free(scene->judge);
    scene->judge = NULL;
}

static inline void handshake(struct scene *scene)
{
    tcp(scene, END_A, S, 0, 0, 0);
    tcp(scene, END_B, S | K, 0, 1, 0);
    tcp(scene, END_A, K, 1, 1, 0);
}

/* Why the packet did not arrive. */
#define assert_fate(fate, wanted) assert_string_equal(wire_reason_name((fate)->reason), wire_reason_name(wanted))

#endif
