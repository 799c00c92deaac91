/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCHDOG_SECONDS = 30,
    UNTIL_SECONDS = 10,
    SKIPPED = 77,
    PLACES = 4000,
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PATIENCE = 4 };
#else
enum { PATIENCE = 1 };
#endif

_Thread_local int contract_calling;

struct engine_row {
    const char *name;
    enum sonde_engine kind;
    const struct engine_ops *real;
    bool scripted;
    bool direct; /* what is accepted has a place in the ring's table, and no descriptor */
};

static const struct engine_row engines[] = {
    {"uring", SONDE_ENGINE_URING, &engine_uring, false, false},
    {"epoll", SONDE_ENGINE_EPOLL, &engine_epoll, false, false},
    {"scripted", SONDE_ENGINE_EPOLL, &engine_epoll, true, false},
    {"direct", SONDE_ENGINE_URING, &engine_uring, false, true},
};

enum { N_ENGINES = sizeof engines / sizeof *engines };

/* One test on one engine. */
struct run {
    const struct contract_test *test;
    const struct engine_row *engine;
    char name[96];
};

/* --- memory ----------------------------------------------------------------------------------------------------- */

static void *counted_alloc(size_t size_bytes, void *user)
{
    struct memory *memory = user;

    if (atomic_fetch_add(&memory->n_calls, 1) + 1 == memory->fail_at) {
        memory->failed = true;
        return NULL;
    }
    void *bytes = malloc(size_bytes);
    if (bytes == NULL)
        return NULL;
    memset(bytes, 0xa5, size_bytes);
    memory->n_live++;
    size_t now = atomic_fetch_add(&memory->n_bytes, size_bytes) + size_bytes, most = memory->most_bytes;
    while (now > most && !atomic_compare_exchange_weak(&memory->most_bytes, &most, now))
        ;
    return bytes;
}

static void counted_free(void *bytes, size_t size_bytes, void *user)
{
    struct memory *memory = user;

    memory->n_live--;
    memory->n_bytes -= size_bytes;
    if (size_bytes <= 65536)
        memset(bytes, 0x5a, size_bytes);
    free(bytes);
}

/* --- the clock -------------------------------------------------------------------------------------------------- */

static atomic_llong ahead_ns;

/* In place of the C library's, for all that is linked with this file. */
int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, ret_now);

    if (result == 0 && clock == CLOCK_MONOTONIC) {
        int64_t ns = ret_now->tv_nsec + ahead_ns;
        ret_now->tv_sec += ns / SECOND;
        ret_now->tv_nsec = ns % SECOND;
    }
    return result;
}

void contract_jump(int64_t ns)
{
    ahead_ns += ns;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static const struct engine_row *row_of(const struct contract *c)
{
    for (unsigned i = 0; i < N_ENGINES; i++)
        if (strcmp(engines[i].name, c->engine) == 0)
            return &engines[i];
    return NULL;
}

int contract_create_loop(struct contract *c, struct script *script, unsigned n_mailbox, struct sonde_loop **ret_loop)
{
    const struct engine_row *row = row_of(c);
    const struct sonde_allocator allocator = {counted_alloc, counted_free, &c->memory};
    const struct sonde_loop_options options = {
        .size = sizeof options,
        .engine = row->kind,
        .allocator = &allocator,
        .n_mailbox = n_mailbox,
        .n_direct = c->n_direct,
    };
    struct sonde_why why;

    return loop_create_on(script_engine(script, row->real, row->scripted), script, &options, ret_loop, &why);
}

void contract_new_loop(struct contract *c)
{
    if (c->loop != NULL)
        assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    assert_int_equal(contract_create_loop(c, &c->script, 0, &c->loop), 0);
}

void contract_run(struct contract *c)
{
    assert_int_equal(sonde_loop_run(c->loop), 0);
}

static void stop(struct sonde_timer *timer)
{
    sonde_loop_stop(timer->loop);
}

void contract_turn(struct contract *c)
{
    const struct script *script = c->loop->script;
    unsigned long n_before = script->n_turns;
    struct sonde_timer timer;

    sonde_timer_init(&timer, c->loop, stop, NULL);
    do { /* a busy machine may begin when the time is over: then nobody was asked for anything */
        sonde_timer_start_in(&timer, MILLISECOND / 2);
        int error = sonde_loop_run(c->loop);
        sonde_timer_stop(&timer);
        assert_int_equal(error, 0);
    } while (script->n_turns == n_before);
}

void some_turns(struct contract *c)
{
    for (int i = 0; i < 5; i++)
        contract_turn(c);
}

int64_t contract_deadline_ns(void)
{
    return clock_monotonic_ns() - ahead_ns + UNTIL_SECONDS * PATIENCE * SECOND;
}

void contract_check_deadline(const struct contract *c, int64_t deadline_ns, const char *condition, const char *file,
                             int line)
{
    if (clock_monotonic_ns() - ahead_ns > deadline_ns)
        fail_msg("%s:%d: %s: waited in vain for: %s %s", file, line, c->engine, condition, c->note);
}

/* --- what tests need -------------------------------------------------------------------------------------------- */

unsigned contract_n_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

struct sonde_url contract_url(const char *format, ...)
{
    char text[SONDE_URL_MAX];
    struct sonde_url url;
    struct sonde_why why;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (sonde_url_parse(text, &url, &why) < 0)
        fail_msg("%s: %s: %s", text, why.subject, why.detail);
    return url;
}

const char *contract_path(void)
{
    static char path[96];
    static unsigned n;
    const char *folder = getenv("TMPDIR");

    snprintf(path, sizeof path, "%.60s/contract-%d-%u", folder != NULL ? folder : "/tmp", (int)getpid(), ++n);
    return path;
}

/* --- running ---------------------------------------------------------------------------------------------------- */

static const struct run *running;
static const struct contract *running_on;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written;
}

