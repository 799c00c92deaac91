/* SPDX-License-Identifier: MIT */
/*
 * Bytes -> messages, pings, pongs, Close.
 *
 * Theory of operation
 *
 * A frame's head is read where it lies when all of it is there, and otherwise put together in `head`. Each of its bytes
 * is judged as soon as it has come. The payload is unmasked in place, piece by piece as it comes. Control frames, which
 * may stand between the fragments of a message, have a place of their own.
 *
 * A message that is not compressed and whose last frame has all of it is handed out where it lies. Everything else is
 * put together in `kept`, which grows by doubling: it is never more than twice what has come, or has come out of the
 * decompressor, nor more than the limit. Text is checked piece by piece too, after decompression, so that what can't be
 * UTF-8 is found with the first byte that can't be.
 */
#include "ws/ws.h"

#include <errno.h>
#include <sonde/error.h>
#include <string.h>

enum {
    KEPT_FIRST = 512,
    KEPT_HELD = 4096, /* more than that is given back after a message */
};

void ws_decoder_init(struct ws_decoder *decoder, const struct ws_decoder_options *options)
{
    const struct ws_deflate_terms *terms = options->deflate;

    *decoder = (struct ws_decoder){
        .allocator = *options->allocator,
        .limit_bytes = options->limit_bytes,
        .is_server = options->is_server,
        .deflates = terms != NULL,
    };
    if (terms != NULL) {
        decoder->takeover =
            options->is_server ? !terms->client_no_context_takeover : !terms->server_no_context_takeover;
        decoder->window_bits = options->is_server ? terms->client_max_window_bits : terms->server_max_window_bits;
    }
}

static void give_back(struct ws_decoder *decoder)
{
    if (decoder->kept != NULL)
        decoder->allocator.free(decoder->kept, decoder->room, decoder->allocator.user);
    decoder->kept = NULL;
    decoder->room = 0;
}

void ws_decoder_free(struct ws_decoder *decoder)
{
    give_back(decoder);
    ws_decompressor_free(decoder->decompressor);
    decoder->decompressor = NULL;
    decoder->is_over = true;
}

static enum ws_found violation(struct ws_decoder *decoder, struct ws_event *event, int error, unsigned code,
                               const char *words)
{
    decoder->is_over = true;
    event->error = error;
    event->code = (uint16_t)code;
    event->words = words;
    return WS_FOUND_VIOLATION;
}

static enum ws_found broken(struct ws_decoder *decoder, struct ws_event *event, const char *words)
{
    return violation(decoder, event, -SONDE_EWS, 1002, words);
}

static enum ws_found not_utf8(struct ws_decoder *decoder, struct ws_event *event, const char *words)
{
    return violation(decoder, event, -SONDE_EWS, 1007, words);
}

static enum ws_found too_big(struct ws_decoder *decoder, struct ws_event *event)
{
    return violation(decoder, event, -SONDE_ETOOBIG, 1009, "a message is longer than allowed");
}

static enum ws_found no_memory(struct ws_decoder *decoder, struct ws_event *event)
{
    return violation(decoder, event, -ENOMEM, 1011, "no memory for a message");
}

/* --- heads ------------------------------------------------------------------------------------------------------ */

static inline bool is_control(unsigned first)
{
    return first & 8;
}

/* All of a head, from its first two bytes. */
static inline size_t head_bytes(const uint8_t *head)
{
    unsigned length = head[1] & 0x7f;

    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + (head[1] & 0x80 ? 4 : 0);
}

static const char *fault_of_first(const struct ws_decoder *decoder, unsigned first)
{
    unsigned opcode = first & 0x0f;

    if (first & (WS_RSV & ~WS_RSV1))
        return "a reserved bit is set (RSV2, RSV3)";
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return "a reserved opcode";
    if (first & WS_RSV1 && !decoder->deflates)
        return "compressed (RSV1), which was not agreed on";
    if (first & WS_RSV1 && (is_control(opcode) || opcode == WS_CONTINUATION))
        return "RSV1 where no message begins";
    if (is_control(opcode) && !(first & WS_FIN))
        return "a control frame in fragments";
    if (opcode == WS_CONTINUATION && !decoder->in_message)
        return "a continuation of no message";
    if (!is_control(opcode) && opcode != WS_CONTINUATION && decoder->in_message)
        return "a message begins inside another one";
    return NULL;
}

