/* SPDX-License-Identifier: MIT */
/*
 * A certificate made in memory, for a server that was given none: ECDSA on P-256, signed by itself, for the names of
 * this machine's loopback and those that were asked for. Nobody can trust it but by its fingerprint, and it is gone
 * with the program.
 */
#include "tls/tls_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SERIAL_BYTES 16
#define DAY_S (24L * 3600)
#define DAYS_BEFORE 1 /* clocks differ */
#define DAYS_IN_ALL 30

/* Letters, digits, hyphens, dots; an asterisk as its first label. */
static bool is_name(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > 253 || name[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("-_.", name[i]) == NULL && !(name[i] == '*' && i == 0))
            return false;
    }
    return true;
}

/* Into names, or false. */
static bool add_name(GENERAL_NAMES *names, const char *text)
{
    bool is_address = tls_is_address(text);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = is_address ? a2i_IPADDRESS(text) : ASN1_STRING_type_new(V_ASN1_IA5STRING);

    if (name == NULL || value == NULL || (!is_address && ASN1_STRING_set(value, text, -1) != 1)) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, is_address ? GEN_IPADD : GEN_DNS, value);
    if (OPENSSL_sk_push((OPENSSL_STACK *)names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool add_names(X509 *certificate, const char *const *names)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "::1", NULL};
    GENERAL_NAMES *all = (GENERAL_NAMES *)OPENSSL_sk_new_null();
    bool added = all != NULL;

    for (size_t i = 0; added && own[i] != NULL; i++)
        added = add_name(all, own[i]);
    for (size_t i = 0; added && names != NULL && names[i] != NULL; i++)
        added = add_name(all, names[i]);
    added = added && X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return added;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    uint8_t serial[SERIAL_BYTES];

    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const char *const *names)
{
    X509_NAME *name = X509_get_subject_name(certificate);

    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -DAYS_BEFORE * DAY_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), (DAYS_IN_ALL - DAYS_BEFORE) * DAY_S) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_names(certificate, names) && add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

int tls_adhoc(struct sonde_tls *tls, const char *const *names, struct sonde_why *why)
{
    uint8_t digest[TLS_DIGEST_BYTES];

    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (!tls_is_address(names[i]) && !is_name(names[i]))
            return tls_why(why, -EINVAL, "certificate", names[i], "a certificate is for a name or a numeric address");
    }
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    bool made = key != NULL && certificate != NULL && fill_in(certificate, key, names) &&
                tls_fingerprint(certificate, digest) && SSL_CTX_use_certificate(tls->context, certificate) == 1 &&
                SSL_CTX_use_PrivateKey(tls->context, key) == 1;
    EVP_PKEY_free(key);
    X509_free(certificate);
    if (!made)
        return tls_why(why, -ENOMEM, "certificate", NULL, "it can't be made: %s", tls_openssl_reason());
    tls_fingerprint_format(digest, tls->fingerprint);
    tls->is_adhoc = true;
    return 0;
}
