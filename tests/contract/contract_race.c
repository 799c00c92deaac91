/* SPDX-License-Identifier: MIT */
/* Several addresses for one connection: which of them gets it, what becomes of the others, and what is told of them. */
#include "ends.h"
#include "names.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listener whose queue is full: it answers no SYN any more, like a host that is not there. */
struct silent {
    int listener, filler;
};

static bool silent_open(struct silent *silent, uint16_t port)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(port)};
    const int one = 1;

    silent->listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    silent->filler = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (silent->listener < 0 || setsockopt(silent->listener, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0 ||
        bind(silent->listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(silent->listener, 0) < 0 ||
        connect(silent->filler, (struct sockaddr *)&at, sizeof at) < 0) {
        close(silent->listener);
        close(silent->filler);
        return false; /* no IPv6 here, or another has the port */
    }
    raw_until_queued(silent->listener);
    return true;
}

static void silent_close(struct silent *silent)
{
    close(silent->filler);
    close(silent->listener);
}

static void connect_to(struct end *end, struct contract *c, const char *name, uint16_t port,
                       const struct sonde_connect_options *options)
{
    struct sonde_url url = contract_url("tcp://%s:%u", name, port);
    struct sonde_why why;

    end->c = c;
    assert_int_equal(CALL(sonde_connect(c->loop, &url, options, &end_handler, end, &end->stream, &why)), 0);
}

/* What `opened` and `failed` can ask. */
struct asked {
    struct sonde_attempt attempts[SONDE_ATTEMPTS_MAX];
    unsigned n;
};

static void ask(struct end *end)
{
    struct asked *asked = end->user;
    struct sonde_attempt one;

    asked->n = sonde_stream_attempts(end->stream, asked->attempts, SONDE_ATTEMPTS_MAX);
    assert_int_equal(sonde_stream_attempts(end->stream, NULL, 0), asked->n);
    assert_int_equal(sonde_stream_attempts(end->stream, &one, 1), asked->n);
    if (asked->n > 0)
        assert_memory_equal(&one, asked->attempts, sizeof one);
    for (unsigned i = 0; i < asked->n; i++) {
        assert_true(asked->attempts[i].start_ns > 0 && asked->attempts[i].error <= 0);
        assert_true(asked->attempts[i].end_ns == 0 || asked->attempts[i].end_ns >= asked->attempts[i].start_ns);
        assert_true(i == 0 || asked->attempts[i].start_ns >= asked->attempts[i - 1].start_ns);
    }
}

/* The first address refuses: the second is tried at once, and nothing is waited for. */
static void refused_then_accepted(struct contract *c)
{
    struct server server = {.model = {.on_end = end_finish}};
    struct asked asked = {.n = 0};
    struct end end = {.on_opened = ask, .user = &asked};
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = 3600 * SECOND};

    server_open(&server, c, 1);
    connect_to(&end, c, "two.test", server_port(&server), &options);
    until(c, end.opened || end.failed);
    assert_string_equal(end.story, "o");
    assert_int_equal(asked.n, 2);
    assert_int_equal(asked.attempts[0].address.family, AF_INET6);
    assert_int_equal(asked.attempts[0].address.port, server_port(&server));
    assert_true(asked.attempts[0].error < 0 && asked.attempts[0].end_ns > 0);
    assert_int_equal(asked.attempts[1].address.family, AF_INET);
    assert_int_equal(asked.attempts[1].error, 0);
    assert_true(asked.attempts[1].end_ns > 0);
    assert_int_equal(sonde_stream_attempts(end.stream, asked.attempts, 1), 0); /* afterwards */
    end_close(&end);
    server_wind_up(&server);
}

