/* SPDX-License-Identifier: MIT */
#include "net/address.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sonde/url.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

/* --- text to parts ---------------------------------------------------------------------------------------------- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alnum(char byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

static int refuse(const char **ret_hint, const char *hint)
{
    *ret_hint = hint;
    return -EINVAL;
}

int address_split_port(const char *text, size_t n_bytes, uint16_t *ret_port, const char **ret_hint)
{
    uint64_t port = 0;

    if (n_bytes == 0)
        return refuse(ret_hint, "there is no port after the colon");
    if (parse_number(text, n_bytes, false, UINT16_MAX, &port) < 0)
        return refuse(ret_hint, "a port is a number from 0 to 65535");
    *ret_port = (uint16_t)port;
    return 0;
}

/* An IPv6 address with or without a zone. RFC 6874 writes the zone of a URL behind %25, people write it behind %. Two
 * readings are possible when an interface's name or number begins with 25: the RFC's wins, and the other is written
 * %2525. Only %25 with nothing behind it is interface 25. */
static int split_ipv6(const char *text, size_t n_bytes, struct address_parts *parts, const char **ret_hint)
{
    const char *percent = memchr(text, '%', n_bytes);
    size_t n_literal = percent != NULL ? (size_t)(percent - text) : n_bytes;
    struct in6_addr ip;

    if (n_literal >= INET6_ADDRSTRLEN || memchr(text, '\0', n_bytes) != NULL)
        return refuse(ret_hint, "this is not an IPv6 address");
    memcpy(parts->host, text, n_literal);
    parts->host[n_literal] = '\0';
    if (inet_pton(AF_INET6, parts->host, &ip) != 1)
        return refuse(ret_hint, "this is not an IPv6 address");
    parts->kind = ADDRESS_IPV6;
    parts->needs_zone = percent == NULL && IN6_IS_ADDR_LINKLOCAL(&ip);
    if (percent == NULL)
        return 0;

    const char *zone = percent + 1;
    size_t n_zone = n_bytes - n_literal - 1;
    if (n_zone > 2 && memcmp(zone, "25", 2) == 0) {
        zone += 2;
        n_zone -= 2;
    }
    if (n_zone == 0 || n_zone >= IF_NAMESIZE)
        return refuse(ret_hint, "behind the percent sign stands an interface, as in [fe80::1%eth0]");
    for (size_t i = 0; i < n_zone; i++)
        if (!is_alnum(zone[i]) && (zone[i] == '\0' || strchr("._-~+", zone[i]) == NULL))
            return refuse(ret_hint, "behind the percent sign stands an interface, as in [fe80::1%eth0]");
    parts->host[n_literal] = '%';
    memcpy(parts->host + n_literal + 1, zone, n_zone);
    parts->host[n_literal + 1 + n_zone] = '\0';
    return 0;
}

/* Does the last label look like a number? Resolvers then take the whole for an IPv4 address in one of its forgotten
 * spellings: 127.1, 0x7f000001, 010.0.0.1, which is not 10.0.0.1. */
static bool ends_in_number(const char *text, size_t n_bytes)
{
    size_t end = n_bytes > 0 && text[n_bytes - 1] == '.' ? n_bytes - 1 : n_bytes, start = end;
    uint64_t number;

    while (start > 0 && text[start - 1] != '.')
        start--;
    size_t n = end - start;
    return parse_number(text + start, n, true, UINT64_MAX, &number) != -EINVAL ||
           (n == 2 && text[start] == '0' && (text[start + 1] | 0x20) == 'x');
}

