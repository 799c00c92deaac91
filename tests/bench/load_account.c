/*
 * Time, who used the processors, and the distribution of latencies.
 *
 * Processor time of single processes comes from /proc/PID/task/TID/schedstat, which the scheduler counts in
 * nanoseconds: how long it ran, and how long it waited for a processor that somebody else had. Time that everybody
 * used comes from /proc/stat, which counts ticks, and is coarse. Both tell whether somebody who has no part in the
 * measurement was in the way.
 *
 * The histogram is log-linear: 128 steps for each power of two, so that no value is off by more than 0.8 %.
 */
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    STEP_BITS = 8, /* of which the highest is always set, but for the smallest values */
    STEPS = 1 << STEP_BITS,
    POWERS = 64 - STEP_BITS + 1,
    /* A server with children that have children is as deep as it gets. */
    FAMILY_DEPTH = 3,
};

struct load_histogram {
    uint64_t n, highest;
    uint64_t counts[POWERS * STEPS];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t load_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Nanoseconds. */
struct task_time {
    uint64_t ran, waited;
};

static struct task_time process_time(pid_t pid, int depth);

static void add(struct task_time *sum, struct task_time more)
{
    sum->ran += more.ran;
    sum->waited += more.waited;
}

static struct task_time children_time(const char *task, const char *tid, int depth)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s/children", task, tid);
    struct task_time total = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        return total;
    int child;
    while (fscanf(file, "%d", &child) == 1)
        add(&total, process_time((pid_t)child, depth - 1));
    fclose(file);
    return total;
}

static struct task_time thread_time(const char *task, const char *tid)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s/schedstat", task, tid);
    struct task_time time = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        return time;
    unsigned long long ran, waited;
    if (fscanf(file, "%llu %llu", &ran, &waited) == 2)
        time = (struct task_time){.ran = ran, .waited = waited};
    fclose(file);
    return time;
}

static struct task_time process_time(pid_t pid, int depth)
{
    struct task_time total = {0};
    if (depth == 0)
        return total;
    char task[32];
    snprintf(task, sizeof task, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(task);
    if (!dir)
        return total;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') {
            add(&total, thread_time(task, entry->d_name));
            add(&total, children_time(task, entry->d_name, depth));
        }
    closedir(dir);
    return total;
}

/* Ticks that all processors spent busy, and that the host took. */
static void machine_time(struct load_usage *usage)
{
    unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
               &softirq, &steal) == 8) {
        uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
        usage->busy = (user + nice + system + irq + softirq) * tick;
        usage->steal = steal * tick;
    }
    fclose(file);
}

void load_usage_read(struct load_usage *usage, pid_t server)
{
    *usage = (struct load_usage){.at = load_now(), .own = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
    usage->waited = process_time(getpid(), 1).waited;
    if (server) {
        struct task_time time = process_time(server, FAMILY_DEPTH);
        usage->server = time.ran;
        usage->waited += time.waited;
    }
    machine_time(usage);
}

struct load_histogram *load_histogram_new(void)
{
    return calloc(1, sizeof(struct load_histogram));
}

void load_histogram_free(struct load_histogram *histogram)
{
    free(histogram);
}

void load_histogram_clear(struct load_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void load_histogram_add(struct load_histogram *histogram, uint64_t ns)
{
    /* Power 0 holds the values below STEPS as they are; power p those with p more bits, cut to the highest. */
    unsigned power = ns < STEPS ? 0 : (unsigned)(63 - __builtin_clzll(ns)) - (STEP_BITS - 1);
    histogram->counts[power * STEPS + ((ns >> power) & (STEPS - 1))]++;
    histogram->n++;
    if (ns > histogram->highest)
        histogram->highest = ns;
}

static double quantile_us(const struct load_histogram *histogram, double q)
{
    uint64_t rank = (uint64_t)((double)histogram->n * q), seen = 0;
    for (unsigned i = 0; i < POWERS * STEPS; i++) {
        seen += histogram->counts[i];
        if (seen > rank)
            return (double)((uint64_t)(i % STEPS) << (i / STEPS)) / 1e3;
    }
    return (double)histogram->highest / 1e3;
}

void load_window_init(struct load_window *window, const struct load_options *options)
{
    *window = (struct load_window){.latency = load_histogram_new()};
    if (!window->latency)
        abort();
    window->begin = load_now() + (uint64_t)(options->warmup * 1e9);
    window->end = window->begin + (uint64_t)(options->seconds * 1e9);
}

bool load_window_step(struct load_window *window, const struct load_options *options, uint64_t now)
{
    window->waits++;
    if (window->errors >= LOAD_ERRORS_MAX || now >= window->end)
        return false;
    if (!window->open && now >= window->begin) {
        window->open = true;
        window->n = 0;
        window->waits = 0;
        load_histogram_clear(window->latency);
        load_usage_read(&window->first, options->server);
        window->end = window->first.at + (uint64_t)(options->seconds * 1e9);
    }
    return true;
}

int load_window_report(struct load_window *window, const struct load_options *options, const char *mode)
{
    load_usage_read(&window->last, options->server);
    const struct load_usage *a = &window->first, *b = &window->last;
    if (!window->open) { /* it ended during the warm-up, by errors */
        window->n = 0;
        window->first = window->last;
        load_histogram_clear(window->latency);
    }
    double ns = (double)(b->at - a->at), n = (double)window->n;
    if (ns < 1)
        ns = 1;
    double server = (double)(b->server - a->server), own = (double)(b->own - a->own);
    double busy = (double)(b->busy - a->busy), steal = (double)(b->steal - a->steal);
    const struct load_histogram *h = window->latency;

    printf("{\"mode\": \"%s\", \"connections\": %u, \"size\": %u, \"depth\": %u, \"seconds\": %.3f, \"n\": %llu, ",
           mode, options->connections, options->size, options->depth, ns / 1e9, (unsigned long long)window->n);
    printf("\"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, ", n * 1e9 / ns,
           quantile_us(h, 0.5), quantile_us(h, 0.99), quantile_us(h, 0.999), (double)h->highest / 1e3);
    printf("\"server_cpu_us\": %.4f, \"server_cpu_share\": %.3f, \"own_cpu_share\": %.3f, ",
           window->n ? server / 1e3 / n : 0, server / ns, own / ns);
    printf("\"waited_share\": %.4f, \"other_cpu_share\": %.3f, \"steal_share\": %.3f, \"per_wait\": %.2f, "
           "\"errors\": %llu}\n",
           (double)(b->waited - a->waited) / ns, (busy - server - own) / ns, steal / ns,
           window->waits ? n / (double)window->waits : 0, (unsigned long long)window->errors);
    load_histogram_free(window->latency);
    return window->errors || !window->n;
}
