/* SPDX-License-Identifier: MIT */
#include "term/style.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define TERM_WIDTH_LEAST 20
#define TERM_WIDTH_MOST 1000

bool term_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

bool term_wants_color(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (no_color && no_color[0] != '\0')
        return false;
    return term && term[0] != '\0' && strcmp(term, "dumb") != 0 && term_is_terminal(fd);
}

static unsigned within_reason(unsigned long width)
{
    if (width < TERM_WIDTH_LEAST)
        return TERM_WIDTH_LEAST;
    return width > TERM_WIDTH_MOST ? TERM_WIDTH_MOST : (unsigned)width;
}

unsigned term_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    if (columns && columns[0] >= '1' && columns[0] <= '9') {
        char *end;
        unsigned long width = strtoul(columns, &end, 10);
        if (*end == '\0')
            return within_reason(width);
    }
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return within_reason(size.ws_col);
    return TERM_WIDTH_DEFAULT;
}

bool term_is_unicode(void)
{
    const char *term = getenv("TERM");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return false;
    if (term && (strcmp(term, "linux") == 0 || strcmp(term, "dumb") == 0))
        return false;
    return wcwidth(L'\u2500') == 1;
}
