/* SPDX-License-Identifier: MIT */
#ifndef WIRE_WIRE_INTERNAL_H
#define WIRE_WIRE_INTERNAL_H

#include "wire/wire.h"

#include <stdatomic.h>

/* ---- requests (request.c): one message of a SOCK_SEQPACKET each way, with descriptors where they are asked for */

#define WIRE_PROCESS_NAME "sonde-wire-process"
#define WIRE_MAGIC UINT32_C(0x77697201) /* the last byte is the version */
#define WIRE_BETWEEN N_ENDS             /* beside END_A and END_B */
#define WIRE_PLACES 3
#define WIRE_PATHS 2
#define WIRE_NAME_MAX 128
#define WIRE_VALUE_MAX 512
#define WIRE_PATH_MAX 512
#define WIRE_MISSED_MAX 512
#define WIRE_FDS_MAX 4

enum wire_operation {
    WIRE_BEGIN, /* with descriptors: the starter's pidfd; tap and its wake-up, if there is one */
    WIRE_SOCKET,
    WIRE_OPEN,
    WIRE_SYSCTL_SET,
    WIRE_SET_PATH,
    WIRE_SET_RULES,
    WIRE_SET_OFFLOADS,
    WIRE_GET_COUNTS,
    WIRE_FLUSH,
};

struct wire_request {
    uint32_t magic;
    uint32_t operation; /* enum wire_operation */
    uint32_t number;    /* the answer repeats it */
    uint32_t place;     /* enum event_end, or WIRE_BETWEEN */
    union {
        struct {
            struct wire_settings settings;
            uint64_t tap_bytes; /* of its data */
        } begin;
        struct {
            int32_t family, type, protocol;
        } socket;
        char path[WIRE_PATH_MAX];
        struct {
            char name[WIRE_NAME_MAX], value[WIRE_VALUE_MAX];
        } sysctl;
        struct wire_rules rules;
        uint32_t number_of_path;
        bool on;
    };
};

struct wire_answer {
    uint32_t magic;
    uint32_t number;
    int32_t result; /* 0, or a negative errno */
    uint32_t n_fds;
    union {
        struct {
            struct sonde_why why; /* call is not valid here: its text is in call_name */
            char call_name[32];
            char missed[WIRE_MISSED_MAX];
            int64_t began_ns;
        } begin;
        struct wire_counts counts[N_ENDS];
    };
};

/* Sends one message. 0 or a negative errno; never a signal. */
int message_send(int fd, const void *message, size_t n_bytes, const int *fds, unsigned n_fds);
/* Receives one of exactly n_bytes; at most n_fds_max descriptors come with it, CLOEXEC. -EAGAIN: there is none; -EPIPE:
 * the other side has ended; -EPROTO: it is not what was agreed. */
int message_receive(int fd, void *ret_message, size_t n_bytes, int *ret_fds, unsigned n_fds_max, unsigned *ret_n_fds);

int64_t clock_ns(void);

/* ---- why it failed (refuse.c) */

/* Fills in *ret_why: the sentence, where one can be found for the error of this call. Returns error. */
int wire_refuse(struct sonde_why *ret_why, int error, const char *call);

/* ---- in the wire's process: namespaces (namespaces.c) */

struct spaces {
    int user;             /* -1: none of its own */
    int net[WIRE_PLACES]; /* A, B, the middle */
};

/* The calling process, which has no threads, is in the middle one afterwards. */
int spaces_make(struct spaces *spaces, bool keep_user_namespace, struct sonde_why *ret_why);
/* Into one of them; the way back is spaces_enter(spaces, WIRE_BETWEEN). */
int spaces_enter(const struct spaces *spaces, unsigned place);

/* ---- links (links.c, offload.c) */

struct links {
    struct mnl_socket *netlink[WIRE_PLACES];
    int index[N_ENDS][WIRE_PATHS];  /* of the interface in the middle that faces this end */
    int remote[N_ENDS][WIRE_PATHS]; /* of the end's own */
    unsigned n_paths;
};

