/* SPDX-License-Identifier: MIT */
/* Real sockets on loopback, and what the kernel says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sockets_scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static struct sonde_address peer_of(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t n_bytes = sizeof storage;
    assert_int_equal(getpeername(fd, (void *)&storage, &n_bytes), 0);
    return address_of(&storage);
}

static struct socket_info found(int fd)
{
    struct sonde_address local = local_of(fd), peer = peer_of(fd);
    struct socket_info socket;
    assert_int_equal(sockets_find(sockets, &local, &peer, cookie_of(fd), SOCKETS_WITH_INFO, &socket), 0);
    return socket;
}

static void check_connection(int family)
{
    int listener = listener_of(family, 1);
    if (listener < 0)
        skip();
    int client = connected_to(listener);
    until(listener, TCP_STATE_LISTEN, 1, 1);
    int server = accepted_from(listener);
    until(listener, TCP_STATE_LISTEN, 0, 1);
    assert_int_equal(send(client, "hello, world", 12, 0), 12);
    struct socket_info socket = until(server, TCP_STATE_ESTABLISHED, 12, 0);
    assert_int_equal(socket.inode, inode_of(server));
    assert_int_equal(socket.uid, geteuid());
    assert_int_equal(socket.family, family);
    assert_int_equal(socket.local.port, local_of(listener).port);
    assert_int_equal(socket.peer.port, local_of(client).port);
    assert_false(socket.has_info || socket.has_memory);
    assert_string_equal(socket.congestion, "");
    socket = found(server);
    assert_int_equal(socket.inode, inode_of(server));
    assert_int_equal(socket.receive_queue, 12);
    assert_true(socket.has_info && socket.info.bytes_received == 12);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    until(server, TCP_STATE_CLOSE_WAIT, 12, 0);
    until(client, TCP_STATE_FIN_WAIT_2, 0, 0);
    char data[16];
    assert_int_equal(recv(server, data, sizeof data, 0), 12);
    assert_int_equal(recv(server, data, sizeof data, 0), 0);
    until(server, TCP_STATE_CLOSE_WAIT, 0, 0);
    close(server);
    close(client);
    close(listener);
}

static void connection_4(void **state)
{
    (void)state;
    check_connection(AF_INET);
}

static void connection_6(void **state)
{
    (void)state;
    check_connection(AF_INET6);
}

/* An IPv4 connection that an IPv6 socket accepted is found by either form of its addresses. */
static void dual(void **state)
{
    (void)state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    if (listener < 0 || setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
        bind(listener, (void *)&any, sizeof any) < 0)
        skip();
    assert_int_equal(listen(listener, 4), 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    in.sin_port = htons(local_of(listener).port);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (void *)&in, sizeof in), 0);
    int server = accepted_from(listener);
    struct sonde_address local = peer_of(client), peer = local_of(client);
    struct socket_info socket;
    assert_int_equal(local.family, AF_INET);
    assert_int_equal(sockets_find(sockets, &local, &peer, 0, 0, &socket), 0);
    assert_int_equal(socket.cookie, cookie_of(server));
    assert_int_equal(found(server).cookie, cookie_of(server));
    assert_false(dumped(listener, SOCKETS_TCP, 0, NULL).v6_only);
    close(server);
    close(client);
    close(listener);
}

static void not_found(void **state)
{
    (void)state;
    int listener = listener_of(AF_INET, 4), client = connected_to(listener), server = accepted_from(listener);
    struct sonde_address local = local_of(server), peer = peer_of(server);
    struct socket_info socket, untouched;
    memset(&untouched, 0x55, sizeof untouched);
    socket = untouched;
    assert_int_equal(sockets_find(sockets, &local, &peer, 12345, 0, &socket), -ENOENT);
    /* Nobody is there; the listener that the kernel answers with is another. */
    peer.port = local.port;
    assert_int_equal(sockets_find(sockets, &local, &peer, 0, 0, &socket), -ENOENT);
    local.port = 0;
    assert_int_equal(sockets_find(sockets, &local, &peer, 0, 0, &socket), -ENOENT);
    local.family = AF_UNIX;
    assert_int_equal(sockets_find(sockets, &local, &peer, 0, 0, &socket), -EAFNOSUPPORT);
    assert_memory_equal(&socket, &untouched, sizeof socket);
    /* The listener itself has no peer. */
    local = local_of(listener);
    assert_int_equal(sockets_find(sockets, &local, NULL, 0, 0, &socket), 0);
    assert_int_equal(socket.state, TCP_STATE_LISTEN);
    assert_int_equal(socket.cookie, cookie_of(listener));
    close(server);
    close(client);
    close(listener);
}

