/* SPDX-License-Identifier: MIT */
/*
 * serve: theory of operation.
 *
 * A service runs on one loop per thread; a loop with what serve keeps for it is a worker. Worker 0 runs on the main
 * thread, which also takes the signals. Workers share nothing but the members of struct serve that say so, and talk by
 * bits: whoever wants something of a worker sets a bit in `orders` and, if none was set before, posts one message to
 * its loop; wishes of workers to the main thread go the same way. No mailbox can therefore overflow.
 *
 * The end, whoever wants it: each worker closes its listeners and lets its streams finish (ORDER_STOP), or closes them
 * too (ORDER_CUT). When a worker has neither listener nor stream left, its loop returns by itself; the main thread's is
 * kept running until the others have, by its poll on the signals.
 *
 * Files: serve.c what was asked for; options.c the options; urls.c the addresses; threads.c workers,
 * listening, running; stop.c signals and the end; notify.c what a service manager is told;
 * direct.c --direct; connection.c what happens to connections; guard.c who may connect; idle.c --idle-timeout;
 * facts.c what GET is answered; web.c WebSocket, HTTP and any://; messages.c connections with messages; schemes.c what
 * does not go with an address; local.c their local names; show.c what is told of it; report.c its words,
 * report_spoken.c those about TLS, WebSocket, HTTP and messages; output.c standard output; frame.c --frame; greeting.c
 * the text of greet; program.c what exec runs; errors.c its standard error; page.c --page.
 */
#ifndef CLI_SERVE_INTERNAL_H
#define CLI_SERVE_INTERNAL_H

#include "cli/option.h"
#include "cli/page_options.h"
#include "cli/say.h"
#include "cli/serve/activation.h"
#include "cli/serve/peers.h"
#include "cli/serve/prefix_list.h"
#include "cli/serve/report.h"
#include "cli/serve/sd_notify.h"
#include "cli/taps.h"
#include "cli/tls_options.h"
#include "service/service.h"

#include <pthread.h>
#include <semaphore.h>
#include <sonde/sonde.h>
#include <stdatomic.h>

#define SERVE_URLS_MAX 64

/* For ws://, wss:// and any:// (web.c). */
struct web_settings {
    struct option_list origins, hosts;
    const char *subprotocols, *any_order; /* NULL: not given */
    long long any_wait_ns, message_max, ping_ns;
    bool no_deflate;
};

struct serve_settings {
    bool once, sequential, json, quiet, calls, trace, ipv4, ipv6, pty, direct;
    int print;             /* index into the choices: enum serve_print, less one; -1: none */
    int engine;            /* enum sonde_engine */
    int when_full;         /* enum serve_when_full */
    long long max_clients; /* 0: any number */
    long long idle_ns;     /* 0: none */
    long long backlog;     /* 0: not given */
    long long threads, drain_ns;
    const char *file, *trace_json, *sh;
    long long max_per_peer; /* 0: any number */
    long long rate;         /* bytes a second; 0: any */
    long long max_children;
    const char *frame;                          /* NULL: bytes */
    long long frame_max;                        /* 0: not given */
    struct option_list allow, deny, proxy_from; /* comma-separated CIDRs */
    struct tls_settings tls;
    struct web_settings web;
    struct page_options page;
};

extern const struct option_row serve_options[];
extern const struct example serve_examples[];

enum serve_when_full { WHEN_FULL_WAIT, WHEN_FULL_REFUSE };

/* Bits of worker.orders. */
#define ORDER_STOP 1u
#define ORDER_CUT 2u
#define ORDER_TABLE 4u

/* Bits of serve.wishes. */
#define WISH_END 1u      /* something is wrong: end now, with EXIT_NETWORK */
#define WISH_FINISHED 2u /* a worker's loop has returned */
#define WISH_FOOT 4u     /* the last worker has written its rows of the table */
#define WISH_QUIT 8u     /* end as after a signal, with EXIT_DONE */

