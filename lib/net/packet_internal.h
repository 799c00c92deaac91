/* SPDX-License-Identifier: MIT */
/* The inside of packet*.c. */
#ifndef NET_PACKET_INTERNAL_H
#define NET_PACKET_INTERNAL_H

#include "net/listener_internal.h"
#include "net/packet.h"
#include "net/peer_table.h"

#include <sys/socket.h>

enum {
    BATCH_MESSAGES = 32,
    /* The largest UDP datagram fits, and slots do not all begin in the same set of the cache. */
    SLOT_BYTES = 64 * 1024 + 320,
    ROOM_BYTES = BATCH_MESSAGES * SLOT_BYTES,
    CONTROL_BYTES = 128,
    OUT_CONTROL_BYTES = 64,
    OUT_MESSAGES = 32,
    OUT_BYTES = 64 * 1024,     /* what is copied for one sendmmsg */
    GATHER_BYTES = 192 * 1024, /* gathered for one sendmmsg, copied or not */
    QUEUE_MESSAGES = 4096,     /* in one stream's queue */
    KEPT_MESSAGES = 64,        /* of a server's peer whose stream is paused */
    KEPT_BYTES = 256 * 1024,   /* the same */
    TURN_BATCHES = 4,          /* from one socket in one turn of the loop */
    TURN_MESSAGES = 64,        /* the same, where each is received by itself */
};

/* Received, not delivered. */
struct message {
    struct message *next;
    struct sonde_address from;
    uint32_t n_bytes, flags;
    size_t n_whole_bytes;
    unsigned char data[];
};

struct packet_socket;

/* What a stream of messages has besides struct sonde_stream. */
struct packets {
    struct sonde_stream *stream;
    struct packet_socket *socket; /* NULL: closed */
    size_t own_bytes;             /* of this and what is allocated with it */
    uint64_t n_received, n_sent;
    bool has_end, is_unix;
    bool is_mute;    /* nothing can be sent to a peer without a name */
    bool is_waiting; /* on socket->waiting, because its queue is not empty */
    bool is_known;   /* is in its server's table */
    uint32_t n_queued;
    size_t most_bytes; /* of one message */
    TAILQ_ENTRY(packets) waiting;
    struct message *kept, **kept_end;
    unsigned n_kept;
    size_t kept_bytes;

    /* To be told when the loop comes round. */
    uint64_t n_lost;
    uint64_t n_undelivered;
    int undelivered; /* what the last one of them failed with */
    struct sonde_address undelivered_says;

    /* Where to send; 0 bytes: the socket is connected. */
    socklen_t name_bytes;
    struct sockaddr_storage name;

    /* A server's peer. */
    struct peer_node node;
    TAILQ_ENTRY(packets) heard; /* the one that has been silent longest comes first */
    int64_t heard_ns;
    struct sonde_address local; /* family 0: not known */
    uint32_t local_index;       /* the interface, where the address alone does not say it */
};

TAILQ_HEAD(packets_list, packets);

struct packet_socket {
    struct sonde_loop *loop;
    struct io *io;
    struct packet_server *server; /* NULL: one stream's */
    struct packets *only;         /* that stream's; NULL: a server's */
    int family;
    bool is_udp, has_end, is_connected;
    bool is_batch_only_one; /* each message is received by itself, with all of the room */
    bool is_full;           /* the kernel has no room; `again` or the poll says when it may have */
    bool is_troubled;       /* receiving failed: `again` says when to try once more */
    unsigned polled;        /* what io's poll waits for */
    uint32_t n_dropped;     /* by the kernel, as it counts */
    int64_t received_ns;    /* when something was, last */
    struct packets_list waiting;
    struct sonde_timer again;
    struct sonde_timer drops; /* to ask how many were dropped behind the last that came */
};

/* An address that was refused: what it sends is dropped for a while. */
struct tomb {
    struct peer_node node;
    TAILQ_ENTRY(tomb) link;
    int64_t until_ns;
};

TAILQ_HEAD(tomb_list, tomb);

