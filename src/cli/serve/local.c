/* SPDX-License-Identifier: MIT */
/*
 * The local names of connections. What serve tells when a connection is closed names its local address, which the
 * kernel has forgotten by then, and a connection has no room for it; but there are only as many as this machine has
 * addresses, so a connection keeps the index of one in a table.
 */
#include "cli/serve/serve_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST_ROOM = 8 };

static bool is_same(const struct local_name *name, const struct sonde_address *address, const struct place *place)
{
    return name->n_users > 0 && name->place == place && name->address.family == address->family &&
           name->address.port == address->port && name->address.scope == address->scope &&
           memcmp(&name->address.u, &address->u, sizeof(address->u)) == 0;
}

/* Room for more: doubled, up to the maximum. Returns whether there is any. */
static bool grow(struct worker *worker)
{
    unsigned n = worker->n_locals == 0 ? FIRST_ROOM : 2 * worker->n_locals;

    if (n > SERVE_LOCALS_MAX)
        n = SERVE_LOCALS_MAX;
    if (n == worker->n_locals)
        return false;
    struct local_name *locals = reallocarray(worker->locals, n, sizeof(*locals));
    if (locals == NULL)
        return false;
    memset(locals + worker->n_locals, 0, (n - worker->n_locals) * sizeof(*locals));
    worker->locals = locals;
    worker->n_locals = n;
    return true;
}

/* The index of this name, else of a free one, else SERVE_LOCALS_MAX. Nearly all connections have the name of the one
 * before. */
static unsigned find(struct worker *worker, const struct sonde_address *address, const struct place *place)
{
    unsigned free_index = worker->n_locals;

    if (worker->n_locals > 0 && is_same(&worker->locals[worker->last_local], address, place))
        return worker->last_local;
    for (unsigned i = 0; i < worker->n_locals; i++) {
        if (is_same(&worker->locals[i], address, place))
            return i;
        if (worker->locals[i].n_users == 0 && free_index == worker->n_locals)
            free_index = i;
    }
    if (free_index == worker->n_locals && !grow(worker))
        return SERVE_LOCALS_MAX;
    worker->locals[free_index] = (struct local_name){.address = *address, .place = place};
    return free_index;
}

uint16_t serve_local_take(struct worker *worker, const struct sonde_stream *stream, const struct place *place)
{
    struct sonde_address address;

    memset(&address, 0, sizeof(address));
    if (place->unix_name[0] == '\0') {
        /* Nothing will be told of it when it is closed. */
        if (worker->serve->settings->quiet)
            return SERVE_LOCALS_MAX;
        sonde_stream_local(stream, &address);
        place = NULL;
    }
    unsigned index = find(worker, &address, place);
    if (index < SERVE_LOCALS_MAX) {
        worker->locals[index].n_users++;
        worker->last_local = index;
    }
    return (uint16_t)index;
}

void serve_local_release(struct worker *worker, uint16_t local)
{
    if (local < SERVE_LOCALS_MAX)
        worker->locals[local].n_users--;
}

void serve_local_format(const struct worker *worker, const struct sonde_stream *stream, char *ret_text,
                        size_t size_bytes)
{
    unsigned local = connection_of(stream)->local;
    struct sonde_address address;

    if (local < SERVE_LOCALS_MAX && worker->locals[local].place != NULL) {
        snprintf(ret_text, size_bytes, "%s", worker->locals[local].place->unix_name);
        return;
    }
    if (local < SERVE_LOCALS_MAX)
        address = worker->locals[local].address;
    else
        sonde_stream_local(stream, &address); /* while it is open, the kernel knows */
    sonde_address_format(&address, ret_text, size_bytes);
}
