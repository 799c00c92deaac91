/* SPDX-License-Identifier: MIT */
/*
 * The peers of a datagram server.
 *
 * Theory of operation
 *
 * Whoever sends from an address that is not known becomes a stream of the listener's, and is told through `accepted`;
 * what it has sent is its first message. On a socket that is bound to any address the one that was asked is part of who
 * the peer is: it is what its answers come from. UNIX datagrams come from a path or an abstract name; those of sockets
 * without one are told apart by process, and can't be answered.
 *
 * A peer has no way to say that it has gone. It goes when it has been silent for too long, when ICMP says that nobody
 * is there, or when the owner closes it; what comes from the address later makes a new stream. One exception: an owner
 * who closes a stream inside `accepted` does not want this peer, and is not asked again for a while. What it sends
 * meanwhile is dropped, and counted with what came when there were too many peers.
 */
#include "net/packet_internal.h"

#include "net/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static const int64_t refused_ns = INT64_C(5) * 1000 * 1000 * 1000;

#define PEER_OF(node_pointer) ((struct packets *)((char *)(node_pointer)-offsetof(struct packets, node)))
#define TOMB_OF(node_pointer) ((struct tomb *)((char *)(node_pointer)-offsetof(struct tomb, node)))

/* The first byte of a key. */
enum { KEY_IP = 1, KEY_NAME, KEY_PROCESS, KEY_REFUSED = 0x80 };

/* --- keys ------------------------------------------------------------------------------------------------------------
 */

static void add_bytes(struct peer_key *key, const void *bytes, size_t n_bytes)
{
    if (n_bytes > sizeof key->bytes - key->n_bytes)
        n_bytes = sizeof key->bytes - key->n_bytes;
    memcpy(key->bytes + key->n_bytes, bytes, n_bytes);
    key->n_bytes = (uint8_t)(key->n_bytes + n_bytes);
}

static void set_ip_key(struct peer_key *key, const struct sonde_address *address)
{
    *key = (struct peer_key){.n_bytes = 1, .bytes = {KEY_IP}};
    add_bytes(key, &address->port, sizeof address->port);
    add_bytes(key, address->u.ip, address->family == AF_INET ? 4 : 16);
    add_bytes(key, &address->scope, sizeof address->scope);
    key->n_hashed = key->n_bytes;
}

static size_t name_length(socklen_t name_bytes)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);

    return name_bytes > before ? name_bytes - before : 0;
}

static void set_unix_key(struct peer_key *key, const struct arrival *arrival)
{
    size_t n = name_length(arrival->name_bytes);

    *key = (struct peer_key){.n_bytes = 1, .bytes = {n > 0 ? KEY_NAME : KEY_PROCESS}};
    if (n > 0) {
        add_bytes(key, ((const struct sockaddr_un *)arrival->name)->sun_path, n);
    } else {
        add_bytes(key, &arrival->from.u.peer.pid, sizeof arrival->from.u.peer.pid);
        add_bytes(key, &arrival->from.u.peer.uid, sizeof arrival->from.u.peer.uid);
    }
    key->n_hashed = key->n_bytes;
}

static void set_key(struct peer_key *key, const struct packet_server *server, const struct arrival *arrival)
{
    if (!server->socket.is_udp) {
        set_unix_key(key, arrival);
        return;
    }
    set_ip_key(key, &arrival->from);
    if (server->tells_local && arrival->has_local) {
        add_bytes(key, arrival->local.u.ip, arrival->local.family == AF_INET ? 4 : 16);
        add_bytes(key, &arrival->local_index, sizeof arrival->local_index);
    }
}

struct packets *packet_peer_named(struct packet_server *server, const struct sockaddr_storage *name,
                                  socklen_t name_bytes, const struct packets *after)
{
    struct sonde_address address;
    struct peer_key key;

    address_from_sockaddr((const struct sockaddr *)name, name_bytes, &address);
    if (address.family != AF_INET && address.family != AF_INET6)
        return NULL;
    set_ip_key(&key, &address);
    struct peer_node *node = peer_table_next_like(&server->table, after != NULL ? &after->node : NULL, &key);
    return node != NULL ? PEER_OF(node) : NULL;
}

