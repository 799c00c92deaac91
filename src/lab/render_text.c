/* SPDX-License-Identifier: MIT */
/* The report as people read it in a terminal: heads in their order, each of 13 cells, texts wrapped beside them. */
#include "lab/render.h"
#include "term/translate.h"

#include <stdlib.h>
#include <string.h>

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RESET "\033[0m"
#define MARGIN 2 /* lines end so many cells before the terminal does */

struct page {
    const struct report *report;
    const struct render_options *options;
    FILE *out;
};

/* ---- heads */

static struct wrapped begin(const struct page *page, const char *head)
{
    struct wrapped wrapped = {
        .out = page->out,
        .width = page->options->width > MARGIN ? page->options->width - MARGIN : page->options->width,
        .indent = RENDER_HEAD,
        .column = RENDER_HEAD,
        .unicode = page->options->unicode,
    };
    unsigned cells = lab_cells(head);
    fprintf(page->out, "%s%s%s%*s", page->options->color ? BOLD : "", head, page->options->color ? RESET : "",
            cells < RENDER_HEAD ? (int)(RENDER_HEAD - cells) : 1, "");
    return wrapped;
}

static void end(struct wrapped *wrapped)
{
    fputc('\n', wrapped->out);
}

static void put(const struct page *page, const char *head, const char *text)
{
    struct wrapped wrapped = begin(page, head);
    wrap_words(&wrapped, text);
    end(&wrapped);
}

/* "two-queues   Opening   C2 C3 C4, S7                                        0.9 s" */
static void put_title(const struct page *page)
{
    const struct experiment *experiment = page->report->experiment;
    char line[512], took[32];
    size_t n =
        (size_t)snprintf(line, sizeof line, "%s   %s  ", experiment->name, lab_chapter_name(experiment->chapter));
    for (unsigned i = 0; i < page->report->n_claims && n < sizeof line; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, " %s", experiment->claims[i].id);
    if (experiment->systems && n < sizeof line)
        snprintf(line + n, sizeof line - n, "%s%s", page->report->n_claims > 0 ? ", " : " ", experiment->systems);
    snprintf(took, sizeof took, _("%.1f s"), (double)page->report->took_ns / NS_PER_S);
    unsigned cells = lab_cells(line) + lab_cells(took), width = page->options->width;
    fprintf(page->out, "%s%s%s%*s%s\n", page->options->color ? BOLD : "", line, page->options->color ? RESET : "",
            cells + 2 < width ? (int)(width - cells) : 2, "", took);
}

static void put_claims(const struct page *page)
{
    const struct lab_claim *claims = page->report->experiment->claims;
    struct wrapped wrapped = begin(page, _("Claim"));
    if (page->report->n_claims == 0)
        wrap_words(&wrapped, _("none of its own: it shows how things are"));
    unsigned n = page->report->n_claims;
    for (unsigned i = 0; i < n; i++) {
        char text[REPORT_TEXT_MAX];
        if (n == 1)
            snprintf(text, sizeof text, "\"%s\"", claims[i].claim);
        else
            snprintf(text, sizeof text, "%-4s \"%s\"", claims[i].id, claims[i].claim);
        if (i > 0)
            wrap_newline(&wrapped);
        wrap_words(&wrapped, text);
    }
    end(&wrapped);
}

/* ---- the question and its answer */

static void put_question(const struct page *page)
{
    const struct experiment *experiment = page->report->experiment;
    struct wrapped wrapped = begin(page, _("Question"));
    char text[256];
    if (experiment->question)
        wrap_words(&wrapped, experiment->question);
    for (size_t i = 0; experiment->choices && experiment->choices[i]; i++) {
        /* A choice is not torn apart where it fits into a line. */
        unsigned cells = lab_cells(experiment->choices[i]);
        if (wrapped.column + 3 + cells > wrapped.width)
            wrap_newline(&wrapped);
        snprintf(text, sizeof text, "   %s", experiment->choices[i]);
        wrap_words(&wrapped, text);
    }
    if (page->report->prediction) {
        snprintf(text, sizeof text, _("   your answer [%s]"), page->report->prediction);
        wrap_words(&wrapped, text);
    }
    end(&wrapped);
}

/* ---- evidence */

/* The evidence's head stands before its first line; what is wider than a text begins below it. */
struct evidence {
    const struct page *page;
    bool begun;
    bool after_picture;
};

static void indent_evidence(struct evidence *evidence)
{
    FILE *out = evidence->page->out;
    if (!evidence->begun) {
        begin(evidence->page, _("Evidence"));
        evidence->begun = true;
        evidence->after_picture = false;
        return;
    }
    if (evidence->after_picture)
        fputc('\n', out);
    evidence->after_picture = false;
    fprintf(out, "%*s", RENDER_HEAD, "");
}

static void put_evidence_text(struct evidence *evidence, const char *text)
{
    const struct page *page = evidence->page;
    indent_evidence(evidence);
    struct wrapped wrapped = {.out = page->out,
                              .width = page->options->width - MARGIN,
                              .indent = RENDER_HEAD,
                              .column = RENDER_HEAD,
                              .unicode = page->options->unicode};
    wrap_words(&wrapped, text);
    end(&wrapped);
}

