/* SPDX-License-Identifier: MIT */
/*
 * A line becomes a jansson value; its members are taken one by one, and what is missing keeps 0. Only what an event
 * cannot be without is asked for. Texts point into the jansson value until the event is cloned.
 */
#include "observe/event/event_json.h"

#include "event_json_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sonde/probe.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (1024u * 1024u)
#define WHY_SIZE 128

struct reader {
    json_t *line;
    unsigned char data[EVENT_JSON_MAX]; /* of "base64" */
    char *why;
    bool failed;
};

static void fail(struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct reader *reader, const char *format, ...)
{
    if (reader->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->why, WHY_SIZE, format, arguments);
    va_end(arguments);
    reader->failed = true;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool flag_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Numbers within limits: what lies outside would wrap around in the event's members. */
static int64_t whole_number(struct reader *reader, const json_t *value, const char *key, int64_t least, int64_t most)
{
    if (!value)
        return 0;
    if (!json_is_integer(value)) {
        fail(reader, "\"%.40s\" is not a whole number", key);
        return 0;
    }
    int64_t number = json_integer_value(value);
    if (number < least || number > most) {
        fail(reader, "\"%.40s\" is out of range", key);
        return 0;
    }
    return number;
}

static int64_t number_of(struct reader *reader, const json_t *object, const char *key, int64_t least, int64_t most)
{
    return whole_number(reader, json_object_get(object, key), key, least, most);
}

#define U8(object, key) ((uint8_t)number_of(reader, object, key, 0, UINT8_MAX))
#define U16(object, key) ((uint16_t)number_of(reader, object, key, 0, UINT16_MAX))
#define U32(object, key) ((uint32_t)number_of(reader, object, key, 0, UINT32_MAX))
#define I32(object, key) ((int32_t)number_of(reader, object, key, INT32_MIN, INT32_MAX))
#define U64(object, key) ((uint64_t)number_of(reader, object, key, 0, INT64_MAX))
#define I64(object, key) number_of(reader, object, key, INT64_MIN, INT64_MAX)
/* Times: of any two, the difference is no overflow. */
#define TIME(object, key) number_of(reader, object, key, -INT64_MAX / 2, INT64_MAX / 2)

/* Cookies, which are strings. */
static uint64_t long_of(const json_t *object, const char *key)
{
    const char *text = text_of(object, key);
    return text ? strtoull(text, NULL, 10) : 0;
}

static unsigned find(struct reader *reader, const char *key, const char *value, const char *const *words,
                     size_t n_words)
{
    for (unsigned i = 0; value && i < n_words; i++) {
        if (strcmp(words[i], value) == 0)
            return i;
    }
    fail(reader, "\"%.40s\" is none of its words", key);
    return 0;
}

/* An absent member is the first word. */
#define FIND(object, key, words)                                                                                       \
    (text_of(object, key) ? (uint8_t)find(reader, key, text_of(object, key), words, N_ROWS(words)) : 0)

static uint8_t end_of(struct reader *reader, const json_t *object, const char *key)
{
    return (uint8_t)find(reader, key, text_of(object, key), end_words, N_ENDS);
}

static uint8_t state_of(struct reader *reader, const json_t *object, const char *key)
{
    const char *name = text_of(object, key);
    if (!name || strcmp(name, tcp_state_name(TCP_STATE_UNKNOWN)) == 0)
        return TCP_STATE_UNKNOWN;
    enum tcp_state state = tcp_state_find(name);
    if (state == TCP_N_STATES)
        fail(reader, "\"%.40s\" is no state", key);
    return (uint8_t)state;
}

/* The zone behind '%': a number, or the name of an interface of this machine. */
static uint32_t scope_of(const char *zone)
{
    char *end;
    unsigned long number = strtoul(zone, &end, 10);
    return *end == '\0' ? (uint32_t)number : if_nametoindex(zone);
}

/* What sonde_address_format writes. */
static bool parse_address(const char *text, struct sonde_address *ret_address)
{
    struct sonde_address address = {0};
    char host[SONDE_ADDRESS_TEXT];
    const char *colon = strrchr(text, ':'), *start = text;
    int pid, n = 0;
    unsigned uid, cid, vsock_port;
    if (strcmp(text, "?") == 0) {
        *ret_address = address;
        return true;
    }
    if (sscanf(text, "pid %d (uid %u)", &pid, &uid) == 2) {
        address.family = AF_UNIX;
        address.u.peer.pid = pid;
        address.u.peer.uid = uid;
        *ret_address = address;
        return true;
    }
    if (sscanf(text, "pid ? (uid %u)", &uid) == 1) {
        address.family = AF_UNIX;
        address.u.peer.uid = uid;
        *ret_address = address;
        return true;
    }
    if (sscanf(text, "%u:%u%n", &cid, &vsock_port, &n) == 2 && text[n] == '\0') {
        address.family = AF_VSOCK;
        address.u.vsock.cid = cid;
        address.u.vsock.port = vsock_port;
        *ret_address = address;
        return true;
    }
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > UINT16_MAX)
        return false;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && *start == '[' && colon[-1] == ']') {
        start++;
        length -= 2;
    }
    memcpy(host, start, length);
    host[length] = '\0';
    char *zone = strchr(host, '%');
    if (zone)
        *zone++ = '\0';
    address.port = (uint16_t)port;
    address.family = start == text ? AF_INET : AF_INET6;
    if (inet_pton(address.family, host, address.u.ip) != 1)
        return false;
    if (zone)
        address.scope = scope_of(zone);
    *ret_address = address;
    return true;
}

