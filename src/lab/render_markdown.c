/* SPDX-License-Identifier: MIT */
/* One row of a Markdown table for each claim. */
#include "lab/render.h"

/* A bar would end the cell, and a newline the table. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputs("\\|", out);
        else
            fputc(*text == '\n' ? ' ' : *text, out);
    }
}

void render_markdown(const struct report *report, FILE *out)
{
    for (unsigned i = 0; i < report->n_claims; i++) {
        const struct report_verdict *verdict = &report->verdicts[i];
        fprintf(out, "| %s | ", report->experiment->claims[i].id);
        put_cell(out, report->experiment->claims[i].claim);
        fprintf(out, " | %s | ", lab_verdict_name((enum lab_verdict)verdict->verdict));
        put_cell(out, verdict->text ? verdict->text : "");
        fprintf(out, " | `%s` |\n", report->experiment->name);
    }
}
