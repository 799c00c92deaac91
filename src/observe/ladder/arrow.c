// SPDX-License-Identifier: MIT
/* Arrows in the wire: whole, lost, thrown away, in two rows, from outside. */
#include "observe/ladder/ladder_internal.h"

#include <stdio.h>
#include <string.h>

/* Two dashes, two blanks, a dash at least, and the head, beside number and label. */
#define ARROW_CELLS 6

static unsigned n_digits(uint32_t number)
{
    unsigned n = 1;
    while (number >= 10) {
        number /= 10;
        n++;
    }
    return n;
}

unsigned arrow_room(const struct grid *grid, uint32_t number)
{
    unsigned n = ARROW_CELLS + n_digits(number);
    return grid->n_wire > n ? grid->n_wire - n : 0;
}

/* The label from cell `at` on; returns the cell behind. */
static unsigned put_label(struct row *row, unsigned at, unsigned end, const struct label *label)
{
    bool first = true;
    for (unsigned part = 0; part < N_LABEL_PARTS; part++) {
        if (label->part[part][0] == '\0')
            continue;
        at = cells_put(&row->cells, at, end, first ? "" : " ", STYLE_PLAIN);
        at = cells_put(&row->cells, at, end, label->part[part], label->trouble[part] ? STYLE_TROUBLE : STYLE_PLAIN);
        first = false;
    }
    return at;
}

static const struct glyphs *glyphs_of(const struct row *row)
{
    return row->ladder->output.glyphs;
}

/* `─N─ label ───►`, from left to right. */
static void draw_from_a(struct row *row, enum arrow_kind kind, const char *number, const struct label *label)
{
    const struct glyphs *glyphs = glyphs_of(row);
    unsigned begin = row->grid.wire, end = begin + row->grid.n_wire;
    unsigned at = cells_put(&row->cells, begin, end, glyphs->dash, STYLE_PLAIN);
    at = cells_put(&row->cells, at, end, number, STYLE_PLAIN);
    at = cells_put(&row->cells, at, end, glyphs->dash, STYLE_PLAIN);
    at = cells_put(&row->cells, at, end, " ", STYLE_PLAIN);
    at = put_label(row, at, end, label);
    at = cells_put(&row->cells, at, end, " ", STYLE_PLAIN);
    unsigned last = end - 1; /* the cell of the head */
    if (kind == ARROW_LOST) {
        unsigned three_quarters = begin + row->grid.n_wire * 3 / 4 - 1;
        last = at > three_quarters ? at : three_quarters;
    } else if (kind == ARROW_LEAVES) {
        unsigned half = begin + row->grid.n_wire / 2;
        last = at + 2 > half ? at + 2 : half;
    }
    if (last >= end)
        last = end - 1;
    cells_repeat(&row->cells, at, last, glyphs->dash, STYLE_PLAIN);
    if (kind == ARROW_WHOLE)
        cells_put(&row->cells, last, end, glyphs->head_right, STYLE_PLAIN);
    else if (kind == ARROW_LEAVES)
        cells_put(&row->cells, last, end, glyphs->stub_right, STYLE_PLAIN);
    else
        cells_put(&row->cells, last, end, glyphs->cross, STYLE_TROUBLE);
}

