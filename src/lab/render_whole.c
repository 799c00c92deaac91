/* SPDX-License-Identifier: MIT */
/*
 * The whole report as one line of JSON, for those who lay it out themselves: the page. Pictures are SVG; a ladder is
 * also there as a terminal shows it, for those who do not see. The verdicts' words are those of the text, in English.
 */
#include "lab/render.h"
#include "term/translate.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST (256u * 1024)
#define ROOM_MAX (64u * 1024 * 1024) /* a report that is longer is told without its pictures */

struct whole {
    const struct report *report;
    const struct render_options *options;
    struct json json;
    bool without_pictures;
};

/* What a renderer writes, as a member; "" when it has nothing. */
static void put_rendered(struct whole *whole, const char *key, const struct report_item *item,
                         int (*render)(const struct report_item *item, const struct render_options *options, FILE *out))
{
    char *text = NULL;
    size_t n_text = 0;
    FILE *out = whole->without_pictures ? NULL : open_memstream(&text, &n_text);
    int error = out ? render(item, whole->options, out) : -1;
    if (out && fclose(out) != 0)
        error = -1;
    json_text(&whole->json, key, text && error == 0 ? text : "", text && error == 0 ? n_text : 0);
    free(text);
}

static int ladder_as_svg(const struct report_item *item, const struct render_options *options, FILE *out)
{
    (void)options;
    return render_ladder_svg(item, out);
}

static int ladder_as_text(const struct report_item *item, const struct render_options *options, FILE *out)
{
    render_ladder(item, options, out);
    return 0;
}

static int plot_as_svg(const struct report_item *item, const struct render_options *options, FILE *out)
{
    (void)options;
    plot_svg(item, out);
    return 0;
}

static void put_table(struct json *json, const struct report_table *table)
{
    size_t n_rows = table->n_columns > 0 ? (table->n_cells + table->n_columns - 1) / table->n_columns : 0;
    json_array_begin(json, "heads");
    for (unsigned i = 0; i < table->n_columns; i++)
        json_string(json, NULL, table->heads[i]);
    json_array_end(json);
    json_array_begin(json, "rows");
    for (size_t row = 0; row < n_rows; row++) {
        json_array_begin(json, NULL);
        for (unsigned i = 0; i < table->n_columns; i++)
            json_string(json, NULL, table_cell(table, row, i));
        json_array_end(json);
    }
    json_array_end(json);
    json_array_begin(json, "numeric");
    for (unsigned i = 0; i < table->n_columns; i++)
        json_boolean(json, NULL, table_is_numeric(table, i));
    json_array_end(json);
}

static void put_item(struct whole *whole, const struct report_item *item)
{
    static const char *const kinds[] = {
        [REPORT_PARAGRAPH] = "paragraph", [REPORT_FOOTNOTE] = "footnote", [REPORT_TABLE] = "table",
        [REPORT_LADDER] = "ladder",       [REPORT_PLOT] = "plot",         [REPORT_LINES] = "layers",
    };
    struct json *json = &whole->json;
    json_object_begin(json, NULL);
    json_string(json, "kind", kinds[item->kind]);
    switch ((enum report_kind)item->kind) {
    case REPORT_PARAGRAPH:
    case REPORT_FOOTNOTE:
    case REPORT_LINES:
        json_string(json, "text", item->text ? item->text : "");
        break;
    case REPORT_TABLE:
        put_table(json, &item->table);
        break;
    case REPORT_LADDER:
        json_string(json, "caption", item->text);
        put_rendered(whole, "svg", item, ladder_as_svg);
        put_rendered(whole, "text", item, ladder_as_text);
        break;
    case REPORT_PLOT:
        json_string(json, "title", item->text ? item->text : "");
        put_rendered(whole, "svg", item, plot_as_svg);
        break;
    }
    json_object_end(json);
}

static void put_footnote(struct json *json, const char *text)
{
    json_object_begin(json, NULL);
    json_string(json, "kind", "footnote");
    json_string(json, "text", text);
    json_object_end(json);
}

