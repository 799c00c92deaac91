/* SPDX-License-Identifier: MIT */
/*
 * What every verb may rely on: descriptors 0 to 2 are open, SIGPIPE does not kill, the limit of open files is as high
 * as it may be. Then the verb runs.
 */
#include "cli/help.h"
#include "cli/near.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "term/escape.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <sonde/version.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define VERB_COLUMN 14
#define WORD_MAX 128

/* Started with one of them closed, the next socket would become standard output. open takes the lowest that is free. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
            _exit(EXIT_NETWORK);
    }
}

/* Not LC_NUMERIC: numbers are read by programs, and 0.5 stays 0.5. */
static void choose_language(void)
{
    setlocale(LC_CTYPE, "");
    setlocale(LC_MESSAGES, "");
#ifdef SONDE_LOCALEDIR
    bindtextdomain("sonde", SONDE_LOCALEDIR);
#endif
    textdomain("sonde");
}

static void prepare(void)
{
    open_standard_descriptors();
    choose_language();
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void show_help(FILE *out)
{
    fputs(_("Usage: sonde VERB [OPTION...] [ADDRESS...]\n"), out);
    help_paragraphs(out, _("Runs either end of a socket and shows what happens in between."));
    fprintf(out, "\n%s\n", _("Verbs:"));
    for (const struct verb *const *verb = verbs; *verb; verb++)
        help_columns(out, (*verb)->name, _((*verb)->summary), VERB_COLUMN);
    fprintf(out, "\n");
    help_paragraphs(out, _("sonde VERB -h shows what a verb takes, sonde VERB --help all of it. Addresses are URLs: "
                           "tcp://127.0.0.1:7007, udp://, tls://, ws://, wss://, unix:/run/x.sock and more (man "
                           "sonde-url); host:port and :port are TCP, and serve answers any client on any://. "
                           "sonde --version prints the version."));
}

static const struct verb *find_verb(const char *name)
{
    for (const struct verb *const *verb = verbs; *verb; verb++) {
        if (strcmp((*verb)->name, name) == 0)
            return *verb;
    }
    return NULL;
}

static int say_unknown_verb(const char *word)
{
    char text[WORD_MAX];
    escape_short(word, strlen(word), text, sizeof text);
    struct near near;
    near_begin(&near, word);
    for (const struct verb *const *verb = verbs; *verb; verb++)
        near_try(&near, (*verb)->name);
    if (word[0] == '-')
        say(_("%s is not an option of sonde. Options stand behind the verb: sonde VERB [OPTION...]"), text);
    else if (strpbrk(word, ":/"))
        say(_("%s is not a verb. To connect to that address: sonde connect %s"), text, text);
    else if (near.best)
        say(_("%s is not a verb. Did you mean sonde %s?"), text, near.best);
    else
        say(_("%s is not a verb. \"sonde --help\" lists those there are."), text);
    return EXIT_MISUSE;
}

static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    return poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

/* What could not be written must not look like success. Only a reader that has gone away knows it already. */
static int finish(int status)
{
    int error = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;
    if (error == EIO && reader_is_gone()) /* an earlier write has found out */
        error = EPIPE;
    if (error == 0 || status != EXIT_DONE)
        return status;
    if (error != EPIPE)
        say(_("writing to standard output failed: %s."), sonde_strerror(-error));
    return EXIT_NETWORK;
}

static int run(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "--help";
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        show_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("sonde %s\n", SONDE_VERSION_STRING);
        return EXIT_DONE;
    }
    const struct verb *verb = find_verb(word);
    return verb ? verb->run(verb, argc - 1, argv + 1) : say_unknown_verb(word);
}

int main(int argc, char **argv)
{
    if (wire_process_asked(argc, argv))
        return wire_process_run();
    prepare();
    return finish(run(argc, argv));
}