struct link_counts {
    uint64_t n_sent, n_dropped; /* by who sends on this interface */
};

/* Makes the interfaces: down, with their size. */
int links_make(struct links *links, const struct spaces *spaces, uint32_t mtu, unsigned n_paths,
               struct sonde_why *ret_why);
/* Up: those in the middle before the ends', so that nothing is missed; then the addresses. */
int links_up(struct links *links, struct sonde_why *ret_why);
int links_count(struct links *links, unsigned place, int index, struct link_counts *ret_counts);
int links_route(struct links *links, enum event_end end, unsigned path);
int links_offload(const struct links *links, const struct spaces *spaces, bool on);
void links_free(struct links *links);

/* Offloads of an interface of the namespace in which we are. */
int offload_set(int index, bool on);

/* ---- settings (settings.c) */

/* "net.ipv4.tcp_retries2" as a path below /proc/sys; -EINVAL: not such a name; -EPERM: not the network's. */
int sysctl_path(const char *name, char *ret_path, size_t size_bytes);
/* In the namespace in which we are. */
int sysctl_read(const char *path, char *ret_value, size_t size_bytes);
int sysctl_write(const char *path, const char *value);

struct inherited;

/* TCP's settings of the namespace in which we are. NULL: no memory. */
struct inherited *inherited_read(void);
/* Those that are different here are set; names of those that can't be are added to missed. */
void inherited_apply(struct inherited *inherited, const struct spaces *spaces, char ret_missed[WIRE_MISSED_MAX]);
void inherited_free(struct inherited *inherited);

/* ---- the tap (tap.c): a ring in shared memory, one writes, one reads */

struct tap_shared;

struct tap {
    struct tap_shared *shared; /* NULL: there is none */
    uint8_t *data;
    uint64_t n_data; /* a power of two */
    size_t n_mapped;
    int wake; /* eventfd */
    uint32_t snap_bytes;
    uint64_t at; /* written, but not published yet; or taken, but still lent */
    bool is_lent;
};

uint64_t tap_round(size_t n_bytes);
/* Makes the memory; *ret_fd is to be closed by the caller when it was handed over. */
int tap_make(struct tap *tap, uint64_t n_data, int *ret_fd);
/* Maps what was made. wake becomes the tap's. */
int tap_map(struct tap *tap, int fd, uint64_t n_data, int wake, uint32_t snap_bytes);
void tap_unmap(struct tap *tap);
/* False: there is no room. */
bool tap_write(struct tap *tap, const struct wire_packet *packet);
/* What was written may be read from now on. */
void tap_publish(struct tap *tap);
int tap_read(struct tap *tap, struct wire_packet *ret_packet);

/* ---- packet sockets (port.c): what comes from an end, and goes to it */

#define VNET_HEADER_BYTES 10
#define PORT_BATCH 64
#define ETHERNET_HEADER_BYTES 14

struct frame; /* of forward.c */

struct port {
    int fd;
    uint8_t *ring;
    size_t n_ring;
    uint32_t frame_bytes, block_bytes, frames_per_block, n_frames;
    uint32_t next, n_held;   /* taken from the ring, not given back yet */
    uint64_t n_seen, n_lost; /* lost: the ring was full */
};

struct port_frame {
    uint8_t *header; /* VNET_HEADER_BYTES, for sending it on */
    uint8_t *data;
    uint32_t n_bytes;
    int64_t realtime_ns;
};

/* Making one and closing it takes the kernel milliseconds in which it only waits: several are made at the same time. */
int port_make(struct port *port, uint32_t frame_bytes_max);
/* From now on it receives what comes to that interface. */
int port_open(const struct port *port, int index);
void port_close(struct port *port);
bool port_has(const struct port *port);
/* The stamp of the one that port_take would give. */
int64_t port_peek_realtime_ns(const struct port *port);
/* The next; it stays where it is until port_give_back gives all back that were taken. False: there is none. */
bool port_take(struct port *port, struct port_frame *ret_frame);
void port_give_back(struct port *port);
uint64_t port_lost(struct port *port);
/* The interface was down once: that is over. */
void port_clear_error(const struct port *port);

