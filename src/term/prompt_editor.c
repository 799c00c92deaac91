/* SPDX-License-Identifier: MIT */
/*
 * libedit inside an event loop.
 *
 * libedit reads when it pleases: an arrow key is three bytes that it waits for, Ctrl-R and Ctrl-V read keys of their
 * own. So it runs on a thread of its own, and never at the same time as the owner: the owner hands over characters,
 * lets it run, and goes on when it asks for more than there is, or has a line. Two semaphores pass the turn. Seen from
 * outside it is a function that is called and returns.
 *
 * Of what libedit can do only the editing is used. It believes that it has a terminal (a pseudoterminal that nobody
 * reads), and draws into /dev/null: its own drawing cannot be interrupted by other output, and counts a combining
 * character as a cell. The real terminal is drawn by prompt.c, from the line and the cursor.
 */
#include "term/prompt.h"
#include "term/prompt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000, STACK_BYTES = 256 * 1024 };

struct editor {
    EditLine *el;
    HistoryW *history;
    FILE *nowhere;
    int master, slave;
    locale_t locale;

    pthread_t thread;
    bool running; /* the thread was started */
    sem_t go, parked;

    /* Whose turn it is may use these. */
    const wchar_t *input;
    size_t n_input;
    enum editor_event event;
    struct editor_line line; /* EDITOR_LINE */
    bool closing, clear;
    unsigned in_sequence; /* of an escape sequence: 1 behind ESC, 2 behind ESC [ or ESC O */
    size_t n_dropped;
};

/* --- on the editor's thread --------------------------------------------------------------------------------------- */

static void park(struct editor *editor, enum editor_event event)
{
    editor->event = event;
    sem_post(&editor->parked);
    while (sem_wait(&editor->go) != 0)
        continue;
}

/* Is this one text, as opposed to a command or a piece of one? */
static bool is_text(struct editor *editor, wchar_t character)
{
    unsigned before = editor->in_sequence;

    if (before == 1)
        editor->in_sequence = character == L'[' || character == L'O' ? 2 : 0;
    else if (before == 2)
        editor->in_sequence = character >= 0x40 && character <= 0x7e ? 0 : 2;
    else
        editor->in_sequence = character == 033;
    return before == 0 && character >= 0x20 && character != 0x7f;
}

static bool is_full(const struct editor *editor)
{
    const LineInfoW *line = el_wline(editor->el);

    return line->lastchar - line->buffer >= (ptrdiff_t)PROMPT_LINE_MAX;
}

/* libedit's source of characters. */
static int next_character(EditLine *el, wchar_t *ret_character)
{
    struct editor *editor;

    if (el_wget(el, EL_CLIENTDATA, &editor) != 0)
        return -1;
    for (;;) {
        while (editor->n_input == 0 && !editor->closing)
            park(editor, EDITOR_HUNGRY);
        if (editor->closing)
            return 0;
        *ret_character = *editor->input++;
        editor->n_input--;
        if (!is_text(editor, *ret_character) || !is_full(editor))
            return 1;
        editor->n_dropped++;
    }
}

static void *run_thread(void *user)
{
    struct editor *editor = user;

    if (editor->locale != (locale_t)0)
        uselocale(editor->locale);
    while (sem_wait(&editor->go) != 0)
        continue;
    while (!editor->closing) {
        int n = 0;
        const wchar_t *text = el_wgets(editor->el, &n);
        if (editor->closing)
            break;
        if (text == NULL || n <= 0) {
            park(editor, EDITOR_END);
            continue;
        }
        size_t length = (size_t)n;
        if (text[length - 1] == L'\n' || text[length - 1] == L'\r')
            length--;
        editor->line = (struct editor_line){.text = text, .n = length, .cursor = length};
        park(editor, EDITOR_LINE);
    }
    sem_post(&editor->parked);
    return NULL;
}

/* --- making it ------------------------------------------------------------------------------------------------------
 */

static wchar_t *no_prompt(EditLine *el)
{
    static wchar_t nothing[] = L"";

    (void)el;
    return nothing;
}

static unsigned char do_nothing(EditLine *el, int character)
{
    (void)el, (void)character;
    return CC_NORM;
}

static unsigned char ask_for_clear(EditLine *el, int character)
{
    struct editor *editor;

    (void)character;
    if (el_wget(el, EL_CLIENTDATA, &editor) == 0)
        editor->clear = true;
    return CC_NORM;
}

/* The keys that libedit does not know by itself, as terminals send them. */
static const struct {
    const wchar_t *keys, *function;
} bindings[] = {
    {L"\\e[3~", L"ed-delete-next-char"},
    {L"\\e[H", L"ed-move-to-beg"},
    {L"\\eOH", L"ed-move-to-beg"},
    {L"\\e[1~", L"ed-move-to-beg"},
    {L"\\e[7~", L"ed-move-to-beg"},
    {L"\\e[F", L"ed-move-to-end"},
    {L"\\eOF", L"ed-move-to-end"},
    {L"\\e[4~", L"ed-move-to-end"},
    {L"\\e[8~", L"ed-move-to-end"},
    {L"\\e[1;5D", L"ed-prev-word"},
    {L"\\e[1;3D", L"ed-prev-word"},
    {L"\\e[1;5C", L"em-next-word"},
    {L"\\e[1;3C", L"em-next-word"},
    {L"^R", L"em-inc-search-prev"},
    {L"^I", L"ed-insert"},
    {L"^L", L"sonde-clear"},
    {L"\\e[200~", L"sonde-nothing"},
    {L"\\e[201~", L"sonde-nothing"},
    {L"\\e[2~", L"sonde-nothing"}, /* Insert, page up and down */
    {L"\\e[5~", L"sonde-nothing"},
    {L"\\e[6~", L"sonde-nothing"},
};

