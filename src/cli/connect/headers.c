/* SPDX-License-Identifier: MIT */
#include "cli/connect/headers.h"

#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_CHARACTERS "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static size_t name_length(const char *text, size_t n_text)
{
    size_t n = 0;

    while (n < n_text && text[n] != '\0' && strchr(NAME_CHARACTERS, text[n]) != NULL)
        n++;
    return n;
}

bool header_is_right(const char *text, size_t n_text)
{
    size_t n_name = name_length(text, n_text);

    if (n_name == 0 || n_name == n_text || text[n_name] != ':')
        return false;
    for (size_t i = n_name; i < n_text; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool keep(struct headers *headers, const char *text, size_t n_text)
{
    if (headers->n == HEADERS_MAX) {
        say(_("more than %u headers are not sent: leave some out."), HEADERS_MAX);
        return false;
    }
    headers->lines[headers->n] = strndup(text, n_text);
    if (headers->lines[headers->n] == NULL) {
        say(_("memory is short."));
        return false;
    }
    headers->n++;
    return true;
}

/* The value is a secret perhaps: it is not shown. */
static bool add_text(struct headers *headers, char *text)
{
    size_t n_text = strlen(text), n_name = name_length(text, n_text);
    char shown[128];

    if (!header_is_right(text, n_text)) {
        escape_short(text, n_name < 40 ? n_name : 40, shown, sizeof shown);
        say(_("--header %s...: it is a name, a colon and a value, without control characters: --header 'Cookie: a=b'"),
            shown);
        return false;
    }
    bool kept = keep(headers, text, n_text);
    memset(text + n_name + 1, 'x', n_text - n_name - 1);
    return kept;
}

/* The whole of it, with a NUL behind. Returns its length, or a negative error. */
static ssize_t read_whole(const char *name, char *ret_text, size_t size_bytes)
{
    size_t n_bytes = 0;
    ssize_t n = -1;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return -errno;
    while (n_bytes < size_bytes - 1) {
        n = read(fd, ret_text + n_bytes, size_bytes - 1 - n_bytes);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        n_bytes += n > 0 ? (size_t)n : 0;
    }
    int error = n < 0 ? -errno : n > 0 ? -EFBIG : 0;
    close(fd);
    ret_text[n_bytes] = '\0';
    return error < 0 ? error : (ssize_t)n_bytes;
}

static bool add_lines(struct headers *headers, const char *shown, const char *text, size_t n_text)
{
    unsigned number = 0;

    while (n_text > 0) {
        const char *newline = memchr(text, '\n', n_text);
        size_t n_line = newline != NULL ? (size_t)(newline - text) : n_text, n_taken = n_line + (newline != NULL);
        size_t n_right = n_line > 0 && text[n_line - 1] == '\r' ? n_line - 1 : n_line;
        number++;
        if (n_right > 0 && text[0] != '#') {
            if (!header_is_right(text, n_right)) {
                say(_("--header @%s: line %u is no header, which is a name, a colon and a value without control "
                      "characters."),
                    shown, number);
                return false;
            }
            if (!keep(headers, text, n_right))
                return false;
        }
        text += n_taken;
        n_text -= n_taken;
    }
    return true;
}

static bool add_file(struct headers *headers, const char *name)
{
    char shown[256], *text = malloc(HEADERS_FILE_MAX);
    ssize_t n_text = text == NULL ? -ENOMEM : read_whole(name, text, HEADERS_FILE_MAX);
    bool added = false;

    escape_short(name, strlen(name), shown, sizeof shown);
    if (n_text == -EFBIG)
        say(_("%s cannot be read for --header: it has more than 64 KiB."), shown);
    else if (n_text < 0)
        say(_("%s cannot be read for --header: %s."), shown, sonde_strerror((int)n_text));
    else
        added = add_lines(headers, shown, text, (size_t)n_text);
    if (text != NULL)
        explicit_bzero(text, HEADERS_FILE_MAX);
    free(text);
    return added;
}

bool header_list_add(struct headers *headers, char *text)
{
    return text[0] == '@' ? add_file(headers, text + 1) : add_text(headers, text);
}

void header_list_free(struct headers *headers)
{
    for (unsigned i = 0; i < headers->n; i++) {
        explicit_bzero(headers->lines[i], strlen(headers->lines[i]));
        free(headers->lines[i]);
    }
    *headers = (struct headers){.n = 0};
}
