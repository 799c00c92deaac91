/* SPDX-License-Identifier: MIT */
/*
 * Heads of HTTP/1 requests and responses (RFC 9112), read piece by piece. Pure.
 *
 * Strict: lines end with CR LF; no control characters, no folded lines, no space in or behind a name; one space between
 * the parts of a request line. What two readers might take for two different things is refused, so that nothing can be
 * smuggled past one that stands in front.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <sonde/ws.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 200

/* Where memory comes from: NULL and 0 for none, as realloc; NULL is returned when there is none. */
struct http_memory {
    void *(*resize)(void *user, void *old, size_t old_bytes, size_t n_bytes);
    void *user;
};

enum http_step {
    HTTP_GOES_ON,
    HTTP_DONE,
    HTTP_WRONG, /* see http_head_refusal */
    HTTP_NO_MEMORY,
};

/* What is wrong with a message: how a server says it, in whole sentences. Static; fit for anybody. */
struct http_refusal {
    unsigned status;
    const char *sentence;
};

struct http_head;

/* NULL: no memory. The memory's functions are asked until it is freed. */
struct http_head *http_head_create(bool is_response, size_t limit_bytes, const struct http_memory *memory);
void http_head_free(struct http_head *head);

/* Bytes have come; so many of them belong to the head, which is all of them unless it is done. Not after it was
 * anything but HTTP_GOES_ON. */
enum http_step http_head_take(struct http_head *head, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken);

/* After HTTP_WRONG. */
const struct http_refusal *http_head_refusal(const struct http_head *head);

/* After HTTP_DONE, and valid until it is freed. Of a response, the method is "" and the target its reason phrase. */
const struct sonde_http_request *http_head_request(const struct http_head *head);
unsigned http_head_status(const struct http_head *head); /* of a response */

#endif
