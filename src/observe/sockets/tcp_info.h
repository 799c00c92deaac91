/* SPDX-License-Identifier: MIT */
/*
 * TCP_INFO (tcp(7)) as one struct that holds all members that are known here, whatever the headers compiled with and
 * the running kernel have: what the kernel did not give is 0, and n_bytes says how much it gave. Layout is the
 * kernel's.
 */
#ifndef OBSERVE_SOCKETS_TCP_INFO_H
#define OBSERVE_SOCKETS_TCP_INFO_H

#include <stddef.h>
#include <stdint.h>

struct tcp_info_whole {
    uint8_t state, ca_state, retransmits, probes, backoff, options;
    uint8_t scales; /* low 4 bits: the peer's; high: ours */
    uint8_t flags;  /* bit 0: delivery_rate_app_limited; bits 1-2: fastopen_client_fail */
    uint32_t rto_us, ato_us, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, fackets; /* segments; a listener: unacked is its queue, sacked its limit */
    uint32_t last_data_sent_ms, last_ack_sent_ms, last_data_recv_ms, last_ack_recv_ms;
    uint32_t pmtu, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt_us, rcv_space;
    uint32_t total_retrans;
    uint64_t pacing_rate, max_pacing_rate; /* bytes a second; all ones: no limit */
    uint64_t bytes_acked, bytes_received;
    uint32_t segs_out, segs_in;
    uint32_t notsent_bytes, min_rtt_us, data_segs_in, data_segs_out;
    uint64_t delivery_rate;
    uint64_t busy_time_us, rwnd_limited_us, sndbuf_limited_us;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen;
    uint32_t rcv_ooopack;
    uint32_t snd_wnd;
    uint32_t rcv_wnd;
    uint32_t rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time_ms;
    uint32_t received_ce, delivered_e1_bytes, delivered_e0_bytes, delivered_ce_bytes, received_e1_bytes,
        received_e0_bytes, received_ce_bytes;
    uint16_t accecn_fail_mode, accecn_opt_seen;
    /* not the kernel's: */
    uint32_t n_bytes; /* that it gave */
};

#define TCP_INFO_KERNEL_BYTES offsetof(struct tcp_info_whole, n_bytes)

#endif
