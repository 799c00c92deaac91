/* SPDX-License-Identifier: MIT */
/* TCP's header and options, field by field. */
#include "observe/decode/layers_internal.h"

#include <stdio.h>

/* What the sequence number counts in this segment. */
static void sequence_remark(const struct layers *layers, unsigned flags, uint32_t n_payload,
                            char ret_text[LAYER_REMARK_SIZE])
{
    uint32_t seq = peek32(layers, 4);
    bool syn = flags & SEGMENT_SYN, fin = flags & SEGMENT_FIN;
    uint32_t next = seq + n_payload + syn + fin;
    char count[COUNT_TEXT_SIZE];

    if (syn && n_payload == 0 && !fin)
        snprintf(ret_text, LAYER_REMARK_SIZE, "where counting begins; SYN takes one number: ack %u answers it", next);
    else if (n_payload == 0 && fin && !syn)
        snprintf(ret_text, LAYER_REMARK_SIZE, "FIN takes one number: ack %u answers it", next);
    else if (n_payload == 0 && !syn)
        snprintf(ret_text, LAYER_REMARK_SIZE, "of the next byte; this segment takes none");
    else
        snprintf(ret_text, LAYER_REMARK_SIZE, "of its first byte; %s%s%s: ack %u answers all",
                 count_bytes(n_payload, count), syn ? ", SYN" : "", fin ? ", FIN" : "", next);
}

static void flags_remark(unsigned flags, char ret_text[LAYER_REMARK_SIZE])
{
    static const char *const names[8] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    int length = 0;

    ret_text[0] = '\0';
    for (unsigned i = 0; i < 8; i++) {
        if (flags >> i & 1)
            length += snprintf(ret_text + length, (size_t)(LAYER_REMARK_SIZE - length), "%s%s", length > 0 ? " " : "",
                               names[i]);
    }
    snprintf(ret_text + length, (size_t)(LAYER_REMARK_SIZE - length), "%sof eight: CWR ECE URG ACK PSH RST SYN FIN",
             length > 0 ? ", " : "none ");
}

static const char *window_remark(unsigned flags, unsigned window)
{
    if (window == 0 && !(flags & SEGMENT_RST))
        return "closed: the peer may not send";
    if (flags & SEGMENT_SYN)
        return "bytes; never scaled in a SYN";
    if (flags & SEGMENT_RST)
        return NULL;
    return "to be multiplied, if both SYNs had the window scale option";
}

/* Ranges of numbers that have arrived. */
static void sack_option(struct layers *layers, const struct tcp_option *option)
{
    char value[LAYER_VALUE_SIZE] = "";
    int length = 0;

    for (uint32_t at = 2; at + 8 <= option->n_bytes && length < LAYER_VALUE_SIZE - 24; at += 8)
        length += snprintf(value + length, sizeof value - (size_t)length, "%s%u:%u", at > 2 ? " " : "",
                           peek32(layers, at), peek32(layers, at + 4));
    layer_field(layers, option->n_bytes, "option SACK", "has arrived, behind a hole (or twice)", "%s", value);
}

static void experiment_option(struct layers *layers, const struct tcp_option *option)
{
    unsigned id = be16(option->value);
    const char *name = "option experiment";

    if (id == EXPERIMENT_FAST_OPEN)
        name = "option fast open";
    else if (id == EXPERIMENT_ACCECN0 || id == EXPERIMENT_ACCECN1 || id == EXPERIMENT_ACCECN)
        name = "option AccECN";
    layer_field(layers, option->n_bytes, name, "an experiment's number for it", "%u, 0x%04x", option->kind, id);
}

static void scale_option(struct layers *layers)
{
    unsigned shift = peek8(layers, 2), used = smaller(shift, WINDOW_SCALE_MAX);
    char remark[LAYER_REMARK_SIZE];

    snprintf(remark, sizeof remark, "later windows times %u, if the peer offers the option too", 1u << used);
    layer_field(layers, 3, "option window scale", remark, "%u", shift);
}

static void user_timeout_option(struct layers *layers)
{
    unsigned word = peek16(layers, 2);
    layer_field(layers, 4, "option user timeout", "how long it waits for an answer", "%u %s", word & 0x7fff,
                word & 0x8000 ? "minutes" : "seconds");
}

static void fast_open_option(struct layers *layers, const struct tcp_option *option)
{
    const char *remark = option->n_bytes == 2 ? "asks for a cookie" : "a cookie: data may come with the SYN";
    layer_field(layers, option->n_bytes, "option fast open", remark, "%u bytes", option->n_bytes - 2);
}

/* Those without a function of their own. */
static void plain_option(struct layers *layers, const struct tcp_option *option)
{
    static const struct {
        unsigned kind;
        const char *name, *remark;
    } names[] = {
        {OPTION_MD5, "option MD5", "a signature (RFC 2385)"},
        {OPTION_AO, "option AO", "a signature (RFC 5925)"},
        {OPTION_MPTCP, "option MPTCP", "several paths for one connection"},
        {OPTION_ACCECN0, "option AccECN", "counts of bytes that met congestion"},
        {OPTION_ACCECN1, "option AccECN", "counts of bytes that met congestion"},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].kind == option->kind) {
            layer_field(layers, option->n_bytes, names[i].name, names[i].remark, "%u, %u bytes", option->kind,
                        option->n_bytes);
            return;
        }
    }
    layer_field(layers, option->n_bytes, "option unknown", NULL, "%u, %u bytes", option->kind, option->n_bytes);
}

