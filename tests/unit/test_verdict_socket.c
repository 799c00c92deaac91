/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "verdict_bench.h"

static void nothing_is_wrong(void **state)
{
    (void)state;
    struct bench bench;
    for (unsigned each = 0; each < TCP_N_STATES; each++) {
        begin(&bench, each);
        if (each == TCP_STATE_CLOSE_WAIT || each == TCP_STATE_FIN_WAIT_2) /* long in it is trouble */
            bench.past.state_since_ns = NOW_NS;
        if (each == TCP_STATE_TIME_WAIT || each == TCP_STATE_SYN_RECV || each == TCP_STATE_LAST_ACK)
            bench.socket.inode = 0;
        is_well(&bench);
    }
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.protocol = IPPROTO_UDP;
    bench.socket.has_info = false;
    bench.socket.inode = 0;
    is_well(&bench);
}

static void accept_queue_full(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.send_queue = 1;
    bench.socket.receive_queue = 1;
    is_well(&bench);
    bench.socket.receive_queue = 2;
    says(&bench, &socket_accept_queue_full, VERDICT_TROUBLE, "accept queue full: 2",
         "The accept queue is full: 2 connections wait for accept() (limit 1 holds 2). The kernel drops further SYNs "
         "without an answer, so that connect() at the other end waits and tries again, after 1 s at first. Remedy: "
         "accept faster, or give listen() a larger backlog (up to net.core.somaxconn, 4,096).");
    bench.past.queue_full_since_ns = NOW_NS - 3 * NS_PER_S;
    bench.past.no_accept_since_ns = NOW_NS - 22 * NS_PER_S;
    bench.counters.listen_overflows = 20;
    bench.first.listen_overflows = 6;
    bench.socket.has_memory = true;
    bench.socket.memory.drops = 14;
    says(
        &bench, &socket_accept_queue_full, VERDICT_TROUBLE, "accept queue full: 2",
        "The accept queue is full: 2 connections wait for accept() (limit 1 holds 2). It was full whenever we looked "
        "in the last 3.00 s. The kernel drops further SYNs without an answer, so that connect() at the other end waits "
        "and tries again, after 1 s at first. Since we began to look, 100 s ago, full accept queues of this machine "
        "have turned 14 attempts away (ListenOverflows counts all listeners together). Attempts dropped by this "
        "listener since it was opened: 14. The queue has not been seen to shrink for 22.0 s: see what slow[4130] is "
        "doing. Remedy: accept faster, or give listen() a larger backlog (up to net.core.somaxconn, 4,096).");
    bench.socket.send_queue = 0;
    bench.socket.receive_queue = 1;
    says(&bench, &socket_accept_queue_full, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "1 connection waits for accept() (limit 0 holds 1).");
    bench.socket.send_queue = 4096;
    bench.socket.receive_queue = 4097;
    says(&bench, &socket_accept_queue_full, VERDICT_TROUBLE, "accept queue full: 4,097", NULL);
    contains(&bench, "raise net.core.somaxconn, which cuts every backlog to 4,096.");
}

static void accept_queue_full_of_unix(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.family = AF_UNIX;
    bench.socket.protocol = 0;
    bench.socket.has_info = false;
    bench.socket.send_queue = 1;
    bench.socket.receive_queue = 2;
    says(&bench, &socket_accept_queue_full, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "Further connect() calls wait, or fail with EAGAIN");
    lacks(&bench, "SYN");
}

static void accept_queue_filling(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.send_queue = 9; /* holds 10 */
    bench.socket.receive_queue = 5;
    bench.past.no_accept_since_ns = NOW_NS - 200 * NS_PER_MS;
    is_well(&bench);
    bench.socket.receive_queue = 6;
    says(&bench, &socket_accept_queue_filling, VERDICT_NOTE, "filling: 6 of 9",
         "The accept queue is filling: 6 connections wait, and the limit of 9 holds 10. It has not been seen to shrink "
         "for 200 ms. Once it is full, new connections are not let in. See whether slow[4130] keeps up.");
    bench.past.no_accept_since_ns = NOW_NS - 200 * NS_PER_MS + 1;
    is_well(&bench);
    bench.past.no_accept_since_ns = 0;
    is_well(&bench);
}

