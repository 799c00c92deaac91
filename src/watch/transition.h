/* SPDX-License-Identifier: MIT */
/* A change of a socket's state in a line, for people or as JSON. Pure. */
#ifndef WATCH_TRANSITION_H
#define WATCH_TRANSITION_H

#include "watch/model.h"
#include "watch/text.h"

/* owner: "sonde[4098]", escaped; NULL: none is to be shown. Both end with a newline. */
void transition_line(const struct change *change, int64_t wall_ns, const char *owner, struct text *text);

/* program NULL: not known, or not asked for. */
struct transition_owner {
    bool asked;
    const char *program; /* raw, NUL-terminated */
    int32_t pid, fd;
};
void transition_json(const struct change *change, int64_t wall_ns, int64_t now_ns, const struct transition_owner *owner,
                     struct text *text);

#endif
