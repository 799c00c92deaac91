/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors that are not sonde's. */
#include "contract.h"

#include <fcntl.h>
#include <sonde/poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- polls ------------------------------------------------------------------------------------------------------ */

struct watch {
    struct contract *c;
    struct sonde_poll *poll;
    unsigned events, n_ready;
    bool closed;
    void (*on_ready)(struct watch *watch);
};

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct watch *watch = user;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(watch->poll, poll);
    assert_false(watch->closed);
    assert_true(events != 0);
    watch->events = events;
    watch->n_ready++;
    if (watch->on_ready != NULL)
        watch->on_ready(watch);
}

static void on_watch_closed(void *user)
{
    struct watch *watch = user;

    assert_int_equal(contract_calling, 0);
    assert_false(watch->closed);
    watch->closed = true;
}

static const struct sonde_poll_handler watch_handler = {.ready = on_ready, .closed = on_watch_closed};

static void watch_open(struct watch *watch, struct contract *c, int fd)
{
    watch->c = c;
    assert_int_equal(CALL(sonde_poll_create(c->loop, fd, &watch_handler, watch, &watch->poll)), 0);
}

static void watch_for(struct watch *watch, unsigned events)
{
    watch->events = 0;
    assert_int_equal(CALL(sonde_poll_start(watch->poll, events)), 0);
}

static void watch_close(struct watch *watch)
{
    DO(sonde_poll_close(watch->poll));
    DO(sonde_poll_close(watch->poll));
    assert_false(watch->closed);
    until(watch->c, watch->closed);
}

static void poll_a_pipe(struct contract *c)
{
    struct watch reader = {0}, writer = {0};
    int ends[2];
    char bytes[4096] = "";

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    watch_open(&reader, c, ends[0]);
    watch_open(&writer, c, ends[1]);
    contract_run(c); /* neither waits: nothing is open */

    watch_for(&reader, SONDE_READABLE);
    some_turns(c);
    assert_int_equal(reader.n_ready, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    until(c, reader.n_ready == 1);
    assert_int_equal(reader.events, SONDE_READABLE);
    some_turns(c);
    assert_int_equal(reader.n_ready, 1); /* once */
    watch_for(&reader, SONDE_READABLE);
    until(c, reader.n_ready == 2); /* it is still there */
    assert_int_equal(read(ends[0], bytes, 1), 1);

    watch_for(&writer, SONDE_WRITABLE);
    contract_run(c);
    assert_int_equal(writer.events, SONDE_WRITABLE);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        ;
    watch_for(&writer, SONDE_WRITABLE);
    watch_for(&reader, SONDE_READABLE);
    until(c, reader.n_ready == 3);
    some_turns(c);
    assert_int_equal(writer.n_ready, 1);
    while (read(ends[0], bytes, sizeof bytes) > 0)
        ;
    until(c, writer.n_ready == 2);
    watch_close(&reader);
    watch_close(&writer);
    assert_true(fcntl(ends[0], F_GETFD) >= 0); /* the descriptor is the caller's */
    close(ends[0]);
    close(ends[1]);
}

static void poll_for_something_else(struct contract *c)
{
    struct watch watch = {0};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    watch_open(&watch, c, pair[0]);
    watch_for(&watch, SONDE_READABLE);
    watch_for(&watch, SONDE_WRITABLE); /* at once */
    until(c, watch.n_ready == 1);
    assert_int_equal(watch.events, SONDE_WRITABLE);
    watch_for(&watch, SONDE_READABLE);
    some_turns(c);
    watch_for(&watch, SONDE_READABLE | SONDE_WRITABLE); /* after the kernel has seen the first */
    until(c, watch.n_ready == 2);
    assert_int_equal(watch.events, SONDE_WRITABLE);
    watch_for(&watch, SONDE_READABLE);
    some_turns(c);
    assert_int_equal(write(pair[1], "x", 1), 1);
    watch_for(&watch, SONDE_READABLE | SONDE_WRITABLE); /* while an event for the first is on its way */
    until(c, watch.n_ready == 3);
    assert_int_equal(watch.events, SONDE_READABLE | SONDE_WRITABLE);
    /* Nothing any more. */
    watch_for(&watch, SONDE_READABLE);
    watch_for(&watch, 0);
    contract_run(c);
    assert_int_equal(watch.n_ready, 3);
    for (int i = 0; i < 100; i++) {
        watch_for(&watch, i % 3 == 0 ? SONDE_READABLE : i % 3 == 1 ? SONDE_WRITABLE : 0);
        if (i % 7 == 0)
            contract_turn(c);
    }
    watch_for(&watch, SONDE_READABLE);
    contract_run(c);
    assert_int_equal(watch.events, SONDE_READABLE);
    watch_close(&watch);
    close(pair[0]);
    close(pair[1]);
}

static void poll_hang_up(struct contract *c)
{
    struct watch reader = {0}, writer = {0};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    watch_open(&reader, c, ends[0]);
    watch_for(&reader, SONDE_READABLE);
    some_turns(c);
    close(ends[1]);
    until(c, reader.n_ready == 1);
    assert_true(reader.events & SONDE_HANGUP);
    watch_for(&reader, SONDE_READABLE);
    until(c, reader.n_ready == 2); /* and again, but only when asked */
    unsigned long n = c->script.n_turns;
    some_turns(c);
    assert_true(c->script.n_turns - n < 50);
    watch_close(&reader);
    close(ends[0]);

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(ends[1], "xxxxxxxxxxxxxxxx", 16) > 0)
        ;
    watch_open(&writer, c, ends[1]);
    watch_for(&writer, SONDE_WRITABLE);
    some_turns(c);
    close(ends[0]);
    until(c, writer.n_ready == 1);
    assert_true(writer.events & SONDE_HANGUP);
    watch_close(&writer);
    close(ends[1]);
}

