// SPDX-License-Identifier: MIT
/* Times, spans and counts as they stand in ladders and tables. */
#include "observe/ladder/ladder_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIME_CELLS 10
#define DIGITS 3

void ladder_tag(unsigned n, char ret_tag[8])
{
    char reversed[8];
    size_t length = 0;
    uint64_t rest = (uint64_t)n + 1;
    while (rest > 0) {
        rest--;
        reversed[length++] = (char)('a' + rest % 26);
        rest /= 26;
    }
    for (size_t i = 0; i < length; i++)
        ret_tag[i] = reversed[length - 1 - i];
    ret_tag[length] = '\0';
}

void ladder_time_text(int64_t since_ns, char ret_text[16])
{
    if (since_ns < 0) {
        ret_text[0] = '-';
        char span[16];
        ladder_delta_text(since_ns == INT64_MIN ? INT64_MAX : -since_ns, false, span);
        snprintf(ret_text + 1, 15, "%.14s", span);
        return;
    }
    int64_t seconds = since_ns / NS_PER_S;
    unsigned ns = (unsigned)(since_ns % NS_PER_S);
    char text[40];
    int length = snprintf(text, sizeof text, "%" PRId64 ".%03u %03u", seconds, ns / 1000000, ns / 1000 % 1000);
    /* Digits behind go as those before the point come. Nothing may end in the point or the blank. */
    if (length > TIME_CELLS)
        length = TIME_CELLS;
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '.'))
        length--;
    memcpy(ret_text, text, (size_t)length);
    ret_text[length] = '\0';
}

/* Three digits in all; zeros behind the point say nothing and go. No floating point: its point is the locale's. */
void digits_text(uint64_t thousandths, unsigned n_behind_least, char *ret_text, size_t size_bytes)
{
    uint64_t whole = thousandths / 1000;
    unsigned n_whole = whole >= 100 ? 3 : whole >= 10 ? 2 : thousandths >= 100 ? 1 : 0;
    unsigned n_behind = DIGITS - n_whole;
    if (n_behind < n_behind_least)
        n_behind = n_behind_least;
    static const uint64_t steps[] = {1000, 100, 10, 1};
    uint64_t step = steps[n_behind];
    uint64_t rounded = (thousandths + step / 2) / step * step;
    snprintf(ret_text, size_bytes, "%" PRIu64 ".%03" PRIu64, rounded / 1000, rounded % 1000);
    size_t length = strlen(ret_text);
    while (ret_text[length - 1] == '0')
        length--;
    if (ret_text[length - 1] == '.')
        length--;
    ret_text[length] = '\0';
}

void ladder_delta_text(int64_t ns, bool plus, char ret_text[16])
{
    const char *sign = ns < 0 ? "-" : plus ? "+" : "";
    const char *blank = plus ? "" : " ";
    uint64_t span = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char digits[32];
    if (span < 1000 && span > 0) {
        snprintf(ret_text, 16, "%s%u%sns", sign, (unsigned)span, blank);
    } else if (span < 999500) {
        digits_text(span, 0, digits, sizeof digits);
        snprintf(ret_text, 16, "%s%.9s%sus", sign, digits, blank);
    } else if (span < 999500000) {
        digits_text(span / 1000, 0, digits, sizeof digits);
        snprintf(ret_text, 16, "%s%.9s%sms", sign, digits, blank);
    } else {
        /* Rows far apart are subtracted by whoever reads them: their differences keep the hundredths. */
        uint64_t thousandths = span / 1000000;
        digits_text(thousandths, plus && thousandths < 1000000 ? 2 : 0, digits, sizeof digits);
        snprintf(ret_text, 16, "%s%.11s%ss", sign, digits, blank);
    }
}

void ladder_count_text(uint64_t n, char ret_text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            ret_text[at++] = ',';
        ret_text[at++] = digits[i];
    }
    ret_text[at] = '\0';
}
