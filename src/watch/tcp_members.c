/* SPDX-License-Identifier: MIT */
#include "watch/tcp_members.h"

#include "term/translate.h"

#include <string.h>

#define MEMBER(member, text, unit_of)                                                                                  \
    {                                                                                                                  \
        .name = #member, .words = text, .offset = offsetof(struct tcp_info_whole, member),                             \
        .size_bytes = sizeof(((struct tcp_info_whole *)0)->member), .unit = unit_of                                    \
    }

const struct tcp_member tcp_members[] = {
    MEMBER(ca_state, N_("congestion avoidance: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss"), UNIT_NONE),
    MEMBER(retransmits, N_("timeouts in a row"), UNIT_NONE),
    MEMBER(probes, N_("window probes or keepalives in a row"), UNIT_NONE),
    MEMBER(backoff, N_("how often the timer was doubled"), UNIT_NONE),
    MEMBER(options, N_("options: 1 timestamps, 2 SACK, 4 scaling, 8 ECN"), UNIT_NONE),
    MEMBER(scales, N_("window scales: the peer's, and 16 times ours"), UNIT_NONE),
    MEMBER(flags, N_("flags: 1 limited by the program"), UNIT_NONE),
    MEMBER(rto_us, N_("retransmission timeout"), UNIT_US),
    MEMBER(ato_us, N_("delayed acknowledgement timeout"), UNIT_US),
    MEMBER(snd_mss, N_("segment size, sending"), UNIT_BYTES),
    MEMBER(rcv_mss, N_("segment size, receiving"), UNIT_BYTES),
    MEMBER(unacked, N_("sent, not acknowledged"), UNIT_SEGMENTS),
    MEMBER(sacked, N_("acknowledged selectively"), UNIT_SEGMENTS),
    MEMBER(lost, N_("taken to be lost"), UNIT_SEGMENTS),
    MEMBER(retrans, N_("sent again, not acknowledged"), UNIT_SEGMENTS),
    MEMBER(fackets, N_("forward acknowledged"), UNIT_SEGMENTS),
    MEMBER(last_data_sent_ms, N_("since data was sent last"), UNIT_MS),
    MEMBER(last_ack_sent_ms, N_("since an ACK was sent last"), UNIT_MS),
    MEMBER(last_data_recv_ms, N_("since data was received last"), UNIT_MS),
    MEMBER(last_ack_recv_ms, N_("since an ACK was received last"), UNIT_MS),
    MEMBER(pmtu, N_("path MTU"), UNIT_BYTES),
    MEMBER(rcv_ssthresh, N_("receive window's threshold"), UNIT_BYTES),
    MEMBER(rtt_us, N_("round trip"), UNIT_US),
    MEMBER(rttvar_us, N_("its variance"), UNIT_US),
    MEMBER(snd_ssthresh, N_("slow start threshold"), UNIT_SEGMENTS),
    MEMBER(snd_cwnd, N_("congestion window"), UNIT_SEGMENTS),
    MEMBER(advmss, N_("segment size that we advertised"), UNIT_BYTES),
    MEMBER(reordering, N_("reordering that is tolerated"), UNIT_SEGMENTS),
    MEMBER(rcv_rtt_us, N_("round trip, as the receiver sees it"), UNIT_US),
    MEMBER(rcv_space, N_("receive buffer's tuning"), UNIT_BYTES),
    MEMBER(total_retrans, N_("sent again in all"), UNIT_SEGMENTS),
    MEMBER(pacing_rate, N_("pacing"), UNIT_RATE),
    MEMBER(max_pacing_rate, N_("pacing's limit"), UNIT_RATE),
    MEMBER(bytes_acked, N_("acknowledged by the peer"), UNIT_BYTES),
    MEMBER(bytes_received, N_("received"), UNIT_BYTES),
    MEMBER(segs_out, N_("sent"), UNIT_SEGMENTS),
    MEMBER(segs_in, N_("received"), UNIT_SEGMENTS),
    MEMBER(notsent_bytes, N_("not sent yet"), UNIT_BYTES),
    MEMBER(min_rtt_us, N_("least round trip"), UNIT_US),
    MEMBER(data_segs_in, N_("received with data"), UNIT_SEGMENTS),
    MEMBER(data_segs_out, N_("sent with data"), UNIT_SEGMENTS),
    MEMBER(delivery_rate, N_("delivery"), UNIT_RATE),
    MEMBER(busy_time_us, N_("time with data on the way"), UNIT_US),
    MEMBER(rwnd_limited_us, N_("held back by the peer's window"), UNIT_US),
    MEMBER(sndbuf_limited_us, N_("held back by our send buffer"), UNIT_US),
    MEMBER(delivered, N_("delivered"), UNIT_SEGMENTS),
    MEMBER(delivered_ce, N_("delivered with a congestion mark"), UNIT_SEGMENTS),
    MEMBER(bytes_sent, N_("sent, repeats included"), UNIT_BYTES),
    MEMBER(bytes_retrans, N_("sent again"), UNIT_BYTES),
    MEMBER(dsack_dups, N_("needless repeats that the peer told"), UNIT_SEGMENTS),
    MEMBER(reord_seen, N_("reorderings seen"), UNIT_NONE),
    MEMBER(rcv_ooopack, N_("received out of order"), UNIT_SEGMENTS),
    MEMBER(snd_wnd, N_("window that the peer advertises"), UNIT_BYTES),
    MEMBER(rcv_wnd, N_("window that we advertise"), UNIT_BYTES),
    MEMBER(rehash, N_("new paths tried"), UNIT_NONE),
    MEMBER(total_rto, N_("timeouts in all"), UNIT_NONE),
    MEMBER(total_rto_recoveries, N_("recoveries from timeouts"), UNIT_NONE),
    MEMBER(total_rto_time_ms, N_("time in recovery from timeouts"), UNIT_MS),
    MEMBER(received_ce, N_("received with a congestion mark"), UNIT_SEGMENTS),
    MEMBER(delivered_e1_bytes, N_("delivered as ECT(1)"), UNIT_BYTES),
    MEMBER(delivered_e0_bytes, N_("delivered as ECT(0)"), UNIT_BYTES),
    MEMBER(delivered_ce_bytes, N_("delivered as CE"), UNIT_BYTES),
    MEMBER(received_e1_bytes, N_("received as ECT(1)"), UNIT_BYTES),
    MEMBER(received_e0_bytes, N_("received as ECT(0)"), UNIT_BYTES),
    MEMBER(received_ce_bytes, N_("received as CE"), UNIT_BYTES),
    MEMBER(accecn_fail_mode, N_("accurate ECN: what failed"), UNIT_NONE),
    MEMBER(accecn_opt_seen, N_("accurate ECN: option seen"), UNIT_NONE),
};

const size_t n_tcp_members = sizeof tcp_members / sizeof tcp_members[0];

uint64_t tcp_member_value(const struct tcp_member *member, const struct tcp_info_whole *info)
{
    const unsigned char *at = (const unsigned char *)info + member->offset;
    uint16_t half;
    uint32_t word;
    uint64_t value;
    switch (member->size_bytes) {
    case 1:
        return *at;
    case 2:
        memcpy(&half, at, sizeof half);
        return half;
    case 4:
        memcpy(&word, at, sizeof word);
        return word;
    default:
        memcpy(&value, at, sizeof value);
        return value;
    }
}

bool tcp_member_is_known(const struct tcp_member *member, const struct tcp_info_whole *info)
{
    return member->offset + member->size_bytes <= info->n_bytes;
}
