/* SPDX-License-Identifier: MIT */
/* The verb connect: its options, and what they leave to do. */
#include "cli/attach.h"
#include "cli/calls_print.h"
#include "cli/connect_internal.h"
#include "cli/option.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "term/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const peer_eof_choices[] = {"quit", "wait", NULL};
static const char *const each_line_choices[] = {"new", NULL};
static const char *const engine_choices[] = {"auto", "uring", "epoll", NULL};

#define MEMBER(name) offsetof(struct connect_settings, name)

/* clang-format off */
static const struct option_row options[] = {
    {'4', NULL, NULL, OPTION_FLAG, MEMBER(only_ipv4), N_("IPv4 only."), .brief = true},
    {'6', NULL, NULL, OPTION_FLAG, MEMBER(only_ipv6), N_("IPv6 only."), .brief = true},
    {'n', NULL, NULL, OPTION_FLAG, MEMBER(numeric), N_("Numbers only: no name is looked up.")},
    {'s', NULL, "ADDRESS", OPTION_TEXT, MEMBER(source_address), N_("Connect from this local address.")},
    {'p', NULL, "PORT", OPTION_TEXT, MEMBER(source_port), N_("Connect from this local port.")},
    {0, "bind", "ADDRESS[:PORT]", OPTION_TEXT, MEMBER(bind), N_("Both of them.")},
    {'w', NULL, "SECS", OPTION_DURATION, MEMBER(wait_ns),
     N_("Give up when connecting takes so long, or when nothing has come or gone for so long."), .brief = true},
    {0, "retry", "[N]", OPTION_COUNT, MEMBER(n_retries),
     N_("When connecting fails because the peer refuses, cannot be reached or does not answer, try again, N times or "
        "for ever."), .without = LLONG_MAX},
    {'z', NULL, NULL, OPTION_FLAG, MEMBER(scan),
     N_("Only connect: exit with 0 when all the ports that were asked for accept. With -v each one is a line."),
     .brief = true},
    {0, "eof", "wait|close|after:SECS|ignore", OPTION_TEXT, MEMBER(eof),
     N_("At the end of standard input: end this side and wait for the peer's end (the default); or close once "
        "everything is acknowledged; or end this side, wait so long at most, and close; or do nothing and wait for the "
        "peer's end."), .brief = true},
    {'N', NULL, NULL, OPTION_FLAG, MEMBER(half_close), N_("The same as --eof wait.")},
    {'q', NULL, "SECS", OPTION_TEXT, MEMBER(eof),
     N_("At the end of standard input end this side, and quit so long after it; -1 waits. Of -N, -q and --eof the last "
        "one counts.")},
    {0, "peer-eof", NULL, OPTION_CHOICE, MEMBER(peer_eof),
     N_("At the peer's end: send what standard input offers without waiting, and exit (the default); or go on sending "
        "until standard input ends."), peer_eof_choices},
    {'i', NULL, "SECS", OPTION_DURATION, MEMBER(delay_ns), N_("Wait so long between one line sent and the next.")},
    {'C', "crlf", NULL, OPTION_FLAG, MEMBER(crlf),
     N_("Send the line end LF as CR LF, unless a CR stands before it already."), .brief = true},
    {0, "each-line", NULL, OPTION_CHOICE, MEMBER(each_line),
     N_("Make a new connection for each line of standard input: connect, send the line, end, print everything until "
        "the peer's end."), each_line_choices},
    {0, "once", NULL, OPTION_FLAG, MEMBER(once), N_("Exit after the first bytes that are received were printed.")},
    {0, "output", "FILE", OPTION_TEXT, MEMBER(output),
     N_("Write what is received to FILE, as it comes, rather than to standard output.")},
    {0, "hex", NULL, OPTION_FLAG, MEMBER(hex),
     N_("Print both directions as a hex dump: > was sent, < was received."), .brief = true},
    {0, "json", NULL, OPTION_FLAG, MEMBER(json),
     N_("Print JSON Lines: opened, data (with its direction, in or out), closed."), .brief = true},
    {'v', NULL, NULL, OPTION_FLAG, MEMBER(verbose),
     N_("Say on standard error when the connection stands and how it ended, and each address that was tried in vain."),
     .brief = true},
    {.name = "trace",
     .kind = OPTION_FLAG,
     MEMBER(trace),
     .help = N_("draw the ladder of the connection on standard error: calls, segments, states"),
     .brief = true},
    {.name = "trace-json",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(trace_json),
     .help = N_("write the same events into FILE; sonde trace -r FILE draws them")},
    {0, "calls", NULL, OPTION_FLAG, MEMBER(calls),
     N_("Print each call on a socket on standard error, with its result and the time it took."), .brief = true},
    {0, "engine", NULL, OPTION_CHOICE, MEMBER(engine),
     N_("How to wait: io_uring, epoll, or the better one that works here (the default)."), engine_choices},

    {'l', "listen", NULL, OPTION_REFUSED, 0, N_("listening is another verb: sonde serve echo tcp://:7007")},
    {'k', "keep-open", NULL, OPTION_REFUSED, 0,
     N_("going on with the next client is what sonde serve does by itself; --once ends it after one.")},
    {'u', "udp", NULL, OPTION_REFUSED, 0, N_("UDP is coming; for now connect speaks tcp:// and unix:.")},
    {'U', "unixsock", NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect unix:/run/x.sock")},
    {'e', "exec", NULL, OPTION_REFUSED, 0,
     N_("running a program is not built yet. Until then a shell joins the two: coproc, or a named pipe.")},
    {'c', "sh-exec", NULL, OPTION_REFUSED, 0,
     N_("running a command (in other tools: TLS) is not built yet. Use a pipe: command | sonde connect ADDRESS")},
    {0, "ssl", NULL, OPTION_REFUSED, 0, N_("TLS is coming as tls://HOST:PORT; for now connect speaks tcp:// and unix:.")},
    {'x', NULL, NULL, OPTION_REFUSED, 0,
     N_("-x is a proxy in one tool and a hex dump in another: proxies are not built yet, and the dump is --hex.")},
    {'X', NULL, NULL, OPTION_REFUSED, 0, N_("proxies are not built yet: connect goes straight to the address.")},
    {0, "proxy", NULL, OPTION_REFUSED, 0, N_("proxies are not built yet: connect goes straight to the address.")},
    {'P', NULL, NULL, OPTION_REFUSED, 0, N_("proxies are not built yet: connect goes straight to the address.")},
    {'t', "telnet", NULL, OPTION_REFUSED, 0,
     N_("telnet negotiation is not built: bytes go as they are, and --hex shows them.")},
    {'b', NULL, NULL, OPTION_REFUSED, 0, N_("broadcast belongs to UDP, which is coming.")},
    {'d', NULL, NULL, OPTION_REFUSED, 0,
     N_("to read nothing from standard input: sonde connect --eof ignore ADDRESS </dev/null")},
    {'D', NULL, NULL, OPTION_REFUSED, 0, N_("SO_DEBUG does nothing on Linux; --calls shows what happens.")},
    {'I', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?rcvbuf=65536'")},
    {'O', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?sndbuf=65536'")},
    {'T', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?dscp=46'")},
    {'M', NULL, NULL, OPTION_REFUSED, 0, N_("say it in the address: sonde connect 'tcp://HOST:PORT?ttl=8'")},
    {'m', NULL, NULL, OPTION_REFUSED, 0,
     N_("the lowest TTL to accept is not built; the one to send with is in the address: ?ttl=8")},
    {'r', NULL, NULL, OPTION_REFUSED, 0, N_("the kernel chooses local ports at random by itself.")},
    {'S', NULL, NULL, OPTION_REFUSED, 0, N_("TCP MD5 signatures are not built.")},
    {'V', NULL, NULL, OPTION_REFUSED, 0,
     N_("a routing table is chosen with a mark: sonde connect 'tcp://HOST:PORT?mark=1'; the version: sonde --version")},
    {'F', NULL, NULL, OPTION_REFUSED, 0, N_("passing the descriptor on is not built.")},
    {'W', NULL, NULL, OPTION_REFUSED, 0, N_("to end after the first bytes that come: --once")},
    {'Z', NULL, NULL, OPTION_REFUSED, 0, N_("TLS is coming as tls://HOST:PORT; for now connect speaks tcp:// and unix:.")},
    {'o', NULL, NULL, OPTION_REFUSED, 0, N_("to write what is received to a file: --output FILE")},
    {0, "no-shutdown", NULL, OPTION_REFUSED, 0, N_("to leave this side open at the end of standard input: --eof ignore")},
    {0, "send-only", NULL, OPTION_REFUSED, 0,
     N_("to close once everything is sent, whatever the peer says: --eof close")},
    {0, "recv-only", NULL, OPTION_REFUSED, 0,
     N_("to read nothing from standard input: sonde connect --eof ignore ADDRESS </dev/null")},
    {0},
};

static const struct example examples[] = {
    {"printf 'hello\\n' | sonde connect tcp://127.0.0.1:7007", N_("Say something, get everything back.")},
    {"sonde connect --hex 127.0.0.1:7007", N_("Type, and see both directions byte by byte.")},
    {"sonde connect -v -z 127.0.0.1 20-30", N_("Which of these ports answer?")},
    {"sonde connect --retry --once :7007 </dev/null", N_("Wait for a server to come up, print its greeting.")},
    {"sonde connect --calls unix:/run/x.sock", N_("See every call on the socket, with its result.")},
    {NULL, NULL},
};
/* clang-format on */

static bool misuse(int *ret_status)
{
    *ret_status = EXIT_MISUSE;
    return false;
}

/* What goes together and what does not. */
static bool check(struct connect_settings *settings, int *ret_status)
{
    struct eof_rule rule;

    if (!eof_rule_parse(settings->eof, &rule)) {
        char shown[64];
        escape_short(settings->eof, strlen(settings->eof), shown, sizeof shown);
        say(_("\"%s\" is not understood: --eof takes wait, close, after:SECS or ignore, and -q takes seconds."), shown);
        return misuse(ret_status);
    }
    if (settings->hex && settings->json) {
        say(_("--hex and --json show the same thing in two ways: give one of them."));
        return misuse(ret_status);
    }
    if (settings->scan && (settings->hex || settings->once || settings->output != NULL || settings->each_line >= 0)) {
        say(_("-z sends and receives nothing: --hex, --once, --output and --each-line have no meaning with it."));
        return misuse(ret_status);
    }
    return true;
}

/* Found out before anything is connected. The old content stays until a connection stands. */
static bool open_file(const char *name, int *ret_fd, int *ret_status)
{
    *ret_fd = -1;
    if (name == NULL)
        return true;
    *ret_fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (*ret_fd < 0) {
        char shown[256];
        int error = -errno;
        escape_short(name, strlen(name), shown, sizeof shown);
        say(_("%s cannot be opened for writing: %s."), shown, sonde_strerror(error));
        return misuse(ret_status);
    }
    return true;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int run_on_loop(const struct connect_settings *settings, const struct connect_target *target, int file_fd)
{
    const struct sonde_loop_options loop_options = {.size = sizeof loop_options,
                                                    .engine = (enum sonde_engine)settings->engine};
    const int64_t origin_ns = now_ns();
    struct sonde_loop *loop;
    struct attach *attach = NULL;
    struct taps taps = {.n = 0};
    struct sonde_why why;

    if (sonde_loop_create(&loop_options, &loop, &why) < 0)
        return (int)say_why(NULL, &why);
    if (settings->calls)
        calls_print_start(&taps, loop, &origin_ns);
    if (settings->trace || settings->trace_json) {
        const uint16_t port = target->url.port;
        int why_not;
        if (!attach_new(settings->trace, settings->trace_json, true, &attach, &why_not)) {
            sonde_loop_destroy(loop);
            return why_not;
        }
        attach_tap(attach, &taps, loop);
        attach_begin(attach, &target->url, &port, 1);
    }
    int status =
        settings->scan ? connect_scan(loop, settings, target) : connect_run(loop, &taps, settings, target, file_fd);
    /* -EBUSY after SIGINT, while a name is still being looked up: the process ends anyway. */
    sonde_loop_destroy(loop);
    attach_end(attach);
    return status;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct connect_settings settings = {.each_line = -1};
    struct connect_target target;
    int n_operands, status, file_fd;
    /* Parsing moves the operands to the front, over options. */
    char **given = calloc((size_t)argc + 1, sizeof *given);

    if (given == NULL)
        return EXIT_NETWORK;
    memcpy(given, argv, (size_t)argc * sizeof *given);
    int parsed = option_parse(verb, &settings, argc, argv, &n_operands);
    if (parsed == 0 && settings.half_close && half_close_is_last(argc, given, settings.eof))
        settings.eof = NULL;
    free(given);
    if (parsed != 0)
        return parsed - 1;

    if (!check(&settings, &status) || !connect_target_make(&settings, n_operands, argv + 1, &target, &status) ||
        !open_file(settings.output, &file_fd, &status))
        return status;
    return run_on_loop(&settings, &target, file_fd);
}

const struct verb connect_verb = {
    .name = "connect",
    .summary = N_("Connect, send standard input, print what comes back."),
    .usage = "[OPTION...] URL | HOST PORT | -z HOST PORT[-PORT]",
    .options = options,
    .examples = examples,
    .more = N_("A connection has two directions that end apart. When standard input ends, this side is ended "
               "(half-close), and the peer's answer is waited for: see --eof. When the peer ends its side, what "
               "standard input still offers without waiting is sent, and the command exits: see --peer-eof.\n"
               "\n"
               "Exit status 0 means that the peer ended its data in order, and that its kernel has acknowledged every "
               "byte that was sent; with -q, --eof close, --eof after: and --once, that the command ended as it was "
               "told to. 1: refused, unreachable, reset, timed out. 2: misuse. 130: interrupted."),
    .run = run,
};
