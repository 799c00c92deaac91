/* SPDX-License-Identifier: MIT */
/* The parts of a prompt that need no terminal: what becomes of bytes, where characters stand; libedit in between; and
 * what only a terminal shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "term/prompt.h"
#include "term/prompt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* What becomes of these bytes, given in pieces of so many, and back again. */
static void check_keys(const void *bytes, size_t n_bytes, size_t n_piece, const wchar_t *expected, size_t n_expected)
{
    struct keys keys = {.pasting = false};
    wchar_t characters[512];
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i += n_piece) {
        size_t n_now = n_bytes - i < n_piece ? n_bytes - i : n_piece;
        n += keys_take(&keys, (const char *)bytes + i, n_now, characters + n);
    }
    assert_int_equal(n, n_expected);
    assert_memory_equal(characters, expected, n * sizeof(wchar_t));
}

#define CHECK_KEYS(bytes, expected)                                                                                    \
    do {                                                                                                               \
        for (size_t n_piece = 1; n_piece < 8; n_piece++)                                                               \
            check_keys(bytes, sizeof(bytes) - 1, n_piece, expected, sizeof(expected) / sizeof(wchar_t) - 1);           \
    } while (0)

static void characters_and_bytes(void **state)
{
    (void)state;
    CHECK_KEYS("a\r\033[A", L"a\r\033[A");
    CHECK_KEYS("中é😀z", L"中é😀z");
    /* Invalid: a lone continuation, a cut character, an overlong one, a surrogate, past the end. */
    CHECK_KEYS("\x80z", L"\xdc80z");
    CHECK_KEYS("\xe4\xb8z", L"\xdce4\xdcb8z");
    CHECK_KEYS("\xc0\xafz", L"\xdcc0\xdcafz");
    CHECK_KEYS("\xed\xa0\x80z", L"\xdced\xdca0\xdc80z");
    CHECK_KEYS("\xf4\x90\x80\x80z", L"\xdcf4\xdc90\xdc80\xdc80z");
}

static void bytes_come_back(void **state)
{
    unsigned char bytes[4096], back[4 * 8300];
    static wchar_t characters[KEYS_ROOM];
    unsigned random = 12345;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct keys keys = {.pasting = false};
        for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
            random = random * 1103515245 + 12345;
            bytes[i] = (unsigned char)(random >> 16);
            if (bytes[i] == 033) /* no marks */
                bytes[i] = 'e';
        }
        bytes[sizeof(bytes) - 1] = 'z'; /* so that nothing is held */
        size_t n = keys_take(&keys, bytes, sizeof(bytes), characters);
        assert_true(n <= sizeof(bytes));
        assert_int_equal(keys_encode(characters, n, (char *)back), sizeof(bytes));
        assert_memory_equal(back, bytes, sizeof(bytes));
    }
}

static void pastes(void **state)
{
    (void)state;
    /* The first mark goes to the editor, the second does not; what would be keys is text. */
    CHECK_KEYS("\033[200~a\003b\033[201~c", L"\033[200~a\xdc03"
                                            L"bc");
    CHECK_KEYS("\033[200~x\033[Ay\033[201~\r", L"\033[200~x\xdc1b[Ay\r");
    /* Line ends, however they are written; the last one is Enter's. */
    CHECK_KEYS("\033[200~a\rb\nc\r\nd\n\033[201~", L"\033[200~a\xdc0a"
                                                   L"b\xdc0a"
                                                   L"c\xdc0a"
                                                   L"d");
    CHECK_KEYS("\033[200~a\n\n\033[201~z", L"\033[200~a\xdc0az");
    CHECK_KEYS("\033[200~\033[200~\033[20\033[201~z", L"\033[200~\xdc1b[200~\xdc1b[20z");
    /* Twice, and characters that are cut by the end. */
    CHECK_KEYS("\033[200~中\033[201~\033[200~\xe4\033[201~z", L"\033[200~中\033[200~\xdce4z");
}

/* --- layout --------------------------------------------------------------------------------------------------------
 */

