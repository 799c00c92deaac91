/* SPDX-License-Identifier: MIT */
/* Certificates of any kind, right and wrong, made for a test and written into files of a folder of its own. */
#ifndef UNIT_TLS_CERTS_H
#define UNIT_TLS_CERTS_H

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERT_DAY_S (24L * 3600)

struct cert {
    X509 *x509;
    EVP_PKEY *key;
    char cert_file[128], key_file[128];
};

struct cert_options {
    const char *cn;        /* NULL: no name at all */
    const char *names;     /* "DNS:localhost,IP:127.0.0.1"; NULL: no subjectAltName */
    const struct cert *by; /* NULL: itself */
    long from_day, to_day; /* from now; 0, 0: since yesterday, for a year */
    const char *password;  /* of the key's file; NULL: none */
    const char *usage;     /* "clientAuth"; NULL: none said */
    int is_ca;
};

static char cert_folder[64];

static inline void cert_folder_make(void)
{
    snprintf(cert_folder, sizeof cert_folder, "/tmp/sonde-tls-%ld-XXXXXX", (long)getpid());
    if (mkdtemp(cert_folder) == NULL)
        abort();
}

static inline void cert_folder_remove(void)
{
    DIR *folder = opendir(cert_folder);
    char path[512];

    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", cert_folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (folder != NULL)
        closedir(folder);
    rmdir(cert_folder);
}

static inline void cert_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL || X509_add_ext(x509, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

static inline void cert_write(struct cert *cert, const char *file, const struct cert_options *options)
{
    snprintf(cert->cert_file, sizeof cert->cert_file, "%s/%s.crt", cert_folder, file);
    snprintf(cert->key_file, sizeof cert->key_file, "%s/%s.key", cert_folder, file);
    FILE *out = fopen(cert->cert_file, "w");
    if (out == NULL || PEM_write_X509(out, cert->x509) != 1)
        abort();
    fclose(out);
    out = fopen(cert->key_file, "w");
    if (out == NULL || chmod(cert->key_file, 0600) != 0 ||
        PEM_write_PKCS8PrivateKey(out, cert->key, options->password != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                  (void *)(uintptr_t)options->password) != 1)
        abort();
    fclose(out);
}

static inline struct cert cert_make(const char *file, struct cert_options options)
{
    static long serial = 1;
    struct cert cert = {.x509 = X509_new(), .key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
    X509_NAME *name = X509_get_subject_name(cert.x509);

    if (options.from_day == 0 && options.to_day == 0) {
        options.from_day = -1;
        options.to_day = 365;
    }
    X509_set_version(cert.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert.x509), options.from_day * CERT_DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(cert.x509), options.to_day * CERT_DAY_S);
    if (options.cn != NULL)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)options.cn, -1, -1, 0);
    X509 *issuer = options.by != NULL ? options.by->x509 : cert.x509;
    X509_set_issuer_name(cert.x509, X509_get_subject_name(issuer));
    X509_set_pubkey(cert.x509, cert.key);
    cert_extension(cert.x509, issuer, NID_basic_constraints, options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (options.names != NULL)
        cert_extension(cert.x509, issuer, NID_subject_alt_name, options.names);
    if (options.usage != NULL)
        cert_extension(cert.x509, issuer, NID_ext_key_usage, options.usage);
    if (X509_sign(cert.x509, options.by != NULL ? options.by->key : cert.key, EVP_sha256()) <= 0)
        abort();
    cert_write(&cert, file, &options);
    return cert;
}

static inline void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
}

#endif
