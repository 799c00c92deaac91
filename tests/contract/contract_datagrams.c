/* SPDX-License-Identifier: MIT */
/*
 * UDP and UNIX datagrams: boundaries, clients, what is dropped, what did not arrive. Listeners and their peers are in
 * contract_datagram_peers.c, packets in contract_packets.c.
 */
#include "messages.h"
#include "udp_sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static unsigned char bytes[70000], back[70000];

/* --- boundaries -----------------------------------------------------------------------------------------------------
 */

static void whole_datagrams(struct contract *c)
{
    static const size_t sizes[] = {0, 1, 1000, 65507, 0, 3};
    struct hub hub = {.echoes = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = -1;
        fill_pattern(bytes, sizes[i], i, 0);
        raw_send(fd, hub_port(&hub), bytes, sizes[i]);
        until(c, (n = raw_take(fd, back, sizeof back)) >= 0);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(back, bytes, sizes[i]);
        assert_int_equal(hub.users[0].n_messages, i + 1);
        assert_int_equal(hub.users[0].last.n_bytes, sizes[i]);
        assert_int_equal(hub.users[0].last.n_whole_bytes, sizes[i]);
        assert_int_equal(hub.users[0].last.flags, SONDE_MESSAGE);
        assert_int_equal(hub.users[0].last_from.port, raw_port(fd));
    }
    assert_int_equal(hub.n_users, 1);
    const struct sonde_stream *stream = hub.users[0].stream;
    struct sonde_address address;
    sonde_stream_peer(stream, &address);
    assert_int_equal(address.port, raw_port(fd));
    sonde_stream_local(stream, &address);
    assert_int_equal(address.port, hub_port(&hub));
    assert_true(sonde_stream_has_messages(stream));
    assert_false(sonde_stream_has_end(stream));
    assert_int_equal(sonde_stream_received_messages(stream), 6);
    assert_int_equal(sonde_stream_sent_messages(stream), 6);
    assert_int_equal(sonde_stream_received_bytes(stream), 66511);
    assert_int_equal(sonde_stream_sent_bytes(stream), 66511);
    assert_int_equal(sonde_stream_fd(stream), -1);
    close(fd);
    hub_close(&hub);
}

/* Many at once, each answered to the one who sent it. */
static void many_peers(struct contract *c)
{
    enum { N = 100, EACH = 5 };
    struct hub hub = {.echoes = true};
    int fds[N];

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    for (int i = 0; i < N; i++)
        fds[i] = raw_udp("127.0.0.1");
    for (int n = 0; n < EACH; n++) { /* no more at a time than a receive buffer holds */
        for (int i = 0; i < N; i++) {
            int message[2] = {i, n};
            raw_send(fds[i], hub_port(&hub), message, sizeof message);
        }
        for (int i = 0; i < N; i++) {
            int message[2] = {-1, -1};
            until(c, raw_take(fds[i], message, sizeof message) == sizeof message);
            assert_int_equal(message[0], i);
            assert_int_equal(message[1], n);
        }
    }
    assert_int_equal(hub.n_users, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    hub_close(&hub);
}

/* Cut by the room that there is, and said so. */
static void cut(struct contract *c)
{
    struct hub hub = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    c->script.receive_bytes = 100;
    raw_send(fd, hub_port(&hub), bytes, 1000);
    raw_send(fd, hub_port(&hub), bytes, 100);
    until(c, hub.n_users == 1 && hub.users[0].n_messages == 2);
    c->script.receive_bytes = 0;
    assert_int_equal(hub.users[0].first.n_bytes, 100);
    assert_int_equal(hub.users[0].first.n_whole_bytes, 1000);
    assert_int_equal(hub.users[0].first.flags, SONDE_MESSAGE | SONDE_CUT);
    assert_int_equal(hub.users[0].last.flags, SONDE_MESSAGE);
    close(fd);
    hub_close(&hub);
}

/* --- what does not arrive -------------------------------------------------------------------------------------------
 */

static void nobody_there(struct contract *c)
{
    int fd = raw_udp("127.0.0.1");
    struct sonde_url url = contract_url("udp://127.0.0.1:%u", raw_port(fd));
    struct user user = {0};

    raw_deafen(fd);
    user_connect(&user, c, &url);
    until(c, user.opened);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "a", 1)), 0);
    until(c, user.closed);
    assert_int_equal(user.error, -ECONNREFUSED);
    assert_int_equal(user.icmp, -ECONNREFUSED);
    assert_int_equal(user.icmp_says.family, AF_INET);
    contract_run(c);
    close(fd);
}

