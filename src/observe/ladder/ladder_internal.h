/* SPDX-License-Identifier: MIT */
/*
 * What the files of the ladder share. From below: cells (one line of text as a row of cells), layout (which cell is
 * what), label, values, calls and notes (texts), connection (what is known of one), row (one event drawn as cells) or
 * list (as a line of text), and text.c, which holds events back as long as it must to know how they are drawn.
 */
#ifndef OBSERVE_LADDER_LADDER_INTERNAL_H
#define OBSERVE_LADDER_LADDER_INTERNAL_H

#include "observe/ladder/ladder.h"

#include <sonde/probe.h>

/* ---- format.c */

/* A number given in thousandths with three digits, "424", "10.2", "0.02", "0.005", or more of them before the point. */
void digits_text(uint64_t thousandths, unsigned n_behind_least, char *ret_text, size_t size_bytes);

/* ---- cells.c: characters, cells, lines */

enum style {
    STYLE_PLAIN,
    STYLE_DIM,
    STYLE_HALF,
    STYLE_OPEN,
    STYLE_ENDING,
    STYLE_TROUBLE,
    STYLE_KERNEL,
    N_STYLES,
};

#define CELL_BYTES 12 /* a character and the marks that combine with it; what is more is left out */

struct cell {
    char text[CELL_BYTES];
    uint8_t n_bytes; /* 0: the second half of a wide character */
    uint8_t style;
};

struct cells {
    struct cell cell[LADDER_WIDTH_MAX];
    unsigned n; /* used; what is behind is blank */
};

/* The characters that a ladder is drawn with. */
struct glyphs {
    bool unicode;
    const char *dash, *head_right, *head_left, *cross, *cut, *stub_right, *stub_left, *note, *dot, *arrow_right;
    const char *message_right, *message_left;
    const char *bracket_begin[N_ENDS], *bracket_inside, *bracket_end[N_ENDS];
    const char *life[TCP_CLASS_LINGER + 1], *unknown, *no_states;
};

extern const struct glyphs glyphs_unicode, glyphs_ascii;

/* The character at *text, which moves behind it. What is not UTF-8 is U+FFFD, byte by byte. 0 at the end. */
uint32_t next_character(const char **text);
unsigned character_cells(uint32_t character);
unsigned text_cells(const char *text);

/* Text made fit for these glyphs: controls become blanks, and for ASCII every other character its nearest. Cut to the
 * size at a character. */
void fit_characters(const struct glyphs *glyphs, const char *text, char *ret_text, size_t size_bytes);

/* Cut to so many cells, with the glyph for "cut" at the end when it did not fit. In place. */
void cut_to_cells(char *text, unsigned n_cells, const struct glyphs *glyphs);

/* Writes text from cell `at`, as far as `end` (not included). Returns the cell behind it. */
unsigned cells_put(struct cells *cells, unsigned at, unsigned end, const char *text, enum style style);
void cells_repeat(struct cells *cells, unsigned at, unsigned end, const char *glyph, enum style style);
/* ... so that its last cell is the one before `end`. */
void cells_put_right(struct cells *cells, unsigned begin, unsigned end, const char *text, enum style style);

/* Where lines go. */
struct output {
    ladder_write_function write;
    void *user;
    bool color;
    const struct glyphs *glyphs;
};

void output_cells(const struct output *output, const struct cells *cells);
void output_newline(const struct output *output);

/* One line of a text that is wrapped at blanks: up to n_cells, at least one character. *text moves behind it and the
 * blanks that follow. false: there is no more. */
bool wrap_next(const char **text, unsigned n_cells, char *ret_line, size_t size_bytes);

/* ---- layout.c */

struct grid {
    unsigned width;
    unsigned time, delta, n_delta; /* first cell of each; n_delta 0: there is no such column */
    unsigned left, n_side, bracket_a, life_a, wire, n_wire, life_b, bracket_b, right;
    bool wide; /* 100 cells and more */
};

void grid_init(struct grid *grid, unsigned width, unsigned n_tag, bool has_calls);

/* ---- connection.c */

#define NAME_BYTES 64   /* of a program's name as shown */
#define WHERE_BYTES 256 /* interface, file */
#define OPEN_CALLS_MAX 16

