/* SPDX-License-Identifier: MIT */
/* A terminal for a child: a pair of pseudo-terminals (pty(7)), with the settings that a new one has. */
#include "service/exec_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { N_COLUMNS = 80, N_ROWS = 24 };

int exec_pty_open(int *ret_master, char *ret_name, size_t size_bytes)
{
    const struct winsize window = {.ws_col = N_COLUMNS, .ws_row = N_ROWS};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (master < 0)
        return -errno;
    int error = grantpt(master) != 0 || unlockpt(master) != 0 || ioctl(master, TIOCSWINSZ, &window) != 0 ? errno : 0;
    if (error == 0)
        error = ptsname_r(master, ret_name, size_bytes);
    if (error != 0) {
        close(master);
        return -error;
    }
    *ret_master = master;
    return 0;
}
