/* SPDX-License-Identifier: MIT */
/*
 * Forwarding: from the packet socket that faces one end to the one that faces the other.
 *
 * Theory of operation
 *
 * A turn sends what is due and takes what has come, of all sockets in the order of the kernel's stamps. The judge says
 * what becomes of each packet. One that is due at once is sent from where it lies in the ring; one that has to wait is
 * copied and queued. What is sent is gathered for each socket and handed to the kernel in one call, which is the moment
 * of arrival. Then it is written to the tap, and its place in the ring is given back.
 *
 * That the tap shows a packet before the answer to it follows from this: the answer can't have come before the call.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define TURN_FRAMES 64
#define FLUSH_NS (500 * NS_PER_MS) /* the kernel's own queues wait for a busy CPU */
#define STAMP_OLDEST_NS NS_PER_S

/* Frames on their way out by one socket. */
struct departure {
    unsigned n;
    struct frame *frames[PORT_BATCH];
    struct frame lent[PORT_BATCH];
    struct iovec parts[PORT_BATCH][2];
    struct mmsghdr messages[PORT_BATCH];
};

struct forwarder {
    struct links *links;
    struct tap *tap;
    struct wire_judge *judges[WIRE_PATHS];
    unsigned n_paths;
    struct ports ports;
    struct departure departures[N_ENDS][WIRE_PATHS]; /* by the port that it goes out of */
    struct pool pool;
    struct queue queue;
    uint64_t number;
    int64_t now_ns, realtime_ahead_ns;        /* as of this turn */
    int64_t judged_ns;                        /* the latest that was told to the judge */
    int64_t n_never_seen[N_ENDS][WIRE_PATHS]; /* that an end's interface counts, and no socket of ours did */
    struct wire_counts counts[N_ENDS];
};

static void read_clocks(struct forwarder *forwarder)
{
    struct timespec realtime;
    forwarder->now_ns = clock_ns();
    clock_gettime(CLOCK_REALTIME, &realtime);
    forwarder->realtime_ahead_ns = realtime.tv_sec * NS_PER_S + realtime.tv_nsec - forwarder->now_ns;
}

/* ---- out of it */

static void write_tap(struct forwarder *forwarder, const struct frame *frame, enum wire_reason reason,
                      int64_t arrived_ns)
{
    if (!forwarder->tap->shared)
        return;
    const struct wire_packet packet = {
        .number = frame->number,
        .from = frame->from,
        .path = frame->path,
        .reason = (uint8_t)reason,
        .own = frame->own,
        .corrupted = frame->corrupted,
        .reordered = frame->reordered,
        .copy = frame->copy,
        .twice = frame->twice,
        .left_ns = frame->left_ns,
        .arrived_ns = arrived_ns,
        .n_wire = frame->n_bytes,
        .data = frame->data,
    };
    if (!tap_write(forwarder->tap, &packet))
        forwarder->counts[frame->from].n_tap_lost++;
}

static void flip(const struct frame *frame)
{
    if (frame->corrupted && frame->corrupt_offset < frame->n_bytes)
        frame->data[frame->corrupt_offset] ^= frame->corrupt_mask;
}

static void drop(struct forwarder *forwarder, const struct frame *frame, enum wire_reason reason)
{
    forwarder->counts[frame->from].n_dropped[reason]++;
    write_tap(forwarder, frame, reason, 0);
}

static void arrive(struct forwarder *forwarder, struct frame *frame, int64_t arrived_ns)
{
    struct wire_counts *counts = &forwarder->counts[frame->from];
    int64_t late_ns = arrived_ns - frame->due_ns;
    if (arrived_ns <= frame->left_ns)
        arrived_ns = frame->left_ns + 1; /* two clocks, read one after the other */
    if (frame->own) {
        forwarder->counts[other_end(frame->from)].n_told_mtu++;
    } else {
        counts->n_arrived++;
        counts->late_total_ns += late_ns > 0 ? late_ns : 0;
        if (late_ns > counts->late_max_ns)
            counts->late_max_ns = late_ns;
    }
    write_tap(forwarder, frame, WIRE_PASSED, arrived_ns);
}

/* How many of these were sent; the first that was not is lost for the returned reason. */
static unsigned send_some(const struct port *port, struct mmsghdr *messages, unsigned n, enum wire_reason *ret_reason)
{
    int n_sent = sendmmsg(port->fd, messages, n, MSG_DONTWAIT);
    if (n_sent < 0 && (errno == ENETDOWN || errno == EINTR))
        n_sent = sendmmsg(port->fd, messages, n, MSG_DONTWAIT);
    if (n_sent > 0)
        return (unsigned)n_sent;
    *ret_reason = errno == EMSGSIZE ? WIRE_TOO_LARGE : WIRE_NO_ROOM;
    return 0;
}