static const char *fault_of_second(const struct ws_decoder *decoder, unsigned first, unsigned second)
{
    if (decoder->is_server && !(second & 0x80))
        return "a frame from a client that is not masked";
    if (!decoder->is_server && second & 0x80)
        return "a frame from a server that is masked";
    if (is_control(first) && (second & 0x7f) > WS_CONTROL_MAX)
        return "a control frame of more than 125 bytes";
    return NULL;
}

/* The length of the payload; *ret_fault when it is not as it should be. */
static uint64_t payload_bytes(const uint8_t *head, const char **ret_fault)
{
    unsigned length = head[1] & 0x7f, n_more = length == 127 ? 8 : length == 126 ? 2 : 0;
    uint64_t n_bytes = 0;

    if (n_more == 0)
        return length;
    for (unsigned i = 0; i < n_more; i++)
        n_bytes = n_bytes << 8 | head[2 + i];
    if (n_bytes >> 63)
        *ret_fault = "a length of more than 63 bits";
    else if (n_bytes < (n_more == 8 ? UINT64_C(0x10000) : 126))
        *ret_fault = "a length in more bytes than it needs";
    return n_bytes;
}

/* The head is complete. */
static enum ws_found begin_frame(struct ws_decoder *decoder, const uint8_t *head, struct ws_event *event)
{
    const char *fault = fault_of_first(decoder, head[0]);

    if (fault == NULL)
        fault = fault_of_second(decoder, head[0], head[1]);
    uint64_t n_bytes = fault == NULL ? payload_bytes(head, &fault) : 0;
    if (fault != NULL)
        return broken(decoder, event, fault);
    decoder->first = head[0];
    decoder->n_left = n_bytes;
    if (head[1] & 0x80)
        memcpy(&decoder->mask, head + head_bytes(head) - 4, 4);
    decoder->n_head = 0;
    decoder->in_frame = true;
    if (is_control(head[0])) {
        decoder->n_control = 0;
        return WS_FOUND_NOTHING;
    }
    if (!decoder->in_message) {
        decoder->in_message = true;
        decoder->message_first = head[0];
        decoder->utf8 = (struct ws_utf8){0};
        decoder->n_kept = 0;
    }
    if (!(decoder->message_first & WS_RSV1) && n_bytes > decoder->limit_bytes - decoder->n_kept)
        return too_big(decoder, event);
    return WS_FOUND_NOTHING;
}

/* A head that comes in pieces: whatever is wrong with it is found as soon as when it comes whole. */
static enum ws_found add_to_head(struct ws_decoder *decoder, uint8_t byte, struct ws_event *event)
{
    uint8_t *head = decoder->head;
    const char *fault = NULL;

    head[decoder->n_head++] = byte;
    if (decoder->n_head == 1) {
        fault = fault_of_first(decoder, head[0]);
    } else {
        if (decoder->n_head == 2)
            fault = fault_of_second(decoder, head[0], head[1]);
        else if (decoder->n_head == ((head[1] & 0x7f) == 127 ? 10 : 4) && (head[1] & 0x7f) >= 126)
            payload_bytes(head, &fault);
        if (fault == NULL && decoder->n_head == head_bytes(head))
            return begin_frame(decoder, head, event);
    }
    return fault != NULL ? broken(decoder, event, fault) : WS_FOUND_NOTHING;
}

static enum ws_found take_head(struct ws_decoder *decoder, const uint8_t *bytes, size_t n_bytes, size_t *at,
                               struct ws_event *event)
{
    const uint8_t *head = bytes + *at;
    size_t n = n_bytes - *at;
    enum ws_found found = WS_FOUND_NOTHING;

    if (decoder->n_head == 0 && n >= 2 && n >= head_bytes(head)) {
        *at += head_bytes(head);
        return begin_frame(decoder, head, event);
    }
    while (*at < n_bytes && !decoder->in_frame && found == WS_FOUND_NOTHING)
        found = add_to_head(decoder, bytes[(*at)++], event);
    return found;
}

/* --- control frames --------------------------------------------------------------------------------------------- */

