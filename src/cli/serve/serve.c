/* SPDX-License-Identifier: MIT */
/* sonde serve: the verb, its options, and what they mean together. How it works is told in serve_internal.h. */
#include "cli/serve/greeting.h"
#include "cli/serve/serve_internal.h"
#include "cli/unescape.h"
#include "cli/verbs.h"
#include "term/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define WORD_MAX 128

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
    append(
        ret_text, size_bytes,
        _("Without a URL the service listens on tcp://127.0.0.1:7007; with several, on all of them. TEXT may hold "
          "\\n, \\r, \\t, \\0, \\\\ and \\xHH; nothing is added to it.\n\ntalk says each line of standard input to "
          "every "
          "client, and @2 TEXT to client 2; /help tells its commands. What a client does not read waits, 256 KiB at "
          "most: after 5 s without a byte taken you are told, after 60 s or when more is said it is dropped, and "
          "nobody else waits for it. When standard input ends, clients are sent our end, and talk ends with the "
          "last of them.\n\nexec connects a program's standard input and output with the client; the "
          "client's end is the end of its input. A client that resets the connection hangs up: SIGHUP, and "
          "SIGKILL 5 s later. At the end programs get SIGTERM, and SIGKILL after the time of --drain. Whoever can "
          "connect can run the program, as you. On WebSocket a text message is a line, both ways.\n\nWith datagrams "
          "(udp://, unixgram:) a connection is all that comes from one address, until it has been silent for 60 s or "
          "the time of --idle-timeout; --once serves the first, until it has been silent for 1 s. daytime, time, "
          "greet and chargen answer each datagram. Nothing that comes from the port of such a service, or from our "
          "own port, is answered, since two of them would answer each other for ever.\n\nSIGTERM and SIGINT end the "
          "program: no more "
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
    bool guards = settings->allow.n > 0 || settings->deny.n > 0 || settings->proxy_from.n > 0 ||
                  settings->max_per_peer > 0 || settings->rate > 0;

    if (!page_options_check(&settings->page))
        return EXIT_MISUSE;
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
    if ((service->flags & SERVICE_LISTENS_ONLY) && guards) {
        say(_("%s accepts no connections: --allow, --deny, --max-per-peer, --proxy-from and --rate mean nothing to "
              "it."),
            service->name);
        return EXIT_MISUSE;
    }
    if (settings->sequential && settings->max_clients > 0)
        return misuse(_("--sequential is one client at a time: leave out --max-clients."));
    if (settings->when_full == WHEN_FULL_REFUSE && settings->max_clients == 0)
        return misuse(_("--when-full needs --max-clients."));
    return serve_direct_check(settings, service);
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
    if (*n_operands == 0 && serve->settings->page.url != NULL && page_takes_word(serve->settings->page.url))
        return misuse(_("greet says what? A word behind --page that begins with http:// is the page's address: put the "
                        "text before --page."));
    if (*n_operands == 0)
        return misuse(_("greet says what? sonde serve greet TEXT, or sonde serve greet --file FILE."));
    const char *text = (*operands)[0];
    *ret_text = malloc(strlen(text) + 1);
    serve->text = *ret_text;
    if (*ret_text == NULL)
        return misuse(_("there is not enough memory for that text."));
    if (!unescape(text, *ret_text, &serve->n_text_bytes, &wrong)) {
        char shown[WORD_MAX];
        escape_short(wrong, strnlen(wrong, 4), shown, sizeof(shown));
        say(_("the text has a backslash that means nothing, at %s. \\n, \\r, \\t, \\0, \\\\ and \\xHH are understood."),
            shown);
        return EXIT_MISUSE;
    }
    ++*operands;
    --*n_operands;
    return EXIT_DONE;
}

/* How many threads, and what is said when it is fewer than were asked for. */
static unsigned count_threads(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    const char *one = NULL;
    unsigned n_alone = 0, n_unix = 0, n_passed = 0;

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
    for (unsigned i = 0; i < serve->n_urls; i++) {
        bool passed = serve->urls[i].scheme == SONDE_SCHEME_FD;
        n_passed += passed;
        n_alone += !passed && !serve_url_is_shared(&serve->urls[i]);
        n_unix += serve->urls[i].path_bytes > 0;
    }
    if (n_unix > 0)
        say(_("UNIX sockets are served by one thread, whatever --threads says."));
    if (n_alone > n_unix)
        say(_("what is neither TCP nor UDP to one receiver is served by one thread, whatever --threads says."));
    if (n_passed > 0)
        say(_("sockets that were passed are served by one thread, whatever --threads says."));
    return n_alone + n_passed == serve->n_urls ? 1 : (unsigned)settings->threads;
}

/* Nobody is trusted with a header that nobody asks for: then it was meant otherwise. */
static enum exit_status check_proxy_from(const struct serve *serve)
{
    bool wanted = false;

    for (unsigned i = 0; i < serve->n_urls; i++)
        wanted = wanted || (serve->urls[i].n_set & 1u << SONDE_OPT_PROXY) != 0;
    if (serve->settings->proxy_from.n == 0 || wanted)
        return EXIT_DONE;
    return misuse(_("--proxy-from needs an address with ?proxy=in, as in 'tcp://127.0.0.1:7007?proxy=in'."));
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* n_behind of the operands stood behind "--". */
static enum exit_status serve_operands(struct serve *serve, int n_operands, int n_behind, char **operands,
                                       char **ret_text)
{
    if (n_operands == 0)
        return say_which_service(NULL);
    /* What stands behind "--" is a program, and what it is told may be a secret. */
    page_title("serve", n_operands - n_behind, operands, serve->page_title);
    serve->service = service_find(operands[0]);
    if (serve->service == NULL)
        return say_which_service(operands[0]);
    operands++;
    n_operands--;
    enum exit_status status = check(serve->settings, serve->service);
    if (status == EXIT_DONE)
        status = serve_program_check(serve->settings, serve->service);
    if (status == EXIT_DONE && (serve->service->flags & SERVICE_TAKES_TEXT))
        status = find_text(serve, &n_operands, &operands, ret_text);
    if (status == EXIT_DONE && (serve->service->flags & SERVICE_TAKES_PROGRAM)) {
        int n_words = n_behind <= n_operands ? n_behind : 0; /* more: "--" stood before the service */
        n_operands -= n_words;
        status = serve_program_find(serve, (unsigned)n_words, operands + n_operands);
    }
    if (status == EXIT_DONE)
        status = serve_find_urls(serve, n_operands, operands);
    if (status == EXIT_DONE)
        status = check_proxy_from(serve);
    if (status == EXIT_DONE)
        status = serve_schemes_check(serve);
    if (status == EXIT_DONE)
        status = serve_frame_check(serve);
    if (status == EXIT_DONE)
        status = serve_guard_init(serve);
    if (status == EXIT_DONE)
        status = serve_tls_init(serve);
    if (status == EXIT_DONE)
        status = serve_web_init(serve);
    if (status != EXIT_DONE)
        return status;
    /* What is said is the point. */
    if ((serve->service->flags & SERVICE_TAKES_LINES) && serve->settings->json && serve->print == SERVE_PRINT_NONE)
        serve->print = SERVE_PRINT_TEXT;
    if (serve->settings->direct)
        status = serve_direct_size(serve);
    else
        serve->n_workers = count_threads(serve);
    return status == EXIT_DONE ? serve_run(serve) : status;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct serve_settings settings = {.print = -1, .threads = 1, .max_children = 64, .drain_ns = 5 * NS_PER_S};
    struct verb described = *verb;
    char more[4096], *text = NULL;
    int n_operands, n_behind;

    describe_services(more, sizeof(more));
    described.more = more;
    int status = option_parse_behind(&described, &settings, argc, argv, &n_operands, &n_behind);
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
    status = (int)serve_environment_take(serve);
    if (status == EXIT_DONE)
        status = (int)serve_operands(serve, n_operands, n_behind, argv + 1, &text);
    serve_guard_free(serve);
    serve_tls_free(serve);
    serve_environment_free(serve);
    free(serve);
    free(text);
    return status;
}

const struct verb serve_verb = {
    .name = "serve",
    .summary = N_("Listen, and serve clients: echo, discard, chargen, daytime, time, greet, hold, exec, talk."),
    .usage = "SERVICE [OPTION...] [URL...] [-- PROGRAM [ARGUMENT...]]",
    .options = serve_options,
    .examples = serve_examples,
    .run = run,
};
