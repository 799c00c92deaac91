/* SPDX-License-Identifier: MIT */
/* sonde serve: the verb, its options, and what they mean together. How it works is told in serve_internal.h. */
#include "cli/serve_greeting.h"
#include "cli/serve_internal.h"
#include "cli/verbs.h"
#include "term/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL
#define WORD_MAX 128

#define MEMBER(name) .member = offsetof(struct serve_settings, name)

static const char *const print_choices[] = {"text", "hex", NULL};
static const char *const engine_choices[] = {"auto", "uring", "epoll", NULL};
static const char *const when_full_choices[] = {"wait", "refuse", NULL};

static const struct option_row options[] = {
    {.name = "once", .kind = OPTION_FLAG, MEMBER(once), .help = N_("serve one connection, then exit"), .brief = true},
    {.name = "sequential",
     .kind = OPTION_FLAG,
     MEMBER(sequential),
     .help = N_("serve one client after another; the others wait in the accept queue")},
    {.name = "max-clients",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(max_clients),
     .help = N_("serve at most N clients at a time"),
     .minimum = 1,
     .maximum = 1000000000},
    {.name = "when-full",
     .kind = OPTION_CHOICE,
     MEMBER(when_full),
     .help = N_("with --max-clients: the others wait in the accept queue (the default), or are refused with a reset"),
     .choices = when_full_choices},
    {.name = "idle-timeout",
     .value = "SECS",
     .kind = OPTION_DURATION,
     MEMBER(idle_ns),
     .help = N_("close a connection on which nothing was received or sent for so long"),
     .minimum = NS_PER_MS,
     .maximum = 30 * 24 * 3600 * NS_PER_S},
    {.name = "drain",
     .value = "SECS",
     .kind = OPTION_DURATION,
     MEMBER(drain_ns),
     .help = N_("at the end, wait so long for connections to end (default 5)"),
     .maximum = 24 * 3600 * NS_PER_S},
    {.name = "backlog",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(backlog),
     .help = N_("length of the accept queue, as ?backlog=N on every URL that has none"),
     .minimum = 1,
     .maximum = 1000000000},
    {.name = "file",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(file),
     .help = N_("greet: say what is in FILE, as it is")},
    {.name = "print",
     .kind = OPTION_CHOICE,
     MEMBER(print),
     .help = N_("show what clients send, with escapes or in hexadecimal"),
     .choices = print_choices,
     .brief = true},
    {.name = "json",
     .kind = OPTION_FLAG,
     MEMBER(json),
     .help = N_("one line of JSON for each thing that happens"),
     .brief = true},
    {.name = "quiet",
     .kind = OPTION_FLAG,
     MEMBER(quiet),
     .help = N_("tell only the addresses listened on"),
     .brief = true},
    {.name = "calls",
     .kind = OPTION_FLAG,
     MEMBER(calls),
     .help = N_("show every call on a socket, on standard error"),
     .brief = true},
    {.name = "trace",
     .kind = OPTION_FLAG,
     MEMBER(trace),
     .help = N_("draw the ladder of every connection on standard error: calls, segments, states"),
     .brief = true},
    {.name = "trace-json",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(trace_json),
     .help = N_("write the same events into FILE; sonde trace -r FILE draws them")},
    {.letter = '4', .kind = OPTION_FLAG, MEMBER(ipv4), .help = N_("IPv4 only")},
    {.letter = '6', .kind = OPTION_FLAG, MEMBER(ipv6), .help = N_("IPv6 only")},
    {.name = "threads",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(threads),
     .help = N_("spread the connections over N threads (default 1)"),
     .minimum = 1,
     .maximum = 256},
    {.name = "engine",
     .kind = OPTION_CHOICE,
     MEMBER(engine),
     .help = N_("how to wait for the kernel; auto takes io_uring where it works"),
     .choices = engine_choices},
    {.letter = 'l',
     .kind = OPTION_REFUSED,
     .help = N_("serve always listens: leave out -l and give the address, as in sonde serve echo :7007")},
    {.letter = 'k',
     .name = "keep-open",
     .kind = OPTION_REFUSED,
     .help = N_("serve goes on listening without -k; --once makes it end after one connection.")},
    {.letter = 'p',
     .name = "source-port",
     .kind = OPTION_REFUSED,
     .help = N_("the port is part of the address: sonde serve echo :7007")},
    {.letter = 'm',
     .name = "max-conns",
     .kind = OPTION_REFUSED,
     .help = N_("the number of clients is limited with --max-clients N.")},
    {.letter = 'u', .name = "udp", .kind = OPTION_REFUSED, .help = N_("UDP is not built yet.")},
    {.letter = 'e',
     .name = "exec",
     .kind = OPTION_REFUSED,
     .help = N_("a service that runs a program is not built yet.")},
    {.letter = 'c',
     .name = "sh-exec",
     .kind = OPTION_REFUSED,
     .help = N_("a service that runs a program is not built yet.")},
    {.kind = OPTION_FLAG},
};

