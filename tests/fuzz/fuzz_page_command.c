/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a command of a browser that has shown the token, and of one that has not. What must hold whatever they
 * are: the viewer's wishes stay within their bounds, nothing is looked at that is not there, and what is to be sent is
 * never longer than it was said to be.
 */
#include "page/assets.h"
#include "page/page_internal.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* A page that nobody is told of: it listens, and its loop never runs. It may not run experiments. */
static struct page *the_page(void)
{
    static const struct page_asset assets[] = {{"/", "text/html", (const unsigned char *)"", 0}, {NULL, NULL, NULL, 0}};
    static const struct page_settings settings = {
        .url = "http://127.0.0.1:0",
        .verb = "serve",
        .title = "serve",
        .rights = PAGE_SEND | PAGE_KICK,
        .rows = PAGE_ROWS_STREAMS,
    };
    static struct page *page;

    if (page == NULL)
        must(page_create(&settings, assets, &page, NULL) == 0);
    return page;
}

/* What it says is not sent: it is closing. */
static void command(struct page *page, const uint8_t *data, size_t n_bytes, bool is_known)
{
    struct viewer viewer = {.page = page, .is_known = is_known, .is_closing = true, .n_rows_max = 200};

    command_take(&viewer, (const char *)data, n_bytes);
    must(viewer.n_rows_max >= 1 && viewer.n_rows_max <= PAGE_OVERVIEW_ROWS_MAX);
    must(viewer.row == 0 && viewer.n_repeats == 0 && viewer.repeats == NULL);
    must(is_known || (viewer.filter == NULL && !viewer.is_known && !viewer.is_paused && viewer.n_bad == 0));
    filter_free(viewer.filter);
}

static void template(const uint8_t *data, size_t n_bytes)
{
    json_t *json = json_loadb((const char *)data, n_bytes, JSON_REJECT_DUPLICATES, NULL);
    struct template *template = NULL;
    const char *why = NULL;

    if (template_parse(json_object_get(json, "parts"), &template, &why) < 0) {
        must(template == NULL && why != NULL);
    } else {
        size_t most = template_bytes(template);
        unsigned char *bytes = malloc(most + (most == 0));
        must(most <= PAGE_SEND_MAX && bytes != NULL);
        for (unsigned n = 0; n < 3; n++) {
            ssize_t got = template_render(template, n == 2 ? UINT64_MAX : n, INT64_C(1795000000302118999), bytes);
            must(got >= 0 && (size_t)got <= most);
        }
        free(bytes);
    }
    template_free(template);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct page *page = the_page();

    command(page, data, n_bytes, true);
    command(page, data, n_bytes, false);
    template(data, n_bytes);
    return 0;
}
