/* SPDX-License-Identifier: MIT */
/* The members of TCP_INFO in a table: their names, their units, and what they are in words. Pure. */
#ifndef WATCH_TCP_MEMBERS_H
#define WATCH_TCP_MEMBERS_H

#include "observe/sockets/tcp_info.h"

#include <stdbool.h>

enum member_unit {
    UNIT_NONE,
    UNIT_BYTES,
    UNIT_SEGMENTS,
    UNIT_US,
    UNIT_MS,
    UNIT_RATE, /* bytes a second */
};

struct tcp_member {
    const char *name;  /* as the kernel names it, without tcpi_ */
    const char *words; /* translatable */
    uint16_t offset;
    uint8_t size_bytes, unit;
};

extern const struct tcp_member tcp_members[]; /* in the kernel's order */
extern const size_t n_tcp_members;

uint64_t tcp_member_value(const struct tcp_member *member, const struct tcp_info_whole *info);
/* Did this kernel tell it? */
bool tcp_member_is_known(const struct tcp_member *member, const struct tcp_info_whole *info);

#endif