static void nobody_accepts(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.receive_queue = 3;
    bench.past.no_accept_since_ns = NOW_NS - NS_PER_S;
    is_well(&bench);
    bench.past.no_accept_since_ns = NOW_NS - 2060 * NS_PER_MS;
    says(
        &bench, &socket_nobody_accepts, VERDICT_TROUBLE, "no accept() for 2.06 s",
        "Nobody seems to accept: 3 connections wait in the accept queue (limit 128), which has not been seen to shrink "
        "for 2.06 s. Not the network: for those who wait, connect() has succeeded. See what slow[4130] is doing.");
    bench.about.pid = 0;
    bench.about.program = NULL;
    bench.socket.receive_queue = 1;
    says(&bench, &socket_nobody_accepts, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "1 connection waits");
    contains(&bench, "See what the program that holds it is doing.");
    bench.socket.receive_queue = 0;
    is_well(&bench);
}

static void not_accepted(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.inode = 0;
    bench.past.state_since_ns = NOW_NS - NS_PER_S + 1;
    is_well(&bench);
    bench.past.state_since_ns = NOW_NS - NS_PER_S;
    says(&bench, &socket_not_accepted, VERDICT_TROUBLE, "not accepted for 1.00 s",
         "The handshake is complete, but no program has held this connection for at least 1.00 s: most likely it waits "
         "in its listener's accept queue, for accept(). Look at the program that listens on port 7007.");
    bench.past.state_since_ns = NOW_NS; /* seen just now; the handshake ended with the last ACK, or before it */
    bench.socket.info.last_ack_recv_ms = 3300;
    says(&bench, &socket_not_accepted, VERDICT_TROUBLE, "not accepted for 3.30 s", NULL);
    bench.socket.state = TCP_STATE_CLOSE_WAIT;
    bench.socket.receive_queue = 1;
    says(&bench, &socket_not_accepted, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "The peer has already ended its side. The peer has sent 1 byte, which waits here unread.");
}

static void half_open_piling(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.send_queue = 9;
    bench.about.n_half_open = 7; /* few, though more than half */
    is_well(&bench);
    bench.about.n_half_open = 8;
    says(&bench, &socket_half_open_piling, VERDICT_NOTE, "half-open: 8", NULL);
    contains(&bench, "Half-open connections pile up: 8, where the limit of 9 holds 10.");
    bench.about.n_half_open = 9;
    says(&bench, &socket_half_open_piling, VERDICT_NOTE, NULL, NULL);
    bench.about.n_half_open = 10;
    bench.counters.syn_queue_full_cookies = 7;
    bench.counters.syn_queue_full_drops = 5;
    bench.first.syn_queue_full_drops = 2;
    says(
        &bench, &socket_half_open_piling, VERDICT_TROUBLE, "SYN queue full: 10",
        "The SYN queue is full: 10 connections are half-open (limit 9 holds 10). Further SYNs are answered with "
        "cookies "
        "or dropped, as net.ipv4.tcp_syncookies says. Each was answered, and waits for its last ACK: those ACKs get "
        "lost, or are never sent (a SYN flood looks like this), or are ignored because the accept queue is full, or "
        "the listener waits for data first (TCP_DEFER_ACCEPT). Answered with cookies on this machine since we began to "
        "look: 7. Dropped because of full SYN queues on this machine since we began to look: 3.");
    bench.socket.send_queue = 128;
    bench.about.n_half_open = 64;
    is_well(&bench);
    bench.about.n_half_open = 65;
    says(&bench, &socket_half_open_piling, VERDICT_NOTE, NULL, NULL);
}

