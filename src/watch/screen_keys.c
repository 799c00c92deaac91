/* SPDX-License-Identifier: MIT */
#include "term/translate.h"
#include "watch/screen_internal.h"

#include <ncurses.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ESCAPE 27
#define CTRL(letter) ((letter)&0x1f)

static void move_cursor(struct screen *screen, long long by)
{
    if (screen->page != PAGE_NONE) {
        long long top = (long long)screen->page_top + by;
        screen->page_top = top > 0 ? (size_t)top : 0;
        return;
    }
    long long to = (long long)screen->cursor + by;
    if (screen->n_places == 0)
        return;
    if (to < 0)
        to = 0;
    if ((size_t)to >= screen->n_places)
        to = (long long)screen->n_places - 1;
    screen->cursor = (size_t)to;
    screen->cursor_key = screen_row(screen, screen->cursor)->key;
    screen_choose(screen);
}

static void sort_by_next(struct screen *screen, int step)
{
    screen->sort += step;
    if (screen->sort >= SORT_N)
        screen->sort = -1;
    else if (screen->sort < -1)
        screen->sort = SORT_N - 1;
    snprintf(screen->message, sizeof screen->message, _("trouble first, then by %s"),
             screen->sort < 0 ? _("state") : watch_sort_names[screen->sort]);
    screen->needs_order = true;
    screen_order(screen);
}

static void open_page(struct screen *screen, enum page_kind page)
{
    screen->page = screen->page == page ? PAGE_NONE : page;
    screen->page_top = 0;
}

static bool is_loopback(const struct sonde_address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    return address->family == AF_INET ? address->u.ip[0] == 127
                                      : memcmp(address->u.ip, loopback6, sizeof loopback6) == 0;
}

/* The host of an address as pcap-filter(7) has it: no brackets, no zone. */
static void put_host(const struct sonde_address *address, char ret_text[SONDE_ADDRESS_TEXT])
{
    size_t n = put_ip(ret_text, address);
    if (ret_text[0] == '[') {
        memmove(ret_text, ret_text + 1, n);
        n = strcspn(ret_text, "%]");
    }
    ret_text[n] = '\0';
}

static void tell_trace(struct screen *screen)
{
    const struct row *row = screen_row(screen, screen->cursor);
    char host[SONDE_ADDRESS_TEXT];
    if (!row)
        return;
    if (row->family == AF_UNIX) {
        snprintf(screen->message, sizeof screen->message, "%s", _("a UNIX socket has no segments to trace"));
        return;
    }
    bool local = census_is_local(&screen->model.census, row->peer.port ? &row->peer : &row->local);
    const char *interface = local ? "lo" : "any";
    if (row->peer.port == 0) {
        interface = is_loopback(&row->local) ? "lo" : "any";
        snprintf(screen->message, sizeof screen->message, "sonde trace -i %s port %u", interface, row->local.port);
        return;
    }
    put_host(&row->peer, host);
    snprintf(screen->message, sizeof screen->message, "sonde trace -i %s host %s and port %u and port %u", interface,
             host, row->peer.port, row->local.port);
}

static void toggle_owners(struct screen *screen)
{
    screen->owners_shown = !screen->owners_shown;
    if (screen->owners_shown)
        source_refresh_owners_now_and_then(&screen->source);
    screen->view.owners = screen->owners_shown ? screen->source.owners : NULL;
    screen_forget_widths(screen);
    screen_order(screen);
    if (screen->owners_shown && screen->source.owners && owners_n_refused(screen->source.owners) > 0)
        snprintf(screen->message, sizeof screen->message, "%s",
                 _("owners shown as ? are processes that this user may not look into: root may"));
}

static void pause_or_go_on(struct screen *screen)
{
    screen->is_paused = !screen->is_paused;
    if (!screen->is_paused)
        screen->next_look_ns = 0;
}

static void move_key(struct screen *screen, unsigned key)
{
    unsigned n_listeners, n_others, n_pane;
    screen_room(screen, &n_listeners, &n_others, &n_pane);
    long long page = screen->page != PAGE_NONE ? screen->n_lines - 3 : n_others > 1 ? (long long)n_others - 1 : 1;
    switch (key) {
    case KEY_UP:
        move_cursor(screen, -1);
        break;
    case KEY_DOWN:
        move_cursor(screen, 1);
        break;
    case KEY_PPAGE:
        move_cursor(screen, -page);
        break;
    case KEY_NPAGE:
        move_cursor(screen, page);
        break;
    case KEY_HOME:
        move_cursor(screen, -(1ll << 40));
        break;
    case KEY_END:
        move_cursor(screen, screen->page != PAGE_NONE ? 1 << 20 : 1ll << 40);
        break;
    case KEY_ENTER:
        open_page(screen, PAGE_DETAIL);
        break;
    }
}

static void letter(struct screen *screen, unsigned key)
{
    switch (key) {
    case 'q':
    case ESCAPE:
        if (screen->page != PAGE_NONE)
            screen->page = PAGE_NONE;
        else if (key == 'q')
            screen->is_over = true;
        break;
    case '/':
        prompt_open(screen);
        break;
    case 's':
        sort_by_next(screen, 1);
        break;
    case 'S':
        sort_by_next(screen, -1);
        break;
    case '\n':
    case '\r':
        open_page(screen, PAGE_DETAIL);
        break;
    case 'w':
        open_page(screen, PAGE_WHY);
        break;
    case '?':
    case 'h':
        open_page(screen, PAGE_HELP);
        break;
    case 't':
        tell_trace(screen);
        break;
    case 'p':
    case ' ':
        pause_or_go_on(screen);
        break;
    case 'o':
        toggle_owners(screen);
        break;
    case 'j':
        move_cursor(screen, 1);
        break;
    case 'k':
        move_cursor(screen, -1);
        break;
    case 'g':
        move_key(screen, KEY_HOME);
        break;
    case 'G':
        move_key(screen, KEY_END);
        break;
    case CTRL('l'):
        clearok(curscr, TRUE);
        break;
    }
}

void screen_key(struct screen *screen, bool is_code, unsigned key)
{
    screen->message[0] = '\0';
    if (screen->prompt.is_open)
        prompt_key(screen, is_code, key);
    else if (is_code)
        move_key(screen, key);
    else
        letter(screen, key);
}
