/* SPDX-License-Identifier: MIT */
/*
 * Errors.
 *
 * Every function that can fail returns 0 (or a count) when it worked, and a negative number when it did not: the
 * negative of an errno value (errno(3)), or the negative of one of the codes below for what errno has no word for.
 * Out-parameters (ret_...) come last and are untouched on failure. A call that fails to start never calls back.
 *
 * Calls that can fail for many reasons also fill in a struct sonde_why, from which a program can make a sentence that
 * says what failed, on which address, and why.
 */
#ifndef SONDE_ERROR_H
#define SONDE_ERROR_H

#include <sonde/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, value, sentence. Values are above the kernel's largest errno (4095). */
#define SONDE_ERRORS(X)                                                                                                \
    X(SONDE_EURL, 10001, "the address is not understood")                                                              \
    X(SONDE_EOPTION, 10002, "the option is not understood")                                                            \
    X(SONDE_ENAME, 10003, "the name does not resolve")                                                                 \
    X(SONDE_ENAMELATER, 10004, "the name server gave no answer; it may later")                                         \
    X(SONDE_ESCHEME, 10005, "this kind of address is not built yet")                                                   \
    X(SONDE_EENGINE, 10006, "this engine is not available here")                                                       \
    X(SONDE_EPROXY, 10007, "the proxy refused, or is not one")                                                         \
    X(SONDE_EPROXYHEAD, 10008, "no PROXY protocol header came first")                                                  \
    X(SONDE_ETLS, 10009, "the TLS handshake failed")                                                                   \
    X(SONDE_ECERT, 10010, "the peer's certificate is not trusted")                                                     \
    X(SONDE_ETRUNCATED, 10011, "TLS ended without close_notify: what came may not be all")                             \
    X(SONDE_EHTTP, 10012, "that is not the HTTP that was expected")                                                    \
    X(SONDE_EWS, 10013, "the peer broke the rules of WebSocket")                                                       \
    X(SONDE_EWSEND, 10014, "WebSocket ended without a Close frame: what came may not be all")                          \
    X(SONDE_EORIGIN, 10015, "the page that asks (Origin) is not allowed to")                                           \
    X(SONDE_EHOST, 10016, "the name that was asked for (Host) is none of this service's")                              \
    X(SONDE_ETOOBIG, 10017, "the message is larger than allowed")                                                      \
    X(SONDE_EKIND, 10018, "this kind of client is not let in here")

enum sonde_error {
#define SONDE_ERROR_ENUM(name, value, sentence) name = value,
    SONDE_ERRORS(SONDE_ERROR_ENUM)
#undef SONDE_ERROR_ENUM
};

/* Why a call failed. Plain data, owned by the caller; safe to copy. */
struct sonde_why {
    int code;          /* the negative error that was returned */
    const char *call;  /* what failed: "bind", "connect", "proxy", "getaddrinfo", "parse", ...; static, never NULL */
    char subject[160]; /* the address, option or name that it was about; "" when there is none */
    char detail[192];  /* further words where the code alone does not say it; "" when there are none */
};

/* A sentence fragment for a negative error of this library or of the system, lower case, without a full stop:
 * "connection refused". Any thread; the string is static. Never NULL. */
SONDE_API const char *sonde_strerror(int error);

/* The symbolic name: "ECONNREFUSED", "SONDE_EURL"; "E?" when unknown. Any thread; static. */
SONDE_API const char *sonde_error_name(int error);

#ifdef __cplusplus
}
#endif
#endif
