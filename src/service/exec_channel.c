/* SPDX-License-Identifier: MIT */
/*
 * A descriptor to or from a child, with its poll. A poll tells once what it was asked for; asking anew costs something,
 * so what changes while the poll tells is asked for at the end of that.
 */
#include "service/exec_internal.h"

#include <unistd.h>

static void update(struct channel *channel)
{
    if (channel->poll == NULL || channel->in_ready || channel->wanted == channel->armed)
        return;
    int error = sonde_poll_start(channel->poll, channel->wanted);
    channel->armed = error == 0 ? channel->wanted : 0;
    if (error != 0)
        exec_break(channel->child, error);
}

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct channel *channel = user;

    (void)poll;
    channel->armed = 0;
    channel->in_ready = true;
    channel->ready(channel->child, events);
    channel->in_ready = false;
    update(channel);
}

static void on_closed(void *user)
{
    struct channel *channel = user;

    close(channel->fd);
    channel->fd = -1;
    channel->closed(channel->child);
}

int exec_channel_open(struct channel *channel, struct sonde_loop *loop, int fd)
{
    static const struct sonde_poll_handler handler = {.ready = on_ready, .closed = on_closed};

    int error = sonde_poll_create(loop, fd, &handler, channel, &channel->poll);
    if (error != 0) {
        close(fd);
        return error;
    }
    channel->fd = fd;
    return 0;
}

void exec_channel_want(struct channel *channel, unsigned event, bool wanted)
{
    channel->wanted = wanted ? channel->wanted | event : channel->wanted & ~event;
    update(channel);
}

void exec_channel_close(struct channel *channel)
{
    if (channel->poll != NULL)
        sonde_poll_close(channel->poll);
    channel->poll = NULL;
    channel->wanted = 0;
}
