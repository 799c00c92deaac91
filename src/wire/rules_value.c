/* SPDX-License-Identifier: MIT */
/*
 * Values of the rules' language: decimal numbers with units, to whole nanoseconds, bytes, bits a second and millionths.
 * Nothing is rounded: what is finer than that is refused.
 */
#include "wire/rules_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18
#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

__extension__ typedef unsigned __int128 wide;

/* digits / 10^n_decimals */
struct decimal {
    uint64_t digits;
    unsigned n_decimals;
    const char *text;
    size_t n_text;
};

struct unit {
    char word[8];
    uint64_t times;
};

static const struct unit time_units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"\xc2\xb5s", NS_PER_US}, /* micro sign */
    {"\xce\xbcs", NS_PER_US}, /* Greek mu */
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"sec", NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"min", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
};

/* As in the rest of the program: a lone k of a size is 1024. */
static const struct unit size_units[] = {
    {"b", 1},
    {"byte", 1},
    {"bytes", 1},
    {"k", 1024},
    {"kib", 1024},
    {"m", 1024 * 1024},
    {"mib", 1024 * 1024},
    {"g", 1024 * 1024 * 1024},
    {"gib", 1024 * 1024 * 1024},
    {"kb", 1000},
    {"mb", 1000000},
    {"gb", 1000000000},
};

static const struct unit packet_units[] = {
    {"packets", 1}, {"packet", 1}, {"pkts", 1}, {"pkt", 1}, {"p", 1},
};

static const struct unit rate_prefixes[] = {
    {"ki", 1024}, {"mi", 1024 * 1024}, {"gi", 1024 * 1024 * 1024}, {"k", 1000}, {"m", 1000000}, {"g", 1000000000},
    {"", 1},
};

/* b is a bit and B a byte: where one letter says which, its case counts. */
static const struct {
    char word[8];
    uint64_t times;
    bool case_counts;
} rate_units[] = {
    {"bit", 1, false}, {"bit/s", 1, false}, {"bits/s", 1, false}, {"bitps", 1, false},
    {"b/s", 1, true},  {"bps", 1, true},    {"B/s", 8, true},     {"Bps", 8, true},
};

bool scan_refuse(struct scan *scan, const char *format, ...)
{
    va_list arguments;

    if (scan->detail[0] != '\0')
        return false;
    va_start(arguments, format);
    vsnprintf(scan->detail, sizeof scan->detail, format, arguments);
    va_end(arguments);
    return false;
}

bool scan_more(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || (*scan->at >= '\t' && *scan->at <= '\r')))
        scan->at++;
    return scan->at < scan->end;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

bool scan_at_number(struct scan *scan)
{
    if (!scan_more(scan))
        return false;
    char byte = *scan->at;
    return is_digit(byte) || (byte == '.' && scan->at + 1 < scan->end && is_digit(scan->at[1]));
}

bool scan_take(struct scan *scan, const char *bytes)
{
    size_t n = strlen(bytes);

    if (!scan_more(scan) || (size_t)(scan->end - scan->at) < n || memcmp(scan->at, bytes, n) != 0)
        return false;
    scan->at += n;
    return true;
}

bool scan_word(struct scan *scan, char ret_word[RULE_WORD_SIZE])
{
    size_t n = 0;

    if (!scan_more(scan) || !is_letter(*scan->at))
        return false;
    while (scan->at + n < scan->end &&
           (is_letter(scan->at[n]) || (n > 0 && (is_digit(scan->at[n]) || strchr("-_+", scan->at[n]) != NULL))))
        n++;
    if (n >= RULE_WORD_SIZE)
        return false;
    memcpy(ret_word, scan->at, n);
    ret_word[n] = '\0';
    scan->at += n;
    return true;
}