/* A local address that connections have, kept here because a closed socket has none any more, and once for all of them
 * because there are few. */
struct local_name {
    struct sonde_address address;
    const struct place *place; /* whose UNIX name it is; NULL: TCP */
    uint32_t n_users;          /* connections; 0: free */
};

/* Who may be a client (guard.c). */
struct guard {
    struct prefix_list allow, deny, trusted;
    struct peers *peers; /* --max-per-peer; NULL: any number */
};

#define SERVE_LOCALS_MAX 65535 /* which is also the index of those that found no room */

#define SERVE_UNIX_NAME 352 /* "unix:" and a path of which each byte may be percent-encoded */

/* What exec runs (program.c). */
struct program {
    struct service_program about;
    char path[4096];
    const char *shell[4]; /* --sh, as a command; ends with NULL */
};

/* What happens to a connection's bytes. */
enum serve_handling {
    SERVE_HANDLES_BYTES,
    SERVE_HANDLES_MESSAGES,
    SERVE_HANDLES_MUTED, /* messages, and the service is not told of them */
    SERVE_N_HANDLERS,
};

/* A listener of a worker. */
struct place {
    struct worker *worker;
    struct sonde_listener *listener; /* NULL: closed, or not of this worker */
    unsigned url;                    /* which of serve's */
    bool troubled;
    char unix_name[SERVE_UNIX_NAME]; /* its connections have no local address; "" for TCP */
};

struct worker {
    struct service_run run; /* host_data is the worker */
    struct taps taps;
    struct serve *serve;
    const struct service *service;
    unsigned index;
    struct sonde_loop *loop;
    struct place *places;
    unsigned n_places;    /* of the first worker, and of all without --direct: serve->n_urls, in their order */
    unsigned n_listeners; /* that are not closed yet */
    uint64_t n_streams;   /* that are not closed yet */
    bool listeners_closed, stopping, paused, started;
    struct sonde_timer sweep; /* --idle-timeout */
    struct sonde_timer drain; /* the end of patience */
    uint64_t n_cut;           /* connections that were open then */
    atomic_uint orders;
    const struct sonde_stream_handler *handlers[SERVE_N_HANDLERS];

    /* messages.c */
    uint64_t n_messages_in, n_messages_out, n_cut_messages, n_bad_messages; /* of connections that are closed */
    uint64_t n_muted_messages, n_withheld_messages;
    uint64_t n_dropped, n_peerless;           /* datagrams, see sonde_listener_handler, lost */
    uint64_t n_dropped_told, n_peerless_told; /* of these */
    unsigned lost_url;                        /* where they were lost last */
    unsigned n_refused;                       /* that have not been told */
    unsigned n_told;                          /* since told_ns, of what comes in floods */
    int64_t told_ns;
    struct sonde_timer tell; /* of what has not been told */

    struct local_name *locals;
    unsigned n_locals, last_local;

    struct page_loop *page; /* --page; NULL: no */

    struct error_lines *errors; /* exec's; NULL: none yet */
    bool held;                  /* the service lets nobody in */
    bool busy;                  /* the service has more to wait for than its connections */

    char *output; /* lines that are not written yet */
    size_t n_output_bytes;
    struct sonde_timer flush;

    pthread_t thread; /* not of worker 0 */
};

