/* SPDX-License-Identifier: MIT */
/*
 * TLS (RFC 8446, RFC 5246; OpenSSL 3 does it): what to trust and what to show, for tls:// and wss:// addresses. Made
 * once, used by any number of streams and listeners on any number of threads, and freed when one likes: streams that
 * use it keep what they need.
 *
 * TLS 1.2 and 1.3. A client verifies its peer's certificate and name unless it is told not to. The end of data is the
 * peer's close_notify: a connection that ends without one fails with -SONDE_ETRUNCATED.
 */
#ifndef SONDE_TLS_H
#define SONDE_TLS_H

#include <sonde/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_tls;

struct sonde_tls_options {
    size_t size;           /* sizeof(struct sonde_tls_options) */
    int server;            /* not 0: for listeners; 0: for connecting */
    const char *cert_file; /* PEM: the certificate, and those between it and its root. NULL: a server makes one in
                              memory (ECDSA P-256, valid for 30 days from the day before, for localhost, 127.0.0.1, ::1
                              and the names below), a client shows none */
    const char *key_file; /* PEM; NULL: it is in cert_file. Refused (-EPERM) when others than its owner may read it; its
                             group may where root owns the file (Debian's ssl-cert) */
    const char *key_password; /* of an encrypted key; NULL: none, and an encrypted key is refused */
    const char *ca_file;      /* PEM: trust these, instead of the system's; for a server: whose clients are believed */
    const char *const
        *names;              /* server without cert_file: further names and addresses for its certificate; NULL-ended */
    const char *server_name; /* client: the name for SNI and verification instead of the address's host; "" no SNI */
    const char *alpn;  /* protocols, separated by commas, best first: "h2,http/1.1"; NULL: none. A server chooses the
                          first of its own that the client has, and refuses a client that has none of them; one that
                          names none at all is let in */
    const char *pin;   /* client: trust exactly the certificate with this SHA-256 fingerprint, whatever else is
                          wrong with it: 64 hexadecimal digits, colons allowed. NULL: none */
    int insecure;      /* client: not 0: do not verify */
    int verify_client; /* server: 1: ask for a certificate and verify one that is shown; 2: demand one. With ca_file */
    const char *keylog_file; /* append the secrets of each connection in the format of NSS (SSLKEYLOGFILE), for packet
                                analysers; made readable for its owner only; NULL: none */
};

/* Read the files and make it. options may be NULL: a client's, all zeroes. Errors: those of open(2) with the file as
 * why's subject, -EINVAL (not PEM, the key does not fit the certificate, a pin that is none), -EPERM (key_file),
 * -EFBIG (a file above 1 MiB), -ELIBACC (OpenSSL 3 is loaded by the first call, and is not there), -ENOMEM. Blocks for
 * the files. Any thread. */
SONDE_API int sonde_tls_create(const struct sonde_tls_options *options, struct sonde_tls **ret_tls,
                               struct sonde_why *ret_why);
SONDE_API void sonde_tls_free(struct sonde_tls *tls);

/* The SHA-256 fingerprint of its own certificate, as the pin is given: "AB:CD:..."; "" when it has none. Static in tls.
 */
SONDE_API const char *sonde_tls_fingerprint(const struct sonde_tls *tls);

/* Was that certificate made in memory? */
SONDE_API int sonde_tls_is_adhoc(const struct sonde_tls *tls);

/* What a stream's handshake has agreed on. Texts are the peer's in part: not fit for a terminal as they are. */
struct sonde_tls_info {
    char version[16];      /* "TLSv1.3" */
    char cipher[64];       /* "TLS_AES_256_GCM_SHA384" */
    char group[32];        /* of the key exchange: "X25519"; "" not known */
    char alpn[64];         /* "" none */
    char server_name[256]; /* SNI, as sent or received; "" none */
    char subject[256];     /* of the peer's certificate, "CN=example.org, O=Example"; "" it has shown none */
    char issuer[256];
    char names[512];      /* its subjectAltNames, separated by ", "; cut with "..." */
    char fingerprint[96]; /* SHA-256, "AB:CD:..." */
    int64_t not_after_s;  /* CLOCK_REALTIME seconds; 0: no certificate */
    int64_t handshake_ns; /* from its first byte to its last here */
    int verified;         /* 1: the peer's certificate was verified, or is the pinned one; 0: it was not */
    int resumed;          /* of an earlier session */
};

/* 0, or -ENOTCONN when the stream has no TLS, or not yet. When it has failed with -SONDE_ECERT: the certificate that
 * was refused. */
SONDE_API int sonde_stream_tls_info(const struct sonde_stream *stream, struct sonde_tls_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
