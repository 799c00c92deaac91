/* SPDX-License-Identifier: MIT */
/*
 * sonde wire: two programs, each with a kernel of its own, and a wire between them.
 *
 * Theory of operation
 *
 * One thread, one loop: it waits for signals, for what the programs' keepers say, for the tap, and for time. A run goes
 * through stages, each of which ends by what happens or by its time:
 *
 *   READY     the server was started; does it listen?
 *   RUNNING   the client runs
 *   SETTLING  it has ended: what it sent last is still on its way, and the server may answer
 *   ENDING    the server was told to end (SIGTERM), and is given 2 s
 *   LEAVING   what the server's end has sent last is on its way
 *
 * A signal for us ends both programs; but what was typed at the terminal (Ctrl-C) the client has got as well, as it
 * would without us, and it decides. A second one ends both.
 */
#include "cli/verbs.h"
#include "cli/wire/wire_internal.h"
#include "term/escape.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define READY_LOOK_NS (2 * NS_PER_MS) /* at first; later less often */
#define READY_SOON_NS (200 * NS_PER_MS)
#define READY_LATER_NS (20 * NS_PER_MS)
#define LOOPBACK_NS NS_PER_S /* who listens there only so far may go on to other addresses */
#define READY_TIMEOUT_NS (10 * NS_PER_S)
#define QUIET_NS (20 * NS_PER_MS) /* beside the flight: for programs to answer */
#define SETTLE_MOST_NS (1500 * NS_PER_MS)
#define SETTLE_LOOK_NS (5 * NS_PER_MS)
#define STALLED_NS (5 * NS_PER_S) /* what the client left to its kernel, and nothing arrives any more */
#define WAIT_MOST_MS 500
#define GOES_ON_NS (500 * NS_PER_MS)
#define STATUS_SIGNAL 128
#define TAP_BYTES (64u << 20)
#define SEEDS 1000000000u /* short enough to be typed */
#define WORDS_BYTES 1024

enum stage { STAGE_READY, STAGE_RUNNING, STAGE_SETTLING, STAGE_ENDING, STAGE_LEAVING, STAGE_OVER };

struct run {
    const struct wire_options *options;
    struct wire *wire;
    struct wire_rules rules[N_ENDS];
    uint64_t seed;
    int64_t longest_ns;
    struct program program[N_ENDS]; /* A: the client, B: the server */
    struct ready *ready;
    struct unsent *unsent;
    struct observer *observer;
    int signal_fd;
    sigset_t mask; /* as it was when we were started */
    enum stage stage;
    int64_t stage_ns, next_ns; /* since when; when to look again */
    uint64_t n_seen;           /* packets, when the wire was looked at last */
    int64_t quiet_ns;          /* nothing has been sent since */
    int64_t sent_ns;           /* the client's kernel had nothing left to send since; or this stage began */
    uint64_t n_arrived;        /* of the client's packets, and */
    int64_t arrived_ns;        /* ... since when there are no more */
    int64_t server_over_ns;    /* seen to be over then; 0: not yet */
    unsigned n_typed;          /* Ctrl-C */
    int by_signal;             /* that ended us; 0: none */
    bool server_said, wire_is_gone;
};

int64_t verb_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void enter(struct run *run, enum stage stage, int64_t now_ns)
{
    run->stage = stage;
    run->stage_ns = run->quiet_ns = run->sent_ns = run->arrived_ns = now_ns;
    run->next_ns = now_ns;
}

/* ---- starting */

static void say_error_of(const struct program *program)
{
    char word[WORD_MAX];
    escape_short(program->argv[0], strlen(program->argv[0]), word, sizeof word);
    if (program->error == -EAGAIN)
        say(_("%s cannot be started: no more processes may be made here."), word);
    else if (program->entered)
        say(_("%s cannot be executed: %s."), word, sonde_strerror(program->error));
    else
        say(_("%s cannot be started on the wire: %s."), word, sonde_strerror(program->error));
}

static bool start_program(struct run *run, enum event_end end)
{
    int error = program_start(&run->program[end], run->wire, &run->mask);
    if (error == 0)
        return true;
    run->program[end].error = error;
    run->program[end].ended = run->program[end].over = true;
    return false;
}

static void start_client(struct run *run, int64_t now_ns)
{
    start_program(run, END_A);
    enter(run, STAGE_RUNNING, now_ns);
}

