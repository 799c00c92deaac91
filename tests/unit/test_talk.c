/* SPDX-License-Identifier: MIT */
/* talk on sockets, with a host of our own: no terminal, no standard input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/talk_parts.h"
#include "talk_scene.h"

static void all_and_one(struct host *host)
{
    assert_false(host->wanted);
    line(host, "nobody");
    line(host, "@1 nobody");
    assert_true(has(host, "tell 0 nobody is connected: not sent."));
    assert_true(has(host, "tell 0 there is no client 1"));
    int one = client(host, 0), two = client(host, 0);
    assert_true(host->wanted);
    line(host, "hello");
    line(host, "@2 you");
    line(host, "//slash");
    line(host, "@1");
    client_hears(host, one, "hello\n/slash\n\n");
    client_hears(host, two, "hello\nyou\n/slash\n");
    assert_true(has(host, "spoken 0 2 6\nspoken 2 1 4\nspoken 0 2 7\nspoken 1 1 1\n"));
    close(one);
    until(host, host->n_streams == 1);
    line(host, "@1 gone");
    assert_true(has(host, "tell 0 there is no client 1"));
    line(host, "still there?");
    client_hears(host, two, "still there?\n");
    close(two);
}

static void lines_of_clients(struct host *host)
{
    static char long_line[3 * 4096];
    int one = client(host, 0), two = client(host, 0);

    client_says(one, "a\nb\r\n\nc", 7);
    until(host, has(host, "said 1 2 a\nsaid 1 2 b\nsaid 1 1 \n"));
    client_says(two, "other\n", 6);
    until(host, has(host, "said 2 6 other\n"));
    assert_false(has(host, "said 1 1 c"));
    client_says(one, "d\n", 2);
    until(host, has(host, "said 1 3 cd\n"));
    /* Without its end: after a while. */
    client_says(one, "login: ", 7);
    until(host, jump(100 * MILLISECOND) && has(host, "said 1 7 login: ...\n"));
    /* Then its end alone is not worth a line, but what follows is. */
    client_says(one, "\r\nx\n", 4);
    until(host, has(host, "said 1 2 x\n"));
    assert_true(has(host, "said 1 7 login: ...\nsaid 1 2 x\n"));
    /* Long without an end, and no character is cut in two. */
    memset(long_line, 'y', sizeof(long_line));
    memcpy(long_line + 4095, "\xe4\xb8\xad", 3);
    client_says(one, long_line, sizeof(long_line));
    until(host, has(host, "said 1 4095 yyyy"));
    until(host, has(host, "said 1 4096 \xe4\xb8\xadyyy"));
    until(host, has(host, "said 1 4096 yyy"));
    close(one);
    until(host, has(host, "said 1 1 y...\n"));
    close(two);
}

static void hostile_lines(struct host *host)
{
    int one = client(host, 0);

    client_says(one, "\0\0\n\x80\x80\x80\x80\n", 8);
    until(host, has(host, "said 1 5 "));
    close(one);
}

static void commands(struct host *host)
{
    int one = client(host, 0), two = client(host, 0);

    client_says(one, "12345\n", 6);
    until(host, has(host, "said 1 6"));
    line(host, "/who");
    assert_true(has(host, "[1] name1 since "));
    assert_true(has(host, ", 6 bytes received, 0 sent, 0 waiting\n"));
    assert_true(has(host, "[2] name2 since "));
    line(host, "/help");
    assert_true(has(host, "256 KiB"));
    line(host, "/nonsense \033[2J");
    assert_true(has(host, "tell 0 /nonsense is not a command"));
    line(host, "/no\033[2J");
    assert_true(has(host, "tell 0 /no\\x1b[2J is not a command"));
    line(host, "/kick");
    assert_true(has(host, "tell 0 /kick whom?"));
    line(host, "/who now");
    assert_true(has(host, "tell 0 /who takes nothing"));
    line(host, "/kick 3");
    assert_true(has(host, "tell 0 there is no client 3"));
    line(host, "@2 bye");
    line(host, "/kick 2");
    assert_true(has(host, "done 2 kicked"));
    line(host, "/kick 2");
    assert_true(has(host, "tell 0 there is no client 2"));
    line(host, "to one");
    assert_true(has(host, "spoken 0 1 7"));
    client_hears(host, two, "bye\n");
    until(host, at_end(two));
    client_says(two, "not heard\n", 10);
    close(two);
    until(host, host->n_streams == 1);
    assert_false(has(host, "not heard"));
    assert_int_equal(host->n_quits, 0);
    line(host, "/quit");
    assert_int_equal(host->n_quits, 1);
    close(one);
}

