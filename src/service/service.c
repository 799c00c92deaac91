/* SPDX-License-Identifier: MIT */
#include "service/service_internal.h"

#include <errno.h>

void service_finish(struct service_run *run, struct sonde_stream *stream)
{
    run->host->done(run, stream, SERVICE_SAID_ALL);
    sonde_stream_finish(stream, sonde_loop_now_ns(run->loop) + SERVICE_FINISH_NS);
}

bool service_cannot_send(struct service_run *run, struct sonde_stream *stream, int error)
{
    if (error != -ENOMEM && error != -ENOBUFS)
        return true;
    run->host->broken(run, stream, error);
    sonde_stream_abort(stream);
    return false;
}

void service_close_at_end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    run->host->done(run, stream, SERVICE_ANSWERED);
    sonde_stream_close(stream);
}
