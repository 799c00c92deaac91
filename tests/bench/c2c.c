/*
 * c2c: how far apart are two cores right now?
 *
 * Two threads, each pinned to one core, bounce a single cache line: one writes an odd number, the other answers with
 * the next even one. The time of a round trip is a property of the machine's state, and on virtual machines it changes
 * by itself, by a factor of up to five, when the host moves a virtual core. Everything that passes between two cores,
 * a loopback message and the wake-up behind it above all, becomes faster or slower with it. A benchmark that compares
 * two servers has to know that both ran in the same state, so this probe is run before and after each sample.
 *
 * The round trips are timed in batches. The median batch is what counts: one that was interrupted says nothing. Prints
 * one line of JSON. The whole run takes a few milliseconds, and is ended by a timer if a core never gets to run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCHES = 9,
    TRIPS = 2000, /* per batch: 0.1 to 0.8 ms */
    WARMUP_TRIPS = 2000,
    GIVE_UP_SECONDS = 5,
};

/* Alone on its cache line and on the neighbour that the prefetcher takes with it. */
static _Alignas(128) atomic_uint ball;

static _Noreturn void die(const char *what, int error)
{
    fprintf(stderr, "c2c: %s: %s\n", what, strerror(error));
    exit(1);
}

static cpu_set_t only(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return set;
}

static void wait_for(unsigned value)
{
    while (atomic_load_explicit(&ball, memory_order_acquire) != value)
        ;
}

static void *answer(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < WARMUP_TRIPS + BATCHES * TRIPS; i++) {
        wait_for(2 * i + 1);
        atomic_store_explicit(&ball, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

/* Plays `trips` rounds, the first of which has number `first`; returns the nanoseconds of one. */
static double play(unsigned first, unsigned trips)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = first; i < first + trips; i++) {
        atomic_store_explicit(&ball, 2 * i + 1, memory_order_release);
        wait_for(2 * i + 2);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    return ns / trips;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int cpu[2] = {0, 1};
    if (argc == 3) {
        cpu[0] = atoi(argv[1]);
        cpu[1] = atoi(argv[2]);
    } else if (argc != 1) {
        fprintf(stderr, "usage: c2c [CPU CPU]\n");
        return 2;
    }
    alarm(GIVE_UP_SECONDS);
    const cpu_set_t here = only(cpu[0]), there = only(cpu[1]);
    int error = pthread_setaffinity_np(pthread_self(), sizeof here, &here);
    if (error)
        die("first cpu", error);
    /* It has to begin on its own core: on this one it might never run, if threads of real-time priority spin here. */
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof there, &there);
    pthread_t other;
    error = pthread_create(&other, &attributes, answer, NULL);
    if (error)
        die("second cpu", error);
    pthread_attr_destroy(&attributes);
    play(0, WARMUP_TRIPS);
    double ns[BATCHES];
    for (unsigned i = 0; i < BATCHES; i++)
        ns[i] = play(WARMUP_TRIPS + i * TRIPS, TRIPS);
    pthread_join(other, NULL);
    qsort(ns, BATCHES, sizeof *ns, by_value);
    printf("{\"median_ns\": %.1f, \"min_ns\": %.1f, \"max_ns\": %.1f}\n", ns[BATCHES / 2], ns[0], ns[BATCHES - 1]);
    return 0;
}
