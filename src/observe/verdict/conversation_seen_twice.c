/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (about->n_seen_twice == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (about->both_watched)
        sentence(&text,
                 ngettext("%s copy was made on the way: its sender sent it once.",
                          "%s copies were made on the way: their sender sent them once.", about->n_seen_twice),
                 COUNT(about->n_seen_twice));
    else
        sentence(
            &text,
            ngettext("%s packet was captured twice, on two interfaces or at two points of one: it is no repeat.",
                     "%s packets were captured twice, on two interfaces or at two points of one: they are no repeats.",
                     about->n_seen_twice),
            COUNT(about->n_seen_twice));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_seen_twice = {
    .name = "seen-twice",
    .what = N_("packets were captured twice"),
    .judge = judge,
};
