/* SPDX-License-Identifier: MIT */
/*
 * A thread that wakes each millisecond. It looks at the descriptors that are watched, and notes what has changed; and
 * it notes how late it woke: that is how long a thread has to wait for a processor on this machine now.
 */
#include "lab/lab_internal.h"
#include "term/translate.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS NS_PER_MS

/* SYN and FIN take a number each, and are counted with the bytes until they are acknowledged. */
static bool counts_itself(enum tcp_state state)
{
    return state == TCP_STATE_SYN_SENT || state == TCP_STATE_FIN_WAIT_1 || state == TCP_STATE_CLOSING ||
           state == TCP_STATE_LAST_ACK;
}

static bool ask(int fd, struct socket_info *socket)
{
    socklen_t n = TCP_INFO_KERNEL_BYTES;
    int bytes;
    *socket = (struct socket_info){0};
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &socket->info, &n) == 0) {
        enum tcp_state state = tcp_state_of_kernel(socket->info.state);
        if (state == TCP_STATE_CLOSED)
            return false;
        if (state == TCP_STATE_LISTEN) {
            socket->state = (uint8_t)state;
            return true;
        }
        socket->has_info = true;
        if (ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0)
            socket->send_queue = (uint32_t)bytes - counts_itself(state);
    }
    if (ioctl(fd, SIOCINQ, &bytes) == 0 && bytes > 0)
        socket->receive_queue = (uint32_t)bytes;
    return true;
}

static void values_of(const struct socket_info *socket, struct event_values *ret_values)
{
    if (socket->state != TCP_STATE_LISTEN) {
        kernel_values(socket, ret_values);
        return;
    }
    ret_values->value[VALUE_ACCEPT_QUEUE] = socket->info.unacked;
    ret_values->value[VALUE_ACCEPT_LIMIT] = socket->info.sacked;
    ret_values->present = 1u << VALUE_ACCEPT_QUEUE | 1u << VALUE_ACCEPT_LIMIT;
}

/* The lock is held. */
static void look_at(struct lab *lab, struct watched_fd *watched)
{
    struct socket_info socket;
    struct event_values values = {.end = watched->end};
    if (!ask(watched->fd, &socket))
        return;
    values_of(&socket, &values);
    kernel_changes(&values, &watched->told);
    if (values.changed != 0)
        record_values(lab, watched->descriptor, &values, lab_now());
}

static void *run(void *data)
{
    struct lab *lab = data;
    struct sampler *sampler = &lab->sampler;
    int64_t next_ns = lab_now() + LOOK_NS;
    while (!atomic_load(&sampler->stop)) {
        struct timespec until = {.tv_sec = next_ns / NS_PER_S, .tv_nsec = next_ns % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        int64_t late_ns = lab_now() - next_ns;
        if (late_ns > atomic_load(&sampler->late_max_ns))
            atomic_store(&sampler->late_max_ns, late_ns);
        pthread_mutex_lock(&lab->lock);
        for (unsigned i = 0; i < WATCHED_MAX; i++) {
            if (sampler->watched[i].fd >= 0)
                look_at(lab, &sampler->watched[i]);
        }
        pthread_mutex_unlock(&lab->lock);
        next_ns = lab_now() + LOOK_NS;
    }
    return NULL;
}

void sampler_start(struct lab *lab)
{
    struct sampler *sampler = &lab->sampler;
    for (unsigned i = 0; i < WATCHED_MAX; i++)
        sampler->watched[i].fd = -1;
    sampler->running = pthread_create(&sampler->thread, NULL, run, lab) == 0;
}

void sampler_stop(struct lab *lab)
{
    struct sampler *sampler = &lab->sampler;
    if (!sampler->running)
        return;
    atomic_store(&sampler->stop, true);
    pthread_join(sampler->thread, NULL);
    sampler->running = false;
    for (unsigned i = 0; i < WATCHED_MAX; i++) {
        if (sampler->watched[i].fd >= 0)
            close(sampler->watched[i].fd);
        sampler->watched[i].fd = -1;
    }
}

void sampler_forget(struct lab *lab, int fd)
{
    pthread_mutex_lock(&lab->lock);
    for (unsigned i = 0; i < WATCHED_MAX; i++) {
        struct watched_fd *watched = &lab->sampler.watched[i];
        if (watched->fd < 0 || watched->watched != fd)
            continue;
        /* Our duplicate would keep the connection open. */
        look_at(lab, watched);
        close(watched->fd);
        watched->fd = -1;
    }
    pthread_mutex_unlock(&lab->lock);
}

void lab_watch(struct party *party, int fd)
{
    struct lab *lab = party->lab;
    bool found = false;
    pthread_mutex_lock(&lab->lock);
    for (unsigned i = 0; i < WATCHED_MAX && !found; i++) {
        struct watched_fd *watched = &lab->sampler.watched[i];
        if (watched->fd >= 0)
            continue;
        found = true;
        *watched = (struct watched_fd){
            .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
            .watched = fd,
            .descriptor = record_descriptor(lab, party->end, fd),
            .end = (uint8_t)party->end,
        };
        if (watched->fd >= 0)
            look_at(lab, watched);
    }
    if (!found)
        lab->record.n_values_lost++;
    pthread_mutex_unlock(&lab->lock);
}

void lab_note(struct party *party, int fd)
{
    struct lab *lab = party->lab;
    struct event_values told = {0};
    struct watched_fd once = {.fd = fd, .end = (uint8_t)party->end};
    pthread_mutex_lock(&lab->lock);
    once.descriptor = record_descriptor(lab, party->end, fd);
    once.told = told;
    look_at(lab, &once);
    pthread_mutex_unlock(&lab->lock);
}
