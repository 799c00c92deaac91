/* SPDX-License-Identifier: MIT */
/* Members that say nothing (a note that is not set, a peer's window that is not known) are left out. */
#include "observe/event/event_json.h"

#include "event_json_internal.h"
#include "json/json.h"

#include <netinet/in.h>
#include <sonde/error.h>
#include <sonde/probe.h>
#include <stdio.h>
#include <string.h>

static const char *word(const char *const *words, size_t n_words, unsigned index)
{
    return index < n_words ? words[index] : "?";
}

#define WORD(words, index) word(words, N_ROWS(words), index)

static void put_address(struct json *json, const char *key, const struct sonde_address *address)
{
    char text[SONDE_ADDRESS_TEXT];
    sonde_address_format(address, text, sizeof text);
    json_string(json, key, text);
}

static void put_flag(struct json *json, const char *key, bool set)
{
    if (set)
        json_boolean(json, key, true);
}

static void put_some(struct json *json, const char *key, uint64_t value)
{
    if (value != 0)
        json_unsigned(json, key, value);
}

static void put_time(struct json *json, const char *key, int64_t t_ns)
{
    if (t_ns != 0)
        json_number(json, key, t_ns);
}

static void put_data(struct json *json, const void *data, uint32_t n_data)
{
    if (n_data > 0)
        json_bytes(json, data, n_data);
}

static void put_notes(struct json *json, uint64_t notes)
{
    json_array_begin(json, "notes");
    for (unsigned note = 0; note < N_NOTES; note++) {
        if (has_note(notes, note))
            json_string(json, NULL, segment_note_name(note));
    }
    json_array_end(json);
}

static const char *protocol_word(uint8_t protocol)
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
    case IPPROTO_ICMP:
        return "icmp";
    case IPPROTO_ICMPV6:
        return "icmpv6";
    default:
        return "other";
    }
}

static void put_connection(struct json *json, const struct event_connection *connection)
{
    json_string(json, "protocol", protocol_word(connection->protocol));
    put_flag(json, "begins_midway", connection->begins_midway);
    json_boolean(json, "has_segments", connection->has_segments);
    if (connection->realtime_ns != 0) {
        json_time(json, "time", connection->realtime_ns);
        json_unsigned_string(json, "realtime_ns", (uint64_t)connection->realtime_ns);
    }
    if (connection->where)
        json_string(json, "where", connection->where);
    if (connection->netns_cookie != 0)
        json_unsigned_string(json, "netns_cookie", connection->netns_cookie);
    for (unsigned i = 0; i < N_ENDS; i++) {
        const struct event_connection_end *end = &connection->end[i];
        json_object_begin(json, end_words[i]);
        put_address(json, "address", &end->address);
        json_string(json, "role", WORD(role_words, end->role));
        json_string(json, "state", tcp_state_name(end->state));
        put_flag(json, "calls_seen", end->calls_seen);
        put_flag(json, "captured_here", end->captured_here);
        put_some(json, "pid", (uint64_t)(end->pid > 0 ? end->pid : 0));
        if (end->program)
            json_string(json, "program", end->program);
        if (end->socket_cookie != 0)
            json_unsigned_string(json, "socket_cookie", end->socket_cookie);
        json_object_end(json);
    }
}

static void put_call(struct json *json, const struct event_call *call)
{
    json_string(json, "call", sonde_operation_name((enum sonde_operation)call->operation));
    json_string(json, "phase", WORD(phase_words, call->phase));
    json_string(json, "end", WORD(end_words, call->end));
    json_unsigned(json, "number", call->number);
    json_number(json, "fd", call->fd);
    if (call->phase != CALL_BEGIN) {
        json_number(json, "result", call->result);
        if (call->result < 0)
            json_string(json, "error", sonde_error_name((int)call->result));
    }
    put_time(json, "start_ns", call->start_ns);
    put_some(json, "bytes", call->n_bytes);
    put_flag(json, "ring", call->ring);
    put_flag(json, "datagram", call->datagram);
    if (call->arguments)
        json_string(json, "arguments", call->arguments);
    put_data(json, call->data, call->n_data);
}

