/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/peer_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5000 };

struct memory {
    long n_live, n_calls, fail_from; /* from this allocation on there is none; 0: always some */
};

static void *take(size_t size_bytes, void *user)
{
    struct memory *memory = user;

    if (memory->fail_from > 0 && ++memory->n_calls >= memory->fail_from)
        return NULL;
    memory->n_live++;
    return malloc(size_bytes);
}

static void give_back(void *bytes, size_t size_bytes, void *user)
{
    (void)size_bytes;
    ((struct memory *)user)->n_live--;
    free(bytes);
}

static struct sonde_loop *loop_with(struct memory *memory)
{
    const struct sonde_allocator allocator = {take, give_back, memory};
    const struct sonde_loop_options options = {
        .size = sizeof options, .engine = SONDE_ENGINE_EPOLL, .allocator = &allocator};
    struct sonde_loop *loop;

    assert_int_equal(sonde_loop_create(&options, &loop, NULL), 0);
    return loop;
}

/* Number i, at our address `local`. */
static struct peer_key key_of(unsigned i, uint8_t local)
{
    struct peer_key key = {.n_bytes = sizeof i + 1, .n_hashed = sizeof i};

    memcpy(key.bytes, &i, sizeof i);
    key.bytes[sizeof i] = local;
    return key;
}

static struct peer_node nodes[N];

static void fill(struct peer_table *table)
{
    for (unsigned i = 0; i < N; i++) {
        nodes[i] = (struct peer_node){.key = key_of(i, 1)};
        assert_null(peer_table_find(table, &nodes[i].key));
        peer_table_add(table, &nodes[i]);
    }
    assert_int_equal(table->n, N);
}

static void found_and_removed(void **state)
{
    struct memory memory = {0};
    struct sonde_loop *loop = loop_with(&memory);
    struct peer_table table;

    (void)state;
    assert_int_equal(peer_table_create(&table, loop), 0);
    fill(&table);
    assert_true(table.n_buckets >= N / 2);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(peer_table_find(&table, &nodes[i].key), &nodes[i]);
    for (unsigned i = 0; i < N; i += 2)
        peer_table_remove(&table, &nodes[i]);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(peer_table_find(&table, &nodes[i].key), i % 2 == 0 ? NULL : &nodes[i]);
    assert_int_equal(table.n, N / 2);
    peer_table_free(&table);
    assert_int_equal(sonde_loop_destroy(loop), 0);
    assert_int_equal(memory.n_live, 0);
}

/* The same peer at two addresses of ours is two; both are found by the peer alone. */
static void alike(void **state)
{
    struct memory memory = {0};
    struct sonde_loop *loop = loop_with(&memory);
    struct peer_node other = {.key = key_of(7, 2)};
    struct peer_table table;
    unsigned n_seen = 0;

    (void)state;
    assert_int_equal(peer_table_create(&table, loop), 0);
    fill(&table);
    assert_null(peer_table_find(&table, &other.key));
    peer_table_add(&table, &other);
    assert_ptr_equal(peer_table_find(&table, &other.key), &other);
    assert_ptr_equal(peer_table_find(&table, &nodes[7].key), &nodes[7]);
    const struct peer_key like = key_of(7, 9);
    for (struct peer_node *node = NULL; (node = peer_table_next_like(&table, node, &like)) != NULL; n_seen++)
        assert_true(node == &other || node == &nodes[7]);
    assert_int_equal(n_seen, 2);
    peer_table_free(&table);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

/* What is not all hashed is not the same as what is. */
static void lengths(void **state)
{
    struct memory memory = {0};
    struct sonde_loop *loop = loop_with(&memory);
    struct peer_node longer = {.key = {.n_bytes = 3, .n_hashed = 3, .bytes = "ab"}};
    struct peer_node shorter = {.key = {.n_bytes = 2, .n_hashed = 2, .bytes = "ab"}};
    struct peer_table table;

    (void)state;
    assert_int_equal(peer_table_create(&table, loop), 0);
    peer_table_add(&table, &longer);
    assert_null(peer_table_find(&table, &shorter.key));
    peer_table_add(&table, &shorter);
    assert_ptr_equal(peer_table_find(&table, &shorter.key), &shorter);
    assert_ptr_equal(peer_table_find(&table, &longer.key), &longer);
    peer_table_free(&table);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

/* Without memory there is no table; a table that can't grow goes on. */
static void no_memory(void **state)
{
    struct memory memory = {0};
    struct sonde_loop *loop = loop_with(&memory);
    struct peer_table table;

    (void)state;
    memory.fail_from = 1;
    assert_int_equal(peer_table_create(&table, loop), -ENOMEM);
    memory.fail_from = 0;
    assert_int_equal(peer_table_create(&table, loop), 0);
    memory.fail_from = 1;
    fill(&table);
    assert_int_equal(table.n_buckets, 16);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(peer_table_find(&table, &nodes[i].key), &nodes[i]);
    memory.fail_from = 0;
    peer_table_free(&table);
    assert_int_equal(sonde_loop_destroy(loop), 0);
    assert_int_equal(memory.n_live, 0);
}

/* Nobody can know which addresses share a chain. */
static void seeded(void **state)
{
    struct memory memory = {0};
    struct sonde_loop *loop = loop_with(&memory);
    struct peer_table table, another;
    struct peer_node node = {.key = key_of(1, 1)}, same = {.key = key_of(1, 1)};

    (void)state;
    assert_int_equal(peer_table_create(&table, loop), 0);
    assert_int_equal(peer_table_create(&another, loop), 0);
    assert_true(table.seed != another.seed);
    peer_table_add(&table, &node);
    peer_table_add(&another, &same);
    assert_true(node.hash != same.hash);
    peer_table_free(&table);
    peer_table_free(&another);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_and_removed), cmocka_unit_test(alike),  cmocka_unit_test(lengths),
        cmocka_unit_test(no_memory),         cmocka_unit_test(seeded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