/* Full width, with an empty line before and after. */
static void put_picture(struct evidence *evidence, const struct report_item *item)
{
    const struct page *page = evidence->page;
    char plain[REPORT_TEXT_MAX];
    if (!evidence->begun) {
        fprintf(page->out, "%s%s%s", page->options->color ? BOLD : "", _("Evidence"),
                page->options->color ? RESET : "");
        evidence->begun = true;
        fputc('\n', page->out);
    }
    fputc('\n', page->out);
    if (item->text && item->kind != REPORT_LINES && item->kind != REPORT_PLOT) {
        plain_text(item->text, page->options->unicode, plain, sizeof plain);
        fprintf(page->out, "%s\n", plain);
    }
    if (item->kind == REPORT_LADDER) {
        render_ladder(item, page->options, page->out);
    } else if (item->kind == REPORT_PLOT) {
        plot_text(item, page->options, page->out);
    } else {
        fputs(item->text, page->out);
    }
    evidence->after_picture = true;
}

static void put_evidence(const struct page *page)
{
    const struct report *report = page->report;
    struct evidence evidence = {.page = page};
    for (size_t i = 0; i < report->n_items; i++) {
        const struct report_item *item = &report->items[i];
        switch ((enum report_kind)item->kind) {
        case REPORT_PARAGRAPH:
            put_evidence_text(&evidence, item->text);
            break;
        case REPORT_TABLE:
            indent_evidence(&evidence);
            render_table(&item->table, RENDER_HEAD, page->options, page->out);
            break;
        case REPORT_LADDER:
        case REPORT_PLOT:
        case REPORT_LINES:
            put_picture(&evidence, item);
            break;
        case REPORT_FOOTNOTE:
            break;
        }
    }
    for (size_t i = 0; i < report->n_items; i++) {
        if (report->items[i].kind == REPORT_FOOTNOTE)
            put_evidence_text(&evidence, report->items[i].text);
    }
    if (report->where)
        put_evidence_text(&evidence, report->where);
    for (unsigned i = 0; i < report->n_remarks; i++)
        put_evidence_text(&evidence, report->remarks[i]);
    if (!evidence.begun)
        put_evidence_text(&evidence, _("none"));
    if (evidence.after_picture)
        fputc('\n', page->out);
}

/* ---- verdict */

static void put_verdicts(const struct page *page)
{
    const struct report *report = page->report;
    const struct render_options *options = page->options;
    struct wrapped wrapped = begin(page, _("Verdict"));
    char answer[512];
    if (report->n_claims == 0)
        wrap_words(&wrapped, report->gave_up ? _("none: it could not be shown here.") : _("none to give."));
    for (unsigned i = 0; i < report->n_claims; i++) {
        const struct report_verdict *verdict = &report->verdicts[i];
        const char *word = _(verdict_word((enum lab_verdict)verdict->verdict));
        char id[24] = "";
        if (report->n_claims > 1)
            snprintf(id, sizeof id, "%s ", report->experiment->claims[i].id);
        if (i > 0)
            wrap_newline(&wrapped);
        /* Another blank comes with the first word. */
        fprintf(page->out, "%s%s%s%s  ", id, options->color ? BOLD : "", word, options->color ? RESET : "");
        wrapped.column += lab_cells(id) + lab_cells(word) + 2;
        if (verdict->text)
            wrap_words(&wrapped, verdict->text);
    }
    if (answer_text(report, answer, sizeof answer)) {
        if (report->n_claims > 1)
            wrap_newline(&wrapped);
        wrap_words(&wrapped, answer);
    }
    end(&wrapped);
}

/* ---- settings */

static void setting_text(const struct report_setting *setting, char *ret_text, size_t size_bytes)
{
    char value[384];
    const char *machine = setting_value(setting, value, sizeof value);
    if (machine)
        snprintf(ret_text, size_bytes, _("%s %s (%s on this machine)"), setting_short_name(setting), value, machine);
    else
        snprintf(ret_text, size_bytes, "%s %s", setting_short_name(setting), value);
}

static void put_settings(const struct page *page)
{
    const struct report *report = page->report;
    struct wrapped wrapped = begin(page, _("Settings"));
    char text[512];
    for (unsigned i = 0; i < report->n_settings; i++) {
        text[0] = text[1] = text[2] = ' ';
        setting_text(&report->settings[i], text + (i > 0 ? 3 : 0), sizeof text - 3);
        unsigned cells = lab_cells(text);
        if (i > 0 && wrapped.column + cells > wrapped.width)
            wrap_newline(&wrapped);
        wrap_words(&wrapped, text);
    }
    if (report->n_settings == 0)
        wrap_words(&wrapped, _("none matter"));
    end(&wrapped);
}

/* ---- */

/* Commands as they are, a line each. */
static void put_by_hand(const struct page *page)
{
    const char *at = page->report->experiment->by_hand;
    begin(page, _("By hand"));
    if (!at || !*at)
        fputc('\n', page->out);
    for (bool first = true; at && *at; first = false) {
        size_t n = strcspn(at, "\n");
        fprintf(page->out, "%*s%.*s\n", first ? 0 : RENDER_HEAD, "", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

void render_text(const struct report *report, const struct render_options *options, FILE *out)
{
    const struct experiment *experiment = report->experiment;
    struct page page = {report, options, out};
    put_title(&page);
    put_claims(&page);
    put(&page, _("What is done"), experiment->done ? experiment->done : "");
    put_question(&page);
    fputc('\n', out);
    put_evidence(&page);
    put_verdicts(&page);
    put_settings(&page);
    put_by_hand(&page);
    put(&page, _("Read"), experiment->read ? experiment->read : "");
}
