/* SPDX-License-Identifier: MIT */
/* Why something failed, in plain words. What the peer itself has told counts more than what OpenSSL makes of it. */
#include "tls/tls_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tls_why(struct sonde_why *why, int error, const char *call, const char *subject, const char *detail, ...)
{
    va_list arguments;

    if (why == NULL)
        return error;
    *why = (struct sonde_why){.code = error, .call = call};
    snprintf(why->subject, sizeof why->subject, "%s", subject != NULL ? subject : "");
    va_start(arguments, detail);
    vsnprintf(why->detail, sizeof why->detail, detail, arguments);
    va_end(arguments);
    return error;
}

const char *tls_openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason != NULL ? reason : "no reason given";
}

static const struct {
    int reason;
    int error;
    const char *words;
} reasons[] = {
    {SSL_R_NO_SHARED_CIPHER, SONDE_ETLS, "no cipher in common"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, SONDE_ETLS, "no way to exchange keys in common"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SONDE_ETLS, "no kind of signature in common"},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SONDE_ETLS, "no kind of signature in common"},
    {SSL_R_UNSUPPORTED_PROTOCOL, SONDE_ETLS, "no version in common: only TLS 1.2 and 1.3 are spoken here"},
    {SSL_R_VERSION_TOO_LOW, SONDE_ETLS, "no version in common: only TLS 1.2 and 1.3 are spoken here"},
    {SSL_R_UNSUPPORTED_SSL_VERSION, SONDE_ETLS, "no version in common: only TLS 1.2 and 1.3 are spoken here"},
    {SSL_R_NO_APPLICATION_PROTOCOL, SONDE_ETLS, "no protocol in common: none of those that it named (ALPN)"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SONDE_ECERT, "the client has shown no certificate"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SONDE_ETLS, "a record was changed on its way (bad record MAC)"},
    {SSL_R_RENEGOTIATION_ENCODING_ERR, SONDE_ETLS, "the peer wants to renegotiate, which is not allowed"},
    {SSL_R_NO_RENEGOTIATION, SONDE_ETLS, "the peer wants to renegotiate, which is not allowed"},
    {SSL_R_BAD_SIGNATURE, SONDE_ETLS, "the signature is wrong: the peer does not have the key of its certificate"},
};

/* Alerts that are about our certificate. */
static const char *own_certificate(int alert)
{
    switch (alert) {
    case SSL_AD_UNKNOWN_CA:
        return ": it does not trust the certificate of this side";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
        return ": it refuses the certificate of this side";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return ": it wants a certificate of this side";
    default:
        return "";
    }
}

/* OpenSSL 3.0 has no word for the last one that was added. */
static const char *alert_text(int alert)
{
    return alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required" : SSL_alert_desc_string_long(alert);
}

/* A record's first byte: change_cipher_spec, alert, handshake or application data; or a ClientHello of old. */
static bool began_as_tls(const struct tls_session *session)
{
    uint8_t first = session->first[0];

    if (session->n_first == 0)
        return true;
    if (first >= SSL3_RT_CHANGE_CIPHER_SPEC && first <= SSL3_RT_APPLICATION_DATA)
        return session->n_first < 2 || session->first[1] == SSL3_VERSION_MAJOR;
    return session->is_server && first >= 0x80 && session->n_first >= 3 && session->first[2] == SSL2_MT_CLIENT_HELLO;
}

/* What it said instead, if that can be read. */
static void explain_no_tls(struct tls_session *session)
{
    char said[sizeof session->first + 1];
    size_t n = 0;

    while (n < session->n_first && session->first[n] >= ' ' && session->first[n] < 0x7f && session->first[n] != '"') {
        said[n] = (char)session->first[n];
        n++;
    }
    said[n] = '\0';
    if (n >= 4)
        tls_why(&session->why, -SONDE_ETLS, "handshake", NULL, "the peer speaks no TLS: it began with \"%s\"", said);
    else
        tls_why(&session->why, -SONDE_ETLS, "handshake", NULL, "the peer speaks no TLS");
}

static void explain_reason(struct tls_session *session, const char *call)
{
    unsigned long code = ERR_peek_error();
    char words[160];

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (ERR_GET_LIB(code) != ERR_LIB_SSL || ERR_GET_REASON(code) != reasons[i].reason)
            continue;
        tls_why(&session->why, -reasons[i].error, call, NULL, "%s", reasons[i].words);
        return;
    }
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        tls_why(&session->why, -ENOMEM, call, NULL, "%s", "");
        return;
    }
    snprintf(words, sizeof words, "%s", tls_openssl_reason());
    tls_why(&session->why, -SONDE_ETLS, call, NULL, "%s", words);
}

void tls_session_explain(struct tls_session *session, int result)
{
    const char *call = session->is_open ? "read" : "handshake";
    char words[sizeof session->why.detail];

    if (session->output_error < 0) {
        tls_why(&session->why, session->output_error, call, NULL, "%s", "");
    } else if (session->refused) {
        tls_verify_explain(session, words, sizeof words);
        tls_why(&session->why, -SONDE_ECERT, call, NULL, "%s", words);
    } else if (session->alert >= 0 && session->alert != SSL_AD_CLOSE_NOTIFY) {
        snprintf(words, sizeof words, "%s", alert_text(session->alert));
        for (char *letter = words; *letter != '\0'; letter++)
            *letter = (char)tolower((unsigned char)*letter);
        tls_why(&session->why, -SONDE_ETLS, call, NULL, "alert from the peer: %s%s", words,
                own_certificate(session->alert));
    } else if (!session->is_open && !began_as_tls(session)) {
        explain_no_tls(session);
    } else if (result == SSL_ERROR_ZERO_RETURN) {
        tls_why(&session->why, -SONDE_ETLS, call, NULL, "the peer gave up the handshake (close_notify)");
    } else {
        explain_reason(session, call);
    }
    ERR_clear_error();
}
