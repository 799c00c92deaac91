/* SPDX-License-Identifier: MIT */
/*
 * --follow: payload by message. A datagram is a message. Of TCP, with --frame, messages are what the codec cuts out of
 * the stream; otherwise, and where the codec has given up, what one side says until it pushes (PSH) or the other side
 * speaks: TCP has no others. One of those is kept at a time, and written out early when it grows past the bound, which
 * is said.
 */
#include "trace/follow.h"
#include "json/json.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

struct state {
    struct framing *framing; /* NULL: no --frame */
    uint64_t conn;           /* whose message is being gathered; 0: nobody's */
    enum event_end from;
    struct sonde_address address[N_ENDS];
    int64_t t_ns, origin_ns;
    uint64_t n_missing;
    bool begun, continued;
    size_t n_bytes;
    unsigned char bytes[FOLLOW_MESSAGE_MAX];
    char line[JSON_ROOM(FOLLOW_MESSAGE_MAX)];
};

static void print(struct view_run *run, const struct follow_message *message)
{
    struct state *state = run->state;
    follow_print(run->settings, message, state->origin_ns, state->line, sizeof state->line);
}

static void message_end(struct view_run *run)
{
    struct state *state = run->state;
    if (state->n_bytes == 0 && state->n_missing == 0)
        return;
    struct follow_message message = {
        .kind = FOLLOW_PUSHED,
        .conn = state->conn,
        .from = state->from,
        .t_ns = state->t_ns,
        .n_missing = state->n_missing,
        .continued = state->continued,
        .n_bytes = state->n_bytes,
        .data = state->bytes,
        .n_data = state->n_bytes,
    };
    memcpy(message.address, state->address, sizeof message.address);
    print(run, &message);
    state->n_bytes = 0;
    state->n_missing = 0;
    state->continued = false;
}

static bool is_wanted(struct view_run *run, const struct conversation *conversation)
{
    struct state *state = run->state;
    if (run->settings->only != 0 && conversation->id != run->settings->only)
        return false;
    if (!state->begun)
        state->origin_ns = conversation->first_ns;
    state->begun = true;
    return true;
}

static void on_framed(const struct framing_message *framed, void *user)
{
    const struct conversation *conversation = framed->conversation;
    struct follow_message message = {
        .kind = FOLLOW_FRAMED,
        .framed = framed,
        .conn = conversation->id,
        .from = framed->from,
        .address = {conversation->side[END_A].address, conversation->side[END_B].address},
        .t_ns = framed->t_ns,
        .n_bytes = framed->n_bytes,
        .data = framed->data,
        .n_data = framed->n_data,
    };
    message_end(user);
    print(user, &message);
}

static int on_open(struct view_run *run, struct sonde_why *ret_why)
{
    struct state *state = run->state;
    if (!run->settings->frame)
        return 0;
    /* The run is the caller's until it is open: its place is said with each piece. */
    state->framing = framing_new(run->settings->frame, on_framed, NULL);
    if (state->framing)
        return 0;
    *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "trace"};
    return -ENOMEM;
}

static void gather(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                   const unsigned char *bytes, size_t n_bytes, uint64_t n_missing, bool push)
{
    struct state *state = run->state;
    if (state->conn != conversation->id || state->from != from || n_missing > 0)
        message_end(run);
    if (state->n_bytes == 0) {
        state->conn = conversation->id;
        state->from = from;
        state->t_ns = t_ns;
        for (int end = 0; end < N_ENDS; end++)
            state->address[end] = conversation->side[end].address;
    }
    state->n_missing += n_missing;
    while (n_bytes > 0) {
        size_t room = FOLLOW_MESSAGE_MAX - state->n_bytes, n = n_bytes < room ? n_bytes : room;
        memcpy(state->bytes + state->n_bytes, bytes, n);
        state->n_bytes += n;
        bytes += n;
        n_bytes -= n;
        if (state->n_bytes == FOLLOW_MESSAGE_MAX) {
            message_end(run);
            state->t_ns = t_ns;
            state->continued = true;
        }
    }
    if (push)
        message_end(run);
}

static void on_data(struct view_run *run, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing, bool push)
{
    struct state *state = run->state;
    const unsigned char *bytes = data;
    size_t n_taken = 0;
    if (!is_wanted(run, conversation))
        return;
    if (state->framing) {
        framing_set_user(state->framing, run);
        n_taken = framing_data(state->framing, conversation, t_ns, from, data, n_bytes, n_missing);
    }
    if (n_taken < n_bytes)
        gather(run, conversation, t_ns, from, bytes + n_taken, n_bytes - n_taken, n_missing, push);
}

static bool is_from(const struct sonde_address *address, const struct decoded *decoded)
{
    return address->port == decoded->source_port &&
           memcmp(address->u.ip, decoded->source.bytes, address->family == AF_INET ? 4 : 16) == 0;
}

static void on_packet(struct view_run *run, const struct view_packet *packet)
{
    const struct conversation *conversation = packet->conversation;
    const struct decoded *decoded = packet->decoded;
    if (!conversation || conversation->protocol != IPPROTO_UDP || decoded->protocol != IPPROTO_UDP ||
        !is_wanted(run, conversation))
        return;
    struct follow_message message = {
        .kind = FOLLOW_DATAGRAM,
        .conn = conversation->id,
        .from = is_from(&conversation->side[END_A].address, decoded) ? END_A : END_B,
        .address = {conversation->side[END_A].address, conversation->side[END_B].address},
        .t_ns = packet->t_ns,
        .number = conversation->n_segments,
        .one_line = run->settings->frame != NULL,
        .n_bytes = decoded->n_payload,
        .data = decoded->payload,
        .n_data = decoded->n_payload_captured,
    };
    message_end(run);
    print(run, &message);
}

static void on_conversation(struct view_run *run, const struct conversation *conversation)
{
    struct state *state = run->state;
    if (!state->framing)
        return;
    framing_set_user(state->framing, run);
    framing_over(state->framing, conversation);
}

static int finish(struct view_run *run)
{
    message_end(run);
    return 0;
}

static void on_close(struct view_run *run)
{
    struct state *state = run->state;
    framing_free(state->framing);
}

const struct view view_follow = {
    .name = "follow",
    .state_bytes = sizeof(struct state),
    .open = on_open,
    .packet = on_packet,
    .data = on_data,
    .conversation = on_conversation,
    .finish = finish,
    .close = on_close,
};
