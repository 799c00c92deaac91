/* SPDX-License-Identifier: MIT */
/* --svg FILE: one connection as a picture, the first one unless another is asked for. */
#include "observe/ladder/ladder.h"

#include "trace/gather.h"
#include "trace/view.h"

#include <errno.h>
#include <string.h>

struct state {
    FILE *file;
    int error; /* of its first write that failed */
    struct gather gather;
};

static int on_open(struct view_run *run, struct sonde_why *ret_why)
{
    struct state *state = run->state;
    const char *path = run->settings->svg;
    gather_init(&state->gather, 1, run->settings->only);
    state->file = strcmp(path, "-") == 0 ? run->settings->out : fopen(path, "we");
    if (state->file)
        return 0;
    *ret_why = (struct sonde_why){.code = -errno, .call = "open"};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", path);
    return ret_why->code;
}

static void on_event(struct view_run *run, const struct event *event)
{
    struct state *state = run->state;
    gather_event(&state->gather, event);
}

static void put(const char *text, size_t n_bytes, void *user)
{
    struct state *state = user;
    if (fwrite(text, 1, n_bytes, state->file) < n_bytes && state->error == 0)
        state->error = -errno;
}

static int finish(struct view_run *run)
{
    struct state *state = run->state;
    if (state->gather.n_conns == 0)
        return -ENOENT;
    const struct gathered *gathered = &state->gather.conns[0];
    int error =
        ladder_svg((const struct event *const *)gathered->events, gathered->n_events, gathered->conn, NULL, put, state);
    if (fflush(state->file) != 0 && state->error == 0)
        state->error = -errno;
    if (error == 0)
        error = state->error;
    return error;
}

static void on_close(struct view_run *run)
{
    struct state *state = run->state;
    if (state->file && state->file != run->settings->out)
        fclose(state->file);
    gather_free(&state->gather);
}

const struct view view_svg = {
    .name = "svg",
    .state_bytes = sizeof(struct state),
    .open = on_open,
    .event = on_event,
    .finish = finish,
    .close = on_close,
};
