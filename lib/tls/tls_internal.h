/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef TLS_TLS_INTERNAL_H
#define TLS_TLS_INTERNAL_H

#include "tls/openssl.h"
#include "tls/session.h"

#include <stdatomic.h>

#define TLS_FILE_BYTES_MAX (1024u * 1024u) /* of certificates and keys */
#define TLS_DIGEST_BYTES 32
#define TLS_FINGERPRINT_TEXT (TLS_DIGEST_BYTES * 3)
#define TLS_ALPN_BYTES_MAX 256
#define TLS_WARNINGS_MAX 4 /* that a peer may cause us to send: each is memory while it reads nothing */

struct sonde_tls {
    atomic_uint n_users;
    SSL_CTX *context;
    BIO_METHOD *method; /* of the sessions */
    bool server, insecure, has_pin, is_adhoc, no_name;
    uint8_t pin[TLS_DIGEST_BYTES];
    char fingerprint[TLS_FINGERPRINT_TEXT]; /* of the own certificate */
    char server_name[256];                  /* "" the address's host */
    unsigned n_alpn_bytes;
    uint8_t alpn[TLS_ALPN_BYTES_MAX]; /* as on the wire (RFC 7301, 3.1) */
    int keylog_fd;
};

/* words.c: fill in why, which may be NULL, and return the error. */
__attribute__((format(printf, 5, 6))) int tls_why(struct sonde_why *why, int error, const char *call,
                                                  const char *subject, const char *detail, ...);
/* What OpenSSL has to say of the last thing that failed, and forget it. Static. */
const char *tls_openssl_reason(void);
/* Why the session can't go on; result is what SSL_get_error says. Fills in session->why. */
void tls_session_explain(struct tls_session *session, int result);

/* verify.c */
int tls_verify(X509_STORE_CTX *store, void *unused);
/* What is wrong with the peer's certificate. */
void tls_verify_explain(const struct tls_session *session, char *ret_text, size_t size_bytes);
/* Set up whom the session is to verify. 0 or a negative error. */
int tls_verify_host(struct tls_session *session);
bool tls_is_address(const char *host);

/* certificate.c */
bool tls_fingerprint(const X509 *certificate, uint8_t ret_digest[TLS_DIGEST_BYTES]);
void tls_fingerprint_format(const uint8_t digest[TLS_DIGEST_BYTES], char ret_text[TLS_FINGERPRINT_TEXT]);
bool tls_fingerprint_parse(const char *text, uint8_t ret_digest[TLS_DIGEST_BYTES]);
void tls_certificate_describe(const X509 *certificate, struct sonde_tls_info *ret_info);
void tls_certificate_names(const X509 *certificate, char *ret_text, size_t size_bytes);
void tls_name_format(const X509_NAME *name, char *ret_text, size_t size_bytes);

/* files.c: into the context. Errors are those of sonde_tls_create. */
int tls_files_own(struct sonde_tls *tls, const struct sonde_tls_options *options, struct sonde_why *why);
int tls_files_trust(struct sonde_tls *tls, const char *file, struct sonde_why *why);

/* adhoc.c: make a certificate, and use it. */
int tls_adhoc(struct sonde_tls *tls, const char *const *names, struct sonde_why *why);

#endif
