/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define A_MOMENT_NS (200 * NS_PER_MS)
#define LONG_NS NS_PER_S /* without probes nothing shows that somebody waited */

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    unsigned end = about->side[END_B].zero_longest_ns > about->side[END_A].zero_longest_ns ? END_B : END_A;
    const struct conversation_side *closed = &about->side[end], *other = &about->side[other_end(end)];
    int64_t longest_ns = closed->zero_longest_ns;

    if (!is_tcp(about) || longest_ns < (other->n_probes > 0 ? A_MOMENT_NS : LONG_NS))
        return VERDICT_NONE;
    bool still = closed->zero_since_ns != 0 && closed->zero_since_ns == closed->zero_first_ns;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (other->n_probes == 0)
        sentence(&text,
                 _("%s advertised window 0 for %s, %s after the first packet. Whether something waited for it is not "
                   "seen here: "
                   "there were no window probes."),
                 ADDRESS(&closed->address), DURATION(longest_ns),
                 DURATION(since(closed->zero_first_ns, about->first_ns)));
    else
        sentence(&text, _("Stalled %s because %s took no more: it advertised window 0, %s after the first packet."),
                 DURATION(longest_ns), END(about, end), DURATION(since(closed->zero_first_ns, about->first_ns)));
    if (still)
        sentence(&text, _("It still did at the last packet seen."));
    if (closed->n_zero_windows > 1)
        sentence(&text, _("Its window closed %s times in all."), COUNT(closed->n_zero_windows));
    if (other->n_probes == 0)
        return VERDICT_NOTE;
    sentence(&text, ngettext("%s asked %s time (window probe).", "%s asked %s times (window probes).", other->n_probes),
             ADDRESS(&other->address), COUNT(other->n_probes));
    sentence(&text,
             _("Not the network: a closed window is the receiver's own word, mostly because its program does not "
               "read."));
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_zero_window = {
    .name = "zero-window",
    .what = N_("one end closed its window"),
    .judge = judge,
};
