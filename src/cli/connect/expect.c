/* SPDX-License-Identifier: MIT */
#include "cli/connect/expect.h"

#include "cli/say.h"

#include <locale.h>
#include <sonde/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Anything at all, NUL and newline included, from the beginning on (\` is glibc's anchor to the whole). */
#define BEFORE "\\`([^a]|a|\n)*("
#define AFTER ")"

/*
 * What regcomp takes and this does not: a reference back to a group, which is no part of extended expressions and takes
 * time without bound; and a closing parenthesis without its opening one, which it takes for itself.
 */
static const char *find_fault(const char *pattern)
{
    unsigned depth = 0;

    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '\\' && c[1] >= '1' && c[1] <= '9')
            return _("it refers back to a group, which extended regular expressions cannot");
        if (*c == '\\' && c[1] != '\0') {
            c++;
        } else if (*c == '[') {
            /* A bracket expression: ] is itself when it comes first; [:alpha:], [.x.] and [=x=] hold brackets. */
            c += c[1] == '^' ? 2 : 1;
            for (bool first = true; *c != '\0' && (first || *c != ']'); c++, first = false) {
                const char close[] = {c[1], ']', '\0'};
                const char *end =
                    *c == '[' && c[1] != '\0' && strchr(":.=", c[1]) != NULL ? strstr(c + 2, close) : NULL;
                if (end != NULL)
                    c = end + 1;
            }
            if (*c == '\0')
                return NULL; /* regcomp says it */
        } else if (*c == '(') {
            depth++;
        } else if (*c == ')' && depth-- == 0) {
            return _("a ) has no ( before it");
        }
    }
    return NULL;
}

static bool compile(regex_t *regex, const char *pattern, int flags, char *ret_why, size_t why_bytes)
{
    int error = regcomp(regex, pattern, REG_EXTENDED | REG_NEWLINE | flags);

    if (error != 0)
        regerror(error, regex, ret_why, why_bytes);
    return error == 0;
}

static bool compile_both(struct expect *expect, char *ret_why, size_t why_bytes)
{
    const size_t size_bytes = strlen(BEFORE) + strlen(expect->pattern) + strlen(AFTER) + 1;
    regmatch_t all = {0, 0};

    if (!compile(&expect->search, expect->pattern, 0, ret_why, why_bytes))
        return false;
    const char *fault = find_fault(expect->pattern);
    if (fault == NULL && regexec(&expect->search, "", 1, &all, REG_STARTEND | REG_NOTBOL | REG_NOTEOL) == 0)
        fault = _("it matches nothing at all, and so anything");
    char *whole = malloc(size_bytes);
    if (fault == NULL && whole == NULL)
        fault = _("memory is short");
    if (fault == NULL) {
        snprintf(whole, size_bytes, BEFORE "%s" AFTER, expect->pattern);
        if (compile(&expect->pass, whole, REG_NOSUB, ret_why, why_bytes)) {
            free(whole);
            return true;
        }
    } else {
        snprintf(ret_why, why_bytes, "%s", fault);
    }
    free(whole);
    regfree(&expect->search);
    return false;
}

bool expect_open(struct expect *expect, const char *pattern, char *ret_why, size_t why_bytes)
{
    *expect = (struct expect){.pattern = pattern};
    expect->patience_fd = -1;
    expect->window = malloc(2 * EXPECT_WINDOW + 1);
    if (expect->window == NULL) {
        snprintf(ret_why, why_bytes, "%s", _("memory is short"));
        return false;
    }
    /* Bytes, not characters: in a locale with UTF-8 nothing but whole characters would match. */
    locale_t bytes = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
    locale_t before = bytes != (locale_t)0 ? uselocale(bytes) : (locale_t)0;
    bool understood = compile_both(expect, ret_why, why_bytes);
    int error = understood ? searcher_open(&expect->searcher) : 0;
    if (error < 0) {
        snprintf(ret_why, why_bytes, "%s", sonde_strerror(error));
        regfree(&expect->search);
        regfree(&expect->pass);
        understood = false;
    }
    if (bytes != (locale_t)0) {
        uselocale(before);
        freelocale(bytes);
    }
    if (!understood) {
        free(expect->window);
        expect->window = NULL;
        return false;
    }
    expect_restart(expect);
    return true;
}

void expect_restart(struct expect *expect)
{
    expect->n_bytes = expect->n_looked_bytes = 0;
    expect->n_gone_bytes = 0;
    expect->at_beginning = true;
    expect->matched = false;
}

void expect_free(struct expect *expect)
{
    /* A search that was given up still reads it all. */
    if (expect->window == NULL || !searcher_close(expect->searcher))
        return;
    regfree(&expect->search);
    regfree(&expect->pass);
    free(expect->window);
    expect->window = NULL;
}

/* So many bytes are looked at in a moment, whatever the expression. */
#define MOMENT_BYTES 256u

