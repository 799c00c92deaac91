/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (!is_tcp(about) || (about->opening != OPENED_REFUSED && about->ending != ENDED_REFUSED))
        return VERDICT_NONE;
    const struct sonde_address *server = &about->side[END_B].address;
    unsigned port = server->port;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (about->syn_ns != 0 && about->n_segments == 2 && about->last_ns > about->syn_ns)
        sentence(&text,
                 _("Refused: %s answered the SYN with a reset after %s, so nothing listens on port %u there (or a "
                   "firewall answers like that). Try there: sonde watch listening"),
                 HOST(server), DURATION(about->last_ns - about->syn_ns), port);
    else
        sentence(&text,
                 _("Refused: %s answered the SYN with a reset, so nothing listens on port %u there (or a firewall "
                   "answers like that). Try there: sonde watch listening"),
                 HOST(server), port);
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_refused = {
    .name = "refused",
    .what = N_("connect() was refused"),
    .judge = judge,
};
