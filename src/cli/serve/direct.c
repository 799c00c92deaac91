/* SPDX-License-Identifier: MIT */
/*
 * --direct: connections that have no descriptors (sonde_loop_options, n_direct).
 *
 * A ring holds as many of them as this process may have open files; so there are as many rings, each with a worker, as
 * --max-clients needs. All of them accept from the first worker's sockets, of which each has duplicates: whoever
 * connects wakes one ring, and one that is full does not accept, so that the others go on. (With sockets of their own
 * the kernel would spread the clients among all, and those of a full ring would wait for ever.)
 *
 * With --max-clients, and more rings than one, each ring has a share of the places, and is full when they are taken.
 * Listeners are not paused then: an accept that is given up may have been woken for somebody who is still in the queue,
 * and of whom no other ring would learn. Each socket that accepts keeps a place free for whoever comes next; so with
 * several addresses up to as many places as there are others may stay free in each ring while clients wait.
 */
#include "cli/serve/serve_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    RINGS_MAX = 256,
    PLACES_MAX = 1 << 20, /* of a ring, says the kernel */
};

/* Do clients that are too many wait for a place in a ring? */
static bool is_shared_out(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;

    return settings->max_clients > 0 && settings->when_full == WHEN_FULL_WAIT && serve->n_workers > 1;
}

static enum exit_status misuse(const char *sentence)
{
    say("%s", sentence);
    return EXIT_MISUSE;
}

enum exit_status serve_direct_check(const struct serve_settings *settings, const struct service *service)
{
    if (!settings->direct)
        return EXIT_DONE;
    if (!(service->flags & SERVICE_MANY_THREADS)) {
        say(_("%s cannot be served with --direct: it needs descriptors."), service->name);
        return EXIT_MISUSE;
    }
    if (settings->engine == SONDE_ENGINE_EPOLL)
        return misuse(_("--direct needs io_uring: leave out --engine epoll."));
    if (settings->trace || settings->trace_json != NULL)
        return misuse(_("--direct and --trace exclude each other: a trace asks the kernel about each connection by its "
                        "descriptor. --calls works."));
    return EXIT_DONE;
}

/* How many places a ring may have, and how many of them its sockets may need to accept: each keeps one free for whoever
 * comes next. */
static unsigned find_places(const struct serve *serve, unsigned *ret_n_kept)
{
    unsigned n_places = PLACES_MAX, n_kept = serve->n_urls * SONDE_LISTENER_MAX;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n_places)
        n_places = (unsigned)limit.rlim_cur;
    *ret_n_kept = n_kept < n_places / 2 ? n_kept : n_places / 2;
    return n_places;
}

enum exit_status serve_direct_size(struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    long long most = settings->max_clients, n_rings = settings->once || settings->sequential ? 1 : settings->threads;
    unsigned n_kept, n_places = find_places(serve, &n_kept);

    if (most > 0) {
        long long n_usable = n_places - n_kept, n_needed = (most + n_usable - 1) / n_usable;
        if (n_needed > RINGS_MAX) {
            say(_("--max-clients %lld needs %lld rings of %lld connections, and %d are the most: raise the limit of "
                  "open files (ulimit -n)."),
                most, n_needed, n_usable, RINGS_MAX);
            return EXIT_MISUSE;
        }
        if (n_rings > n_needed && settings->when_full == WHEN_FULL_WAIT) {
            say(_("--threads %lld is not used: with --max-clients %lld there are as many rings as that needs, %lld."),
                n_rings, most, n_needed);
            n_rings = n_needed;
        }
        n_rings = n_rings < n_needed ? n_needed : n_rings;
        long long n_wanted = (most + n_rings - 1) / n_rings + n_kept;
        n_places = n_wanted < n_places ? (unsigned)n_wanted : n_places;
    }
    serve->n_workers = (unsigned)n_rings;
    serve->n_direct = n_places;
    return EXIT_DONE;
}

unsigned serve_direct_places(const struct serve *serve, unsigned index)
{
    long long most = serve->settings->max_clients, n = serve->n_workers;

    return is_shared_out(serve) ? (unsigned)(most / n + (index < most % n)) : serve->n_direct;
}

bool serve_direct_trouble(struct serve *serve, int error)
{
    if (!is_shared_out(serve) || (error != 0 && error != -ENFILE))
        return false;
    if (error != 0 && !atomic_exchange(&serve->limit_said, true))
        serve_say_limit(serve);
    return true;
}

/* A listener of this worker on a duplicate of one of the first worker's sockets. */
static enum exit_status join(struct worker *worker, struct place *place, const struct place *first, unsigned index)
{
    const struct serve *serve = worker->serve;
    struct sonde_url url = serve->urls[first->url];
    struct sonde_listen_options options;
    struct sonde_why why = {.code = -EMFILE, .call = "fcntl"};

    int fd = fcntl(sonde_listener_fd(first->listener, index), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        why.code = -errno;
        return say_why(serve->url_texts[first->url], &why);
    }
    url.scheme = SONDE_SCHEME_FD;
    url.port = 0;
    url.path_bytes = 0;
    url.n_set &= ~(1u << SONDE_OPT_BACKLOG); /* it has one */
    snprintf(url.host, sizeof(url.host), "%d", fd);
    place->worker = worker;
    place->url = first->url;
    snprintf(place->unix_name, sizeof(place->unix_name), "%s", first->unix_name);
    serve_listen_options(worker, &url, &options);
    if (sonde_listen(worker->loop, &url, &options, &serve_listener_handler, place, &place->listener, &why) != 0) {
        close(fd);
        return say_why(serve->url_texts[first->url], &why);
    }
    worker->n_listeners++;
    return EXIT_DONE;
}

enum exit_status serve_direct_join(struct worker *worker)
{
    const struct worker *first = &worker->serve->workers[0];
    enum exit_status status = EXIT_DONE;
    unsigned n_sockets = 0;

    for (unsigned i = 0; i < first->n_places; i++)
        n_sockets += sonde_listener_count(first->places[i].listener);
    worker->places = calloc(n_sockets, sizeof(*worker->places));
    if (worker->places == NULL)
        return say_why("", &(struct sonde_why){.code = -ENOMEM, .call = "malloc"});
    for (unsigned i = 0; i < first->n_places; i++)
        for (unsigned k = 0; k < sonde_listener_count(first->places[i].listener) && status == EXIT_DONE; k++)
            status = join(worker, &worker->places[worker->n_places++], &first->places[i], k);
    return status;
}

void serve_direct_tell(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    long long most = settings->max_clients > 0 ? settings->max_clients : (long long)serve->n_workers * serve->n_direct;

    if (!settings->quiet && serve->n_workers == 1)
        say(_("one ring holds %lld connections at most; they have no descriptors."), most);
    else if (!settings->quiet)
        say(_("%u rings hold %lld connections at most; they have no descriptors."), serve->n_workers, most);
}
