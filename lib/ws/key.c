/* SPDX-License-Identifier: MIT */
/* The key of the opening handshake and the proof that the server has read it (RFC 6455, 1.3). */
#include "tls/digest.h"
#include "ws/ws.h"

#include <errno.h>
#include <string.h>

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

enum { KEY_BYTES = 16, SHA1_BYTES = 20 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64(const uint8_t *bytes, size_t n_bytes, char *ret_text)
{
    char *at = ret_text;

    for (size_t i = 0; i < n_bytes; i += 3) {
        size_t n = n_bytes - i < 3 ? n_bytes - i : 3;
        uint32_t three = (uint32_t)bytes[i] << 16;
        if (n > 1)
            three |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2)
            three |= bytes[i + 2];
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = n > 1 ? digits[three >> 6 & 63] : '=';
        *at++ = n > 2 ? digits[three & 63] : '=';
    }
    *at = '\0';
}

void ws_key(const uint8_t random[16], char ret_key[WS_KEY_TEXT])
{
    base64(random, KEY_BYTES, ret_key);
}

static int digit(char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* 22 digits, of which the last holds two bits of the 128, and "==". */
bool ws_key_valid(const char *key)
{
    if (strlen(key) != WS_KEY_TEXT - 1)
        return false;
    for (int i = 0; i < 22; i++)
        if (digit(key[i]) < 0)
            return false;
    return (digit(key[21]) & 15) == 0 && key[22] == '=' && key[23] == '=';
}

int ws_accept(const char *key, char ret_accept[WS_ACCEPT_TEXT])
{
    unsigned char text[WS_KEY_TEXT + sizeof guid], digest[SHA1_BYTES];
    size_t n_key = strnlen(key, WS_KEY_TEXT - 1);

    memcpy(text, key, n_key);
    memcpy(text + n_key, guid, sizeof guid - 1);
    int error = tls_sha1(text, n_key + sizeof guid - 1, digest);
    if (error == 0)
        base64(digest, SHA1_BYTES, ret_accept);
    return error;
}
