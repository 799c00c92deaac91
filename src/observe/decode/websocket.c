/* SPDX-License-Identifier: MIT */
/*
 * A head is looked for where the first bytes are "GET " or "HTTP"; a capture that begins later begins with a frame, as
 * well as it can be known. Frames are read byte by byte as far as their header goes, and then by the piece. A control
 * frame may stand between the frames of a message, and has room of its own.
 */
#include "observe/decode/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 14 /* 2, 8 of length, 4 of mask */
#define CONTROL_MAX 125
#define FIN 0x80
#define RSV1 0x40
#define RSV_OTHERS 0x30
#define OPCODE 0x0f
#define MASK 0x80
#define LENGTH 0x7f
#define OPCODE_CLOSE 8

enum where { AT_BEGIN, IN_HEAD, IN_HEADER, IN_PAYLOAD, FAILED };

struct kept {
    uint8_t *bytes;
    size_t n, room;
    uint64_t n_all;
};

struct websocket {
    enum where where;
    struct kept head, message, control;
    unsigned n_ends; /* of the head's last bytes, those that fit CR LF CR LF */
    uint8_t header[HEADER_MAX];
    unsigned n_header;
    uint64_t n_left, n_payload; /* of this frame */
    uint8_t opcode;             /* of the message */
    bool begun, compressed;
    const char *fault;
};

struct websocket *websocket_new(void)
{
    return calloc(1, sizeof(struct websocket));
}

void websocket_free(struct websocket *socket)
{
    if (!socket)
        return;
    free(socket->head.bytes);
    free(socket->message.bytes);
    free(socket->control.bytes);
    free(socket);
}

const char *websocket_fault(const struct websocket *socket)
{
    return socket->fault ? socket->fault : "nothing is wrong";
}

uint64_t websocket_rest(const struct websocket *socket)
{
    if (socket->where == IN_HEAD)
        return socket->head.n_all;
    return socket->n_header + socket->message.n_all + socket->control.n_all;
}

static int fail(struct websocket *socket, int error, const char *why)
{
    socket->where = FAILED;
    socket->fault = why;
    return error;
}

static bool keep(struct kept *kept, const uint8_t *bytes, size_t n_bytes)
{
    kept->n_all += n_bytes;
    if (n_bytes > WEBSOCKET_KEPT_MAX - kept->n)
        n_bytes = WEBSOCKET_KEPT_MAX - kept->n;
    if (n_bytes == 0)
        return true;
    if (kept->n + n_bytes > kept->room) {
        size_t room = kept->room > 0 ? kept->room : 256;
        while (room < kept->n + n_bytes)
            room *= 2;
        uint8_t *grown = realloc(kept->bytes, room);
        if (!grown)
            return false;
        kept->bytes = grown;
        kept->room = room;
    }
    memcpy(kept->bytes + kept->n, bytes, n_bytes);
    kept->n += n_bytes;
    return true;
}

static void forget(struct kept *kept)
{
    free(kept->bytes);
    *kept = (struct kept){0};
}

static void hand_out(const struct kept *kept, uint8_t opcode, bool compressed, websocket_function function, void *user)
{
    function(
        &(struct websocket_message){
            .opcode = opcode,
            .compressed = compressed,
            .n_bytes = kept->n_all,
            .data = kept->n > 0 ? kept->bytes : (const uint8_t *)"",
            .n_data = kept->n,
        },
        user);
}

/* ---- the head */

static bool begins_with(const struct kept *kept, const char *text)
{
    return kept->n >= strlen(text) && memcmp(kept->bytes, text, strlen(text)) == 0;
}

/* An answer has to say 101; a request is taken as it is. */
static bool is_upgrade(const struct kept *head)
{
    return !begins_with(head, "HTTP/") || begins_with(head, "HTTP/1.1 101");
}

static int take_head(struct websocket *socket, const uint8_t *bytes, size_t n_bytes, websocket_function function,
                     void *user, size_t *ret_taken)
{
    static const uint8_t end[] = {'\r', '\n', '\r', '\n'};
    size_t n = 0;
    while (n < n_bytes && socket->n_ends < sizeof end) {
        uint8_t byte = bytes[n++];
        socket->n_ends = byte == end[socket->n_ends] ? socket->n_ends + 1 : byte == end[0];
    }
    *ret_taken = n;
    if (!keep(&socket->head, bytes, n))
        return fail(socket, -ENOMEM, "no memory");
    if (socket->head.n_all > WEBSOCKET_KEPT_MAX)
        return fail(socket, -EBADMSG, "an HTTP head without an end");
    if (socket->n_ends < sizeof end)
        return 0;
    bool upgrade = is_upgrade(&socket->head);
    hand_out(&socket->head, WEBSOCKET_HEAD, false, function, user);
    forget(&socket->head);
    if (!upgrade)
        return fail(socket, -EBADMSG, "the answer does not change to WebSocket");
    socket->where = IN_HEADER;
    return 0;
}

