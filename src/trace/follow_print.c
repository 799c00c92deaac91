/* SPDX-License-Identifier: MIT */
/*
 * What was pushed is shown as it is, under its head. A message (a datagram beside framed ones, or one that a codec has
 * cut out) takes one line, quoted: how many there are, and where each ends, is what one wants to see.
 */
#include "trace/follow.h"

#include "observe/ladder/ladder.h"
#include "term/escape.h"
#include "term/hex.h"
#include "term/translate.h"
#include "json/json.h"

#include <inttypes.h>
#include <string.h>

#define CLOSE_CODE_BYTES 2 /* RFC 6455, 5.5.1 */

static void put_escaped(enum escape_style style, const void *data, size_t n_bytes, FILE *out)
{
    struct escape escape;
    char text[4096];
    escape_init(&escape, style);
    for (size_t at = 0, taken; at < n_bytes; at += taken) {
        size_t n = escape_bytes(&escape, (const char *)data + at, n_bytes - at, text, sizeof text, &taken);
        fwrite(text, 1, n, out);
    }
    fwrite(text, 1, escape_finish(&escape, text, sizeof text), out);
}

static void put_text(const struct follow_message *message, FILE *out)
{
    const char *bytes = message->data;
    put_escaped(ESCAPE_TEXT, bytes, message->n_data, out);
    if (message->n_data > 0 && bytes[message->n_data - 1] != '\n')
        fputc('\n', out);
}

static void put_hex(const struct follow_message *message, FILE *out)
{
    char line[HEX_LINE_SIZE];
    const unsigned char *bytes = message->data;
    for (size_t at = 0; at < message->n_data; at += HEX_PER_LINE) {
        size_t left = message->n_data - at;
        size_t n = hex_line("", at, bytes + at, left < HEX_PER_LINE ? left : HEX_PER_LINE, line, sizeof line);
        fwrite(line, 1, n, out);
    }
}

/* ---- JSON */

static void put_framed_members(struct json *json, const struct framing_message *framed)
{
    json_string(json, "kind", message_kind_name(framed->kind));
    if (framed->number > 0)
        json_unsigned(json, "number", framed->number);
    if (framed->compressed)
        json_boolean(json, "compressed", true);
    if (framed->joined)
        json_boolean(json, "joined", true);
    if (framed->kind != MESSAGE_MALFORMED)
        return;
    json_unsigned(json, "at_byte", framed->at_byte);
    json_string(json, "words", framed->words);
}

static void print_json(const struct follow_message *message, bool continued, const void *data, size_t n_data, FILE *out,
                       char *line, size_t size_bytes)
{
    struct json json;
    char address[SONDE_ADDRESS_TEXT];
    json_begin(&json, line, size_bytes);
    json_string(&json, "event", "message");
    json_number(&json, "t_ns", message->t_ns);
    json_unsigned(&json, "conn", message->conn);
    json_string(&json, "from", message->from == END_A ? "a" : "b");
    sonde_address_format(&message->address[message->from], address, sizeof address);
    json_string(&json, "src", address);
    sonde_address_format(&message->address[other_end(message->from)], address, sizeof address);
    json_string(&json, "dst", address);
    if (message->kind == FOLLOW_FRAMED) {
        put_framed_members(&json, message->framed);
    } else if (message->kind == FOLLOW_DATAGRAM) {
        json_string(&json, "kind", "datagram");
        json_unsigned(&json, "number", message->number);
    }
    /* What was pushed is known piece by piece only; a message is known whole. */
    json_unsigned(&json, "len", message->kind == FOLLOW_PUSHED ? n_data : message->n_bytes);
    json_unsigned(&json, "missing", message->n_missing);
    json_boolean(&json, "continued", continued);
    json_bytes(&json, data, n_data);
    fwrite(line, 1, json_end(&json), out);
}

static void print_all_json(const struct follow_message *message, FILE *out, char *line, size_t size_bytes)
{
    const char *bytes = message->data;
    bool continued = message->continued;
    size_t at = 0;
    do {
        size_t left = message->n_data - at, n = left < FOLLOW_MESSAGE_MAX ? left : FOLLOW_MESSAGE_MAX;
        print_json(message, continued, bytes ? bytes + at : NULL, n, out, line, size_bytes);
        continued = true;
        at += n;
    } while (at < message->n_data);
}

/* ---- text */

