/* SPDX-License-Identifier: MIT */
/* Which connection a call belongs to. */
#include "trace/session_internal.h"

#include "observe/ladder/ladder.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWNS_MAX SESSION_CONNECTIONS_MAX
#define ROWS_SEARCHED 1024 /* the youngest: an event is never much older than its connection's first */
#define OWNS_SEARCHED 1024
#define CAUSE_SLACK_NS NS_PER_MS

static bool same_address(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->family == other->family && one->port == other->port &&
           memcmp(one->u.ip, other->u.ip, one->family == AF_INET ? 4 : 16) == 0;
}

/* ---- sockets of ours */

static void decide_own(struct session *session, struct own *own, int64_t t_ns);

/* Is the call about this socket, as far as both say? A descriptor's number is used again, and the numbers of streams
 * are each loop's own. */
static bool agrees(const struct own *own, const struct program_call *call)
{
    if (own->closed || own->fd != call->fd || own->peer_key != 0)
        return false;
    if (call->socket_cookie != 0 && own->cookie != 0)
        return own->cookie == call->socket_cookie;
    return call->stream == 0 || own->stream == 0 || own->stream == call->stream;
}

static struct own *find_own(struct session *session, const struct program_call *call)
{
    if (call->fd >= 0 && (size_t)call->fd < session->n_fds && session->own_of_fd[call->fd] != 0) {
        struct own *own = &session->owns[session->own_of_fd[call->fd] - 1];
        if (agrees(own, call))
            return own;
    }
    /* Threads tell of closing and accepting in the order in which they get to it: the one before may be meant. Where
     * not all are taken, most that are not found are not there. */
    size_t last = session->settings.sampling && session->n_owns > OWNS_SEARCHED ? session->n_owns - OWNS_SEARCHED : 0;
    for (size_t i = session->n_owns; i-- > last;) {
        if (agrees(&session->owns[i], call))
            return &session->owns[i];
    }
    return NULL;
}

static void remember_fd(struct session *session, int32_t fd)
{
    if (fd < 0)
        return;
    if ((size_t)fd >= session->n_fds) {
        size_t n_fds = ((size_t)fd + 1) * 2;
        uint32_t *own_of_fd = reallocarray(session->own_of_fd, n_fds, sizeof *own_of_fd);
        if (!own_of_fd)
            return; /* found by looking at all of them */
        memset(own_of_fd + session->n_fds, 0, (n_fds - session->n_fds) * sizeof *own_of_fd);
        session->own_of_fd = own_of_fd;
        session->n_fds = n_fds;
    }
    session->own_of_fd[fd] = (uint32_t)session->n_owns;
}

struct own *own_add(struct session *session, const struct program_call *call)
{
    if (session->n_owns == session->owns_room) {
        size_t room = session->owns_room ? 2 * session->owns_room : 64;
        struct own *owns = room <= 2 * OWNS_MAX ? reallocarray(session->owns, room, sizeof *owns) : NULL;
        if (!owns) {
            session->n_left_out++;
            return NULL;
        }
        session->owns = owns;
        session->owns_room = room;
    }
    struct own *own = &session->owns[session->n_owns++];
    int64_t start_ns = call->event->call.start_ns;
    *own = (struct own){
        .cookie = call->socket_cookie,
        .netns_cookie = call->netns_cookie,
        .fd = call->fd,
        .protocol = IPPROTO_TCP,
        .first_ns = start_ns != 0 ? start_ns : call->event->t_ns,
    };
    return own;
}

static struct own *add_own(struct session *session, const struct program_call *call)
{
    struct own *own = own_add(session, call);
    if (own)
        remember_fd(session, call->fd);
    return own;
}

/* What a call says of its socket. */
static void learn(struct own *own, const struct program_call *call)
{
    const struct event_call *said = &call->event->call;
    if (call->stream != 0)
        own->stream = call->stream;
    if (call->has_protocol) {
        own->protocol = call->protocol;
        own->is_datagram = call->is_datagram;
    }
    if (call->is_unix)
        own->is_unix = true;
    if (call->has_addresses && !own->has_addresses) {
        own->has_addresses = true;
        own->local = call->local;
        own->peer = call->peer;
    }
    if (call->has_target && !own->has_target) {
        own->has_target = true;
        own->target = call->target;
    }
    switch (said->operation) {
    case SONDE_OP_ACCEPT:
        own->role = ROLE_SERVER;
        own->accepted_ns = call->event->t_ns;
        break;
    case SONDE_OP_CONNECT:
        own->role = ROLE_CLIENT;
        break;
    case SONDE_OP_LISTEN:
        own->role = ROLE_SERVER;
        break;
    case SONDE_OP_SEND:
        own->n_sent += said->result > 0 ? (uint64_t)said->result : 0;
        break;
    case SONDE_OP_RECEIVE:
        own->n_received += said->result > 0 ? (uint64_t)said->result : 0;
        break;
    case SONDE_OP_CLOSE:
        own->closed = true;
        break;
    default:
        break;
    }
}

