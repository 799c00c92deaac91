/* SPDX-License-Identifier: MIT */
/* Sockets that somebody else has made: fd://N. */
#include "ends.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void bind_to(int fd, int family, const char *path)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (path != NULL)
        snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    assert_int_equal(family == AF_INET    ? bind(fd, (struct sockaddr *)&in, sizeof in)
                     : family == AF_INET6 ? bind(fd, (struct sockaddr *)&in6, sizeof in6)
                                          : bind(fd, (struct sockaddr *)&un, sizeof un),
                     0);
}

/* As a program that knows nothing of this one would make it: blocking, and inherited. */
static int foreign_listener(int family, const char *path)
{
    int fd = socket(family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    bind_to(fd, family, path);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static const char *url_text(const struct server *server)
{
    static char text[SONDE_URL_MAX];
    struct sonde_url url = server_url(server);

    sonde_url_format(&url, text, sizeof text);
    return text;
}

static void listeners(struct contract *c)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};

    for (unsigned i = 0; i < 3; i++) {
        const char *path = families[i] == AF_UNIX ? contract_path() : NULL;
        struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
        struct end end = {.checked = true, .on_end = end_close};
        struct sockaddr_storage own;
        socklen_t n = sizeof own;
        char address[64], wanted[128];
        int fd = foreign_listener(families[i], path);
        snprintf(address, sizeof address, "fd://%d", fd);
        server_open_at(&server, c, 1, NULL, address);
        assert_int_equal(sonde_listener_count(server.listener), 1);
        assert_int_equal(sonde_listener_fd(server.listener, 0), fd);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        /* Its address is one that a client can connect to. */
        getsockname(fd, (struct sockaddr *)&own, &n);
        unsigned port = ntohs(((struct sockaddr_in *)&own)->sin_port);
        if (path != NULL)
            snprintf(wanted, sizeof wanted, "unix:%s", path);
        else
            snprintf(wanted, sizeof wanted, families[i] == AF_INET ? "tcp://127.0.0.1:%u" : "tcp://[::1]:%u", port);
        assert_string_equal(url_text(&server), wanted);
        struct sonde_url url = contract_url("%s", wanted);
        end_connect(&end, c, &url);
        until(c, end.opened);
        assert_int_equal(end_write(&end, 100 * 1000), 0);
        DO(sonde_stream_shutdown(end.stream));
        until(c, end.closed);
        assert_int_equal(end.n_received, 100 * 1000);
        if (families[i] != AF_UNIX) {
            int on = 0;
            n = sizeof on;
            assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
            assert_int_equal(on, 1);
        }
        server_wind_up(&server);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        /* Whoever made the file removes it. */
        if (path != NULL)
            assert_int_equal(unlink(path), 0);
    }
}

static void abstract_listener(struct contract *c)
{
    struct server server = {0};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char address[64], wanted[128];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "%s", contract_path());

    assert_int_equal(bind(fd, (struct sockaddr *)&un, (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)n)), 0);
    assert_int_equal(listen(fd, 5), 0);
    snprintf(address, sizeof address, "fd:%d", fd);
    snprintf(wanted, sizeof wanted, "unix:@%s", un.sun_path + 1);
    server_open_at(&server, c, 1, NULL, address);
    assert_string_equal(url_text(&server), wanted);
    server_wind_up(&server);
}

/* A client that came before there was anybody to accept it is not lost. */
static void waiting_client(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_end = end_close}};
    struct sockaddr_in own;
    socklen_t n = sizeof own;
    char address[64];
    int fd = foreign_listener(AF_INET, NULL);

    getsockname(fd, (struct sockaddr *)&own, &n);
    int raw = raw_connect(ntohs(own.sin_port));
    raw_write(raw, "hello");
    snprintf(address, sizeof address, "fd://%d?backlog=7&nodelay=0", fd);
    server_open_at(&server, c, 1, NULL, address);
    unsigned length, limit;
    assert_int_equal(sonde_listener_queue(server.listener, 0, &length, &limit), 0);
    assert_int_equal(limit, 7);
    until(c, server.n_ends == 1 && server.ends[0].n_received == 5);
    raw_close(raw);
    server_wind_up(&server);
}

static void check_listen(struct contract *c, const char *address, int family, int error, const char *detail)
{
    struct sonde_url url = contract_url("%s", address);
    struct sonde_listen_options options = {.size = sizeof options, .family = family};
    struct sonde_listener *listener;
    struct sonde_why why;

    snprintf(c->note, sizeof c->note, "%s", detail);
    int result = CALL(sonde_listen(c->loop, &url, &options, &server_handler, NULL, &listener, &why));
    if (result != error)
        fail_msg("%s, %s: %s, not %s", address, detail, sonde_error_name(result), sonde_error_name(error));
    assert_int_equal(why.code, error);
    assert_non_null(strstr(why.detail, detail));
}

