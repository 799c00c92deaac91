/* SPDX-License-Identifier: MIT */
/*
 * What is typed is taken for UTF-8, whatever the locale says, and comes out again byte by byte as it came in: bytes
 * that are no characters travel in a block of code points that UTF-8 cannot bring.
 *
 * A paste comes between two marks ("bracketed paste", which the terminal was asked for). Its control characters travel
 * in the same block, so that the editor sees no command in them, and neither ends nor changes the line: whoever has
 * pasted can look at it, and press Enter. A line end is a newline, whatever the terminal makes of it; the very last one
 * is left out, since Enter gives it.
 */
#include "term/prompt_internal.h"

#include <string.h>

static const char paste_begins[] = "\033[200~", paste_ends[] = "\033[201~";
enum { MARK_BYTES = sizeof(paste_ends) - 1 };

static unsigned length_of(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* May `byte` follow what is held? RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
static bool may_follow(const struct keys *keys, unsigned char byte)
{
    unsigned char low = 0x80, high = 0xbf;

    if (keys->n_held == 1) {
        switch (keys->held[0]) {
        case 0xe0:
            low = 0xa0;
            break;
        case 0xed:
            high = 0x9f;
            break;
        case 0xf0:
            low = 0x90;
            break;
        case 0xf4:
            high = 0x8f;
            break;
        }
    }
    return byte >= low && byte <= high;
}

static wchar_t decode(const unsigned char *bytes, unsigned n)
{
    unsigned character = n == 1 ? bytes[0] : bytes[0] & (0x7fu >> n);

    for (unsigned i = 1; i < n; i++)
        character = character << 6 | (bytes[i] & 0x3fu);
    return (wchar_t)character;
}

static size_t put(struct keys *keys, wchar_t character, wchar_t *ret)
{
    size_t n = 0;

    if (keys->newline_waits)
        ret[n++] = KEYS_BYTE + L'\n';
    keys->newline_waits = false;
    ret[n++] = character;
    return n;
}

/* A pasted control character. */
static size_t put_control(struct keys *keys, unsigned char byte, wchar_t *ret)
{
    size_t n = 0;
    bool after_cr = keys->after_cr;

    keys->after_cr = byte == '\r';
    if (byte == '\n' && after_cr)
        return 0;
    if (byte != '\r' && byte != '\n')
        return put(keys, KEYS_BYTE + byte, ret);
    if (keys->newline_waits)
        ret[n++] = KEYS_BYTE + L'\n';
    keys->newline_waits = true;
    return n;
}

static size_t release_held(struct keys *keys, wchar_t *ret)
{
    size_t n = 0;

    for (unsigned i = 0; i < keys->n_held; i++)
        n += put(keys, KEYS_BYTE + keys->held[i], ret + n);
    keys->n_held = 0;
    return n;
}

static size_t plain(struct keys *keys, unsigned char byte, wchar_t *ret)
{
    size_t n = 0;

    if (keys->n_held > 0 && may_follow(keys, byte)) {
        keys->held[keys->n_held++] = byte;
        if (keys->n_held < length_of(keys->held[0]))
            return 0;
        n = put(keys, decode(keys->held, keys->n_held), ret);
        keys->n_held = 0;
        return n;
    }
    n = release_held(keys, ret);
    if (length_of(byte) > 1) {
        keys->held[keys->n_held++] = byte;
        return n;
    }
    if (length_of(byte) == 0)
        return n + put(keys, KEYS_BYTE + byte, ret + n);
    if (keys->pasting && (byte < 0x20 || byte == 0x7f))
        return n + put_control(keys, byte, ret + n);
    keys->after_cr = false;
    return n + put(keys, byte, ret + n);
}

/* Inside a paste: bytes that may be its end are kept until they are not. */
static size_t pasted(struct keys *keys, unsigned char byte, wchar_t *ret)
{
    size_t n = 0;

    if (byte == (unsigned char)paste_ends[keys->n_mark]) {
        if (++keys->n_mark < MARK_BYTES)
            return 0;
        n = release_held(keys, ret);
        *keys = (struct keys){.pasting = false};
        return n;
    }
    for (unsigned i = 0, n_mark = keys->n_mark; i < n_mark; i++)
        n += plain(keys, (unsigned char)paste_ends[i], ret + n);
    keys->n_mark = byte == (unsigned char)paste_ends[0];
    return keys->n_mark > 0 ? n : n + plain(keys, byte, ret + n);
}

/* Outside: the editor gets the mark too, and does nothing about it; a key that begins like it is not held up. */
static size_t typed(struct keys *keys, unsigned char byte, wchar_t *ret)
{
    size_t n = plain(keys, byte, ret);

    if (byte == (unsigned char)paste_begins[keys->n_mark])
        keys->n_mark++;
    else
        keys->n_mark = byte == (unsigned char)paste_begins[0];
    if (keys->n_mark == MARK_BYTES)
        *keys = (struct keys){.pasting = true};
    return n;
}

size_t keys_take(struct keys *keys, const void *bytes, size_t n_bytes, wchar_t *ret_characters)
{
    const unsigned char *byte = bytes;
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i++)
        n += (keys->pasting ? pasted : typed)(keys, byte[i], ret_characters + n);
    return n;
}

static size_t encode(unsigned long character, char *ret)
{
    if (character < 0x80) {
        ret[0] = (char)character;
        return 1;
    }
    if (character < 0x800) {
        ret[0] = (char)(0xc0 | character >> 6);
        ret[1] = (char)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        ret[0] = (char)(0xe0 | character >> 12);
        ret[1] = (char)(0x80 | (character >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (character & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | (character >> 18 & 7));
    ret[1] = (char)(0x80 | (character >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (character >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (character & 0x3f));
    return 4;
}

size_t keys_encode(const wchar_t *characters, size_t n, char *ret_bytes)
{
    size_t n_bytes = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned long character = (unsigned long)characters[i];
        if (character >= KEYS_BYTE && character <= KEYS_BYTE + 0xff)
            ret_bytes[n_bytes++] = (char)(character - KEYS_BYTE);
        else
            n_bytes += encode(character, ret_bytes + n_bytes);
    }
    return n_bytes;
}
