/* SPDX-License-Identifier: MIT */
/* The verbs of sonde. A new one is a file with its const description, a line here and a row in verbs.c. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/option.h"

extern const struct verb completion_verb;
extern const struct verb connect_verb;
extern const struct verb lab_verb;
extern const struct verb serve_verb;
extern const struct verb trace_verb;
extern const struct verb version_verb;
extern const struct verb watch_verb;
extern const struct verb wire_verb;

/* All of them, in the order of help; ends with NULL. */
extern const struct verb *const verbs[];

#endif
