/* SPDX-License-Identifier: MIT */
/* Nothing is said where bytes are missing in the capture: the evidence has holes as well. */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    uint64_t n = about->side[END_A].n_again_spurious + about->side[END_B].n_again_spurious;
    uint64_t n_again = about->side[END_A].n_again + about->side[END_B].n_again;
    uint64_t n_missing = about->side[END_A].n_missing_bytes + about->side[END_B].n_missing_bytes;

    if (!is_tcp(about) || n == 0 || n_missing > 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (n_again > n)
        sentence(
            &text,
            ngettext("Of %s repeats %s was not needed: what it repeats had arrived, and its ACK was lost or late.",
                     "Of %s repeats %s were not needed: what they repeat had arrived, and the ACKs were lost or late.",
                     n),
            COUNT(n_again), COUNT(n));
    else
        sentence(
            &text,
            ngettext("%s repeat was not needed: what it repeats had arrived, and its ACK was lost or late.",
                     "%s repeats, and none was needed: what they repeat had arrived, and the ACKs were lost or late.",
                     n),
            COUNT(n));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_spurious = {
    .name = "spurious",
    .what = N_("segments were repeated that had arrived"),
    .judge = judge,
};
