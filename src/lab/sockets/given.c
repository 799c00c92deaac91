/* SPDX-License-Identifier: MIT */
#include "lab/sockets/given.h"

#include "term/translate.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

size_t bytes_as_hex(const void *data, size_t n_bytes, char *ret_text, size_t size_bytes)
{
    const uint8_t *bytes = data;
    size_t used = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < n_bytes && used < size_bytes;) {
        size_t n_same = 1;
        while (i + n_same < n_bytes && bytes[i + n_same] == bytes[i])
            n_same++;
        const char *before = i ? " " : "";
        if (n_same >= 4) {
            used += (size_t)snprintf(ret_text + used, size_bytes - used, "%s%02x x%zu", before, bytes[i], n_same);
            i += n_same;
        } else {
            used += (size_t)snprintf(ret_text + used, size_bytes - used, "%s%02x", before, bytes[i]);
            i++;
        }
    }
    return used < size_bytes ? used : size_bytes - 1;
}

/* ---- what an address is for: the first range that holds it */

struct range {
    uint8_t prefix[16];
    uint8_t n_bits;
    const char *kind;
};

static const struct range ranges_ipv4[] = {
    {{0, 0, 0, 0}, 32, N_("any local address (INADDR_ANY)")},
    {{0}, 8, N_("this network (RFC 1122)")},
    {{127}, 8, N_("loopback")},
    {{10}, 8, N_("private (RFC 1918)")},
    {{172, 16}, 12, N_("private (RFC 1918)")},
    {{192, 168}, 16, N_("private (RFC 1918)")},
    {{100, 64}, 10, N_("shared by customers of a provider (RFC 6598)")},
    {{169, 254}, 16, N_("link-local (RFC 3927)")},
    {{192, 0, 2}, 24, N_("for documents (RFC 5737)")},
    {{198, 51, 100}, 24, N_("for documents (RFC 5737)")},
    {{203, 0, 113}, 24, N_("for documents (RFC 5737)")},
    {{198, 18}, 15, N_("for measurements (RFC 2544)")},
    {{224}, 4, N_("multicast")},
    {{255, 255, 255, 255}, 32, N_("broadcast on this link")},
    {{240}, 4, N_("reserved (RFC 1112)")},
    {{0}, 0, N_("unicast")},
};

static const struct range ranges_ipv6[] = {
    {{0}, 128, N_("any local address (in6addr_any)")},
    {{[15] = 1}, 128, N_("loopback")},
    {{[10] = 0xff, [11] = 0xff}, 96, N_("mapped IPv4: an IPv4 peer of an IPv6 socket")},
    {{0x00, 0x64, 0xff, 0x9b}, 96, N_("IPv4 behind NAT64 (RFC 6052)")},
    {{0xfe, 0x80}, 10, N_("link-local")},
    {{0xfc}, 7, N_("unique local (RFC 4193)")},
    {{0xff}, 8, N_("multicast")},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, N_("for documents (RFC 3849)")},
    {{0x20}, 3, N_("global unicast")},
    {{0}, 0, N_("unicast")},
};

static bool in_range(const struct range *range, const uint8_t *address)
{
    unsigned n_bytes = range->n_bits / 8, n_rest = range->n_bits % 8;

    if (memcmp(range->prefix, address, n_bytes) != 0)
        return false;
    return n_rest == 0 || (range->prefix[n_bytes] ^ address[n_bytes]) >> (8 - n_rest) == 0;
}

static const char *kind_of(const struct range *ranges, const uint8_t *address)
{
    while (!in_range(ranges, address)) /* the last one holds every address */
        ranges++;
    return ranges->kind;
}

/* ---- the forms */

static bool read_port(const char *text, in_port_t *ret_port)
{
    size_t n = strlen(text);

    if (n < 1 || n > 5 || strspn(text, "0123456789") != n || strtoul(text, NULL, 10) > UINT16_MAX)
        return false;
    *ret_port = htons((uint16_t)strtoul(text, NULL, 10));
    return true;
}