static void put_options(struct json *json, const struct segment_options *options)
{
    json_object_begin(json, "options");
    put_some(json, "mss", options->mss);
    if (options->window_scale >= 0)
        json_number(json, "window_scale", options->window_scale);
    if (options->has_timestamps) {
        json_unsigned(json, "ts_value", options->ts_value);
        json_unsigned(json, "ts_echo", options->ts_echo);
    }
    if (options->n_sacks > 0) {
        json_array_begin(json, "sack");
        for (unsigned i = 0; i < options->n_sacks && i < SEGMENT_SACKS_MAX; i++) {
            json_array_begin(json, NULL);
            json_unsigned(json, NULL, options->sack[i].from);
            json_unsigned(json, NULL, options->sack[i].to);
            json_array_end(json);
        }
        json_array_end(json);
    }
#define PUT_OPTION_FLAG(name) put_flag(json, #name, options->name);
    SEGMENT_OPTION_FLAGS(PUT_OPTION_FLAG)
#undef PUT_OPTION_FLAG
    put_some(json, "unknown", options->n_unknown);
    json_object_end(json);
}

static void put_states(struct json *json, const struct event_segment *segment)
{
    json_object_begin(json, "states");
    for (unsigned end = 0; end < N_ENDS; end++)
        json_string(json, end_words[end], tcp_state_name(segment->state[end]));
    json_object_end(json);
    if (segment->state_guess[END_A] || segment->state_guess[END_B]) {
        json_array_begin(json, "guessed");
        for (unsigned end = 0; end < N_ENDS; end++) {
            if (segment->state_guess[end])
                json_string(json, NULL, end_words[end]);
        }
        json_array_end(json);
    }
}

static void put_segment(struct json *json, const struct event_segment *segment)
{
    char flags[12];
    segment_flags_text(segment->flags, flags);
    json_unsigned(json, "number", segment->number);
    json_string(json, "from", WORD(end_words, segment->from));
    put_address(json, "src", &segment->source);
    put_address(json, "dst", &segment->destination);
    json_string(json, "flags", flags);
    json_unsigned(json, "seq", segment->seq);
    json_unsigned(json, "ack", segment->ack);
    json_unsigned(json, "len", segment->n_bytes);
    json_unsigned(json, "window", segment->window);
    json_unsigned(json, "seq_raw", segment->seq_raw);
    json_unsigned(json, "ack_raw", segment->ack_raw);
    json_unsigned(json, "window_raw", segment->window_raw);
    put_options(json, &segment->options);
    put_notes(json, segment->notes);
    put_some(json, "again_of", segment->again_of);
    put_some(json, "repeat", segment->n_repeat);
    put_states(json, segment);
    if (segment->fate != FATE_UNKNOWN)
        json_string(json, "fate", WORD(fate_words, segment->fate));
    if (has_note(segment->notes, NOTE_RESET) || segment->reset_cause != RESET_UNKNOWN)
        json_string(json, "reset_cause", reset_cause_name(segment->reset_cause));
    put_some(json, "in_flight", segment->in_flight);
    put_time(json, "rtt_ns", segment->rtt_ns);
    put_time(json, "arrived_ns", segment->arrived_ns);
    put_some(json, "packet", segment->packet);
    put_data(json, segment->data, segment->n_data);
}

static void put_datagram(struct json *json, const struct event_datagram *datagram)
{
    json_unsigned(json, "number", datagram->number);
    json_string(json, "from", WORD(end_words, datagram->from));
    put_address(json, "src", &datagram->source);
    put_address(json, "dst", &datagram->destination);
    json_unsigned(json, "len", datagram->n_bytes);
    put_notes(json, datagram->notes);
    if (datagram->fate != FATE_UNKNOWN)
        json_string(json, "fate", WORD(fate_words, datagram->fate));
    put_time(json, "arrived_ns", datagram->arrived_ns);
    put_some(json, "packet", datagram->packet);
    put_data(json, datagram->data, datagram->n_data);
}

