/* SPDX-License-Identifier: MIT */
/*
 * What viewers ask for. A command is a row of the table: its name, the right that it needs, and a function. Rights are
 * checked here, for all of them.
 *
 * Types are strict: a member that is there has the right type, or the command is a bad one, whose answer is a sentence.
 * Before the token was shown there is one command, hello, and anything else ends the connection.
 */
#include "page/page_internal.h"
#include "term/translate.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MS_NS INT64_C(1000000)
#define EVERY_MS_MIN 10
#define EVERY_MS_MAX 3600000

struct request {
    const json_t *json;
    int64_t re;
};

struct command {
    const char *name;
    unsigned right; /* PAGE_... */
    void (*run)(struct viewer *viewer, const struct request *request);
};

/* --- members ------------------------------------------------------------------------------------------------------ */

static void bad(struct viewer *viewer, int64_t re, const char *sentence)
{
    if (++viewer->n_bad > PAGE_BAD_MAX)
        viewer_close(viewer, 1008, "too many bad commands");
    else
        viewer_result(viewer, re, sentence, false);
}

/* A whole number from 0 on, or the default when there is none. False: it is something else. */
static bool get_count(const struct request *request, const char *name, uint64_t otherwise, uint64_t *ret_value)
{
    const json_t *value = json_object_get(request->json, name);

    if (value == NULL) {
        *ret_value = otherwise;
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_value = (uint64_t)json_integer_value(value);
    return true;
}

/* The row that it is about; otherwise it has been answered. */
static bool get_row(struct viewer *viewer, const struct request *request, uint64_t *ret_row)
{
    if (get_count(request, "id", 0, ret_row) && *ret_row > 0)
        return true;
    bad(viewer, request->re, _("A row's id has to be its number."));
    return false;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void do_hello(struct viewer *viewer, const struct request *request)
{
    bad(viewer, request->re, _("The token was shown already."));
}

static void do_open(struct viewer *viewer, const struct request *request)
{
    struct text *text = &viewer->page->text;
    uint64_t row;

    if (!get_row(viewer, request, &row))
        return;
    text_clear(text);
    text_format(text, "{\"kind\":\"opened\",\"re\":%lld,\"row\":", (long long)request->re);
    if (!store_put_row(viewer->page->store, row, text)) {
        viewer_result(viewer, request->re, _("There is no such row any more."), false);
        return;
    }
    text_string(text, "}");
    viewer_send_text(viewer, text);
    viewer_look_at(viewer, row);
}

static void do_close(struct viewer *viewer, const struct request *request)
{
    viewer_look_at(viewer, 0);
    viewer_result(viewer, request->re, NULL, false);
}

static void do_filter(struct viewer *viewer, const struct request *request)
{
    const char *text = json_string_value(json_object_get(request->json, "text"));
    struct sockets_filter *filter = NULL;
    char why[192] = "";
    int error;

    if (text == NULL) {
        bad(viewer, request->re, _("A filter has to be text."));
        return;
    }
    error = text[0] == '\0' ? 0 : filter_parse(text, &filter, why);
    if (error < 0) { /* people type these: it is no bad command */
        viewer_result(viewer, request->re, why[0] != '\0' ? why : _("This filter is too long."), false);
        return;
    }
    filter_free(viewer->filter);
    viewer->filter = filter;
    viewer_result(viewer, request->re, NULL, false);
    viewer_hurry(viewer);
}

static void do_rows(struct viewer *viewer, const struct request *request)
{
    uint64_t n;

    if (!get_count(request, "max", 0, &n) || n < 1 || n > PAGE_OVERVIEW_ROWS_MAX) {
        bad(viewer, request->re, _("There may be 1 to 1000 rows."));
        return;
    }
    viewer->n_rows_max = (unsigned)n;
    viewer_result(viewer, request->re, NULL, false);
    viewer_hurry(viewer);
}

static void do_pause(struct viewer *viewer, const struct request *request)
{
    viewer->is_paused = true;
    viewer_result(viewer, request->re, NULL, false);
}

static void do_resume(struct viewer *viewer, const struct request *request)
{
    viewer->is_paused = false;
    viewer_result(viewer, request->re, NULL, false);
    viewer_hurry(viewer);
}

static void do_layers(struct viewer *viewer, const struct request *request)
{
    struct text *text = &viewer->page->text;
    const char *why = "";
    uint64_t row, segment;

    if (!get_row(viewer, request, &row))
        return;
    if (!get_count(request, "segment", 0, &segment) || segment < 1 || segment > UINT32_MAX) {
        bad(viewer, request->re, _("A segment has to be its number."));
        return;
    }
    text_clear(text);
    text_format(text,
                "{\"kind\":\"layers\",\"re\":%lld,\"id\":%llu,\"segment\":%llu,\"packet\":", (long long)request->re,
                (unsigned long long)row, (unsigned long long)segment);
    if (!store_put_layers(viewer->page->store, row, (uint32_t)segment, text, &why)) {
        viewer_result(viewer, request->re, why, false);
        return;
    }
    text_string(text, "}");
    viewer_send_text(viewer, text);
}

/* --- doing -------------------------------------------------------------------------------------------------------- */

static void do_send(struct viewer *viewer, const struct request *request)
{
    const json_t *is_text = json_object_get(request->json, "text");
    struct send send = {.is_text = json_is_true(is_text)};
    const char *why = "";
    uint64_t every_ms;

    if (!get_row(viewer, request, &send.row))
        return;
    if (is_text != NULL && !json_is_boolean(is_text)) {
        bad(viewer, request->re, _("Whether it is text has to be true or false."));
    } else if (!get_count(request, "every_ms", 0, &every_ms) ||
               (every_ms != 0 && (every_ms < EVERY_MS_MIN || every_ms > EVERY_MS_MAX))) {
        bad(viewer, request->re, _("It can be repeated every 10 to 3600000 milliseconds."));
    } else if (!get_count(request, "count", 0, &send.count)) {
        bad(viewer, request->re, _("How often it is sent has to be a number."));
    } else if (template_parse(json_object_get(request->json, "parts"), &send.template, &why) < 0) {
        bad(viewer, request->re, why);
    } else {
        send.every_ns = (int64_t)every_ms * MS_NS;
        repeat_send(viewer, request->re, &send);
    }
}

static void do_stop(struct viewer *viewer, const struct request *request)
{
    uint64_t repeat;

    if (!get_count(request, "repeat", 0, &repeat) || repeat == 0)
        bad(viewer, request->re, _("A repeat has to be its number."));
    else
        viewer_result(viewer, request->re, repeat_stop(viewer, repeat) ? NULL : _("There is no such repeat any more."),
                      false);
}

/* stream: its number there; 0: none. */
static void give_order(struct viewer *viewer, const struct request *request, enum order_kind kind,
                       struct page_loop *loop, uint64_t stream)
{
    struct order *order = page_order_new(kind, 0);

    if (order == NULL) {
        viewer_result(viewer, request->re, _("There is no memory for it."), false);
        return;
    }
    order->viewer = viewer->id;
    order->re = request->re;
    int error = page_order(loop, stream, order);
    if (error == 0)
        return; /* it is the loop's now */
    order->error = error;
    viewer_result(viewer, request->re, page_order_why(order), error == -EBUSY);
    free(order);
}

static void do_to_stream(struct viewer *viewer, const struct request *request, enum order_kind kind)
{
    struct store_stream stream;
    uint64_t row;

    if (!get_row(viewer, request, &row))
        return;
    if (store_find_stream(viewer->page->store, row, &stream))
        give_order(viewer, request, kind, stream.loop, stream.id);
    else
        viewer_result(viewer, request->re, _("This is no connection of this program, or it is gone."), false);
}

static void do_half_close(struct viewer *viewer, const struct request *request)
{
    do_to_stream(viewer, request, ORDER_HALF_CLOSE);
}

static void do_kick(struct viewer *viewer, const struct request *request)
{
    do_to_stream(viewer, request, ORDER_KICK);
}

static void do_connect(struct viewer *viewer, const struct request *request)
{
    struct page_loop *loop = page_find_connecting(viewer->page);

    if (loop != NULL)
        give_order(viewer, request, ORDER_CONNECT, loop, 0);
    else
        bad(viewer, request->re, _("This cannot be done here."));
}

static void do_experiments(struct viewer *viewer, const struct request *request)
{
    page_lab_list(viewer->page, viewer, request->re);
}

static void do_run(struct viewer *viewer, const struct request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "name"));
    const json_t *prediction = json_object_get(request->json, "prediction");

    if (name == NULL || (prediction != NULL && !json_is_null(prediction) && !json_is_string(prediction)))
        bad(viewer, request->re, _("An experiment's name and its prediction have to be text."));
    else
        page_lab_run(viewer->page, viewer, request->re, name, json_string_value(prediction));
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const struct command commands[] = {
    {"hello", PAGE_SEE, do_hello},
    {"open", PAGE_SEE, do_open},
    {"close", PAGE_SEE, do_close},
    {"filter", PAGE_SEE, do_filter},
    {"rows", PAGE_SEE, do_rows},
    {"pause", PAGE_SEE, do_pause},
    {"resume", PAGE_SEE, do_resume},
    {"layers", PAGE_SEE, do_layers},
    {"send", PAGE_SEND, do_send},
    {"stop", PAGE_SEND, do_stop},
    {"half-close", PAGE_SEND, do_half_close},
    {"kick", PAGE_KICK, do_kick},
    {"connect", PAGE_CONNECT, do_connect},
    {"experiments", PAGE_SEE, do_experiments},
    {"run", PAGE_RUN, do_run},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static void run(struct viewer *viewer, const struct request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "do"));
    const struct command *command = name != NULL ? find_command(name) : NULL;
    const struct page *page = viewer->page;

    if (command == NULL)
        bad(viewer, request->re, _("There is no such command."));
    else if ((page->rights & command->right) == command->right)
        command->run(viewer, request);
    else
        bad(viewer, request->re,
            page->settings.read_only ? _("This page is read-only.") : _("This cannot be done here."));
}

/* Before anything else. */
static void take_hello(struct viewer *viewer, const struct request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "do"));
    const json_t *token = json_object_get(request->json, "token");

    if (name == NULL || strcmp(name, "hello") != 0 || !json_is_string(token) ||
        !token_equal(viewer->page->token, json_string_value(token), json_string_length(token)))
        viewer_close(viewer, 4401, "token");
    else
        viewer_welcome(viewer, request->re);
}

void command_take(struct viewer *viewer, const char *text, size_t n_bytes)
{
    struct request request = {.re = 0};
    /* Nothing long is read for somebody who has not shown the token. */
    bool is_read = viewer->is_known || n_bytes <= PAGE_HELLO_MAX;
    json_t *json = is_read ? json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *re = json_object_get(json, "re");

    request.json = json;
    request.re = json_integer_value(re);
    if (!viewer->is_known)
        take_hello(viewer, &request);
    else if (!json_is_object(json))
        bad(viewer, 0, _("A command has to be a JSON object."));
    else if (re != NULL && !json_is_integer(re))
        bad(viewer, 0, _("The number of a command (re) has to be a whole one."));
    else
        run(viewer, &request);
    json_decref(json);
}
