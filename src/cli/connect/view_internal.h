/* SPDX-License-Identifier: MIT */
/* What the files of the view share. */
#ifndef CLI_CONNECT_VIEW_INTERNAL_H
#define CLI_CONNECT_VIEW_INTERNAL_H

#include "cli/connect/view.h"
#include "json/json.h"

/* To standard output: above the line that is being typed, if there is one. */
void view_put(struct view *view, const char *text, size_t n_bytes);

void view_event_begin(struct json *json, char *line, size_t size_bytes, const char *name);
void view_show_hex(struct view *view, const char *prefix, uint64_t offset, const void *data, size_t n_bytes);

/* To the event `closed`: messages, bytes on the wire, the peer's Close. */
void view_add_transport(struct json *json, const struct connection_end *end);

#endif
