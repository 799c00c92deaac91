/* SPDX-License-Identifier: MIT */
/* Words into lines. */
#include "lab/render.h"

#include <string.h>
#include <wchar.h>

/* What our own texts use beside ASCII, and what stands for it. */
static const struct {
    const char *unicode, *ascii;
} stand_ins[] = {
    {"→", "->"}, {"←", "<-"}, {"≥", ">="}, {"≤", "<="},  {"±", "+-"},  {"×", "x"},  {"–", "-"},
    {"—", "-"},  {"−", "-"},  {"·", "."},  {"…", "..."}, {"µ", "u"},   {"“", "\""}, {"”", "\""},
    {"’", "'"},  {"≠", "!="}, {"≈", "~"},  {"²", "2"},   {"°", "deg"},
};

static size_t character_bytes(const char *text)
{
    unsigned char c = (unsigned char)*text;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return i;
    }
    return n;
}

static const char *stand_in(const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof stand_ins / sizeof stand_ins[0]; i++) {
        if (strlen(stand_ins[i].unicode) == n && memcmp(stand_ins[i].unicode, text, n) == 0)
            return stand_ins[i].ascii;
    }
    return "?";
}

size_t plain_text(const char *text, bool unicode, char *ret_text, size_t size_bytes)
{
    size_t n = 0;
    while (*text) {
        size_t n_character = character_bytes(text);
        const char *shown = n_character > 1 && !unicode ? stand_in(text, n_character) : text;
        size_t n_shown = shown == text ? n_character : strlen(shown);
        if (n + n_shown >= size_bytes)
            break;
        memcpy(ret_text + n, shown, n_shown);
        n += n_shown;
        text += n_character;
    }
    ret_text[n] = '\0';
    return n;
}

static unsigned cells_of(const char *text, size_t n_bytes)
{
    unsigned n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80; /* all that is used here is one cell wide */
    return n;
}

unsigned lab_cells(const char *text)
{
    return cells_of(text, strlen(text));
}

void wrap_newline(struct wrapped *wrapped)
{
    fprintf(wrapped->out, "\n%*s", (int)wrapped->indent, "");
    wrapped->column = wrapped->indent;
}

void wrap_words(struct wrapped *wrapped, const char *text)
{
    char plain[REPORT_TEXT_MAX];
    plain_text(text, wrapped->unicode, plain, sizeof plain);
    bool glued = wrapped->column <= wrapped->indent;
    for (const char *at = plain; *at;) {
        if (*at == '\n') {
            wrap_newline(wrapped);
            glued = true;
            at++;
            continue;
        }
        size_t n_blanks = strspn(at, " ");
        size_t n = strcspn(at + n_blanks, " \n");
        if (n == 0) {
            at += n_blanks;
            continue;
        }
        unsigned gap = glued ? 0 : n_blanks > 1 ? (unsigned)n_blanks : 1, cells = cells_of(at + n_blanks, n);
        if (!glued && wrapped->column + gap + cells > wrapped->width) {
            wrap_newline(wrapped);
            gap = 0;
        }
        fprintf(wrapped->out, "%*s%.*s", (int)gap, "", (int)n, at + n_blanks);
        wrapped->column += gap + cells;
        glued = false;
        at += n_blanks + n;
    }
}
