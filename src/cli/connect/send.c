/* SPDX-License-Identifier: MIT */
#include "cli/connect/send.h"

#include "cli/say.h"
#include "cli/unescape.h"
#include "term/escape.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_PREFIX "hex:"
#define SHOWN_BYTES 24 /* of what is wrong in a text */

/* ---- text */

static enum send_error unescape_text(const char *text, char *ret_bytes, size_t *ret_n_bytes, const char **ret_wrong)
{
    return unescape(text, ret_bytes, ret_n_bytes, ret_wrong) ? SEND_OK : SEND_ESCAPE;
}

static enum send_error unhex(const char *text, char *ret_bytes, size_t *ret_n_bytes, const char **ret_wrong)
{
    size_t n = 0;

    for (;;) {
        text += strspn(text, " \t\n");
        if (*text == '\0')
            break;
        if (unescape_digit(text[0]) < 0 || unescape_digit(text[1]) < 0) {
            *ret_wrong = text;
            return SEND_HEX;
        }
        ret_bytes[n++] = (char)(unescape_digit(text[0]) << 4 | unescape_digit(text[1]));
        text += 2;
    }
    *ret_n_bytes = n;
    return SEND_OK;
}

enum send_error send_parse(const char *text, bool crlf, char **ret_bytes, size_t *ret_n_bytes, const char **ret_file,
                           const char **ret_wrong)
{
    const size_t n_prefix = strlen(HEX_PREFIX);
    bool is_hex = strncmp(text, HEX_PREFIX, n_prefix) == 0;
    struct crlf state = {.after_cr = false};
    size_t n_bytes = 0;

    if (text[0] == '@') {
        *ret_bytes = NULL;
        *ret_n_bytes = 0;
        *ret_file = text + 1;
        *ret_wrong = text;
        return text[1] == '\0' ? SEND_NO_FILE : SEND_OK;
    }
    char *bytes = malloc(strlen(text) + 1);
    char *converted = crlf && !is_hex ? malloc(2 * strlen(text) + 1) : NULL;
    enum send_error error = bytes == NULL || (crlf && !is_hex && converted == NULL) ? SEND_MEMORY : SEND_OK;
    if (error == SEND_OK)
        error = is_hex ? unhex(text + n_prefix, bytes, &n_bytes, ret_wrong)
                       : unescape_text(text, bytes, &n_bytes, ret_wrong);
    if (error == SEND_OK && converted != NULL) {
        n_bytes = crlf_convert(&state, bytes, n_bytes, converted);
        free(bytes);
        bytes = converted;
        converted = NULL;
    }
    free(converted);
    if (error != SEND_OK) {
        free(bytes);
        return error;
    }
    *ret_bytes = bytes;
    *ret_n_bytes = n_bytes;
    *ret_file = NULL;
    return SEND_OK;
}

/* ---- the time table */

bool send_schedule_take(struct send_schedule *schedule, int64_t now_ns, int64_t *ret_due_ns)
{
    if (schedule->every_ns <= 0)
        return true;
    if (!schedule->begun) {
        schedule->begun = true;
        schedule->next_ns = now_ns;
    }
    if (now_ns < schedule->next_ns) {
        *ret_due_ns = schedule->next_ns;
        return false;
    }
    int64_t n_late = (now_ns - schedule->next_ns) / schedule->every_ns;
    schedule->n_missed += (uint64_t)n_late;
    schedule->next_ns += (n_late + 1) * schedule->every_ns;
    return true;
}

/* ---- what is given on the command line */