static void set_up(struct editor *editor)
{
    EditLine *el = editor->el;
    HistEventW event;

    el_wset(el, EL_CLIENTDATA, editor);
    el_wset(el, EL_SIGNAL, 0);
    el_wset(el, EL_PROMPT, no_prompt);
    el_wset(el, EL_EDITOR, L"emacs");
    el_wset(el, EL_ADDFN, L"sonde-nothing", L"do nothing", do_nothing);
    el_wset(el, EL_ADDFN, L"sonde-clear", L"clear the screen", ask_for_clear);
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++)
        el_wset(el, EL_BIND, bindings[i].keys, bindings[i].function, NULL);
    history_w(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history_w(editor->history, &event, H_SETUNIQUE, 1);
    el_wset(el, EL_HIST, history_w, editor->history);
    el_wset(el, EL_GETCFN, next_character);
}

/* A terminal for libedit to believe in. */
static int open_terminal(struct editor *editor, const struct termios *modes)
{
    /* So wide that nothing is ever wrapped or scrolled for long: nobody sees it. */
    const struct winsize size = {.ws_row = 100, .ws_col = 1000};
    char name[64];

    editor->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (editor->master < 0)
        return -errno;
    if (grantpt(editor->master) != 0 || unlockpt(editor->master) != 0)
        return -errno;
    int error = ptsname_r(editor->master, name, sizeof(name));
    if (error != 0)
        return -error;
    editor->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (editor->slave < 0)
        return -errno;
    if (tcsetattr(editor->slave, TCSANOW, modes) != 0 || ioctl(editor->slave, TIOCSWINSZ, &size) != 0)
        return -errno;
    editor->nowhere = fopen("/dev/null", "r+e");
    return editor->nowhere == NULL ? -errno : 0;
}

/* Signals are the other threads'. */
static int start_thread(struct editor *editor)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&editor->thread, &attributes, run_thread, editor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    editor->running = error == 0;
    return -error;
}

int editor_open(const struct termios *modes, locale_t locale, struct editor **ret_editor)
{
    struct editor *editor = calloc(1, sizeof(*editor));

    if (editor == NULL)
        return -ENOMEM;
    editor->master = editor->slave = -1;
    editor->locale = locale;
    sem_init(&editor->go, 0, 0);
    sem_init(&editor->parked, 0, 0);
    int error = open_terminal(editor, modes);
    if (error == 0) {
        editor->history = history_winit();
        editor->el = el_init_fd("sonde", editor->nowhere, editor->nowhere, editor->nowhere, editor->slave,
                                editor->slave, editor->slave);
        error = editor->history == NULL || editor->el == NULL ? -ENOMEM : 0;
    }
    if (error == 0) {
        set_up(editor);
        error = start_thread(editor);
    }
    if (error != 0) {
        editor_close(editor);
        return error;
    }
    *ret_editor = editor;
    return 0;
}

static void run(struct editor *editor)
{
    sem_post(&editor->go);
    while (sem_wait(&editor->parked) != 0)
        continue;
}

void editor_close(struct editor *editor)
{
    if (editor == NULL)
        return;
    editor->closing = true;
    if (editor->running) {
        run(editor);
        pthread_join(editor->thread, NULL);
    }
    if (editor->el != NULL)
        el_end(editor->el);
    if (editor->history != NULL)
        history_wend(editor->history);
    if (editor->nowhere != NULL)
        fclose(editor->nowhere);
    if (editor->slave >= 0)
        close(editor->slave);
    if (editor->master >= 0)
        close(editor->master);
    sem_destroy(&editor->go);
    sem_destroy(&editor->parked);
    free(editor);
}

/* --- on the owner's -------------------------------------------------------------------------------------------------
 */

void editor_feed(struct editor *editor, const wchar_t *characters, size_t n)
{
    editor->input = characters;
    editor->n_input = n;
}

enum editor_event editor_run(struct editor *editor)
{
    run(editor);
    return editor->event;
}

void editor_line(const struct editor *editor, struct editor_line *ret_line)
{
    if (editor->event == EDITOR_LINE) {
        *ret_line = editor->line;
        return;
    }
    const LineInfoW *line = el_wline(editor->el);
    *ret_line = (struct editor_line){
        .text = line->buffer,
        .n = (size_t)(line->lastchar - line->buffer),
        .cursor = (size_t)(line->cursor - line->buffer),
    };
}

void editor_remember(struct editor *editor, const struct editor_line *line)
{
    HistEventW event;
    wchar_t *copy = malloc((line->n + 1) * sizeof(*copy));

    if (copy == NULL)
        return;
    wmemcpy(copy, line->text, line->n);
    copy[line->n] = L'\0';
    history_w(editor->history, &event, H_ENTER, copy);
    free(copy);
}

size_t editor_dropped(struct editor *editor)
{
    size_t n = editor->n_dropped;

    editor->n_dropped = 0;
    return n;
}

bool editor_wants_clear(struct editor *editor)
{
    bool clear = editor->clear;

    editor->clear = false;
    return clear;
}
