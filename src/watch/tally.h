/* SPDX-License-Identifier: MIT */
/* How often each address was seen: a hash that grows to a stated maximum. Pure. */
#ifndef WATCH_TALLY_H
#define WATCH_TALLY_H

#include <sonde/address.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_MAX (1u << 20)

struct tally_entry {
    struct sonde_address address;
    uint32_t count; /* 0: the place is free */
};

/* Begins zeroed. */
struct tally {
    struct tally_entry *entries;
    size_t n_entries, n_places;
    uint64_t n_refused; /* not counted, for want of room */
};

void tally_free(struct tally *tally);
void tally_clear(struct tally *tally);
/* Returns how often it was seen, with this; 0: there is no room to count it. */
uint32_t tally_add(struct tally *tally, const struct sonde_address *address);
uint32_t tally_count(const struct tally *tally, const struct sonde_address *address);

#endif
