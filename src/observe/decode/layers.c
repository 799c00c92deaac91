/* SPDX-License-Identifier: MIT */
/* A packet from its first byte to its last; and the same as text. */
#include "observe/decode/layers_internal.h"

#include <stdio.h>

void layers_payload(struct layers *layers, const char *remark)
{
    uint32_t n_bytes = left(layers);
    char count[COUNT_TEXT_SIZE];

    layer_begin(layers, LAYER_NAME(layers, "payload"), n_bytes, remark, "%s", count_bytes(n_bytes, count));
    layer_dump(layers, n_bytes, "data", NULL);
}

/* What the layers did not take: within the innermost, then behind it. */
static void rest(struct layers *layers)
{
    char count[COUNT_TEXT_SIZE];

    layers->quoted = false;
    if (left(layers) > 0)
        layers_payload(layers, "not taken apart any further");
    layers->end = layers->n_captured;
    layer_begin(layers, "trailer", left(layers), "behind the packet's end: padding of a short frame, say", "%s",
                count_bytes(left(layers), count));
    layer_dump(layers, left(layers), "data", NULL);
}

static void not_captured(struct layers *layers)
{
    uint32_t n_missing = layers->n_wire - layers->n_captured;
    char count[COUNT_TEXT_SIZE];
    struct decode_field field = {
        .offset = layers->n_captured,
        .n_bytes = n_missing,
        .layer = "not captured",
        .value = count_bytes(n_missing, count),
        .remark = "the capture was cut here",
    };

    layers->field(&field, layers->user);
}

void decode_layers(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire,
                   void (*field)(const struct decode_field *field, void *user), void *user)
{
    struct layers layers = {
        .data = data,
        .n_captured = (uint32_t)(n_captured < BYTES_MAX ? n_captured : BYTES_MAX),
        .n_wire = (uint32_t)(n_wire < BYTES_MAX ? n_wire : BYTES_MAX),
        .link_type = link_type,
        .field = field,
        .user = user,
    };

    layers.end = layers.n_captured;
    if (layers.n_wire < layers.n_captured)
        layers.n_wire = layers.n_captured;
    layers_link(&layers);
    rest(&layers);
    if (layers.n_captured < layers.n_wire)
        not_captured(&layers);
}

/* ---- text */

struct text {
    void (*line)(const char *text, void *user);
    void *user;
};

static void write_line(const struct decode_field *field, void *user)
{
    const struct text *text = user;
    const char *remark = field->remark != NULL ? field->remark : "";
    const char *name = field->name != NULL ? field->name : field->layer;
    int width = field->name != NULL ? 21 : 23;
    char line[DECODE_LINE_SIZE];

    int length = snprintf(line, sizeof line, "%04u %4u  %s%-*s %-19s  %s", field->offset, field->n_bytes,
                          field->name != NULL ? "  " : "", width, name, field->value, remark);
    if (length >= (int)sizeof line)
        length = (int)sizeof line - 1;
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\0';
    text->line(line, text->user);
}

void decode_layers_text(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire,
                        void (*line)(const char *text, void *user), void *user)
{
    struct text text = {line, user};
    decode_layers(link_type, data, n_captured, n_wire, write_line, &text);
}
