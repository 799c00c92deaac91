/* SPDX-License-Identifier: MIT */
/*
 * --page on the command line: the options that all verbs share which have a page, and the page's life around what a
 * verb does. Sentences are said here; what sonde shows in the page is src/page's.
 */
#ifndef CLI_PAGE_OPTIONS_H
#define CLI_PAGE_OPTIONS_H

#include "cli/option.h"
#include "cli/say.h"

struct page;
struct page_settings;

#define PAGE_TITLE_MAX 256

/* A member `page` of a verb's settings. */
struct page_options {
    const char *url; /* NULL: no page; "": at the usual address */
    bool read_only;
};

/* "http://...", which is an operand of no verb that has a page (but greet's text may be one). */
bool page_takes_word(const char *word);

/* Rows of a verb's table. settings: the type of its settings. */
#define PAGE_ROWS(settings)                                                                                            \
    {.name = "page",                                                                                                   \
     .value = "[URL]",                                                                                                 \
     .kind = OPTION_TEXT,                                                                                              \
     .member = offsetof(settings, page) + offsetof(struct page_options, url),                                          \
     .help = N_("show all this in a browser: a page at URL (default http://127.0.0.1:7070), of which the whole "       \
                "address is told at the start"),                                                                       \
     .takes_word = page_takes_word,                                                                                    \
     .brief = true},                                                                                                   \
    {                                                                                                                  \
        .name = "page-read-only", .kind = OPTION_FLAG,                                                                 \
        .member = offsetof(settings, page) + offsetof(struct page_options, read_only),                                 \
        .help = N_("--page shows, and does nothing: no sending, no kicking, no experiments")                           \
    }

/* Do they go together? False: it has been said, and that is misuse. */
bool page_options_check(const struct page_options *options);

/* What was typed, for the page's title: the verb and its operands, and no options, since passwords may be among them.
 */
void page_title(const char *verb, int n_operands, char *const *operands, char ret_title[PAGE_TITLE_MAX]);

/* page_new (page/page.h) with these options, which are filled in. False: it has been said why not, and *ret_status is
 * the exit status. */
bool page_options_open(const struct page_options *options, struct page_settings *settings, struct page **ret_page,
                       int *ret_status);

/* page_begin, and a line on standard error that tells where. The same answer. */
bool page_options_begin(struct page *page, int *ret_status);

/* The verb has nothing more to do: until SIGINT, SIGTERM or SIGHUP. signals: where the verb has them already, so that
 * one that has come is not waited for again; NULL: it has none. */
struct signals;
enum exit_status page_options_wait(const struct signals *signals);

/* For verbs that do nothing else: from the beginning to such a signal, and page_end. settings: see page_options_open;
 * where no packets are seen by itself, no_packets says what would show them. */
enum exit_status page_options_serve(const struct page_options *options, struct page_settings *settings,
                                    const char *no_packets);

/* Was sonde built with it? */
bool page_is_built(void);

#endif
