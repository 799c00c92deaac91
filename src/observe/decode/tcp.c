/* SPDX-License-Identifier: MIT */
/* TCP's and UDP's headers. TCP's options are taken as far as they make sense, and never trusted to end where they say.
 */
#include "observe/decode/decode_internal.h"

enum { TIMESTAMPS_ALONE = 0x0101080a }; /* NOP NOP timestamps: what nearly every segment has */

/* Bytes that an option of a kind has to have; 0: it varies. */
static unsigned bytes_of_kind(unsigned kind)
{
    switch (kind) {
    case OPTION_MSS:
    case OPTION_USER_TIMEOUT:
        return 4;
    case OPTION_WINDOW_SCALE:
        return 3;
    case OPTION_SACK_PERMITTED:
        return 2;
    case OPTION_TIMESTAMPS:
        return 10;
    case OPTION_MD5:
        return 18;
    default:
        return 0;
    }
}

static bool size_is_wrong(unsigned kind, unsigned n_bytes)
{
    unsigned n_right = bytes_of_kind(kind);

    if (n_right != 0)
        return n_bytes != n_right;
    switch (kind) {
    case OPTION_SACK:
        return n_bytes < 10 || (n_bytes - 2) % 8 != 0;
    case OPTION_AO:
    case OPTION_EXPERIMENT_1:
    case OPTION_EXPERIMENT_2:
        return n_bytes < 4;
    case OPTION_MPTCP:
        return n_bytes < 3;
    case OPTION_FAST_OPEN: /* empty: asks for a cookie; else 4 to 16 bytes of it, an even number (RFC 7413) */
        return n_bytes != 2 && (n_bytes < 6 || n_bytes > 18 || n_bytes % 2 != 0);
    case OPTION_ACCECN0:
    case OPTION_ACCECN1:
        return n_bytes > 11 || (n_bytes - 2) % 3 != 0;
    default:
        return false;
    }
}

bool tcp_option_parse(const uint8_t *options, size_t n_bytes, struct tcp_option *ret_option)
{
    unsigned kind = options[0], n_option = 1;

    if (kind != OPTION_END && kind != OPTION_NOP) {
        if (n_bytes < 2)
            return false;
        n_option = options[1];
        if (n_option < 2 || n_option > n_bytes)
            return false;
    }
    *ret_option = (struct tcp_option){kind, n_option, n_option > 1 && size_is_wrong(kind, n_option),
                                      options + (n_option > 1 ? 2 : 1)};
    return true;
}

static void take_sacks(const struct tcp_option *option, struct segment_options *options)
{
    unsigned n_sacks = (option->n_bytes - 2) / 8;

    for (unsigned i = 0; i < n_sacks && options->n_sacks < SEGMENT_SACKS_MAX; i++) {
        options->sack[options->n_sacks].from = be32(option->value + 8 * (size_t)i);
        options->sack[options->n_sacks].to = be32(option->value + 8 * (size_t)i + 4);
        options->n_sacks++;
    }
}

static void take_experiment(const struct tcp_option *option, struct segment_options *options)
{
    switch (be16(option->value)) {
    case EXPERIMENT_FAST_OPEN:
        options->has_fast_open = true;
        break;
    case EXPERIMENT_ACCECN0:
    case EXPERIMENT_ACCECN1:
    case EXPERIMENT_ACCECN:
        options->has_accecn = true;
        break;
    default:
        options->n_unknown++;
    }
}

static void take_timestamps(const uint8_t *value, struct segment_options *options)
{
    options->has_timestamps = true;
    options->ts_value = be32(value);
    options->ts_echo = be32(value + 4);
}

static void take_option(const struct tcp_option *option, struct segment_options *options)
{
    switch (option->kind) {
    case OPTION_MSS:
        options->mss = be16(option->value);
        break;
    case OPTION_WINDOW_SCALE:
        options->window_scale = (int8_t)smaller(option->value[0], INT8_MAX);
        break;
    case OPTION_SACK_PERMITTED:
        options->sack_permitted = true;
        break;
    case OPTION_SACK:
        take_sacks(option, options);
        break;
    case OPTION_TIMESTAMPS:
        take_timestamps(option->value, options);
        break;
    case OPTION_MD5:
        options->has_md5 = true;
        break;
    case OPTION_USER_TIMEOUT:
        options->has_user_timeout = true;
        break;
    case OPTION_MPTCP:
        options->has_mptcp = true;
        break;
    case OPTION_FAST_OPEN:
        options->has_fast_open = true;
        break;
    case OPTION_ACCECN0:
    case OPTION_ACCECN1:
        options->has_accecn = true;
        break;
    case OPTION_EXPERIMENT_1:
    case OPTION_EXPERIMENT_2:
        take_experiment(option, options);
        break;
    default:
        options->n_unknown++;
    }
}

