/* SPDX-License-Identifier: MIT */
/* sonde version: which sonde, on which kernel, and what works here. */
#include "cli/page_options.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "term/escape.h"
#include "json/json.h"

#include <sonde/loop.h>
#include <sonde/version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define REASON_MAX 400

struct settings {
    bool json;
};

static const struct option_row options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .member = offsetof(struct settings, json),
     .help = N_("one line of JSON"),
     .brief = true},
    {.kind = OPTION_FLAG},
};

static const struct example examples[] = {
    {"sonde version", N_("the version, whether io_uring works here, and whether there is a page")},
    {"sonde version --json", N_("the same for programs")},
    {NULL, NULL},
};

/* In the order in which they are preferred. */
static const enum sonde_engine engines[] = {SONDE_ENGINE_URING, SONDE_ENGINE_EPOLL};
#define N_ENGINES (sizeof engines / sizeof engines[0])

struct facts {
    struct utsname system;
    struct sonde_why why[N_ENGINES]; /* code 0: the engine works */
    const char *default_engine;      /* NULL: none works */
};

static void find_facts(struct facts *ret_facts)
{
    *ret_facts = (struct facts){.default_engine = NULL};
    uname(&ret_facts->system);
    for (size_t i = 0; i < N_ENGINES; i++) {
        struct sonde_why why = {.call = ""};
        int error = sonde_engine_probe(engines[i], &why);
        why.code = error;
        ret_facts->why[i] = why;
        if (error == 0 && !ret_facts->default_engine)
            ret_facts->default_engine = sonde_engine_name(engines[i]);
    }
}

static void format_reason(const struct sonde_why *why, char *ret_text)
{
    const char *words = sonde_strerror(why->code);
    if (why->detail[0] != '\0')
        snprintf(ret_text, REASON_MAX, "%s: %s (%s)", why->call, words, why->detail);
    else
        snprintf(ret_text, REASON_MAX, "%s: %s", why->call, words);
}

/* The library may be another than the one that sonde was built with. */
static void show_text(const struct facts *facts)
{
    printf("sonde %s\n", SONDE_VERSION_STRING);
    if (strcmp(sonde_version(), SONDE_VERSION_STRING) != 0)
        printf("libsonde %s\n", sonde_version());
    for (size_t i = 0; i < N_ENGINES; i++) {
        const char *name = sonde_engine_name(engines[i]);
        char reason[REASON_MAX];
        format_reason(&facts->why[i], reason);
        if (facts->why[i].code == 0)
            printf("engine %s  available\n", name);
        else
            printf("engine %s  not available: %s\n", name, reason);
    }
    printf("default engine %s\n", facts->default_engine ? facts->default_engine : "none");
    printf("page %s\n", page_is_built() ? "yes" : "no: built without the page");
    printf("kernel %s\n", facts->system.release);
#ifdef SONDE_LIBURING_VERSION
    printf("liburing %s\n", SONDE_LIBURING_VERSION);
#endif
}

static void show_json(const struct facts *facts)
{
    char line[JSON_ROOM(N_ENGINES * REASON_MAX)];
    struct json json;
    json_begin(&json, line, sizeof line);
    json_string(&json, "version", SONDE_VERSION_STRING);
    json_string(&json, "library", sonde_version());
    json_string(&json, "default_engine", facts->default_engine);
    for (size_t i = 0; i < N_ENGINES; i++) {
        const struct sonde_why *why = &facts->why[i];
        const char *name = sonde_engine_name(engines[i]);
        char key[32], reason[REASON_MAX];
        json_boolean(&json, name, why->code == 0);
        if (why->code == 0)
            continue;
        format_reason(why, reason);
        snprintf(key, sizeof key, "%s_error", name);
        json_string(&json, key, sonde_error_name(why->code));
        snprintf(key, sizeof key, "%s_reason", name);
        json_string(&json, key, reason);
    }
    json_boolean(&json, "page", page_is_built());
    json_string(&json, "kernel", facts->system.release);
#ifdef SONDE_LIBURING_VERSION
    json_string(&json, "liburing", SONDE_LIBURING_VERSION);
#endif
    if (json_end(&json) > 0)
        fputs(line, stdout);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.json = false};
    int n_operands, status = option_parse(verb, &settings, argc, argv, &n_operands);
    if (status != 0)
        return status - 1;
    if (n_operands > 0) {
        char text[64];
        escape_short(argv[1], strlen(argv[1]), text, sizeof text);
        say(_("version takes no operand; \"%s\" is one too many."), text);
        return EXIT_MISUSE;
    }
    struct facts facts;
    find_facts(&facts);
    if (settings.json)
        show_json(&facts);
    else
        show_text(&facts);
    return EXIT_DONE;
}

const struct verb version_verb = {
    .name = "version",
    .summary = N_("Print the version, and which engines work here."),
    .usage = "[OPTION...]",
    .options = options,
    .examples = examples,
    .run = run,
};
