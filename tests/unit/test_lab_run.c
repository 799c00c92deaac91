/* SPDX-License-Identifier: MIT */
/*
 * Experiments in processes of their own, on this machine's loopback: what they say, and what becomes of those that
 * crash, hang, or leave processes behind. Parties on their threads: calls, interruptions, the ladder made of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/call.h"
#include "lab/run.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_NS (20 * NS_PER_S)

static const struct lab_claim claims[] = {{"C1", "one thing is so."}, {"C2", "another is so."}, {NULL, NULL}};

static char *run_it(void (*run)(struct lab *lab), enum lab_format format, int64_t watchdog_ns, int signal_fd,
                    struct lab_outcome *ret_outcome)
{
    const struct experiment experiment = {.name = "test", .title = "", .claims = claims, .run = run};
    const struct lab_request request = {
        .format = format,
        .render = {.width = 80, .ladder_width = 80, .unicode = true},
        .watchdog_ns = watchdog_ns,
        .without_wire = true,
        .given = "::1",
    };
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(lab_run(&experiment, &request, signal_fd, out, ret_outcome), 0);
    fclose(out);
    return text;
}

/* ---- how they end */

static void says_one(struct lab *lab)
{
    lab_verdict(lab, "C1", LAB_TRUE, "given %s", lab_given(lab));
    lab_figure(lab, "C1", "seven", 7);
}

static void what_was_not_said_is_not_shown(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(says_one, LAB_JSON, 0, -1, &outcome);
    (void)state;
    assert_string_equal(
        text, "{\"claim\":\"C1\",\"experiment\":\"test\",\"verdict\":\"true\",\"evidence\":\"given ::1\","
              "\"figures\":{\"seven\":7}}\n"
              "{\"claim\":\"C2\",\"experiment\":\"test\",\"verdict\":\"not shown here\",\"evidence\":\"The experiment "
              "did not get as far as this.\",\"figures\":{}}\n");
    assert_int_equal(outcome.n_not_shown, 1);
    assert_int_equal(outcome.not_shown, 2);
    free(text);
}

static void crashes(struct lab *lab)
{
    lab_verdict(lab, "C1", LAB_TRUE, "so far");
    raise(SIGKILL);
}

static void a_crash_is_said(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(crashes, LAB_JSON, 0, -1, &outcome);
    (void)state;
    assert_non_null(strstr(text, "killed by signal 9 (SIGKILL)"));
    assert_null(strstr(text, "\"true\"")); /* whatever it had said */
    assert_int_equal(outcome.n_not_shown, 2);
    free(text);
}

static pid_t *shared_pid;

static void hangs_with_a_child(struct lab *lab)
{
    (void)lab;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    *shared_pid = pid;
    for (;;)
        pause();
}

/* Reaped by whoever reaps orphans: a zombie counts as gone. */
static bool is_gone(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *behind = n > 0 ? strrchr(text, ')') : NULL;
    return !behind || behind[2] == 'Z' || behind[2] == 'X';
}

static void until_gone(pid_t pid)
{
    int64_t until_ns = lab_now() + LONG_NS;
    while (!is_gone(pid) && lab_now() < until_ns)
        lab_sleep(NS_PER_MS);
    assert_true(is_gone(pid));
}

static void one_that_hangs_is_stopped_with_its_children(void **state)
{
    struct lab_outcome outcome;
    (void)state;
    *shared_pid = 0;
    char *text = run_it(hangs_with_a_child, LAB_JSON, NS_PER_S, -1, &outcome);
    assert_non_null(strstr(text, "had not ended after 1 s"));
    assert_true(*shared_pid > 0);
    until_gone(*shared_pid);
    free(text);
}

static void leaves_a_child(struct lab *lab)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    *shared_pid = pid;
    lab_verdict(lab, "C1", LAB_TRUE, "yes");
    lab_verdict(lab, "C2", LAB_TRUE, "yes");
}