/* In the order in which the text has it. */
static void put_evidence(struct whole *whole)
{
    const struct report *report = whole->report;
    json_array_begin(&whole->json, "evidence");
    for (int footnotes = 0; footnotes < 2; footnotes++) {
        for (size_t i = 0; i < report->n_items; i++) {
            if ((report->items[i].kind == REPORT_FOOTNOTE) == (footnotes == 1))
                put_item(whole, &report->items[i]);
        }
    }
    if (report->where)
        put_footnote(&whole->json, report->where);
    for (unsigned i = 0; i < report->n_remarks; i++)
        put_footnote(&whole->json, report->remarks[i]);
    json_array_end(&whole->json);
}

static void put_question(struct json *json, const struct report *report)
{
    const struct experiment *experiment = report->experiment;
    char text[512];
    json_string(json, "question", experiment->question ? experiment->question : "");
    json_array_begin(json, "choices");
    for (size_t i = 0; experiment->choices && experiment->choices[i]; i++)
        json_string(json, NULL, experiment->choices[i]);
    json_array_end(json);
    json_string(json, "prediction", report->prediction);
    json_string(json, "answer", report->answer ? answer_meaning(experiment, report->answer) : NULL);
    json_string(json, "outcome", answer_text(report, text, sizeof text) ? text : NULL);
}

static void put_claims(struct json *json, const struct report *report)
{
    json_array_begin(json, "claims");
    for (unsigned i = 0; i < report->n_claims; i++) {
        const struct report_verdict *verdict = &report->verdicts[i];
        json_object_begin(json, NULL);
        json_string(json, "id", report->experiment->claims[i].id);
        json_string(json, "claim", report->experiment->claims[i].claim);
        json_string(json, "verdict", verdict_word((enum lab_verdict)verdict->verdict));
        json_string(json, "sentence", verdict->text ? verdict->text : "");
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_settings(struct json *json, const struct report *report)
{
    char value[512];
    json_array_begin(json, "settings");
    for (unsigned i = 0; i < report->n_settings; i++) {
        const char *machine = setting_value(&report->settings[i], value, sizeof value);
        json_object_begin(json, NULL);
        json_string(json, "name", setting_short_name(&report->settings[i]));
        json_string(json, "value", value);
        json_string(json, "machine", machine);
        json_object_end(json);
    }
    json_array_end(json);
}

static size_t put_report(struct whole *whole, char *line, size_t size_bytes)
{
    const struct report *report = whole->report;
    const struct experiment *experiment = report->experiment;
    struct json *json = &whole->json;
    json_begin(json, line, size_bytes);
    json_string(json, "name", experiment->name);
    json_string(json, "chapter", lab_chapter_short_name(experiment->chapter));
    json_string(json, "title", experiment->title);
    json_string(json, "done", experiment->done ? experiment->done : "");
    put_question(json, report);
    put_claims(json, report);
    put_evidence(whole);
    put_settings(json, report);
    json_string(json, "by_hand", experiment->by_hand ? experiment->by_hand : "");
    json_string(json, "read", experiment->read ? experiment->read : "");
    json_boolean(json, "failed", report->n_claims == 0 && report->gave_up);
    json_number(json, "ms", report->took_ns / 1000000);
    return json_end(json);
}

void render_whole(const struct report *report, const struct render_options *options, FILE *out)
{
    struct render_options plain = *options;
    struct whole whole = {.report = report, .options = &plain};
    plain.color = false;
    for (size_t room = ROOM_FIRST; room > 0;) {
        char *line = malloc(room);
        size_t n = line ? put_report(&whole, line, room) : 0;
        if (n > 0)
            fwrite(line, 1, n, out);
        free(line);
        if (n > 0)
            return;
        if (room < ROOM_MAX) {
            room *= 2;
        } else if (!whole.without_pictures) {
            whole.without_pictures = true;
        } else {
            room = 0;
        }
    }
}
