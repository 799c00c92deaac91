/* SPDX-License-Identifier: MIT */
/* A session that does not take all: what is left out of it, and which rows the kernel is asked about. */
#include "trace/session_internal.h"

#include <netinet/in.h>

/* With few connections nobody has to look at one for the kernel to be asked about it. */
#define WATCHED_UNASKED 4

#define NOTES_OF_TROUBLE                                                                                               \
    (NOTE_BIT(NOTE_AGAIN) | NOTE_BIT(NOTE_SYN_RETRY) | NOTE_BIT(NOTE_ZERO_WINDOW) | NOTE_BIT(NOTE_WINDOW_PROBE) |      \
     NOTE_BIT(NOTE_HOLE))

static uint32_t key_of(const struct session *session, const struct row *row)
{
    if (row->protocol == IPPROTO_UDP)
        return sampling_key_of_peer(&row->address[session->settings.our_role == ROLE_CLIENT ? END_B : END_A]);
    return sampling_key(&row->address[END_A], &row->address[END_B]);
}

bool wanted_leaves(uint64_t conn, const struct event_segment *segment, void *user)
{
    struct session *session = user;
    const struct row *row = session_row(session, conn);
    if (!row)
        return false;
    bool is_rare =
        segment && (segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST) || segment->notes & NOTES_OF_TROUBLE);
    enum sampling_sort sort = is_rare ? SAMPLING_RARE : SAMPLING_COMMON;
    return sampling_offer(session->settings.sampling, row->key, sort) == SAMPLING_LEAVE;
}

void wanted_row(struct session *session, struct row *row, uint64_t conn)
{
    if (!session->settings.sampling) {
        if (session->kernel && row->protocol == IPPROTO_TCP)
            kernel_watch(session->kernel, conn, row->address, row->has_segments);
        return;
    }
    row->key = key_of(session, row);
    if (session->kernel && row->protocol == IPPROTO_TCP &&
        (kernel_n_watched(session->kernel) < WATCHED_UNASKED ||
         sampling_is_wanted(session->settings.sampling, row->key)))
        kernel_watch(session->kernel, conn, row->address, row->has_segments);
}

void wanted_follow(struct session *session)
{
    unsigned generation = sampling_generation(session->settings.sampling);
    if (!session->kernel || generation == session->wanted_generation)
        return;
    session->wanted_generation = generation;
    kernel_watch_none(session->kernel);
    for (size_t i = session->n_rows; i-- > 0;) {
        const struct row *row = &session->rows[i];
        if (row->protocol == IPPROTO_TCP && sampling_is_wanted(session->settings.sampling, row->key))
            kernel_watch(session->kernel, i + 1, row->address, row->has_segments);
    }
}
