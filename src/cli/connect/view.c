/* SPDX-License-Identifier: MIT */
#include "cli/connect/view_internal.h"

#include "cli/connect/parts.h"
#include "term/hex.h"
#include "json/json.h"

#include <errno.h>
#include <sonde/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TEXT_ROOM 16384u /* what is rendered at a time */

/* To standard output: above the line that is being typed, if there is one. */
void view_put(struct view *view, const char *text, size_t n_bytes)
{
    if (view->edit != NULL)
        edit_put(view->edit, text, n_bytes);
    else
        output_write(&view->out, text, n_bytes);
}

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
    case END_LATE:
        return "no match in time";
    case END_BAD_MESSAGE:
        return "bad message";
    case END_DIFFERS:
        return "not what was sent";
    case END_NO_CLOSE:
        return "no answer to Close";
    case END_NO_SUBPROTOCOL:
        return "no subprotocol";
    case END_KICKED:
        return "kicked from the page";
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
    [END_OF_DATA] = "end",
    [END_HERE] = "here",
    [END_STOPPED] = "stopped",
    [END_IDLE] = "idle",
    [END_LATE] = "late",
    [END_DIFFERS] = "differs",
    [END_RESET] = "reset",
    [END_TIMEOUT] = "timeout",
    [END_OUTPUT] = "error",
    [END_OTHER] = "error",
    [END_BAD_MESSAGE] = "bad_message",
    [END_NO_CLOSE] = "no_close",
    [END_NO_SUBPROTOCOL] = "no_subprotocol",
    [END_KICKED] = "page",
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void view_event_begin(struct json *json, char *line, size_t size_bytes, const char *name)
{
    json_begin(json, line, size_bytes);
    json_string(json, "event", name);
    json_time(json, "time", clock_ns(CLOCK_REALTIME));
    json_number(json, "mono_ns", clock_ns(CLOCK_MONOTONIC));
}

static void format(const struct sonde_address *address, const char *name, char *ret_text, size_t size_bytes)
{
    bool is_nobody = address->family == AF_UNIX && address->u.peer.pid == 0;

    if ((address->family == 0 || is_nobody) && name != NULL)
        snprintf(ret_text, size_bytes, "%s", name);
    else
        sonde_address_format(address, ret_text, size_bytes);
}

void end_format_local(const struct connection_end *end, char *ret_text, size_t size_bytes)
{
    format(&end->local, end->local_name, ret_text, size_bytes);
}

void end_format_peer(const struct connection_end *end, char *ret_text, size_t size_bytes)
{
    format(&end->peer, end->peer_name, ret_text, size_bytes);
}

bool end_format_reporter(const struct connection_end *end, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    if (end->undelivered_by.family == 0)
        return false;
    n = sonde_address_format(&end->undelivered_by, ret_text, size_bytes);
    if (n > 2 && ret_text[n - 2] == ':' && ret_text[n - 1] == '0')
        ret_text[n - 2] = '\0';
    return true;
}

static void add_addresses(struct json *json, const struct connection_end *end)
{
    char text[END_ADDRESS_TEXT];

    end_format_local(end, text, sizeof text);
    json_string(json, "local", text);
    end_format_peer(end, text, sizeof text);
    json_string(json, "peer", text);
}

void view_opened(struct view *view, uint64_t number, const struct connection_end *end)
{
    char line[JSON_ROOM(2 * END_ADDRESS_TEXT + 256)];
    struct json json;

    view->connection = number;
    view->n_received = view->n_sent = 0;
    escape_init(&view->escape, ESCAPE_TEXT);
    if (view->kind != VIEW_JSON)
        return;
    view_event_begin(&json, line, sizeof line, "opened");
    json_number(&json, "connection", (int64_t)number);
    add_addresses(&json, end);
    view_put(view, line, json_end(&json));
}

