/* SPDX-License-Identifier: MIT */
/* The system calls on sockets that are made directly, each with its probe event. They return what the call returned,
 * errors as negative errno. */
#ifndef NET_CALLS_H
#define NET_CALLS_H

#include <sonde/loop.h>
#include <stdint.h>
#include <sys/socket.h>

int call_socket(struct sonde_loop *loop, int family, int type, int protocol);
/* fd may be a place here (loop/io.h). */
int call_setsockopt(struct sonde_loop *loop, uint64_t stream, int fd, int level, int name, const void *value,
                    socklen_t n);
int call_bind(struct sonde_loop *loop, uint64_t stream, int fd, const struct sockaddr *address, socklen_t n);
/* Without waiting: -EINPROGRESS is as good as 0. */
int call_connect(struct sonde_loop *loop, uint64_t stream, int fd, const struct sockaddr *address, socklen_t n);
int call_listen(struct sonde_loop *loop, int fd, int backlog);
int call_shutdown(struct sonde_loop *loop, uint64_t stream, int fd, int how);
void call_close(struct sonde_loop *loop, uint64_t stream, int fd);

/* How many messages, or an error. The events are the caller's, who knows the streams. */
int call_recvmmsg(struct sonde_loop *loop, int fd, struct mmsghdr *messages, unsigned n, int flags);
int call_sendmmsg(struct sonde_loop *loop, int fd, struct mmsghdr *messages, unsigned n, int flags);

/* Questions, which are no events. fd may be a place. */
int call_getsockopt(struct sonde_loop *loop, int fd, int level, int name, void *ret_value, socklen_t *n);
int call_getsockname(struct sonde_loop *loop, int fd, struct sockaddr *ret_address, socklen_t *n);

struct sonde_probe_event;

/* Fill in an event's address, and its path for UNIX sockets. The path points into address. */
void probe_set_address(struct sonde_probe_event *event, const struct sockaddr *address, socklen_t n);

#endif
