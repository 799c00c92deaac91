/* SPDX-License-Identifier: MIT */
/* The verb connect: what its options mean together, and what they leave to do. */
#include "cli/attach.h"
#include "cli/calls_print.h"
#include "cli/connect/connect_internal.h"
#include "cli/say.h"
#include "cli/taps.h"
#include "cli/verbs.h"
#include "term/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool connect_misuse(int *ret_status)
{
    *ret_status = EXIT_MISUSE;
    return false;
}

bool connect_say_first(const struct contradiction *rows, size_t n, int *ret_status)
{
    for (size_t i = 0; i < n; i++) {
        if (!rows[i].given)
            continue;
        say("%s", _(rows[i].sentence));
        return connect_misuse(ret_status);
    }
    return true;
}

static bool check_sending(const struct connect_settings *settings, int *ret_status)
{
    bool sends = settings->send.n > 0, repeats = settings->n_rounds >= 0, spaced = settings->every_ns > 0;
    bool each_line = settings->each_line >= 0, expects = settings->expect != NULL;
    const struct contradiction rows[] = {
        {!sends && (repeats || spaced), N_("--repeat and --every are about what --send says: sonde connect --send TEXT "
                                           "--repeat 3 --every 1s ADDRESS")},
        {spaced && !repeats && settings->send.n == 1,
         N_("--every has nothing to wait between: give --repeat, or more than one --send.")},
        {sends && each_line, N_("--each-line takes the lines of standard input, and --send is sent instead of it.")},
        {settings->within_ns > 0 && !expects, N_("--within is the time that --expect has: say what is expected.")},
        {expects && each_line, N_("--expect is for one connection, and --each-line makes many.")},
        {expects && settings->verify_echo,
         N_("--expect and --verify-echo judge what comes in two ways: give one of them.")},
        {settings->verify_echo && each_line, N_("--verify-echo is for one connection, and --each-line makes many.")},
        {settings->verify_echo && settings->once,
         N_("--once ends before all has come back that --verify-echo waits for: give one of them.")},
    };

    return connect_say_first(rows, sizeof rows / sizeof rows[0], ret_status);
}

static bool check_listening(const struct connect_settings *settings, int *ret_status)
{
    bool listens = settings->listen;
    const struct contradiction rows[] = {
        {settings->keep_open && !listens, N_("-k takes the next client when one has gone, which needs -l.")},
        {listens && settings->scan, N_("-z connects, and -l waits for others to do so: give one of them.")},
        {listens && settings->proxy.n > 0, N_("--proxy is for connecting: with -l it has no meaning.")},
        {listens && settings->n_retries > 0, N_("--retry is for connecting: with -l it has no meaning.")},
        {listens && settings->bind != NULL,
         N_("--bind is for connecting: with -l the address itself says where, as in sonde connect -l 127.0.0.1 5188")},
        {listens && settings->each_line >= 0, N_("--each-line makes connections, and -l waits for them.")},
    };

    return connect_say_first(rows, sizeof rows / sizeof rows[0], ret_status);
}

static bool check_frame(const struct connect_settings *settings, enum transport transport, int *ret_status)
{
    bool frames = settings->frame != NULL;
    const struct contradiction rows[] = {
        {settings->frame_max > 0 && !frames, N_("--frame-max is the longest message of --frame: say what it is.")},
        {frames && settings->scan, N_("-z sends and receives nothing: --frame has no meaning with it.")},
        {frames && settings->crlf,
         N_("-C is about the ends of lines, which --frame does not send: --frame crlf ends each "
            "message with CR LF.")},
        {frames && settings->verify_echo && transport == TRANSPORT_BYTES,
         N_("--verify-echo compares bytes, and --frame makes messages of them: give one of them.")},
    };

    return connect_say_first(rows, sizeof rows / sizeof rows[0], ret_status);
}

