/* SPDX-License-Identifier: MIT */
/* The table of engines, and which of them a loop gets. An engine is chosen by trying it, never by a kernel's version.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

/* In order of preference. */
static const struct engine_ops *const engines[] = {&engine_uring, &engine_epoll};

enum { N_ENGINES = sizeof engines / sizeof engines[0] };

static const struct engine_ops *find(enum sonde_engine kind)
{
    for (unsigned i = 0; i < N_ENGINES; i++)
        if (engines[i]->kind == kind)
            return engines[i];
    return NULL;
}

const char *sonde_engine_name(enum sonde_engine engine)
{
    const struct engine_ops *ops = find(engine);

    return ops != NULL ? ops->name : "auto";
}

/* An engine that was asked for by name and refuses: what it said, under one error that a caller can tell. */
static int refused(const struct engine_ops *ops, const struct sonde_why *why, struct sonde_why *ret_why)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = -SONDE_EENGINE, .call = why->call};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%s", ops->name);
        if (why->detail[0] != '\0')
            snprintf(ret_why->detail, sizeof ret_why->detail, "%s: %.100s", sonde_strerror(why->code), why->detail);
        else
            snprintf(ret_why->detail, sizeof ret_why->detail, "%s", sonde_strerror(why->code));
    }
    return -SONDE_EENGINE;
}

/* A table of files can have no more places than this process may have open files. */
static int check_table(unsigned n_direct, struct sonde_why *ret_why)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || n_direct <= limit.rlim_cur)
        return 0;
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = -EMFILE, .call = "io_uring_register"};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%s", "uring");
        snprintf(ret_why->detail, sizeof ret_why->detail,
                 "a ring can have as many connections as this process may have open files (ulimit -n): %llu, not %u",
                 (unsigned long long)limit.rlim_cur, n_direct);
    }
    return -EMFILE;
}

int sonde_loop_create(const struct sonde_loop_options *options, struct sonde_loop **ret_loop, struct sonde_why *ret_why)
{
    enum sonde_engine wanted = options != NULL ? options->engine : SONDE_ENGINE_AUTO;
    unsigned n_direct = options_n_direct(options);
    struct sonde_why why = {.call = "engine"};
    int error = check_table(n_direct, ret_why);

    if (error < 0)
        return error;
    if (n_direct > 0 && wanted == SONDE_ENGINE_AUTO)
        wanted = SONDE_ENGINE_URING; /* no other has a table */
    error = -SONDE_EENGINE;
    for (unsigned i = 0; i < N_ENGINES; i++) {
        if (wanted != SONDE_ENGINE_AUTO && wanted != engines[i]->kind)
            continue;
        error = loop_create_on(engines[i], NULL, options, ret_loop, &why);
        if (error == 0)
            return 0;
        if (wanted != SONDE_ENGINE_AUTO)
            return refused(engines[i], &why, ret_why);
    }
    if (ret_why != NULL)
        *ret_why = why;
    return error;
}

int sonde_engine_probe(enum sonde_engine engine, struct sonde_why *ret_why)
{
    const struct engine_ops *ops = find(engine);
    struct sonde_loop *loop;

    if (ops == NULL)
        return engine == SONDE_ENGINE_AUTO ? 0 : -SONDE_EENGINE;
    int error = loop_create_on(ops, NULL, NULL, &loop, ret_why);
    if (error == 0)
        sonde_loop_destroy(loop);
    return error;
}
