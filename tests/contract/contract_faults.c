/* SPDX-License-Identifier: MIT */
/*
 * Faults: one whole conversation, again and again, each time with another allocation or another operation failing.
 * However it goes, it ends: everything is closed, nothing is left behind, and either the conversation was whole or
 * somebody was told of an error.
 */
#include "ends.h"

#include <fcntl.h>
#include <sonde/poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 100 * 1000 };

struct conversation {
    struct contract *c;
    const char *address;
    struct sonde_listener *listener;
    struct sonde_stream *client, *accepted;
    struct sonde_poll *poll;
    int pipe[2];
    size_t n_written, n_received;
    bool polled;
    bool whole; /* the client got everything, then the end, and was closed without an error */
    int error;  /* the last that was returned or told */
};

static unsigned char sent[BYTES];

static void tell(struct conversation *talk, int error)
{
    if (error < 0)
        talk->error = error;
}

static void close_listener(struct conversation *talk)
{
    if (talk->listener != NULL)
        DO(sonde_listener_close(talk->listener));
    if (talk->poll != NULL) {
        DO(sonde_poll_close(talk->poll));
        talk->poll = NULL;
    }
}

/* --- the server's end ------------------------------------------------------------------------------------------- */

static void server_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct conversation *talk = sonde_stream_owner(stream);
    int error = CALL(sonde_stream_forward(stream, bytes));

    tell(talk, error);
    if (error < 0)
        DO(sonde_stream_close(stream));
    else if (sonde_stream_queued_bytes(stream) > BYTES / 4)
        DO(sonde_stream_pause(stream));
}

static void server_drained(struct sonde_stream *stream)
{
    DO(sonde_stream_resume(stream));
}

static void server_end(struct sonde_stream *stream)
{
    DO(sonde_stream_finish(stream, sonde_loop_now_ns(sonde_stream_loop(stream)) + 2 * SECOND));
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct conversation *talk = sonde_stream_owner(stream);

    assert_int_equal(contract_calling, 0);
    assert_true(error < 0);
    tell(talk, error);
    DO(sonde_stream_close(stream));
}

static void server_closed(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    talk->accepted = NULL;
}

static const struct sonde_stream_handler server_stream = {
    .data = server_data,
    .end = server_end,
    .drained = server_drained,
    .failed = on_failed,
    .closed = server_closed,
};

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
    struct conversation *talk = owner;

    (void)listener;
    tell(talk, error);
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct conversation *talk = owner;

    assert_ptr_equal(talk->listener, listener);
    talk->listener = NULL;
}

static const struct sonde_listener_handler listener_handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .closed = on_listener_closed,
};

/* --- the client's end ------------------------------------------------------------------------------------------- */

static void client_opened(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);
    int error = 0;

    /* In pieces: some go at once, others are queued. */
    for (size_t n = 0; n < BYTES && error == 0; n += BYTES / 5)
        error = CALL(sonde_stream_write(stream, sent + n, BYTES / 5));
    tell(talk, error);
    if (error < 0)
        DO(sonde_stream_close(stream));
}

static void client_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct conversation *talk = sonde_stream_owner(stream);

    assert_true(talk->n_received + bytes->n_bytes <= BYTES);
    assert_memory_equal(bytes->data, sent + talk->n_received, bytes->n_bytes);
    talk->n_received += bytes->n_bytes;
    if (talk->n_received == BYTES)
        DO(sonde_stream_finish(stream, sonde_loop_now_ns(talk->c->loop) + 2 * SECOND));
}

static void client_end(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    talk->whole = talk->n_received == BYTES;
    if (!talk->whole)
        DO(sonde_stream_close(stream)); /* the server gave up */
}

static void client_closed(struct sonde_stream *stream)
{
    struct conversation *talk = sonde_stream_owner(stream);

    talk->client = NULL;
    close_listener(talk);
}

static const struct sonde_stream_handler client_stream = {
    .opened = client_opened,
    .data = client_data,
    .end = client_end,
    .failed = on_failed,
    .closed = client_closed,
};

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct conversation *talk = user;

    (void)poll;
    assert_true(events != 0);
    talk->polled = true;
    if (!(events & SONDE_READABLE))
        tell(talk, -EIO);
}

static const struct sonde_poll_handler poll_handler = {.ready = on_ready};

/* --- the conversation ------------------------------------------------------------------------------------------- */