static void check_expanded(const wchar_t *line, size_t cursor, const wchar_t *expected, size_t expected_cursor)
{
    wchar_t shown[512];
    size_t at = 12345, n = layout_expand(line, wcslen(line), cursor, shown, &at);

    assert_int_equal(n, wcslen(expected));
    assert_memory_equal(shown, expected, n * sizeof(wchar_t));
    assert_int_equal(at, expected_cursor);
}

static void nothing_is_obeyed(void **state)
{
    (void)state;
    check_expanded(L"abc", 1, L"abc", 1);
    check_expanded(L"", 0, L"", 0);
    check_expanded(L"a\tb\033c\177", 3, L"a^Ib^[c^?", 4);
    check_expanded(L"\xdc1b\xdc0a\xdcffz", 3, L"^[^J\\xffz", 8);
    check_expanded(L"a\x202e"
                   L"b\x200d\x9b",
                   2, L"a\\u{202e}b\\u{200d}\\u{9b}", 9);
    check_expanded(L"\\ 中e\x301", 9, L"\\ 中e\x301", 5);
    check_expanded(L"a\nb", 2, L"a\nb", 2);
    wchar_t all[1], shown[LAYOUT_PER_CHARACTER];
    for (all[0] = 0; all[0] <= 0x10ffff; all[0]++) {
        size_t at, n = layout_expand(all, 1, 1, shown, &at);
        assert_true(n >= 1 && n <= LAYOUT_PER_CHARACTER);
        for (size_t i = 0; i < n; i++)
            assert_true(shown[i] == L'\n' || wcwidth(shown[i]) >= 0);
    }
}

static void check_layout(const wchar_t *shown, size_t cursor, unsigned columns, unsigned n_rows, unsigned row,
                         unsigned column)
{
    struct layout layout;

    layout_find(shown, wcslen(shown), cursor, columns, &layout);
    assert_int_equal(layout.n_rows, n_rows);
    assert_int_equal(layout.cursor_row, row);
    assert_int_equal(layout.cursor_column, column);
}

static void rows_and_columns(void **state)
{
    (void)state;
    check_layout(L"", 0, 10, 1, 0, 0);
    check_layout(L"> hello", 7, 10, 1, 0, 7);
    check_layout(L"0123456789", 3, 10, 2, 0, 3);
    /* Behind a full row the cursor has a row of its own. */
    check_layout(L"0123456789", 10, 10, 2, 1, 0);
    check_layout(L"0123456789a", 10, 10, 2, 1, 0);
    check_layout(L"0123456789a", 11, 10, 2, 1, 1);
    /* A wide character that finds one cell begins the next row. */
    check_layout(L"012345678中a", 9, 10, 2, 1, 0);
    check_layout(L"012345678中a", 10, 10, 2, 1, 2);
    check_layout(L"01234567中a", 8, 10, 2, 0, 8);
    check_layout(L"01234567中a", 9, 10, 2, 1, 0);
    /* A combining character has no cell. */
    check_layout(L"e\x301x", 3, 10, 1, 0, 2);
    check_layout(L"012345678e\x301x", 12, 10, 2, 1, 1);
    /* Newlines, also behind a full row. */
    check_layout(L"a\nbc", 1, 10, 2, 0, 1);
    check_layout(L"a\nbc", 2, 10, 2, 1, 0);
    check_layout(L"a\n", 2, 10, 2, 1, 0);
    check_layout(L"0123456789\nb", 10, 10, 3, 1, 0);
    check_layout(L"0123456789\nb", 11, 10, 3, 2, 0);
    /* Narrower than a character. */
    check_layout(L"中中", 2, 1, 3, 2, 0);
}

