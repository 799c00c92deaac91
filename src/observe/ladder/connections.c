// SPDX-License-Identifier: MIT
/*
 * The connections of a ladder, by their number. However long it runs, it keeps a bounded number of them: past that the
 * one that was quiet for longest is forgotten, and is introduced anew should it speak again.
 */
#include "observe/ladder/ladder_internal.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECTIONS_MAX 65536
#define BUCKETS_FIRST 64

static size_t bucket_of(uint64_t id, size_t n_buckets)
{
    return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (n_buckets - 1);
}

static void unlink_use(struct ladder *ladder, struct connection *connection)
{
    if (connection->newer)
        connection->newer->older = connection->older;
    else
        ladder->newest = connection->older;
    if (connection->older)
        connection->older->newer = connection->newer;
    else
        ladder->oldest = connection->newer;
}

static void link_newest(struct ladder *ladder, struct connection *connection)
{
    connection->newer = NULL;
    connection->older = ladder->newest;
    if (ladder->newest)
        ladder->newest->newer = connection;
    else
        ladder->oldest = connection;
    ladder->newest = connection;
}

static void grow(struct ladder *ladder)
{
    size_t n = ladder->n_buckets > 0 ? ladder->n_buckets * 2 : BUCKETS_FIRST;
    struct connection **buckets = calloc(n, sizeof *buckets);
    if (!buckets)
        return; /* longer chains do as well */
    for (struct connection *each = ladder->oldest; each; each = each->newer) {
        size_t bucket = bucket_of(each->id, n);
        each->next_in_bucket = buckets[bucket];
        buckets[bucket] = each;
    }
    free(ladder->buckets);
    ladder->buckets = buckets;
    ladder->n_buckets = n;
}

struct connection *ladder_find(const struct ladder *ladder, uint64_t id)
{
    if (ladder->n_buckets == 0)
        return NULL;
    struct connection *connection = ladder->buckets[bucket_of(id, ladder->n_buckets)];
    while (connection && connection->id != id)
        connection = connection->next_in_bucket;
    return connection;
}

void ladder_forget(struct ladder *ladder, struct connection *connection)
{
    struct connection **link = &ladder->buckets[bucket_of(connection->id, ladder->n_buckets)];
    while (*link != connection)
        link = &(*link)->next_in_bucket;
    *link = connection->next_in_bucket;
    unlink_use(ladder, connection);
    if (ladder->last_drawn == connection)
        ladder->last_drawn = NULL;
    ladder->n_connections--;
    free(connection);
}

bool ladder_is_full(const struct ladder *ladder)
{
    return ladder->n_connections >= CONNECTIONS_MAX;
}

struct connection *ladder_connection(struct ladder *ladder, uint64_t id)
{
    struct connection *connection = ladder_find(ladder, id);
    if (connection) {
        unlink_use(ladder, connection);
        link_newest(ladder, connection);
        return connection;
    }
    if (ladder->n_connections >= ladder->n_buckets)
        grow(ladder);
    connection = ladder->n_buckets > 0 ? calloc(1, sizeof *connection) : NULL;
    if (!connection)
        return NULL;
    connection->id = id;
    connection->index = (unsigned)ladder->n_connections_seen++;
    size_t bucket = bucket_of(id, ladder->n_buckets);
    connection->next_in_bucket = ladder->buckets[bucket];
    ladder->buckets[bucket] = connection;
    link_newest(ladder, connection);
    ladder->n_connections++;
    return connection;
}
