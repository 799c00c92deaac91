/* SPDX-License-Identifier: MIT */
/* "Did you mean ...?": the candidate that a mistyped word is nearest to. Pure. */
#ifndef CLI_NEAR_H
#define CLI_NEAR_H

struct near {
    const char *word;
    const char *best; /* NULL: none is near enough */
    unsigned distance;
};

void near_begin(struct near *near, const char *word);

/* candidate may be NULL, and must live as long as best is used. */
void near_try(struct near *near, const char *candidate);

#endif
