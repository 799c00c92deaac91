// SPDX-License-Identifier: MIT
/* Which cell of a line is what. The wire takes what the others leave. */
#include "observe/ladder/ladder_internal.h"

#define TIME_CELLS 10
#define DELTA_CELLS 8
#define DELTA_FROM 110 /* lines so wide have it */
#define WIDE_FROM 100
#define SIDE_CELLS 14
#define SIDE_CELLS_WIDE 24
#define SIDE_CELLS_NO_CALLS 12

void grid_init(struct grid *grid, unsigned width, unsigned n_tag, bool has_calls)
{
    unsigned n_side = !has_calls ? SIDE_CELLS_NO_CALLS : width >= WIDE_FROM ? SIDE_CELLS_WIDE : SIDE_CELLS;
    *grid = (struct grid){.width = width, .time = n_tag, .n_side = n_side, .wide = width >= WIDE_FROM};
    grid->delta = grid->time + TIME_CELLS + 1;
    grid->n_delta = width >= DELTA_FROM ? DELTA_CELLS : 0;
    grid->left = grid->delta + (grid->n_delta > 0 ? grid->n_delta + 1 : 0);
    grid->bracket_a = grid->left + n_side + 1;
    grid->life_a = grid->bracket_a + 1;
    grid->wire = grid->life_a + 1;
    grid->right = width - n_side;
    grid->bracket_b = grid->right - 2;
    grid->life_b = grid->bracket_b - 1;
    grid->n_wire = grid->life_b - grid->wire;
}
