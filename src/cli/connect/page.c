/* SPDX-License-Identifier: MIT */
#include "cli/connect/page.h"

#include "cli/say.h"
#include "page/page.h"

static unsigned kinds_of(enum sonde_scheme scheme)
{
    switch (scheme) {
    case SONDE_SCHEME_TCP:
        return SOCKETS_TCP;
    case SONDE_SCHEME_UDP:
        return SOCKETS_UDP;
    case SONDE_SCHEME_UNIX:
    case SONDE_SCHEME_UNIXGRAM:
    case SONDE_SCHEME_SEQPACKET:
        return SOCKETS_UNIX;
    case SONDE_SCHEME_FD:
    case SONDE_SCHEME_VSOCK:
    case SONDE_SCHEME_SCTP:
        break;
    }
    return 0;
}

bool connect_page_open(struct connect_page *page, const struct page_options *options,
                       const struct connect_page_settings *settings, int *ret_status)
{
    struct page_settings made = {
        .verb = "connect",
        .title = settings->title,
        .rights = PAGE_SEE | PAGE_SEND | PAGE_KICK | PAGE_RUN | (settings->connects ? PAGE_CONNECT : 0),
        .rows = PAGE_ROWS_STREAMS,
        .kinds = kinds_of(settings->scheme),
    };

    if (options->url == NULL)
        return true;
    page->stays = settings->stays;
    page->connects = settings->connects;
    return page_options_open(options, &made, &page->page, ret_status);
}

static void on_kicked(struct sonde_stream *stream, void *user)
{
    struct connect_page *page = user;

    page->kicked(stream, page->user);
}

static bool on_half_close(struct sonde_stream *stream, void *user)
{
    struct connect_page *page = user;

    return page->half_close(stream, page->user);
}

static int on_connect(void *user)
{
    struct connect_page *page = user;

    return page->connect(page->user);
}

static const struct page_loop_handler handler = {.kicked = on_kicked, .half_close = on_half_close};
static const struct page_loop_handler connecting_handler = {
    .kicked = on_kicked, .half_close = on_half_close, .connect = on_connect};

bool connect_page_begin(struct connect_page *page, struct sonde_loop *loop, int *ret_status)
{
    if (page->page == NULL)
        return true;
    page->loop = page_loop_add(page->page, loop, page->connects ? &connecting_handler : &handler, page);
    if (page->loop == NULL) {
        say(_("memory is short."));
        *ret_status = EXIT_NETWORK;
        return false;
    }
    return page_options_begin(page->page, ret_status);
}

const char *connect_page_url(const struct connect_page *page)
{
    return page->page != NULL ? page_url(page->page) : NULL;
}

void connect_page_listening(struct connect_page *page, const char *url)
{
    if (page->page != NULL)
        page_listening(page->page, url, NULL);
}

void connect_page_opened(struct connect_page *page, struct sonde_stream *stream, const char *local)
{
    if (page->loop != NULL)
        page_stream_opened(page->loop, stream, local, NULL);
    if (page->connects)
        page_set_talk(page->page, PAGE_TALK_CONNECTED, NULL);
}

void connect_page_closed(struct connect_page *page, struct sonde_stream *stream)
{
    if (page->loop != NULL)
        page_stream_closed(page->loop, stream);
}

void connect_page_connecting(struct connect_page *page)
{
    if (page->connects)
        page_set_talk(page->page, PAGE_TALK_CONNECTING, NULL);
}

void connect_page_over(struct connect_page *page, const char *why)
{
    if (page->connects)
        page_set_talk(page->page, PAGE_TALK_OVER, why);
}

void connect_page_remove(struct connect_page *page)
{
    page_loop_remove(page->loop);
    page->loop = NULL;
}

void connect_page_end(struct connect_page *page)
{
    page_end(page->page);
    page->page = NULL;
}
