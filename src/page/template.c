/* SPDX-License-Identifier: MIT */
/* What is sent: parts, which are put one behind the other anew each time. */
#include "page/page_internal.h"
#include "term/translate.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum part_kind { PART_DATA, PART_COUNTER, PART_TIME_ISO, PART_TIME_UNIX, PART_TIME_MS, PART_RANDOM };

enum {
    NUMBER_TEXT = 20, /* of 64 bits, with a sign */
    ISO_TEXT = 27,    /* "2026-11-22T03:41:09.302118Z" */
};

struct part {
    enum part_kind kind;
    int64_t first;  /* PART_COUNTER */
    size_t n_bytes; /* PART_DATA, PART_RANDOM; of the others the most that they take */
    unsigned char *data;
};

struct template
{
    size_t n_parts, n_bytes;
    struct part parts[];
};

/* --- parsing ---------------------------------------------------------------------------------------------------- */

static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, 4: whole groups of four, "=" at the end alone, and no bits left over. */
static int read_base64(const char *text, size_t n, unsigned char *to, size_t *ret_n_bytes)
{
    size_t n_padding = 0, n_bytes = 0;
    uint32_t held = 0;

    if (n % 4 != 0)
        return -EINVAL;
    while (n_padding < 2 && n > 0 && text[n - 1] == '=') {
        n--;
        n_padding++;
    }
    for (size_t i = 0; i < n; i++) {
        int value = base64_value((unsigned char)text[i]);
        if (value < 0)
            return -EINVAL;
        held = held << 6 | (uint32_t)value;
        if (i % 4 != 0)
            to[n_bytes++] = (unsigned char)(held >> (6 - 2 * (i % 4)));
    }
    if ((n_padding == 1 && (held & 3) != 0) || (n_padding == 2 && (held & 15) != 0))
        return -EINVAL;
    *ret_n_bytes = n_bytes;
    return 0;
}

static int parse_data(const json_t *value, struct part *part, const char **ret_why)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);

    if (text == NULL || n > PAGE_SEND_MAX / 3 * 4 + 4) {
        *ret_why = _("A part's data has to be base64, of no more than 1 MiB.");
        return -EINVAL;
    }
    part->kind = PART_DATA;
    part->data = malloc(n + 1);
    if (part->data == NULL) {
        *ret_why = _("There is no memory for it.");
        return -ENOMEM;
    }
    *ret_why = _("A part's data has to be base64, of no more than 1 MiB.");
    return read_base64(text, n, part->data, &part->n_bytes);
}

static int parse_time(const json_t *value, struct part *part)
{
    const char *text = json_string_value(value);

    part->n_bytes = NUMBER_TEXT;
    if (text != NULL && strcmp(text, "iso") == 0) {
        part->kind = PART_TIME_ISO;
        part->n_bytes = ISO_TEXT;
    } else if (text != NULL && strcmp(text, "unix") == 0) {
        part->kind = PART_TIME_UNIX;
    } else if (text != NULL && strcmp(text, "unix_ms") == 0) {
        part->kind = PART_TIME_MS;
    } else {
        return -EINVAL;
    }
    return 0;
}

static int parse_part(const json_t *json, struct part *part, const char **ret_why)
{
    const json_t *value;

    *ret_why = _("A part has to be one of data, counter, time and random.");
    if (!json_is_object(json) || json_object_size(json) != 1)
        return -EINVAL;
    if ((value = json_object_get(json, "data")) != NULL)
        return parse_data(value, part, ret_why);
    if ((value = json_object_get(json, "counter")) != NULL) {
        *ret_why = _("A counter has to begin with a whole number.");
        part->kind = PART_COUNTER;
        part->first = json_integer_value(value);
        part->n_bytes = NUMBER_TEXT;
        return json_is_integer(value) ? 0 : -EINVAL;
    }
    if ((value = json_object_get(json, "time")) != NULL) {
        *ret_why = _("A time has to be iso, unix or unix_ms.");
        return parse_time(value, part);
    }
    if ((value = json_object_get(json, "random")) != NULL) {
        json_int_t n = json_integer_value(value);
        *ret_why = _("Random bytes have to be a number of 1 to 1048576.");
        part->kind = PART_RANDOM;
        part->n_bytes = (size_t)n;
        return json_is_integer(value) && n > 0 && n <= PAGE_SEND_MAX ? 0 : -EINVAL;
    }
    return -EINVAL;
}

