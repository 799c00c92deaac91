/* SPDX-License-Identifier: MIT */
/*
 * Deep copies of options that hold texts: each text and each list is named once in a function that is run twice, first
 * to count, then to copy into one piece of memory.
 */
#ifndef NET_TEXTS_H
#define NET_TEXTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct texts {
    unsigned char *at; /* NULL: only count */
    size_t n_bytes;    /* so far */
};

static inline void texts_begin_copy(struct texts *texts, void *memory)
{
    *texts = (struct texts){.at = memory};
}

static inline void *texts_room(struct texts *texts, size_t n_bytes)
{
    void *room = texts->at != NULL ? texts->at + texts->n_bytes : NULL;

    texts->n_bytes += (n_bytes + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    return room;
}

static inline void texts_one(struct texts *texts, const char **text)
{
    if (*text == NULL)
        return;
    size_t n = strlen(*text) + 1;
    char *room = texts_room(texts, n);
    if (room != NULL)
        *text = memcpy(room, *text, n);
}

/* A NULL-ended list of them. */
static inline void texts_list(struct texts *texts, const char *const **list)
{
    size_t n = 0;

    if (*list == NULL)
        return;
    while ((*list)[n] != NULL)
        n++;
    const char **room = texts_room(texts, (n + 1) * sizeof *room);
    for (size_t i = 0; i < n; i++) {
        const char *text = (*list)[i];
        texts_one(texts, &text);
        if (room != NULL)
            room[i] = text;
    }
    if (room != NULL) {
        room[n] = NULL;
        *list = room;
    }
}

#endif
