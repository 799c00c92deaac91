/* SPDX-License-Identifier: MIT */
#include "cli/connect/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *data, size_t n_bytes, char *ret_text)
{
    const unsigned char *bytes = data;
    char *to = ret_text;

    for (size_t i = 0; i < n_bytes; i += 3) {
        size_t n = n_bytes - i < 3 ? n_bytes - i : 3;
        uint32_t group =
            (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = n > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[group & 63] : '=';
    }
    return (size_t)(to - ret_text);
}

static int value_of(char c)
{
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

/* Without its padding; 0 to 2 signs, as many as make whole groups. */
static size_t without_padding(const char *text, size_t n_text)
{
    if (n_text % 4 != 0 || n_text == 0 || text[n_text - 1] != '=')
        return n_text;
    return n_text - (text[n_text - 2] == '=' ? 2 : 1);
}

bool base64_decode(const char *text, size_t n_text, void *ret_bytes, size_t *ret_n_bytes, size_t *ret_at)
{
    unsigned char *to = ret_bytes;
    size_t n_digits = without_padding(text, n_text);
    uint32_t bits = 0;
    unsigned n_bits = 0;

    for (size_t i = 0; i < n_digits; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            *ret_at = i;
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *to++ = (unsigned char)(bits >> n_bits);
            bits &= (1u << n_bits) - 1;
        }
    }
    /* One digit is no byte, and what is left of two or three is zero. */
    if (n_bits == 6 || bits != 0) {
        *ret_at = n_digits - 1;
        return false;
    }
    *ret_n_bytes = (size_t)(to - (unsigned char *)ret_bytes);
    return true;
}
