/* SPDX-License-Identifier: MIT */
/*
 * UNIX packets on a connection; the stream transports that this machine may lack; and conversations in messages of
 * every kind, again and again, each time with another allocation or another operation failing.
 */
#include "messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static unsigned char bytes[300 * 1000], back[300 * 1000];

/* --- seqpacket ------------------------------------------------------------------------------------------------------
 */

static void packets_open(struct hub *hub, struct contract *c, struct sockaddr_un *ret_address)
{
    char text[160];
    const char *path = contract_path();

    snprintf(text, sizeof text, "seqpacket:%s", path);
    hub_open(hub, c, NULL, text);
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s", path);
}

static int raw_packets(const struct sockaddr_un *to)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
    return fd;
}

static void whole_packets(struct contract *c)
{
    static const size_t sizes[] = {0, 1, 100 * 1000, 0, 200 * 1000, 3};
    struct sockaddr_un to;
    struct hub hub = {.echoes = true};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    assert_int_equal(send(fd, "", 0, 0), 0); /* before it is accepted */
    until(c, hub.n_users == 1 && hub.users[0].n_messages == 1);
    until(c, recv(fd, back, sizeof back, MSG_DONTWAIT) == 0);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ssize_t n = -1;
        fill_pattern(bytes, sizes[i], i, 0);
        assert_int_equal(send(fd, bytes, sizes[i], 0), sizes[i]);
        until(c, (n = recv(fd, back, sizeof back, MSG_DONTWAIT)) >= 0);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(back, bytes, sizes[i]);
        assert_int_equal(hub.users[0].last.n_bytes, sizes[i]);
        assert_int_equal(hub.users[0].last.flags, SONDE_MESSAGE);
    }
    assert_false(hub.users[0].ended);
    struct sonde_address peer;
    sonde_stream_peer(hub.users[0].stream, &peer);
    assert_int_equal(peer.u.peer.pid, getpid());
    assert_true(sonde_stream_has_end(hub.users[0].stream));

    /* Half-closed: the other way goes on. */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    until(c, hub.users[0].ended);
    assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, "ab", 2)), 0);
    until(c, recv(fd, back, sizeof back, MSG_DONTWAIT) == 2);
    DO(sonde_stream_finish(hub.users[0].stream, sonde_loop_now_ns(c->loop) + 30 * SECOND));
    until(c, hub.users[0].closed);
    assert_int_equal(hub.users[0].error, 0);
    assert_int_equal(recv(fd, back, sizeof back, MSG_DONTWAIT), 0);
    close(fd);
    hub_close(&hub);
}

static void client_packets(struct contract *c)
{
    struct sockaddr_un to;
    struct hub hub = {.echoes = true};
    struct user user = {0};

    packets_open(&hub, c, &to);
    struct sonde_url url = hub_url(&hub);
    user_connect(&user, c, &url);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "a", 1)), 0);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "", 0)), 0);
    until(c, user.n_messages == 2);
    assert_int_equal(user.first.n_bytes, 1);
    assert_int_equal(user.last.n_bytes, 0);
    assert_int_equal(CALL(sonde_stream_write(user.stream, bytes, sizeof bytes)), -EMSGSIZE);
    assert_int_equal(CALL(sonde_stream_write(user.stream, "b", 1)), 0);
    DO(sonde_stream_shutdown(user.stream));
    until(c, hub.users[0].ended && user.n_messages == 3);
    user_close(&hub.users[0]);
    until(c, user.ended);
    user_close(&user);
    hub_close(&hub);
}

static void reset_packets(struct contract *c)
{
    struct sockaddr_un to;
    struct hub hub = {0};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    assert_int_equal(send(fd, "a", 1, 0), 1);
    until(c, hub.n_users == 1 && hub.users[0].n_messages == 1);
    assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, "unread", 6)), 0);
    close(fd);
    until(c, hub.users[0].closed);
    assert_int_equal(hub.users[0].error, -ECONNRESET);
    assert_false(hub.users[0].ended);
    hub_close(&hub);
}

