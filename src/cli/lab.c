/* SPDX-License-Identifier: MIT */
/* sonde lab: which experiments are meant, and in which form their reports are wanted. */
#include "cli/near.h"
#include "cli/page_options.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "lab/run.h"
#include "lab/systems.h"
#include "page/page.h"
#include "term/escape.h"
#include "term/style.h"
#include "json/json.h"

#include <errno.h>
#include <signal.h>
#include <sonde/error.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBER(name) .member = offsetof(struct settings, name)

#define CHOSEN_MAX 128
#define TEXT_WIDTH_MAX 100
#define TEXT_WIDTH_MIN 40
#define LADDER_WIDTH_MAX_HERE 140
#define PREDICTION_BYTES 128
#define WORD_BYTES 128
#define LINE_BYTES 8192

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

struct settings {
    bool list, json, whole, markdown, predict, full, ascii;
    struct option_list claims;
    int chapter, color;
    const char *svg, *prediction;
    long long n_columns;
    struct page_options page;
};

static const char *const color_choices[] = {"auto", "always", "never", NULL};
static const char *const chapter_choices[] = {"sockets", "opening", "data", "trouble", "closing", "layers", NULL};

static const struct option_row options[] = {
    {.name = "claim",
     .value = "ID",
     .kind = OPTION_LIST,
     MEMBER(claims),
     .help = N_("run what checks this claim (C41); may be given several times"),
     .brief = true},
    {.name = "chapter",
     .kind = OPTION_CHOICE,
     MEMBER(chapter),
     .help = N_("run the experiments of this chapter"),
     .choices = chapter_choices,
     .brief = true},
    {.name = "predict",
     .kind = OPTION_FLAG,
     MEMBER(predict),
     .help = N_("ask the question first, wait for an answer, and compare"),
     .brief = true},
    {.name = "prediction",
     .value = "TEXT",
     .kind = OPTION_TEXT,
     MEMBER(prediction),
     .help = N_("the answer to the question, instead of being asked for it: \"b\", or what it says")},
    {.name = "list",
     .kind = OPTION_FLAG,
     MEMBER(list),
     .help = N_("list the experiments that are meant, and run none; this is what happens when none is named")},
    {.name = "json",
     .kind = OPTION_FLAG,
     MEMBER(json),
     .help = N_("a line of JSON for each claim; with --list, for each experiment")},
    {.name = "whole",
     .kind = OPTION_FLAG,
     MEMBER(whole),
     .help = N_("with --json: a line for each experiment, with all of its report: tables, ladders and plots (SVG), "
                "verdicts")},
    {.name = "markdown",
     .kind = OPTION_FLAG,
     MEMBER(markdown),
     .help = N_("a table of claims with their verdicts, and of systems, in Markdown")},
    PAGE_ROWS(struct settings),
    {.name = "svg",
     .value = "DIR",
     .kind = OPTION_TEXT,
     MEMBER(svg),
     .help = N_("write ladders and plots into this directory too, as NAME-1.svg and so on"),
     .brief = true},
    {.name = "full",
     .kind = OPTION_FLAG,
     MEMBER(full),
     .help = N_("wait as long as it takes (TIME_WAIT: a minute) instead of shortening it")},
    {.name = "width",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(n_columns),
     .help = N_("lay out for so many columns"),
     .minimum = TEXT_WIDTH_MIN,
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
    {"sonde lab", N_("which experiments there are, and what they check")},
    {"sonde lab two-queues", N_("run one, and see what this kernel does")},
    {"sonde lab --predict --claim C41", N_("say first what will come, then see")},
    {"sonde lab --svg pictures --chapter trouble", N_("loss, repeats and time-outs, drawn")},
    {"sonde lab --page", N_("all of them in a browser, to be chosen, predicted and run there")},
    {"sonde lab all --json", N_("all verdicts, for programs")},
    {NULL, NULL},
};

static const char more[] = N_("NAME is an experiment's, or \"all\". An argument behind a name that is no experiment's "
                              "is handed to it: sonde lab addresses ::1. Experiments run on two hosts of their own, "
                              "made of namespaces, which need no root; nothing is left behind. Exit status: 0 when "
                              "all was shown, whatever the verdicts; 1 when something could not be.\n");

struct chosen {
    const struct experiment *experiments[CHOSEN_MAX];
    const char *given[CHOSEN_MAX];
    unsigned n;
};

/* ---- which */

static const struct experiment *find(const char *name)
{
    for (size_t i = 0; experiments[i]; i++) {
        if (strcasecmp(experiments[i]->name, name) == 0)
            return experiments[i];
    }
    return NULL;
}

/* Where it stands among the chosen; made when it is not there. CHOSEN_MAX: no room. */
static unsigned choose(struct chosen *chosen, const struct experiment *experiment)
{
    for (unsigned i = 0; i < chosen->n; i++) {
        if (chosen->experiments[i] == experiment)
            return i;
    }
    if (chosen->n == CHOSEN_MAX)
        return CHOSEN_MAX;
    chosen->experiments[chosen->n] = experiment;
    return chosen->n++;
}

static bool choose_claim(struct chosen *chosen, const char *id)
{
    bool found = false;
    for (size_t i = 0; experiments[i]; i++) {
        for (const struct lab_claim *claim = experiments[i]->claims; claim->id; claim++) {
            if (strcasecmp(claim->id, id) == 0) {
                choose(chosen, experiments[i]);
                found = true;
            }
        }
    }
    return found;
}

static void say_unknown(const char *word)
{
    char text[WORD_BYTES];
    struct near near;
    escape_short(word, strlen(word), text, sizeof text);
    near_begin(&near, word);
    for (size_t i = 0; experiments[i]; i++)
        near_try(&near, experiments[i]->name);
    near_try(&near, "all");
    if (near.best)
        say(_("%s is not an experiment. Did you mean sonde lab %s?"), text, near.best);
    else
        say(_("%s is not an experiment. \"sonde lab\" lists those there are."), text);
}

/* Is this for the experiment before it? It has to look like something that is looked at: an address. */
static bool is_operand(const char *word)
{
    return strpbrk(word, ".:/%") != NULL || strspn(word, "0123456789") == strlen(word);
}

static bool choose_words(struct chosen *chosen, int n_words, char **words)
{
    unsigned last = CHOSEN_MAX;
    for (int i = 0; i < n_words; i++) {
        const struct experiment *experiment = find(words[i]);
        if (experiment) {
            last = choose(chosen, experiment);
        } else if (strcasecmp(words[i], "all") == 0) {
            for (size_t at = 0; experiments[at]; at++)
                choose(chosen, experiments[at]);
        } else if (last < CHOSEN_MAX && is_operand(words[i])) {
            chosen->given[last] = words[i];
        } else {
            say_unknown(words[i]);
            return false;
        }
    }
    return true;
}

static bool choose_all(struct chosen *chosen, const struct settings *settings, int n_words, char **words)
{
    if (!choose_words(chosen, n_words, words))
        return false;
    for (unsigned i = 0; i < settings->claims.n; i++) {
        char text[WORD_BYTES];
        const char *id = settings->claims.values[i];
        if (choose_claim(chosen, id))
            continue;
        escape_short(id, strlen(id), text, sizeof text);
        say(_("no experiment checks a claim %s. \"sonde lab\" lists those that are checked."), text);
        return false;
    }
    for (size_t i = 0; settings->chapter >= 0 && experiments[i]; i++) {
        if ((int)experiments[i]->chapter == settings->chapter)
            choose(chosen, experiments[i]);
    }
    return true;
}

/* ---- list */

static void list_json(const struct experiment *experiment)
{
    char line[LINE_BYTES];
    struct json json;
    json_begin(&json, line, sizeof line);
    json_string(&json, "experiment", experiment->name);
    json_string(&json, "chapter", lab_chapter_short_name(experiment->chapter));
    json_string(&json, "title", experiment->title);
    json_array_begin(&json, "claims");
    for (const struct lab_claim *claim = experiment->claims; claim->id; claim++)
        json_string(&json, NULL, claim->id);
    json_array_end(&json);
    json_array_begin(&json, "systems");
    for (const char *at = experiment->systems; at && *at;) {
        size_t n = strcspn(at, " ");
        json_text(&json, NULL, at, n);
        at += n + strspn(at + n, " ");
    }
    json_array_end(&json);
    json_boolean(&json, "needs_wire", (experiment->needs & (LAB_WIRE | LAB_SECOND_PATH)) != 0);
    json_number(&json, "milliseconds", experiment->milliseconds);
    size_t n = json_end(&json);
    fwrite(line, 1, n, stdout);
}

static void list_text(const struct experiment *experiment, const struct render_options *render)
{
    struct wrapped wrapped = {.out = stdout, .width = render->width - 2, .indent = 24, .unicode = render->unicode};
    char text[512];
    size_t n = 0;
    printf("  %-21s ", experiment->name);
    wrapped.column = strlen(experiment->name) > 21 ? (unsigned)strlen(experiment->name) + 3 : wrapped.indent;
    wrap_words(&wrapped, experiment->title);
    for (const struct lab_claim *claim = experiment->claims; claim->id && n < sizeof text; claim++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? " " : "", claim->id);
    if (experiment->systems && n < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? ", " : "", experiment->systems);
    if (n < sizeof text)
        snprintf(text + n, sizeof text - n, _("; %.1f s"), experiment->milliseconds / 1000.0);
    wrap_newline(&wrapped);
    wrap_words(&wrapped, text);
    putchar('\n');
}

static void list(const struct chosen *chosen, const struct settings *settings, const struct render_options *render)
{
    int chapter = -1;
    double total = 0;
    for (unsigned i = 0; i < chosen->n; i++) {
        const struct experiment *experiment = chosen->experiments[i];
        total += experiment->milliseconds / 1000.0;
        if (settings->json) {
            list_json(experiment);
            continue;
        }
        if ((int)experiment->chapter != chapter)
            printf("%s%s\n", chapter < 0 ? "" : "\n", lab_chapter_name(experiment->chapter));
        chapter = (int)experiment->chapter;
        list_text(experiment, render);
    }
    if (!settings->json)
        printf(_("\nTo run one: sonde lab NAME. To run all, in about %.0f s: sonde lab all\n"), total);
}

/* ---- run */

/* What the reader thinks, fit for a terminal, without the blanks around it. */
static void take_answer(const char *text, char ret_answer[PREDICTION_BYTES])
{
    const char *begin = text + strspn(text, " \t");
    size_t n = strlen(begin);
    while (n > 0 && (begin[n - 1] == ' ' || begin[n - 1] == '\t'))
        n--;
    escape_short(begin, n, ret_answer, PREDICTION_BYTES);
}

static void ask(const struct experiment *experiment, const struct render_options *render,
                char ret_answer[PREDICTION_BYTES])
{
    struct wrapped wrapped = {.out = stdout, .width = render->width - 2, .unicode = render->unicode};
    char line[PREDICTION_BYTES] = "";
    printf("%s: ", experiment->name);
    wrapped.column = (unsigned)strlen(experiment->name) + 2;
    wrapped.indent = 2;
    if (experiment->question)
        wrap_words(&wrapped, experiment->question);
    for (size_t i = 0; experiment->choices && experiment->choices[i]; i++) {
        wrap_newline(&wrapped);
        wrap_words(&wrapped, experiment->choices[i]);
    }
    printf("\n%s ", _("Your answer:"));
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        line[0] = '\0';
    if (!term_is_terminal(STDIN_FILENO))
        putchar('\n'); /* nobody has typed one */
    line[strcspn(line, "\r\n")] = '\0';
    take_answer(line, ret_answer);
}

struct running {
    const struct settings *settings;
    struct lab_request request;
    int signal_fd;
    FILE *out; /* the rows of Markdown are sorted before they are shown */
    unsigned n_not_shown, n_failed, n_pictures;
    char not_shown[1024];
    int picture_error;
};

static void note_not_shown(struct running *running, const struct experiment *experiment,
                           const struct lab_outcome *outcome)
{
    for (unsigned i = 0; experiment->claims[i].id; i++) {
        size_t n = strlen(running->not_shown);
        if (!(outcome->not_shown >> i & 1))
            continue;
        snprintf(running->not_shown + n, sizeof running->not_shown - n, "%s%s (%s)", n > 0 ? ", " : "",
                 experiment->claims[i].id, experiment->name);
        running->n_not_shown++;
    }
}

/* EXIT_DONE to go on. */
static enum exit_status run_one(struct running *running, const struct experiment *experiment, const char *given)
{
    char prediction[PREDICTION_BYTES];
    struct lab_outcome outcome;
    running->request.given = given;
    running->request.prediction = NULL;
    if (running->settings->predict && experiment->question) {
        ask(experiment, &running->request.render, prediction);
        running->request.prediction = prediction[0] ? prediction : NULL;
        putchar('\n');
    } else if (running->settings->prediction && experiment->question) {
        take_answer(running->settings->prediction, prediction);
        running->request.prediction = prediction[0] ? prediction : NULL;
    }
    int error = lab_run(experiment, &running->request, running->signal_fd, running->out, &outcome);
    if (error < 0) {
        say(_("%s could not be run: %s."), experiment->name, sonde_strerror(error));
        return EXIT_NETWORK;
    }
    if (outcome.interrupted)
        return EXIT_INTERRUPTED;
    note_not_shown(running, experiment, &outcome);
    if (outcome.failed) {
        say(_("%s could not show what it is there for."), experiment->name);
        running->n_failed++;
    }
    running->n_pictures += outcome.n_pictures;
    if (running->picture_error == 0)
        running->picture_error = outcome.picture_error;
    return EXIT_DONE;
}

static enum exit_status conclude(const struct running *running)
{
    if (running->picture_error != 0)
        say(_("a picture could not be written into %s: %s."), running->settings->svg,
            sonde_strerror(running->picture_error));
    if (running->n_not_shown > 0)
        say(ngettext("%u claim could not be shown here: %s.", "%u claims could not be shown here: %s.",
                     running->n_not_shown),
            running->n_not_shown, running->not_shown);
    return running->n_not_shown > 0 || running->n_failed > 0 || running->picture_error != 0 ? EXIT_NETWORK : EXIT_DONE;
}

static enum exit_status run_each(struct running *running, const struct chosen *chosen)
{
    for (unsigned i = 0; i < chosen->n; i++) {
        if (i > 0 && running->request.format == LAB_TEXT)
            putchar('\n');
        enum exit_status status = run_one(running, chosen->experiments[i], chosen->given[i]);
        if (status != EXIT_DONE)
            return status;
        fflush(stdout);
        if (ferror(stdout))
            return EXIT_NETWORK; /* nobody reads any more */
    }
    return EXIT_DONE;
}

static enum exit_status run_markdown(struct running *running, const struct chosen *chosen)
{
    char *rows = NULL;
    size_t n_rows = 0;
    running->out = open_memstream(&rows, &n_rows);
    if (!running->out) {
        say(_("no memory for the table."));
        return EXIT_NETWORK;
    }
    enum exit_status status = run_each(running, chosen);
    fclose(running->out);
    if (status == EXIT_DONE)
        systems_markdown(rows, stdout);
    free(rows);
    return status;
}

/* SIGINT is waited for beside the experiment, unless it is ignored (nohup). */
static int open_signals(void)
{
    struct sigaction action;
    sigset_t set;
    if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        return -1;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd >= 0)
        sigprocmask(SIG_BLOCK, &set, NULL);
    return fd;
}

