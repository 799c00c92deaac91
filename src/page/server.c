/* SPDX-License-Identifier: MIT */
/*
 * The page's HTTP, and who is let in. Host and Origin have been checked by the library before anybody is told of a
 * request (sonde/ws.h). One request for each connection: a file that is part of the program, or a WebSocket at /feed.
 *
 * The files hold nothing secret, so that nobody has to show a token for them; what is worth keeping goes over the feed.
 */
#include "page/assets.h"
#include "page/page_internal.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_NS (10 * INT64_C(1000000000)) /* for an answer to be taken */

/* --- headers ------------------------------------------------------------------------------------------------------ */

static const char *const headers[] = {
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Opener-Policy: same-origin",
    "Cross-Origin-Resource-Policy: same-origin",
    "Permissions-Policy: accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), "
    "microphone=(), midi=(), payment=(), usb=()",
    "X-Frame-Options: DENY",
};

static void put(char *text, size_t size_bytes, size_t *n, const char *part, size_t n_part)
{
    if (n_part >= size_bytes - *n)
        n_part = size_bytes - *n - 1;
    memcpy(text + *n, part, n_part);
    *n += n_part;
    text[*n] = '\0';
}

static void put_text(char *text, size_t size_bytes, size_t *n, const char *part)
{
    put(text, size_bytes, n, part, strlen(part));
}

size_t server_policy(const struct page *page, const char *host, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    put_text(ret_text, size_bytes, &n,
             "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'none'; "
             "connect-src 'self'");
    /* A policy knows no addresses of IPv6; there 'self' has to be enough, which newer browsers take for WebSocket too.
     */
    if (host != NULL && host[0] != '[') {
        put_text(ret_text, size_bytes, &n, page->tls != NULL ? " wss://" : " ws://");
        put_text(ret_text, size_bytes, &n, host);
    }
    for (unsigned i = 0; i < page->n_client_urls; i++) {
        const char *url = page->client_urls[i], *authority = strstr(url, "://") + 3;
        put(ret_text, size_bytes, &n, " ", 1);
        put(ret_text, size_bytes, &n, url, (size_t)(authority - url) + strcspn(authority, "/?#"));
    }
    put_text(ret_text, size_bytes, &n,
             "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'");
    return n;
}

static bool put_headers(const struct page *page, struct sonde_stream *stream)
{
    static const char name[] = "Content-Security-Policy: ";
    char policy[1024 + (PAGE_CLIENT_URLS_MAX + 1) * PAGE_URL_MAX];
    size_t n = sizeof name - 1;
    bool ok = true;

    memcpy(policy, name, n);
    server_policy(page, sonde_http_header(sonde_stream_request(stream), "Host"), policy + n, sizeof policy - n);
    ok = sonde_http_answer_header(stream, policy) == 0;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        ok = ok && sonde_http_answer_header(stream, headers[i]) == 0;
    return ok;
}

/* --- HTTP --------------------------------------------------------------------------------------------------------- */

static void on_closed(struct sonde_stream *stream)
{
    struct page *page = sonde_stream_owner(stream);

    page->n_requests--;
    page_check_end(page);
}

static const struct sonde_stream_handler request_handler = {.closed = on_closed};

static void answer(struct page *page, struct sonde_stream *stream, unsigned status, const char *type, const void *body,
                   size_t n_bytes)
{
    bool ok = sonde_http_answer(stream, status, type) == 0 && put_headers(page, stream);

    if (ok && status == 405)
        ok = sonde_http_answer_header(stream, "Allow: GET, HEAD") == 0;
    if (!ok || sonde_stream_write(stream, body, n_bytes) < 0)
        sonde_stream_abort(stream);
    else
        sonde_stream_finish(stream, sonde_loop_now_ns(page->loop) + ANSWER_NS);
}

static void answer_sentence(struct page *page, struct sonde_stream *stream, unsigned status, const char *sentence)
{
    answer(page, stream, status, "text/plain; charset=utf-8", sentence, strlen(sentence));
}

static const struct page_asset *find_asset(const struct page *page, const char *target)
{
    for (const struct page_asset *asset = page->assets; asset->path != NULL; asset++)
        if (strcmp(asset->path, target) == 0)
            return asset;
    return NULL;
}

static bool is_encrypted(const struct page *page, const struct sonde_stream *stream)
{
    return page->tls == NULL || sonde_stream_layers(stream) & SONDE_LAYER_TLS;
}

static void take_request(struct page *page, struct sonde_stream *stream)
{
    const struct sonde_http_request *request = sonde_stream_request(stream);
    const struct page_asset *asset = find_asset(page, request->target);

    if (!is_encrypted(page, stream))
        answer_sentence(page, stream, 403, "This page is at https://, not at http://.\n");
    else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        answer_sentence(page, stream, 405, "There is nothing but GET and HEAD here.\n");
    else if (asset == NULL)
        answer_sentence(page, stream, 404, "There is nothing of this name here.\n");
    else
        answer(page, stream, 200, asset->type, asset->data, asset->n_bytes);
}

/* --- WebSocket ---------------------------------------------------------------------------------------------------- */

static void refuse(struct page *page, struct sonde_stream *stream, unsigned code, const char *reason)
{
    if (sonde_ws_close(stream, code, reason, strlen(reason)) < 0)
        sonde_stream_abort(stream);
    else
        sonde_stream_finish(stream, sonde_loop_now_ns(page->loop) + PAGE_BYE_NS);
}

/* Set a handler for what is not to be a viewer. */
static void count_request(struct page *page, struct sonde_stream *stream)
{
    page->n_requests++;
    sonde_stream_set_handler(stream, &request_handler, page);
}

static void take_websocket(struct page *page, struct sonde_stream *stream)
{
    const struct sonde_http_request *request = sonde_stream_request(stream);
    unsigned code = 0;
    const char *reason = "";

    if (!is_encrypted(page, stream) || request == NULL || strcmp(request->target, "/feed") != 0) {
        code = 1008;
        reason = "there is nothing but /feed";
    } else if (page->n_strangers >= PAGE_STRANGERS_MAX || page->n_viewers >= PAGE_VIEWERS_MAX) {
        code = 1013;
        reason = "too many browsers are here already";
    } else if (!viewer_new(page, stream)) {
        code = 1013;
        reason = "no memory";
    }
    if (code != 0) {
        count_request(page, stream);
        refuse(page, stream, code, reason);
    }
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct page *page = owner;
    unsigned layers = sonde_stream_layers(stream);

    (void)listener;
    if (page->ending || page->n_requests >= PAGE_REQUESTS_MAX)
        return; /* without a handler it is reset */
    if (layers & SONDE_LAYER_WS) {
        take_websocket(page, stream);
    } else if (layers & SONDE_LAYER_HTTP) {
        count_request(page, stream);
        take_request(page, stream);
    }
}

const struct sonde_listener_handler server_handler = {.accepted = on_accepted};
