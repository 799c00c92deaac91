/* SPDX-License-Identifier: MIT */
/*
 * Messages as the user sees them: each is a line, or a dump, or an event of its own. On a terminal a message of one
 * line stands as it is, but for what a terminal would obey; one that has newlines inside is escaped as a whole.
 */
#include "cli/connect/view_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_json(struct view *view, const struct shown_message *message, uint64_t number)
{
    struct json json;
    char *line = malloc(JSON_ROOM(message->n_bytes));

    if (line == NULL) {
        view->error = -ENOMEM;
        return;
    }
    view_event_begin(&json, line, JSON_ROOM(message->n_bytes), "message");
    json_number(&json, "connection", (int64_t)view->connection);
    json_string(&json, "direction", message->sent ? "out" : "in");
    json_unsigned(&json, "message", number);
    if (message->kind != NULL)
        json_string(&json, "kind", message->kind);
    json_number(&json, "bytes", (int64_t)message->n_bytes);
    if (message->n_whole_bytes != message->n_bytes)
        json_number(&json, "whole_bytes", (int64_t)message->n_whole_bytes);
    json_bytes(&json, message->data, message->n_bytes);
    view_put(view, line, json_end(&json));
    free(line);
}

/* In one piece, so that a line that is being typed is moved once. */
static void show_line(struct view *view, enum escape_style style, const void *data, size_t n_bytes)
{
    const size_t room = n_bytes * ESCAPE_MAX_PER_BYTE + 64;
    const char *bytes = data;
    char *text = malloc(room);
    struct escape escape;
    size_t n_text = 0;

    if (text == NULL) {
        view->error = -ENOMEM;
        return;
    }
    escape_init(&escape, style);
    while (n_bytes > 0) {
        size_t n_taken = 0;
        n_text += escape_bytes(&escape, bytes, n_bytes, text + n_text, room - n_text, &n_taken);
        bytes += n_taken;
        n_bytes -= n_taken;
    }
    n_text += escape_finish(&escape, text + n_text, room - n_text);
    text[n_text++] = '\n';
    view_put(view, text, n_text);
    free(text);
}

static void show_dump(struct view *view, const struct shown_message *message)
{
    const char *prefix = message->sent ? "> " : "< ";
    char line[96];
    int length =
        message->kind != NULL
            ? snprintf(line, sizeof line, "%s%zu bytes, %s\n", prefix, message->n_bytes, message->kind)
        : message->n_whole_bytes != message->n_bytes
            ? snprintf(line, sizeof line, "%s%zu bytes of %zu\n", prefix, message->n_bytes, message->n_whole_bytes)
            : snprintf(line, sizeof line, "%s%zu bytes\n", prefix, message->n_bytes);

    view_put(view, line, (size_t)length);
    view_show_hex(view, prefix, 0, message->data, message->n_bytes);
}

/* ---- --frame: what would end the line is written as an escape */

static void show_framed(struct view *view, const void *data, size_t n_bytes)
{
    if (view->has_file || view->kind == VIEW_NOTHING)
        return;
    if (view->kind == VIEW_TEXT) {
        show_line(view, ESCAPE_LINE, data, n_bytes);
        return;
    }
    view_put(view, data, n_bytes);
    view_put(view, "\n", 1);
}

void view_message(struct view *view, bool sent, const void *data, size_t n_bytes)
{
    const struct shown_message message = {
        .sent = sent,
        .data = data,
        .n_bytes = n_bytes,
        .n_whole_bytes = n_bytes,
    };
    uint64_t number = sent ? ++view->n_sent : ++view->n_received;

    if (!sent && view->has_file) {
        output_write(&view->file, data, n_bytes);
        output_write(&view->file, "\n", 1);
    }
    if (view->kind == VIEW_JSON)
        show_json(view, &message, number);
    else if (view->kind == VIEW_HEX)
        show_dump(view, &message);
    else if (!sent)
        show_framed(view, data, n_bytes);
}

/* ---- transports that have messages */

bool view_takes_written(const struct view *view)
{
    return view->has_file || view->kind == VIEW_RAW || view->kind == VIEW_TEXT;
}

static void show_on_terminal(struct view *view, const struct shown_message *message)
{
    const char *data = message->data;
    size_t n_bytes = message->n_bytes;

    if (message->is_plain) {
        view_put(view, message->written, message->n_written);
        view_put(view, "\n", 1);
        return;
    }
    /* The one that ends a line that was typed at the other end. */
    if (message->kind == NULL && n_bytes > 0 && data[n_bytes - 1] == '\n')
        n_bytes--;
    bool is_line = n_bytes == 0 || memchr(data, '\n', n_bytes) == NULL;
    show_line(view, is_line ? ESCAPE_TEXT : ESCAPE_LINE, data, n_bytes);
}

static void write_out(struct output *output, const struct shown_message *message)
{
    if (message->written == NULL)
        return;
    output_write(output, message->written, message->n_written);
    if (message->newline)
        output_write(output, "\n", 1);
}

void view_shown_message(struct view *view, const struct shown_message *message)
{
    uint64_t number = message->sent ? ++view->n_sent : ++view->n_received;

    if (!message->sent && view->has_file)
        write_out(&view->file, message);
    if (view->kind == VIEW_JSON)
        show_json(view, message, number);
    else if (view->kind == VIEW_HEX)
        show_dump(view, message);
    else if (message->sent || view->has_file)
        return;
    else if (view->kind == VIEW_TEXT)
        show_on_terminal(view, message);
    else if (view->kind == VIEW_RAW)
        write_out(&view->out, message);
}

void view_notice(struct view *view, const struct shown_notice *notice)
{
    char line[JSON_ROOM(256)];
    struct json json;

    if (view->kind != VIEW_JSON)
        return;
    view_event_begin(&json, line, sizeof line, notice->event);
    json_number(&json, "connection", (int64_t)view->connection);
    if (notice->number_key != NULL)
        json_number(&json, notice->number_key, notice->number);
    if (notice->text_key != NULL)
        json_string(&json, notice->text_key, notice->text);
    if (notice->data != NULL)
        json_bytes(&json, notice->data, notice->n_bytes);
    view_put(view, line, json_end(&json));
}

void view_add_transport(struct json *json, const struct connection_end *end)
{
    if (end->has_messages) {
        json_unsigned(json, "messages_in", end->n_messages_in);
        json_unsigned(json, "messages_out", end->n_messages_out);
    }
    if (end->has_layers) {
        json_unsigned(json, "wire_in", end->n_wire_in);
        json_unsigned(json, "wire_out", end->n_wire_out);
    }
    if (end->n_cut > 0)
        json_unsigned(json, "cut", end->n_cut);
    if (end->n_lost > 0)
        json_unsigned(json, "lost", end->n_lost);
    if (end->n_undelivered > 0)
        json_unsigned(json, "undelivered", end->n_undelivered);
    if (end->ws.code == 0)
        return;
    json_unsigned(json, "close_code", end->ws.code);
    if (end->ws.n_reason > 0)
        json_text(json, "close_reason", end->ws.reason, end->ws.n_reason);
}
