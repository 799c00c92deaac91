/* SPDX-License-Identifier: MIT */
/*
 * --frame: what clients send is taken apart into messages, which the service is given instead of bytes. A stream that
 * is not what it should be ends at that place: what came before is answered, nothing behind it is, and the connection
 * is closed politely, so that the answers arrive.
 *
 * The decoder of a connection stands in the stream's room behind what is the service's own. It is made when the first
 * bytes come.
 *
 * Where the stream has messages itself, each is taken apart by itself: it holds whole frames, and what is left behind
 * the last one is wrong. The frames of one are answered in one. A datagram that is wrong ends nothing: the frames
 * before that place are answered, the rest is counted, and the next datagram is as good as any.
 */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <sonde/ws.h>
#include <string.h>

enum {
    QUEUE_BYTES = 4 * SERVE_SLICE_BYTES, /* what waits before a stream is paused, and what one piece adds to it */
};

#define FINISH_NS (5 * INT64_C(1000000000))

static uint64_t longest(const struct serve *serve)
{
    return serve->settings->frame_max > 0 ? (uint64_t)serve->settings->frame_max : SONDE_FRAME_MAX;
}

static size_t own_bytes(const struct worker *worker)
{
    return (worker->service->connection_bytes + 7) / 8 * 8;
}

size_t serve_user_bytes(const struct worker *worker)
{
    if (!worker->serve->has_frame)
        return sizeof(struct connection) + worker->service->connection_bytes;
    return sizeof(struct connection) + own_bytes(worker) + sizeof(struct sonde_frame_decoder *);
}

/* An answer must never find the queue full only because it is long. */
uint64_t serve_frame_send_limit(const struct serve *serve)
{
    uint64_t n_bytes;

    if (!serve->has_frame)
        return 0;
    n_bytes = QUEUE_BYTES + sonde_frame_bound(&serve->frame, (size_t)longest(serve));
    return n_bytes > SONDE_SEND_LIMIT ? n_bytes : SONDE_SEND_LIMIT;
}

static struct sonde_frame_decoder **decoder_of(const struct worker *worker, const struct sonde_stream *stream)
{
    return (struct sonde_frame_decoder **)((char *)(connection_of(stream) + 1) + own_bytes(worker));
}

/* --- what was asked for ------------------------------------------------------------------------------------------- */

static int ignore(const void *data, size_t n_bytes, void *user)
{
    (void)data, (void)n_bytes, (void)user;
    return 0;
}

static enum exit_status misuse(const char *sentence)
{
    say("%s", sentence);
    return EXIT_MISUSE;
}

enum exit_status serve_frame_check(struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    struct sonde_frame_decoder *decoder;
    struct sonde_why why;
    char shown[128];

    if (settings->frame == NULL)
        return settings->frame_max == 0 ? EXIT_DONE
                                        : misuse(_("--frame-max is the longest message of --frame: say what it is."));
    if (!(serve->service->flags & SERVICE_TAKES_MESSAGES)) {
        say(_("--frame is for echo and discard: %s has no use for messages."), serve->service->name);
        return EXIT_MISUSE;
    }
    escape_short(settings->frame, strlen(settings->frame), shown, sizeof(shown));
    if (sonde_frame_parse(settings->frame, &serve->frame, &why) < 0) {
        say(_("--frame %s is not understood: %s."), shown, why.detail);
        return EXIT_MISUSE;
    }
    const struct sonde_frame_decoder_options options = {.size = sizeof(options), .max_bytes = longest(serve)};
    int error = sonde_frame_decoder_create(&serve->frame, &options, ignore, NULL, &decoder);
    if (error < 0) {
        say(_("--frame %s has no message as short as --frame-max wants them: %" PRIu64 " bytes."), shown,
            longest(serve));
        return EXIT_MISUSE;
    }
    sonde_frame_decoder_free(decoder);
    serve->has_frame = true;
    return EXIT_DONE;
}

/* --- what is wrong with what came --------------------------------------------------------------------------------- */

