/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    uint64_t n = about->side[END_A].n_out_of_order + about->side[END_B].n_out_of_order;

    if (!is_tcp(about) || n == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (about->both_watched)
        sentence(&text,
                 ngettext("%s segment was overtaken by later ones on its way.",
                          "%s segments were overtaken by later ones on their way.", n),
                 COUNT(n));
    else
        sentence(&text,
                 ngettext("%s segment was seen behind later ones: the way, or the capture itself, changes the order.",
                          "%s segments were seen behind later ones: the way, or the capture itself, changes the order.",
                          n),
                 COUNT(n));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_out_of_order = {
    .name = "out-of-order",
    .what = N_("segments came out of order"),
    .judge = judge,
};
