/* SPDX-License-Identifier: MIT */
/* A request's body: how long it is said to be, and the bytes out of it (RFC 9112, 6 and 7). Pure. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/head.h"

enum http_body_state {
    HTTP_BODY_LENGTH, /* so many bytes are left */
    HTTP_BODY_CHUNK_SIZE,
    HTTP_BODY_CHUNK_EXTENSION,
    HTTP_BODY_CHUNK_SIZE_LF,
    HTTP_BODY_CHUNK,
    HTTP_BODY_CHUNK_CR,
    HTTP_BODY_CHUNK_LF,
    HTTP_BODY_TRAILER_START,
    HTTP_BODY_TRAILER,
    HTTP_BODY_TRAILER_LF,
    HTTP_BODY_LAST_LF,
    HTTP_BODY_OVER,
    HTTP_BODY_BROKEN,
};

/* All members are private, but for wrong. */
struct http_body {
    enum http_body_state state;
    bool is_chunked;
    unsigned n_digits, n_line; /* of a chunk's size; of what is passed over: extensions of one chunk, all trailers */
    uint64_t n_left;
    const struct http_refusal *wrong; /* of HTTP_WRONG */
};

/* What the request says of its body. NULL, or what is wrong with it. */
const struct http_refusal *http_body_begin(struct http_body *body, const struct sonde_http_request *request);

static inline bool http_body_over(const struct http_body *body)
{
    return body->state == HTTP_BODY_OVER;
}

/* Read on, as far as the next piece: *ret_n_taken of the bytes are done with, and of those the last *ret_n_data are a
 * piece of the body (0: none). HTTP_GOES_ON, HTTP_DONE when the body is over (bytes behind it are not taken),
 * HTTP_WRONG. To be called until all bytes are taken. */
enum http_step http_body_take(struct http_body *body, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken,
                              size_t *ret_n_data);

#endif
