/* SPDX-License-Identifier: MIT */
/*
 * The TLS layer: a session (tls/session.h) between the bytes below and those above.
 *
 * Records come and go in batches. What is decrypted is handed up piece by piece, as long as the one above may get it;
 * when it may not, the records that are left are kept as they came, still encrypted, and nothing more is taken from
 * below. So a piece that is decrypted already is never forgotten while the socket is quiet: `holds` says so, and go_on
 * hands it up.
 *
 * The end is the peer's close_notify, and what it sends behind that is ignored (RFC 8446, 6.1). An end of the
 * connection without it is a truncation: somebody may have cut what was sent. Our end is a close_notify, and the
 * socket's half-close behind it.
 */
#include "net/layers_internal.h"
#include "tls/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 16384      /* handed up at a time; what a record has at most */
#define SMALL_WRITE_BYTES 4096 /* up to here a write is encrypted on the stack */
#define SMALL_ROOM_BYTES (SMALL_WRITE_BYTES + 256)

/* The records of one write, so that they go down together. */
struct gather {
    uint8_t *bytes;
    size_t n_bytes, room;
};

struct tls_layer {
    struct layer layer;
    struct tls_session session;
    struct gather *gather; /* NULL: straight down */
    uint8_t *kept;         /* records that may not rise yet; the session reads from here */
    size_t n_kept;
    int64_t since_ns, handshake_ns;
    int down_error; /* of the connection; it fails by itself */
};

static struct tls_layer *tls_layer_of(struct layer *layer)
{
    return (struct tls_layer *)layer;
}

/* --- down ------------------------------------------------------------------------------------------------------- */

static int send_below(struct tls_layer *tls, const void *data, size_t n_bytes)
{
    int error = layer_down(&tls->layer, data, n_bytes);

    if (error == 0 || error == -ENOMEM)
        return error;
    tls->down_error = error;
    return 0;
}

static int flush(struct tls_layer *tls, struct gather *gather)
{
    size_t n_bytes = gather->n_bytes;

    gather->n_bytes = 0;
    return n_bytes > 0 ? send_below(tls, gather->bytes, n_bytes) : 0;
}

static int on_output(void *owner, const void *data, size_t n_bytes)
{
    struct tls_layer *tls = owner;
    struct gather *gather = tls->gather;
    int error = 0;

    if (gather == NULL)
        return send_below(tls, data, n_bytes);
    if (n_bytes > gather->room - gather->n_bytes)
        error = flush(tls, gather);
    if (error < 0)
        return error;
    if (n_bytes > gather->room)
        return send_below(tls, data, n_bytes);
    memcpy(gather->bytes + gather->n_bytes, data, n_bytes);
    gather->n_bytes += n_bytes;
    return 0;
}

static int encrypt(struct tls_layer *tls, const void *data, size_t n_bytes, struct gather *gather)
{
    tls->down_error = 0;
    tls->gather = gather;
    int error = tls_session_write(&tls->session, data, n_bytes);
    tls->gather = NULL;
    if (error == 0)
        error = flush(tls, gather);
    /* Records are missing in their order: nothing that follows would be understood. */
    if (error < 0)
        layer_doom(&tls->layer, error, "write", "%s", "");
    return error < 0 ? error : tls->down_error;
}

static int send_small(struct tls_layer *tls, const void *data, size_t n_bytes)
{
    uint8_t room[SMALL_ROOM_BYTES];
    struct gather gather = {.bytes = room, .room = sizeof room};

    return encrypt(tls, data, n_bytes, &gather);
}

static int on_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags)
{
    struct tls_layer *tls = tls_layer_of(layer);

    (void)flags;
    if (n_bytes == 0)
        return 0;
    if (n_bytes <= SMALL_WRITE_BYTES)
        return send_small(tls, data, n_bytes);
    struct gather gather = {.room = tls_session_room(n_bytes)};
    gather.bytes = loop_alloc(layer->stream->loop, gather.room);
    if (gather.bytes == NULL)
        return -ENOMEM;
    int error = encrypt(tls, data, n_bytes, &gather);
    loop_free(layer->stream->loop, gather.bytes, gather.room);
    return error;
}

static void on_shut(struct layer *layer)
{
    struct tls_layer *tls = tls_layer_of(layer);

    if (tls_session_shut(&tls->session) < 0)
        layer_doom(layer, -ENOMEM, "write", "%s", "");
    else
        layer_down_shut(layer);
}

/* --- up --------------------------------------------------------------------------------------------------------- */

static void forget_kept(struct tls_layer *tls)
{
    loop_free(tls->layer.stream->loop, tls->kept, tls->n_kept);
    tls->kept = NULL;
    tls->n_kept = 0;
}

static void throw_away(struct tls_layer *tls)
{
    tls_session_lend(&tls->session, NULL, 0);
    forget_kept(tls);
    tls->layer.holds = false;
}

static void doom(struct tls_layer *tls)
{
    const struct sonde_why *why = &tls->session.why;

    throw_away(tls);
    layer_doom(&tls->layer, why->code, why->call, "%s", why->detail);
}

/* Before the bytes that were lent are taken back: keep what is not read. */
static void keep(struct tls_layer *tls)
{
    size_t n_left = tls_session_unread(&tls->session);
    struct sonde_loop *loop = tls->layer.stream->loop;

    if (n_left == 0)
        forget_kept(tls);
    if (n_left > 0 && tls->kept == NULL) {
        tls->kept = loop_alloc(loop, n_left);
        if (tls->kept == NULL) {
            throw_away(tls);
            layer_doom(&tls->layer, -ENOMEM, "malloc", "%s", "");
            return;
        }
        tls->n_kept = n_left;
        memcpy(tls->kept, tls->session.lent, n_left);
        tls_session_lend(&tls->session, tls->kept, n_left);
    }
    tls->layer.holds = tls_session_holds(&tls->session);
}

