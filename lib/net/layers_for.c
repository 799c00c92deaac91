/* SPDX-License-Identifier: MIT */
/* The layers of a stream that is to be connected, as its URL says. */
#include "net/layers_internal.h"
#include "net/texts.h"

#include <errno.h>
#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <string.h>

static int refuse(struct sonde_why *ret_why, int error, const char *detail)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = error, .call = error == -ENOMEM ? "malloc" : "connect"};
        snprintf(ret_why->detail, sizeof ret_why->detail, "%s", detail);
    }
    return error;
}

static int copy_client(struct layers *layers, const struct sonde_ws_client *from)
{
    struct sonde_ws_client client = {.size = sizeof client};
    struct texts texts = {0};

    if (from != NULL)
        memcpy(&client, from, from->size < sizeof client ? from->size : sizeof client);
    client.size = sizeof client;
    for (int pass = 0; pass < 2; pass++) {
        struct sonde_ws_client *room = texts_room(&texts, sizeof client);
        texts_one(&texts, &client.origin);
        texts_one(&texts, &client.subprotocols);
        texts_list(&texts, &client.headers);
        if (room != NULL) {
            *room = client;
            break;
        }
        layers->n_client_bytes = texts.n_bytes;
        layers->client = loop_alloc(layers->stream->loop, texts.n_bytes);
        if (layers->client == NULL)
            return -ENOMEM;
        texts_begin_copy(&texts, layers->client);
    }
    return 0;
}

static int add_tls(struct sonde_stream *stream, const struct sonde_url *url, const struct sonde_tls *tls,
                   struct sonde_why *ret_why)
{
    bool has_host = url->scheme == SONDE_SCHEME_TCP || url->scheme == SONDE_SCHEME_SCTP;
    const char *host = has_host && url->host[0] != '\0' ? url->host : "localhost";
    struct sonde_tls *own = NULL;
    struct layer *layer;

    if (tls == NULL) {
        int error = sonde_tls_create(NULL, &own, ret_why);
        if (error < 0)
            return error;
        tls = own;
    }
    int error = layer_tls_create(stream, tls, host, &layer);
    if (own != NULL)
        sonde_tls_free(own);
    if (error < 0)
        return refuse(ret_why, error, "");
    layers_add(stream, layer);
    return 0;
}

int layers_for_connect(struct sonde_stream *stream, const struct sonde_url *url,
                       const struct sonde_connect_options *options, struct sonde_why *ret_why)
{
    struct layer *layer;

    if (url->layers & SONDE_LAYER_ANY)
        return refuse(ret_why, -EINVAL, "any:// is for listening; a client says tcp://, tls:// or ws://");
    int error = layers_create(stream, url, false, NULL);
    if (error < 0)
        return refuse(ret_why, error, "");
    if (url->layers & SONDE_LAYER_TLS)
        error = add_tls(stream, url, options->tls, ret_why);
    if (error < 0 || !(url->layers & SONDE_LAYER_WS))
        return error;
    error = copy_client(stream->layers, options->ws);
    if (error == 0)
        error = layer_ws_client_create(stream, stream->layers->client, &layer);
    if (error < 0)
        return refuse(ret_why, error, error == -EINVAL ? "a header, the origin or a subprotocol is not one" : "");
    layers_add(stream, layer);
    return 0;
}
