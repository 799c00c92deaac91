/* SPDX-License-Identifier: MIT */
/* Lists of address prefixes, as options give them: "10.0.0.0/8,::1", perhaps several times. Pure. */
#ifndef CLI_PREFIX_LIST_H
#define CLI_PREFIX_LIST_H

#include "cli/option.h"

#include <sonde/prefix.h>
#include <stdbool.h>

#define PREFIX_LIST_MAX 1024

struct prefix_list {
    unsigned n;
    struct sonde_prefix *prefixes; /* malloc; NULL: none */
};

/* All words of all values. 0; -SONDE_EOPTION: ret_why's subject is the word that is wrong, its detail what would be
 * right; -E2BIG: more than n_max, which is at most PREFIX_LIST_MAX; -ENOMEM. */
int prefix_list_parse(const struct option_list *values, unsigned n_max, struct prefix_list *ret_list,
                      struct sonde_why *ret_why);
void prefix_list_free(struct prefix_list *list);

/* Is the address within one of them? */
bool prefix_list_contains(const struct prefix_list *list, const struct sonde_address *address);

#endif
