/* SPDX-License-Identifier: MIT */
#include "net/proxy_header.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 107, /* version 1, with its CR and LF */
    FIXED_BYTES = 16,     /* version 2: what comes before the addresses */
    UNIX_BYTES = 108,
    TLV_HEAD_BYTES = 3,
    TLV_CRC32C = 3,
    VERSION_2 = 2 << 4,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    FAMILY_INET = 1,
    FAMILY_INET6 = 2,
    FAMILY_UNIX = 3,
    PROTOCOL_STREAM = 1,
    PROTOCOL_DATAGRAM = 2,
};

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char line_start[] = "PROXY ";

static bool begins_like(const uint8_t *bytes, size_t n_bytes, const void *whole, size_t n_whole)
{
    return memcmp(bytes, whole, n_bytes < n_whole ? n_bytes : n_whole) == 0;
}

/* --- version 1: a line of text ---------------------------------------------------------------------------------- */

/* The text up to the next space, which is skipped; at the end of the line there is none. */
static bool next_word(char **text, char **ret_word)
{
    char *space = strchr(*text, ' ');

    *ret_word = *text;
    if (space == NULL)
        return false;
    *space = '\0';
    *text = space + 1;
    return true;
}

static bool port_of(const char *text, uint16_t *ret_port)
{
    uint64_t port;

    if ((text[0] == '0' && text[1] != '\0') || parse_number(text, strlen(text), false, UINT16_MAX, &port) < 0)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* "192.0.2.1 192.0.2.2 1000 80" */
static bool parse_ends(char *text, int family, struct proxy_header *header)
{
    char *words[4];

    header->source.family = header->destination.family = (uint16_t)family;
    for (unsigned i = 0; i < 4; i++)
        if (next_word(&text, &words[i]) != (i < 3))
            return false;
    return inet_pton(family, words[0], header->source.u.ip) == 1 &&
           inet_pton(family, words[1], header->destination.u.ip) == 1 && port_of(words[2], &header->source.port) &&
           port_of(words[3], &header->destination.port);
}

static bool parse_line(char *line, struct proxy_header *header)
{
    char *rest = line + strlen(line_start), *kind;

    bool more = next_word(&rest, &kind);
    if (strcmp(kind, "UNKNOWN") == 0)
        return true; /* whatever else stands in it */
    header->is_known = true;
    if (!more)
        return false;
    if (strcmp(kind, "TCP4") == 0)
        return parse_ends(rest, AF_INET, header);
    return strcmp(kind, "TCP6") == 0 && parse_ends(rest, AF_INET6, header);
}

static int parse_version_1(const uint8_t *bytes, size_t n_bytes, struct proxy_header *header)
{
    char line[LINE_MAX_BYTES];
    size_t n = n_bytes < LINE_MAX_BYTES ? n_bytes : LINE_MAX_BYTES;

    for (size_t i = 0; i < n; i++) {
        line[i] = (char)bytes[i];
        if (i > 0 && bytes[i - 1] == '\r') {
            if (bytes[i] != '\n')
                return -SONDE_EPROXYHEAD;
            line[i - 1] = '\0';
            return parse_line(line, header) ? (int)i + 1 : -SONDE_EPROXYHEAD;
        }
        if (bytes[i] == '\0' || bytes[i] == '\n')
            return -SONDE_EPROXYHEAD;
    }
    return n == LINE_MAX_BYTES ? -SONDE_EPROXYHEAD : 0;
}

/* --- version 2: binary ------------------------------------------------------------------------------------------ */

static unsigned number_at(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static uint32_t crc32c_on(uint32_t crc, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0); /* RFC 9260, appendix A */
    }
    return crc;
}

/* The checksum of the whole header, in which the checksum itself counts as zeros. */
static bool crc32c_is_right(const uint8_t *header, size_t n_bytes, size_t at)
{
    static const uint8_t zeros[4];

    uint32_t crc = crc32c_on(UINT32_MAX, header, at);
    crc = crc32c_on(crc, zeros, sizeof zeros);
    crc = ~crc32c_on(crc, header + at + 4, n_bytes - at - 4);
    return crc == ((uint32_t)number_at(header + at) << 16 | number_at(header + at + 2));
}

/* What stands behind the addresses: type, length and value, again and again. Only a checksum matters here. */
static bool check_tlvs(const uint8_t *header, size_t n_bytes, size_t at)
{
    while (at < n_bytes) {
        if (n_bytes - at < TLV_HEAD_BYTES)
            return false;
        unsigned type = header[at], n_value = number_at(header + at + 1);
        at += TLV_HEAD_BYTES;
        if (n_bytes - at < n_value)
            return false;
        if (type == TLV_CRC32C && (n_value != 4 || !crc32c_is_right(header, n_bytes, at)))
            return false;
        at += n_value;
    }
    return true;
}

/* Two addresses, then two ports. */
static size_t take_inet(const uint8_t *bytes, int family, size_t n_ip, struct proxy_header *header)
{
    header->source.family = header->destination.family = (uint16_t)family;
    memcpy(header->source.u.ip, bytes, n_ip);
    memcpy(header->destination.u.ip, bytes + n_ip, n_ip);
    header->source.port = (uint16_t)number_at(bytes + 2 * n_ip);
    header->destination.port = (uint16_t)number_at(bytes + 2 * n_ip + 2);
    return 2 * n_ip + 4;
}