/* What the kernel has no room for waits, whole, and goes in order. */
static void slow_reader(struct contract *c)
{
    enum { SENT = 400, SIZE = 2000 };
    struct sockaddr_un to;
    struct hub hub = {0};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    until(c, hub.n_users == 1);
    for (unsigned i = 0; i < SENT; i++) {
        fill_pattern(bytes, SIZE, i, 0);
        assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, bytes, SIZE - i)), 0);
    }
    size_t n_queued = sonde_stream_queued_bytes(hub.users[0].stream);
    assert_true(n_queued > 0);
    assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, bytes, 0)), 0);
    DO(sonde_stream_shutdown(hub.users[0].stream));
    for (unsigned i = 0; i < SENT; i++) {
        ssize_t n = -1;
        until(c, (n = recv(fd, back, sizeof back, MSG_DONTWAIT)) >= 0);
        fill_pattern(bytes, SIZE, i, 0);
        assert_int_equal(n, SIZE - i);
        assert_memory_equal(back, bytes, SIZE - i);
    }
    until(c, hub.users[0].n_drained == 1);
    assert_int_equal(sonde_stream_sent_messages(hub.users[0].stream), SENT + 1);
    close(fd);
    hub_close(&hub);
}

/* The same when the peer has ended already. */
static void slow_reader_that_has_ended(struct contract *c)
{
    enum { SENT = 400, SIZE = 2000 };
    struct sockaddr_un to;
    struct hub hub = {0};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    until(c, hub.n_users == 1);
    for (unsigned i = 0; i < SENT; i++)
        assert_int_equal(CALL(sonde_stream_write(hub.users[0].stream, bytes, SIZE)), 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    until(c, hub.users[0].ended);
    assert_true(sonde_stream_queued_bytes(hub.users[0].stream) > 0);
    for (unsigned i = 0; i < SENT; i++) {
        ssize_t n = -1;
        until(c, (n = recv(fd, back, sizeof back, MSG_DONTWAIT)) >= 0);
        assert_int_equal(n, SIZE);
    }
    until(c, hub.users[0].n_drained == 1);
    close(fd); /* and has gone: nothing is under way any more */
    some_turns(c);
    assert_int_equal(hub.users[0].error, 0);
    hub_close(&hub);
}

static void paused_packets(struct contract *c)
{
    struct sockaddr_un to;
    struct hub hub = {0};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    until(c, hub.n_users == 1);
    hub.users[0].numbered = true;
    DO(sonde_stream_pause(hub.users[0].stream));
    for (unsigned char i = 0; i < 5; i++)
        assert_int_equal(send(fd, &i, 1, 0), 1);
    close(fd);
    some_turns(c);
    assert_int_equal(hub.users[0].n_messages, 0);
    assert_false(hub.users[0].ended);
    DO(sonde_stream_resume(hub.users[0].stream));
    until(c, hub.users[0].ended);
    assert_int_equal(hub.users[0].n_messages, 5);
    assert_int_equal(hub.users[0].n_lost, 0);
    hub_close(&hub);
}

/* Descriptors that a peer sends along are not kept. */
static void descriptors_sent_along(struct contract *c)
{
    struct sockaddr_un to;
    struct hub hub = {0};

    packets_open(&hub, c, &to);
    int fd = raw_packets(&to);
    until(c, hub.n_users == 1);
    unsigned n_fds = contract_n_fds();
    struct iovec part = {.iov_base = bytes, .iov_len = 1};
    _Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof fd)] = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sendmsg(fd, &message, 0), 1);
    until(c, hub.users[0].n_messages == 5);
    assert_int_equal(contract_n_fds(), n_fds);
    close(fd);
    hub_close(&hub);
}

/* --- other streams --------------------------------------------------------------------------------------------------
 */

/* There is no machine to connect to; but it can be listened, or the kernel says why not. */
static void virtual_machines(struct contract *c)
{
    struct sonde_url url = contract_url("vsock://:0");
    struct hub hub = {.c = c};
    struct sonde_why why;

    int error = CALL(sonde_listen(c->loop, &url, NULL, &hub_handler, &hub, &hub.listener, &why));
    if (error < 0) {
        assert_true(error == -EAFNOSUPPORT || error == -ENODEV || error == -EADDRNOTAVAIL);
        assert_true(strcmp(why.call, "socket") == 0 || strcmp(why.call, "bind") == 0);
        return;
    }
    url = hub_url(&hub);
    assert_int_equal(url.scheme, SONDE_SCHEME_VSOCK);
    assert_true(url.vsock_port > 0 && url.vsock_port != UINT32_MAX);
    unsigned unused;
    assert_int_equal(sonde_listener_queue(hub.listener, 0, &unused, &unused), -EOPNOTSUPP);
    hub_close(&hub);

    /* Nobody is there, or nothing says so in time: that is a failure, and no connection. */
    struct user user = {.c = c};
    struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = SECOND};
    url = contract_url("vsock://1:4294967294");
    error = CALL(sonde_connect(c->loop, &url, &options, &user_handler, &user, &user.stream, &why));
    assert_int_equal(error, 0);
    contract_run(c);
    assert_true(user.closed && !user.opened && user.error < 0);
}

