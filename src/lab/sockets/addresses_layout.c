/* SPDX-License-Identifier: MIT */
/* The structs of addresses, field by field, each with the bytes that getsockname gave for a socket that is really bound
 * so; and how large they are. */
#include "lab/sockets/addresses_internal.h"

#include "lab/sockets/given.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Bound to a port of the kernel's choice on loopback, or to an abstract name of its choice: its address as the kernel
 * gives it. False: there is none. */
static bool bound_address(int family, struct sockaddr_storage *ret_address, socklen_t *ret_n_bytes)
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    socklen_t n_bytes = sizeof(address);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (family == AF_INET) {
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        n_bytes = sizeof(struct sockaddr_in);
    } else if (family == AF_INET6) {
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
        n_bytes = sizeof(struct sockaddr_in6);
    } else {
        n_bytes = sizeof(sa_family_t); /* no name: the kernel gives one (unix(7), autobind) */
    }
    bool done = bind(fd, (struct sockaddr *)&address, n_bytes) == 0;
    n_bytes = sizeof(*ret_address);
    memset(ret_address, 0, sizeof(*ret_address));
    done = done && getsockname(fd, (struct sockaddr *)ret_address, &n_bytes) == 0;
    *ret_n_bytes = done ? n_bytes : 0;
    close(fd);
    return done;
}

struct field {
    const char *name;
    size_t offset, n_bytes;
};

#define FIELD(type, member)                                                                                            \
    {                                                                                                                  \
        "  " #member, offsetof(struct type, member), sizeof(((struct type *)NULL)->member)                             \
    }

static void show_struct(struct lab *lab, const char *name, size_t n_bytes, const struct field *fields, size_t n,
                        const struct sockaddr_storage *real, socklen_t n_real)
{
    char text[96];

    lab_cell(lab, "%s", name);
    lab_cell(lab, "-");
    lab_cell(lab, "%zu", n_bytes);
    lab_cell(lab, "%s", n_real ? _("as getsockname() gave it:") : "-");
    for (size_t i = 0; i < n; i++) {
        lab_cell(lab, "%s", fields[i].name);
        lab_cell(lab, "%zu", fields[i].offset);
        lab_cell(lab, "%zu", fields[i].n_bytes);
        size_t end = fields[i].offset + fields[i].n_bytes;
        if (end > n_real)
            end = n_real;
        snprintf(text, sizeof(text), "-");
        if (end > fields[i].offset)
            bytes_as_hex((const char *)real + fields[i].offset, end - fields[i].offset, text, sizeof(text));
        lab_cell(lab, "%s", text);
    }
}

static void show_structs(struct lab *lab)
{
    static const char *const heads[] = {N_("struct"), N_("offset"), N_("bytes"), N_("a real one")};
    static const struct field generic[] = {FIELD(sockaddr, sa_family), FIELD(sockaddr, sa_data)};
    static const struct field in[] = {FIELD(sockaddr_in, sin_family), FIELD(sockaddr_in, sin_port),
                                      FIELD(sockaddr_in, sin_addr), FIELD(sockaddr_in, sin_zero)};
    static const struct field in6[] = {FIELD(sockaddr_in6, sin6_family), FIELD(sockaddr_in6, sin6_port),
                                       FIELD(sockaddr_in6, sin6_flowinfo), FIELD(sockaddr_in6, sin6_addr),
                                       FIELD(sockaddr_in6, sin6_scope_id)};
    static const struct field local[] = {FIELD(sockaddr_un, sun_family), FIELD(sockaddr_un, sun_path)};
    static const struct field storage[] = {FIELD(sockaddr_storage, ss_family)};
    struct sockaddr_storage real;
    socklen_t n_real;

    lab_table(lab, 4, heads);
    show_struct(lab, "sockaddr", sizeof(struct sockaddr), generic, 2, NULL, 0);
    bound_address(AF_INET, &real, &n_real);
    show_struct(lab, "sockaddr_in", sizeof(struct sockaddr_in), in, 4, &real, n_real);
    bound_address(AF_INET6, &real, &n_real);
    show_struct(lab, "sockaddr_in6", sizeof(struct sockaddr_in6), in6, 5, &real, n_real);
    bound_address(AF_UNIX, &real, &n_real);
    show_struct(lab, "sockaddr_un", sizeof(struct sockaddr_un), local, 2, &real, n_real);
    show_struct(lab, "sockaddr_storage", sizeof(struct sockaddr_storage), storage, 1, NULL, 0);
    lab_table_end(lab);
}

