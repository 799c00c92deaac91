/* SPDX-License-Identifier: MIT */
/* Tables in plain text, for pipes and files: nothing is cut, columns stand two spaces apart. Pure. */
#ifndef WATCH_PLAIN_H
#define WATCH_PLAIN_H

#include "watch/line.h"
#include "watch/view.h"

struct plain {
    unsigned local_width, peer_width, listener_width;
    bool owners;
};

void plain_note(struct plain *plain, const struct row *row);
void plain_listener_head(const struct plain *plain, struct text *text);
void plain_listener(const struct plain *plain, const struct view *view, const struct row *row, struct text *text);
void plain_head(const struct plain *plain, struct text *text);
void plain_row(const struct plain *plain, const struct view *view, const struct row *row, struct text *text);

#endif
