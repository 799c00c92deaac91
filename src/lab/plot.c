/* SPDX-License-Identifier: MIT */
#include "lab/plot.h"
#include "observe/ladder/ladder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ZERO_GAP 0.08  /* of a logarithmic axis, between its zero and its first value */
#define GROUP_FROM 1e7 /* from here on numbers are written with M or G */

void plot_number(double value, char ret_text[16])
{
    char text[40];
    if (fabs(value) >= 1e9)
        snprintf(text, sizeof text, "%.4g G", value / 1e9);
    else if (fabs(value) >= GROUP_FROM)
        snprintf(text, sizeof text, "%.4g M", value / 1e6);
    else if (value >= 1000 && fabs(value - round(value)) < 1e-6)
        ladder_count_text((uint64_t)llround(value), text);
    else
        snprintf(text, sizeof text, "%.4g", value);
    snprintf(ret_text, 16, "%.15s", text);
}

bool plot_is_drawn(const struct plot_axis *x_axis, const struct plot_axis *y_axis, double x, double y)
{
    return isfinite(x) && isfinite(y) && (x_axis->scale == SCALE_LINEAR || x >= 0) &&
           (y_axis->scale == SCALE_LINEAR || y >= 0);
}

double plot_at(const struct plot_axis *axis, double value)
{
    if (axis->scale == SCALE_LINEAR)
        return (value - axis->min) / (axis->max - axis->min);
    if (value <= 0)
        return 0;
    double at = (log10(value) - log10(axis->min)) / (log10(axis->max) - log10(axis->min));
    return axis->has_zero ? ZERO_GAP + (1 - ZERO_GAP) * at : at;
}

static void add_tick(struct plot_axis *axis, double value)
{
    if (axis->n_ticks == PLOT_TICKS_MAX)
        return;
    struct plot_tick *tick = &axis->ticks[axis->n_ticks++];
    tick->at = plot_at(axis, value);
    plot_number(value, tick->label);
}

/* 1, 2 or 5 times a power of ten, so that about n fit. */
static double nice_step(double range, unsigned n)
{
    double raw = range / n, power = pow(10, floor(log10(raw)));
    double times = raw / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* Up to the next tick, or just to the last value. */
static void linear_axis(struct plot_axis *axis, unsigned n_ticks, bool rounded)
{
    /* Amounts begin at 0, unless what is to be seen is far above it. */
    if (axis->min > 0 && axis->min < 0.6 * axis->max)
        axis->min = 0;
    if (axis->max <= axis->min) {
        axis->min = axis->min > 0 ? 0 : axis->min - 1;
        axis->max = axis->max > 0 ? axis->max : axis->max + 1;
    }
    double step = nice_step(axis->max - axis->min, n_ticks);
    axis->min = floor(axis->min / step + 1e-9) * step;
    if (rounded)
        axis->max = ceil(axis->max / step - 1e-9) * step;
    for (double i = 0; axis->min + i * step <= axis->max + step * 1e-6 && i < PLOT_TICKS_MAX; i++) {
        double value = axis->min + i * step;
        add_tick(axis, fabs(value) < step * 1e-9 ? 0 : value);
    }
}

static void log_axis(struct plot_axis *axis, unsigned n_ticks)
{
    double low = floor(log10(axis->min) + 1e-9), high = ceil(log10(axis->max) - 1e-9);
    if (high <= low)
        high = low + 1;
    /* Not a whole decade of emptiness where one begins or ends within. */
    bool few = high - low <= 3;
    double first = pow(10, low), last = pow(10, high);
    static const double parts[] = {2, 5};
    if (few) {
        for (size_t i = 0; i < 2; i++) {
            if (axis->min >= parts[i] * pow(10, low) * (1 - 1e-9))
                first = parts[i] * pow(10, low);
            if (axis->max <= parts[1 - i] * pow(10, high - 1) * (1 + 1e-9))
                last = parts[1 - i] * pow(10, high - 1);
        }
    }
    if (last > first) {
        axis->min = first;
        axis->max = last;
    } else {
        axis->min = pow(10, low);
        axis->max = pow(10, high);
    }
    if (axis->has_zero)
        add_tick(axis, 0);
    double skip = ceil((high - low) / n_ticks);
    for (double power = low; power <= high; power += skip) {
        for (unsigned i = 0; i < (few ? 3u : 1u); i++) {
            double value = pow(10, power) * (i == 0 ? 1 : parts[i - 1]);
            if (value >= axis->min * (1 - 1e-9) && value <= axis->max * (1 + 1e-9))
                add_tick(axis, value);
        }
    }
}

static bool find_range(const struct report_plot *plot, struct plot_axis *x, struct plot_axis *y)
{
    bool any = false;
    for (unsigned i = 0; i < plot->n_series; i++) {
        const struct report_series *series = &plot->series[i];
        for (size_t k = 0; k < series->n; k++) {
            double values[] = {series->x[k], series->y[k]};
            struct plot_axis *axes[] = {x, y};
            if (!plot_is_drawn(x, y, values[0], values[1]))
                continue;
            any = true;
            for (unsigned a = 0; a < 2; a++) {
                if (axes[a]->scale == SCALE_LOG && values[a] <= 0) {
                    axes[a]->has_zero = true;
                    continue;
                }
                axes[a]->min = fmin(axes[a]->min, values[a]);
                axes[a]->max = fmax(axes[a]->max, values[a]);
            }
        }
    }
    return any;
}

static void set_axis(struct plot_axis *axis, unsigned n_ticks, bool rounded)
{
    if (axis->min > axis->max) { /* only zeros, on a logarithmic axis */
        axis->min = 1;
        axis->max = 10;
    }
    if (axis->scale == SCALE_LOG)
        log_axis(axis, n_ticks);
    else
        linear_axis(axis, n_ticks, rounded);
}

bool plot_axes(const struct report_plot *plot, unsigned n_x_ticks, unsigned n_y_ticks, struct plot_axis *ret_x,
               struct plot_axis *ret_y)
{
    struct plot_axis x = {.scale = plot->x_scale, .min = INFINITY, .max = -INFINITY};
    struct plot_axis y = {.scale = plot->y_scale, .min = INFINITY, .max = -INFINITY};
    if (!find_range(plot, &x, &y))
        return false;
    set_axis(&x, n_x_ticks, false);
    set_axis(&y, n_y_ticks, true);
    *ret_x = x;
    *ret_y = y;
    return true;
}
