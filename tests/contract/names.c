/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static bool held;
static unsigned n_waiting, n_releases;

void names_hold(void)
{
    pthread_mutex_lock(&lock);
    held = true;
    n_waiting = 0;
    pthread_mutex_unlock(&lock);
}

void names_release(void)
{
    pthread_mutex_lock(&lock);
    held = false;
    n_releases++;
    n_waiting = 0;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

unsigned names_waiting(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = n_waiting;
    pthread_mutex_unlock(&lock);
    return n;
}

static void wait_for_release(void)
{
    pthread_mutex_lock(&lock);
    unsigned release = n_releases;
    n_waiting++;
    while (held && n_releases == release)
        pthread_cond_wait(&released, &lock);
    pthread_mutex_unlock(&lock);
}

/* Room for either family behind it. */
struct answer {
    struct addrinfo info;
    struct sockaddr_storage address;
};

static struct addrinfo *answer(int family, const char *text)
{
    struct answer *answer = calloc(1, sizeof *answer);
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (answer == NULL)
        abort();
    answer->info.ai_family = family;
    answer->info.ai_socktype = SOCK_STREAM;
    answer->info.ai_addr = (struct sockaddr *)&answer->address;
    if (family == AF_INET) {
        inet_pton(family, text, &in.sin_addr);
        memcpy(&answer->address, &in, sizeof in);
        answer->info.ai_addrlen = sizeof in;
    } else {
        inet_pton(family, text, &in6.sin6_addr);
        memcpy(&answer->address, &in6, sizeof in6);
        answer->info.ai_addrlen = sizeof in6;
    }
    return &answer->info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    (void)service;
    (void)hints;
    if (strcmp(name, "later.test") == 0)
        return EAI_AGAIN;
    if (strcmp(name, "broken.test") == 0) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (strcmp(name, "slow.test") == 0)
        wait_for_release();
    if (strcmp(name, "slow.test") == 0 || strcmp(name, "one.test") == 0) {
        *ret_found = answer(AF_INET, "127.0.0.1");
        return 0;
    }
    if (strcmp(name, "two.test") == 0) {
        *ret_found = answer(AF_INET6, "::1");
        (*ret_found)->ai_next = answer(AF_INET, "127.0.0.1");
        return 0;
    }
    return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found != NULL) {
        struct addrinfo *next = found->ai_next;
        free(found);
        found = next;
    }
}
