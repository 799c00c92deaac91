/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * OpenSSL reads and writes through a BIO whose reading end is the memory that is lent and whose writing end is the
 * caller's output. Reading never finds an end of file: that a connection was cut is the caller's to notice. Writing
 * always takes all, so OpenSSL never has to wait for room, and the only thing it can ever want is more input.
 *
 * What was read before an end or an error is handed out before these are told: they are kept in `due`.
 */
#include "tls/tls_internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define RECORD_BYTES 16384   /* of plaintext, at most (RFC 8446, 5.1) */
#define RECORD_MORE_BYTES 64 /* more than any cipher here adds to it, header included */

/* What only a callback gets to know. */
static void on_event(const SSL *ssl, int where, int value)
{
    struct tls_session *session = SSL_get_ex_data(ssl, 0);

    if (where == SSL_CB_READ_ALERT)
        session->alert = value & 0xff;
    else if (where == SSL_CB_WRITE_ALERT && value >> 8 == SSL3_AL_WARNING && (value & 0xff) != SSL_AD_CLOSE_NOTIFY &&
             session->n_warnings < UINT8_MAX)
        session->n_warnings++;
}

static int init_client(struct tls_session *session, const char *host)
{
    const struct sonde_tls *tls = session->tls;
    size_t n = strcspn(host, "%"); /* a zone is for this machine alone */

    if (tls->server_name[0] != '\0') {
        host = tls->server_name;
        n = strlen(host);
    } else if (n == 0) {
        host = "localhost";
        n = strlen(host);
    }
    if (n >= sizeof session->host)
        return -EINVAL;
    memcpy(session->host, host, n);
    session->host[n] = '\0';
    SSL_set_connect_state(session->ssl);
    int error = tls_verify_host(session);
    if (error < 0 || tls->no_name || tls_is_address(session->host))
        return error;
    /* Names come without a dot at their end (RFC 6066, 3). */
    char name[sizeof session->host];
    memcpy(name, session->host, n + 1);
    if (n > 1 && name[n - 1] == '.')
        name[n - 1] = '\0';
    return SSL_set_tlsext_host_name(session->ssl, name) == 1 ? 0 : -EINVAL;
}

int tls_session_init(struct tls_session *session, const struct sonde_tls *tls, const char *host, tls_output *output,
                     void *owner)
{
    *session = (struct tls_session){
        .tls = tls_context_ref(tls),
        .output = output,
        .owner = owner,
        .alert = -1,
        .is_server = host == NULL,
        .due = TLS_WANTS,
    };
    BIO *bio = BIO_new(tls->method);
    session->ssl = SSL_new(tls->context);
    if (session->ssl == NULL || bio == NULL || tls->server != session->is_server ||
        SSL_set_ex_data(session->ssl, 0, session) != 1) {
        BIO_free(bio);
        ERR_clear_error();
        tls_session_free(session);
        return bio != NULL && tls->server != (host == NULL) ? -EINVAL : -ENOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_info_callback(session->ssl, on_event);
    int error = 0;
    if (session->is_server)
        SSL_set_accept_state(session->ssl);
    else
        error = init_client(session, host);
    ERR_clear_error();
    if (error < 0)
        tls_session_free(session);
    return error;
}

void tls_session_free(struct tls_session *session)
{
    struct sonde_tls *tls = session->tls;

    if (tls == NULL)
        return;
    session->output_error = -EPIPE; /* from here on it has nothing to say */
    if (session->ssl != NULL)
        SSL_free(session->ssl);
    if (session->peer != NULL)
        X509_free(session->peer);
    session->ssl = NULL;
    session->peer = NULL;
    session->tls = NULL;
    sonde_tls_free(tls);
}

void tls_session_lend(struct tls_session *session, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes && session->n_first < sizeof session->first && !session->is_open; i++)
        session->first[session->n_first++] = bytes[i];
    session->lent = bytes;
    session->n_lent = n_bytes;
}

/* Of a record that is not whole yet OpenSSL has taken all there is, and it does not count here. */
bool tls_session_holds(const struct tls_session *session)
{
    return session->due != TLS_WANTS || session->n_lent > 0 || SSL_pending(session->ssl) > 0;
}

