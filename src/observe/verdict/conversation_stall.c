/* SPDX-License-Identifier: MIT */
/* The longest stall by repeats is told, the others are counted. Repeats of what had arrived are told by another
 * verdict. A capture at one place does not show where something was lost. */
#include "observe/verdict/verdict_internal.h"

#define SERIOUS_NS (200 * NS_PER_MS)

static bool needed_repeats(const struct conversation_side *side)
{
    return side->n_again > side->n_again_spurious;
}

static void say_how(const struct conversation_side *side, struct sentences *text)
{
    uint64_t n_timers = (uint64_t)side->stall_n_rto + side->stall_n_tlp;

    if (n_timers < side->stall_n_again)
        sentence(text,
                 _("Of these repeats the timer (RTO) sent %s, tail probes were %s; the others followed duplicate "
                   "ACKs or SACKs, or their cause is not seen."),
                 COUNT(side->stall_n_rto), COUNT(side->stall_n_tlp));
    else
        sentence(text, _("Only timers repeated it: tail probe %s, RTO %s."), COUNT(side->stall_n_tlp),
                 COUNT(side->stall_n_rto));
}

/* Where both ends were watched, it is known what was lost. */
static void say_what_was_lost(const struct conversation_side *side, struct sentences *text)
{
    uint32_t n = side->stall_n_lost;

    if (n == 0)
        sentence(text, _("It had arrived: its ACK was lost or late."));
    else if (n == side->stall_n_again && n == 1)
        sentence(text, _("It was lost on the way; its repeat was not."));
    else if (n == side->stall_n_again)
        sentence(text,
                 ngettext("It was lost on the way, and so was its first repeat.",
                          "It was lost on the way, and so were its first %s repeats.", n - 1),
                 COUNT(n - 1));
    else
        sentence(text, _("Of its %s copies %s were lost on the way."), COUNT(side->stall_n_again + 1u), COUNT(n));
}

static void say_longest(const struct conversation *about, unsigned end, struct sentences *text)
{
    const struct conversation_side *side = &about->side[end];
    uint32_t n = side->stall_n_again;

    if (side->in_flight == 0)
        sentence(text,
                 ngettext("Segment #%u of %s was sent again %s time; it was acknowledged %s after it was first sent.",
                          "Segment #%u of %s was sent again %s times; it was acknowledged %s after it was first "
                          "sent.",
                          n),
                 (unsigned)side->stall_first_number, END(about, end), COUNT(n), DURATION(side->stall_ns));
    else
        sentence(text,
                 ngettext("Segment #%u of %s was sent again %s time; to its ACK or its last repeat it took %s.",
                          "Segment #%u of %s was sent again %s times; to its ACK or its last repeat it took %s.", n),
                 (unsigned)side->stall_first_number, END(about, end), COUNT(n), DURATION(side->stall_ns));
    say_how(side, text);
    if (about->both_watched)
        say_what_was_lost(side, text);
    else
        sentence(text, _("It was lost or late, or its ACK was."));
}

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about))
        return VERDICT_NONE;
    bool a = needed_repeats(&about->side[END_A]), b = needed_repeats(&about->side[END_B]);
    if (!a && !b)
        return VERDICT_NONE;
    unsigned end = b && (!a || about->side[END_B].stall_ns > about->side[END_A].stall_ns) ? END_B : END_A;
    const struct conversation_side *side = &about->side[end], *other = &about->side[other_end(end)];
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (side->stall_n_again > 0)
        say_longest(about, end, &text);
    if (side->stall_n_again == 0 || side->n_again > side->stall_n_again)
        sentence(&text,
                 ngettext("In all, %s sent %s segment again (%s).", "In all, %s sent %s segments again (%s).",
                          side->n_again),
                 END(about, end), COUNT(side->n_again), BYTES(side->n_again_bytes));
    if (other->n_again > 0)
        sentence(&text, _("Segments that the other end sent again: %s."), COUNT(other->n_again));
    return side->stall_ns >= SERIOUS_NS || side->stall_n_rto > 0 ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct conversation_verdict conversation_stall = {
    .name = "stall",
    .what = N_("segments were sent again"),
    .judge = judge,
};
