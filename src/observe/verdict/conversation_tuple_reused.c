/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || !about->tuple_reused)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("Another connection: an earlier one in this capture had the same addresses and ports."));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_tuple_reused = {
    .name = "tuple-reused",
    .what = N_("its addresses and ports were those of an earlier connection"),
    .judge = judge,
};
