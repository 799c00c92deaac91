/* SPDX-License-Identifier: MIT */
/* The systems: small programs that were asked for, and where each is run; and what no experiment can show. */
#ifndef LAB_SYSTEMS_H
#define LAB_SYSTEMS_H

#include <stdio.h>

struct lab_system {
    const char *id;     /* "S1"; NULL ends the table */
    const char *system; /* what it is */
    const char *run;    /* a command of sonde in Markdown; NULL: experiments only */
    const char *remark; /* what is missing; NULL: nothing */
};

extern const struct lab_system lab_systems[];
extern const char *const lab_not_measurable[]; /* ends with NULL */

/* The whole document (docs/claims.md) around these rows of the table of claims, which are sorted here. */
void systems_markdown(const char *rows, FILE *out);

#endif
