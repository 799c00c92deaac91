/* SPDX-License-Identifier: MIT */
/* What connect tells of TLS on standard error. */
#ifndef CLI_CONNECT_TLS_H
#define CLI_CONNECT_TLS_H

#include <sonde/tls.h>
#include <stdbool.h>

#define CONNECT_FINGERPRINT_TEXT 96

/* -v: what was agreed on, and with whom. Nothing, where there is no TLS. */
void connect_tls_report(const struct sonde_stream *stream);

/* Inside `failed`: the fingerprint of the certificate that was refused; "" there was none. */
void connect_tls_keep(const struct sonde_stream *stream, char ret_fingerprint[CONNECT_FINGERPRINT_TEXT]);

/* A handshake that failed. False: it was none of TLS, and nothing was said. given: the address as the user gave it. */
bool connect_tls_say(const char *given, const struct sonde_why *why, const char *fingerprint);

#endif
