/* SPDX-License-Identifier: MIT */
/*
 * The kernel as a source of events: what it knows of the ends of connections that are on this machine, asked again and
 * again through sock_diag. Between two looks a state may pass unseen; events from here say that they were polled.
 *
 * At most KERNEL_WATCHED_MAX connections are looked at, the first that come; the others have no kernel events.
 */
#ifndef TRACE_KERNEL_H
#define TRACE_KERNEL_H

#include "observe/event/event.h"
#include "observe/sockets/sockets.h"

#define KERNEL_LOOK_NS (20 * NS_PER_MS)
#define KERNEL_WATCHED_MAX 64

struct kernel_source;

/* NULL: no memory, or the kernel answers no questions. */
struct kernel_source *kernel_source_new(void (*event)(const struct event *event, void *user), void *user);
/* The same of two network namespaces, each of which may have either end: `open` is socket(2) in one of them (as of
 * sockets_open_at). */
struct kernel_source *kernel_source_new_at(int (*open)(int family, int type, int protocol, void *user),
                                           void *const where[2], void (*event)(const struct event *event, void *user),
                                           void *user);
void kernel_source_free(struct kernel_source *source);

/* From now on look at this TCP connection. has_segments: its states are seen on the wire, and only their end is told
 * from here. False: there are too many already. */
bool kernel_watch(struct kernel_source *source, uint64_t conn, const struct sonde_address address[N_ENDS],
                  bool has_segments);

/* Look at none any more. */
void kernel_watch_none(struct kernel_source *source);

/* Look at all of them; at some, in turn, when there are many. */
void kernel_look(struct kernel_source *source, int64_t now_ns);

/* How many are looked at. */
size_t kernel_n_watched(const struct kernel_source *source);

/* TCP_INFO and queues as values; bytes that the struct does not hold are left out. */
void kernel_values(const struct socket_info *socket, struct event_values *ret_values);

/* Keep of `changed` what differs enough from what was told last to be worth a mark on the ladder, and remember it. */
void kernel_changes(struct event_values *values, struct event_values *told);

#endif
