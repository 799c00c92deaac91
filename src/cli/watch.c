/* SPDX-License-Identifier: MIT */
/* sonde watch: the verb, its options, and which of the views they mean. */
#include "watch/watch.h"
#include "cli/page_options.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "page/page.h"
#include "term/style.h"

#include <string.h>
#include <unistd.h>

#define MEMBER(name) .member = offsetof(struct settings, name)

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

struct settings {
    bool once, json, follow, owners, tcp, udp, unix_sockets, all, ascii;
    long long count, duration_ns, interval_ns, n_columns;
    int sort, color;
    struct page_options page;
};

static const char *const color_choices[] = {"auto", "always", "never", NULL};

static const struct option_row options[] = {
    {.name = "once",
     .kind = OPTION_FLAG,
     MEMBER(once),
     .help = N_("print one table and exit; this is what happens when standard output is not a terminal"),
     .brief = true},
    {.name = "follow",
     .kind = OPTION_FLAG,
     MEMBER(follow),
     .help = N_("print a line for each change of state, until interrupted"),
     .brief = true},
    {.name = "json",
     .kind = OPTION_FLAG,
     MEMBER(json),
     .help = N_("a line of JSON for each socket, with all that the kernel says of it; with --follow, for each change"),
     .brief = true},
    {.name = "owners",
     .kind = OPTION_FLAG,
     MEMBER(owners),
     .help = N_("find the programs that hold the sockets, which takes a search through /proc"),
     .brief = true},
    PAGE_ROWS(struct settings),
    {.name = "tcp", .kind = OPTION_FLAG, MEMBER(tcp), .help = N_("TCP sockets; without a kind, TCP and UDP")},
    {.name = "udp", .kind = OPTION_FLAG, MEMBER(udp), .help = N_("UDP sockets")},
    {.name = "unix", .kind = OPTION_FLAG, MEMBER(unix_sockets), .help = N_("UNIX sockets beside the others")},
    {.name = "all",
     .kind = OPTION_FLAG,
     MEMBER(all),
     .help = N_("also sockets that are neither listening nor connected")},
    {.name = "sort",
     .kind = OPTION_CHOICE,
     MEMBER(sort),
     .help = N_("sort by a column; what is in trouble comes first in any case"),
     .choices = watch_sort_names},
    {.name = "interval",
     .value = "SECS",
     .kind = OPTION_DURATION,
     MEMBER(interval_ns),
     .help = N_("how often to look (default 0.25; with --follow 0.02)"),
     .minimum = 1000000,
     .maximum = 3600ll * 1000000000},
    {.name = "count",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(count),
     .help = N_("with --follow: end after N lines"),
     .minimum = 1},
    {.name = "duration",
     .value = "SECS",
     .kind = OPTION_DURATION,
     MEMBER(duration_ns),
     .help = N_("with --follow: end after so long"),
     .minimum = 1000000},
    {.name = "width",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(n_columns),
     .help = N_("lay the table of --once out for so many columns"),
     .minimum = 20,
     .maximum = 1000},
    {.name = "color",
     .kind = OPTION_CHOICE,
     MEMBER(color),
     .help = N_("colours: on terminals (the default), always, or never"),
     .choices = color_choices},
    {.name = "ascii", .kind = OPTION_FLAG, MEMBER(ascii), .help = N_("draw with ASCII only")},
    {.kind = OPTION_FLAG},
};

static const struct example examples[] = {
    {"sonde watch", N_("all sockets, live, on the whole terminal")},
    {"sonde watch listening", N_("accept queues: which are full, and whose")},
    {"sonde watch --once 'dport = :443'", N_("one table of the connections to that port")},
    {"sonde watch --follow 7007", N_("each change of state of the connections of a port")},
    {"sonde watch --page state connected", N_("connections, live, in a browser")},
    {"sonde watch --json --owners 'unread>0'", N_("what is not read, and by which program, for programs")},
    {NULL, NULL},
};

static const char more[] = N_("FILTER is in the words of ss(8), and some more:\n\n"
                              "  state established, exclude time-wait    connected, synchronized, big, ...\n"
                              "  sport = :80, dport gt :1024             ports, by number or name\n"
                              "  src 10.0.0.0/8, dst [::1]:7007          addresses and prefixes\n"
                              "  listening, unread>0, unsent>0, retransmits>0\n"
                              "  pid:4121, process:nginx                 the owner\n"
                              "  7007                                    the port at either end\n"
                              "  and or not ( )                          and anything else is searched for as text\n");

static unsigned kinds_of(const struct settings *settings)
{
    unsigned kinds = (settings->tcp ? SOCKETS_TCP : 0) | (settings->udp ? SOCKETS_UDP : 0);
    if (kinds == 0 && !(settings->unix_sockets && (settings->tcp || settings->udp)))
        kinds = SOCKETS_INET;
    return kinds | (settings->unix_sockets ? SOCKETS_UNIX : 0);
}