static void check_connect(struct contract *c, int fd, int error, const char *detail)
{
    struct sonde_url url = contract_url("fd://%d", fd);
    struct sonde_stream *stream;
    struct sonde_why why;
    char subject[32];

    snprintf(c->note, sizeof c->note, "%s", detail);
    snprintf(subject, sizeof subject, "fd://%d", fd);
    int result = CALL(sonde_connect(c->loop, &url, NULL, &end_handler, NULL, &stream, &why));
    if (result != error)
        fail_msg("%s: %s, not %s", detail, sonde_error_name(result), sonde_error_name(error));
    assert_int_equal(why.code, error);
    assert_string_equal(why.call, "connect");
    assert_string_equal(why.subject, subject);
    assert_non_null(strstr(why.detail, detail));
}

static const char *fd_text(int fd)
{
    static char text[64];

    snprintf(text, sizeof text, "fd://%d", fd);
    return text;
}

/* What is wrong is said, and the descriptor is as it was, and its owner's. */
static void wrong_ones(struct contract *c)
{
    int pair[2], file = open("/dev/null", O_RDONLY | O_CLOEXEC), event = eventfd(0, 0);
    int fresh = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_INET, SOCK_DGRAM, 0);
    int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0), listener = foreign_listener(AF_INET, NULL);
    int unix_listener = foreign_listener(AF_UNIX, contract_path());

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    check_listen(c, "fd://2147483647", AF_UNSPEC, -EBADF, "no such descriptor");
    check_listen(c, fd_text(file), AF_UNSPEC, -ENOTSOCK, "not a socket");
    check_listen(c, fd_text(event), AF_UNSPEC, -ENOTSOCK, "not a socket");
    check_listen(c, fd_text(fresh), AF_UNSPEC, -EINVAL, "does not listen");
    check_listen(c, fd_text(datagram), AF_UNSPEC, -EPROTOTYPE, "a datagram socket");
    check_listen(c, fd_text(packets), AF_UNSPEC, -EPROTOTYPE, "not a stream socket");
    check_listen(c, fd_text(pair[0]), AF_UNSPEC, -EINVAL, "a connection, not a listener");
    check_listen(c, fd_text(listener), AF_INET6, -EAFNOSUPPORT, "an IPv4 socket");
    char with_option[64];
    snprintf(with_option, sizeof with_option, "fd://%d?ttl=5", unix_listener);
    check_listen(c, with_option, AF_UNSPEC, -SONDE_EOPTION, "UNIX socket");

    check_connect(c, 1 << 30, -EBADF, "no such descriptor");
    check_connect(c, file, -ENOTSOCK, "not a socket");
    check_connect(c, fresh, -ENOTCONN, "not connected");
    check_connect(c, datagram, -EPROTOTYPE, "a datagram socket");
    check_connect(c, listener, -EINVAL, "a listener, not a connection");

    int all[] = {file, event, fresh, datagram, packets, listener, unix_listener, pair[0], pair[1]};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(fcntl(all[i], F_GETFD), i == 0 ? FD_CLOEXEC : 0);
        assert_false(fcntl(all[i], F_GETFL) & O_NONBLOCK);
        raw_close(all[i]);
    }
}

/* A connection, blocking as it may be: it opens, and is a stream like any other. */
static void connections(struct contract *c)
{
    for (int i = 0; i < 2; i++) {
        struct end end = {.checked = true, .on_data = end_echo, .on_drained = end_go_on};
        uint64_t n_read = 0;
        uint16_t port;
        int pair[2];
        if (i == 0) {
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        } else {
            int listener = raw_listen(5, 0, &port);
            pair[0] = raw_connect(port);
            pair[1] = raw_accept(c, listener);
            raw_close(listener);
        }
        assert_int_equal(fcntl(pair[0], F_SETFD, 0), 0);
        fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL) & ~O_NONBLOCK);
        fcntl(pair[1], F_SETFL, fcntl(pair[1], F_GETFL) | O_NONBLOCK);
        struct sonde_url url = contract_url("fd:%d", pair[0]);
        end_connect(&end, c, &url);
        assert_false(end.opened);
        assert_int_equal(sonde_stream_fd(end.stream), pair[0]);
        assert_true(fcntl(pair[0], F_GETFD) & FD_CLOEXEC);
        assert_false(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
        until(c, end.opened);
        struct sonde_address peer;
        sonde_stream_peer(end.stream, &peer);
        assert_int_equal(peer.family, i == 0 ? AF_UNIX : AF_INET);
        if (i == 0)
            assert_int_equal(peer.u.peer.pid, getpid());
        else
            assert_int_equal(peer.port, port);
        /* More than the socket's buffers take: nothing blocks. */
        unsigned char bytes[4096];
        for (uint64_t n = 0; n < 3 * 1000 * 1000;) {
            fill_pattern(bytes, sizeof bytes, 0, n);
            ssize_t sent = send(pair[1], bytes, sizeof bytes, MSG_NOSIGNAL);
            if (sent > 0) {
                n += (uint64_t)sent;
                continue;
            }
            contract_turn(c);
            if (sonde_stream_is_paused(end.stream)) /* it would block, now that nobody reads its answers */
                (void)raw_read_pattern(pair[1], 0, &n_read);
        }
        until(c, raw_read_pattern(pair[1], 0, &n_read) == 0 && n_read >= 3 * 1000 * 1000 && n_read == end.n_received);
        raw_close(pair[1]);
        until(c, end.ended || end.failed);
        end_close(&end);
        contract_run(c);
        assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    }
}