/* What of is missing is said with an example. */
static bool read_decimal(struct scan *scan, const char *example, struct decimal *ret_decimal)
{
    struct decimal decimal = {0};
    unsigned n_digits = 0;
    bool in_decimals = false;

    if (!scan_at_number(scan)) {
        if (scan->at < scan->end && *scan->at == '-')
            return scan_refuse(scan, "it cannot be negative");
        return scan_refuse(scan, "expected a value, such as %s", example);
    }
    decimal.text = scan->at;
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '.' && !in_decimals) {
            in_decimals = true;
            continue;
        }
        if (!is_digit(*scan->at))
            break;
        if (decimal.digits != 0 || *scan->at != '0')
            n_digits++;
        if (n_digits > DIGITS_MAX || (in_decimals && decimal.n_decimals == DIGITS_MAX))
            return scan_refuse(scan, "that number has too many digits");
        decimal.digits = decimal.digits * 10 + (uint64_t)(*scan->at - '0');
        decimal.n_decimals += in_decimals;
    }
    decimal.n_text = (size_t)(scan->at - decimal.text);
    *ret_decimal = decimal;
    return true;
}

static int times(const struct decimal *decimal, uint64_t unit, uint64_t most, uint64_t *ret_whole)
{
    wide product = (wide)decimal->digits * unit;

    for (unsigned i = 0; i < decimal->n_decimals; i++) {
        if (product % 10 != 0)
            return -EINVAL;
        product /= 10;
    }
    if (product > most)
        return -ERANGE;
    *ret_whole = (uint64_t)product;
    return 0;
}

/* The letters that come next, with what else stands in units. They are not taken. */
static size_t unit_length(struct scan *scan)
{
    size_t n = 0;

    if (!scan_more(scan))
        return 0;
    while (scan->at + n < scan->end && (is_letter(scan->at[n]) || (n > 0 && scan->at[n] == '/') ||
                                        (strchr("\xc2\xce", scan->at[n]) != NULL && scan->at + n + 1 < scan->end &&
                                         (scan->at[n + 1] == '\xb5' || scan->at[n + 1] == '\xbc'))))
        n += scan->at[n] == '\xc2' || scan->at[n] == '\xce' ? 2 : 1;
    return n;
}

static bool take_unit(struct scan *scan, const struct unit *units, size_t n_units, uint64_t *ret_times)
{
    size_t n = unit_length(scan);

    for (size_t i = 0; i < n_units; i++) {
        if (strlen(units[i].word) == n && n > 0 && strncasecmp(units[i].word, scan->at, n) == 0) {
            scan->at += n;
            *ret_times = units[i].times;
            return true;
        }
    }
    return false;
}

static bool is_zero(const struct decimal *decimal)
{
    return decimal->digits == 0;
}

bool scan_duration(struct scan *scan, int64_t most_ns, int64_t *ret_ns)
{
    struct decimal decimal;
    uint64_t unit, ns;

    if (!read_decimal(scan, "20ms", &decimal))
        return false;
    if (!take_unit(scan, time_units, N_ROWS(time_units), &unit)) {
        if (!is_zero(&decimal))
            return scan_refuse(scan, "a time needs its unit: %.*sms, say, or us or s", (int)decimal.n_text,
                               decimal.text);
        unit = 1;
    }
    int error = times(&decimal, unit, (uint64_t)most_ns, &ns);
    if (error == -EINVAL)
        return scan_refuse(scan, "a time cannot be finer than a nanosecond");
    if (error != 0)
        return scan_refuse(scan, "a time this long is not kept: at most %" PRId64 " h", most_ns / (3600 * NS_PER_S));
    *ret_ns = (int64_t)ns;
    return true;
}

bool scan_share(struct scan *scan, uint32_t *ret_ppm)
{
    struct decimal decimal;
    uint64_t ppm;

    if (!read_decimal(scan, "1%", &decimal))
        return false;
    if (!scan_take(scan, "%")) {
        if (decimal.n_decimals > 0)
            return scan_refuse(scan, "a share needs a percent sign: one in a hundred is 1%%, not 0.01");
        return scan_refuse(scan, "a share needs a percent sign: %.*s%%", (int)decimal.n_text, decimal.text);
    }
    int error = times(&decimal, PPM_ALL / 100, PPM_ALL, &ppm);
    if (error == -EINVAL)
        return scan_refuse(scan, "a share cannot be finer than 0.0001%%");
    if (error != 0)
        return scan_refuse(scan, "a share cannot be more than 100%%");
    *ret_ppm = (uint32_t)ppm;
    return true;
}

