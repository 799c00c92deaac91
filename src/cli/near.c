/* SPDX-License-Identifier: MIT */
#include "cli/near.h"

#include <string.h>

#define WORD_MAX 32 /* longer words are near to nothing */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, left out, changed or swapped with their neighbour (optimal string alignment). */
static unsigned distance_of(const char *from, const char *to)
{
    size_t n_from = strlen(from), n_to = strlen(to);
    if (n_from > WORD_MAX || n_to > WORD_MAX)
        return WORD_MAX;
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n_to; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n_from; i++) {
        unsigned *free_row = before;
        before = above;
        above = row;
        row = free_row;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n_to; j++) {
            unsigned change = above[j - 1] + (from[i - 1] != to[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[n_to];
}

void near_begin(struct near *near, const char *word)
{
    /* One letter in three may be wrong. */
    *near = (struct near){.word = word, .distance = (unsigned)strlen(word) / 3 + 1};
}

void near_try(struct near *near, const char *candidate)
{
    if (!candidate || near->word[0] == '\0')
        return;
    size_t n = strlen(near->word);
    unsigned distance = n > 1 && strncmp(candidate, near->word, n) == 0 ? 0 : distance_of(near->word, candidate);
    if (distance < near->distance) {
        near->best = candidate;
        near->distance = distance;
    }
}
