/* SPDX-License-Identifier: MIT */
/* --layers: each packet opened layer by layer, with byte offsets. */
#include "observe/ladder/ladder.h"
#include "term/translate.h"
#include "trace/layers_json.h"
#include "trace/view.h"

#include <inttypes.h>
#include <string.h>

struct state {
    bool begun;
    int64_t origin_ns;
    char line[LAYERS_JSON_MAX];
};

static void put_line(const char *text, void *user)
{
    FILE *out = user;
    fprintf(out, "%s\n", text);
}

static void print_json(struct view_run *run, const struct view_packet *shown)
{
    struct state *state = run->state;
    uint64_t conn = shown->conversation ? shown->conversation->id : 0;
    size_t n = layers_json(shown->packet, shown->t_ns, conn, state->line, sizeof state->line);
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
