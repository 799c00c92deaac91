/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL, loaded when the first TLS context is made, or the first WebSocket opens, and not before. To be linked with
 * it costs every start of a program more than a millisecond, most of it for relocations in libcrypto, whether or not it
 * ever speaks TLS.
 *
 * So every function that is used here has a row, and its name stands for a pointer in a table that is filled once
 * (openssl.c). The code reads as if it were linked; a function without a row does not link. This header comes before
 * any use, and is the only one that includes OpenSSL's.
 */
#ifndef TLS_OPENSSL_H
#define TLS_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct sonde_why;

#define OPENSSL_LIBRARY "libssl.so.3" /* which brings libcrypto along */

/* Load it, unless that was done before. 0, or -ELIBACC with what is missing. Any thread. */
int tls_openssl_load(struct sonde_why *ret_why);

/* clang-format off */
#define OPENSSL_CALLS(X) \
    X(ASN1_STRING_free) \
    X(ASN1_STRING_get0_data) \
    X(ASN1_STRING_length) \
    X(ASN1_STRING_set) \
    X(ASN1_STRING_type_new) \
    X(ASN1_TIME_to_tm) \
    X(BIO_clear_flags) \
    X(BIO_free) \
    X(BIO_get_data) \
    X(BIO_meth_free) \
    X(BIO_meth_new) \
    X(BIO_meth_set_ctrl) \
    X(BIO_meth_set_read) \
    X(BIO_meth_set_write) \
    X(BIO_new) \
    X(BIO_new_mem_buf) \
    X(BIO_read) \
    X(BIO_s_mem) \
    X(BIO_set_data) \
    X(BIO_set_flags) \
    X(BIO_set_init) \
    X(BN_bin2bn) \
    X(BN_free) \
    X(BN_to_ASN1_INTEGER) \
    X(CRYPTO_memcmp) \
    X(ERR_clear_error) \
    X(ERR_peek_error) \
    X(ERR_peek_last_error) \
    X(ERR_reason_error_string) \
    X(EVP_Digest) \
    X(EVP_PKEY_Q_keygen) \
    X(EVP_PKEY_free) \
    X(EVP_sha1) \
    X(EVP_sha256) \
    X(GENERAL_NAMES_free) \
    X(GENERAL_NAME_free) \
    X(GENERAL_NAME_get0_value) \
    X(GENERAL_NAME_new) \
    X(GENERAL_NAME_set0_value) \
    X(OPENSSL_cleanse) \
    X(OPENSSL_sk_new_null) \
    X(OPENSSL_sk_num) \
    X(OPENSSL_sk_push) \
    X(OPENSSL_sk_value) \
    X(PEM_read_bio_PrivateKey) \
    X(PEM_read_bio_X509) \
    X(RAND_bytes) \
    X(SSL_CIPHER_get_name) \
    X(SSL_CTX_add_client_CA) \
    X(SSL_CTX_check_private_key) \
    X(SSL_CTX_ctrl) \
    X(SSL_CTX_free) \
    X(SSL_CTX_get_cert_store) \
    X(SSL_CTX_new) \
    X(SSL_CTX_set_alpn_protos) \
    X(SSL_CTX_set_alpn_select_cb) \
    X(SSL_CTX_set_cert_verify_callback) \
    X(SSL_CTX_set_cipher_list) \
    X(SSL_CTX_set_default_verify_paths) \
    X(SSL_CTX_set_keylog_callback) \
    X(SSL_CTX_set_max_early_data) \
    X(SSL_CTX_set_num_tickets) \
    X(SSL_CTX_set_options) \
    X(SSL_CTX_set_quiet_shutdown) \
    X(SSL_CTX_set_verify) \
    X(SSL_CTX_use_PrivateKey) \
    X(SSL_CTX_use_certificate) \
    X(SSL_alert_desc_string_long) \
    X(SSL_ctrl) \
    X(SSL_do_handshake) \
    X(SSL_free) \
    X(SSL_get0_alpn_selected) \
    X(SSL_get0_param) \
    X(SSL_get_current_cipher) \
    X(SSL_get_error) \
    X(SSL_get_ex_data) \
    X(SSL_get_ex_data_X509_STORE_CTX_idx) \
    X(SSL_get_servername) \
    X(SSL_get_version) \
    X(SSL_group_to_name) \
    X(SSL_new) \
    X(SSL_pending) \
    X(SSL_read_ex) \
    X(SSL_select_next_proto) \
    X(SSL_set_accept_state) \
    X(SSL_set_bio) \
    X(SSL_set_connect_state) \
    X(SSL_set_ex_data) \
    X(SSL_set_info_callback) \
    X(SSL_shutdown) \
    X(SSL_write_ex) \
    X(TLS_client_method) \
    X(TLS_server_method) \
    X(X509V3_EXT_conf_nid) \
    X(X509V3_set_ctx) \
    X(X509_EXTENSION_free) \
    X(X509_NAME_add_entry_by_txt) \
    X(X509_NAME_print_ex) \
    X(X509_STORE_CTX_get0_cert) \
    X(X509_STORE_CTX_get_error) \
    X(X509_STORE_CTX_get_error_depth) \
    X(X509_STORE_CTX_get_ex_data) \
    X(X509_STORE_CTX_set_error) \
    X(X509_STORE_add_cert) \
    X(X509_STORE_set_flags) \
    X(X509_VERIFY_PARAM_set1_host) \
    X(X509_VERIFY_PARAM_set1_ip_asc) \
    X(X509_VERIFY_PARAM_set_hostflags) \
    X(X509_add1_ext_i2d) \
    X(X509_add_ext) \
    X(X509_digest) \
    X(X509_free) \
    X(X509_get0_notAfter) \
    X(X509_get_ext_d2i) \
    X(X509_get_issuer_name) \
    X(X509_get_serialNumber) \
    X(X509_get_subject_name) \
    X(X509_getm_notAfter) \
    X(X509_getm_notBefore) \
    X(X509_gmtime_adj) \
    X(X509_new) \
    X(X509_set_issuer_name) \
    X(X509_set_pubkey) \
    X(X509_set_version) \
    X(X509_sign) \
    X(X509_up_ref) \
    X(X509_verify_cert) \
    X(X509_verify_cert_error_string) \
    X(a2i_IPADDRESS)
