/* SPDX-License-Identifier: MIT */
#include "cli/serve/prefix_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 128, FIRST_ROOM = 8 };

static int refuse(struct sonde_why *ret_why, const char *word, const char *detail)
{
    *ret_why = (struct sonde_why){.code = -SONDE_EOPTION, .call = "parse"};
    snprintf(ret_why->subject, sizeof(ret_why->subject), "%s", word);
    snprintf(ret_why->detail, sizeof(ret_why->detail), "%s", detail);
    return -SONDE_EOPTION;
}

static int add(struct prefix_list *list, unsigned *room, unsigned n_max, const struct sonde_prefix *prefix)
{
    if (list->n == n_max)
        return -E2BIG;
    if (list->n == *room) {
        unsigned more = *room == 0 ? FIRST_ROOM : 2 * *room;
        struct sonde_prefix *prefixes = reallocarray(list->prefixes, more, sizeof(*prefixes));
        if (prefixes == NULL)
            return -ENOMEM;
        list->prefixes = prefixes;
        *room = more;
    }
    list->prefixes[list->n++] = *prefix;
    return 0;
}

int prefix_list_parse(const struct option_list *values, unsigned n_max, struct prefix_list *ret_list,
                      struct sonde_why *ret_why)
{
    struct prefix_list list = {0};
    unsigned room = 0;
    int error = 0;

    for (unsigned i = 0; i < values->n && error == 0; i++) {
        const char *rest = values->values[i];
        for (bool more = true; more && error == 0;) {
            char word[WORD_MAX];
            struct sonde_prefix prefix;
            size_t n = strcspn(rest, ",");
            /* What is too long is wrong in any case, and cut shows where. */
            snprintf(word, sizeof(word), "%.*s", n < sizeof(word) ? (int)n : (int)sizeof(word) - 1, rest);
            if (n == 0)
                error = refuse(ret_why, values->values[i], "a word is missing beside a comma, or altogether");
            else
                error = sonde_prefix_parse(word, &prefix, ret_why);
            if (error == 0)
                error = add(&list, &room, n_max, &prefix);
            more = rest[n] == ',';
            rest += n + 1;
        }
    }
    if (error < 0) {
        prefix_list_free(&list);
        return error;
    }
    *ret_list = list;
    return 0;
}

void prefix_list_free(struct prefix_list *list)
{
    free(list->prefixes);
    *list = (struct prefix_list){0};
}

bool prefix_list_contains(const struct prefix_list *list, const struct sonde_address *address)
{
    for (unsigned i = 0; i < list->n; i++)
        if (sonde_prefix_contains(&list->prefixes[i], address))
            return true;
    return false;
}