static void choose(struct websocket *socket, uint8_t first)
{
    socket->where = first == 'G' || first == 'H' ? IN_HEAD : IN_HEADER;
}

/* ---- frames */

static unsigned header_bytes(const struct websocket *socket)
{
    if (socket->n_header < 2)
        return 2;
    unsigned length = socket->header[1] & LENGTH;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (socket->header[1] & MASK ? 4 : 0);
}

static const char *what_is_wrong(const struct websocket *socket, uint64_t n_payload)
{
    uint8_t first = socket->header[0], opcode = first & OPCODE;
    bool is_control = opcode >= OPCODE_CLOSE;
    if (first & RSV_OTHERS || (first & RSV1 && (is_control || opcode == 0)))
        return "a frame with a reserved bit";
    if ((opcode > 2 && opcode < OPCODE_CLOSE) || opcode > 10)
        return "a frame with a reserved opcode";
    if (is_control && (!(first & FIN) || n_payload > CONTROL_MAX))
        return "a control frame that is long, or in parts";
    if (opcode == 0 && !socket->begun)
        return "a continuation of no message";
    if (opcode > 0 && !is_control && socket->begun)
        return "a message within a message";
    if (n_payload > INT64_MAX)
        return "a length with its highest bit";
    return NULL;
}

static int header_done(struct websocket *socket)
{
    unsigned length = socket->header[1] & LENGTH, n_long = length == 126 ? 2 : length == 127 ? 8 : 0;
    uint64_t n_payload = n_long > 0 ? 0 : length;
    for (unsigned i = 0; i < n_long; i++)
        n_payload = n_payload << 8 | socket->header[2 + i];
    const char *wrong = what_is_wrong(socket, n_payload);
    if (wrong)
        return fail(socket, -EBADMSG, wrong);
    uint8_t opcode = socket->header[0] & OPCODE;
    if (opcode > 0 && opcode < OPCODE_CLOSE) {
        socket->opcode = opcode;
        socket->compressed = socket->header[0] & RSV1;
        socket->begun = true;
    }
    socket->n_payload = socket->n_left = n_payload;
    socket->where = IN_PAYLOAD;
    return 0;
}

static void frame_done(struct websocket *socket, websocket_function function, void *user)
{
    uint8_t opcode = socket->header[0] & OPCODE;
    socket->where = IN_HEADER;
    socket->n_header = 0;
    if (opcode >= OPCODE_CLOSE) {
        hand_out(&socket->control, opcode, false, function, user);
        forget(&socket->control);
    } else if (socket->header[0] & FIN) {
        hand_out(&socket->message, socket->opcode, socket->compressed, function, user);
        forget(&socket->message);
        socket->begun = false;
    }
}

static int take_payload(struct websocket *socket, const uint8_t *bytes, size_t n_bytes)
{
    uint8_t plain[4096];
    const uint8_t *key = socket->header + header_bytes(socket) - 4;
    bool is_masked = socket->header[1] & MASK;
    struct kept *kept = (socket->header[0] & OPCODE) >= OPCODE_CLOSE ? &socket->control : &socket->message;
    while (n_bytes > 0) {
        size_t n = n_bytes < sizeof plain ? n_bytes : sizeof plain;
        uint64_t at = socket->n_payload - socket->n_left;
        for (size_t i = 0; i < n; i++)
            plain[i] = is_masked ? bytes[i] ^ key[(at + i) & 3] : bytes[i];
        if (!keep(kept, plain, n))
            return fail(socket, -ENOMEM, "no memory");
        socket->n_left -= n;
        bytes += n;
        n_bytes -= n;
    }
    return 0;
}

int websocket_feed(struct websocket *socket, const void *data, size_t n_bytes, websocket_function function, void *user,
                   size_t *ret_taken)
{
    const uint8_t *bytes = data;
    size_t at = 0;
    int error = socket->where == FAILED ? -EBADMSG : 0;
    while (error == 0 && at < n_bytes) {
        size_t n = 1;
        if (socket->where == AT_BEGIN) {
            choose(socket, bytes[at]);
            continue;
        }
        if (socket->where == IN_HEAD) {
            error = take_head(socket, bytes + at, n_bytes - at, function, user, &n);
        } else if (socket->where == IN_HEADER) {
            socket->header[socket->n_header++] = bytes[at];
            if (socket->n_header == header_bytes(socket))
                error = header_done(socket);
        } else {
            n = n_bytes - at < socket->n_left ? n_bytes - at : (size_t)socket->n_left;
            error = take_payload(socket, bytes + at, n);
        }
        at += n;
        if (error == 0 && socket->where == IN_PAYLOAD && socket->n_left == 0)
            frame_done(socket, function, user);
    }
    *ret_taken = at;
    return error;
}