static struct render_options render_options(const struct settings *settings)
{
    unsigned width = settings->n_columns > 0 ? (unsigned)settings->n_columns : term_width(STDOUT_FILENO);
    struct render_options render = {
        .width = width > TEXT_WIDTH_MAX ? TEXT_WIDTH_MAX : width,
        .ladder_width = width > LADDER_WIDTH_MAX_HERE ? LADDER_WIDTH_MAX_HERE : width,
        .unicode = !settings->ascii && term_is_unicode(),
        .color = settings->color == WHEN_ALWAYS || (settings->color != WHEN_NEVER && term_wants_color(STDOUT_FILENO)),
    };
    if (render.width < TEXT_WIDTH_MIN)
        render.width = TEXT_WIDTH_MIN;
    /* JSON is UTF-8 whatever a terminal is. */
    render.unicode = render.unicode || (settings->whole && !settings->ascii);
    return render;
}

static const char *why_not(const struct settings *settings)
{
    struct stat status;
    if (settings->json && settings->markdown)
        return _("--json and --markdown exclude each other.");
    if (settings->list && (settings->markdown || settings->predict || settings->svg))
        return _("--list runs nothing: --markdown, --predict and --svg are for what is run.");
    if (settings->predict && (settings->json || settings->markdown))
        return _("--predict is for people; --json and --markdown are not.");
    if (settings->whole && (!settings->json || settings->list))
        return _("--whole is the whole report as JSON: it needs --json, and an experiment.");
    if (settings->prediction && settings->predict)
        return _("--prediction is the answer that --predict would ask for: give one of them.");
    if (settings->prediction && (settings->list || settings->markdown || (settings->json && !settings->whole)))
        return _("--prediction is for a report that shows it: the text, or --json --whole.");
    if (settings->svg && stat(settings->svg, &status) == 0 && !S_ISDIR(status.st_mode))
        return _("--svg needs a directory.");
    return NULL;
}

