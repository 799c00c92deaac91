/* SPDX-License-Identifier: MIT */
/*
 * SO_LINGER with a time makes close(2) wait, on a non-blocking socket too, until the peer has acknowledged everything
 * or the time is over. A loop can't wait, and a second descriptor that a thread closes does not help: whichever of the
 * two is closed last is the one that waits. What the kernel sends, and when, is the same without the option: it
 * delivers in the background, and the time bounds nothing but the wait. So the option is taken off before the close.
 */
#include "net/net_internal.h"

#include <sys/socket.h>

void linger_not(struct sonde_loop *loop, int lingering)
{
    const struct linger none = {0};
    int fd = io_borrow_fd(loop, lingering);

    if (fd < 0) /* nothing can be done about it */
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    io_return_fd(loop, lingering, fd);
}
