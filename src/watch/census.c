/* SPDX-License-Identifier: MIT */
#include "watch/census.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

void census_free(struct census *census)
{
    tally_free(&census->half_open);
    tally_free(&census->peers);
    tally_free(&census->locals);
}

void census_clear(struct census *census)
{
    tally_clear(&census->half_open);
    tally_clear(&census->peers);
    tally_clear(&census->locals);
    census->last_local = census->most_peer = (struct sonde_address){.family = 0};
    census->n_ports_most = 0;
    census->n_sockets = census->n_time_wait = 0;
    memset(census->listening, 0, sizeof census->listening);
}

static bool is_any(const struct sonde_address *address)
{
    static const uint8_t zeros[16];
    return memcmp(address->u.ip, zeros, sizeof zeros) == 0;
}

static void count_local(struct census *census, const struct sonde_address *local)
{
    struct sonde_address address = *local;
    address.port = 0;
    if (memcmp(&address, &census->last_local, sizeof address) == 0 || is_any(&address))
        return;
    census->last_local = address;
    tally_add(&census->locals, &address);
}

static void count_port(struct census *census, const struct socket_info *socket)
{
    if (socket->peer.port == 0 || socket->local.port < census->port_low || socket->local.port > census->port_high)
        return;
    /* Who was connected to uses up no port of ours. (Listeners come first.) */
    if (census->listening[socket->local.port / 8] & 1u << socket->local.port % 8)
        return;
    uint32_t n = tally_add(&census->peers, &socket->peer);
    if (n > census->n_ports_most) {
        census->n_ports_most = n;
        census->most_peer = socket->peer;
    }
}

void census_count(struct census *census, const struct socket_info *socket)
{
    census->n_sockets++;
    if (socket->family == AF_UNIX)
        return;
    count_local(census, &socket->local);
    if (socket->protocol != IPPROTO_TCP)
        return;
    if (socket->state == TCP_STATE_LISTEN)
        census->listening[socket->local.port / 8] |= (uint8_t)(1u << socket->local.port % 8);
    else if (socket->state == TCP_STATE_SYN_RECV)
        tally_add(&census->half_open, &socket->local);
    else if (socket->state == TCP_STATE_TIME_WAIT)
        census->n_time_wait++;
    if (census->port_high > 0)
        count_port(census, socket);
}

/* A listener on any address has those of every address with its port. A listener on one address beside it is counted
 * twice then, which is rarer than it is worth. */
uint64_t census_half_open(const struct census *census, const struct sonde_address *listener)
{
    const struct tally *tally = &census->half_open;
    if (!is_any(listener))
        return tally_count(tally, listener);
    uint64_t n = 0;
    for (size_t i = 0; tally->n_entries > 0 && i < tally->n_places; i++) {
        const struct tally_entry *entry = &tally->entries[i];
        bool fits = entry->address.family == listener->family || listener->family == AF_INET6;
        if (entry->count > 0 && entry->address.port == listener->port && fits)
            n += entry->count;
    }
    return n;
}

uint64_t census_same_peer(const struct census *census, const struct sonde_address *peer)
{
    return tally_count(&census->peers, peer);
}

bool census_is_local(const struct census *census, const struct sonde_address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sonde_address without = *address;
    if (address->family == AF_UNIX)
        return true;
    if (address->family == AF_INET && address->u.ip[0] == 127)
        return true;
    if (address->family == AF_INET6 &&
        (memcmp(address->u.ip, loopback6, sizeof loopback6) == 0 ||
         (memcmp(address->u.ip, mapped, sizeof mapped) == 0 && address->u.ip[12] == 127)))
        return true;
    without.port = 0;
    return tally_count(&census->locals, &without) > 0;
}

static bool is_listening(const struct census *census, uint16_t port)
{
    return (census->listening[port / 8] >> port % 8 & 1) != 0;
}

enum direction census_direction(const struct census *census, const struct socket_info *socket)
{
    if (socket->protocol != IPPROTO_TCP || socket->peer.port == 0)
        return DIRECTION_UNKNOWN;
    if (socket->state == TCP_STATE_SYN_SENT)
        return DIRECTION_OUT;
    if (socket->state == TCP_STATE_SYN_RECV || is_listening(census, socket->local.port))
        return DIRECTION_IN;
    if (is_listening(census, socket->peer.port) && census_is_local(census, &socket->peer))
        return DIRECTION_OUT;
    return DIRECTION_UNKNOWN;
}