struct open_call {
    uint64_t number;
    int64_t start_ns;
    uint8_t operation;
    int32_t fd;
};

struct connection_end {
    struct sonde_address address;
    char program[NAME_BYTES]; /* escaped; "": not known */
    int32_t pid;
    uint8_t role, state;
    bool guess, calls_seen, captured_here;
    bool offload_said, cut_said;
    bool zero_window; /* its last window was 0 */
    bool next_known;  /* next_seq: behind the last byte that it sent */
    uint64_t next_seq, next_raw;
    uint32_t rto_of, n_rto;                /* which segment the retransmission timer repeats, and how often so far */
    struct open_call open[OPEN_CALLS_MAX]; /* the oldest first; past that the oldest is forgotten */
    unsigned n_open;
};

struct connection {
    struct connection *next_in_bucket, *newer, *older;
    uint64_t id;
    unsigned index;       /* the n-th of this ladder, from 0: its tag */
    uint32_t last_number; /* of the segment that was drawn last */
    bool introduced, titled, has_rows, begins_midway, has_segments, first_ack_seen;
    uint8_t protocol;
    int64_t origin_ns, last_ns, realtime_ns, realtime_at_ns; /* last_ns: of the last event that was drawn */
    char where[WHERE_BYTES];
    struct connection_end end[N_ENDS];
};

/* Takes over what is known now; what is not known now stays. */
void connection_update(struct connection *connection, const struct event *event);
/* Life line of an end. */
const char *connection_life(const struct connection *connection, enum event_end end, const struct glyphs *glyphs,
                            enum style *ret_style);
enum style state_style(enum tcp_state state);
/* "client nc[4121]", "127.0.0.1:7007" */
void connection_end_name(const struct connection *connection, enum event_end end, char *ret_text, size_t size_bytes);
/* "tcp", "udp", "unix", ... */
const char *protocol_word(uint8_t protocol);
/* "client", "server", "A", "B" */
const char *connection_end_short(const struct connection *connection, enum event_end end);
/* "ESTABLISHED?" */
void state_text(enum tcp_state state, bool guess, char ret_text[16]);
/* A first segment of it may be seen from more than one place. */
bool connection_both_captured(const struct connection *connection);

/* ---- held events: what text.c keeps of one until it is drawn */

#define PREVIEW_CALL_CELLS 24
#define PREVIEW_CALL_BYTES 128

struct held_call {
    uint8_t phase, operation, end;
    int32_t fd;
    uint64_t number, n_bytes;
    int64_t result, start_ns;
    bool datagram;
    bool whole;                       /* its end has come while its begin was held */
    char preview[PREVIEW_CALL_BYTES]; /* escaped, without quotes; "": none */
};

/* Messages that one segment completes are told together: the first of them, and so many. */
struct messages {
    struct event_message first;
    uint64_t n, last_number, n_bytes; /* n_bytes: of all of them */
};

enum held_kind {
    HELD_TITLE,
    HELD_CALL,
    HELD_SEGMENT,
    HELD_ARRIVAL, /* the second row of a segment */
    HELD_DATAGRAM,
    HELD_ICMP,
    HELD_HANDSHAKE,
    HELD_MESSAGE,
    HELD_STATE,
    HELD_VALUES,
    HELD_SENTENCE,
    HELD_LOSS,
};

struct held {
    uint8_t kind; /* enum held_kind */
    bool two_rows;
    struct connection *connection; /* NULL: of none */
    int64_t t_ns;
    int64_t last_ns; /* when the event was over: a call that is drawn in one row */
    union {
        struct held_call call;
        struct event_segment segment;
        struct event_datagram datagram;
        struct event_icmp icmp;
        struct event_handshake handshake;
        struct messages messages;
        struct event_state state;
        struct event_values values;
        struct event_sentence sentence;
        struct event_loss loss;
    };
    bool has_values[N_ENDS]; /* these are shown on this row */
    struct event_values row_values[N_ENDS];
    char data[SEGMENT_PREVIEW_MAX];
    char *text; /* sentence, loss, words of an icmp, a handshake, a message: owned; NULL: none */
};

/* Which end gave rise to it; N_ENDS: none. */
enum event_end held_end(const struct held *held);

/* ---- label.c */

