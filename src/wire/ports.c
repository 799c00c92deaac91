/* SPDX-License-Identifier: MIT */
/*
 * The packet sockets of all ends and paths. To make a ring, and to close one, the kernel waits until no CPU can still
 * be using the socket (a grace period), for some milliseconds each time. So each is made, and closed, by a thread of
 * its own: all wait for the same thing. There are no threads in between.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <pthread.h>

struct job {
    struct port *port;
    uint32_t frame_bytes_max; /* 0: it is to be closed */
    int error;
};

static void *do_job(void *data)
{
    struct job *job = data;
    if (job->frame_bytes_max)
        job->error = port_make(job->port, job->frame_bytes_max);
    else
        port_close(job->port);
    return NULL;
}

static int do_all(struct ports *ports, uint32_t frame_bytes_max)
{
    struct job jobs[N_ENDS * WIRE_PATHS];
    pthread_t threads[N_ENDS * WIRE_PATHS];
    bool is_thread[N_ENDS * WIRE_PATHS];
    unsigned n = 0;
    int error = 0;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < ports->n_paths; path++) {
            jobs[n] = (struct job){.port = &ports->each[end][path], .frame_bytes_max = frame_bytes_max};
            is_thread[n] = pthread_create(&threads[n], NULL, do_job, &jobs[n]) == 0;
            n++;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (is_thread[i])
            pthread_join(threads[i], NULL);
        else
            do_job(&jobs[i]);
        if (error == 0)
            error = jobs[i].error;
    }
    return error;
}

int ports_make(struct ports *ports, unsigned n_paths, uint32_t frame_bytes_max)
{
    *ports = (struct ports){.n_paths = n_paths};
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < WIRE_PATHS; path++)
            ports->each[end][path].fd = -1;
    }
    int error = do_all(ports, frame_bytes_max);
    if (error < 0)
        ports_close(ports);
    return error;
}

int ports_open(struct ports *ports, const struct links *links)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (unsigned path = 0; path < ports->n_paths; path++) {
            int error = port_open(&ports->each[end][path], links->index[end][path]);
            if (error < 0)
                return error;
        }
    }
    return 0;
}

void ports_close(struct ports *ports)
{
    do_all(ports, 0);
}