static void judge_sizes(struct lab *lab)
{
    const size_t generic = sizeof(struct sockaddr), in = sizeof(struct sockaddr_in);
    const uint32_t value = inet_addr("127.0.0.1");

    lab_figure(lab, "C30", "sockaddr_bytes", (double)generic);
    lab_figure(lab, "C30", "sockaddr_in_bytes", (double)in);
    lab_figure(lab, "C30", "sockaddr_in6_bytes", (double)sizeof(struct sockaddr_in6));
    lab_figure(lab, "C30", "inet_addr_loopback", value);
    if (generic == 16 && in == 16 && value == 0x100007f)
        lab_verdict(
            lab, "C30", LAB_TRUE,
            _("They are %zu and %zu bytes, and inet_addr gave 0x%x: the bytes 7f 00 00 01 read as a number by a "
              "little-endian host. sockaddr_in6 has %zu bytes."),
            generic, in, value, sizeof(struct sockaddr_in6));
    else if (generic == 16 && in == 16)
        lab_verdict(
            lab, "C30", LAB_DEPENDS,
            _("They are %zu and %zu bytes, but inet_addr gave 0x%x: which number the bytes 7f 00 00 01 are depends "
              "on the host's byte order."),
            generic, in, value);
    else
        lab_verdict(lab, "C30", LAB_FALSE, _("They are %zu and %zu bytes, and inet_addr gave 0x%x."), generic, in,
                    value);
}

/* An IPv6 socket's name asked for with room for a sockaddr only: what the kernel wrote, and what it said. */
static void judge_fit(struct lab *lab)
{
    struct sockaddr_storage whole, cut;
    socklen_t n_whole = 0, n_cut = sizeof(struct sockaddr);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const size_t generic = sizeof(struct sockaddr);

    memset(&cut, 0xee, sizeof(cut));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0) {
        n_whole = sizeof(whole);
        if (getsockname(fd, (struct sockaddr *)&whole, &n_whole) < 0 ||
            getsockname(fd, (struct sockaddr *)&cut, &n_cut) < 0)
            n_whole = 0;
    }
    if (fd >= 0)
        close(fd);
    size_t n_written = n_whole;
    while (n_written > 0 && ((uint8_t *)&cut)[n_written - 1] == 0xee)
        n_written--;
    lab_figure(lab, "C65", "sockaddr_bytes", (double)generic);
    lab_figure(lab, "C65", "sockaddr_un_bytes", (double)sizeof(struct sockaddr_un));
    lab_figure(lab, "C65", "sockaddr_storage_bytes", (double)sizeof(struct sockaddr_storage));
    lab_figure(lab, "C65", "given_bytes", (double)n_written);
    lab_figure(lab, "C65", "needed_bytes", (double)n_cut);
    if (sizeof(struct sockaddr_in6) <= generic && sizeof(struct sockaddr_un) <= generic)
        lab_verdict(lab, "C65", LAB_TRUE,
                    _("It has %zu bytes, and neither sockaddr_in6 (%zu) nor sockaddr_un (%zu) more."), generic,
                    sizeof(struct sockaddr_in6), sizeof(struct sockaddr_un));
    else if (n_whole > generic && n_cut == n_whole && n_written == generic)
        lab_verdict(
            lab, "C65", LAB_FALSE,
            _("getsockname() on an IPv6 socket, given room for a sockaddr, wrote %zu bytes and said that %u were "
              "needed: the second half of the IPv6 address was cut off, and no error said so. sockaddr_un has %zu; "
              "sockaddr_storage, %zu, holds them all."),
            n_written, n_cut, sizeof(struct sockaddr_un), sizeof(struct sockaddr_storage));
    else
        lab_verdict(
            lab, "C65", LAB_FALSE,
            _("sockaddr has %zu bytes, sockaddr_in6 %zu and sockaddr_un %zu; sockaddr_storage, %zu, holds them all. "
              "(There was no IPv6 socket to show it with.)"),
            generic, sizeof(struct sockaddr_in6), sizeof(struct sockaddr_un), sizeof(struct sockaddr_storage));
}

void addresses_layout(struct lab *lab)
{
    show_structs(lab);
    judge_sizes(lab);
    judge_fit(lab);
}
