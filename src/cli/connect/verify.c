/* SPDX-License-Identifier: MIT */
#include "cli/connect/verify.h"

#include <stdlib.h>
#include <string.h>

bool verify_open(struct verify *verify)
{
    *verify = (struct verify){.ring = malloc(VERIFY_MAX)};
    return verify->ring != NULL;
}

void verify_restart(struct verify *verify)
{
    *verify = (struct verify){.ring = verify->ring};
}

void verify_free(struct verify *verify)
{
    free(verify->ring);
    verify->ring = NULL;
}

size_t verify_room(const struct verify *verify)
{
    return VERIFY_MAX - verify->n_bytes;
}

/* How much of n_bytes at that place of the ring lies in one piece. */
static size_t in_one_piece(size_t at, size_t n_bytes)
{
    return n_bytes < VERIFY_MAX - at ? n_bytes : VERIFY_MAX - at;
}

void verify_sent(struct verify *verify, const void *data, size_t n_bytes)
{
    size_t at = (verify->begin + verify->n_bytes) % VERIFY_MAX, n_first = in_one_piece(at, n_bytes);

    memcpy(verify->ring + at, data, n_first);
    memcpy(verify->ring, (const char *)data + n_first, n_bytes - n_first);
    verify->n_bytes += n_bytes;
    verify->n_sent += n_bytes;
}

static void take(struct verify *verify, size_t n_bytes)
{
    verify->begin = (verify->begin + n_bytes) % VERIFY_MAX;
    verify->n_bytes -= n_bytes;
    verify->n_returned += n_bytes;
}

/* data begins with the first byte that is wrong. */
static void note_difference(struct verify *verify, const unsigned char *data, size_t n_bytes)
{
    verify->n_expected = verify->n_bytes < VERIFY_SHOWN ? verify->n_bytes : VERIFY_SHOWN;
    verify->n_came = n_bytes < VERIFY_SHOWN ? n_bytes : VERIFY_SHOWN;
    for (size_t i = 0; i < verify->n_expected; i++)
        verify->expected[i] = verify->ring[(verify->begin + i) % VERIFY_MAX];
    memcpy(verify->came, data, verify->n_came);
    verify->verdict = verify->n_bytes == 0 ? VERIFY_MORE : VERIFY_DIFFERS;
}

enum verify_verdict verify_received(struct verify *verify, const void *data, size_t n_bytes)
{
    const unsigned char *came = data;

    while (n_bytes > 0 && verify->verdict == VERIFY_SAME) {
        const unsigned char *expected = verify->ring + verify->begin;
        size_t n = in_one_piece(verify->begin, verify->n_bytes < n_bytes ? verify->n_bytes : n_bytes), n_same = n;

        if (memcmp(expected, came, n) != 0) {
            n_same = 0;
            while (expected[n_same] == came[n_same])
                n_same++;
        }
        take(verify, n_same);
        came += n_same;
        n_bytes -= n_same;
        if (n_same < n || n == 0)
            note_difference(verify, came, n_bytes);
    }
    return verify->verdict;
}