/* What goes together and what does not. */
static bool check(struct connect_settings *settings, int *ret_status)
{
    struct eof_rule rule;

    if (!eof_rule_parse(settings->eof, &rule)) {
        char shown[64];
        escape_short(settings->eof, strlen(settings->eof), shown, sizeof shown);
        say(_("\"%s\" is not understood: --eof takes wait, close, after:SECS or ignore, and -q takes seconds."), shown);
        return connect_misuse(ret_status);
    }
    const struct contradiction rows[] = {
        {settings->hex && settings->json, N_("--hex and --json show the same thing in two ways: give one of them.")},
        {settings->scan && (settings->hex || settings->once || settings->output != NULL || settings->each_line >= 0),
         N_("-z sends and receives nothing: --hex, --once, --output and --each-line have no meaning with it.")},
        {settings->scan && (settings->send.n > 0 || settings->expect != NULL || settings->verify_echo),
         N_("-z sends and receives nothing: --send, --expect and --verify-echo have no meaning with it.")},
        {settings->scan && settings->page.url != NULL,
         N_("-z leaves at once: there is nothing that a page could show.")},
        {settings->verify_echo && settings->page.url != NULL && !settings->page.read_only,
         N_("--verify-echo judges what comes back, and what is sent from a page would come back too: give "
            "--page-read-only as well.")},
        {settings->scan && settings->proxy.n > 0, N_("-z asks the ports themselves, and not through a proxy.")},
    };
    if (!page_options_check(&settings->page))
        return connect_misuse(ret_status);
    return connect_say_first(rows, sizeof rows / sizeof rows[0], ret_status) && check_listening(settings, ret_status) &&
           check_sending(settings, ret_status);
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
        return connect_misuse(ret_status);
    }
    return true;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* The trace has to know what to look at before anything happens there. */
static void begin_trace(struct attach *attach, const struct connect_target *target, const struct listening *listening)
{
    struct sonde_url proxy = target->url;
    uint16_t ports[SONDE_LISTENER_MAX];

    if (listening != NULL) {
        for (unsigned i = 0; i < listening->n_urls; i++)
            ports[i] = listening->urls[i].port;
        attach_begin(attach, listening->urls, ports, listening->n_urls);
        return;
    }
    if (target->has_proxy && target->proxy.user[0] != '\0') {
        say(_("the trace shows no segments: the password for the proxy is among them."));
        attach_begin(attach, &proxy, &proxy.port, 0);
        return;
    }
    if (target->has_proxy) {
        memcpy(proxy.host, target->proxy.host, sizeof proxy.host);
        proxy.port = target->proxy.port;
    }
    attach_begin(attach, &proxy, &proxy.port, 1);
}

static uint64_t send_limit_of(const struct connect_job *job)
{
    return job->framing != NULL    ? framing_send_limit(job->framing)
           : job->messages != NULL ? messages_send_limit(job->messages)
                                   : 0;
}

static struct sonde_listen_options connect_listen_options(const struct connect_job *job)
{
    return (struct sonde_listen_options){
        .size = sizeof(struct sonde_listen_options),
        .family = connect_family(job->settings),
        .send_limit_bytes = send_limit_of(job),
        .tls = job->target->tls,
        .web = &job->target->web,
    };
}

/* The loop is there. */
static int run_job(struct connect_job *job)
{
    const struct connect_settings *settings = job->settings;
    struct listening listening = {.listener = NULL};
    const struct attach_settings wanted = {
        .ladder = settings->trace,
        .json = settings->trace_json,
        .page = job->page->page,
        .is_client = !settings->listen,
    };
    struct attach *attach = NULL;
    struct sonde_why why;
    int why_not;

    if ((wanted.ladder || wanted.json != NULL || wanted.page != NULL) && !attach_new(&wanted, &attach, &why_not))
        return why_not;
    if (attach != NULL)
        attach_tap(attach, job->taps, job->loop);
    if (settings->listen) {
        const struct sonde_listen_options options = connect_listen_options(job);
        int error = listening_open(&listening, job->loop, &job->target->url, &options, &why);
        if (error < 0) {
            attach_end(attach);
            return (int)say_why(job->target->given, &why);
        }
        job->listening = &listening;
        connect_tls_say_listening(job->target, &listening.urls[0]);
    }
    if (attach != NULL)
        begin_trace(attach, job->target, job->listening);
    int status = settings->scan ? connect_scan(job->loop, settings, job->target) : connect_run(job);
    /* -EBUSY after SIGINT, while something is still being closed: the process ends anyway. */
    sonde_loop_destroy(job->loop);
    job->loop = NULL;
    attach_end(attach);
    return status;
}