static void window_closed(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.send_queue = 3656;
    bench.socket.timer = TIMER_PROBE;
    bench.socket.timer_ns = 4 * NS_PER_S;
    is_well(&bench); /* its window is open */
    bench.socket.info.snd_wnd = 0;
    says(&bench, &socket_window_closed, VERDICT_NOTE, "peer window 0",
         "10.0.0.1:40490 takes no more: it advertises window 0, with 3,656 bytes waiting here in Send-Q. Its last ACK "
         "came 0 s ago. The first window probe follows in 4.00 s. Most likely its program does not read: look at "
         "10.0.0.1:40490.");
    bench.past.window_zero_since_ns = NOW_NS - 200 * NS_PER_MS + 1;
    says(&bench, &socket_window_closed, VERDICT_NOTE, NULL, NULL);
    bench.past.window_zero_since_ns = NOW_NS - 200 * NS_PER_MS;
    says(&bench, &socket_window_closed, VERDICT_TROUBLE, "peer window 0 for 200 ms", NULL);
    bench.past.window_zero_since_ns = NOW_NS - 9300 * NS_PER_MS;
    bench.socket.info.backoff = 5;
    bench.about.peer_is_local = true;
    says(
        &bench, &socket_window_closed, VERDICT_TROUBLE, "peer window 0 for 9.30 s",
        "10.0.0.1:40490 takes no more: window 0 for 9.30 s, with 3,656 bytes waiting here in Send-Q. Not the network: "
        "our last window probe was answered. Window probes so far: 5; the next in 4.00 s. Most likely its program does "
        "not read. It is on this machine: look for the owner of 10.0.0.1:40490.");
    bench.past.first_seen_ns = bench.past.window_zero_since_ns;
    bench.socket.n_retransmits = 2;
    bench.socket.info.last_ack_recv_ms = 2700;
    says(&bench, &socket_window_closed, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "window 0 for at least 9.30 s");
    contains(&bench, "Its last ACK came 2.70 s ago. Window probes so far: 5;");
    bench.socket.n_retransmits = 3;
    says(&bench, &socket_window_closed, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "The last 3 window probes were not answered");
    contains(&bench, "gives up after 15 unanswered probes");
    lacks(&bench, "Not the network");
}

static void window_closed_needs_evidence(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.info.snd_wnd = 0;
    is_well(&bench); /* nothing waits */
    bench.socket.send_queue = 100;
    bench.socket.info.n_bytes = offsetof(struct tcp_info_whole, snd_wnd); /* an old kernel does not tell the window */
    is_well(&bench);
    bench.socket.timer = TIMER_PROBE;
    says(&bench, &socket_window_closed, VERDICT_NOTE, NULL, NULL);
    begin(&bench, TCP_STATE_SYN_SENT);
    bench.socket.info.snd_wnd = 0;
    bench.socket.send_queue = 1;
    is_well(&bench);
}

static void retransmitting(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.send_queue = 5;
    bench.socket.timer = TIMER_RETRANSMIT;
    bench.socket.timer_ns = 400 * NS_PER_MS;
    is_well(&bench); /* in flight, and not late yet */
    bench.socket.n_retransmits = 1;
    bench.socket.info.backoff = 1;
    bench.socket.info.rto_us = 400000;
    bench.socket.info.last_ack_recv_ms = 1200;
    says(&bench, &socket_retransmitting, VERDICT_NOTE, "no ACK, sent again 1 x",
         "10.0.0.1:40490 does not acknowledge: 5 bytes in Send-Q, sent again 1 time by the timer; the next repeat is "
         "due "
         "in 400 ms. The retransmission timeout is 400 ms now; the last ACK came 1.20 s ago. Either what we send is "
         "lost "
         "on its way, or the ACKs are, or the peer is gone: from here these look the same. If nothing is acknowledged, "
         "the kernel gives up in about 15.4 min (tcp_retries2 15; TCP_USER_TIMEOUT may end it before), and the program "
         "gets an error, mostly ETIMEDOUT.");
    bench.socket.n_retransmits = 2;
    says(&bench, &socket_retransmitting, VERDICT_TROUBLE, "no ACK, sent again 2 x", NULL);
    contains(&bench, "sent again 2 times in a row by the timer");
    bench.counters.retries2 = 0;
    says(&bench, &socket_retransmitting, VERDICT_TROUBLE, NULL, NULL);
    lacks(&bench, "gives up");
}

static void keep_alive_unanswered(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.timer = TIMER_KEEPALIVE;
    bench.socket.timer_ns = 75 * NS_PER_S;
    bench.socket.n_retransmits = 1;
    is_well(&bench);
    bench.socket.n_retransmits = 2;
    bench.socket.info.last_ack_recv_ms = 7200000;
    says(&bench, &socket_keep_alive_unanswered, VERDICT_TROUBLE, "2 keep-alives unanswered",
         "10.0.0.1:40490 is silent: 2 keep-alive probes in a row have had no answer, the next is due in 75.0 s. The "
         "last "
         "ACK came 2.00 h ago. The peer or the way to it may be gone. The kernel gives up after as many as TCP_KEEPCNT "
         "says.");
}

