/* SPDX-License-Identifier: MIT */
/* A filter as a tree, for the files that parse, ask, translate and write it. */
#ifndef OBSERVE_SOCKETS_FILTER_INTERNAL_H
#define OBSERVE_SOCKETS_FILTER_INTERNAL_H

#include "observe/sockets/filter.h"

#define FILTER_DEPTH_MAX 64

enum filter_kind {
    FILTER_AND,
    FILTER_OR,
    FILTER_NOT, /* of left */
    FILTER_STATE,
    FILTER_PORT,
    FILTER_HOST,
    FILTER_DEVICE,
    FILTER_PID,
    FILTER_PROCESS,
    FILTER_UNREAD,
    FILTER_UNSENT,
    FILTER_RETRANSMITS,
    FILTER_TEXT,
};

enum filter_compare { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_GE, COMPARE_GT, COMPARE_LE };

struct filter_node {
    uint8_t kind;        /* enum filter_kind */
    uint8_t compare;     /* PORT, UNREAD, UNSENT, RETRANSMITS */
    bool is_peer;        /* PORT, HOST: of the peer */
    bool has_port;       /* HOST */
    uint8_t family;      /* HOST: AF_INET, AF_INET6, or 0: any address */
    uint8_t prefix_bits; /* HOST */
    uint16_t port;
    uint16_t left, right;  /* AND, OR, NOT */
    uint16_t text, n_text; /* PROCESS, TEXT: place in the filter's words */
    uint32_t states;       /* STATE: 1 << enum tcp_state */
    uint32_t number;       /* DEVICE: interface, PID, UNREAD...: compared with; HOST: the zone, 0: whatever */
    uint8_t ip[16];
};

struct sockets_filter {
    unsigned n_nodes;
    int root; /* -1: everything matches */
    size_t n_words;
    char words[FILTER_TEXT_MAX];
    struct filter_node node[FILTER_NODES_MAX];
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_NOT, TOKEN_AND, TOKEN_OR, TOKEN_COMPARE };

struct token {
    enum token_kind kind;
    enum filter_compare compare;
    bool is_quoted;  /* a word that began with a quote: it is no keyword */
    size_t at;       /* where it began, from 0 */
    const char *raw; /* as it was written */
    size_t n_raw;
    char word[FILTER_TEXT_MAX]; /* without its quotes; NUL-terminated */
    size_t n_word;
};

/* The token at *at of the text, which is then behind it. -EINVAL: a quote without its end; token->at says where. */
int filter_next_token(const char *text, size_t *at, struct token *ret_token);

/* Parts of a filter. NULL: understood, else what was expected. */
const char *filter_read_host(const char *word, struct filter_node *node);
const char *filter_read_port(const char *word, uint16_t *ret_port);
const char *filter_read_device(const char *word, uint32_t *ret_interface);
const char *filter_read_states(const char *word, uint32_t *ret_states);
/* Decimal digits and nothing else. */
bool filter_read_number(const char *word, uint32_t maximum, uint32_t *ret_number);

#define FILTER_ALL_STATES ((UINT32_C(1) << TCP_N_STATES) - 1)

#endif
