/* SPDX-License-Identifier: MIT */
/* A UDP listener and its peers: who becomes one, who does not, how they go; and what the listener does to them. */
#include "messages.h"
#include "udp_sockets.h"

#include <stdio.h>
#include <unistd.h>

static unsigned char bytes[100], back[1];

/* --- peers ----------------------------------------------------------------------------------------------------------
 */

static void closed_peer_comes_again(struct contract *c)
{
    struct hub hub = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    raw_send(fd, hub_port(&hub), "a", 1);
    until(c, hub.n_users == 1);
    user_close(&hub.users[0]);
    raw_send(fd, hub_port(&hub), "b", 1);
    until(c, hub.n_users == 2);
    assert_int_equal(hub.users[1].n_messages, 1);
    assert_true(hub.users[0].closed);
    close(fd);
    hub_close(&hub);
}

static void refused_peer_is_not_asked_again(struct contract *c)
{
    struct hub hub = {.refuses = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1"), other = raw_udp("127.0.0.1");
    for (int i = 0; i < 11; i++)
        raw_send(fd, hub_port(&hub), "a", 1);
    until(c, hub.n_peerless == 10);
    assert_int_equal(hub.n_users, 1);
    assert_int_equal(hub.users[0].n_messages, 0);
    hub.refuses = false;
    raw_send(other, hub_port(&hub), "b", 1);
    until(c, hub.n_users == 2);
    assert_int_equal(hub.users[1].n_messages, 1);
    assert_int_equal(hub.n_lost, 0);
    close(fd);
    close(other);
    hub_close(&hub);
}

static void more_than_most(struct contract *c)
{
    struct sonde_listen_options options = {.size = sizeof options, .n_peers_max = 3};
    struct hub hub = {.echoes = true};
    int fds[6];

    hub_open(&hub, c, &options, "udp://127.0.0.1:0");
    for (int i = 0; i < 6; i++) {
        fds[i] = raw_udp("127.0.0.1");
        raw_send(fds[i], hub_port(&hub), "a", 1);
    }
    until(c, hub.n_users == 3 && hub.n_peerless == 3);
    for (int i = 0; i < 3; i++)
        until(c, raw_take(fds[i], back, 1) == 1);
    user_close(&hub.users[0]);
    raw_send(fds[5], hub_port(&hub), "b", 1);
    until(c, hub.n_users == 4);
    assert_int_equal(hub.n_peerless, 3);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    hub_close(&hub);
}

static void silent_peer(struct contract *c)
{
    struct sonde_listen_options options = {.size = sizeof options, .peer_idle_ns = 20 * MILLISECOND};
    struct hub hub = {0};

    hub_open(&hub, c, &options, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    raw_send(fd, hub_port(&hub), "a", 1);
    until(c, hub.n_users == 1 && hub.users[0].error != 0);
    assert_int_equal(hub.users[0].error, -ETIMEDOUT);
    until(c, hub.users[0].closed);
    raw_send(fd, hub_port(&hub), "b", 1);
    until(c, hub.n_users == 2);
    close(fd);
    hub_close(&hub);
}

/* A paused peer's messages: some are kept, the rest is told; and the others go on. */
static void paused_peer(struct contract *c)
{
    enum { SENT = 100 };
    struct hub hub = {.echoes = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1"), other = raw_udp("127.0.0.1");
    raw_send(fd, hub_port(&hub), "a", 1);
    until(c, hub.n_users == 1);
    struct user *user = &hub.users[0];
    DO(sonde_stream_pause(user->stream));
    for (unsigned char i = 0; i < SENT; i++)
        raw_send(fd, hub_port(&hub), &i, 1);
    raw_send(other, hub_port(&hub), "b", 1);
    until(c, raw_take(other, back, 1) == 1);
    until(c, user->n_lost > 0);
    assert_int_equal(user->n_messages, 1);
    user->numbered = true;
    DO(sonde_stream_resume(user->stream));
    until(c, user->n_messages + user->n_lost == SENT + 1);
    assert_true(user->n_messages > 10);
    assert_int_equal(hub.n_lost + hub.n_peerless, 0);
    close(fd);
    close(other);
    hub_close(&hub);
}

/* --- the listener ---------------------------------------------------------------------------------------------------
 */

static void paused_listener(struct contract *c)
{
    struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_PAUSED};
    struct hub hub = {0};

    hub_open(&hub, c, &options, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1"), other = raw_udp("127.0.0.1");
    raw_send(fd, hub_port(&hub), "a", 1);
    some_turns(c);
    assert_int_equal(hub.n_users, 0);
    DO(sonde_listener_resume(hub.listener));
    until(c, hub.n_users == 1 && hub.users[0].n_messages == 1); /* the kernel has kept it */
    DO(sonde_listener_pause(hub.listener));
    raw_send(other, hub_port(&hub), "b", 1);
    raw_send(fd, hub_port(&hub), "c", 1);
    until(c, hub.users[0].n_messages == 2);
    until(c, hub.n_peerless == 1);
    assert_int_equal(hub.n_users, 1);
    close(fd);
    close(other);
    hub_close(&hub);
}

static void closed_listener(struct contract *c)
{
    struct hub hub = {.echoes = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    uint16_t port = hub_port(&hub);
    int fd = raw_udp("127.0.0.1"), other = raw_udp("127.0.0.1");
    raw_send(fd, port, "a", 1);
    until(c, raw_take(fd, back, 1) == 1);
    DO(sonde_listener_close(hub.listener));
    until(c, hub.closed);
    raw_send(other, port, "b", 1);
    raw_send(fd, port, "c", 1);
    until(c, raw_take(fd, back, 1) == 1);
    assert_int_equal(hub.n_users, 1);
    assert_null(sonde_stream_listener(hub.users[0].stream));
    user_close(&hub.users[0]);
    contract_run(c);
    /* The port is free. */
    struct sockaddr_in at = at_port("127.0.0.1", port);
    int again = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(again, (struct sockaddr *)&at, sizeof at), 0);
    close(again);
    close(fd);
    close(other);
    hub_close(&hub);
}

static void taken_port(struct contract *c)
{
    struct sonde_listen_options shared = {.size = sizeof shared, .flags = SONDE_LISTEN_SHARED};
    struct sonde_listen_options join = {.size = sizeof join, .flags = SONDE_LISTEN_JOIN};
    struct sonde_listener *listener;
    struct hub alone = {0}, first = {.echoes = true}, second = {.echoes = true};
    struct sonde_why why;

    hub_open(&alone, c, NULL, "udp://127.0.0.1:0");
    struct sonde_url url = hub_url(&alone);
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &hub_handler, &alone, &listener, &why)), -EADDRINUSE);
    assert_string_equal(why.call, "bind");
    hub_close(&alone);
    hub_open(&first, c, &shared, "udp://127.0.0.1:0");
    char text[64];
    snprintf(text, sizeof text, "udp://127.0.0.1:%u", hub_port(&first));
    hub_open(&second, c, &join, text);
    int fds[64];
    for (int i = 0; i < 64; i++) {
        fds[i] = raw_udp("127.0.0.1");
        raw_send(fds[i], hub_port(&first), "a", 1);
    }
    for (int i = 0; i < 64; i++)
        until(c, raw_take(fds[i], back, 1) == 1);
    assert_int_equal(first.n_users + second.n_users, 64);
    assert_true(first.n_users > 0 && second.n_users > 0);
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    hub_stop(&second);
    hub_close(&first);
    hub_close(&second);
}

