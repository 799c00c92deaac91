/* SPDX-License-Identifier: MIT */
/* The states of one end of a TCP connection (RFC 9293, 3.3.2), whoever says so: the kernel, or segments alone. */
#ifndef OBSERVE_EVENT_TCP_STATE_H
#define OBSERVE_EVENT_TCP_STATE_H

/* name as it is shown. UNKNOWN is shown as "?". */
#define TCP_STATES(X)                                                                                                  \
    X(UNKNOWN, "?")                                                                                                    \
    X(CLOSED, "CLOSED")                                                                                                \
    X(LISTEN, "LISTEN")                                                                                                \
    X(SYN_SENT, "SYN_SENT")                                                                                            \
    X(SYN_RECV, "SYN_RECV")                                                                                            \
    X(ESTABLISHED, "ESTABLISHED")                                                                                      \
    X(FIN_WAIT_1, "FIN_WAIT_1")                                                                                        \
    X(FIN_WAIT_2, "FIN_WAIT_2")                                                                                        \
    X(CLOSE_WAIT, "CLOSE_WAIT")                                                                                        \
    X(CLOSING, "CLOSING")                                                                                              \
    X(LAST_ACK, "LAST_ACK")                                                                                            \
    X(TIME_WAIT, "TIME_WAIT")

enum tcp_state {
#define TCP_STATE_ENUM(name, text) TCP_STATE_##name,
    TCP_STATES(TCP_STATE_ENUM)
#undef TCP_STATE_ENUM
        TCP_N_STATES,
};

/* What a state means for whoever looks: states of one class share their life line and their colour. */
enum tcp_state_class {
    TCP_CLASS_NONE,   /* UNKNOWN, CLOSED, LISTEN */
    TCP_CLASS_HALF,   /* SYN_SENT, SYN_RECV */
    TCP_CLASS_OPEN,   /* ESTABLISHED */
    TCP_CLASS_ENDING, /* FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK */
    TCP_CLASS_LINGER, /* TIME_WAIT */
};

/* Static; never NULL. */
const char *tcp_state_name(enum tcp_state state);
enum tcp_state_class tcp_state_class(enum tcp_state state);

/* By its name, as shown; also as ss, netstat and the kernel write it ("ESTAB", "SYN-SENT", "syn_recv", "FIN-WAIT-1",
 * "close-wait", "FIN_WAIT1"). TCP_N_STATES: it is none. */
enum tcp_state tcp_state_find(const char *name);

/* Of the kernel's number (linux/tcp_states.h; NEW_SYN_RECV is SYN_RECV). */
enum tcp_state tcp_state_of_kernel(unsigned number);

#endif
