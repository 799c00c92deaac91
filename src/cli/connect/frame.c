/* SPDX-License-Identifier: MIT */
#include "cli/connect/frame.h"

#include "cli/connect/talk.h"
#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHER_BYTES (64u * 1024u) /* of short messages, which then leave together */

/* ---- what was asked for */

static int ignore(const void *data, size_t n_bytes, void *user)
{
    (void)data, (void)n_bytes, (void)user;
    return 0;
}

static int make(const struct framing *framing, const struct sonde_frame *frame, sonde_frame_message message, void *user,
                struct sonde_frame_decoder **ret_decoder)
{
    const struct sonde_frame_decoder_options options = {.size = sizeof options, .max_bytes = framing->max_bytes};

    return sonde_frame_decoder_create(frame, &options, message, user, ret_decoder);
}

bool framing_open(struct framing *framing, const char *codec, long long max_bytes)
{
    struct sonde_why why;
    char shown[128];

    framing->max_bytes = max_bytes > 0 ? (uint64_t)max_bytes : SONDE_FRAME_MAX;
    escape_short(codec, strlen(codec), shown, sizeof shown);
    if (sonde_frame_parse(codec, &framing->frame, &why) < 0) {
        say(_("--frame %s is not understood: %s."), shown, why.detail);
        return false;
    }
    sonde_frame_format(&framing->frame, framing->name, sizeof framing->name);
    int error = make(framing, &framing->frame, ignore, NULL, &framing->received);
    if (error < 0)
        say(_("--frame %s has no message as short as --frame-max wants them: %llu bytes."), shown,
            (unsigned long long)framing->max_bytes);
    return error == 0;
}

void framing_close(struct framing *framing)
{
    sonde_frame_decoder_free(framing->received);
    sonde_frame_decoder_free(framing->sent);
    sonde_frame_decoder_free(framing->lines);
    free(framing->wire);
    framing->received = framing->sent = framing->lines = NULL;
    framing->wire = NULL;
    framing->n_wire = framing->room = 0;
}

/* A chunk of empty lines becomes as many delimiters, or lengths. */
uint64_t framing_send_limit(const struct framing *framing)
{
    const uint64_t per_chunk = (uint64_t)(SONDE_FRAME_DELIMITER_MAX + 1) * INPUT_CHUNK;

    return TALK_QUEUE_HIGH + per_chunk + GATHER_BYTES + sonde_frame_bound(&framing->frame, (size_t)framing->max_bytes);
}

/* Why a message cannot be sent, as part of a sentence. */
static const char *why_not(const struct framing *framing, int error, size_t n_bytes)
{
    if (n_bytes > framing->max_bytes && framing->is_transport)
        return _("it is longer than one can be here");
    if (n_bytes > framing->max_bytes)
        return _("it is longer than --frame-max allows");
    if (error == -ENOMEM)
        return _("memory is short");
    if (error == -EMSGSIZE)
        return framing->frame.codec == SONDE_FRAME_FIXED ? _("it does not have as many bytes")
                                                         : _("it is longer than the length before it can say");
    if (n_bytes == 0)
        return _("it is empty");
    if (framing->frame.codec == SONDE_FRAME_LEN)
        return _("its length field does not say how long it is");
    return _("it holds what ends a message");
}

/* ---- --send */

static bool make_larger(char **bytes, size_t *room, size_t n_most)
{
    size_t more = *room < n_most / 2 ? 2 * *room + 4096 : n_most;
    char *larger = realloc(*bytes, more < n_most ? more : n_most);

    if (larger == NULL)
        return false;
    *bytes = larger;
    *room = more < n_most ? more : n_most;
    return true;
}

