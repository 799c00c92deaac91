/* SPDX-License-Identifier: MIT */
/*
 * What is kept, bounded: items on piles (each has one owner), all piles of a sort on one shelf. Both are lists, oldest
 * first. Past a bound the oldest goes: of the pile, then of the shelf. Pure; whoever uses it locks.
 *
 * Items of a pile are numbered from 0, also those that never came onto it (pile_pass), so that a reader who knows where
 * it stood knows what it has missed.
 */
#ifndef PAGE_STORE_PILE_H
#define PAGE_STORE_PILE_H

#include <stddef.h>
#include <stdint.h>

struct pile;

struct item {
    struct item *before, *after; /* on its pile */
    struct item *older, *newer;  /* on its shelf */
    struct pile *pile;
    uint64_t number;
    uint64_t bytes_before; /* of the pile, since it began: weights, and what was passed */
    size_t n_bytes;        /* what it takes */
};

struct shelf {
    struct item *oldest, *newest;
    size_t n_items, n_items_max;
    uint64_t n_bytes, n_bytes_max;
    uint64_t n_lost; /* that had to go */
    void (*free_item)(struct item *item);
};

/* Begins with its shelf alone. */
struct pile {
    struct shelf *shelf;
    struct item *first, *last;
    size_t n_items;
    uint64_t n_bytes;
    uint64_t next_number, next_byte;
};

/* What a pile may hold at most. */
struct pile_bounds {
    size_t n_items;
    uint64_t n_bytes;
};

/* Takes the item, of n_bytes; weight is what it counts for in bytes_before. */
void pile_put(struct pile *pile, struct item *item, size_t n_bytes, uint64_t weight, const struct pile_bounds *bounds);
/* Nothing is kept of so many items. */
void pile_pass(struct pile *pile, uint64_t n, uint64_t weight);
/* The first item of this number or above; NULL: none. Cheap near both ends. */
struct item *pile_from(const struct pile *pile, uint64_t number);
/* Throw the oldest away until no more than n are left. They count as lost. */
void pile_shrink(struct pile *pile, size_t n_items);
/* All of it, and nothing is counted. */
void pile_clear(struct pile *pile);

#endif