static void show_option(struct layers *layers, const struct tcp_option *option)
{
    switch (option->kind) {
    case OPTION_NOP:
        layer_field(layers, 1, "option no-op", "fills up to a word", "%u", option->kind);
        break;
    case OPTION_MSS:
        layer_field(layers, 4, "option MSS", "the most payload that it wants in one segment", "%u", peek16(layers, 2));
        break;
    case OPTION_WINDOW_SCALE:
        scale_option(layers);
        break;
    case OPTION_SACK_PERMITTED:
        layer_field(layers, 2, "option SACK permitted", "it understands reports of what arrived behind a hole", "%s",
                    "");
        break;
    case OPTION_SACK:
        sack_option(layers, option);
        break;
    case OPTION_TIMESTAMPS:
        layer_field(layers, 10, "option timestamps", "its own clock, and the peer's as it saw it last", "%u %u",
                    peek32(layers, 2), peek32(layers, 6));
        break;
    case OPTION_USER_TIMEOUT:
        user_timeout_option(layers);
        break;
    case OPTION_FAST_OPEN:
        fast_open_option(layers, option);
        break;
    case OPTION_EXPERIMENT_1:
    case OPTION_EXPERIMENT_2:
        experiment_option(layers, option);
        break;
    default:
        plain_option(layers, option);
    }
}

static void options(struct layers *layers, uint32_t n_options)
{
    uint32_t end = layers->at + smaller(n_options, left(layers));
    bool cut = n_options > left(layers);

    while (layers->at < end) {
        struct tcp_option option;
        if (!tcp_option_parse(layers->data + layers->at, end - layers->at, &option)) {
            layer_dump(layers, end - layers->at, "options",
                       cut ? "the rest of them is missing" : "their lengths make no sense");
        } else if (option.kind == OPTION_END) {
            layer_field(layers, 1, "option end", NULL, "%u", option.kind);
            layer_dump(layers, end - layers->at, "padding", NULL);
        } else if (option.size_wrong) {
            layer_field(layers, option.n_bytes, "option", "of the wrong size for its kind", "%u, %u bytes", option.kind,
                        option.n_bytes);
        } else {
            show_option(layers, &option);
        }
    }
}

static void flag_fields(struct layers *layers, unsigned flags)
{
    char letters[12], remark[LAYER_REMARK_SIZE];

    flags_remark(flags, remark);
    segment_flags_text(flags, letters);
    layer_bits(layers, 1, "header length", "counted in words of four bytes", "%u", (peek8(layers, 0) >> 4) * 4);
    layer_bits(layers, 1, "reserved", NULL, "%u", peek8(layers, 0) >> 1 & 7);
    layer_field(layers, 1, "AE", "accurate ECN's flag", "%u", peek8(layers, 0) & 1);
    layer_field(layers, 1, "flags", remark, "%s", letters);
}

void layers_tcp(struct layers *layers, const struct ip_header *ip)
{
    uint32_t at = layers->at, n_header = (peek8(layers, 12) >> 4) * 4, n_whole = ip->end - ip->transport;
    unsigned flags = peek8(layers, 13);
    uint32_t n_payload = n_whole > n_header ? n_whole - n_header : 0;
    char remark[LAYER_REMARK_SIZE] = "";
    bool sound = n_header >= TCP_BYTES && n_header <= n_whole;

    if (left(layers) > 13)
        sequence_remark(layers, flags, sound ? n_payload : 0, remark);
    layer_begin(layers, LAYER_NAME(layers, "TCP"), sound ? n_header : TCP_BYTES,
                "from program to program, a stream of bytes", "%u > %u", peek16(layers, 0), peek16(layers, 2));
    layer_field(layers, 2, "source port", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 2, "destination port", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 4, "sequence number", remark[0] != '\0' ? remark : NULL, "%u", peek32(layers, 0));
    layer_field(layers, 4, "acknowledgment",
                flags & SEGMENT_ACK ? "the next byte that it expects: all before have arrived"
                                    : "means nothing without ACK",
                "%u", peek32(layers, 0));
    flag_fields(layers, flags);
    layer_field(layers, 2, "window", window_remark(flags, peek16(layers, 0)), "%u", peek16(layers, 0));
    layers_checksum_of(layers, ip, TCP_BYTES);
    layer_field(layers, 2, "urgent pointer", flags & SEGMENT_URG ? NULL : "means nothing without URG", "%u",
                peek16(layers, 0));
    if (sound && n_header > TCP_BYTES)
        options(layers, at + n_header - layers->at);
    else if (!sound && left(layers) > 0)
        layer_dump(layers, left(layers), "data", "the header's length makes no sense");
    layers_payload(layers,
                   layers->quoted ? "as much as the error quotes" : "bytes of the stream; TCP keeps no messages");
}