static int begin(struct conversation *talk)
{
    struct sonde_url url = contract_url("%s", talk->address);
    struct sonde_loop *loop = talk->c->loop;
    struct sonde_why why;

    int error = CALL(sonde_poll_create(loop, talk->pipe[0], &poll_handler, talk, &talk->poll));
    if (error == 0)
        error = CALL(sonde_poll_start(talk->poll, SONDE_READABLE));
    if (error == 0)
        error = CALL(sonde_listen(loop, &url, NULL, &listener_handler, talk, &talk->listener, &why));
    if (error == 0) {
        sonde_listener_address(talk->listener, 0, &url);
        error = CALL(sonde_connect(loop, &url, NULL, &client_stream, talk, &talk->client, &why));
    }
    return error;
}

/* From making the loop to its end. */
static void converse(struct contract *c, struct conversation *talk)
{
    assert_int_equal(pipe2(talk->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(talk->pipe[1], "x", 1), 1);
    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    tell(talk, error);
    if (error < 0) {
        c->loop = NULL;
    } else {
        error = begin(talk);
        tell(talk, error);
        if (error < 0) {
            /* A call that fails to start leaves everything else as it was. */
            if (talk->client != NULL)
                DO(sonde_stream_close(talk->client));
            close_listener(talk);
        }
        for (unsigned tries = 0; sonde_loop_destroy(c->loop) == -EBUSY; tries++) {
            /* It may be the loop itself that was refused something. */
            assert_true(tries < 3);
            tell(talk, sonde_loop_run(c->loop));
        }
        c->loop = NULL;
    }
    close(talk->pipe[0]);
    close(talk->pipe[1]);
    assert_null(talk->client);
    assert_null(talk->accepted);
    assert_null(talk->listener);
    assert_int_equal(c->memory.n_live, 0);
    if ((!talk->whole || !talk->polled) && talk->error == 0)
        fail_msg("%s: nobody was told of the failure (%s)", c->note,
                 c->script.failed_what != NULL ? c->script.failed_what : "allocation");
}

static void end_loop(struct contract *c)
{
    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    fill_pattern(sent, sizeof sent, 77, 0);
}

static void every_allocation(struct contract *c, const char *address)
{
    unsigned n_failed = 0, n_hurt = 0, n_clean = 0;

    end_loop(c);
    /* How many there are depends on timing: go on until none has failed for a while. */
    for (long n = 1; n_clean < 3; n++) {
        struct conversation talk = {.c = c, .address = address};
        unsigned n_fds = contract_n_fds();
        snprintf(c->note, sizeof c->note, "allocation %ld", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = n;
        c->memory.failed = false;
        c->script = (struct script){0};
        converse(c, &talk);
        assert_int_equal(contract_n_fds(), n_fds);
        n_clean = c->memory.failed ? 0 : n_clean + 1;
        n_failed += c->memory.failed;
        n_hurt += talk.error < 0;
        if (!c->memory.failed)
            assert_int_equal(talk.error, 0);
    }
    assert_true(n_failed >= 5 && n_hurt >= 3);
}

static void allocations_tcp(struct contract *c)
{
    every_allocation(c, "tcp://127.0.0.1:0?sndbuf=8192&rcvbuf=8192");
}

static void allocations_unix(struct contract *c)
{
    char address[128] = "unix:@";

    strcat(address, contract_path());
    every_allocation(c, address);
}

static void every_operation(struct contract *c, const char *address, const struct script *model)
{
    unsigned n_failed = 0, n_hurt = 0, n_clean = 0;

    end_loop(c);
    for (unsigned n = 1; n_clean < 3; n++) {
        struct conversation talk = {.c = c, .address = address};
        unsigned n_fds = contract_n_fds();
        c->script = *model;
        c->script.fail_at = n;
        snprintf(c->note, sizeof c->note, "operation %u, %s", n, sonde_error_name(model->fail_error));
        converse(c, &talk);
        assert_int_equal(contract_n_fds(), n_fds);
        n_clean = c->script.failed_what != NULL ? 0 : n_clean + 1;
        n_failed += c->script.failed_what != NULL;
        n_hurt += talk.error < 0;
        if (c->script.failed_what == NULL)
            assert_int_equal(talk.error, 0);
        if (!c->scripted)
            break;
    }
    assert_true(!c->scripted || (n_failed >= 15 && n_hurt >= 10));
}

static void operations_tcp(struct contract *c)
{
    every_operation(c, "tcp://127.0.0.1:0", &(struct script){.fail_error = -ENOMEM});
}

static void operations_waiting(struct contract *c)
{
    every_operation(c, "tcp://127.0.0.1:0?sndbuf=8192&rcvbuf=8192",
                    &(struct script){.fail_error = -ENOBUFS, .stutter = true, .send_bytes = 20000});
}

static void operations_unix(struct contract *c)
{
    char address[128] = "unix:@";

    strcat(address, contract_path());
    every_operation(c, address, &(struct script){.fail_error = -EMFILE});
}

/* --- short counts ----------------------------------------------------------------------------------------------- */

/* However little each call moves, and whenever it says "not now", the bytes are the same. */
static void short_counts(struct contract *c)
{
    static const struct script models[] = {
        {.receive_bytes = 1},
        {.send_bytes = 1},
        {.receive_bytes = 1, .send_bytes = 1},
        {.receive_bytes = 7, .send_bytes = 3, .stutter = true},
        {.stutter = true},
        {.send_bytes = 4096, .stutter = true},
    };

    /* The others have nothing to shorten. */
    for (unsigned i = c->scripted ? 0 : 5; i < sizeof models / sizeof *models; i++) {
        size_t much = i < 4 ? 20 * 1000 : 4 * 1000 * 1000;
        struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
        struct end client = {.checked = true, .seed = i, .on_end = end_close};
        snprintf(c->note, sizeof c->note, "script %u", i);
        assert_int_equal(sonde_loop_destroy(c->loop), 0);
        c->loop = NULL;
        c->script = models[i];
        contract_new_loop(c);
        server_open(&server, c, 1);
        struct sonde_url url = server_url(&server);
        end_connect(&client, c, &url);
        until(c, client.opened);
        int64_t deadline_ns = contract_deadline_ns();
        while (client.n_written < much) {
            for (int k = 0; k < 5; k++) {
                int error = end_write(&client, 997 + client.n_written % 5000);
                assert_true(error == 0 || error == -ENOBUFS);
            }
            contract_check_deadline(c, deadline_ns, "written", __FILE__, __LINE__);
            contract_turn(c);
        }
        DO(sonde_stream_shutdown(client.stream));
        until(c, client.closed);
        assert_int_equal(client.n_received, client.n_written);
        assert_string_equal(client.story, "odec");
        if (c->scripted && models[i].receive_bytes == 1)
            assert_true(c->script.n_operations > 2 * much);
        server_wind_up(&server);
    }
}

/* What receiving or sending fails with is told as it is, and soon, though the connection stands. */
static void failure_is_told(struct contract *c)
{
    unsigned n_received = 0, n_started = 0, n_completed = 0;

    for (unsigned n = 1; c->scripted && n < 16; n++) {
        struct pair pair = {.raw = -1, .buffer_bytes = 8192, .model.on_data = end_echo};
        char buffer[4096];
        assert_int_equal(sonde_loop_destroy(c->loop), 0);
        c->loop = NULL;
        c->script = (struct script){.fail_error = -ENOMEM};
        contract_new_loop(c);
        pair_open(&pair, c, ACCEPTED);
        raw_write(pair.raw, "x");
        until(c, pair.end->n_received == 1);
        if (n % 2 == 0)
            assert_int_equal(end_write(pair.end, 300 * 1000), 0);
        c->script.fail_at = c->script.n_operations + n;
        while (c->script.failed_what == NULL) {
            pair.end->on_data = NULL; /* it may fail in our hands */
            (void)raw_read(pair.raw, buffer, sizeof buffer);
            raw_write(pair.raw, "y");
            contract_turn(c);
            if (pair.end->stream != NULL && !pair.end->failed)
                (void)CALL(sonde_stream_write(pair.end->stream, "z", 1));
        }
        bool receives = strcmp(c->script.failed_what, "recv completes") == 0;
        bool starts = strcmp(c->script.failed_what, "send starts") == 0;
        bool completes = strcmp(c->script.failed_what, "send completes") == 0;
        n_received += receives;
        n_started += starts;
        n_completed += completes;
        if (receives || starts || completes) {
            until(c, pair.end->failed);
            assert_int_equal(pair.end->error, -ENOMEM);
            assert_string_equal(pair.end->why.call, receives ? "recv" : "send");
        }
        pair_close(&pair);
    }
    if (c->scripted)
        assert_true(n_received > 0 && n_started > 0 && n_completed > 0);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(allocations_tcp),    CONTRACT_TEST(allocations_unix), CONTRACT_TEST(operations_tcp),
        CONTRACT_TEST(operations_waiting), CONTRACT_TEST(operations_unix),  CONTRACT_TEST(short_counts),
        CONTRACT_TEST(failure_is_told),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