static void end_all(struct run *run)
{
    program_end(&run->program[END_A]);
    program_end(&run->program[END_B]);
}

/* ---- stages */

static void is_it_ready(struct run *run, int64_t now_ns)
{
    struct sonde_address address;
    char text[SONDE_ADDRESS_TEXT];
    int64_t timeout_ns = run->options->ready_timeout_ns;
    enum ready_state state = run->ready ? ready_look(run->ready, &address) : READY_LISTENS;
    int64_t waited_ns = now_ns - run->stage_ns;
    bool late = waited_ns >= timeout_ns;

    run->next_ns = now_ns + (waited_ns < READY_SOON_NS ? READY_LOOK_NS : READY_LATER_NS);
    if (run->program[END_B].error < 0) {
        say_error_of(&run->program[END_B]);
        enter(run, STAGE_ENDING, now_ns);
    } else if (state == READY_LISTENS) {
        start_client(run, now_ns);
    } else if (state == READY_LOOPBACK_ONLY && (late || waited_ns >= LOOPBACK_NS)) {
        sonde_address_format(&address, text, sizeof text);
        say(_("the server listens on %s only, where the client cannot reach it: let it listen on %s or on any "
              "address."),
            text, WIRE_B_IPV4);
        start_client(run, now_ns);
    } else if (run->program[END_B].over) {
        run->server_said = true;
        say(_("the server has ended (status %d) before anything listened; the client starts all the same."),
            program_exit_status(&run->program[END_B]));
        start_client(run, now_ns);
    } else if (late) {
        char span[32];
        option_format_duration(timeout_ns, span, sizeof span);
        say(_("nothing listens after %s; the client starts all the same."), span);
        start_client(run, now_ns);
    }
}

/* One that ends well with the connection, as nc does, is nothing to speak of, unless the client goes on. */
static void say_server_ended(struct run *run, int64_t now_ns)
{
    const struct program *server = &run->program[END_B];
    if (run->server_said || !server->over)
        return;
    int status = program_exit_status(server);
    if (run->server_over_ns == 0)
        run->server_over_ns = now_ns;
    if (status == 0 && now_ns - run->server_over_ns < GOES_ON_NS)
        return;
    run->server_said = true;
    if (status > STATUS_SIGNAL)
        say(_("the server was ended by signal %d before the client."), status - STATUS_SIGNAL);
    else
        say(_("the server has ended (status %d) before the client."), status);
}

/* The client's kernel still sends what it was left with, and it gets through. */
static bool still_sends(struct run *run, const struct wire_counts *client, int64_t now_ns, int64_t flight_ns)
{
    if (client->n_arrived != run->n_arrived)
        run->arrived_ns = now_ns;
    run->n_arrived = client->n_arrived;
    return now_ns - run->arrived_ns < STALLED_NS + 2 * flight_ns && unsent_look(run->unsent);
}

/* Nothing is under way, and nothing new was sent for longer than a flight takes. */
static bool is_quiet(struct run *run, int64_t now_ns)
{
    struct wire_counts counts[N_ENDS];
    if (now_ns < run->next_ns)
        return false;
    run->next_ns = now_ns + SETTLE_LOOK_NS;
    int64_t flight_ns = run->longest_ns > SETTLE_MOST_NS ? SETTLE_MOST_NS : run->longest_ns;
    if (wire_get_counts(run->wire, counts) < 0)
        return true;
    if (run->stage == STAGE_SETTLING && still_sends(run, &counts[END_A], now_ns, flight_ns)) {
        run->sent_ns = now_ns;
        return false;
    }
    if (now_ns - run->sent_ns >= SETTLE_MOST_NS + 2 * flight_ns)
        return true;
    uint64_t n_seen = counts[END_A].n_packets + counts[END_B].n_packets;
    if (n_seen != run->n_seen || counts[END_A].n_waiting + counts[END_B].n_waiting > 0)
        run->quiet_ns = now_ns;
    run->n_seen = n_seen;
    return now_ns - run->quiet_ns >= QUIET_NS;
}

