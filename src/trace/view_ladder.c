/* SPDX-License-Identifier: MIT */
/*
 * The ladder. Live, it is drawn as things happen. Otherwise each connection is drawn whole, one after the other, in the
 * order of their first events; of many, the table comes first and only the first few are drawn.
 */
#include "observe/ladder/ladder.h"

#include "term/translate.h"
#include "trace/gather.h"
#include "trace/summary.h"
#include "trace/view.h"

#include <errno.h>
#include <inttypes.h>

#define LADDERS_MAX 8 /* that are drawn unless all are asked for */

struct state {
    struct ladder *live;
    struct gather gather;
    struct summary summary;
};

static void put(const char *text, size_t n_bytes, void *user)
{
    const struct view_settings *settings = user;
    fwrite(text, 1, n_bytes, settings->out);
}

static struct ladder *make(const struct view_settings *settings)
{
    struct ladder_options options = {
        .width = settings->width,
        .unicode = settings->unicode,
        .color = settings->color,
        .raw = settings->raw,
        .compact = settings->compact,
        .live = settings->live,
        .list = settings->list,
        .tags = settings->live,
        .only = settings->only,
    };
    return ladder_new(&options, put, (void *)(uintptr_t)settings);
}

static int on_open(struct view_run *run, struct sonde_why *ret_why)
{
    struct state *state = run->state;
    const struct view_settings *settings = run->settings;
    if (!settings->live) {
        gather_init(&state->gather, settings->all ? 0 : LADDERS_MAX, settings->only);
        return 0;
    }
    state->live = make(settings);
    if (state->live)
        return 0;
    *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "trace"};
    return -ENOMEM;
}

static void on_event(struct view_run *run, const struct event *event)
{
    struct state *state = run->state;
    if (state->live)
        ladder_event(state->live, event);
    else
        gather_event(&state->gather, event);
}

static void on_idle(struct view_run *run, int64_t now_ns)
{
    struct state *state = run->state;
    if (state->live)
        ladder_idle(state->live, now_ns);
}

static void on_conversation(struct view_run *run, const struct conversation *conversation)
{
    struct state *state = run->state;
    if (!state->live && run->settings->only == 0 && !run->settings->all)
        summary_add(&state->summary, conversation);
}

static int draw(const struct view_settings *settings, const struct gathered *gathered)
{
    struct ladder *ladder = make(settings);
    if (!ladder)
        return -ENOMEM;
    for (size_t i = 0; i < gathered->n_events; i++)
        ladder_event(ladder, gathered->events[i]);
    if (gathered->n_left_out > 0) {
        struct event loss = {.source = EVENT_VERDICT, .kind = EVENT_KIND_LOSS, .conn = gathered->conn};
        loss.t_ns = gathered->n_events > 0 ? gathered->events[gathered->n_events - 1]->t_ns : 0;
        loss.loss = (struct event_loss){"events", gathered->n_left_out, _("more than are kept to be drawn")};
        ladder_event(ladder, &loss);
    }
    ladder_finish(ladder);
    ladder_free(ladder);
    return 0;
}

static int finish(struct view_run *run)
{
    struct state *state = run->state;
    FILE *out = run->settings->out;
    if (state->live) {
        ladder_finish(state->live);
        return 0;
    }
    uint64_t n_left_out = state->gather.n_conns_left_out;
    if (n_left_out > 0 && !run->settings->all) {
        summary_print(&state->summary, out);
        summary_say_left_out(&state->summary);
        fputc('\n', out);
    }
    for (size_t i = 0; i < state->gather.n_conns; i++) {
        if (i > 0)
            fputc('\n', out);
        int error = draw(run->settings, &state->gather.conns[i]);
        if (error < 0)
            return error;
    }
    if (n_left_out > 0) {
        fflush(out);
        fprintf(stderr,
                run->settings->all ? _("sonde: the first %zu of %" PRIu64 " connections are drawn, for want of room; "
                                       "--conn N draws another.\n")
                                   : _("sonde: the first %zu of %" PRIu64 " connections are drawn; --conn N draws "
                                       "another, --all draws every one.\n"),
                state->gather.n_conns, (uint64_t)state->gather.n_conns + n_left_out);
    }
    return 0;
}

static void on_close(struct view_run *run)
{
    struct state *state = run->state;
    if (state->live)
        ladder_free(state->live);
    gather_free(&state->gather);
    summary_free(&state->summary);
}

const struct view view_ladder = {
    .name = "ladder",
    .state_bytes = sizeof(struct state),
    .open = on_open,
    .event = on_event,
    .conversation = on_conversation,
    .idle = on_idle,
    .finish = finish,
    .close = on_close,
};
