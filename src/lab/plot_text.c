/* SPDX-License-Identifier: MIT */
/*
 * A plot in a terminal: lines as braille dots, two by four in a cell, or as points in ASCII; on them, here and there,
 * the mark of their series, so that nothing depends on colour.
 */
#include "lab/plot.h"
#include "lab/render.h"
#include "term/translate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 14
#define WIDTH_MAX 92
#define LABEL_CELLS 10
#define DOTS_X 2
#define DOTS_Y 4
#define MARKS_ON_LINE 6 /* of a series with more points than cells for marks */

static const char marks[LAB_SERIES_MAX] = {'o', 'x', '+', '*', '#', '@'};
static const char *const colors[LAB_SERIES_MAX] = {"36", "33", "35", "32", "31", "37"};

struct canvas {
    unsigned columns;
    unsigned char *dots;  /* of each cell: braille's eight */
    char *mark;           /* of each cell; 0: none */
    unsigned char *owner; /* 1 + series that was drawn there last; 0: none */
    struct plot_axis x, y;
};

static void set_dot(struct canvas *canvas, int x, int y, unsigned series)
{
    static const unsigned char bits[DOTS_Y][DOTS_X] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || y < 0 || x >= (int)canvas->columns * DOTS_X || y >= ROWS * DOTS_Y)
        return;
    size_t cell = (size_t)(y / DOTS_Y) * canvas->columns + (size_t)(x / DOTS_X);
    canvas->dots[cell] |= bits[y % DOTS_Y][x % DOTS_X];
    canvas->owner[cell] = (unsigned char)(series + 1);
}

static void set_line(struct canvas *canvas, int x1, int y1, int x2, int y2, unsigned series)
{
    int steps = abs(x2 - x1) > abs(y2 - y1) ? abs(x2 - x1) : abs(y2 - y1);
    for (int i = 0; i <= steps; i++)
        set_dot(canvas, x1 + (steps ? (x2 - x1) * i / steps : 0), y1 + (steps ? (y2 - y1) * i / steps : 0), series);
}

static void place(const struct canvas *canvas, double x, double y, int *ret_x, int *ret_y)
{
    *ret_x = (int)lround(plot_at(&canvas->x, x) * (canvas->columns * DOTS_X - 1));
    *ret_y = (int)lround((1 - plot_at(&canvas->y, y)) * (ROWS * DOTS_Y - 1));
}

static void set_mark(struct canvas *canvas, int x, int y, unsigned series)
{
    if (x < 0 || y < 0 || x >= (int)canvas->columns * DOTS_X || y >= ROWS * DOTS_Y)
        return;
    size_t cell = (size_t)(y / DOTS_Y) * canvas->columns + (size_t)(x / DOTS_X);
    canvas->mark[cell] = marks[series];
    canvas->owner[cell] = (unsigned char)(series + 1);
}

static void draw_line(struct canvas *canvas, const struct report_plot *plot, unsigned index)
{
    const struct report_series *series = &plot->series[index];
    bool has_last = false;
    int last_x = 0, last_y = 0;
    for (size_t i = 0; i < series->n; i++) {
        int x, y;
        if (!plot_is_drawn(&canvas->x, &canvas->y, series->x[i], series->y[i]))
            continue;
        place(canvas, series->x[i], series->y[i], &x, &y);
        if (has_last && plot->steps) {
            set_line(canvas, last_x, last_y, x, last_y, index);
            set_line(canvas, x, last_y, x, y, index);
        } else if (has_last) {
            set_line(canvas, last_x, last_y, x, y, index);
        } else {
            set_dot(canvas, x, y, index);
        }
        last_x = x;
        last_y = y;
        has_last = true;
    }
}

static void draw_marks(struct canvas *canvas, const struct report_plot *plot, unsigned index)
{
    const struct report_series *series = &plot->series[index];
    size_t every = 1, first = 0;
    if (series->n > canvas->columns / 3) {
        every = series->n / MARKS_ON_LINE;
        /* Those of several series stand apart. */
        first = every / 2 + every * index / (2 * LAB_SERIES_MAX);
    }
    for (size_t i = first; i < series->n; i += every) {
        int x, y;
        if (!plot_is_drawn(&canvas->x, &canvas->y, series->x[i], series->y[i]))
            continue;
        place(canvas, series->x[i], series->y[i], &x, &y);
        set_mark(canvas, x, y, index);
    }
}

/* ---- out */

static void put_cell(const struct canvas *canvas, size_t cell, const struct render_options *options, FILE *out)
{
    unsigned dots = canvas->dots[cell];
    bool colored = options->color && canvas->owner[cell] != 0;
    if (colored)
        fprintf(out, "\033[%sm", colors[canvas->owner[cell] - 1]);
    if (canvas->mark[cell])
        fputc(canvas->mark[cell], out);
    else if (dots == 0)
        fputc(' ', out);
    else if (options->unicode)
        fprintf(out, "\xe2%c%c", 0xa0 | (int)(dots >> 6), 0x80 | (int)(dots & 0x3f)); /* U+2800 and its dots */
    else
        fputc('.', out);
    if (colored)
        fputs("\033[0m", out);
}

