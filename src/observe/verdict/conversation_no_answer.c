/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    const struct conversation_side *client = &about->side[END_A];
    uint64_t n = client->n_syns;

    if (!is_tcp(about) || about->opening != OPENED_NOT_YET || !client->syn_seen || about->side[END_B].n_packets > 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (n < 2) {
        sentence(&text, _("One SYN, and no answer as far as this capture goes."));
        return VERDICT_NOTE;
    }
    sentence(&text, _("No answer: %s sent its SYN %s times within %s, and nothing came back."), END(about, END_A),
             COUNT(n), DURATION(since(about->last_ns, about->syn_ns ? about->syn_ns : about->first_ns)));
    if (about->both_watched) {
        sentence(&text, _("Lost on the way: %s. Arrived and not answered: %s."), COUNT(client->n_syns_lost),
                 COUNT(client->n_syns_thrown));
        return VERDICT_TROUBLE;
    }
    sentence(&text,
             _("A full accept queue, a firewall that drops, a host that is not there and loss on the way look the "
               "same on the wire. Try at %s: sonde watch listening"),
             HOST(&about->side[END_B].address));
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_no_answer = {
    .name = "no-answer",
    .what = N_("the SYN was answered by nothing at all"),
    .judge = judge,
};
