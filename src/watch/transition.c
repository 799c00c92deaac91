/* SPDX-License-Identifier: MIT */
#include "watch/transition.h"

#include "term/translate.h"
#include "watch/socket_json.h"
#include "watch/source.h"
#include "watch/view.h"
#include "watch/words.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

static void put_time(int64_t wall_ns, struct text *text)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    char clock[16] = "??:??:??";
    if (localtime_r(&seconds, &tm))
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    text_format(text, "%s.%03d ", clock, (int)(wall_ns % NS_PER_S / NS_PER_MS));
}

static void put_ends(const struct row *row, struct text *text)
{
    char cell[CELL_MAX];
    text_append(text, cell, cell_local(row, true, cell));
    if (row->family == AF_UNIX ? row->peer_inode == 0 : row->peer.port == 0)
        return;
    text_string(text, row->direction == DIRECTION_IN ? "<-" : row->direction == DIRECTION_OUT ? "->" : "--");
    text_append(text, cell, cell_peer(row, cell));
}

static void put_change(const struct change *change, struct text *text)
{
    const char *from = tcp_state_name(change->from), *to = tcp_state_name(change->to);
    char span[WORDS_MAX];
    switch (change->kind) {
    case CHANGE_APPEARED:
        text_format(text, _(" new %s"), to);
        return;
    case CHANGE_MISSED:
        text_format(text, _(" missed: opened and %s between two looks"), to);
        return;
    case CHANGE_STATE:
    case CHANGE_GONE:
        words_span(change->in_state_ns, span);
        text_format(text, change->in_state_known ? _(" %s -> %s after %s") : _(" %s -> %s after %s or more"), from, to,
                    span);
    }
}

void transition_line(const struct change *change, int64_t wall_ns, const char *owner, struct text *text)
{
    const struct row *row = change->row;
    char in[WORDS_MAX], out[WORDS_MAX];
    put_time(wall_ns, text);
    put_ends(row, text);
    put_change(change, text);
    bool is_over = change->kind == CHANGE_GONE || change->kind == CHANGE_MISSED;
    if (row->state != TCP_STATE_LISTEN && !is_over && row->receive_queue > 0) {
        words_count(row->receive_queue, in);
        text_format(text, _(", unread %s"), in);
    }
    if (row->state != TCP_STATE_LISTEN && !is_over && row->send_queue > 0) {
        words_count(row->send_queue, out);
        text_format(text, _(", unsent %s"), out);
    }
    if (change->bytes_known && change->from != TCP_STATE_LISTEN && row->peer.port != 0) {
        words_count(row->bytes_in, in);
        words_count(row->bytes_out, out);
        text_format(text, _(", in %s, out %s"), in, out);
    }
    if (owner)
        text_format(text, ", %s", owner);
    text_append(text, "\n", 1);
}

static const char *const kind_names[] = {
    [CHANGE_APPEARED] = "new", [CHANGE_STATE] = "state", [CHANGE_GONE] = "gone", [CHANGE_MISSED] = "missed"};

static void put_owner(struct json *json, const struct transition_owner *owner)
{
    json_array_begin(json, "owner");
    if (owner->program) {
        json_object_begin(json, NULL);
        json_number(json, "pid", owner->pid);
        json_string(json, "program", owner->program);
        json_number(json, "fd", owner->fd);
        json_object_end(json);
    }
    json_array_end(json);
}

void transition_json(const struct change *change, int64_t wall_ns, int64_t now_ns, const struct transition_owner *owner,
                     struct text *text)
{
    const struct row *row = change->row;
    char *line = text_room(text, SOCKET_JSON_ROOM);
    struct socket_info socket;
    struct json json;
    if (!line)
        return;
    row_to_socket(row, &socket);
    json_begin(&json, line, SOCKET_JSON_ROOM);
    json_string(&json, "event", "change");
    json_string(&json, "change", kind_names[change->kind]);
    json_time(&json, "time", wall_ns);
    json_number(&json, "mono_ns", now_ns);
    socket_json_addresses(&json, &socket);
    json_string(&json, "direction",
                row->direction == DIRECTION_IN    ? "in"
                : row->direction == DIRECTION_OUT ? "out"
                                                  : NULL);
    bool had_state = change->kind == CHANGE_STATE || change->kind == CHANGE_GONE;
    json_string(&json, "from", had_state ? tcp_state_name(change->from) : NULL);
    json_string(&json, "to", tcp_state_name(change->to));
    if (had_state)
        json_number(&json, "state_ms", change->in_state_ns / NS_PER_MS);
    else
        json_null(&json, "state_ms");
    json_boolean(&json, "state_since_known", had_state && change->in_state_known);
    json_unsigned(&json, "recv_queue", row->receive_queue);
    json_unsigned(&json, "send_queue", row->send_queue);
    if (change->bytes_known) {
        json_unsigned(&json, "bytes_in", row->bytes_in);
        json_unsigned(&json, "bytes_out", row->bytes_out);
    } else {
        json_null(&json, "bytes_in");
        json_null(&json, "bytes_out");
    }
    json_unsigned(&json, "uid", row->uid);
    json_unsigned(&json, "inode", row->inode);
    json_unsigned_string(&json, "cookie", row->key);
    if (owner->asked)
        put_owner(&json, owner);
    text->n_bytes += json_end(&json);
}
