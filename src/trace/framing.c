/* SPDX-License-Identifier: MIT */
/*
 * Each direction has a decoder from its first byte on. Where bytes are missing in the capture, a codec whose messages
 * end with a mark finds the next one by it, and what comes first is called the rest of a longer message; one that goes
 * by lengths is lost for good, and says so.
 */
#include "trace/framing.h"

#include "observe/decode/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 64

struct direction {
    struct sonde_frame_decoder *decoder;
    struct websocket *websocket;
    uint64_t base, n_taken; /* of the stream: where the decoder began, and what came since */
    uint64_t n_messages;
    bool is_lost, is_joined;
};

struct framed {
    struct framed *next;
    uint64_t id;
    struct direction direction[N_ENDS];
};

struct framing {
    struct framing_codec codec;
    framing_function function;
    void *user;
    struct framed **buckets;
    size_t n_buckets, n_framed;
    size_t n_bytes;              /* of all decoders */
    struct direction *direction; /* that is being fed */
    struct framing_message message;
};

int framing_parse(const char *text, struct framing_codec *ret_codec, struct sonde_why *ret_why)
{
    struct framing_codec codec = {.is_websocket = strcmp(text, "ws") == 0};
    int error = codec.is_websocket ? 0 : sonde_frame_parse(text, &codec.frame, ret_why);
    if (error == 0)
        *ret_codec = codec;
    return error;
}

/* ---- memory of the decoders */

static void *allocate(size_t size_bytes, void *user)
{
    struct framing *framing = user;
    if (size_bytes > FRAMING_BYTES_MAX - framing->n_bytes)
        return NULL;
    void *memory = malloc(size_bytes);
    framing->n_bytes += memory ? size_bytes : 0;
    return memory;
}

static void give_back(void *memory, size_t size_bytes, void *user)
{
    struct framing *framing = user;
    framing->n_bytes -= memory ? size_bytes : 0;
    free(memory);
}

/* ---- the table */

struct framing *framing_new(const struct framing_codec *codec, framing_function function, void *user)
{
    struct framing *framing = calloc(1, sizeof *framing);
    if (!framing)
        return NULL;
    framing->codec = *codec;
    framing->function = function;
    framing->user = user;
    framing->n_buckets = BUCKETS_FIRST;
    framing->buckets = calloc(framing->n_buckets, sizeof(struct framed *));
    if (framing->buckets)
        return framing;
    free(framing);
    return NULL;
}

static void direction_end(struct direction *direction)
{
    sonde_frame_decoder_free(direction->decoder);
    websocket_free(direction->websocket);
    direction->decoder = NULL;
    direction->websocket = NULL;
}

static void framed_free(struct framed *framed)
{
    for (int end = 0; end < N_ENDS; end++)
        direction_end(&framed->direction[end]);
    free(framed);
}

void framing_free(struct framing *framing)
{
    if (!framing)
        return;
    for (size_t i = 0; i < framing->n_buckets; i++) {
        struct framed *next;
        for (struct framed *framed = framing->buckets[i]; framed; framed = next) {
            next = framed->next;
            framed_free(framed);
        }
    }
    free(framing->buckets);
    free(framing);
}

void framing_set_user(struct framing *framing, void *user)
{
    framing->user = user;
}

static struct framed **place_of(const struct framing *framing, uint64_t id)
{
    struct framed **place = &framing->buckets[id & (framing->n_buckets - 1)];
    while (*place && (*place)->id != id)
        place = &(*place)->next;
    return place;
}

static void grow(struct framing *framing)
{
    struct framing grown = {.n_buckets = 2 * framing->n_buckets};
    grown.buckets = calloc(grown.n_buckets, sizeof(struct framed *));
    if (!grown.buckets)
        return; /* slower */
    for (size_t i = 0; i < framing->n_buckets; i++) {
        struct framed *next;
        for (struct framed *framed = framing->buckets[i]; framed; framed = next) {
            next = framed->next;
            struct framed **place = &grown.buckets[framed->id & (grown.n_buckets - 1)];
            framed->next = *place;
            *place = framed;
        }
    }
    free(framing->buckets);
    framing->buckets = grown.buckets;
    framing->n_buckets = grown.n_buckets;
}

