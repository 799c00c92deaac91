/* SPDX-License-Identifier: MIT */
/* The n-th allocation fails, for every n: reassembly is built in here with an allocator that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

static long n_left = -1; /* allocations that work; negative: all */

static bool refused(void)
{
    if (n_left == 0)
        return true;
    n_left -= n_left > 0;
    return false;
}

static void *count_calloc(size_t n, size_t n_bytes)
{
    return refused() ? NULL : calloc(n, n_bytes);
}

static void *count_realloc(void *memory, size_t n_bytes)
{
    return refused() ? NULL : realloc(memory, n_bytes);
}

#define calloc count_calloc
#define realloc count_realloc
#include "observe/decode/reassembly.c"
#undef calloc
#undef realloc

static struct made made;

#define N_PARTS 10
#define PART_BYTES 1480

/* Of a datagram whose buffer has to grow. True: it became whole. */
static bool give_all(struct reassembly *reassembly)
{
    uint8_t part[PART_BYTES] = {0x13, 0x88, 0, 53, (N_PARTS * PART_BYTES) >> 8, (N_PARTS * PART_BYTES) & 0xff, 0, 0};
    struct decoded fragment, found;
    bool is_whole = false;

    for (unsigned i = 0; i < N_PARTS; i++) {
        made.n_bytes = 0;
        add_ethernet(&made, ETHER_IPV4);
        add_ipv4(&made, IPPROTO_UDP, i * PART_BYTES / 8 | (i + 1 < N_PARTS ? 0x2000u : 0), "", 0);
        add(&made, part, sizeof part);
        finish_ipv4(&made);
        decode_packet(TYPE_ETHERNET, made.data, made.n_bytes, made.n_bytes, 0, &fragment);
        is_whole = reassembly_add(reassembly, i, &fragment, made.data, made.n_bytes, &found);
    }
    return is_whole;
}

static void every_allocation_fails(void **state)
{
    (void)state;
    n_left = 0;
    assert_null(reassembly_new());
    bool is_whole = false;
    long n;
    for (n = 0; !is_whole; n++) {
        assert_in_range(n, 0, 10);
        n_left = -1;
        struct reassembly *reassembly = reassembly_new();
        assert_non_null(reassembly);
        n_left = n;
        is_whole = give_all(reassembly);
        assert_int_equal(reassembly_n_lost(reassembly), !is_whole);
        n_left = -1;
        reassembly_free(reassembly);
    }
    assert_in_range(n, 3, 10);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