/* A leg's socket. It lives until the leg and every stream have left it. */
struct packet_server {
    struct packet_socket socket;
    struct io io;
    struct leg *leg; /* NULL: its listener has closed */
    unsigned n_users, n_peers_max, n_peers, n_tombs;
    bool tells_local; /* which address of ours was asked comes with each datagram */
    struct sonde_address bound;
    int64_t peer_idle_ns;
    struct peer_table table;
    struct packets_list heard;
    struct tomb_list tombs;
    struct sonde_timer idle;
    uint64_t n_lost, n_peerless; /* to be told */
};

/* For all sockets of a loop: where messages are received, and sent from. */
struct packet_area {
    unsigned n_users;
    struct packet_socket *socket;    /* whose batch is being handed out */
    unsigned n, next;                /* of that */
    struct packet_socket *gathering; /* what is written to streams of this socket now is sent together */
    unsigned n_out;
    size_t out_bytes, copied_bytes;
    int64_t start_ns; /* of the receive, for the probe */
    struct mmsghdr in[BATCH_MESSAGES];
    struct iovec in_parts[BATCH_MESSAGES];
    struct sockaddr_storage in_names[BATCH_MESSAGES];
    _Alignas(struct cmsghdr) unsigned char in_control[BATCH_MESSAGES][CONTROL_BYTES];
    struct mmsghdr out[OUT_MESSAGES];
    struct iovec out_parts[OUT_MESSAGES];
    struct packets *out_from[OUT_MESSAGES];
    _Alignas(struct cmsghdr) unsigned char out_control[OUT_MESSAGES][OUT_CONTROL_BYTES];
    unsigned char copied[OUT_BYTES];
    unsigned char room[ROOM_BYTES];
};

/* What is known of a message that was received. */
struct arrival {
    const struct sockaddr_storage *name;
    socklen_t name_bytes;
    struct sonde_address from;
    const unsigned char *data;
    size_t n_bytes, n_whole_bytes;
    unsigned flags;
    bool has_credentials;
    struct ucred credentials;
    bool has_local;
    struct sonde_address local; /* without a port */
    uint32_t local_index;
    bool has_drops;
    uint32_t n_dropped;
};

static inline struct packet_area *packet_area(const struct sonde_loop *loop)
{
    return loop_net((struct sonde_loop *)(uintptr_t)loop)->packets;
}

/* packet.c */
int packet_area_use(struct sonde_loop *loop);
void packet_area_release(struct sonde_loop *loop);
void packet_socket_init(struct packet_socket *socket, struct sonde_loop *loop, struct io *io);
void packet_socket_stop(struct packet_socket *socket);
/* Wait for what is to be waited for. */
void packet_watch(struct packet_socket *socket);
void packet_on_events(struct packet_socket *socket, int events);
/* Deliver, keep or drop a message of this stream's peer. Calls back. */
void packet_take(struct packets *packets, const struct arrival *arrival);
/* One of its messages did not arrive. */
void packet_undelivered(struct packets *packets, int error, const struct sonde_address *says);
/* It fails, once what was kept is delivered. */
void packet_fail(struct packets *packets, int error);
size_t packet_most_bytes(const struct packet_socket *socket, int fd);
extern const struct io_handler packet_io_handler;

/* packet_receive.c */
void packet_receive(struct packet_socket *socket);
/* Hand out what is left of a batch; false: the loop is stopping, and something is still left. */
bool packet_batch_finish(struct packet_area *area);
void packet_batch_forget(struct packet_socket *socket);
void packet_note_drops(struct packet_socket *socket, uint32_t n_dropped);
void packet_on_drops(struct sonde_timer *timer);

/* packet_send.c */
void packet_flush(struct packet_area *area);
void packet_drain(struct packet_socket *socket);
void packet_wait_not(struct packets *packets);

/* packet_errors.c */
/* Take what ICMP has said. How many messages that was. */
unsigned packet_take_errors(struct packet_socket *socket);

/* packet_peers.c */
struct packets *packet_peer(struct packet_server *server, const struct arrival *arrival);
/* The streams of a peer: after `packets`, or the first (NULL). */
struct packets *packet_peer_named(struct packet_server *server, const struct sockaddr_storage *name,
                                  socklen_t name_bytes, const struct packets *after);
void packet_server_release(struct packet_server *server);
void packet_server_tell(struct packet_server *server);
bool packet_server_reads(const struct packet_server *server);

#endif
