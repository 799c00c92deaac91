/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static void say_what_was_lost(const struct conversation *about, struct sentences *text)
{
    const struct conversation_side *a = &about->side[END_A], *b = &about->side[END_B];

    sentence(text, _("SYNs sent: %s, lost on the way: %s, arrived and not answered: %s."), COUNT(a->n_syns),
             COUNT(a->n_syns_lost), COUNT(a->n_syns_thrown));
    if (b->n_syns > 1)
        sentence(text, _("Answers (SYN-ACK) sent: %s, lost on the way: %s."), COUNT(b->n_syns), COUNT(b->n_syns_lost));
    if (a->n_syns_thrown > 0)
        sentence(text,
                 _("A listener whose accept queue is full drops SYNs without an answer. Try at %s: sonde watch "
                   "listening"),
                 HOST(&b->address));
}

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    uint64_t n_syns = about->side[END_A].n_syns, n_answers = about->side[END_B].n_syns;

    if (!is_tcp(about) || about->opening != OPENED_HANDSHAKE || (n_syns < 2 && n_answers < 2))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (about->syn_ns != 0 && about->established_ns > about->syn_ns)
        sentence(&text, _("The handshake took %s."), DURATION(about->established_ns - about->syn_ns));
    if (about->both_watched) {
        say_what_was_lost(about, &text);
    } else if (n_syns > 1 && n_answers < 2) {
        sentence(&text, _("%s sent its SYN %s times, and only the last was answered as far as seen here."),
                 ADDRESS(&about->side[END_A].address), COUNT(n_syns));
        sentence(&text,
                 _("What became of the others the wire does not tell: a full accept queue drops SYNs without an "
                   "answer, and so do loss and firewalls. Try at %s: sonde watch listening"),
                 HOST(&about->side[END_B].address));
    } else {
        sentence(&text,
                 _("SYNs seen: %s; answers (SYN-ACK) seen: %s. Answers were lost, or late, or the "
                   "ACK behind them was lost or ignored (a full accept queue ignores it)."),
                 COUNT(n_syns), COUNT(n_answers));
    }
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_slow_handshake = {
    .name = "slow-handshake",
    .what = N_("the handshake took several attempts"),
    .judge = judge,
};
