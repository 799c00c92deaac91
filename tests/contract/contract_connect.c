/* SPDX-License-Identifier: MIT */
/* The way to a connection: look-ups, addresses in turn, and all that can go wrong on it. */
#include "ends.h"
#include "names.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void connect_with(struct end *end, struct contract *c, const struct sonde_connect_options *options,
                         const struct sonde_url *url)
{
    struct sonde_why why;

    end->c = c;
    int error = CALL(sonde_connect(c->loop, url, options, &end_handler, end, &end->stream, &why));
    if (error < 0)
        fail_msg("connect: %s: %s %s", sonde_strerror(error), why.subject, why.detail);
}

static void refused_at_once(struct contract *c, const char *text, const struct sonde_connect_options *options,
                            int error)
{
    struct sonde_url url = contract_url("%s", text);
    struct sonde_stream *stream = (struct sonde_stream *)&url;
    struct sonde_why why = {0};

    assert_int_equal(CALL(sonde_connect(c->loop, &url, options, &end_handler, NULL, &stream, &why)), error);
    assert_ptr_equal(stream, &url); /* untouched */
    assert_int_equal(why.code, error);
    assert_non_null(why.call);
    assert_int_equal(CALL(sonde_connect(c->loop, &url, options, &end_handler, NULL, &stream, NULL)), error);
}

/* Run until the stream has failed as it should, and close it. */
static void fails(struct contract *c, struct end *end, int error, const char *call, const char *subject)
{
    until(c, end->failed || end->opened);
    assert_string_equal(end->story, "f");
    assert_int_equal(end->error, error);
    assert_string_equal(end->why.call, call);
    if (subject != NULL && strstr(end->why.subject, subject) == NULL)
        fail_msg("'%s' is not about '%s'", end->why.subject, subject);
    assert_true(CALL(sonde_stream_write(end->stream, "x", 1)) < 0);
    end_close(end);
    contract_run(c);
    assert_string_equal(end->story, "fc");
}

static void known_at_once(struct contract *c)
{
    const struct sonde_connect_options numeric = {.size = sizeof numeric, .numeric = 1};
    const struct sonde_connect_options ipv6 = {.size = sizeof ipv6, .family = AF_INET6};

    refused_at_once(c, "tcp://one.test:7", &numeric, -SONDE_ENAME);
    refused_at_once(c, "tcp://127.0.0.1:0", NULL, -EINVAL);
    refused_at_once(c, "tcp://127.0.0.1:7", &ipv6, -EAFNOSUPPORT);
    refused_at_once(c, "tcp://127.0.0.1:7?backlog=3", NULL, -SONDE_EOPTION);
    contract_run(c);
}

static void refused(struct contract *c)
{
    struct end end = {0};
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);
    char subject[32];

    connect_with(&end, c, NULL, &url);
    snprintf(subject, sizeof subject, "127.0.0.1:%u", port);
    fails(c, &end, -ECONNREFUSED, "connect", subject);
    close(refusing);
}

static void timed_out(struct contract *c)
{
    const struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 30 * MILLISECOND};
    struct end end = {0};
    uint16_t port;
    int listener = raw_listen(0, 0, &port);
    int full = raw_connect(port);
    raw_until_queued(listener);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);
    char subject[32];

    connect_with(&end, c, &options, &url);
    snprintf(subject, sizeof subject, "127.0.0.1:%u", port);
    fails(c, &end, -ETIMEDOUT, "connect", subject);
    close(full);
    close(listener);
}

/* The time is for the way there only. */
static void no_timeout_once_open(struct contract *c)
{
    const struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 3600 * SECOND};
    struct server server = {.model = {.on_data = end_echo}};
    struct end end = {0};

    server_open(&server, c, 1);
    struct sonde_url url = server_url(&server);
    connect_with(&end, c, &options, &url);
    until(c, end.opened);
    contract_jump(7200 * SECOND);
    some_turns(c);
    assert_string_equal(end.story, "o");
    end_close(&end);
    server_wind_up(&server);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static void names_that_fail(struct contract *c)
{
    static const struct {
        const char *name;
        int error;
        const char *detail;
    } rows[] = {{"fails.test", -SONDE_ENAME, ""},
                {"empty.test", -SONDE_ENAME, ""},
                {"later.test", -SONDE_ENAMELATER, "SERVFAIL from 127.0.0.1"},
                {"refuses.test", -SONDE_ENAMELATER, "REFUSED by 127.0.0.1"}};

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct end end = {0};
        struct sonde_url url = contract_url("tcp://%s:7", rows[i].name);
        connect_with(&end, c, NULL, &url);
        fails(c, &end, rows[i].error, "getaddrinfo", rows[i].name);
        assert_string_equal(end.why.detail, rows[i].detail);
    }
}

