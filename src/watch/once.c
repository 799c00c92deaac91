/* SPDX-License-Identifier: MIT */
/*
 * One table: listeners, the other sockets, and what is wrong.
 *
 * Asking for TCP_INFO of every socket would cost as much as everything else together. So all are asked for without it;
 * those about which something may be wrong (row_is_suspect) are few, and are then asked for one by one. Where they are
 * many, all are asked for once more, with everything.
 */
#include "term/style.h"
#include "term/translate.h"
#include "watch/plain.h"
#include "watch/sort.h"
#include "watch/source.h"
#include "watch/words.h"
#include "watch/wrap.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define ONE_BY_ONE_MAX 4096
#define DATAGRAMS_ONE_BY_ONE_MAX 16 /* to ask for one of those is to walk through all of them */
#define SENTENCES_MAX 100
#define WITH_ALL (SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY | SOCKETS_WITH_CONGESTION)

struct once {
    struct source source;
    struct model model;
    struct view view;
    struct plain plain;
    struct text out, rest, sentences; /* rest: rows that are well, and were not kept */
    unsigned n_columns;
    uint64_t n_sentences, n_more;
    uint32_t *by_key; /* suspects by cookie, for the second dump; row + 1 */
    size_t n_places;
};

/* ---- verdicts */

static void name_socket(const struct row *row, struct text *text)
{
    char cell[CELL_MAX];
    text_append(text, cell, cell_local(row, true, cell));
    if (row->state == TCP_STATE_LISTEN)
        return;
    text_string(text, row->direction == DIRECTION_IN ? " <- " : row->direction == DIRECTION_OUT ? " -> " : " -- ");
    text_append(text, cell, cell_peer(row, cell));
}

/* One line, or as many as a terminal needs. */
static void put_sentences(struct once *once, char sign, struct text *sentence)
{
    text_append(sentence, "", 1);
    const char *rest = sentence->bytes;
    if (sentence->failed)
        return;
    for (bool first = true; *rest; first = false) {
        const char *line = rest;
        size_t n = wrap_line(rest, once->n_columns ? once->n_columns - 2 : UINT_MAX, &rest);
        bool color = first && once->source.settings->color;
        text_string(&once->sentences, color ? "\x1b[1;31m" : "");
        text_append(&once->sentences, first ? &sign : " ", 1);
        text_string(&once->sentences, color ? "\x1b[0m " : " ");
        text_append(&once->sentences, line, n);
        text_append(&once->sentences, "\n", 1);
    }
}

static void judge_whole(struct once *once, const struct socket_info *socket, struct row *row)
{
    struct judgement judgement;
    char program[64];
    int32_t pid;
    const char *name = source_program(&once->source, row->inode, program, &pid);
    judge_socket(&once->source.judge, socket, NULL, once->view.now_ns, name, pid, &judgement);
    row_set_verdict(row, &judgement);
    if (judgement.weight != VERDICT_TROUBLE)
        return;
    if (once->n_sentences++ >= SENTENCES_MAX) {
        once->n_more++;
        return;
    }
    struct text sentence = {.bytes = NULL};
    name_socket(row, &sentence);
    text_string(&sentence, ": ");
    text_string(&sentence, judgement.text);
    put_sentences(once, '!', &sentence);
    text_free(&sentence);
}

struct listeners {
    struct once *once;
    struct socket_info *infos;
    size_t n, n_room;
};

static void keep_listener(const struct socket_info *socket, void *user)
{
    struct listeners *listeners = user;
    if (listeners->n == listeners->n_room) {
        size_t n_room = listeners->n_room ? 2 * listeners->n_room : 16;
        struct socket_info *infos = realloc(listeners->infos, n_room * sizeof *infos);
        if (!infos)
            return;
        listeners->infos = infos;
        listeners->n_room = n_room;
    }
    listeners->infos[listeners->n++] = *socket;
}

static size_t place_of(const struct once *once, uint64_t key)
{
    size_t at = (key * 0x9e3779b97f4a7c15u >> 20) & (once->n_places - 1);
    while (once->by_key[at] != 0 && once->model.rows[once->by_key[at] - 1].key != key)
        at = (at + 1) & (once->n_places - 1);
    return at;
}

static bool judge_again(const struct socket_info *socket, void *user)
{
    struct once *once = user;
    uint32_t found = once->by_key[place_of(once, socket->cookie)];
    if (found != 0 && socket->state != TCP_STATE_LISTEN)
        judge_whole(once, socket, &once->model.rows[found - 1]);
    return true;
}

