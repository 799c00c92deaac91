/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define WINDOW_MOST UINT64_C(65535)

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    const struct conversation_side *a = &about->side[END_A], *b = &about->side[END_B];
    int64_t rtt_ns = rtt_seen_ns(about);

    if (!is_tcp(about) || !a->syn_seen || !b->syn_seen || (a->window_scale >= 0 && b->window_scale >= 0))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _("Windows are not scaled, as %s did not offer it: each window is at most 65,535 bytes."),
             END(about, a->window_scale < 0 ? END_A : END_B));
    if (rtt_ns > 0)
        sentence(&text, _("With a round trip of %s that allows at most %s in each direction."), DURATION(rtt_ns),
                 RATE((uint64_t)(WINDOW_MOST * NS_PER_S / (uint64_t)rtt_ns)));
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_no_window_scale = {
    .name = "no-window-scale",
    .what = N_("windows are not scaled"),
    .judge = judge,
};