/* clang-format on */

struct openssl {
#define OPENSSL_MEMBER(name) __typeof__(name) *name;
    OPENSSL_CALLS(OPENSSL_MEMBER)
#undef OPENSSL_MEMBER
};

extern struct openssl tls_openssl;

#ifndef TLS_OPENSSL_NAMES
/* clang-format off */
#define ASN1_STRING_free tls_openssl.ASN1_STRING_free
#define ASN1_STRING_get0_data tls_openssl.ASN1_STRING_get0_data
#define ASN1_STRING_length tls_openssl.ASN1_STRING_length
#define ASN1_STRING_set tls_openssl.ASN1_STRING_set
#define ASN1_STRING_type_new tls_openssl.ASN1_STRING_type_new
#define ASN1_TIME_to_tm tls_openssl.ASN1_TIME_to_tm
#define BIO_clear_flags tls_openssl.BIO_clear_flags
#define BIO_free tls_openssl.BIO_free
#define BIO_get_data tls_openssl.BIO_get_data
#define BIO_meth_free tls_openssl.BIO_meth_free
#define BIO_meth_new tls_openssl.BIO_meth_new
#define BIO_meth_set_ctrl tls_openssl.BIO_meth_set_ctrl
#define BIO_meth_set_read tls_openssl.BIO_meth_set_read
#define BIO_meth_set_write tls_openssl.BIO_meth_set_write
#define BIO_new tls_openssl.BIO_new
#define BIO_new_mem_buf tls_openssl.BIO_new_mem_buf
#define BIO_read tls_openssl.BIO_read
#define BIO_s_mem tls_openssl.BIO_s_mem
#define BIO_set_data tls_openssl.BIO_set_data
#define BIO_set_flags tls_openssl.BIO_set_flags
#define BIO_set_init tls_openssl.BIO_set_init
#define BN_bin2bn tls_openssl.BN_bin2bn
#define BN_free tls_openssl.BN_free
#define BN_to_ASN1_INTEGER tls_openssl.BN_to_ASN1_INTEGER
#define CRYPTO_memcmp tls_openssl.CRYPTO_memcmp
#define ERR_clear_error tls_openssl.ERR_clear_error
#define ERR_peek_error tls_openssl.ERR_peek_error
#define ERR_peek_last_error tls_openssl.ERR_peek_last_error
#define ERR_reason_error_string tls_openssl.ERR_reason_error_string
#define EVP_Digest tls_openssl.EVP_Digest
#define EVP_PKEY_Q_keygen tls_openssl.EVP_PKEY_Q_keygen
#define EVP_PKEY_free tls_openssl.EVP_PKEY_free
#define EVP_sha1 tls_openssl.EVP_sha1
#define EVP_sha256 tls_openssl.EVP_sha256
#define GENERAL_NAMES_free tls_openssl.GENERAL_NAMES_free
#define GENERAL_NAME_free tls_openssl.GENERAL_NAME_free
#define GENERAL_NAME_get0_value tls_openssl.GENERAL_NAME_get0_value
#define GENERAL_NAME_new tls_openssl.GENERAL_NAME_new
#define GENERAL_NAME_set0_value tls_openssl.GENERAL_NAME_set0_value
#define OPENSSL_cleanse tls_openssl.OPENSSL_cleanse
#define OPENSSL_sk_new_null tls_openssl.OPENSSL_sk_new_null
#define OPENSSL_sk_num tls_openssl.OPENSSL_sk_num
#define OPENSSL_sk_push tls_openssl.OPENSSL_sk_push
#define OPENSSL_sk_value tls_openssl.OPENSSL_sk_value
#define PEM_read_bio_PrivateKey tls_openssl.PEM_read_bio_PrivateKey
#define PEM_read_bio_X509 tls_openssl.PEM_read_bio_X509
#define RAND_bytes tls_openssl.RAND_bytes
#define SSL_CIPHER_get_name tls_openssl.SSL_CIPHER_get_name
#define SSL_CTX_add_client_CA tls_openssl.SSL_CTX_add_client_CA
#define SSL_CTX_check_private_key tls_openssl.SSL_CTX_check_private_key
#define SSL_CTX_ctrl tls_openssl.SSL_CTX_ctrl
#define SSL_CTX_free tls_openssl.SSL_CTX_free
#define SSL_CTX_get_cert_store tls_openssl.SSL_CTX_get_cert_store
#define SSL_CTX_new tls_openssl.SSL_CTX_new
#define SSL_CTX_set_alpn_protos tls_openssl.SSL_CTX_set_alpn_protos
#define SSL_CTX_set_alpn_select_cb tls_openssl.SSL_CTX_set_alpn_select_cb
#define SSL_CTX_set_cert_verify_callback tls_openssl.SSL_CTX_set_cert_verify_callback
#define SSL_CTX_set_cipher_list tls_openssl.SSL_CTX_set_cipher_list
#define SSL_CTX_set_default_verify_paths tls_openssl.SSL_CTX_set_default_verify_paths
#define SSL_CTX_set_keylog_callback tls_openssl.SSL_CTX_set_keylog_callback
#define SSL_CTX_set_max_early_data tls_openssl.SSL_CTX_set_max_early_data
#define SSL_CTX_set_num_tickets tls_openssl.SSL_CTX_set_num_tickets
#define SSL_CTX_set_options tls_openssl.SSL_CTX_set_options
#define SSL_CTX_set_quiet_shutdown tls_openssl.SSL_CTX_set_quiet_shutdown
#define SSL_CTX_set_verify tls_openssl.SSL_CTX_set_verify
#define SSL_CTX_use_PrivateKey tls_openssl.SSL_CTX_use_PrivateKey
#define SSL_CTX_use_certificate tls_openssl.SSL_CTX_use_certificate
#define SSL_alert_desc_string_long tls_openssl.SSL_alert_desc_string_long
#define SSL_ctrl tls_openssl.SSL_ctrl
#define SSL_do_handshake tls_openssl.SSL_do_handshake
#define SSL_free tls_openssl.SSL_free
#define SSL_get0_alpn_selected tls_openssl.SSL_get0_alpn_selected
#define SSL_get0_param tls_openssl.SSL_get0_param
#define SSL_get_current_cipher tls_openssl.SSL_get_current_cipher
#define SSL_get_error tls_openssl.SSL_get_error
#define SSL_get_ex_data tls_openssl.SSL_get_ex_data
#define SSL_get_ex_data_X509_STORE_CTX_idx tls_openssl.SSL_get_ex_data_X509_STORE_CTX_idx
#define SSL_get_servername tls_openssl.SSL_get_servername
#define SSL_get_version tls_openssl.SSL_get_version
#define SSL_group_to_name tls_openssl.SSL_group_to_name
#define SSL_new tls_openssl.SSL_new
#define SSL_pending tls_openssl.SSL_pending
#define SSL_read_ex tls_openssl.SSL_read_ex
#define SSL_select_next_proto tls_openssl.SSL_select_next_proto
#define SSL_set_accept_state tls_openssl.SSL_set_accept_state
#define SSL_set_bio tls_openssl.SSL_set_bio
#define SSL_set_connect_state tls_openssl.SSL_set_connect_state
#define SSL_set_ex_data tls_openssl.SSL_set_ex_data
#define SSL_set_info_callback tls_openssl.SSL_set_info_callback
#define SSL_shutdown tls_openssl.SSL_shutdown
#define SSL_write_ex tls_openssl.SSL_write_ex
#define TLS_client_method tls_openssl.TLS_client_method
#define TLS_server_method tls_openssl.TLS_server_method
#define X509V3_EXT_conf_nid tls_openssl.X509V3_EXT_conf_nid
#define X509V3_set_ctx tls_openssl.X509V3_set_ctx
#define X509_EXTENSION_free tls_openssl.X509_EXTENSION_free
#define X509_NAME_add_entry_by_txt tls_openssl.X509_NAME_add_entry_by_txt
#define X509_NAME_print_ex tls_openssl.X509_NAME_print_ex
#define X509_STORE_CTX_get0_cert tls_openssl.X509_STORE_CTX_get0_cert
#define X509_STORE_CTX_get_error tls_openssl.X509_STORE_CTX_get_error
#define X509_STORE_CTX_get_error_depth tls_openssl.X509_STORE_CTX_get_error_depth
#define X509_STORE_CTX_get_ex_data tls_openssl.X509_STORE_CTX_get_ex_data
#define X509_STORE_CTX_set_error tls_openssl.X509_STORE_CTX_set_error
#define X509_STORE_add_cert tls_openssl.X509_STORE_add_cert
#define X509_STORE_set_flags tls_openssl.X509_STORE_set_flags
#define X509_VERIFY_PARAM_set1_host tls_openssl.X509_VERIFY_PARAM_set1_host
#define X509_VERIFY_PARAM_set1_ip_asc tls_openssl.X509_VERIFY_PARAM_set1_ip_asc
#define X509_VERIFY_PARAM_set_hostflags tls_openssl.X509_VERIFY_PARAM_set_hostflags
#define X509_add1_ext_i2d tls_openssl.X509_add1_ext_i2d
#define X509_add_ext tls_openssl.X509_add_ext
#define X509_digest tls_openssl.X509_digest
#define X509_free tls_openssl.X509_free
#define X509_get0_notAfter tls_openssl.X509_get0_notAfter
#define X509_get_ext_d2i tls_openssl.X509_get_ext_d2i
#define X509_get_issuer_name tls_openssl.X509_get_issuer_name
#define X509_get_serialNumber tls_openssl.X509_get_serialNumber
#define X509_get_subject_name tls_openssl.X509_get_subject_name
#define X509_getm_notAfter tls_openssl.X509_getm_notAfter
#define X509_getm_notBefore tls_openssl.X509_getm_notBefore
#define X509_gmtime_adj tls_openssl.X509_gmtime_adj
#define X509_new tls_openssl.X509_new
#define X509_set_issuer_name tls_openssl.X509_set_issuer_name
#define X509_set_pubkey tls_openssl.X509_set_pubkey
#define X509_set_version tls_openssl.X509_set_version
#define X509_sign tls_openssl.X509_sign
#define X509_up_ref tls_openssl.X509_up_ref
#define X509_verify_cert tls_openssl.X509_verify_cert
#define X509_verify_cert_error_string tls_openssl.X509_verify_cert_error_string
#define a2i_IPADDRESS tls_openssl.a2i_IPADDRESS
/* clang-format on */
#endif

#endif
