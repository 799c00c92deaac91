/* SPDX-License-Identifier: MIT */
/* Handshakes and messages of our own program: which socket's, and how long a pong took. */
#include "trace/session_internal.h"

#include <stdlib.h>
#include <string.h>

enum { OUT, IN };

static bool is_control(enum message_kind kind)
{
    return kind == MESSAGE_CLOSE || kind == MESSAGE_PING || kind == MESSAGE_PONG;
}

static void keep_ping(struct own *own, const struct event *event)
{
    const struct event_message *message = &event->message;
    if (!own->pings)
        own->pings = calloc(PINGS_KEPT, sizeof *own->pings);
    if (!own->pings)
        return; /* its pong comes without the time */
    struct ping *ping = &own->pings[own->next_ping++ % PINGS_KEPT];
    *ping = (struct ping){.t_ns = event->t_ns, .n_bytes = message->n_bytes, .n_data = message->n_data};
    if (ping->n_data > sizeof ping->data)
        ping->n_data = sizeof ping->data;
    if (ping->n_data > 0)
        memcpy(ping->data, message->data, ping->n_data);
}

/* A pong has the payload of the ping that it answers, and of several the latest (RFC 6455, 5.5.3). */
static int64_t answered_ns(struct own *own, const struct event *event)
{
    const struct event_message *message = &event->message;
    const struct ping *latest = NULL;
    for (unsigned i = 0; own->pings && i < PINGS_KEPT; i++) {
        const struct ping *ping = &own->pings[i];
        if (ping->t_ns == 0 || ping->n_bytes != message->n_bytes || ping->n_data != message->n_data ||
            (ping->n_data > 0 && memcmp(ping->data, message->data, ping->n_data) != 0))
            continue;
        if (!latest || ping->t_ns > latest->t_ns)
            latest = ping;
    }
    if (!latest)
        return 0;
    int64_t t_ns = latest->t_ns;
    for (unsigned i = 0; i < PINGS_KEPT; i++) {
        if (own->pings[i].t_ns <= t_ns)
            own->pings[i].t_ns = 0;
    }
    return event->t_ns - t_ns;
}

void join_message(struct session *session, const struct program_call *call, struct own *own)
{
    struct event event = *call->event;
    if (event.kind == EVENT_KIND_MESSAGE && own) {
        struct event_message *message = &event.message;
        bool out = message->from == END_A;
        if (!is_control(message->kind))
            message->number = ++own->n_messages[out ? OUT : IN];
        if (message->kind == MESSAGE_PING && out)
            keep_ping(own, &event);
        if (message->kind == MESSAGE_PONG && !out)
            message->rtt_ns = answered_ns(own, &event);
    }
    if (own)
        event.conn = CONN_IS_SOCKET | (uint64_t)(own - session->owns);
    timeline_push(session->line, &event);
}

void join_message_end(struct event *event, enum event_end end)
{
    if (event->kind == EVENT_KIND_HANDSHAKE) {
        event->handshake.end = (uint8_t)end;
        return;
    }
    event->message.from = (uint8_t)(event->message.from == END_A ? end : other_end(end));
    event->message.end = (uint8_t)end;
}