static void the_operator_ends(struct host *host)
{
    int one = client(host, 0), two = client(host, 0);

    line(host, "last words");
    host->run.service->lines_end(&host->run);
    assert_false(host->wanted);
    client_hears(host, one, "last words\n");
    until(host, at_end(one));
    client_hears(host, two, "last words\n");
    until(host, at_end(two));
    client_says(one, "but I\n", 6);
    until(host, has(host, "said 1 6 but I"));
    shutdown(one, SHUT_WR);
    until(host, has(host, "done 1 answered"));
    until(host, host->n_streams == 1);
    assert_int_equal(host->n_quits, 0);
    /* Who comes now is given the end at once. */
    int three = client(host, 0);
    until(host, at_end(three));
    client_says(three, "me too\n", 7);
    until(host, has(host, "me too"));
    close(three);
    shutdown(two, SHUT_WR);
    until(host, host->n_streams == 0);
    assert_int_equal(host->n_quits, 1);
    assert_int_equal(host->n_lost, 0);
    close(one);
    close(two);
}

static void it_ends_before_anybody_comes(struct host *host)
{
    host->run.service->lines_end(&host->run);
    assert_int_equal(host->n_quits, 0);
    int one = client(host, 0);
    assert_false(host->wanted);
    until(host, at_end(one));
    client_says(one, "hello", 5);
    shutdown(one, SHUT_WR);
    until(host, has(host, "said 1 5 hello..."));
    until(host, host->n_quits == 1);
    close(one);
}

/* A client's end is its leaving; what was said to it before reaches it all the same. */
static void a_client_ends(struct host *host)
{
    static char text[1001];
    int one = client(host, 4096), two = client(host, 0);
    size_t n_heard = 0;
    unsigned n_lines = 0;

    memset(text, 'x', sizeof(text) - 1);
    /* So much that some of it waits. */
    for (struct sonde_stream *first = sonde_stream_next(host->loop, NULL);
         sonde_stream_queued_bytes(first) < TALK_QUEUE_BYTES / 2; n_lines++) {
        line(host, "@1 ");
        host->run.service->line(&host->run, text, sizeof(text) - 1);
        turn(host);
    }
    client_says(one, "bye", 3);
    shutdown(one, SHUT_WR);
    until(host, has(host, "said 1 3 bye...\n"));
    line(host, "@1 x");
    assert_true(has(host, "tell 1 has left: not sent."));
    line(host, "/who");
    assert_true(has(host, " waiting, has left\n"));
    line(host, "last");
    assert_true(has(host, "spoken 0 1 5\n"));
    for (ssize_t got = -1; got != 0; turn(host)) {
        char bytes[65536];
        got = recv(one, bytes, sizeof(bytes), 0);
        n_heard += got > 0 ? (size_t)got : 0;
        assert_true(got >= 0 || errno == EAGAIN);
    }
    assert_int_equal(n_heard, n_lines * (1 + sizeof(text)));
    until(host, host->n_streams == 1);
    assert_true(has(host, "done 1 answered"));
    assert_int_equal(host->n_lost, 0);
    close(one);
    close(two);
}

static void many_come_and_go(struct host *host)
{
    enum { MANY = 60 };
    int fds[MANY];

    for (int i = 0; i < MANY; i++)
        fds[i] = client(host, 0);
    line(host, "hello");
    for (int i = 0; i < MANY; i += 2) {
        client_hears(host, fds[i], "hello\n");
        close(fds[i]);
    }
    until(host, host->n_streams == MANY / 2);
    line(host, "is anybody there?");
    for (int i = 1; i < MANY; i += 2) {
        client_hears(host, fds[i], "hello\nis anybody there?\n");
        close(fds[i]);
    }
}

EACH(all_and_one)
EACH(lines_of_clients)
EACH(hostile_lines)
EACH(commands)
EACH(the_operator_ends)
EACH(it_ends_before_anybody_comes)
EACH(a_client_ends)
EACH(many_come_and_go)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_and_one_on_each),       cmocka_unit_test(lines_of_clients_on_each),
        cmocka_unit_test(hostile_lines_on_each),     cmocka_unit_test(commands_on_each),
        cmocka_unit_test(the_operator_ends_on_each), cmocka_unit_test(it_ends_before_anybody_comes_on_each),
        cmocka_unit_test(a_client_ends_on_each),     cmocka_unit_test(many_come_and_go_on_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