static const struct plot_tick *tick_of_row(const struct plot_axis *axis, unsigned row)
{
    for (unsigned i = 0; i < axis->n_ticks; i++) {
        int dot = (int)lround((1 - axis->ticks[i].at) * (ROWS * DOTS_Y - 1));
        if (dot / DOTS_Y == (int)row)
            return &axis->ticks[i];
    }
    return NULL;
}

static void put_rows(const struct canvas *canvas, const struct render_options *options, FILE *out)
{
    for (unsigned row = 0; row < ROWS; row++) {
        const struct plot_tick *tick = tick_of_row(&canvas->y, row);
        size_t end = canvas->columns;
        while (end > 0 && canvas->dots[row * canvas->columns + end - 1] == 0 &&
               canvas->mark[row * canvas->columns + end - 1] == 0)
            end--;
        fprintf(out, "%*s %s", LABEL_CELLS, tick ? tick->label : "",
                options->unicode ? (tick ? "┤" : "│")
                : tick           ? "+"
                                 : "|");
        for (size_t i = 0; i < end; i++)
            put_cell(canvas, row * canvas->columns + i, options, out);
        fputc('\n', out);
    }
}

static void put_x_axis(const struct canvas *canvas, const struct render_options *options, FILE *out)
{
    const struct plot_axis *axis = &canvas->x;
    char labels[WIDTH_MAX + 32];
    bool ticks[WIDTH_MAX + 1] = {false};
    size_t labelled = 0; /* cells that labels have taken */
    memset(labels, ' ', sizeof labels);
    for (unsigned i = 0; i < axis->n_ticks; i++) {
        unsigned at = (unsigned)lround(axis->ticks[i].at * (canvas->columns * DOTS_X - 1)) / DOTS_X;
        size_t n = strlen(axis->ticks[i].label), from = at >= n / 2 ? at - n / 2 : 0;
        if (at > WIDTH_MAX)
            continue;
        ticks[at] = true;
        if (labelled > 0 && from < labelled + 1)
            continue;
        memcpy(labels + from, axis->ticks[i].label, n);
        labelled = from + n;
    }
    labels[labelled] = '\0';
    fprintf(out, "%*s %s", LABEL_CELLS, "", options->unicode ? "└" : "+");
    for (unsigned i = 0; i < canvas->columns; i++)
        fputs(options->unicode ? (ticks[i] ? "┬" : "─") : ticks[i] ? "+" : "-", out);
    fprintf(out, "\n%*s  %s\n", LABEL_CELLS, "", labels);
}

static void put_plain(const char *text, const struct render_options *options, FILE *out)
{
    char plain[512];
    plain_text(text, options->unicode, plain, sizeof plain);
    fputs(plain, out);
}

static void put_legend(const struct report_plot *plot, const struct render_options *options, FILE *out)
{
    unsigned column = LABEL_CELLS + 2;
    fprintf(out, "%*s", (int)column, "");
    for (unsigned i = 0; i < plot->n_series; i++) {
        unsigned cells = lab_cells(plot->series[i].name) + 2;
        if (i > 0 && column + 3 + cells > options->width) {
            fprintf(out, "\n%*s", LABEL_CELLS + 2, "");
            column = LABEL_CELLS + 2;
        } else if (i > 0) {
            fputs("   ", out);
            column += 3;
        }
        if (options->color)
            fprintf(out, "\033[%sm%c\033[0m ", colors[i], marks[i]);
        else
            fprintf(out, "%c ", marks[i]);
        put_plain(plot->series[i].name, options, out);
        column += cells;
    }
    fputc('\n', out);
}

void plot_text(const struct report_item *item, const struct render_options *options, FILE *out)
{
    const struct report_plot *plot = &item->plot;
    unsigned width = options->width < WIDTH_MAX ? options->width : WIDTH_MAX;
    struct canvas canvas = {.columns = width > LABEL_CELLS + 24 ? width - LABEL_CELLS - 4 : 20};
    put_plain(item->text, options, out);
    fputc('\n', out);
    if (!plot_axes(plot, canvas.columns / 10, ROWS / 3, &canvas.x, &canvas.y)) {
        fprintf(out, "%s\n", _("(nothing was measured that could be drawn)"));
        return;
    }
    size_t n_cells = (size_t)canvas.columns * ROWS;
    canvas.dots = calloc(n_cells, 1);
    canvas.mark = calloc(n_cells, 1);
    canvas.owner = calloc(n_cells, 1);
    if (canvas.dots && canvas.mark && canvas.owner) {
        for (unsigned i = 0; i < plot->n_series; i++)
            draw_line(&canvas, plot, i);
        for (unsigned i = 0; i < plot->n_series; i++)
            draw_marks(&canvas, plot, i);
        fprintf(out, "%*s", LABEL_CELLS + 2, "");
        put_plain(plot->y_label, options, out);
        fputc('\n', out);
        put_rows(&canvas, options, out);
        put_x_axis(&canvas, options, out);
        unsigned cells = lab_cells(plot->x_label), room = LABEL_CELLS + 2 + canvas.columns;
        fprintf(out, "%*s", cells < room ? (int)(room - cells) : 0, "");
        put_plain(plot->x_label, options, out);
        fputc('\n', out);
        put_legend(plot, options, out);
    }
    free(canvas.dots);
    free(canvas.mark);
    free(canvas.owner);
}