static enum ws_found take_close(struct ws_decoder *decoder, uint8_t *payload, size_t n_bytes, struct ws_event *event)
{
    event->code = 1005;
    if (n_bytes == 1)
        return broken(decoder, event, "a Close frame of one byte");
    if (n_bytes >= 2) {
        event->code = (uint16_t)(payload[0] << 8 | payload[1]);
        event->data = payload + 2;
        event->n_bytes = n_bytes - 2;
        if (!ws_close_code_valid(event->code))
            return broken(decoder, event, "a Close frame with a code that may not be sent");
        if (!ws_utf8_valid(event->data, event->n_bytes))
            return not_utf8(decoder, event, "the reason of a Close frame is not UTF-8");
    }
    decoder->is_over = true;
    return WS_FOUND_CLOSE;
}

static enum ws_found take_control(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, struct ws_event *event)
{
    unsigned opcode = decoder->first & 0x0f;
    bool in_place = decoder->n_control == 0 && decoder->n_left == 0;

    if (!in_place) {
        memcpy(decoder->control + decoder->n_control, bytes, n_bytes);
        decoder->n_control += (uint8_t)n_bytes;
        if (decoder->n_left > 0)
            return WS_FOUND_NOTHING;
        bytes = decoder->control;
        n_bytes = decoder->n_control;
    }
    decoder->in_frame = false;
    event->opcode = (uint8_t)opcode;
    event->data = bytes;
    event->n_bytes = n_bytes;
    if (opcode == WS_CLOSE)
        return take_close(decoder, bytes, n_bytes, event);
    return opcode == WS_PING ? WS_FOUND_PING : WS_FOUND_PONG;
}

/* --- messages --------------------------------------------------------------------------------------------------- */

/* Room for more in `kept`. */
static int make_room(struct ws_decoder *decoder, uint64_t n_wanted, uint64_t n_most)
{
    uint64_t room = decoder->room > 0 ? (uint64_t)decoder->room * 2 : KEPT_FIRST;

    if (n_wanted <= decoder->room)
        return 0;
    if (room < n_wanted)
        room = n_wanted * 2;
    if (room > n_most)
        room = n_most;
    if (room > SIZE_MAX)
        return -ENOMEM;
    uint8_t *kept = decoder->allocator.alloc((size_t)room, decoder->allocator.user);
    if (kept == NULL)
        return -ENOMEM;
    if (decoder->n_kept > 0)
        memcpy(kept, decoder->kept, decoder->n_kept);
    give_back(decoder);
    decoder->kept = kept;
    decoder->room = (size_t)room;
    return 0;
}

static bool is_last(const struct ws_decoder *decoder)
{
    return decoder->first & WS_FIN && decoder->n_left == 0;
}

static enum ws_found hand_out(struct ws_decoder *decoder, uint8_t *data, size_t n_bytes, struct ws_event *event)
{
    unsigned first = decoder->message_first;

    if ((first & 0x0f) == WS_TEXT && !ws_utf8_complete(&decoder->utf8))
        return not_utf8(decoder, event, "a text ends inside a character");
    decoder->in_message = false;
    event->opcode = first & 0x0f;
    event->compressed = first & WS_RSV1;
    event->data = data;
    event->n_bytes = n_bytes;
    return WS_FOUND_MESSAGE;
}

static enum ws_found hand_out_kept(struct ws_decoder *decoder, struct ws_event *event)
{
    /* An empty one may have no memory; any place will do. */
    uint8_t *data = decoder->kept != NULL ? decoder->kept : decoder->control;

    decoder->handed = true;
    return hand_out(decoder, data, decoder->n_kept, event);
}

static bool goes_on_as_text(struct ws_decoder *decoder, const uint8_t *bytes, size_t n_bytes)
{
    return (decoder->message_first & 0x0f) != WS_TEXT || ws_utf8_feed(&decoder->utf8, bytes, n_bytes);
}

static const char *const words_not_utf8 = "a text that is not UTF-8";

/* ascii: that much is known of these bytes already. */
static enum ws_found take_plain(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, bool ascii,
                                struct ws_event *event)
{
    if (!(ascii && ws_utf8_complete(&decoder->utf8)) && !goes_on_as_text(decoder, bytes, n_bytes))
        return not_utf8(decoder, event, words_not_utf8);
    if (is_last(decoder) && decoder->n_kept == 0)
        return hand_out(decoder, bytes, n_bytes, event);
    if (n_bytes > 0) {
        uint64_t n_wanted = decoder->n_kept + n_bytes;
        uint64_t n_most = decoder->first & WS_FIN ? n_wanted + decoder->n_left : decoder->limit_bytes;
        if (make_room(decoder, n_wanted, n_most) < 0)
            return no_memory(decoder, event);
        memcpy(decoder->kept + decoder->n_kept, bytes, n_bytes);
        decoder->n_kept += n_bytes;
    }
    return is_last(decoder) ? hand_out_kept(decoder, event) : WS_FOUND_NOTHING;
}

