/* SPDX-License-Identifier: MIT */
/*
 * The page's files among themselves. What is seen is in store.h and store_internal.h.
 *
 * Threads: struct page and its viewers belong to the page's thread from page_begin on, but for what is said to be under
 * a lock. A page_loop's orders wait under its lock; its table of streams belongs to that loop's thread.
 */
#ifndef PAGE_PAGE_INTERNAL_H
#define PAGE_PAGE_INTERNAL_H

#include "page/store_internal.h"

#include <sonde/listener.h>
#include <sonde/timer.h>
#include <sonde/tls.h>
#include <sonde/ws.h>

/* What writes JSON (json/json.h) and what reads it (jansson.h) have functions of the same names: a file includes one.
 */
struct json;
struct json_t;

struct page_lab;
struct page_traces;
struct page_asset;
struct viewer;
struct repeat;
struct template;

enum {
    PAGE_VIEWERS_MAX = 16,  /* that have shown the token */
    PAGE_STRANGERS_MAX = 8, /* that have not yet */
    PAGE_REQUESTS_MAX = 64, /* of HTTP, at a time */
    PAGE_REPEATS_MAX = 16,  /* of a viewer */
    PAGE_PARTS_MAX = 64,    /* of what is sent */
    PAGE_CLIENT_URLS_MAX = 8,
    PAGE_OVERVIEW_ROWS_MAX = 1000,
    PAGE_BAD_MAX = 100,      /* commands that are none, before a viewer is closed */
    PAGE_ORDERS_MAX = 256,   /* that wait for a loop */
    PAGE_SENTENCE_MAX = 384, /* of an answer, with its NUL */
};

#define PAGE_SEND_MAX (1024u * 1024)                 /* one message */
#define PAGE_COMMAND_MAX (UINT64_C(2) * 1024 * 1024) /* one command: base64 takes a third more */
#define PAGE_HELLO_MAX 1024                          /* the first command */
#define PAGE_ORDERS_BYTES_MAX (8u * 1024 * 1024)     /* that wait for a loop */
#define PAGE_QUEUE_BYTES_MAX (20u * 1024 * 1024)     /* that wait for a viewer; the longest is a report of the lab */
#define PAGE_QUEUE_FULL_BYTES (1024u * 1024)         /* from here on nothing more is made for it */
#define PAGE_HELLO_NS (5 * INT64_C(1000000000))      /* to show the token */
#define PAGE_STUCK_NS (30 * INT64_C(1000000000))     /* a viewer that takes nothing for so long is closed */
#define PAGE_BYE_NS INT64_C(500000000)               /* for viewers to hear that it is over */
#define PAGE_ROW_NS INT64_C(240000000)               /* between one telling of a row and the next */
#define PAGE_EVENTS_PER_S 1000

#define TOKEN_BYTES 32
#define TOKEN_TEXT 44 /* base64url, and its NUL */

struct page {
    struct page_settings settings; /* its texts are the page's own */
    unsigned rights;               /* as they are: read_only is taken into account */
    struct store *store;
    struct look *look;          /* NULL: the kernel is not asked */
    struct page_lab *lab;       /* lab.c's own; NULL: nothing yet */
    struct page_traces *traces; /* traces.c's own; NULL: nothing yet */
    struct sonde_loop *loop;
    struct sonde_listener *listener;
    struct sonde_tls *tls; /* NULL: http:// */
    char url[PAGE_URL_MAX + TOKEN_TEXT + 8], origin[PAGE_URL_MAX], token[TOKEN_TEXT];
    char *client_urls[PAGE_CLIENT_URLS_MAX];
    unsigned n_client_urls;
    const struct page_asset *assets;

    struct viewer *viewers; /* all of them, also those that have not said hello */
    unsigned n_viewers, n_strangers, n_requests;
    uint64_t last_viewer, last_repeat;
    struct sonde_timer tick;      /* runs while there are viewers, and at the end */
    struct sonde_timer look_tick; /* runs while look_run is to be called */
    struct text text;             /* of the message at hand; reused */
    bool ending;

    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock;     /* of what follows */
    char *no_packets;         /* a sentence; NULL: they are seen */
    unsigned packets_version; /* rises with each change of it */
    enum page_talk talk;
    char talk_why[PAGE_SENTENCE_MAX]; /* "": nothing to be said */
    unsigned talk_version;            /* rises with each change of them */
    struct page_loop *loops;
    struct order *done, **done_end; /* orders that were done, and whose viewers are to be told */
    bool done_posted;
};

/* ---- page.c */