static void children_end_with_it(void **state)
{
    struct lab_outcome outcome;
    (void)state;
    *shared_pid = 0;
    char *text = run_it(leaves_a_child, LAB_JSON, 0, -1, &outcome);
    assert_int_equal(outcome.n_not_shown, 0);
    assert_true(*shared_pid > 0);
    until_gone(*shared_pid);
    free(text);
}

static void an_interruption_ends_it_without_a_report(void **state)
{
    struct lab_outcome outcome;
    sigset_t set, before;
    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &before);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    raise(SIGINT);
    *shared_pid = 0;
    char *text = run_it(hangs_with_a_child, LAB_JSON, LONG_NS, fd, &outcome);
    struct signalfd_siginfo info;
    assert_int_equal(read(fd, &info, sizeof info), sizeof info);
    close(fd);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(outcome.interrupted);
    assert_string_equal(text, "");
    if (*shared_pid > 0)
        until_gone(*shared_pid);
    free(text);
}

static void gives_up(struct lab *lab)
{
    lab_verdict(lab, "C2", LAB_FALSE, "no");
    lab_give_up(lab, "%s is missing", "it");
}

static void giving_up_says_why(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(gives_up, LAB_MARKDOWN, 0, -1, &outcome);
    (void)state;
    assert_string_equal(text, "| C1 | one thing is so. | not shown here | it is missing | `test` |\n"
                              "| C2 | another is so. | false | no | `test` |\n");
    free(text);
}

static void says_twice(struct lab *lab)
{
    lab_verdict(lab, "C1", LAB_TRUE, "first");
    lab_verdict(lab, "C1", LAB_FALSE, "second");
}

static void a_second_verdict_is_no_verdict(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(says_twice, LAB_JSON, 0, -1, &outcome);
    (void)state;
    assert_non_null(strstr(text, "\"true\",\"evidence\":\"first\""));
    assert_non_null(strstr(text, "not its to give"));
    free(text);
}

/* ---- parties and calls: what is checked in the experiment's process comes back as a verdict */