static void depart(struct forwarder *forwarder, struct departure *departure, const struct port *port)
{
    for (unsigned n_done = 0; n_done < departure->n;) {
        enum wire_reason reason = WIRE_PASSED;
        int64_t arrived_ns = clock_ns();
        unsigned n_sent = send_some(port, departure->messages + n_done, departure->n - n_done, &reason);
        for (unsigned i = 0; i < n_sent + (n_sent == 0); i++) {
            struct frame *frame = departure->frames[n_done + i];
            flip(frame); /* back */
            if (n_sent > 0)
                arrive(forwarder, frame, arrived_ns);
            else
                drop(forwarder, frame, reason);
            pool_give(&forwarder->pool, frame);
        }
        n_done += n_sent ? n_sent : 1;
    }
    departure->n = 0;
}

static void depart_all(struct forwarder *forwarder)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++) {
            if (forwarder->departures[end][path].n)
                depart(forwarder, &forwarder->departures[end][path], &forwarder->ports.each[end][path]);
        }
    }
}

/* A copy of the struct is kept for those that lie in the ring. */
static void send_frame(struct forwarder *forwarder, struct frame *frame)
{
    enum event_end to = other_end(frame->from);
    struct departure *departure = &forwarder->departures[to][frame->path];
    if (departure->n == PORT_BATCH)
        depart(forwarder, departure, &forwarder->ports.each[to][frame->path]);
    unsigned at = departure->n++;
    if (frame->class == POOL_LENT) {
        departure->lent[at] = *frame;
        frame = &departure->lent[at];
    }
    flip(frame);
    departure->frames[at] = frame;
    departure->parts[at][0] = (struct iovec){.iov_base = frame->vnet, .iov_len = VNET_HEADER_BYTES};
    departure->parts[at][1] = (struct iovec){.iov_base = frame->data, .iov_len = frame->n_bytes};
    departure->messages[at] = (struct mmsghdr){.msg_hdr = {.msg_iov = departure->parts[at], .msg_iovlen = 2}};
}

static unsigned send_due(struct forwarder *forwarder, unsigned n_max)
{
    unsigned n = 0;
    struct frame *frame;
    while (n < n_max && (frame = queue_take(&forwarder->queue, forwarder->now_ns))) {
        send_frame(forwarder, frame);
        n++;
    }
    return n;
}

/* ---- into it */

static void enqueue(struct forwarder *forwarder, const struct frame *frame)
{
    struct frame *kept = pool_take(&forwarder->pool, frame->n_bytes);
    if (kept) {
        uint32_t class = kept->class;
        uint8_t *data = kept->data;
        *kept = *frame;
        kept->class = class;
        kept->data = data;
        memcpy(data, frame->data, frame->n_bytes);
        if (queue_put(&forwarder->queue, kept) == 0)
            return;
        pool_give(&forwarder->pool, kept);
    }
    drop(forwarder, frame, WIRE_NO_ROOM);
}

static void tell_mtu(struct forwarder *forwarder, const struct frame *frame, uint32_t mtu)
{
    uint8_t bytes[ICMP_FRAME_MAX];
    size_t n_bytes = icmp_tell_mtu(frame->data, frame->n_bytes, mtu, frame->path, bytes);
    if (n_bytes == 0)
        return;
    struct frame told = {
        .due_ns = forwarder->now_ns,
        .left_ns = forwarder->now_ns,
        .number = ++forwarder->number,
        .from = (uint8_t)other_end(frame->from),
        .path = frame->path,
        .own = true,
        .n_bytes = (uint32_t)n_bytes,
        .class = POOL_LENT,
        .data = bytes,
    };
    enqueue(forwarder, &told);
}

static void pass(struct forwarder *forwarder, struct frame *frame, const struct wire_fate *fate)
{
    struct wire_counts *counts = &forwarder->counts[frame->from];
    frame->reordered = fate->reordered;
    frame->corrupted = fate->corrupted;
    frame->corrupt_offset = fate->corrupt_offset;
    frame->corrupt_mask = fate->corrupt_mask;
    counts->n_reordered += fate->reordered;
    counts->n_corrupted += fate->corrupted;
    counts->n_duplicated += fate->n_copies > 1;
    for (unsigned i = 0; i < fate->n_copies; i++) {
        frame->copy = i > 0;
        frame->twice = i == 0 && fate->n_copies > 1;
        frame->due_ns = fate->due_ns[i];
        /* Nothing that waits is due before it. */
        if (frame->due_ns <= forwarder->now_ns && i == 0 && queue_next_ns(&forwarder->queue) > frame->due_ns)
            send_frame(forwarder, frame);
        else
            enqueue(forwarder, frame);
    }
}

/* Reports of the kernel's own membership in the group of its own address (RFC 3810): they are for routers, of which
 * there are none, and they come when nobody talks. */