static void hand_up(struct tls_layer *tls)
{
    struct layer *layer = &tls->layer;
    uint8_t piece[PIECE_BYTES];
    size_t n_bytes;

    while (layer_may_rise(layer)) {
        switch (tls_session_read(&tls->session, piece, sizeof piece, &n_bytes)) {
        case TLS_DONE:
            layer_up(layer, piece, n_bytes, 0);
            break;
        case TLS_END:
            throw_away(tls);
            layer_up_end(layer);
            return;
        case TLS_FAILED:
            doom(tls);
            return;
        case TLS_WANTS:
            layer->holds = false;
            forget_kept(tls);
            return;
        }
    }
    if (layer_is_over(layer))
        throw_away(tls);
    else
        keep(tls);
}

/* --- the handshake ---------------------------------------------------------------------------------------------- */

static void describe(const struct tls_layer *tls, char *ret_text, size_t size_bytes)
{
    struct sonde_tls_info info;
    size_t n = 0;

    tls_session_info(&tls->session, &info);
    const struct {
        const char *before, *text;
    } parts[] = {
        {"", info.version},         {", ", info.cipher},           {", ", info.group},
        {", ALPN ", info.alpn},     {", name ", info.server_name}, {", certificate ", info.subject},
        {", issuer ", info.issuer}, {", names ", info.names},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && n < size_bytes; i++)
        if (parts[i].text[0] != '\0')
            n += (size_t)snprintf(ret_text + n, size_bytes - n, "%s%s", parts[i].before, parts[i].text);
    if (n < size_bytes && info.subject[0] != '\0' && !info.verified)
        snprintf(ret_text + n, size_bytes - n, ", not verified");
}

static void shake_hands(struct tls_layer *tls)
{
    char text[1400];

    switch (tls_session_handshake(&tls->session)) {
    case TLS_DONE:
        tls->handshake_ns = clock_monotonic_ns() - tls->since_ns;
        describe(tls, text, sizeof text);
        layer_opened(&tls->layer, text);
        break;
    case TLS_END:
    case TLS_FAILED:
        doom(tls);
        break;
    case TLS_WANTS:
        break;
    }
}

static void on_begin(struct layer *layer)
{
    struct tls_layer *tls = tls_layer_of(layer);

    tls->since_ns = clock_monotonic_ns();
    shake_hands(tls);
}

static void on_take(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct tls_layer *tls = tls_layer_of(layer);

    if (layer->is_ended)
        return;
    tls_session_lend(&tls->session, bytes, n_bytes);
    if (!layer->is_open)
        shake_hands(tls);
    if (layer->is_open)
        hand_up(tls);
}

static void on_go_on(struct layer *layer)
{
    hand_up(tls_layer_of(layer));
}

static void on_end(struct layer *layer)
{
    const struct tls_layer *tls = tls_layer_of(layer);
    bool said_nothing = tls->session.n_first == 0;

    if (layer->is_ended)
        return;
    if (layer->is_open && layer->above != NULL && layer->above->has_all)
        layer_up_end(layer); /* nothing can have been cut off */
    else if (layer->is_open)
        layer_doom(layer, -SONDE_ETRUNCATED, "read", "%s", "");
    else
        layer_doom(layer, tls->session.is_server ? -ENODATA : -SONDE_ETLS, "handshake", "%s",
                   said_nothing ? "the peer ended the connection without a word"
                                : "the peer ended the connection in the middle of the handshake");
}

static void on_free(struct layer *layer)
{
    struct tls_layer *tls = tls_layer_of(layer);
    struct sonde_loop *loop = layer->stream->loop;

    tls_session_free(&tls->session);
    forget_kept(tls);
    loop_free(loop, tls, sizeof *tls);
}

static const struct layer_kind tls_kind = {
    .name = "TLS",
    .bit = SONDE_LAYER_TLS,
    .begin = on_begin,
    .take = on_take,
    .go_on = on_go_on,
    .end = on_end,
    .send = on_send,
    .shut = on_shut,
    .free = on_free,
};

int layer_tls_create(struct sonde_stream *stream, const struct sonde_tls *context, const char *host,
                     struct layer **ret_layer)
{
    struct tls_layer *tls = layer_alloc(stream, &tls_kind, sizeof *tls);

    if (tls == NULL)
        return -ENOMEM;
    int error = tls_session_init(&tls->session, context, host, on_output, tls);
    if (error < 0) {
        loop_free(stream->loop, tls, sizeof *tls);
        return error;
    }
    *ret_layer = &tls->layer;
    return 0;
}

int sonde_stream_tls_info(const struct sonde_stream *stream, struct sonde_tls_info *ret_info)
{
    struct layer *layer = stream->layers != NULL ? stream->layers->bottom : NULL;

    while (layer != NULL && layer->kind != &tls_kind)
        layer = layer->above;
    if (layer == NULL)
        return -ENOTCONN;
    const struct tls_layer *tls = tls_layer_of(layer);
    if (!layer->is_open && !tls->session.refused)
        return -ENOTCONN;
    tls_session_info(&tls->session, ret_info);
    ret_info->handshake_ns = tls->handshake_ns;
    return 0;
}