struct serve {
    const struct serve_settings *settings;
    const struct service *service;
    enum serve_print print;
    const char *text; /* of greet */
    size_t n_text_bytes;
    unsigned n_urls;
    const char *url_texts[SERVE_URLS_MAX]; /* as the user gave them, or in fd_texts */
    char *fd_texts[SERVE_URLS_MAX];        /* of sockets that were passed; malloc; NULL: other addresses */
    struct activation activation;
    struct sonde_url urls[SERVE_URLS_MAX];
    struct guard guard;
    struct sonde_tls *tls; /* NULL: no address speaks it */
    struct sonde_web_server web;
    const char *web_origins[OPTION_LIST_MAX + 2], *web_hosts[OPTION_LIST_MAX + 1];
    unsigned any_kinds; /* 0: all */
    struct program program;
    bool has_frame;
    struct sonde_frame frame;
    struct attach *attach; /* --trace, --page; NULL: no */
    struct page *page;     /* --page; NULL: no */
    struct sockets_filter *page_filter;
    char page_title[PAGE_TITLE_MAX];
    unsigned n_workers;
    struct worker *workers;
    unsigned n_direct;    /* most places of a ring; 0: not --direct */
    unsigned n_listeners; /* of all workers, when all listened */
    int64_t start_ns;

    /* Shared by the threads. */
    atomic_uint wishes;
    atomic_llong n_clients; /* connected now, without those refused */
    atomic_uint n_troubled; /* listeners that cannot accept for want of something */
    atomic_uint n_running;  /* workers but the first whose loops run */
    atomic_bool ending;     /* the program's end has begun */
    atomic_bool limit_said;
    atomic_int output_error; /* errno value: standard output is no more */
    pthread_mutex_t output_lock;
    bool output_is_file;          /* never blocks for long */
    uint64_t n_output_lost_bytes; /* under the lock */
    sem_t may_free;               /* posted once per worker when nobody will post to its loop any more */
    uint64_t n_table_rows;        /* passed on from worker to worker with ORDER_TABLE */
    uint64_t n_table_dropped, n_table_peerless;

    /* The main thread's. */
    int signal_fd;
    struct sonde_poll *signal_poll;
    enum exit_status status;
    int64_t stop_ns; /* when the end began; 0: not yet */
    int64_t cut_ns;  /* when patience ended early; 0: not yet */
    bool table_asked, table_busy, stopping_said;
    struct lines *lines; /* the operator's; NULL: none, or no more */
    struct notify notify;
    struct sonde_timer watchdog;
};

/* What serve keeps of a connection, in the room of its stream; the service's own follows. Together 40 bytes at most, so
 * that a hundred thousand idle connections stay cheap. */
struct connection {
    uint64_t unanswered_bytes;
    uint32_t seen_bytes; /* --idle-timeout: received and sent (their lower half) when the sweep looked last, */
    uint32_t seen_ms;    /* and when it first saw that */
    int32_t error;
    uint16_t local; /* index of the worker's local names */
    uint8_t reason; /* enum serve_reason */
    uint8_t flags;  /* CONNECTION_... */
};

_Static_assert(sizeof(struct connection) + SERVICE_CONNECTION_BYTES_MAX <= 40, "the room of a connection");

#define CONNECTION_COUNTED 1u /* is one of n_clients, and known to the service */
#define CONNECTION_CUT 2u     /* is one of n_cut */
#define CONNECTION_PEER 4u    /* is counted for its peer */
#define CONNECTION_FACTS 8u   /* is answered by facts.c; the service does not know of it */
#define CONNECTION_PAGE 16u   /* the page knows of it */

/* What is kept of a connection whose address may bring messages, behind all else. */
struct message_notes {
    uint32_t n_cut, n_bad, n_muted, n_withheld;
    uint64_t n_frames; /* --frame: before the decoder that there is now */
};

static inline struct connection *connection_of(const struct sonde_stream *stream)
{
    return sonde_stream_user(stream);
}

/* connection.c */
extern const struct sonde_listener_handler serve_listener_handler; /* owner: the place */
void serve_stream_handlers(const struct serve *serve, const struct sonde_stream_handler **ret_handlers);
extern const struct service_host serve_service_host;
void serve_pause_listeners(struct worker *worker);
void serve_say_limit(const struct serve *serve);

/* urls.c */
enum exit_status serve_environment_take(struct serve *serve); /* before there are threads */
void serve_environment_free(struct serve *serve);
enum exit_status serve_find_urls(struct serve *serve, int n_operands, char **operands);

