/* SPDX-License-Identifier: MIT */
/*
 * A token is counted in parts of 1e9, which is what a rate of one a second adds in each nanosecond: so what a short
 * while adds is never rounded away. Nanoseconds times rate has up to 127 bits, hence the wide numbers.
 */
#include "base/bucket.h"

#define PARTS 1000000000u

__extension__ typedef unsigned __int128 wide;

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t room, int64_t now_ns)
{
    *bucket = (struct bucket){.rate = rate, .room = room, .tokens = room, .filled_ns = now_ns};
}

static void fill(struct bucket *bucket, int64_t now_ns)
{
    if (now_ns <= bucket->filled_ns)
        return;
    uint64_t elapsed_ns = (uint64_t)now_ns - (uint64_t)bucket->filled_ns;
    wide parts = (wide)elapsed_ns * bucket->rate + bucket->part;
    wide tokens = parts / PARTS;

    bucket->filled_ns = now_ns;
    if (tokens >= bucket->room - bucket->tokens) {
        bucket->tokens = bucket->room;
        bucket->part = 0; /* which would not fit either */
    } else {
        bucket->tokens += (uint64_t)tokens;
        bucket->part = (uint32_t)(parts % PARTS);
    }
}

void bucket_change(struct bucket *bucket, uint64_t rate, uint64_t room, int64_t now_ns)
{
    fill(bucket, now_ns);
    bucket->rate = rate;
    bucket->room = room;
    if (bucket->tokens >= room) {
        bucket->tokens = room;
        bucket->part = 0;
    }
}

uint64_t bucket_tokens(struct bucket *bucket, int64_t now_ns)
{
    fill(bucket, now_ns);
    return bucket->tokens;
}

void bucket_take(struct bucket *bucket, uint64_t n)
{
    bucket->tokens -= n < bucket->tokens ? n : bucket->tokens;
}

int64_t bucket_when(const struct bucket *bucket, uint64_t n)
{
    if (n <= bucket->tokens)
        return bucket->filled_ns;
    wide parts = (wide)(n - bucket->tokens) * PARTS - bucket->part;
    wide wait_ns = (parts + bucket->rate - 1) / bucket->rate;

    if (wait_ns > (wide)((uint64_t)INT64_MAX - (uint64_t)bucket->filled_ns))
        return INT64_MAX;
    return (int64_t)((uint64_t)bucket->filled_ns + (uint64_t)wait_ns);
}
