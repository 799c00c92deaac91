/* SPDX-License-Identifier: MIT */
/*
 * Rows are small copies, so that a million conversations fit into memory; the table is laid out when all are known,
 * each column as wide as what is in it.
 */
#include "trace/summary.h"

#include "observe/event/event.h"
#include "observe/ladder/ladder.h"
#include "term/translate.h"
#include "json/json.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 2048
#define ENDING_BYTES 64
#define N_COLUMNS 12
#define CELL_BYTES 112

struct summary_row {
    uint64_t id;
    struct sonde_address address[N_ENDS];
    int64_t first_ns, last_ns;
    uint64_t n_bytes[N_ENDS], n_packets[N_ENDS];
    uint64_t n_again, n_missing_bytes;
    int64_t rtt_min_ns, rtt_max_ns, rtt_sum_ns;
    uint64_t n_rtt;
    uint8_t protocol, opening;
    char ending[ENDING_BYTES];
};

const char *conversation_opening_words(enum conversation_opening opening)
{
    switch (opening) {
    case OPENED_HANDSHAKE:
        return N_("handshake");
    case OPENED_SIMULTANEOUSLY:
        return N_("simultaneously");
    case OPENED_NOT_YET:
        return N_("not open");
    case OPENED_REFUSED:
        return N_("refused");
    case OPENED_UNKNOWN:
        break;
    }
    return N_("before");
}

/* Who, in a sentence about the one that closed or reset. */
static const char *who(const struct conversation *conversation, uint8_t end)
{
    if (end == END_A)
        return conversation->a_is_client ? "client" : "A";
    return conversation->a_is_client ? "server" : "B";
}

size_t conversation_ending_words(const struct conversation *conversation, char *ret_text, size_t size_bytes)
{
    const char *first = conversation->closed_first < N_ENDS ? who(conversation, conversation->closed_first) : "?";
    int n = 0;
    switch ((enum conversation_ending)conversation->ending) {
    case ENDED_NOT:
        n = snprintf(ret_text, size_bytes, "%s", conversation->protocol == IPPROTO_TCP ? _("open") : "");
        break;
    case ENDED_IN_4:
        n = snprintf(ret_text, size_bytes, _("4 segments, %s first"), first);
        break;
    case ENDED_IN_3:
        n = snprintf(ret_text, size_bytes, _("3 segments, %s first"), first);
        break;
    case ENDED_SIMULTANEOUSLY:
        n = snprintf(ret_text, size_bytes, "%s", _("both at once"));
        break;
    case ENDED_HALF:
        n = snprintf(ret_text, size_bytes, _("half, by %s"), first);
        break;
    case ENDED_RESET:
        n = snprintf(ret_text, size_bytes, _("reset by %s (%s)"), who(conversation, conversation->reset_by),
                     reset_cause_name(conversation->reset_cause));
        break;
    case ENDED_REFUSED:
        n = snprintf(ret_text, size_bytes, "%s", _("refused"));
        break;
    case ENDED_WITHOUT_ACK:
        n = snprintf(ret_text, size_bytes, "%s", _("last FIN not acknowledged"));
        break;
    }
    return n > 0 ? (size_t)n : 0;
}

/* Seen beside one end, what that end answers at once is its turnaround and no trip: the direction in which even the
 * fastest took longer is the one that tells. */
static void take_rtt(struct summary_row *row, const struct conversation *conversation)
{
    for (int end = 0; end < N_ENDS; end++) {
        const struct conversation_side *side = &conversation->side[end];
        if (side->n_rtt == 0 || side->rtt_min_ns < row->rtt_min_ns)
            continue;
        row->rtt_min_ns = side->rtt_min_ns;
        row->rtt_max_ns = side->rtt_max_ns;
        row->rtt_sum_ns = side->rtt_sum_ns;
        row->n_rtt = side->n_rtt;
    }
}

