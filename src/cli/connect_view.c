/* SPDX-License-Identifier: MIT */
#include "cli/connect_view.h"

#include "cli/connect_parts.h"
#include "term/hex.h"
#include "json/json.h"

#include <errno.h>
#include <sonde/error.h>
#include <sonde/url.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_ROOM 16384u /* what is rendered at a time */

static void on_unstuck(void *user)
{
    struct view *view = user;

    if (!view_is_stuck(view))
        view->unstuck(view->user);
}

int view_open(struct view *view, struct sonde_loop *loop, enum view_kind kind, int file_fd, const char *url,
              void (*unstuck)(void *user), void *user)
{
    *view = (struct view){.kind = kind, .has_file = file_fd >= 0, .url = url, .unstuck = unstuck, .user = user};
    escape_init(&view->escape, ESCAPE_TEXT);

    int error = view->has_file ? output_open(&view->file, loop, file_fd, true, on_unstuck, view) : 0;
    if (error == 0)
        error = output_open(&view->out, loop, STDOUT_FILENO, false, on_unstuck, view);
    return error;
}

void view_empty_file(struct view *view)
{
    /* A pipe or a device refuses, and has nothing to lose. */
    if (view->has_file && ftruncate(view->file.fd, 0) < 0 && errno != EINVAL)
        view->error = -errno;
}

void view_close(struct view *view)
{
    if (view->has_file)
        output_close(&view->file);
    output_close(&view->out);
}

bool view_shows_sent(const struct view *view)
{
    return view->kind == VIEW_HEX || view->kind == VIEW_JSON;
}

bool view_is_stuck(const struct view *view)
{
    return output_is_stuck(&view->out) || (view->has_file && output_is_stuck(&view->file));
}

int view_error(const struct view *view, bool *ret_is_file)
{
    *ret_is_file = view->has_file && view->file.error < 0;
    if (*ret_is_file)
        return view->file.error;
    return view->error < 0 ? view->error : view->out.error;
}

const char *end_reason_text(const struct connection_end *end)
{
    switch (end->reason) {
    case END_OF_DATA:
        return "end of data";
    case END_HERE:
        return "ended here";
    case END_STOPPED:
        return "stopped";
    case END_IDLE:
        return "idle";
    case END_RESET:
        return "reset by peer";
    case END_TIMEOUT:
        return "timed out";
    case END_OUTPUT:
        return "output closed";
    case END_OTHER:
    case N_END_REASONS:
        break;
    }
    return sonde_strerror(end->error);
}