void view_closed(struct view *view, const struct connection_end *end)
{
    char line[JSON_ROOM(2 * END_ADDRESS_TEXT + 256)];
    struct json json;

    if (view->kind == VIEW_TEXT)
        view_put(view, line, escape_finish(&view->escape, line, sizeof line));
    if (view->edit != NULL)
        edit_end_line(view->edit);
    if (view->kind != VIEW_JSON)
        return;
    view_event_begin(&json, line, sizeof line, "closed");
    if (end->opened) {
        json_number(&json, "connection", (int64_t)view->connection);
        add_addresses(&json, end);
    } else {
        json_string(&json, "url", view->url);
    }
    json_string(&json, "reason", reason_names[end->reason]);
    if (end->error < 0)
        json_string(&json, "error", sonde_error_name(end->error));
    json_number(&json, "bytes_in", (int64_t)end->n_received);
    json_number(&json, "bytes_out", (int64_t)end->n_sent);
    json_number(&json, "unsent", (int64_t)end->n_unsent);
    view_add_transport(&json, end);
    if (end->reason == END_BAD_MESSAGE)
        json_unsigned(&json, "at_byte", end->at_byte);
    if (end->n_partial > 0)
        json_unsigned(&json, "partial", end->n_partial);
    json_number(&json, "duration_ns", end->duration_ns);
    view_put(view, line, json_end(&json));
}

void view_matched(struct view *view, uint64_t offset, uint64_t n_bytes)
{
    char line[JSON_ROOM(0)];
    struct json json;

    if (view->kind != VIEW_JSON)
        return;
    view_event_begin(&json, line, sizeof line, "matched");
    json_number(&json, "connection", (int64_t)view->connection);
    json_unsigned(&json, "offset", offset);
    json_unsigned(&json, "length", n_bytes);
    view_put(view, line, json_end(&json));
}

static void show_url(struct view *view, const char *event, const char *url)
{
    char line[JSON_ROOM(SONDE_URL_MAX)];
    struct json json;

    if (view->kind != VIEW_JSON)
        return;
    view_event_begin(&json, line, sizeof line, event);
    json_string(&json, "url", url);
    view_put(view, line, json_end(&json));
}

void view_listening(struct view *view, const char *url)
{
    show_url(view, "listening", url);
}

void view_page(struct view *view, const char *url)
{
    show_url(view, "page", url);
}

static void show_json(struct view *view, const char *direction, const void *data, size_t n_bytes)
{
    struct json json;
    char *line = malloc(JSON_ROOM(n_bytes));

    if (line == NULL) {
        view->error = -ENOMEM;
        return;
    }
    view_event_begin(&json, line, JSON_ROOM(n_bytes), "data");
    json_number(&json, "connection", (int64_t)view->connection);
    json_string(&json, "direction", direction);
    json_number(&json, "bytes", (int64_t)n_bytes);
    json_bytes(&json, data, n_bytes);
    view_put(view, line, json_end(&json));
    free(line);
}

void view_show_hex(struct view *view, const char *prefix, uint64_t offset, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    char text[TEXT_ROOM];
    size_t n_text = 0;

    for (size_t i = 0; i < n_bytes; i += HEX_PER_LINE) {
        size_t n_line = n_bytes - i < HEX_PER_LINE ? n_bytes - i : HEX_PER_LINE;
        if (sizeof text - n_text < HEX_LINE_SIZE) {
            view_put(view, text, n_text);
            n_text = 0;
        }
        n_text += hex_line(prefix, offset + i, bytes + i, n_line, text + n_text, sizeof text - n_text);
    }
    view_put(view, text, n_text);
}

static void show_text(struct view *view, struct escape *escape, const void *data, size_t n_bytes)
{
    const char *bytes = data;
    char text[TEXT_ROOM];

    while (n_bytes > 0) {
        size_t n_taken = 0;
        size_t n_text = escape_bytes(escape, bytes, n_bytes, text, sizeof text, &n_taken);
        view_put(view, text, n_text);
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
        view_show_hex(view, "< ", view->n_received, data, n_bytes);
    else if (view->has_file || view->kind == VIEW_NOTHING)
        ; /* it goes to the file instead, or nowhere */
    else if (view->kind == VIEW_TEXT)
        show_text(view, &view->escape, data, n_bytes);
    else
        view_put(view, data, n_bytes);
    view->n_received += n_bytes;
}

void view_sent(struct view *view, const void *data, size_t n_bytes)
{
    if (view->kind == VIEW_JSON)
        show_json(view, "out", data, n_bytes);
    else if (view->kind == VIEW_HEX)
        view_show_hex(view, "> ", view->n_sent, data, n_bytes);
    view->n_sent += n_bytes;
}