void summary_add(struct summary *summary, const struct conversation *conversation)
{
    if (summary->n_rows == summary->n_room) {
        size_t n_room = summary->n_room ? 2 * summary->n_room : 64;
        struct summary_row *rows = reallocarray(summary->rows, n_room, sizeof *rows);
        if (!rows) {
            summary->n_left_out++;
            return;
        }
        summary->rows = rows;
        summary->n_room = n_room;
    }
    struct summary_row *row = &summary->rows[summary->n_rows++];
    *row = (struct summary_row){
        .id = conversation->id,
        .first_ns = conversation->first_ns,
        .last_ns = conversation->last_ns,
        .protocol = conversation->protocol,
        .opening = conversation->opening,
    };
    for (int end = 0; end < N_ENDS; end++) {
        const struct conversation_side *side = &conversation->side[end];
        row->address[end] = side->address;
        row->n_bytes[end] = side->n_unique_bytes;
        row->n_packets[end] = side->n_packets;
        row->n_again += side->n_again;
        row->n_missing_bytes += side->n_missing_bytes;
    }
    take_rtt(row, conversation);
    conversation_ending_words(conversation, row->ending, sizeof row->ending);
}

static int by_id(const void *one, const void *other)
{
    uint64_t a = ((const struct summary_row *)one)->id, b = ((const struct summary_row *)other)->id;
    return a < b ? -1 : a > b;
}

static void sort(struct summary *summary)
{
    if (summary->n_rows > 1)
        qsort(summary->rows, summary->n_rows, sizeof *summary->rows, by_id);
}

static const char *protocol_name(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "?";
}

static const char *const heads[N_COLUMNS] = {
    N_("CONN"),     N_("PROTO"),    N_("CLIENT"),  N_("SERVER"),          N_("START"), N_("DURATION"),
    N_("BYTES ->"), N_("BYTES <-"), N_("PACKETS"), N_("RTT MIN/AVG/MAX"), N_("AGAIN"), N_("OPENED, ENDED"),
};

