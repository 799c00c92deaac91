/* SPDX-License-Identifier: MIT */
/* What exec runs: the words behind "--", or --sh. It is looked for before anybody can connect. */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD_MAX 128
#define SHELL "/bin/sh"

static enum exit_status misuse(const char *sentence)
{
    say("%s", sentence);
    return EXIT_MISUSE;
}

/* 0, or why it cannot be run. */
static int check_file(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    if (!S_ISREG(status.st_mode))
        return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* As execvp(3) looks: the first file of PATH that may be run; one that may not is remembered. */
static int search(const char *name, const char *folders, char *ret_path, size_t size_bytes)
{
    int error = ENOENT;

    for (;;) {
        size_t n = strcspn(folders, ":");
        char path[PATH_MAX];
        int length = snprintf(path, sizeof path, "%.*s%s%s", (int)n, folders, n > 0 ? "/" : "./", name);
        int failed = length < (int)sizeof path ? check_file(path) : ENAMETOOLONG;
        if (failed == 0 || (failed == EACCES && error != EACCES))
            snprintf(ret_path, size_bytes, "%s", path);
        if (failed == 0)
            return 0;
        if (failed == EACCES)
            error = EACCES;
        if (folders[n] == '\0')
            return error;
        folders += n + 1;
    }
}

static int find_file(const char *name, char *ret_path, size_t size_bytes)
{
    const char *folders = getenv("PATH");

    if (name[0] == '\0')
        return ENOENT;
    if (strchr(name, '/') == NULL)
        return search(name, folders != NULL ? folders : "/bin:/usr/bin", ret_path, size_bytes);
    if (strlen(name) >= size_bytes)
        return ENAMETOOLONG;
    snprintf(ret_path, size_bytes, "%s", name);
    return check_file(name);
}

static enum exit_status say_not_found(const char *name, const char *path, int error)
{
    char shown[WORD_MAX], shown_path[WORD_MAX];

    escape_short(name, strlen(name), shown, sizeof shown);
    escape_short(path, strlen(path), shown_path, sizeof shown_path);
    if (error == ENOENT && strchr(name, '/') == NULL && name[0] != '\0' && check_file(name) == 0)
        say(_("%s is not found in PATH. The file of this folder is run with ./%s"), shown, shown);
    else if (error == ENOENT && strchr(name, '/') == NULL)
        say(strpbrk(name, " \t|<>&;$") == NULL ? _("%s is not found in PATH.")
                                               : _("%s is not found in PATH. Behind -- each argument is a word of its "
                                                   "own; --sh takes a whole command."),
            shown);
    else if (error == EACCES)
        say(_("%s may not be run: permission denied. Is it executable? chmod +x makes it so."), shown_path);
    else if (error == EISDIR)
        say(_("%s is a directory, and not a program."), shown_path);
    else
        say(_("%s cannot be run: %s."), shown, sonde_strerror(-error));
    return EXIT_MISUSE;
}

enum exit_status serve_program_check(const struct serve_settings *settings, const struct service *service)
{
    if (service->flags & SERVICE_TAKES_PROGRAM)
        return EXIT_DONE;
    if (settings->sh != NULL || settings->pty)
        return misuse(_("--sh and --pty are for exec."));
    return EXIT_DONE;
}

enum exit_status serve_program_find(struct serve *serve, unsigned n_words, char **words)
{
    const struct serve_settings *settings = serve->settings;
    struct program *program = &serve->program;

    if (settings->sh != NULL && n_words > 0)
        return misuse(
            _("--sh and -- exclude each other: with --sh a shell runs the command, behind -- stands a program "
              "with its arguments."));
    if (settings->sh == NULL && (n_words == 0 || words[0][0] == '\0'))
        return misuse(
            _("exec runs what? sonde serve exec :7007 -- date -u, or sonde serve exec :7007 --sh 'date; id'"));
    if (settings->sh != NULL) {
        program->shell[0] = SHELL;
        program->shell[1] = "-c";
        program->shell[2] = settings->sh;
        program->about.argv = (char *const *)program->shell;
    } else {
        program->about.argv = words; /* argv ends with NULL */
    }
    int error = find_file(program->about.argv[0], program->path, sizeof program->path);
    if (error != 0)
        return say_not_found(program->about.argv[0], program->path, error);
    program->about.path = program->path;
    program->about.pty = settings->pty;
    program->about.n_max = (unsigned)settings->max_children;
    /* Whoever has started us may have had it ignored, which is inherited: then children could not be waited for. */
    signal(SIGCHLD, SIG_DFL);
    return EXIT_DONE;
}

static bool is_loopback(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void serve_program_warn(const struct serve *serve)
{
    const struct worker *worker = &serve->workers[0];

    if (!(serve->service->flags & SERVICE_TAKES_PROGRAM))
        return;
    for (unsigned i = 0; i < serve->n_urls; i++) {
        const struct sonde_listener *listener = worker->places[i].listener;
        for (unsigned j = 0; j < sonde_listener_count(listener); j++) {
            struct sonde_url url;
            char text[SONDE_URL_MAX];
            sonde_listener_address(listener, j, &url);
            if (url.scheme != SONDE_SCHEME_TCP || is_loopback(url.host))
                continue;
            sonde_url_format(&url, text, sizeof text);
            say(_("anybody who can reach %s can run %s."), text, serve->settings->sh ? SHELL : serve->program.path);
            return;
        }
    }
}