static struct sonde_address address_of(struct reader *reader, const json_t *object, const char *key)
{
    struct sonde_address address = {0};
    const char *text = text_of(object, key);
    if (text && !parse_address(text, &address))
        fail(reader, "\"%.40s\" is no address and port", key);
    return address;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static const void *bytes_of(struct reader *reader, const json_t *object, uint32_t n_max, uint32_t *ret_n)
{
    const json_t *text = json_object_get(object, "text"), *base64 = json_object_get(object, "base64");
    *ret_n = 0;
    if (json_is_string(text)) {
        size_t n = json_string_length(text);
        *ret_n = (uint32_t)(n < n_max ? n : n_max);
        return json_string_value(text);
    }
    if (!json_is_string(base64))
        return NULL;
    uint32_t bits = 0, n_bits = 0, n = 0;
    for (const char *c = json_string_value(base64); *c && *c != '='; c++) {
        int digit = base64_digit(*c);
        if (digit < 0) {
            fail(reader, "\"base64\" has a character that is none of its own");
            return NULL;
        }
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        if (n < n_max && n < sizeof reader->data)
            reader->data[n++] = (unsigned char)(bits >> n_bits);
    }
    *ret_n = n;
    return reader->data;
}

static uint64_t notes_of(const json_t *object)
{
    uint64_t notes = 0;
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(object, "notes"), i, value)
    {
        const char *name = json_string_value(value);
        for (unsigned note = 0; name && note < N_NOTES; note++) {
            if (strcmp(segment_note_name(note), name) == 0)
                notes |= NOTE_BIT(note);
        }
    }
    return notes;
}

/* ---- kinds */

static uint8_t protocol_of(const char *word)
{
    static const struct {
        const char *word;
        uint8_t protocol;
    } protocols[] = {
        {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP},   {"icmp", IPPROTO_ICMP},          {"icmpv6", IPPROTO_ICMPV6},
        {"unix", 0},          {"sctp", IPPROTO_SCTP}, {"vsock", EVENT_PROTOCOL_VSOCK},
    };
    for (size_t i = 0; word && i < N_ROWS(protocols); i++) {
        if (strcmp(protocols[i].word, word) == 0)
            return protocols[i].protocol;
    }
    return IPPROTO_RAW;
}

