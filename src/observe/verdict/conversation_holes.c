/* SPDX-License-Identifier: MIT */
/* What was acknowledged arrived, though it was never captured; what was not may have been lost. */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    uint64_t n = about->side[END_A].n_missing_bytes + about->side[END_B].n_missing_bytes;

    if (!is_tcp(about) || n == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text,
             _("The capture has holes: %s of payload are not in it (%s from %s, %s from %s). They were dropped while "
               "capturing, or took another way."),
             BYTES(n), COUNT(about->side[END_A].n_missing_bytes), END(about, END_A),
             COUNT(about->side[END_B].n_missing_bytes), END(about, END_B));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_holes = {
    .name = "holes",
    .what = N_("bytes are missing in the capture"),
    .judge = judge,
};