/* What did not go: it wants more, or it is over. */
static enum tls_result outcome(struct tls_session *session, int result)
{
    int reason = SSL_get_error(session->ssl, result);

    if (reason == SSL_ERROR_WANT_READ && session->output_error == 0)
        return TLS_WANTS;
    if (reason == SSL_ERROR_ZERO_RETURN && session->is_open)
        return TLS_END;
    tls_session_explain(session, reason);
    return TLS_FAILED;
}

enum tls_result tls_session_handshake(struct tls_session *session)
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1 && session->output_error == 0) {
        session->is_open = true;
        return TLS_DONE;
    }
    return outcome(session, result);
}

enum tls_result tls_session_read(struct tls_session *session, uint8_t *ret_bytes, size_t size_bytes,
                                 size_t *ret_n_bytes)
{
    size_t n = 0, n_more;

    while (n < size_bytes && session->due == TLS_WANTS) {
        ERR_clear_error();
        int result = SSL_read_ex(session->ssl, ret_bytes + n, size_bytes - n, &n_more);
        if (result == 1) {
            n += n_more;
            continue;
        }
        session->due = (uint8_t)outcome(session, result);
        if (session->due == TLS_WANTS)
            break;
    }
    if (session->n_warnings > TLS_WARNINGS_MAX && session->due == TLS_WANTS) {
        tls_why(&session->why, -SONDE_ETLS, "read", NULL, "the peer asks again and again to renegotiate");
        session->due = TLS_FAILED;
    }
    if (n == 0)
        return (enum tls_result)session->due;
    *ret_n_bytes = n;
    return TLS_DONE;
}

int tls_session_write(struct tls_session *session, const void *data, size_t n_bytes)
{
    size_t n_written;

    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, data, n_bytes, &n_written);
    if (result == 1 && session->output_error == 0)
        return 0;
    /* Nothing of the peer's can be the reason. */
    int error = session->output_error < 0 ? session->output_error : -ENOMEM;
    tls_why(&session->why, error, "write", NULL, "%s", tls_openssl_reason());
    return error;
}

size_t tls_session_room(size_t n_bytes)
{
    return n_bytes + (n_bytes / RECORD_BYTES + 2) * RECORD_MORE_BYTES;
}

int tls_session_shut(struct tls_session *session)
{
    ERR_clear_error();
    session->is_shut = true;
    int result = SSL_shutdown(session->ssl);
    ERR_clear_error();
    return session->output_error < 0 ? session->output_error : result < 0 ? -ENOMEM : 0;
}

static void copy_text(char *ret_text, size_t size_bytes, const char *text)
{
    size_t n = text != NULL ? strnlen(text, size_bytes - 1) : 0;

    memcpy(ret_text, text != NULL ? text : "", n);
    ret_text[n] = '\0';
}

static void describe_group(SSL *ssl, char *ret_text, size_t size_bytes)
{
    int group = (int)SSL_get_negotiated_group(ssl);

    copy_text(ret_text, size_bytes, group > 0 ? SSL_group_to_name(ssl, group) : NULL);
    if (ret_text[0] == 'x') /* RFC 7748 writes X25519, X448 */
        ret_text[0] = 'X';
}

void tls_session_info(const struct tls_session *session, struct sonde_tls_info *ret_info)
{
    const unsigned char *alpn = NULL;
    unsigned n_alpn = 0;
    SSL *ssl = session->ssl;

    memset(ret_info, 0, sizeof *ret_info);
    if (ssl == NULL)
        return;
    if (session->is_open) {
        copy_text(ret_info->version, sizeof ret_info->version, SSL_get_version(ssl));
        copy_text(ret_info->cipher, sizeof ret_info->cipher, SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)));
        describe_group(ssl, ret_info->group, sizeof ret_info->group);
        SSL_get0_alpn_selected(ssl, &alpn, &n_alpn);
    }
    for (unsigned i = 0; i < n_alpn && i + 1 < sizeof ret_info->alpn; i++)
        ret_info->alpn[i] = isprint(alpn[i]) ? (char)alpn[i] : '?';
    copy_text(ret_info->server_name, sizeof ret_info->server_name, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    if (session->peer != NULL)
        tls_certificate_describe(session->peer, ret_info);
    ret_info->verified = session->verified;
    ERR_clear_error();
}