static void datagrams(void **state)
{
    (void)state;
    int receiver = bound(AF_INET, SOCK_DGRAM), sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage storage;
    socklen_t n_bytes = sizeof storage;
    assert_int_equal(getsockname(receiver, (void *)&storage, &n_bytes), 0);
    assert_int_equal(connect(sender, (void *)&storage, n_bytes), 0);
    assert_int_equal(send(sender, "x", 1, 0), 1);
    struct socket_info socket = dumped(receiver, SOCKETS_ALL, SOCKETS_WITH_MEMORY, NULL);
    assert_int_equal(socket.protocol, IPPROTO_UDP);
    assert_int_equal(socket.type, SOCK_DGRAM);
    assert_int_equal(socket.state, TCP_STATE_CLOSED);
    assert_true(socket.receive_queue > 0);
    assert_true(socket.has_memory);
    assert_int_equal(socket.peer.port, 0);
    socket = dumped(sender, SOCKETS_UDP, 0, NULL);
    assert_int_equal(socket.state, TCP_STATE_ESTABLISHED);
    assert_int_equal(socket.peer.port, local_of(receiver).port);
    close(receiver);
    close(sender);
}

static void unix_sockets(void **state)
{
    (void)state;
    int pair[2], bare = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "sonde-test-%d", (int)getpid());
    socklen_t n_name = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    assert_int_equal(bind(bare, (void *)&name, n_name), 0);
    struct socket_info socket = dumped(bare, SOCKETS_UNIX, 0, NULL);
    assert_int_equal(socket.n_unix_name, n + 1);
    assert_memory_equal(socket.unix_name, name.sun_path, (size_t)n + 1);
    assert_int_equal(socket.state, TCP_STATE_CLOSED);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(send(pair[0], "abc", 3, 0), 3);
    socket = dumped(pair[1], SOCKETS_ALL, 0, NULL);
    assert_int_equal(socket.receive_queue, 3);
    assert_int_equal(socket.peer_inode, inode_of(pair[0]));
    assert_int_equal(socket.inode, inode_of(pair[1]));
    assert_int_equal(socket.uid, geteuid());
    close(pair[0]);
    close(pair[1]);
    close(bare);
}

static bool stop_at_once(const struct socket_info *socket, void *user)
{
    assert_true(socket->family != 0);
    ++*(unsigned *)user;
    return false;
}