/* Calls that make a socket ready are no part of a connection's story. */
static bool is_drawn(const struct event_call *call)
{
    switch (call->operation) {
    case SONDE_OP_ACCEPT:
        return call->result >= 0;
    case SONDE_OP_CONNECT:
    case SONDE_OP_SEND:
    case SONDE_OP_RECEIVE:
    case SONDE_OP_SHUTDOWN:
    case SONDE_OP_CLOSE:
        return true;
    default:
        return false;
    }
}

/* Two events for a call that took time, so that what it caused stands between them. One, when its beginning is too long
 * ago to be put in its place. */
static void push_call(struct session *session, struct event *event)
{
    struct event_call *call = &event->call;
    if (call->start_ns == 0 || call->start_ns >= event->t_ns || session->now_ns - call->start_ns >= TIMELINE_HOLD_NS) {
        timeline_push(session->line, event);
        return;
    }
    struct event begin = *event;
    begin.t_ns = call->start_ns;
    begin.call.phase = CALL_BEGIN;
    call->phase = CALL_END;
    if (call->operation == SONDE_OP_RECEIVE) {
        begin.call.data = NULL;
        begin.call.n_data = 0;
        begin.call.arguments = NULL;
    }
    timeline_push(session->line, &begin);
    timeline_push(session->line, event);
}

static void push_values(struct session *session, const struct program_call *call, uint64_t conn)
{
    struct event event = {
        .source = EVENT_KERNEL,
        .kind = EVENT_KIND_VALUES,
        .conn = conn,
        .t_ns = call->event->t_ns + 1, /* asked when it had returned */
        .values = call->values,
    };
    /* What a queue holds in the middle of a call is gone with the next; what stays is seen by looking. */
    event.values.present &= ~(1u << VALUE_SEND_QUEUE | 1u << VALUE_RECEIVE_QUEUE | 1u << VALUE_UNSENT);
    if (event.values.present != 0)
        timeline_push(session->line, &event);
}

/* Where no segment says it, the kernel does, call by call. */
static void push_state(struct session *session, const struct program_call *call, uint64_t conn)
{
    struct event event = {
        .source = EVENT_KERNEL,
        .kind = EVENT_KIND_STATE,
        .conn = conn,
        .t_ns = call->event->t_ns + 1,
        .state = {.after = call->state},
    };
    if (call->state != TCP_STATE_UNKNOWN)
        timeline_push(session->line, &event);
}

/* What a socket of datagrams does for none of its peers. */
static bool is_of_nobody(const struct own *own)
{
    return own->is_datagram && own->peer_key == 0 && !own->has_addresses && !own->has_target;
}

void join_call(struct session *session, const struct program_call *call)
{
    struct event event = *call->event;
    if (event.kind != EVENT_KIND_CALL) {
        join_message(session, call, find_own(session, call));
        return;
    }
    bool makes = event.call.operation == SONDE_OP_SOCKET || event.call.operation == SONDE_OP_ACCEPT;
    struct own *own = NULL;
    if (makes)
        own = call->fd >= 0 ? add_own(session, call) : NULL;
    else
        own = find_own(session, call);
    if (!own && call->peer_key != 0)
        own = add_own(session, call); /* a socket that was handed over */
    if (own && call->peer_key != 0 && !own->has_target)
        own = peer_own(session, own, call);
    event.call.number = ++session->n_calls;
    if (!own) {
        if (!session->settings.sampling) /* else its socket's beginning was left out */
            timeline_push(session->line, &event);
        return;
    }
    learn(own, call);
    if (!is_drawn(&event.call) || is_of_nobody(own) ||
        (event.call.operation == SONDE_OP_CLOSE && own->role == ROLE_UNKNOWN)) {
        timeline_push(session->line, &event);
        return;
    }
    event.conn = CONN_IS_SOCKET | (uint64_t)(own - session->owns);
    /* Without packets there is nothing to wait for, and the kernel is to be asked about the other end at once. */
    if (!session->settings.live && own->conn == 0)
        decide_own(session, own, event.t_ns);
    push_call(session, &event);
    push_state(session, call, event.conn);
    push_values(session, call, event.conn);
}