static void take_connection(struct reader *reader, const json_t *line, struct event_connection *connection)
{
    connection->protocol = protocol_of(text_of(line, "protocol"));
    connection->begins_midway = flag_of(line, "begins_midway");
    connection->has_segments = flag_of(line, "has_segments");
    connection->realtime_ns = (int64_t)long_of(line, "realtime_ns");
    connection->where = text_of(line, "where");
    connection->netns_cookie = long_of(line, "netns_cookie");
    for (unsigned i = 0; i < N_ENDS; i++) {
        struct event_connection_end *end = &connection->end[i];
        const json_t *object = json_object_get(line, end_words[i]);
        end->address = address_of(reader, object, "address");
        end->role = FIND(object, "role", role_words);
        end->state = state_of(reader, object, "state");
        end->calls_seen = flag_of(object, "calls_seen");
        end->captured_here = flag_of(object, "captured_here");
        end->pid = I32(object, "pid");
        end->program = text_of(object, "program");
        end->socket_cookie = long_of(object, "socket_cookie");
    }
}

static void take_call(struct reader *reader, const json_t *line, struct event_call *call)
{
    const char *name = text_of(line, "call");
    call->operation = SONDE_N_OPERATIONS;
    for (unsigned i = 0; name && i < SONDE_N_OPERATIONS; i++) {
        if (strcmp(sonde_operation_name(i), name) == 0)
            call->operation = (uint8_t)i;
    }
    if (call->operation == SONDE_N_OPERATIONS)
        fail(reader, "\"call\" is none of the calls");
    call->phase = FIND(line, "phase", phase_words);
    call->end = end_of(reader, line, "end");
    call->number = U64(line, "number");
    call->fd = I32(line, "fd");
    call->result = I64(line, "result");
    call->start_ns = TIME(line, "start_ns");
    call->n_bytes = U64(line, "bytes");
    call->ring = flag_of(line, "ring");
    call->datagram = flag_of(line, "datagram");
    call->arguments = text_of(line, "arguments");
    call->data = bytes_of(reader, line, UINT32_MAX, &call->n_data);
}

static uint64_t edge_of(struct reader *reader, const json_t *range, size_t which)
{
    return (uint64_t)whole_number(reader, json_array_get(range, which), "sack", 0, INT64_MAX);
}

static void take_options(struct reader *reader, const json_t *object, struct segment_options *options)
{
    options->mss = U16(object, "mss");
    options->window_scale =
        json_object_get(object, "window_scale") ? (int8_t)number_of(reader, object, "window_scale", 0, INT8_MAX) : -1;
    options->has_timestamps = json_object_get(object, "ts_value") != NULL;
    options->ts_value = U32(object, "ts_value");
    options->ts_echo = U32(object, "ts_echo");
    options->n_unknown = U8(object, "unknown");
#define TAKE_OPTION_FLAG(name) options->name = flag_of(object, #name);
    SEGMENT_OPTION_FLAGS(TAKE_OPTION_FLAG)
#undef TAKE_OPTION_FLAG
    size_t i;
    json_t *range;
    json_array_foreach(json_object_get(object, "sack"), i, range)
    {
        if (i >= SEGMENT_SACKS_MAX)
            break;
        options->sack[i].from = edge_of(reader, range, 0);
        options->sack[i].to = edge_of(reader, range, 1);
        options->n_sacks = (uint8_t)(i + 1);
    }
}

static uint16_t flags_of(struct reader *reader, const char *text)
{
    static const char letters[] = "FSRP.UEWe"; /* by bit */
    unsigned flags = 0;
    if (text && strcmp(text, "none") == 0)
        return 0;
    for (; text && *text; text++) {
        const char *letter = strchr(letters, *text);
        if (!letter) {
            fail(reader, "\"flags\" has a letter that is none of its own");
            return 0;
        }
        flags |= 1u << (letter - letters);
    }
    return (uint16_t)flags;
}