static void syn_unanswered(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_SYN_SENT);
    bench.socket.timer = TIMER_RETRANSMIT;
    bench.socket.timer_ns = 500 * NS_PER_MS;
    bench.socket.info.rto_us = 1000000;
    is_well(&bench);
    bench.socket.n_retransmits = 2;
    says(&bench, &socket_syn_unanswered, VERDICT_TROUBLE, "SYN unanswered, 3 sent",
         "connect() waits: 10.0.0.1:40490 has not answered 3 SYNs. The next is due in 500 ms. If none is answered, "
         "connect() fails in about 2.14 min with ETIMEDOUT (tcp_syn_retries 6), if the program waits so long. A full "
         "accept queue, a firewall that drops, a host that is not there and loss on the way look the same from here.");
    bench.about.peer_is_local = true;
    says(&bench, &socket_syn_unanswered, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "That address is on this machine");
    bench.counters.syn_retries = 0;
    says(&bench, &socket_syn_unanswered, VERDICT_TROUBLE, NULL, NULL);
    lacks(&bench, "ETIMEDOUT");
}

static void receive_buffer_full(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.info.rcv_wnd = 0;
    is_well(&bench); /* nothing unread: the window opens with the next segment we send */
    bench.socket.receive_queue = 4344;
    says(&bench, &socket_receive_buffer_full, VERDICT_TROUBLE, "not reading: our window 0",
         "We advertise window 0 to 10.0.0.1:40490, so that it has to wait: 4,344 bytes unread in Recv-Q. Not the "
         "network: slow[4130] does not read fast enough, or not at all.");
    bench.socket.info.n_bytes = offsetof(struct tcp_info_whole, rcv_wnd);
    is_well(&bench);
    bench.socket.has_memory = true;
    bench.socket.memory.receive_limit = 1600;
    bench.socket.memory.receive_used = 1499;
    is_well(&bench);
    bench.socket.memory.receive_used = 1500;
    says(&bench, &socket_receive_buffer_full, VERDICT_NOTE, "receive buffer full", NULL);
    contains(&bench, "The receive buffer is full, or nearly: 1,500 of 1,600 bytes, with the kernel's overhead.");
    bench.socket.protocol = IPPROTO_UDP;
    bench.past.unread_since_ns = NOW_NS - 500 * NS_PER_MS;
    says(&bench, &socket_receive_buffer_full, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "thrown away without a word to their senders. Recv-Q has not been seen empty for 500 ms.");
    bench.socket.memory.drops = 744;
    says(&bench, &socket_receive_buffer_full, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "Thrown away since it was opened: 744.");
}

static void not_reading(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.receive_queue = 12;
    bench.socket.info.last_data_recv_ms = 1000;
    is_well(&bench);
    bench.socket.info.last_data_recv_ms = 3200;
    says(&bench, &socket_not_reading, VERDICT_TROUBLE, "12 unread for 3.20 s",
         "Unread in Recv-Q: 12 bytes, the last of which came 3.20 s ago. Not the network: slow[4130] has not read so "
         "far.");
    /* data keeps coming: the queue has to have grown */
    bench.socket.info.last_data_recv_ms = 10;
    bench.past.unread_at_first = 12;
    bench.past.unread_since_ns = NOW_NS - NS_PER_S;
    is_well(&bench);
    bench.past.unread_since_ns = NOW_NS - 5 * NS_PER_S;
    bench.socket.receive_queue = 4344;
    says(&bench, &socket_not_reading, VERDICT_TROUBLE, "4,344 unread for 5.00 s",
         "Recv-Q has not been seen empty for 5.00 s: 12 bytes at first, 4,344 now. Not the network: slow[4130] reads "
         "too "
         "slowly, or not at all.");
    bench.past.unread_at_first = 4345;
    says(&bench, &socket_not_reading, VERDICT_NOTE, NULL,
         "Recv-Q has not been seen empty for 5.00 s; 4,344 bytes now. It may be that slow[4130] reads too slowly.");
    bench.socket.protocol = 0;
    bench.socket.family = AF_UNIX;
    bench.socket.has_info = false;
    says(&bench, &socket_not_reading, VERDICT_NOTE, NULL, NULL);
    begin(&bench, TCP_STATE_LISTEN); /* there the number means connections */
    bench.socket.receive_queue = 1;
    bench.past.unread_since_ns = NOW_NS - 5 * NS_PER_S;
    is_well(&bench);
}