/* A FIFO that nobody writes to yet must not make opening wait: its reader polls it. */
static int open_file(struct send_piece *piece)
{
    struct stat st;

    piece->fd = strcmp(piece->file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                              : open(piece->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (piece->fd < 0 || fstat(piece->fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    piece->is_stream = !S_ISREG(st.st_mode);
    if (!piece->is_stream)
        piece->first_bytes = lseek(piece->fd, 0, SEEK_CUR);
    return piece->first_bytes < 0 ? -errno : 0;
}

static bool say_wrong(enum send_error error, const char *wrong)
{
    char shown[SHOWN_BYTES * ESCAPE_MAX_PER_BYTE + 4];

    switch (error) {
    case SEND_ESCAPE:
        escape_short(wrong, strnlen(wrong, 4), shown, sizeof shown);
        say(_("--send: a backslash means nothing in front of what stands at %s. \\n, \\r, \\t, \\0, \\\\ and \\xHH are "
              "understood."),
            shown);
        break;
    case SEND_HEX:
        escape_short(wrong, strnlen(wrong, SHOWN_BYTES), shown, sizeof shown);
        say(_("--send: no byte of two hexadecimal digits stands at \"%s\". For example: --send 'hex:48 65 6c 6c 6f'"),
            shown);
        break;
    case SEND_NO_FILE:
        say(_("--send @ needs the name of a file: --send @FILE. A text that begins with @ is written \\x40..."));
        break;
    case SEND_MEMORY:
    case SEND_OK:
        say(_("memory is short."));
        break;
    }
    return false;
}

bool send_add(struct send *send, const char *text, bool crlf)
{
    struct send_piece piece = {.fd = -1};
    const char *wrong = text;
    char shown[256];

    enum send_error error = send_parse(text, crlf, &piece.bytes, &piece.n_bytes, &piece.file, &wrong);
    if (error != SEND_OK)
        return say_wrong(error, wrong);
    int file_error = piece.file != NULL ? open_file(&piece) : 0;
    send->pieces[send->n_pieces++] = piece;
    send->empty = true;
    if (file_error == 0)
        return true;
    escape_short(piece.file, strlen(piece.file), shown, sizeof shown);
    say(_("%s cannot be read for --send: %s."), shown, sonde_strerror(file_error));
    return false;
}

const char *send_find_stream(const struct send *send)
{
    for (unsigned i = 0; i < send->n_pieces; i++) {
        if (send->pieces[i].bytes == NULL && send->pieces[i].is_stream)
            return send->pieces[i].file;
    }
    return NULL;
}

const char *send_file_name(const struct send *send)
{
    const struct send_piece *piece = &send->pieces[send->piece];

    return piece->file != NULL ? piece->file : "--send";
}

void send_free(struct send *send)
{
    for (unsigned i = 0; i < send->n_pieces; i++) {
        free(send->pieces[i].bytes);
        if (send->pieces[i].fd >= 0)
            close(send->pieces[i].fd);
    }
    send->n_pieces = 0;
}

/* ---- the source */

static ssize_t read_file(const struct send *send, const struct send_piece *piece, char *ret_bytes, size_t size_bytes,
                         struct input_wait *ret_wait)
{
    struct pollfd pollfd = {.fd = piece->fd, .events = POLLIN};
    ssize_t n_bytes;

    if (!piece->is_stream) {
        n_bytes = pread(piece->fd, ret_bytes, size_bytes, piece->first_bytes + (off_t)send->n_given_bytes);
    } else {
        ret_wait->fd = piece->fd;
        if (poll(&pollfd, 1, 0) <= 0)
            return -EAGAIN;
        n_bytes = read(piece->fd, ret_bytes, size_bytes);
    }
    if (n_bytes >= 0)
        return n_bytes;
    return errno == EINTR ? -EAGAIN : -errno;
}

static ssize_t read_piece(const struct send *send, char *ret_bytes, size_t size_bytes, struct input_wait *ret_wait)
{
    const struct send_piece *piece = &send->pieces[send->piece];

    if (piece->bytes == NULL)
        return read_file(send, piece, ret_bytes, size_bytes, ret_wait);
    size_t n_bytes = piece->n_bytes - (size_t)send->n_given_bytes;
    if (n_bytes > size_bytes)
        n_bytes = size_bytes;
    memcpy(ret_bytes, piece->bytes + send->n_given_bytes, n_bytes);
    return (ssize_t)n_bytes;
}

static void next_piece(struct send *send, bool draining)
{
    send->in_piece = false;
    send->n_given_bytes = 0;
    if (++send->piece < send->n_pieces)
        return;
    send->piece = 0;
    send->round++;
    /* Rounds that never end would keep a drain from ending, and rounds of nothing would be given in vain. */
    bool in_vain = send->empty && send->schedule.every_ns == 0;
    send->over = send->round >= send->n_rounds || in_vain || (draining && send->n_rounds == SEND_FOR_EVER);
    send->empty = true;
}

/* Fill the chunk, over several pieces if they do not wait. */
static ssize_t read_send(void *user, bool draining, void *ret_bytes, size_t size_bytes, struct input_wait *ret_wait)
{
    struct send *send = user;
    char *bytes = ret_bytes;
    size_t n_bytes = 0;

    while (!send->over && n_bytes < size_bytes) {
        if (!send->in_piece) {
            /* A piece with a time of its own is given by itself. */
            if (send->schedule.every_ns > 0 && n_bytes > 0)
                break;
            if (!send_schedule_take(&send->schedule, sonde_loop_now_ns(send->loop), &ret_wait->due_ns))
                return -EAGAIN;
            send->in_piece = true;
        }
        *ret_wait = (struct input_wait){.fd = -1};
        ssize_t n = read_piece(send, bytes + n_bytes, size_bytes - n_bytes, ret_wait);
        if (n < 0 && n_bytes == 0)
            return n;
        if (n < 0) {
            *ret_wait = (struct input_wait){.fd = -1}; /* asked again, it says so again */
            break;
        }
        if (n == 0) {
            next_piece(send, draining);
            continue;
        }
        send->empty = false;
        send->n_given_bytes += (uint64_t)n;
        n_bytes += (size_t)n;
    }
    return (ssize_t)n_bytes;
}

static void rewind_send(void *user)
{
    struct send *send = user;

    send->piece = 0;
    send->round = send->n_given_bytes = 0;
    send->in_piece = send->over = false;
    send->empty = true;
    send->schedule.begun = false;
}

const struct input_source send_source = {.read = read_send, .rewind = rewind_send};
