/* SPDX-License-Identifier: MIT */
/* --summary: a table of conversations. */
#include "trace/summary.h"
#include "trace/view.h"

static void on_conversation(struct view_run *run, const struct conversation *conversation)
{
    if (run->settings->only == 0 || run->settings->only == conversation->id)
        summary_add(run->state, conversation);
}

static int finish(struct view_run *run)
{
    if (run->settings->json)
        summary_print_json(run->state, run->settings->out);
    else
        summary_print(run->state, run->settings->out);
    summary_say_left_out(run->state);
    return 0;
}

static void on_close(struct view_run *run)
{
    summary_free(run->state);
}

const struct view view_summary = {
    .name = "summary",
    .state_bytes = sizeof(struct summary),
    .conversation = on_conversation,
    .finish = finish,
    .close = on_close,
};
