/* SPDX-License-Identifier: MIT */
/*
 * talk: what its files share. talk.c has the clients, talk_operator.c what the operator says to them and asks,
 * talk_parts.c the words and the clockwork.
 */
#ifndef SERVICE_TALK_INTERNAL_H
#define SERVICE_TALK_INTERNAL_H

#include "service/service_internal.h"
#include "service/talk_parts.h"

#include <sonde/timer.h>

#define TALK_PIECE_BYTES 4096                    /* of a line that has not ended: shown when so much of it is there, */
#define TALK_SILENCE_NS INT64_C(1000000000)      /* or when nothing has followed for so long */
#define TALK_LOOK_NS INT64_C(1000000000)         /* how often slow readers are looked at */
#define TALK_ENOUGH_BYTES (TALK_QUEUE_BYTES / 4) /* waiting for every client: more lines are not asked for */

/* In the order in which they came. */
struct talk_client {
    struct talk_client *next, **link;
    struct sonde_stream *stream;
    struct talk_reader reader;
    bool ended;   /* it has ended its side, and is given what waits for it */
    bool leaving; /* kicked or dropped: it is spoken with no more */
    bool cut;     /* the line at hand has been shown in part */
    size_t n_line_bytes;
    int64_t heard_ns; /* when its line grew last */
    char line[TALK_PIECE_BYTES];
};

struct talk {
    struct service_run *run;
    struct talk_client *first, **last;
    struct sonde_timer timer; /* runs while there is something to look at */
    bool wanted;              /* wants_lines, as the host was told last */
    bool lines_ended;
    bool somebody_came;
};

/* Can it be spoken with? */
static inline bool talk_is_here(const struct talk_client *client)
{
    return !client->ended && !client->leaving;
}

/* Something waits, or has gone, or has waited on: is it slow? */
void talk_look_at(struct talk *talk, struct talk_client *client);
/* Ask for lines, or not. */
void talk_want(struct talk *talk);
/* Look again by then. */
void talk_wake(struct talk *talk, int64_t deadline_ns);
/* Its end, since it did not read; n_bytes more would have been for it. */
void talk_drop(struct talk *talk, struct talk_client *client, size_t n_bytes);

/* talk_operator.c */
void talk_line(struct service_run *run, const char *line, size_t n_bytes);

#endif