static void watchdog(int signal)
{
    (void)signal;
    say("hangs: ");
    say(running->name);
    say(" ");
    say(running_on->note);
    say("\n");
    _exit(1);
}

/* As the program began, whatever the test before has left. */
static struct rlimit n_descriptors;

static void run_one(void **state)
{
    const struct run *run = *state;
    struct contract c = {
        .engine = run->engine->name,
        .kind = run->engine->kind,
        .scripted = run->engine->scripted,
    };

    running = run;
    running_on = &c;
    contract_calling = 0;
    setrlimit(RLIMIT_NOFILE, &n_descriptors);
    if (run->engine->direct)
        c.n_direct = n_descriptors.rlim_cur < PLACES ? (unsigned)n_descriptors.rlim_cur : PLACES;
    unsigned n_fds = contract_n_fds();
    alarm(WATCHDOG_SECONDS * PATIENCE);
    contract_new_loop(&c);
    run->test->function(&c);
    if (c.loop != NULL)
        assert_int_equal(sonde_loop_destroy(c.loop), 0);
    alarm(0);
    assert_int_equal(contract_n_fds(), n_fds);
    assert_int_equal(c.memory.n_live, 0);
    assert_int_equal(c.memory.n_bytes, 0);
}

static bool is_wanted(const char *engine, int argc, char **argv)
{
    bool any = false;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        any = true;
        if (strcmp(argv[i], engine) == 0)
            return true;
    }
    return !any;
}

/* Of the arguments, "-NAME" runs only the tests whose names begin so. */
static bool is_chosen(const char *name, int argc, char **argv)
{
    bool any = false;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            continue;
        any = true;
        if (strncmp(argv[i] + 1, name, strlen(argv[i] + 1)) == 0)
            return true;
    }
    return !any;
}

int contract_main(int argc, char **argv, const struct contract_test *tests, size_t n_tests)
{
    struct run *runs = calloc(n_tests * N_ENGINES, sizeof *runs);
    struct CMUnitTest *cases = calloc(n_tests * N_ENGINES, sizeof *cases);
    size_t n = 0;
    int n_failed = SKIPPED;

    if (runs == NULL || cases == NULL)
        return 1;
    getrlimit(RLIMIT_NOFILE, &n_descriptors);
    signal(SIGALRM, watchdog);
    signal(SIGPIPE, SIG_DFL); /* which must never come */
    for (unsigned i = 0; i < N_ENGINES; i++) {
        const struct engine_row *engine = &engines[i];
        struct sonde_why why;
        if (!is_wanted(engine->name, argc, argv))
            continue;
        if (sonde_engine_probe(engine->kind, &why) < 0) {
            printf("skipped: %s does not work here: %s: %s %s\n", engine->name, why.call, sonde_strerror(why.code),
                   why.detail);
            continue;
        }
        for (size_t t = 0; t < n_tests; t++) {
            if (!is_chosen(tests[t].name, argc, argv))
                continue;
            runs[n] = (struct run){.test = &tests[t], .engine = engine};
            snprintf(runs[n].name, sizeof runs[n].name, "%s: %s", engine->name, tests[t].name);
            cases[n] =
                (struct CMUnitTest){.name = runs[n].name, .test_func = run_one, .initial_state = (void *)&runs[n]};
            n++;
        }
    }
    if (n > 0)
        n_failed = _cmocka_run_group_tests("contract", cases, n, NULL, NULL);
    free(runs);
    free(cases);
    return n_failed;
}
