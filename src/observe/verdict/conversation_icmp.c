/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

static bool is_too_big(unsigned version, unsigned type, unsigned code)
{
    return version == 6 ? type == ICMP6_PACKET_TOO_BIG : type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED;
}

/* Unreachable, time exceeded, a bad header: the packet went no further. Others (redirects) are only said. */
static bool stopped_it(unsigned version, unsigned type)
{
    if (version == 6)
        return type == ICMP6_DST_UNREACH || type == ICMP6_TIME_EXCEEDED || type == ICMP6_PARAM_PROB;
    return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static bool is_port_unreachable(unsigned version, unsigned type, unsigned code)
{
    return version == 6 ? type == ICMP6_DST_UNREACH && code == ICMP6_DST_UNREACH_NOPORT
                        : type == ICMP_DEST_UNREACH && code == ICMP_PORT_UNREACH;
}

static enum verdict_weight judge(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX])
{
    if (about->icmp_version == 0)
        return VERDICT_NONE;
    unsigned version = about->icmp_version, type = about->icmp_type, code = about->icmp_code;
    char buffer[32];
    const char *words = decode_icmp_words(version, type, code, buffer);
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (is_too_big(version, type, code)) {
        sentence(&text,
                 _("A router on the way says (ICMP): %s. The sender has to send shorter packets; where it does not "
                   "learn of this, long segments vanish while short ones arrive."),
                 words);
        return VERDICT_NOTE;
    }
    if (!stopped_it(version, type)) {
        sentence(&text, _("A router or host says about this conversation (ICMP): %s."), words);
        return VERDICT_NOTE;
    }
    if (about->protocol == IPPROTO_UDP && is_port_unreachable(version, type, code)) {
        sentence(&text,
                 _("Refused: an ICMP message says %s, so nobody takes these datagrams there, or a firewall answers "
                   "like that."),
                 words);
        return VERDICT_TROUBLE;
    }
    sentence(&text,
             _("A router or host reports an error about this conversation (ICMP): %s. What was quoted in it did "
               "not arrive, or was refused."),
             words);
    return VERDICT_TROUBLE;
}

const struct conversation_verdict conversation_icmp = {
    .name = "icmp",
    .what = N_("a router or host reports an error about it (ICMP)"),
    .judge = judge,
};