/* `◄─ label ───N─`: the head at the left, the number at its sender. */
static void draw_from_b(struct row *row, enum arrow_kind kind, const char *number, const struct label *label)
{
    const struct glyphs *glyphs = glyphs_of(row);
    unsigned begin = row->grid.wire, end = begin + row->grid.n_wire;
    unsigned tail = end - 1 - (unsigned)strlen(number);
    cells_put(&row->cells, end - 1, end, glyphs->dash, STYLE_PLAIN);
    cells_put(&row->cells, tail, end - 1, number, STYLE_PLAIN);
    unsigned head = begin, n_label = label_cells(label), n_needed = n_label + 5;
    unsigned latest = tail > begin + n_needed ? tail - n_needed : begin;
    if (kind == ARROW_LOST)
        head = begin + row->grid.n_wire / 4;
    else if (kind == ARROW_LEAVES)
        head = begin + row->grid.n_wire / 2 - (row->grid.n_wire / 2 > n_label / 2 ? n_label / 2 : 0);
    if (head > latest)
        head = latest;
    unsigned at = head;
    if (kind == ARROW_WHOLE)
        at = cells_put(&row->cells, at, tail, glyphs->head_left, STYLE_PLAIN);
    else if (kind == ARROW_LEAVES)
        at = cells_put(&row->cells, at, tail, glyphs->stub_left, STYLE_PLAIN);
    else
        at = cells_put(&row->cells, at, tail, glyphs->cross, STYLE_TROUBLE);
    at = cells_put(&row->cells, at, tail, glyphs->dash, STYLE_PLAIN);
    at = cells_put(&row->cells, at, tail, " ", STYLE_PLAIN);
    at = put_label(row, at, tail, label);
    at = cells_put(&row->cells, at, tail, " ", STYLE_PLAIN);
    cells_repeat(&row->cells, at, tail, glyphs->dash, STYLE_PLAIN);
}

void arrow_draw(struct row *row, enum event_end from, enum arrow_kind kind, uint32_t number, struct label *label)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    if (from == END_A)
        draw_from_a(row, kind, text, label);
    else
        draw_from_b(row, kind, text, label);
}

static void put_head(struct row *row, unsigned at, bool thrown, const char *head)
{
    cells_put(&row->cells, at, at + 1, thrown ? glyphs_of(row)->cross : head, thrown ? STYLE_TROUBLE : STYLE_PLAIN);
}

void arrow_draw_arrival(struct row *row, enum event_end from, bool thrown, uint32_t number)
{
    const struct glyphs *glyphs = glyphs_of(row);
    char text[16];
    snprintf(text, sizeof text, " #%u ", number);
    unsigned begin = row->grid.wire, end = begin + row->grid.n_wire, half = row->grid.n_wire / 2;
    unsigned n = (unsigned)strlen(text), n_arrow = half > n + 4 ? half : n + 4;
    if (n_arrow > row->grid.n_wire)
        n_arrow = row->grid.n_wire;
    unsigned middle = n_arrow > n ? (n_arrow - n) / 2 : 0;
    if (from == END_A) {
        unsigned at = end - n_arrow;
        cells_repeat(&row->cells, at, end, glyphs->dash, STYLE_PLAIN);
        cells_put(&row->cells, at, end, glyphs->stub_left, STYLE_PLAIN);
        cells_put(&row->cells, at + middle, end, text, STYLE_PLAIN);
        put_head(row, end - 1, thrown, glyphs->head_right);
    } else {
        unsigned last = begin + n_arrow;
        cells_repeat(&row->cells, begin, last, glyphs->dash, STYLE_PLAIN);
        cells_put(&row->cells, last - 1, last, glyphs->stub_right, STYLE_PLAIN);
        cells_put(&row->cells, begin + middle, last, text, STYLE_PLAIN);
        put_head(row, begin, thrown, glyphs->head_left);
    }
}

void arrow_draw_icmp(struct row *row, enum event_end to, const char *text)
{
    const struct glyphs *glyphs = glyphs_of(row);
    unsigned begin = row->grid.wire, end = begin + row->grid.n_wire, n = text_cells(text);
    if (to == END_A) {
        unsigned at = cells_put(&row->cells, begin, end, glyphs->dash, STYLE_TROUBLE);
        at = cells_put(&row->cells, at + 1, end - 2, text, STYLE_TROUBLE);
        cells_put(&row->cells, at + 1, end, glyphs->dash, STYLE_TROUBLE);
        cells_put(&row->cells, at + 2, end, glyphs->stub_right, STYLE_TROUBLE);
    } else {
        unsigned at = n + 5 < row->grid.n_wire ? end - n - 5 : begin;
        at = cells_put(&row->cells, at, end, glyphs->stub_left, STYLE_TROUBLE);
        at = cells_put(&row->cells, at, end, glyphs->dash, STYLE_TROUBLE);
        cells_put(&row->cells, at + 1, end - 2, text, STYLE_TROUBLE);
        cells_put(&row->cells, end - 1, end, glyphs->dash, STYLE_TROUBLE);
    }
}
