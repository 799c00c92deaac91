/* SPDX-License-Identifier: MIT */
/* An address as a person types it, and what the kernel would be given for it. Pure, but for a zone's interface. */
#ifndef LAB_SOCKETS_GIVEN_H
#define LAB_SOCKETS_GIVEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define GIVEN_TEXT_MAX 108 /* of an address; longer ones are none */

struct given {
    struct sockaddr_storage address;
    socklen_t n_bytes;  /* of the address */
    const void *binary; /* the IP address in it, in network order; NULL: AF_UNIX */
    size_t n_binary;
    char text[GIVEN_TEXT_MAX + 2]; /* back to text: the one way to write it; "@name" for an abstract one */
    const char *kind;              /* "loopback", "private (RFC 1918)", "mapped IPv4"...; to be translated */
    bool has_port;
    bool only_aton; /* inet_aton reads it, inet_pton does not: "127.1" */
};

/* "127.0.0.1", "::1", "fe80::1%eth0", "10.0.0.1:80", "[::1]:80", "/run/x.sock", "@name", "127.1". Points into itself:
 * do not copy. False: it is none of these; *ret_why says so (to be translated), and *ret_given is undefined. */
bool given_parse(const char *text, struct given *ret_given, const char **ret_why);

/* Bytes as "7f 00 00 01"; what repeats four times or more as "00 x8". Returns the length; cut to fit. */
size_t bytes_as_hex(const void *data, size_t n_bytes, char *ret_text, size_t size_bytes);

#endif