static void say_fault(const struct worker *worker, struct sonde_stream *stream, const struct sonde_frame_fault *fault)
{
    uint64_t number = serve_number_of(worker, sonde_stream_id(stream));
    char peer[SONDE_ADDRESS_TEXT], codec[SONDE_FRAME_TEXT];
    struct sonde_address address;

    if (worker->serve->settings->quiet)
        return;
    sonde_stream_peer(stream, &address);
    sonde_address_format(&address, peer, sizeof(peer));
    sonde_frame_format(&worker->serve->frame, codec, sizeof(codec));
    switch (fault->error) {
    case -EMSGSIZE:
        say(_("[%" PRIu64 "] %s is closed: at byte %" PRIu64 " of what it sent, a message of %s has %" PRIu64
              " bytes or more, and --frame-max allows %" PRIu64 "."),
            number, peer, fault->at_byte, codec, fault->n_bytes, longest(worker->serve));
        break;
    case -ENODATA:
        say(fault->n_bytes == 1 ? _("[%" PRIu64 "] %s ended in the middle of a message of %s, at byte %" PRIu64
                                    ": %" PRIu64 " byte of it had come.")
                                : _("[%" PRIu64 "] %s ended in the middle of a message of %s, at byte %" PRIu64
                                    ": %" PRIu64 " bytes of it had come."),
            number, peer, codec, fault->at_byte, fault->n_bytes);
        break;
    default:
        say(_("[%" PRIu64 "] %s is closed: byte %" PRIu64 " of what it sent is wrong for %s: %s."), number, peer,
            fault->at_byte, codec, fault->what);
        break;
    }
}

/* One that is closed already, for a reason of ours, may well leave off in the middle: that is no news. */
static void note_fault(struct worker *worker, struct sonde_stream *stream)
{
    struct connection *connection = connection_of(stream);
    struct sonde_frame_fault fault;

    if (connection->reason != SERVE_OPEN)
        return;
    sonde_frame_decoder_fault(*decoder_of(worker, stream), &fault);
    connection->reason = SERVE_BAD_MESSAGE;
    connection->error = fault.error;
    serve_output_flush(worker); /* what has happened before is told before */
    say_fault(worker, stream, &fault);
}

