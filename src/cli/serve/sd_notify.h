/* SPDX-License-Identifier: MIT */
/*
 * What a service manager is told of this process, by the protocol of systemd (sd_notify(3)): datagrams to the socket
 * that NOTIFY_SOCKET names. Whoever does not listen misses it: nothing here fails aloud.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#define NOTIFY_MESSAGE_MAX 2048

struct notify {
    int fd; /* -1: nobody wants to be told */
    struct sockaddr_un address;
    socklen_t n_address_bytes;
    int64_t watchdog_ns; /* a sign of life is wanted at least so often; 0: never */
};

/* "/run/systemd/notify", or "@name" for an abstract one. Pure. False: not an address of that kind. */
bool notify_parse_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_n_bytes);

/* WATCHDOG_USEC and WATCHDOG_PID, NULL where they are not set, for the process `own`. Pure. */
int64_t notify_parse_watchdog(const char *usec, const char *pid, pid_t own);

/* From the environment, where the variables do not stay: they are not for our children. Before there are threads. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* One message: assignments, with newlines between. `wait`: for room in the receiver's queue, a moment. */
void notify_send(const struct notify *notify, const char *message, bool wait);

#endif
