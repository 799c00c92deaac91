/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    const struct conversation_side *server = &about->side[END_B];

    if (!is_tcp(about) || about->opening != OPENED_NOT_YET || about->ending != ENDED_NOT || !server->syn_seen)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(
        &text,
        ngettext("Half-open: %s answered the SYN %s time, and no ACK completed the handshake as far as seen here.",
                 "Half-open: %s answered the SYN %s times, and no ACK completed the handshake as far as seen here.",
                 server->n_syns),
        END(about, END_B), COUNT(server->n_syns));
    if (server->n_syns < 2)
        return VERDICT_NOTE;
    if (about->both_watched && about->side[END_A].n_lost + server->n_syns_lost > 0) {
        sentence(&text, _("Lost on the way: %s of the answers, and %s segments of %s."), COUNT(server->n_syns_lost),
                 COUNT(about->side[END_A].n_lost), END(about, END_A));
        return VERDICT_TROUBLE;
    }
    sentence(&text, _("The answers do not reach %s, or it is gone, or never existed (a forged address)."),
             END(about, END_A));
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_half_handshake = {
    .name = "half-handshake",
    .what = N_("the SYN was answered, and the handshake not completed"),
    .judge = judge,
};
