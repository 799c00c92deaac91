/* SPDX-License-Identifier: MIT */
/*
 * Addresses between their three forms: text, struct sonde_address, and what the kernel takes.
 *
 * Nothing here resolves names. Texts are a pointer and a length where a piece of a longer text can be meant.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <sonde/address.h>
#include <stdbool.h>
#include <sys/socket.h>

/* What a HOST:PORT says, before anything is looked up. */
enum address_kind {
    ADDRESS_NONE, /* no host: whatever the context means by that */
    ADDRESS_ANY,  /* the asterisk */
    ADDRESS_IPV4, /* four decimal parts */
    ADDRESS_IPV6, /* perhaps with a zone */
    ADDRESS_NAME, /* to be resolved */
};

struct address_parts {
    enum address_kind kind;
    bool has_port;
    bool needs_zone; /* link-local and without one: the kernel refuses it, unless the interface is named otherwise */
    uint16_t port;   /* 0 when there is none */
    char host[256];  /* as in struct sonde_url: no brackets, "fe80::1%eth0", "" or "*" */
};

/* Take HOST, HOST:PORT, :PORT, [IPV6]:PORT or *:PORT apart. Pure. Returns 0, or -EINVAL and a sentence (static) that
 * says what would be right. */
int address_split(const char *text, size_t n_bytes, struct address_parts *ret_parts, const char **ret_hint);

/* The two halves of it alone. A host that stands alone may be an IPv6 address without brackets. */
int address_split_host(const char *text, size_t n_bytes, struct address_parts *ret_parts, const char **ret_hint);
int address_split_port(const char *text, size_t n_bytes, uint16_t *ret_port, const char **ret_hint);

/* The text of a numeric address, with "%zone" by interface name or number, to an address with port 0. family is
 * AF_UNSPEC, AF_INET or AF_INET6; an IPv4-mapped IPv6 address stays one. Returns 0; -EINVAL (not numeric: resolve it),
 * -EAFNOSUPPORT (numeric, but of the other family), -ENODEV (no interface of that name or number). */
int address_parse_numeric(const char *host, int family, struct sonde_address *ret_address);

/* The value of the option `bind`: ADDRESS, ADDRESS:PORT or :PORT. Without an address it is the family's any address.
 * family is AF_INET or AF_INET6. Errors as above. */
int address_parse_local(const char *text, int family, struct sonde_address *ret_address);

/* Of AF_UNIX only the family is taken, since a peer's path says nothing about who it is; what is too short or of
 * another family becomes family 0. The flow label is dropped. */
void address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t n_bytes, struct sonde_address *ret_address);

struct sonde_url;

/* Of a vsock:// URL; without a CID it is any one to listen, and this machine itself (VMADDR_CID_LOCAL) to connect. 0 or
 * -EINVAL. */
int address_from_vsock(const struct sonde_url *url, bool to_listen, struct sonde_address *ret_address);

/* 224.0.0.0/4, ff00::/8. */
bool address_is_multicast(const struct sonde_address *address);

/* Returns the length for bind and connect; 0 when it is not an IPv4, IPv6 or virtual machine's address. */
socklen_t address_to_sockaddr(const struct sonde_address *address, struct sockaddr_storage *ret_sockaddr);

/* Only the host, without brackets and port, as the member `host` of struct sonde_url has it: "fe80::1%eth0". Returns
 * its length, always less than size_bytes. */
size_t address_format_host(const struct sonde_address *address, char *ret_text, size_t size_bytes);

#endif
