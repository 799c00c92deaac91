/* SPDX-License-Identifier: MIT */
/* What the text and the SVG of a plot share: axes, ticks, numbers. Pure. */
#ifndef LAB_PLOT_H
#define LAB_PLOT_H

#include "lab/report.h"

#define PLOT_TICKS_MAX 16

struct plot_tick {
    double at; /* 0 to 1 along the axis */
    char label[16];
};

struct plot_axis {
    enum lab_scale scale;
    double min, max; /* of a logarithmic axis: positive */
    bool has_zero;   /* logarithmic, and there are zeros: they stand at its beginning, apart */
    unsigned n_ticks;
    struct plot_tick ticks[PLOT_TICKS_MAX];
};

/* False: nothing can be drawn. */
bool plot_axes(const struct report_plot *plot, unsigned n_x_ticks, unsigned n_y_ticks, struct plot_axis *ret_x,
               struct plot_axis *ret_y);
/* Where a value stands, 0 to 1. */
double plot_at(const struct plot_axis *axis, double value);
/* "1,448", "0.05", "2.5 M" */
void plot_number(double value, char ret_text[16]);
/* Values that can't be drawn (NaN, below 0 on a logarithmic axis) are left out. */
bool plot_is_drawn(const struct plot_axis *x_axis, const struct plot_axis *y_axis, double x, double y);

#endif
