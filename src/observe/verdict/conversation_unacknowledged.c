/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    unsigned end = END_A;

    while (end < N_ENDS && (about->side[end].in_flight == 0 || about->side[end].n_again == 0))
        end++;
    if (!is_tcp(about) || about->ending != ENDED_NOT || about->opening == OPENED_NOT_YET || end == N_ENDS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("At the last packet seen, %s from %s were sent and not acknowledged."),
             BYTES(about->side[end].in_flight), END(about, end));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_unacknowledged = {
    .name = "unacknowledged",
    .what = N_("what was sent was not acknowledged to the end"),
    .judge = judge,
};
