/* SPDX-License-Identifier: MIT */
#include "cli/taps.h"

#include <assert.h>

static void fan_out(const struct sonde_probe_event *event, void *user)
{
    const struct taps *taps = user;
    struct sonde_probe_event bare;
    if (taps->hides_sent && (event->operation == SONDE_OP_SEND || event->operation == SONDE_OP_MESSAGE_OUT)) {
        bare = *event;
        bare.data = NULL;
        event = &bare;
    }
    for (unsigned i = 0; i < taps->n; i++)
        taps->tap[i].function(event, taps->tap[i].user);
}

void taps_add(struct taps *taps, struct sonde_loop *loop, sonde_probe_function function, void *user)
{
    assert(taps->n < TAPS_MAX);
    taps->tap[taps->n].function = function;
    taps->tap[taps->n++].user = user;
    sonde_loop_set_probe(loop, fan_out, taps);
}
