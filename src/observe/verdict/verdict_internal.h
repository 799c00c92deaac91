/* SPDX-License-Identifier: MIT */
/* What the files of verdicts share: numbers as text, sentences put one behind the other, sums of timers, the rows. */
#ifndef OBSERVE_VERDICT_VERDICT_INTERNAL_H
#define OBSERVE_VERDICT_VERDICT_INTERNAL_H

#include "observe/verdict/verdict.h"

#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

/* ---- numbers as text. The macros give it room until the end of the block. */

#define NUMBER_TEXT 48
#define NAME_TEXT 128

const char *count_text(uint64_t count, char ret_text[NUMBER_TEXT]);      /* "3,656" */
const char *bytes_text(uint64_t n_bytes, char ret_text[NUMBER_TEXT]);    /* "1 byte", "3,656 bytes" */
const char *brief_text(uint64_t count, char ret_text[NUMBER_TEXT]);      /* at most 6 characters: "3,656", "123 k" */
const char *duration_text(int64_t time_ns, char ret_text[NUMBER_TEXT]);  /* at most 10: "25 us", "2.06 s", "15.4 min" */
const char *rate_text(uint64_t bytes_per_s, char ret_text[NUMBER_TEXT]); /* "6.42 MB/s" */
const char *address_text(const struct sonde_address *address, char ret_text[NAME_TEXT]);

#define COUNT(count) count_text((count), (char[NUMBER_TEXT]){0})
#define BYTES(n_bytes) bytes_text((n_bytes), (char[NUMBER_TEXT]){0})
#define BRIEF(count) brief_text((count), (char[NUMBER_TEXT]){0})
#define DURATION(time_ns) duration_text((time_ns), (char[NUMBER_TEXT]){0})
#define RATE(bytes_per_s) rate_text((bytes_per_s), (char[NUMBER_TEXT]){0})
#define ADDRESS(address) address_text((address), (char[NAME_TEXT]){0})

/* 0 to 100, rounded. 0 when whole is 0. */
unsigned percent_of(uint64_t part, uint64_t whole);

/* 0 when time runs backwards. */
int64_t since(int64_t now_ns, int64_t then_ns);

/* ---- sentences: one behind the other, a blank between. One that does not fit is left out as a whole. */

struct sentences {
    char *text;
    size_t n_bytes, size_bytes;
};

struct sentences sentences_begin(char *ret_text, size_t size_bytes);
__attribute__((format(printf, 2, 3))) void sentence(struct sentences *sentences, const char *format, ...);
/* The same with "; " between, for the summary's clauses. */
__attribute__((format(printf, 2, 3))) void clause(struct sentences *sentences, const char *format, ...);
__attribute__((format(printf, 2, 3))) void say_short(char ret_short[VERDICT_SHORT_MAX], const char *format, ...);

/* ---- sockets */

bool is_tcp_listener(const struct socket_info *socket);
/* Both ends have heard of each other: ESTABLISHED and all that may come behind it but TIME_WAIT. */
bool is_connected_tcp(const struct socket_info *socket);
/* TCP_INFO is there and reaches so far. */
#define HAS_INFO(socket, member)                                                                                       \
    ((socket)->has_info &&                                                                                             \
     (socket)->info.n_bytes >= offsetof(struct tcp_info_whole, member) + sizeof((struct tcp_info_whole){0}.member))

/* "slow[4130]"; when it is not known: "the program that holds it". */
const char *program_text(const struct socket_case *about, char ret_text[NAME_TEXT]);
#define PROGRAM(about) program_text((about), (char[NAME_TEXT]){0})

/* In this state for so long at the least: since it was seen so, and since the last ACK came. Only for states that begin
 * with a segment that carries one: CLOSE_WAIT, FIN_WAIT_2, ESTABLISHED at the end that was called. */
int64_t state_least_ns(const struct socket_case *about);

/* How much of the time in which there was something to send a limit held it back: since we saw it first, or, as long as
 * we have hardly looked, in its whole life. `part` and `past` are that limit's counts now and then. False: too little
 * time to say, or TCP_INFO does not reach so far. */
bool held_back(const struct socket_case *about, uint64_t part_us, uint64_t past_us, uint64_t *ret_busy_us,
               uint64_t *ret_part_us);

