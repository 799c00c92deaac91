// SPDX-License-Identifier: MIT
/* What is said of a segment beside its label: under it, or at its sender's side. */
#include "observe/ladder/ladder_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NOTE_BYTES 256

/* NULL: the label says it, or nothing is to be said. */
static const char *reset_words(enum reset_cause cause)
{
    static const char *const words[N_RESET_CAUSES] = {
        [RESET_UNREAD] = N_("reset: closed with data unread, or data came for a closed socket"),
        [RESET_AFTER_CLOSE] = N_("reset: data came for an end that had closed completely"),
        [RESET_ABORT] = N_("reset out of the blue: unread data, SO_LINGER 0, a crash, or a middlebox"),
        [RESET_TIMEOUT] = N_("reset behind repeats that nobody answered"),
        [RESET_NO_SUCH] = N_("reset: this end does not know the connection (any more)"),
    };
    return cause < N_RESET_CAUSES && words[cause] ? _(words[cause]) : NULL;
}

/* Where both ends were watched, the rows show what came first, and what never came. */
static const char *order_words(const struct event_segment *segment, enum segment_note note)
{
    if (segment->fate == FATE_UNKNOWN)
        return note == NOTE_OUT_OF_ORDER ? N_("came late: what follows it was seen before")
                                         : N_("the same packet, seen again at another point of the capture");
    return note == NOTE_OUT_OF_ORDER ? N_("overtaken on its way") : NULL;
}

static void hole_note(const struct connection_end *end, const struct event_segment *segment, bool raw,
                      char ret_text[NOTE_BYTES])
{
    uint64_t from = raw ? end->next_raw : end->next_seq, to = raw ? segment->seq_raw : segment->seq;
    if (end->next_known && end->next_seq < segment->seq)
        snprintf(ret_text, NOTE_BYTES, _("#%u came before %" PRIu64 ":%" PRIu64 ": lost or reordered"), segment->number,
                 from, to);
    else
        snprintf(ret_text, NOTE_BYTES, _("#%u came before what precedes it: lost or reordered"), segment->number);
}

/* When nobody looked at the other end, a repeat does not tell which of the two was lost. */
static void lost_note(const struct connection *connection, const struct event_segment *segment, note_function say,
                      void *user)
{
    bool again = has_note(segment->notes, NOTE_AGAIN), retry = has_note(segment->notes, NOTE_SYN_RETRY);
    if (!(again || retry) || has_note(segment->notes, NOTE_AGAIN_SPURIOUS) || segment->n_repeat > 1 ||
        segment->again_of == 0)
        return;
    if (connection_both_captured(connection) || segment->arrived_ns != 0 || segment->fate == FATE_LOST ||
        segment->fate == FATE_THROWN)
        return;
    char text[NOTE_BYTES];
    snprintf(text, sizeof text, retry ? _("#%u was lost, or its answer was") : _("#%u was lost, or its ACK was"),
             segment->again_of);
    say(text, user);
}

static void once_notes(struct connection_end *end, const struct event_segment *segment, note_function say, void *user)
{
    if (has_note(segment->notes, NOTE_OFFLOAD) && !end->offload_said) {
        say(_("cut into MSS sizes after this point of capture"), user);
        end->offload_said = true;
    }
    if (has_note(segment->notes, NOTE_CUT) && !end->cut_said) {
        say(_("the capture holds only its beginning"), user);
        end->cut_said = true;
    }
}

void segment_notes(struct connection *connection, const struct event_segment *segment, bool raw, note_function say,
                   void *user)
{
    static const struct {
        uint8_t note;
        const char *words;
    } simple[] = {
        {NOTE_TUPLE_REUSED, N_("the addresses and ports of an earlier connection, again")},
        {NOTE_OUT_OF_ORDER, NULL},
        {NOTE_NOT_CAPTURED, N_("acknowledges bytes that are not in this capture")},
        {NOTE_SEEN_TWICE, NULL},
        {NOTE_SIMULTANEOUS_OPEN, N_("both ends opened at once")},
        {NOTE_SIMULTANEOUS_CLOSE, N_("both ends closed at once")},
    };
    struct connection_end *end = &connection->end[segment->from];
    char text[NOTE_BYTES];
    if (has_note(segment->notes, NOTE_MIDWAY))
        say(raw ? _("begins mid-connection") : _("begins mid-connection: 1 is the first number seen"), user);
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        const char *words = simple[i].words ? simple[i].words : order_words(segment, simple[i].note);
        if (has_note(segment->notes, simple[i].note) && words)
            say(_(words), user);
    }
    if (has_note(segment->notes, NOTE_SEEN_TWICE) && segment->fate != FATE_UNKNOWN) {
        snprintf(text, sizeof text, _("a copy of #%u, made on the way"), segment->again_of);
        say(text, user);
    }
    if (has_note(segment->notes, NOTE_HOLE) && segment->fate == FATE_UNKNOWN) {
        hole_note(end, segment, raw, text);
        say(text, user);
    }
    lost_note(connection, segment, say, user);
    if (has_note(segment->notes, NOTE_RESET) && !has_note(segment->notes, NOTE_REFUSED)) {
        const char *words = reset_words(segment->reset_cause);
        if (words)
            say(words, user);
    }
    once_notes(end, segment, say, user);
}

