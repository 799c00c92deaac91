/* SPDX-License-Identifier: MIT */
/* The "=" line: clauses, one behind the other. What only the kernel knows, such as how long TIME_WAIT was held, is not
 * in it. */
#include "observe/verdict/verdict_internal.h"

static void say_amounts(const struct conversation *about, struct sentences *text)
{
    const struct conversation_side *a = &about->side[END_A], *b = &about->side[END_B];
    uint64_t n = a->n_packets + b->n_packets;

    clause(text, _("%s →, %s ←"), BYTES(a->n_unique_bytes), COUNT(b->n_unique_bytes));
    if (is_tcp(about))
        clause(text, ngettext("%s segment", "%s segments", n), COUNT(n));
    else
        clause(text, ngettext("%s datagram", "%s datagrams", n), COUNT(n));
}

/* Only both ends together can tell. */
static void say_lost(const struct conversation *about, struct sentences *text)
{
    uint64_t n_lost = about->side[END_A].n_lost + about->side[END_B].n_lost;
    uint64_t n_thrown = about->side[END_A].n_thrown + about->side[END_B].n_thrown;

    if (!about->both_watched)
        return;
    if (n_lost == 0 && n_thrown == 0)
        clause(text, "%s", _("none lost"));
    if (n_lost > 0)
        clause(text, ngettext("%s lost", "%s lost", n_lost), COUNT(n_lost));
    if (n_thrown > 0)
        clause(text, ngettext("%s arrived and not taken", "%s arrived and not taken", n_thrown), COUNT(n_thrown));
}

static void say_again(const struct conversation *about, struct sentences *text)
{
    const struct conversation_side *a = &about->side[END_A], *b = &about->side[END_B];
    uint64_t n_again = a->n_again + b->n_again, n_syns = 0;

    for (unsigned end = 0; end < N_ENDS; end++)
        n_syns += about->side[end].n_syns_again;
    if (n_syns > 0)
        clause(text, ngettext("%s SYN sent again", "%s SYNs sent again", n_syns), COUNT(n_syns));
    if (n_again > 0)
        clause(text,
               ngettext("%s retransmission (tail probe %s, RTO %s, fast %s)",
                        "%s retransmissions (tail probe %s, RTO %s, fast %s)", n_again),
               COUNT(n_again), COUNT(a->n_again_tlp + b->n_again_tlp), COUNT(a->n_again_rto + b->n_again_rto),
               COUNT(a->n_again_fast + b->n_again_fast));
    else if (n_syns == 0)
        clause(text, "%s", _("none sent again"));
}

static void say_opening(const struct conversation *about, struct sentences *text)
{
    switch ((enum conversation_opening)about->opening) {
    case OPENED_UNKNOWN:
        clause(text, "%s", _("opened before this capture"));
        break;
    case OPENED_HANDSHAKE:
        if (about->syn_ns != 0 && about->established_ns > about->syn_ns)
            clause(text, _("opened by handshake in %s"), DURATION(about->established_ns - about->syn_ns));
        else
            clause(text, "%s", _("opened by handshake"));
        break;
    case OPENED_SIMULTANEOUSLY:
        clause(text, "%s", _("opened by both ends at once"));
        break;
    case OPENED_NOT_YET:
        clause(text, "%s", _("handshake not complete"));
        break;
    case OPENED_REFUSED: /* the ending says it */
        break;
    }
}

static void say_ending(const struct conversation *about, struct sentences *text)
{
    const char *first = ROLE(about, about->closed_first);

    switch ((enum conversation_ending)about->ending) {
    case ENDED_NOT:
        if (about->opening != OPENED_NOT_YET && about->opening != OPENED_REFUSED)
            clause(text, "%s", _("still open"));
        break;
    case ENDED_IN_4:
        clause(text, _("closed in 4 segments, %s first: it holds TIME_WAIT"), first);
        break;
    case ENDED_IN_3:
        clause(text, _("closed in 3 segments, %s first: it holds TIME_WAIT"), first);
        break;
    case ENDED_SIMULTANEOUSLY:
        clause(text, "%s", _("closed by both ends at once: both hold TIME_WAIT"));
        break;
    case ENDED_HALF:
        clause(text, _("half-closed by %s"), first);
        break;
    case ENDED_RESET:
        clause(text, _("ended by a reset from %s"), ROLE(about, about->reset_by));
        break;
    case ENDED_REFUSED:
        break;
    case ENDED_WITHOUT_ACK:
        clause(text, "%s", _("closed by both ends, the last FIN not acknowledged"));
        break;
    }
    if (about->ending == ENDED_REFUSED || (about->ending == ENDED_NOT && about->opening == OPENED_REFUSED))
        clause(text, "%s", _("refused"));
}

void conversation_summary(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    int64_t rtt_ns = rtt_seen_ns(about);

    say_amounts(about, &text);
    say_lost(about, &text);
    if (!is_tcp(about))
        return;
    say_again(about, &text);
    say_opening(about, &text);
    if (rtt_ns > 0)
        clause(&text, _("fastest round trip %s"), DURATION(rtt_ns));
    say_ending(about, &text);
}
