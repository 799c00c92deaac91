/* SPDX-License-Identifier: MIT */
/* The inside of layer_ws.c and layer_ws_send.c. */
#ifndef NET_LAYER_WS_INTERNAL_H
#define NET_LAYER_WS_INTERNAL_H

#include "net/layer.h"
#include "ws/ws.h"

#include <sonde/ws.h>

/* Pings that wait for their pong: the last few. A pong has the data of its ping. */
enum { WS_PINGS = 8 };

struct ws_pings {
    uint64_t n_sent; /* their numbers are 1, 2, ... */
    struct ws_ping {
        uint64_t number; /* 0: free */
        int64_t sent_ns;
        uint64_t hash;
    } waiting[WS_PINGS];
};

/* FNV-1a. */
static inline uint64_t ws_ping_hash(const uint8_t *data, size_t n_bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ n_bytes;

    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline void ws_pings_sent(struct ws_pings *pings, const void *data, size_t n_bytes, int64_t now_ns)
{
    uint64_t number = ++pings->n_sent;

    pings->waiting[number % WS_PINGS] =
        (struct ws_ping){.number = number, .sent_ns = now_ns, .hash = ws_ping_hash(data, n_bytes)};
}

static inline bool ws_pings_is_waiting(const struct ws_pings *pings, uint64_t number)
{
    return pings->waiting[number % WS_PINGS].number == number;
}

/* The time that the oldest ping with this data has waited; it and all before it wait no longer, since a peer may answer
 * the latest alone. -1: there is none. */
static inline int64_t ws_pings_answered(struct ws_pings *pings, const void *data, size_t n_bytes, int64_t now_ns)
{
    uint64_t hash = ws_ping_hash(data, n_bytes), number = pings->n_sent < WS_PINGS ? 1 : pings->n_sent - WS_PINGS + 1;
    int64_t rtt_ns = -1;

    for (; number <= pings->n_sent && rtt_ns < 0; number++) {
        const struct ws_ping *ping = &pings->waiting[number % WS_PINGS];
        if (ping->number == number && ping->hash == hash)
            rtt_ns = now_ns - ping->sent_ns;
    }
    for (unsigned i = 0; rtt_ns >= 0 && i < WS_PINGS; i++)
        if (pings->waiting[i].number < number)
            pings->waiting[i].number = 0;
    return rtt_ns;
}

struct layer_ws {
    struct layer layer;
    struct sonde_ws_settings settings;
    struct sonde_allocator allocator;
    struct ws_decoder decoder;
    bool is_server;
    bool is_over; /* the peer was at fault, or is gone */
    bool deflates, compresses, compress_takeover;
    uint8_t compress_bits;
    struct ws_compressor *compressor;

    uint16_t code_sent, code_received; /* 0: none yet */
    char reason[WS_REASON_MAX + 1];    /* the peer's */
    char subprotocol[128];

    uint8_t *rest; /* received, and not looked at yet: the owner has paused */
    size_t n_rest, rest_at;

    uint32_t masks[32]; /* random; the first n_masks are still unused */
    unsigned n_masks;

    struct ws_pings pings;
    int64_t rtt_ns;
    uint64_t n_interval_pings, interval_ping; /* the number of the last of them among `pings` */
    bool interval_pings_waiting;
    bool has_moved, was_held; /* since the last one */
    unsigned n_overdue_turns;
    struct sonde_timer ping_timer;
    struct sonde_timer pong_timer; /* runs while `pong` waits for a shorter queue */
    uint8_t pong[WS_CONTROL_MAX], n_pong;
};

static inline struct layer_ws *layer_ws_of(struct layer *layer)
{
    return (struct layer_ws *)layer;
}

static inline bool layer_ws_is_over(const struct layer_ws *ws)
{
    return ws->is_over || layer_is_over(&ws->layer);
}

/* An event for the probe, which is listening. */
void layer_ws_probe(const struct layer_ws *ws, enum sonde_operation operation, unsigned opcode, bool compressed,
                    const void *data, size_t n_bytes);

/* --- layer_ws_send.c -------------------------------------------------------------------------------------------- */

int layer_ws_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags);
int layer_ws_send_ping(struct layer_ws *ws, const void *data, size_t n_bytes);
int layer_ws_send_close(struct layer_ws *ws, unsigned code, const void *reason, size_t n_bytes);
void layer_ws_answer_ping(struct layer_ws *ws, const struct ws_event *event);
void layer_ws_on_pong_timer(struct sonde_timer *timer);

#endif
