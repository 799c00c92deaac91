/* SPDX-License-Identifier: MIT */
/*
 * The contract suite: what the library promises, tested on each engine.
 *
 * A test is a function that is given a fresh loop. Around it stand a watchdog, for what hangs, and checks for what was
 * left behind: after the test the loop must let itself be destroyed, with no descriptor left open and no memory left
 * allocated. Tests wait for conditions (until), never for times.
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scripted.h"

#include <errno.h>
#include <sonde/sonde.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* An allocator that counts, and that can be made to fail once. Threads may share it. */
struct memory {
    atomic_long n_live, n_calls;
    atomic_size_t n_bytes, most_bytes;
    long fail_at; /* which allocation has none, counted from 1; 0: no one */
    atomic_bool failed;
};

struct contract {
    const char *engine; /* "uring", "epoll", "scripted", "direct" */
    enum sonde_engine kind;
    bool scripted;
    unsigned n_direct; /* places of the loop's table, for loops that are made from now on; 0: there is none */
    struct script script;
    struct memory memory;
    struct sonde_loop *loop;
    char note[96]; /* said by the watchdog: how far the test has come */
};

struct contract_test {
    const char *name;
    void (*function)(struct contract *c);
};

/* clang-format off */
#define CONTRACT_TEST(function) {#function, function}
/* clang-format on */

/* Run the tests on the engines that the arguments name, or on all. Returns main's status: 77 when the only engine that
 * was asked for does not work here. */
int contract_main(int argc, char **argv, const struct contract_test *tests, size_t n_tests);

/* A further loop on the test's engine, with a script of its own. */
int contract_create_loop(struct contract *c, struct script *script, unsigned n_mailbox, struct sonde_loop **ret_loop);

/* Destroy the test's loop, which must work, and make a new one. */
void contract_new_loop(struct contract *c);

/* Run the loop until nothing is open. */
void contract_run(struct contract *c);

/* Set the library's clock forward: whatever waits for a time until then has waited long enough. Order is certain so,
 * where a short time could be over before the thing that it must not be over before. until() is not set forward. */
void contract_jump(int64_t ns);

/* Run the loop for a little, and at least once round. */
void contract_turn(struct contract *c);
void some_turns(struct contract *c);

/* Run the loop until the condition holds; fail when it does not in a long time. */
#define until(c, condition)                                                                                            \
    do {                                                                                                               \
        int64_t until_deadline_ns = contract_deadline_ns();                                                            \
        while (!(condition)) {                                                                                         \
            contract_check_deadline(c, until_deadline_ns, #condition, __FILE__, __LINE__);                             \
            contract_turn(c);                                                                                          \
        }                                                                                                              \
    } while (0)

int64_t contract_deadline_ns(void);
void contract_check_deadline(const struct contract *c, int64_t deadline_ns, const char *condition, const char *file,
                             int line);

/* A call of the library, inside which nothing may call back. */
extern _Thread_local int contract_calling;

#define CALL(expression)                                                                                               \
    __extension__({                                                                                                    \
        contract_calling++;                                                                                            \
        __auto_type call_result = (expression);                                                                        \
        contract_calling--;                                                                                            \
        call_result;                                                                                                   \
    })
#define DO(statement)                                                                                                  \
    do {                                                                                                               \
        contract_calling++;                                                                                            \
        statement;                                                                                                     \
        contract_calling--;                                                                                            \
    } while (0)

unsigned contract_n_fds(void);

struct sonde_url contract_url(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A path for a UNIX socket that no other test uses; static. */
const char *contract_path(void);

#endif
