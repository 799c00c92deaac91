/* SPDX-License-Identifier: MIT */
/* A client's opening handshake of WebSocket (RFC 6455, 4.1): asks, looks at the answer, and becomes a WebSocket. */
#include "http/field.h"
#include "http/upgrade.h"
#include "net/http_memory.h"
#include "net/layer.h"
#include "ws/ws.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { INTERIM_MAX = 8 }; /* answers of 1xx that are passed over */

struct layer_ws_client {
    struct layer layer;
    const struct sonde_ws_client *client;
    struct http_head *head;
    unsigned n_interim;
    char host[256];
    char key[WS_KEY_TEXT];
};

static const struct layer_kind ws_client_kind;

static struct layer_ws_client *of(struct layer *layer)
{
    return (struct layer_ws_client *)layer;
}

/* --- the request ------------------------------------------------------------------------------------------------ */

static size_t head_limit(const struct sonde_ws_client *client)
{
    return client->settings.head_limit_bytes != 0 ? client->settings.head_limit_bytes : SONDE_WS_HEAD_LIMIT;
}

static int new_head(struct layer_ws_client *ws)
{
    struct http_memory memory = http_memory_of(ws->layer.stream->loop);

    http_head_free(ws->head);
    ws->head = http_head_create(true, head_limit(ws->client), &memory);
    return ws->head != NULL ? 0 : -ENOMEM;
}

static struct http_upgrade describe(const struct layer_ws_client *ws)
{
    const struct sonde_url *url = layer_url(&ws->layer);
    bool is_tcp = url->scheme == SONDE_SCHEME_TCP || url->scheme == SONDE_SCHEME_SCTP;
    uint16_t usual = url->layers & SONDE_LAYER_TLS ? 443 : 80;

    return (struct http_upgrade){
        .host = ws->host,
        .port = is_tcp && url->port != usual ? url->port : 0,
        .target = url->target,
        .key = ws->key,
        .extensions = ws->client->settings.no_deflate ? NULL : ws_deflate_offer(),
        .client = ws->client,
    };
}

static void begin(struct layer *layer)
{
    struct layer_ws_client *ws = of(layer);
    struct sonde_loop *loop = layer->stream->loop;
    struct http_upgrade upgrade = describe(ws);
    size_t n = http_upgrade_format(&upgrade, NULL, 0);
    char *text = loop_alloc(loop, n + 1);
    int error = -ENOMEM;

    if (text != NULL) {
        http_upgrade_format(&upgrade, text, n + 1);
        error = layer_down(layer, text, n);
        loop_free(loop, text, n + 1);
    }
    if (error < 0)
        layer_doom(layer, error, error == -ENOMEM ? "malloc" : "send", "%s", "");
}

/* --- the answer ------------------------------------------------------------------------------------------------- */

static void become_ws(struct layer_ws_client *ws, const char *subprotocol, uint8_t *bytes, size_t n_bytes)
{
    const struct sonde_http_request *answer = http_head_request(ws->head);
    const struct sonde_ws_settings *settings = &ws->client->settings;
    struct layer *layer = &ws->layer, *next;
    struct ws_deflate_terms terms;
    char extensions[1024];
    size_t n = http_header_join(answer, "Sec-WebSocket-Extensions", extensions, sizeof extensions);
    int error = n >= sizeof extensions || (settings->no_deflate && n > 0) ? -EBADMSG
                : n == 0                                                  ? -ENOENT
                                                                          : ws_deflate_agree(extensions, &terms);

    if (error < 0 && error != -ENOENT) {
        layer_doom(layer, -SONDE_EHTTP, "upgrade", "the server chose an extension that was not offered");
        return;
    }
    error = layer_ws_create(layer->stream, settings, subprotocol[0] != '\0' ? subprotocol : NULL,
                            error == 0 ? &terms : NULL, &next);
    if (error < 0)
        layer_doom(layer, error, "malloc", "%s", "");
    else
        layer_become(layer, next, bytes, n_bytes);
}

static void take(struct layer *layer, uint8_t *bytes, size_t n_bytes);

