/* SPDX-License-Identifier: MIT */
/* What a certificate says, as text. All of it may be the peer's invention. */
#include "tls/tls_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool tls_fingerprint(const X509 *certificate, uint8_t ret_digest[TLS_DIGEST_BYTES])
{
    unsigned n_bytes = 0;

    return X509_digest(certificate, EVP_sha256(), ret_digest, &n_bytes) == 1 && n_bytes == TLS_DIGEST_BYTES;
}

void tls_fingerprint_format(const uint8_t digest[TLS_DIGEST_BYTES], char ret_text[TLS_FINGERPRINT_TEXT])
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < TLS_DIGEST_BYTES; i++) {
        ret_text[3 * i] = digits[digest[i] >> 4];
        ret_text[3 * i + 1] = digits[digest[i] & 15];
        ret_text[3 * i + 2] = i + 1 < TLS_DIGEST_BYTES ? ':' : '\0';
    }
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)tolower((unsigned char)digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool tls_fingerprint_parse(const char *text, uint8_t ret_digest[TLS_DIGEST_BYTES])
{
    uint8_t digest[TLS_DIGEST_BYTES];

    for (size_t i = 0; i < TLS_DIGEST_BYTES; i++) {
        if (i > 0 && *text == ':')
            text++;
        int high = digit_value(text[0]), low = high < 0 ? -1 : digit_value(text[1]);
        if (low < 0)
            return false;
        digest[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text != '\0')
        return false;
    memcpy(ret_digest, digest, sizeof digest);
    return true;
}

/* As much as fits, in one piece of memory that was a BIO's. */
void tls_name_format(const X509_NAME *name, char *ret_text, size_t size_bytes)
{
    const unsigned long flags = XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_DN_REV | XN_FLAG_FN_SN | XN_FLAG_DUMP_UNKNOWN_FIELDS |
                                ((unsigned long)ASN1_STRFLGS_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    BIO *text = BIO_new(BIO_s_mem());
    int n = 0;

    ret_text[0] = '\0';
    if (text != NULL && X509_NAME_print_ex(text, name, 0, flags) >= 0)
        n = BIO_read(text, ret_text, (int)size_bytes - 1);
    ret_text[n > 0 ? n : 0] = '\0';
    BIO_free(text);
    ERR_clear_error();
}

/* One of its names; false: of a kind that is not for machines. */
static bool format_alternative(const GENERAL_NAME *name, char *ret_text, size_t size_bytes)
{
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);

    if ((kind != GEN_DNS && kind != GEN_IPADD) || value == NULL)
        return false;
    const uint8_t *bytes = ASN1_STRING_get0_data(value);
    int n_bytes = ASN1_STRING_length(value);
    if (kind == GEN_IPADD)
        return (n_bytes == 4 || n_bytes == 16) &&
               inet_ntop(n_bytes == 4 ? AF_INET : AF_INET6, bytes, ret_text, (socklen_t)size_bytes) != NULL;
    size_t n = n_bytes < (int)size_bytes ? (size_t)n_bytes : size_bytes - 1;
    for (size_t i = 0; i < n; i++)
        ret_text[i] = bytes[i] >= ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    ret_text[n] = '\0';
    return true;
}

void tls_certificate_names(const X509 *certificate, char *ret_text, size_t size_bytes)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int n_names = names != NULL ? OPENSSL_sk_num((const OPENSSL_STACK *)names) : 0;
    size_t used = 0;

    ret_text[0] = '\0';
    for (int i = 0; i < n_names; i++) {
        const GENERAL_NAME *name = OPENSSL_sk_value((const OPENSSL_STACK *)names, i);
        char text[256];
        if (!format_alternative(name, text, sizeof text))
            continue;
        const char *comma = used > 0 ? ", " : "";
        if (used + strlen(comma) + strlen(text) + sizeof ", ..." > size_bytes) {
            snprintf(ret_text + used, size_bytes - used, "%s...", comma);
            break;
        }
        used += (size_t)snprintf(ret_text + used, size_bytes - used, "%s%s", comma, text);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

void tls_certificate_describe(const X509 *certificate, struct sonde_tls_info *ret_info)
{
    uint8_t digest[TLS_DIGEST_BYTES];
    struct tm until;

    tls_name_format(X509_get_subject_name(certificate), ret_info->subject, sizeof ret_info->subject);
    tls_name_format(X509_get_issuer_name(certificate), ret_info->issuer, sizeof ret_info->issuer);
    tls_certificate_names(certificate, ret_info->names, sizeof ret_info->names);
    if (tls_fingerprint(certificate, digest))
        tls_fingerprint_format(digest, ret_info->fingerprint);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &until) == 1)
        ret_info->not_after_s = (int64_t)timegm(&until);
}
