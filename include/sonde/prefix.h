/* SPDX-License-Identifier: MIT */
/*
 * Address prefixes (RFC 4632, RFC 4291): who may connect, whom to believe. Plain data, any thread; nothing is looked
 * up.
 */
#ifndef SONDE_PREFIX_H
#define SONDE_PREFIX_H

#include <sonde/address.h>
#include <sonde/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_prefix {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX: any UNIX peer; AF_UNSPEC: anybody */
    uint16_t n_bits; /* of ip, from the left, that count */
    uint8_t ip[16];  /* in network order; the bits that do not count are 0 */
};

/* "10.0.0.0/8", "192.168.1.7", "fd00::/8", "::1", "unix" (any UNIX peer), "any". A bit set behind the prefix
 * ("10.0.0.1/8") is an error, for it is a mistake as often as not. 0 or -SONDE_EOPTION; ret_why (may be NULL) then
 * says what would be right. */
SONDE_API int sonde_prefix_parse(const char *text, struct sonde_prefix *ret_prefix, struct sonde_why *ret_why);

/* Is the address within? An IPv4 address that came in an IPv6 one (::ffff:10.0.0.1) counts as IPv4. Not 0: yes. */
SONDE_API int sonde_prefix_contains(const struct sonde_prefix *prefix, const struct sonde_address *address);

#ifdef __cplusplus
}
#endif
#endif
