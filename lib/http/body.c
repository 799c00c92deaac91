/* SPDX-License-Identifier: MIT */
#include "http/body.h"

#include "http/field.h"

#include <string.h>
#include <strings.h>

enum { CHUNK_EXTENSION_MAX = 1024, TRAILERS_MAX = 8192 };

static const struct http_refusal both = {400, "There are both a Content-Length and a Transfer-Encoding."};
static const struct http_refusal twice = {400, "There is more than one Content-Length or Transfer-Encoding."};
static const struct http_refusal no_length = {400, "The Content-Length is no number of bytes."};
static const struct http_refusal no_coding = {501, "No transfer coding but chunked is known here."};
static const struct http_refusal too_old = {400, "There is no Transfer-Encoding in HTTP/1.0."};
static const struct http_refusal bad_chunk = {400, "The chunked body is malformed."};
static const struct http_refusal long_chunk = {400, "The chunked body's extensions or trailers are too large."};

/* False: it is no number, or too large for one. */
static bool parse_length(const char *text, uint64_t *ret_n)
{
    uint64_t n = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (unsigned)(*text - '0'), &n))
            return false;
    *ret_n = n;
    return true;
}

const struct http_refusal *http_body_begin(struct http_body *body, const struct sonde_http_request *request)
{
    unsigned n_lengths = http_header_count(request, "Content-Length");
    unsigned n_codings = http_header_count(request, "Transfer-Encoding");

    *body = (struct http_body){.state = HTTP_BODY_OVER};
    if (n_lengths > 0 && n_codings > 0)
        return &both;
    if (n_lengths > 1 || n_codings > 1)
        return &twice;
    if (n_codings == 1) {
        if (request->version < 11)
            return &too_old;
        if (strcasecmp(sonde_http_header(request, "Transfer-Encoding"), "chunked") != 0)
            return &no_coding;
        body->is_chunked = true;
        body->state = HTTP_BODY_CHUNK_SIZE;
    } else if (n_lengths == 1) {
        if (!parse_length(sonde_http_header(request, "Content-Length"), &body->n_left))
            return &no_length;
        body->state = body->n_left > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_OVER;
    }
    return NULL;
}

static bool break_off(struct http_body *body, const struct http_refusal *wrong)
{
    body->state = HTTP_BODY_BROKEN;
    body->wrong = wrong;
    return false;
}

static bool expect(struct http_body *body, uint8_t byte, uint8_t expected, enum http_body_state next)
{
    if (byte != expected)
        return break_off(body, &bad_chunk);
    body->state = next;
    return true;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool in_size(struct http_body *body, uint8_t byte)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        body->n_left = body->n_left << 4 | (unsigned)digit;
        return body->n_digits++ < 15 ? true : break_off(body, &bad_chunk);
    }
    if (body->n_digits == 0)
        return break_off(body, &bad_chunk);
    body->n_digits = 0;
    body->n_line = 0;
    if (byte == '\r')
        body->state = HTTP_BODY_CHUNK_SIZE_LF;
    else if (byte == ';' || byte == ' ' || byte == '\t')
        body->state = HTTP_BODY_CHUNK_EXTENSION;
    else
        return break_off(body, &bad_chunk);
    return true;
}

/* A byte of what is passed over. */
static bool pass_over(struct http_body *body, uint8_t byte, unsigned limit, enum http_body_state at_cr)
{
    if (byte == '\r')
        body->state = at_cr;
    else if ((byte < ' ' && byte != '\t') || byte == 0x7f)
        return break_off(body, &bad_chunk);
    return body->n_line++ < limit ? true : break_off(body, &long_chunk);
}

static bool chunk_begins(struct http_body *body, uint8_t byte)
{
    if (!expect(body, byte, '\n', body->n_left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER_START))
        return false;
    body->n_line = 0;
    return true;
}

/* A byte that is none of the body's own. */
static bool on_byte(struct http_body *body, uint8_t byte)
{
    switch (body->state) {
    case HTTP_BODY_CHUNK_SIZE:
        return in_size(body, byte);
    case HTTP_BODY_CHUNK_EXTENSION:
        return pass_over(body, byte, CHUNK_EXTENSION_MAX, HTTP_BODY_CHUNK_SIZE_LF);
    case HTTP_BODY_CHUNK_SIZE_LF:
        return chunk_begins(body, byte);
    case HTTP_BODY_CHUNK_CR:
        return expect(body, byte, '\r', HTTP_BODY_CHUNK_LF);
    case HTTP_BODY_CHUNK_LF:
        return expect(body, byte, '\n', HTTP_BODY_CHUNK_SIZE);
    case HTTP_BODY_TRAILER_START:
        if (byte == '\r') {
            body->state = HTTP_BODY_LAST_LF;
            return true;
        }
        if (!http_is_token_byte(byte))
            return break_off(body, &bad_chunk);
        body->state = HTTP_BODY_TRAILER;
        return pass_over(body, byte, TRAILERS_MAX, HTTP_BODY_TRAILER_LF);
    case HTTP_BODY_TRAILER:
        return pass_over(body, byte, TRAILERS_MAX, HTTP_BODY_TRAILER_LF);
    case HTTP_BODY_TRAILER_LF:
        return expect(body, byte, '\n', HTTP_BODY_TRAILER_START);
    case HTTP_BODY_LAST_LF:
        return expect(body, byte, '\n', HTTP_BODY_OVER);
    default:
        return false;
    }
}

enum http_step http_body_take(struct http_body *body, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken,
                              size_t *ret_n_data)
{
    size_t n = 0;

    *ret_n_data = 0;
    while (n < n_bytes && body->state != HTTP_BODY_OVER) {
        if (body->state == HTTP_BODY_LENGTH || body->state == HTTP_BODY_CHUNK) {
            size_t n_data = n_bytes - n < body->n_left ? n_bytes - n : (size_t)body->n_left;
            body->n_left -= n_data;
            if (body->n_left == 0)
                body->state = body->is_chunked ? HTTP_BODY_CHUNK_CR : HTTP_BODY_OVER;
            *ret_n_data = n_data;
            n += n_data;
            break;
        }
        if (!on_byte(body, bytes[n++]))
            return HTTP_WRONG;
    }
    *ret_n_taken = n;
    return body->state == HTTP_BODY_OVER ? HTTP_DONE : HTTP_GOES_ON;
}