/* --- those that were refused -------------------------------------------------------------------------------------- */

/* The key of a peer that was refused: not one that any peer has. */
static void set_refused(struct peer_key *key)
{
    key->bytes[0] |= KEY_REFUSED;
}

static void drop_tomb(struct packet_server *server, struct tomb *tomb)
{
    peer_table_remove(&server->table, &tomb->node);
    TAILQ_REMOVE(&server->tombs, tomb, link);
    server->n_tombs--;
    loop_free(server->socket.loop, tomb, sizeof *tomb);
}

static void start_timer(struct packet_server *server)
{
    const struct packets *silent = TAILQ_FIRST(&server->heard);
    const struct tomb *tomb = TAILQ_FIRST(&server->tombs);
    int64_t when_ns = silent != NULL ? silent->heard_ns + server->peer_idle_ns : INT64_MAX;

    if (tomb != NULL && tomb->until_ns < when_ns)
        when_ns = tomb->until_ns;
    if (when_ns == INT64_MAX)
        sonde_timer_stop(&server->idle);
    else if (!sonde_timer_is_running(&server->idle) || server->idle.deadline_ns > when_ns)
        sonde_timer_start(&server->idle, when_ns);
}

static void bury(struct packet_server *server, const struct peer_key *key)
{
    struct tomb *tomb;

    if (server->n_tombs >= server->n_peers_max)
        drop_tomb(server, TAILQ_FIRST(&server->tombs));
    tomb = loop_alloc(server->socket.loop, sizeof *tomb);
    if (tomb == NULL)
        return; /* the owner is asked again */
    *tomb = (struct tomb){.node.key = *key, .until_ns = sonde_loop_now_ns(server->socket.loop) + refused_ns};
    set_refused(&tomb->node.key);
    peer_table_add(&server->table, &tomb->node);
    TAILQ_INSERT_TAIL(&server->tombs, tomb, link);
    server->n_tombs++;
    start_timer(server);
}

static bool is_refused(const struct packet_server *server, const struct peer_key *key)
{
    struct peer_key refused = *key;

    if (server->n_tombs == 0)
        return false;
    set_refused(&refused);
    return peer_table_find(&server->table, &refused) != NULL;
}

/* --- silence ---------------------------------------------------------------------------------------------------------
 */

static void on_idle(struct sonde_timer *timer)
{
    struct packet_server *server = timer->user;
    int64_t now_ns = sonde_loop_now_ns(timer->loop);
    struct packets *silent;
    struct tomb *tomb;

    server->n_users++;
    while ((tomb = TAILQ_FIRST(&server->tombs)) != NULL && tomb->until_ns <= now_ns)
        drop_tomb(server, tomb);
    while ((silent = TAILQ_FIRST(&server->heard)) != NULL && silent->heard_ns + server->peer_idle_ns <= now_ns &&
           !loop_is_stopping(timer->loop)) {
        if (silent->stream->state & STREAM_PAUSED || silent->kept != NULL) {
            /* It is the owner who keeps it waiting. */
            silent->heard_ns = now_ns;
            TAILQ_REMOVE(&server->heard, silent, heard);
            TAILQ_INSERT_TAIL(&server->heard, silent, heard);
            continue;
        }
        packet_fail(silent, -ETIMEDOUT);
    }
    start_timer(server);
    packet_server_release(server);
}

static void note_heard(struct packet_server *server, struct packets *packets)
{
    packets->heard_ns = sonde_loop_now_ns(server->socket.loop);
    if (TAILQ_NEXT(packets, heard) == NULL)
        return;
    TAILQ_REMOVE(&server->heard, packets, heard);
    TAILQ_INSERT_TAIL(&server->heard, packets, heard);
}

/* --- a new one
 * -------------------------------------------------------------------------------------------------------- */