static void closing_unanswered(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_LAST_ACK);
    bench.socket.inode = 0;
    bench.socket.timer = TIMER_RETRANSMIT;
    bench.socket.timer_ns = NS_PER_S;
    is_well(&bench);
    bench.socket.n_retransmits = 3;
    says(
        &bench, &socket_closing_unanswered, VERDICT_NOTE, "close unanswered, again 3",
        "We have closed, and 10.0.0.1:40490 does not acknowledge that: sent again 3 times in a row, next in 1.00 s. "
        "The "
        "peer had closed its side as well, so it may just be gone. No program holds it any more; the kernel repeats it "
        "as tcp_orphan_retries says, and then forgets it without telling anyone.");
    bench.socket.state = TCP_STATE_CLOSING;
    says(&bench, &socket_closing_unanswered, VERDICT_NOTE, NULL, NULL);
    bench.socket.state = TCP_STATE_FIN_WAIT_1;
    bench.socket.send_queue = 70;
    says(&bench, &socket_closing_unanswered, VERDICT_TROUBLE, NULL, NULL);
    contains(&bench, "Before it, 70 bytes may not have arrived either. No program holds it");
    bench.socket.n_retransmits = 1;
    says(&bench, &socket_closing_unanswered, VERDICT_NOTE, NULL, NULL);
    bench.socket.inode = 5; /* shutdown(): the program will be told */
    says(&bench, &socket_retransmitting, VERDICT_NOTE, NULL, NULL);
}

static void close_wait(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_CLOSE_WAIT);
    bench.socket.info.last_data_sent_ms = 60000;
    bench.past.state_since_ns = NOW_NS - 60 * NS_PER_S + 1;
    is_well(&bench);
    bench.past.state_since_ns = NOW_NS - 60 * NS_PER_S;
    says(&bench, &socket_close_wait, VERDICT_TROUBLE, "not closed for 60.0 s",
         "10.0.0.1:40490 closed its side at least 60.0 s ago, and slow[4130] has not closed ours since. CLOSE_WAIT "
         "lasts "
         "until it does. No timer is running that could end it. Often a forgotten close(): see what the program does "
         "when recv() returns 0.");
    bench.socket.info.last_data_sent_ms = 59999; /* half-closed, and still sending */
    is_well(&bench);
    bench.socket.info.last_data_sent_ms = 75000;
    bench.past.state_since_ns = NOW_NS; /* seen just now; the FIN came with the last ACK, or before it */
    bench.socket.info.last_ack_recv_ms = 75200;
    bench.socket.timer = TIMER_KEEPALIVE;
    says(&bench, &socket_close_wait, VERDICT_TROUBLE, "not closed for 75.2 s", NULL);
    lacks(&bench, "No timer");
}

static void udp_drops(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_CLOSED);
    bench.socket.protocol = IPPROTO_UDP;
    bench.socket.has_info = false;
    bench.socket.has_memory = true;
    bench.socket.memory.receive_limit = 212992;
    is_well(&bench);
    bench.socket.memory.drops = 1744;
    says(
        &bench, &socket_udp_drops, VERDICT_NOTE, "dropped 1,744 datagrams",
        "Datagrams thrown away since this socket was opened: 1,744. Nobody was told. Mostly because the receive buffer "
        "had no room (0 of 212,992 bytes used now, with the kernel's overhead); bad checksums count too. Remedy: "
        "slow[4130] has to read faster, or needs a larger SO_RCVBUF.");
    bench.socket.receive_queue = 1;
    says(&bench, &socket_udp_drops, VERDICT_TROUBLE, NULL, NULL);
    bench.socket.has_memory = false;
    is_well(&bench);
}