static void take_stage(struct run *run, int64_t now_ns)
{
    switch (run->stage) {
    case STAGE_READY:
        if (now_ns >= run->next_ns)
            is_it_ready(run, now_ns);
        break;
    case STAGE_RUNNING:
        if (run->program[END_A].error < 0 && run->program[END_A].ended)
            say_error_of(&run->program[END_A]);
        say_server_ended(run, now_ns);
        if (run->program[END_A].ended)
            enter(run, STAGE_SETTLING, now_ns);
        break;
    case STAGE_SETTLING:
        if (run->by_signal == 0 && !run->program[END_B].over && !is_quiet(run, now_ns))
            break;
        program_end(&run->program[END_B]);
        enter(run, STAGE_ENDING, now_ns);
        break;
    case STAGE_ENDING:
        run->next_ns = INT64_MAX;
        if (!program_runs(&run->program[END_A]) && !program_runs(&run->program[END_B]))
            enter(run, STAGE_LEAVING, now_ns);
        break;
    case STAGE_LEAVING:
        if (run->by_signal != 0 || run->wire_is_gone || is_quiet(run, now_ns))
            enter(run, STAGE_OVER, now_ns);
        break;
    case STAGE_OVER:
        break;
    }
}

/* ---- the loop */

static void take_signals(struct run *run, int64_t now_ns)
{
    struct signalfd_siginfo info;
    while (read(run->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        bool typed = info.ssi_code == SI_KERNEL && (info.ssi_signo == SIGINT || info.ssi_signo == SIGQUIT);
        if (typed && run->stage == STAGE_RUNNING && run->n_typed++ == 0)
            continue; /* the client has it, too */
        run->by_signal = (int)info.ssi_signo;
        end_all(run);
        if (run->stage < STAGE_ENDING)
            enter(run, STAGE_ENDING, now_ns);
    }
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int wait_ms(const struct run *run)
{
    int64_t now_ns = verb_now_ns(), next_ns = now_ns + WAIT_MOST_MS * NS_PER_MS;
    if (run->stage != STAGE_RUNNING)
        next_ns = earlier(next_ns, run->next_ns);
    if (run->observer)
        next_ns = earlier(next_ns, observer_next_ns(run->observer));
    return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void turn(struct run *run)
{
    struct pollfd fds[] = {
        {.fd = run->signal_fd, .events = POLLIN},
        {.fd = run->program[END_A].fd, .events = POLLIN},
        {.fd = run->program[END_B].fd, .events = POLLIN},
        {.fd = run->observer ? wire_tap_fd(run->wire) : -1, .events = POLLIN},
        {.fd = run->wire_is_gone ? -1 : wire_ended_fd(run->wire), .events = POLLIN},
    };
    poll(fds, sizeof fds / sizeof fds[0], wait_ms(run));
    int64_t now_ns = verb_now_ns();
    take_signals(run, now_ns);
    program_look(&run->program[END_A]);
    program_look(&run->program[END_B]);
    if (fds[4].revents != 0) {
        say(_("the wire has broken: its process has ended."));
        run->wire_is_gone = true;
        end_all(run);
        enter(run, STAGE_ENDING, now_ns);
    }
    if (run->observer)
        observer_turn(run->observer, now_ns);
    take_stage(run, now_ns);
}

/* ---- before and behind */

static bool open_signals(struct run *run)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &run->mask);
    run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (run->signal_fd >= 0)
        return true;
    say(_("signals cannot be waited for: %s."), sonde_strerror(-errno));
    return false;
}

static bool set_sysctl(struct run *run, enum event_end end, const char *assignment)
{
    char name[WORD_MAX], word[WORD_MAX];
    const char *value = strchr(assignment, '=');
    escape_short(assignment, strlen(assignment), word, sizeof word);
    if (!value || value == assignment || (size_t)(value - assignment) >= sizeof name) {
        say(_("--%s-sysctl %s is no setting: NAME=VALUE, net.ipv4.tcp_retries2=3."), end == END_A ? "a" : "b", word);
        return false;
    }
    memcpy(name, assignment, (size_t)(value - assignment));
    name[value - assignment] = '\0';
    int error = wire_sysctl_set(run->wire, end, name, value + 1);
    if (error == -ENOENT || error == -EACCES || error == -EPERM)
        say(_("--%s-sysctl %s: there is no such setting that a network namespace has for itself."),
            end == END_A ? "a" : "b", word);
    else if (error < 0)
        say(_("--%s-sysctl %s cannot be set: %s."), end == END_A ? "a" : "b", word, sonde_strerror(error));
    return error >= 0;
}

static bool set_sysctls(struct run *run)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        const struct option_list *list = end == END_A ? &run->options->a_sysctl : &run->options->b_sysctl;
        for (unsigned i = 0; i < list->n; i++) {
            if (!set_sysctl(run, end, list->values[i]))
                return false;
        }
    }
    return true;
}