/* Options that say when it is to end, and whose verdict is the exit status, are obeyed beside a page, too. */
static struct connect_page_settings connect_page_settings_of(const struct connect_job *job)
{
    const struct connect_settings *settings = job->settings;
    bool stays = !settings->once && settings->expect == NULL && !settings->verify_echo;

    return (struct connect_page_settings){
        .title = job->title,
        .scheme = job->target->url.scheme,
        .stays = stays,
        .connects = stays && !settings->listen && settings->each_line < 0,
    };
}

static int run_on_loop(struct connect_job *job)
{
    const struct sonde_loop_options loop_options = {.size = sizeof loop_options,
                                                    .engine = (enum sonde_engine)job->settings->engine};
    const int64_t origin_ns = now_ns();
    struct taps taps = {.n = 0};
    struct sonde_why why;

    if (sonde_loop_create(&loop_options, &job->loop, &why) < 0)
        return (int)say_why(NULL, &why);
    job->taps = &taps;
    if (job->settings->calls)
        calls_print_start(&taps, job->loop, &origin_ns);
    struct connect_page page = {.page = NULL};
    const struct connect_page_settings page_settings = connect_page_settings_of(job);
    int status = EXIT_NETWORK;
    job->page = &page;
    if (connect_page_open(&page, &job->settings->page, &page_settings, &status))
        status = run_job(job);
    if (job->loop != NULL)
        sonde_loop_destroy(job->loop);
    connect_page_end(&page);
    return status;
}

/* ---- what is sent and what is expected */

_Static_assert(SEND_PIECES_MAX >= OPTION_LIST_MAX, "each --send is a piece");

static bool make_send(const struct connect_settings *settings, struct send *send, int *ret_status)
{
    for (unsigned i = 0; i < settings->send.n; i++) {
        if (!send_add(send, settings->send.values[i], settings->crlf))
            return connect_misuse(ret_status);
    }
    send->n_rounds = settings->n_rounds < 0    ? 1
                     : settings->n_rounds == 0 ? SEND_FOR_EVER
                                               : (uint64_t)settings->n_rounds;
    send->schedule.every_ns = settings->every_ns;
    const char *stream = send_find_stream(send);
    if (stream == NULL || (settings->n_rounds < 0 && !settings->keep_open))
        return true;
    char shown[256];
    escape_short(stream, strlen(stream), shown, sizeof shown);
    say(_("%s is not a regular file and can be read only once: --repeat and -k send it more often."), shown);
    return connect_misuse(ret_status);
}

static bool make_expect(const char *pattern, struct expect *expect, int *ret_status)
{
    char shown[128], why[160];

    if (expect_open(expect, pattern, why, sizeof why))
        return true;
    escape_short(pattern, strlen(pattern), shown, sizeof shown);
    say(_("--expect \"%s\" is not an extended regular expression that can be used: %s."), shown, why);
    return connect_misuse(ret_status);
}

/* What turns standard input into messages, and messages into what is printed. */
static bool make_messages(struct connect_job *job, struct framing *framing, struct messages *messages, int *ret_status)
{
    const struct connect_settings *settings = job->settings;

    if (job->target->transport != TRANSPORT_BYTES) {
        const struct message_settings made = connect_message_settings(settings, job->target);
        job->messages = messages;
        return (messages_open(messages, &made) && messages_wrap_send(messages, job->send)) ||
               connect_misuse(ret_status);
    }
    if (settings->frame == NULL)
        return true;
    job->framing = framing;
    return (framing_open(framing, settings->frame, settings->frame_max) && framing_wrap_send(framing, job->send)) ||
           connect_misuse(ret_status);
}

static bool make_verify(struct connect_job *job, struct verify *verify, struct echo_window *echo, int *ret_status)
{
    if (!job->settings->verify_echo)
        return true;
    if (job->messages != NULL) {
        job->echo = echo;
        return true;
    }
    job->verify = verify;
    if (verify_open(verify))
        return true;
    say(_("memory is short."));
    *ret_status = EXIT_NETWORK;
    return false;
}

