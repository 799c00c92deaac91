/* SPDX-License-Identifier: MIT */
/*
 * What connections have in common: certificate, trust, protocols. Counted, so that it may be freed while there still
 * are sessions.
 *
 * What is spoken: TLS 1.3 and 1.2; of 1.2 only ciphers with forward secrecy that authenticate what they encrypt. No
 * compression, no renegotiation, no early data. And no session is resumed, neither by ticket nor by cache: a ticket's
 * key would open every connection whose ticket it has sealed, and what is saved is not worth that here.
 */
#include "tls/tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS "X25519:P-256:P-384:P-521:X448"

struct sonde_tls *tls_context_ref(const struct sonde_tls *tls)
{
    struct sonde_tls *changed = (struct sonde_tls *)(uintptr_t)tls;

    atomic_fetch_add_explicit(&changed->n_users, 1, memory_order_relaxed);
    return changed;
}

void sonde_tls_free(struct sonde_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->n_users, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    if (tls->keylog_fd >= 0)
        close(tls->keylog_fd);
    free(tls);
}

const char *sonde_tls_fingerprint(const struct sonde_tls *tls)
{
    return tls->fingerprint;
}

int sonde_tls_is_adhoc(const struct sonde_tls *tls)
{
    return tls->is_adhoc;
}

/* --- protocols (RFC 7301) --------------------------------------------------------------------------------------- */

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_n_bytes,
                           const unsigned char *offered, unsigned n_offered, void *user)
{
    const struct sonde_tls *tls = user;
    unsigned char *name;

    (void)ssl;
    if (SSL_select_next_proto(&name, ret_n_bytes, tls->alpn, tls->n_alpn_bytes, offered, n_offered) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

/* "h2,http/1.1" as on the wire. */
static bool parse_alpn(struct sonde_tls *tls, const char *text)
{
    for (;;) {
        size_t n = strcspn(text, ",");
        if (n == 0 || n > UINT8_MAX || tls->n_alpn_bytes + 1 + n > sizeof tls->alpn)
            return false;
        tls->alpn[tls->n_alpn_bytes] = (uint8_t)n;
        memcpy(tls->alpn + tls->n_alpn_bytes + 1, text, n);
        tls->n_alpn_bytes += 1 + (unsigned)n;
        if (text[n] == '\0')
            return true;
        text += n + 1;
    }
}

static int use_alpn(struct sonde_tls *tls, const char *text, struct sonde_why *why)
{
    if (!parse_alpn(tls, text))
        return tls_why(why, -EINVAL, "alpn", text, "protocols are separated by commas, as in h2,http/1.1");
    if (tls->server)
        SSL_CTX_set_alpn_select_cb(tls->context, choose_protocol, tls);
    else if (SSL_CTX_set_alpn_protos(tls->context, tls->alpn, tls->n_alpn_bytes) != 0)
        return tls_why(why, -ENOMEM, "alpn", text, "%s", "");
    return 0;
}

/* --- the secrets, for those who look at packets ----------------------------------------------------------------- */

static void note_secret(const SSL *ssl, const char *line)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, 0);
    struct iovec parts[] = {{(char *)(uintptr_t)line, strlen(line)}, {(char[]){'\n'}, 1}};

    /* One call, so that lines of several programs do not mix. */
    while (writev(session->tls->keylog_fd, parts, 2) < 0 && errno == EINTR)
        continue;
}

static int use_keylog(struct sonde_tls *tls, const char *file, struct sonde_why *why)
{
    tls->keylog_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (tls->keylog_fd < 0)
        return tls_why(why, -errno, "open", file, "%s", "");
    SSL_CTX_set_keylog_callback(tls->context, note_secret);
    return 0;
}

/* --- the bytes of sessions -------------------------------------------------------------------------------------- */

