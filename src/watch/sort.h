/* SPDX-License-Identifier: MIT */
/* In which order rows stand: trouble first, then by a column. Pure. */
#ifndef WATCH_SORT_H
#define WATCH_SORT_H

#include "watch/view.h"
#include "watch/watch.h"

/* Where a row stands: small stands first. */
struct place {
    uint64_t key;
    uint32_t row; /* index in the model */
    uint8_t weight;
};

/* sort -1: by state. */
struct place place_of_row(const struct model *model, const struct view *view, const struct row *row, int sort);
/* Sort n places; those that agree by their addresses. */
void places_sort(const struct model *model, struct place *places, size_t n, int sort);

/* A row that should stand elsewhere keeps its place for so long. */
#define PLACE_KEPT_NS (2 * NS_PER_S)
/* The place that the row has now, with patience; *ret_moved is set when that changed. */
struct place place_kept(const struct model *model, const struct view *view, const struct row *row, struct track *track,
                        int sort, bool at_once, bool *ret_moved);

#endif
