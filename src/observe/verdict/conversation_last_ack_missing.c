/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || about->ending != ENDED_WITHOUT_ACK)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("Both ends have closed, and no ACK of the last FIN was seen: it was lost, or the capture ended "
                      "before it came. The end that waits for it (LAST_ACK or CLOSING) repeats its FIN for a while."));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_last_ack_missing = {
    .name = "last-ack-missing",
    .what = N_("both ends closed, and the last ACK was not seen"),
    .judge = judge,
};