static bool start_wire(struct run *run)
{
    char detail[WORD_MAX * 2];
    struct sonde_why why = {.code = 0};
    struct wire_settings settings = {
        .rules = {run->rules[END_A], run->rules[END_B]},
        .seed = run->seed,
        .snap_bytes = observer_is_wanted(run->options) ? UINT16_MAX + 64 : 0,
        .tap_bytes = TAP_BYTES,
        .inherit_settings = true,
    };
    int error = wire_start(&settings, &run->wire, &why);
    if (error < 0) {
        escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
        if (detail[0])
            say("%s.", detail);
        else
            say(_("the wire cannot be made: %s."), sonde_strerror(error));
        return false;
    }
    if (run->options->offloads && (error = wire_set_offloads(run->wire, true)) < 0) {
        say(_("offloads cannot be switched on: %s."), sonde_strerror(error));
        return false;
    }
    return true;
}

static int exit_status(const struct run *run, bool all_written)
{
    if (run->wire_is_gone)
        return EXIT_NETWORK;
    if (run->program[END_B].error < 0)
        return program_exit_status(&run->program[END_B]);
    if (!run->program[END_A].ended)
        return run->by_signal != 0 ? STATUS_SIGNAL + run->by_signal : EXIT_NETWORK;
    int status = program_exit_status(&run->program[END_A]);
    return status == EXIT_DONE && !all_written ? EXIT_NETWORK : status;
}

static bool has_chance(const struct wire_rules rules[N_ENDS])
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        for (uint32_t i = 0; i < rules[end].n; i++) {
            if (rules[end].rule[i].by_share || rules[end].rule[i].jitter_ns > 0)
                return true;
        }
    }
    return false;
}

static void finish(struct run *run, bool *ret_all_written)
{
    struct wire_counts counts[N_ENDS];
    *ret_all_written = true;
    if (run->observer && !run->wire_is_gone)
        wire_tap_flush(run->wire);
    if (run->observer)
        *ret_all_written = observer_finish(run->observer);
    if (run->wire_is_gone)
        return;
    if (wire_get_counts(run->wire, counts) == 0) {
        report_say(run->options, counts, run->seed, has_chance(run->rules));
    } else {
        say(_("the wire has broken: its process does not answer."));
        run->wire_is_gone = true;
    }
}

static int run_programs(struct run *run, const char *words)
{
    char where[WORDS_BYTES + 16];
    bool all_written = true;
    snprintf(where, sizeof where, words[0] ? _("wire: %s") : _("wire"), words);
    if (!start_wire(run))
        return EXIT_NETWORK;
    if (!set_sysctls(run))
        return EXIT_MISUSE;
    if (!observer_open(run->options, run->wire, run->program, run->longest_ns, where, &run->observer))
        return EXIT_NETWORK;
    if (!open_signals(run))
        return EXIT_NETWORK;
    run->ready = ready_new(run->wire);
    run->unsent = unsent_new(run->wire);
    enter(run, STAGE_READY, verb_now_ns());
    if (!start_program(run, END_B)) {
        say_error_of(&run->program[END_B]);
        enter(run, STAGE_ENDING, verb_now_ns());
    }
    while (run->stage != STAGE_OVER)
        turn(run);
    finish(run, &all_written);
    return exit_status(run, all_written);
}

static int64_t longest_of(const struct wire_rules rules[N_ENDS])
{
    int64_t a_ns = wire_rules_longest_ns(&rules[END_A]), b_ns = wire_rules_longest_ns(&rules[END_B]);
    return a_ns > b_ns ? a_ns : b_ns;
}

static uint64_t choose_seed(const struct wire_options *options)
{
    uint32_t chosen = 0;
    if (options->seed >= 0)
        return (uint64_t)options->seed;
    if (getrandom(&chosen, sizeof chosen, 0) < 0)
        chosen = (uint32_t)verb_now_ns();
    return chosen % SEEDS;
}

