/* SPDX-License-Identifier: MIT */
/* A packet that was kept, decoded again for whoever wants to see its layers. */
#include "page/store_parts_internal.h"
#include "term/translate.h"
#include "trace/layers_json.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define LAYERS_ROOM (256 * 1024) /* of PACKET_SNAP bytes */
#define DATA_BYTES_MAX 4096      /* of them as they are, for the page to show as hex */

static const struct kept_packet *find(const struct trace_row *trace, uint32_t segment)
{
    for (const struct item *item = trace->packets.last; item; item = item->before) {
        const struct kept_packet *kept = (const struct kept_packet *)item;
        if (kept->segment == segment)
            return kept;
    }
    return NULL;
}

/* A copy, so that it is decoded without the lock. NULL: *ret_why says why. */
static struct kept_packet *copy(struct store *store, uint64_t id, uint32_t segment, uint64_t *ret_conn,
                                const char **ret_why)
{
    const struct store_row *row = store_row_of(store, id);
    if (!row || !row->trace) {
        *ret_why = row ? _("no packets of this connection were captured.") : _("there is no such row any more.");
        return NULL;
    }
    const struct kept_packet *kept = segment != 0 ? find(row->trace, segment) : NULL;
    if (!kept) {
        *ret_why = _("this segment's packet is not kept: it was never captured, or has made room for later ones.");
        return NULL;
    }
    struct kept_packet *own = malloc(sizeof *own + kept->n_captured);
    if (own)
        memcpy(own, kept, sizeof *own + kept->n_captured);
    else
        *ret_why = _("there is no memory for it.");
    *ret_conn = row->trace->conn;
    return own;
}

/* The packet's bytes, as one more member of the object of n bytes at `to`, whose closing brace becomes the comma before
 * it. Returns the length with it, or n when there is no room. */
static size_t add_data(const struct kept_packet *kept, char *to, size_t n, size_t size_bytes)
{
    char *tail = to + n - strlen("}\n");
    struct json json;
    json_begin(&json, tail, size_bytes - (size_t)(tail - to));
    json_base64(&json, "data", kept->data, kept->n_captured < DATA_BYTES_MAX ? kept->n_captured : DATA_BYTES_MAX);
    size_t n_data = json_end(&json);
    if (n_data == 0) {
        memcpy(tail, "}\n", sizeof "}\n");
        return n;
    }
    tail[0] = ',';
    return (size_t)(tail - to) + n_data;
}

bool store_put_layers(struct store *store, uint64_t id, uint32_t segment, struct text *text, const char **ret_why)
{
    uint64_t conn = 0;
    store_lock(store);
    struct kept_packet *kept = copy(store, id, segment, &conn, ret_why);
    store_unlock(store);
    if (!kept)
        return false;
    const struct packet packet = {
        .number = kept->number,
        .data = kept->data,
        .n_captured = kept->n_captured,
        .n_wire = kept->n_wire,
        .link_type = kept->link_type,
    };
    char *to = text_room(text, LAYERS_ROOM);
    size_t n = to ? layers_json(&packet, kept->t_ns, conn, to, LAYERS_ROOM) : 0;
    if (n > 0)
        n = add_data(kept, to, n, LAYERS_ROOM);
    free(kept);
    if (n == 0) {
        *ret_why = _("there is no memory for it.");
        return false;
    }
    text->n_bytes += n - 1; /* without its newline */
    return true;
}
