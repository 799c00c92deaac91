/* SPDX-License-Identifier: MIT */
#include "lab/render.h"
#include "observe/ladder/ladder.h"

#include <stdlib.h>
#include <string.h>

static void put(const char *text, size_t n_bytes, void *user)
{
    fwrite(text, 1, n_bytes, user);
}

void render_ladder(const struct report_item *item, const struct render_options *options, FILE *out)
{
    struct ladder_options wanted = {
        .width = options->ladder_width,
        .unicode = options->unicode,
        .color = options->color,
    };
    struct ladder *ladder = ladder_new(&wanted, put, out);
    if (!ladder)
        return;
    for (size_t i = 0; i < item->ladder.n_events; i++)
        ladder_event(ladder, item->ladder.events[i]);
    ladder_finish(ladder);
    ladder_free(ladder);
}

int render_ladder_svg(const struct report_item *item, FILE *out)
{
    return ladder_svg((const struct event *const *)item->ladder.events, item->ladder.n_events, item->ladder.conn,
                      item->text, put, out);
}