/* Some of a compressed message; bytes NULL: its end. */
static enum ws_found inflate_some(struct ws_decoder *decoder, const uint8_t *bytes, size_t n_bytes,
                                  struct ws_event *event)
{
    int error = -ENOBUFS;

    /* With room for one byte more than may be, to see whether it comes. */
    for (size_t n_taken = 0, n_written = 0; error == -ENOBUFS; n_taken = n_written = 0) {
        if (make_room(decoder, (uint64_t)decoder->n_kept + 1, decoder->limit_bytes + 1) < 0)
            return no_memory(decoder, event);
        uint8_t *to = decoder->kept + decoder->n_kept;
        size_t room = decoder->room - decoder->n_kept;
        error = bytes == NULL ? ws_decompress_end(decoder->decompressor, to, room, &n_written)
                              : ws_decompress(decoder->decompressor, bytes, n_bytes, to, room, &n_taken, &n_written);
        if (n_taken > 0) {
            bytes += n_taken;
            n_bytes -= n_taken;
        }
        decoder->n_kept += n_written;
        if (!goes_on_as_text(decoder, to, n_written))
            return not_utf8(decoder, event, words_not_utf8);
        if (decoder->n_kept > decoder->limit_bytes)
            return too_big(decoder, event);
    }
    if (error == -ENOMEM)
        return no_memory(decoder, event);
    return error < 0 ? broken(decoder, event, "a compressed message that can't be decompressed") : WS_FOUND_NOTHING;
}

static enum ws_found take_compressed(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, struct ws_event *event)
{
    enum ws_found found = WS_FOUND_NOTHING;

    if (decoder->decompressor == NULL && ws_decompressor_create(&decoder->allocator, decoder->window_bits,
                                                                decoder->takeover, &decoder->decompressor) < 0)
        return no_memory(decoder, event);
    if (n_bytes > 0)
        found = inflate_some(decoder, bytes, n_bytes, event);
    if (found == WS_FOUND_NOTHING && is_last(decoder))
        found = inflate_some(decoder, NULL, 0, event);
    if (found != WS_FOUND_NOTHING)
        return found;
    return is_last(decoder) ? hand_out_kept(decoder, event) : WS_FOUND_NOTHING;
}

static enum ws_found take_payload(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, struct ws_event *event)
{
    bool ascii = false;

    if (decoder->is_server) {
        ascii = !ws_mask(bytes, n_bytes, decoder->mask);
        if (n_bytes & 3)
            decoder->mask = ws_mask_at(decoder->mask, n_bytes);
    }
    decoder->n_left -= n_bytes;
    if (is_control(decoder->first))
        return take_control(decoder, bytes, n_bytes, event);
    if (decoder->n_left == 0)
        decoder->in_frame = false;
    if (decoder->message_first & WS_RSV1)
        return take_compressed(decoder, bytes, n_bytes, event);
    return take_plain(decoder, bytes, n_bytes, ascii, event);
}

/* The message that was handed out last is done with. */
static void next_message(struct ws_decoder *decoder)
{
    decoder->handed = false;
    decoder->n_kept = 0;
    if (decoder->room > KEPT_HELD)
        give_back(decoder);
}

enum ws_found ws_decode(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken,
                        struct ws_event *ret_event)
{
    enum ws_found found = WS_FOUND_NOTHING;
    size_t at = 0;

    *ret_event = (struct ws_event){.data = decoder->control, .words = ""};
    if (decoder->handed)
        next_message(decoder);
    while (found == WS_FOUND_NOTHING && at < n_bytes && !decoder->is_over) {
        if (!decoder->in_frame) {
            found = take_head(decoder, bytes, n_bytes, &at, ret_event);
            if (found != WS_FOUND_NOTHING || !decoder->in_frame)
                break;
        }
        uint64_t n = n_bytes - at < decoder->n_left ? n_bytes - at : decoder->n_left;
        if (n == 0 && decoder->n_left > 0)
            break;
        found = take_payload(decoder, bytes + at, (size_t)n, ret_event);
        at += (size_t)n;
    }
    *ret_n_taken = decoder->is_over ? n_bytes : at;
    return found;
}