/* An IPv4 address or a name (RFC 1123; underscores are in use too). */
static int split_name(const char *text, size_t n_bytes, struct address_parts *parts, const char **ret_hint)
{
    size_t n_label = 0;
    uint64_t number;

    for (size_t i = 0; i < n_bytes; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return refuse(ret_hint, "a name in other letters than ASCII is written in its xn-- form");
        if (!is_alnum(text[i]) && text[i] != '.' && text[i] != '_' && (text[i] != '-' || i == 0))
            return refuse(ret_hint, "this is neither a name nor a numeric address");
        n_label = text[i] == '.' ? 0 : n_label + 1;
        if (n_label > 63 || (text[i] == '.' && (i == 0 || text[i - 1] == '.')))
            return refuse(ret_hint, "a part of a name, between dots, has 1 to 63 letters");
    }
    /* 253 is the longest that DNS can carry; a dot at the end is not counted. */
    if (n_bytes > 253 && !(n_bytes == 254 && text[253] == '.'))
        return refuse(ret_hint, "a name has at most 253 letters");
    memcpy(parts->host, text, n_bytes);
    parts->host[n_bytes] = '\0';

    struct in_addr ip;
    parts->kind = inet_pton(AF_INET, parts->host, &ip) == 1 ? ADDRESS_IPV4 : ADDRESS_NAME;
    if (parts->kind == ADDRESS_IPV4 || !ends_in_number(text, n_bytes))
        return 0;
    if (parse_number(text, n_bytes, false, UINT64_MAX, &number) != -EINVAL)
        return refuse(ret_hint, "this host is only a number; a port stands behind a colon, as in :7007");
    return refuse(ret_hint, "an IPv4 address has four decimal parts, as in 127.0.0.1");
}

/* What stands in brackets: an IPv6 address or the asterisk. */
static int split_brackets(const char *text, size_t n_bytes, struct address_parts *parts, const char **ret_hint)
{
    if (n_bytes == 1 && text[0] == '*') {
        parts->kind = ADDRESS_ANY;
        memcpy(parts->host, "*", 2);
        return 0;
    }
    if (memchr(text, ':', n_bytes) == NULL)
        return refuse(ret_hint, "only an IPv6 address or an asterisk stands in brackets");
    return split_ipv6(text, n_bytes, parts, ret_hint);
}

/* The host where a port may follow, so that an IPv6 address has brackets. */
static int split_host(const char *text, size_t n_bytes, struct address_parts *parts, const char **ret_hint)
{
    if (n_bytes == 0)
        return 0;
    if (n_bytes == 1 && text[0] == '*')
        return split_brackets(text, n_bytes, parts, ret_hint);
    if (text[0] == '[') {
        if (text[n_bytes - 1] != ']')
            return refuse(ret_hint, "an IPv6 address ends with its bracket, as in [::1]:7007 or, alone, [::1]");
        return split_brackets(text + 1, n_bytes - 2, parts, ret_hint);
    }
    return split_name(text, n_bytes, parts, ret_hint);
}

int address_split_host(const char *text, size_t n_bytes, struct address_parts *ret_parts, const char **ret_hint)
{
    struct address_parts parts = {.kind = ADDRESS_NONE};
    int error;

    if (n_bytes > 0 && text[0] != '[' && memchr(text, ':', n_bytes) != NULL)
        error = split_ipv6(text, n_bytes, &parts, ret_hint);
    else
        error = split_host(text, n_bytes, &parts, ret_hint);
    if (error == 0)
        *ret_parts = parts;
    return error;
}

int address_split(const char *text, size_t n_bytes, struct address_parts *ret_parts, const char **ret_hint)
{
    static const char ambiguous[] = "an IPv6 address stands in brackets, to tell it from its port: [::1]:7007";
    struct address_parts parts = {.kind = ADDRESS_NONE};
    size_t n_host = 0;

    if (n_bytes > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', n_bytes);
        n_host = close != NULL ? (size_t)(close - text) + 1 : n_bytes;
        if (n_host < n_bytes && text[n_host] != ':')
            return refuse(ret_hint, "behind the bracket stands a colon and the port: [::1]:7007");
    } else {
        const char *colon = memchr(text, ':', n_bytes);
        n_host = colon != NULL ? (size_t)(colon - text) : n_bytes;
        if (colon != NULL && memchr(colon + 1, ':', n_bytes - n_host - 1) != NULL)
            return refuse(ret_hint, ambiguous);
    }
    int error = split_host(text, n_host, &parts, ret_hint);
    if (error < 0)
        return error;
    if (n_host < n_bytes) {
        parts.has_port = true;
        error = address_split_port(text + n_host + 1, n_bytes - n_host - 1, &parts.port, ret_hint);
        if (error < 0)
            return error;
    }
    *ret_parts = parts;
    return 0;
}

