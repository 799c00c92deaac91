/* SPDX-License-Identifier: MIT */
/* The tap: somebody hears what is said on all streams of a loop. What comes in is told where it is lent to the owner.
 */
#include "net/layer.h"

void sonde_loop_set_tap(struct sonde_loop *loop, sonde_tap_function function, void *user)
{
    struct loop_net *net = loop_net(loop);

    net->tap = function;
    net->tap_user = user;
}

void tap_out(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags)
{
    const struct loop_net *net = loop_net(stream->loop);
    bool is_message = sonde_stream_has_messages(stream);
    struct sonde_lent lent = {
        .data = data,
        .n_bytes = n_bytes,
        .flags = is_message ? SONDE_MESSAGE : 0,
        .n_whole_bytes = n_bytes,
    };

    if (n_bytes == 0 && !is_message)
        return;
    if (is_message && stream->layers != NULL) /* of layers, only WebSocket has messages */
        lent.flags |= flags & SONDE_TEXT;
    net->tap(stream, SONDE_OUT, &lent, net->tap_user);
}