static void stream_control(struct contract *c)
{
    struct sonde_url url = contract_url("sctp://127.0.0.1:0");
    struct hub hub = {.c = c, .echoes = false};
    struct sonde_why why;

    int error = CALL(sonde_listen(c->loop, &url, NULL, &hub_handler, &hub, &hub.listener, &why));
    if (error < 0) {
        assert_true(error == -EPROTONOSUPPORT || error == -ESOCKTNOSUPPORT);
        assert_string_equal(why.call, "socket");
        return;
    }
    hub_close(&hub);
}

/* --- faults ---------------------------------------------------------------------------------------------------------
 */

enum { MESSAGES = 20, TICKS_MAX = 1000 };

static const int64_t tick_ns = 10 * MILLISECOND;

struct conversation {
    struct contract *c;
    struct sonde_listener *listener;
    struct sonde_stream *client, *accepted;
    struct sonde_timer patience; /* of those who wait for what was lost */
    unsigned n_ticks, n_received_before;
    unsigned n_received;
    bool whole;
    int error; /* the last that was returned or told */
};

static void tell(struct conversation *talk, int error)
{
    if (error < 0)
        talk->error = error;
}

static void give_up(struct conversation *talk)
{
    if (talk->listener != NULL)
        DO(sonde_listener_close(talk->listener));
    if (talk->accepted != NULL)
        DO(sonde_stream_close(talk->accepted));
    if (talk->client != NULL)
        DO(sonde_stream_close(talk->client));
    sonde_timer_stop(&talk->patience);
}

/* Somebody was told that something is lost, and nothing has come since the last look. */
static void on_patience(struct sonde_timer *timer)
{
    struct conversation *talk = timer->user;
    bool is_over = talk->error < 0 && talk->n_received == talk->n_received_before;

    talk->n_received_before = talk->n_received;
    if (is_over || ++talk->n_ticks == TICKS_MAX)
        give_up(talk);
    else
        sonde_timer_start_in(timer, tick_ns);
}

static void server_data(struct sonde_stream *stream, const struct sonde_lent *lent)
{
    tell(sonde_stream_owner(stream), CALL(sonde_stream_forward(stream, lent)));
}

static void client_opened(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    for (unsigned char i = 0; i < MESSAGES; i++)
        tell(talk, CALL(sonde_stream_write(stream, &i, i > 0)));
}

static void client_data(struct sonde_stream *stream, const struct sonde_lent *lent)
{
    struct conversation *talk = sonde_stream_owner(stream);

    assert_true(lent->n_bytes <= 1);
    if (++talk->n_received < MESSAGES)
        return;
    talk->whole = true;
    give_up(talk);
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct conversation *talk = sonde_stream_owner(stream);

    tell(talk, error);
    give_up(talk);
}

static void on_end(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    tell(talk, talk->whole ? 0 : -EPIPE);
    give_up(talk);
}

static void on_closed(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    if (talk->client == stream)
        talk->client = NULL;
    else
        talk->accepted = NULL;
}

static void on_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct conversation *talk = sonde_stream_owner(stream);

    tell(talk, notice->kind == SONDE_NOTICE_LOST ? -ENOBUFS : notice->code);
}

static const struct sonde_stream_handler server_stream = {
    .data = server_data, .failed = on_failed, .end = on_end, .closed = on_closed, .notice = on_notice};
static const struct sonde_stream_handler client_stream = {.opened = client_opened,
                                                          .data = client_data,
                                                          .failed = on_failed,
                                                          .end = on_end,
                                                          .closed = on_closed,
                                                          .notice = on_notice};

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct conversation *talk = owner;

    (void)listener;
    assert_null(talk->accepted);
    talk->accepted = stream;
    DO(sonde_stream_set_handler(stream, &server_stream, talk));
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    (void)listener;
    tell(owner, error);
}

static void on_lost(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner)
{
    (void)listener, (void)n_dropped, (void)n_peerless;
    tell(owner, -ENOBUFS);
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct conversation *talk = owner;

    (void)listener;
    talk->listener = NULL;
}

static const struct sonde_listener_handler listener_handler = {
    .accepted = on_accepted, .trouble = on_trouble, .lost = on_lost, .closed = on_listener_closed};