static struct framed *framed_of(struct framing *framing, uint64_t id)
{
    if (framing->n_framed >= framing->n_buckets)
        grow(framing);
    struct framed **place = place_of(framing, id);
    if (!*place) {
        *place = calloc(1, sizeof **place);
        if (!*place)
            return NULL;
        (*place)->id = id;
        framing->n_framed++;
    }
    return *place;
}

/* ---- messages */

static int on_message(const void *data, size_t n_bytes, void *user)
{
    struct framing *framing = user;
    struct framing_message *message = &framing->message;
    message->kind = MESSAGE_FRAMED;
    message->number = ++framing->direction->n_messages;
    message->n_bytes = message->n_data = n_bytes;
    message->data = data;
    message->joined = framing->direction->is_joined;
    framing->direction->is_joined = false;
    framing->function(message, framing->user);
    return 0;
}

static enum message_kind kind_of(uint8_t opcode)
{
    static const uint8_t kinds[WEBSOCKET_HEAD + 1] = {
        [1] = MESSAGE_TEXT, [2] = MESSAGE_BINARY, [8] = MESSAGE_CLOSE,
        [9] = MESSAGE_PING, [10] = MESSAGE_PONG,  [WEBSOCKET_HEAD] = MESSAGE_HEAD,
    };
    return opcode <= WEBSOCKET_HEAD && kinds[opcode] ? kinds[opcode] : MESSAGE_OTHER;
}

static void on_websocket(const struct websocket_message *one, void *user)
{
    struct framing *framing = user;
    struct framing_message *message = &framing->message;
    message->kind = (uint8_t)kind_of(one->opcode);
    bool is_counted = message->kind == MESSAGE_TEXT || message->kind == MESSAGE_BINARY;
    message->number = is_counted ? ++framing->direction->n_messages : 0;
    message->compressed = one->compressed;
    message->n_bytes = one->n_bytes;
    message->data = one->data;
    message->n_data = one->n_data;
    framing->function(message, framing->user);
}

static void give_up(struct framing *framing, uint64_t at_byte, const char *words)
{
    struct framing_message *message = &framing->message;
    message->kind = MESSAGE_MALFORMED;
    message->number = 0;
    message->compressed = message->joined = false;
    message->n_bytes = message->n_data = 0;
    message->data = NULL;
    message->at_byte = at_byte;
    message->words = words;
    framing->direction->is_lost = true;
    direction_end(framing->direction);
    framing->function(message, framing->user);
}

/* ---- feeding */

static bool begin(struct framing *framing)
{
    struct direction *direction = framing->direction;
    const struct sonde_allocator allocator = {allocate, give_back, framing};
    const struct sonde_frame_decoder_options options = {.size = sizeof options, .allocator = &allocator};
    direction->base += direction->n_taken;
    direction->n_taken = 0;
    if (framing->codec.is_websocket)
        direction->websocket = websocket_new();
    else if (sonde_frame_decoder_create(&framing->codec.frame, &options, on_message, framing, &direction->decoder) < 0)
        direction->decoder = NULL;
    return direction->websocket || direction->decoder;
}

/* Do its messages end with a mark that can be found again? */
static bool has_marks(const struct framing_codec *codec)
{
    switch (codec->frame.codec) {
    case SONDE_FRAME_NONE:
    case SONDE_FRAME_LINE:
    case SONDE_FRAME_CRLF:
    case SONDE_FRAME_NUL:
    case SONDE_FRAME_DELIM:
    case SONDE_FRAME_SLIP:
    case SONDE_FRAME_COBS:
        return !codec->is_websocket;
    default:
        return false;
    }
}

/* false: it is lost. */
static bool pass_over(struct framing *framing, uint64_t n_missing)
{
    struct direction *direction = framing->direction;
    uint64_t at_byte = direction->base + direction->n_taken;
    if (!has_marks(&framing->codec)) {
        give_up(framing, at_byte, "bytes are missing in the capture");
        return false;
    }
    direction_end(direction);
    direction->n_taken += n_missing;
    direction->is_joined = true;
    return true;
}

static size_t feed_websocket(struct framing *framing, const void *data, size_t n_bytes)
{
    struct direction *direction = framing->direction;
    size_t n_taken;
    int error = websocket_feed(direction->websocket, data, n_bytes, on_websocket, framing, &n_taken);
    direction->n_taken += n_taken;
    if (error < 0)
        give_up(framing, direction->base + direction->n_taken, websocket_fault(direction->websocket));
    return n_taken;
}

