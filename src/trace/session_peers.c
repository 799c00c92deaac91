/* SPDX-License-Identifier: MIT */
/*
 * One socket of datagrams speaks with many peers, and each of them is a conversation. A hash table of open addressing
 * leads from the socket's cookie and the peer to the conversation's place among the sockets. Nothing is taken out: a
 * peer whose stream was closed for silence, and who speaks again, takes over the place in the table.
 */
#include "trace/session_internal.h"

#include <stdlib.h>

#define PLACES_FIRST 64

static size_t place_of(const struct session *session, uint64_t cookie, uint64_t peer_key)
{
    uint64_t hash = (cookie * UINT64_C(0x9e3779b97f4a7c15)) ^ peer_key;
    return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (session->n_peer_places - 1);
}

/* Its place, or the empty one where it belongs. */
static uint32_t *find_place(const struct session *session, uint64_t cookie, uint64_t peer_key)
{
    for (size_t at = place_of(session, cookie, peer_key);; at = (at + 1) & (session->n_peer_places - 1)) {
        uint32_t *place = &session->own_of_peer[at];
        const struct own *own = *place != 0 ? &session->owns[*place - 1] : NULL;
        if (!own || (own->cookie == cookie && own->peer_key == peer_key))
            return place;
    }
}

static bool grow(struct session *session)
{
    struct session grown = {.owns = session->owns};
    grown.n_peer_places = session->n_peer_places > 0 ? 2 * session->n_peer_places : PLACES_FIRST;
    grown.own_of_peer = calloc(grown.n_peer_places, sizeof *grown.own_of_peer);
    if (!grown.own_of_peer)
        return false;
    for (size_t i = 0; i < session->n_peer_places; i++) {
        uint32_t index = session->own_of_peer[i];
        const struct own *own = index != 0 ? &session->owns[index - 1] : NULL;
        if (own)
            *find_place(&grown, own->cookie, own->peer_key) = index;
    }
    free(session->own_of_peer);
    session->own_of_peer = grown.own_of_peer;
    session->n_peer_places = grown.n_peer_places;
    return true;
}

/* A stream's number is never used twice: another one is another conversation with the same peer. */
static bool is_same_stream(const struct own *own, const struct program_call *call)
{
    return call->stream == 0 || own->stream == 0 || own->stream == call->stream;
}

struct own *peer_own(struct session *session, struct own *base, const struct program_call *call)
{
    uint64_t cookie = base->cookie;
    const struct own like = *base;
    if (2 * session->n_peers >= session->n_peer_places && !grow(session))
        return NULL;
    uint32_t *place = find_place(session, cookie, call->peer_key);
    if (*place != 0 && is_same_stream(&session->owns[*place - 1], call))
        return &session->owns[*place - 1];
    struct own *own = own_add(session, call);
    if (!own)
        return NULL;
    own->cookie = cookie;
    own->netns_cookie = like.netns_cookie;
    own->protocol = like.protocol;
    own->is_unix = call->is_unix;
    own->is_datagram = true;
    own->role = session->settings.our_role == ROLE_CLIENT ? ROLE_CLIENT : ROLE_SERVER;
    own->peer_key = call->peer_key;
    session->n_peers += *place == 0;
    *place = (uint32_t)session->n_owns;
    return own;
}
