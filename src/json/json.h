/* SPDX-License-Identifier: MIT */
/*
 * Writing JSON, one object a line (JSON Lines). Pure: it fills a buffer that the caller owns.
 *
 *   struct json json;
 *   json_begin(&json, buffer, sizeof buffer);
 *   json_string(&json, "event", "opened");
 *   json_number(&json, "bytes_in", 5);
 *   size_t n = json_end(&json);   // the line with its newline, or 0: it did not fit
 *
 * Keys are our own words: letters, digits, underscores. Whatever bytes go in as values, what comes out is valid UTF-8
 * and valid JSON (RFC 8259), and holds no byte that a terminal would obey: control characters, C1 controls, bidi
 * controls and what cannot be seen are written as escapes (\n, \u202e).
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *text;
    size_t size_bytes, n_bytes;
    unsigned depth;
    bool first, overflow;
};

void json_begin(struct json *json, char *buffer, size_t size_bytes);
void json_string(struct json *json, const char *key, const char *value); /* invalid UTF-8 becomes U+FFFD; NULL: null */
void json_number(struct json *json, const char *key, int64_t value);
void json_real(struct json *json, const char *key, double value); /* as short as it can be read back; NaN, inf: null */
void json_boolean(struct json *json, const char *key, bool value);
/* Peers' bytes: "text": "..." when they are valid UTF-8, else "base64": "...". The key is chosen accordingly. */
void json_bytes(struct json *json, const void *data, size_t n_bytes);
void json_base64(struct json *json, const char *key, const void *data, size_t n_bytes);
/* Seconds since the epoch as ISO 8601 in UTC with microseconds: "2026-11-21T10:04:11.302118Z". */
void json_time(struct json *json, const char *key, int64_t realtime_ns);
void json_text(struct json *json, const char *key, const void *value, size_t n_bytes); /* as json_string, by length */
void json_unsigned(struct json *json, const char *key, uint64_t value);
/* As a string: numbers past 2^53 are not whole for every reader (RFC 8259, 6). */
void json_unsigned_string(struct json *json, const char *key, uint64_t value);
void json_null(struct json *json, const char *key);
/* Nesting, to JSON_DEPTH_MAX. Inside an array every key is NULL. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
/* The length of the line, or 0. The NUL behind it is not counted, but takes room. */
size_t json_end(struct json *json);

#define JSON_DEPTH_MAX 8

/* A buffer of this many bytes holds n bytes of a peer whatever they are, beside 1 KiB of other members. */
#define JSON_ROOM(n) (1024 + 6 * (size_t)(n))

#endif
