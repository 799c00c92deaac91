/* SPDX-License-Identifier: MIT */
/*
 * Once something did not fit, nothing more is written and json_end says so: half an object is of no use to anybody.
 */
#include "json/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000
#define NUMBER_MAX 20 /* digits of a 64-bit number */
#define REAL_MAX 32   /* a double, and its NUL */
#define KEY_DRESS 4   /* comma, quotes and colon around a key */

static const char hex_digits[] = "0123456789abcdef";

static void put(struct json *json, const char *text, size_t n)
{
    if (json->overflow || n > json->size_bytes - json->n_bytes) {
        json->overflow = true;
        return;
    }
    memcpy(json->text + json->n_bytes, text, n);
    json->n_bytes += n;
}

static void put_text(struct json *json, const char *text)
{
    put(json, text, strlen(text));
}

static void put_unit(struct json *json, unsigned unit)
{
    const char text[6] = {'\\',
                          'u',
                          hex_digits[unit >> 12 & 15],
                          hex_digits[unit >> 8 & 15],
                          hex_digits[unit >> 4 & 15],
                          hex_digits[unit & 15]};
    put(json, text, sizeof text);
}

/* Length of the valid character that these bytes begin with (RFC 3629, 4), or 0. */
static size_t decode(const unsigned char *bytes, size_t n, uint32_t *ret_character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lead = bytes[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (bytes[i] & 0x3fu);
    }
    if (character < least[length] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
        return 0;
    *ret_character = character;
    return length;
}

/* Escaping is free of loss in JSON, so whatever a terminal obeys, reorders by or does not show is escaped. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* The letter behind a backslash that stands for this character, or 0. */
static char short_escape(uint32_t character)
{
    switch (character) {
    case '"':
    case '\\':
        return (char)character;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void put_character(struct json *json, const unsigned char *bytes, size_t length, uint32_t character)
{
    const char brief[2] = {'\\', short_escape(character)};
    if (brief[1] != 0) {
        put(json, brief, sizeof brief);
    } else if (!needs_escape(character)) {
        put(json, (const char *)bytes, length);
    } else if (character < 0x10000) {
        put_unit(json, character);
    } else {
        put_unit(json, 0xd800 + (character - 0x10000) / 0x400);
        put_unit(json, 0xdc00 + (character - 0x10000) % 0x400);
    }
}

/* How many bytes from here on stand for themselves: most of what is written. */
static size_t plain_run(const unsigned char *bytes, size_t n_bytes)
{
    size_t n = 0;
    while (n < n_bytes && bytes[n] >= 0x20 && bytes[n] < 0x7f && bytes[n] != '"' && bytes[n] != '\\')
        n++;
    return n;
}

/* A string with its quotes; each byte that is not part of a valid character becomes U+FFFD. */
static void put_string(struct json *json, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    put(json, "\"", 1);
    for (size_t i = 0; i < n_bytes && !json->overflow;) {
        size_t n_plain = plain_run(bytes + i, n_bytes - i);
        put(json, (const char *)bytes + i, n_plain);
        i += n_plain;
        if (i == n_bytes)
            break;
        uint32_t character;
        size_t length = decode(bytes + i, n_bytes - i, &character);
        if (length == 0)
            put(json, "\xef\xbf\xbd", 3);
        else
            put_character(json, bytes + i, length, character);
        i += length ? length : 1;
    }
    put(json, "\"", 1);
}

static bool is_valid(const unsigned char *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes;) {
        uint32_t character;
        size_t length = decode(bytes + i, n_bytes - i, &character);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

/* RFC 4648, 4. */
static void put_base64(struct json *json, const unsigned char *bytes, size_t n_bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put(json, "\"", 1);
    for (size_t i = 0; i < n_bytes && !json->overflow; i += 3) {
        size_t left = n_bytes - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        const char text[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                              left > 1 ? alphabet[group >> 6 & 63] : '=', left > 2 ? alphabet[group & 63] : '='};
        put(json, text, sizeof text);
    }
    put(json, "\"", 1);
}

/* A value's digits, most values being short: from the right, two at a time. */
static size_t write_unsigned(char *to, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char text[NUMBER_MAX];
    size_t at = sizeof text;
    while (value >= 100) {
        at -= 2;
        memcpy(text + at, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(text + at, pairs + 2 * value, 2);
    } else {
        text[--at] = (char)('0' + value);
    }
    memcpy(to, text + at, sizeof text - at);
    return sizeof text - at;
}

/* Writes ,"key": with room for n_more bytes behind it, to which it returns a pointer; NULL: it does not fit. Room is
 * asked for once, since a line may have a hundred members. */
static char *begin_member(struct json *json, const char *key, size_t n_more)
{
    size_t n_key = key ? strlen(key) : 0;
    if (json->overflow || n_key + KEY_DRESS + n_more > json->size_bytes - json->n_bytes) {
        json->overflow = true;
        return NULL;
    }
    char *at = json->text + json->n_bytes;
    if (!json->first)
        *at++ = ',';
    json->first = false;
    if (key) {
        *at++ = '"';
        memcpy(at, key, n_key);
        at += n_key;
        *at++ = '"';
        *at++ = ':';
    }
    json->n_bytes = (size_t)(at - json->text);
    return at;
}

static void put_key(struct json *json, const char *key)
{
    begin_member(json, key, 0);
}

void json_begin(struct json *json, char *buffer, size_t size_bytes)
{
    *json = (struct json){.text = buffer, .size_bytes = size_bytes, .first = true};
    put(json, "{", 1);
}

void json_string(struct json *json, const char *key, const char *value)
{
    put_key(json, key);
    if (value)
        put_string(json, value, strlen(value));
    else
        put_text(json, "null");
}

void json_number(struct json *json, const char *key, int64_t value)
{
    char *at = begin_member(json, key, 1 + NUMBER_MAX);
    if (!at)
        return;
    if (value < 0)
        *at++ = '-';
    at += write_unsigned(at, value < 0 ? -(uint64_t)value : (uint64_t)value);
    json->n_bytes = (size_t)(at - json->text);
}

void json_real(struct json *json, const char *key, double value)
{
    char text[REAL_MAX];
    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    int n = 0;
    for (int digits = 6; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (back >= value && back <= value)
            break;
    }
    char *at = begin_member(json, key, REAL_MAX);
    if (!at)
        return;
    memcpy(at, text, (size_t)n);
    json->n_bytes = (size_t)(at + n - json->text);
}

void json_unsigned(struct json *json, const char *key, uint64_t value)
{
    char *at = begin_member(json, key, NUMBER_MAX);
    if (at)
        json->n_bytes += write_unsigned(at, value);
}

void json_unsigned_string(struct json *json, const char *key, uint64_t value)
{
    char *at = begin_member(json, key, 2 + NUMBER_MAX);
    if (!at)
        return;
    *at++ = '"';
    at += write_unsigned(at, value);
    *at++ = '"';
    json->n_bytes = (size_t)(at - json->text);
}

void json_null(struct json *json, const char *key)
{
    put_key(json, key);
    put_text(json, "null");
}

void json_text(struct json *json, const char *key, const void *value, size_t n_bytes)
{
    put_key(json, key);
    put_string(json, value, n_bytes);
}

static void nest(struct json *json, const char *key, const char *bracket)
{
    put_key(json, key);
    put(json, bracket, 1);
    json->first = true;
    json->overflow |= ++json->depth > JSON_DEPTH_MAX;
}

static void unnest(struct json *json, const char *bracket)
{
    put(json, bracket, 1);
    json->first = false;
    json->depth--;
}

void json_object_begin(struct json *json, const char *key)
{
    nest(json, key, "{");
}

void json_object_end(struct json *json)
{
    unnest(json, "}");
}

void json_array_begin(struct json *json, const char *key)
{
    nest(json, key, "[");
}

void json_array_end(struct json *json)
{
    unnest(json, "]");
}

void json_boolean(struct json *json, const char *key, bool value)
{
    put_key(json, key);
    put_text(json, value ? "true" : "false");
}

void json_bytes(struct json *json, const void *data, size_t n_bytes)
{
    if (is_valid(data, n_bytes)) {
        put_key(json, "text");
        put_string(json, data, n_bytes);
    } else {
        put_key(json, "base64");
        put_base64(json, data, n_bytes);
    }
}

void json_base64(struct json *json, const char *key, const void *data, size_t n_bytes)
{
    put_key(json, key);
    put_base64(json, data, n_bytes);
}

void json_time(struct json *json, const char *key, int64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    int64_t rest_ns = realtime_ns % NS_PER_S;
    if (rest_ns < 0) {
        rest_ns += NS_PER_S;
        seconds--;
    }
    struct tm tm;
    char day[40], text[64];
    if (!gmtime_r(&seconds, &tm) || strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        json_string(json, key, NULL);
        return;
    }
    snprintf(text, sizeof text, "%s.%06" PRId64 "Z", day, rest_ns / 1000);
    json_string(json, key, text);
}

size_t json_end(struct json *json)
{
    put(json, "}\n", 3); /* with its NUL */
    if (json->overflow)
        return 0;
    return json->n_bytes - 1;
}
