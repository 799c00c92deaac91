/* SPDX-License-Identifier: MIT */
#include "base/parse.h"
#include "net/address.h"

#include <errno.h>
#include <sonde/prefix.h>
#include <stdio.h>
#include <string.h>

#define HINT "an address or a prefix, as in 127.0.0.1, 10.0.0.0/8 or fd00::/8; unix and any are words too"

enum { TEXT_MAX = 64 }; /* longer than any prefix */

static int refuse(struct sonde_why *ret_why, const char *text, const char *hint)
{
    return parse_refuse(ret_why, -SONDE_EOPTION, text, strnlen(text, TEXT_MAX), hint);
}

static void cut_bits(uint8_t ip[16], unsigned n_bits)
{
    for (unsigned i = 0; i < 16; i++)
        if (i >= n_bits / 8)
            ip[i] = i == n_bits / 8 ? (uint8_t)(ip[i] & ~(0xffu >> n_bits % 8)) : 0;
}

/* "10.0.0.1/8": say the prefix that may have been meant. */
static int refuse_bits(struct sonde_why *ret_why, const char *text, const struct sonde_address *network,
                       unsigned n_bits)
{
    char host[SONDE_ADDRESS_TEXT], hint[192];

    address_format_host(network, host, sizeof host);
    snprintf(hint, sizeof hint, "bits are set behind the prefix: the prefix is %s/%u, this one address is without /%u",
             host, n_bits, n_bits);
    return refuse(ret_why, text, hint);
}

int sonde_prefix_parse(const char *text, struct sonde_prefix *ret_prefix, struct sonde_why *ret_why)
{
    struct sonde_prefix prefix = {.family = AF_UNSPEC};
    char host[TEXT_MAX];
    struct sonde_address address;

    if (strcmp(text, "unix") == 0 || strcmp(text, "any") == 0) {
        prefix.family = text[0] == 'u' ? AF_UNIX : AF_UNSPEC;
        *ret_prefix = prefix;
        return 0;
    }
    size_t n_host = strcspn(text, "/");
    if (n_host >= sizeof host || memchr(text, '%', n_host) != NULL)
        return refuse(ret_why, text, HINT);
    memcpy(host, text, n_host);
    host[n_host] = '\0';
    if (address_parse_numeric(host, AF_UNSPEC, &address) < 0)
        return refuse(ret_why, text, HINT);

    unsigned n_most = address.family == AF_INET ? 32 : 128;
    uint64_t n_bits = n_most;
    if (text[n_host] == '/') {
        const char *bits = text + n_host + 1;
        if (parse_number(bits, strnlen(bits, TEXT_MAX), false, n_most, &n_bits) < 0)
            return refuse(ret_why, text,
                          n_most == 32 ? "an IPv4 prefix has 0 to 32 bits, as in 10.0.0.0/8"
                                       : "an IPv6 prefix has 0 to 128 bits, as in fd00::/8");
    }
    struct sonde_address network = address;
    cut_bits(network.u.ip, (unsigned)n_bits);
    if (memcmp(network.u.ip, address.u.ip, n_most / 8) != 0)
        return refuse_bits(ret_why, text, &network, (unsigned)n_bits);
    prefix.family = address.family;
    prefix.n_bits = (uint16_t)n_bits;
    memcpy(prefix.ip, network.u.ip, n_most / 8);
    *ret_prefix = prefix;
    return 0;
}

/* An IPv4 address that came in an IPv6 one. */
static bool is_mapped(unsigned family, const uint8_t ip[16])
{
    static const uint8_t head[12] = {[10] = 0xff, [11] = 0xff};

    return family == AF_INET6 && memcmp(ip, head, sizeof head) == 0;
}

int sonde_prefix_contains(const struct sonde_prefix *prefix, const struct sonde_address *address)
{
    unsigned family = address->family, wanted = prefix->family, n_bits = prefix->n_bits;
    const uint8_t *ip = address->u.ip, *network = prefix->ip;

    if (wanted == AF_UNSPEC)
        return 1;
    if (wanted == AF_UNIX || family == AF_UNIX)
        return wanted == family;
    if (is_mapped(family, ip)) {
        family = AF_INET;
        ip += 12;
    }
    if (is_mapped(wanted, network) && n_bits >= 96) { /* written so on purpose */
        wanted = AF_INET;
        network += 12;
        n_bits -= 96;
    }
    if (family != wanted || (family != AF_INET && family != AF_INET6))
        return 0;
    if (memcmp(ip, network, n_bits / 8) != 0)
        return 0;
    return n_bits % 8 == 0 || ((ip[n_bits / 8] ^ network[n_bits / 8]) & ~(0xffu >> n_bits % 8) & 0xff) == 0;
}
