/* SPDX-License-Identifier: MIT */
/* Rows and listeners as sonde-page(7) has them. What is derived from a row is derived here, when somebody looks. */
#include "page/store_parts_internal.h"
#include "term/escape.h"
#include "json/json.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void put_known(struct json *json, const char *key, uint64_t value)
{
    if (value == NOT_KNOWN)
        json_null(json, key);
    else
        json_unsigned(json, key, value);
}

/* ---- names */

static size_t unix_text(const char *name, char *ret_text, size_t size_bytes)
{
    size_t n = strlen(name);
    if (n >= size_bytes)
        n = size_bytes - 1;
    memcpy(ret_text, name, n);
    ret_text[n] = '\0';
    return n;
}

static size_t end_text(const struct sonde_address *address, char *ret_text, size_t size_bytes)
{
    if ((address->family == AF_INET || address->family == AF_INET6) && size_bytes >= SONDE_ADDRESS_TEXT) {
        size_t n = put_address(ret_text, address);
        ret_text[n] = '\0';
        return n;
    }
    return sonde_address_format(address, ret_text, size_bytes);
}

size_t store_row_local_text(const struct store_row *row, char *ret_text, size_t size_bytes)
{
    if (row->local_name)
        return unix_text(row->local_name, ret_text, size_bytes);
    return end_text(&row->local, ret_text, size_bytes);
}

size_t store_row_peer_text(const struct store_row *row, char *ret_text, size_t size_bytes)
{
    if (row->peer.family == 0 || ((row->peer.family == AF_INET || row->peer.family == AF_INET6) && row->peer.port == 0))
        return unix_text("*", ret_text, size_bytes);
    return end_text(&row->peer, ret_text, size_bytes);
}

static const char *protocol_name(uint8_t protocol, uint8_t family)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return "icmp";
    case EVENT_PROTOCOL_VSOCK:
        return "vsock";
    case 0:
        return family == AF_INET || family == AF_INET6 ? "ip" : "unix";
    default:
        return "ip";
    }
}

static void put_layers(struct json *json, unsigned layers)
{
    char text[32] = "";
    if (layers & SONDE_LAYER_TLS)
        strcat(text, " tls");
    if (layers & SONDE_LAYER_WS)
        strcat(text, " ws");
    if (layers & SONDE_LAYER_HTTP)
        strcat(text, " http");
    json_string(json, "layers", text[0] ? text + 1 : NULL);
}

static const char *class_name(uint8_t state)
{
    switch (tcp_state_class(state)) {
    case TCP_CLASS_HALF:
        return "half";
    case TCP_CLASS_OPEN:
        return "open";
    case TCP_CLASS_ENDING:
        return "shut";
    case TCP_CLASS_LINGER:
        return "wait";
    case TCP_CLASS_NONE:
        break;
    }
    return "none";
}

/* ---- what is derived */

/* Of a row that the kernel says nothing of, the trace or the tap may. */
static void take_figures(struct store_row *row)
{
    const struct trace_row *trace = row->trace;
    store_row_heard(row);
    if (row->has_socket && row->figures.in != NOT_KNOWN)
        return;
    if (row->stream != 0) {
        row->figures.in = row->tap_in;
        row->figures.out = row->tap_out;
        return;
    }
    if (!trace || row->cookie != 0 || row->has_socket)
        return;
    row->figures = trace->figures[row->trace_end];
    row->figures.in = trace->n_bytes[other_end(row->trace_end)];
    row->figures.out = trace->n_bytes[row->trace_end];
}

static void take_holder(struct store_row *row, const struct trace_row *trace)
{
    const struct event_connection_end *end =
        trace->connection ? &trace->connection->connection.end[row->trace_end] : NULL;
    if (!end || !end->program || end->pid == 0 || row->owner[0])
        return;
    escape_short(end->program, strlen(end->program), row->program, sizeof row->program);
    snprintf(row->owner, sizeof row->owner, "%s[%d]", row->program, (int)end->pid);
    row->pid = end->pid;
}

static void take_trace(struct store_row *row)
{
    const struct trace_row *trace = row->trace;
    if (!trace || row->has_socket || row->stream != 0)
        return;
    row->state = trace->state[row->trace_end];
    take_holder(row, trace);
    if (row->is_ended)
        return;
    row->weight = trace->trouble ? VERDICT_TROUBLE : VERDICT_NONE;
    store_keep_text(&row->brief, trace->brief, trace->trouble ? strlen(trace->brief) : 0);
    store_keep_text(&row->verdict, trace->trouble, trace->trouble ? strlen(trace->trouble) : 0);
}

void store_row_refresh(struct store_row *row, int64_t now_ns)
{
    const struct figures *figures = &row->figures;
    take_figures(row);
    take_trace(row);
    if (row->is_ended || figures->in == NOT_KNOWN || figures->out == NOT_KNOWN)
        return;
    int64_t past_ns = now_ns - row->rate_ns;
    if (row->rate_in == NOT_KNOWN) {
        past_ns = 0;
    } else if (past_ns < RATE_NS) {
        return;
    } else {
        uint64_t in = figures->in > row->rate_in ? figures->in - row->rate_in : 0;
        uint64_t out = figures->out > row->rate_out ? figures->out - row->rate_out : 0;
        row->in_per_s = (uint64_t)((double)in * NS_PER_S / (double)past_ns + 0.5);
        row->out_per_s = (uint64_t)((double)out * NS_PER_S / (double)past_ns + 0.5);
        if (in + out > 0)
            row->moved_ns = now_ns;
    }
    row->rate_ns = now_ns;
    row->rate_in = figures->in;
    row->rate_out = figures->out;
}

