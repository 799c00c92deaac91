/* SPDX-License-Identifier: MIT */
/*
 * --follow: payload by message. A message is what one side says until it pushes (PSH) or the other side speaks; TCP has
 * no others. One message is kept at a time, and written out early when it grows past the bound, which is said.
 */
#include "observe/ladder/ladder.h"
#include "term/escape.h"
#include "term/hex.h"
#include "term/translate.h"
#include "trace/view.h"
#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (64 * 1024)

struct state {
    uint64_t conn; /* whose message is being gathered; 0: nobody's */
    enum event_end from;
    struct sonde_address address[N_ENDS];
    int64_t t_ns, origin_ns;
    uint64_t n_missing;
    bool begun, continued;
    size_t n_bytes;
    unsigned char bytes[MESSAGE_MAX];
    char line[JSON_ROOM(MESSAGE_MAX)];
};

static void print_text(struct state *state, FILE *out)
{
    struct escape escape;
    char text[4096];
    size_t at = 0, n = 0;
    escape_init(&escape, ESCAPE_TEXT);
    while (at < state->n_bytes) {
        size_t taken;
        n = escape_bytes(&escape, state->bytes + at, state->n_bytes - at, text, sizeof text, &taken);
        fwrite(text, 1, n, out);
        at += taken;
    }
    size_t n_rest = escape_finish(&escape, text, sizeof text);
    fwrite(text, 1, n_rest, out);
    if (state->n_bytes > 0 && state->bytes[state->n_bytes - 1] != '\n')
        fputc('\n', out);
}

static void print_hex(const struct state *state, FILE *out)
{
    char line[HEX_LINE_SIZE];
    for (size_t at = 0; at < state->n_bytes; at += HEX_PER_LINE) {
        size_t left = state->n_bytes - at;
        size_t n = hex_line("", at, state->bytes + at, left < HEX_PER_LINE ? left : HEX_PER_LINE, line, sizeof line);
        fwrite(line, 1, n, out);
    }
}

static void print_json(struct state *state, FILE *out)
{
    struct json json;
    char address[SONDE_ADDRESS_TEXT];
    json_begin(&json, state->line, sizeof state->line);
    json_string(&json, "event", "message");
    json_number(&json, "t_ns", state->t_ns);
    json_unsigned(&json, "conn", state->conn);
    sonde_address_format(&state->address[state->from], address, sizeof address);
    json_string(&json, "src", address);
    sonde_address_format(&state->address[other_end(state->from)], address, sizeof address);
    json_string(&json, "dst", address);
    json_unsigned(&json, "len", state->n_bytes);
    json_unsigned(&json, "missing", state->n_missing);
    json_boolean(&json, "continued", state->continued);
    json_bytes(&json, state->bytes, state->n_bytes);
    fwrite(state->line, 1, json_end(&json), out);
}

static void print_head(const struct state *state, FILE *out)
{
    char when[16], source[SONDE_ADDRESS_TEXT], destination[SONDE_ADDRESS_TEXT], count[32];
    ladder_time_text(state->t_ns - state->origin_ns, when);
    sonde_address_format(&state->address[state->from], source, sizeof source);
    sonde_address_format(&state->address[other_end(state->from)], destination, sizeof destination);
    ladder_count_text(state->n_bytes, count);
    fprintf(out, state->continued ? _("%s %s > %s, %s bytes, continued\n") : _("%s %s > %s, %s bytes\n"),
            when + strspn(when, " "), source, destination, count);
    if (state->n_missing > 0)
        fprintf(out, _("(%" PRIu64 " bytes before it are not in the capture)\n"), state->n_missing);
}

static void message_end(struct view_run *run)
{
    struct state *state = run->state;
    FILE *out = run->settings->out;
    if (state->n_bytes == 0 && state->n_missing == 0)
        return;
    if (run->settings->json) {
        print_json(state, out);
    } else {
        print_head(state, out);
        if (run->settings->hex)
            print_hex(state, out);
        else
            print_text(state, out);
    }
    state->n_bytes = 0;
    state->n_missing = 0;
    state->continued = false;
}

static void on_data(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing, bool push)
{
    struct state *state = run->state;
    if (run->settings->only != 0 && conversation->id != run->settings->only)
        return;
    if (!state->begun) {
        state->begun = true;
        state->origin_ns = conversation->first_ns;
    }
    if (state->conn != conversation->id || state->from != from || n_missing > 0)
        message_end(run);
    if (state->n_bytes == 0) {
        state->conn = conversation->id;
        state->from = from;
        state->t_ns = t_ns;
        for (int end = 0; end < N_ENDS; end++)
            state->address[end] = conversation->side[end].address;
    }
    state->n_missing += n_missing;
    for (const unsigned char *bytes = data; n_bytes > 0;) {
        size_t room = MESSAGE_MAX - state->n_bytes, n = n_bytes < room ? n_bytes : room;
        memcpy(state->bytes + state->n_bytes, bytes, n);
        state->n_bytes += n;
        bytes += n;
        n_bytes -= n;
        if (state->n_bytes == MESSAGE_MAX) {
            message_end(run);
            state->t_ns = t_ns;
            state->continued = true;
        }
    }
    if (push)
        message_end(run);
}

static int finish(struct view_run *run)
{
    message_end(run);
    return 0;
}

const struct view view_follow = {
    .name = "follow",
    .state_bytes = sizeof(struct state),
    .data = on_data,
    .finish = finish,
};
