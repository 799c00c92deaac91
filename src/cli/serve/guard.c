/* SPDX-License-Identifier: MIT */
/*
 * Who may be a client: --allow, --deny, --max-per-peer, and whose PROXY protocol headers are believed (--proxy-from).
 * How fast it may be: --rate.
 *
 * A connection is looked at when it has been accepted, before anything else is done with it, and is reset when it may
 * not be: the service never hears of it and it is no client. With TLS, WebSocket and any:// that is when its handshakes
 * are done; but who may not be a client at all is refused before. Its peer is who the stream says it is, which with
 * ?proxy=in is whom the header names. The lists are read by all threads and change no more; the counts of peers have a
 * lock of their own.
 */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { WORD_MAX = 400 };

/* One option's list; on failure says which word is wrong. */
static enum exit_status take_list(const char *option, const struct option_list *values, unsigned n_max,
                                  struct prefix_list *ret_list)
{
    struct sonde_why why;
    char word[WORD_MAX];

    switch (prefix_list_parse(values, n_max, ret_list, &why)) {
    case 0:
        return EXIT_DONE;
    case -E2BIG:
        say(_("%s has more than %u addresses."), option, n_max);
        return EXIT_MISUSE;
    case -ENOMEM:
        say(_("there is not enough memory for the addresses of %s."), option);
        return EXIT_NETWORK;
    default:
        escape_short(why.subject, strlen(why.subject), word, sizeof(word));
        say(_("%s: \"%s\" is not understood: %s."), option, word, why.detail);
        return EXIT_MISUSE;
    }
}

enum exit_status serve_guard_init(struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    struct guard *guard = &serve->guard;

    enum exit_status status = take_list("--allow", &settings->allow, PREFIX_LIST_MAX, &guard->allow);
    if (status == EXIT_DONE)
        status = take_list("--deny", &settings->deny, PREFIX_LIST_MAX, &guard->deny);
    if (status == EXIT_DONE)
        status = take_list("--proxy-from", &settings->proxy_from, SONDE_TRUSTED_MAX, &guard->trusted);
    if (status == EXIT_DONE && settings->max_per_peer > 0 && peers_new(settings->max_per_peer, &guard->peers) != 0) {
        say(_("there is not enough memory."));
        status = EXIT_NETWORK;
    }
    return status;
}

void serve_guard_free(struct serve *serve)
{
    struct guard *guard = &serve->guard;

    prefix_list_free(&guard->allow);
    prefix_list_free(&guard->deny);
    prefix_list_free(&guard->trusted);
    peers_free(guard->peers);
    guard->peers = NULL;
}

/* No peer's address is empty; but the kernel may not have told it, when the peer has gone already. */
static bool is_known(const struct sonde_address *address)
{
    static const uint8_t none[16];

    return address->family == AF_UNIX || (address->family != 0 && memcmp(address->u.ip, none, sizeof(none)) != 0);
}

static bool is_allowed(const struct guard *guard, const struct sonde_address *peer)
{
    return is_known(peer) && !prefix_list_contains(&guard->deny, peer) &&
           (guard->allow.n == 0 || prefix_list_contains(&guard->allow, peer));
}

/* Before a handshake is spent on it. */
int serve_guard_came(struct sonde_listener *listener, const struct sonde_address *peer, void *owner)
{
    const struct place *place = owner;
    const struct guard *guard = &place->worker->serve->guard;

    (void)listener;
    return (guard->allow.n == 0 && guard->deny.n == 0) || is_allowed(guard, peer) ? 0 : -EPERM;
}

static enum serve_reason look_at(struct guard *guard, const struct sonde_stream *stream)
{
    struct connection *connection = connection_of(stream);
    struct sonde_address peer;

    if (guard->allow.n == 0 && guard->deny.n == 0 && guard->peers == NULL)
        return SERVE_OPEN;
    sonde_stream_peer(stream, &peer);
    if (!is_allowed(guard, &peer))
        return SERVE_NOT_ALLOWED;
    if (guard->peers == NULL)
        return SERVE_OPEN;
    int error = peers_enter(guard->peers, &peer);
    if (error == 0) {
        connection->flags |= CONNECTION_PEER;
        return SERVE_OPEN;
    }
    connection->error = error;
    return error == -EUSERS ? SERVE_PEER_LIMIT : SERVE_ERROR;
}

enum serve_reason serve_guard_admit(struct worker *worker, struct sonde_stream *stream)
{
    enum serve_reason reason = look_at(&worker->serve->guard, stream);
    long long rate = worker->serve->settings->rate;

    if (reason != SERVE_OPEN || rate == 0)
        return reason;
    int error = sonde_stream_set_rate(stream, (uint64_t)rate);
    connection_of(stream)->error = error;
    return error == 0 ? SERVE_OPEN : SERVE_ERROR;
}

void serve_guard_left(struct worker *worker, const struct sonde_stream *stream)
{
    struct sonde_address peer;

    if (!(connection_of(stream)->flags & CONNECTION_PEER))
        return;
    /* The stream has known it since it was admitted. */
    sonde_stream_peer(stream, &peer);
    peers_leave(worker->serve->guard.peers, &peer);
}

void serve_guard_listen(const struct serve *serve, struct sonde_listen_options *options)
{
    options->trusted = serve->guard.trusted.prefixes;
    options->n_trusted = serve->guard.trusted.n;
}

void serve_guard_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                         void *owner)
{
    struct place *place = owner;

    serve_show_refused(place->worker, listener, peer, why);
}