static void gone_from(struct contract *c, const char *text)
{
    struct sonde_listen_options options = {.size = sizeof options, .family = AF_INET};
    struct hub hub = {.echoes = true};

    hub_open(&hub, c, &options, text);
    int fd = raw_udp("127.0.0.1"), other = raw_udp("127.0.0.1");
    raw_send(other, hub_port(&hub), "a", 1);
    until(c, hub.n_users == 1);
    raw_send(fd, hub_port(&hub), "a", 1);
    until(c, hub.n_users == 2);
    until(c, raw_take(fd, back, 1) == 1);
    raw_deafen(fd);
    assert_int_equal(CALL(sonde_stream_write(hub.users[1].stream, "b", 1)), 0);
    until(c, hub.users[1].closed);
    assert_int_equal(hub.users[1].error, -ECONNREFUSED);
    assert_int_equal(hub.users[0].icmp, 0);
    for (int i = 0; i < 2; i++) /* what the first one's answers say, and one more */
        until(c, raw_take(other, back, 1) == 1 || i == 1);
    raw_send(other, hub_port(&hub), "c", 1);
    until(c, hub.users[0].n_messages == 2 && raw_take(other, back, 1) == 1);
    assert_int_equal(back[0], 'c');
    close(fd);
    close(other);
    hub_close(&hub);
}

static void one_peer_has_gone(struct contract *c)
{
    gone_from(c, "udp://127.0.0.1:0");
    gone_from(c, "udp://*:0");
}

/* What the kernel has dropped before a client is told to it. */
static void client_drops(struct contract *c)
{
    enum { SENT = 300 };
    int fd = raw_udp("127.0.0.1");
    struct sonde_url url = contract_url("udp://127.0.0.1:%u?rcvbuf=1", raw_port(fd));
    struct user user = {0};
    struct sockaddr_in from;
    socklen_t n = sizeof from;

    user_connect(&user, c, &url);
    until(c, user.opened);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "a", 1)), 0);
    until(c, recvfrom(fd, back, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n) == 1);
    for (int i = 0; i < SENT; i++)
        assert_int_equal(sendto(fd, bytes, 100, 0, (struct sockaddr *)&from, n), 100);
    until(c, user.n_messages + user.n_lost == SENT);
    assert_true(user.n_messages > 0 && user.n_lost > 0);
    user_close(&user);
    contract_run(c);
    close(fd);
}

/* The loop is stopped in the middle of one socket's batch, and another socket is the first to be ready after that. */
static void stopped_with_others(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct user users[4] = {{0}};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    struct sonde_url url = hub_url(&hub);
    for (int i = 0; i < 4; i++) {
        user_connect(&users[i], c, &url);
        until(c, users[i].opened);
        users[i].stops = true;
    }
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 8; j++)
                assert_int_equal(CALL(sonde_stream_write(users[i].stream, "a", 1)), 0);
        for (int i = 0; i < 4; i++)
            until(c, users[i].n_messages == 8u * (unsigned)round);
    }
    hub_stop(&hub);
    for (int i = 0; i < 4; i++)
        user_close(&users[i]);
    hub_close(&hub);
}

static void too_long(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct user user = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    struct sonde_url url = hub_url(&hub);
    user_connect(&user, c, &url);
    until(c, user.opened);
    assert_int_equal(CALL(sonde_stream_write(user.stream, bytes, 65508)), -EMSGSIZE);
    assert_int_equal(CALL(sonde_stream_write(user.stream, bytes, 65507)), 0);
    until(c, user.n_messages == 1);
    assert_int_equal(user.last.n_bytes, 65507);
    assert_int_equal(sonde_stream_sent_messages(user.stream), 1);
    assert_int_equal(sonde_stream_set_rate(user.stream, 1000), -EOPNOTSUPP);
    uint64_t n;
    assert_int_equal(sonde_stream_unacknowledged_bytes(user.stream, &n), -EOPNOTSUPP);
    user_close(&user);
    hub_close(&hub);
}

/* --- clients --------------------------------------------------------------------------------------------------------
 */

