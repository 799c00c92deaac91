/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * A look-up belongs to two: the loop that asked and the thread that works. Whoever is done with it last frees it. The
 * thread posts its result under the lock and only if the look-up has not been cancelled; the stream that waits for it
 * keeps the loop alive until then. A result that was posted and is cancelled afterwards still arrives in the mailbox,
 * and must be waited for there: until it has, it counts as an open object of the loop.
 */
#include "net/resolve.h"

#include "loop/io.h"
#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct resolve {
    pthread_mutex_t lock;
    struct sonde_loop *loop;
    void (*done)(void *user, int error, const struct addresses *addresses);
    void *user;
    bool cancelled, posted, worked;
    int family, error;
    struct addresses addresses;
    char host[256];
};

static void add(struct addresses *addresses, int family, const void *ip, size_t n_bytes)
{
    struct sonde_address *address = &addresses->list[addresses->n++];

    *address = (struct sonde_address){.family = (uint16_t)family};
    memcpy(address->u.ip, ip, n_bytes);
}

int resolve_at_once(const char *host, int family, bool to_listen, struct addresses *ret_addresses)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1}, any[16];
    static const uint8_t loopback6[16] = {[15] = 1};
    struct addresses addresses = {.implied = true};
    bool is_any = strcmp(host, "*") == 0;

    if (host[0] == '\0' || is_any || strcmp(host, "localhost") == 0) {
        /* A client tries IPv6 first (RFC 6724); a server is first asked for on IPv4. */
        if (to_listen && family != AF_INET6)
            add(&addresses, AF_INET, is_any ? any : loopback4, 4);
        if (family != AF_INET)
            add(&addresses, AF_INET6, is_any && to_listen ? any : loopback6, 16);
        if (!to_listen && family != AF_INET6)
            add(&addresses, AF_INET, loopback4, 4);
        *ret_addresses = addresses;
        return 0;
    }
    addresses.implied = false;
    int error = address_parse_numeric(host, family, &addresses.list[0]);
    if (error < 0)
        return error == -EINVAL ? -SONDE_ENAME : error;
    addresses.n = 1;
    *ret_addresses = addresses;
    return 0;
}

static int from_gai(int code)
{
    switch (code) {
    case EAI_AGAIN:
        return -SONDE_ENAMELATER;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno != 0 ? -errno : -SONDE_ENAME;
    default:
        return -SONDE_ENAME;
    }
}

int resolve_blocking(const char *host, int family, struct addresses *ret_addresses)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct addresses addresses = {0};

    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return from_gai(code);
    for (const struct addrinfo *info = found; info != NULL && addresses.n < RESOLVE_MAX; info = info->ai_next)
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
            address_from_sockaddr(info->ai_addr, info->ai_addrlen, &addresses.list[addresses.n++]);
    freeaddrinfo(found);
    if (addresses.n == 0)
        return -SONDE_ENAME;
    *ret_addresses = addresses;
    return 0;
}

static void destroy(struct resolve *resolve)
{
    pthread_mutex_destroy(&resolve->lock);
    free(resolve);
}

/* On the loop's thread. */
static void arrive(void *user)
{
    struct resolve *resolve = user;

    /* The thread may not have let go of the lock that it posted under. */
    pthread_mutex_lock(&resolve->lock);
    bool cancelled = resolve->cancelled;
    pthread_mutex_unlock(&resolve->lock);
    loop_add_open(resolve->loop, -1);
    loop_add_object(resolve->loop, -1);
    if (!cancelled)
        resolve->done(resolve->user, resolve->error, &resolve->addresses);
    destroy(resolve);
}

static void *work(void *user)
{
    struct resolve *resolve = user;
    struct addresses addresses = {0};

    int error = resolve_blocking(resolve->host, resolve->family, &addresses);
    for (;;) {
        pthread_mutex_lock(&resolve->lock);
        resolve->error = error;
        resolve->addresses = addresses;
        resolve->worked = true;
        if (resolve->cancelled) {
            pthread_mutex_unlock(&resolve->lock);
            destroy(resolve);
            return NULL;
        }
        if (sonde_loop_post(resolve->loop, arrive, resolve) == 0) {
            resolve->posted = true;
            pthread_mutex_unlock(&resolve->lock);
            return NULL;
        }
        pthread_mutex_unlock(&resolve->lock);
        /* The mailbox is full: the loop is busy with it. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

int resolve_start(struct sonde_loop *loop, const char *host, int family,
                  void (*done)(void *user, int error, const struct addresses *addresses), void *user,
                  struct resolve **ret_resolve)
{
    /* Not from the loop's allocator: the thread may be the one to free it. */
    struct resolve *resolve = calloc(1, sizeof *resolve);
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    if (resolve == NULL)
        return -ENOMEM;
    pthread_mutex_init(&resolve->lock, NULL);
    resolve->loop = loop;
    resolve->done = done;
    resolve->user = user;
    resolve->family = family;
    memcpy(resolve->host, host, strnlen(host, sizeof resolve->host - 1));

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(&thread, &attributes, work, resolve);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error < 0) {
        destroy(resolve);
        return error;
    }
    loop_add_open(loop, +1);
    loop_add_object(loop, +1);
    *ret_resolve = resolve;
    return 0;
}

void resolve_cancel(struct resolve *resolve)
{
    pthread_mutex_lock(&resolve->lock);
    resolve->cancelled = true;
    bool posted = resolve->posted;
    if (!posted) {
        /* The thread frees it, whenever the name server lets it. */
        loop_add_open(resolve->loop, -1);
        loop_add_object(resolve->loop, -1);
    }
    pthread_mutex_unlock(&resolve->lock);
}