/* --- text to address -------------------------------------------------------------------------------------------- */

/* By name first: an interface may be called "5". */
static int zone_index(const char *zone, uint32_t *ret_index)
{
    uint64_t number = 0;
    unsigned index = strlen(zone) < IF_NAMESIZE ? if_nametoindex(zone) : 0;

    if (index == 0 && parse_number(zone, strlen(zone), false, UINT32_MAX, &number) == 0)
        index = (unsigned)number;
    if (index == 0)
        return -ENODEV;
    *ret_index = index;
    return 0;
}

int address_parse_numeric(const char *host, int family, struct sonde_address *ret_address)
{
    struct sonde_address address = {.family = AF_INET};
    char literal[INET6_ADDRSTRLEN];

    if (inet_pton(AF_INET, host, address.u.ip) != 1) {
        size_t n_literal = strcspn(host, "%");
        if (n_literal >= sizeof literal)
            return -EINVAL;
        memcpy(literal, host, n_literal);
        literal[n_literal] = '\0';
        if (inet_pton(AF_INET6, literal, address.u.ip) != 1)
            return -EINVAL;
        address.family = AF_INET6;
    }
    if (family != AF_UNSPEC && family != address.family)
        return -EAFNOSUPPORT;
    const char *percent = strchr(host, '%');
    if (percent != NULL) {
        int error = zone_index(percent + 1, &address.scope);
        if (error < 0)
            return error;
    }
    *ret_address = address;
    return 0;
}

int address_parse_local(const char *text, int family, struct sonde_address *ret_address)
{
    struct sonde_address address = {.family = (uint16_t)family};
    struct address_parts parts;
    const char *hint;

    if (address_split(text, strlen(text), &parts, &hint) < 0)
        return -EINVAL;
    if (parts.kind != ADDRESS_NONE && parts.kind != ADDRESS_ANY) {
        int error = address_parse_numeric(parts.host, family, &address);
        if (error < 0)
            return error;
    }
    address.port = parts.port;
    *ret_address = address;
    return 0;
}

/* --- the kernel's form ------------------------------------------------------------------------------------------ */

void address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t n_bytes, struct sonde_address *ret_address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    sa_family_t family = AF_UNSPEC;

    memset(ret_address, 0, sizeof *ret_address);
    if (n_bytes >= sizeof family)
        memcpy(&family, sockaddr, sizeof family);
    /* Copied out, because a caller's buffer need not be aligned for what is in it. */
    if (family == AF_INET && n_bytes >= sizeof in) {
        memcpy(&in, sockaddr, sizeof in);
        ret_address->family = AF_INET;
        ret_address->port = ntohs(in.sin_port);
        memcpy(ret_address->u.ip, &in.sin_addr, sizeof in.sin_addr);
    } else if (family == AF_INET6 && n_bytes >= sizeof in6) {
        memcpy(&in6, sockaddr, sizeof in6);
        ret_address->family = AF_INET6;
        ret_address->port = ntohs(in6.sin6_port);
        ret_address->scope = in6.sin6_scope_id;
        memcpy(ret_address->u.ip, &in6.sin6_addr, sizeof in6.sin6_addr);
    } else if (family == AF_VSOCK && n_bytes >= sizeof(struct sockaddr_vm)) {
        struct sockaddr_vm vm;
        memcpy(&vm, sockaddr, sizeof vm);
        ret_address->family = AF_VSOCK;
        ret_address->u.vsock.cid = vm.svm_cid;
        ret_address->u.vsock.port = vm.svm_port;
    } else if (family == AF_UNIX) {
        ret_address->family = AF_UNIX;
        ret_address->u.peer.uid = UINT32_MAX; /* what SO_PEERCRED says of nobody; 0 would be root */
    }
}

