/* SPDX-License-Identifier: MIT */
/* The loop's memory, for lib/http. */
#ifndef NET_HTTP_MEMORY_H
#define NET_HTTP_MEMORY_H

#include "http/head.h"
#include "loop/io.h"

#include <string.h>

static inline void *http_memory_resize(void *loop, void *old, size_t old_bytes, size_t n_bytes)
{
    void *memory = n_bytes > 0 ? loop_alloc(loop, n_bytes) : NULL;

    if (n_bytes > 0 && memory == NULL)
        return NULL;
    if (old != NULL && memory != NULL)
        memcpy(memory, old, old_bytes < n_bytes ? old_bytes : n_bytes);
    if (old != NULL)
        loop_free(loop, old, old_bytes);
    return memory;
}

static inline struct http_memory http_memory_of(struct sonde_loop *loop)
{
    return (struct http_memory){http_memory_resize, loop};
}

#endif
