/* SPDX-License-Identifier: MIT */
#include "watch/wrap.h"

#include "watch/line.h"

#include <string.h>

size_t wrap_line(const char *text, unsigned n_columns, const char **ret_next)
{
    while (*text == ' ')
        text++;
    size_t n = strlen(text), fits = columns_fit(text, n, n_columns ? n_columns : 1), end = fits;
    if (fits < n) {
        while (end > 0 && text[end] != ' ')
            end--;
        if (end == 0)
            end = fits > 0 ? fits : 1;
    }
    *ret_next = text + end;
    while (**ret_next == ' ')
        ++*ret_next;
    while (end > 0 && text[end - 1] == ' ')
        end--;
    return end;
}
