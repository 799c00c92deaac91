/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/option.h"
#include "cli/serve/report.h"
#include "service/exec_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the environment ------------------------------------------------------------------------------------------------
 */

static const char *find(char *const *environment, const char *name)
{
    size_t n = strlen(name);

    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}

static size_t count(char *const *environment)
{
    size_t n = 0;

    while (environment[n] != NULL)
        n++;
    return n;
}

static void tcp(void **state)
{
    const struct sonde_address peer = {.family = AF_INET, .port = 40488, .u.ip = {192, 0, 2, 1}};
    const struct sonde_address local = {.family = AF_INET6, .port = 7, .u.ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    const char *const base[] = {"HOME=/root", "PROTO=old", "TCPREMOTEINFO=old", "PROTOCOL=kept", "LISTEN_FDS=1",
                                "odd",        NULL};

    (void)state;
    char **made = exec_environment((char *const *)base, &peer, &local);
    assert_non_null(made);
    assert_string_equal(find(made, "HOME"), "/root");
    assert_string_equal(find(made, "PROTOCOL"), "kept");
    assert_string_equal(find(made, "PROTO"), "TCP");
    assert_string_equal(find(made, "TCPREMOTEIP"), "192.0.2.1");
    assert_string_equal(find(made, "TCPREMOTEPORT"), "40488");
    assert_string_equal(find(made, "TCPLOCALIP"), "2001:db8::1");
    assert_string_equal(find(made, "TCPLOCALPORT"), "7");
    assert_string_equal(find(made, "SONDE_PEER"), "192.0.2.1:40488");
    assert_null(find(made, "TCPREMOTEINFO"));
    assert_null(find(made, "LISTEN_FDS"));
    assert_int_equal(count(made), 3 + 6);
    free(made);
}

static void unix_peer(void **state)
{
    const struct sonde_address peer = {.family = AF_UNIX, .u.peer = {.pid = 4121, .uid = 1000}};
    const char *const base[] = {"TCPREMOTEIP=of somebody else", "TCPLOCALPORT=1", NULL};

    (void)state;
    char **made = exec_environment((char *const *)base, &peer, &peer);
    assert_non_null(made);
    assert_string_equal(find(made, "PROTO"), "UNIX");
    assert_string_equal(find(made, "SONDE_PEER"), "pid 4121 (uid 1000)");
    assert_int_equal(count(made), 2);
    free(made);
}

/* --- starting
 * ------------------------------------------------------------------------------------------------------------ */

static size_t n_descriptors(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void what_cannot_be_started_leaves_nothing(void **state)
{
    const char *const argv[] = {"nosuch", NULL};
    char *environment[] = {NULL};
    struct started started = {.pid = -5};
    const char *call = NULL;
    size_t before = n_descriptors();

    (void)state;
    for (int pty = 0; pty < 2; pty++) {
        const struct service_program program = {.path = "/no/such/program", .argv = (char *const *)argv, .pty = pty};
        assert_int_equal(exec_start(&program, environment, &started, &call), -ENOENT);
        assert_string_equal(call, "exec");
        assert_int_equal(started.pid, -5);
        assert_int_equal(n_descriptors(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
}

static void our_ends_do_not_block_and_are_not_inherited(void **state)
{
    const char *const argv[] = {"cat", NULL};
    char *environment[] = {NULL};
    const struct service_program program = {.path = "/bin/cat", .argv = (char *const *)argv};
    struct started started;
    const char *call;
    int status;

    (void)state;
    assert_int_equal(exec_start(&program, environment, &started, &call), 0);
    const int ours[] = {started.in, started.out, started.err};
    for (int i = 0; i < 3; i++) {
        assert_true(fcntl(ours[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(ours[i], F_GETFD) & FD_CLOEXEC);
    }
    assert_true(fcntl(started.pidfd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsid(started.pid), started.pid);
    for (int i = 0; i < 3; i++)
        close(ours[i]);
    assert_int_equal(waitpid(started.pid, &status, 0), started.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(started.pidfd);
}

/* --- what is told
 * -------------------------------------------------------------------------------------------------------- */

static void check_outcome(struct service_outcome outcome, const char *text, const char *json)
{
    char room[SERVE_ROOM(0)];
    struct serve_event event = {
        .happening = SERVE_CLOSED,
        .view = {.number = 2, .local = "l", .peer = "p", .reason = SERVE_SERVED, .outcome = &outcome},
    };
    char expected[256];

    room[serve_render_text(&event, room, sizeof room)] = '\0';
    snprintf(expected, sizeof expected, "closed 2 l <- p served, %s, 0 bytes in, 0 out, 0.000000 s\n", text);
    assert_string_equal(room, expected);
    room[serve_render_json(&event, room, sizeof room)] = '\0';
    assert_non_null(strstr(room, json));
    event.happening = SERVE_ENDED;
    room[serve_render_text(&event, room, sizeof room)] = '\0';
    snprintf(expected, sizeof expected, "ended 2 %s\n", text);
    assert_string_equal(room, expected);
    room[serve_render_json(&event, room, sizeof room)] = '\0';
    assert_non_null(strstr(room, "\"event\":\"ended\""));
    assert_non_null(strstr(room, json));
}

static void outcomes(void **state)
{
    (void)state;
    check_outcome((struct service_outcome){SERVICE_EXITED, 3, 0}, "exit 3", "\"exit\":3,\"unread\":0");
    check_outcome((struct service_outcome){SERVICE_SIGNALED, 9, 0}, "signal 9", "\"signal\":9,\"unread\":0");
    check_outcome((struct service_outcome){SERVICE_EXITED, 0, 5000000000}, "exit 0, 5000000000 not read",
                  "\"exit\":0,\"unread\":5000000000");
    check_outcome((struct service_outcome){SERVICE_RUNNING, 0, 0}, "still running", "\"running\":true");
    check_outcome((struct service_outcome){SERVICE_NOT_STARTED, 0, 0}, "not started", "\"running\":false");
}

/* --- the words behind "--"
 * --------------------------------------------------------------------------------------------- */

struct settings {
    bool quiet;
    const char *file;
};

static const struct option_row rows[] = {
    {.letter = 'q', .kind = OPTION_FLAG, .member = offsetof(struct settings, quiet), .help = "be quiet"},
    {.name = "file",
     .value = "F",
     .kind = OPTION_TEXT,
     .member = offsetof(struct settings, file),
     .help = "from a file"},
    {.kind = OPTION_FLAG},
};

/* Parse words separated by blanks; `operands` and how many of them stood behind "--" must come out. */
static void check_behind(const char *command, const char *operands, int n_behind)
{
    static const struct example no_examples[] = {{NULL, NULL}};
    const struct verb verb = {.name = "test", .options = rows, .examples = no_examples};
    struct settings settings = {.quiet = false};
    char words[256], got[256] = "", *argv[32];
    int argc = 0, n_operands = -1, n = -1;

    snprintf(words, sizeof words, "test %s", command);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    assert_int_equal(option_parse_behind(&verb, &settings, argc, argv, &n_operands, &n), 0);
    for (int i = 0; i < n_operands; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i > 0 ? " " : "", argv[1 + i]);
    assert_string_equal(got, operands);
    assert_int_equal(n, n_behind);
    assert_null(argv[1 + n_operands]);
}

static void words_behind_the_dashes(void **state)
{
    (void)state;
    check_behind("exec -- cat -q", "exec cat -q", 2);
    check_behind("exec :0 -q -- cat -- --file", "exec :0 cat -- --file", 3);
    check_behind("exec -q :0 cat", "exec :0 cat", 0);
    check_behind("exec --", "exec", 0);
    check_behind("-- exec cat", "exec cat", 2);
    check_behind("exec --file -- cat", "exec cat", 0); /* a value, and not the end of the options */
    check_behind("exec cat --file --", "exec cat", 0);
    check_behind("exec --file -- -- cat", "exec cat", 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp),
        cmocka_unit_test(unix_peer),
        cmocka_unit_test(what_cannot_be_started_leaves_nothing),
        cmocka_unit_test(our_ends_do_not_block_and_are_not_inherited),
        cmocka_unit_test(outcomes),
        cmocka_unit_test(words_behind_the_dashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
