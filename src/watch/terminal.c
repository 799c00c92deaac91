/* SPDX-License-Identifier: MIT */
/* Alone in its file, since term.h defines macros of very common names. */
#include "watch/terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool terminal_is_known(void)
{
    int result;
    if (setupterm(NULL, STDOUT_FILENO, &result) == ERR)
        return false;
    del_curterm(cur_term);
    return true;
}
