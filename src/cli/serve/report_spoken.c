/* SPDX-License-Identifier: MIT */
/* The parts of what serve tells that are about what is spoken on a connection: TLS, WebSocket, HTTP, messages. */
#include "cli/serve/report.h"

#include "term/escape.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of a peer's word. */
enum { WORD_BYTES = 96, JSON_BYTES = 256 };

/* --- text ------------------------------------------------------------------------------------------------------- */

struct words {
    char *text;
    size_t n, size_bytes;
};

static void add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *words, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(words->text + words->n, words->size_bytes - words->n, format, arguments);
    va_end(arguments);
    if (n > 0)
        words->n += (size_t)n < words->size_bytes - words->n ? (size_t)n : words->size_bytes - words->n - 1;
}

static void add_peers(struct words *words, const char *before, const char *word)
{
    char shown[WORD_BYTES];

    escape_short(word, strlen(word), shown, sizeof(shown));
    add(words, "%s%s", before, shown);
}

static void add_web(struct words *words, const struct serve_spoken *spoken)
{
    if (spoken->layers & SONDE_LAYER_WS) {
        add(words, ", WebSocket");
    } else if (spoken->layers & SONDE_LAYER_HTTP) {
        add(words, ", HTTP");
        if (spoken->request != NULL)
            add_peers(words, " ", spoken->request->method);
    }
    if (spoken->request != NULL)
        add_peers(words, " ", spoken->request->target);
    if (spoken->ws != NULL && spoken->ws->deflate)
        add(words, ", permessage-deflate");
    if (spoken->ws != NULL && spoken->ws->subprotocol[0] != '\0')
        add_peers(words, ", subprotocol ", spoken->ws->subprotocol);
}

static void add_tls(struct words *words, const struct sonde_tls_info *tls)
{
    add_peers(words, ", ", tls->version);
    if (tls->alpn[0] != '\0')
        add_peers(words, ", ALPN ", tls->alpn);
    if (tls->subject[0] != '\0')
        add_peers(words, tls->verified ? ", verified " : ", not verified ", tls->subject);
}

size_t serve_spoken_text(const struct serve_spoken *spoken, char *ret_text, size_t size_bytes)
{
    struct words words = {.text = ret_text, .size_bytes = size_bytes};

    ret_text[0] = '\0';
    if (spoken == NULL)
        return 0;
    if (spoken->transport != NULL)
        add(&words, ", %s", spoken->transport);
    if (spoken->tls != NULL)
        add_tls(&words, spoken->tls);
    add_web(&words, spoken);
    return words.n;
}

size_t serve_close_text(const struct serve_spoken *spoken, char *ret_text, size_t size_bytes)
{
    struct words words = {.text = ret_text, .size_bytes = size_bytes};
    const struct sonde_ws_info *ws = spoken != NULL ? spoken->ws : NULL;

    ret_text[0] = '\0';
    if (ws == NULL || ws->code_received == 0)
        return 0;
    if (ws->code_received == 1005)
        add(&words, " (Close");
    else
        add(&words, " (Close %u", ws->code_received);
    if (ws->reason_received[0] != '\0')
        add_peers(&words, " ", ws->reason_received);
    add(&words, ")");
    return words.n;
}

static void add_count(struct words *words, uint64_t n, const char *what)
{
    if (n > 0)
        add(words, ", %" PRIu64 " %s", n, what);
}