/* notify.c: on the main thread. stop takes its timer off the loop. */
void serve_notify_ready(struct serve *serve);
void serve_notify_stopping(struct serve *serve);
void serve_notify_stop(struct serve *serve);

/* guard.c */
enum exit_status serve_guard_init(struct serve *serve); /* what is wrong has been said */
void serve_guard_free(struct serve *serve);
/* May it be a client? SERVE_OPEN: yes, and it has its rate. serve_guard_left follows when it is closed, in any case. */
enum serve_reason serve_guard_admit(struct worker *worker, struct sonde_stream *stream);
void serve_guard_left(struct worker *worker, const struct sonde_stream *stream);
void serve_guard_listen(const struct serve *serve, struct sonde_listen_options *options);
/* A listener's `came`, and `refused`. */
int serve_guard_came(struct sonde_listener *listener, const struct sonde_address *peer, void *owner);
void serve_guard_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                         void *owner);

/* messages.c */
bool serve_url_is_datagrams(const struct sonde_url *url);
bool serve_url_has_messages(const struct sonde_url *url); /* or may have */
bool serve_has_messages(const struct serve *serve);       /* does any of its addresses? */
size_t serve_room_bytes(const struct worker *worker, const struct sonde_url *url);
struct message_notes *serve_notes_of(const struct worker *worker, const struct sonde_stream *stream);
struct spoken_room {
    struct serve_spoken spoken;
    struct sonde_tls_info tls;
    struct sonde_ws_info ws;
};
/* NULL: nothing but bytes, and no messages. */
const struct serve_spoken *serve_find_spoken(const struct sonde_stream *stream, struct spoken_room *room);
const struct serve_messages *serve_find_messages(const struct worker *worker, const struct sonde_stream *stream,
                                                 struct serve_messages *ret_messages);
