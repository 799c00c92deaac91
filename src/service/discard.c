/* SPDX-License-Identifier: MIT */
/* Discard: read and drop. What the host shows and counts is all that becomes of it. */
#include "service/service_internal.h"

const struct service service_discard = {
    .name = "discard",
    .help = "read everything, answer nothing",
    .rfc = "RFC 863",
    .flags = SERVICE_MANY_THREADS | SERVICE_TAKES_MESSAGES,
    .end = service_close_at_end,
};
