/* SPDX-License-Identifier: MIT */
/*
 * Connections with messages: WebSocket, UNIX packets, and datagrams, of which all that comes from one address makes a
 * connection.
 *
 * What is counted of them beside what the library counts stands in the stream's room behind everything else, which
 * other connections have none of. Whatever is lost is counted and told: at once when it is the first of its kind on a
 * connection, in its closed line, and at the end.
 *
 * Two services that answer whatever comes, one at each end of a datagram whose sender is forged, would answer each
 * other for ever. So datagrams that come from where such a service has its place (echo, daytime, quote of the day,
 * chargen, time: RFC 862 to 868), or from the port that we have ourselves, are counted and not answered.
 */
#include "cli/serve/serve_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TELL_AGAIN_NS INT64_C(1000000000)

enum { TELLS_PER_SECOND = 20 };

/* --- which addresses have them -------------------------------------------------------------------------------------
 */

bool serve_url_is_datagrams(const struct sonde_url *url)
{
    return url->scheme == SONDE_SCHEME_UDP || url->scheme == SONDE_SCHEME_UNIXGRAM;
}

bool serve_url_has_messages(const struct sonde_url *url)
{
    return serve_url_is_datagrams(url) || url->scheme == SONDE_SCHEME_SEQPACKET || url->scheme == SONDE_SCHEME_SCTP ||
           (url->layers & (SONDE_LAYER_WS | SONDE_LAYER_ANY)) != 0;
}

bool serve_has_messages(const struct serve *serve)
{
    for (unsigned i = 0; i < serve->n_urls; i++)
        if (serve_url_has_messages(&serve->urls[i]))
            return true;
    return false;
}

static uint64_t longest_message(const struct serve *serve)
{
    long long given = serve->settings->web.message_max;

    return given > 0 ? (uint64_t)given : SONDE_WS_MESSAGE_LIMIT;
}

/* Room in each stream: connections that never have messages get no more than they did. */
size_t serve_room_bytes(const struct worker *worker, const struct sonde_url *url)
{
    size_t n_bytes = serve_user_bytes(worker);

    return serve_url_has_messages(url) ? (n_bytes + 7) / 8 * 8 + sizeof(struct message_notes) : n_bytes;
}

uint64_t serve_send_limit(const struct serve *serve, const struct sonde_url *url)
{
    uint64_t n_bytes = serve_frame_send_limit(serve), n_longest = longest_message(serve);

    if (!(url->layers & (SONDE_LAYER_WS | SONDE_LAYER_ANY)))
        return n_bytes;
    if (serve->has_frame)
        n_longest = sonde_frame_bound(&serve->frame, (size_t)n_longest);
    if (n_longest < serve->n_text_bytes)
        n_longest = serve->n_text_bytes;
    n_longest += SONDE_SEND_LIMIT;
    return n_longest > n_bytes ? n_longest : n_bytes;
}

struct message_notes *serve_notes_of(const struct worker *worker, const struct sonde_stream *stream)
{
    return (struct message_notes *)((char *)connection_of(stream) + (serve_user_bytes(worker) + 7) / 8 * 8);
}

/* --- what is spoken ------------------------------------------------------------------------------------------------
 */

static const char *transport_of(const struct sonde_stream *stream, unsigned layers)
{
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer);
    if (!sonde_stream_has_end(stream))
        return peer.family == AF_UNIX ? "unixgram" : "udp";
    if (peer.family == AF_VSOCK)
        return "vsock";
    if (!sonde_stream_has_messages(stream) || layers & SONDE_LAYER_WS)
        return NULL;
    return peer.family == AF_UNIX ? "seqpacket" : "sctp";
}

const struct serve_spoken *serve_find_spoken(const struct sonde_stream *stream, struct spoken_room *room)
{
    unsigned layers = sonde_stream_layers(stream) & ~SONDE_LAYER_ANY;

    room->spoken = (struct serve_spoken){.transport = transport_of(stream, layers), .layers = layers};
    if (layers & SONDE_LAYER_TLS && sonde_stream_tls_info(stream, &room->tls) == 0)
        room->spoken.tls = &room->tls;
    if (layers & SONDE_LAYER_WS && sonde_stream_ws_info(stream, &room->ws) == 0)
        room->spoken.ws = &room->ws;
    if (layers & (SONDE_LAYER_WS | SONDE_LAYER_HTTP))
        room->spoken.request = sonde_stream_request(stream);
    return layers != 0 || room->spoken.transport != NULL ? &room->spoken : NULL;
}