static void the_last_of_many(struct contract *c)
{
    struct server server = {.model = {.on_end = end_finish}};
    struct asked asked = {.n = 0};
    struct end end = {.on_opened = ask, .user = &asked};
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = 3600 * SECOND};

    server_open(&server, c, 1);
    connect_to(&end, c, "many.test", server_port(&server), &options);
    until(c, end.opened || end.failed);
    assert_string_equal(end.story, "o");
    assert_int_equal(asked.n, 7);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(asked.attempts[i].error, -ECONNREFUSED);
    end_close(&end);
    server_wind_up(&server);
}

/* The first address is silent: the second one gets the connection, long before the kernel gives up. */
static void silent_then_accepted(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct asked asked = {.n = 0};
    struct end end = {.checked = true, .on_opened = ask, .user = &asked};
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = 20 * MILLISECOND};
    struct silent silent;

    server_open(&server, c, 1);
    if (!silent_open(&silent, server_port(&server))) {
        server_wind_up(&server);
        return;
    }
    unsigned n_fds = contract_n_fds();
    connect_to(&end, c, "two.test", server_port(&server), &options);
    assert_int_equal(end_write(&end, 1000), 0); /* waits for whoever it will be */
    until(c, end.n_received == 1000 || end.failed);
    assert_int_equal(asked.n, 2);
    assert_int_equal(asked.attempts[0].error, 0);
    assert_int_equal(asked.attempts[0].end_ns, 0);
    assert_true(asked.attempts[1].start_ns - asked.attempts[0].start_ns >= 20 * MILLISECOND);
    /* One connection, at both ends: the other attempt is closed. */
    until(c, contract_n_fds() == n_fds + (c->n_direct > 0 ? 1 : 2));
    end_close(&end);
    server_wind_up(&server);
    silent_close(&silent);
}

/* While the next attempt's time is waited for the last one fails, and the next fails as it begins: nothing is left to
 * wait for. */
static void the_next_fails_at_once(struct contract *c)
{
    struct asked asked = {.n = 0};
    struct end end = {.on_failed = ask, .user = &asked};
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = 3600 * SECOND};
    struct silent silent;
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);

    if (!silent_open(&silent, port)) {
        close(refusing);
        return;
    }
    connect_to(&end, c, "two.test", port, &options);
    until(c, end.stream != NULL && sonde_stream_attempts(end.stream, NULL, 0) == 1);
    silent_close(&silent); /* the next SYN, after a second, is refused */
    c->memory.fail_at = c->memory.n_calls + 1;
    until(c, end.failed);
    assert_int_equal(end.error, -ENOMEM);
    assert_int_equal(asked.attempts[0].error, -ECONNREFUSED);
    assert_int_equal(asked.n, 2);
    end_close(&end);
    contract_run(c);
    close(refusing);
}

static void all_refused(struct contract *c)
{
    struct asked asked = {.n = 0};
    struct end end = {.on_failed = ask, .user = &asked};
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    char subject[32];

    connect_to(&end, c, "many.test", port, NULL);
    until(c, end.failed || end.opened);
    assert_string_equal(end.story, "f");
    assert_int_equal(end.error, -ECONNREFUSED);
    assert_int_equal(asked.n, 7);
    for (unsigned i = 0; i < asked.n; i++)
        assert_int_equal(asked.attempts[i].error, -ECONNREFUSED);
    snprintf(subject, sizeof subject, "127.0.0.1:%u", port);
    assert_string_equal(end.why.subject, subject); /* the last one's failure is the one that is told */
    end_close(&end);
    contract_run(c);
    close(refusing);
}

/* No more than there is room for, and it is said that there were more. An answer this long comes over TCP. */
static void forty_addresses(struct contract *c)
{
    struct asked asked = {.n = 0};
    struct end end = {.on_failed = ask, .user = &asked};
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);

    connect_to(&end, c, "forty.test", port, NULL);
    until(c, end.failed || end.opened);
    assert_int_equal(end.error, -ECONNREFUSED);
    assert_int_equal(asked.n, SONDE_ATTEMPTS_MAX);
    assert_non_null(strstr(end.why.detail, "8 more"));
    end_close(&end);
    contract_run(c);
    close(refusing);
}