static const bool right_aligned[N_COLUMNS] = {
    [0] = true, [4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [9] = true, [10] = true,
};

static void rtt_text(const struct summary_row *row, char ret_text[CELL_BYTES])
{
    char least[16], mean[16], most[16];
    if (row->n_rtt == 0) {
        snprintf(ret_text, CELL_BYTES, "-");
        return;
    }
    ladder_delta_text(row->rtt_min_ns, false, least);
    ladder_delta_text(row->rtt_sum_ns / (int64_t)row->n_rtt, false, mean);
    ladder_delta_text(row->rtt_max_ns, false, most);
    snprintf(ret_text, CELL_BYTES, "%s / %s / %s", least, mean, most);
}

static void cells_of(const struct summary_row *row, int64_t origin_ns, char ret_cells[N_COLUMNS][CELL_BYTES])
{
    char count[32];
    snprintf(ret_cells[0], CELL_BYTES, "%" PRIu64, row->id);
    snprintf(ret_cells[1], CELL_BYTES, "%s", protocol_name(row->protocol));
    sonde_address_format(&row->address[END_A], ret_cells[2], CELL_BYTES);
    sonde_address_format(&row->address[END_B], ret_cells[3], CELL_BYTES);
    snprintf(ret_cells[4], CELL_BYTES, "%.6f", (double)(row->first_ns - origin_ns) / 1e9);
    ladder_delta_text(row->last_ns - row->first_ns, false, ret_cells[5]);
    for (int end = 0; end < N_ENDS; end++) {
        ladder_count_text(row->n_bytes[end], count);
        snprintf(ret_cells[6 + end], CELL_BYTES, "%s", count);
    }
    ladder_count_text(row->n_packets[END_A] + row->n_packets[END_B], count);
    snprintf(ret_cells[8], CELL_BYTES, "%s", count);
    rtt_text(row, ret_cells[9]);
    snprintf(ret_cells[10], CELL_BYTES, "%" PRIu64, row->n_again);
    if (row->protocol == IPPROTO_TCP)
        snprintf(ret_cells[11], CELL_BYTES, "%s, %s", _(conversation_opening_words(row->opening)), row->ending);
    else
        ret_cells[11][0] = '\0';
}

static void print_cells(FILE *out, char cells[N_COLUMNS][CELL_BYTES], const int *widths)
{
    const char *last = cells[N_COLUMNS - 1];
    for (int i = 0; i < N_COLUMNS - 1; i++)
        fprintf(out, right_aligned[i] ? "%s%*s" : "%s%-*s", i > 0 ? "  " : "", widths[i], cells[i]);
    fprintf(out, last[0] ? "  %s\n" : "\n", last);
}

void summary_print(struct summary *summary, FILE *out)
{
    char cells[N_COLUMNS][CELL_BYTES];
    int widths[N_COLUMNS] = {0};
    sort(summary);
    int64_t origin_ns = summary->n_rows > 0 ? summary->rows[0].first_ns : 0;
    for (int i = 0; i < N_COLUMNS; i++)
        widths[i] = (int)strlen(_(heads[i]));
    for (size_t row = 0; row < summary->n_rows; row++) {
        cells_of(&summary->rows[row], origin_ns, cells);
        for (int i = 0; i < N_COLUMNS; i++) {
            if ((int)strlen(cells[i]) > widths[i])
                widths[i] = (int)strlen(cells[i]);
        }
    }
    for (int i = 0; i < N_COLUMNS; i++)
        snprintf(cells[i], CELL_BYTES, "%s", _(heads[i]));
    print_cells(out, cells, widths);
    for (size_t row = 0; row < summary->n_rows; row++) {
        cells_of(&summary->rows[row], origin_ns, cells);
        print_cells(out, cells, widths);
    }
}

static size_t row_json(const struct summary_row *row, char *ret_line, size_t size_bytes)
{
    struct json json;
    char address[SONDE_ADDRESS_TEXT];
    static const char *const address_keys[N_ENDS] = {"client", "server"};
    static const char *const bytes_keys[N_ENDS] = {"bytes_from_client", "bytes_from_server"};
    static const char *const packets_keys[N_ENDS] = {"packets_from_client", "packets_from_server"};
    json_begin(&json, ret_line, size_bytes);
    json_unsigned(&json, "conn", row->id);
    json_string(&json, "protocol", protocol_name(row->protocol));
    for (int end = 0; end < N_ENDS; end++) {
        sonde_address_format(&row->address[end], address, sizeof address);
        json_string(&json, address_keys[end], address);
        json_unsigned(&json, bytes_keys[end], row->n_bytes[end]);
        json_unsigned(&json, packets_keys[end], row->n_packets[end]);
    }
    json_number(&json, "first_ns", row->first_ns);
    json_number(&json, "duration_ns", row->last_ns - row->first_ns);
    if (row->n_rtt > 0) {
        json_number(&json, "rtt_min_ns", row->rtt_min_ns);
        json_number(&json, "rtt_avg_ns", row->rtt_sum_ns / (int64_t)row->n_rtt);
        json_number(&json, "rtt_max_ns", row->rtt_max_ns);
    }
    json_unsigned(&json, "retransmissions", row->n_again);
    json_unsigned(&json, "missing_bytes", row->n_missing_bytes);
    if (row->protocol == IPPROTO_TCP) {
        json_string(&json, "opened", conversation_opening_words(row->opening));
        json_string(&json, "ended", row->ending);
    }
    return json_end(&json);
}

void summary_print_json(struct summary *summary, FILE *out)
{
    char line[LINE_BYTES];
    sort(summary);
    for (size_t row = 0; row < summary->n_rows; row++)
        fwrite(line, 1, row_json(&summary->rows[row], line, sizeof line), out);
}

void summary_say_left_out(const struct summary *summary)
{
    if (summary->n_left_out > 0)
        fprintf(stderr, _("sonde: %" PRIu64 " connections are missing in the table, for want of memory.\n"),
                summary->n_left_out);
}

void summary_free(struct summary *summary)
{
    free(summary->rows);
}
