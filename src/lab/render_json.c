/* SPDX-License-Identifier: MIT */
/* One line of JSON for each claim. */
#include "lab/render.h"
#include "json/json.h"

#include <stdlib.h>

#define LINE_BYTES (256 * 1024)

static void put_figures(struct json *json, const struct report_verdict *verdict)
{
    json_object_begin(json, "figures");
    for (unsigned i = 0; i < verdict->n_figures; i++) {
        const struct report_figure *figure = &verdict->figures[i];
        if (figure->is_text)
            json_string(json, figure->name, figure->text);
        else
            json_real(json, figure->name, figure->value);
    }
    json_object_end(json);
}

static size_t put_claim(char *line, const struct report *report, unsigned index)
{
    const struct report_verdict *verdict = &report->verdicts[index];
    struct json json;
    json_begin(&json, line, LINE_BYTES);
    json_string(&json, "claim", report->experiment->claims[index].id);
    json_string(&json, "experiment", report->experiment->name);
    json_string(&json, "verdict", lab_verdict_name((enum lab_verdict)verdict->verdict));
    json_string(&json, "evidence", verdict->text ? verdict->text : "");
    put_figures(&json, verdict);
    return json_end(&json);
}

void render_json(const struct report *report, FILE *out)
{
    char *line = malloc(LINE_BYTES);
    for (unsigned i = 0; line && i < report->n_claims; i++)
        fwrite(line, 1, put_claim(line, report, i), out);
    free(line);
}
