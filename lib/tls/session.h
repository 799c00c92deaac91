/* SPDX-License-Identifier: MIT */
/*
 * One TLS connection, without a socket: bytes from the peer are lent to it, bytes for the peer come out of it through a
 * call. It waits for nothing and keeps no ciphertext but the piece of a record that has no end yet (17 KiB at most);
 * when it wants more it says so.
 *
 *   tls_session_init -> lend, handshake until TLS_DONE -> lend, read until TLS_WANTS ... write ... shut -> free
 *
 * Renegotiation is refused, nothing is resumed and no early data is sent or taken: a connection stands for itself.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <sonde/tls.h>
#include <stdbool.h>

struct ssl_st;
struct x509_st;

/* The records that a call makes, in order. 0, or a negative error, which the call then fails with; after that the
 * session is of no use. */
typedef int tls_output(void *owner, const void *data, size_t n_bytes);

enum tls_result {
    TLS_DONE,   /* the handshake is done; so many bytes were read */
    TLS_WANTS,  /* nothing more can be done before more is lent */
    TLS_END,    /* the peer's close_notify; nothing follows */
    TLS_FAILED, /* session->why says why; what the peer is to know of it has been put out. It stays so */
};

/* Not to be moved. What has no comment is session.c's own. */
struct tls_session {
    struct sonde_tls *tls;
    struct ssl_st *ssl;
    tls_output *output;
    void *owner;
    const uint8_t *lent;
    size_t n_lent;
    struct x509_st *peer; /* as soon as it has shown one, trusted or not */
    int output_error;
    int verify_error, verify_depth; /* X509_V_... */
    int alert;                      /* from the peer; -1: none */
    uint8_t first[24], n_first;     /* what the peer began with */
    uint8_t n_warnings;             /* warnings that were sent */
    bool is_server, is_open, verified, refused, is_shut;
    uint8_t due;          /* enum tls_result, to be said once what was read before it has been taken */
    char host[256];       /* whom to verify; "" nobody */
    struct sonde_why why; /* after TLS_FAILED */
};

/* host: as in layer_tls_create; NULL for a server. 0, -ENOMEM or -EINVAL. */
int tls_session_init(struct tls_session *session, const struct sonde_tls *tls, const char *host, tls_output *output,
                     void *owner);
/* Also one that was never initialised, but zeroed. */
void tls_session_free(struct tls_session *session);

/* Bytes from the peer: they must stay where they are until all are read, or others are lent. Only when all that were
 * lent before are read, or kept by the caller and lent again. */
void tls_session_lend(struct tls_session *session, const uint8_t *bytes, size_t n_bytes);

/* Of these, the last so many are not read yet. */
static inline size_t tls_session_unread(const struct tls_session *session)
{
    return session->n_lent;
}

/* Would tls_session_read give something, or might it, without more being lent? */
bool tls_session_holds(const struct tls_session *session);

/* Begin the handshake, or go on with it. */
enum tls_result tls_session_handshake(struct tls_session *session);

/* Plaintext, as much as there is and as fits; *ret_n_bytes > 0 with TLS_DONE alone. After the handshake. */
enum tls_result tls_session_read(struct tls_session *session, uint8_t *ret_bytes, size_t size_bytes,
                                 size_t *ret_n_bytes);

/* Encrypt, n_bytes > 0. 0, or a negative error. After the handshake, not after shut. */
int tls_session_write(struct tls_session *session, const void *data, size_t n_bytes);

/* Most bytes that it puts out for so many. */
size_t tls_session_room(size_t n_bytes);

/* close_notify. 0, or a negative error. Once. */
int tls_session_shut(struct tls_session *session);

/* All but handshake_ns, as far as it is known: of the peer's certificate also when it was refused. */
void tls_session_info(const struct tls_session *session, struct sonde_tls_info *ret_info);

/* One more that refers to it, and one less. */
struct sonde_tls *tls_context_ref(const struct sonde_tls *tls);

#endif