static bool is_noise(const struct port_frame *frame)
{
    enum { MLD2_REPORT = 143, HOP_BY_HOP = 54, ICMP = 62, RECORDS = 70, RECORD_BYTES = 20 };
    static const uint8_t group[13] = {0xff, 0x02, [11] = 1, 0xff};
    const uint8_t *data = frame->data;
    if (frame->n_bytes < RECORDS || data[12] != ETH_P_IPV6 >> 8 || data[13] != (ETH_P_IPV6 & 0xff) || data[20] != 0 ||
        data[HOP_BY_HOP] != IPPROTO_ICMPV6 || data[HOP_BY_HOP + 1] != 0 || data[ICMP] != MLD2_REPORT)
        return false;
    unsigned n = (unsigned)(data[ICMP + 6] << 8 | data[ICMP + 7]);
    for (unsigned i = 0; i < n; i++) {
        size_t at = RECORDS + (size_t)i * RECORD_BYTES;
        if (at + RECORD_BYTES > frame->n_bytes || data[at + 1] || data[at + 2] || data[at + 3] ||
            memcmp(data + at + 4, group, sizeof group) != 0)
            return false;
    }
    return n > 0;
}

static int64_t convert_stamp(struct forwarder *forwarder, int64_t realtime_ns)
{
    int64_t left_ns = realtime_ns - forwarder->realtime_ahead_ns;
    if (left_ns > forwarder->now_ns)
        read_clocks(forwarder);
    /* The clock was set meanwhile. */
    if (left_ns > forwarder->now_ns || left_ns < forwarder->now_ns - STAMP_OLDEST_NS)
        left_ns = forwarder->now_ns;
    return left_ns;
}

static void take_frame(struct forwarder *forwarder, enum event_end from, unsigned path, const struct port_frame *taken)
{
    if (is_noise(taken))
        return;
    struct wire_counts *counts = &forwarder->counts[from];
    struct frame frame = {
        .number = ++forwarder->number,
        .left_ns = convert_stamp(forwarder, taken->realtime_ns),
        .from = (uint8_t)from,
        .path = (uint8_t)path,
        .n_bytes = taken->n_bytes,
        .class = POOL_LENT,
        .data = taken->data,
    };
    memcpy(frame.vnet, taken->header, VNET_HEADER_BYTES);
    counts->n_packets++;
    counts->n_bytes += frame.n_bytes;
    if (frame.left_ns > forwarder->judged_ns)
        forwarder->judged_ns = frame.left_ns;
    struct wire_fate fate = {0};
    wire_judge_packet(forwarder->judges[path], from, forwarder->judged_ns, frame.data, frame.n_bytes, &fate);
    if (fate.reason == WIRE_PASSED) {
        pass(forwarder, &frame, &fate);
        return;
    }
    drop(forwarder, &frame, fate.reason);
    if (fate.tell_mtu)
        tell_mtu(forwarder, &frame, fate.mtu_bytes);
}

/* The socket of which the next packet is the oldest; NULL: there are none. */
static struct port *find_oldest(struct forwarder *forwarder, enum event_end *ret_end, unsigned *ret_path)
{
    struct port *oldest = NULL;
    int64_t oldest_ns = INT64_MAX;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++) {
            struct port *port = &forwarder->ports.each[end][path];
            if (!port_has(port) || port_peek_realtime_ns(port) >= oldest_ns)
                continue;
            oldest = port;
            oldest_ns = port_peek_realtime_ns(port);
            *ret_end = end;
            *ret_path = path;
        }
    }
    return oldest;
}

bool forwarder_turn(struct forwarder *forwarder)
{
    read_clocks(forwarder);
    unsigned n = send_due(forwarder, TURN_FRAMES), path;
    enum event_end end;
    struct port *port;
    for (; n < 2 * TURN_FRAMES && (port = find_oldest(forwarder, &end, &path)); n++) {
        struct port_frame frame;
        if (port_take(port, &frame))
            take_frame(forwarder, end, path, &frame);
    }
    depart_all(forwarder);
    for (end = END_A; end < N_ENDS; end++) {
        for (path = 0; path < forwarder->n_paths; path++)
            port_give_back(&forwarder->ports.each[end][path]);
    }
    tap_publish(forwarder->tap);
    return n > 0;
}

int64_t forwarder_next_ns(const struct forwarder *forwarder)
{
    return queue_next_ns(&forwarder->queue);
}

unsigned forwarder_fds(const struct forwarder *forwarder, int ret_fds[N_ENDS * WIRE_PATHS])
{
    unsigned n = 0;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++)
            ret_fds[n++] = forwarder->ports.each[end][path].fd;
    }
    return n;
}

void forwarder_clear_errors(struct forwarder *forwarder)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++)
            port_clear_error(&forwarder->ports.each[end][path]);
    }
}

/* ---- what is asked of it */

