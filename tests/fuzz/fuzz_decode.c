/* SPDX-License-Identifier: MIT */
/*
 * The first byte chooses the link type, the second how many bytes the capture has cut off; then packets of one byte
 * pair of length and so many bytes. Whatever they hold: what is decoded lies within them, the layers cover each byte
 * once in printable ASCII, and fragments are put together without harm.
 */
#include "observe/decode/decode.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_payload(const struct decoded *decoded, const uint8_t *data, size_t n_captured)
{
    require(decoded->n_payload_captured <= decoded->n_payload);
    require((decoded->payload == NULL) == (decoded->n_payload_captured == 0));
    if (decoded->payload != NULL) {
        require(decoded->payload == data + decoded->payload_offset);
        require(decoded->payload_offset + decoded->n_payload_captured <= n_captured);
    }
}

static void check_options(const struct decoded *decoded)
{
    require(decoded->options.window_scale >= -1 && decoded->options.window_scale <= 14);
    require(decoded->options.n_sacks <= SEGMENT_SACKS_MAX);
    require(decoded->options.malformed == ((decoded->trouble & DECODE_OPTIONS_BAD) != 0));
}

static void check_decoded(const struct decoded *decoded, const uint8_t *data, size_t n_captured)
{
    require(decoded->depth <= DECODE_TRANSPORT && decoded->network <= DECODE_ARP);
    require(decoded->network_offset <= n_captured && decoded->transport_offset <= n_captured);
    require(decoded->payload_offset <= n_captured);
    check_payload(decoded, data, n_captured);
    check_options(decoded);
    bool is_ip = decoded->network == DECODE_IPV4 || decoded->network == DECODE_IPV6;
    require(is_ip == (decoded->depth >= DECODE_NETWORK));
    if (is_ip) {
        require(decoded->transport_offset > decoded->network_offset);
        require(decoded->payload_offset >= decoded->transport_offset);
        require(decoded->ip_bytes >= 20 && decoded->ip_bytes >= decoded->n_payload);
    }
    if (decoded->depth == DECODE_TRANSPORT) {
        require(decoded->fragment_offset == 0);
        require(decoded->payload_offset >= decoded->transport_offset + 8);
        require((decoded->protocol == IPPROTO_TCP) == (decoded->tcp_header_bytes >= 20));
    } else {
        require(decoded->n_payload == 0);
    }
    if (decoded->icmp_quotes)
        require(decoded->protocol == IPPROTO_ICMP || decoded->protocol == IPPROTO_ICMPV6);
}

/* ---- layers */

struct cover {
    uint32_t at, last_at, last_bytes;
};

static void require_printable(const char *text)
{
    for (; *text != '\0'; text++)
        require(*text >= 0x20 && *text < 0x7f);
}

static void cover_field(const struct decode_field *field, void *user)
{
    struct cover *cover = user;

    require_printable(field->layer);
    require_printable(field->value);
    if (field->remark != NULL)
        require_printable(field->remark);
    if (field->name == NULL)
        return;
    require(field->n_bytes > 0);
    if (field->offset != cover->last_at || field->n_bytes != cover->last_bytes) {
        require(field->offset == cover->at);
        cover->at += field->n_bytes;
    }
    cover->last_at = field->offset;
    cover->last_bytes = field->n_bytes;
}

static void check_line(const char *text, void *user)
{
    (void)user;
    require_printable(text);
    require(strlen(text) < DECODE_LINE_SIZE);
}

/* ---- */

static void one_packet(struct reassembly *reassembly, uint16_t link_type, const uint8_t *data, size_t n_captured,
                       size_t n_wire, int64_t t_ns)
{
    struct decoded decoded, whole;
    struct cover cover = {.last_at = UINT32_MAX};

    memset(&decoded, 0xa5, sizeof decoded);
    enum decode_depth depth = decode_packet(link_type, data, n_captured, n_wire, DECODE_CHECK_CHECKSUMS, &decoded);
    require(depth == (enum decode_depth)decoded.depth);
    check_decoded(&decoded, data, n_captured);
    decode_layers(link_type, data, n_captured, n_wire, cover_field, &cover);
    require(cover.at == n_captured);
    decode_layers_text(link_type, data, n_captured, n_wire, check_line, NULL);
    if (!(decoded.trouble & DECODE_FRAGMENT))
        return;
    if (!reassembly_add(reassembly, t_ns, &decoded, data, n_captured, &whole))
        return;
    require(whole.depth >= DECODE_NETWORK);
    if (whole.payload != NULL)
        check_decoded(&whole, whole.payload - whole.payload_offset, whole.ip_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const uint16_t link_types[] = {1, 0, 12, 14, 101, 108, 113, 228, 229, 276, 147};

    if (n_bytes < 2)
        return 0;
    uint16_t link_type = link_types[data[0] % (sizeof link_types / sizeof link_types[0])];
    size_t n_cut = data[1];
    struct reassembly *reassembly = reassembly_new();
    require(reassembly != NULL);
    int64_t t_ns = 0;
    for (size_t at = 2; at + 2 <= n_bytes; t_ns += NS_PER_S) {
        size_t n_packet = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        if (n_packet > n_bytes - at)
            n_packet = n_bytes - at;
        uint8_t *copy = malloc(n_packet + 1); /* ends where the packet does */
        require(copy != NULL);
        uint8_t *exact = copy + (n_packet == 0);
        memcpy(exact, data + at, n_packet);
        one_packet(reassembly, link_type, exact, n_packet, n_packet + n_cut, t_ns);
        free(copy);
        at += n_packet;
    }
    reassembly_free(reassembly);
    return 0;
}
