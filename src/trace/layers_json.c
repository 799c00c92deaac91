/* SPDX-License-Identifier: MIT */
#include "trace/layers_json.h"

#include "observe/decode/decode.h"
#include "json/json.h"

static void put_field(const struct decode_field *field, void *user)
{
    struct json *json = user;
    json_object_begin(json, NULL);
    json_unsigned(json, "offset", field->offset);
    json_unsigned(json, "bytes", field->n_bytes);
    json_string(json, "layer", field->layer);
    if (field->name) {
        json_string(json, "name", field->name);
        json_string(json, "value", field->value);
    }
    if (field->remark)
        json_string(json, "remark", field->remark);
    json_object_end(json);
}

size_t layers_json(const struct packet *packet, int64_t t_ns, uint64_t conn, char *ret_line, size_t size_bytes)
{
    struct json json;
    json_begin(&json, ret_line, size_bytes);
    json_string(&json, "event", "packet");
    json_unsigned(&json, "packet", packet->number);
    json_number(&json, "t_ns", t_ns);
    if (conn != 0)
        json_unsigned(&json, "conn", conn);
    json_unsigned(&json, "bytes", packet->n_wire);
    json_unsigned(&json, "captured", packet->n_captured);
    json_array_begin(&json, "fields");
    decode_layers(packet->link_type, packet->data, packet->n_captured, packet->n_wire, put_field, &json);
    json_array_end(&json);
    size_t n = json_end(&json);
    if (n > 0)
        return n;
    /* Its payload's rows are too many. */
    json_begin(&json, ret_line, size_bytes);
    json_string(&json, "event", "packet");
    json_unsigned(&json, "packet", packet->number);
    json_boolean(&json, "too_long", true);
    return json_end(&json);
}
