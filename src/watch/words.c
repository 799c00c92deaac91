/* SPDX-License-Identifier: MIT */
#include "watch/words.h"

#include "observe/event/event.h"

#include <inttypes.h>
#include <stdio.h>

static size_t checked(int length)
{
    return length < 0 ? 0 : length < WORDS_MAX ? (size_t)length : WORDS_MAX - 1;
}

size_t words_count(uint64_t count, char *ret_text)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t length = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            ret_text[length++] = ',';
        ret_text[length++] = digits[i];
    }
    ret_text[length] = '\0';
    return length;
}

size_t words_narrow(uint64_t count, char *ret_text)
{
    static const char units[] = "kMGTPE";
    if (count < 10000)
        return words_count(count, ret_text);
    double value = (double)count / 1000;
    const char *unit = units;
    while (value >= 999.5 && unit[1] != '\0') {
        value /= 1000;
        unit++;
    }
    return checked(snprintf(ret_text, WORDS_MAX, value < 9.95 ? "%.1f%c" : "%.0f%c", value, *unit));
}

size_t words_span(int64_t ns, char *ret_text)
{
    double s = (double)ns / NS_PER_S;
    if (ns < NS_PER_MS)
        return checked(snprintf(ret_text, WORDS_MAX, "%" PRId64 " us", ns / NS_PER_US));
    if (ns < NS_PER_S)
        return checked(
            snprintf(ret_text, WORDS_MAX, ns < 10 * NS_PER_MS ? "%.1f ms" : "%.0f ms", (double)ns / NS_PER_MS));
    if (s < 9.95)
        return checked(snprintf(ret_text, WORDS_MAX, "%.1f s", s));
    if (s < 120)
        return checked(snprintf(ret_text, WORDS_MAX, "%.0f s", s));
    if (s < 7200)
        return checked(snprintf(ret_text, WORDS_MAX, "%.0f min", s / 60));
    return checked(snprintf(ret_text, WORDS_MAX, s < 172800 ? "%.1f h" : "%.0f h", s / 3600));
}

size_t words_left(int64_t ns, char *ret_text)
{
    double s = ns > 0 ? (double)ns / NS_PER_S : 0;
    if (s < 9.95)
        return checked(snprintf(ret_text, WORDS_MAX, "%.1fs", s));
    if (s < 99.5)
        return checked(snprintf(ret_text, WORDS_MAX, "%.0fs", s));
    if (s < 5970)
        return checked(snprintf(ret_text, WORDS_MAX, "%.0fm", s / 60));
    return checked(snprintf(ret_text, WORDS_MAX, "%.0fh", s / 3600));
}
