/* SPDX-License-Identifier: MIT */
/*
 * TLS on the command line: the options that serve and connect share, what they mean together, and the struct sonde_tls
 * that they make. Secrets are not among them: the key's password comes from the environment or a file.
 */
#ifndef CLI_TLS_OPTIONS_H
#define CLI_TLS_OPTIONS_H

#include "cli/option.h"
#include "cli/say.h"

#include <sonde/tls.h>

/* A member `tls` of a verb's settings. */
struct tls_settings {
    const char *cert, *key, *key_password_file, *cacert, *alpn;
    const char *pin, *server_name; /* connecting */
    bool insecure;
    int verify_client;             /* listening: index of tls_verify_choices */
    struct option_list cert_names; /* listening */
};

extern const char *const tls_verify_choices[]; /* no, ask, require */

/* Rows of a verb's table. settings: the type of its settings. */
#define TLS_ROW(settings, long_name, value_name, option, field, ...)                                                   \
    {                                                                                                                  \
        .name = long_name, .value = value_name, .kind = option,                                                        \
        .member = offsetof(settings, tls) + offsetof(struct tls_settings, field), .help = __VA_ARGS__                  \
    }
#define TLS_OWN_ROWS(settings)                                                                                         \
    TLS_ROW(settings, "cert", "FILE", OPTION_TEXT, cert,                                                               \
            N_("TLS: show the certificate in FILE (PEM), with those between it and its root behind it."),              \
            .group = N_("TLS:")),                                                                                      \
        TLS_ROW(settings, "key", "FILE", OPTION_TEXT, key,                                                             \
                N_("TLS: the key of --cert, if it is not in the same file; nobody else may read it. The password of "  \
                   "an encrypted one is taken from the environment: SONDE_KEY_PASSWORD.")),                            \
        TLS_ROW(settings, "key-password-file", "FILE", OPTION_TEXT, key_password_file,                                 \
                N_("TLS: the first line of FILE is the password of an encrypted key.")),                               \
        TLS_ROW(settings, "alpn", "NAME[,NAME...]", OPTION_TEXT, alpn,                                                 \
                N_("TLS: the protocols that are spoken inside (ALPN), best first."))
#define TLS_CONNECT_ROWS(settings)                                                                                     \
    TLS_ROW(settings, "cacert", "FILE", OPTION_TEXT, cacert,                                                           \
            N_("TLS: trust the certificates in FILE (PEM) instead of the system's; with -l: demand a certificate of "  \
               "the client that one of these vouches for.")),                                                          \
        TLS_ROW(settings, "pin", "FINGERPRINT", OPTION_TEXT, pin,                                                      \
                N_("TLS: trust just the certificate with this SHA-256 fingerprint, whatever else is wrong with it. A " \
                   "server that has made its own certificate tells it.")),                                             \
        TLS_ROW(settings, "insecure", NULL, OPTION_FLAG, insecure, N_("TLS: do not verify whom we speak to.")),        \
        TLS_ROW(settings, "server-name", "NAME", OPTION_TEXT, server_name,                                             \
                N_("TLS: ask for NAME (SNI), and verify that, instead of the address's host; \"\": ask for none."))
#define TLS_SERVE_ROWS(settings)                                                                                       \
    TLS_ROW(settings, "cert-name", "NAME", OPTION_LIST, cert_names,                                                    \
            N_("TLS without --cert: the certificate that is made is for this name or address too; may be given "       \
               "again")),                                                                                              \
        TLS_ROW(settings, "cacert", "FILE", OPTION_TEXT, cacert,                                                       \
                N_("TLS: clients whose certificates these in FILE (PEM) vouch for are believed")),                     \
        TLS_ROW(settings, "verify-client", NULL, OPTION_CHOICE, verify_client,                                         \
                N_("TLS, with --cacert: do not ask clients for a certificate (the default), ask, or require one"),     \
                .choices = tls_verify_choices)

/* The first of these options that was given, with its dashes; NULL: none. */
const char *tls_first_given(const struct tls_settings *settings);

/* Do they go together? Otherwise what is wrong has been said, and the status is returned. */
enum exit_status tls_check(const struct tls_settings *settings, bool listens);

/* Make it. Also takes SSLKEYLOGFILE and SONDE_KEY_PASSWORD from the environment; the latter is gone then. What is wrong
 * has been said. Before there are threads. */
enum exit_status tls_make(const struct tls_settings *settings, bool listens, struct sonde_tls **ret_tls);

/* What a user of a certificate that was made in memory has to know; nothing for others. url: where it listens. */
void tls_say_fingerprint(const struct sonde_tls *tls, const char *url);

#endif
