/* SPDX-License-Identifier: MIT */
/* Words of the JSON that writing and reading share. Tables are indexed by the enumerations of event.h. */
#ifndef OBSERVE_EVENT_EVENT_JSON_INTERNAL_H
#define OBSERVE_EVENT_EVENT_JSON_INTERNAL_H

#include "observe/event/event.h"

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const char *const end_words[N_ENDS] = {"a", "b"};
static const char *const role_words[] = {"unknown", "client", "server"};
static const char *const phase_words[] = {"whole", "begin", "end"};
static const char *const fate_words[] = {"unknown", "arrived", "lost", "thrown-away"};

/* Bits of SONDE_LAYER_..., lowest first. */
static const char *const layer_words[] = {"tls", "websocket", "any", "http"};

/* Options of a segment that are there or not. */
#define SEGMENT_OPTION_FLAGS(X)                                                                                        \
    X(sack_permitted)                                                                                                  \
    X(has_fast_open)                                                                                                   \
    X(has_mptcp)                                                                                                       \
    X(has_md5)                                                                                                         \
    X(has_user_timeout)                                                                                                \
    X(has_accecn)                                                                                                      \
    X(malformed)

#endif
