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
    void *user;
};

/* False: it has been said why not, and *ret_status is the exit status. title has to stay. */
bool connect_page_open(struct connect_page *page, const struct page_options *options, const char *title,
                       enum sonde_scheme scheme, int *ret_status);
/* The same, once its callbacks are set. The page's address; NULL: there is none. */
bool connect_page_begin(struct connect_page *page, struct sonde_loop *loop, int *ret_status);
const char *connect_page_url(const struct connect_page *page);
void connect_page_listening(struct connect_page *page, const char *url);
void connect_page_opened(struct connect_page *page, struct sonde_stream *stream, const char *local);
void connect_page_closed(struct connect_page *page, struct sonde_stream *stream);
void connect_page_remove(struct connect_page *page); /* before the loop goes */
void connect_page_end(struct connect_page *page);    /* when all else is over */

#endif
