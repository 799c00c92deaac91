/* SPDX-License-Identifier: MIT */
#include "trace/view.h"

#include <errno.h>
#include <stdlib.h>

int trace_view_open(const struct view *view, const struct view_settings *settings, struct view_run *ret_run,
                    struct sonde_why *ret_why)
{
    struct view_run run = {.view = view, .settings = settings};
    run.state = calloc(1, view->state_bytes > 0 ? view->state_bytes : 1);
    if (!run.state) {
        *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "trace"};
        return -ENOMEM;
    }
    int error = view->open ? view->open(&run, ret_why) : 0;
    if (error < 0) {
        free(run.state);
        return error;
    }
    *ret_run = run;
    return 0;
}

int trace_view_finish(struct view_run *run)
{
    int error = run->view->finish ? run->view->finish(run) : 0;
    run->error = error < 0 ? error : run->error;
    return run->error;
}

void view_flush(const struct view_run *run)
{
    if (run->settings->out)
        fflush(run->settings->out);
}

bool view_is_gone(const struct view_run *run)
{
    return (run->settings->out && ferror(run->settings->out)) || run->error < 0;
}

void trace_view_close(struct view_run *run)
{
    if (!run->view)
        return;
    if (run->view->close)
        run->view->close(run);
    free(run->state);
    run->view = NULL;
}
