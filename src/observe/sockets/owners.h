/* SPDX-License-Identifier: MIT */
/*
 * Who holds a socket: /proc/PID/fd of all processes that we may look into, put into a hash by inode. Searched only when
 * asked for, since it costs 3 to 5 us for each descriptor of the machine; a search uses several threads while it runs.
 * Several processes may hold one socket.
 */
#ifndef OBSERVE_SOCKETS_OWNERS_H
#define OBSERVE_SOCKETS_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNER_NAME_MAX 16

struct owner {
    int32_t pid;
    int32_t fd;
    char program[OWNER_NAME_MAX]; /* comm: raw bytes, NUL-terminated */
    const struct owner *next;     /* another holder of the same socket */
};

struct owners;

struct owners *owners_new(void); /* NULL: no memory */
void owners_free(struct owners *owners);
/* Search /proc (again). Descriptors of processes that have not changed are read again all the same: a descriptor may
 * have been replaced. Returns 0 or a negative error; what was found stays until the next call. */
int owners_refresh(struct owners *owners);
/* Only these processes: for a screen that shows few of them. */
int owners_refresh_some(struct owners *owners, const int32_t *pids, size_t n_pids);
/* NULL: not known. Lent until the next refresh. */
const struct owner *owners_find(const struct owners *owners, uint64_t inode);
/* Processes that we were not allowed to look into: their sockets have no known owner. */
uint64_t owners_n_refused(const struct owners *owners);

#endif
