// SPDX-License-Identifier: MIT
/* What a ladder knows of one connection. Names are escaped when they come in. */
#include "observe/ladder/ladder_internal.h"

#include "term/escape.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void take_name(const char *name, char *ret_text, size_t size_bytes)
{
    if (name)
        escape_short(name, strlen(name), ret_text, size_bytes);
}

static void update_end(struct connection_end *end, const struct event_connection_end *news, bool first)
{
    if (first || (end->address.family == 0 && news->address.family != 0))
        end->address = news->address;
    if (news->role != ROLE_UNKNOWN)
        end->role = news->role;
    /* Later on the states come with segments and changes, not with more knowledge of who this is. */
    if (first)
        end->state = news->state < TCP_N_STATES ? news->state : TCP_STATE_UNKNOWN;
    if (news->pid != 0)
        end->pid = news->pid;
    end->calls_seen |= news->calls_seen;
    end->captured_here |= news->captured_here;
    take_name(news->program, end->program, sizeof end->program);
}

void connection_update(struct connection *connection, const struct event *event)
{
    const struct event_connection *news = &event->connection;
    bool first = !connection->introduced;
    for (enum event_end end = END_A; end < N_ENDS; end++)
        update_end(&connection->end[end], &news->end[end], first);
    take_name(news->where, connection->where, sizeof connection->where);
    connection->has_segments |= news->has_segments;
    if (news->realtime_ns != 0 && connection->realtime_ns == 0) {
        connection->realtime_ns = news->realtime_ns;
        connection->realtime_at_ns = event->t_ns;
    }
    if (first) {
        connection->protocol = news->protocol;
        connection->begins_midway = news->begins_midway;
    }
    connection->introduced = true;
}

const char *protocol_word(uint8_t protocol)
{
    switch (protocol) {
    case 0:
        return "unix";
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_SCTP:
        return "sctp";
    case EVENT_PROTOCOL_VSOCK:
        return "vsock";
    default:
        return "ip";
    }
}

bool connection_both_captured(const struct connection *connection)
{
    return connection->end[END_A].captured_here && connection->end[END_B].captured_here;
}

enum style state_style(enum tcp_state state)
{
    switch (tcp_state_class(state)) {
    case TCP_CLASS_HALF:
        return STYLE_HALF;
    case TCP_CLASS_OPEN:
        return STYLE_OPEN;
    case TCP_CLASS_ENDING:
        return STYLE_ENDING;
    default:
        return STYLE_DIM;
    }
}

const char *connection_life(const struct connection *connection, enum event_end end, const struct glyphs *glyphs,
                            enum style *ret_style)
{
    enum tcp_state state = connection->end[end].state;
    *ret_style = state_style(state);
    if (connection->introduced && connection->protocol != IPPROTO_TCP)
        return glyphs->no_states;
    return state == TCP_STATE_UNKNOWN ? glyphs->unknown : glyphs->life[tcp_state_class(state)];
}

const char *connection_end_short(const struct connection *connection, enum event_end end)
{
    switch (connection->end[end].role) {
    case ROLE_CLIENT:
        return "client";
    case ROLE_SERVER:
        return "server";
    default:
        return end == END_A ? "A" : "B";
    }
}

void connection_end_name(const struct connection *connection, enum event_end end, char *ret_text, size_t size_bytes)
{
    const struct connection_end *about = &connection->end[end];
    char name[NAME_BYTES + 24] = "", address[SONDE_ADDRESS_TEXT];
    if (about->pid != 0)
        snprintf(name, sizeof name, "%s[%d]", about->program[0] ? about->program : "pid", about->pid);
    else
        snprintf(name, sizeof name, "%s", about->program);
    if (about->role != ROLE_UNKNOWN) {
        snprintf(ret_text, size_bytes, "%s%s%s", connection_end_short(connection, end), name[0] ? " " : "", name);
        return;
    }
    sonde_address_format(&about->address, address, sizeof address);
    snprintf(ret_text, size_bytes, "%s", name[0] ? name : address);
}

void state_text(enum tcp_state state, bool guess, char ret_text[16])
{
    const char *name = tcp_state_name(state);
    snprintf(ret_text, 16, "%.14s%s", name, guess && state != TCP_STATE_UNKNOWN ? "?" : "");
}
