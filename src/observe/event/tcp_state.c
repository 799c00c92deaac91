/* SPDX-License-Identifier: MIT */
#include "observe/event/tcp_state.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[] = {
#define TCP_STATE_NAME(name, text) text,
        TCP_STATES(TCP_STATE_NAME)
#undef TCP_STATE_NAME
    };
    return (unsigned)state < TCP_N_STATES ? names[state] : names[TCP_STATE_UNKNOWN];
}

enum tcp_state_class tcp_state_class(enum tcp_state state)
{
    switch (state) {
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_SYN_RECV:
        return TCP_CLASS_HALF;
    case TCP_STATE_ESTABLISHED:
        return TCP_CLASS_OPEN;
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
        return TCP_CLASS_ENDING;
    case TCP_STATE_TIME_WAIT:
        return TCP_CLASS_LINGER;
    case TCP_STATE_UNKNOWN:
    case TCP_STATE_CLOSED:
    case TCP_STATE_LISTEN:
    case TCP_N_STATES:
        break;
    }
    return TCP_CLASS_NONE;
}

#define SPELLING_MAX 16

/* Upper case without dashes and underscores. */
static void spell(const char *name, char ret_plain[SPELLING_MAX])
{
    size_t n = 0;
    for (; *name && n < SPELLING_MAX - 1; name++) {
        if (*name == '-' || *name == '_')
            continue;
        ret_plain[n++] = (char)(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
    }
    ret_plain[n] = '\0';
}

enum tcp_state tcp_state_find(const char *name)
{
    static const struct {
        const char *name;
        enum tcp_state state;
    } others[] = {
        {"ESTAB", TCP_STATE_ESTABLISHED}, {"UNCONN", TCP_STATE_CLOSED},         {"CLOSE", TCP_STATE_CLOSED},
        {"LISTENING", TCP_STATE_LISTEN},  {"SYNRECEIVED", TCP_STATE_SYN_RECV},  {"NEWSYNRECV", TCP_STATE_SYN_RECV},
        {"SYNRCVD", TCP_STATE_SYN_RECV},  {"CLOSEDWAIT", TCP_STATE_CLOSE_WAIT},
    };
    char wanted[SPELLING_MAX], known[SPELLING_MAX];
    spell(name, wanted);
    if (strlen(name) > SPELLING_MAX)
        return TCP_N_STATES;
    for (unsigned state = TCP_STATE_CLOSED; state < TCP_N_STATES; state++) {
        spell(tcp_state_name(state), known);
        if (strcmp(known, wanted) == 0)
            return state;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(others[i].name, wanted) == 0)
            return others[i].state;
    }
    return TCP_N_STATES;
}

enum tcp_state tcp_state_of_kernel(unsigned number)
{
    /* include/net/tcp_states.h of the kernel; 12 is TCP_NEW_SYN_RECV, a half-open connection without a socket. */
    static const unsigned char states[] = {
        TCP_STATE_UNKNOWN,    TCP_STATE_ESTABLISHED, TCP_STATE_SYN_SENT, TCP_STATE_SYN_RECV,   TCP_STATE_FIN_WAIT_1,
        TCP_STATE_FIN_WAIT_2, TCP_STATE_TIME_WAIT,   TCP_STATE_CLOSED,   TCP_STATE_CLOSE_WAIT, TCP_STATE_LAST_ACK,
        TCP_STATE_LISTEN,     TCP_STATE_CLOSING,     TCP_STATE_SYN_RECV,
    };
    return number < sizeof states ? states[number] : TCP_STATE_UNKNOWN;
}