const struct serve_messages *serve_find_messages(const struct worker *worker, const struct sonde_stream *stream,
                                                 struct serve_messages *ret_messages)
{
    const struct message_notes *notes;

    if (!sonde_stream_has_messages(stream))
        return NULL;
    notes = serve_notes_of(worker, stream);
    *ret_messages = (struct serve_messages){
        .n_in = sonde_stream_received_messages(stream),
        .n_out = sonde_stream_sent_messages(stream),
        .n_cut = notes->n_cut,
        .n_bad = notes->n_bad,
        .n_muted = notes->n_muted,
        .n_withheld = notes->n_withheld,
    };
    return ret_messages;
}

void serve_messages_closed(struct worker *worker, const struct sonde_stream *stream)
{
    struct serve_messages messages;

    if (serve_find_messages(worker, stream, &messages) == NULL)
        return;
    worker->n_messages_in += messages.n_in;
    worker->n_messages_out += messages.n_out;
    worker->n_cut_messages += messages.n_cut;
    worker->n_bad_messages += messages.n_bad;
    worker->n_muted_messages += messages.n_muted;
    worker->n_withheld_messages += messages.n_withheld;
}

/* --- what happens to them ------------------------------------------------------------------------------------------
 */

bool serve_may_tell(struct worker *worker)
{
    int64_t now_ns = sonde_loop_now_ns(worker->loop);

    if (now_ns - worker->told_ns >= TELL_AGAIN_NS) {
        worker->told_ns = now_ns;
        worker->n_told = 0;
    }
    return worker->n_told++ < TELLS_PER_SECOND;
}

/* The first sentence of a kind about a connection. */
static bool may_say(struct worker *worker)
{
    if (worker->serve->settings->quiet || !serve_may_tell(worker))
        return false;
    serve_output_flush(worker); /* what has happened before is told before */
    return true;
}

void serve_message_cut(struct worker *worker, struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct message_notes *notes = serve_notes_of(worker, stream);
    struct sonde_address peer;
    char shown[SONDE_ADDRESS_TEXT];

    if (notes->n_cut++ > 0 || !may_say(worker))
        return;
    sonde_stream_peer(stream, &peer);
    sonde_address_format(&peer, shown, sizeof(shown));
    say(_("[%" PRIu64 "] %s has sent a message of %zu bytes, which came cut: there was room for %zu. Such messages are "
          "counted, and echo does not answer them."),
        serve_number_of(worker, sonde_stream_id(stream)), shown, bytes->n_whole_bytes, bytes->n_bytes);
}

void serve_message_withheld(struct service_run *run, struct sonde_stream *stream, enum service_withheld why,
                            uint64_t n_bytes)
{
    struct worker *worker = run->host_data;
    uint64_t number = serve_number_of(worker, sonde_stream_id(stream));
    struct message_notes *notes;

    connection_of(stream)->unanswered_bytes += n_bytes;
    if (!sonde_stream_has_messages(stream))
        return;
    notes = serve_notes_of(worker, stream);
    if (notes->n_withheld++ > 0 || !may_say(worker))
        return;
    if (why == SERVICE_TOO_LONG)
        say(_("[%" PRIu64 "] an answer of %" PRIu64 " bytes is longer than one message can be, and is not sent."),
            number, n_bytes);
    else
        say(_("[%" PRIu64 "] an answer of %" PRIu64 " bytes is not sent: it would be longer than the datagram that "
              "asked, whose sender may be forged."),
            number, n_bytes);
}

static bool is_answering_port(uint16_t port)
{
    return port == 7 || port == 13 || port == 17 || port == 19 || port == 37;
}

bool serve_is_muted(const struct worker *worker, const struct sonde_stream *stream)
{
    struct sonde_address peer, local;

    if (!(worker->service->flags & SERVICE_ANSWERS) || sonde_stream_has_end(stream))
        return false;
    sonde_stream_peer(stream, &peer);
    if (peer.family != AF_INET && peer.family != AF_INET6)
        return false;
    sonde_stream_local(stream, &local);
    return is_answering_port(peer.port) || peer.port == local.port;
}

/* --- what is lost before it is anybody's ---------------------------------------------------------------------------
 */