/* Out of what is lent, straight to where OpenSSL wants it. */
static int read_lent(BIO *bio, char *ret_bytes, int size_bytes)
{
    struct tls_session *session = BIO_get_data(bio);
    size_t n = session->n_lent;

    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (n == 0) {
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    if (n > (size_t)size_bytes)
        n = (size_t)size_bytes;
    memcpy(ret_bytes, session->lent, n);
    session->lent += n;
    session->n_lent -= n;
    return (int)n;
}

static int write_output(BIO *bio, const char *bytes, int n_bytes)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (session->output_error == 0)
        session->output_error = session->output(session->owner, bytes, (size_t)n_bytes);
    return session->output_error < 0 ? -1 : n_bytes;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int make_method(struct sonde_tls *tls)
{
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sonde");
    if (tls->method == NULL || BIO_meth_set_read(tls->method, read_lent) != 1 ||
        BIO_meth_set_write(tls->method, write_output) != 1 || BIO_meth_set_ctrl(tls->method, control) != 1)
        return -ENOMEM;
    return 0;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static bool set_up(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_quiet_shutdown(context, 0);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 && SSL_CTX_set_cipher_list(context, CIPHERS_1_2) == 1 &&
           SSL_CTX_set1_groups_list(context, GROUPS) == 1;
}

static int use_trust(struct sonde_tls *tls, const struct sonde_tls_options *options, struct sonde_why *why)
{
    int mode = SSL_VERIFY_PEER, error = 0;

    if (tls->server && options->verify_client == 0)
        return 0;
    if (tls->server && options->ca_file == NULL)
        return tls_why(why, -EINVAL, "certificate", NULL, "whose clients are believed? A file of certificates says so");
    if (options->ca_file != NULL)
        error = tls_files_trust(tls, options->ca_file, why);
    else if (!tls->has_pin && !tls->insecure && SSL_CTX_set_default_verify_paths(tls->context) != 1)
        error = tls_why(why, -ENOMEM, "certificate", NULL, "%s", "");
    if (options->verify_client == 2)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(tls->context, mode, NULL);
    SSL_CTX_set_cert_verify_callback(tls->context, tls_verify, NULL);
    ERR_clear_error();
    return error;
}

static int use_options(struct sonde_tls *tls, const struct sonde_tls_options *options, struct sonde_why *why)
{
    int error = 0;

    if (options->pin != NULL && !tls_fingerprint_parse(options->pin, tls->pin))
        return tls_why(why, -EINVAL, "pin", options->pin, "a fingerprint is 64 hexadecimal digits (SHA-256)");
    tls->has_pin = options->pin != NULL;
    tls->insecure = options->insecure != 0;
    if (options->server_name != NULL && strlen(options->server_name) >= sizeof tls->server_name)
        return tls_why(why, -EINVAL, "name", options->server_name, "a name is at most 255 bytes");
    if (options->server_name != NULL)
        strcpy(tls->server_name, options->server_name);
    tls->no_name = options->server_name != NULL && options->server_name[0] == '\0';
    if (options->cert_file != NULL)
        error = tls_files_own(tls, options, why);
    else if (options->key_file != NULL)
        error = tls_why(why, -EINVAL, "key", options->key_file, "a key without a certificate is of no use");
    else if (tls->server)
        error = tls_adhoc(tls, options->names, why);
    if (error == 0)
        error = use_trust(tls, options, why);
    if (error == 0 && options->alpn != NULL)
        error = use_alpn(tls, options->alpn, why);
    if (error == 0 && options->keylog_file != NULL)
        error = use_keylog(tls, options->keylog_file, why);
    return error;
}

int sonde_tls_create(const struct sonde_tls_options *options, struct sonde_tls **ret_tls, struct sonde_why *ret_why)
{
    struct sonde_tls_options copy = {.size = sizeof copy};

    if (options != NULL && options->size > sizeof copy)
        return tls_why(ret_why, -EINVAL, "tls", NULL, "the options are of a newer version than the library");
    if (options != NULL)
        memcpy(&copy, options, options->size);
    int error = tls_openssl_load(ret_why);
    if (error < 0)
        return error;
    struct sonde_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return tls_why(ret_why, -ENOMEM, "tls", NULL, "%s", "");
    atomic_init(&tls->n_users, 1);
    tls->keylog_fd = -1;
    tls->server = copy.server != 0;
    tls->context = SSL_CTX_new(tls->server ? TLS_server_method() : TLS_client_method());
    if (tls->context == NULL || !set_up(tls->context) || make_method(tls) < 0)
        error = tls_why(ret_why, -ENOMEM, "tls", NULL, "OpenSSL can't be set up: %s", tls_openssl_reason());
    if (error == 0)
        error = use_options(tls, &copy, ret_why);
    ERR_clear_error();
    if (error < 0) {
        sonde_tls_free(tls);
        return error;
    }
    *ret_tls = tls;
    return 0;
}
