/* SPDX-License-Identifier: MIT */
/* Events as JSON Lines. */
#include "observe/event/event_json.h"
#include "trace/view.h"

struct state {
    char line[EVENT_JSON_MAX];
};

static void on_event(struct view_run *run, const struct event *event)
{
    struct state *state = run->state;
    if (run->settings->only != 0 && event->conn != 0 && event->conn != run->settings->only)
        return;
    size_t n = event_json_write(event, state->line, sizeof state->line);
    if (n == 0) {
        struct event loss = {
            .source = event->source, .kind = EVENT_KIND_LOSS, .conn = event->conn, .t_ns = event->t_ns};
        loss.loss = (struct event_loss){"events", 1, "longer than a line may be"};
        n = event_json_write(&loss, state->line, sizeof state->line);
    }
    fwrite(state->line, 1, n, run->settings->out);
}

const struct view view_json = {.name = "json", .state_bytes = sizeof(struct state), .event = on_event};