static const struct example examples[] = {
    {"sonde serve echo", N_("an echo server on tcp://127.0.0.1:7007")},
    {"sonde serve echo tcp://127.0.0.1:0", N_("on a port that the kernel chooses and the first line tells")},
    {"sonde serve discard --print hex :9000", N_("look at what a client sends")},
    {"sonde serve greet 'hello\\n' unix:/tmp/hello.sock", N_("say hello on a UNIX socket, and close")},
    {"sonde serve echo --trace", N_("see the calls, segments and states of each connection")},
    {"sonde serve hold 'tcp://127.0.0.1:7007?backlog=2'", N_("watch an accept queue fill up")},
    {NULL, NULL},
};

/* --- what --help tells beside the options: the services, from their table ----------------------------------------- */

static void append(char *text, size_t size_bytes, const char *more)
{
    size_t n = strlen(text);

    snprintf(text + n, size_bytes - n, "%s", more);
}

static void describe_services(char *ret_text, size_t size_bytes)
{
    snprintf(ret_text, size_bytes, "%s", _("Services:\n"));
    for (const struct service *const *row = services; *row != NULL; row++) {
        char line[256], name[32];
        snprintf(name, sizeof(name), "%s%s", (*row)->name, (*row)->flags & SERVICE_TAKES_TEXT ? " TEXT" : "");
        if ((*row)->rfc != NULL)
            snprintf(line, sizeof(line), "  %-12s %s (%s)\n", name, _((*row)->help), (*row)->rfc);
        else
            snprintf(line, sizeof(line), "  %-12s %s\n", name, _((*row)->help));
        append(ret_text, size_bytes, line);
    }
    append(ret_text, size_bytes, "\n");
    append(ret_text, size_bytes,
           _("Without a URL the service listens on tcp://127.0.0.1:7007; with several, on all of them. TEXT may hold "
             "\\n, \\r, \\t, \\\\ and \\xHH; nothing is added to it.\n\nSIGTERM and SIGINT end the program: no more "
             "clients are let in, those connected are sent what is due to them and have the time of --drain to end; a "
             "second signal ends it at once. SIGUSR1 shows a table of the connections.\n"));
}

/* --- what was asked for ------------------------------------------------------------------------------------------- */

static enum exit_status say_which_service(const char *word)
{
    char list[256] = "", shown[WORD_MAX];

    for (const struct service *const *row = services; *row != NULL; row++) {
        append(list, sizeof(list), row == services ? "" : ", ");
        append(list, sizeof(list), (*row)->name);
    }
    if (word == NULL) {
        say(_("serve what? The services are %s. \"sonde serve --help\" tells what each does."), list);
        return EXIT_MISUSE;
    }
    escape_short(word, strlen(word), shown, sizeof(shown));
    say(_("%s is not a service. The services are %s. \"sonde serve --help\" tells what each does."), shown, list);
    return EXIT_MISUSE;
}

static enum exit_status misuse(const char *sentence)
{
    say("%s", sentence);
    return EXIT_MISUSE;
}

/* Options that contradict each other, or the service. */
static enum exit_status check(const struct serve_settings *settings, const struct service *service)
{
    bool limits = settings->once || settings->sequential || settings->max_clients > 0 || settings->idle_ns > 0;

    if (settings->ipv4 && settings->ipv6)
        return misuse(_("-4 and -6 exclude each other: leave both out for both families."));
    if (settings->file != NULL && !(service->flags & SERVICE_TAKES_TEXT))
        return misuse(_("--file is for greet."));
    if ((service->flags & SERVICE_LISTENS_ONLY) && (limits || settings->print >= 0)) {
        say(_("%s accepts no connections: --once, --sequential, --max-clients, --idle-timeout and --print mean nothing "
              "to it."),
            service->name);
        return EXIT_MISUSE;
    }
    if (settings->sequential && settings->max_clients > 0)
        return misuse(_("--sequential is one client at a time: leave out --max-clients."));
    if (settings->when_full == WHEN_FULL_REFUSE && settings->max_clients == 0)
        return misuse(_("--when-full needs --max-clients."));
    return EXIT_DONE;
}

/* The greeting: takes the first operand unless there is a file. *ret_text is to be freed. */
static enum exit_status find_text(struct serve *serve, int *n_operands, char ***operands, char **ret_text)
{
    const char *file = serve->settings->file, *wrong;

