/* SPDX-License-Identifier: MIT */
/* What the files of connect share: the settings, and one run of the verb. */
#ifndef CLI_CONNECT_INTERNAL_H
#define CLI_CONNECT_INTERNAL_H

#include "cli/connect/attempts.h"
#include "cli/connect/edit.h"
#include "cli/connect/expect.h"
#include "cli/connect/frame.h"
#include "cli/connect/headers.h"
#include "cli/connect/input.h"
#include "cli/connect/listen.h"
#include "cli/connect/messages.h"
#include "cli/connect/page.h"
#include "cli/connect/parts.h"
#include "cli/connect/send.h"
#include "cli/connect/talk.h"
#include "cli/connect/transport.h"
#include "cli/connect/verify.h"
#include "cli/connect/view.h"
#include "cli/option.h"
#include "cli/tls_options.h"

#include <sonde/sonde.h>

enum peer_eof { PEER_EOF_QUIT, PEER_EOF_WAIT };

struct connect_settings {
    bool verbose, calls, json, hex, once, crlf, numeric, scan, only_ipv4, only_ipv6;
    bool trace;
    bool listen, keep_open; /* -l, -k */
    bool verify_echo;
    bool no_edit;        /* lines are not edited on a terminal */
    bool half_close;     /* -N */
    const char *eof;     /* --eof, -q; NULL: the default, wait */
    int peer_eof;        /* enum peer_eof */
    int each_line;       /* index of its choices; -1: not given */
    int engine;          /* enum sonde_engine */
    long long wait_ns;   /* -w; 0: for ever */
    long long delay_ns;  /* -i */
    long long n_retries; /* 0: none */
    long long n_rounds;  /* --repeat; -1: not given; 0: for ever */
    long long every_ns;  /* 0: not given */
    long long within_ns; /* 0: not given */
    struct option_list send;
    const char *expect;       /* NULL: not given */
    const char *frame;        /* NULL: bytes */
    long long frame_max;      /* 0: not given */
    struct option_list proxy; /* one at most, or it is misuse; its password is gone once it has been parsed */
    const char *source_address, *source_port, *bind;
    const char *output, *trace_json;
    bool udp; /* -u */
    struct tls_settings tls;
    struct page_options page;
    /* Messages and WebSocket. */
    bool binary, base64, commands, no_deflate, print_ping;
    long long ping_ns, message_max; /* 0: not given */
    const char *origin, *subprotocol;
    struct option_list header; /* @FILE, or "Name: value", of which the values are gone once they have been taken */
};

extern const struct option_row connect_options[];
extern const struct example connect_examples[];

/* Where to, as the command line says it; with -l, where. */
struct connect_target {
    struct sonde_url url;
    bool has_proxy;
    struct sonde_proxy proxy;
    const char *given;        /* the address as the user gave it; a host and a port apart: as a URL */
    char name[SONDE_URL_MAX]; /* the same, fit for a terminal */
    struct port_range ports;  /* -z; {0, 0}: the one of the URL */
    enum transport transport;
    struct headers headers;
    struct sonde_ws_client ws; /* for ws:// and wss://; with -l: */
    struct sonde_web_server web;
    const char *origins[2];
    struct sonde_tls *tls; /* NULL: the address speaks none */
};

/* Make the target of the operands; it must stay where it is, and so must they. False: the user has been told why, and
 * *ret_status is the exit status. */
bool connect_target_make(const struct connect_settings *settings, int n_operands, char **operands,
                         struct connect_target *ret_target, int *ret_status);

void connect_target_free(struct connect_target *target);

/* The options that each connection of this run is made with; they point into the target. */
struct sonde_connect_options connect_options_of(const struct connect_settings *settings,
                                                const struct connect_target *target);

/* -4 and -6 as a family. */
int connect_family(const struct connect_settings *settings);

/* Make the proxy of --proxy and of the environment; without --proxy there is none. The same answer as above. */
bool connect_proxy_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status);

/* The sentence for a connection through the proxy that failed, which says on which leg. False: it did not fail, or not
 * for the proxy's sake, and nothing was said. */
bool connect_proxy_say(const struct connect_target *target, const struct talk *talk);

/* Do the options about messages go with the address? The same answer as above. */
bool connect_messages_check(const struct connect_settings *settings, const struct connect_target *target,
                            int *ret_status);

/* What they ask for, where the transport has messages. */
struct message_settings connect_message_settings(const struct connect_settings *settings,
                                                 const struct connect_target *target);

/* The WebSocket's part of the target. The same answer as above. */
bool connect_websocket_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status);

/* The same for its TLS; and with -l, how to trust the certificate that was made for it. */
bool connect_tls_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status);
void connect_tls_say_listening(const struct connect_target *target, const struct sonde_url *url);

/* What a run needs besides; made before anything is connected. */
struct connect_job {
    struct sonde_loop *loop;
    struct taps *taps;
    const struct connect_settings *settings;
    const struct connect_target *target;
    struct listening *listening; /* NULL: connect */
    struct send *send;           /* without pieces: standard input is sent */
    struct expect *expect;       /* NULL: nothing is expected */
    struct verify *verify;       /* NULL: not asked for */
    struct framing *framing;     /* NULL: bytes are sent and received, not messages */
    struct messages *messages;   /* NULL: the transport has none */
    struct echo_window *echo;    /* --verify-echo of those; NULL: not asked for */
    int file_fd;                 /* of --output, or -1; taken over */
    const char *title;           /* of the page */
    struct connect_page *page;
};

/* SIGINT, and SIGTERM where that is asked for, as an event of the loop. */
struct interrupt {
    struct sonde_poll *poll;
    int fd;
    int number; /* of the signal that came; 0: none yet */
    void (*came)(void *user);
    void *user;
};

/* SIGINT not when it was ignored from the start (nohup, a background job): then it stays ignored. */
int interrupt_open(struct interrupt *interrupt, struct sonde_loop *loop, bool also_term, void (*came)(void *user),
                   void *user);
void interrupt_close(struct interrupt *interrupt);

/* -z. Returns the exit status. */
int connect_scan(struct sonde_loop *loop, const struct connect_settings *settings, const struct connect_target *target);

/* Everything else: one connection after the other until there is nothing more to do. Returns the exit status. */
int connect_run(const struct connect_job *job);

/* An option that does not go with another one or with the address, and why not. */
struct contradiction {
    bool given;
    const char *sentence;
};

/* Say the first row that fits, and return false; true when there is none. */
bool connect_say_first(const struct contradiction *rows, size_t n, int *ret_status);

/* Returns false: what is wrong has been said. */
bool connect_misuse(int *ret_status);

#endif