static void deadline_over_all(struct contract *c)
{
    struct asked asked = {.n = 0};
    struct end end = {.on_failed = ask, .user = &asked};
    const struct sonde_connect_options options = {
        .size = sizeof options, .timeout_ns = 7200 * SECOND, .attempt_delay_ns = 3600 * SECOND};
    struct silent silent;
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);

    if (!silent_open(&silent, port)) {
        close(refusing);
        return;
    }
    connect_to(&end, c, "two.test", port, &options);
    until(c, sonde_stream_attempts(end.stream, NULL, 0) == 1);
    contract_jump(3600 * SECOND);
    until(c, sonde_stream_attempts(end.stream, NULL, 0) == 2);
    some_turns(c);
    assert_false(end.failed || end.opened);
    contract_jump(3600 * SECOND);
    until(c, end.failed || end.opened);
    assert_int_equal(end.error, -ETIMEDOUT);
    assert_string_equal(end.why.call, "connect");
    assert_int_equal(asked.n, 2);
    assert_int_equal(asked.attempts[0].end_ns, 0);
    assert_true(asked.attempts[1].error == -ECONNREFUSED || asked.attempts[1].end_ns == 0);
    end_close(&end);
    contract_run(c);
    silent_close(&silent);
    close(refusing);
}

/* IPv4 does not wait for an IPv6 answer that does not come. */
static void without_the_other_family(struct contract *c)
{
    struct server server = {.model = {.on_end = end_finish}};
    struct asked asked = {.n = 0};
    struct end end = {.on_opened = ask, .user = &asked};

    server_open(&server, c, 1);
    names_hold();
    connect_to(&end, c, "late.test", server_port(&server), NULL);
    until(c, end.opened || end.failed);
    assert_string_equal(end.story, "o");
    assert_int_equal(asked.n, 1);
    assert_int_equal(asked.attempts[0].address.family, AF_INET);
    until(c, names_waiting() == 1); /* it may be asked last, and read later */
    end_close(&end);
    server_wind_up(&server);
    names_release();
}

/* But it is waited for when IPv4 has failed. */
static void the_late_family_is_tried(struct contract *c)
{
    struct asked asked = {.n = 0};
    struct end end = {.on_failed = ask, .user = &asked};
    uint16_t port;
    int other, refusing = raw_refusing(&port, &other);

    names_hold();
    connect_to(&end, c, "late.test", port, NULL);
    until(c, names_waiting() == 1);
    int64_t after_ns = clock_monotonic_ns() + 2 * SONDE_RESOLUTION_DELAY_NS;
    until(c, clock_monotonic_ns() > after_ns);
    assert_false(end.failed);
    names_release();
    until(c, end.failed || end.opened);
    assert_int_equal(asked.n, 2);
    assert_int_equal(asked.attempts[0].address.family, AF_INET);
    assert_int_equal(asked.attempts[1].address.family, AF_INET6);
    end_close(&end);
    contract_run(c);
    close(refusing);
    close(other);
}

/* However far it has come, closing ends it, and leaves nothing behind. */
static void cancelled_at_each_step(struct contract *c)
{
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = MILLISECOND};
    static const char *const names[] = {"two.test", "many.test", "late.test", "forty.test"};
    struct silent silent;
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    bool has_silent = silent_open(&silent, port);

    names_hold();
    for (unsigned i = 0; i < 4; i++) {
        for (int turns = 0; turns < 12; turns++) {
            struct end end = {0};
            unsigned n_fds = contract_n_fds();
            connect_to(&end, c, names[i], port, &options);
            for (int k = 0; k < turns; k++)
                contract_turn(c);
            (turns % 2 == 0 ? end_close : end_abort)(&end);
            contract_run(c);
            assert_true(end.closed);
            assert_int_equal(contract_n_fds(), n_fds);
        }
    }
    names_release();
    if (has_silent)
        silent_close(&silent);
    close(refusing);
}

