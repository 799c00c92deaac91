/* SPDX-License-Identifier: MIT */
/*
 * --page: connect's part of it. The connection is shown; what a browser sends goes out beside standard input, and is
 * not printed here. Apart from the others' headers, since the page has views of its own.
 */
#ifndef CLI_CONNECT_PAGE_H
#define CLI_CONNECT_PAGE_H

#include "cli/page_options.h"

#include <sonde/sonde.h>

/* Zeroed before open. Without --page every function does nothing. */
struct connect_page {
    struct page *page; /* NULL: none */
    struct page_loop *loop;
    /* As those of struct page_loop_handler. */
    void (*kicked)(struct sonde_stream *stream, void *user);
    bool (*half_close)(struct sonde_stream *stream, void *user);
    int (*connect)(void *user); /* called only where the page may connect again */
    void *user;
    bool stays;    /* when the talk is over sonde waits for a signal, so that it can be looked at */
    bool connects; /* and the page may connect again */
};

/* What the page has to know of how connect is to behave. */
struct connect_page_settings {
    const char *title; /* has to stay */
    enum sonde_scheme scheme;
    bool stays, connects;
};

/* False: it has been said why not, and *ret_status is the exit status. */
bool connect_page_open(struct connect_page *page, const struct page_options *options,
                       const struct connect_page_settings *settings, int *ret_status);
/* The same, once its callbacks are set. The page's address; NULL: there is none. */
bool connect_page_begin(struct connect_page *page, struct sonde_loop *loop, int *ret_status);
const char *connect_page_url(const struct connect_page *page);
void connect_page_listening(struct connect_page *page, const char *url);
void connect_page_opened(struct connect_page *page, struct sonde_stream *stream, const char *local);
void connect_page_closed(struct connect_page *page, struct sonde_stream *stream);
/* Where the page may connect again: the attempt begins; and no connection stands any more, or could be made, which is
 * why. (That it stands connect_page_opened tells.) */
void connect_page_connecting(struct connect_page *page);
void connect_page_over(struct connect_page *page, const char *why);
void connect_page_remove(struct connect_page *page); /* before the loop goes */
void connect_page_end(struct connect_page *page);    /* when all else is over */

#endif