/* ---- connections */

struct row *session_add_row(struct session *session, uint8_t protocol, const struct sonde_address address[N_ENDS],
                            int64_t t_ns, bool has_segments, uint64_t *ret_conn)
{
    if (session->n_rows == SESSION_CONNECTIONS_MAX) {
        session->n_left_out++;
        return NULL;
    }
    if (session->n_rows == session->rows_room) {
        size_t room = session->rows_room ? 2 * session->rows_room : 64;
        struct row *rows = reallocarray(session->rows, room, sizeof *rows);
        if (!rows) {
            session->n_left_out++;
            return NULL;
        }
        session->rows = rows;
        session->rows_room = room;
    }
    struct row *row = &session->rows[session->n_rows++];
    *row = (struct row){.protocol = protocol, .has_segments = has_segments, .first_ns = t_ns};
    memcpy(row->address, address, sizeof row->address);
    *ret_conn = session->n_rows;
    bool is_udp = protocol == IPPROTO_UDP && address[END_A].family != 0 && address[END_B].family != 0;
    if (session->holders && (protocol == IPPROTO_TCP || is_udp))
        holders_find(session->holders, protocol, row->address, session->now_ns, row->holder);
    wanted_row(session, row, *ret_conn);
    return row;
}

/* A socket of datagrams may be bound to any address. */
static bool is_local(const struct sonde_address *address, const struct own *own)
{
    static const uint8_t any[sizeof own->local.u.ip];
    if (own->is_datagram && memcmp(own->local.u.ip, any, sizeof any) == 0)
        return address->family == own->local.family && address->port == own->local.port;
    return same_address(address, &own->local);
}

/* The end of the row that this socket is; N_ENDS: it is none of its. */
static enum event_end end_of(const struct row *row, const struct own *own)
{
    if (own->is_unix || row->protocol != own->protocol)
        return N_ENDS;
    if (!own->has_addresses)
        return own->has_target && own->role == ROLE_CLIENT && !row->in_calls &&
                       same_address(&row->address[END_B], &own->target)
                   ? END_A
                   : N_ENDS;
    for (int end = 0; end < N_ENDS; end++) {
        if (is_local(&row->address[end], own) && same_address(&row->address[other_end(end)], &own->peer))
            return end;
    }
    return N_ENDS;
}

void join_fill_in(const struct session *session, const struct row *row, struct event_connection *connection)
{
    size_t last = session->n_owns > OWNS_SEARCHED ? session->n_owns - OWNS_SEARCHED : 0;
    for (size_t i = session->n_owns; i-- > last;) {
        const struct own *own = &session->owns[i];
        enum event_end end = own->end;
        if (own->conn == 0)
            end = own->has_addresses ? end_of(row, own) : N_ENDS;
        else if (&session->rows[own->conn - 1] != row)
            continue;
        if (end == N_ENDS)
            continue;
        connection->end[end].calls_seen = true;
        connection->end[end].socket_cookie = own->cookie;
        connection->netns_cookie = own->netns_cookie;
    }
}

/* Connections of one tuple follow each other, and each belongs to one socket at most. One that we asked for began after
 * the asking. One that was accepted had opened by then; perhaps it has ended, too, and others have begun, for they wait
 * in the kernel's queue: the first in is the first out. Where no opening was seen, it is the youngest. */
static uint64_t find_row(struct session *session, const struct own *own, int64_t t_ns, enum event_end *ret_end)
{
    size_t last = session->n_rows > ROWS_SEARCHED ? session->n_rows - ROWS_SEARCHED : 0;
    bool asked = own->role == ROLE_CLIENT;
    int64_t begun_by_ns = own->accepted_ns > t_ns ? own->accepted_ns : t_ns;
    uint64_t found = 0;
    for (size_t i = session->n_rows; i-- > last;) {
        const struct row *row = &session->rows[i];
        if (row->in_calls || (asked ? row->first_ns < own->first_ns - CAUSE_SLACK_NS : row->first_ns > begun_by_ns))
            continue;
        enum event_end end = end_of(row, own);
        if (end == N_ENDS || (found != 0 && !asked && !row->opened))
            continue;
        *ret_end = end;
        found = i + 1;
    }
    return found;
}

static uint64_t make_row(struct session *session, const struct own *own, int64_t t_ns, enum event_end *ret_end)
{
    struct sonde_address address[N_ENDS] = {0};
    uint64_t conn = 0;
    *ret_end = own->role == ROLE_CLIENT ? END_A : END_B;
    if (own->has_addresses) {
        address[*ret_end] = own->local;
        address[other_end(*ret_end)] = own->peer;
    } else if (own->has_target) {
        address[END_B] = own->target;
    } else if (!own->is_unix) {
        return 0;
    }
    session_add_row(session, own->is_unix ? 0 : own->protocol, address, t_ns, false, &conn);
    return conn;
}

