/* SPDX-License-Identifier: MIT */
/* Which sockets this kernel makes: what was asked for, and what came of it. */
#ifndef LAB_SOCKETS_FAMILIES_INTERNAL_H
#define LAB_SOCKETS_FAMILIES_INTERNAL_H

#include "lab/lab.h"

#include <stdbool.h>

struct named {
    const char *name; /* without AF_, SOCK_, IPPROTO_ */
    int number;
};

#define N_FAMILIES 12
#define N_TYPES 6
#define N_PROTOCOLS 9
#define N_INET_TYPES 4 /* of the types, the first four */

extern const struct named families_families[N_FAMILIES];
extern const struct named families_types[N_TYPES];
extern const struct named families_protocols[N_PROTOCOLS];

/* One socket(2). */
struct made {
    int returned;               /* as the call returned it */
    int error;                  /* errno behind it; 0: there was a socket */
    int family, type, protocol; /* what SO_DOMAIN, SO_TYPE and SO_PROTOCOL say of it; -1: nothing */
};

/* All of them, for one user. */
struct made_all {
    struct made family[N_FAMILIES][N_TYPES];            /* protocol 0 */
    struct made protocol[2][N_PROTOCOLS][N_INET_TYPES]; /* AF_INET, AF_INET6 */
};

struct families {
    struct lab *lab;
    struct made_all mine;            /* of this very user */
    const struct made_all *ordinary; /* of one without capabilities */
    struct made_all privileged;      /* of one with CAP_NET_RAW, */
    bool has_privileged;             /* ... if there is such a one here */
};

/* socket(family, type, protocol), by whatever makes it: what came back is described, and closed. */
void made_describe(int returned, int error, struct made *ret_made);

/* The tables, and what the marks in them mean. */
void families_show(struct families *families);
/* For --json: the row of one family or protocol as this user has it, "yes yes EPERM". */
void families_row_text(const struct made *row, size_t n, char *ret_text, size_t size_bytes);

/* C64 */
void families_skip_layers(struct lab *lab);

#endif