/* A file as a message: the whole of it. Returns its bytes, to be freed, or NULL with an error. */
static char *read_file(const struct framing *framing, const struct send_piece *piece, size_t *ret_n_bytes,
                       int *ret_error)
{
    const size_t n_most = (size_t)framing->max_bytes + 1; /* one more, to see that it is too long */
    size_t n_bytes = 0, room = n_most;
    off_t end = lseek(piece->fd, 0, SEEK_END);
    if (end >= piece->first_bytes && (uint64_t)(end - piece->first_bytes) < n_most)
        room = (size_t)(end - piece->first_bytes) + 1;
    char *bytes = malloc(room);

    *ret_error = bytes == NULL ? -ENOMEM : 0;
    while (*ret_error == 0 && n_bytes < n_most) {
        /* Files of /proc/sys have more than they say, and others grow. */
        if (n_bytes == room && !make_larger(&bytes, &room, n_most)) {
            *ret_error = -ENOMEM;
            break;
        }
        ssize_t n = pread(piece->fd, bytes + n_bytes, room - n_bytes, piece->first_bytes + (off_t)n_bytes);
        if (n == 0)
            break;
        if (n > 0)
            n_bytes += (size_t)n;
        else if (errno != EINTR)
            *ret_error = -errno;
    }
    *ret_n_bytes = n_bytes;
    return bytes;
}

static bool wrap_piece(const struct framing *framing, struct send_piece *piece, unsigned number)
{
    size_t n_bytes = piece->n_bytes, n_wire = 0;
    char *bytes = piece->bytes;
    int error = 0;

    if (bytes == NULL && piece->is_stream) {
        say(_("--send %u: here it is one message, and of a pipe or a terminal it cannot be known beforehand what that "
              "is. Without --send, each line of standard input is one."),
            number);
        return false;
    }
    if (bytes == NULL)
        bytes = read_file(framing, piece, &n_bytes, &error);
    size_t n_most = sonde_frame_bound(&framing->frame, n_bytes);
    char *wire = error == 0 && n_bytes <= framing->max_bytes ? malloc(n_most) : NULL;
    if (error == 0)
        error = n_bytes > framing->max_bytes ? -EMSGSIZE
                : wire == NULL               ? -ENOMEM
                               : sonde_frame_encode(&framing->frame, bytes, n_bytes, wire, n_most, &n_wire);
    free(bytes);
    piece->bytes = wire;
    piece->n_bytes = n_wire;
    if (error == 0)
        return true;
    if (error == -EMSGSIZE || error == -EBADMSG || error == -ENOMEM)
        say(_("--send %u cannot be a message of %s: %s."), number, framing->name, why_not(framing, error, n_bytes));
    else
        say(_("--send %u cannot be read: %s."), number, sonde_strerror(error));
    return false;
}

bool framing_wrap_send(const struct framing *framing, struct send *send)
{
    for (unsigned i = 0; i < send->n_pieces; i++)
        if (!wrap_piece(framing, &send->pieces[i], i + 1))
            return false;
    return true;
}

/* ---- what is received, and what was sent */

static int on_received(const void *data, size_t n_bytes, void *user)
{
    struct framing *framing = user;

    return talk_message(framing->talk, data, n_bytes) ? 0 : 1;
}

static int on_sent(const void *data, size_t n_bytes, void *user)
{
    view_message(user, true, data, n_bytes);
    return 0;
}

int framing_begin(struct framing *framing, struct talk *talk)
{
    sonde_frame_decoder_free(framing->received);
    sonde_frame_decoder_free(framing->sent);
    framing->received = framing->sent = NULL;
    framing->talk = talk;
    framing->fault = (struct sonde_frame_fault){.what = ""};
    framing->n_wire = 0;
    int error = make(framing, &framing->frame, on_received, framing, &framing->received);
    if (error == 0 && view_shows_sent(talk->view))
        error = make(framing, &framing->frame, on_sent, talk->view, &framing->sent);
    return error;
}

int framing_received(struct framing *framing, const void *data, size_t n_bytes, uint64_t *ret_at_byte)
{
    int error = sonde_frame_decoder_feed(framing->received, data, n_bytes, NULL);

    if (error >= 0)
        return 0;
    sonde_frame_decoder_fault(framing->received, &framing->fault);
    *ret_at_byte = framing->fault.at_byte;
    return error;
}

