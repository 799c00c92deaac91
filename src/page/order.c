/* SPDX-License-Identifier: MIT */
/*
 * Orders: what a viewer wants done to a stream is done on that stream's loop.
 *
 *   page's thread: page_order -> [waiting, posted once] -> loop's thread: run_orders -> [done, posted once]
 *   -> page's thread: deliver -> page_order_answered
 *
 * Both lists are bounded by what may wait for a loop. Whatever was taken is answered, also when the loop has come to
 * its end first. A loop's struct stays until the page ends, so that a message in its mailbox never points to nothing.
 */
#include "page/page_internal.h"
#include "term/translate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 64 };

/* --- the table of streams: on the loop's thread ---------------------------------------------------------------------
 */

/* Where it is, or the free place where it would be. */
static struct order_place *find_place(const struct page_loop *loop, uint64_t id)
{
    size_t mask = loop->n_places - 1, i = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

    while (loop->places[i].id != 0 && loop->places[i].id != id)
        i = (i + 1) & mask;
    return &loop->places[i];
}

static bool make_room(struct page_loop *loop)
{
    struct order_place *old = loop->places;
    size_t n_old = loop->n_places, n = n_old == 0 ? PLACES_MIN : 2 * n_old;

    if (loop->n_streams < n_old / 2)
        return true;
    struct order_place *places = calloc(n, sizeof *places);
    if (places == NULL)
        return loop->n_streams + 1 < n_old; /* there is room yet, and one has to stay free */
    loop->places = places;
    loop->n_places = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].id != 0)
            *find_place(loop, old[i].id) = old[i];
    free(old);
    return true;
}

static void put_stream(struct page_loop *loop, struct sonde_stream *stream)
{
    if (!make_room(loop))
        return; /* it is shown, but nothing can be done to it */
    struct order_place *place = find_place(loop, sonde_stream_id(stream));
    loop->n_streams += place->id == 0;
    *place = (struct order_place){sonde_stream_id(stream), stream};
}

static struct sonde_stream *find_stream(const struct page_loop *loop, uint64_t id)
{
    return loop->n_places > 0 ? find_place(loop, id)->stream : NULL;
}

