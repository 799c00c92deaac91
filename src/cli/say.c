/* SPDX-License-Identifier: MIT */
#include "cli/say.h"

#include "cli/typing.h"
#include "term/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SENTENCE_MAX 2048
#define PREFIX "sonde: "

static void write_all(int fd, const char *text, size_t n_bytes)
{
    while (n_bytes > 0) {
        ssize_t n = write(fd, text, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* there is nobody left to tell */
        text += n;
        n_bytes -= (size_t)n;
    }
}

void say(const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t n_sentence = (size_t)length < sizeof sentence ? (size_t)length : sizeof sentence - 1;

    /* Whoever forgot to escape a name of the network's: it does not reach the terminal here either. */
    char line[sizeof PREFIX + SENTENCE_MAX * ESCAPE_MAX_PER_BYTE + 64] = PREFIX;
    size_t n = strlen(PREFIX), taken;
    struct escape escape;
    escape_init(&escape, ESCAPE_TEXT);
    n += escape_bytes(&escape, sentence, n_sentence, line + n, sizeof line - n, &taken);
    n += escape_finish(&escape, line + n, sizeof line - n);
    line[n++] = '\n';
    int error = errno;
    typing_make_room(STDERR_FILENO);
    write_all(STDERR_FILENO, line, n);
    errno = error;
}
