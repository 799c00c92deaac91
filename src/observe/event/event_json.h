/* SPDX-License-Identifier: MIT */
/*
 * Events as JSON Lines, written and read back: what is written is read as the same event. sonde-events(7) is the
 * schema. Pure. Times are integers of nanoseconds; numbers that may pass 2^53 (cookies) are strings. Peers' bytes are
 * "text" when they are valid UTF-8, else "base64".
 */
#ifndef OBSERVE_EVENT_EVENT_JSON_H
#define OBSERVE_EVENT_EVENT_JSON_H

#include "observe/event/event.h"

#include <stdio.h>

#define EVENT_JSON_MAX 16384 /* room for any event's line */

/* One line with its newline. Returns its length; 0: it does not fit. */
size_t event_json_write(const struct event *event, char *ret_line, size_t size_bytes);

/* One line, NUL-terminated or not. On success an event to free(), as event_clone makes them. Errors: -EINVAL, and
 * ret_why says in a few words what is wrong with it; -ENOMEM. Members that are not known are passed over. */
int event_json_read(const char *line, size_t n_bytes, struct event **ret_event, char ret_why[128]);

#endif
