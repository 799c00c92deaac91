/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static bool lacks_mss(const struct conversation_side *side)
{
    return side->syn_seen && side->mss == 0;
}

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    bool a = lacks_mss(&about->side[END_A]), b = lacks_mss(&about->side[END_B]);

    if (!is_tcp(about) || about->opening == OPENED_REFUSED || (!a && !b))
        return VERDICT_NONE;
    bool v6 = about->side[END_A].address.family == AF_INET6;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (a && b)
        sentence(&text, _("Neither end offers an MSS in its SYN: both have to assume %s bytes."), v6 ? "1,220" : "536");
    else
        sentence(&text, _("The SYN of %s has no MSS option: the other end has to assume %s bytes."),
                 END(about, a ? END_A : END_B), v6 ? "1,220" : "536");
    return VERDICT_NOTE;
}

const struct conversation_verdict conversation_mss_missing = {
    .name = "mss-missing",
    .what = N_("a SYN without the MSS option"),
    .judge = judge,
};
