/* SPDX-License-Identifier: MIT */
/* Responses, written. Pure. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "http/head.h"

enum {
    HTTP_ANSWER_MAX = 768,    /* a response's head, and a refusal whole */
    HTTP_CHUNK_HEAD_MAX = 20, /* a chunk's size and its line's end */
    HTTP_CONTENT_TYPE_MAX = 128,
    HTTP_MORE_HEADERS_MAX = 4096, /* that an owner adds to a response's head */
};

/* A refusal, whole: a sentence as text/plain; the connection is to be closed. is_head: without the sentence. Returns
 * its length. */
size_t http_answer_refusal(const struct http_refusal *refusal, bool is_head, char ret_text[HTTP_ANSWER_MAX]);

/* The head of a response whose body ends with the connection, or is chunked. Never taken for a page, whatever is in it.
 */
size_t http_answer_head(unsigned status, const char *content_type, bool is_chunked, char ret_text[HTTP_ANSWER_MAX]);

/* May it be said of a body? Printable ASCII, a slash in it. */
bool http_content_type_valid(const char *type);

/* "Name: value", which an owner may add to a head: nothing in it that would end its line, and not about what is said
 * anyway, the body's length or the connection. */
bool http_answer_header_valid(const char *header);

/* Has a response of this status a body? */
bool http_status_has_body(unsigned status);

/* 101 to a request for WebSocket. subprotocol and extensions: "" none. */
size_t http_answer_upgrade(const char *accept, const char *subprotocol, const char *extensions,
                           char ret_text[HTTP_ANSWER_MAX]);

#endif