static void converse(struct contract *c, struct conversation *talk, const char *address)
{
    struct sonde_url url = contract_url("%s", address);
    struct sonde_why why;

    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    tell(talk, error);
    if (error == 0) {
        sonde_timer_init(&talk->patience, c->loop, on_patience, talk);
        error = CALL(sonde_listen(c->loop, &url, NULL, &listener_handler, talk, &talk->listener, &why));
        if (error == 0) {
            sonde_listener_address(talk->listener, 0, &url);
            error = CALL(sonde_connect(c->loop, &url, NULL, &client_stream, talk, &talk->client, &why));
        }
        tell(talk, error);
        if (error < 0)
            give_up(talk);
        else
            sonde_timer_start_in(&talk->patience, tick_ns);
        for (unsigned tries = 0; sonde_loop_destroy(c->loop) == -EBUSY; tries++) {
            assert_true(tries < 3);
            tell(talk, sonde_loop_run(c->loop));
        }
    }
    c->loop = NULL;
    assert_null(talk->client);
    assert_null(talk->accepted);
    assert_null(talk->listener);
    assert_int_equal(c->memory.n_live, 0);
    if (!talk->whole && talk->error == 0)
        fail_msg("%s: nobody was told of the failure (%s)", c->note,
                 c->script.failed_what != NULL ? c->script.failed_what : "allocation");
}

static void end_loop(struct contract *c)
{
    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
}

static const char *address_of(unsigned kind)
{
    static char text[160];
    static const char *const forms[] = {"udp://127.0.0.1:0", "unixgram:%s", "seqpacket:%s"};

    if (kind == 0)
        return forms[0];
    snprintf(text, sizeof text, kind == 1 ? "unixgram:%s" : "seqpacket:%s", contract_path());
    return text;
}

static void allocations(struct contract *c)
{
    end_loop(c);
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned n_failed = 0, n_clean = 0;
        for (long n = 1; n_clean < 2; n++) {
            struct conversation talk = {.c = c};
            unsigned n_fds = contract_n_fds();
            c->memory.n_calls = 0;
            c->memory.fail_at = n;
            c->memory.failed = false;
            c->script = (struct script){0};
            snprintf(c->note, sizeof c->note, "kind %u, allocation %ld", kind, n);
            converse(c, &talk, address_of(kind));
            assert_int_equal(contract_n_fds(), n_fds);
            n_clean = c->memory.failed ? 0 : n_clean + 1;
            n_failed += c->memory.failed;
            if (!c->memory.failed)
                assert_true(talk.whole && talk.error == 0);
        }
        assert_true(n_failed >= 5);
    }
}

static void every_operation(struct contract *c, int fail_error)
{
    end_loop(c);
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned n_failed = 0, n_clean = 0;
        for (unsigned n = 1; n_clean < 2; n++) {
            struct conversation talk = {.c = c};
            unsigned n_fds = contract_n_fds();
            c->script = (struct script){.fail_at = n, .fail_error = fail_error};
            snprintf(c->note, sizeof c->note, "kind %u, operation %u, %s", kind, n, sonde_error_name(fail_error));
            converse(c, &talk, address_of(kind));
            assert_int_equal(contract_n_fds(), n_fds);
            n_clean = c->script.failed_what != NULL ? 0 : n_clean + 1;
            n_failed += c->script.failed_what != NULL;
            if (c->script.failed_what == NULL)
                assert_true(talk.whole && talk.error == 0);
            if (!c->scripted)
                break;
        }
        assert_true(!c->scripted || n_failed >= 15);
    }
}

static void operations(struct contract *c)
{
    every_operation(c, -ENOMEM);
}

static void operations_refused(struct contract *c)
{
    every_operation(c, -EPERM);
}

static void operations_waiting(struct contract *c)
{
    every_operation(c, -EAGAIN);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(whole_packets),
        CONTRACT_TEST(client_packets),
        CONTRACT_TEST(reset_packets),
        CONTRACT_TEST(slow_reader),
        CONTRACT_TEST(slow_reader_that_has_ended),
        CONTRACT_TEST(paused_packets),
        CONTRACT_TEST(descriptors_sent_along),
        CONTRACT_TEST(virtual_machines),
        CONTRACT_TEST(stream_control),
        CONTRACT_TEST(allocations),
        CONTRACT_TEST(operations),
        CONTRACT_TEST(operations_refused),
        CONTRACT_TEST(operations_waiting),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