#define CHECK(lab, what)                                                                                               \
    do {                                                                                                               \
        if (!(what))                                                                                                   \
            lab_give_up(lab, "line %d: %s", __LINE__, #what);                                                          \
    } while (0)

struct reading {
    int fd;
    ssize_t result;
    char data[16];
};

static void *read_it(struct party *party, void *data)
{
    struct reading *reading = data;
    reading->result = party_recv(party, reading->fd, reading->data, sizeof reading->data, 0);
    return reading;
}

/* Of all that have this port: others may have it too, towards others still. */
static bool is_among(struct lab *lab, uint16_t local_port, uint16_t peer_port)
{
    static struct socket_info sockets[256];
    int n = lab_sockets(lab, END_A, local_port, 0, sockets, 256);
    for (int i = 0; i < n && i < 256; i++) {
        if (sockets[i].local.port == local_port && sockets[i].peer.port == peer_port)
            return true;
    }
    return false;
}

static void talks(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct lab_pair pair;
    lab_connected(client, server, &pair);
    CHECK(lab, pair.client_port == lab_local_port(pair.client) && pair.server_port == lab_peer_port(pair.client));
    struct reading reading = {.fd = pair.server};
    lab_watch(client, pair.client);
    CHECK(lab, party_blocked_ns(server) == 0);
    party_start(server, read_it, &reading);
    CHECK(lab, party_until_blocked(server, NS_PER_MS, LONG_NS));
    CHECK(lab, party_send(client, pair.client, "hello", 5, 0) == 5);
    CHECK(lab, party_join(server) == &reading);
    CHECK(lab, reading.result == 5 && memcmp(reading.data, "hello", 5) == 0);
    CHECK(lab, party_blocked_ns(server) == 0);
    lab_note(server, pair.server);
    struct tcp_info info;
    CHECK(lab, lab_tcp_info(pair.client, &info) && tcp_state_of_kernel(info.tcpi_state) == TCP_STATE_ESTABLISHED);
    CHECK(lab, lab_queued_in(pair.server) == 0);
    struct socket_info socket;
    CHECK(lab, lab_socket_of(lab, END_B, pair.server_port, pair.client_port, &socket));
    CHECK(lab, socket.state == TCP_STATE_ESTABLISHED);
    CHECK(lab, lab_sockets(lab, END_A, pair.client_port, pair.server_port, &socket, 1) == 1);
    CHECK(lab, is_among(lab, pair.client_port, pair.server_port));
    CHECK(lab, !lab_listener_of(lab, END_B, pair.server_port, &socket)); /* it was closed */
    CHECK(lab, party_shutdown(client, pair.client, SHUT_WR) == 0);
    CHECK(lab, party_recv(server, pair.server, reading.data, 16, 0) == 0);
    CHECK(lab, party_close(server, pair.server) == 0 && party_close(client, pair.client) == 0);
    CHECK(lab, party_close(client, pair.client) == -EBADF);
    lab_ladder(lab, pair.client_port, "the caption");
    lab_verdict(lab, "C1", LAB_TRUE, "yes");
    lab_verdict(lab, "C2", LAB_TRUE, "yes");
}

static void calls_become_a_ladder(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(talks, LAB_TEXT, 0, -1, &outcome);
    (void)state;
    if (outcome.n_not_shown > 0)
        print_message("%s", text);
    assert_int_equal(outcome.n_not_shown, 0);
    const char *at = strstr(text, "the caption\ntcp 127.0.0.1:");
    assert_non_null(at);
    static const char *const told[] = {"connect(",      "accept(",   "recv(",   "send(",
                                       "= 5 \"hello\"", "shutdown(", "= 0 end", "close("};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (!strstr(at, told[i]))
            print_message("missing: %s in\n%s", told[i], text);
        assert_non_null(strstr(at, told[i]));
    }
    free(text);
}

static void interrupts(struct lab *lab)
{
    struct party *client = lab_party(lab, "client", END_A), *server = lab_party(lab, "server", END_B);
    struct lab_pair pair;
    lab_connected(client, server, &pair);
    struct reading reading = {.fd = pair.server};
    party_interrupt(server); /* not in a call: nothing happens */
    party_start(server, read_it, &reading);
    CHECK(lab, party_until_blocked(server, NS_PER_MS, LONG_NS));
    party_interrupt(server);
    party_join(server);
    CHECK(lab, reading.result == -EINTR);
    party_start(server, read_it, &reading);
    CHECK(lab, party_until_blocked(server, NS_PER_MS, LONG_NS));
    CHECK(lab, party_send(client, pair.client, "x", 1, 0) == 1);
    party_join(server);
    CHECK(lab, reading.result == 1);
    lab_verdict(lab, "C1", LAB_TRUE, "yes");
    lab_verdict(lab, "C2", LAB_TRUE, "yes");
}

static void a_call_can_be_interrupted(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(interrupts, LAB_TEXT, 0, -1, &outcome);
    (void)state;
    if (outcome.n_not_shown > 0)
        print_message("%s", text);
    assert_int_equal(outcome.n_not_shown, 0);
    free(text);
}

static void *give_up_there(struct party *party, void *data)
{
    (void)party;
    lab_give_up(data, "given up by a party");
}

static void gives_up_elsewhere(struct lab *lab)
{
    struct party *party = lab_party(lab, "client", END_A);
    party_start(party, give_up_there, lab);
    party_join(party);
    lab_verdict(lab, "C1", LAB_TRUE, "cannot be");
}

static void a_party_may_give_up(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(gives_up_elsewhere, LAB_TEXT, 0, -1, &outcome);
    (void)state;
    assert_int_equal(outcome.n_not_shown, 2);
    assert_non_null(strstr(text, "given up by a party"));
    free(text);
}

