/* SPDX-License-Identifier: MIT */
/* Another program: done in a child of ours, which may be an ordinary user's, whoever runs the lab. */
#ifndef LAB_SOCKETS_CHILD_H
#define LAB_SOCKETS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Memory that a child's writes reach too; NULL: none. Zeroed. Goes with the process. */
void *shared_memory(size_t n_bytes);

/* run(shared) in a child, which has our descriptors. Ordinary: it has no capability left, and when we are root it is
 * nobody (65534), as far as that is possible. Only async-signal-safe calls in there: this process may have threads.
 * 0 once it has ended by itself, or a negative errno. */
int child_run(void (*run)(void *shared), void *shared, bool ordinary);

#endif