/* However wide: rows follow each other, fit, and the cursor is inside. */
static void layouts_hold_together(void **state)
{
    static const wchar_t signs[] = L"a中e\x301\n😀^ z";
    unsigned random = 99;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        wchar_t shown[80];
        size_t n = (random >> 8) % 79;
        for (size_t i = 0; i < n; i++) {
            random = random * 1103515245 + 12345;
            shown[i] = signs[(random >> 16) % (sizeof(signs) / sizeof(signs[0]) - 1)];
        }
        random = random * 1103515245 + 12345;
        unsigned columns = 2 + (random >> 16) % 20, rows = 0;
        struct layout layout, before = {.cursor_row = 0};
        for (size_t cursor = 0; cursor <= n; cursor++) {
            layout_find(shown, n, cursor, columns, &layout);
            assert_true(layout.cursor_row < layout.n_rows);
            assert_true(layout.cursor_column < columns);
            assert_true(layout.cursor_row > before.cursor_row ||
                        (layout.cursor_row == before.cursor_row && layout.cursor_column >= before.cursor_column));
            before = layout;
        }
        size_t begin = 0, end, next;
        for (bool last = false; !last; begin = next, rows++) {
            assert_true(layout_row(shown, n, begin, columns, &end, &next, &last) <= columns);
            assert_true(last || next > begin || end == begin);
        }
        assert_int_equal(begin, n);
        assert_int_equal(rows, layout.n_rows);
    }
}

static void a_narrower_terminal(void **state)
{
    static const unsigned short widths[] = {80, 80, 30};

    (void)state;
    assert_int_equal(layout_rows_above(widths, 0, 10, 40), 0);
    assert_int_equal(layout_rows_above(widths, 0, 50, 40), 1);
    assert_int_equal(layout_rows_above(widths, 2, 30, 40), 4);
    assert_int_equal(layout_rows_above(widths, 2, 30, 25), 9);
    assert_int_equal(layout_rows_above((const unsigned short[]){0, 40}, 1, 0, 40), 1);
}

/* --- libedit --------------------------------------------------------------------------------------------------------
 */

struct typist {
    struct editor *editor;
    wchar_t input[2 * PROMPT_LINE_MAX];
    enum editor_event event;
    char line[8 * PROMPT_LINE_MAX]; /* the last that was complete, or what is being typed */
    size_t n_line, cursor;
    unsigned n_lines;
};

static void note(struct typist *typist)
{
    struct editor_line line;

    editor_line(typist->editor, &line);
    typist->n_line = keys_encode(line.text, line.n, typist->line);
    typist->line[typist->n_line] = '\0';
    typist->cursor = line.cursor;
}

static void type(struct typist *typist, const wchar_t *keys)
{
    size_t n = wcslen(keys);

    wmemcpy(typist->input, keys, n);
    editor_feed(typist->editor, typist->input, n);
    for (;;) {
        typist->event = editor_run(typist->editor);
        if (typist->event == EDITOR_HUNGRY)
            break;
        struct editor_line line;
        note(typist);
        editor_line(typist->editor, &line);
        if (typist->event == EDITOR_LINE) {
            typist->n_lines++;
            if (line.n > 0)
                editor_remember(typist->editor, &line);
        }
        if (typist->event == EDITOR_END)
            break;
    }
}

/* Typed, but for Enter: what stands there? */
static void check_typed(struct typist *typist, const wchar_t *keys, const char *expected, size_t cursor)
{
    type(typist, keys);
    assert_int_equal(typist->event, EDITOR_HUNGRY);
    note(typist);
    assert_string_equal(typist->line, expected);
    assert_int_equal(typist->cursor, cursor);
}

static void check_line(struct typist *typist, const wchar_t *keys, const char *expected)
{
    unsigned n = typist->n_lines;

    type(typist, keys);
    assert_int_equal(typist->n_lines, n + 1);
    assert_string_equal(typist->line, expected);
}

static void open_typist(struct typist *typist)
{
    struct termios modes;

    memset(&modes, 0, sizeof(modes));
    memset(typist, 0, sizeof(*typist));
    modes.c_iflag = ICRNL;
    modes.c_oflag = OPOST | ONLCR;
    modes.c_lflag = ICANON | ECHO | ISIG | IEXTEN;
    modes.c_cflag = CS8 | CREAD;
    modes.c_cc[VERASE] = 0x7f;
    modes.c_cc[VKILL] = 0x15;
    modes.c_cc[VEOF] = 4;
    modes.c_cc[VWERASE] = 0x17;
    modes.c_cc[VLNEXT] = 0x16;
    modes.c_cc[VMIN] = 1;
    assert_int_equal(editor_open(&modes, (locale_t)0, &typist->editor), 0);
    assert_int_equal(editor_run(typist->editor), EDITOR_HUNGRY);
}

static struct typist *typist_of(void **state)
{
    return *state;
}