socklen_t address_to_sockaddr(const struct sonde_address *address, struct sockaddr_storage *ret_sockaddr)
{
    memset(ret_sockaddr, 0, sizeof *ret_sockaddr);
    if (address->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret_sockaddr;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->u.ip, sizeof in->sin_addr);
        return sizeof *in;
    }
    if (address->family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sockaddr;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        in6->sin6_scope_id = address->scope;
        memcpy(&in6->sin6_addr, address->u.ip, sizeof in6->sin6_addr);
        return sizeof *in6;
    }
    if (address->family == AF_VSOCK) {
        struct sockaddr_vm *vm = (struct sockaddr_vm *)ret_sockaddr;
        vm->svm_family = AF_VSOCK;
        vm->svm_cid = address->u.vsock.cid;
        vm->svm_port = address->u.vsock.port;
        return sizeof *vm;
    }
    return 0;
}

int address_from_vsock(const struct sonde_url *url, bool to_listen, struct sonde_address *ret_address)
{
    uint64_t cid = to_listen ? VMADDR_CID_ANY : VMADDR_CID_LOCAL;

    if (url->host[0] != '\0' && strcmp(url->host, "*") != 0 &&
        parse_number(url->host, strlen(url->host), false, UINT32_MAX, &cid) < 0)
        return -EINVAL;
    *ret_address = (struct sonde_address){.family = AF_VSOCK, .u.vsock = {(uint32_t)cid, url->vsock_port}};
    return 0;
}

bool address_is_multicast(const struct sonde_address *address)
{
    return (address->family == AF_INET && (address->u.ip[0] & 0xf0) == 0xe0) ||
           (address->family == AF_INET6 && address->u.ip[0] == 0xff);
}

/* --- address to text -------------------------------------------------------------------------------------------- */

/* The interface's name; its number when it is gone, or when its name, which may hold almost any byte, is not fit to be
 * shown. */
static void zone_name(uint32_t index, char ret_name[IF_NAMESIZE])
{
    char name[IF_NAMESIZE];
    size_t n = 0;

    if (if_indextoname(index, name) != NULL)
        while (n < IF_NAMESIZE - 1 && name[n] > 0x20 && name[n] < 0x7f)
            n++;
    if (n > 0 && name[n] == '\0')
        memcpy(ret_name, name, n + 1);
    else
        snprintf(ret_name, IF_NAMESIZE, "%u", index);
}

static size_t copy_cut(const char *from, char *ret_text, size_t size_bytes)
{
    if (size_bytes == 0)
        return 0;
    size_t n = strnlen(from, size_bytes - 1);
    memcpy(ret_text, from, n);
    ret_text[n] = '\0';
    return n;
}

size_t address_format_host(const struct sonde_address *address, char *ret_text, size_t size_bytes)
{
    char host[SONDE_ADDRESS_TEXT], zone[IF_NAMESIZE];

    if ((address->family != AF_INET && address->family != AF_INET6) ||
        inet_ntop(address->family, address->u.ip, host, sizeof host) == NULL)
        return copy_cut("?", ret_text, size_bytes);
    if (address->family == AF_INET6 && address->scope != 0) {
        size_t n = strlen(host);
        zone_name(address->scope, zone);
        snprintf(host + n, sizeof host - n, "%%%s", zone);
    }
    return copy_cut(host, ret_text, size_bytes);
}

size_t sonde_address_format(const struct sonde_address *address, char *ret_text, size_t size_bytes)
{
    char text[SONDE_ADDRESS_TEXT + 16] = "?", host[SONDE_ADDRESS_TEXT];

    if (address->family == AF_INET || address->family == AF_INET6) {
        address_format_host(address, host, sizeof host);
        snprintf(text, sizeof text, address->family == AF_INET ? "%s:%u" : "[%s]:%u", host, address->port);
    } else if (address->family == AF_VSOCK) {
        snprintf(text, sizeof text, "%" PRIu32 ":%" PRIu32, address->u.vsock.cid, address->u.vsock.port);
    } else if (address->family == AF_UNIX && address->u.peer.pid > 0) {
        snprintf(text, sizeof text, "pid %d (uid %u)", address->u.peer.pid, address->u.peer.uid);
    } else if (address->family == AF_UNIX && address->u.peer.uid != UINT32_MAX) {
        /* Its process is in another pid namespace. */
        snprintf(text, sizeof text, "pid ? (uid %u)", address->u.peer.uid);
    }
    return copy_cut(text, ret_text, size_bytes);
}
