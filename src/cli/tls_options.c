/* SPDX-License-Identifier: MIT */
#include "cli/tls_options.h"

#include "term/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_VARIABLE "SONDE_KEY_PASSWORD"
#define KEYLOG_VARIABLE "SSLKEYLOGFILE"
#define PASSWORD_MAX 1024
#define WORD_MAX 400

const char *const tls_verify_choices[] = {"no", "ask", "require", NULL};

const char *tls_first_given(const struct tls_settings *settings)
{
    const struct {
        bool given;
        const char *name;
    } rows[] = {
        {settings->cert != NULL, "--cert"},
        {settings->key != NULL, "--key"},
        {settings->key_password_file != NULL, "--key-password-file"},
        {settings->cacert != NULL, "--cacert"},
        {settings->alpn != NULL, "--alpn"},
        {settings->pin != NULL, "--pin"},
        {settings->insecure, "--insecure"},
        {settings->server_name != NULL, "--server-name"},
        {settings->cert_names.n > 0, "--cert-name"},
        {settings->verify_client > 0, "--verify-client"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].given)
            return rows[i].name;
    return NULL;
}

enum exit_status tls_check(const struct tls_settings *settings, bool listens)
{
    const struct {
        bool given;
        const char *sentence;
    } rows[] = {
        {settings->key != NULL && settings->cert == NULL, N_("--key is the key of a certificate: give --cert, too.")},
        {settings->key_password_file != NULL && settings->cert == NULL,
         N_("--key-password-file is about the key of a certificate: give --cert, too.")},
        {settings->cert != NULL && settings->cert_names.n > 0,
         N_("--cert-name is for a certificate that is made here, and --cert gives one: leave one of them out.")},
        {settings->insecure && settings->pin != NULL,
         N_("--pin trusts one certificate and --insecure any: give one of them.")},
        {settings->verify_client > 0 && settings->cacert == NULL,
         N_("--verify-client needs --cacert FILE: whose certificates are to be believed?")},
        {listens && settings->verify_client == 0 && settings->cacert != NULL,
         N_("--cacert says whose clients are believed: --verify-client ask or require lets them show who they are.")},
        {listens && settings->insecure,
         N_("--insecure is for connecting: who listens verifies nobody unless told to.")},
        {listens && settings->pin != NULL, N_("--pin is for connecting: whom a listener lets in, --cacert says.")},
        {listens && settings->server_name != NULL,
         N_("--server-name is for connecting: a certificate that is made here gets names with sonde serve "
            "--cert-name.")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].given)
            continue;
        say("%s", _(rows[i].sentence));
        return EXIT_MISUSE;
    }
    return EXIT_DONE;
}

/* --- the password ------------------------------------------------------------------------------------------------- */

static enum exit_status say_file(const char *file, const char *words)
{
    char shown[WORD_MAX];

    escape_short(file, strlen(file), shown, sizeof shown);
    say(_("%s cannot be used: %s."), shown, words);
    return EXIT_MISUSE;
}

/* Its first line. */
static enum exit_status read_password(const char *file, char ret_password[PASSWORD_MAX])
{
    struct stat stat;

    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return say_file(file, sonde_strerror(-errno));
    bool is_public = fstat(fd, &stat) == 0 && (stat.st_mode & 07) != 0;
    ssize_t n = read(fd, ret_password, PASSWORD_MAX - 1);
    int error = n < 0 ? -errno : 0;
    close(fd);
    if (error < 0)
        return say_file(file, sonde_strerror(error));
    ret_password[n] = '\0';
    ret_password[strcspn(ret_password, "\r\n")] = '\0';
    if (is_public)
        return say_file(file, _("everybody may read this password; chmod 600 makes it private"));
    if (ret_password[0] == '\0')
        return say_file(file, _("its first line is empty, and no password"));
    return EXIT_DONE;
}

static enum exit_status find_password(const struct tls_settings *settings, char ret_password[PASSWORD_MAX])
{
    const char *given = getenv(PASSWORD_VARIABLE);
    enum exit_status status = EXIT_DONE;

    ret_password[0] = '\0';
    if (settings->key_password_file != NULL) {
        status = read_password(settings->key_password_file, ret_password);
    } else if (given != NULL && strlen(given) >= PASSWORD_MAX) {
        say(_("%s is too long for a password: it has at most %d bytes."), PASSWORD_VARIABLE, PASSWORD_MAX - 1);
        status = EXIT_MISUSE;
    } else if (given != NULL) {
        strcpy(ret_password, given);
    }
    /* Programs that are run from here are not to know it. */
    unsetenv(PASSWORD_VARIABLE);
    return status;
}

/* --- making it ---------------------------------------------------------------------------------------------------- */

static enum exit_status say_failure(const struct sonde_why *why)
{
    char subject[WORD_MAX], detail[WORD_MAX];

    escape_short(why->subject, strlen(why->subject), subject, sizeof subject);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (why->code == -ELIBACC) {
        say(_("TLS needs OpenSSL 3, which cannot be loaded: %s. On Debian, apt install libssl3 brings it."), detail);
        return EXIT_NETWORK;
    }
    if (subject[0] == '\0')
        say(_("TLS cannot be set up: %s."), detail[0] != '\0' ? detail : sonde_strerror(why->code));
    else if (detail[0] != '\0')
        say(_("%s cannot be used: %s."), subject, detail);
    else
        say(_("%s cannot be used: %s."), subject, sonde_strerror(why->code));
    return why->code == -ENOMEM ? EXIT_NETWORK : EXIT_MISUSE;
}

/* Whoever wants to see packets in the clear has said so for all programs: one that can't write there does its work
 * nevertheless. */
static const char *find_keylog(void)
{
    const char *file = getenv(KEYLOG_VARIABLE);

    if (file == NULL || file[0] == '\0')
        return NULL;
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        char shown[WORD_MAX];
        int error = -errno;
        escape_short(file, strlen(file), shown, sizeof shown);
        say(_("%s cannot be written: %s. The secrets of TLS are not kept (%s)."), shown, sonde_strerror(error),
            KEYLOG_VARIABLE);
        return NULL;
    }
    close(fd);
    return file;
}

enum exit_status tls_make(const struct tls_settings *settings, bool listens, struct sonde_tls **ret_tls)
{
    const char *names[OPTION_LIST_MAX + 1] = {NULL};
    char password[PASSWORD_MAX];
    struct sonde_why why;

    enum exit_status status = find_password(settings, password);
    if (status != EXIT_DONE)
        return status;
    memcpy(names, settings->cert_names.values, settings->cert_names.n * sizeof names[0]);
    struct sonde_tls_options options = {
        .size = sizeof options,
        .server = listens,
        .cert_file = settings->cert,
        .key_file = settings->key,
        .key_password = password[0] != '\0' ? password : NULL,
        .ca_file = settings->cacert,
        .names = names,
        .server_name = settings->server_name,
        .alpn = settings->alpn,
        .pin = settings->pin,
        .insecure = settings->insecure,
        .verify_client = settings->verify_client,
        .keylog_file = find_keylog(),
    };
    int error = sonde_tls_create(&options, ret_tls, &why);
    explicit_bzero(password, sizeof password);
    return error < 0 ? say_failure(&why) : EXIT_DONE;
}

void tls_say_fingerprint(const struct sonde_tls *tls, const char *url)
{
    if (tls == NULL || !sonde_tls_is_adhoc(tls))
        return;
    say(_("there is no --cert: a certificate was made for this run. To trust it: sonde connect --pin %s %s"),
        sonde_tls_fingerprint(tls), url);
}