/* An answer comes from the address that was asked. */
static void asked_address(struct contract *c)
{
    struct sonde_listen_options options = {.size = sizeof options, .family = AF_INET};
    struct hub hub = {.echoes = true};

    hub_open(&hub, c, &options, "udp://*:0");
    struct sockaddr_in from, to = at_port("127.0.0.2", hub_port(&hub));
    socklen_t n = sizeof from;
    int fd = raw_udp("127.0.0.1");
    assert_int_equal(sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    until(c, recvfrom(fd, back, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n) == 1);
    assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
    struct sonde_address local;
    sonde_stream_local(hub.users[0].stream, &local);
    assert_memory_equal(local.u.ip, &to.sin_addr, 4);
    assert_int_equal(local.port, hub_port(&hub));
    /* The same socket at another address of ours is somebody else. */
    to = at_port("127.0.0.3", hub_port(&hub));
    assert_int_equal(sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    until(c, recvfrom(fd, back, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n) == 1);
    assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
    assert_int_equal(hub.n_users, 2);
    close(fd);
    hub_close(&hub);
}

static void kernel_drops(struct contract *c)
{
    enum { SENT = 500 };
    struct hub hub = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0?rcvbuf=1");
    int fd = raw_udp("127.0.0.1");
    for (int i = 0; i < SENT; i++)
        raw_send(fd, hub_port(&hub), bytes, 100);
    until(c, hub.n_users == 1 && hub.users[0].n_messages + hub.n_lost == SENT);
    assert_true(hub.n_lost > 0 && hub.users[0].n_messages > 0);
    assert_int_equal(hub.n_peerless, 0);
    close(fd);
    hub_close(&hub);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(closed_peer_comes_again),
        CONTRACT_TEST(refused_peer_is_not_asked_again),
        CONTRACT_TEST(more_than_most),
        CONTRACT_TEST(silent_peer),
        CONTRACT_TEST(paused_peer),
        CONTRACT_TEST(paused_listener),
        CONTRACT_TEST(closed_listener),
        CONTRACT_TEST(taken_port),
        CONTRACT_TEST(asked_address),
        CONTRACT_TEST(kernel_drops),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