static void put_icmp(struct json *json, const struct event_icmp *icmp)
{
    json_unsigned(json, "version", icmp->version);
    json_unsigned(json, "type", icmp->type);
    json_unsigned(json, "code", icmp->code);
    json_string(json, "to", WORD(end_words, icmp->to));
    put_address(json, "sender", &icmp->sender);
    put_some(json, "about_number", icmp->about_number);
    put_some(json, "about_seq_raw", icmp->about_seq_raw);
    put_some(json, "mtu", icmp->mtu);
    put_some(json, "packet", icmp->packet);
    if (icmp->words)
        json_string(json, "words", icmp->words);
}

static const char *layer_word(unsigned layer)
{
    for (unsigned i = 0; i < N_ROWS(layer_words); i++) {
        if (layer & 1u << i)
            return layer_words[i];
    }
    return "?";
}

static void put_handshake(struct json *json, const struct event_handshake *handshake)
{
    json_string(json, "layer", layer_word(handshake->layer));
    json_string(json, "end", WORD(end_words, handshake->end));
    json_number(json, "result", handshake->result);
    if (handshake->result < 0)
        json_string(json, "error", sonde_error_name((int)handshake->result));
    put_time(json, "start_ns", handshake->start_ns);
    if (handshake->agreed)
        json_string(json, "agreed", handshake->agreed);
}

static void put_message(struct json *json, const struct event_message *message)
{
    json_string(json, "kind", message_kind_name(message->kind));
    json_string(json, "from", WORD(end_words, message->from));
    if (message->end < N_ENDS)
        json_string(json, "end", end_words[message->end]);
    put_some(json, "number", message->number);
    json_unsigned(json, message->kind == MESSAGE_MALFORMED ? "at_byte" : "len", message->n_bytes);
    put_flag(json, "compressed", message->compressed);
    put_flag(json, "joined", message->joined);
    put_some(json, "code", message->code);
    put_time(json, "rtt_ns", message->rtt_ns);
    put_some(json, "about_number", message->about);
    if (message->words)
        json_string(json, "words", message->words);
    put_data(json, message->data, message->n_data);
}

static void put_state(struct json *json, const struct event_state *state)
{
    json_string(json, "end", WORD(end_words, state->end));
    json_string(json, "before", tcp_state_name(state->before));
    json_string(json, "after", tcp_state_name(state->after));
    put_flag(json, "polled", state->polled);
}

static void put_values(struct json *json, const struct event_values *values)
{
    json_string(json, "end", WORD(end_words, values->end));
    for (unsigned i = 0; i < N_VALUES; i++) {
        if (values->present & 1u << i)
            json_number(json, event_value_name(i), values->value[i]);
    }
    json_array_begin(json, "changed");
    for (unsigned i = 0; i < N_VALUES; i++) {
        if (values->changed & 1u << i)
            json_string(json, NULL, event_value_name(i));
    }
    json_array_end(json);
}

static void put_sentence(struct json *json, const struct event_sentence *sentence)
{
    const char mark[2] = {sentence->mark, '\0'};
    json_string(json, "mark", mark);
    json_string(json, "name", sentence->name);
    json_string(json, "sentence", sentence->text);
    put_some(json, "about_number", sentence->about);
}

static void put_loss(struct json *json, const struct event_loss *loss)
{
    json_string(json, "what", loss->what);
    json_unsigned(json, "n", loss->n);
    json_string(json, "why", loss->why);
}

size_t event_json_write(const struct event *event, char *ret_line, size_t size_bytes)
{
    struct json json;
    json_begin(&json, ret_line, size_bytes);
    json_string(&json, "event", event_kind_name(event->kind));
    json_string(&json, "source", event_source_name(event->source));
    json_number(&json, "t_ns", event->t_ns);
    put_some(&json, "conn", event->conn);
    put_flag(&json, "late", event->late);
    switch ((enum event_kind)event->kind) {
#define PUT_MEMBER(name, text, member)                                                                                 \
    case EVENT_KIND_##name:                                                                                            \
        put_##member(&json, &event->member);                                                                           \
        break;
        EVENT_KINDS(PUT_MEMBER)
#undef PUT_MEMBER
    case EVENT_N_KINDS:
        break;
    }
    return json_end(&json);
}