static void stopped(void **state)
{
    (void)state;
    int listener = listener_of(AF_INET, 4), fd[300];
    for (size_t i = 0; i < 300; i++)
        fd[i] = listener_of(AF_INET, 4); /* more than one answer of the kernel */
    for (int round = 0; round < 3; round++) {
        unsigned n = 0;
        assert_int_equal(sockets_dump(sockets, SOCKETS_ALL, SOCKETS_WITH_INFO, NULL, stop_at_once, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(dumped(listener, SOCKETS_TCP, 0, NULL).inode, inode_of(listener));
    }
    for (size_t i = 0; i < 300; i++)
        close(fd[i]);
    close(listener);
}

/* ---- deaths */

static int wait_for_death(struct sockets_deaths *deaths, uint64_t cookie, struct socket_info *ret_socket)
{
    struct pollfd pollfd = {.fd = sockets_deaths_fd(deaths), .events = POLLIN};
    int64_t deadline_ms = now_ms() + DEADLINE_MS;
    while (now_ms() < deadline_ms) {
        int result = sockets_deaths_next(deaths, ret_socket);
        if (result < 0 || (result == 1 && ret_socket->cookie == cookie))
            return result;
        if (result == 0)
            poll(&pollfd, 1, 100);
    }
    return 0;
}

static void deaths(void **state)
{
    (void)state;
    struct sockets_deaths *deaths;
    struct sonde_why why;
    struct socket_info socket;
    char data[20];
    int listener = listener_of(AF_INET, 4);
    assert_int_equal(sockets_deaths_open(&deaths, &why), 0);
    struct sonde_address local;
    int result = -ENOBUFS;
    /* So many others may die meanwhile that there is no room, which is said: then another one. */
    for (int64_t deadline_ms = now_ms() + DEADLINE_MS; result == -ENOBUFS && now_ms() < deadline_ms;) {
        int client = connected_to(listener), server = accepted_from(listener);
        assert_int_equal(send(client, "twenty bytes in all.", 20, 0), 20);
        uint64_t cookie = cookie_of(client);
        local = local_of(client);
        assert_int_equal(recv(server, data, sizeof data, MSG_WAITALL), 20);
        close(client);
        close(server); /* the client goes on as a TIME_WAIT entry, its socket dies */
        result = wait_for_death(deaths, cookie, &socket);
    }
    assert_int_equal(result, 1);
    assert_int_equal(socket.state, TCP_STATE_CLOSED);
    assert_int_equal(socket.protocol, IPPROTO_TCP);
    assert_int_equal(socket.inode, 0);
    assert_int_equal(socket.local.port, local.port);
    assert_true(socket.has_info && socket.info.bytes_sent == 20);
    close(listener);
    sockets_deaths_close(deaths);
    sockets_deaths_close(NULL);
}

/* More than there is room for: that is said, once, and it goes on. */
static void too_many_deaths(void **state)
{
    (void)state;
    struct sockets_deaths *deaths;
    struct sonde_why why;
    struct socket_info socket;
    struct linger at_once = {.l_onoff = 1};
    int listener = listener_of(AF_INET, 4), little = 4096, result;
    assert_int_equal(sockets_deaths_open(&deaths, &why), 0);
    setsockopt(sockets_deaths_fd(deaths), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    unsigned n_lost = 0, n_told = 0;
    /* The kernel tells of them a little later: from a queue of its own. */
    for (int64_t deadline_ms = now_ms() + DEADLINE_MS; n_lost == 0 && now_ms() < deadline_ms;) {
        for (int i = 0; i < 50; i++) {
            int client = connected_to(listener);
            close(accepted_from(listener));
            setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(client);
        }
        struct pollfd pollfd = {.fd = sockets_deaths_fd(deaths), .events = POLLIN};
        poll(&pollfd, 1, 100);
        while ((result = sockets_deaths_next(deaths, &socket)) != 0) {
            assert_true(result == 1 || result == -ENOBUFS);
            n_lost += result < 0;
            n_told += result > 0;
        }
    }
    assert_true(n_lost > 0 && n_told > 0);
    /* It goes on. There is more room now: others' deaths are told as well, and a busy machine has many. */
    int much = 256 * 1024;
    setsockopt(sockets_deaths_fd(deaths), SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
    bool told_again = false;
    /* Which of them is told, and how much later, is the kernel's affair: all have this listener's port. */
    int later = listener_of(AF_INET, 4);
    uint16_t port = local_of(later).port;
    for (int64_t deadline_ms = now_ms() + DEADLINE_MS; !told_again && now_ms() < deadline_ms;) {
        int last = connected_to(later);
        close(accepted_from(later));
        setsockopt(last, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(last);
        struct pollfd pollfd = {.fd = sockets_deaths_fd(deaths), .events = POLLIN};
        poll(&pollfd, 1, 1000);
        while ((result = sockets_deaths_next(deaths, &socket)) != 0)
            told_again |= result == 1 && (socket.local.port == port || socket.peer.port == port);
    }
    assert_true(told_again);
    close(later);
    close(listener);
    sockets_deaths_close(deaths);
}

/* All of it works without any rights. */
static void ordinary_user(void **state)
{
    (void)state;
    int listener = listener_of(AF_INET, 4), client = connected_to(listener), status;
    struct sonde_address local = local_of(client), peer = peer_of(client);
    uint64_t cookie = cookie_of(client);
    if (getuid() != 0)
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sockets *own;
        struct sockets_deaths *own_deaths;
        struct socket_info socket;
        struct search search = {.cookie = cookie};
        bool good = setgid(65534) == 0 && setuid(65534) == 0 && sockets_open(&own, NULL) == 0;
        good = good && sockets_dump(own, SOCKETS_TCP, SOCKETS_WITH_INFO, NULL, search_one, &search) >= 0;
        good = good && search.n_found == 1 && search.socket.has_info && search.socket.inode != 0;
        good = good && sockets_find(own, &local, &peer, cookie, 0, &socket) == 0;
        good = good && sockets_deaths_open(&own_deaths, NULL) == 0;
        if (good) {
            sockets_deaths_close(own_deaths);
            sockets_close(own);
        }
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(client);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_4),  cmocka_unit_test(connection_6), cmocka_unit_test(dual),
        cmocka_unit_test(not_found),     cmocka_unit_test(datagrams),    cmocka_unit_test(unix_sockets),
        cmocka_unit_test(stopped),       cmocka_unit_test(deaths),       cmocka_unit_test(too_many_deaths),
        cmocka_unit_test(ordinary_user),
    };
    return cmocka_run_group_tests(tests, open_sockets, close_sockets);
}