/* A half-close is no hang-up: who waits to write waits on. */
static void poll_half_closed(struct contract *c)
{
    struct watch watch = {0};
    char bytes[4096] = "";
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    while (write(pair[0], bytes, sizeof bytes) > 0)
        ;
    watch_open(&watch, c, pair[0]);
    watch_for(&watch, SONDE_WRITABLE);
    some_turns(c);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    some_turns(c);
    assert_int_equal(watch.n_ready, 0);
    while (read(pair[1], bytes, sizeof bytes) > 0)
        ;
    until(c, watch.n_ready == 1);
    assert_int_equal(watch.events, SONDE_WRITABLE);
    watch_for(&watch, SONDE_WRITABLE);
    until(c, watch.n_ready == 2);
    some_turns(c);
    assert_int_equal(watch.n_ready, 2);
    watch_for(&watch, SONDE_READABLE);
    until(c, watch.n_ready == 3);
    assert_int_equal(watch.events & SONDE_READABLE, SONDE_READABLE);
    while (write(pair[0], bytes, sizeof bytes) > 0)
        ;
    watch_for(&watch, SONDE_WRITABLE);
    some_turns(c);
    watch_close(&watch); /* while it waits */
    assert_int_equal(watch.n_ready, 3);
    close(pair[0]);
    close(pair[1]);
}

static void start_again(struct watch *watch)
{
    if (watch->n_ready < 10)
        watch_for(watch, SONDE_READABLE);
}

static void poll_a_file(struct contract *c)
{
    struct watch watch = {.on_ready = start_again};
    char path[] = "/tmp/contract-file-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    watch_open(&watch, c, fd);
    watch_for(&watch, SONDE_READABLE);
    assert_int_equal(watch.n_ready, 0);
    contract_run(c);
    assert_int_equal(watch.n_ready, 10);
    assert_int_equal(watch.events, SONDE_READABLE);
    watch_for(&watch, SONDE_WRITABLE | SONDE_READABLE);
    until(c, watch.n_ready == 11);
    assert_int_equal(watch.events, SONDE_WRITABLE | SONDE_READABLE);
    watch_for(&watch, SONDE_READABLE);
    watch_for(&watch, 0);
    contract_run(c);
    assert_int_equal(watch.n_ready, 11);
    watch_for(&watch, SONDE_READABLE);
    watch_close(&watch);
    assert_int_equal(watch.n_ready, 11);
    close(fd);
}