/* ---- timers, as the kernel sets them (tcp(7), ip-sysctl) */

/* Until it gives up repeating, when nothing is acknowledged: retries2 is a time, that of so many repeats from 200 ms
 * on. rto_ns is with its backoff, timer_ns until the next repeat; n_again were sent already, at least one. */
int64_t give_up_ns(uint32_t retries2, int64_t rto_ns, unsigned backoff, unsigned n_again, int64_t timer_ns);
/* Until connect() fails. rto_ns 0: not known. */
int64_t connect_fails_ns(uint32_t syn_retries, int64_t rto_ns, unsigned n_again, int64_t timer_ns);
/* Until a half-open entry is forgotten. */
int64_t synack_gives_up_ns(uint32_t synack_retries, unsigned n_again, int64_t timer_ns);

/* ---- conversations */

/* "the client", "the server"; "10.0.0.1:40488" when it is not known who is which. */
const char *end_text(const struct conversation *about, unsigned end, char ret_text[NAME_TEXT]);
/* "client" */
const char *role_text(const struct conversation *about, unsigned end, char ret_text[NAME_TEXT]);
#define END(about, end) end_text((about), (end), (char[NAME_TEXT]){0})
#define ROLE(about, end) role_text((about), (end), (char[NAME_TEXT]){0})
/* "127.0.0.1", without the port. */
const char *host_text(const struct sonde_address *address, char ret_text[NAME_TEXT]);
#define HOST(address) host_text((address), (char[NAME_TEXT]){0})
bool is_tcp(const struct conversation *about);
/* The fastest round trip: of the end that saw the longer one, as the other's does not include the whole path when the
 * capture was made at one end. 0: none was seen. */
int64_t rtt_seen_ns(const struct conversation *about);

/* ---- one a file */

extern const struct socket_verdict socket_accept_queue_full;
extern const struct socket_verdict socket_not_accepted;
extern const struct socket_verdict socket_nobody_accepts;
extern const struct socket_verdict socket_half_open_piling;
extern const struct socket_verdict socket_accept_queue_filling;
extern const struct socket_verdict socket_window_closed;
extern const struct socket_verdict socket_retransmitting;
extern const struct socket_verdict socket_keep_alive_unanswered;
extern const struct socket_verdict socket_syn_unanswered;
extern const struct socket_verdict socket_receive_buffer_full;
extern const struct socket_verdict socket_not_reading;
extern const struct socket_verdict socket_closing_unanswered;
extern const struct socket_verdict socket_close_wait;
extern const struct socket_verdict socket_udp_drops;
extern const struct socket_verdict socket_retransmission_share;
extern const struct socket_verdict socket_syn_recv;
extern const struct socket_verdict socket_fin_wait_2;
extern const struct socket_verdict socket_send_buffer_limits;
extern const struct socket_verdict socket_peer_window_limits;
extern const struct socket_verdict socket_unsent;

extern const struct machine_verdict machine_time_wait_limit;
extern const struct machine_verdict machine_ports_running_out;

extern const struct conversation_verdict conversation_refused;
extern const struct conversation_verdict conversation_icmp;
extern const struct conversation_verdict conversation_no_answer;
extern const struct conversation_verdict conversation_half_handshake;
extern const struct conversation_verdict conversation_slow_handshake;
extern const struct conversation_verdict conversation_reset;
extern const struct conversation_verdict conversation_zero_window;
extern const struct conversation_verdict conversation_stall;
extern const struct conversation_verdict conversation_unacknowledged;
extern const struct conversation_verdict conversation_checksum_bad;
extern const struct conversation_verdict conversation_half_closed;
extern const struct conversation_verdict conversation_last_ack_missing;
extern const struct conversation_verdict conversation_spurious;
extern const struct conversation_verdict conversation_out_of_order;
extern const struct conversation_verdict conversation_keep_alives_only;
extern const struct conversation_verdict conversation_tuple_reused;
extern const struct conversation_verdict conversation_mss_missing;
extern const struct conversation_verdict conversation_no_window_scale;
extern const struct conversation_verdict conversation_offload;
extern const struct conversation_verdict conversation_begins_midway;
extern const struct conversation_verdict conversation_holes;
extern const struct conversation_verdict conversation_cut;
extern const struct conversation_verdict conversation_seen_twice;

#endif
