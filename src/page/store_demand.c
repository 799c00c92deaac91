/* SPDX-License-Identifier: MIT */
/* What the store has to do with traces on demand (traces.c): which connections somebody looks at, and that a trace is
 * over. */
#include "page/store_parts_internal.h"

#include <netinet/in.h>

static bool is_among(const struct demand *demands, size_t n, const struct store_row *row)
{
    for (size_t i = 0; i < n; i++) {
        if (demands[i].row == row->id)
            return true;
    }
    return false;
}

size_t store_demands(struct store *store, struct demand *ret_demands, size_t n_max)
{
    size_t n = 0;
    store_lock(store);
    for (size_t i = 0; i < sizeof store->watching / sizeof *store->watching && n < n_max; i++) {
        const struct store_row *row = store->watching[i] ? store_row_of(store, store->watching[i]) : NULL;
        if (!row || (row->protocol != IPPROTO_TCP && row->protocol != IPPROTO_UDP) || row->local.port == 0 ||
            row->peer.port == 0 || is_among(ret_demands, n, row))
            continue;
        ret_demands[n++] = (struct demand){row->id, row->local, row->peer, row->protocol, row->is_ended};
    }
    store_unlock(store);
    return n;
}

/* Its connections may be followed by those of another session, on the same rows. */
void store_session_over(struct store *store, uint64_t session)
{
    struct trace_row *trace;
    store_lock(store);
    TAILQ_FOREACH(trace, &store->joined, link)
    {
        if (store_session_of(trace->conn) == session)
            trace->is_over = true;
    }
    TAILQ_FOREACH(trace, &store->waiting, link)
    {
        if (store_session_of(trace->conn) == session)
            trace->is_over = true;
    }
    store->version++;
    store_unlock(store);
}

void store_session_begins(struct store *store)
{
    store_lock(store);
    store->has_trace = true;
    store_unlock(store);
}
