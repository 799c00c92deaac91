/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* ---- numbers */

const char *count_text(uint64_t count, char ret_text[NUMBER_TEXT])
{
    char digits[NUMBER_TEXT];
    size_t n_digits = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), n = 0;

    for (size_t i = 0; i < n_digits; i++) {
        if (i > 0 && (n_digits - i) % 3 == 0)
            ret_text[n++] = ',';
        ret_text[n++] = digits[i];
    }
    ret_text[n] = '\0';
    return ret_text;
}

const char *bytes_text(uint64_t n_bytes, char ret_text[NUMBER_TEXT])
{
    snprintf(ret_text, NUMBER_TEXT, ngettext("%s byte", "%s bytes", n_bytes), COUNT(n_bytes));
    return ret_text;
}

const char *brief_text(uint64_t count, char ret_text[NUMBER_TEXT])
{
    static const char units[] = "kMGTPE";
    size_t unit = 0;

    if (count < 100000)
        return count_text(count, ret_text);
    for (count /= 1000; count >= 1000; count /= 1000)
        unit++;
    snprintf(ret_text, NUMBER_TEXT, "%" PRIu64 " %c", count, units[unit]);
    return ret_text;
}

/* Three digits of count/unit. False: it takes four. */
static bool three_digits(uint64_t count, uint64_t unit, const char *name, char ret_text[NUMBER_TEXT])
{
    static const unsigned scales[] = {100, 10, 1};

    for (unsigned i = 0; i < 3; i++) {
        double scaled = (double)count * scales[i] / (double)unit + 0.5;
        if (scaled >= 1000)
            continue;
        unsigned digits = (unsigned)scaled, scale = scales[i];
        if (i == 2)
            snprintf(ret_text, NUMBER_TEXT, "%u %s", digits, name);
        else
            snprintf(ret_text, NUMBER_TEXT, "%u.%0*u %s", digits / scale, 2 - (int)i, digits % scale, name);
        return true;
    }
    return false;
}

#define MINUTE_NS (60 * NS_PER_S)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)
#define YEAR_NS (365 * DAY_NS)

const char *duration_text(int64_t time_ns, char ret_text[NUMBER_TEXT])
{
    static const struct {
        const char *name;
        int64_t unit_ns, below_ns;
    } rows[] = {
        {"ms", NS_PER_MS, NS_PER_S}, {"s", NS_PER_S, 2 * MINUTE_NS}, {"min", MINUTE_NS, 2 * HOUR_NS},
        {"h", HOUR_NS, 2 * DAY_NS},  {"days", DAY_NS, YEAR_NS},      {"years", YEAR_NS, INT64_MAX},
    };

    if (time_ns < NS_PER_US) {
        snprintf(ret_text, NUMBER_TEXT, "%s", time_ns > 0 ? "<1 us" : "0 s");
        return ret_text;
    }
    if (time_ns < NS_PER_MS - NS_PER_US / 2) {
        snprintf(ret_text, NUMBER_TEXT, "%" PRId64 " us", (time_ns + NS_PER_US / 2) / NS_PER_US);
        return ret_text;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (time_ns < rows[i].below_ns &&
            three_digits((uint64_t)time_ns, (uint64_t)rows[i].unit_ns, rows[i].name, ret_text))
            return ret_text;
    }
    snprintf(ret_text, NUMBER_TEXT, "292 years"); /* INT64_MAX itself */
    return ret_text;
}

const char *rate_text(uint64_t bytes_per_s, char ret_text[NUMBER_TEXT])
{
    static const char *const names[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s"};
    uint64_t unit = 1;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++, unit *= 1000) {
        if (i == 0 && bytes_per_s < 1000)
            break;
        if (i > 0 && three_digits(bytes_per_s, unit, names[i], ret_text))
            return ret_text;
    }
    snprintf(ret_text, NUMBER_TEXT, "%" PRIu64 " B/s", bytes_per_s);
    return ret_text;
}

const char *address_text(const struct sonde_address *address, char ret_text[NAME_TEXT])
{
    sonde_address_format(address, ret_text, NAME_TEXT);
    return ret_text;
}

unsigned percent_of(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return whole > 0 ? 100 : 0;
    return (unsigned)((double)part * 100 / (double)whole + 0.5);
}

int64_t since(int64_t now_ns, int64_t then_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* ---- sentences */

struct sentences sentences_begin(char *ret_text, size_t size_bytes)
{
    ret_text[0] = '\0';
    return (struct sentences){.text = ret_text, .size_bytes = size_bytes};
}

__attribute__((format(printf, 3, 0))) static void put(struct sentences *to, const char *between, const char *format,
                                                      va_list arguments)
{
    size_t n_before = to->n_bytes, n_between = to->n_bytes > 0 ? strlen(between) : 0;

    if (to->size_bytes - n_before <= n_between)
        return;
    char *at = to->text + n_before + n_between;
    size_t room = to->size_bytes - n_before - n_between;
    int n = vsnprintf(at, room, format, arguments);
    if (n < 0 || (size_t)n >= room) {
        to->text[n_before] = '\0';
        return;
    }
    memcpy(to->text + n_before, between, n_between);
    to->n_bytes = n_before + n_between + (size_t)n;
}

void sentence(struct sentences *sentences, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put(sentences, " ", format, arguments);
    va_end(arguments);
}

void clause(struct sentences *sentences, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put(sentences, "; ", format, arguments);
    va_end(arguments);
}

void say_short(char ret_short[VERDICT_SHORT_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(ret_short, VERDICT_SHORT_MAX, format, arguments) < 0)
        ret_short[0] = '\0';
    va_end(arguments);
}
