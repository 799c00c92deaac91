/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#include <arpa/inet.h>

const char *end_text(const struct conversation *about, unsigned end, char ret_text[NAME_TEXT])
{
    if (end >= N_ENDS)
        snprintf(ret_text, NAME_TEXT, "%s", _("one end"));
    else if (!about->a_is_client)
        address_text(&about->side[end].address, ret_text);
    else
        snprintf(ret_text, NAME_TEXT, "%s", end == END_A ? _("the client") : _("the server"));
    return ret_text;
}

const char *role_text(const struct conversation *about, unsigned end, char ret_text[NAME_TEXT])
{
    if (end >= N_ENDS || !about->a_is_client)
        return end_text(about, end, ret_text);
    snprintf(ret_text, NAME_TEXT, "%s", end == END_A ? _("client") : _("server"));
    return ret_text;
}

bool is_tcp(const struct conversation *about)
{
    return about->protocol == IPPROTO_TCP;
}

const char *host_text(const struct sonde_address *address, char ret_text[NAME_TEXT])
{
    bool ip = address->family == AF_INET || address->family == AF_INET6;
    if (!ip || !inet_ntop(address->family, address->u.ip, ret_text, NAME_TEXT))
        return address_text(address, ret_text);
    return ret_text;
}

int64_t rtt_seen_ns(const struct conversation *about)
{
    int64_t rtt_ns = 0;
    for (unsigned end = 0; end < N_ENDS; end++) {
        const struct conversation_side *side = &about->side[end];
        if (side->n_rtt > 0 && side->rtt_min_ns > rtt_ns)
            rtt_ns = side->rtt_min_ns;
    }
    return rtt_ns;
}
