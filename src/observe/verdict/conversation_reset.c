/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

/* Each takes the name of the end that sent the reset. */
static const char *const causes[N_RESET_CAUSES] = {
    [RESET_UNKNOWN] = N_("Reset by %s. Why, the segments do not tell."),
    [RESET_REFUSED] = N_("Reset by %s in answer to the SYN: nobody listens there."),
    [RESET_UNREAD] =
        N_("Reset by %s: its program closed while received data was unread, or data came for a socket that "
           "was closed. What the other end sent last was not read."),
    [RESET_AFTER_CLOSE] = N_("Reset by %s: data came after it had closed completely. Nobody was left to read it."),
    [RESET_ABORT] =
        N_("Reset by %s out of the blue: its program aborted the connection (SO_LINGER with 0), or closed it "
           "with received data unread, or something on the way ended it in its name."),
    [RESET_TIMEOUT] = N_("Reset by %s after repeats that nobody answered: the other end or the way to it was gone."),
    [RESET_NO_SUCH] =
        N_("Reset by %s, which does not know this connection (any more): it has restarted, or forgotten it, "
           "or never had it."),
};

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || about->ending != ENDED_RESET)
        return VERDICT_NONE;
    enum reset_cause cause = about->reset_cause < N_RESET_CAUSES ? about->reset_cause : RESET_UNKNOWN;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text, _(causes[cause]), END(about, about->reset_by));
    if (about->reset_by < N_ENDS) {
        unsigned other = other_end(about->reset_by);
        uint64_t n_lost = about->side[other].in_flight;
        if (n_lost > 0)
            sentence(&text, _("What %s had sent and nobody acknowledged may be lost: %s."), END(about, other),
                     BYTES(n_lost));
    }
    return cause == RESET_NO_SUCH ? VERDICT_NOTE : VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_reset = {
    .name = "reset",
    .what = N_("it was ended by a reset"),
    .judge = judge,
};
