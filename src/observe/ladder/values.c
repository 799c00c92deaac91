// SPDX-License-Identifier: MIT
/* The kernel's values as words: times in ms, cwnd in segments, queues in bytes. */
#include "observe/ladder/ladder_internal.h"

#include "term/translate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum value_form { FORM_FULL, FORM_SHORT, FORM_UNITS };

static bool has_value(const struct event_values *values, enum event_value value)
{
    return values->present & values->changed & (1u << value) && event_value_words(value);
}

bool values_are_shown(const struct event_values *values)
{
    for (enum event_value value = 0; value < N_VALUES; value++) {
        if (has_value(values, value))
            return true;
    }
    return false;
}

static void one_value(const struct event_values *values, enum event_value value, enum value_form form, char *ret_text,
                      size_t size_bytes)
{
    const char *words = event_value_words(value);
    char ms[32];
    switch (value) {
    case VALUE_RTO:
    case VALUE_RTT:
        digits_text(values->value[value] > 0 ? (uint64_t)values->value[value] : 0, 0, ms, sizeof ms);
        snprintf(ret_text, size_bytes, "%s %s%s", words, ms, form == FORM_UNITS ? " ms" : "");
        return;
    case VALUE_CWND:
        snprintf(ret_text, size_bytes, "%s %" PRId64, form == FORM_SHORT ? "cw" : words, values->value[value]);
        return;
    case VALUE_ACCEPT_QUEUE: {
        int64_t n = values->value[value], limit = values->value[VALUE_ACCEPT_LIMIT];
        bool known = values->present & (1u << VALUE_ACCEPT_LIMIT);
        const char *name = form == FORM_SHORT ? words : _("accept queue");
        if (known)
            snprintf(ret_text, size_bytes, n > limit ? _("%s %" PRId64 "/%" PRId64 " full") : "%s %" PRId64 "/%" PRId64,
                     name, n, limit);
        else
            snprintf(ret_text, size_bytes, "%s %" PRId64, name, n);
        return;
    }
    default:
        snprintf(ret_text, size_bytes, "%s %" PRId64, words, values->value[value]);
    }
}

/* Returns how many did not fit. */
static unsigned list_values(const struct event_values *values, enum value_form form, const char *between,
                            unsigned n_cells, char ret_text[VALUES_BYTES])
{
    unsigned n_left_out = 0;
    size_t n = 0;
    ret_text[0] = '\0';
    for (enum event_value value = 0; value < N_VALUES; value++) {
        if (!has_value(values, value))
            continue;
        char one[96];
        one_value(values, value, form, one, sizeof one);
        size_t length = strlen(one), n_between = n > 0 ? strlen(between) : 0;
        if (n_left_out > 0 || n + n_between + length > n_cells || n + n_between + length >= VALUES_BYTES) {
            n_left_out++;
            continue;
        }
        n += (size_t)snprintf(ret_text + n, VALUES_BYTES - n, "%s%s", n > 0 ? between : "", one);
    }
    return n_left_out;
}

void values_text(const struct event_values *values, unsigned n_cells, bool *ret_all, char ret_text[VALUES_BYTES])
{
    *ret_all = true;
    if (list_values(values, FORM_FULL, " ", n_cells, ret_text) == 0)
        return;
    *ret_all = list_values(values, FORM_SHORT, " ", n_cells, ret_text) == 0;
}

void values_text_long(const struct event_values *values, unsigned n_cells, char ret_text[VALUES_BYTES])
{
    if (list_values(values, FORM_UNITS, "  ", n_cells, ret_text) > 0)
        list_values(values, FORM_FULL, " ", n_cells, ret_text);
}