void serve_messages_init(struct worker *worker);
void serve_messages_closed(struct worker *worker, const struct sonde_stream *stream);
void serve_message_cut(struct worker *worker, struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_message_withheld(struct service_run *run, struct sonde_stream *stream, enum service_withheld why,
                            uint64_t n_bytes);
bool serve_is_muted(const struct worker *worker, const struct sonde_stream *stream);
/* One more of what may come in floods: may it be told by itself? */
bool serve_may_tell(struct worker *worker);
/* What is not told by itself is told as a count, in a second; or now. */
void serve_tell_later(struct worker *worker);
void serve_tell_now(struct worker *worker);
/* A listener's `lost`. */
void serve_lost(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner);
void serve_messages_say(const struct serve *serve); /* at the end */

/* schemes.c: what is wrong has been said. */
enum exit_status serve_schemes_check(const struct serve *serve);
bool serve_url_is_shared(const struct sonde_url *url); /* can several workers listen there? */
/* How long a peer of datagrams may be silent. */
int64_t serve_peer_idle_ns(const struct serve *serve);

/* program.c: what is wrong has been said. */
enum exit_status serve_program_check(const struct serve_settings *settings, const struct service *service);
/* The words stood behind "--"; NULL follows them. */
enum exit_status serve_program_find(struct serve *serve, unsigned n_words, char **words);
void serve_program_warn(const struct serve *serve);

/* tls.c: what is wrong has been said. */
enum exit_status serve_tls_init(struct serve *serve);
void serve_tls_free(struct serve *serve);
void serve_tls_listen(const struct serve *serve, const struct sonde_url *url, struct sonde_listen_options *options);
void serve_tls_tell(const struct serve *serve); /* once all listen */

/* web.c: what is wrong has been said. */
enum exit_status serve_web_init(struct serve *serve);
void serve_web_listen(const struct serve *serve, const struct sonde_url *url, struct sonde_listen_options *options);

/* facts.c: is it a request that is answered with the facts of its connection? Then it is, and finished. */
#define SERVE_FACTS_NS (5 * INT64_C(1000000000))
bool serve_facts_wanted(const struct worker *worker, const struct sonde_stream *stream);
void serve_facts_answer(struct worker *worker, struct sonde_stream *stream);

/* page.c: nothing of it without --page. open, as soon as the addresses are known: what is wrong has been said.
 * listening, when all listen; begin, when that has been told; worker and worker_end: a worker's loop is there, and is
 * about to go. */
enum exit_status serve_page_open(struct serve *serve);
void serve_page_listening(struct serve *serve);
enum exit_status serve_page_begin(struct serve *serve);
void serve_page_end(struct serve *serve);
enum exit_status serve_page_worker(struct worker *worker);
void serve_page_worker_end(struct worker *worker);
void serve_page_opened(struct worker *worker, struct sonde_stream *stream);
void serve_page_closed(struct worker *worker, struct sonde_stream *stream);

/* errors.c */
bool serve_error_line(struct service_run *run, uint64_t id, const void *line, size_t n_bytes, bool cut);

/* local.c */
uint16_t serve_local_take(struct worker *worker, const struct sonde_stream *stream, const struct place *place);
void serve_local_release(struct worker *worker, uint16_t local);
void serve_local_format(const struct worker *worker, const struct sonde_stream *stream, char *ret_text,
                        size_t size_bytes);

/* waiting.c: the connections in this listener's accept queue. */
void serve_list_waiting(struct worker *worker, const char *url);

/* idle.c: a connection has opened; the sweep goes on while there is one. */
void serve_idle_init(struct worker *worker);
void serve_idle_opened(struct worker *worker, struct connection *connection);

/* frame.c: --frame. What is wrong has been said. */
enum exit_status serve_frame_check(struct serve *serve);
/* Room in each stream for the service's own, and what is kept for its frames. */
size_t serve_user_bytes(const struct worker *worker);
uint64_t serve_frame_send_limit(const struct serve *serve);
/* The same for what is listened on there: a message has to find room, however long. */
uint64_t serve_send_limit(const struct serve *serve, const struct sonde_url *url);
/* Of the streams, instead of or before what the service is told. */
void serve_frame_data(struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_frame_shown_data(struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_frame_message(struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_frame_shown_message(struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_frame_end(struct worker *worker, struct sonde_stream *stream);
void serve_frame_closed(struct worker *worker, struct sonde_stream *stream);
/* Where what it sent was wrong; 0: nowhere. */
uint64_t serve_frame_at_byte(const struct worker *worker, const struct sonde_stream *stream);

/* direct.c: what is wrong has been said. */
enum exit_status serve_direct_check(const struct serve_settings *settings, const struct service *service);
enum exit_status serve_direct_size(struct serve *serve);   /* n_workers and n_direct */
enum exit_status serve_direct_join(struct worker *worker); /* all but the first */
void serve_direct_tell(const struct serve *serve);
unsigned serve_direct_places(const struct serve *serve, unsigned index); /* of this worker's ring; 0: not --direct */
/* All rings are full, or not any more: is that what --max-clients wants? Then it has been said. */
bool serve_direct_trouble(struct serve *serve, int error);

/* threads.c */
void serve_listen_options(const struct worker *worker, const struct sonde_url *url,
                          struct sonde_listen_options *ret_options);
void serve_url_text(const struct sonde_listener *listener, unsigned index, char ret_text[SONDE_URL_MAX]);
enum exit_status serve_run(struct serve *serve);
/* Listener or stream closed: maybe that was all. */
void serve_worker_check(struct worker *worker);

/* stop.c: all on the main thread but serve_order and serve_wish. */
int serve_signals_start(struct serve *serve);
void serve_signals_stop(struct serve *serve);
void serve_order(struct worker *worker, unsigned orders);
void serve_wish(struct serve *serve, unsigned wish);
/* The main thread's loop need not run any more? */
void serve_check(struct serve *serve);
void serve_stop_listening(struct worker *worker);
void serve_drain_init(struct worker *worker);

/* lines.c: what an operator says, and is told */
int serve_lines_open(struct serve *serve); /* does nothing for other services */
void serve_lines_close(struct serve *serve);
void serve_lines_wanted(struct service_run *run, bool wanted);
void serve_lines_said(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes);
void serve_lines_spoken(struct service_run *run, struct sonde_stream *stream, unsigned n, const void *data,
                        size_t n_bytes);
void serve_lines_answer(struct service_run *run, const char *text);
void serve_lines_name(struct service_run *run, struct sonde_stream *stream, char *ret_text, size_t size_bytes);
void serve_lines_quit(struct service_run *run);

/* show.c */
/* The number of a connection, from its sonde_stream_id. */
uint64_t serve_number_of(const struct worker *worker, uint64_t id);
void serve_show_listening(struct worker *worker);
void serve_show_page(struct worker *worker, const char *url);
/* SERVE_OPENED, SERVE_CLOSED */
void serve_show_connection(struct worker *worker, const struct sonde_stream *stream, enum serve_happening happening);
/* The program of a connection that was closed before has ended. */
void serve_show_ended(struct worker *worker, uint64_t id, const struct service_outcome *outcome);
void serve_show_data(struct worker *worker, const struct sonde_stream *stream, const struct sonde_lent *bytes);
/* The same of a stream with messages. */
void serve_show_whole(struct worker *worker, const struct sonde_stream *stream, const struct sonde_lent *bytes);
void serve_show_message(struct worker *worker, const struct sonde_stream *stream, const void *data, size_t n_bytes,
                        uint64_t n_messages);
void serve_show_buffer(struct worker *worker, const char *url, unsigned n_bytes, unsigned limit, unsigned n_dropped);
void serve_show_icmp(struct worker *worker, const struct sonde_stream *stream, const struct sonde_notice *notice);
void serve_show_lost(struct worker *worker, uint64_t n_dropped, uint64_t n_peerless);
void serve_show_queue(struct worker *worker, const char *url, unsigned length, unsigned limit);
void serve_show_waiting(struct worker *worker, const char *local, const char *peer, const char *state,
                        unsigned n_unread);
void serve_show_more_waiting(struct worker *worker, unsigned n_more);
void serve_show_trouble(struct worker *worker, int error);
/* A connection that never became one: see sonde_listener_handler, refused. */
void serve_show_refused(struct worker *worker, const struct sonde_listener *listener, const struct sonde_address *peer,
                        const struct sonde_why *why);
/* Those that were not told by themselves. */
void serve_tell_refused(struct worker *worker);
/* talk: a line of a client's, or a piece of one; a line of the operator's, for one client or (NULL) for all n. */
void serve_show_said(struct worker *worker, const struct sonde_stream *stream, const void *data, size_t n_bytes);
void serve_show_spoken(struct worker *worker, const struct sonde_stream *stream, unsigned n, const void *data,
                       size_t n_bytes);
/* This worker's part of the table of connections: the first writes its head, serve_show_foot its end. */
void serve_show_table(struct worker *worker);
void serve_show_foot(struct serve *serve);

/* output.c */
int serve_output_init(struct worker *worker);
void serve_output_free(struct worker *worker);
/* Room for so many bytes of whole lines, at most SERVE_ROOM(SERVE_SLICE_BYTES); then how many there are. What is
 * put there is written at the end of this turn of the loop. */
char *serve_output_reserve(struct worker *worker, size_t n_bytes);
void serve_output_commit(struct worker *worker, size_t n_bytes);
void serve_output_flush(struct worker *worker);
/* A line that finds no room there: it is written now, behind what was put there before. */
void serve_output_write(struct worker *worker, const char *text, size_t n_bytes);

/* Received data is shown in pieces of at most so much; no engine receives more at a time. */
#define SERVE_SLICE_BYTES (64 * 1024)

#endif