/* "Mbit/s": a prefix in either case, and the rest; bit may be in either case, b and B may not. */
static bool rate_unit(const char *text, size_t n, uint64_t *ret_times)
{
    for (size_t i = 0; i < N_ROWS(rate_prefixes); i++) {
        size_t n_prefix = strlen(rate_prefixes[i].word), n_rest = n - n_prefix;
        if (n < n_prefix || strncasecmp(text, rate_prefixes[i].word, n_prefix) != 0)
            continue;
        for (size_t j = 0; j < N_ROWS(rate_units); j++) {
            const char *word = rate_units[j].word;
            if (strlen(word) != n_rest)
                continue;
            int (*compare)(const char *, const char *, size_t) = rate_units[j].case_counts ? strncmp : strncasecmp;
            if (compare(text + n_prefix, word, n_rest) == 0) {
                *ret_times = rate_prefixes[i].times * rate_units[j].times;
                return true;
            }
        }
    }
    return false;
}

bool scan_rate(struct scan *scan, uint64_t *ret_bits_per_s)
{
    struct decimal decimal;
    uint64_t unit, bits;

    if (!read_decimal(scan, "10Mbit", &decimal))
        return false;
    size_t n = unit_length(scan);
    if (n == 0 || !rate_unit(scan->at, n, &unit))
        return scan_refuse(scan, "a rate needs its unit: kbit, Mbit or Gbit (a second), or kB/s, MB/s");
    scan->at += n;
    int error = times(&decimal, unit, RATE_MAX, &bits);
    if (error == -EINVAL)
        return scan_refuse(scan, "a rate is a whole number of bits a second");
    if (error != 0)
        return scan_refuse(scan, "a rate is at most 1000Gbit");
    if (bits == 0)
        return scan_refuse(scan, "a rate of nothing lets nothing pass: write stop");
    *ret_bits_per_s = bits;
    return true;
}

bool scan_count(struct scan *scan, const char *of, uint64_t least, uint64_t most, uint64_t *ret_count)
{
    struct decimal decimal;
    uint64_t count;

    if (!scan_at_number(scan))
        return scan_refuse(scan, "expected %s", of);
    if (!read_decimal(scan, "1", &decimal))
        return false;
    int error = times(&decimal, 1, most, &count);
    if (error == -EINVAL || decimal.n_decimals > 0)
        return scan_refuse(scan, "expected %s: a whole number", of);
    if (error == 0 && count < least && least == 1)
        return scan_refuse(scan, "expected %s: 1 is the least", of);
    if (error != 0 || count < least)
        return scan_refuse(scan, "expected %s: from %" PRIu64 " to %" PRIu64, of, least, most);
    *ret_count = count;
    return true;
}

bool scan_queue(struct scan *scan, struct wire_rule *rule)
{
    struct decimal decimal;
    uint64_t unit, whole = 0;
    int error;

    if (!read_decimal(scan, "64KiB, 100ms or 50 packets", &decimal))
        return false;
    /* "m" would be minutes and mebibytes: of a queue it is neither. */
    bool lone_m = unit_length(scan) == 1 && (*scan->at == 'm' || *scan->at == 'M');
    if (!lone_m && take_unit(scan, time_units, N_ROWS(time_units), &unit)) {
        error = times(&decimal, unit, DELAY_MAX_NS, &whole);
        rule->queue_ns = (int64_t)whole;
    } else if (!lone_m && take_unit(scan, size_units, N_ROWS(size_units), &unit)) {
        error = times(&decimal, unit, QUEUE_BYTES_MAX, &whole);
        rule->queue_bytes = whole;
    } else if (take_unit(scan, packet_units, N_ROWS(packet_units), &unit)) {
        error = times(&decimal, unit, QUEUE_PACKETS_MAX, &whole);
        rule->queue_packets = (uint32_t)whole;
    } else {
        return scan_refuse(scan, "a queue needs its unit: 64KiB, 100ms or 50 packets");
    }
    if (error == -EINVAL)
        return scan_refuse(scan, "a queue is of whole bytes, nanoseconds or packets");
    if (error != 0)
        return scan_refuse(scan, "a queue is of at most 1024GiB, 1h or 1048576 packets");
    if (whole == 0)
        return scan_refuse(scan, "a queue has room for something: 1 packet is the least");
    return true;
}