static void close_it(struct watch *watch)
{
    DO(sonde_poll_close(watch->poll));
    assert_int_equal(CALL(sonde_poll_start(watch->poll, SONDE_READABLE)), -EBADF);
}

static void poll_close(struct contract *c)
{
    struct watch waiting = {0}, never = {0}, inside = {.on_ready = close_it};
    struct sonde_poll *poll;
    int ends[2];

    assert_int_equal(CALL(sonde_poll_create(c->loop, 9999, &watch_handler, NULL, &poll)), -EBADF);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    watch_open(&waiting, c, ends[0]);
    watch_for(&waiting, SONDE_READABLE);
    watch_open(&never, c, ends[0]);
    assert_int_equal(sonde_loop_destroy(c->loop), -EBUSY);
    watch_close(&waiting);
    watch_close(&never);
    watch_open(&inside, c, ends[1]);
    watch_for(&inside, SONDE_WRITABLE);
    contract_run(c);
    assert_true(inside.closed);
    assert_int_equal(inside.n_ready, 1);
    assert_int_equal(waiting.n_ready + never.n_ready, 0);
    close(ends[0]);
    close(ends[1]);
}

static void stop_when_closed(void *user)
{
    struct watch *watch = user;

    watch->closed = true;
    sonde_loop_stop(watch->c->loop);
}

static void stop_between_closed_callbacks(struct contract *c)
{
    static const struct sonde_poll_handler handler = {.ready = on_ready, .closed = stop_when_closed};
    struct watch watches[3] = {{0}};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    for (int i = 0; i < 3; i++) {
        watches[i].c = c;
        assert_int_equal(CALL(sonde_poll_create(c->loop, ends[0], &handler, &watches[i], &watches[i].poll)), 0);
        DO(sonde_poll_close(watches[i].poll));
    }
    for (int n = 1; n <= 3; n++) {
        contract_run(c);
        assert_int_equal(watches[0].closed + watches[1].closed + watches[2].closed, n);
    }
    contract_run(c);
    close(ends[0]);
    close(ends[1]);
}

/* Before the loop has ever run, and so before an engine can submit anything. */
static void many_before_the_first_run(struct contract *c)
{
    enum { MOST = 800 };
    static struct watch watches[MOST];
    static int fds[MOST];
    struct rlimit limit;
    int ends[2];
    unsigned n = MOST, n_ready = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < MOST + 100)
        n = (unsigned)limit.rlim_cur - 100;
    memset(watches, 0, sizeof watches);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = dup(ends[0]);
        assert_true(fds[i] >= 0);
        watch_open(&watches[i], c, fds[i]);
        watch_for(&watches[i], SONDE_READABLE);
        if (i % 10 == 0) {
            watch_for(&watches[i], 0);
            watch_for(&watches[i], SONDE_READABLE);
        }
    }
    contract_run(c);
    for (unsigned i = 0; i < n; i++)
        n_ready += watches[i].n_ready;
    assert_int_equal(n_ready, n);
    for (unsigned i = 0; i < n; i++) {
        watch_for(&watches[i], SONDE_READABLE);
        DO(sonde_poll_close(watches[i].poll));
    }
    contract_run(c);
    for (unsigned i = 0; i < n; i++) {
        assert_true(watches[i].closed);
        close(fds[i]);
    }
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(poll_a_pipe),
        CONTRACT_TEST(poll_for_something_else),
        CONTRACT_TEST(poll_hang_up),
        CONTRACT_TEST(poll_half_closed),
        CONTRACT_TEST(poll_a_file),
        CONTRACT_TEST(poll_close),
        CONTRACT_TEST(stop_between_closed_callbacks),
        CONTRACT_TEST(many_before_the_first_run),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
