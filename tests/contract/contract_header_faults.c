/* SPDX-License-Identifier: MIT */
/* The PROXY protocol: a listener that waits for its header, with each allocation and each operation failing once. */
#include "ends.h"
#include "proxy_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct faulty {
    struct contract *c;
    struct sonde_listener *listener;
    struct sonde_timer timer; /* when the rest of the header comes */
    struct end end;
    int raw;
    bool was_accepted;
    int error; /* the last that was returned or told */
    unsigned n_clean, n_failed, n_refused;
};

static void close_faulty(struct faulty *faulty)
{
    sonde_timer_stop(&faulty->timer);
    if (faulty->listener != NULL)
        DO(sonde_listener_close(faulty->listener));
}

static void end_faulty(struct end *end)
{
    struct faulty *faulty = end->user;

    if (end->failed)
        faulty->error = end->error;
    end_close(end);
    close_faulty(faulty);
}

static void faulty_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    faulty->was_accepted = true;
    faulty->end =
        (struct end){.c = faulty->c, .stream = stream, .on_end = end_faulty, .on_failed = end_faulty, .user = faulty};
    DO(sonde_stream_set_handler(stream, &end_handler, &faulty->end));
}

static void faulty_trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    if (error < 0)
        faulty->error = error;
    if (error < 0 && !faulty->was_accepted)
        close_faulty(faulty);
}

static void faulty_refused(struct sonde_listener *listener, const struct sonde_address *peer,
                           const struct sonde_why *why, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    (void)peer;
    faulty->n_refused++;
    faulty->error = why->code;
    close_faulty(faulty);
}

static void faulty_closed(struct sonde_listener *listener, void *owner)
{
    struct faulty *faulty = owner;

    assert_ptr_equal(listener, faulty->listener);
    faulty->listener = NULL;
}

static const struct sonde_listener_handler faulty_handler = {
    .accepted = faulty_accepted,
    .trouble = faulty_trouble,
    .refused = faulty_refused,
    .closed = faulty_closed,
};

/* It may have been reset meanwhile. */
static void write_rest(struct sonde_timer *timer)
{
    struct faulty *faulty = timer->user;

    (void)send(faulty->raw, (LINE "data") + 8, sizeof(LINE "data") - 1 - 8, MSG_NOSIGNAL);
    (void)shutdown(faulty->raw, SHUT_WR);
}

static int begin_faulty(struct faulty *faulty)
{
    struct contract *c = faulty->c;
    struct sonde_url url = contract_url("%s", AT);

    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    if (error < 0) {
        c->loop = NULL;
        return error;
    }
    sonde_timer_init(&faulty->timer, c->loop, write_rest, faulty);
    error = CALL(sonde_listen(c->loop, &url, NULL, &faulty_handler, faulty, &faulty->listener, NULL));
    if (error < 0)
        return error;
    sonde_listener_address(faulty->listener, 0, &url);
    faulty->raw = raw_connect(url.port);
    raw_write(faulty->raw, "PROXY TC");
    sonde_timer_start_in(&faulty->timer, 2 * MILLISECOND);
    return 0;
}

/* A header in two pieces, then data. However it goes, it ends, and if it is not whole, somebody is told. */
static void run_faulty(struct contract *c, struct faulty *faulty)
{
    unsigned n_fds = contract_n_fds();

    faulty->c = c;
    faulty->raw = -1;
    faulty->error = 0;
    faulty->was_accepted = false;
    faulty->error = begin_faulty(faulty);
    for (unsigned tries = 0; c->loop != NULL && sonde_loop_destroy(c->loop) == -EBUSY; tries++) {
        assert_true(tries < 4);
        int error = sonde_loop_run(c->loop);
        if (error < 0) {
            faulty->error = error;
            close_faulty(faulty);
        }
    }
    c->loop = NULL;
    if (faulty->raw >= 0)
        close(faulty->raw);
    bool has_failed = c->memory.failed || c->script.failed_what != NULL;
    bool whole = faulty->was_accepted && strcmp(faulty->end.story, "dec") == 0 && strcmp(faulty->end.text, "data") == 0;
    if (!whole && faulty->error == 0)
        fail_msg("%s: nobody was told of the failure", c->note);
    assert_true(has_failed || whole);
    faulty->n_clean = has_failed ? 0 : faulty->n_clean + 1;
    faulty->n_failed += has_failed;
    assert_null(faulty->listener);
    assert_int_equal(c->memory.n_live, 0);
    assert_int_equal(contract_n_fds(), n_fds);
}

static void end_loop(struct contract *c)
{
    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
}

/* Each allocation fails once, until nothing is left to fail. */
static void fail_each_allocation(struct contract *c, struct faulty *fault)
{
    *fault = (struct faulty){0};
    for (long n = 1; fault->n_clean < 3; n++) {
        snprintf(c->note, sizeof c->note, "allocation %ld", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = n;
        c->memory.failed = false;
        c->script = (struct script){0};
        run_faulty(c, fault);
    }
    c->memory.fail_at = 0;
}

static void every_allocation(struct contract *c)
{
    struct faulty fault;
    bool in_pieces = false;

    end_loop(c);
    /* On a machine that is busy both pieces may be there before the first is read, and then nothing has to wait. */
    for (unsigned tries = 0; !in_pieces && tries < 20; tries++) {
        fail_each_allocation(c, &fault);
        /* The listener, its headers, the stream, what waits, the pieces, the rest. */
        in_pieces = fault.n_failed >= 6 && fault.n_refused >= 2;
    }
    assert_true(in_pieces);
}

static void every_operation(struct contract *c)
{
    struct faulty fault = {0};

    if (!c->scripted)
        return;
    end_loop(c);
    for (unsigned n = 1; fault.n_clean < 3; n++) {
        c->script = (struct script){.fail_at = n, .fail_error = -ENOMEM};
        c->memory.failed = false;
        snprintf(c->note, sizeof c->note, "operation %u", n);
        run_faulty(c, &fault);
    }
    assert_true(fault.n_failed >= 8 && fault.n_refused >= 2);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(every_allocation),
        CONTRACT_TEST(every_operation),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