size_t serve_messages_text(const struct serve_messages *messages, char *ret_text, size_t size_bytes)
{
    struct words words = {.text = ret_text, .size_bytes = size_bytes};

    ret_text[0] = '\0';
    if (messages == NULL)
        return 0;
    add(&words, ", %" PRIu64 " messages in, %" PRIu64 " out", messages->n_in, messages->n_out);
    add_count(&words, messages->n_cut, "cut");
    add_count(&words, messages->n_bad, "bad");
    add_count(&words, messages->n_muted, "not answered");
    add_count(&words, messages->n_withheld, "answers withheld");
    return words.n;
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

static void json_word(struct json *json, const char *key, const char *word)
{
    size_t n_bytes = strlen(word);

    json_text(json, key, word, n_bytes < JSON_BYTES ? n_bytes : JSON_BYTES);
}

/* What there is not is left out. */
static void json_word_if(struct json *json, const char *key, const char *word)
{
    if (word != NULL && word[0] != '\0')
        json_word(json, key, word);
}

static void json_tls(struct json *json, const struct sonde_tls_info *tls)
{
    json_object_begin(json, "tls");
    json_word(json, "version", tls->version);
    json_word(json, "cipher", tls->cipher);
    json_word_if(json, "group", tls->group);
    json_word_if(json, "alpn", tls->alpn);
    json_word_if(json, "server_name", tls->server_name);
    if (tls->fingerprint[0] != '\0') {
        json_word(json, "subject", tls->subject);
        json_word(json, "issuer", tls->issuer);
        json_word_if(json, "names", tls->names);
        json_word(json, "fingerprint", tls->fingerprint);
        json_boolean(json, "verified", tls->verified != 0);
    }
    json_boolean(json, "resumed", tls->resumed != 0);
    json_number(json, "handshake_ns", tls->handshake_ns);
    json_object_end(json);
}

static void json_http(struct json *json, const struct sonde_http_request *request)
{
    json_object_begin(json, "http");
    json_word(json, "method", request->method);
    json_word(json, "target", request->target);
    if (strlen(request->target) > JSON_BYTES)
        json_unsigned(json, "target_bytes", strlen(request->target));
    json_number(json, "version", request->version);
    json_word_if(json, "host", sonde_http_header(request, "Host"));
    json_word_if(json, "origin", sonde_http_header(request, "Origin"));
    json_word_if(json, "user_agent", sonde_http_header(request, "User-Agent"));
    json_object_end(json);
}

static void json_ws(struct json *json, const struct sonde_ws_info *ws)
{
    json_object_begin(json, "ws");
    json_word_if(json, "subprotocol", ws->subprotocol);
    json_boolean(json, "deflate", ws->deflate != 0);
    if (ws->code_sent != 0)
        json_unsigned(json, "code_sent", ws->code_sent);
    if (ws->code_received != 0)
        json_unsigned(json, "code_received", ws->code_received);
    json_word_if(json, "reason_received", ws->reason_received);
    if (ws->rtt_ns > 0)
        json_number(json, "rtt_ns", ws->rtt_ns);
    json_object_end(json);
}

void serve_spoken_json(struct json *json, const struct serve_spoken *spoken)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{SONDE_LAYER_TLS, "tls"}, {SONDE_LAYER_HTTP, "http"}, {SONDE_LAYER_WS, "ws"}};

    if (spoken == NULL)
        return;
    if (spoken->transport != NULL)
        json_string(json, "transport", spoken->transport);
    if (spoken->layers != 0) {
        json_array_begin(json, "layers");
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (spoken->layers & names[i].bit)
                json_string(json, NULL, names[i].name);
        json_array_end(json);
    }
    if (spoken->tls != NULL)
        json_tls(json, spoken->tls);
    if (spoken->request != NULL)
        json_http(json, spoken->request);
    if (spoken->ws != NULL)
        json_ws(json, spoken->ws);
}

void serve_messages_json(struct json *json, const struct serve_messages *messages)
{
    if (messages == NULL)
        return;
    json_unsigned(json, "messages_in", messages->n_in);
    json_unsigned(json, "messages_out", messages->n_out);
    if (messages->n_cut > 0)
        json_unsigned(json, "cut", messages->n_cut);
    if (messages->n_bad > 0)
        json_unsigned(json, "bad", messages->n_bad);
    if (messages->n_muted > 0)
        json_unsigned(json, "not_answered", messages->n_muted);
    if (messages->n_withheld > 0)
        json_unsigned(json, "withheld", messages->n_withheld);
}
