/* SPDX-License-Identifier: MIT */
/*
 * Packets under way: memory for them, which is bounded and used again, and the order in which they are due (a binary
 * heap).
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE_FIRST 1024u

/* A short packet, one of the usual MTU, anything. */
static const size_t class_bytes[POOL_CLASSES] = {256, 2048, 70000};

static void trim(struct pool *pool)
{
    for (unsigned class = 0; class < POOL_CLASSES; class ++) {
        while (pool->free[class]) {
            struct frame *frame = pool->free[class];
            pool->free[class] = frame->next;
            pool->n_bytes -= sizeof *frame + class_bytes[class];
            free(frame);
        }
    }
}

struct frame *pool_take(struct pool *pool, size_t n_bytes)
{
    unsigned class = 0;
    while (class < POOL_CLASSES && class_bytes[class] < n_bytes)
        class ++;
    if (class == POOL_CLASSES)
        return NULL;
    struct frame *frame = pool->free[class];
    if (frame) {
        pool->free[class] = frame->next;
        return frame;
    }
    size_t n_needed = sizeof *frame + class_bytes[class];
    if (pool->n_bytes + n_needed > POOL_BYTES_MAX)
        trim(pool);
    if (pool->n_bytes + n_needed > POOL_BYTES_MAX)
        return NULL;
    frame = malloc(n_needed);
    if (!frame)
        return NULL;
    pool->n_bytes += n_needed;
    frame->class = class;
    frame->data = (uint8_t *)(frame + 1);
    return frame;
}

void pool_give(struct pool *pool, struct frame *frame)
{
    if (frame->class == POOL_LENT)
        return;
    frame->next = pool->free[frame->class];
    pool->free[frame->class] = frame;
}

void pool_free(struct pool *pool)
{
    trim(pool);
}

static bool is_before(const struct queue_entry *one, const struct queue_entry *other)
{
    return one->due_ns != other->due_ns ? one->due_ns < other->due_ns : one->order < other->order;
}

int queue_put(struct queue *queue, struct frame *frame)
{
    if (queue->n >= POOL_FRAMES_MAX)
        return -ENOBUFS;
    if (queue->n == queue->n_room) {
        uint32_t n_room = queue->n_room ? queue->n_room * 2 : QUEUE_FIRST;
        struct queue_entry *entries = realloc(queue->entries, n_room * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        queue->entries = entries;
        queue->n_room = n_room;
    }
    struct queue_entry entry = {.due_ns = frame->due_ns, .order = queue->order++, .frame = frame};
    uint32_t at = queue->n++;
    while (at > 0 && is_before(&entry, &queue->entries[(at - 1) / 2])) {
        queue->entries[at] = queue->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->entries[at] = entry;
    return 0;
}

struct frame *queue_take(struct queue *queue, int64_t now_ns)
{
    if (queue->n == 0 || queue->entries[0].due_ns > now_ns)
        return NULL;
    struct frame *frame = queue->entries[0].frame;
    struct queue_entry last = queue->entries[--queue->n];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child + 1 < queue->n && is_before(&queue->entries[child + 1], &queue->entries[child]))
            child++;
        if (child >= queue->n || !is_before(&queue->entries[child], &last))
            break;
        queue->entries[at] = queue->entries[child];
        at = child;
    }
    queue->entries[at] = last;
    return frame;
}

void queue_free(struct queue *queue, struct pool *pool)
{
    for (uint32_t i = 0; i < queue->n; i++)
        pool_give(pool, queue->entries[i].frame);
    free(queue->entries);
    *queue = (struct queue){0};
}
