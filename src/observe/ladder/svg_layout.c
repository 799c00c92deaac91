// SPDX-License-Identifier: MIT
/*
 * Heights. Inside a stretch of activity the scale is one and linear, so that an arrow's slope is its flight; but no
 * mark comes so close to the one before that their texts would overlap. A pause is a dotted stretch, not to scale.
 */
#include "observe/ladder/svg_internal.h"

#define FLIGHT_HEIGHT 300
#define TEXT_HEIGHT 140
#define SEGMENT_HEIGHT 170
#define PAUSE_MARGIN 200
#define PAUSE_STEP 300
#define PAUSE_MOST 1200
#define PAUSE_NS (200 * NS_PER_MS)
#define FLIGHTS_TO_PAUSE 6     /* longer stretches of nothing would push the rest out of sight */
#define HEIGHT_OF_PAUSE_NS 400 /* without flights: 200 ms would be so high */
#define LIFE_A 2420
#define LIFE_A_KERNEL 3620 /* RTO and cwnd stand at its left */

int svg_flight_height(const struct svg *svg)
{
    return svg->flight_ns > 0 ? FLIGHT_HEIGHT : 0;
}

/* Room for what stands at this mark. */
static int least_height(const struct svg *svg, const struct mark *mark)
{
    unsigned n_texts = mark->n_text[END_A] > mark->n_text[END_B] ? mark->n_text[END_A] : mark->n_text[END_B];
    int height = (int)n_texts * TEXT_HEIGHT;
    bool is_arrow = mark->kind == MARK_SEGMENT || mark->kind == MARK_DATAGRAM || mark->kind == MARK_ICMP ||
                    mark->kind == MARK_LOSS || mark->kind == MARK_HANDSHAKE || mark->kind == MARK_MESSAGE;
    if (is_arrow && height < SEGMENT_HEIGHT)
        height = SEGMENT_HEIGHT;
    if ((mark->has_rto || mark->has_cwnd) && height < TEXT_HEIGHT)
        height = TEXT_HEIGHT;
    if (mark->kind == MARK_SEGMENT && mark->event->segment.fate == FATE_LOST && height < svg_flight_height(svg))
        height = svg_flight_height(svg);
    return height;
}

static bool is_pause(const struct svg *svg, int64_t span_ns)
{
    return svg->flight_ns > 0 ? (span_ns - 1) / FLIGHTS_TO_PAUSE >= svg->flight_ns : span_ns > PAUSE_NS;
}

static int pause_height(int64_t span_ns)
{
    int height = PAUSE_STEP;
    for (int64_t n = span_ns / PAUSE_NS; n >= 2 && height < PAUSE_MOST; n /= 2)
        height += PAUSE_STEP;
    return height;
}

static int scaled(const struct svg *svg, int64_t span_ns)
{
    if (span_ns <= 0)
        return 0;
    if (svg->flight_ns > 0)
        return (int)((double)span_ns / (double)svg->flight_ns * FLIGHT_HEIGHT);
    return (int)(span_ns * HEIGHT_OF_PAUSE_NS / PAUSE_NS);
}

void svg_layout(struct svg *svg)
{
    svg->x_a = svg->has_kernel ? LIFE_A_KERNEL : LIFE_A;
    svg->x_b = svg->x_a + 3400;
    svg->width = svg->x_b + 2480;
    int y = SVG_TOP + 90;
    for (size_t i = 0; i < svg->n_marks; i++) {
        struct mark *mark = &svg->marks[i];
        if (i > 0) {
            const struct mark *before = &svg->marks[i - 1];
            int64_t span_ns = mark->t_ns - before->t_ns;
            int least = least_height(svg, before);
            bool early = before->t_ns < svg->connection.origin_ns; /* a call that was there before all else */
            if (!early && is_pause(svg, span_ns)) {
                mark->pause_before = true;
                mark->pause_ns = span_ns;
                mark->pause_from = y + (least > PAUSE_MARGIN ? least : PAUSE_MARGIN);
                mark->pause_to = mark->pause_from + pause_height(span_ns);
                y = mark->pause_to + PAUSE_MARGIN * 3 / 4;
            } else {
                int height = early ? 0 : scaled(svg, span_ns);
                y += height > least ? height : least;
            }
        }
        mark->y = y;
    }
    svg->y_end = y + 300;
}
