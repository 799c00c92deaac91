/* SPDX-License-Identifier: MIT */
/* Listeners: where they may listen, and with which options. */
#include "ends.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A listener that cannot be: the error, and what it says it is about. */
static void refused(struct contract *c, const char *text, const struct sonde_listen_options *options, int error,
                    const char *call, const char *subject)
{
    struct sonde_url url = contract_url("%s", text);
    struct sonde_listener *listener = (struct sonde_listener *)&url;
    struct sonde_why why = {0};
    unsigned n_fds = contract_n_fds();

    assert_int_equal(CALL(sonde_listen(c->loop, &url, options, &server_handler, NULL, &listener, &why)), error);
    assert_ptr_equal(listener, &url); /* untouched */
    assert_int_equal(why.code, error);
    assert_string_equal(why.call, call);
    if (strstr(why.subject, subject) == NULL)
        fail_msg("'%s' is not about '%s'", why.subject, subject);
    assert_int_equal(CALL(sonde_listen(c->loop, &url, options, &server_handler, NULL, &listener, NULL)), error);
    assert_int_equal(contract_n_fds(), n_fds);
    contract_run(c); /* nothing is left open */
}

/* --- where ------------------------------------------------------------------------------------------------------ */

static void port_zero(struct contract *c)
{
    struct server server = {0};
    struct sonde_url url;
    char text[SONDE_URL_MAX];

    server_open(&server, c, 1);
    assert_int_equal(sonde_listener_count(server.listener), 1);
    url = server_url(&server);
    assert_true(url.port != 0);
    assert_string_equal(url.host, "127.0.0.1");
    sonde_url_format(&url, text, sizeof text);
    assert_non_null(strstr(text, "tcp://127.0.0.1:"));
    assert_true(sonde_listener_fd(server.listener, 0) >= 0);
    assert_int_equal(sonde_listener_fd(server.listener, 1), -1);
    assert_ptr_equal(sonde_listener_loop(server.listener), c->loop);
    assert_ptr_equal(sonde_listener_owner(server.listener), &server);
    int raw = raw_connect(url.port);
    until(c, server.n_ends == 1);
    close(raw);
    server_wind_up(&server);
}

static void both_families(struct contract *c)
{
    static const char *const texts[] = {"tcp://:0", "tcp://localhost:0", "tcp://*:0"};

    for (unsigned i = 0; i < 3; i++) {
        struct server server = {0};
        struct end ends[2] = {{0}};
        struct sonde_url url[2];
        server_open_at(&server, c, 2, NULL, texts[i]);
        if (sonde_listener_count(server.listener) == 2) { /* 1 on a machine without IPv6 */
            for (unsigned k = 0; k < 2; k++)
                sonde_listener_address(server.listener, k, &url[k]);
            assert_int_equal(url[0].port, url[1].port);
            assert_string_equal(url[0].host, i == 2 ? "0.0.0.0" : "127.0.0.1");
            assert_string_equal(url[1].host, i == 2 ? "::" : "::1");
            for (unsigned k = 0; k < 2; k++)
                end_connect(&ends[k], c, &url[k]);
            until(c, ends[0].opened && ends[1].opened && server.n_ends == 2);
            end_close(&ends[0]);
            end_close(&ends[1]);
        }
        server_wind_up(&server);
    }
}

static void one_family(struct contract *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct server server = {0};
        const struct sonde_listen_options options = {.size = sizeof options, .family = i == 0 ? AF_INET : AF_INET6};
        server_open_at(&server, c, 1, &options, "tcp://:0");
        assert_int_equal(sonde_listener_count(server.listener), 1);
        assert_string_equal(server_url(&server).host, i == 0 ? "127.0.0.1" : "::1");
        server_wind_up(&server);
    }
}

static void address_in_use(struct contract *c)
{
    struct server server = {0};
    char text[64], subject[32];
    uint16_t port;
    int raw = raw_listen(5, 0, &port);

    snprintf(text, sizeof text, "tcp://127.0.0.1:%u", port);
    snprintf(subject, sizeof subject, "127.0.0.1:%u", port);
    refused(c, text, NULL, -EADDRINUSE, "bind", subject);
    snprintf(text, sizeof text, "tcp://:%u", port); /* one of two */
    refused(c, text, NULL, -EADDRINUSE, "bind", subject);
    close(raw);

    server_open(&server, c, 1);
    snprintf(text, sizeof text, "tcp://127.0.0.1:%u", server_port(&server));
    snprintf(subject, sizeof subject, "127.0.0.1:%u", server_port(&server));
    struct sonde_url url = contract_url("%s", text);
    struct sonde_listener *listener;
    struct sonde_why why;
    for (unsigned i = 0; i < 3; i++) {
        const struct sonde_listen_options options = {.size = sizeof options,
                                                     .flags = i == 0   ? 0
                                                              : i == 1 ? SONDE_LISTEN_SHARED
                                                                       : SONDE_LISTEN_JOIN};
        assert_int_equal(CALL(sonde_listen(c->loop, &url, &options, &server_handler, NULL, &listener, &why)),
                         -EADDRINUSE);
        assert_non_null(strstr(why.subject, subject));
    }
    server_wind_up(&server);
}