void segment_timer_text(struct connection *connection, const struct event_segment *segment, char *ret_text,
                        size_t size_bytes)
{
    struct connection_end *end = &connection->end[segment->from];
    ret_text[0] = '\0';
    if (has_note(segment->notes, NOTE_SYN_RETRY)) {
        snprintf(ret_text, size_bytes, segment->flags & SEGMENT_ACK ? _("SYN-ACK retry %u") : _("SYN retry %u"),
                 segment->n_repeat);
    } else if (has_note(segment->notes, NOTE_AGAIN_RTO)) {
        if (segment->again_of == 0 || end->rto_of != segment->again_of)
            end->n_rto = 0;
        end->rto_of = segment->again_of;
        end->n_rto++;
        snprintf(ret_text, size_bytes, "%s %u", segment_note_words(NOTE_AGAIN_RTO), end->n_rto);
    } else if (has_note(segment->notes, NOTE_AGAIN_FAST)) {
        snprintf(ret_text, size_bytes, "%s", segment_note_words(NOTE_AGAIN_FAST));
    } else if (has_note(segment->notes, NOTE_AGAIN_TLP)) {
        snprintf(ret_text, size_bytes, "%s", segment_note_words(NOTE_AGAIN_TLP));
    } else if (has_note(segment->notes, NOTE_WINDOW_PROBE)) {
        snprintf(ret_text, size_bytes, segment->n_repeat > 0 ? _("probe %u") : _("probe"), segment->n_repeat);
    }
}

void connection_took_segment(struct connection *connection, const struct event_segment *segment)
{
    struct connection_end *end = &connection->end[segment->from];
    unsigned n_numbers = segment->n_bytes;
    n_numbers += (segment->flags & SEGMENT_SYN) != 0;
    n_numbers += (segment->flags & SEGMENT_FIN) != 0;
    if (!end->next_known || segment->seq + n_numbers > end->next_seq) {
        end->next_seq = segment->seq + n_numbers;
        end->next_raw = (uint32_t)(segment->seq_raw + n_numbers);
        end->next_known = true;
    }
    if (!(segment->flags & SEGMENT_RST))
        end->zero_window = segment->window == 0;
    if (segment->flags & SEGMENT_ACK && !(segment->flags & SEGMENT_SYN))
        connection->first_ack_seen = true;
}

void icmp_texts(const struct event_icmp *icmp, char *ret_what, size_t what_bytes, char *ret_rest, size_t rest_bytes)
{
    char address[SONDE_ADDRESS_TEXT];
    sonde_address_format(&icmp->sender, address, sizeof address);
    /* Port 0 is no port, but is written as one: ":0", and brackets around IPv6. */
    size_t length = strlen(address);
    char *bare = address;
    if (length > 2 && icmp->sender.port == 0 && strcmp(address + length - 2, ":0") == 0) {
        address[length - 2] = '\0';
        if (address[0] == '[' && address[length - 3] == ']') {
            address[length - 3] = '\0';
            bare++;
        }
    }
    if (icmp->words)
        snprintf(ret_what, what_bytes, _("icmp %s"), icmp->words);
    else
        snprintf(ret_what, what_bytes, _("icmp type %u code %u"), icmp->type, icmp->code);
    int n = snprintf(ret_rest, rest_bytes, _("from %s"), bare);
    if (icmp->about_number > 0 && n > 0 && (size_t)n < rest_bytes)
        n += snprintf(ret_rest + n, rest_bytes - (size_t)n, _(", about #%u"), icmp->about_number);
    if (icmp->mtu > 0 && n > 0 && (size_t)n < rest_bytes)
        snprintf(ret_rest + n, rest_bytes - (size_t)n, _(", mtu %u"), icmp->mtu);
}

void loss_text(const struct event_loss *loss, const char *why, char *ret_text, size_t size_bytes)
{
    char count[32];
    ladder_count_text(loss->n, count);
    const char *what = loss->what ? loss->what : _("events");
    if (why && why[0])
        snprintf(ret_text, size_bytes, _("%s %s are missing here: %s"), count, what, why);
    else
        snprintf(ret_text, size_bytes, _("%s %s are missing here"), count, what);
}