enum label_part {
    LABEL_FLAGS,
    LABEL_SEQ,
    LABEL_ACK,
    LABEL_SACK,
    LABEL_WIN,
    LABEL_MSS,
    LABEL_OPTIONS,
    LABEL_PREVIEW,
    LABEL_AGAIN,
    LABEL_NOTES,
    N_LABEL_PARTS,
};

#define LABEL_PART_BYTES 288
#define LABEL_BELOW_BYTES 512

struct label {
    char part[N_LABEL_PARTS][LABEL_PART_BYTES]; /* "": not there */
    bool trouble[N_LABEL_PARTS];
    char below[LABEL_BELOW_BYTES]; /* what must be said and had no room; "": nothing */
};

struct label_context {
    const struct glyphs *glyphs;
    bool raw, first_ack, after_zero_window;
};

/* All parts of a segment's label. */
void label_of_segment(const struct event_segment *segment, const struct label_context *context,
                      struct label *ret_label);
void label_of_datagram(const struct event_datagram *datagram, const struct label_context *context,
                       struct label *ret_label);
/* Drops parts until the label has at most n_cells. */
void label_fit(struct label *label, const struct event_segment *segment, const struct label_context *context,
               unsigned n_cells);
unsigned label_cells(const struct label *label);
/* "TLS handshake", "TLS data": the record that begins here; NULL: it is none. Static. */
const char *tls_record_text(const void *data, size_t n_data);
/* Quoted and escaped, at most n_cells wide; "" when that is too little to say anything. Of a TLS record, what it is. */
void preview_text(const void *data, size_t n_data, uint64_t n_bytes, unsigned n_cells, const struct glyphs *glyphs,
                  char *ret_text, size_t size_bytes);

/* Cuts escaped text to less than n_cells, never inside of an escape: the glyph for "cut" still has room behind. */
void preview_cut(char *text, unsigned n_cells);

/* ---- above.c */

#define ABOVE_BYTES 640

/* "TLS handshake, 3.1 ms". t_ns: when it was done. */
void handshake_text(const struct event_handshake *handshake, int64_t t_ns, char ret_text[ABOVE_BYTES]);
#define WIDE_ENOUGH 1000

/* "messages 3-5 end here, 120 bytes"; of a program's own, with as much of its data as n_cells have room for. words: of
 * a malformed place, escaped. */
void messages_text(const struct messages *messages, const char *words, unsigned n_cells, const struct glyphs *glyphs,
                   char ret_text[ABOVE_BYTES]);
void messages_begin(struct messages *messages, const struct event_message *message);
/* false: it does not belong to them. */
bool messages_join(struct messages *messages, const struct event_message *news);
/* Escaped, and fit for these glyphs; to be freed. NULL for NULL, or without memory. */
char *above_words(const char *text, const struct glyphs *glyphs);

/* ---- notes.c */

/* What is said under a segment; calls say for each sentence. Uses and changes what was said of the connection. */
typedef void (*note_function)(const char *text, void *user);
void segment_notes(struct connection *connection, const struct event_segment *segment, bool raw, note_function say,
                   void *user);
/* The timer's name or the count of a probe, for the sender's side: "RTO 2", "probe 1"; "": none. */
void segment_timer_text(struct connection *connection, const struct event_segment *segment, char *ret_text,
                        size_t size_bytes);
/* After it was drawn: what later segments are compared with. */
void connection_took_segment(struct connection *connection, const struct event_segment *segment);
/* "icmp port unreachable", "from 10.0.0.254, about #3, mtu 1400" */
void icmp_texts(const struct event_icmp *icmp, char *ret_what, size_t what_bytes, char *ret_rest, size_t rest_bytes);
/* "12 packets are missing here: the capture's buffer was full" */
void loss_text(const struct event_loss *loss, const char *why, char *ret_text, size_t size_bytes);

/* ---- values.c */

#define VALUES_BYTES 256

/* As many of the changed values as fit into n_cells, in order; "": none to show, or none fits. ret_all: all fitted. */
void values_text(const struct event_values *values, unsigned n_cells, bool *ret_all, char ret_text[VALUES_BYTES]);
/* With units, for a row of their own. */
void values_text_long(const struct event_values *values, unsigned n_cells, char ret_text[VALUES_BYTES]);
bool values_are_shown(const struct event_values *values);