static void give_up(struct sonde_stream *stream, int error)
{
    struct connection *connection = connection_of(stream);

    connection->reason = SERVE_ERROR;
    connection->error = error;
    sonde_stream_abort(stream);
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

static int on_message(const void *data, size_t n_bytes, void *user)
{
    struct sonde_stream *stream = user;
    struct worker *worker = sonde_stream_owner(stream);

    if (worker->service->message != NULL)
        worker->service->message(&worker->run, stream, connection_of(stream) + 1, data, n_bytes);
    return 0;
}

/* The same where somebody looks on. */
static int on_shown_message(const void *data, size_t n_bytes, void *user)
{
    struct sonde_stream *stream = user;
    struct worker *worker = sonde_stream_owner(stream);

    uint64_t n = sonde_frame_decoder_messages(*decoder_of(worker, stream));
    if (sonde_stream_has_messages(stream))
        n += serve_notes_of(worker, stream)->n_frames;
    serve_show_message(worker, stream, data, n_bytes, n);
    return on_message(data, n_bytes, user);
}

static struct sonde_frame_decoder *find_decoder(struct worker *worker, struct sonde_stream *stream,
                                                sonde_frame_message message)
{
    const struct sonde_frame_decoder_options options = {.size = sizeof(options), .max_bytes = longest(worker->serve)};
    struct sonde_frame_decoder **decoder = decoder_of(worker, stream);

    if (*decoder == NULL && sonde_frame_decoder_create(&worker->serve->frame, &options, message, stream, decoder) < 0)
        give_up(stream, -ENOMEM);
    return *decoder;
}

static void take(struct sonde_stream *stream, const struct sonde_lent *bytes, sonde_frame_message message)
{
    struct worker *worker = sonde_stream_owner(stream);
    struct sonde_frame_fault fault = {.error = -ENOMEM};
    struct sonde_frame_decoder *decoder = find_decoder(worker, stream, message);

    if (decoder != NULL)
        sonde_frame_decoder_fault(decoder, &fault);
    if (fault.error < 0)
        return; /* it is being closed */
    int error = sonde_frame_decoder_feed(decoder, bytes->data, bytes->n_bytes, NULL);
    if (worker->service->messages_end != NULL)
        worker->service->messages_end(&worker->run, stream, connection_of(stream) + 1);
    if (error == -ENOMEM) {
        give_up(stream, error);
    } else if (error < 0 && connection_of(stream)->reason == SERVE_OPEN) {
        note_fault(worker, stream);
        sonde_stream_finish(stream, sonde_loop_now_ns(worker->loop) + FINISH_NS);
    }
}

/* What is wrong with a message, by its own bytes. */
static void say_message_fault(struct worker *worker, struct sonde_stream *stream, const struct sonde_frame_fault *fault,
                              uint64_t begin)
{
    uint64_t number = serve_number_of(worker, sonde_stream_id(stream));
    char peer[SONDE_ADDRESS_TEXT], codec[SONDE_FRAME_TEXT];
    struct sonde_address address;

    if (worker->serve->settings->quiet || !serve_may_tell(worker))
        return;
    serve_output_flush(worker); /* what has happened before is told before */
    sonde_stream_peer(stream, &address);
    sonde_address_format(&address, peer, sizeof(peer));
    sonde_frame_format(&worker->serve->frame, codec, sizeof(codec));
    if (sonde_stream_has_end(stream))
        say(_("[%" PRIu64 "] %s is closed: byte %" PRIu64 " of a message is wrong for %s: %s."), number, peer,
            fault->at_byte - begin, codec, fault->what);
    else
        say(_("[%" PRIu64 "] %s: byte %" PRIu64 " of a datagram is wrong for %s: %s. Such datagrams are counted."),
            number, peer, fault->at_byte - begin, codec, fault->what);
}

static void close_for_fault(struct worker *worker, struct sonde_stream *stream, int error)
{
    struct connection *connection = connection_of(stream);

    connection->reason = SERVE_BAD_MESSAGE;
    connection->error = error;
    if (sonde_stream_layers(stream) & SONDE_LAYER_WS)
        sonde_ws_close(stream, error == -EMSGSIZE ? 1009 : 1007, "", 0);
    sonde_stream_finish(stream, sonde_loop_now_ns(worker->loop) + FINISH_NS);
}

static void note_message_fault(struct worker *worker, struct sonde_stream *stream, uint64_t begin)
{
    struct sonde_frame_decoder **decoder = decoder_of(worker, stream);
    struct message_notes *notes = serve_notes_of(worker, stream);
    struct sonde_frame_fault fault;

    if (connection_of(stream)->reason != SERVE_OPEN)
        return;
    sonde_frame_decoder_fault(*decoder, &fault);
    if (notes->n_bad++ == 0)
        say_message_fault(worker, stream, &fault, begin);
    if (sonde_stream_has_end(stream)) {
        close_for_fault(worker, stream, fault.error);
        return;
    }
    notes->n_frames += sonde_frame_decoder_messages(*decoder);
    sonde_frame_decoder_free(*decoder);
    *decoder = NULL;
}

static void take_message(struct sonde_stream *stream, const struct sonde_lent *bytes, sonde_frame_message message)
{
    struct worker *worker = sonde_stream_owner(stream);
    struct sonde_frame_fault fault = {.error = -ENOMEM};
    struct sonde_frame_decoder *decoder = find_decoder(worker, stream, message);

    if (bytes->flags & SONDE_CUT) {
        serve_message_cut(worker, stream, bytes);
        return;
    }
    if (decoder != NULL)
        sonde_frame_decoder_fault(decoder, &fault);
    if (fault.error < 0)
        return; /* it is being closed */
    uint64_t begin = sonde_frame_decoder_taken_bytes(decoder);
    worker->run.message_flags = bytes->flags;
    int error = sonde_frame_decoder_feed(decoder, bytes->data, bytes->n_bytes, NULL);
    if (error == 0)
        error = sonde_frame_decoder_end(decoder);
    if (worker->service->messages_end != NULL)
        worker->service->messages_end(&worker->run, stream, connection_of(stream) + 1);
    worker->run.message_flags = 0;
    if (error == -ENOMEM)
        give_up(stream, error);
    else if (error < 0)
        note_message_fault(worker, stream, begin);
}

void serve_frame_message(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    take_message(stream, bytes, on_message);
}

void serve_frame_shown_message(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    take_message(stream, bytes, on_shown_message);
}

void serve_frame_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    take(stream, bytes, on_message);
}

void serve_frame_shown_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    take(stream, bytes, on_shown_message);
}

/* The peer has ended: between two messages? */
void serve_frame_end(struct worker *worker, struct sonde_stream *stream)
{
    struct sonde_frame_decoder *decoder = *decoder_of(worker, stream);

    if (decoder != NULL && connection_of(stream)->reason != SERVE_BAD_MESSAGE &&
        sonde_frame_decoder_end(decoder) == -ENODATA)
        note_fault(worker, stream);
}

void serve_frame_closed(struct worker *worker, struct sonde_stream *stream)
{
    sonde_frame_decoder_free(*decoder_of(worker, stream));
    *decoder_of(worker, stream) = NULL;
}

uint64_t serve_frame_at_byte(const struct worker *worker, const struct sonde_stream *stream)
{
    struct sonde_frame_fault fault = {.at_byte = 0};

    if (worker->serve->has_frame && *decoder_of(worker, stream) != NULL)
        sonde_frame_decoder_fault(*decoder_of(worker, stream), &fault);
    return fault.at_byte;
}
