/* SPDX-License-Identifier: MIT */
#include "net/resolve.h"

#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

static void add(struct addresses *addresses, int family, const void *ip, size_t n_bytes)
{
    struct sonde_address *address = &addresses->list[addresses->n++];

    *address = (struct sonde_address){.family = (uint16_t)family};
    memcpy(address->u.ip, ip, n_bytes);
}

int resolve_at_once(const char *host, int family, bool to_listen, struct addresses *ret_addresses)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1}, any[16];
    static const uint8_t loopback6[16] = {[15] = 1};
    struct addresses addresses = {.implied = true};
    bool is_any = strcmp(host, "*") == 0;

    if (host[0] == '\0' || is_any || strcmp(host, "localhost") == 0) {
        /* A client tries IPv6 first (RFC 6724); a server is first asked for on IPv4. */
        if (to_listen && family != AF_INET6)
            add(&addresses, AF_INET, is_any ? any : loopback4, 4);
        if (family != AF_INET)
            add(&addresses, AF_INET6, is_any && to_listen ? any : loopback6, 16);
        if (!to_listen && family != AF_INET6)
            add(&addresses, AF_INET, loopback4, 4);
        *ret_addresses = addresses;
        return 0;
    }
    addresses.implied = false;
    int error = address_parse_numeric(host, family, &addresses.list[0]);
    if (error < 0)
        return error == -EINVAL ? -SONDE_ENAME : error;
    addresses.n = 1;
    *ret_addresses = addresses;
    return 0;
}

static int from_gai(int code)
{
    switch (code) {
    case EAI_AGAIN:
        return -SONDE_ENAMELATER;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno != 0 ? -errno : -SONDE_ENAME;
    default:
        return -SONDE_ENAME;
    }
}

int resolve_blocking(const char *host, int family, struct addresses *ret_addresses)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct addresses addresses = {0};

    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return from_gai(code);
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next) {
        if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
            continue;
        if (addresses.n < RESOLVE_MAX)
            address_from_sockaddr(info->ai_addr, info->ai_addrlen, &addresses.list[addresses.n++]);
        else
            addresses.n_left_out++;
    }
    freeaddrinfo(found);
    if (addresses.n == 0)
        return -SONDE_ENAME;
    *ret_addresses = addresses;
    return 0;
}