static void judge_many(struct once *once, size_t n_suspects)
{
    for (once->n_places = 1024; once->n_places < 2 * n_suspects;)
        once->n_places *= 2;
    once->by_key = calloc(once->n_places, sizeof *once->by_key);
    if (!once->by_key)
        return;
    for (size_t i = 0; i < once->model.n_rows; i++) {
        struct row *row = &once->model.rows[i];
        if (row_is_suspect(row) && !row_is_listener(row))
            once->by_key[place_of(once, row->key)] = (uint32_t)i + 1;
    }
    const struct watch_settings *settings = once->source.settings;
    sockets_dump(once->source.sockets, settings->kinds, WITH_ALL, settings->filter, judge_again, once);
    free(once->by_key);
}

static void judge_all(struct once *once, const struct listeners *listeners)
{
    struct model *model = &once->model;
    size_t n_suspects = 0, n_datagrams = 0;
    for (size_t i = 0; i < model->n_rows; i++) {
        struct row *row = &model->rows[i];
        if (row_is_listener(row)) {
            row->n_half_open = row->protocol ? (uint32_t)census_half_open(&model->census, &row->local) : 0;
            /* Listeners came first, in this order. */
            if (i < listeners->n)
                judge_whole(once, &listeners->infos[i], row);
            continue;
        }
        struct socket_info as_kernel = {
            .protocol = row->protocol, .state = row->state, .local = row->local, .peer = row->peer};
        row->direction = (uint8_t)census_direction(&model->census, &as_kernel);
        n_suspects += row_is_suspect(row);
        n_datagrams += row->protocol == IPPROTO_UDP && row_is_suspect(row);
    }
    if (n_suspects > ONE_BY_ONE_MAX || n_datagrams > DATAGRAMS_ONE_BY_ONE_MAX) {
        judge_many(once, n_suspects);
        return;
    }
    for (size_t i = 0; n_suspects > 0 && i < model->n_rows; i++) {
        struct row *row = &model->rows[i];
        struct socket_info socket;
        if (row_is_listener(row) || !row_is_suspect(row))
            continue;
        source_fetch(&once->source, row, WITH_ALL, &socket);
        judge_whole(once, &socket, row);
    }
}

static void add_rest_of_verdicts(struct once *once)
{
    char text[VERDICT_TEXT_MAX], number[WORDS_MAX];
    struct text sentence = {.bytes = NULL};
    if (once->n_more > 0) {
        words_count(once->n_more, number);
        text_format(&sentence, _("%s more sockets are in trouble: see the last column, or filter them."), number);
        put_sentences(once, '!', &sentence);
        text_clear(&sentence);
    }
    enum verdict_weight weight = judge_machine(&once->source.judge, NULL, text);
    if (weight != VERDICT_NONE) {
        text_string(&sentence, text);
        put_sentences(once, weight == VERDICT_TROUBLE ? '!' : 'i', &sentence);
        text_clear(&sentence);
    }
    if (once->model.n_beyond > 0) {
        words_count(once->model.n_beyond, number);
        text_format(&sentence, _("%s sockets more than there is room for were not shown."), number);
        put_sentences(once, 'i', &sentence);
        text_clear(&sentence);
    }
    source_put_refused(&once->source, &sentence);
    if (sentence.n_bytes > 0)
        put_sentences(once, 'i', &sentence);
    text_free(&sentence);
}

/* ---- the two tables */

static void print_plain(struct once *once, const struct place *places)
{
    const struct model *model = &once->model;
    once->plain.owners = once->view.owners != NULL;
    size_t n_listeners = 0;
    for (size_t i = 0; i < model->n_rows; i++) {
        plain_note(&once->plain, &model->rows[i]);
        n_listeners += row_is_listener(&model->rows[i]);
    }
    plain_listener_head(&once->plain, &once->out);
    for (size_t i = 0; i < n_listeners; i++)
        plain_listener(&once->plain, &once->view, &model->rows[i], &once->out);
    text_append(&once->out, "\n", 1);
    plain_head(&once->plain, &once->out);
    for (int suspects = 1; !places && suspects >= 0; suspects--) {
        for (size_t i = n_listeners; i < model->n_rows; i++) {
            if ((model->rows[i].weight == VERDICT_TROUBLE) == suspects)
                plain_row(&once->plain, &once->view, &model->rows[i], &once->out);
        }
    }
    for (size_t i = 0; places && i < model->n_rows; i++) {
        if (!row_is_listener(&model->rows[places[i].row]))
            plain_row(&once->plain, &once->view, &model->rows[places[i].row], &once->out);
    }
}

static void print_line(struct once *once, struct line *line)
{
    line_render(line, once->source.settings->color, &once->out);
    text_append(&once->out, "\n", 1);
    line_clear(line);
}

static void fit(struct once *once, struct layout *layout)
{
    const struct model *model = &once->model;
    bool agree = true, queues_empty = true;
    const struct sonde_address *first = NULL;
    layout_init(layout);
    for (size_t i = 0; i < model->n_rows; i++) {
        const struct row *row = &model->rows[i];
        layout_note(layout, &once->view, row);
        if (row_is_listener(row))
            continue;
        queues_empty = queues_empty && row->receive_queue == 0 && row->send_queue == 0;
        agree = agree && row->protocol != 0 && (!first || view_same_ip(first, &row->local));
        first = &row->local;
    }
    layout_fit(layout, once->n_columns, false, once->view.owners != NULL, true, agree, queues_empty);
}

