/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * The table is what a dynamic linker's would be, filled later: once, by whoever comes first, and never changed after
 * that. The library is never unloaded, since it has functions of its own to be called at the program's end.
 */
#define TLS_OPENSSL_NAMES /* here the names are names */
#include "tls/tls_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct openssl tls_openssl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char missing[160]; /* "" all is there */

static void say_missing(const char *what)
{
    size_t n = what != NULL ? strnlen(what, sizeof missing - 1) : 0;

    memcpy(missing, n > 0 ? what : "?", n > 0 ? n : 1);
}

static void load(void)
{
    static const struct {
        const char *name;
        size_t member;
    } rows[] = {
#define OPENSSL_ROW(name) {#name, offsetof(struct openssl, name)},
        OPENSSL_CALLS(OPENSSL_ROW)
#undef OPENSSL_ROW
    };

    void *library = dlopen(OPENSSL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        say_missing(dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *function = dlsym(library, rows[i].name);
        if (function == NULL) {
            say_missing(dlerror());
            return;
        }
        memcpy((char *)&tls_openssl + rows[i].member, &function, sizeof function);
    }
}

int tls_openssl_load(struct sonde_why *ret_why)
{
    pthread_once(&once, load);
    if (missing[0] == '\0')
        return 0;
    return tls_why(ret_why, -ELIBACC, "openssl", OPENSSL_LIBRARY, "%s", missing);
}
