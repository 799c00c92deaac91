/* SPDX-License-Identifier: MIT */
/* The HTTP of WebSocket's opening handshake (RFC 6455, 4), both ends, but for keys and extensions. Pure. */
#ifndef HTTP_UPGRADE_H
#define HTTP_UPGRADE_H

#include "http/head.h"

enum { HTTP_SUBPROTOCOL_TEXT = 128 };

/* --- server ----------------------------------------------------------------------------------------------------- */

/* Does it ask for WebSocket at all? */
bool http_wants_upgrade(const struct sonde_http_request *request);

/* Whether it asks rightly, but for what the key is: NULL, or the answer. A 426 tells the version that is spoken. */
const struct http_refusal *http_upgrade_check(const struct sonde_http_request *request);

/* The first of ours (separated by commas) that the client offers, or "". */
void http_choose_subprotocol(const char *ours, const struct sonde_http_request *request,
                             char ret_text[HTTP_SUBPROTOCOL_TEXT]);

/* All values of the headers of this name, separated by commas; its length, which may be more than there is room for. */
size_t http_header_join(const struct sonde_http_request *request, const char *name, char *ret_text, size_t size_bytes);

/* --- client ----------------------------------------------------------------------------------------------------- */

struct http_upgrade {
    const char *host;                      /* a name or numeric address without brackets or zone */
    uint16_t port;                         /* 0: it goes without saying */
    const char *target, *key, *extensions; /* extensions: NULL: none */
    const struct sonde_ws_client *client;
};

/* May these be said? 0, -EINVAL. */
int http_upgrade_valid(const struct http_upgrade *upgrade);

/* The request's length, which may be more than there is room for. */
size_t http_upgrade_format(const struct http_upgrade *upgrade, char *ret_text, size_t size_bytes);

/* The answer, and whether it is what was asked for: 0, or -SONDE_EHTTP and why, in ASCII words. subprotocol: "" when
 * none was agreed on. Extensions are the caller's. */
int http_upgrade_answered(const struct http_head *head, const struct http_upgrade *upgrade, const char *accept,
                          char ret_subprotocol[HTTP_SUBPROTOCOL_TEXT], char *ret_why, size_t why_bytes);

/* Peer's text as words: what is not printable ASCII is a question mark, and what is too long is cut. */
void http_shown(const char *text, char *ret_text, size_t size_bytes);

#endif
