/* SPDX-License-Identifier: MIT */
#include "cli/verbs.h"

const struct verb *const verbs[] = {
    &serve_verb, &connect_verb, &trace_verb, &watch_verb, &wire_verb, &lab_verb, &completion_verb, &version_verb, NULL,
};
