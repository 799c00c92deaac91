/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (about->n_checksum_bad == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    sentence(&text,
             ngettext("%s packet has a bad checksum. A receiver throws such a packet away without a word, unless the "
                      "capture was made before the sender's card filled the checksum in.",
                      "%s packets have bad checksums. A receiver throws such packets away without a word, unless the "
                      "capture was made before the sender's card filled the checksums in.",
                      about->n_checksum_bad),
             COUNT(about->n_checksum_bad));
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_checksum_bad = {
    .name = "checksum-bad",
    .what = N_("segments with bad checksums"),
    .judge = judge,
};