/* What is written before it opens keeps its boundaries; finishing sends all of it. */
static void written_early(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct user user = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    struct sonde_url url = hub_url(&hub);
    user_connect(&user, c, &url);
    assert_true(sonde_stream_has_messages(user.stream));
    assert_int_equal(CALL(sonde_stream_write(user.stream, "ab", 2)), 0);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "", 0)), 0);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "cde", 3)), 0);
    assert_int_equal(sonde_stream_queued_bytes(user.stream), 5);
    until(c, user.n_messages == 3);
    assert_int_equal(user.first.n_bytes, 2);
    assert_int_equal(user.last.n_bytes, 3);
    assert_int_equal(hub.users[0].n_messages, 3);
    DO(sonde_stream_shutdown(user.stream)); /* is told nobody */
    assert_int_equal(CALL(sonde_stream_write(user.stream, "f", 1)), -EPIPE);
    DO(sonde_stream_finish(user.stream, sonde_loop_now_ns(c->loop) + 30 * SECOND));
    until(c, user.closed);
    assert_int_equal(user.error, 0);
    assert_false(hub.users[0].ended);
    hub_close(&hub);
}

static void paused_client(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct user user = {.numbered = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    struct sonde_url url = hub_url(&hub);
    user_connect(&user, c, &url);
    until(c, user.opened);
    DO(sonde_stream_pause(user.stream));
    for (unsigned char i = 0; i < 50; i++)
        assert_int_equal(CALL(sonde_stream_write(user.stream, &i, 1)), 0);
    until(c, hub.n_users == 1 && hub.users[0].n_messages == 50);
    some_turns(c);
    assert_int_equal(user.n_messages, 0);
    user.pauses_at = 7;
    DO(sonde_stream_resume(user.stream));
    until(c, user.n_messages == 7);
    some_turns(c);
    assert_int_equal(user.n_messages, 7);
    DO(sonde_stream_resume(user.stream));
    until(c, user.n_messages == 50);
    user_close(&user);
    hub_close(&hub);
}

/* The callback that stops the loop is the last of this run, and what had been received waits for the next. */
static void stopped_in_a_batch(struct contract *c)
{
    struct hub hub = {.echoes = true, .stops = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    for (unsigned char i = 0; i < 20; i++)
        raw_send(fd, hub_port(&hub), &i, 1);
    until(c, hub.n_users == 1);
    hub.users[0].numbered = true;
    hub.users[0].next = hub.users[0].n_messages;
    for (unsigned i = hub.users[0].n_messages; i < 20; i++) {
        assert_int_equal(sonde_loop_run(c->loop), 0);
        assert_true(hub.users[0].n_messages <= i + 1);
    }
    until(c, hub.users[0].n_messages == 20);
    for (unsigned char i = 0; i < 20; i++) {
        until(c, raw_take(fd, back, 1) == 1);
        assert_int_equal(back[0], i);
    }
    hub.stops = false;
    close(fd);
    hub_close(&hub);
}

/* An answer is written and the stream closed, in the callback: the answer goes. */
static void answered_and_closed(struct contract *c)
{
    struct hub hub = {.echoes = true, .closes = true};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    for (int i = 0; i < 3; i++)
        raw_send(fd, hub_port(&hub), "a", 1);
    for (int i = 0; i < 3; i++)
        until(c, raw_take(fd, back, 1) == 1);
    assert_int_equal(hub.n_users, 3);
    close(fd);
    hub_close(&hub);
}

/* --- UNIX -----------------------------------------------------------------------------------------------------------
 */

static void unix_datagrams(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct user user = {0};
    char text[160];
    const char *path = contract_path();

    snprintf(text, sizeof text, "unixgram:%s", path);
    hub_open(&hub, c, NULL, text);
    assert_int_equal(access(path, F_OK), 0);
    struct sonde_url url = hub_url(&hub);
    user_connect(&user, c, &url);
    until(c, user.opened);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "", 0)), 0);
    assert_int_equal(CALL(sonde_stream_write(user.stream, bytes, sizeof bytes)), 0);
    until(c, user.n_messages == 2);
    assert_int_equal(user.first.n_bytes, 0);
    assert_int_equal(user.last.n_bytes, sizeof bytes);
    assert_int_equal(CALL(sonde_stream_write(user.stream, bytes, 100 * 1000 * 1000)), -EMSGSIZE);
    struct sonde_address peer;
    sonde_stream_peer(hub.users[0].stream, &peer);
    assert_int_equal(peer.family, AF_UNIX);
    assert_int_equal(peer.u.peer.pid, getpid());

    /* One without a name is heard, and can't be answered. */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    assert_int_equal(sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    hub.echoes = false;
    until(c, hub.n_users == 2 && hub.users[1].n_messages == 1);
    assert_int_equal(CALL(sonde_stream_write(hub.users[1].stream, "b", 1)), -EDESTADDRREQ);
    close(fd);
    user_close(&user);
    hub_close(&hub);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* A receiver that does not read holds up itself alone, and loses nothing. */
static void slow_unix_receiver(struct contract *c)
{
    enum { SENT = 300 };
    struct hub hub = {.echoes = true};
    char text[160];
    const char *path = contract_path();

    snprintf(text, sizeof text, "unixgram:%s", path);
    hub_open(&hub, c, NULL, text);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX}, to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at.sun_family), 0);
    assert_int_equal(sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    until(c, hub.n_users == 1 && raw_take(fd, back, 1) == 1);
    for (int i = 0; i < SENT; i++)
        assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, &i, sizeof i)), 0);
    assert_true(sonde_stream_queued_bytes(hub.users[0].stream) > 0);
    for (int i = 0; i < SENT; i++) {
        int number = -1;
        until(c, raw_take(fd, &number, sizeof number) == sizeof number);
        assert_int_equal(number, i);
    }
    until(c, hub.users[0].n_drained == 1);
    close(fd);
    hub_close(&hub);
}