static void on_answer(struct layer_ws_client *ws, uint8_t *bytes, size_t n_bytes)
{
    struct http_upgrade upgrade = describe(ws);
    unsigned status = http_head_status(ws->head);
    char accept[WS_ACCEPT_TEXT], subprotocol[HTTP_SUBPROTOCOL_TEXT], why[192];
    int error;

    if (status >= 100 && status < 200 && status != 101 && ws->n_interim++ < INTERIM_MAX) {
        error = new_head(ws);
        if (error < 0)
            layer_doom(&ws->layer, error, "malloc", "%s", "");
        else if (n_bytes > 0)
            take(&ws->layer, bytes, n_bytes);
        return;
    }
    error = ws_accept(ws->key, accept);
    if (error < 0) {
        layer_doom(&ws->layer, error, "malloc", "%s", "");
        return;
    }
    error = http_upgrade_answered(ws->head, &upgrade, accept, subprotocol, why, sizeof why);
    if (error < 0)
        layer_doom(&ws->layer, error, "upgrade", "%s", why);
    else
        become_ws(ws, subprotocol, bytes, n_bytes);
}

static void take(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct layer_ws_client *ws = of(layer);
    size_t n_taken;

    switch (http_head_take(ws->head, bytes, n_bytes, &n_taken)) {
    case HTTP_GOES_ON:
        break;
    case HTTP_DONE:
        on_answer(ws, bytes + n_taken, n_bytes - n_taken);
        break;
    case HTTP_WRONG:
        layer_doom(layer, -SONDE_EHTTP, "upgrade", "%s",
                   http_head_refusal(ws->head)->status == 431 ? "the head of the server's answer is too large"
                                                              : "the server's answer is not HTTP/1.1");
        break;
    case HTTP_NO_MEMORY:
        layer_doom(layer, -ENOMEM, "malloc", "%s", "");
        break;
    }
}

/* --- the layer -------------------------------------------------------------------------------------------------- */

static void on_end(struct layer *layer)
{
    layer_doom(layer, -SONDE_EHTTP, "upgrade", "the server ended the connection without an answer");
}

/* Neither is called before a layer is open, and this one never is. */
static int on_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags)
{
    (void)layer, (void)data, (void)n_bytes, (void)flags;
    return -ENOTCONN;
}

static void on_shut(struct layer *layer)
{
    layer_down_shut(layer);
}

static void on_free(struct layer *layer)
{
    struct layer_ws_client *ws = of(layer);

    http_head_free(ws->head);
    loop_free(layer->stream->loop, ws, sizeof *ws);
}

static const struct layer_kind ws_client_kind = {
    .name = "WebSocket",
    .begin = begin,
    .take = take,
    .end = on_end,
    .send = on_send,
    .shut = on_shut,
    .free = on_free,
};

/* The name for Host. A zone means nothing to others (RFC 6874, 4). */
static void find_host(struct layer_ws_client *ws)
{
    const struct sonde_url *url = layer_url(&ws->layer);
    bool is_tcp = url->scheme == SONDE_SCHEME_TCP || url->scheme == SONDE_SCHEME_SCTP;
    const char *host = is_tcp && url->host[0] != '\0' ? url->host : "localhost";

    snprintf(ws->host, sizeof ws->host, "%.*s", (int)strcspn(host, "%"), host);
}

int layer_ws_client_create(struct sonde_stream *stream, const struct sonde_ws_client *client, struct layer **ret_layer)
{
    struct layer_ws_client *ws = layer_alloc(stream, &ws_client_kind, sizeof *ws);
    struct http_upgrade upgrade;
    uint8_t random[16];

    if (ws == NULL)
        return -ENOMEM;
    ws->client = client;
    find_host(ws);
    upgrade = describe(ws);
    int error = http_upgrade_valid(&upgrade);
    if (error == 0 && getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        error = -errno;
    if (error == 0) {
        ws_key(random, ws->key);
        error = new_head(ws);
    }
    if (error < 0) {
        on_free(&ws->layer);
        return error;
    }
    *ret_layer = &ws->layer;
    return 0;
}