static void take_segment(struct reader *reader, const json_t *line, struct event_segment *segment)
{
    segment->number = U32(line, "number");
    segment->from = end_of(reader, line, "from");
    segment->source = address_of(reader, line, "src");
    segment->destination = address_of(reader, line, "dst");
    segment->flags = flags_of(reader, text_of(line, "flags"));
    segment->seq = U64(line, "seq");
    segment->ack = U64(line, "ack");
    segment->n_bytes = U32(line, "len");
    segment->window = U64(line, "window");
    segment->seq_raw = U32(line, "seq_raw");
    segment->ack_raw = U32(line, "ack_raw");
    segment->window_raw = U16(line, "window_raw");
    take_options(reader, json_object_get(line, "options"), &segment->options);
    segment->notes = notes_of(line);
    segment->again_of = U32(line, "again_of");
    segment->n_repeat = U32(line, "repeat");
    segment->fate = FIND(line, "fate", fate_words);
    segment->in_flight = U64(line, "in_flight");
    segment->rtt_ns = TIME(line, "rtt_ns");
    segment->arrived_ns = TIME(line, "arrived_ns");
    segment->packet = U64(line, "packet");
    segment->data = bytes_of(reader, line, SEGMENT_PREVIEW_MAX, &segment->n_data);

    const json_t *states = json_object_get(line, "states");
    for (unsigned end = 0; end < N_ENDS; end++)
        segment->state[end] = state_of(reader, states, end_words[end]);
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(line, "guessed"), i, value)
    {
        segment->state_guess[find(reader, "guessed", json_string_value(value), end_words, N_ENDS)] = true;
    }
    const char *cause = text_of(line, "reset_cause");
    for (unsigned c = 0; cause && c < N_RESET_CAUSES; c++) {
        if (strcmp(reset_cause_name(c), cause) == 0)
            segment->reset_cause = (uint8_t)c;
    }
}

static void take_datagram(struct reader *reader, const json_t *line, struct event_datagram *datagram)
{
    datagram->number = U32(line, "number");
    datagram->from = end_of(reader, line, "from");
    datagram->source = address_of(reader, line, "src");
    datagram->destination = address_of(reader, line, "dst");
    datagram->n_bytes = U32(line, "len");
    datagram->notes = notes_of(line);
    datagram->fate = FIND(line, "fate", fate_words);
    datagram->arrived_ns = TIME(line, "arrived_ns");
    datagram->packet = U64(line, "packet");
    datagram->data = bytes_of(reader, line, SEGMENT_PREVIEW_MAX, &datagram->n_data);
}

static void take_icmp(struct reader *reader, const json_t *line, struct event_icmp *icmp)
{
    icmp->version = U8(line, "version");
    icmp->type = U8(line, "type");
    icmp->code = U8(line, "code");
    icmp->to = end_of(reader, line, "to");
    icmp->sender = address_of(reader, line, "sender");
    icmp->about_number = U32(line, "about_number");
    icmp->about_seq_raw = U32(line, "about_seq_raw");
    icmp->mtu = U32(line, "mtu");
    icmp->packet = U64(line, "packet");
    icmp->words = text_of(line, "words");
}

static void take_handshake(struct reader *reader, const json_t *line, struct event_handshake *handshake)
{
    const char *layer = text_of(line, "layer");
    handshake->layer = (uint8_t)(1u << find(reader, "layer", layer ? layer : "", layer_words, N_ROWS(layer_words)));
    handshake->end = end_of(reader, line, "end");
    handshake->result = I64(line, "result");
    handshake->start_ns = TIME(line, "start_ns");
    handshake->agreed = text_of(line, "agreed");
}

static void take_message(struct reader *reader, const json_t *line, struct event_message *message)
{
    const char *kind = text_of(line, "kind");
    message->kind = N_MESSAGE_KINDS;
    for (unsigned i = 0; kind && i < N_MESSAGE_KINDS; i++) {
        if (strcmp(message_kind_name(i), kind) == 0)
            message->kind = (uint8_t)i;
    }
    if (message->kind == N_MESSAGE_KINDS)
        fail(reader, "\"kind\" is none of the kinds of messages");
    message->from = end_of(reader, line, "from");
    message->end = text_of(line, "end") ? end_of(reader, line, "end") : N_ENDS;
    message->number = U64(line, "number");
    message->n_bytes = U64(line, message->kind == MESSAGE_MALFORMED ? "at_byte" : "len");
    message->compressed = flag_of(line, "compressed");
    message->joined = flag_of(line, "joined");
    message->code = U16(line, "code");
    message->rtt_ns = TIME(line, "rtt_ns");
    message->about = U32(line, "about_number");
    message->words = text_of(line, "words");
    message->data = bytes_of(reader, line, SEGMENT_PREVIEW_MAX, &message->n_data);
}