/* Those behind it that would not be found any more move up. */
static void take_stream(struct page_loop *loop, uint64_t id)
{
    size_t mask = loop->n_places - 1;

    if (find_stream(loop, id) == NULL)
        return;
    struct order_place *place = find_place(loop, id);
    *place = (struct order_place){0, NULL};
    loop->n_streams--;
    for (size_t i = ((size_t)(place - loop->places) + 1) & mask; loop->places[i].id != 0; i = (i + 1) & mask) {
        struct order_place moved = loop->places[i];
        loop->places[i] = (struct order_place){0, NULL};
        *find_place(loop, moved.id) = moved;
    }
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void deliver(void *user)
{
    struct page *page = user;
    struct order *order;

    pthread_mutex_lock(&page->lock);
    order = page->done;
    page->done = NULL;
    page->done_end = &page->done;
    page->done_posted = false;
    pthread_mutex_unlock(&page->lock);
    while (order != NULL) {
        struct order *next = order->next;
        page_order_answered(page, order);
        free(order);
        order = next;
    }
}

void page_orders_deliver(struct page *page)
{
    deliver(page);
}

/* A list of orders that are done; NULL: none. */
static void answer(struct page *page, struct order *orders)
{
    if (orders == NULL)
        return;
    pthread_mutex_lock(&page->lock);
    *page->done_end = orders;
    while (*page->done_end != NULL)
        page->done_end = &(*page->done_end)->next;
    /* If its mailbox is full, they are found by the next tick. */
    if (!page->done_posted)
        page->done_posted = sonde_loop_post(page->loop, deliver, page) == 0;
    pthread_mutex_unlock(&page->lock);
}

const char *page_order_why(const struct order *order)
{
    switch (order->error) {
    case -ENOENT:
        return _("This connection is gone.");
    case -EBUSY:
    case -ENOBUFS:
        return _("Too much waits to be sent there already.");
    case -EPIPE:
        return _("Its sending side is shut down.");
    case -EMSGSIZE:
        return _("That is too long for one message there.");
    case -EILSEQ:
        return _("A message of text has to be valid UTF-8.");
    case -EDESTADDRREQ:
        return _("The peer has no name that anything could be sent to.");
    case -EOPNOTSUPP:
        return order->kind == ORDER_HALF_CLOSE ? _("This connection cannot be shut down on one side.")
                                               : _("Nothing can be sent there.");
    case -EISCONN:
        return _("It is connected: that connection has to end first.");
    case -EALREADY:
        return _("It is being connected already.");
    case -ENOMEM:
        return _("There is no memory for it.");
    default:
        return order->kind == ORDER_SEND ? _("The connection has failed.") : _("That could not be done.");
    }
}

/* --- doing: on the loop's thread ---------------------------------------------------------------------------------- */

static unsigned can_do(const struct page_loop *loop, const struct sonde_stream *stream)
{
    unsigned rights = loop->page->rights, can = 0;

    if (rights & PAGE_SEND)
        can |= ROW_CAN_SEND | (sonde_stream_has_end(stream) ? ROW_CAN_HALF_CLOSE : 0);
    return can | (rights & PAGE_KICK ? ROW_CAN_KICK : 0);
}

static int send_it(struct page_loop *loop, struct sonde_stream *stream, struct order *order)
{
    loop->tap.from_page = true;
    int error = sonde_stream_send(stream, order->bytes, order->n_bytes, order->is_text ? SONDE_TEXT : 0);
    loop->tap.from_page = false;
    return error;
}

static int half_close(struct page_loop *loop, struct sonde_stream *stream)
{
    const struct page_loop_handler *handler = loop->handler;

    if (!sonde_stream_has_end(stream))
        return -EOPNOTSUPP;
    if (handler != NULL && handler->half_close != NULL && !handler->half_close(stream, loop->user))
        return -EOPNOTSUPP;
    sonde_stream_shutdown(stream);
    tap_can(&loop->tap, stream, can_do(loop, stream) & ROW_CAN_KICK);
    return 0;
}

static int kick(struct page_loop *loop, struct sonde_stream *stream)
{
    if (loop->handler != NULL && loop->handler->kicked != NULL)
        loop->handler->kicked(stream, loop->user);
    sonde_stream_abort(stream);
    return 0;
}

static void do_order(struct page_loop *loop, struct order *order)
{
    struct sonde_stream *stream = find_stream(loop, order->stream);

    if (order->kind == ORDER_CONNECT)
        order->error = loop->handler->connect(loop->user);
    else if (stream == NULL)
        order->error = -ENOENT;
    else if (order->kind == ORDER_SEND)
        order->error = send_it(loop, stream, order);
    else
        order->error = order->kind == ORDER_KICK ? kick(loop, stream) : half_close(loop, stream);
}

/* Under its lock. */
static struct order *take_all(struct page_loop *loop)
{
    struct order *orders = loop->waiting;

    loop->waiting = NULL;
    loop->waiting_end = &loop->waiting;
    loop->n_waiting = 0;
    loop->waiting_bytes = 0;
    return orders;
}

/* The kernel has had a turn to take what was sent: what still waits now has to wait. */
static void settle(void *user)
{
    struct page_loop *loop = user;
    struct order *orders = loop->settling;

    loop->settling = NULL;
    for (struct order *order = orders; order != NULL; order = order->next) {
        const struct sonde_stream *stream = find_stream(loop, order->stream);
        order->n_queued = stream != NULL ? sonde_stream_queued_bytes(stream) : 0;
    }
    answer(loop->page, orders);
}

static void run_orders(void *user)
{
    struct page_loop *loop = user;

    settle(loop); /* of the last time, if there are any yet */
    pthread_mutex_lock(&loop->lock);
    struct order *orders = take_all(loop);
    loop->posted = false;
    pthread_mutex_unlock(&loop->lock);
    for (struct order *order = orders; order != NULL; order = order->next)
        do_order(loop, order);
    loop->settling = orders;
    if (sonde_loop_post(loop->loop, settle, loop) < 0)
        settle(loop);
}

/* --- ordering: on the page's thread ------------------------------------------------------------------------------- */

struct order *page_order_new(enum order_kind kind, size_t n_bytes)
{
    struct order *order = malloc(sizeof *order + n_bytes);

    if (order != NULL)
        *order = (struct order){.kind = kind, .n_bytes = n_bytes};
    return order;
}

static int put_order(struct page_loop *loop, struct order *order)
{
    if (loop->removed)
        return -ENOENT;
    if (loop->n_waiting == PAGE_ORDERS_MAX || order->n_bytes > PAGE_ORDERS_BYTES_MAX - loop->waiting_bytes)
        return -EBUSY;
    /* Nothing waits while nothing is posted. */
    if (!loop->posted && sonde_loop_post(loop->loop, run_orders, loop) < 0)
        return -EBUSY;
    loop->posted = true;
    *loop->waiting_end = order;
    loop->waiting_end = &order->next;
    loop->n_waiting++;
    loop->waiting_bytes += order->n_bytes;
    return 0;
}

int page_order(struct page_loop *loop, uint64_t stream, struct order *order)
{
    order->stream = stream;
    order->next = NULL;
    pthread_mutex_lock(&loop->lock);
    int error = put_order(loop, order);
    pthread_mutex_unlock(&loop->lock);
    return error;
}

/* --- loops -------------------------------------------------------------------------------------------------------- */

struct page_loop *page_loop_add(struct page *page, struct sonde_loop *loop, const struct page_loop_handler *handler,
                                void *user)
{
    struct page_loop *added = calloc(1, sizeof *added);

    if (added == NULL)
        return NULL;
    *added = (struct page_loop){.page = page, .loop = loop, .handler = handler, .user = user};
    added->waiting_end = &added->waiting;
    if (!tap_init(&added->tap, page->store, added)) {
        free(added);
        return NULL;
    }
    pthread_mutex_init(&added->lock, NULL);
    pthread_mutex_lock(&page->lock);
    added->next = page->loops;
    page->loops = added;
    pthread_mutex_unlock(&page->lock);
    sonde_loop_set_tap(loop, tap_heard, &added->tap);
    return added;
}

struct page_loop *page_find_connecting(struct page *page)
{
    pthread_mutex_lock(&page->lock);
    struct page_loop *loop = page->loops;
    while (loop != NULL && (loop->handler == NULL || loop->handler->connect == NULL))
        loop = loop->next;
    pthread_mutex_unlock(&page->lock);
    return loop;
}

void page_loop_remove(struct page_loop *loop)
{
    if (loop == NULL)
        return;
    pthread_mutex_lock(&loop->lock);
    loop->removed = true;
    struct order *orders = take_all(loop);
    pthread_mutex_unlock(&loop->lock);
    for (struct order *order = orders; order != NULL; order = order->next)
        order->error = -ENOENT;
    answer(loop->page, orders);
    settle(loop);
    loop->is_over = true;
    sonde_loop_set_tap(loop->loop, NULL, NULL);
    tap_end(&loop->tap);
    free(loop->places);
    loop->places = NULL;
    loop->n_places = loop->n_streams = 0;
}

void page_stream_opened(struct page_loop *loop, struct sonde_stream *stream, const char *local, const char *note)
{
    if (loop->is_over)
        return;
    put_stream(loop, stream);
    tap_opened(&loop->tap, stream, local, note, can_do(loop, stream));
}

void page_stream_closed(struct page_loop *loop, struct sonde_stream *stream)
{
    if (loop->is_over)
        return;
    take_stream(loop, sonde_stream_id(stream));
    tap_closed(&loop->tap, stream);
}

void page_loops_free(struct page *page)
{
    while (page->loops != NULL) {
        struct page_loop *loop = page->loops;
        page->loops = loop->next;
        free(loop->places);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
    }
    while (page->done != NULL) {
        struct order *order = page->done;
        page->done = order->next;
        free(order);
    }
}
