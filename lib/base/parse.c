/* SPDX-License-Identifier: MIT */
#include "base/parse.h"

#include <errno.h>
#include <string.h>

/* Not <ctype.h>: its answers depend on the locale, and a value's meaning must not. */
static int digit_of(char byte, unsigned base)
{
    unsigned digit = 99;

    if (byte >= '0' && byte <= '9')
        digit = (unsigned)(byte - '0');
    else if (byte >= 'a' && byte <= 'f')
        digit = (unsigned)(byte - 'a') + 10;
    else if (byte >= 'A' && byte <= 'F')
        digit = (unsigned)(byte - 'A') + 10;
    return digit < base ? (int)digit : -1;
}

int parse_number(const char *text, size_t n_bytes, bool hex, uint64_t maximum, uint64_t *ret_number)
{
    unsigned base = 10;
    uint64_t number = 0;
    bool overflow = false;

    if (hex && n_bytes > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        n_bytes -= 2;
    }
    if (n_bytes == 0)
        return -EINVAL;
    /* On to the end even after an overflow: what is not a number at all is not a number that is too large. */
    for (size_t i = 0; i < n_bytes; i++) {
        int digit = digit_of(text[i], base);
        if (digit < 0)
            return -EINVAL;
        if (!overflow)
            overflow = __builtin_mul_overflow(number, (uint64_t)base, &number) ||
                       __builtin_add_overflow(number, (uint64_t)digit, &number);
    }
    if (overflow || number > maximum)
        return -ERANGE;
    *ret_number = number;
    return 0;
}

static int parse_scaled(const char *text, size_t n_bytes, int64_t base, int64_t *ret_value)
{
    static const char letters[] = "kmgt";
    int64_t scale = 1, value;
    uint64_t number = 0;

    if (n_bytes > 0 && digit_of(text[n_bytes - 1], 10) < 0) {
        const char *letter = text[n_bytes - 1] != '\0' ? strchr(letters, text[n_bytes - 1] | 0x20) : NULL;
        if (letter == NULL || *letter == '\0')
            return -EINVAL;
        for (const char *step = letters; step <= letter; step++)
            scale *= base;
        n_bytes--;
    }
    int error = parse_number(text, n_bytes, false, INT64_MAX, &number);
    if (error < 0)
        return error;
    if (__builtin_mul_overflow((int64_t)number, scale, &value))
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int parse_count(const char *text, size_t n_bytes, int64_t *ret_count)
{
    return parse_scaled(text, n_bytes, 1000, ret_count);
}

int parse_size(const char *text, size_t n_bytes, int64_t *ret_bytes)
{
    return parse_scaled(text, n_bytes, 1024, ret_bytes);
}

/* How many ns the unit is; 0: there is no such unit. */
static int64_t unit_ns(const char *text, size_t n_bytes)
{
    static const struct {
        char name[3];
        int64_t ns;
    } units[] = {
        {"", 1000000000},  {"ns", 1},          {"us", 1000},         {"ms", 1000000},
        {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
    };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == n_bytes && memcmp(units[i].name, text, n_bytes) == 0)
            return units[i].ns;
    return 0;
}

int parse_duration(const char *text, size_t n_bytes, int64_t *ret_ns)
{
    size_t n_whole = 0, n_fraction = 0, n_number;

    while (n_whole < n_bytes && digit_of(text[n_whole], 10) >= 0)
        n_whole++;
    n_number = n_whole;
    if (n_number < n_bytes && text[n_number] == '.') {
        n_number++;
        while (n_number < n_bytes && digit_of(text[n_number], 10) >= 0)
            n_number++, n_fraction++;
        if (n_fraction == 0)
            return -EINVAL;
    }
    int64_t unit = unit_ns(text + n_number, n_bytes - n_number);
    if (n_whole + n_fraction == 0 || unit == 0)
        return -EINVAL;

    /* The fraction by integers: 0.3 s is 300 000 000 ns, and not one less. */
    int64_t fraction_ns = 0, place_ns = unit;
    for (size_t i = 0; i < n_fraction; i++) {
        int digit = digit_of(text[n_whole + 1 + i], 10);
        place_ns = place_ns % 10 == 0 ? place_ns / 10 : 0;
        if (digit != 0 && place_ns == 0)
            return -EINVAL;
        fraction_ns += digit * place_ns;
    }

    uint64_t whole = 0;
    int64_t ns;
    int error = n_whole > 0 ? parse_number(text, n_whole, false, INT64_MAX, &whole) : 0;
    if (error < 0)
        return error;
    if (__builtin_mul_overflow((int64_t)whole, unit, &ns) || __builtin_add_overflow(ns, fraction_ns, &ns))
        return -ERANGE;
    *ret_ns = ns;
    return 0;
}

int parse_percent(const char *text, size_t n_bytes, char *ret_bytes, size_t size_bytes, size_t *ret_n_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i++, n++)
        if (text[i] == '%') {
            if (n_bytes - i < 3 || digit_of(text[i + 1], 16) < 0 || digit_of(text[i + 2], 16) < 0)
                return -EINVAL;
            i += 2;
        }
    if (n > size_bytes)
        return -ERANGE;

    n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        if (text[i] == '%') {
            ret_bytes[n++] = (char)(digit_of(text[i + 1], 16) * 16 + digit_of(text[i + 2], 16));
            i += 2;
        } else {
            ret_bytes[n++] = text[i];
        }
    *ret_n_bytes = n;
    return 0;
}

int parse_refuse(struct sonde_why *ret_why, int code, const char *text, size_t n_bytes, const char *detail)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    if (ret_why == NULL)
        return code;
    *ret_why = (struct sonde_why){.code = code, .call = "parse"};
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool printable = byte >= 0x20 && byte < 0x7f;
        if (n + (printable ? 1 : 3) >= sizeof ret_why->subject)
            break;
        if (printable) {
            ret_why->subject[n++] = (char)byte;
        } else {
            ret_why->subject[n++] = '%';
            ret_why->subject[n++] = hex[byte >> 4];
            ret_why->subject[n++] = hex[byte & 15];
        }
    }
    memcpy(ret_why->detail, detail, strnlen(detail, sizeof ret_why->detail - 1));
    return code;
}