static void take_state(struct reader *reader, const json_t *line, struct event_state *state)
{
    state->end = end_of(reader, line, "end");
    state->before = state_of(reader, line, "before");
    state->after = state_of(reader, line, "after");
    state->polled = flag_of(line, "polled");
}

static void take_values(struct reader *reader, const json_t *line, struct event_values *values)
{
    values->end = end_of(reader, line, "end");
    for (unsigned i = 0; i < N_VALUES; i++) {
        if (!json_object_get(line, event_value_name(i)))
            continue;
        values->present |= 1u << i;
        values->value[i] = I64(line, event_value_name(i));
    }
    size_t n;
    json_t *value;
    json_array_foreach(json_object_get(line, "changed"), n, value)
    {
        const char *name = json_string_value(value);
        for (unsigned i = 0; name && i < N_VALUES; i++) {
            if (strcmp(event_value_name(i), name) == 0)
                values->changed |= 1u << i;
        }
    }
}

static void take_sentence(struct reader *reader, const json_t *line, struct event_sentence *sentence)
{
    const char *mark = text_of(line, "mark");
    sentence->mark = mark && strchr("!i=-", mark[0]) ? mark[0] : '\0';
    sentence->name = text_of(line, "name");
    sentence->text = text_of(line, "sentence");
    sentence->about = U32(line, "about_number");
    if (sentence->mark == '\0' || !sentence->text)
        fail(reader, "a sentence needs \"mark\" and \"sentence\"");
}

static void take_loss(struct reader *reader, const json_t *line, struct event_loss *loss)
{
    loss->what = text_of(line, "what");
    loss->n = U64(line, "n");
    loss->why = text_of(line, "why");
    if (!loss->what || !loss->why)
        fail(reader, "a loss needs \"what\" and \"why\"");
}

/* ---- */

static int read_kind(struct reader *reader, const json_t *line, struct event *event)
{
    const char *kind = text_of(line, "event"), *source = text_of(line, "source");
    event->kind = EVENT_N_KINDS;
    for (unsigned i = 0; kind && i < EVENT_N_KINDS; i++) {
        if (strcmp(event_kind_name(i), kind) == 0)
            event->kind = (uint8_t)i;
    }
    if (event->kind == EVENT_N_KINDS) {
        fail(reader, "\"event\" is none of the kinds of events");
        return -EINVAL;
    }
    for (unsigned i = 0; source && i < EVENT_N_SOURCES; i++) {
        if (strcmp(event_source_name(i), source) == 0)
            event->source = (uint8_t)i;
    }
    if (!json_is_integer(json_object_get(line, "t_ns")))
        fail(reader, "\"t_ns\" is missing");
    event->t_ns = TIME(line, "t_ns");
    event->conn = U64(line, "conn");
    event->late = flag_of(line, "late");
    switch ((enum event_kind)event->kind) {
#define TAKE_MEMBER(name, text, member)                                                                                \
    case EVENT_KIND_##name:                                                                                            \
        take_##member(reader, line, &event->member);                                                                   \
        break;
        EVENT_KINDS(TAKE_MEMBER)
#undef TAKE_MEMBER
    case EVENT_N_KINDS:
        break;
    }
    return reader->failed ? -EINVAL : 0;
}

int event_json_read(const char *line, size_t n_bytes, struct event **ret_event, char ret_why[128])
{
    struct reader reader = {.why = ret_why};
    struct event event;
    json_error_t error;

    if (n_bytes > LINE_MAX_BYTES) {
        fail(&reader, "the line is longer than %u bytes", LINE_MAX_BYTES);
        return -EINVAL;
    }
    reader.line = json_loadb(line, n_bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!reader.line) {
        fail(&reader, "not JSON: %.80s", error.text);
        return -EINVAL;
    }
    memset(&event, 0, sizeof event);
    int result = read_kind(&reader, reader.line, &event);
    if (result == 0) {
        struct event *clone = event_clone(&event);
        if (clone)
            *ret_event = clone;
        else
            result = -ENOMEM;
    }
    json_decref(reader.line);
    return result;
}