/* --- the probe ------------------------------------------------------------------------------------------------------
 */

struct seen {
    unsigned n_sent, n_received;
    uint64_t stream;
    uint16_t port;
};

static void on_event(const struct sonde_probe_event *event, void *user)
{
    struct seen *seen = user;

    if (event->operation != SONDE_OP_SEND && event->operation != SONDE_OP_RECEIVE)
        return;
    seen->n_sent += event->operation == SONDE_OP_SEND;
    seen->n_received += event->operation == SONDE_OP_RECEIVE;
    seen->stream = event->stream;
    seen->port = event->address.port;
    assert_int_equal(event->result, 3);
    assert_memory_equal(event->data, "abc", 3);
    assert_true(event->start_ns > 0 && event->end_ns >= event->start_ns);
    assert_true(event->socket_cookie != 0);
}

static void probed(struct contract *c)
{
    struct hub hub = {.echoes = true};
    struct seen seen = {0};

    hub_open(&hub, c, NULL, "udp://127.0.0.1:0");
    int fd = raw_udp("127.0.0.1");
    sonde_loop_set_probe(c->loop, on_event, &seen);
    raw_send(fd, hub_port(&hub), "abc", 3);
    until(c, raw_take(fd, back, 3) == 3);
    assert_int_equal(seen.n_sent, 1);
    assert_int_equal(seen.n_received, 1);
    assert_int_equal(seen.stream, sonde_stream_id(hub.users[0].stream));
    assert_int_equal(seen.port, raw_port(fd));
    sonde_loop_set_probe(c->loop, NULL, NULL);
    close(fd);
    hub_close(&hub);
}

/* --- options --------------------------------------------------------------------------------------------------------
 */

static void refused_options(struct contract *c)
{
    static const char *const texts[] = {
        "udp://127.0.0.1:0?nodelay=1", "udp://127.0.0.1:0?backlog=5",     "tcp://127.0.0.1:0?join=239.1.2.3",
        "tcp://127.0.0.1:0?loop=1",    "udp://127.0.0.1:0?join=10.1.2.3", "unixgram:x?backlog=5",
    };
    struct sonde_url url;
    struct sonde_why why;

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(sonde_url_parse(texts[i], &url, &why), -SONDE_EOPTION);
        assert_true(strlen(why.detail) > 10);
    }
    url = contract_url("udp://127.0.0.1:0?join=239.1.2.3");
    struct sonde_listener *listener;
    struct hub hub = {0};
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &hub_handler, &hub, &listener, &why)), -EINVAL);
    assert_non_null(strstr(why.detail, "hears no group"));
    url = contract_url("udp://127.0.0.1:0");
    struct sonde_stream *stream;
    assert_int_equal(CALL(sonde_connect(c->loop, &url, NULL, &user_handler, NULL, &stream, &why)), -EINVAL);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(whole_datagrams),     CONTRACT_TEST(many_peers),         CONTRACT_TEST(cut),
        CONTRACT_TEST(nobody_there),        CONTRACT_TEST(one_peer_has_gone),  CONTRACT_TEST(client_drops),
        CONTRACT_TEST(stopped_with_others), CONTRACT_TEST(too_long),           CONTRACT_TEST(written_early),
        CONTRACT_TEST(paused_client),       CONTRACT_TEST(stopped_in_a_batch), CONTRACT_TEST(answered_and_closed),
        CONTRACT_TEST(unix_datagrams),      CONTRACT_TEST(slow_unix_receiver), CONTRACT_TEST(probed),
        CONTRACT_TEST(refused_options),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
