/* SPDX-License-Identifier: MIT */
/*
 * Listeners that believe what a proxy says of whom it connects for (?proxy=in).
 *
 * Theory of operation
 *
 * A connection from somebody who is not trusted is reset at once. Each other one is a stream of its own from the
 * beginning, but its owner does not know of it before its header is there (prologue.c): so a slow header holds up
 * nobody else. Most headers come whole, and are looked at where they were received; the pieces of others are put
 * together in a buffer that is as large as the longest header may be only when it has to be.
 *
 * A header that comes while the listener is paused is ready, and waits until it is resumed. Those that wait, for one or
 * the other, are counted and bounded. A listener that takes one connection at a time takes none while one waits.
 */
#include "net/listener_internal.h"
#include "net/prologue.h"
#include "net/proxy_header.h"

#include <errno.h>
#include <string.h>

enum { WAITING_MAX = 1024, FIRST_ROOM = 256 };

static const int64_t patience_ns = INT64_C(5) * 1000 * 1000 * 1000;

struct header_wait {
    struct prologue prologue; /* first */
    TAILQ_ENTRY(header_wait) link;
    struct sonde_listener *listener;
    struct sonde_stream *stream;
    struct sonde_address source; /* once it is ready; family 0: the connection speaks for itself */
    uint8_t *head;               /* the beginning, when more was needed */
    uint16_t n_head, room;
    bool is_ready;
};

TAILQ_HEAD(wait_list, header_wait);

struct headers {
    struct wait_list waiting;
    struct wait_list ready; /* only while the listener is paused, or about to go on */
    unsigned n;             /* in both */
    unsigned n_trusted;
    struct sonde_prefix trusted[];
};

/* --- who is trusted --------------------------------------------------------------------------------------------- */

static const struct sonde_prefix trusted_by_default[] = {
    {.family = AF_UNIX},
    {.family = AF_INET, .n_bits = 8, .ip = {127}},
    {.family = AF_INET6, .n_bits = 128, .ip = {[15] = 1}},
};

static size_t size_of(unsigned n_trusted)
{
    return sizeof(struct headers) + n_trusted * sizeof(struct sonde_prefix);
}

int headers_create(struct sonde_listener *listener, const struct sonde_prefix *trusted, unsigned n_trusted)
{
    if (n_trusted > SONDE_TRUSTED_MAX)
        return -EINVAL;
    if (n_trusted == 0) {
        trusted = trusted_by_default;
        n_trusted = sizeof trusted_by_default / sizeof *trusted_by_default;
    }
    struct headers *headers = loop_alloc(listener->loop, size_of(n_trusted));
    if (headers == NULL)
        return -ENOMEM;
    memset(headers, 0, sizeof *headers);
    TAILQ_INIT(&headers->waiting);
    TAILQ_INIT(&headers->ready);
    headers->n_trusted = n_trusted;
    memcpy(headers->trusted, trusted, n_trusted * sizeof *trusted);
    listener->headers = headers;
    return 0;
}

void headers_free(struct sonde_listener *listener)
{
    if (listener->headers != NULL)
        loop_free(listener->loop, listener->headers, size_of(listener->headers->n_trusted));
    listener->headers = NULL;
}

static bool is_trusted(const struct headers *headers, const struct sonde_address *peer)
{
    for (unsigned i = 0; i < headers->n_trusted; i++)
        if (sonde_prefix_contains(&headers->trusted[i], peer))
            return true;
    return false;
}

/* --- waiting ---------------------------------------------------------------------------------------------------- */

bool headers_hold_up(const struct sonde_listener *listener)
{
    return listener->headers != NULL && listener->headers->n > 0 && listener->flags & SONDE_LISTEN_ONE_BY_ONE;
}

/* The stream is the caller's from here on. */
static struct sonde_stream *forget(struct header_wait *wait)
{
    struct headers *headers = wait->listener->headers;
    struct sonde_stream *stream = wait->stream;
    struct sonde_loop *loop = stream->loop;

    TAILQ_REMOVE(wait->is_ready ? &headers->ready : &headers->waiting, wait, link);
    headers->n--;
    prologue_stop(&wait->prologue);
    stream_extra(stream)->prologue = NULL;
    loop_free(loop, wait->head, wait->room);
    loop_free(loop, wait, sizeof *wait);
    return stream;
}

/* Nobody has been told of it, and nobody will be. */
static void reset(struct sonde_stream *stream)
{
    stream->state &= (uint16_t)~STREAM_CONNECTING;
    sonde_stream_abort(stream);
}

static void refuse(struct sonde_listener *listener, struct sonde_stream *stream, int error)
{
    struct sonde_why why = {.code = error, .call = "proxy"};
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer);
    sonde_address_format(&peer, why.subject, sizeof why.subject);
    reset(stream);
    listener_tell_refused(listener, &peer, &why);
}