static size_t take_unix(const uint8_t *bytes, struct proxy_header *header)
{
    header->source.family = header->destination.family = AF_UNIX;
    header->source.u.peer.uid = header->destination.u.peer.uid = UINT32_MAX;
    memcpy(header->source_path, bytes, UNIX_BYTES);
    memcpy(header->destination_path, bytes + UNIX_BYTES, UNIX_BYTES);
    return 2 * UNIX_BYTES;
}

static size_t n_address_bytes(unsigned family)
{
    return family == FAMILY_INET ? 12 : family == FAMILY_INET6 ? 36 : 2 * UNIX_BYTES;
}

/* Right as far as it can be told from the first 16 bytes? */
static bool fixed_is_right(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes > 12 && (bytes[12] & 0xf0) != VERSION_2)
        return false;
    if (n_bytes > 12 && (bytes[12] & 0x0f) > COMMAND_PROXY)
        return false;
    bool is_local = n_bytes > 12 && (bytes[12] & 0x0f) == COMMAND_LOCAL; /* its family is ignored */
    if (n_bytes > 13 && !is_local && (bytes[13] >> 4 > FAMILY_UNIX || (bytes[13] & 0x0f) > PROTOCOL_DATAGRAM))
        return false;
    return n_bytes < FIXED_BYTES || number_at(bytes + 14) <= PROXY_HEADER_MAX - FIXED_BYTES;
}

static int parse_version_2(const uint8_t *bytes, size_t n_bytes, struct proxy_header *header)
{
    if (!fixed_is_right(bytes, n_bytes))
        return -SONDE_EPROXYHEAD;
    if (n_bytes < FIXED_BYTES)
        return 0;
    size_t n = FIXED_BYTES + number_at(bytes + 14);
    unsigned family = bytes[13] >> 4, protocol = bytes[13] & 0x0f;
    header->is_known = (bytes[12] & 0x0f) == COMMAND_PROXY && family != 0 && protocol != 0;
    if (header->is_known && n < FIXED_BYTES + n_address_bytes(family))
        return -SONDE_EPROXYHEAD;
    if (n_bytes < n)
        return 0;
    if (!header->is_known)
        return (int)n;
    const uint8_t *addresses = bytes + FIXED_BYTES;
    size_t at = FIXED_BYTES;
    at += family == FAMILY_INET    ? take_inet(addresses, AF_INET, 4, header)
          : family == FAMILY_INET6 ? take_inet(addresses, AF_INET6, 16, header)
                                   : take_unix(addresses, header);
    return check_tlvs(bytes, n, at) ? (int)n : -SONDE_EPROXYHEAD;
}

int proxy_header_parse(const uint8_t *bytes, size_t n_bytes, struct proxy_header *ret_header)
{
    struct proxy_header header = {.version = 1};
    int result = -SONDE_EPROXYHEAD;

    if (n_bytes == 0)
        return 0;
    if (begins_like(bytes, n_bytes, line_start, strlen(line_start))) {
        result = parse_version_1(bytes, n_bytes, &header);
    } else if (begins_like(bytes, n_bytes, signature, sizeof signature)) {
        header.version = 2;
        result = parse_version_2(bytes, n_bytes, &header);
    }
    if (result > 0)
        *ret_header = header;
    return result;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static bool is_inet(const struct proxy_header *header)
{
    unsigned family = header->source.family;

    return header->is_known && family == header->destination.family && (family == AF_INET || family == AF_INET6);
}

static size_t write_line(const struct proxy_header *header, char *text)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    int family = header->source.family;

    if (!is_inet(header) || inet_ntop(family, header->source.u.ip, source, sizeof source) == NULL ||
        inet_ntop(family, header->destination.u.ip, destination, sizeof destination) == NULL)
        return (size_t)snprintf(text, PROXY_HEADER_WRITE_MAX, "PROXY UNKNOWN\r\n");
    return (size_t)snprintf(text, PROXY_HEADER_WRITE_MAX, "PROXY %s %s %s %u %u\r\n",
                            family == AF_INET ? "TCP4" : "TCP6", source, destination, header->source.port,
                            header->destination.port);
}

static void put_number(uint8_t *at, unsigned number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
}

size_t proxy_header_write(const struct proxy_header *header, uint8_t ret_bytes[PROXY_HEADER_WRITE_MAX])
{
    uint8_t *at = ret_bytes + FIXED_BYTES;
    unsigned family = 0;
    size_t n_ip = header->source.family == AF_INET ? 4 : 16;

    if (header->version == 1)
        return write_line(header, (char *)ret_bytes);
    memcpy(ret_bytes, signature, sizeof signature);
    ret_bytes[12] = VERSION_2 | COMMAND_PROXY;
    if (is_inet(header)) {
        family = header->source.family == AF_INET ? FAMILY_INET : FAMILY_INET6;
        memcpy(at, header->source.u.ip, n_ip);
        memcpy(at + n_ip, header->destination.u.ip, n_ip);
        put_number(at + 2 * n_ip, header->source.port);
        put_number(at + 2 * n_ip + 2, header->destination.port);
    } else if (header->is_known && header->source.family == AF_UNIX && header->destination.family == AF_UNIX) {
        family = FAMILY_UNIX;
        memcpy(at, header->source_path, UNIX_BYTES);
        memcpy(at + UNIX_BYTES, header->destination_path, UNIX_BYTES);
    }
    size_t n = family != 0 ? n_address_bytes(family) : 0;
    ret_bytes[13] = family != 0 ? (uint8_t)(family << 4 | PROTOCOL_STREAM) : 0;
    put_number(ret_bytes + 14, (unsigned)n);
    return FIXED_BYTES + n;
}