static void tell_lost(struct worker *worker)
{
    uint64_t n_dropped = worker->n_dropped - worker->n_dropped_told;
    uint64_t n_peerless = worker->n_peerless - worker->n_peerless_told;

    if (n_dropped == 0 && n_peerless == 0)
        return;
    worker->n_dropped_told = worker->n_dropped;
    worker->n_peerless_told = worker->n_peerless;
    serve_show_lost(worker, n_dropped, n_peerless);
    if (worker->serve->settings->quiet)
        return;
    serve_output_flush(worker);
    if (n_dropped == 1)
        say(_("the kernel dropped a datagram: the receive buffer was full (?rcvbuf=BYTES makes it larger)."));
    else if (n_dropped > 1)
        say(_("the kernel dropped %" PRIu64 " datagrams: the receive buffer was full (?rcvbuf=BYTES makes it larger)."),
            n_dropped);
    if (n_peerless > 0)
        say(_("%" PRIu64
              " datagrams from others were not taken: their senders were refused, or are too many (--max-clients)."),
            n_peerless);
}

static void tell_later(struct sonde_timer *timer)
{
    struct worker *worker = timer->user;

    tell_lost(worker);
    serve_tell_refused(worker);
}

void serve_messages_init(struct worker *worker)
{
    sonde_timer_init(&worker->tell, worker->loop, tell_later, worker);
    worker->told_ns = sonde_loop_now_ns(worker->loop) - TELL_AGAIN_NS;
}

void serve_tell_later(struct worker *worker)
{
    if (!sonde_timer_is_running(&worker->tell))
        sonde_timer_start_in(&worker->tell, TELL_AGAIN_NS);
}

void serve_tell_now(struct worker *worker)
{
    sonde_timer_stop(&worker->tell);
    tell_later(&worker->tell);
}

void serve_lost(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner)
{
    struct place *place = owner;
    struct worker *worker = place->worker;
    bool first = worker->n_dropped + worker->n_peerless == 0;

    (void)listener;
    worker->lost_url = place->url;
    worker->n_dropped += n_dropped;
    worker->n_peerless += n_peerless;
    if (first)
        tell_lost(worker);
    else
        serve_tell_later(worker);
}

/* --- at the end ----------------------------------------------------------------------------------------------------
 */

void serve_messages_say(const struct serve *serve)
{
    struct worker sum = {.n_messages_in = 0};

    if (serve->settings->quiet || serve->status == EXIT_NETWORK || !serve_has_messages(serve))
        return;
    for (unsigned i = 0; i < serve->n_workers; i++) {
        const struct worker *worker = &serve->workers[i];
        sum.n_messages_in += worker->n_messages_in;
        sum.n_messages_out += worker->n_messages_out;
        sum.n_cut_messages += worker->n_cut_messages;
        sum.n_bad_messages += worker->n_bad_messages;
        sum.n_muted_messages += worker->n_muted_messages;
        sum.n_withheld_messages += worker->n_withheld_messages;
        sum.n_dropped += worker->n_dropped;
        sum.n_peerless += worker->n_peerless;
    }
    if (sum.n_messages_in + sum.n_messages_out > 0)
        say(_("messages: %" PRIu64 " in, %" PRIu64 " out."), sum.n_messages_in, sum.n_messages_out);
    if (sum.n_dropped > 0)
        say(ngettext("%llu datagram was dropped by the kernel: the receive buffer was full.",
                     "%llu datagrams were dropped by the kernel: the receive buffer was full.", sum.n_dropped),
            (unsigned long long)sum.n_dropped);
    if (sum.n_peerless > 0)
        say(ngettext("%llu datagram was not taken: its sender was refused, or one too many.",
                     "%llu datagrams were not taken: their senders were refused, or were too many.", sum.n_peerless),
            (unsigned long long)sum.n_peerless);
    if (sum.n_cut_messages > 0)
        say(ngettext("%llu message came cut: it was longer than the room for it.",
                     "%llu messages came cut: they were longer than the room for them.", sum.n_cut_messages),
            (unsigned long long)sum.n_cut_messages);
    if (sum.n_bad_messages > 0)
        say(ngettext("%llu message was not whole frames (--frame).", "%llu messages were not whole frames (--frame).",
                     sum.n_bad_messages),
            (unsigned long long)sum.n_bad_messages);
    if (sum.n_muted_messages > 0)
        say(ngettext("%llu datagram was not answered: it came from a port on which a service may answer back.",
                     "%llu datagrams were not answered: they came from ports on which a service may answer back.",
                     sum.n_muted_messages),
            (unsigned long long)sum.n_muted_messages);
    if (sum.n_withheld_messages > 0)
        say(ngettext("%llu answer was not sent: too long, or longer than what asked for it.",
                     "%llu answers were not sent: too long, or longer than what asked for them.",
                     sum.n_withheld_messages),
            (unsigned long long)sum.n_withheld_messages);
}
