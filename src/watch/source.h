/* SPDX-License-Identifier: MIT */
/* Where watch has its sockets from: the kernel, asked again and again, and /proc for their owners. */
#ifndef WATCH_SOURCE_H
#define WATCH_SOURCE_H

#include "observe/sockets/owners.h"
#include "watch/judge.h"
#include "watch/text.h"
#include "watch/watch.h"

struct source {
    const struct watch_settings *settings;
    struct sockets *sockets;
    struct owners *owners; /* NULL: never asked for */
    int64_t owners_ns, owners_cost_ns;
    struct judge judge;
};

int64_t clock_now_ns(void);  /* monotonic */
int64_t clock_wall_ns(void); /* since the epoch */

/* Opens, reads the counters, finds owners where they are asked for or the filter needs them. */
int source_open(struct source *source, const struct watch_settings *settings);
void source_close(struct source *source);
void source_refresh_owners(struct source *source);
/* Again, but no oftener than every two seconds, nor more than a twentieth of the time. */
void source_refresh_owners_now_and_then(struct source *source);

/* Is it left out unless --all is said? */
bool source_leaves_out(const struct source *source, const struct socket_info *socket);
/* Does it match, with what is known of its owner? filter may be NULL. */
bool source_matches(const struct source *source, const struct sockets_filter *filter, const struct socket_info *socket);

/* The program that holds it, escaped; NULL when it is not known. */
const char *source_program(const struct source *source, uint64_t inode, char ret_text[64], int32_t *ret_pid);

/* A sentence about owners that could not be found, if there are such; nothing otherwise. */
void source_put_refused(const struct source *source, struct text *text);

/* All there is to know of a row: asked for again; what the row has, where the kernel has no more. */
void source_fetch(struct source *source, const struct row *row, unsigned with, struct socket_info *ret_socket);
/* What the row has. */
void row_to_socket(const struct row *row, struct socket_info *ret_socket);

/* A look without a past, filtered by the kernel as far as it can. Listeners come whole, and are handed over; the others
 * with what is asked for in with. listener may be NULL. */
int source_look_once(struct source *source, struct model *model, unsigned with,
                     void (*listener)(const struct socket_info *socket, void *user), void *user);

#endif
