/* SPDX-License-Identifier: MIT */
#include "lab/sockets/addresses_internal.h"

#include "lab/table.h"
#include "term/translate.h"

static void run(struct lab *lab)
{
    if (lab_given(lab))
        addresses_given(lab, lab_given(lab));
    addresses_layout(lab);
    addresses_order(lab);
    addresses_text(lab);
    addresses_types(lab);
    addresses_any(lab);
}

static const struct lab_claim claims[] = {
    {"C15", N_("Network order is big-endian; the host's own is little-endian on most machines.")},
    {"C16", N_("INADDR_ANY is 0 and stands for every local address.")},
    {"C30", N_("sockaddr and sockaddr_in are 16 bytes each, and inet_addr(\"127.0.0.1\") is 0x100007f.")},
    {"C31", N_("size_t is unsigned int.")},
    {"C65", N_("Any address fits into a struct sockaddr.")},
    {"C66", N_("ssize_t is int, in_addr_t is unsigned long, socklen_t is unsigned int.")},
    {NULL, NULL},
};

static const char *const choices[] = {"a) 1b 5f", "b) 5f 1b", NULL};

const struct experiment experiment_addresses = {
    .name = "addresses",
    .chapter = CHAPTER_SOCKETS,
    .title = N_("socket addresses byte by byte, byte order, text and binary"),
    .claims = claims,
    .systems = "S12",
    .milliseconds = 30,
    .done =
        N_("Real addresses are read back from the kernel and taken apart, numbers are put into memory in both orders, "
           "texts are converted by inet_pton, inet_aton and inet_addr, and a listener on INADDR_ANY is reached by two "
           "of its host's addresses. Sizes are those of the compiler that built this program. An address of your own "
           "may be given: sonde lab addresses ::ffff:1.2.3.4"),
    .question = N_("Port 7007 is 0x1b5f. Which two bytes stand in sin_port, in the order of memory?"),
    .choices = choices,
    .by_hand = "sonde lab addresses 127.1\n"
               "sonde serve echo tcp://0.0.0.0:7007 &\n"
               "nc.openbsd -N 127.0.0.2 7007 </dev/null\n"
               "python3 -c 'import socket; print(socket.inet_aton(\"010.1\"))'",
    .read = "ip(7), ipv6(7), unix(7), inet(3), inet_pton(3), byteorder(3); RFC 4291, RFC 5952",
    .settings = NULL,
    .run = run,
};