/* page_new with these files. */
int page_create(const struct page_settings *settings, const struct page_asset *assets, struct page **ret_page,
                struct sonde_why *ret_why);
/* On the page's thread: a stream has closed, and maybe it was the last. */
void page_check_end(struct page *page);
/* Somebody has come, or has opened a row: the kernel is asked at once. */
void page_look_now(struct page *page);

/* ---- token.c */

int token_make(char ret_token[TOKEN_TEXT]); /* 0 or a negative error of getrandom(2) */
/* In a time that does not depend on where they differ, nor on how long the given one is. */
bool token_equal(const char token[TOKEN_TEXT], const char *given, size_t n_bytes);

/* ---- address.c: where it listens */

struct page_address {
    struct sonde_url url; /* any:// */
    bool is_https;
    char name[256]; /* by which browsers come; "" by its address */
};

/* 0, or -EINVAL and a sentence. */
int address_parse(const char *text, struct page_address *ret_address, struct sonde_why *ret_why);
/* "http://127.0.0.1:7070", as it was bound. */
void address_origin(const struct page_address *address, const struct sonde_listener *listener,
                    char ret_origin[PAGE_URL_MAX]);

/* ---- server.c: HTTP, and who is let in */

extern const struct sonde_listener_handler server_handler; /* owner: the page */
/* The Content-Security-Policy for a request with this Host (NULL: none was given). Its length, less than size_bytes. */
size_t server_policy(const struct page *page, const char *host, char *ret_text, size_t size_bytes);

/* ---- viewer.c: on the page's thread */

struct viewer {
    struct page *page;
    struct viewer *next, *previous;
    struct sonde_stream *stream;
    uint64_t id; /* never used twice: whoever will have an answer for it later keeps this, and not the pointer */
    bool is_known, is_paused, is_closing, is_full;
    bool is_told_why; /* its row is not traced */
    unsigned n_bad;
    struct sonde_timer hello;

    /* What it wants to see. */
    unsigned packets_version; /* which no_packets it was told */
    unsigned talk_version;    /* which talk */
    unsigned n_rows_max;
    struct sockets_filter *filter; /* NULL: none */
    uint64_t row;                  /* 0: none */
    struct store_cursor cursor;

    /* What it was sent. */
    uint64_t overview_version, row_version;  /* of the store */
    int64_t overview_ns, row_ns, repeats_ns; /* when the next may be sent */
    int64_t allowance_ns;                    /* of events: when it was last raised */
    unsigned allowance;                      /* events that may be sent now */
    unsigned missed;                         /* overviews */
    uint64_t one_in;                         /* of the last events */
    bool is_first;                           /* nothing was sent of this row yet */
    uint64_t taken_bytes;                    /* that the kernel had taken when it last took something, */
    int64_t taken_ns;                        /* and when that was */

    struct repeat *repeats;
    unsigned n_repeats;
    bool repeats_changed;
};

/* A WebSocket at /feed. False: no memory. */
bool viewer_new(struct page *page, struct sonde_stream *stream);
/* NULL: it has gone. */
struct viewer *page_find_viewer(struct page *page, uint64_t id);
/* One message, finished: json_end is called here. */
void viewer_send_json(struct viewer *viewer, struct json *json);
/* One message: JSON. Nothing happens when it is closing. */
void viewer_send(struct viewer *viewer, const char *text, size_t n_bytes);
/* The same; where there was no memory for all of it the viewer is closed. */
void viewer_send_text(struct viewer *viewer, const struct text *text);
/* {"kind":"result",...}: ok when error is NULL, a sentence else. busy: it may be tried again later. */
void viewer_result(struct viewer *viewer, int64_t re, const char *error, bool busy);
/* The same after something was sent. repeat 0: none. */
void viewer_sent(struct viewer *viewer, int64_t re, uint64_t n_bytes, uint64_t n_queued, uint64_t repeat);
/* Send Close. reason may be "". */
void viewer_close(struct viewer *viewer, unsigned code, const char *reason);
/* To every viewer that has shown the token. */
void page_to_all(struct page *page, const char *text, size_t n_bytes);
/* What the commands do. */
void viewer_welcome(struct viewer *viewer, int64_t re);
void viewer_look_at(struct viewer *viewer, uint64_t row); /* 0: at none */
void viewer_hurry(struct viewer *viewer);                 /* an overview at once */
void viewers_bye(struct page *page);
/* "talk":...: of the page, if the viewer has not been told of this one yet. False: it has. */
bool viewer_put_talk(struct json *json, struct viewer *viewer);
/* feed.c: the page's timer. Everybody is sent what is due. */
void viewers_tick(struct sonde_timer *timer);

