/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || about->n_offload == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(
        &text,
        ngettext("%s segment is longer than the MSS: it was captured before it was cut, or after it was joined, by "
                 "the kernel or the card (TSO, GSO, GRO). On a wire there are more and shorter ones.",
                 "%s segments are longer than the MSS: they were captured before they were cut, or after they were "
                 "joined, by the kernel or the card (TSO, GSO, GRO). On a wire there are more and shorter ones.",
                 about->n_offload),
        COUNT(about->n_offload));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_offload = {
    .name = "offload",
    .what = N_("segments longer than the wire takes"),
    .judge = judge,
};
