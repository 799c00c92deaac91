/* SPDX-License-Identifier: MIT */
/* TLS sessions against each other, in memory: a client and a server, and what is between them is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_certs.h"

#include "tls/session.h"

#include <errno.h>
#include <sonde/tls.h>

#define WIRE_BYTES (512 * 1024)

struct side {
    struct tls_session session;
    struct sonde_tls *tls;
    uint8_t *out; /* what it has said, for the other one */
    size_t n_out, n_taken;
    bool is_open, has_failed, has_ended;
    uint8_t *got;
    size_t n_got;
    int output_error;
};

struct pair {
    struct side client, server;
};

static struct cert ca, other_ca, good;

static int on_output(void *owner, const void *data, size_t n_bytes)
{
    struct side *side = owner;

    if (side->output_error < 0)
        return side->output_error;
    assert_true(side->n_out + n_bytes <= WIRE_BYTES);
    memcpy(side->out + side->n_out, data, n_bytes);
    side->n_out += n_bytes;
    return 0;
}

static void side_open(struct side *side, const struct sonde_tls_options *options, const char *host)
{
    struct sonde_why why = {0};

    *side = (struct side){.out = malloc(WIRE_BYTES), .got = malloc(WIRE_BYTES)};
    if (sonde_tls_create(options, &side->tls, &why) < 0)
        fail_msg("%s: %s", why.subject, why.detail);
    assert_int_equal(tls_session_init(&side->session, side->tls, host, on_output, side), 0);
    /* It stays for as long as the session needs it. */
    sonde_tls_free(side->tls);
}

static void side_close(struct side *side)
{
    tls_session_free(&side->session);
    free(side->out);
    free(side->got);
}

static void pair_open(struct pair *pair, const struct sonde_tls_options *client, const struct sonde_tls_options *server,
                      const char *host)
{
    side_open(&pair->client, client, host);
    side_open(&pair->server, server, NULL);
}

static void pair_close(struct pair *pair)
{
    side_close(&pair->client);
    side_close(&pair->server);
}

static void side_shake(struct side *side)
{
    enum tls_result result = tls_session_handshake(&side->session);

    side->is_open = result == TLS_DONE;
    side->has_failed = result == TLS_FAILED;
    assert_true(result != TLS_END);
}

static void side_read(struct side *side, size_t size_bytes)
{
    enum tls_result result;
    size_t n_bytes;

    while ((result = tls_session_read(&side->session, side->got + side->n_got, size_bytes, &n_bytes)) == TLS_DONE) {
        assert_in_range(n_bytes, 1, size_bytes);
        side->n_got += n_bytes;
    }
    side->has_ended = result == TLS_END;
    side->has_failed = result == TLS_FAILED;
}

/* Lend to one what the other has said, in pieces of so many bytes. True: something moved. */
static bool carry(struct side *from, struct side *to, size_t piece_bytes, size_t read_bytes)
{
    bool moved = false;

    while (from->n_taken < from->n_out && !to->has_failed && !to->has_ended) {
        size_t n = from->n_out - from->n_taken;
        if (n > piece_bytes)
            n = piece_bytes;
        uint8_t *copy = malloc(n); /* so that reading past it is seen */
        memcpy(copy, from->out + from->n_taken, n);
        from->n_taken += n;
        tls_session_lend(&to->session, copy, n);
        if (!to->is_open)
            side_shake(to);
        if (to->is_open)
            side_read(to, read_bytes);
        if (!to->has_failed && !to->has_ended)
            assert_int_equal(tls_session_unread(&to->session), 0);
        tls_session_lend(&to->session, NULL, 0);
        free(copy);
        moved = true;
    }
    return moved;
}

static void settle(struct pair *pair, size_t piece_bytes, size_t read_bytes)
{
    if (!pair->client.is_open && pair->client.n_out == 0)
        side_shake(&pair->client);
    for (bool moves = true; moves;) {
        moves = carry(&pair->client, &pair->server, piece_bytes, read_bytes);
        moves = carry(&pair->server, &pair->client, piece_bytes, read_bytes) || moves;
    }
}

static const struct sonde_tls_options no_options = {.size = sizeof no_options};

