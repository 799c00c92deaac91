/* SPDX-License-Identifier: MIT */
/* Requests and responses that are anything: read at once, byte by byte, and in pieces as the first byte of the input
 * says; it comes to the same. What is taken for a request has a form, its body is read the same way, and the guard and
 * the upgrade look at it. */
#include "http/body.h"
#include "http/field.h"
#include "http/head.h"
#include "http/names.h"
#include "http/upgrade.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

enum { LIMIT = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void *resize(void *user, void *old, size_t old_bytes, size_t n_bytes)
{
    size_t *n_live = user;

    *n_live += n_bytes;
    *n_live -= old_bytes;
    must(*n_live < 64 * 1024);
    if (n_bytes > 0)
        return realloc(old, n_bytes);
    free(old);
    return NULL;
}

struct outcome {
    enum http_step step;
    size_t n_taken;
    unsigned status;
    unsigned n_headers;
    enum http_step body_step;
    size_t n_body_taken, n_body;
    uint32_t hash; /* of what was found */
};

static uint32_t mix(uint32_t hash, const void *bytes, size_t n_bytes)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}

static uint32_t check_text(uint32_t hash, const char *text, bool visible)
{
    for (const char *c = text; *c != '\0'; c++)
        must(visible ? *c > ' ' && *c < 0x7f : ((uint8_t)*c >= ' ' || *c == '\t') && *c != 0x7f);
    return mix(hash, text, strlen(text) + 1);
}

static uint32_t check_message(const struct sonde_http_request *message, bool is_response)
{
    uint32_t hash = check_text(2166136261u, message->method, true);

    hash = check_text(hash, message->target, !is_response);
    must(is_response || (message->version == 10 || message->version == 11));
    must(message->n_headers <= HTTP_HEADERS_MAX);
    for (unsigned i = 0; i < message->n_headers; i++) {
        size_t n = strlen(message->headers[i].value);
        must(http_is_token(message->headers[i].name, strlen(message->headers[i].name)));
        hash = check_text(hash, message->headers[i].name, true);
        hash = check_text(hash, message->headers[i].value, false);
        must(n == 0 || (message->headers[i].value[0] != ' ' && message->headers[i].value[n - 1] != ' '));
    }
    return hash;
}

static void look_at(const struct sonde_http_request *request)
{
    static const struct sonde_address here = {.family = AF_INET, .port = 7007, .u.ip = {127, 0, 0, 1}};
    static const char *const more[] = {"a.example", "b.example:80", NULL};
    const struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .more = more, .origins = more};
    const struct http_refusal *refusal = NULL;
    const char *value = NULL;
    char text[HTTP_SUBPROTOCOL_TEXT];

    int error = http_guard(request, &names, &refusal, &value);
    must((error == 0) == (refusal == NULL));
    must(error == 0 || (value != NULL && refusal->status >= 400));
    if (http_wants_upgrade(request))
        http_upgrade_check(request);
    http_choose_subprotocol("a,b, c", request, text);
    http_header_join(request, "Connection", text, sizeof text);
    http_target_path(request->target);
}

static void read_body(struct outcome *outcome, const struct sonde_http_request *request, const uint8_t *data,
                      size_t n_bytes, size_t piece)
{
    struct http_body body;
    const struct http_refusal *refusal = http_body_begin(&body, request);
    size_t at = 0;

    outcome->body_step = refusal != NULL ? HTTP_WRONG : HTTP_GOES_ON;
    while (at < n_bytes && outcome->body_step == HTTP_GOES_ON) {
        size_t n = n_bytes - at < piece ? n_bytes - at : piece, n_taken = 0, n_data = 0;
        outcome->body_step = http_body_take(&body, data + at, n, &n_taken, &n_data);
        if (outcome->body_step == HTTP_WRONG) {
            must(body.wrong != NULL);
            return;
        }
        must(n_taken <= n && n_data <= n_taken && (n_taken > 0 || outcome->body_step == HTTP_DONE));
        at += n_taken;
        outcome->n_body += n_data;
        outcome->hash = mix(outcome->hash, data + at - n_data, n_data);
    }
    must(outcome->body_step != HTTP_DONE || http_body_over(&body));
    outcome->n_body_taken = at;
}

static struct outcome read_message(const uint8_t *data, size_t n_bytes, size_t piece, bool is_response)
{
    size_t n_live = 0;
    struct http_memory memory = {resize, &n_live};
    struct http_head *head = http_head_create(is_response, LIMIT, &memory);
    struct outcome outcome;
    size_t at = 0;

    memset(&outcome, 0, sizeof outcome); /* it is compared whole */
    while (at < n_bytes && outcome.step == HTTP_GOES_ON) {
        size_t n = n_bytes - at < piece ? n_bytes - at : piece, n_taken = n + 1;
        outcome.step = http_head_take(head, data + at, n, &n_taken);
        must(n_taken <= n && (outcome.step == HTTP_DONE || n_taken == n));
        at += n_taken;
    }
    if (outcome.step == HTTP_DONE) {
        const struct sonde_http_request *message = http_head_request(head);
        outcome.n_taken = at;
        outcome.n_headers = message->n_headers;
        outcome.hash = check_message(message, is_response);
        outcome.status = is_response ? http_head_status(head) : 0;
        if (!is_response) {
            look_at(message);
            read_body(&outcome, message, data + at, n_bytes - at, piece);
        }
    } else if (outcome.step == HTTP_WRONG) {
        outcome.status = http_head_refusal(head)->status;
        must(outcome.status >= 400 && outcome.status < 600);
    } else {
        must(at == n_bytes && at <= LIMIT);
    }
    http_head_free(head);
    must(n_live == 0);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    size_t piece = (data[0] >> 1) + 2;
    bool is_response = data[0] & 1;

    data++;
    n_bytes--;
    struct outcome whole = read_message(data, n_bytes, n_bytes, is_response);
    struct outcome bytes = read_message(data, n_bytes, 1, is_response);
    struct outcome pieces = read_message(data, n_bytes, piece, is_response);
    must(memcmp(&whole, &bytes, sizeof whole) == 0 && memcmp(&whole, &pieces, sizeof whole) == 0);
    return 0;
}