static void retransmission_share(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.info.bytes_sent = 65535;
    bench.socket.info.bytes_retrans = 65535;
    is_well(&bench);
    bench.socket.info.bytes_sent = 100000;
    bench.socket.info.bytes_retrans = 1499;
    is_well(&bench);
    bench.socket.info.bytes_retrans = 3000;
    bench.socket.info.rtt_us = 12000;
    bench.socket.info.min_rtt_us = 10200;
    bench.socket.info.dsack_dups = 2;
    says(&bench, &socket_retransmission_share, VERDICT_NOTE, "3 % sent again",
         "Of 100,000 bytes sent so far, 3,000 were repeats (3 %): packets get lost on the way to 10.0.0.1:40490. The "
         "peer reported 2 segments that it got twice (DSACK), so some repeats were not needed. The round trip is 12.0 "
         "ms "
         "now, at the least 10.2 ms.");
    bench.socket.info.bytes_retrans = 9499;
    says(&bench, &socket_retransmission_share, VERDICT_NOTE, NULL, NULL);
    bench.socket.info.bytes_retrans = 9500;
    says(&bench, &socket_retransmission_share, VERDICT_TROUBLE, "10 % sent again", NULL);
    bench.socket.info.n_bytes = offsetof(struct tcp_info_whole, bytes_sent);
    is_well(&bench);
}

static void syn_recv(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_SYN_RECV);
    bench.socket.inode = 0;
    bench.socket.timer = TIMER_RETRANSMIT;
    bench.socket.timer_ns = 1600 * NS_PER_MS;
    is_well(&bench);
    bench.socket.n_retransmits = 1;
    says(
        &bench, &socket_syn_recv, VERDICT_NOTE, "SYN-ACK sent 2 times",
        "Half-open: we have answered the SYN of 10.0.0.1:40490 2 times, and the handshake is not complete. The answers "
        "or the last ACK get lost, or the peer does not exist, or the accept queue of port 7007 is full, so that the "
        "last ACK is ignored. The kernel forgets it in 61.6 s at the latest (tcp_synack_retries 5).");
}

static void fin_wait_2(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_FIN_WAIT_2);
    bench.past.state_since_ns = NOW_NS - NS_PER_S + 1;
    is_well(&bench);
    bench.past.state_since_ns = NOW_NS - NS_PER_S;
    says(&bench, &socket_fin_wait_2, VERDICT_NOTE, "half-closed for 1.00 s",
         "Half-closed for at least 1.00 s: we have ended our side, and 10.0.0.1:40490 has acknowledged that, but has "
         "not "
         "ended its own and may still send. As slow[4130] still holds the socket, no timer ends this; tcp_fin_timeout "
         "counts only once it is closed.");
    bench.socket.timer = TIMER_TIME_WAIT;
    is_well(&bench);
    bench.socket.timer = TIMER_NONE;
    bench.socket.inode = 0;
    is_well(&bench);
}

static void limits(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.past.info_busy_us = 1000000;
    bench.socket.info.busy_time_us = 5000000;
    bench.past.info_sndbuf_limited_us = 500000;
    bench.socket.info.sndbuf_limited_us = 1470000; /* 24.25 % of 4 s */
    is_well(&bench);
    bench.socket.info.sndbuf_limited_us = 1500000;
    bench.socket.has_memory = true;
    bench.socket.memory.send_limit = 9216;
    says(&bench, &socket_send_buffer_limits, VERDICT_NOTE, "send buffer limits: 25 %",
         "The send buffer limits the throughput: of 4.00 s with something to send, 1.00 s (25 %) were spent with the "
         "buffer full and all of it in flight. The buffer is 9,216 bytes now, with the kernel's overhead. Remedy: a "
         "larger SO_SNDBUF; or none, as setting it ends the kernel's own growth (up to tcp_wmem).");
    bench.socket.info.busy_time_us = 1999999; /* less than a second since it was seen first */
    is_well(&bench);
    bench.past.first_seen_ns = NOW_NS; /* no past yet: its whole life is meant */
    says(&bench, &socket_send_buffer_limits, VERDICT_NOTE, "send buffer limits: 75 %", NULL);
    bench.socket.info.sndbuf_limited_us = 0;
    bench.socket.info.busy_time_us = 4000000;
    bench.socket.info.rwnd_limited_us = 970000;
    is_well(&bench);
    bench.socket.info.rwnd_limited_us = 2000000;
    bench.socket.info.rtt_us = 10200;
    says(&bench, &socket_peer_window_limits, VERDICT_NOTE, "peer's window limits: 50 %",
         "The peer's window limits the throughput: of 4.00 s with something to send, 2.00 s (50 %) were spent waiting "
         "for it. It advertises 65,536 bytes now, and the round trip is 10.2 ms. Either the program at 10.0.0.1:40490 "
         "reads too slowly, or its receive buffer is small for this path.");
    bench.socket.info.n_bytes = offsetof(struct tcp_info_whole, sndbuf_limited_us);
    is_well(&bench);
}