/* ---- packets under way (pool.c) */

struct frame {
    int64_t due_ns;
    uint64_t number;
    int64_t left_ns;
    uint8_t from, path; /* it goes to the other end */
    bool reordered, corrupted, copy, twice, own;
    uint8_t corrupt_mask;
    uint32_t corrupt_offset;
    uint32_t n_bytes;
    uint32_t class; /* of the pool; not of the pool: POOL_LENT */
    uint8_t vnet[VNET_HEADER_BYTES];
    uint8_t *data;
    struct frame *next; /* free ones */
};

#define POOL_CLASSES 3
#define POOL_LENT UINT32_MAX
#define POOL_BYTES_MAX ((size_t)64 << 20)
#define POOL_FRAMES_MAX 200000u

struct pool {
    struct frame *free[POOL_CLASSES];
    size_t n_bytes; /* of all, free ones too */
};

/* Room for a packet of n_bytes: data points to it. NULL: there is too much under way. */
struct frame *pool_take(struct pool *pool, size_t n_bytes);
void pool_give(struct pool *pool, struct frame *frame);
void pool_free(struct pool *pool);

/* By due time; of equal ones the one first put in comes first. */
struct queue_entry {
    int64_t due_ns;
    uint64_t order;
    struct frame *frame;
};

struct queue {
    struct queue_entry *entries;
    uint32_t n, n_room;
    uint64_t order;
};

int queue_put(struct queue *queue, struct frame *frame);
/* NULL: nothing is due by then. */
struct frame *queue_take(struct queue *queue, int64_t now_ns);
static inline int64_t queue_next_ns(const struct queue *queue)
{
    return queue->n ? queue->entries[0].due_ns : INT64_MAX;
}
void queue_free(struct queue *queue, struct pool *pool);

/* ---- the packet sockets of all ends and paths (ports.c) */

struct ports {
    unsigned n_paths;
    struct port each[N_ENDS][WIRE_PATHS];
};

int ports_make(struct ports *ports, unsigned n_paths, uint32_t frame_bytes_max);
int ports_open(struct ports *ports, const struct links *links);
void ports_close(struct ports *ports);

/* ---- forwarding (forward.c) */

struct forwarder;

/* The ports become the forwarder's. */
struct forwarder *forwarder_new(struct links *links, const struct ports *ports, const struct wire_settings *settings,
                                struct tap *tap, int64_t began_ns);
void forwarder_free(struct forwarder *forwarder);
/* What is there and what is due goes on its way, up to some. True: there may be more. */
bool forwarder_turn(struct forwarder *forwarder);
/* When something is due next; INT64_MAX: nothing waits. */
int64_t forwarder_next_ns(const struct forwarder *forwarder);
/* Its packet sockets, at most N_ENDS * WIRE_PATHS. */
unsigned forwarder_fds(const struct forwarder *forwarder, int ret_fds[N_ENDS * WIRE_PATHS]);
void forwarder_clear_errors(struct forwarder *forwarder);
/* All that has left is decided. */
void forwarder_flush(struct forwarder *forwarder);
void forwarder_set_rules(struct forwarder *forwarder, enum event_end from, const struct wire_rules *rules);
void forwarder_get_counts(struct forwarder *forwarder, struct wire_counts ret_counts[N_ENDS]);
/* Other packet sockets from now on, for packets of another size. They become the forwarder's, on failure too. */
int forwarder_change_ports(struct forwarder *forwarder, const struct ports *ports);

/* ---- ICMP by which the wire tells its MTU (icmp.c) */

#define ICMP_FRAME_MAX (ETHERNET_HEADER_BYTES + 1280)

/* The frame that tells the sender of this one. 0: that one is not to be answered; or its size. */
size_t icmp_tell_mtu(const uint8_t *frame, size_t n_bytes, uint32_t mtu, unsigned path,
                     uint8_t ret_frame[ICMP_FRAME_MAX]);

#endif
