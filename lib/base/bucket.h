/* SPDX-License-Identifier: MIT */
/*
 * Token buckets: so many tokens a second, of which no more than room are saved up. Pure: the time is told. It is the
 * caller's clock, in nanoseconds, and does not go back.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdint.h>

struct bucket {
    uint64_t rate; /* tokens a second, not 0 */
    uint64_t room; /* not 0 */
    uint64_t tokens;
    uint32_t part;     /* of the next token: so many 1e9ths */
    int64_t filled_ns; /* when tokens were added last */
};

/* Full at first. */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t room, int64_t now_ns);

/* Another rate, another room; the tokens stay, as far as there is room for them. */
void bucket_change(struct bucket *bucket, uint64_t rate, uint64_t room, int64_t now_ns);

/* How many tokens are there. */
uint64_t bucket_tokens(struct bucket *bucket, int64_t now_ns);

/* Take so many, or all when there are fewer. */
void bucket_take(struct bucket *bucket, uint64_t n);

/* The first nanosecond at which so many tokens are there, if none is taken before; n is at most room. INT64_MAX when
 * that is beyond what can be told. */
int64_t bucket_when(const struct bucket *bucket, uint64_t n);

#endif