static struct sonde_tls_options server_of(const struct cert *cert)
{
    return (struct sonde_tls_options){
        .size = sizeof(struct sonde_tls_options),
        .server = 1,
        .cert_file = cert != NULL ? cert->cert_file : NULL,
        .key_file = cert != NULL ? cert->key_file : NULL,
    };
}

static struct sonde_tls_options client_of(const struct cert *trusted)
{
    return (struct sonde_tls_options){.size = sizeof(struct sonde_tls_options),
                                      .ca_file = trusted != NULL ? trusted->cert_file : NULL};
}

static void assert_open(const struct pair *pair)
{
    if (!pair->client.is_open || !pair->server.is_open)
        fail_msg("client: %s; server: %s", pair->client.session.why.detail, pair->server.session.why.detail);
}

static void assert_why(const struct side *side, int error, const char *words)
{
    assert_true(side->has_failed);
    if (side->session.why.code != error || strstr(side->session.why.detail, words) == NULL)
        fail_msg("%d \"%s\" rather than %d \"%s\"", side->session.why.code, side->session.why.detail, error, words);
}

static void assert_got(const struct side *side, const void *bytes, size_t n_bytes)
{
    assert_int_equal(side->n_got, n_bytes);
    assert_memory_equal(side->got, bytes, n_bytes);
}

/* --- the good way ----------------------------------------------------------------------------------------------- */

static void test_any_split(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 5, 6, 21, 100, 1000, 16384, WIRE_BYTES};
    static const size_t reads[] = {1, 7, 16383, 16384, 40000};
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    uint8_t bytes[50000];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct pair pair;
        size_t read_bytes = reads[i % 5];
        pair_open(&pair, &client, &server, "localhost");
        settle(&pair, pieces[i], read_bytes);
        assert_open(&pair);
        assert_int_equal(tls_session_write(&pair.client.session, "hello", 5), 0);
        assert_int_equal(tls_session_write(&pair.server.session, bytes, sizeof bytes), 0);
        assert_true(pair.server.n_out - pair.server.n_taken <= tls_session_room(sizeof bytes));
        assert_int_equal(tls_session_shut(&pair.server.session), 0);
        settle(&pair, pieces[i], read_bytes);
        assert_got(&pair.server, "hello", 5);
        assert_got(&pair.client, bytes, sizeof bytes);
        assert_true(pair.client.has_ended);
        assert_false(pair.server.has_ended);
        /* Half-closed: the other way goes on. */
        assert_int_equal(tls_session_write(&pair.client.session, " again", 6), 0);
        assert_int_equal(tls_session_shut(&pair.client.session), 0);
        settle(&pair, pieces[i], read_bytes);
        assert_got(&pair.server, "hello again", 11);
        assert_true(pair.server.has_ended);
        pair_close(&pair);
    }
    (void)state;
}

static void test_info(void **state)
{
    struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    struct sonde_tls_info info;
    struct pair pair;

    client.alpn = "spdy,h2,http/1.1";
    server.alpn = "http/1.1,h2";
    pair_open(&pair, &client, &server, "localhost");
    tls_session_info(&pair.client.session, &info);
    assert_string_equal(info.version, "");
    settle(&pair, WIRE_BYTES, 1000);
    assert_open(&pair);
    tls_session_info(&pair.client.session, &info);
    assert_string_equal(info.version, "TLSv1.3");
    assert_string_equal(info.cipher, "TLS_AES_256_GCM_SHA384");
    assert_string_equal(info.group, "X25519");
    assert_string_equal(info.alpn, "http/1.1");
    assert_string_equal(info.server_name, "localhost");
    assert_string_equal(info.subject, "CN=good");
    assert_string_equal(info.issuer, "CN=the CA");
    assert_string_equal(info.names, "localhost, *.example.org, 127.0.0.1, ::1");
    assert_int_equal(strlen(info.fingerprint), 95);
    assert_true(info.not_after_s > time(NULL));
    assert_int_equal(info.verified, 1);
    assert_int_equal(info.resumed, 0);
    tls_session_info(&pair.server.session, &info);
    assert_string_equal(info.server_name, "localhost");
    assert_string_equal(info.alpn, "http/1.1");
    assert_string_equal(info.subject, "");
    assert_int_equal(info.verified, 0);
    pair_close(&pair);
    (void)state;
}

