/* SPDX-License-Identifier: MIT */
#include "messages.h"

#include <string.h>

static struct user *told(struct sonde_stream *stream)
{
    struct user *user = sonde_stream_owner(stream);

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(user->stream, stream);
    assert_false(user->closed);
    return user;
}

static void on_opened(struct sonde_stream *stream)
{
    struct user *user = told(stream);

    assert_false(user->opened);
    user->opened = true;
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *lent)
{
    struct user *user = told(stream);

    assert_false(sonde_stream_is_paused(stream));
    assert_false(user->ended || user->error != 0);
    assert_true(lent->flags & SONDE_MESSAGE);
    assert_true(lent->n_whole_bytes >= lent->n_bytes);
    if (user->numbered) {
        assert_int_equal(lent->n_bytes, 1);
        assert_int_equal(lent->data[0], (unsigned char)user->next++);
    }
    if (user->n_messages++ == 0)
        user->first = *lent;
    user->last = *lent;
    user->last_from = lent->from != NULL ? *lent->from : (struct sonde_address){0};
    assert_int_equal(sonde_stream_received_messages(stream), user->n_messages);
    if (user->n_messages == user->pauses_at)
        DO(sonde_stream_pause(stream));
    if (user->stops)
        sonde_loop_stop(user->c->loop);
    if (user->hub == NULL)
        return;
    if (user->hub->echoes)
        assert_int_equal(CALL(sonde_stream_forward(stream, lent)), 0);
    if (user->hub->stops)
        sonde_loop_stop(user->c->loop);
    if (user->hub->closes)
        DO(sonde_stream_close(stream));
}

static void on_end(struct sonde_stream *stream)
{
    struct user *user = told(stream);

    assert_false(user->ended);
    user->ended = true;
}

static void on_drained(struct sonde_stream *stream)
{
    told(stream)->n_drained++;
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct user *user = told(stream);

    assert_int_equal(user->error, 0);
    assert_true(error < 0);
    user->error = error;
    DO(sonde_stream_close(stream));
}

static void on_closed(struct sonde_stream *stream)
{
    struct user *user = told(stream);

    user->closed = true;
    user->stream = NULL;
}

static void on_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct user *user = told(stream);

    assert_int_equal(user->error, 0);
    if (notice->kind == SONDE_NOTICE_LOST) {
        assert_true(notice->n > 0);
        user->n_lost += notice->n;
    } else {
        assert_int_equal(notice->kind, SONDE_NOTICE_ICMP);
        user->icmp = notice->code;
        user->icmp_says = notice->from;
    }
}

const struct sonde_stream_handler user_handler = {
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
    .notice = on_notice,
};

/* --- listeners ------------------------------------------------------------------------------------------------------
 */

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct hub *hub = owner;
    struct user *user = &hub->users[hub->n_users++];

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(hub->listener, listener);
    assert_false(hub->closed);
    assert_true(hub->n_users < sizeof hub->users / sizeof *hub->users);
    *user = (struct user){.c = hub->c, .hub = hub, .stream = stream};
    DO(sonde_stream_set_handler(stream, &user_handler, user));
    if (hub->refuses)
        DO(sonde_stream_abort(stream));
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct hub *hub = owner;

    assert_ptr_equal(hub->listener, listener);
    hub->n_troubles += error < 0;
}

static void on_lost(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner)
{
    struct hub *hub = owner;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(hub->listener, listener);
    assert_true(n_dropped + n_peerless > 0);
    hub->n_lost += n_dropped;
    hub->n_peerless += n_peerless;
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct hub *hub = owner;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(hub->listener, listener);
    hub->closed = true;
    hub->listener = NULL;
}

const struct sonde_listener_handler hub_handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .closed = on_listener_closed,
    .lost = on_lost,
};

void hub_open(struct hub *hub, struct contract *c, const struct sonde_listen_options *options, const char *text)
{
    struct sonde_url url = contract_url("%s", text);
    struct sonde_why why;

    hub->c = c;
    int error = CALL(sonde_listen(c->loop, &url, options, &hub_handler, hub, &hub->listener, &why));
    if (error < 0)
        fail_msg("%s: %s: %s %s", text, sonde_strerror(error), why.subject, why.detail);
}

struct sonde_url hub_url(const struct hub *hub)
{
    struct sonde_url url;

    sonde_listener_address(hub->listener, 0, &url);
    return url;
}

uint16_t hub_port(const struct hub *hub)
{
    return hub_url(hub).port;
}

void hub_stop(struct hub *hub)
{
    if (hub->listener != NULL)
        DO(sonde_listener_close(hub->listener));
    for (unsigned i = 0; i < hub->n_users; i++)
        user_close(&hub->users[i]);
}

void hub_close(struct hub *hub)
{
    hub_stop(hub);
    contract_run(hub->c);
    assert_true(hub->closed);
    for (unsigned i = 0; i < hub->n_users; i++)
        assert_true(hub->users[i].closed);
}

void user_connect(struct user *user, struct contract *c, const struct sonde_url *url)
{
    struct sonde_why why;

    user->c = c;
    int error = CALL(sonde_connect(c->loop, url, NULL, &user_handler, user, &user->stream, &why));
    if (error < 0)
        fail_msg("connect: %s: %s %s", sonde_strerror(error), why.subject, why.detail);
}

void user_close(struct user *user)
{
    if (user->stream != NULL)
        DO(sonde_stream_close(user->stream));
}
