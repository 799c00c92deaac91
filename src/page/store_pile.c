/* SPDX-License-Identifier: MIT */
#include "page/store_pile.h"

static void take_off(struct item *item)
{
    struct pile *pile = item->pile;
    struct shelf *shelf = pile->shelf;
    *(item->before ? &item->before->after : &pile->first) = item->after;
    *(item->after ? &item->after->before : &pile->last) = item->before;
    *(item->older ? &item->older->newer : &shelf->oldest) = item->newer;
    *(item->newer ? &item->newer->older : &shelf->newest) = item->older;
    pile->n_items--;
    pile->n_bytes -= item->n_bytes;
    shelf->n_items--;
    shelf->n_bytes -= item->n_bytes;
    shelf->free_item(item);
}

static void lose(struct item *item)
{
    item->pile->shelf->n_lost++;
    take_off(item);
}

void pile_put(struct pile *pile, struct item *item, size_t n_bytes, uint64_t weight, const struct pile_bounds *bounds)
{
    struct shelf *shelf = pile->shelf;
    *item = (struct item){
        .before = pile->last,
        .older = shelf->newest,
        .pile = pile,
        .number = pile->next_number,
        .bytes_before = pile->next_byte,
        .n_bytes = n_bytes,
    };
    *(pile->last ? &pile->last->after : &pile->first) = item;
    pile->last = item;
    *(shelf->newest ? &shelf->newest->newer : &shelf->oldest) = item;
    shelf->newest = item;
    pile->n_items++;
    pile->n_bytes += n_bytes;
    shelf->n_items++;
    shelf->n_bytes += n_bytes;
    pile_pass(pile, 1, weight);
    while (pile->n_items > 1 && (pile->n_items > bounds->n_items || pile->n_bytes > bounds->n_bytes))
        lose(pile->first);
    while (shelf->oldest != item && (shelf->n_items > shelf->n_items_max || shelf->n_bytes > shelf->n_bytes_max))
        lose(shelf->oldest);
}

void pile_pass(struct pile *pile, uint64_t n, uint64_t weight)
{
    pile->next_number += n;
    pile->next_byte += weight;
}

struct item *pile_from(const struct pile *pile, uint64_t number)
{
    struct item *item = pile->last;
    if (!item || item->number < number)
        return NULL;
    if (pile->first->number >= number)
        return pile->first;
    while (item->before && item->before->number >= number)
        item = item->before;
    return item;
}

void pile_shrink(struct pile *pile, size_t n_items)
{
    while (pile->n_items > n_items)
        lose(pile->first);
}

void pile_clear(struct pile *pile)
{
    while (pile->first)
        take_off(pile->first);
}