void store_row_to_info(const struct store_row *row, struct socket_info *ret_socket)
{
    *ret_socket = (struct socket_info){
        .cookie = row->cookie,
        .family = row->family,
        .type = row->type,
        .protocol = row->protocol,
        .state = row->state,
        .timer = row->timer,
        .n_retransmits = row->n_retransmits,
        .local = row->local,
        .peer = row->peer,
        .uid = row->uid,
        .inode = row->inode,
        .peer_inode = row->peer_inode,
        .receive_queue = row->figures.receive_queue == NOT_KNOWN ? 0 : (uint32_t)row->figures.receive_queue,
        .send_queue = row->figures.send_queue == NOT_KNOWN ? 0 : (uint32_t)row->figures.send_queue,
    };
    if (!row->local_name || row->family != AF_UNIX)
        return;
    size_t n = strlen(row->local_name);
    ret_socket->n_unix_name = (uint8_t)(n < SOCKET_UNIX_NAME_MAX ? n : SOCKET_UNIX_NAME_MAX);
    memcpy(ret_socket->unix_name, row->local_name, ret_socket->n_unix_name);
    if (ret_socket->unix_name[0] == '@')
        ret_socket->unix_name[0] = '\0';
}

/* ---- rows */

static void put_timer(struct json *json, const struct store_row *row, int64_t now_ns)
{
    if (row->timer == TIMER_NONE) {
        json_null(json, "timer");
        return;
    }
    int64_t left_ns = row->timer_ns - (now_ns - row->seen_ns);
    json_object_begin(json, "timer");
    json_string(json, "name", socket_timer_name(row->timer));
    json_number(json, "ms", left_ns > 0 ? left_ns / NS_PER_MS : 0);
    json_unsigned(json, "n", row->n_retransmits);
    json_object_end(json);
}

static void put_can(struct json *json, unsigned can)
{
    json_array_begin(json, "can");
    if (can & ROW_CAN_SEND)
        json_string(json, NULL, "send");
    if (can & ROW_CAN_HALF_CLOSE)
        json_string(json, NULL, "half-close");
    if (can & ROW_CAN_KICK)
        json_string(json, NULL, "kick");
    json_array_end(json);
}

static void put_numbers(struct json *json, const struct store_row *row, int64_t now_ns)
{
    const struct figures *figures = &row->figures;
    put_known(json, "recv_q", figures->receive_queue);
    put_known(json, "send_q", figures->send_queue);
    put_known(json, "rtt_us", figures->rtt_us);
    put_known(json, "in", figures->in);
    put_known(json, "out", figures->out);
    put_known(json, "in_per_s", row->in_per_s);
    put_known(json, "out_per_s", row->out_per_s);
    if (row->since_ns != 0)
        json_number(json, "age_ms", now_ns > row->since_ns ? (now_ns - row->since_ns) / NS_PER_MS : 0);
    else
        json_null(json, "age_ms");
    put_timer(json, row, now_ns);
}

void store_row_json(struct json *json, struct store_row *row, int64_t now_ns, bool whole)
{
    char text[NAME_MAX_BYTES + 1];
    store_row_refresh(row, now_ns);
    json_unsigned(json, "id", row->id);
    json_text(json, "local", text, store_row_local_text(row, text, sizeof text));
    json_text(json, "peer", text, store_row_peer_text(row, text, sizeof text));
    json_string(json, "protocol", protocol_name(row->protocol, row->family));
    put_layers(json, row->layers);
    json_string(json, "note", row->note);
    json_string(json, "state", tcp_state_name(row->state));
    json_string(json, "class", class_name(row->state));
    put_numbers(json, row, now_ns);
    json_string(json, "owner", row->owner[0] ? row->owner : NULL);
    json_string(json, "brief", row->brief);
    json_boolean(json, "trouble", row->weight == VERDICT_TROUBLE);
    json_string(json, "verdict", whole ? row->verdict : NULL);
    json_boolean(json, "ended", row->is_ended);
    put_can(json, row->can);
    if (row->trace)
        json_unsigned(json, "trace", row->trace->conn);
    else
        json_null(json, "trace");
    json_unsigned(json, "n_messages", row->messages.next_number);
    json_string(json, "messages_kind", row->has_messages ? "messages" : "bytes");
}

/* ---- listeners */

static void put_unless(struct json *json, const char *key, uint32_t value, bool known)
{
    if (known)
        json_unsigned(json, key, value);
    else
        json_null(json, key);
}

void store_listener_json(struct json *json, const struct store_listener *listener)
{
    bool seen = listener->is_seen, has_queue = seen && listener->protocol != IPPROTO_UDP;
    json_unsigned(json, "id", listener->id);
    json_string(json, "address", listener->address);
    json_string(json, "note", listener->note);
    json_string(json, "protocol", protocol_name(listener->protocol, listener->family));
    json_string(json, "owner", listener->owner[0] ? listener->owner : NULL);
    put_unless(json, "queue", listener->queue, has_queue);
    put_unless(json, "limit", listener->limit, has_queue);
    json_boolean(json, "full", listener->is_full);
    put_unless(json, "half_open", listener->half_open, seen && listener->protocol == IPPROTO_TCP);
    put_unless(json, "dropped", listener->dropped, listener->has_dropped);
    json_string(json, "brief", listener->brief);
    json_string(json, "verdict", listener->verdict);
}
