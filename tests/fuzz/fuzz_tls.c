/* SPDX-License-Identifier: MIT */
/*
 * TLS sessions, fed with anything. The first byte says how: as what a client begins with, as what a server begins with,
 * as records behind a good handshake, or as the sizes of the pieces in which a good conversation is carried. In the
 * last case all of it arrives; in the others nothing does that the peer has not said.
 */
#include "tls/session.h"

#include <sonde/tls.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_BYTES (256 * 1024)
#define SAID_BYTES 40000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

struct side {
    struct tls_session session;
    uint8_t out[WIRE_BYTES];
    size_t n_out, n_taken, n_got;
    bool is_open, is_over;
};

static struct sonde_tls *server_tls, *client_tls;

static int on_output(void *owner, const void *data, size_t n_bytes)
{
    struct side *side = owner;

    if (n_bytes > sizeof side->out - side->n_out)
        abort(); /* more than any peer may cause */
    memcpy(side->out + side->n_out, data, n_bytes);
    side->n_out += n_bytes;
    return 0;
}

static uint8_t said(size_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

/* What comes is what was said. */
static void take(struct side *side, const uint8_t *bytes, size_t n_bytes)
{
    enum tls_result result = TLS_WANTS;
    uint8_t piece[5000];
    size_t n;

    tls_session_lend(&side->session, bytes, n_bytes);
    if (!side->is_open) {
        result = tls_session_handshake(&side->session);
        side->is_open = result == TLS_DONE;
    }
    while (side->is_open && (result = tls_session_read(&side->session, piece, sizeof piece, &n)) == TLS_DONE) {
        for (size_t i = 0; i < n; i++)
            if (piece[i] != said(side->n_got + i))
                abort();
        side->n_got += n;
    }
    side->is_over = result == TLS_END || result == TLS_FAILED;
    if (!side->is_over && tls_session_unread(&side->session) != 0)
        abort();
    if (result == TLS_FAILED && (side->session.why.code >= 0 || side->session.why.call == NULL))
        abort();
    tls_session_lend(&side->session, NULL, 0);
}

/* A copy of its own, so that reading past it is seen. */
static void take_copy(struct side *side, const uint8_t *bytes, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes);

    memcpy(copy, bytes, n_bytes);
    take(side, copy, n_bytes);
    free(copy);
}

/* Pieces as the input says: each byte is a size, again from the start when they are used up. */
struct sizes {
    const uint8_t *bytes;
    size_t n, at;
};

static size_t next_size(struct sizes *sizes)
{
    if (sizes->n == 0)
        return WIRE_BYTES;
    uint8_t size = sizes->bytes[sizes->at++ % sizes->n];

    return size < 200 ? (size_t)size + 1 : (size_t)(size - 199) * 400;
}

static bool carry(struct side *from, struct side *to, struct sizes *sizes)
{
    bool moved = false;

    while (from->n_taken < from->n_out && !to->is_over) {
        size_t left = from->n_out - from->n_taken, n = next_size(sizes);
        if (n > left)
            n = left;
        take_copy(to, from->out + from->n_taken, n);
        from->n_taken += n;
        moved = true;
    }
    return moved;
}

static void settle(struct side *client, struct side *server, struct sizes *sizes)
{
    for (bool moves = true; moves;) {
        moves = carry(client, server, sizes);
        moves = carry(server, client, sizes) || moves;
    }
}

static void say(struct side *side)
{
    uint8_t bytes[SAID_BYTES];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = said(i);
    if (tls_session_write(&side->session, bytes, 1) < 0 ||
        tls_session_write(&side->session, bytes + 1, sizeof bytes - 1) < 0 || tls_session_shut(&side->session) < 0)
        abort();
}

static void converse(struct side *client, struct side *server, const uint8_t *data, size_t n_bytes, bool whole)
{
    struct sizes sizes = {data, whole ? n_bytes : 0, 0};

    if (tls_session_handshake(&client->session) != TLS_WANTS)
        abort();
    settle(client, server, &sizes);
    if (!client->is_open || !server->is_open)
        abort();
    if (!whole) {
        take_copy(client, data, n_bytes);
        if (client->n_got > 0)
            abort();
        return;
    }
    say(client);
    say(server);
    settle(client, server, &sizes);
    if (client->n_got != SAID_BYTES || server->n_got != SAID_BYTES || !client->is_over || !server->is_over)
        abort();
}

static void make_contexts(void)
{
    struct sonde_tls_options options = {.size = sizeof options, .server = 1, .alpn = "h2,http/1.1"};

    if (sonde_tls_create(&options, &server_tls, NULL) < 0)
        abort();
    options = (struct sonde_tls_options){.size = sizeof options, .insecure = 1, .alpn = "http/1.1"};
    if (sonde_tls_create(&options, &client_tls, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 2 || n_bytes > 20000)
        return 0;
    if (server_tls == NULL)
        make_contexts();
    struct side *client = calloc(1, sizeof *client), *server = calloc(1, sizeof *server);
    if (tls_session_init(&client->session, client_tls, "localhost", on_output, client) < 0 ||
        tls_session_init(&server->session, server_tls, NULL, on_output, server) < 0)
        abort();
    unsigned way = data[0] & 3;
    data++;
    n_bytes--;
    if (way == 0) {
        take_copy(server, data, n_bytes);
        if (server->is_open)
            abort();
    } else if (way == 1) {
        (void)tls_session_handshake(&client->session);
        take_copy(client, data, n_bytes);
        if (client->is_open)
            abort();
    } else {
        converse(client, server, data, n_bytes, way == 3);
    }
    tls_session_free(&client->session);
    tls_session_free(&server->session);
    free(client);
    free(server);
    return 0;
}