static void close_when_opened(struct end *end)
{
    ask(end);
    end_close(end);
}

static void finish_when_opened(struct end *end)
{
    end_finish(end);
    ask(end); /* still there */
}

static void closed_in_opened(struct contract *c)
{
    struct server server = {.model = {.on_end = end_finish}};
    struct asked asked = {.n = 0};

    server_open(&server, c, 2);
    struct end one = {.on_opened = close_when_opened, .user = &asked};
    connect_to(&one, c, "two.test", server_port(&server), NULL);
    until(c, one.closed);
    assert_int_equal(asked.n, 2);
    struct end two = {.on_opened = finish_when_opened, .user = &asked};
    connect_to(&two, c, "two.test", server_port(&server), NULL);
    until(c, two.closed);
    assert_int_equal(asked.n, 2);
    server_wind_up(&server);
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

/* One connection by name, on a loop of its own; the error that was told of it, or 0 when it opened. */
static int one_connection(struct contract *c, uint16_t port)
{
    const struct sonde_connect_options options = {.size = sizeof options, .attempt_delay_ns = MILLISECOND};
    struct sonde_url url = contract_url("tcp://two.test:%u", port);
    struct end end = {.c = c, .on_opened = end_close, .on_failed = end_close};
    struct sonde_why why;

    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    if (error < 0)
        return error;
    error = CALL(sonde_connect(c->loop, &url, &options, &end_handler, &end, &end.stream, &why));
    if (error == 0) {
        error = sonde_loop_run(c->loop);
        if (error < 0) { /* it did not even begin to wait */
            end_close(&end);
            contract_run(c);
        } else {
            assert_true(end.opened || end.failed);
            error = end.error;
        }
        assert_true(end.closed);
    }
    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    assert_int_equal(c->memory.n_live, 0);
    return error;
}

static void faults(struct contract *c, bool of_memory)
{
    unsigned n_failed = 0, n_hurt = 0, n_clean = 0;
    uint16_t port;
    int listener = raw_listen(64, 0, &port);

    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    for (unsigned n = 1; n_clean < 3; n++) {
        unsigned n_fds = contract_n_fds();
        snprintf(c->note, sizeof c->note, "%s %u", of_memory ? "allocation" : "operation", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = of_memory ? n : 0;
        c->memory.failed = false;
        c->script = (struct script){.fail_at = of_memory ? 0 : n, .fail_error = -ENOBUFS};
        int error = one_connection(c, port);
        assert_int_equal(contract_n_fds(), n_fds);
        bool failed = c->memory.failed || c->script.failed_what != NULL;
        n_clean = failed ? 0 : n_clean + 1;
        n_failed += failed;
        n_hurt += error < 0;
        if (!failed)
            assert_int_equal(error, 0);
        if (!of_memory && !c->scripted)
            break;
    }
    assert_true((!of_memory && !c->scripted) || (n_failed >= 5 && n_hurt >= 3));
    close(listener);
}

static void every_allocation(struct contract *c)
{
    faults(c, true);
}

static void every_operation(struct contract *c)
{
    faults(c, false);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(refused_then_accepted),    CONTRACT_TEST(the_last_of_many),
        CONTRACT_TEST(silent_then_accepted),     CONTRACT_TEST(all_refused),
        CONTRACT_TEST(forty_addresses),          CONTRACT_TEST(deadline_over_all),
        CONTRACT_TEST(without_the_other_family), CONTRACT_TEST(the_late_family_is_tried),
        CONTRACT_TEST(cancelled_at_each_step),   CONTRACT_TEST(closed_in_opened),
        CONTRACT_TEST(every_allocation),         CONTRACT_TEST(every_operation),
        CONTRACT_TEST(the_next_fails_at_once),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
