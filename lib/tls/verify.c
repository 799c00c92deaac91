/* SPDX-License-Identifier: MIT */
/*
 * Is the peer who it should be? A client checks the chain up to a root that is trusted, the dates, and that one of the
 * certificate's names is the host's (RFC 9525: the common name does not count); or, with a pin, that it is this very
 * certificate, and then nothing else. It is done inside the handshake, so that the peer is told (an alert), and nothing
 * of ours is sent to a stranger.
 */
#include "tls/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool tls_is_address(const char *host)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

int tls_verify_host(struct tls_session *session)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(session->ssl);
    const struct sonde_tls *tls = session->tls;
    size_t n = strlen(session->host);

    if (session->is_server || tls->has_pin || tls->insecure)
        return 0;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (tls_is_address(session->host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, session->host) == 1 ? 0 : -ENOMEM;
    if (n > 1 && session->host[n - 1] == '.') /* a name from the root: certificates have none */
        n--;
    return X509_VERIFY_PARAM_set1_host(param, session->host, n) == 1 ? 0 : -EINVAL;
}

static bool is_pinned(const struct sonde_tls *tls, const X509 *certificate)
{
    uint8_t digest[TLS_DIGEST_BYTES];

    return tls_fingerprint(certificate, digest) && CRYPTO_memcmp(digest, tls->pin, sizeof digest) == 0;
}

int tls_verify(X509_STORE_CTX *store, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_ex_data(ssl, 0);
    const struct sonde_tls *tls = session->tls;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);

    (void)unused;
    if (session->peer == NULL && certificate != NULL && X509_up_ref(certificate) == 1)
        session->peer = certificate;
    if (tls->has_pin) {
        session->verified = certificate != NULL && is_pinned(tls, certificate);
        if (!session->verified)
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    } else if (tls->insecure) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    } else {
        session->verified = X509_verify_cert(store) == 1;
    }
    session->refused = !session->verified;
    if (session->refused) {
        session->verify_error = X509_STORE_CTX_get_error(store);
        session->verify_depth = X509_STORE_CTX_get_error_depth(store);
    } else {
        X509_STORE_CTX_set_error(store, X509_V_OK);
    }
    return session->verified;
}

/* --- what is wrong ---------------------------------------------------------------------------------------------- */

static const struct {
    int error;
    const char *own, *above; /* of the certificate itself; of one between it and its root */
} faults[] = {
    {X509_V_ERR_CERT_NOT_YET_VALID, "the certificate is not valid yet: is the clock right?",
     "a certificate above it is not valid yet: is the clock right?"},
    {X509_V_ERR_CERT_REVOKED, "the certificate was revoked", "a certificate above it was revoked"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed certificate: nobody vouches for it", NULL},
    {X509_V_ERR_INVALID_PURPOSE, "the certificate is not meant for this use",
     "a certificate above it may not sign others"},
    {X509_V_ERR_INVALID_CA, "the certificate is not meant for this use", "a certificate above it may not sign others"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, "its key is too short", NULL},
    {X509_V_ERR_CA_KEY_TOO_SMALL, "the key of a certificate above it is too short", NULL},
    {X509_V_ERR_CA_MD_TOO_WEAK, "it is signed with a digest that is too weak", NULL},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, "too many certificates lie between it and its root", NULL},
};

static void format_date(const ASN1_TIME *date, char *ret_text, size_t size_bytes)
{
    struct tm when;

    ret_text[0] = '\0';
    if (date != NULL && ASN1_TIME_to_tm(date, &when) == 1)
        strftime(ret_text, size_bytes, " on %Y-%m-%d", &when);
}

static void explain_name(const struct tls_session *session, char *ret_text, size_t size_bytes)
{
    char names[96];

    tls_certificate_names(session->peer, names, sizeof names);
    if (names[0] != '\0')
        snprintf(ret_text, size_bytes, "it is for %s, not for %.60s", names, session->host);
    else
        snprintf(ret_text, size_bytes, "it names nobody (no subjectAltName; CN does not count), and so not %.60s",
                 session->host);
}

static void explain_issuer(const struct tls_session *session, char *ret_text, size_t size_bytes)
{
    char issuer[80] = "";

    if (session->peer != NULL)
        tls_name_format(X509_get_issuer_name(session->peer), issuer, sizeof issuer);
    if (session->verify_error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN)
        snprintf(ret_text, size_bytes, "its root is not among those trusted here; it was issued by %s", issuer);
    else
        snprintf(ret_text, size_bytes, "its issuer, %s, is not trusted here, or the peer left out what is between",
                 issuer);
}

void tls_verify_explain(const struct tls_session *session, char *ret_text, size_t size_bytes)
{
    char date[32];
    int error = session->verify_error;

    switch (error) {
    case X509_V_ERR_CERT_REJECTED:
        if (!session->tls->has_pin)
            break;
        snprintf(ret_text, size_bytes, "it is not the certificate that is pinned");
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        explain_name(session, ret_text, size_bytes);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        explain_issuer(session, ret_text, size_bytes);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        format_date(session->verify_depth == 0 ? X509_get0_notAfter(session->peer) : NULL, date, sizeof date);
        snprintf(ret_text, size_bytes, "%s has expired%s",
                 session->verify_depth == 0 ? "the certificate" : "a certificate above it", date);
        return;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (faults[i].error != error)
            continue;
        bool above = session->verify_depth > 0 && faults[i].above != NULL;
        snprintf(ret_text, size_bytes, "%s", above ? faults[i].above : faults[i].own);
        return;
    }
    snprintf(ret_text, size_bytes, "%s", X509_verify_cert_error_string(error));
}