static void finish_ipv4(struct given *given, struct in_addr address, in_port_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&given->address;

    in->sin_family = AF_INET;
    in->sin_addr = address;
    in->sin_port = port;
    given->n_bytes = sizeof(*in);
    given->binary = &in->sin_addr;
    given->n_binary = sizeof(in->sin_addr);
    given->kind = kind_of(ranges_ipv4, given->binary);
    inet_ntop(AF_INET, given->binary, given->text, sizeof(given->text));
}

static bool read_ipv4(struct given *given, const char *text)
{
    struct in_addr address;

    if (inet_pton(AF_INET, text, &address) == 1) {
        finish_ipv4(given, address, 0);
        return true;
    }
    /* inet_aton takes anything behind a blank. */
    if (!strpbrk(text, " \t\n\v\f\r") && inet_aton(text, &address)) {
        given->only_aton = true;
        finish_ipv4(given, address, 0);
        return true;
    }
    return false;
}

/* An interface by its name, or by its number; back to text by its name, if it has one. */
static bool read_zone(struct given *given, struct sockaddr_in6 *in6, const char *zone)
{
    char name[IF_NAMESIZE];
    size_t used = strlen(given->text);

    in6->sin6_scope_id = if_nametoindex(zone);
    if (in6->sin6_scope_id == 0)
        in6->sin6_scope_id = (uint32_t)strtoul(zone, NULL, 10);
    if (in6->sin6_scope_id == 0)
        return false;
    if (if_indextoname(in6->sin6_scope_id, name))
        snprintf(given->text + used, sizeof(given->text) - used, "%%%s", name);
    else
        snprintf(given->text + used, sizeof(given->text) - used, "%%%u", in6->sin6_scope_id);
    return true;
}

static bool read_ipv6(struct given *given, const char *text)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&given->address;
    char alone[INET6_ADDRSTRLEN];
    const char *zone = strchr(text, '%');
    size_t n = zone ? (size_t)(zone - text) : strlen(text);

    if (n >= sizeof(alone))
        return false;
    memcpy(alone, text, n);
    alone[n] = '\0';
    if (inet_pton(AF_INET6, alone, &in6->sin6_addr) != 1)
        return false;
    in6->sin6_family = AF_INET6;
    given->n_bytes = sizeof(*in6);
    given->binary = &in6->sin6_addr;
    given->n_binary = sizeof(in6->sin6_addr);
    given->kind = kind_of(ranges_ipv6, given->binary);
    inet_ntop(AF_INET6, given->binary, given->text, sizeof(given->text));
    return !zone || read_zone(given, in6, zone + 1);
}

static bool read_unix(struct given *given, const char *text)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&given->address;
    size_t n = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof(un->sun_path))
        return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, text, n);
    if (text[0] == '@')
        un->sun_path[0] = '\0'; /* its length counts, there is no NUL behind it */
    given->n_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '/'));
    given->kind = text[0] == '@' ? N_("abstract UNIX name") : N_("UNIX path");
    snprintf(given->text, sizeof(given->text), "%s", text);
    return true;
}

/* "10.0.0.1:80", "[::1]:80". */
static bool read_with_port(struct given *given, const char *text)
{
    char alone[GIVEN_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    in_port_t port;

    if (!colon || !read_port(colon + 1, &port))
        return false;
    size_t n = (size_t)(colon - text);
    memcpy(alone, text, n);
    alone[n] = '\0';
    given->has_port = true;
    if (n > 2 && alone[0] == '[' && alone[n - 1] == ']') {
        alone[n - 1] = '\0';
        if (!read_ipv6(given, alone + 1))
            return false;
        ((struct sockaddr_in6 *)&given->address)->sin6_port = port;
        return true;
    }
    if (strchr(alone, ':') || !read_ipv4(given, alone))
        return false;
    ((struct sockaddr_in *)&given->address)->sin_port = port;
    return true;
}

bool given_parse(const char *text, struct given *ret_given, const char **ret_why)
{
    bool (*const forms[])(struct given * given, const char *text) = {read_ipv4, read_ipv6, read_with_port, read_unix};

    if (strlen(text) >= GIVEN_TEXT_MAX) {
        *ret_why = N_("it is longer than any address");
        return false;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        memset(ret_given, 0, sizeof(*ret_given));
        if (forms[i](ret_given, text))
            return true;
    }
    *ret_why = N_("inet_pton takes it neither as IPv4 nor as IPv6, and it is no path");
    return false;
}