static void decide_own(struct session *session, struct own *own, int64_t t_ns)
{
    enum event_end end = END_A;
    uint64_t conn = own->is_unix ? 0 : find_row(session, own, t_ns, &end);
    if (conn == 0)
        conn = make_row(session, own, t_ns, &end);
    if (conn == 0)
        return;
    struct row *row = session_row(session, conn);
    own->conn = conn;
    own->end = (uint8_t)end;
    row->ours = row->in_calls = true;
    row->holder[end].pid = getpid();
    snprintf(row->holder[end].program, sizeof row->holder[end].program, "%s", program_invocation_short_name);
}

/* Segments of a connection that a socket of ours may become, before the call that says so has returned. */
static bool may_be_ours(struct session *session, const struct row *row)
{
    for (size_t i = session->n_owns; i-- > 0;) {
        const struct own *own = &session->owns[i];
        if (own->conn != 0 || own->role == ROLE_SERVER || own->is_unix || own->protocol != row->protocol)
            continue;
        if (own->first_ns > row->first_ns + CAUSE_SLACK_NS)
            continue;
        if ((!own->has_addresses && !own->has_target) || end_of(row, own) != N_ENDS)
            return true;
    }
    return false;
}

/* The program has closed a connection of which nothing else can be concluded. */
static void conclude(struct session *session, const struct own *own, const struct event *closed)
{
    char received[32], sent[32], took[16], text[160];
    const struct row *row = session_row(session, own->conn);
    if (row->has_segments || session->settings.sampling || (!own->has_addresses && !own->is_unix) ||
        closed->call.operation != SONDE_OP_CLOSE || closed->call.phase == CALL_BEGIN)
        return;
    ladder_count_text(own->n_received, received);
    ladder_count_text(own->n_sent, sent);
    ladder_delta_text(closed->t_ns - row->first_ns, false, took);
    snprintf(text, sizeof text, _("%s bytes received, %s sent; closed by this program after %s."), received, sent,
             took);
    struct event event = {
        .source = EVENT_VERDICT, .kind = EVENT_KIND_SENTENCE, .conn = own->conn, .t_ns = closed->t_ns};
    event.sentence = (struct event_sentence){.mark = '=', .name = "summary", .text = text};
    timeline_push(session->line, &event);
}

static bool decide_call(struct session *session, struct event *event)
{
    size_t index = (size_t)(event->conn & ~CONN_IS_SOCKET);
    struct own *own = &session->owns[index];
    if (own->conn == 0)
        decide_own(session, own, event->t_ns);
    event->conn = own->conn;
    bool is_above = event->kind == EVENT_KIND_HANDSHAKE || event->kind == EVENT_KIND_MESSAGE;
    if (own->conn == 0)
        return event->kind == EVENT_KIND_CALL || is_above;
    if (is_above) {
        join_message_end(event, own->end);
    } else if (event->kind == EVENT_KIND_CALL) {
        event->call.end = own->end;
        conclude(session, own, event);
    } else if (event->kind == EVENT_KIND_STATE) {
        event->state.end = own->end;
    } else {
        event->values.end = own->end;
    }
    return true;
}

bool join_decide(struct session *session, struct event *event)
{
    if (event->conn & CONN_IS_SOCKET && !decide_call(session, event))
        return false;
    struct row *row = session_row(session, event->conn);
    if (row && event->kind == EVENT_KIND_VALUES) {
        kernel_changes(&event->values, &row->told[event->values.end]);
        if (event->values.changed == 0)
            return false;
    }
    if (row && event->kind == EVENT_KIND_STATE && !row->has_segments) {
        uint8_t *told = &row->state[event->state.end];
        if (*told == event->state.after)
            return false;
        event->state.before = *told;
        *told = event->state.after;
    } else if (row && event->kind == EVENT_KIND_STATE && !event->state.polled) {
        return false; /* the segments say it */
    }
    if (!row || session->settings.our_role != ROLE_CLIENT)
        return true;
    row->ours = row->ours || may_be_ours(session, row);
    return row->ours;
}

void join_free(struct session *session)
{
    for (size_t i = 0; i < session->n_owns; i++)
        free(session->owns[i].pings);
    free(session->own_of_peer);
    free(session->owns);
    free(session->own_of_fd);
    free(session->rows);
}