static int run_prepared(const struct connect_settings *settings, const struct connect_target *target, const char *title)
{
    struct send send = {.n_pieces = 0};
    /* A search that was given up reads it until the process is no more. */
    static struct expect expect;
    struct verify verify = {.ring = NULL};
    struct echo_window echo = {.n = 0};
    struct framing framing = {.max_bytes = 0};
    struct messages messages = {.room = NULL};
    struct connect_job job = {.settings = settings, .target = target, .send = &send, .file_fd = -1, .title = title};
    int status = EXIT_NETWORK;
    bool ready = make_send(settings, &send, &status);

    ready = ready && make_messages(&job, &framing, &messages, &status);
    if (ready && settings->expect != NULL) {
        ready = make_expect(settings->expect, &expect, &status);
        job.expect = &expect;
    }
    ready = ready && make_verify(&job, &verify, &echo, &status);
    if (ready && open_file(settings->output, &job.file_fd, &status))
        status = run_on_loop(&job);
    send_free(&send);
    expect_free(&expect);
    verify_free(&verify);
    echo_restart(&echo, false);
    framing_close(&framing);
    messages_free(&messages);
    return status;
}

/* "--retry 3 ADDRESS": its value is tied to it, and the 3 was taken for a host. */
static bool check_untied(int n_operands, int argc, char *const *argv, int *ret_status)
{
    long long number;

    for (int i = 1; n_operands > 1 && i + 1 < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--retry") != 0 || !option_parse_count(argv[i + 1], &number))
            continue;
        say(_("--retry %s: the number of attempts is tied to its option: --retry=%s"), argv[i + 1], argv[i + 1]);
        return connect_misuse(ret_status);
    }
    return true;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct connect_settings settings = {.n_rounds = -1, .each_line = -1};
    struct connect_target target;
    char title[PAGE_TITLE_MAX];
    int n_operands, status = EXIT_DONE;
    /* Parsing moves the operands to the front, over options. */
    char **given = calloc((size_t)argc + 1, sizeof *given);

    if (given == NULL)
        return EXIT_NETWORK;
    memcpy(given, argv, (size_t)argc * sizeof *given);
    int parsed = option_parse(verb, &settings, argc, argv, &n_operands);
    if (parsed == 0 && settings.half_close && half_close_is_last(argc, given, settings.eof))
        settings.eof = NULL;
    bool tied = parsed != 0 || check_untied(n_operands, argc, given, &status);
    free(given);
    if (parsed != 0 || !tied)
        return parsed != 0 ? parsed - 1 : status;

    if (!check(&settings, &status))
        return status;
    page_title("connect", n_operands, argv + 1, title);
    if (connect_target_make(&settings, n_operands, argv + 1, &target, &status) &&
        check_frame(&settings, target.transport, &status))
        status = run_prepared(&settings, &target, title);
    connect_target_free(&target);
    return status;
}

const struct verb connect_verb = {
    .name = "connect",
    .summary = N_("Connect, send standard input, print what comes back."),
    .usage = "[OPTION...] URL | HOST PORT | -z HOST PORT[-PORT] | -l [-k] [HOST] PORT",
    .options = connect_options,
    .examples = connect_examples,
    .more =
        N_("A connection has two directions that end apart. When standard input ends, this side is ended "
           "(half-close), and the peer's answer is waited for: see --eof. When the peer ends its side, what "
           "standard input still offers without waiting is sent, and the command exits: see --peer-eof. What --send "
           "says takes the place of standard input in all of this.\n"
           "\n"
           "On ws:// and wss:// a line is a message of text, and each one received is a line; on udp://, unixgram: and "
           "seqpacket: what one read brings is a message. See --binary, --base64 and --frame.\n"
           "\n"
           "Exit status 0 means that the peer ended its data in order, and that its kernel has acknowledged every "
           "byte that was sent; with -q, --eof close, --eof after: and --once, that the command ended as it was "
           "told to; with --expect, that it matched; with --verify-echo also that all came back. 1: refused, "
           "unreachable, reset, timed out, no match, another echo. 2: misuse. 130: interrupted."),
    .run = run,
};
