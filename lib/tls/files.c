/* SPDX-License-Identifier: MIT */
/*
 * Certificates and keys from files. Each file is read once, whole, so that it may be a pipe, and what of it is secret
 * does not stay in memory.
 *
 * A key that others may read is refused: everybody's permissions must be 0, and so must the group's unless root owns
 * the file (Debian keeps keys as root:ssl-cert, 0640); nobody but its owner may write it.
 */
#include "tls/tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct text {
    char *bytes;
    size_t n_bytes;
    struct stat stat;
};

static void text_free(struct text *text)
{
    if (text->bytes != NULL)
        OPENSSL_cleanse(text->bytes, TLS_FILE_BYTES_MAX);
    free(text->bytes);
    text->bytes = NULL;
}

static int read_all(int fd, struct text *ret_text)
{
    while (ret_text->n_bytes < TLS_FILE_BYTES_MAX) {
        ssize_t n = read(fd, ret_text->bytes + ret_text->n_bytes, TLS_FILE_BYTES_MAX - ret_text->n_bytes);
        if (n == 0)
            return 0;
        if (n > 0)
            ret_text->n_bytes += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return -EFBIG;
}

static int text_read(const char *file, struct text *ret_text, struct sonde_why *why)
{
    *ret_text = (struct text){.bytes = NULL};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return tls_why(why, -errno, "open", file, "%s", "");
    int error = fstat(fd, &ret_text->stat) != 0 ? -errno : 0;
    ret_text->bytes = calloc(1, TLS_FILE_BYTES_MAX);
    if (error == 0)
        error = ret_text->bytes != NULL ? read_all(fd, ret_text) : -ENOMEM;
    close(fd);
    if (error < 0) {
        text_free(ret_text);
        return tls_why(why, error, "read", file, "%s", error == -EFBIG ? "it is larger than 1 MiB" : "");
    }
    return 0;
}

static int check_private(const char *file, const struct stat *stat, struct sonde_why *why)
{
    unsigned mode = (unsigned)stat->st_mode & 0777, wrong = stat->st_uid == 0 ? 037 : 077;

    if ((mode & wrong) == 0)
        return 0;
    return tls_why(why, -EPERM, "key", file,
                   "others than its owner may read or write this key (mode %04o); chmod 600 makes it private", mode);
}

/* OpenSSL would ask on the terminal if this did not answer. */
static int give_password(char *ret_text, int size_bytes, int for_writing, void *user)
{
    const char *password = user;
    size_t n = password != NULL ? strlen(password) : 0;

    (void)for_writing;
    if (n == 0 || n > (size_t)size_bytes)
        return -1;
    memcpy(ret_text, password, n);
    return (int)n;
}

static int key_why(struct sonde_why *why, const char *file, const struct text *text, const char *password)
{
    static const char marker[] = "PRIVATE KEY-----";
    unsigned long code = ERR_peek_last_error(), first = ERR_peek_error();

    ERR_clear_error();
    if (memmem(text->bytes, text->n_bytes, marker, sizeof marker - 1) == NULL)
        return tls_why(why, -EINVAL, "key", file, "there is no private key in it (PEM)");
    if (ERR_GET_REASON(code) == PEM_R_BAD_PASSWORD_READ || ERR_GET_REASON(first) == PEM_R_BAD_PASSWORD_READ)
        return tls_why(why, -EINVAL, "key", file, "the key is encrypted, and no password was given");
    if (password != NULL && password[0] != '\0')
        return tls_why(why, -EINVAL, "key", file,
                       "the key can't be read: the password is wrong, or the file is damaged");
    return tls_why(why, -EINVAL, "key", file, "the key can't be read: %s", ERR_reason_error_string(first));
}

static int use_key(struct sonde_tls *tls, const char *file, const struct text *text, const char *password,
                   struct sonde_why *why)
{
    int error = check_private(file, &text->stat, why);

    if (error < 0)
        return error;
    BIO *bio = BIO_new_mem_buf(text->bytes, (int)text->n_bytes);
    if (bio == NULL)
        return tls_why(why, -ENOMEM, "key", file, "%s", "");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)password);
    BIO_free(bio);
    if (key == NULL)
        return key_why(why, file, text, password);
    if (SSL_CTX_use_PrivateKey(tls->context, key) != 1)
        error = tls_why(why, -EINVAL, "key", file, "the key does not fit the certificate: %s", tls_openssl_reason());
    else if (SSL_CTX_check_private_key(tls->context) != 1)
        error = tls_why(why, -EINVAL, "key", file, "the key does not fit the certificate: %s", tls_openssl_reason());
    EVP_PKEY_free(key);
    return error;
}

