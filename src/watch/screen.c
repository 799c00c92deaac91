/* SPDX-License-Identifier: MIT */
#include "watch/screen_internal.h"

#include "term/translate.h"
#include "watch/terminal.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define INTERVAL_NS (250 * NS_PER_MS)
#define DRAW_EVERY_NS (100 * NS_PER_MS) /* what counts down */
#define GONE_SHOWN_NS (2 * NS_PER_S)
#define LEAST_LINES 4
#define LEAST_COLUMNS 20

/* ---- the terminal */

static void fit_terminal(struct screen *screen)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resize_term(size.ws_row, size.ws_col);
    screen->n_lines = LINES;
    screen->n_columns = COLS;
    screen_forget_widths(screen);
    erase();
    clearok(curscr, TRUE);
    screen->needs_order = false;
    if (screen->has_order)
        screen_order(screen);
}

static int open_terminal(struct screen *screen)
{
    if (!terminal_is_known() || !newterm(NULL, stdout, stdin)) {
        screen->source.settings->say(_("this terminal is not known (TERM); \"sonde watch --once\" prints a table."));
        return -ENOTTY;
    }
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    screen_begin_colors(screen->source.settings->color);
    fit_terminal(screen);
    return 0;
}

/* As the shell would do it: the terminal is given back, and taken again when we go on. */
static void stop_until_continued(struct screen *screen)
{
    endwin();
    raise(SIGSTOP);
    refresh();
    fit_terminal(screen);
    screen->next_look_ns = 0;
}

static void take_signals(struct screen *screen)
{
    int number;
    while ((number = signals_next(&screen->signals)) != 0) {
        switch (number) {
        case SIGTSTP:
            stop_until_continued(screen);
            break;
        case SIGCONT:
            reset_prog_mode();
            fit_terminal(screen);
            break;
        case SIGWINCH:
            fit_terminal(screen);
            break;
        default:
            screen->is_over = true;
        }
    }
}

static void take_keys(struct screen *screen)
{
    wint_t key;
    int kind;
    while (!screen->is_over && (kind = get_wch(&key)) != ERR) {
        if (kind != KEY_CODE_YES || key != KEY_RESIZE) /* SIGWINCH has told it */
            screen_key(screen, kind == KEY_CODE_YES, (unsigned)key);
    }
}

/* ---- the loop */

static void wait_a_while(struct screen *screen)
{
    int64_t now_ns = clock_now_ns(), wait_ns = DRAW_EVERY_NS;
    if (!screen->is_paused && screen->next_look_ns - now_ns < wait_ns)
        wait_ns = screen->next_look_ns > now_ns ? screen->next_look_ns - now_ns : 0;
    struct timespec timeout = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = screen->signals.fd, .events = POLLIN}};
    if (ppoll(fds, 2, &timeout, NULL) < 0)
        return;
    if (fds[1].revents)
        take_signals(screen);
    if (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL))
        screen->is_over = true;
    else if (fds[0].revents)
        take_keys(screen);
}

static void draw(struct screen *screen)
{
    if (screen->n_lines >= LEAST_LINES && screen->n_columns >= LEAST_COLUMNS) {
        screen_draw(screen);
        return;
    }
    erase();
    mvaddnstr(0, 0, _("too small"), screen->n_columns);
    refresh();
}

/* Owners have a rule of their own for how often they are searched (source.h). */
static int look(struct screen *screen, int64_t begin_ns)
{
    int64_t owners_ns = screen->source.owners_ns;
    int error = screen_look(screen);
    screen_order(screen);
    screen->look_cost_ns = clock_now_ns() - begin_ns;
    if (screen->source.owners_ns != owners_ns)
        screen->look_cost_ns -= screen->source.owners_cost_ns;
    screen->next_look_ns = begin_ns + screen_interval(screen);
    return error;
}

static int run(struct screen *screen)
{
    /* The first look counts what the verdicts of the second one need to know. */
    int error = screen_look(screen);
    screen->next_look_ns = 0;
    while (error == 0 && !screen->is_over) {
        int64_t now_ns = clock_now_ns();
        if (!screen->is_paused && now_ns >= screen->next_look_ns) {
            error = look(screen, now_ns);
        } else if (!screen->is_paused) {
            screen->view.now_ns = now_ns;
        }
        draw(screen);
        wait_a_while(screen);
    }
    return error;
}

static int run_on_terminal(struct screen *screen)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, 0};
    int error = signals_open(&screen->signals, numbers); /* before curses: its handlers are never called then */
    if (error != 0)
        return error;
    error = open_terminal(screen);
    if (error == 0) {
        error = run(screen);
        endwin();
    }
    signals_close(&screen->signals);
    if (error != 0 && error != -ENOTTY)
        screen->source.settings->say(_("the kernel does not tell its sockets: %s."), sonde_strerror(error));
    return error;
}

int watch_screen(const struct watch_settings *settings)
{
    struct sonde_why why;
    struct screen *screen = calloc(1, sizeof *screen);
    if (!screen)
        return -ENOMEM;
    int error = source_open(&screen->source, settings);
    if (error == 0) {
        model_init(&screen->model, true);
        screen->model.linger_ns = GONE_SHOWN_NS;
        screen->view.ascii = settings->ascii;
        screen->sort = settings->sort;
        screen->owners_shown = true;
        screen->interval_ns = settings->interval_ns ? settings->interval_ns : INTERVAL_NS;
        if (settings->filter && filter_parse(settings->filter_text, &screen->filter, screen->prompt.why) == 0)
            snprintf(screen->filter_text, sizeof screen->filter_text, "%s", settings->filter_text);
        if (sockets_deaths_open(&screen->deaths, &why) != 0)
            screen->deaths = NULL;
        error = run_on_terminal(screen);
        sockets_deaths_close(screen->deaths);
        model_free(&screen->model);
    }
    filter_free(screen->filter);
    source_close(&screen->source);
    free(screen->places);
    free(screen);
    return error;
}