/* "message 3", "text 3", "ping", "datagram 3" */
static void put_what(const struct follow_message *message, FILE *out)
{
    const char *name = message->kind == FOLLOW_DATAGRAM ? _("datagram") : message_kind_name(message->framed->kind);
    uint64_t number = message->kind == FOLLOW_DATAGRAM ? message->number : message->framed->number;
    if (number > 0)
        fprintf(out, "%s %" PRIu64, name, number);
    else
        fprintf(out, "%s", name);
}

static void put_when_and_who(const struct follow_message *message, int64_t origin_ns, FILE *out)
{
    char when[16], source[SONDE_ADDRESS_TEXT], destination[SONDE_ADDRESS_TEXT];
    ladder_time_text(message->t_ns - origin_ns, when);
    sonde_address_format(&message->address[message->from], source, sizeof source);
    sonde_address_format(&message->address[other_end(message->from)], destination, sizeof destination);
    fprintf(out, "%s %s > %s, ", when + strspn(when, " "), source, destination);
}

/* A Close frame's code stands before its reason. */
static void put_quoted(const struct follow_message *message, FILE *out)
{
    const unsigned char *bytes = message->data;
    size_t n_bytes = message->n_data;
    if (message->kind == FOLLOW_FRAMED && message->framed->kind == MESSAGE_CLOSE && n_bytes >= CLOSE_CODE_BYTES) {
        fprintf(out, " %u", (unsigned)(bytes[0] << 8 | bytes[1]));
        bytes += CLOSE_CODE_BYTES;
        n_bytes -= CLOSE_CODE_BYTES;
    }
    fputs(" \"", out);
    put_escaped(ESCAPE_LINE, bytes, n_bytes, out);
    fputs("\"", out);
}

static void print_message(const struct view_settings *settings, const struct follow_message *message, int64_t origin_ns)
{
    FILE *out = settings->out;
    const struct framing_message *framed = message->framed;
    char count[32];
    put_when_and_who(message, origin_ns, out);
    if (message->kind == FOLLOW_FRAMED && framed->kind == MESSAGE_MALFORMED) {
        fprintf(out, _("no message from byte %" PRIu64 " on: %s\n"), framed->at_byte, framed->words);
        return;
    }
    put_what(message, out);
    ladder_count_text(message->n_bytes, count);
    fprintf(out, _(", %s bytes"), count);
    if (message->kind == FOLLOW_FRAMED && framed->compressed)
        fprintf(out, ", %s", _("compressed"));
    if (message->kind == FOLLOW_FRAMED && framed->joined)
        fprintf(out, ", %s", _("perhaps the rest of a longer one"));
    fputc(settings->hex || message->n_data == 0 ? '\n' : ':', out);
    if (settings->hex) {
        put_hex(message, out);
    } else if (message->n_data > 0) {
        put_quoted(message, out);
        fputs(message->n_data < message->n_bytes ? "...\n" : "\n", out);
    }
    if (message->n_data < message->n_bytes) {
        ladder_count_text(message->n_data, count);
        fprintf(out, _("(only its first %s bytes are here)\n"), count);
    }
}

static void print_pushed(const struct view_settings *settings, const struct follow_message *message, int64_t origin_ns)
{
    FILE *out = settings->out;
    char count[32];
    put_when_and_who(message, origin_ns, out);
    ladder_count_text(message->n_bytes, count);
    fprintf(out, message->continued ? _("%s bytes, continued\n") : _("%s bytes\n"), count);
    if (message->n_missing > 0)
        fprintf(out, _("(%" PRIu64 " bytes before it are not in the capture)\n"), message->n_missing);
    if (settings->hex)
        put_hex(message, out);
    else
        put_text(message, out);
}

static void print_datagram(const struct view_settings *settings, const struct follow_message *message,
                           int64_t origin_ns)
{
    FILE *out = settings->out;
    char count[32];
    put_when_and_who(message, origin_ns, out);
    put_what(message, out);
    ladder_count_text(message->n_bytes, count);
    fprintf(out, _(", %s bytes\n"), count);
    if (settings->hex)
        put_hex(message, out);
    else
        put_text(message, out);
    if (message->n_data < message->n_bytes) {
        ladder_count_text(message->n_data, count);
        fprintf(out, _("(only its first %s bytes are here)\n"), count);
    }
}

void follow_print(const struct view_settings *settings, const struct follow_message *message, int64_t origin_ns,
                  char *line, size_t size_bytes)
{
    if (settings->json)
        print_all_json(message, settings->out, line, size_bytes);
    else if (message->kind == FOLLOW_PUSHED)
        print_pushed(settings, message, origin_ns);
    else if (message->kind == FOLLOW_DATAGRAM && !message->one_line)
        print_datagram(settings, message, origin_ns);
    else
        print_message(settings, message, origin_ns);
}