/* ---- calls.c */

/* The text of a call within n_cells. false: even without its arguments it has no room, and was cut. */
bool call_text_begin(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                     size_t size_bytes);
bool call_text_end(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                   size_t size_bytes);
bool call_text_whole(const struct held_call *call, unsigned n_cells, const struct glyphs *glyphs, char *ret_text,
                     size_t size_bytes);
void call_opened(struct connection_end *end, const struct held_call *call);
/* false: it was not open here. */
bool call_closed(struct connection_end *end, uint64_t number);
bool call_is_open(const struct connection_end *end, uint64_t number);

/* ---- row.c, arrow.c, list.c, title.c, text.c */

#define WIDTH_LEAST 20

struct ladder {
    struct ladder_options options;
    struct output output;
    bool as_list;
    unsigned n_tag; /* cells of the tag cell, with its blank; 0: there is none yet */

    struct connection **buckets;
    size_t n_buckets, n_connections, n_connections_seen;
    struct connection *newest, *oldest; /* by last use */

    struct held **queue; /* first to be drawn first */
    unsigned n_queue, n_queue_most;
    struct held **due; /* arrivals that wait for their time, earliest first */
    unsigned n_due;
    int64_t latest_ns; /* of all events so far */
    bool has_latest;
    uint64_t n_no_memory; /* events that were lost for it, not told yet */

    bool has_lines, last_was_sentence;
    struct connection *last_drawn;
    int64_t origin_ns, last_ns;
    bool has_origin, has_last;
};

/* What stands on a row beside the wire. */
struct row {
    struct ladder *ladder;
    struct connection *connection;
    struct grid grid;
    struct cells cells;
};

void row_begin(struct row *row, struct ladder *ladder, struct connection *connection);
void row_time(struct row *row, int64_t t_ns);
void row_lives(struct row *row);
void row_brackets(struct row *row);
void row_end(struct row *row);

enum arrow_kind { ARROW_WHOLE, ARROW_LOST, ARROW_THROWN, ARROW_LEAVES };

void arrow_draw(struct row *row, enum event_end from, enum arrow_kind kind, uint32_t number, struct label *label);
/* Cells that a label has on an arrow. */
unsigned arrow_room(const struct grid *grid, uint32_t number);
void arrow_draw_arrival(struct row *row, enum event_end from, bool thrown, uint32_t number);
void arrow_draw_icmp(struct row *row, enum event_end to, const char *text);

/* `└ note` in the wire, as many rows as it takes. */
void draw_note(struct ladder *ladder, struct connection *connection, const char *text);
void draw_title(struct ladder *ladder, struct connection *connection);
void draw_pause(struct ladder *ladder, struct connection *connection, int64_t t_ns);
void draw_held(struct ladder *ladder, struct held *held);
void draw_handshake(struct ladder *ladder, struct held *held);
void draw_message(struct ladder *ladder, struct held *held); /* of a program */
void list_draw(struct ladder *ladder, struct held *held);
void list_note(struct ladder *ladder, const struct held *held, const char *text);
/* Wrapped, with a mark and a blank before it, continued by two cells. */
void draw_sentence(struct ladder *ladder, struct connection *connection, char mark, const char *text);

/* ---- connections.c */

struct connection *ladder_find(const struct ladder *ladder, uint64_t id);
/* Makes one when there is none. NULL: no memory. */
struct connection *ladder_connection(struct ladder *ladder, uint64_t id);
bool ladder_is_full(const struct ladder *ladder);
void ladder_forget(struct ladder *ladder, struct connection *connection);

/* ---- row.c again */

/* Time since the ladder's beginning, as shown in rows of this connection. */
int64_t since_origin(const struct ladder *ladder, const struct connection *connection, int64_t t_ns);
/* After a row of it: the next row's delta and pause count from here. */
void drawn_at(struct ladder *ladder, struct connection *connection, int64_t t_ns);
int64_t drawn_last(const struct ladder *ladder, const struct connection *connection, bool *ret_known);
/* Puts the tag, returns the cell behind it. */
unsigned put_tag(const struct ladder *ladder, const struct connection *connection, struct cells *cells);

#endif