/* An end's interface counts what it has handed over. What it counts and we have not seen may still be in a queue of the
 * kernel's, on another CPU. */
static bool is_seen(struct forwarder *forwarder, enum event_end end, unsigned path, uint64_t n_sent)
{
    struct port *port = &forwarder->ports.each[end][path];
    int64_t n_accounted = (int64_t)(port->n_seen + port_lost(port)) + forwarder->n_never_seen[end][path];
    return n_accounted >= (int64_t)n_sent;
}

static void flush_path(struct forwarder *forwarder, enum event_end end, unsigned path)
{
    const struct timespec pause = {.tv_nsec = 20 * NS_PER_US};
    struct link_counts sent;
    if (links_count(forwarder->links, end, forwarder->links->remote[end][path], &sent) < 0)
        return;
    int64_t deadline_ns = clock_ns() + FLUSH_NS;
    while (!is_seen(forwarder, end, path, sent.n_sent)) {
        bool is_busy = forwarder_turn(forwarder);
        if (clock_ns() > deadline_ns) {
            struct port *port = &forwarder->ports.each[end][path];
            forwarder->n_never_seen[end][path] = (int64_t)(sent.n_sent - port->n_seen - port_lost(port));
            return;
        }
        if (!is_busy)
            nanosleep(&pause, NULL);
    }
}

void forwarder_flush(struct forwarder *forwarder)
{
    int64_t now_ns = clock_ns();
    forwarder_turn(forwarder);
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++)
            flush_path(forwarder, end, path);
    }
    do
        forwarder_turn(forwarder); /* what is due by now */
    while (queue_next_ns(&forwarder->queue) <= now_ns);
}

void forwarder_set_rules(struct forwarder *forwarder, enum event_end from, const struct wire_rules *rules)
{
    for (unsigned path = 0; path < forwarder->n_paths; path++)
        wire_judge_set_rules(forwarder->judges[path], from, rules);
}

void forwarder_get_counts(struct forwarder *forwarder, struct wire_counts ret_counts[N_ENDS])
{
    memcpy(ret_counts, forwarder->counts, sizeof forwarder->counts);
    for (uint32_t i = 0; i < forwarder->queue.n; i++)
        ret_counts[forwarder->queue.entries[i].frame->from].n_waiting++;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++) {
            struct link_counts sent = {0}, received = {0};
            /* Between the end and our socket, and between us and the end, the kernel has queues too. */
            links_count(forwarder->links, end, forwarder->links->remote[end][path], &sent);
            links_count(forwarder->links, WIRE_BETWEEN, forwarder->links->index[other_end(end)][path], &received);
            ret_counts[end].n_overrun +=
                port_lost(&forwarder->ports.each[end][path]) + sent.n_dropped + received.n_dropped;
        }
    }
}

/* ---- beginning and end */

int forwarder_change_ports(struct forwarder *forwarder, const struct ports *ports)
{
    forwarder_flush(forwarder);
    struct ports old = forwarder->ports;
    forwarder->ports = *ports;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < forwarder->n_paths; path++) {
            forwarder->ports.each[end][path].n_seen = old.each[end][path].n_seen;
            forwarder->ports.each[end][path].n_lost = old.each[end][path].n_lost;
        }
    }
    ports_close(&old);
    return ports_open(&forwarder->ports, forwarder->links);
}

static int make_judges(struct forwarder *forwarder, const struct wire_settings *settings, int64_t began_ns)
{
    for (unsigned path = 0; path < forwarder->n_paths; path++) {
        forwarder->judges[path] = wire_judge_new(settings->seed, began_ns);
        if (!forwarder->judges[path])
            return -ENOMEM;
    }
    for (enum event_end end = END_A; end < N_ENDS; end++)
        forwarder_set_rules(forwarder, end, &settings->rules[end]);
    return 0;
}

struct forwarder *forwarder_new(struct links *links, const struct ports *ports, const struct wire_settings *settings,
                                struct tap *tap, int64_t began_ns)
{
    struct forwarder *forwarder = calloc(1, sizeof *forwarder);
    if (!forwarder)
        return NULL;
    forwarder->links = links;
    forwarder->tap = tap;
    forwarder->n_paths = ports->n_paths;
    if (make_judges(forwarder, settings, began_ns) < 0) {
        forwarder->n_paths = 0; /* the ports are not ours */
        forwarder_free(forwarder);
        return NULL;
    }
    forwarder->ports = *ports;
    return forwarder;
}

void forwarder_free(struct forwarder *forwarder)
{
    if (!forwarder)
        return;
    queue_free(&forwarder->queue, &forwarder->pool);
    pool_free(&forwarder->pool);
    ports_close(&forwarder->ports);
    for (unsigned path = 0; path < WIRE_PATHS; path++)
        wire_judge_free(forwarder->judges[path]);
    free(forwarder);
}