static enum exit_status lab(const struct settings *settings, struct chosen *chosen, bool any_named)
{
    struct running running = {.settings = settings, .signal_fd = -1, .out = stdout};
    running.request = (struct lab_request){
        .format = settings->whole      ? LAB_WHOLE
                  : settings->json     ? LAB_JSON
                  : settings->markdown ? LAB_MARKDOWN
                                       : LAB_TEXT,
        .render = render_options(settings),
        .full = settings->full,
        .svg_directory = settings->svg,
    };
    if (settings->list || !any_named) {
        for (size_t i = 0; !any_named && experiments[i]; i++)
            choose(chosen, experiments[i]);
        list(chosen, settings, &running.request.render);
        return EXIT_DONE;
    }
    if (settings->svg && mkdir(settings->svg, 0777) < 0 && errno != EEXIST) {
        say(_("%s could not be made: %s."), settings->svg, sonde_strerror(-errno));
        return EXIT_NETWORK;
    }
    running.signal_fd = open_signals();
    enum exit_status status = settings->markdown ? run_markdown(&running, chosen) : run_each(&running, chosen);
    if (running.signal_fd >= 0)
        close(running.signal_fd);
    return status == EXIT_DONE ? conclude(&running) : status;
}

/* The experiments are chosen there. */
static enum exit_status lab_page(const struct settings *settings, bool any_named)
{
    struct page_settings page = {
        .verb = "lab",
        .title = "lab",
        .rights = PAGE_SEE | PAGE_RUN,
        .rows = PAGE_ROWS_STREAMS,
    };
    if (any_named || settings->list || settings->json || settings->markdown || settings->predict || settings->svg ||
        settings->prediction || settings->full) {
        say(_("experiments are chosen and run in the page: leave out names and options beside --page."));
        return EXIT_MISUSE;
    }
    return page_options_serve(&settings->page, &page,
                              _("The lab shows the packets of its experiments in its reports."));
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.chapter = -1};
    struct verb described = *verb;
    struct chosen chosen = {.n = 0};
    int n_operands;
    described.more = _(more);
    int status = option_parse(&described, &settings, argc, argv, &n_operands);
    if (status != 0)
        return status - 1;
    const char *no = why_not(&settings);
    if (no) {
        say("%s", no);
        return EXIT_MISUSE;
    }
    if (!page_options_check(&settings.page))
        return EXIT_MISUSE;
    if (settings.page.url)
        return (int)lab_page(&settings, n_operands > 0 || settings.claims.n > 0 || settings.chapter >= 0);
    if (!choose_all(&chosen, &settings, n_operands, argv + 1))
        return EXIT_MISUSE;
    return (int)lab(&settings, &chosen, n_operands > 0 || settings.claims.n > 0 || settings.chapter >= 0);
}

const struct verb lab_verb = {
    .name = "lab",
    .summary = N_("Check what is said of sockets on this machine's kernel."),
    .usage = "[OPTION...] [NAME... | all]",
    .options = options,
    .examples = examples,
    .run = run,
};