static void unsent(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.send_queue = 90000;
    bench.socket.info.notsent_bytes = 50000;
    bench.socket.info.unacked = 10;
    bench.socket.info.rtt_us = 10200;
    bench.past.unsent_since_ns = NOW_NS - NS_PER_S;
    is_well(&bench);
    bench.past.unsent_since_ns = NOW_NS - 2 * NS_PER_S;
    says(&bench, &socket_unsent, VERDICT_NOTE, "unsent: 50,000 bytes",
         "Not yet sent: 50,000 bytes of what the program has written. Send-Q has not been seen empty for 2.00 s. The "
         "congestion window allows 10 segments in flight, and so many are: the program writes faster than the path "
         "takes it (round trip 10.2 ms).");
    bench.socket.info.unacked = 9;
    says(&bench, &socket_unsent, VERDICT_NOTE, NULL, NULL);
    contains(&bench,
             "In flight: 9 segments, where the congestion window allows 10; the peer's window is 65,536 bytes.");
    bench.socket.info.notsent_bytes = 0;
    is_well(&bench);
}

static void heaviest_first(void **state)
{
    (void)state;
    struct bench bench;
    /* a note that stands before it in the table gives way to trouble */
    begin(&bench, TCP_STATE_ESTABLISHED);
    bench.socket.send_queue = 10;
    bench.socket.info.snd_wnd = 0;
    says(&bench, &socket_window_closed, VERDICT_NOTE, NULL, NULL);
    bench.socket.receive_queue = 5;
    bench.socket.info.last_data_recv_ms = 2000;
    says(&bench, &socket_not_reading, VERDICT_TROUBLE, NULL, NULL);
    /* of two that weigh the same, the first in the table */
    bench.past.window_zero_since_ns = NOW_NS - NS_PER_S;
    says(&bench, &socket_window_closed, VERDICT_TROUBLE, NULL, NULL);
    begin(&bench, TCP_STATE_LISTEN);
    bench.socket.receive_queue = 129;
    bench.past.no_accept_since_ns = NOW_NS - 5 * NS_PER_S;
    bench.about.n_half_open = 500;
    says(&bench, &socket_accept_queue_full, VERDICT_TROUBLE, NULL, NULL);
}

static void names_are_told_apart(void **state)
{
    (void)state;
    for (const struct socket_verdict *const *row = socket_verdicts; *row; row++) {
        assert_true(strlen((*row)->name) > 0 && strlen((*row)->what) > 0);
        for (const struct socket_verdict *const *other = row + 1; *other; other++)
            assert_string_not_equal((*row)->name, (*other)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong),
        cmocka_unit_test(accept_queue_full),
        cmocka_unit_test(accept_queue_full_of_unix),
        cmocka_unit_test(accept_queue_filling),
        cmocka_unit_test(nobody_accepts),
        cmocka_unit_test(not_accepted),
        cmocka_unit_test(half_open_piling),
        cmocka_unit_test(window_closed),
        cmocka_unit_test(window_closed_needs_evidence),
        cmocka_unit_test(retransmitting),
        cmocka_unit_test(keep_alive_unanswered),
        cmocka_unit_test(syn_unanswered),
        cmocka_unit_test(receive_buffer_full),
        cmocka_unit_test(not_reading),
        cmocka_unit_test(closing_unanswered),
        cmocka_unit_test(close_wait),
        cmocka_unit_test(udp_drops),
        cmocka_unit_test(retransmission_share),
        cmocka_unit_test(syn_recv),
        cmocka_unit_test(fin_wait_2),
        cmocka_unit_test(limits),
        cmocka_unit_test(unsent),
        cmocka_unit_test(heaviest_first),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