/* ---- command.c */

/* One message of a viewer that has shown the token, or is to. */
void command_take(struct viewer *viewer, const char *text, size_t n_bytes);

/* ---- template.c: what is sent */

/* The parts, as the command has them. 0; -EINVAL, -EMSGSIZE (more than PAGE_SEND_MAX), -ENOMEM; *ret_why is a sentence
 * then. */
int template_parse(const struct json_t *parts, struct template **ret_template, const char **ret_why);
void template_free(struct template *template);          /* NULL is fine */
size_t template_bytes(const struct template *template); /* the most that it is when rendered */
/* n: how many were rendered before. realtime_ns: for the times. Returns the length, at most template_bytes; negative:
 * an error of getrandom(2). */
ssize_t template_render(const struct template *template, uint64_t n, int64_t realtime_ns, unsigned char *ret_bytes);

/* ---- repeat.c: it is sent, once or again and again */

struct send {
    uint64_t row;
    struct template *template; /* taken over, in any case */
    bool is_text;
    int64_t every_ns; /* 0: once */
    uint64_t count;   /* 0: until it is stopped */
};

/* The answer comes by viewer_sent or viewer_result. */
void repeat_send(struct viewer *viewer, int64_t re, const struct send *send);
bool repeat_stop(struct viewer *viewer, uint64_t repeat); /* false: there is none of this number */
void repeats_free(struct viewer *viewer);
void repeats_tell(struct viewer *viewer); /* {"kind":"repeats",...} */

/* ---- order.c: what is done to streams, on their loops */

enum order_kind { ORDER_SEND, ORDER_HALF_CLOSE, ORDER_KICK, ORDER_CONNECT };

struct order {
    struct order *next;
    enum order_kind kind;
    uint64_t stream; /* its number on the loop; ORDER_CONNECT: 0 */
    uint64_t viewer;
    int64_t re;
    uint64_t repeat; /* 0: none */
    bool is_text;
    size_t n_bytes;
    /* What came of it. */
    int error; /* negative; -ENOENT: there is no such stream any more; -EOPNOTSUPP: not here */
    uint64_t n_queued;
    unsigned char bytes[];
};

struct page_loop {
    struct page *page;
    struct page_loop *next;
    struct sonde_loop *loop;
    const struct page_loop_handler *handler;
    void *user;
    struct tap tap;

    struct order_place {
        uint64_t id; /* 0: free */
        struct sonde_stream *stream;
    } * places; /* open addressing; a power of two */
    size_t n_places, n_streams;
    struct order *settling; /* done in the last turn */
    bool is_over;           /* page_loop_remove was called */

    pthread_mutex_t lock; /* of what follows */
    struct order *waiting, **waiting_end;
    unsigned n_waiting;
    size_t waiting_bytes;
    bool posted, removed;
};

struct order *page_order_new(enum order_kind kind, size_t n_bytes); /* NULL: no memory. free() */
/* For this stream. 0: taken over, and the answer comes by page_order_answered on the page's thread. -EBUSY: too much
 * waits there; -ENOENT: the loop is over. */
int page_order(struct page_loop *loop, uint64_t stream, struct order *order);
/* The loop that can connect again; NULL: none. */
struct page_loop *page_find_connecting(struct page *page);
/* repeat.c: the order was done. It is freed afterwards. */
void page_order_answered(struct page *page, const struct order *order);
/* Answers that could not be posted. On the page's thread. */
void page_orders_deliver(struct page *page);
/* Why not, as a sentence. */
const char *page_order_why(const struct order *order);
void page_loops_free(struct page *page); /* when no loop runs any more */

/* ---- traces.c: traces of what viewers look at, where settings.traces says so. On the page's thread */

/* Somebody looks at another row, or none, or it is time to see: those that are wanted begin, the others are stopped. */
void page_traces_follow(struct page *page);
/* The page's thread has ended. Waits for theirs. */
void page_traces_free(struct page *page);

/* ---- lab.c: on the page's thread. re: to be given back in the answer, which may come later (by the viewer's id). The
 * right to run (PAGE_RUN) was checked. */

void page_lab_list(struct page *page, struct viewer *viewer, int64_t re);
void page_lab_run(struct page *page, struct viewer *viewer, int64_t re, const char *name,
                  const char *prediction); /* NULL: none */
/* The page ends: what is open on its loop is closed, what runs is killed. page->lab may be NULL. */
void page_lab_stop(struct page *page);
/* The page's loop has ended. */
void page_lab_free(struct page *page);

#endif
