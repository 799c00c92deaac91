/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAID_MAX 16384

static char said[SAID_MAX];
static int saved, file;

static void listen_in(void)
{
    saved = dup(STDERR_FILENO);
    file = memfd_create("said", MFD_CLOEXEC);
    assert_true(saved >= 0 && file >= 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
}

static void listen_out(void)
{
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    close(saved);
    close(file);
}

static enum exit_status why(const char *url, int error, const char *call, const char *subject, const char *detail)
{
    struct sonde_why reason = {.code = -error, .call = call};
    snprintf(reason.subject, sizeof reason.subject, "%s", subject);
    snprintf(reason.detail, sizeof reason.detail, "%s", detail);
    listen_in();
    enum exit_status status = say_why(url, &reason);
    listen_out();
    return status;
}

static void check(const char *expected)
{
    assert_string_equal(said, expected);
}

static void check_begins(const char *expected)
{
    said[strlen(expected)] = '\0';
    assert_string_equal(said, expected);
}

static void one_line(void **state)
{
    (void)state;
    listen_in();
    say("%s and %d", "this", 4);
    listen_out();
    check("sonde: this and 4\n");
}

static void nothing_raw(void **state)
{
    (void)state;
    listen_in();
    say("a name: %s", "x\x1b[2J\xe2\x80\xae\xff");
    listen_out();
    check("sonde: a name: x\\x1b[2J\\u{202e}\\xff\n");
    assert_int_equal(why("tcp://\x1b[2J:1", ECONNREFUSED, "connect", "\x9b", ""), EXIT_NETWORK);
    check_begins("sonde: tcp://\\x1b[2J:1 (\\x9b) refused the connection: nothing listens there.");
}

static void longest(void **state)
{
    (void)state;
    static char text[SAID_MAX];
    memset(text, '\x01', sizeof text - 1);
    listen_in();
    say("%s", text);
    listen_out();
    size_t n = strlen(said);
    assert_true(n > 8000 && n < SAID_MAX - 1);
    assert_int_equal(said[n - 1], '\n');
    assert_int_equal(why(text, ECONNREFUSED, "connect", text, text), EXIT_NETWORK);
    assert_int_equal(said[strlen(said) - 1], '\n');
}

/* A standard error that cannot be written to is no reason to die or to loop. */
static void nobody_listens(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    close(pipe_fds[0]);
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
    errno = ENOTTY;
    say("to nobody");
    int error = errno;
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(error, ENOTTY);
    close(saved);
    close(pipe_fds[1]);
}

static void connecting(void **state)
{
    (void)state;
    const char *url = "tcp://127.0.0.1:1";
    assert_int_equal(why(url, ECONNREFUSED, "connect", "127.0.0.1:1", ""), EXIT_NETWORK);
    check_begins("sonde: tcp://127.0.0.1:1 refused the connection: nothing listens there. ");
    why(":7007", ECONNREFUSED, "connect", "127.0.0.1:7007", "");
    check_begins("sonde: :7007 (127.0.0.1:7007) refused the connection: ");
    why(url, ETIMEDOUT, "connect", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 did not answer: connecting timed out. ");
    why("tcp://a.example:1", ETIMEDOUT, "getaddrinfo", "", "");
    check_begins("sonde: tcp://a.example:1: looking up its name timed out. ");
    why(url, ETIMEDOUT, "recv", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 no longer answers: the connection timed out. ");
    why(url, EHOSTUNREACH, "connect", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 is unreachable: no route leads to that host");
    why(url, ENETUNREACH, "connect", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 is unreachable: this machine has no route to that network.");
    why(url, ECONNRESET, "recv", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 reset the connection: ");
    why(url, EADDRNOTAVAIL, "connect", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 cannot be connected to from here: this machine has no local address");
    why(url, EPROTONOSUPPORT, "socket", "127.0.0.1:1", "");
    check_begins("sonde: tcp://127.0.0.1:1 cannot be used: this kernel does not have that protocol");
    why(url, EINVAL, "connect", "127.0.0.1", "port 0 can't be connected to");
    check("sonde: tcp://127.0.0.1:1 cannot be used: port 0 can't be connected to.\n");
    why(url, ECONNREFUSED, "connect", "127.0.0.1:1", "two addresses were tried");
    assert_non_null(strstr(said, " (two addresses were tried)\n"));
}

static void listening(void **state)
{
    (void)state;
    const char *url = "tcp://127.0.0.1:80";
    why(url, EADDRINUSE, "bind", "127.0.0.1:80", "");
    check_begins("sonde: tcp://127.0.0.1:80 is in use: another socket has this address and port. Give another port ");
    why(url, EADDRNOTAVAIL, "bind", "127.0.0.1:80", "");
    check_begins("sonde: tcp://127.0.0.1:80 cannot be used here: no interface of this machine has this address.");
    /* A port no setting makes free. */
    why("tcp://127.0.0.1:0", EACCES, "bind", "127.0.0.1:0", "");
    check_begins("sonde: tcp://127.0.0.1:0 needs a privilege: on this machine ports below ");
    why("tcp://127.0.0.1:65535", EACCES, "bind", "127.0.0.1:65535", "");
    check("sonde: tcp://127.0.0.1:65535 may not be used: permission denied.\n");
    why(url, EMFILE, "socket", "127.0.0.1:80", "");
    check_begins("sonde: tcp://127.0.0.1:80 cannot be used: too many open files; this process may have ");
}

static void local_addresses(void **state)
{
    (void)state;
    const char *url = "tcp://127.0.0.1:80?bind=8.8.8.8:5";
    why(url, EADDRNOTAVAIL, "bind", "8.8.8.8:5", "");
    check_begins(
        "sonde: tcp://127.0.0.1:80?bind=8.8.8.8:5 (8.8.8.8:5) cannot be connected to from that local address: ");
    why(url, EADDRINUSE, "bind", "8.8.8.8:5", "");
    check_begins("sonde: tcp://127.0.0.1:80?bind=8.8.8.8:5 (8.8.8.8:5) cannot be connected to from that local address "
                 "and port: they are in use.");
    why(url, EACCES, "bind", "8.8.8.8:5", "");
    check_begins("sonde: tcp://127.0.0.1:80?bind=8.8.8.8:5 (8.8.8.8:5) needs a privilege: ");
}

static void unix_sockets(void **state)
{
    (void)state;
    const char *url = "unix:/run/x.sock", *pid = "pid ? (uid 0)";
    why(url, ENOENT, "connect", "/run/x.sock", "");
    check_begins("sonde: unix:/run/x.sock is not there: ");
    why(url, ECONNREFUSED, "connect", pid, "");
    check_begins("sonde: unix:/run/x.sock refused the connection: nothing listens there. Its server has ended");
    why(url, EACCES, "connect", pid, "");
    check_begins("sonde: unix:/run/x.sock cannot be connected to: you may not write to that socket");
    why(url, EADDRINUSE, "bind", pid, "");
    check_begins("sonde: unix:/run/x.sock is in use: a server answers there already");
    why(url, EACCES, "bind", pid, "");
    check_begins("sonde: unix:/run/x.sock cannot be made: you may not write to that folder.");
    why(url, ENOENT, "bind", pid, "");
    check_begins("sonde: unix:/run/x.sock cannot be made: its folder is not there.");
    why(url, EAGAIN, "connect", pid, "");
    check_begins("sonde: unix:/run/x.sock has no room: its accept queue is full");
}

static void options(void **state)
{
    (void)state;
    const char *url = "tcp://127.0.0.1:1?cc=x";
    assert_int_equal(why(url, ENOENT, "setsockopt", "cc=x", "this kernel has no such thing"), EXIT_NETWORK);
    check("sonde: tcp://127.0.0.1:1?cc=x: the kernel refused the option cc=x: this kernel has no such thing.\n");
    why(url, EINVAL, "setsockopt", "cc=x", "");
    check_begins("sonde: tcp://127.0.0.1:1?cc=x: the kernel refused the option cc=x: invalid argument. ");
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(why("nosuch:80", SONDE_ENAME, "getaddrinfo", "nosuch", ""), EXIT_NETWORK);
    check_begins("sonde: nosuch:80: the name nosuch does not resolve to an address. ");
    assert_int_equal(why("nosuch:80", SONDE_ENAMELATER, "getaddrinfo", "nosuch", ""), EXIT_NETWORK);
    check_begins("sonde: nosuch:80: no name server answered for the name nosuch. ");
    why("nosuch:80", SONDE_ENAME, "getaddrinfo", "nosuch", "a numeric address was asked for");
    check_begins("sonde: nosuch:80: the name nosuch does not resolve: a numeric address was asked for. ");
}

static void what_is_not_understood(void **state)
{
    (void)state;
    assert_int_equal(why("tcp://a:99999", SONDE_EURL, "parse", "tcp://a:99999", "a hint"), EXIT_MISUSE);
    check("sonde: tcp://a:99999 is not understood as an address: a hint.\n");
    assert_int_equal(why("tcp://a:99999", SONDE_EURL, "parse", "99999", "a hint"), EXIT_MISUSE);
    check("sonde: tcp://a:99999 is not understood as an address, because of \"99999\": a hint.\n");
    assert_int_equal(why("", SONDE_EURL, "parse", "", ""), EXIT_MISUSE);
    assert_int_equal(why(":1?nodlay=1", SONDE_EOPTION, "parse", "nodlay=1", "did you mean nodelay?"), EXIT_MISUSE);
    check("sonde: :1?nodlay=1: the option \"nodlay=1\" is not understood; did you mean nodelay?\n");
    assert_int_equal(why(":1?ttl=0", SONDE_EOPTION, "parse", "ttl=0", "ttl takes 1 to 255"), EXIT_MISUSE);
    check("sonde: :1?ttl=0: the option \"ttl=0\" is not understood: ttl takes 1 to 255.\n");
    assert_int_equal(why("udp://a:1", SONDE_ESCHEME, "parse", "udp", ""), EXIT_MISUSE);
    check_begins("sonde: udp://a:1: this kind of address is not built yet.");
}

static void engines(void **state)
{
    (void)state;
    assert_int_equal(why(NULL, EPERM, "io_uring_setup", "uring", "kernel.io_uring_disabled is 2"), EXIT_NETWORK);
    check("sonde: this engine is not available here: io_uring_setup failed: operation not permitted "
          "(kernel.io_uring_disabled is 2). Leave out --engine, and sonde takes one that works.\n");
    assert_int_equal(why(NULL, SONDE_EENGINE, "engine", "", ""), EXIT_NETWORK);
    check_begins("sonde: this engine is not available here: ");
}

/* Whatever fails, wherever: one line that names the address, and holds nothing unfinished. */
static void every_error(void **state)
{
    (void)state;
    static const char *const calls[] = {"socket", "setsockopt", "bind",        "listen", "accept", "connect",
                                        "send",   "recv",       "getaddrinfo", "parse",  "malloc", "shutdown"};
    static const char *const urls[] = {"tcp://127.0.0.1:7007", "unix:/run/x.sock", "tcp://a.example:1?bind=:5"};
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        for (size_t u = 0; u < sizeof urls / sizeof urls[0]; u++) {
            for (int error = 1; error < 140; error++) {
                assert_int_equal(why(urls[u], error, calls[c], "", ""), EXIT_NETWORK);
                size_t n = strlen(said);
                assert_int_equal(strncmp(said, "sonde: ", 7), 0);
                assert_int_equal(strcspn(said, "\n"), n - 1);
                assert_non_null(strstr(said, urls[u]));
                assert_null(strstr(said, "%"));
                assert_null(strstr(said, "(null)"));
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line),
        cmocka_unit_test(nothing_raw),
        cmocka_unit_test(longest),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(connecting),
        cmocka_unit_test(listening),
        cmocka_unit_test(local_addresses),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(options),
        cmocka_unit_test(names),
        cmocka_unit_test(what_is_not_understood),
        cmocka_unit_test(engines),
        cmocka_unit_test(every_error),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