/* What is not read stays, and comes after what was read before. */
static void test_piece_by_piece(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    struct pair pair;
    uint8_t piece[4];
    size_t n_bytes;

    pair_open(&pair, &client, &server, "localhost");
    settle(&pair, WIRE_BYTES, 1000);
    tls_session_write(&pair.server.session, "abcdef", 6);
    tls_session_write(&pair.server.session, "ghi", 3);
    tls_session_shut(&pair.server.session);
    struct tls_session *session = &pair.client.session;
    assert_false(tls_session_holds(session));
    tls_session_lend(session, pair.server.out + pair.server.n_taken, pair.server.n_out - pair.server.n_taken);
    assert_true(tls_session_holds(session));
    assert_int_equal(tls_session_read(session, piece, 4, &n_bytes), TLS_DONE);
    assert_int_equal(n_bytes, 4);
    assert_memory_equal(piece, "abcd", 4);
    assert_true(tls_session_holds(session));
    assert_int_equal(tls_session_read(session, piece, 4, &n_bytes), TLS_DONE);
    assert_memory_equal(piece, "efgh", 4);
    assert_true(tls_session_holds(session));
    assert_int_equal(tls_session_read(session, piece, 4, &n_bytes), TLS_DONE);
    assert_int_equal(n_bytes, 1);
    assert_true(tls_session_holds(session));
    assert_int_equal(tls_session_read(session, piece, 4, &n_bytes), TLS_END);
    pair_close(&pair);
    (void)state;
}

/* --- cut and changed -------------------------------------------------------------------------------------------- */

static void test_cut_handshake(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    struct pair whole;

    pair_open(&whole, &client, &server, "localhost");
    settle(&whole, WIRE_BYTES, 1000);
    size_t n_server = whole.server.n_out;
    pair_close(&whole);
    for (size_t n = 0; n < n_server; n += 1 + n / 64) {
        struct pair pair;
        pair_open(&pair, &client, &server, "localhost");
        side_shake(&pair.client);
        carry(&pair.client, &pair.server, WIRE_BYTES, 1000);
        if (pair.server.n_out > n)
            pair.server.n_out = n;
        carry(&pair.server, &pair.client, WIRE_BYTES, 1000);
        assert_false(pair.client.is_open && n < n_server - 200); /* signatures differ in length */
        assert_false(pair.client.has_failed);
        pair_close(&pair);
    }
    (void)state;
}

static void test_changed_handshake(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);

    for (size_t at = 0;; at += 13) {
        struct pair pair;
        pair_open(&pair, &client, &server, "localhost");
        side_shake(&pair.client);
        carry(&pair.client, &pair.server, WIRE_BYTES, 1000);
        bool done = at >= pair.server.n_out;
        if (!done)
            pair.server.out[at] ^= 0x15;
        settle(&pair, WIRE_BYTES, 1000);
        /* The versions of a record's head mean nothing in 1.3, nor what is in a change_cipher_spec of old; all else is
         * under the transcript. */
        if (!done && pair.client.is_open)
            assert_true(pair.server.is_open);
        if (pair.client.has_failed)
            assert_true(pair.client.session.why.code < 0 && pair.client.session.why.detail[0] != '\0');
        pair_close(&pair);
        if (done)
            break;
    }
    (void)state;
}

static void test_changed_record(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    unsigned n_failed = 0, n_waiting = 0;

    for (size_t at = 0; at < 5 + 5 + 1 + 16; at++) {
        struct pair pair;
        pair_open(&pair, &client, &server, "localhost");
        settle(&pair, WIRE_BYTES, 1000);
        assert_open(&pair);
        size_t start = pair.client.n_out;
        tls_session_write(&pair.client.session, "first", 5);
        size_t n_record = pair.client.n_out - start;
        assert_int_equal(n_record, 5 + 5 + 1 + 16);
        tls_session_write(&pair.client.session, "second", 6);
        pair.client.out[start + at] ^= 1;
        settle(&pair, WIRE_BYTES, 1000);
        assert_int_equal(pair.server.n_got, 0);
        n_failed += pair.server.has_failed;
        n_waiting += !pair.server.has_failed;
        if (at >= 5)
            assert_why(&pair.server, -SONDE_ETLS, "bad record MAC");
        if (at >= 5)
            assert_why(&pair.client, -SONDE_ETLS, "alert from the peer: bad record mac");
        pair_close(&pair);
    }
    assert_in_range(n_failed, 22, 27);
    (void)n_waiting;
    (void)state;
}

