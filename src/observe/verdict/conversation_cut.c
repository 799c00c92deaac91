/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (about->n_cut == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text,
             ngettext("%s packet was captured only in part (snapshot length): what it carried is not all here.",
                      "%s packets were captured only in part (snapshot length): what they carried is not all here.",
                      about->n_cut),
             COUNT(about->n_cut));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_cut = {
    .name = "cut",
    .what = N_("packets were captured only in part"),
    .judge = judge,
};