static int begin_typing(void **state)
{
    setenv("TERM", "dumb", 1); /* libedit is to need none */
    *state = malloc(sizeof(struct typist));
    if (*state == NULL)
        return -1;
    open_typist(*state);
    return 0;
}

static int end_typing(void **state)
{
    editor_close(typist_of(state)->editor);
    free(*state);
    return 0;
}

static void keys_do_what_they_should(void **state)
{
    struct typist *t = typist_of(state);

    check_typed(t, L"hello wörld 中文", "hello wörld 中文", 14);
    check_typed(t, L"\033[D\033[DX", "hello wörld X中文", 13);
    check_typed(t, L"\033[H", "hello wörld X中文", 0);
    check_typed(t, L"\033[3~", "ello wörld X中文", 0);
    check_typed(t, L"\033[F\177", "ello wörld X中", 13);
    check_typed(t, L"\001\033[1;5C", "ello wörld X中", 4);
    check_typed(t, L"\013", "ello", 4);              /* Ctrl-K */
    check_typed(t, L" \031", "ello  wörld X中", 14); /* Ctrl-Y */
    check_typed(t, L"\027", "ello  wörld ", 12);     /* Ctrl-W */
    check_typed(t, L"\033[200~\033[201~\033[5~", "ello  wörld ", 12);
    check_typed(t, L"\t.", "ello  wörld \t.", 14);
    check_typed(t, L"\026\002", "ello  wörld \t.\002", 15); /* Ctrl-V Ctrl-B */
    check_typed(t, L"\025", "", 0);                         /* Ctrl-U */
    check_typed(t, L"\xdc0a\xdc03z", "\n\003z", 3);         /* pasted */
    check_line(t, L"\r", "\n\003z");
    check_line(t, L"\n", "");
}

static void keys_that_come_in_pieces(void **state)
{
    struct typist *t = typist_of(state);

    check_typed(t, L"ab\033", "ab", 2);
    check_typed(t, L"[", "ab", 2);
    check_typed(t, L"D", "ab", 1);
    check_typed(t, L"\026", "ab", 1);
    check_typed(t, L"\001", "a\001b", 2);
}

static void history(void **state)
{
    struct typist *t = typist_of(state);

    check_line(t, L"first\r", "first");
    check_line(t, L"second\r", "second");
    check_line(t, L"second\r", "second"); /* not kept twice */
    check_line(t, L"\r", "");             /* nor is this */
    check_typed(t, L"\033[A", "second", 6);
    check_typed(t, L"\033[A", "first", 5);
    check_typed(t, L"\033[B", "second", 6);
    check_typed(t, L"\033OA", "first", 5);
    check_line(t, L"!\r", "first!");
    check_line(t, L"\022seco\r", "second"); /* Ctrl-R */
}

static void the_end(void **state)
{
    struct typist *t = typist_of(state);

    check_typed(t, L"ab\004", "ab", 2);
    check_typed(t, L"\001\004", "b", 0); /* deletes */
    check_typed(t, L"\004", "", 0);
    type(t, L"\004");
    assert_int_equal(t->event, EDITOR_END);
}

static void a_long_line(void **state)
{
    struct typist *t = typist_of(state);
    static wchar_t piece[1001];

    for (int i = 0; i < 1000; i++)
        piece[i] = i % 10 == 0 ? L'中' : L'x';
    for (unsigned i = 0; i < PROMPT_LINE_MAX; i += 1000)
        type(t, piece);
    note(t);
    assert_int_equal(t->cursor, PROMPT_LINE_MAX);
    assert_int_equal(editor_dropped(t->editor), (PROMPT_LINE_MAX + 999) / 1000 * 1000 - PROMPT_LINE_MAX);
    assert_int_equal(editor_dropped(t->editor), 0);
    /* Keys are still heard. */
    type(t, L"\001\033[C\033[C");
    note(t);
    assert_int_equal(t->cursor, 2);
    type(t, L"\177x\r");
    assert_int_equal(t->n_lines, 1);
    assert_int_equal(editor_dropped(t->editor), 0);
}

