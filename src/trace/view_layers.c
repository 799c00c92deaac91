/* SPDX-License-Identifier: MIT */
/* --layers: each packet opened layer by layer, with byte offsets. */
#include "observe/ladder/ladder.h"
#include "term/translate.h"
#include "trace/view.h"
#include "json/json.h"

#include <inttypes.h>
#include <string.h>

#define JSON_BYTES (4 * 1024 * 1024) /* a packet of 64 KiB takes half a megabyte */

struct state {
    bool begun;
    int64_t origin_ns;
    struct json json;
    char line[JSON_BYTES];
};

static void put_line(const char *text, void *user)
{
    FILE *out = user;
    fprintf(out, "%s\n", text);
}

static void put_json(const struct decode_field *field, void *user)
{
    struct state *state = user;
    json_object_begin(&state->json, NULL);
    json_unsigned(&state->json, "offset", field->offset);
    json_unsigned(&state->json, "bytes", field->n_bytes);
    json_string(&state->json, "layer", field->layer);
    if (field->name) {
        json_string(&state->json, "name", field->name);
        json_string(&state->json, "value", field->value);
    }
    if (field->remark)
        json_string(&state->json, "remark", field->remark);
    json_object_end(&state->json);
}

static void print_json(struct view_run *run, const struct view_packet *shown)
{
    struct state *state = run->state;
    const struct packet *packet = shown->packet;
    json_begin(&state->json, state->line, sizeof state->line);
    json_string(&state->json, "event", "packet");
    json_unsigned(&state->json, "packet", packet->number);
    json_number(&state->json, "t_ns", shown->t_ns);
    if (shown->conversation)
        json_unsigned(&state->json, "conn", shown->conversation->id);
    json_unsigned(&state->json, "bytes", packet->n_wire);
    json_unsigned(&state->json, "captured", packet->n_captured);
    json_array_begin(&state->json, "fields");
    decode_layers(packet->link_type, packet->data, packet->n_captured, packet->n_wire, put_json, state);
    json_array_end(&state->json);
    size_t n = json_end(&state->json);
    if (n == 0) {
        /* A packet with more fields than fit: its payload's rows. Say so, rather than nothing. */
        json_begin(&state->json, state->line, sizeof state->line);
        json_string(&state->json, "event", "packet");
        json_unsigned(&state->json, "packet", packet->number);
        json_boolean(&state->json, "too_long", true);
        n = json_end(&state->json);
    }
    fwrite(state->line, 1, n, run->settings->out);
}

static void on_packet(struct view_run *run, const struct view_packet *shown)
{
    struct state *state = run->state;
    const struct view_settings *settings = run->settings;
    const struct packet *packet = shown->packet;
    char when[16];
    if (settings->only != 0 && (!shown->conversation || shown->conversation->id != settings->only))
        return;
    if (settings->json) {
        print_json(run, shown);
        return;
    }
    if (state->begun)
        fputc('\n', settings->out);
    else
        state->origin_ns = shown->t_ns;
    state->begun = true;
    ladder_time_text(shown->t_ns - state->origin_ns, when);
    fprintf(settings->out, _("packet %" PRIu64 " at %s, %" PRIu32 " bytes"), packet->number, when + strspn(when, " "),
            packet->n_wire);
    if (packet->n_captured < packet->n_wire)
        fprintf(settings->out, _(", %" PRIu32 " of them captured"), packet->n_captured);
    if (shown->conversation)
        fprintf(settings->out, _(", connection %" PRIu64), shown->conversation->id);
    if (shown->segment)
        fprintf(settings->out, _(", segment %" PRIu32), shown->segment->number);
    fputc('\n', settings->out);
    decode_layers_text(packet->link_type, packet->data, packet->n_captured, packet->n_wire, put_line, settings->out);
}

const struct view view_layers = {.name = "layers", .state_bytes = sizeof(struct state), .packet = on_packet};