static void names_that_answer(struct contract *c)
{
    static const char *const names[] = {"one.test", "two.test", "slow.test"};
    struct server server = {.model = {.on_end = end_finish}};

    server_open(&server, c, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct end end = {0};
        struct sonde_address peer;
        struct sonde_url url = contract_url("tcp://%s:%u", names[i], server_port(&server));
        connect_with(&end, c, NULL, &url);
        until(c, end.opened || end.failed);
        assert_string_equal(end.story, "o");
        sonde_stream_peer(end.stream, &peer);
        assert_int_equal(peer.family, AF_INET);
        assert_int_equal(peer.port, server_port(&server));
        end_close(&end);
        until(c, end.closed);
    }
    server_wind_up(&server);
}

/* The last address's failure is the one that is told. */
static void all_addresses_fail(struct contract *c)
{
    struct end end = {0};
    uint16_t port;
    int other, refusing = raw_refusing(&port, &other);
    struct sonde_url url = contract_url("tcp://two.test:%u", port);
    char subject[32];

    connect_with(&end, c, NULL, &url);
    snprintf(subject, sizeof subject, "127.0.0.1:%u", port);
    fails(c, &end, -ECONNREFUSED, "connect", subject);
    close(refusing);
    close(other);
}

static void look_up_times_out(struct contract *c)
{
    const struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 20 * MILLISECOND};
    struct end end = {0};
    struct sonde_url url = contract_url("tcp://slow.test:7");

    names_hold();
    connect_with(&end, c, &options, &url);
    fails(c, &end, -ETIMEDOUT, "getaddrinfo", "slow.test");
    names_release();
}

static void cancelled_look_up(struct contract *c)
{
    struct end ends[8] = {{0}};
    struct sonde_url url = contract_url("tcp://slow.test:7");

    /* At once; while the name server thinks; and when its answer is there to be read. */
    names_hold();
    for (unsigned i = 0; i < 8; i++)
        connect_with(&ends[i], c, NULL, &url);
    for (unsigned i = 0; i < 3; i++)
        end_close(&ends[i]);
    until(c, names_waiting() == 5);
    for (unsigned i = 3; i < 6; i++)
        (i % 2 == 0 ? end_close : end_abort)(&ends[i]);
    until(c, ends[5].closed);
    names_release();
    end_close(&ends[6]);
    end_close(&ends[7]);
    contract_run(c);
    for (unsigned i = 0; i < 8; i++)
        assert_string_equal(ends[i].story, "c");
}

/* The loop is gone when the answer comes: nothing waits for it. */
static void answer_outlives_the_loop(struct contract *c)
{
    struct end end = {0};
    struct sonde_url url = contract_url("tcp://slow.test:7");

    names_hold();
    connect_with(&end, c, NULL, &url);
    until(c, names_waiting() == 1);
    end_close(&end);
    contract_run(c);
    contract_new_loop(c);
    names_release();
}

/* The loop has nothing but the look-up to wait for. */
static void look_up_keeps_the_loop_running(struct contract *c)
{
    struct end end = {.on_failed = end_close};
    struct sonde_url url = contract_url("tcp://fails.test:7");

    connect_with(&end, c, NULL, &url);
    contract_run(c);
    assert_string_equal(end.story, "fc");
}