static void print_fitted(struct once *once, const struct place *places)
{
    const struct model *model = &once->model;
    struct layout layout;
    struct line line = {.n_bytes = 0};
    fit(once, &layout);
    layout.bar_width = 0;
    for (int part = 0; part < 2; part++) {
        if (part == 0)
            view_listener_head(&layout, once->view.owners != NULL, &line);
        else
            view_head(&layout, COLUMN_N, &line);
        print_line(once, &line);
        for (size_t i = 0; i < model->n_rows; i++) {
            const struct row *row = &model->rows[places[i].row];
            if (row_is_listener(row) != (part == 0))
                continue;
            if (part == 0)
                view_listener(&once->view, &layout, row, NULL, false, &line);
            else
                view_row(&once->view, &layout, row, NULL, false, &line);
            print_line(once, &line);
        }
        if (part == 0)
            print_line(once, &line);
    }
}

static void begin_view(struct once *once)
{
    const struct watch_settings *settings = once->source.settings;
    int64_t now_ns = clock_now_ns();
    once->view = (struct view){.owners = settings->owners ? once->source.owners : NULL,
                               .ascii = settings->ascii,
                               .now_ns = now_ns,
                               .seen_ns = now_ns};
}

/* A row about which nothing more is to be found out becomes text at once: of a hundred thousand sockets nearly all are
 * like that, and memory for their rows would take longer to get than all the rest. The widths are those of the rows
 * before it; from here on an address that is wider moves what stands behind it. */
static bool pass(const struct row *row, void *user)
{
    struct once *once = user;
    if (row_is_listener(row) || row_is_suspect(row))
        return false;
    if (once->rest.n_bytes == 0) {
        once->plain.owners = once->view.owners != NULL;
        for (size_t i = 0; i < once->model.n_rows; i++)
            plain_note(&once->plain, &once->model.rows[i]);
    }
    plain_row(&once->plain, &once->view, row, &once->rest);
    return true;
}

static int print(struct once *once)
{
    const struct watch_settings *settings = once->source.settings;
    struct place *places = NULL;
    begin_view(once);
    if (once->n_columns > 0 || settings->sort >= 0) {
        places = malloc((once->model.n_rows + 1) * sizeof *places);
        if (!places)
            return -ENOMEM;
        for (size_t i = 0; i < once->model.n_rows; i++)
            places[i] = place_of_row(&once->model, &once->view, &once->model.rows[i], settings->sort);
        places_sort(&once->model, places, once->model.n_rows, settings->sort);
    }
    if (once->n_columns > 0)
        print_fitted(once, places);
    else
        print_plain(once, places);
    free(places);
    int error = text_write(&once->out, STDOUT_FILENO);
    if (error == 0)
        error = text_write(&once->rest, STDOUT_FILENO);
    if (error != 0 || once->sentences.n_bytes == 0)
        return error;
    text_clear(&once->out);
    text_append(&once->out, "\n", 1);
    text_append(&once->out, once->sentences.bytes, once->sentences.n_bytes);
    return text_write(&once->out, STDOUT_FILENO);
}

static int look(struct once *once)
{
    struct listeners listeners = {.once = once};
    const struct watch_settings *settings = once->source.settings;
    bool wants_info = settings->sort == SORT_IN || settings->sort == SORT_OUT || settings->sort == SORT_RTT;
    model_init(&once->model, false);
    begin_view(once);
    if (once->n_columns == 0 && settings->sort < 0) {
        once->model.pass = pass;
        once->model.user = once;
    }
    int error =
        source_look_once(&once->source, &once->model, wants_info ? SOCKETS_WITH_INFO : 0, keep_listener, &listeners);
    once->view.now_ns = clock_now_ns();
    if (error == 0) {
        judge_all(once, &listeners);
        add_rest_of_verdicts(once);
        error = print(once);
        if (error != 0 && error != -EPIPE)
            settings->say(_("the table could not be written: %s."), sonde_strerror(error));
        if (error == -EPIPE)
            error = 0;
    }
    free(listeners.infos);
    return error;
}

int watch_once(const struct watch_settings *settings)
{
    struct once once = {.n_columns = settings->n_columns};
    if (once.n_columns == 0 && settings->is_terminal)
        once.n_columns = term_width(STDOUT_FILENO);
    int error = source_open(&once.source, settings);
    if (error == 0)
        error = look(&once);
    model_free(&once.model);
    text_free(&once.out);
    text_free(&once.rest);
    text_free(&once.sentences);
    source_close(&once.source);
    return error;
}
