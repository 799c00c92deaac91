/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || !about->begins_midway)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("Begins midway: the handshake is not in this capture. Numbers count from the first seen, windows "
                      "are not scaled, and the states before the first FIN or reset are a guess."));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_begins_midway = {
    .name = "begins-midway",
    .what = N_("its beginning is not in the capture"),
    .judge = judge,
};