static const char *why_not(const struct settings *settings, bool is_terminal)
{
    if (settings->page.url && (settings->once || settings->follow || settings->json))
        return _(
            "--page shows the sockets in a browser: --once, --follow and --json show them here. Give one of them.");
    if (settings->page.url && settings->interval_ns > 0)
        return _("--interval is not for --page, which looks as often as it can be seen.");
    if (settings->once && settings->follow)
        return _("--once and --follow exclude each other.");
    if (!settings->follow && (settings->count > 0 || settings->duration_ns > 0))
        return _("--count and --duration are for --follow.");
    if (settings->interval_ns > 0 && !settings->follow && (settings->once || settings->json || !is_terminal))
        return _("--interval is for --follow and for the full screen; this looks once.");
    return NULL;
}

/* Until a signal comes. The filter bounds whatever the browser asks for. */
static enum exit_status watch_page(const struct settings *settings, const struct sockets_filter *filter,
                                   const char *filter_text)
{
    char title[PAGE_TITLE_MAX], *words[] = {(char *)filter_text};
    struct page_settings page = {
        .verb = "watch",
        .title = title,
        .rights = PAGE_SEE | PAGE_RUN,
        .rows = PAGE_ROWS_SOCKETS,
        .kinds = kinds_of(settings),
        .filter = filter,
        .traces = true,
    };
    page_title("watch", filter_text[0] != '\0', words, title);
    return page_options_serve(&settings->page, &page, NULL); /* told when a capture was tried */
}

static enum exit_status watch(const struct settings *settings, const struct sockets_filter *filter,
                              const char *filter_text)
{
    bool is_terminal = term_is_terminal(STDOUT_FILENO);
    struct watch_settings watch = {
        .kinds = kinds_of(settings),
        .owners = settings->owners,
        .all = settings->all,
        .json = settings->json,
        .ascii = settings->ascii || !term_is_unicode(),
        .color = settings->color == WHEN_ALWAYS || (settings->color != WHEN_NEVER && term_wants_color(STDOUT_FILENO)),
        .sort = settings->sort,
        .n_columns = (unsigned)settings->n_columns,
        .is_terminal = is_terminal,
        .interval_ns = settings->interval_ns,
        .duration_ns = settings->duration_ns,
        .count = settings->count,
        .filter = filter,
        .filter_text = filter_text,
        .say = say,
    };
    const char *no = why_not(settings, is_terminal);
    if (no) {
        say("%s", no);
        return EXIT_MISUSE;
    }
    int error;
    if (settings->page.url)
        return watch_page(settings, filter, filter_text);
    if (settings->follow)
        error = watch_follow(&watch);
    else if (settings->json)
        error = watch_json(&watch);
    else if (settings->once || !is_terminal || !term_is_terminal(STDIN_FILENO))
        error = watch_once(&watch);
    else
        error = watch_screen(&watch);
    return error == 0 ? EXIT_DONE : EXIT_NETWORK;
}

/* The words of the command line as one text, for the filter line of the full screen. */
static bool join(int n_words, char *const *words, char ret_text[FILTER_TEXT_MAX])
{
    size_t n = 0;
    ret_text[0] = '\0';
    for (int i = 0; i < n_words; i++) {
        size_t n_word = strlen(words[i]);
        if (n + n_word + 2 > FILTER_TEXT_MAX)
            return false;
        if (i > 0)
            ret_text[n++] = ' ';
        memcpy(ret_text + n, words[i], n_word + 1);
        n += n_word;
    }
    return true;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.sort = -1};
    struct verb described = *verb;
    struct sockets_filter *filter = NULL;
    char why[192], text[FILTER_TEXT_MAX];
    int n_operands;

    described.more = _(more);
    int status = option_parse(&described, &settings, argc, argv, &n_operands);
    if (status != 0)
        return status - 1;
    if (!page_options_check(&settings.page))
        return EXIT_MISUSE;
    if (!join(n_operands, argv + 1, text)) {
        say(_("the filter is longer than %d characters."), FILTER_TEXT_MAX - 1);
        return EXIT_MISUSE;
    }
    if (n_operands > 0) {
        int error = filter_parse_words(n_operands, argv + 1, &filter, why);
        if (error != 0) {
            say(_("the filter is not understood: %s"), why);
            return EXIT_MISUSE;
        }
    }
    status = (int)watch(&settings, filter, text);
    filter_free(filter);
    return status;
}

const struct verb watch_verb = {
    .name = "watch",
    .summary = N_("Show the sockets of this machine live, and why they wait."),
    .usage = "[OPTION...] [FILTER...]",
    .options = options,
    .examples = examples,
    .run = run,
};