/* The first is ours, those behind it lead to its root. */
static int use_certificates(struct sonde_tls *tls, const char *file, const struct text *text, struct sonde_why *why)
{
    BIO *bio = BIO_new_mem_buf(text->bytes, (int)text->n_bytes);
    uint8_t digest[TLS_DIGEST_BYTES];
    X509 *certificate;
    int error = 0;

    if (bio == NULL)
        return tls_why(why, -ENOMEM, "certificate", file, "%s", "");
    for (unsigned i = 0; error == 0 && (certificate = PEM_read_bio_X509(bio, NULL, give_password, NULL)) != NULL; i++) {
        bool used = i == 0 ? SSL_CTX_use_certificate(tls->context, certificate) == 1
                           : SSL_CTX_add1_chain_cert(tls->context, certificate) == 1;
        if (!used)
            error =
                tls_why(why, -EINVAL, "certificate", file, "the certificate can't be used: %s", tls_openssl_reason());
        else if (i == 0 && tls_fingerprint(certificate, digest))
            tls_fingerprint_format(digest, tls->fingerprint);
        X509_free(certificate);
    }
    BIO_free(bio);
    if (error == 0 && tls->fingerprint[0] == '\0')
        error = tls_why(why, -EINVAL, "certificate", file, "there is no certificate in it (PEM)");
    ERR_clear_error();
    return error;
}

int tls_files_own(struct sonde_tls *tls, const struct sonde_tls_options *options, struct sonde_why *why)
{
    const char *key_file = options->key_file != NULL ? options->key_file : options->cert_file;
    struct text certificates, key;

    int error = text_read(options->cert_file, &certificates, why);
    if (error < 0)
        return error;
    error = use_certificates(tls, options->cert_file, &certificates, why);
    if (error == 0 && options->key_file != NULL) {
        error = text_read(key_file, &key, why);
        if (error == 0) {
            error = use_key(tls, key_file, &key, options->key_password, why);
            text_free(&key);
        }
    } else if (error == 0) {
        error = use_key(tls, key_file, &certificates, options->key_password, why);
    }
    text_free(&certificates);
    return error;
}

int tls_files_trust(struct sonde_tls *tls, const char *file, struct sonde_why *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
    unsigned n_trusted = 0;
    X509 *certificate;
    struct text text;

    int error = text_read(file, &text, why);
    if (error < 0)
        return error;
    BIO *bio = BIO_new_mem_buf(text.bytes, (int)text.n_bytes);
    while (bio != NULL && error == 0 && (certificate = PEM_read_bio_X509(bio, NULL, give_password, NULL)) != NULL) {
        if (X509_STORE_add_cert(store, certificate) != 1 ||
            (tls->server && SSL_CTX_add_client_CA(tls->context, certificate) != 1))
            error = tls_why(why, -ENOMEM, "certificate", file, "%s", "");
        n_trusted++;
        X509_free(certificate);
    }
    if (bio == NULL)
        error = tls_why(why, -ENOMEM, "certificate", file, "%s", "");
    BIO_free(bio);
    text_free(&text);
    ERR_clear_error();
    if (error == 0 && n_trusted == 0)
        error = tls_why(why, -EINVAL, "certificate", file, "there is no certificate in it (PEM)");
    /* What is named here is trusted as it is, even when it is not a root. */
    if (error == 0 && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        error = tls_why(why, -ENOMEM, "certificate", file, "%s", "");
    return error;
}