static void set_peer(struct packet_server *server, struct packets *packets, const struct arrival *arrival)
{
    struct sonde_stream *stream = packets->stream;

    packets->name = *arrival->name;
    packets->name_bytes = arrival->name_bytes;
    packets->is_unix = !server->socket.is_udp;
    packets->is_mute = packets->is_unix && name_length(arrival->name_bytes) == 0;
    packets->local = server->bound;
    if (server->tells_local && arrival->has_local) {
        packets->local = arrival->local;
        packets->local.port = server->bound.port;
        packets->local_index = arrival->local_index;
    }
    stream->peer = arrival->from;
    stream->listener = server->leg->listener;
    stream->leg = (uint8_t)(server->leg - server->leg->listener->legs);
}

static int create(struct packet_server *server, const struct arrival *arrival, const struct peer_key *key,
                  struct packets **ret_packets)
{
    struct sonde_loop *loop = server->socket.loop;
    const struct sonde_listener *listener = server->leg->listener;
    struct sonde_stream *stream;

    struct packets *packets = loop_alloc(loop, sizeof *packets);
    if (packets == NULL)
        return -ENOMEM;
    int error = stream_create(loop, -1, listener->user_bytes, listener->send_limit, &stream);
    if (error < 0) {
        loop_free(loop, packets, sizeof *packets);
        return error;
    }
    memset(packets, 0, sizeof *packets);
    packets->own_bytes = sizeof *packets;
    packets->stream = stream;
    packets->socket = &server->socket;
    packets->kept_end = &packets->kept;
    packets->most_bytes = packet_most_bytes(&server->socket, server->io.fd);
    packets->node.key = *key;
    stream->packets = packets;
    stream->io.handler = &packet_io_handler;
    set_peer(server, packets, arrival);
    peer_table_add(&server->table, &packets->node);
    packets->heard_ns = sonde_loop_now_ns(loop);
    TAILQ_INSERT_TAIL(&server->heard, packets, heard);
    packets->is_known = true;
    server->n_peers++;
    server->n_users++;
    start_timer(server);
    *ret_packets = packets;
    return 0;
}

/* Calls back. The stream may be closing when this returns: it is there until the loop comes round. */
static struct packets *accept_peer(struct packet_server *server, const struct arrival *arrival,
                                   const struct peer_key *key)
{
    struct packets *packets;

    if (server->n_peers >= server->n_peers_max || server->leg == NULL || !listener_accepts(server->leg->listener) ||
        is_refused(server, key)) {
        server->n_peerless++;
        return NULL;
    }
    int error = create(server, arrival, key, &packets);
    if (error < 0) {
        server->n_peerless++;
        listener_in_trouble(server->leg->listener, error);
        return NULL;
    }
    struct sonde_stream *stream = packets->stream;
    listener_tell_accepted(server->leg->listener, stream);
    if (stream->state & STREAM_CLOSING)
        bury(server, key);
    return packets;
}

struct packets *packet_peer(struct packet_server *server, const struct arrival *arrival)
{
    struct peer_key key;

    set_key(&key, server, arrival);
    struct peer_node *node = peer_table_find(&server->table, &key);
    if (node == NULL)
        return accept_peer(server, arrival, &key);
    note_heard(server, PEER_OF(node));
    return PEER_OF(node);
}

/* --- the server
 * -------------------------------------------------------------------------------------------------------- */

bool packet_server_reads(const struct packet_server *server)
{
    return server->n_peers > 0 || (server->leg != NULL && listener_accepts(server->leg->listener));
}

void packet_server_tell(struct packet_server *server)
{
    uint64_t n_lost = server->n_lost, n_peerless = server->n_peerless;

    server->n_lost = server->n_peerless = 0;
    if ((n_lost == 0 && n_peerless == 0) || server->leg == NULL)
        return;
    if (loop_is_stopping(server->socket.loop)) {
        server->n_lost = n_lost;
        server->n_peerless = n_peerless;
        loop_defer(server->socket.loop, &server->io);
        return;
    }
    struct sonde_listener *listener = server->leg->listener;
    if (listener->handler->lost != NULL)
        listener->handler->lost(listener, n_lost, n_peerless, listener->owner);
}