static void address_not_ours(struct contract *c)
{
    refused(c, "tcp://203.0.113.7:0", NULL, -EADDRNOTAVAIL, "bind", "203.0.113.7");
}

static void refused_option_is_named(struct contract *c)
{
    refused(c, "tcp://127.0.0.1:0?cc=nosuch", NULL, -ENOENT, "setsockopt", "cc=nosuch");
    refused(c, "tcp://127.0.0.1:0?device=nosuch0", NULL, -ENODEV, "setsockopt", "device=nosuch0");

    struct sonde_url url = contract_url("tcp://127.0.0.1:0?bind=127.0.0.1");
    struct sonde_listener *listener;
    struct sonde_why why;
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &server_handler, NULL, &listener, &why)), -SONDE_EOPTION);
    assert_non_null(strstr(why.subject, "bind"));
}

static void options_are_inherited(struct contract *c)
{
    struct server server = {0};
    int value = 0;
    socklen_t n = sizeof value;

    server_open_at(&server, c, 1, NULL, "tcp://127.0.0.1:0?keepalive=30s&backlog=7");
    int raw = raw_connect(server_port(&server));
    until(c, server.n_ends == 1);
    int fd = end_borrow_fd(&server.ends[0]);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &n), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &n), 0);
    assert_int_equal(value, 30);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    end_return_fd(&server.ends[0], fd);
    assert_true(fcntl(sonde_listener_fd(server.listener, 0), F_GETFD) & FD_CLOEXEC);
    close(raw);
    server_wind_up(&server);
}

/* --- UNIX paths ------------------------------------------------------------------------------------------------- */

/* A socket file on which nobody listens any more. */
static void leave_stale(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static void stale_socket_is_removed(struct contract *c)
{
    struct server server = {0};
    struct end end = {0};
    const char *path = contract_path();
    char text[128];

    leave_stale(path);
    snprintf(text, sizeof text, "unix:%s", path);
    server_open_at(&server, c, 1, NULL, text);
    struct sonde_url url = server_url(&server);
    end_connect(&end, c, &url);
    until(c, end.opened);
    end_close(&end);
    server_wind_up(&server);
    assert_int_equal(access(path, F_OK), -1);
}

static void others_stay(struct contract *c)
{
    struct server server = {0};
    const char *path = contract_path();
    char text[128];

    /* One that answers, even if nobody accepts. */
    snprintf(text, sizeof text, "unix:%s", path);
    server_open_at(&server, c, 1, NULL, text);
    struct sonde_url url = contract_url("%s", text);
    struct sonde_listener *listener;
    struct sonde_why why;
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &server_handler, NULL, &listener, &why)), -EADDRINUSE);
    assert_non_null(strstr(why.subject, path));
    assert_int_equal(access(path, F_OK), 0);

    /* One that took its place meanwhile is not the listener's to remove. */
    assert_int_equal(unlink(path), 0);
    leave_stale(path);
    server_wind_up(&server);
    assert_int_equal(access(path, F_OK), 0);
    if (geteuid() == 0) { /* somebody else's */
        assert_int_equal(chown(path, 12345, 12345), 0);
        refused(c, text, NULL, -EADDRINUSE, "bind", path);
        assert_int_equal(access(path, F_OK), 0);
    }
    unlink(path);

    /* A file, a link to a stale socket, a folder. */
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    refused(c, text, NULL, -EADDRINUSE, "bind", path);
    assert_int_equal(unlink(path), 0);
    char target[128];
    snprintf(target, sizeof target, "%.100s-target", text + strlen("unix:"));
    leave_stale(target);
    assert_int_equal(symlink(target, path), 0);
    refused(c, text, NULL, -EADDRINUSE, "bind", path);
    assert_int_equal(access(target, F_OK), 0);
    unlink(path);
    unlink(target);
    refused(c, "unix:/tmp", NULL, -EADDRINUSE, "bind", "/tmp");
    refused(c, "unix:/nosuch/folder/x", NULL, -ENOENT, "bind", "/nosuch/folder/x");
}

static void abstract_name(struct contract *c)
{
    struct server server = {0};
    char text[128] = "unix:@";

    strcat(text, contract_path());
    server_open_at(&server, c, 1, NULL, text);
    struct sonde_url url = contract_url("%s", text);
    struct sonde_listener *listener;
    unsigned length, limit;
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &server_handler, NULL, &listener, NULL)), -EADDRINUSE);
    assert_int_equal(sonde_listener_queue(server.listener, 0, &length, &limit), -EOPNOTSUPP);
    url = server_url(&server);
    char formatted[SONDE_URL_MAX];
    sonde_url_format(&url, formatted, sizeof formatted);
    assert_string_equal(formatted, text);
    server_wind_up(&server);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(port_zero),
        CONTRACT_TEST(both_families),
        CONTRACT_TEST(one_family),
        CONTRACT_TEST(address_in_use),
        CONTRACT_TEST(address_not_ours),
        CONTRACT_TEST(refused_option_is_named),
        CONTRACT_TEST(options_are_inherited),
        CONTRACT_TEST(stale_socket_is_removed),
        CONTRACT_TEST(others_stay),
        CONTRACT_TEST(abstract_name),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
