/* SPDX-License-Identifier: MIT */
/*
 * One conversation, looked at from both of its ends: each end's figures are its own. How it began is told from where
 * its last step was taken, how it ended, from what both know.
 */
#include "observe/track/course_internal.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct joined, shown) == offsetof(struct tracked, shown) &&
                   offsetof(struct joined, user) == offsetof(struct tracked, user),
               "conversation_user is asked of both");

unsigned view_of(const struct sonde_address *end, const struct sonde_address *other)
{
    int order = memcmp(end->u.ip, other->u.ip, sizeof end->u.ip);
    if (order == 0)
        return end->port > other->port;
    return order > 0;
}

enum event_end own_end(unsigned view, const struct conversation *conversation)
{
    const struct sonde_address *a = &conversation->side[END_A].address, *b = &conversation->side[END_B].address;
    return view_of(a, b) == view ? END_A : END_B;
}

void joined_remember(struct joined *joined, uint64_t packet, uint32_t number)
{
    joined->recent[joined->n_recent % RECENT_MAX].packet = packet;
    joined->recent[joined->n_recent % RECENT_MAX].number = number;
    joined->n_recent++;
}

uint32_t joined_number_of(const struct joined *joined, uint64_t packet)
{
    for (unsigned i = 0; i < RECENT_MAX && i < joined->n_recent; i++) {
        if (joined->recent[i].packet == packet)
            return joined->recent[i].number;
    }
    return 0;
}

/* What is known of the end that looks through this view. */
static void compose_side(struct joined *joined, unsigned view)
{
    const struct tracked *conv = joined->view[view];
    enum event_end mine = own_end(view, &joined->shown);
    if (!conv)
        return;
    joined->shown.side[mine] = conv->shown.side[own_end(view, &conv->shown)];
}

/* The worst that was seen at either end; what both saw is counted once. */
static void compose_counts(struct joined *joined, const struct conversation *seen)
{
    struct conversation *shown = &joined->shown;
    if (seen->n_offload > shown->n_offload)
        shown->n_offload = seen->n_offload;
    if (seen->n_checksum_bad > shown->n_checksum_bad)
        shown->n_checksum_bad = seen->n_checksum_bad;
    if (seen->n_cut > shown->n_cut)
        shown->n_cut = seen->n_cut;
    if (seen->icmp_version != 0) {
        shown->icmp_version = seen->icmp_version;
        shown->icmp_type = seen->icmp_type;
        shown->icmp_code = seen->icmp_code;
    }
}

static void compose_opening(struct joined *joined, const struct conversation *a, const struct conversation *b)
{
    struct conversation *shown = &joined->shown;
    const struct conversation *one = a ? a : b;

    if (a && a->opening == OPENED_REFUSED) { /* it has heard of it */
        shown->opening = OPENED_REFUSED;
    } else if (a && b && a->opening == b->opening) {
        shown->opening = a->opening;
    } else if (a && b && (a->opening == OPENED_UNKNOWN || b->opening == OPENED_UNKNOWN)) {
        shown->opening = a->opening == OPENED_UNKNOWN ? b->opening : a->opening;
    } else {
        shown->opening = a && b ? OPENED_NOT_YET : one->opening == OPENED_UNKNOWN ? OPENED_UNKNOWN : OPENED_NOT_YET;
    }
    if (a) {
        shown->syn_ns = a->syn_ns;
        shown->n_syn_retries = a->n_syn_retries;
    }
    if (b) {
        shown->syn_ack_ns = b->syn_ack_ns;
        if (b->n_syn_retries > 0 && !a)
            shown->n_syn_retries = b->n_syn_retries;
    }
    shown->established_ns = 0;
    if (shown->opening == OPENED_HANDSHAKE || shown->opening == OPENED_SIMULTANEOUSLY) {
        shown->established_ns = a ? a->established_ns : b->established_ns;
        if (b && b->established_ns > shown->established_ns)
            shown->established_ns = b->established_ns;
    }
}

/* Has what this view's end sent last, its FIN, been acknowledged there? */
static bool fin_is_acked(const struct tracked *conv, unsigned view)
{
    return conv && conv->flow[own_end(view, &conv->shown)].fin_acked;
}

/* A reset ends a conversation when it has arrived, and its cause is known best by who sent it. */
static void compose_reset(struct joined *joined)
{
    struct conversation *shown = &joined->shown;
    bool felt = false, sent = false;
    unsigned n_ends = 0;

    for (unsigned view = 0; view < N_VIEWS; view++) {
        const struct tracked *conv = joined->view[view];
        if (!conv || (conv->shown.ending != ENDED_RESET && conv->shown.ending != ENDED_REFUSED))
            continue;
        enum event_end mine = own_end(view, &joined->shown);
        bool by_me = conv->shown.reset_by == own_end(view, &conv->shown);
        n_ends++;
        felt |= !by_me;
        if (sent)
            continue;
        sent = by_me;
        shown->reset_by = (uint8_t)(by_me ? mine : other_end(mine));
        shown->reset_cause = conv->shown.reset_cause;
        shown->ending = conv->shown.ending;
    }
    if (!felt && n_ends < N_VIEWS && joined->known[0] && joined->known[1])
        shown->ending = ENDED_NOT;
}

static void compose_ending(struct joined *joined)
{
    struct conversation *shown = &joined->shown;
    const struct conversation_side *side = shown->side;

    shown->reset_by = N_ENDS;
    shown->ending = ENDED_NOT;
    compose_reset(joined);
    if (shown->ending != ENDED_NOT || (!side[END_A].fin_seen && !side[END_B].fin_seen))
        return;
    if (side[END_A].fin_seen != side[END_B].fin_seen) {
        shown->ending = ENDED_HALF;
        shown->closed_first = side[END_A].fin_seen ? END_A : END_B;
        return;
    }
    unsigned first = own_end(0, shown) == shown->closed_first ? 0 : 1;
    const struct tracked *conv = joined->view[first];
    if (conv && fin_is_acked(joined->view[0], 0) && fin_is_acked(joined->view[1], 1))
        shown->ending = conv->shown.ending;
    else
        shown->ending = ENDED_WITHOUT_ACK;
}

void joined_compose(struct joined *joined)
{
    struct conversation *shown = &joined->shown;
    unsigned view_a = own_end(0, shown) == END_A ? 0 : 1;
    const struct tracked *a = joined->view[view_a], *b = joined->view[!view_a];

    compose_side(joined, 0);
    compose_side(joined, 1);
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        struct conversation_side *side = &shown->side[end];
        side->state = joined->state[end];
        side->n_out_of_order = joined->n_out_of_order[end];
        side->n_holes = joined->n_holes[end];
        side->n_lost = joined->n_lost[end];
        side->n_thrown = joined->n_thrown[end];
        side->n_syns_lost = joined->n_syns_lost[end];
        side->n_syns_thrown = joined->n_syns_thrown[end];
    }
    shown->n_segments = joined->n_segments;
    shown->n_seen_twice = joined->n_copies;
    if (a)
        compose_counts(joined, &a->shown);
    if (b)
        compose_counts(joined, &b->shown);
    bool one_forgot = (joined->known[0] && !joined->view[0]) || (joined->known[1] && !joined->view[1]);
    if (shown->protocol != IPPROTO_TCP || (!a && !b) || one_forgot)
        return; /* what was known stays */
    compose_opening(joined, a ? &a->shown : NULL, b ? &b->shown : NULL);
    compose_ending(joined);
}