/* Ended where it may be waiting: in the middle of a key, of a search. */
static void closing_at_any_time(void **state)
{
    static const wchar_t *const keys[] = {L"", L"abc", L"\033", L"a\022b", L"\026", L"\r", L"\004", L"\033[200~"};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct typist *t = malloc(sizeof(*t));
        assert_non_null(t);
        open_typist(t);
        type(t, keys[i]);
        editor_close(t->editor);
        free(t);
    }
}

static void no_terminal(void **state)
{
    static const struct term_prompt_handler handler = {.line = NULL};
    struct term_prompt *prompt = NULL;
    FILE *null = fopen("/dev/null", "r+");

    (void)state;
    assert_non_null(null);
    assert_int_equal(term_prompt_open(fileno(null), fileno(null), &handler, NULL, &prompt), -ENOTTY);
    assert_null(prompt);
    fclose(null);
}

/* --- on a terminal -------------------------------------------------------------------------------------------------
 */

static void set_columns(int terminal, unsigned short n)
{
    const struct winsize size = {.ws_col = n, .ws_row = 24};

    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
}

/* How many rows the cursor goes up in what has been drawn. The kernel hands it over when it has time, and in pieces, so
 * a byte that is never drawn follows. */
static unsigned rows_up(int master, int slave)
{
    char drawn[4096] = "";
    size_t n_drawn = 0;
    unsigned n = 0;

    assert_int_equal(write(slave, "\001", 1), 1);
    while (memchr(drawn, '\001', n_drawn) == NULL) {
        ssize_t n_bytes = read(master, drawn + n_drawn, sizeof(drawn) - 1 - n_drawn);
        assert_true(n_bytes > 0);
        n_drawn += (size_t)n_bytes;
    }
    drawn[n_drawn] = '\0';
    for (const char *at = drawn; (at = strstr(at, "\033[A")) != NULL; at++)
        n++;
    return n;
}

/* Until it can be read at the other end. */
static void type_at(int master, int slave, const char *keys, int n_keys)
{
    int n_there = 0;

    assert_int_equal(write(master, keys, (size_t)n_keys), n_keys);
    while (n_there < n_keys) {
        struct pollfd wait = {.fd = slave, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        assert_int_equal(ioctl(slave, FIONREAD, &n_there), 0);
    }
}

/* What it shows has been moved by then, and nobody has told yet. */
static void a_new_size_that_was_not_told(void **state)
{
    static const struct term_prompt_handler handler = {.line = NULL};
    struct term_prompt *prompt;
    char line[60];

    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    set_columns(slave, 40);
    setenv("TERM", "xterm", 1);
    unsetenv("XTERM_VERSION");
    assert_int_equal(term_prompt_open(slave, slave, &handler, NULL, &prompt), 0);
    assert_true(term_prompt_enter(prompt));
    memset(line, 'x', sizeof(line));
    type_at(master, slave, line, sizeof(line));
    term_prompt_readable(prompt);
    term_prompt_show(prompt);
    assert_int_equal(rows_up(master, slave), 0);
    term_prompt_hide(prompt);
    assert_int_equal(rows_up(master, slave), 1);
    term_prompt_show(prompt);
    assert_int_equal(rows_up(master, slave), 0);
    set_columns(slave, 20);
    term_prompt_hide(prompt);
    assert_int_equal(rows_up(master, slave), 3);
    term_prompt_close(prompt);
    close(slave);
    close(master);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_and_bytes),
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(pastes),
        cmocka_unit_test(nothing_is_obeyed),
        cmocka_unit_test(rows_and_columns),
        cmocka_unit_test(layouts_hold_together),
        cmocka_unit_test(a_narrower_terminal),
        cmocka_unit_test_setup_teardown(keys_do_what_they_should, begin_typing, end_typing),
        cmocka_unit_test_setup_teardown(keys_that_come_in_pieces, begin_typing, end_typing),
        cmocka_unit_test_setup_teardown(history, begin_typing, end_typing),
        cmocka_unit_test_setup_teardown(the_end, begin_typing, end_typing),
        cmocka_unit_test_setup_teardown(a_long_line, begin_typing, end_typing),
        cmocka_unit_test(closing_at_any_time),
        cmocka_unit_test(no_terminal),
        cmocka_unit_test(a_new_size_that_was_not_told),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