/* n_bytes of options were captured; are they all that there are? */
static void take_options(const uint8_t *data, uint32_t n_bytes, bool all, struct segment_options *options)
{
    if (n_bytes == 12 && be32(data) == TIMESTAMPS_ALONE) {
        take_timestamps(data + 4, options);
        return;
    }
    for (uint32_t at = 0; at < n_bytes;) {
        struct tcp_option option;
        if (data[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (data[at] == OPTION_END)
            return;
        if (!tcp_option_parse(data + at, n_bytes - at, &option)) {
            bool may_be_cut = !all && (n_bytes - at < 2 || data[at + 1] >= 2);
            options->malformed |= !may_be_cut;
            return;
        }
        if (option.size_wrong)
            options->malformed = true;
        else
            take_option(&option, options);
        at += option.n_bytes;
    }
}

/* What is behind a header of n_header bytes, n_payload of it as sent. */
static void take_payload(const struct bytes *bytes, const struct ip_header *ip, uint32_t n_header, uint32_t n_payload,
                         struct decoded *decoded)
{
    uint32_t at = ip->transport + n_header;

    decoded->depth = DECODE_TRANSPORT;
    decoded->payload_offset = smaller(at, bytes->n_captured);
    decoded->n_payload = n_payload;
    if (n_payload == 0 || at >= bytes->n_captured)
        return;
    decoded->payload = bytes->data + at;
    decoded->n_payload_captured = smaller(n_payload, bytes->n_captured - at);
}

void tcp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    if (!ip_has(bytes, ip, ip->transport + TCP_BYTES, &decoded->trouble))
        return;
    const uint8_t *header = bytes->data + ip->transport;
    uint32_t n_header = (header[12] >> 4) * 4u, n_whole = ip->end - ip->transport;
    if (n_header < TCP_BYTES || n_header > n_whole) {
        decoded->trouble |= DECODE_SHORT;
        return;
    }
    decoded->source_port = be16(header);
    decoded->destination_port = be16(header + 2);
    decoded->seq = be32(header + 4);
    decoded->ack = be32(header + 8);
    decoded->flags = be16(header + 12) & 0x1ff;
    decoded->window = be16(header + 14);
    decoded->checksum = be16(header + 16);
    decoded->urgent = be16(header + 18);
    decoded->tcp_header_bytes = (uint8_t)n_header;
    if (n_header > TCP_BYTES) {
        bool all = ip_has(bytes, ip, ip->transport + n_header, &decoded->trouble);
        uint32_t n_there = smaller(n_header, bytes->n_captured - ip->transport);
        take_options(header + TCP_BYTES, n_there - TCP_BYTES, all, &decoded->options);
        if (decoded->options.malformed)
            decoded->trouble |= DECODE_OPTIONS_BAD;
    }
    take_payload(bytes, ip, n_header, n_whole - n_header, decoded);
}

void udp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    if (!ip_has(bytes, ip, ip->transport + UDP_BYTES, &decoded->trouble))
        return;
    const uint8_t *header = bytes->data + ip->transport;
    uint32_t n_said = be16(header + 4), n_whole = ip->end - ip->transport;
    if (n_said == 0) /* longer than the field can say, or left out by who cuts it up later */
        n_said = n_whole;
    if (n_said < UDP_BYTES) {
        decoded->trouble |= DECODE_SHORT;
        return;
    }
    /* A first fragment's datagram goes on in the others. */
    if (n_said > n_whole && !ip->is_fragment)
        decoded->trouble |= DECODE_SHORT;
    decoded->source_port = be16(header);
    decoded->destination_port = be16(header + 2);
    decoded->checksum = be16(header + 6);
    take_payload(bytes, ip, UDP_BYTES, smaller(n_said, n_whole) - UDP_BYTES, decoded);
}
