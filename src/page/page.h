/* SPDX-License-Identifier: MIT */
/*
 * --page: what sonde sees and does, in a browser, served by sonde itself.
 *
 * Theory of operation
 *
 * Producers -> store -> viewers. Whoever sees something (the kernel's sockets, looked at here; a trace session, through
 * page_view; the loops whose streams are shown, through their tap) puts it into the store, on whatever thread it runs.
 * The store (store.h) is bounded, has one lock, and joins what is about one connection. A thread of its own serves:
 * HTTP for the assets that were built into the program (assets.h), and one WebSocket, /feed, for each browser that
 * looks on. A viewer (viewer.c) that has shown the token is sent what it asked to see, as JSON, a few times a second;
 * what is more than it can take is left out, and that is said. What it wants done (command.c) is handed to the loop
 * that has the stream, and answered when it was done.
 *
 * sonde-page(7) describes what goes over the feed, and who may use it.
 *
 *   page_new -> page_view in a trace, page_add_loop -> page_begin -> ... -> page_end
 *
 * Files: page.c life and thread; address.c its URL; server.c HTTP and who is let in; token.c; viewer.c one browser;
 * feed.c what it is sent; command.c what it wants; order.c what is done on streams' loops; template.c what is sent;
 * repeat.c again and again; lab.c experiments; store.c, store_*.c what was seen; look.c the kernel's sockets; view.c
 * the trace's view; traces.c traces of what viewers look at; packets.c packets, layer by layer.
 */
#ifndef PAGE_PAGE_H
#define PAGE_PAGE_H

#include "observe/sockets/filter.h"
#include "trace/view.h"

#include <sonde/loop.h>
#include <sonde/stream.h>
#include <stdbool.h>
#include <stdint.h>

struct page;

/* What a browser may do. A page that is read-only has PAGE_SEE alone. */
#define PAGE_SEE 1u
#define PAGE_SEND 2u     /* bytes to peers, and half-close */
#define PAGE_KICK 4u     /* reset a connection */
#define PAGE_RUN 8u      /* experiments of the lab */
#define PAGE_CONNECT 16u /* connect again, when the one connection that this is about has ended */

/* What becomes a row of its own. The others only add to what is known of a row. */
enum page_rows {
    PAGE_ROWS_SOCKETS, /* each of the kernel's sockets that matches the filter, and each stream */
    PAGE_ROWS_STREAMS, /* streams of ours, and what the kernel keeps of them when they are closed */
    PAGE_ROWS_TRACE,   /* the trace's connections */
};

#define PAGE_URL_DEFAULT "http://127.0.0.1:7070"
#define PAGE_URL_MAX 256

struct page_settings {
    const char *url;   /* http://HOST:PORT or https://; NULL: PAGE_URL_DEFAULT, or any port where that is taken */
    const char *verb;  /* "serve" */
    const char *title; /* "serve echo any://127.0.0.1:7007": as it was typed */
    unsigned rights;   /* PAGE_...: what this verb can do; PAGE_SEE always */
    bool read_only;
    enum page_rows rows;
    unsigned kinds;                      /* SOCKETS_...; 0: the kernel is not asked */
    const struct sockets_filter *filter; /* NULL: all of these kinds. Must stay until page_end */
    /* Capture the TCP and UDP rows that viewers look at, for as long as they do, each by a trace of its own: for verbs
     * that have none. */
    bool traces;
};

/* Listens, so that the address is known and a browser may come; nothing is answered before page_begin. Errors: those of
 * sonde_listen; -EINVAL: no such URL, or one that leaves this machine without TLS (ret_why->detail is a sentence);
 * -ENOSYS: built without the page. */
int page_new(const struct page_settings *settings, struct page **ret_page, struct sonde_why *ret_why);

/* "http://127.0.0.1:7070/#TOKEN": what a person opens. "http://127.0.0.1:7070": what its requests say they come from,
 * for those who let it in. Both stay as long as the page. */
const char *page_url(const struct page *page);
const char *page_origin(const struct page *page);

/* https://: the SHA-256 fingerprint of the certificate that was made in memory; "": there is none. */
const char *page_fingerprint(const struct page *page);

/* Before page_begin. A URL (ws:// or wss://) that the browser itself may connect to: it is its own client there. At
 * most 8 of them (-ENOSPC). -EAFNOSUPPORT: a numeric address of IPv6, which no Content-Security-Policy can name;
 * -EINVAL. */
int page_add_client_url(struct page *page, const char *url);

/* The trace's view: give view_settings.page. Any thread, one at a time. */
extern const struct view page_view;
/* What a trace whose one view is the page takes in: for program_calls_set_sampling and session_settings. It stays as
 * long as the page. */
struct sampling;
struct sampling *page_sampling(const struct page *page);
/* Why no packets are seen, in a sentence; NULL: they are. Any time. Copied. */
void page_set_no_packets(struct page *page, const char *sentence);

/* How it stands with the one connection that this is about, for verbs that have one; and of one that has ended or could
 * not be made why, in a sentence (NULL: nothing to be said). Any time. Copied, but for what is longer than a sentence
 * may be. */
enum page_talk { PAGE_TALK_NONE, PAGE_TALK_CONNECTING, PAGE_TALK_CONNECTED, PAGE_TALK_OVER };
void page_set_talk(struct page *page, enum page_talk talk, const char *why);

/* Other filters from now on; the caller's until it is replaced and page_end. Before page_begin only. */
void page_set_filter(struct page *page, unsigned kinds, const struct sockets_filter *filter);

int page_begin(struct page *page); /* its thread; 0 or a negative error */
/* Viewers are told why ("sonde has ended."), the thread ends, everything is freed. No loop may be added any more, and
 * page_loop_remove was called for each. NULL is fine. */
void page_end(struct page *page);

/* ---- loops whose streams are shown (order.c, store_streams.c)
 *
 * On the loop's thread, or before it runs. What viewers want done is posted to the loop and done there. */

struct page_loop;

struct page_loop_handler {
    /* A viewer closes this stream with a reset (the call follows), or shuts down its sending side. For whoever counts.
     * half_close: false: not here, or not this way; it is not called then. NULL: any. */
    void (*kicked)(struct sonde_stream *stream, void *user);
    bool (*half_close)(struct sonde_stream *stream, void *user);
    /* A viewer wants the one connection to be made again (PAGE_CONNECT). 0: it is under way, and page_set_talk tells
     * what comes of it. -EISCONN: it stands; -EALREADY: it is under way already. NULL: not here. */
    int (*connect)(void *user);
};

/* NULL: no memory. Sets the loop's tap (sonde_loop_set_tap). */
struct page_loop *page_loop_add(struct page *page, struct sonde_loop *loop, const struct page_loop_handler *handler,
                                void *user);
/* Before the loop is destroyed, and after it has run for the last time before page_end. NULL is fine. */
void page_loop_remove(struct page_loop *loop);

/* It is there (accepted, or opened), and: it is about to be freed (in its `closed`). local: its local name, where its
 * own address says nothing (UNIX); NULL: its address. note: "echo", for the row; NULL: nothing. */
void page_stream_opened(struct page_loop *loop, struct sonde_stream *stream, const char *local, const char *note);
void page_stream_closed(struct page_loop *loop, struct sonde_stream *stream);

/* Listening sockets of ours, which are shown even where the kernel is not asked. */
void page_listening(struct page *page, const char *url, const char *note);

#endif