/* The report is read while its own thread would still like to change it. */
static void gives_up_meanwhile(struct lab *lab)
{
    struct party *party = lab_party(lab, "client", END_A);
    party_start(party, give_up_there, lab);
    for (int i = 0;; i++) {
        lab_answer(lab, "%d and a text that is long enough to be freed and given to somebody else", i);
        lab_say(lab, "paragraph %d", i);
    }
}

static void a_party_may_give_up_while_others_go_on(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct lab_outcome outcome;
        char *text = run_it(gives_up_meanwhile, i % 2 ? LAB_TEXT : LAB_MARKDOWN, 0, -1, &outcome);
        assert_int_equal(outcome.n_not_shown, 2);
        assert_non_null(strstr(text, "given up by a party"));
        free(text);
    }
}

static void looks(struct lab *lab)
{
    char text[256];
    CHECK(lab, lab_wire(lab) == NULL && strcmp(lab_address(lab, END_A), "127.0.0.1") == 0);
    CHECK(lab, lab_setting(lab, END_B, "net.ipv4.tcp_retries2") > 0);
    CHECK(lab, lab_setting(lab, END_B, "net.ipv4.no_such") == -1);
    CHECK(lab, lab_setting(lab, END_B, "net.ipv4.tcp_rmem") == -1); /* three numbers */
    CHECK(lab, lab_setting_text(lab, END_B, "net.ipv4.tcp_rmem", text, sizeof text));
    CHECK(lab, strchr(text, ' ') && !strchr(text, '\t') && !strchr(text, '\n'));
    CHECK(lab, !lab_set(lab, END_B, "net.ipv4.tcp_retries2", "3")); /* this machine's own are not touched */
    CHECK(lab, lab_counter(lab, END_A, "ListenOverflows") >= 0);
    CHECK(lab, lab_counter(lab, END_A, "RetransSegs") >= 0);
    CHECK(lab, lab_counter(lab, END_A, "UdpInDatagrams") >= 0);
    CHECK(lab, lab_counter(lab, END_A, "NoSuchCounter") == -1);
    CHECK(lab, strcmp(lab_count_text(1448), "1,448") == 0 && strcmp(lab_time_text(5080000), "5.08 ms") == 0);
    CHECK(lab, !lab_starved(lab, INT64_MAX));
    CHECK(lab, lab_starved(lab, -1) && lab_starved(lab, -1));
    lab_verdict(lab, "C1", LAB_TRUE, "yes");
    lab_verdict(lab, "C2", LAB_TRUE, "yes");
}

static void the_kernel_is_looked_at(void **state)
{
    struct lab_outcome outcome;
    char *text = run_it(looks, LAB_TEXT, 0, -1, &outcome);
    (void)state;
    if (outcome.n_not_shown > 0)
        print_message("%s", text);
    assert_int_equal(outcome.n_not_shown, 0);
    const char *busy = strstr(text, "This machine was busy");
    assert_non_null(busy);
    assert_null(strstr(busy + 1, "This machine was busy")); /* said once */
    free(text);
}

static int prepare(void **state)
{
    (void)state;
    shared_pid = mmap(NULL, sizeof *shared_pid, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared_pid == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_said_is_not_shown),
        cmocka_unit_test(a_crash_is_said),
        cmocka_unit_test(one_that_hangs_is_stopped_with_its_children),
        cmocka_unit_test(children_end_with_it),
        cmocka_unit_test(an_interruption_ends_it_without_a_report),
        cmocka_unit_test(giving_up_says_why),
        cmocka_unit_test(a_second_verdict_is_no_verdict),
        cmocka_unit_test(calls_become_a_ladder),
        cmocka_unit_test(a_call_can_be_interrupted),
        cmocka_unit_test(a_party_may_give_up),
        cmocka_unit_test(a_party_may_give_up_while_others_go_on),
        cmocka_unit_test(the_kernel_is_looked_at),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
