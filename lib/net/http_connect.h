/* SPDX-License-Identifier: MIT */
/*
 * HTTP CONNECT (RFC 9110, 9.3.6) with Basic authentication (RFC 7617), the client's side: the request, and what the
 * proxy answers. Pure: it knows no socket and no clock.
 */
#ifndef NET_HTTP_CONNECT_H
#define NET_HTTP_CONNECT_H

#include "net/proxy_talk.h"

#include <stddef.h>

enum {
    HTTP_CONNECT_OUT_MAX = 2048,
    HTTP_CONNECT_HEAD_MAX = 16 * 1024, /* of all answers together: longer is refused */
    HTTP_CONNECT_LINE_KEPT = 120,      /* bytes of the status line that are kept, to be shown */
};

struct http_connect {
    bool has_user;
    uint8_t state; /* enum in http_connect.c */
    uint16_t status;
    uint16_t n_line; /* bytes of the line at hand, but never more than 1000 are counted */
    uint16_t n_head, n_out;
    char line[HTTP_CONNECT_LINE_KEPT];
    char out[HTTP_CONNECT_OUT_MAX];
    struct proxy_refusal refusal;
};

/* Begin: the request is in out. */
void http_connect_begin(struct http_connect *http, const char *user, const char *password, const struct proxy_far *far);

/* Bytes have come: *ret_n_taken of them belong to this talk, which is all of them unless it says PROXY_STANDS. */
enum proxy_step http_connect_take(struct http_connect *http, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken);

#endif