static void on_poll(struct io *io, int events)
{
    struct packet_server *server = (struct packet_server *)((char *)io - offsetof(struct packet_server, io));

    packet_on_events(&server->socket, events);
}

static void on_work(struct io *io)
{
    struct packet_server *server = (struct packet_server *)((char *)io - offsetof(struct packet_server, io));
    struct packet_area *area = packet_area(server->socket.loop);

    if (server->n_users == 0)
        return; /* closing */
    server->n_users++;
    if (area->socket != &server->socket || packet_batch_finish(area)) {
        packet_server_tell(server);
        if (server->n_users > 1)
            packet_watch(&server->socket);
    }
    packet_server_release(server);
}

static void free_server(struct packet_server *server)
{
    struct sonde_loop *loop = server->socket.loop;

    while (!TAILQ_EMPTY(&server->tombs))
        drop_tomb(server, TAILQ_FIRST(&server->tombs));
    sonde_timer_stop(&server->idle);
    packet_socket_stop(&server->socket);
    peer_table_free(&server->table);
    loop_free(loop, server, sizeof *server);
    packet_area_release(loop);
}

static void on_closed(struct io *io)
{
    struct packet_server *server = (struct packet_server *)((char *)io - offsetof(struct packet_server, io));
    struct sonde_loop *loop = server->socket.loop;

    free_server(server);
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
    listeners_fd_freed(loop);
}

void packet_server_release(struct packet_server *server)
{
    if (--server->n_users > 0)
        return;
    while (!TAILQ_EMPTY(&server->tombs))
        drop_tomb(server, TAILQ_FIRST(&server->tombs));
    sonde_timer_stop(&server->idle);
    packet_socket_stop(&server->socket);
    io_close(server->socket.loop, &server->io);
}

static const struct io_handler server_io_handler = {
    .poll = on_poll,
    .work = on_work,
    .closed = on_closed,
};

int packet_serve(struct leg *leg, int64_t peer_idle_ns, unsigned n_peers_max)
{
    struct sonde_listener *listener = leg->listener;
    struct sonde_loop *loop = listener->loop;

    int error = packet_area_use(loop);
    if (error < 0)
        return error;
    struct packet_server *server = loop_alloc(loop, sizeof *server);
    error = -ENOMEM;
    if (server == NULL)
        goto release_area;
    memset(server, 0, sizeof *server);
    error = peer_table_create(&server->table, loop);
    if (error < 0)
        goto free_memory;
    io_init(&server->io, &server_io_handler, leg->io.fd);
    packet_socket_init(&server->socket, loop, &server->io);
    server->socket.server = server;
    server->socket.family = leg->family;
    server->socket.is_udp = leg->family != AF_UNIX;
    server->socket.is_batch_only_one = !server->socket.is_udp;
    server->leg = leg;
    server->n_users = 1;
    server->bound = leg->address;
    server->tells_local = server->socket.is_udp && packet_is_many(&leg->address);
    server->peer_idle_ns = peer_idle_ns > 0 ? peer_idle_ns : SONDE_PEER_IDLE_NS;
    server->n_peers_max = n_peers_max > 0 ? n_peers_max : SONDE_PEERS_MAX;
    TAILQ_INIT(&server->heard);
    TAILQ_INIT(&server->tombs);
    sonde_timer_init(&server->idle, loop, on_idle, server);
    leg->server = server;
    loop_add_open(loop, +1);
    loop_add_object(loop, +1);
    return 0;

free_memory:
    loop_free(loop, server, sizeof *server);
release_area:
    packet_area_release(loop);
    return error;
}

void packet_unserve(struct leg *leg)
{
    struct sonde_loop *loop = leg->listener->loop;

    if (leg->server == NULL)
        return;
    free_server(leg->server);
    leg->server = NULL;
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
}

void packet_leg_changed(struct leg *leg)
{
    packet_watch(&leg->server->socket);
}

void packet_leg_close(struct leg *leg)
{
    struct packet_server *server = leg->server;

    leg->io.fd = -1; /* the server's */
    leg->server = NULL;
    server->leg = NULL;
    packet_server_release(server);
}
