/* SPDX-License-Identifier: MIT */
#include "watch/judge.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void judge_socket(const struct judge *judge, const struct socket_info *socket, const struct socket_past *past,
                  int64_t now_ns, const char *program, int32_t pid, struct judgement *ret_judgement)
{
    struct socket_past first;
    if (!past) {
        past_begin(socket, now_ns, &first);
        past = &first;
    }
    struct socket_case about = {
        .socket = socket,
        .past = past,
        .now_ns = now_ns,
        .counters = &judge->counters,
        .counters_first = &judge->counters_first,
        .counters_first_ns = judge->counters_first_ns,
        .program = program,
        .pid = pid,
        .n_half_open = socket->state == TCP_STATE_LISTEN && socket->family != AF_UNIX
                           ? census_half_open(judge->census, &socket->local)
                           : 0,
        .n_same_peer = census_same_peer(judge->census, &socket->peer),
        .peer_is_local = socket->peer.port != 0 && census_is_local(judge->census, &socket->peer),
    };
    ret_judgement->weight = VERDICT_NONE;
    ret_judgement->brief[0] = ret_judgement->text[0] = '\0';
    ret_judgement->verdict = socket_judge(&about, &ret_judgement->weight, ret_judgement->brief, ret_judgement->text);
    if (!ret_judgement->verdict)
        ret_judgement->weight = VERDICT_NONE;
}

void row_set_verdict(struct row *row, const struct judgement *judgement)
{
    row->verdict = judgement->verdict;
    row->weight = (uint8_t)judgement->weight;
    if (row->verdict_short && strcmp(row->verdict_short, judgement->brief) == 0)
        return;
    free(row->verdict_short);
    row->verdict_short = judgement->brief[0] != '\0' ? strdup(judgement->brief) : NULL;
}

void judge_row(const struct judge *judge, const struct socket_info *socket, const struct track *track, int64_t now_ns,
               struct row *row)
{
    struct judgement judgement;
    judge_socket(judge, socket, track ? &track->past : NULL, now_ns, NULL, 0, &judgement);
    row_set_verdict(row, &judgement);
    if (row->state == TCP_STATE_LISTEN && row->family != AF_UNIX)
        row->n_half_open = (uint32_t)census_half_open(judge->census, &row->local);
}

bool row_is_suspect(const struct row *row)
{
    if (row->state == TCP_STATE_TIME_WAIT)
        return false; /* only their number can be trouble: judge_machine */
    return row->receive_queue > 0 || row->send_queue > 0 || (row->protocol == IPPROTO_UDP && row->drops > 0) ||
           (row->timer != TIMER_NONE && row->timer != TIMER_KEEPALIVE) ||
           (row->protocol == IPPROTO_TCP && row->state != TCP_STATE_ESTABLISHED && row->state != TCP_STATE_CLOSED);
}

enum verdict_weight judge_machine(const struct judge *judge, char ret_brief[VERDICT_SHORT_MAX],
                                  char ret_text[VERDICT_TEXT_MAX])
{
    struct machine_case about = {
        .counters = &judge->counters,
        .counters_first = &judge->counters_first,
        .n_time_wait = judge->census->n_time_wait,
        .n_sockets = judge->census->n_sockets,
        .n_ports_most = judge->census->n_ports_most,
        .most_peer = judge->census->most_peer,
    };
    char brief[VERDICT_SHORT_MAX], text[VERDICT_TEXT_MAX];
    enum verdict_weight heaviest = VERDICT_NONE;
    for (const struct machine_verdict *const *verdict = machine_verdicts; *verdict; verdict++) {
        enum verdict_weight weight = (*verdict)->judge(&about, brief, text);
        if (weight <= heaviest)
            continue;
        heaviest = weight;
        memcpy(ret_text, text, sizeof text);
        if (ret_brief)
            memcpy(ret_brief, brief, sizeof brief);
    }
    return heaviest;
}
