/* SPDX-License-Identifier: MIT */
/* A socket, or a change of its state, as members of a JSON object. Pure. */
#ifndef WATCH_SOCKET_JSON_H
#define WATCH_SOCKET_JSON_H

#include "observe/sockets/owners.h"
#include "watch/judge.h"
#include "json/json.h"

#define SOCKET_JSON_ROOM 16384
#define SOCKET_JSON_OWNERS_MAX 32 /* holders written; owner_more says how many there are beyond */

/* judgement NULL: nobody judged, there is no member for it. owners NULL: not searched. */
void socket_json(struct json *json, const struct socket_info *socket, uint64_t n_half_open,
                 const struct judgement *judgement, const struct owners *owners);
/* family, type, protocol, local, local_port, peer, peer_port. */
void socket_json_addresses(struct json *json, const struct socket_info *socket);

#endif