/* SERVER... --- CLIENT... behind "--". */
static bool split_commands(struct run *run, int n_operands, int n_behind, char **operands)
{
    int at = n_operands - n_behind;
    if (n_behind == 0 || at != 0) {
        say(_("the two programs stand behind \"--\", with \"---\" between them: sonde wire --delay 20ms -- sonde serve "
              "echo 10.0.0.2:7007 --- sonde connect 10.0.0.2:7007"));
        return false;
    }
    while (at < n_operands && strcmp(operands[at], "---") != 0)
        at++;
    if (at == n_operands) {
        say(_("there is one program, and a wire has two ends: put \"---\" and the client behind the server."));
        return false;
    }
    if (at == 0 || at == n_operands - 1) {
        say(at == 0 ? _("the server is missing: it stands before \"---\".")
                    : _("the client is missing: it stands behind \"---\"."));
        return false;
    }
    operands[at] = NULL;
    run->program[END_B].argv = operands;
    run->program[END_A].argv = operands + at + 1;
    return true;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct wire_options options = {.seed = -1, .ready_timeout_ns = READY_TIMEOUT_NS};
    struct run *run = calloc(1, sizeof *run);
    char words[WORDS_BYTES];
    int n_operands, n_behind;

    if (!run)
        return EXIT_NETWORK;
    run->options = &options;
    run->signal_fd = -1;
    for (enum event_end end = END_A; end < N_ENDS; end++)
        run->program[end] = (struct program){.end = end, .fd = -1};
    int parsed = option_parse_behind(verb, &options, argc, argv, &n_operands, &n_behind);
    int status = parsed != 0 ? parsed - 1 : EXIT_MISUSE;
    if (parsed == 0 && split_commands(run, n_operands, n_behind, argv + 1) &&
        wire_options_rules(&options, run->rules, words, sizeof words)) {
        run->seed = choose_seed(&options);
        run->longest_ns = longest_of(run->rules);
        status = run_programs(run, words);
    }
    observer_free(run->observer);
    ready_free(run->ready);
    unsent_free(run->unsent);
    wire_stop(run->wire);
    if (run->signal_fd >= 0)
        close(run->signal_fd);
    free(run);
    return status;
}

static const struct example examples[] = {
    {"sonde wire --delay 20ms --loss 1% -- sonde serve echo 10.0.0.2:7007 --- sonde connect 10.0.0.2:7007",
     N_("talk across 40 ms and some loss")},
    {"sonde wire --trace --a-to-b 'drop data #1 x3' -- nc -l 7007 --- sh -c 'echo hello | nc -N 10.0.0.2 7007'",
     N_("see timers repair what was lost")},
    {"sonde wire --rate 10Mbit --svg page.svg -- python3 -m http.server 8000 --- curl -s http://10.0.0.2:8000/",
     N_("a web page over a slow wire, as a picture")},
    {"sonde wire --a-sysctl net.ipv4.tcp_retries2=3 --a-to-b 'stop from 1s' -- nc -l 7007 --- nc 10.0.0.2 7007",
     N_("type after a second, and see the kernel give up")},
    {NULL, NULL},
};

const struct verb wire_verb = {
    .name = "wire",
    .summary = N_("Run two programs with a wire between them that loses, delays, reorders."),
    .usage = "[OPTION...] -- SERVER [ARGUMENT...] --- CLIENT [ARGUMENT...]",
    .options = wire_option_rows,
    .examples = examples,
    .more =
        N_("The server runs in end B, which has the addresses 10.0.0.2 and fd00::2, the client in end A, with "
           "10.0.0.1 and fd00::1 ($SONDE_B, $SONDE_B6, $SONDE_A, $SONDE_A6). The server must listen on its "
           "address, or on any. Each end is a network namespace with a kernel's network stack of its own; the wire "
           "between them is a program. No root is needed, nothing outside is touched or can be reached, and nothing "
           "is left behind.\n"
           "\n"
           "The client is started when something listens in B, and has the standard input; the server has none. "
           "When the client ends, the server gets SIGTERM, and SIGKILL 2 seconds later. The same seed meets the "
           "same packets of the same conversation with the same fate.\n"
           "\n"
           "Exit status: the client's; 128 and the signal's number when it was killed; 127, 126: a program was not "
           "found, or cannot be executed. 1: there is no wire here, or a file cannot be written. 2: misuse."),
    .run = run_verb,
};
