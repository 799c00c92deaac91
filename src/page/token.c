/* SPDX-License-Identifier: MIT */
#include "page/page_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* base64url (RFC 4648, 5), without padding. */
static void write_base64url(const unsigned char *bytes, size_t n_bytes, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned held = 0, n_held = 0;

    for (size_t i = 0; i < n_bytes; i++) {
        held = held << 8 | bytes[i];
        for (n_held += 8; n_held >= 6; n_held -= 6)
            *to++ = digits[held >> (n_held - 6) & 63];
    }
    if (n_held > 0)
        *to++ = digits[held << (6 - n_held) & 63];
    *to = '\0';
}

int token_make(char ret_token[TOKEN_TEXT])
{
    unsigned char bytes[TOKEN_BYTES];
    ssize_t n;

    do /* so few bytes are never cut by a signal, once the kernel's pool is ready */
        n = getrandom(bytes, sizeof bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n != sizeof bytes)
        return n < 0 ? -errno : -EIO;
    write_base64url(bytes, sizeof bytes, ret_token);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

bool token_equal(const char token[TOKEN_TEXT], const char *given, size_t n_bytes)
{
    /* As many steps for each one, whatever is given: one that is too short is read again from its beginning. The
     * compiler may not find out that the answer is known earlier. */
    volatile unsigned char differs = n_bytes != TOKEN_TEXT - 1;

    if (n_bytes == 0) {
        given = "-";
        n_bytes = 1;
    }
    for (size_t i = 0; i < TOKEN_TEXT - 1; i++)
        differs |= (unsigned char)(token[i] ^ given[i % n_bytes]);
    return differs == 0;
}