static void hand_over(struct header_wait *wait)
{
    struct sonde_listener *listener = wait->listener;
    struct sonde_address source = wait->source;
    struct sonde_stream *stream = forget(wait);

    if (source.family != 0) {
        stream->peer_said = (uint8_t)stream->peer.family;
        stream->peer = source;
    }
    listener_tell_accepted(listener, stream);
}

void headers_hand_over_ready(struct sonde_listener *listener)
{
    struct header_wait *wait;

    while (listener->headers != NULL && !listener->paused && !listener->closing && !loop_is_stopping(listener->loop) &&
           (wait = TAILQ_FIRST(&listener->headers->ready)) != NULL)
        hand_over(wait);
}

bool headers_any_ready(const struct sonde_listener *listener)
{
    return listener->headers != NULL && !TAILQ_EMPTY(&listener->headers->ready);
}

/* The pieces so far, and these bytes as far as a header can reach: 0, or -ENOMEM. */
static int put_together(struct header_wait *wait, const uint8_t *bytes, size_t n_bytes)
{
    struct sonde_loop *loop = wait->listener->loop;
    size_t most = PROXY_HEADER_MAX - wait->n_head, n = n_bytes < most ? n_bytes : most;

    if (wait->n_head + n > wait->room) {
        size_t room = wait->n_head + n <= FIRST_ROOM ? FIRST_ROOM : PROXY_HEADER_MAX;
        uint8_t *head = loop_alloc(loop, room);
        if (head == NULL)
            return -ENOMEM;
        if (wait->n_head > 0)
            memcpy(head, wait->head, wait->n_head);
        loop_free(loop, wait->head, wait->room);
        wait->head = head;
        wait->room = (uint16_t)room;
    }
    memcpy(wait->head + wait->n_head, bytes, n);
    wait->n_head += (uint16_t)n;
    return 0;
}

static int on_bytes(struct prologue *prologue, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken)
{
    struct header_wait *wait = (struct header_wait *)prologue;
    struct proxy_header header;
    size_t n_before = wait->n_head;
    int n;

    if (n_before == 0)
        n = proxy_header_parse(bytes, n_bytes, &header);
    if (n_before > 0 || n == 0) {
        int error = put_together(wait, bytes, n_bytes);
        if (error < 0)
            return error;
        n = proxy_header_parse(wait->head, wait->n_head, &header);
    }
    if (n <= 0)
        return n;
    if (header.is_known)
        wait->source = header.source;
    *ret_n_taken = (size_t)n - n_before;
    return 1;
}

static void on_over(struct prologue *prologue, int error)
{
    struct header_wait *wait = (struct header_wait *)prologue;
    struct sonde_listener *listener = wait->listener;
    struct headers *headers = listener->headers;

    if (error < 0) {
        refuse(listener, forget(wait), error);
    } else if (listener->paused || headers_any_ready(listener)) {
        TAILQ_REMOVE(&headers->waiting, wait, link);
        TAILQ_INSERT_TAIL(&headers->ready, wait, link);
        wait->is_ready = true;
    } else {
        hand_over(wait);
    }
    listener_go_on(listener);
}

static const struct prologue_rules rules = {.take = on_bytes, .over = on_over};

void headers_await(struct sonde_listener *listener, struct sonde_stream *stream)
{
    struct headers *headers = listener->headers;
    struct sonde_loop *loop = listener->loop;
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer);
    if (!is_trusted(headers, &peer)) {
        refuse(listener, stream, -EPERM);
        return;
    }
    /* A proxy sends its header at once: who has waited longest is the least likely to send one still. */
    struct header_wait *oldest = headers->n >= WAITING_MAX ? TAILQ_FIRST(&headers->waiting) : NULL;
    if (headers->n >= WAITING_MAX)
        refuse(listener, oldest != NULL ? forget(oldest) : stream, -ENOBUFS);
    if (listener->closing && oldest != NULL)
        reset(stream);
    if (listener->closing || headers->n >= WAITING_MAX)
        return;
    struct header_wait *wait = loop_alloc(loop, sizeof *wait);
    if (wait == NULL) {
        reset(stream);
        listener_in_trouble(listener, -ENOMEM);
        return;
    }
    memset(wait, 0, sizeof *wait);
    wait->listener = listener;
    wait->stream = stream;
    TAILQ_INSERT_TAIL(&headers->waiting, wait, link);
    headers->n++;
    stream_extra(stream)->prologue = &wait->prologue;
    prologue_begin(&wait->prologue, stream, &rules, NULL, 0, sonde_loop_now_ns(loop) + patience_ns);
}

void headers_close(struct sonde_listener *listener)
{
    struct headers *headers = listener->headers;
    struct header_wait *wait;

    while (headers != NULL &&
           ((wait = TAILQ_FIRST(&headers->waiting)) != NULL || (wait = TAILQ_FIRST(&headers->ready)) != NULL))
        reset(forget(wait));
}