    if (file != NULL) {
        int error = greeting_read(file, ret_text, &serve->n_text_bytes);
        serve->text = *ret_text;
        if (error == 0)
            return EXIT_DONE;
        say(_("%s cannot be read: %s."), file, sonde_strerror(error));
        return EXIT_NETWORK;
    }
    if (*n_operands == 0)
        return misuse(_("greet says what? sonde serve greet TEXT, or sonde serve greet --file FILE."));
    const char *text = (*operands)[0];
    *ret_text = malloc(strlen(text) + 1);
    serve->text = *ret_text;
    if (*ret_text == NULL)
        return misuse(_("there is not enough memory for that text."));
    if (!greeting_unescape(text, *ret_text, &serve->n_text_bytes, &wrong)) {
        char shown[WORD_MAX];
        escape_short(wrong, strnlen(wrong, 4), shown, sizeof(shown));
        say(_("the text has a backslash that means nothing, at %s. \\n, \\r, \\t, \\\\ and \\xHH are understood."),
            shown);
        return EXIT_MISUSE;
    }
    ++*operands;
    --*n_operands;
    return EXIT_DONE;
}

static enum exit_status add_url(struct serve *serve, const char *text)
{
    long long backlog = serve->settings->backlog;
    struct sonde_url *url = &serve->urls[serve->n_urls];
    struct sonde_why why;

    if (sonde_url_parse(text, url, &why) != 0)
        return say_why(text, &why);
    if (backlog > 0 && !(url->n_set & 1u << SONDE_OPT_BACKLOG)) {
        url->n_set |= 1u << SONDE_OPT_BACKLOG;
        url->option[SONDE_OPT_BACKLOG].number = backlog;
    }
    serve->url_texts[serve->n_urls++] = text;
    return EXIT_DONE;
}

static enum exit_status find_urls(struct serve *serve, int n_operands, char **operands)
{
    enum exit_status status = EXIT_DONE;

    if (n_operands == 0)
        return add_url(serve, serve->settings->ipv6 ? "tcp://[::1]:7007" : "tcp://127.0.0.1:7007");
    if (n_operands > SERVE_URLS_MAX) {
        say(_("%d addresses are too many: serve listens on %d at most."), n_operands, SERVE_URLS_MAX);
        return EXIT_MISUSE;
    }
    for (int i = 0; i < n_operands && status == EXIT_DONE; i++)
        status = add_url(serve, operands[i]);
    return status;
}

/* How many threads, and what is said when it is fewer than were asked for. */
static unsigned count_threads(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    const char *one = NULL;
    unsigned n_unix = 0;

    if (settings->threads == 1)
        return 1;
    if (!(serve->service->flags & SERVICE_MANY_THREADS))
        one = serve->service->name;
    else if (settings->once)
        one = "--once";
    else if (settings->sequential)
        one = "--sequential";
    else if (settings->max_clients > 0 && settings->when_full == WHEN_FULL_WAIT)
        one = "--max-clients"; /* of several threads, each could let in the last one */
    if (one != NULL) {
        say(_("--threads %lld is not used: with %s one thread serves."), settings->threads, one);
        return 1;
    }
    for (unsigned i = 0; i < serve->n_urls; i++)
        n_unix += serve->urls[i].scheme == SONDE_SCHEME_UNIX;
    if (n_unix > 0)
        say(_("UNIX sockets are served by one thread, whatever --threads says."));
    return n_unix == serve->n_urls ? 1 : (unsigned)settings->threads;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static enum exit_status serve_operands(struct serve *serve, int n_operands, char **operands, char **ret_text)
{
    if (n_operands == 0)
        return say_which_service(NULL);
    serve->service = service_find(operands[0]);
    if (serve->service == NULL)
        return say_which_service(operands[0]);
    operands++;
    n_operands--;
    enum exit_status status = check(serve->settings, serve->service);
    if (status == EXIT_DONE && (serve->service->flags & SERVICE_TAKES_TEXT))
        status = find_text(serve, &n_operands, &operands, ret_text);
    if (status == EXIT_DONE)
        status = find_urls(serve, n_operands, operands);
    if (status != EXIT_DONE)
        return status;
    serve->n_workers = count_threads(serve);
    return serve_run(serve);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct serve_settings settings = {.print = -1, .threads = 1, .drain_ns = 5 * NS_PER_S};
    struct verb described = *verb;
    char more[4096], *text = NULL;
    int n_operands;

    describe_services(more, sizeof(more));
    described.more = more;
    int status = option_parse(&described, &settings, argc, argv, &n_operands);
    if (status != 0)
        return status - 1;
    struct serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL)
        return misuse(_("there is not enough memory."));
    /* On one terminal the ladder tells what the lines would, and better. */
    if (settings.trace && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO))
        settings.quiet = true;
    serve->settings = &settings;
    serve->print = (enum serve_print)(settings.print + 1);
    serve->start_ns = now_ns();
    status = (int)serve_operands(serve, n_operands, argv + 1, &text);
    free(serve);
    free(text);
    return status;
}

const struct verb serve_verb = {
    .name = "serve",
    .summary = N_("Listen, and serve clients: echo, discard, chargen, daytime, time, greet, hold."),
    .usage = "SERVICE [OPTION...] [URL...]",
    .options = options,
    .examples = examples,
    .run = run,
};
