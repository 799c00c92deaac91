/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a descriptor that sonde did not open: standard input, a signalfd, a pipe. The descriptor stays the
 * caller's, is never read, written or closed here, and must stay open until the closed callback.
 */
#ifndef SONDE_POLL_H
#define SONDE_POLL_H

#include <sonde/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_poll;

#define SONDE_READABLE 1u
#define SONDE_WRITABLE 2u
#define SONDE_HANGUP 4u /* reported whether asked for or not: hung up or in error; reading or writing says which */

struct sonde_poll_handler {
    /* What was asked for has come, once: call sonde_poll_start again for more. Regular files are always ready. */
    void (*ready)(struct sonde_poll *poll, unsigned events, void *user);
    void (*closed)(void *user); /* may be NULL */
};

/* Errors: -ENOMEM, -EBADF. One descriptor, one poll. handler must outlive the poll. */
SONDE_API int sonde_poll_create(struct sonde_loop *loop, int fd, const struct sonde_poll_handler *handler, void *user,
                                struct sonde_poll **ret_poll);

/* Ask for SONDE_READABLE, SONDE_WRITABLE or both; replaces what was asked for before. 0 asks for nothing. An error
 * (-ENOMEM; -EAGAIN when more than 1,000 operations were started before the loop first ran) leaves nothing
 * asked for. A poll that waits keeps sonde_loop_run from returning. */
SONDE_API int sonde_poll_start(struct sonde_poll *poll, unsigned events);

/* Stop and free. closed is called later, on the loop. */
SONDE_API void sonde_poll_close(struct sonde_poll *poll);

#ifdef __cplusplus
}
#endif
#endif