static bool search(struct expect *expect, const regex_t *regex, size_t from, regmatch_t *match, int flags)
{
    const char *text = expect->window + from;
    int result;

    if (expect->given_up)
        return false;
    if (match->rm_eo <= (regoff_t)MOMENT_BYTES && strlen(expect->pattern) < MOMENT_BYTES &&
        strchr(expect->pattern, '{') == NULL)
        result = regexec(regex, text, 1, match, flags);
    else
        result = searcher_run(expect->searcher, regex, text, match, flags, expect->deadline_ns, expect->patience_fd);
    expect->given_up = result < 0;
    return result == 0;
}

/* Does it match within the window from there on? */
static bool pass(struct expect *expect, size_t from, int flags)
{
    bool at_beginning = from == 0 ? expect->at_beginning : expect->window[from - 1] == '\n';
    regmatch_t all = {0, (regoff_t)(expect->n_bytes - from)};

    return search(expect, &expect->pass, from, &all, flags | REG_STARTEND | (at_beginning ? 0 : REG_NOTBOL));
}

static bool look_at_all(struct expect *expect, int flags)
{
    expect->matched = pass(expect, 0, flags);
    expect->n_looked_bytes = expect->n_bytes;
    return expect->matched;
}

/* Keep the last EXPECT_WINDOW bytes. */
static void forget(struct expect *expect)
{
    size_t n_gone = expect->n_bytes > EXPECT_WINDOW ? expect->n_bytes - EXPECT_WINDOW : 0;

    if (n_gone == 0)
        return;
    expect->at_beginning = expect->window[n_gone - 1] == '\n';
    memmove(expect->window, expect->window + n_gone, EXPECT_WINDOW);
    expect->n_bytes = EXPECT_WINDOW;
    expect->n_gone_bytes += n_gone;
    expect->n_looked_bytes -= n_gone < expect->n_looked_bytes ? n_gone : expect->n_looked_bytes;
}

/* At most EXPECT_WINDOW bytes. */
static bool received_piece(struct expect *expect, const char *data, size_t n_bytes)
{
    /* Only after looking: what begins in the bytes that go may end in those that have not been looked at. */
    if (expect->n_bytes + n_bytes > 2 * EXPECT_WINDOW) {
        if (expect_is_behind(expect) && look_at_all(expect, REG_NOTEOL))
            return true;
        forget(expect);
    }
    size_t from = expect->n_bytes > EXPECT_TAIL ? expect->n_bytes - EXPECT_TAIL : 0;
    memcpy(expect->window + expect->n_bytes, data, n_bytes);
    expect->n_bytes += n_bytes;
    expect->window[expect->n_bytes] = '\0';
    if (expect->n_bytes - expect->n_looked_bytes >= EXPECT_WINDOW)
        return look_at_all(expect, REG_NOTEOL);
    /* What the tail alone says is made sure of with what stands before it: \b may mean something else there. */
    if (pass(expect, from, REG_NOTEOL) && look_at_all(expect, REG_NOTEOL))
        return true;
    if (from == 0)
        expect->n_looked_bytes = expect->n_bytes;
    return false;
}

bool expect_received(struct expect *expect, const void *data, size_t n_bytes)
{
    const char *bytes = data;

    while (n_bytes > 0 && !expect->matched) {
        size_t n_piece = n_bytes < EXPECT_WINDOW ? n_bytes : EXPECT_WINDOW;
        if (received_piece(expect, bytes, n_piece))
            return true;
        bytes += n_piece;
        n_bytes -= n_piece;
    }
    return false;
}

bool expect_is_behind(const struct expect *expect)
{
    return !expect->matched && !expect->given_up && expect->n_looked_bytes < expect->n_bytes;
}

bool expect_look(struct expect *expect, bool at_end)
{
    if (expect->matched || expect->n_bytes == 0 || (!at_end && !expect_is_behind(expect)))
        return false;
    /* Behind a last newline there is no line more. */
    bool line_ends = at_end && expect->window[expect->n_bytes - 1] != '\n';
    return look_at_all(expect, line_ends ? 0 : REG_NOTEOL);
}

void expect_where(struct expect *expect, uint64_t *ret_offset, uint64_t *ret_n_bytes)
{
    regmatch_t match = {0, (regoff_t)expect->n_bytes};
    int flags = REG_STARTEND | (expect->at_beginning ? 0 : REG_NOTBOL);

    *ret_offset = expect->n_gone_bytes;
    *ret_n_bytes = 0;
    if (!search(expect, &expect->search, 0, &match, flags | REG_NOTEOL)) {
        /* Then it was the end that it matched at. */
        match = (regmatch_t){0, (regoff_t)expect->n_bytes};
        if (!search(expect, &expect->search, 0, &match, flags))
            return;
    }
    *ret_offset = expect->n_gone_bytes + (uint64_t)match.rm_so;
    *ret_n_bytes = (uint64_t)(match.rm_eo - match.rm_so);
}
