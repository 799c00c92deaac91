/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    uint64_t n = about->side[END_A].n_keep_alives + about->side[END_B].n_keep_alives;

    if (!is_tcp(about) || n == 0 || about->side[END_A].n_unique_bytes > 0 || about->side[END_B].n_unique_bytes > 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text,
             ngettext("No data in either direction as far as seen here, only %s keep-alive: the connection is idle.",
                      "No data in either direction as far as seen here, only %s keep-alives: the connection is idle.",
                      n),
             COUNT(n));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_keep_alives_only = {
    .name = "keep-alives-only",
    .what = N_("nothing but keep-alives"),
    .judge = judge,
};
