/* SPDX-License-Identifier: MIT */
/* Numbers as people read them: commas, units, few digits. Pure. Each writes at most WORDS_MAX bytes with the NUL. */
#ifndef WATCH_WORDS_H
#define WATCH_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 32

size_t words_count(uint64_t count, char *ret_text);  /* 3,656 */
size_t words_narrow(uint64_t count, char *ret_text); /* five columns: 9,999 then 10k, 1.2M, 12G */
size_t words_span(int64_t ns, char *ret_text);       /* 25 us, 212 ms, 9.3 s, 41 s, 12 min, 3.2 h */
size_t words_left(int64_t ns, char *ret_text);       /* of a timer, four columns: 0.5s, 41s, 71m, 2h */

#endif
