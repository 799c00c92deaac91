/* SPDX-License-Identifier: MIT */
/* Numbers with units. Not strtod: its decimal point depends on the locale, and a fraction must not be rounded. */
#include "cli/option.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *suffix;
    long long factor;
};

static const struct unit count_units[] = {
    {"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}, {"T", 1000000000000}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1}, {"k", 1ll << 10}, {"M", 1ll << 20}, {"G", 1ll << 30}, {"T", 1ll << 40}, {NULL, 0},
};

/* Seconds need no suffix; the rest from the smallest up, for option_format_duration. */
static const struct unit duration_units[] = {
    {"", 1000000000},  {"ns", 1},          {"us", 1000},         {"ms", 1000000},
    {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
    {NULL, 0},
};

/* [-] DIGITS [. DIGITS] SUFFIX, the suffix in either case. What is behind the point must come out even in the unit:
 * half a byte is refused. */
static bool read_number(const char *text, const struct unit *units, long long *ret_number)
{
    bool negative = *text == '-';
    const char *number = negative ? text + 1 : text;
    const char *whole_end = number + strspn(number, "0123456789");
    const char *fraction = *whole_end == '.' ? whole_end + 1 : whole_end;
    const char *end = fraction + strspn(fraction, "0123456789");
    if (whole_end == number && end == fraction)
        return false;
    const struct unit *unit = units;
    while (unit->suffix && strcasecmp(unit->suffix, end) != 0)
        unit++;
    if (!unit->suffix)
        return false;
    long long result = 0;
    for (const char *c = number; c < whole_end; c++) {
        if (__builtin_mul_overflow(result, 10, &result) || __builtin_add_overflow(result, *c - '0', &result))
            return false;
    }
    if (__builtin_mul_overflow(result, unit->factor, &result))
        return false;
    long long scale = unit->factor;
    for (const char *c = fraction; c < end; c++) {
        if (*c != '0' && scale % 10 != 0)
            return false;
        scale /= 10;
        if (__builtin_add_overflow(result, (*c - '0') * scale, &result))
            return false;
    }
    *ret_number = negative ? -result : result;
    return true;
}

bool option_parse_count(const char *text, long long *ret_count)
{
    return read_number(text, count_units, ret_count);
}

bool option_parse_size(const char *text, long long *ret_bytes)
{
    return read_number(text, size_units, ret_bytes);
}

bool option_parse_duration(const char *text, long long *ret_ns)
{
    return read_number(text, duration_units, ret_ns);
}

size_t option_format_duration(long long ns, char *ret_text, size_t size_bytes)
{
    const struct unit *best = &duration_units[1];
    for (const struct unit *unit = best; unit->suffix && ns != 0; unit++) {
        if (ns % unit->factor == 0)
            best = unit;
    }
    int length = snprintf(ret_text, size_bytes, "%lld%s", ns / best->factor, ns == 0 ? "s" : best->suffix);
    return (size_t)length < size_bytes ? (size_t)length : size_bytes - 1;
}
