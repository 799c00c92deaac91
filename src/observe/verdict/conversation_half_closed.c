/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || about->ending != ENDED_HALF || about->closed_first >= N_ENDS)
        return VERDICT_NONE;
    unsigned first = about->closed_first, other = other_end(first);
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("Half-closed: %s has ended its side, and %s has not as far as this capture goes."),
             END(about, first), END(about, other));
    sentence(&text, _("It may still send; if it does not, its program may have forgotten to close (CLOSE_WAIT in sonde "
                      "watch)."));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_half_closed = {
    .name = "half-closed",
    .what = N_("one end has closed, the other has not"),
    .judge = judge,
};