/* It can be closed before it has opened, and what it was is closed then. */
static void close_before_opened(struct contract *c)
{
    for (int i = 0; i < 2; i++) {
        struct end end = {.user = NULL};
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        struct sonde_url url = contract_url("fd:%d", pair[0]);
        end_connect(&end, c, &url);
        if (i == 0)
            end_close(&end);
        else
            end_abort(&end);
        contract_run(c);
        assert_string_equal(end.story, "c");
        raw_close(pair[1]);
    }
}

static void written_before_opened(struct contract *c)
{
    struct end end = {.on_end = end_close};
    int pair[2];
    char text[16] = "";

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    struct sonde_url url = contract_url("fd:%d?proxy=v1", pair[0]);
    end_connect(&end, c, &url);
    assert_int_equal(CALL(sonde_stream_write(end.stream, "hello", 5)), 0);
    until(c, end.opened);
    char all[64] = "";
    size_t n = 0;
    while (n < strlen("PROXY UNKNOWN\r\nhello")) {
        int more = 0;
        until(c, (more = raw_read(pair[1], text, sizeof text)) != -EAGAIN);
        assert_true(more > 0);
        memcpy(all + n, text, (size_t)more);
        n += (size_t)more;
    }
    assert_string_equal(all, "PROXY UNKNOWN\r\nhello");
    raw_close(pair[1]);
    until(c, end.closed);
    contract_run(c);
}

/* No memory for it, or an option that fails: the descriptor stays the caller's. */
static void faults(struct contract *c)
{
    unsigned n_failed = 0, n_clean = 0;

    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    for (unsigned n = 1; n_clean < 2; n++) {
        struct sonde_listener *listener = NULL;
        struct sonde_stream *stream = NULL;
        struct server server = {.c = c};
        struct end end = {.c = c};
        int fd = foreign_listener(AF_INET, NULL), pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        snprintf(c->note, sizeof c->note, "fault %u", n);
        c->memory.fail_at = 0;
        c->script = (struct script){0};
        contract_new_loop(c);
        c->memory.n_calls = 0;
        c->memory.failed = false;
        c->memory.fail_at = c->scripted && n % 2 == 0 ? 0 : (long)(n + 1) / 2;
        c->script.n_operations = 0;
        c->script.failed_what = NULL;
        c->script.fail_error = -ENOMEM;
        c->script.fail_at = c->scripted && n % 2 == 0 ? n / 2 : 0;
        struct sonde_url url = contract_url("fd://%d?sndbuf=9000", fd);
        int error = CALL(sonde_listen(c->loop, &url, NULL, &server_handler, &server, &listener, NULL));
        server.listener = listener;
        assert_true((error < 0) == (listener == NULL));
        if (error < 0) {
            assert_int_equal(error, -ENOMEM);
            raw_close(fd); /* which would fail, had it been closed */
        }
        url = contract_url("fd://%d?sndbuf=9000", pair[0]);
        int error2 = CALL(sonde_connect(c->loop, &url, NULL, &end_handler, &end, &stream, NULL));
        end.stream = stream;
        if (error2 < 0)
            raw_close(pair[0]);
        else
            DO(sonde_stream_close(stream));
        if (error == 0)
            DO(sonde_listener_close(listener));
        bool failed = c->memory.failed || c->script.failed_what != NULL;
        n_failed += failed;
        n_clean = failed ? 0 : n_clean + 1;
        c->script.fail_at = 0;
        contract_run(c);
        raw_close(pair[1]);
        assert_int_equal(sonde_loop_destroy(c->loop), 0);
        c->loop = NULL;
    }
    c->memory.fail_at = 0;
    assert_true(n_failed >= 3);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(listeners),
        CONTRACT_TEST(abstract_listener),
        CONTRACT_TEST(waiting_client),
        CONTRACT_TEST(wrong_ones),
        CONTRACT_TEST(connections),
        CONTRACT_TEST(close_before_opened),
        CONTRACT_TEST(written_before_opened),
        CONTRACT_TEST(faults),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
