/* SPDX-License-Identifier: MIT */
/* A plot as SVG: self-contained, light and dark, without script. Series differ by mark and dash, not by colour alone.
 */
#include "lab/plot.h"
#include "lab/render.h"
#include "term/translate.h"

#include <math.h>
#include <string.h>

#define WIDTH 760
#define LEFT 86
#define RIGHT 20
#define TOP 78
#define PLOT_HEIGHT 300
#define LEGEND_LINE 20
#define LEGEND_CELLS 96 /* characters in a line of the legend */
#define MARKS_MAX 60    /* points of a series that get a mark each; else only some do */
#define CHARACTER 6.6

/* Two sets of colours; plain ones, since not every viewer knows custom properties. */
#define COLORS(bg, ink, mute, hair, edge, c0, c1, c2, c3, c4, c5)                                                      \
    ".bg{fill:" bg "} text{fill:" ink "} .m{fill:" mute "} .hair{stroke:" hair "} .edge{stroke:" edge "}\n"            \
    ".s0{stroke:" c0 "} .s1{stroke:" c1 "} .s2{stroke:" c2 "} .s3{stroke:" c3 "} .s4{stroke:" c4 "} .s5{stroke:" c5    \
    "}\n.p{fill:" bg "}\n"

static const char style[] =
    ".h{font-size:14px;font-weight:600} .s{font-size:11px} .e{text-anchor:end} .c{text-anchor:middle}\n"
    ".hair,.edge{stroke-width:1;fill:none} .l{stroke-width:1.8;fill:none;stroke-linejoin:round} "
    ".p{stroke-width:1.6}\n"
    ".d1{stroke-dasharray:7 3} .d2{stroke-dasharray:2 3} .d3{stroke-dasharray:9 3 2 3} .d4{stroke-dasharray:4 4} "
    ".d5{stroke-dasharray:1 2}\n" COLORS(
        "#fff", "#1b1f24", "#57606a", "#d5dae0", "#868f99", "#0b4f96", "#a8211a", "#6b2f83", "#1f6165", "#7a5000",
        "#4b545e") "@media (prefers-color-scheme:dark){\n" COLORS("#0f1318", "#e6e9ed", "#9aa4b0", "#2c343d", "#6b7683",
                                                                  "#8cc3fa", "#ff9384", "#d9aef0", "#78cacc", "#f0c060",
                                                                  "#b4bdc7") "}\n";

static const char fonts[] = "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif";

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if ((unsigned char)*text >= 0x20)
                fputc(*text, out);
        }
    }
}

static void put_at(FILE *out, const char *classes, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", classes, x, y);
    put_text(out, text);
    fputs("</text>\n", out);
}

static double x_of(const struct plot_axis *axis, double value)
{
    return LEFT + plot_at(axis, value) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot_axis *axis, double value)
{
    return TOP + (1 - plot_at(axis, value)) * PLOT_HEIGHT;
}

static void put_axes(const struct report_plot *plot, const struct plot_axis *x_axis, const struct plot_axis *y_axis,
                     FILE *out)
{
    double last = -100;
    for (unsigned i = 0; i < y_axis->n_ticks; i++) {
        double y = TOP + (1 - y_axis->ticks[i].at) * PLOT_HEIGHT;
        fprintf(out, "<path class=\"hair\" d=\"M%d,%.1f H%d\"/>\n", LEFT, y, WIDTH - RIGHT);
        put_at(out, "m s e", LEFT - 8, y + 4, y_axis->ticks[i].label);
    }
    for (unsigned i = 0; i < x_axis->n_ticks; i++) {
        const struct plot_tick *tick = &x_axis->ticks[i];
        double x = LEFT + tick->at * (WIDTH - LEFT - RIGHT), half = (double)strlen(tick->label) * CHARACTER / 2;
        fprintf(out, "<path class=\"edge\" d=\"M%.1f,%d v5\"/>\n", x, TOP + PLOT_HEIGHT);
        if (x - half < last + 6)
            continue;
        put_at(out, "m s c", x, TOP + PLOT_HEIGHT + 19, tick->label);
        last = x + half;
    }
    fprintf(out, "<path class=\"edge\" d=\"M%d,%d V%d H%d\"/>\n", LEFT, TOP, TOP + PLOT_HEIGHT, WIDTH - RIGHT);
    put_at(out, "m", LEFT, TOP - 14, plot->y_label);
    put_at(out, "m e", WIDTH - RIGHT, TOP + PLOT_HEIGHT + 38, plot->x_label);
}