static const char *const reason_names[N_END_REASONS] = {
    [END_OF_DATA] = "end", [END_HERE] = "here",       [END_STOPPED] = "stopped", [END_IDLE] = "idle",
    [END_RESET] = "reset", [END_TIMEOUT] = "timeout", [END_OUTPUT] = "error",    [END_OTHER] = "error",
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void event_begin(struct json *json, char *line, size_t size_bytes, const char *name)
{
    json_begin(json, line, size_bytes);
    json_string(json, "event", name);
    json_time(json, "time", clock_ns(CLOCK_REALTIME));
    json_number(json, "mono_ns", clock_ns(CLOCK_MONOTONIC));
}

static void add_address(struct json *json, const char *key, const struct sonde_address *address)
{
    char text[SONDE_ADDRESS_TEXT];

    sonde_address_format(address, text, sizeof text);
    json_string(json, key, text);
}

void view_opened(struct view *view, uint64_t number, const struct sonde_address *local,
                 const struct sonde_address *peer)
{
    char line[JSON_ROOM(2 * SONDE_ADDRESS_TEXT)];
    struct json json;

    view->connection = number;
    view->n_received = view->n_sent = 0;
    escape_init(&view->escape, ESCAPE_TEXT);
    if (view->kind != VIEW_JSON)
        return;
    event_begin(&json, line, sizeof line, "opened");
    json_number(&json, "connection", (int64_t)number);
    add_address(&json, "local", local);
    add_address(&json, "peer", peer);
    output_write(&view->out, line, json_end(&json));
}

void view_closed(struct view *view, const struct connection_end *end)
{
    char line[JSON_ROOM(SONDE_URL_MAX)];
    struct json json;

    if (view->kind == VIEW_TEXT)
        output_write(&view->out, line, escape_finish(&view->escape, line, sizeof line));
    if (view->kind != VIEW_JSON)
        return;
    event_begin(&json, line, sizeof line, "closed");
    if (end->opened) {
        json_number(&json, "connection", (int64_t)view->connection);
        add_address(&json, "local", &end->local);
        add_address(&json, "peer", &end->peer);
    } else {
        json_string(&json, "url", view->url);
    }
    json_string(&json, "reason", reason_names[end->reason]);
    if (end->error < 0)
        json_string(&json, "error", sonde_error_name(end->error));
    json_number(&json, "bytes_in", (int64_t)end->n_received);
    json_number(&json, "bytes_out", (int64_t)end->n_sent);
    json_number(&json, "unsent", (int64_t)end->n_unsent);
    json_number(&json, "duration_ns", end->duration_ns);
    output_write(&view->out, line, json_end(&json));
}

static void show_json(struct view *view, const char *direction, const void *data, size_t n_bytes)
{
    struct json json;
    char *line = malloc(JSON_ROOM(n_bytes));

    if (line == NULL) {
        view->error = -ENOMEM;
        return;
    }
    event_begin(&json, line, JSON_ROOM(n_bytes), "data");
    json_number(&json, "connection", (int64_t)view->connection);
    json_string(&json, "direction", direction);
    json_number(&json, "bytes", (int64_t)n_bytes);
    json_bytes(&json, data, n_bytes);
    output_write(&view->out, line, json_end(&json));
    free(line);
}

static void show_hex(struct view *view, const char *prefix, uint64_t offset, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    char text[TEXT_ROOM];
    size_t n_text = 0;

    for (size_t i = 0; i < n_bytes; i += HEX_PER_LINE) {
        size_t n_line = n_bytes - i < HEX_PER_LINE ? n_bytes - i : HEX_PER_LINE;
        if (sizeof text - n_text < HEX_LINE_SIZE) {
            output_write(&view->out, text, n_text);
            n_text = 0;
        }
        n_text += hex_line(prefix, offset + i, bytes + i, n_line, text + n_text, sizeof text - n_text);
    }
    output_write(&view->out, text, n_text);
}

static void show_text(struct view *view, const void *data, size_t n_bytes)
{
    const char *bytes = data;
    char text[TEXT_ROOM];

    while (n_bytes > 0) {
        size_t n_taken = 0;
        size_t n_text = escape_bytes(&view->escape, bytes, n_bytes, text, sizeof text, &n_taken);
        output_write(&view->out, text, n_text);
        bytes += n_taken;
        n_bytes -= n_taken;
    }
}

void view_received(struct view *view, const void *data, size_t n_bytes)
{
    if (view->has_file)
        output_write(&view->file, data, n_bytes);

    if (view->kind == VIEW_JSON)
        show_json(view, "in", data, n_bytes);
    else if (view->kind == VIEW_HEX)
        show_hex(view, "< ", view->n_received, data, n_bytes);
    else if (view->has_file)
        ; /* it goes to the file instead */
    else if (view->kind == VIEW_TEXT)
        show_text(view, data, n_bytes);
    else
        output_write(&view->out, data, n_bytes);
    view->n_received += n_bytes;
}

void view_sent(struct view *view, const void *data, size_t n_bytes)
{
    if (view->kind == VIEW_JSON)
        show_json(view, "out", data, n_bytes);
    else if (view->kind == VIEW_HEX)
        show_hex(view, "> ", view->n_sent, data, n_bytes);
    view->n_sent += n_bytes;
}