uint64_t framing_end(struct framing *framing)
{
    struct sonde_frame_fault fault;

    if (sonde_frame_decoder_end(framing->received) != -ENODATA)
        return 0;
    sonde_frame_decoder_fault(framing->received, &fault);
    return fault.n_bytes;
}

void framing_sent(struct framing *framing, const void *data, size_t n_bytes)
{
    if (framing->sent != NULL)
        sonde_frame_decoder_feed(framing->sent, data, n_bytes, NULL);
}

/* ---- standard input */

static void send_gathered(struct framing *framing)
{
    size_t n_bytes = framing->n_wire;

    framing->n_wire = 0;
    if (n_bytes > 0)
        talk_bytes(framing->talk, framing->wire, n_bytes);
}

static bool make_room(struct framing *framing, size_t n_bytes)
{
    size_t room = framing->n_wire + n_bytes;

    if (room <= framing->room)
        return true;
    if (room < GATHER_BYTES)
        room = GATHER_BYTES;
    unsigned char *wire = realloc(framing->wire, room);
    if (wire == NULL)
        return false;
    framing->wire = wire;
    framing->room = room;
    return true;
}

static int on_line(const void *data, size_t n_bytes, void *user)
{
    struct framing *framing = user;
    size_t n_most = sonde_frame_bound(&framing->frame, n_bytes), n = 0;
    int error = -ENOMEM;

    framing->n_lines++;
    if (make_room(framing, n_most))
        error = sonde_frame_encode(&framing->frame, data, n_bytes, framing->wire + framing->n_wire, n_most, &n);
    if (error < 0) {
        framing->n_refused++;
        say(_("line %llu of standard input cannot be a message of %s, and is not sent: %s."),
            (unsigned long long)framing->n_lines, framing->name, why_not(framing, error, n_bytes));
        return 0;
    }
    framing->n_wire += n;
    /* Without a frame, messages in one piece would be one. */
    if (framing->n_wire >= GATHER_BYTES || framing->frame.codec == SONDE_FRAME_NONE)
        send_gathered(framing);
    return 0;
}

static bool is_over(const struct framing *framing)
{
    struct sonde_frame_fault fault = {.error = 0};

    if (framing->lines != NULL)
        sonde_frame_decoder_fault(framing->lines, &fault);
    return fault.error != 0 && fault.error != -ENODATA;
}

/* After an input that ended in the middle of a line, and then went on for another connection, it begins anew. */
static int open_lines(struct framing *framing)
{
    static const struct sonde_frame line = {.codec = SONDE_FRAME_LINE, .delimiter = "\n", .n_delimiter = 1};
    struct sonde_frame_fault fault = {.error = 0};

    if (framing->lines != NULL)
        sonde_frame_decoder_fault(framing->lines, &fault);
    if (framing->lines != NULL && fault.error == 0)
        return 0;
    sonde_frame_decoder_free(framing->lines);
    framing->lines = NULL;
    return make(framing, &line, on_line, framing, &framing->lines);
}

void framing_lines(struct framing *framing, const void *data, size_t n_bytes)
{
    if (is_over(framing))
        return;
    int error = open_lines(framing);
    if (error == 0)
        error = sonde_frame_decoder_feed(framing->lines, data, n_bytes, NULL);
    send_gathered(framing);
    if (error == 0)
        return;
    framing->n_refused++;
    say(_("line %llu of standard input cannot be a message, and nothing behind it is sent: %s."),
        (unsigned long long)framing->n_lines + 1,
        error == -ENOMEM ? _("memory is short") : _("it is longer than --frame-max allows"));
    talk_input_end(framing->talk);
}

void framing_lines_end(struct framing *framing)
{
    const void *rest;

    if (framing->lines == NULL || is_over(framing))
        return;
    /* The last line may lack its newline: it is a line nevertheless. */
    if (sonde_frame_decoder_end(framing->lines) == -ENODATA) {
        size_t n_bytes = sonde_frame_decoder_rest(framing->lines, &rest);
        on_line(rest, n_bytes, framing);
    }
    send_gathered(framing);
}