int template_parse(const json_t *parts, struct template **ret_template, const char **ret_why)
{
    size_t n = json_array_size(parts);
    struct template *template;
    int error = 0;

    if (!json_is_array(parts) || n == 0 || n > PAGE_PARTS_MAX) {
        *ret_why = _("What is to be sent has to be a list of 1 to 64 parts.");
        return -EINVAL;
    }
    template = calloc(1, sizeof *template + n * sizeof template->parts[0]);
    if (template == NULL) {
        *ret_why = _("There is no memory for it.");
        return -ENOMEM;
    }
    for (; error == 0 && template->n_parts < n; template->n_parts++) {
        struct part *part = &template->parts[template->n_parts];
        error = parse_part(json_array_get(parts, template->n_parts), part, ret_why);
        template->n_bytes += error == 0 ? part->n_bytes : 0;
    }
    if (error == 0 && template->n_bytes > PAGE_SEND_MAX) {
        *ret_why = _("What is sent at once may have no more than 1 MiB.");
        error = -EMSGSIZE;
    }
    if (error < 0) {
        template_free(template);
        return error;
    }
    *ret_template = template;
    return 0;
}

void template_free(struct template *template)
{
    if (template == NULL)
        return;
    for (size_t i = 0; i < template->n_parts; i++)
        free(template->parts[i].data);
    free(template);
}

/* --- rendering -------------------------------------------------------------------------------------------------- */

size_t template_bytes(const struct template *template)
{
    return template->n_bytes;
}

static size_t render_time(enum part_kind kind, int64_t realtime_ns, char *to)
{
    char text[64];
    struct tm tm;
    time_t seconds = realtime_ns / 1000000000;
    size_t n;

    if (kind == PART_TIME_ISO) {
        gmtime_r(&seconds, &tm);
        n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        n += (size_t)snprintf(text + n, sizeof text - n, ".%06uZ", (unsigned)(realtime_ns % 1000000000 / 1000));
        n = n < ISO_TEXT ? n : ISO_TEXT;
    } else {
        int64_t value = kind == PART_TIME_UNIX ? (int64_t)seconds : realtime_ns / 1000000;
        n = (size_t)snprintf(text, sizeof text, "%" PRId64, value);
    }
    memcpy(to, text, n);
    return n;
}

static int fill_random(unsigned char *to, size_t n_bytes)
{
    while (n_bytes > 0) { /* long ones come in pieces */
        ssize_t n = getrandom(to, n_bytes, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            to += n;
            n_bytes -= (size_t)n;
        }
    }
    return 0;
}

static ssize_t render_part(const struct part *part, uint64_t n, int64_t realtime_ns, unsigned char *to)
{
    char text[NUMBER_TEXT + 1];
    int error;

    switch (part->kind) {
    case PART_DATA:
        memcpy(to, part->data, part->n_bytes);
        return (ssize_t)part->n_bytes;
    case PART_COUNTER: /* goes round at its end, as machine numbers do */
        error = snprintf(text, sizeof text, "%" PRId64, (int64_t)((uint64_t)part->first + n));
        memcpy(to, text, (size_t)error);
        return error;
    case PART_TIME_ISO:
    case PART_TIME_UNIX:
    case PART_TIME_MS:
        return (ssize_t)render_time(part->kind, realtime_ns, (char *)to);
    case PART_RANDOM:
        error = fill_random(to, part->n_bytes);
        return error < 0 ? error : (ssize_t)part->n_bytes;
    }
    return 0;
}

ssize_t template_render(const struct template *template, uint64_t n, int64_t realtime_ns, unsigned char *ret_bytes)
{
    size_t n_bytes = 0;

    for (size_t i = 0; i < template->n_parts; i++) {
        ssize_t more = render_part(&template->parts[i], n, realtime_ns, ret_bytes + n_bytes);
        if (more < 0)
            return more;
        n_bytes += (size_t)more;
    }
    return (ssize_t)n_bytes;
}