/* A record that is left out, or comes twice. */
static void test_reordered(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);

    for (int twice = 0; twice < 2; twice++) {
        struct pair pair;
        pair_open(&pair, &client, &server, "localhost");
        settle(&pair, WIRE_BYTES, 1000);
        size_t start = pair.client.n_out;
        tls_session_write(&pair.client.session, "first", 5);
        if (!twice) {
            pair.client.n_out = start;
            tls_session_write(&pair.client.session, "second", 6);
        } else {
            size_t n_record = pair.client.n_out - start;
            memcpy(pair.client.out + pair.client.n_out, pair.client.out + start, n_record);
            pair.client.n_out += n_record;
        }
        settle(&pair, WIRE_BYTES, 1000);
        assert_got(&pair.server, "first", twice ? 5 : 0);
        assert_why(&pair.server, -SONDE_ETLS, "bad record MAC");
        pair_close(&pair);
    }
    (void)state;
}

/* --- whom to trust ---------------------------------------------------------------------------------------------- */

/* One handshake: what both say of it. */
static void try(const char *what, const struct sonde_tls_options *client, const struct sonde_tls_options *server,
                const char *host, const char *client_words, const char *server_words)
{
    struct pair pair;

    print_message("  %s\n", what);
    pair_open(&pair, client, server, host);
    settle(&pair, WIRE_BYTES, 1000);
    if (client_words == NULL) {
        assert_open(&pair);
    } else {
        assert_why(&pair.client, -SONDE_ECERT, client_words);
        assert_why(&pair.server, -SONDE_ETLS, server_words);
        assert_false(pair.server.is_open);
    }
    pair_close(&pair);
}