static void localhost_is_both(struct contract *c)
{
    static const char *const listen_on[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0"};
    static const char *const call[] = {"tcp://localhost:%u", "tcp://:%u"};

    for (unsigned i = 0; i < 4; i++) {
        struct server server = {.model = {.on_end = end_finish}};
        struct end end = {0};
        struct sonde_address peer;
        server_open_at(&server, c, 1, NULL, listen_on[i % 2]);
        struct sonde_url url = contract_url(call[i / 2], server_port(&server));
        connect_with(&end, c, NULL, &url);
        until(c, end.opened || end.failed);
        assert_string_equal(end.story, "o");
        sonde_stream_peer(end.stream, &peer);
        assert_int_equal(peer.family, i % 2 == 0 ? AF_INET : AF_INET6);
        end_close(&end);
        server_wind_up(&server);
    }
    const struct sonde_connect_options ipv6 = {.size = sizeof ipv6, .family = AF_INET6};
    struct server server = {0};
    struct end end = {0};
    server_open(&server, c, 1);
    struct sonde_url url = contract_url("tcp://localhost:%u", server_port(&server));
    connect_with(&end, c, &ipv6, &url);
    until(c, end.failed);
    assert_int_equal(end.error, -ECONNREFUSED);
    end_close(&end);
    server_wind_up(&server);
}

/* --- from where -------------------------------------------------------------------------------------------------- */

static void bound(struct contract *c)
{
    struct server server = {.model = {.on_end = end_finish}};
    struct sonde_address local;
    uint16_t port;
    int refusing = raw_refusing(&port, NULL); /* so that nobody has it at all addresses */

    server_open(&server, c, 2);
    struct end end = {0}, again = {0}, not_ours = {0};
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u?bind=127.0.0.2", server_port(&server));
    connect_with(&end, c, NULL, &url);
    until(c, end.opened && server.n_ends == 1);
    sonde_stream_local(end.stream, &local);
    assert_int_equal(local.u.ip[3], 2);
    sonde_stream_peer(server.ends[0].stream, &local);
    assert_int_equal(local.u.ip[3], 2);
    end_close(&end);

    url = contract_url("tcp://127.0.0.1:%u?bind=127.0.0.3:%u", server_port(&server), port);
    connect_with(&again, c, NULL, &url);
    until(c, again.opened && server.n_ends == 2);
    sonde_stream_local(again.stream, &local);
    assert_int_equal(local.u.ip[3], 3);
    assert_int_equal(local.port, port);
    end_close(&again);

    url = contract_url("tcp://127.0.0.1:%u?bind=203.0.113.5", server_port(&server));
    connect_with(&not_ours, c, NULL, &url);
    until(c, not_ours.failed);
    assert_int_equal(not_ours.error, -EADDRNOTAVAIL);
    assert_string_equal(not_ours.why.call, "bind");
    assert_non_null(strstr(not_ours.why.subject, "203.0.113.5"));
    end_close(&not_ours);
    server_wind_up(&server);
    close(refusing);
}

static void not_to_itself(struct contract *c)
{
    struct end end = {0};
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u?bind=127.0.0.1:%u", port, port);

    connect_with(&end, c, NULL, &url);
    fails(c, &end, -ECONNREFUSED, "connect", NULL);
    close(refusing);
}

static void refused_option_is_named(struct contract *c)
{
    static const struct {
        const char *option;
        int error;
    } rows[] = {{"cc=nosuch", -ENOENT}, {"device=nosuch0", -ENODEV}};
    uint16_t port;
    int listener = raw_listen(5, 0, &port);

    for (unsigned i = 0; i < 2; i++) {
        struct end end = {0};
        struct sonde_url url = contract_url("tcp://127.0.0.1:%u?%s", port, rows[i].option);
        connect_with(&end, c, NULL, &url);
        fails(c, &end, rows[i].error, "setsockopt", rows[i].option);
    }
    close(listener);
}

static void no_descriptor_left(struct contract *c)
{
    struct rlimit limit, none;
    struct end end = {0};
    uint16_t port;
    int listener = raw_listen(5, 0, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    contract_turn(c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int fd = dup(0);
    none = (struct rlimit){(rlim_t)fd, limit.rlim_max};
    close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    connect_with(&end, c, NULL, &url);
    until(c, end.failed || end.opened);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fails(c, &end, -EMFILE, "socket", NULL);
    close(listener);
}

static void many_at_once(struct contract *c)
{
    enum { MANY = 200 };
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end *ends = calloc(MANY, sizeof *ends);

    assert_non_null(ends);
    server_open(&server, c, MANY);
    struct sonde_url url = server_url(&server);
    for (unsigned i = 0; i < MANY; i++) {
        connect_with(&ends[i], c, NULL, &url);
        ends[i].checked = true;
        ends[i].seed = i;
        assert_int_equal(end_write(&ends[i], 500), 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        until(c, ends[i].n_received == 500);
    for (unsigned i = 0; i < MANY; i++)
        end_finish(&ends[i]);
    for (unsigned i = 0; i < MANY; i++)
        until(c, ends[i].closed);
    for (unsigned i = 0; i < MANY; i++)
        assert_string_equal(ends[i].story, "odec");
    server_wind_up(&server);
    free(ends);
}

/* --- UNIX sockets ------------------------------------------------------------------------------------------------ */

static int raw_unix_listen(const char *path, int backlog)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void unix_nobody(struct contract *c)
{
    struct end missing = {0}, dead = {0}, nameless = {0};
    const char *path = contract_path();
    struct sonde_url url = contract_url("unix:%s", path);

    connect_with(&missing, c, NULL, &url);
    fails(c, &missing, -ENOENT, "connect", path);
    close(raw_unix_listen(path, 1));
    connect_with(&dead, c, NULL, &url);
    fails(c, &dead, -ECONNREFUSED, "connect", path);
    unlink(path);
    url = contract_url("unix:@contract-nobody");
    connect_with(&nameless, c, NULL, &url);
    fails(c, &nameless, -ECONNREFUSED, "connect", "contract-nobody");
}

static void unix_queue_is_full(struct contract *c)
{
    const struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 30 * MILLISECOND};
    struct end ends[6] = {{0}}, late = {0};
    const char *path = contract_path();
    int listener = raw_unix_listen(path, 0), accepted[8], n = 0;
    struct sonde_url url = contract_url("unix:%s", path);
    unsigned n_opened = 0;

    for (unsigned i = 0; i < 6; i++)
        connect_with(&ends[i], c, NULL, &url);
    for (int i = 0; i < 20; i++)
        contract_turn(c);
    for (unsigned i = 0; i < 6; i++)
        n_opened += ends[i].opened;
    assert_true(n_opened >= 1 && n_opened <= 2);
    connect_with(&late, c, &options, &url);
    until(c, late.failed);
    assert_int_equal(late.error, -ETIMEDOUT);
    end_close(&late);
    until(c, late.closed);
    end_close(&ends[5]);
    until(c, ends[5].closed); /* while it waits for room */
    for (unsigned i = 0; i < 5; i++) {
        int64_t deadline_ns = contract_deadline_ns();
        while (!ends[i].opened) {
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                accepted[n++] = fd;
            contract_check_deadline(c, deadline_ns, "opened", __FILE__, __LINE__);
            contract_turn(c);
        }
        assert_string_equal(ends[i].story, "o");
    }
    for (unsigned i = 0; i < 5; i++)
        end_close(&ends[i]);
    contract_run(c);
    while (n > 0)
        close(accepted[--n]);
    close(listener);
    unlink(path);
}

/* A UNIX peer has no address, but is somebody. */
static void unix_peer_is_known(struct contract *c)
{
    struct server server = {0};
    struct end end = {0};
    struct sonde_address peer;
    char address[128] = "unix:@";

    strcat(address, contract_path());
    server_open_at(&server, c, 1, NULL, address);
    struct sonde_url url = server_url(&server);
    connect_with(&end, c, NULL, &url);
    until(c, end.opened && server.n_ends == 1);
    sonde_stream_peer(end.stream, &peer);
    assert_int_equal(peer.family, AF_UNIX);
    assert_int_equal(peer.u.peer.pid, getpid());
    assert_int_equal(peer.u.peer.uid, getuid());
    sonde_stream_peer(server.ends[0].stream, &peer);
    assert_int_equal(peer.family, AF_UNIX);
    assert_int_equal(peer.u.peer.pid, getpid());
    end_close(&end);
    server_wind_up(&server);
}

/* SO_LINGER with a time makes close(2) wait for a peer that reads nothing; the loop does not. */
static void closing_does_not_linger(struct contract *c)
{
    struct end end = {.c = c};
    unsigned n_fds = contract_n_fds();
    uint16_t port;
    int listener = raw_listen(1, 4096, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u?linger=600&sndbuf=65536", port);

    end_connect(&end, c, &url);
    until(c, end.opened);
    int raw = raw_accept(c, listener);
    assert_int_equal(end_write(&end, 500 * 1000), 0);
    some_turns(c);
    end_close(&end);
    contract_run(c);
    assert_true(end.closed);
    close(raw);
    close(listener);
    assert_int_equal(contract_n_fds(), n_fds);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(known_at_once),
        CONTRACT_TEST(refused),
        CONTRACT_TEST(timed_out),
        CONTRACT_TEST(no_timeout_once_open),
        CONTRACT_TEST(names_that_fail),
        CONTRACT_TEST(names_that_answer),
        CONTRACT_TEST(all_addresses_fail),
        CONTRACT_TEST(look_up_times_out),
        CONTRACT_TEST(cancelled_look_up),
        CONTRACT_TEST(answer_outlives_the_loop),
        CONTRACT_TEST(look_up_keeps_the_loop_running),
        CONTRACT_TEST(localhost_is_both),
        CONTRACT_TEST(bound),
        CONTRACT_TEST(not_to_itself),
        CONTRACT_TEST(refused_option_is_named),
        CONTRACT_TEST(no_descriptor_left),
        CONTRACT_TEST(many_at_once),
        CONTRACT_TEST(unix_nobody),
        CONTRACT_TEST(unix_queue_is_full),
        CONTRACT_TEST(unix_peer_is_known),
        CONTRACT_TEST(closing_does_not_linger),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