static size_t feed_decoder(struct framing *framing, const void *data, size_t n_bytes)
{
    struct direction *direction = framing->direction;
    struct sonde_frame_fault fault;
    if (sonde_frame_decoder_feed(direction->decoder, data, n_bytes, NULL) == 0) {
        direction->n_taken += n_bytes;
        return n_bytes;
    }
    sonde_frame_decoder_fault(direction->decoder, &fault);
    uint64_t at_byte = direction->base + fault.at_byte;
    uint64_t before = direction->base + direction->n_taken;
    give_up(framing, at_byte, fault.what);
    return at_byte > before ? (size_t)(at_byte - before < n_bytes ? at_byte - before : n_bytes) : 0;
}

size_t framing_data(struct framing *framing, const struct conversation *conversation, int64_t t_ns, enum event_end from,
                    const void *data, size_t n_bytes, uint64_t n_missing)
{
    struct framed *framed = framed_of(framing, conversation->id);
    if (!framed || framed->direction[from].is_lost)
        return 0;
    struct direction *direction = framing->direction = &framed->direction[from];
    framing->message = (struct framing_message){.conversation = conversation, .t_ns = t_ns, .from = from};
    if (n_missing > 0 && !pass_over(framing, n_missing))
        return 0;
    if (!direction->decoder && !direction->websocket && !begin(framing)) {
        give_up(framing, direction->base, "no memory");
        return 0;
    }
    return direction->websocket ? feed_websocket(framing, data, n_bytes) : feed_decoder(framing, data, n_bytes);
}

static void direction_over(struct framing *framing, struct direction *direction)
{
    struct sonde_frame_fault fault;
    if (direction->websocket && websocket_rest(direction->websocket) > 0) {
        give_up(framing, direction->base + direction->n_taken, "the stream ends in the middle of a message");
    } else if (direction->decoder && sonde_frame_decoder_end(direction->decoder) < 0) {
        sonde_frame_decoder_fault(direction->decoder, &fault);
        give_up(framing, direction->base + fault.at_byte, fault.what);
    }
}

void framing_over(struct framing *framing, const struct conversation *conversation)
{
    struct framed **place = place_of(framing, conversation->id), *framed = *place;
    if (!framed)
        return;
    for (enum event_end from = END_A; from < N_ENDS; from++) {
        framing->direction = &framed->direction[from];
        framing->message =
            (struct framing_message){.conversation = conversation, .t_ns = conversation->last_ns, .from = from};
        direction_over(framing, framing->direction);
    }
    *place = framed->next;
    framing->n_framed--;
    framed_free(framed);
}

#define CLOSE_CODE_BYTES 2
#define CLOSE_CODE_NONE 1005

void framing_event(const struct framing_message *message, struct event *ret_event)
{
    const uint8_t *bytes = message->data;
    size_t n_data = message->n_data;
    *ret_event = (struct event){.source = EVENT_WIRE, .kind = EVENT_KIND_MESSAGE, .t_ns = message->t_ns};
    struct event_message *event = &ret_event->message;
    *event = (struct event_message){
        .kind = message->kind,
        .from = (uint8_t)message->from,
        .end = N_ENDS,
        .compressed = message->compressed,
        .joined = message->joined,
        .about = message->conversation->n_segments,
        .number = message->number,
        .n_bytes = message->kind == MESSAGE_MALFORMED ? message->at_byte : message->n_bytes,
        .words = message->kind == MESSAGE_MALFORMED ? message->words : NULL,
    };
    if (message->kind == MESSAGE_CLOSE) {
        event->code = n_data < CLOSE_CODE_BYTES ? CLOSE_CODE_NONE : (uint16_t)(bytes[0] << 8 | bytes[1]);
        size_t n_code = n_data < CLOSE_CODE_BYTES ? n_data : CLOSE_CODE_BYTES;
        bytes += n_code;
        n_data -= n_code;
    }
    event->data = n_data > 0 ? bytes : NULL;
    event->n_data = (uint32_t)(n_data < SEGMENT_PREVIEW_MAX ? n_data : SEGMENT_PREVIEW_MAX);
}
