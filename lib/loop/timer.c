/* SPDX-License-Identifier: MIT */
/*
 * Timers in a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), linked through the timers themselves: starting
 * and moving one takes no memory and so cannot fail.
 *
 * Each node has its first child, its next sibling, and the address of the link that points at it, by which it can be
 * taken out of the middle. The root is the timer that is due first.
 */
#include "loop/loop_internal.h"

static struct sonde_timer *link_pair(struct sonde_timer *a, struct sonde_timer *b)
{
    if (b->deadline_ns < a->deadline_ns) {
        struct sonde_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next != NULL)
        b->next->previous = &b->next;
    a->child = b;
    b->previous = &a->child;
    return a;
}

/* Join a list of siblings into one tree: in pairs from the left, then from the right. */
static struct sonde_timer *link_siblings(struct sonde_timer *first)
{
    struct sonde_timer *pairs = NULL;

    while (first != NULL) {
        struct sonde_timer *a = first, *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL) {
            b->next = NULL;
            a = link_pair(a, b);
        }
        a->next = pairs;
        pairs = a;
    }
    struct sonde_timer *root = pairs;
    if (root == NULL)
        return NULL;
    pairs = root->next;
    root->next = NULL;
    while (pairs != NULL) {
        struct sonde_timer *rest = pairs->next;
        pairs->next = NULL;
        root = link_pair(root, pairs);
        pairs = rest;
    }
    return root;
}

static void set_root(struct sonde_loop *loop, struct sonde_timer *root)
{
    loop->timers = root;
    if (root != NULL) {
        root->next = NULL;
        root->previous = &loop->timers;
    }
}

void sonde_timer_init(struct sonde_timer *timer, struct sonde_loop *loop, void (*fire)(struct sonde_timer *timer),
                      void *user)
{
    *timer = (struct sonde_timer){.loop = loop, .fire = fire, .user = user};
}

int sonde_timer_is_running(const struct sonde_timer *timer)
{
    return timer->previous != NULL;
}

void sonde_timer_stop(struct sonde_timer *timer)
{
    if (timer->previous == NULL)
        return;
    *timer->previous = timer->next;
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
    struct sonde_timer *orphans = link_siblings(timer->child);
    timer->child = timer->next = NULL;
    timer->previous = NULL;
    struct sonde_loop *loop = timer->loop;
    if (orphans != NULL)
        set_root(loop, loop->timers == NULL ? orphans : link_pair(loop->timers, orphans));
    loop_add_open(loop, -1);
}

void sonde_timer_start(struct sonde_timer *timer, int64_t deadline_ns)
{
    struct sonde_loop *loop = timer->loop;

    sonde_timer_stop(timer);
    /* A timer that is started anew by what it fires, for a time that is past, waits for the next turn: it must not hold
     * the loop in this one. */
    timer->deadline_ns = deadline_ns > loop->firing_ns ? deadline_ns : loop->firing_ns + 1;
    set_root(loop, loop->timers == NULL ? timer : link_pair(loop->timers, timer));
    loop_add_open(loop, +1);
}

void sonde_timer_start_in(struct sonde_timer *timer, int64_t delay_ns)
{
    int64_t now = sonde_loop_now_ns(timer->loop);

    sonde_timer_start(timer, delay_ns > INT64_MAX - now ? INT64_MAX : now + delay_ns);
}

int64_t timers_run(struct sonde_loop *loop)
{
    if (loop->timers == NULL)
        return -1;
    loop->now_ns = 0;
    int64_t now = sonde_loop_now_ns(loop);
    loop->firing_ns = now;
    while (loop->timers != NULL && loop->timers->deadline_ns <= now && !loop->stop) {
        struct sonde_timer *timer = loop->timers;
        sonde_timer_stop(timer);
        timer->fire(timer);
    }
    loop->firing_ns = INT64_MIN;
    if (loop->timers == NULL)
        return -1;
    int64_t left = loop->timers->deadline_ns - now;
    return left > 0 ? left : 0;
}