static void test_trust(void **state)
{
    struct cert stranger = cert_make("stranger", (struct cert_options){"stranger", "DNS:localhost", &other_ca});
    struct cert expired = cert_make("expired", (struct cert_options){"expired", "DNS:localhost", &ca, -30, -3});
    struct cert future = cert_make("future", (struct cert_options){"future", "DNS:localhost", &ca, 3, 30});
    struct cert self = cert_make("self", (struct cert_options){"self", "DNS:localhost"});
    struct cert only_cn = cert_make("only_cn", (struct cert_options){"localhost", NULL, &ca});
    struct cert for_client =
        cert_make("for_client", (struct cert_options){"c", "DNS:localhost", &ca, .usage = "clientAuth"});
    const struct {
        const char *what;
        const struct cert *cert, *trusted;
        const char *host, *client_words, *server_words;
    } rows[] = {
        {"right", &good, &ca, "localhost", NULL, NULL},
        {"no host means localhost", &good, &ca, "", NULL, NULL},
        {"a dot at the end", &good, &ca, "localhost.", NULL, NULL},
        {"any case", &good, &ca, "LocalHost", NULL, NULL},
        {"wildcard", &good, &ca, "a.example.org", NULL, NULL},
        {"wildcards are one label", &good, &ca, "a.b.example.org",
         "it is for localhost, *.example.org, 127.0.0.1, ::1"
         ", not for a.b.example.org",
         "alert from the peer: bad certificate"},
        {"IPv4", &good, &ca, "127.0.0.1", NULL, NULL},
        {"IPv6", &good, &ca, "::1", NULL, NULL},
        {"IPv6 with a zone", &good, &ca, "::1%lo", NULL, NULL},
        {"another address", &good, &ca, "127.0.0.2", "not for 127.0.0.2", "bad certificate"},
        {"another name", &good, &ca, "example.net", "not for example.net", "bad certificate"},
        {"the common name does not count", &only_cn, &ca, "localhost", "CN does not count", "bad certificate"},
        {"unknown issuer", &stranger, &ca, "localhost", "its issuer, CN=the other CA, is not trusted",
         "unknown ca: it does not trust the certificate of this side"},
        {"the system's trust", &good, NULL, "localhost", "its issuer, CN=the CA, is not trusted", "unknown ca"},
        {"expired", &expired, &ca, "localhost", "the certificate has expired on ", "certificate expired"},
        {"not yet", &future, &ca, "localhost", "is not valid yet", "bad certificate"},
        {"self-signed", &self, &ca, "localhost", "self-signed certificate", "unknown ca"},
        {"self-signed and trusted", &self, &self, "localhost", NULL, NULL},
        {"the leaf itself is trusted", &good, &good, "localhost", NULL, NULL},
        {"for another use", &for_client, &ca, "localhost", "not meant for this use", "unsupported certificate"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sonde_tls_options client = client_of(rows[i].trusted), server = server_of(rows[i].cert);
        try(rows[i].what, &client, &server, rows[i].host, rows[i].client_words, rows[i].server_words);
    }
    cert_free(&stranger);
    cert_free(&expired);
    cert_free(&future);
    cert_free(&self);
    cert_free(&only_cn);
    cert_free(&for_client);
    (void)state;
}

static void fingerprint_of(const struct cert *cert, char *ret_text)
{
    uint8_t digest[32];
    unsigned n;

    X509_digest(cert->x509, EVP_sha256(), digest, &n);
    for (int i = 0; i < 32; i++)
        sprintf(ret_text + 2 * i, "%02x", digest[i]);
}

static void test_pin(void **state)
{
    struct cert bad = cert_make("bad", (struct cert_options){"bad", "DNS:elsewhere", &other_ca, -30, -3});
    struct sonde_tls_options client = no_options, server = server_of(&bad);
    char pin[65];

    fingerprint_of(&bad, pin);
    client.pin = pin;
    try("pinned, whatever else is wrong", &client, &server, "localhost", NULL, NULL);
    pin[63] = pin[63] == '0' ? '1' : '0';
    try("another", &client, &server, "localhost", "it is not the certificate that is pinned", "bad certificate");
    /* Not even when it is right in every other way. */
    client.ca_file = ca.cert_file;
    server = server_of(&good);
    try("another, trusted otherwise", &client, &server, "localhost", "pinned", "bad certificate");
    client = no_options;
    client.insecure = 1;
    server = server_of(&bad);
    struct sonde_tls_info info;
    struct pair pair;
    pair_open(&pair, &client, &server, "localhost");
    settle(&pair, WIRE_BYTES, 1000);
    assert_open(&pair);
    tls_session_info(&pair.client.session, &info);
    assert_int_equal(info.verified, 0);
    assert_string_equal(info.subject, "CN=bad");
    pair_close(&pair);
    cert_free(&bad);
    (void)state;
}

/* What was refused can be looked at. */
static void test_refused_info(void **state)
{
    const struct sonde_tls_options client = client_of(&other_ca), server = server_of(&good);
    struct sonde_tls_info info;
    struct pair pair;

    pair_open(&pair, &client, &server, "localhost");
    settle(&pair, WIRE_BYTES, 1000);
    assert_why(&pair.client, -SONDE_ECERT, "");
    tls_session_info(&pair.client.session, &info);
    assert_string_equal(info.subject, "CN=good");
    assert_int_equal(strlen(info.fingerprint), 95);
    assert_int_equal(info.verified, 0);
    pair_close(&pair);
    (void)state;
}

static void test_made_up(void **state)
{
    static const char *const names[] = {"box.example", "192.0.2.7", NULL};
    struct sonde_tls_options client = no_options, server = server_of(NULL);
    struct sonde_tls *tls;
    struct sonde_tls_info info;
    struct pair pair;

    server.names = names;
    pair_open(&pair, &client, &server, "localhost");
    tls = pair.server.tls;
    assert_int_equal(sonde_tls_is_adhoc(tls), 1);
    char pin[100];
    snprintf(pin, sizeof pin, "%s", sonde_tls_fingerprint(tls));
    settle(&pair, WIRE_BYTES, 1000);
    assert_why(&pair.client, -SONDE_ECERT, "self-signed certificate");
    tls_session_info(&pair.client.session, &info);
    assert_string_equal(info.fingerprint, pin);
    assert_string_equal(info.subject, "CN=localhost");
    assert_string_equal(info.names, "localhost, 127.0.0.1, ::1, box.example, 192.0.2.7");
    int64_t days = (info.not_after_s - (int64_t)time(NULL)) / CERT_DAY_S;
    assert_in_range(days, 28, 29);
    side_close(&pair.client);
    /* A client that was told it, whatever it calls the server. */
    client.pin = pin;
    side_open(&pair.client, &client, "anything");
    tls = tls_context_ref(tls);
    side_close(&pair.server);
    pair.server = (struct side){.tls = tls, .out = malloc(WIRE_BYTES), .got = malloc(WIRE_BYTES)};
    assert_int_equal(tls_session_init(&pair.server.session, tls, NULL, on_output, &pair.server), 0);
    sonde_tls_free(tls);
    settle(&pair, WIRE_BYTES, 1000);
    assert_open(&pair);
    pair_close(&pair);
    (void)state;
}

static void test_client_certificates(void **state)
{
    struct cert own = cert_make("own", (struct cert_options){"me", NULL, &ca});
    struct cert stranger = cert_make("stranger2", (struct cert_options){"him", NULL, &other_ca});

    for (int wanted = 1; wanted <= 2; wanted++) {
        for (int shown = 0; shown < 3; shown++) {
            struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
            struct sonde_tls_info info;
            struct pair pair;
            server.verify_client = wanted;
            server.ca_file = ca.cert_file;
            client.cert_file = shown == 0 ? NULL : shown == 1 ? own.cert_file : stranger.cert_file;
            client.key_file = shown == 0 ? NULL : shown == 1 ? own.key_file : stranger.key_file;
            pair_open(&pair, &client, &server, "localhost");
            settle(&pair, WIRE_BYTES, 1000);
            tls_session_info(&pair.server.session, &info);
            if (shown == 1 || (shown == 0 && wanted == 1)) {
                assert_open(&pair);
                assert_string_equal(info.subject, shown == 1 ? "CN=me" : "");
                assert_int_equal(info.verified, shown);
            } else if (shown == 0) {
                assert_why(&pair.server, -SONDE_ECERT, "the client has shown no certificate");
                assert_why(&pair.client, -SONDE_ETLS, "certificate required: it wants a certificate of this side");
            } else {
                assert_why(&pair.server, -SONDE_ECERT, "its issuer, CN=the other CA, is not trusted");
                assert_why(&pair.client, -SONDE_ETLS, "unknown ca: it does not trust the certificate of this side");
            }
            pair_close(&pair);
        }
    }
    cert_free(&own);
    cert_free(&stranger);
    (void)state;
}

static void test_protocols(void **state)
{
    const struct {
        const char *client, *server, *chosen;
    } rows[] = {
        {"h2,http/1.1", "http/1.1,h2", "http/1.1"},
        {"a", "a", "a"},
        {"a", "b,c", NULL},
        {NULL, "b", ""},
        {"a", NULL, ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
        struct sonde_tls_info info;
        struct pair pair;
        client.alpn = rows[i].client;
        server.alpn = rows[i].server;
        pair_open(&pair, &client, &server, "localhost");
        settle(&pair, WIRE_BYTES, 1000);
        if (rows[i].chosen == NULL) {
            assert_why(&pair.server, -SONDE_ETLS, "no protocol in common");
            assert_why(&pair.client, -SONDE_ETLS, "alert from the peer: no application protocol");
        } else {
            assert_open(&pair);
            tls_session_info(&pair.client.session, &info);
            assert_string_equal(info.alpn, rows[i].chosen);
        }
        pair_close(&pair);
    }
    (void)state;
}

static void test_names_sent(void **state)
{
    const struct {
        const char *host, *server_name, *sent;
    } rows[] = {
        {"localhost", NULL, "localhost"},
        {"127.0.0.1", NULL, ""},
        {"::1%lo", NULL, ""},
        {"localhost.", NULL, "localhost"},
        {"localhost", "", ""},
        {"127.0.0.1", "localhost", "localhost"},
        {"nowhere", "a.example.org", "a.example.org"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
        struct sonde_tls_info info;
        struct pair pair;
        client.server_name = rows[i].server_name;
        pair_open(&pair, &client, &server, rows[i].host);
        settle(&pair, WIRE_BYTES, 1000);
        assert_open(&pair);
        tls_session_info(&pair.server.session, &info);
        assert_string_equal(info.server_name, rows[i].sent);
        pair_close(&pair);
    }
    (void)state;
}

/* --- who speaks something else ---------------------------------------------------------------------------------- */

static void test_no_tls(void **state)
{
    static const struct {
        const char *said, *words;
    } rows[] = {
        {"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
         "the peer speaks no TLS: it began with \"SSH-2.0-OpenSSH_9.2p1 De\""},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "the peer speaks no TLS: it began with \"HTTP/1.1 400 Bad Request\""},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the peer speaks no TLS: it began with \"GET / HTTP/1.1\""},
        {"\x1b[2Jxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "the peer speaks no TLS"},
        {"hello", "the peer speaks no TLS: it began with \"hello\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
        for (int as_server = 0; as_server < 2; as_server++) {
            struct pair pair;
            pair_open(&pair, &client, &server, "localhost");
            struct side *side = as_server ? &pair.server : &pair.client;
            side_shake(side);
            tls_session_lend(&side->session, (const uint8_t *)rows[i].said, strlen(rows[i].said));
            side_shake(side);
            assert_why(side, -SONDE_ETLS, rows[i].words);
            assert_null(strchr(side->session.why.detail, '\x1b'));
            pair_close(&pair);
        }
    }
    (void)state;
}

/* --- output that fails ------------------------------------------------------------------------------------------ */

static void test_output_fails(void **state)
{
    const struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    struct pair pair;

    pair_open(&pair, &client, &server, "localhost");
    pair.client.output_error = -ENOMEM;
    side_shake(&pair.client);
    assert_why(&pair.client, -ENOMEM, "");
    pair_close(&pair);
    pair_open(&pair, &client, &server, "localhost");
    settle(&pair, WIRE_BYTES, 1000);
    pair.client.output_error = -ENOMEM;
    assert_int_equal(tls_session_write(&pair.client.session, "hello", 5), -ENOMEM);
    pair_close(&pair);
    (void)state;
}

/* --- contexts --------------------------------------------------------------------------------------------------- */

static void refused(const struct sonde_tls_options *options, int error, const char *subject, const char *words)
{
    struct sonde_tls *tls = (struct sonde_tls *)1;
    struct sonde_why why = {0};

    assert_int_equal(sonde_tls_create(options, &tls, &why), error);
    assert_ptr_equal(tls, (struct sonde_tls *)1);
    assert_int_equal(why.code, error);
    assert_string_equal(why.subject, subject);
    if (strstr(why.detail, words) == NULL)
        fail_msg("\"%s\" rather than \"%s\"", why.detail, words);
}

static void test_files(void **state)
{
    struct cert locked =
        cert_make("locked", (struct cert_options){"locked", "DNS:localhost", &ca, .password = "open sesame"});
    struct sonde_tls_options server = server_of(&good);
    struct sonde_tls *tls;

    server.cert_file = "/nonexistent/x";
    refused(&server, -ENOENT, "/nonexistent/x", "");
    server.cert_file = "/dev/null";
    refused(&server, -EINVAL, "/dev/null", "there is no certificate in it");
    server.cert_file = "/dev/zero";
    refused(&server, -EFBIG, "/dev/zero", "1 MiB");
    server = server_of(&good);
    server.key_file = "/nonexistent/y";
    refused(&server, -ENOENT, "/nonexistent/y", "");
    server.key_file = ca.key_file;
    refused(&server, -EINVAL, ca.key_file, "does not fit the certificate");
    server.key_file = NULL;
    chmod(good.cert_file, 0600);
    refused(&server, -EINVAL, good.cert_file, "no private key in it");
    server = server_of(&good);
    for (unsigned mode = 0; mode < 01000; mode++) {
        chmod(good.key_file, mode);
        if (access(good.key_file, R_OK) != 0)
            continue;
        bool is_private = (mode & (getuid() == 0 ? 037u : 077u)) == 0;
        if (!is_private) {
            refused(&server, -EPERM, good.key_file, "others than its owner may read or write this key");
        } else {
            assert_int_equal(sonde_tls_create(&server, &tls, NULL), 0);
            assert_int_equal(sonde_tls_is_adhoc(tls), 0);
            sonde_tls_free(tls);
        }
    }
    chmod(good.key_file, 0600);
    server = server_of(&locked);
    refused(&server, -EINVAL, locked.key_file, "the key is encrypted, and no password was given");
    server.key_password = "wrong";
    refused(&server, -EINVAL, locked.key_file, "the password is wrong");
    server.key_password = "open sesame";
    assert_int_equal(sonde_tls_create(&server, &tls, NULL), 0);
    sonde_tls_free(tls);
    cert_free(&locked);
    (void)state;
}

static void test_options(void **state)
{
    static const char *const bad_names[] = {"a b", NULL};
    struct sonde_tls_options client = no_options, server = server_of(NULL);
    struct sonde_tls *tls;

    client.pin = "AB:CD";
    refused(&client, -EINVAL, "AB:CD", "64 hexadecimal digits");
    client = no_options;
    client.alpn = "h2,,x";
    refused(&client, -EINVAL, "h2,,x", "commas");
    client.alpn = "";
    refused(&client, -EINVAL, "", "commas");
    client = no_options;
    client.key_file = good.key_file;
    refused(&client, -EINVAL, good.key_file, "without a certificate");
    client = no_options;
    client.ca_file = "/dev/null";
    refused(&client, -EINVAL, "/dev/null", "no certificate in it");
    client = no_options;
    client.keylog_file = "/nonexistent/z";
    refused(&client, -ENOENT, "/nonexistent/z", "");
    server.names = bad_names;
    refused(&server, -EINVAL, "a b", "a name or a numeric address");
    server = server_of(NULL);
    server.verify_client = 1;
    refused(&server, -EINVAL, "", "whose clients are believed");
    client = no_options;
    client.size = sizeof client + 1;
    refused(&client, -EINVAL, "", "newer");
    assert_int_equal(sonde_tls_create(NULL, &tls, NULL), 0);
    assert_string_equal(sonde_tls_fingerprint(tls), "");
    assert_int_equal(sonde_tls_is_adhoc(tls), 0);
    sonde_tls_free(tls);
    sonde_tls_free(NULL);
    (void)state;
}

static void test_keylog(void **state)
{
    struct sonde_tls_options client = client_of(&ca), server = server_of(&good);
    char file[160], text[8192];
    struct pair pair;
    struct stat stat_buffer;

    snprintf(file, sizeof file, "%s/keys", cert_folder);
    client.keylog_file = file;
    for (int i = 0; i < 2; i++) {
        pair_open(&pair, &client, &server, "localhost");
        settle(&pair, WIRE_BYTES, 1000);
        assert_open(&pair);
        pair_close(&pair);
    }
    assert_int_equal(stat(file, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0600);
    FILE *in = fopen(file, "r");
    size_t n = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    text[n] = '\0';
    unsigned n_secrets = 0, n_lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned n_words = 1;
        for (const char *at = line; *at != '\0'; at++)
            n_words += *at == ' ';
        assert_int_equal(n_words, 3);
        n_lines++;
        n_secrets += strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
    }
    assert_int_equal(n_secrets, 2);
    assert_true(n_lines >= 8);
    (void)state;
}

static int make_certificates(void **state)
{
    cert_folder_make();
    ca = cert_make("ca", (struct cert_options){"the CA", .is_ca = 1});
    other_ca = cert_make("other_ca", (struct cert_options){"the other CA", .is_ca = 1});
    good = cert_make("good", (struct cert_options){"good", "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1", &ca});
    (void)state;
    return 0;
}

static int remove_certificates(void **state)
{
    cert_free(&ca);
    cert_free(&other_ca);
    cert_free(&good);
    cert_folder_remove();
    (void)state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_piece_by_piece),
        cmocka_unit_test(test_cut_handshake),
        cmocka_unit_test(test_changed_handshake),
        cmocka_unit_test(test_changed_record),
        cmocka_unit_test(test_reordered),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_pin),
        cmocka_unit_test(test_refused_info),
        cmocka_unit_test(test_made_up),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_names_sent),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_output_fails),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_keylog),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
