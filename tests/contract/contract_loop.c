/* SPDX-License-Identifier: MIT */
/* The loop itself: when it runs and when it returns, timers. */
#include "contract.h"
#include "loop_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sonde/poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- run and stop ----------------------------------------------------------------------------------------------- */

static void nothing_to_do(struct contract *c)
{
    contract_run(c);
    contract_run(c);
    assert_int_equal(c->script.n_turns, 0);
    assert_int_equal(sonde_loop_engine(c->loop), c->kind);
    assert_string_equal(sonde_engine_name(c->kind), c->kind == SONDE_ENGINE_URING ? "uring" : "epoll");
    assert_int_equal(sonde_loop_destroy(NULL), 0);
}

/* As programs make loops. */
static void created_by_name(struct contract *c)
{
    const struct sonde_loop_options options = {.size = sizeof options, .engine = c->kind};
    struct sonde_loop *loop;
    struct sonde_why why;

    assert_int_equal(sonde_loop_create(&options, &loop, &why), 0);
    assert_int_equal(sonde_loop_engine(loop), c->kind);
    assert_int_equal(sonde_loop_run(loop), 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
    assert_int_equal(sonde_loop_create(NULL, &loop, NULL), 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

/* Whatever a loop opens stays here when the program starts another. */
static void descriptors_are_cloexec(struct contract *c)
{
    struct script script = {0};
    struct sonde_loop *loop;
    bool before[256];
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    assert_int_equal(contract_create_loop(c, &script, 0, &loop), 0);
    assert_int_equal(sonde_loop_run(loop), 0);
    for (int fd = 0; fd < 256; fd++) {
        int flags = before[fd] ? -1 : fcntl(fd, F_GETFD);
        if (flags < 0)
            continue;
        assert_true(flags & FD_CLOEXEC);
        n++;
    }
    assert_true(n > 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

/* In a process where io_uring_setup(2) is refused, as it is in many containers. */
static int without_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    const struct sonde_loop_options uring = {.size = sizeof uring, .engine = SONDE_ENGINE_URING};
    struct sonde_loop *loop = NULL;
    struct sonde_why why = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return 0; /* filters are refused here as well */
    if (sonde_loop_create(&uring, &loop, &why) != -SONDE_EENGINE || loop != NULL || why.code != -SONDE_EENGINE)
        return 2;
    if (strcmp(why.call, "io_uring_setup") != 0 || strcmp(why.subject, "uring") != 0 || why.detail[0] == '\0')
        return 3;
    if (sonde_engine_probe(SONDE_ENGINE_URING, &why) != -EPERM || why.code != -EPERM)
        return 4;
    if (sonde_engine_probe(SONDE_ENGINE_EPOLL, NULL) != 0 || sonde_engine_probe(SONDE_ENGINE_AUTO, NULL) != 0)
        return 5;
    if (sonde_loop_create(NULL, &loop, &why) != 0 || sonde_loop_engine(loop) != SONDE_ENGINE_EPOLL)
        return 6;
    return sonde_loop_run(loop) == 0 && sonde_loop_destroy(loop) == 0 ? 0 : 7;
}

static void falls_back(struct contract *c)
{
    int status = 0;
    pid_t child = fork();

    (void)c;
    if (child == 0)
        _exit(without_io_uring());
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static atomic_uint n_signals;

static void on_signal(int signal)
{
    (void)signal;
    n_signals++;
}

/* A signal that has a handler disturbs nothing. */
static void fired(struct sonde_timer *timer)
{
    *(bool *)timer->user = true;
}

static void signals_do_not_end_it(struct contract *c)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct itimerspec often = {{0, MILLISECOND}, {0, MILLISECOND}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sonde_timer timer;
    bool has_fired = false;
    timer_t ticking;

    n_signals = 0;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &ticking), 0);
    assert_int_equal(timer_settime(ticking, 0, &often, NULL), 0);
    sonde_timer_init(&timer, c->loop, fired, &has_fired);
    DO(sonde_timer_start_in(&timer, 20 * MILLISECOND));
    contract_run(c);
    assert_true(has_fired);
    /* And with nothing to wait for but a message. */
    sonde_loop_hold(c->loop, +1);
    int64_t until_ns = clock_monotonic_ns() + 10 * MILLISECOND;
    until(c, clock_monotonic_ns() > until_ns);
    sonde_loop_hold(c->loop, -1);
    assert_int_equal(timer_delete(ticking), 0);
    assert_true(n_signals > 0);
}

/* Happens in the next epoll_wait, which it interrupts. */
static void (*interruption)(void);

int epoll_wait(int fd, struct epoll_event *events, int n_events, int timeout_ms)
{
    static int (*real)(int fd, struct epoll_event *events, int n_events, int timeout_ms);
    void (*happens)(void) = interruption;

    if (happens != NULL) {
        interruption = NULL;
        happens();
        errno = EINTR;
        return -1;
    }
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
    return real(fd, events, n_events, timeout_ms);
}

static int pipe_ends[2];

static void stand_still(void)
{
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    contract_jump(3600 * SECOND);
}

struct stopped {
    bool has_fired, was_heard;
};

static void hear(struct sonde_poll *poll, unsigned events, void *user)
{
    struct stopped *stopped = user;

    (void)poll, (void)events;
    assert_false(stopped->has_fired);
    stopped->was_heard = true;
}

/* The process is stopped for long, and goes on: what has come meanwhile came in time. */
static void stopped_for_long(struct contract *c)
{
    static const struct sonde_poll_handler handler = {.ready = hear};
    struct stopped stopped = {false};
    struct sonde_timer timer;
    struct sonde_poll *poll;

    if (c->kind != SONDE_ENGINE_EPOLL)
        return; /* there signals interrupt nothing that is told apart */
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(CALL(sonde_poll_create(c->loop, pipe_ends[0], &handler, &stopped, &poll)), 0);
    assert_int_equal(CALL(sonde_poll_start(poll, SONDE_READABLE)), 0);
    sonde_timer_init(&timer, c->loop, fired, &stopped.has_fired);
    DO(sonde_timer_start_in(&timer, 3600 * SECOND));
    interruption = stand_still;
    contract_run(c);
    assert_true(stopped.was_heard && stopped.has_fired);
    DO(sonde_poll_close(poll));
    contract_run(c);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void *run_elsewhere(void *user)
{
    static int error;

    error = sonde_loop_run(user);
    return &error;
}

static int run_on_a_thread(struct sonde_loop *loop)
{
    pthread_t thread;
    void *error;

    assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, loop), 0);
    assert_int_equal(pthread_join(thread, &error), 0);
    return *(int *)error;
}

static void belongs_to_a_thread(struct contract *c)
{
    unsigned n = 0;

    /* To the first that runs it, not to the one that made it. */
    assert_int_equal(run_on_a_thread(c->loop), 0);
    assert_int_equal(sonde_loop_run(c->loop), -EPERM);
    assert_int_equal(sonde_loop_post(c->loop, count, &n), 0);
    contract_new_loop(c);
    contract_run(c);
    assert_int_equal(run_on_a_thread(c->loop), -EPERM);
    contract_run(c);
    assert_int_equal(n, 0);
}

static void now_stands_still(struct sonde_timer *timer)
{
    int64_t *seen_ns = timer->user, now_ns = sonde_loop_now_ns(timer->loop);

    assert_true(now_ns >= *seen_ns && now_ns <= clock_monotonic_ns());
    assert_true(now_ns >= timer->deadline_ns);
    *seen_ns = now_ns;
    struct timespec pause = {.tv_nsec = 100000};
    nanosleep(&pause, NULL);
    assert_true(sonde_loop_now_ns(timer->loop) == now_ns);
}

static void clock_of_the_loop(struct contract *c)
{
    struct sonde_timer timers[5];
    int64_t seen_ns = clock_monotonic_ns();

    for (int i = 0; i < 5; i++) {
        sonde_timer_init(&timers[i], c->loop, now_stands_still, &seen_ns);
        DO(sonde_timer_start_in(&timers[i], i * MILLISECOND / 2));
    }
    contract_run(c);
}

/* --- timers ----------------------------------------------------------------------------------------------------- */

enum { N_TIMERS = 60 };

struct timers {
    struct sonde_timer timer[N_TIMERS];
    unsigned order[N_TIMERS], n_fired;
};

static void note(struct sonde_timer *timer)
{
    struct timers *timers = timer->user;

    assert_int_equal(contract_calling, 0);
    assert_false(sonde_timer_is_running(timer));
    timers->order[timers->n_fired++] = (unsigned)(timer - timers->timer);
}

static void timers_in_order(struct contract *c)
{
    struct timers timers = {.n_fired = 0};
    int64_t now_ns = clock_monotonic_ns();

    for (unsigned i = 0; i < N_TIMERS; i++)
        sonde_timer_init(&timers.timer[i], c->loop, note, &timers);
    for (unsigned k = 0; k < N_TIMERS; k++) {
        unsigned i = k * 23 % N_TIMERS;
        /* Half of them are due already. */
        DO(sonde_timer_start(&timers.timer[i], now_ns + ((int)i - N_TIMERS / 2) * MILLISECOND / 8));
        assert_true(sonde_timer_is_running(&timers.timer[i]));
    }
    assert_int_equal(sonde_loop_destroy(c->loop), -EBUSY);
    /* One moves to the end, one is stopped, and one more that does not run. */
    DO(sonde_timer_start(&timers.timer[0], now_ns + N_TIMERS * MILLISECOND));
    DO(sonde_timer_stop(&timers.timer[10]));
    DO(sonde_timer_stop(&timers.timer[10]));
    contract_run(c);
    assert_int_equal(timers.n_fired, N_TIMERS - 1);
    for (unsigned i = 0, k = 1; i < N_TIMERS - 2; i++, k++) {
        k += k == 10;
        assert_int_equal(timers.order[i], k);
    }
    assert_int_equal(timers.order[N_TIMERS - 2], 0);
    assert_true(clock_monotonic_ns() >= now_ns + N_TIMERS * MILLISECOND);
}

static void again(struct sonde_timer *timer)
{
    unsigned *n = timer->user;

    assert_int_equal(contract_calling, 0);
    if (++*n < 20)
        DO(sonde_timer_start(timer, *n % 2 == 0 ? 0 : clock_monotonic_ns() + MILLISECOND / 10));
}

static void timer_starts_itself(struct contract *c)
{
    struct sonde_timer timer;
    unsigned n = 0;

    sonde_timer_init(&timer, c->loop, again, &n);
    DO(sonde_timer_start_in(&timer, 0));
    contract_run(c);
    assert_int_equal(n, 20);
}

static void for_ever(struct sonde_timer *timer)
{
    ++*(unsigned *)timer->user;
    DO(sonde_timer_start(timer, 0));
}

/* A timer that is always due leaves room for the rest. */
static void timer_does_not_hold_the_loop(struct contract *c)
{
    struct sonde_timer timer;
    unsigned n = 0;

    sonde_timer_init(&timer, c->loop, for_ever, &n);
    DO(sonde_timer_start_in(&timer, 0));
    assert_int_equal(CALL(sonde_loop_post(c->loop, stop_loop, c->loop)), 0);
    contract_run(c);
    assert_true(n > 0 && n < 100);
    sonde_timer_stop(&timer);
}

static struct sonde_timer *victim;

static void stop_the_victim(struct sonde_timer *timer)
{
    ++*(unsigned *)timer->user;
    DO(sonde_timer_stop(victim));
}

static void stop_inside_fire(struct contract *c)
{
    struct sonde_timer first, second;
    unsigned n = 0;
    int64_t now_ns = clock_monotonic_ns();

    sonde_timer_init(&first, c->loop, stop_the_victim, &n);
    sonde_timer_init(&second, c->loop, stop_the_victim, &n);
    victim = &second;
    DO(sonde_timer_start(&first, now_ns - 2));
    DO(sonde_timer_start(&second, now_ns - 1));
    contract_run(c);
    assert_int_equal(n, 1);
    /* Itself. */
    victim = &first;
    DO(sonde_timer_start(&first, now_ns));
    contract_run(c);
    assert_int_equal(n, 2);
}

static void free_it(struct sonde_timer *timer)
{
    free(timer);
}

static void free_inside_fire(struct contract *c)
{
    for (int i = 0; i < 5; i++) {
        struct sonde_timer *timer = malloc(sizeof *timer);
        assert_non_null(timer);
        sonde_timer_init(timer, c->loop, free_it, NULL);
        DO(sonde_timer_start_in(timer, i % 2));
    }
    contract_run(c);
}

static void stop_after_the_callback_at_hand(struct contract *c)
{
    struct sonde_timer timers[3];
    unsigned n = 0;

    for (int i = 0; i < 3; i++) {
        sonde_timer_init(&timers[i], c->loop, count_and_stop, &n);
        DO(sonde_timer_start_in(&timers[i], -1));
    }
    for (unsigned i = 1; i <= 3; i++) {
        contract_run(c);
        assert_int_equal(n, i);
    }
    contract_run(c);
    assert_int_equal(n, 3);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(nothing_to_do),
        CONTRACT_TEST(created_by_name),
        CONTRACT_TEST(descriptors_are_cloexec),
        CONTRACT_TEST(falls_back),
        CONTRACT_TEST(signals_do_not_end_it),
        CONTRACT_TEST(stopped_for_long),
        CONTRACT_TEST(belongs_to_a_thread),
        CONTRACT_TEST(clock_of_the_loop),
        CONTRACT_TEST(timers_in_order),
        CONTRACT_TEST(timer_starts_itself),
        CONTRACT_TEST(timer_does_not_hold_the_loop),
        CONTRACT_TEST(stop_inside_fire),
        CONTRACT_TEST(free_inside_fire),
        CONTRACT_TEST(stop_after_the_callback_at_hand),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