static void put_mark(FILE *out, unsigned series, double x, double y)
{
    fprintf(out, "<path class=\"p s%u\" d=\"", series);
    switch (series) {
    case 0:
        fprintf(out, "M%.1f,%.1f a3.5,3.5 0 1 0 7,0 a3.5,3.5 0 1 0 -7,0z", x - 3.5, y);
        break;
    case 1:
        fprintf(out, "M%.1f,%.1f h6.4 v6.4 h-6.4z", x - 3.2, y - 3.2);
        break;
    case 2:
        fprintf(out, "M%.1f,%.1f l4.2,7.4 h-8.4z", x, y - 4.6);
        break;
    case 3:
        fprintf(out, "M%.1f,%.1f l4.4,4.4 -4.4,4.4 -4.4,-4.4z", x, y - 4.4);
        break;
    case 4:
        fprintf(out, "M%.1f,%.1f l7,7 m0,-7 l-7,7", x - 3.5, y - 3.5);
        break;
    default:
        fprintf(out, "M%.1f,%.1f h8 m-4,-4 v8", x - 4, y);
        break;
    }
    fputs("\"/>\n", out);
}

static void put_series(const struct report_plot *plot, unsigned index, const struct plot_axis *x_axis,
                       const struct plot_axis *y_axis, FILE *out)
{
    const struct report_series *series = &plot->series[index];
    bool has_last = false;
    fprintf(out, "<path class=\"l s%u d%u\" d=\"", index, index);
    for (size_t i = 0; i < series->n; i++) {
        if (!plot_is_drawn(x_axis, y_axis, series->x[i], series->y[i]))
            continue;
        double x = x_of(x_axis, series->x[i]), y = y_of(y_axis, series->y[i]);
        if (has_last && plot->steps)
            fprintf(out, "H%.1f V%.1f", x, y);
        else
            fprintf(out, "%s%.1f,%.1f", has_last ? " " : "M", x, y);
        has_last = true;
    }
    fputs("\"/>\n", out);
    size_t every = series->n > MARKS_MAX ? series->n / 8 : 1;
    for (size_t i = series->n > MARKS_MAX ? every / 2 + every * index / 12 : 0; i < series->n; i += every) {
        if (plot_is_drawn(x_axis, y_axis, series->x[i], series->y[i]))
            put_mark(out, index, x_of(x_axis, series->x[i]), y_of(y_axis, series->y[i]));
    }
}

/* Draws when out is not NULL. Returns the number of its lines. */
static unsigned put_legend(const struct report_plot *plot, FILE *out)
{
    unsigned line = 0;
    double x = LEFT;
    for (unsigned i = 0; i < plot->n_series; i++) {
        double width = 44 + lab_cells(plot->series[i].name) * CHARACTER;
        if (i > 0 && x + width > WIDTH - RIGHT) {
            line++;
            x = LEFT;
        }
        double y = TOP + PLOT_HEIGHT + 62 + line * LEGEND_LINE;
        if (out) {
            fprintf(out, "<path class=\"l s%u d%u\" d=\"M%.1f,%.1f h24\"/>\n", i, i, x, y - 4);
            put_mark(out, i, x + 12, y - 4);
            put_at(out, "", x + 30, y, plot->series[i].name);
        }
        x += width + 12;
    }
    return line + 1;
}

static void put_description(const struct report_item *item, FILE *out)
{
    const struct report_plot *plot = &item->plot;
    char first[16], last[16], from[16], to[16];
    fputs("<desc id=\"d\">", out);
    put_text(out, plot->y_label);
    fputs(_(" over "), out);
    put_text(out, plot->x_label);
    fputs(".", out);
    for (unsigned i = 0; i < plot->n_series; i++) {
        const struct report_series *series = &plot->series[i];
        if (series->n == 0)
            continue;
        plot_number(series->x[0], from);
        plot_number(series->y[0], first);
        plot_number(series->x[series->n - 1], to);
        plot_number(series->y[series->n - 1], last);
        fputs(" ", out);
        put_text(out, series->name);
        fprintf(out, _(": %zu points, %s at %s to %s at %s."), series->n, first, from, last, to);
    }
    fputs("</desc>\n", out);
}

void plot_svg(const struct report_item *item, FILE *out)
{
    const struct report_plot *plot = &item->plot;
    struct plot_axis x_axis, y_axis;
    unsigned height = TOP + PLOT_HEIGHT + 56 + put_legend(plot, NULL) * LEGEND_LINE;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\" role=\"img\" "
            "aria-labelledby=\"t d\" font-family=\"%s\" font-size=\"12\">\n<title id=\"t\">",
            WIDTH, height, WIDTH, height, fonts);
    put_text(out, item->text);
    fputs("</title>\n", out);
    put_description(item, out);
    fprintf(out, "<style>\n%s</style>\n<rect class=\"bg\" width=\"%d\" height=\"%u\"/>\n", style, WIDTH, height);
    put_at(out, "h", 20, 28, item->text);
    if (plot_axes(plot, 8, 6, &x_axis, &y_axis)) {
        put_axes(plot, &x_axis, &y_axis, out);
        for (unsigned i = 0; i < plot->n_series; i++)
            put_series(plot, i, &x_axis, &y_axis, out);
        put_legend(plot, out);
    } else {
        put_at(out, "m", LEFT, TOP + 40, _("nothing was measured that could be drawn"));
    }
    fputs("</svg>\n", out);
}
