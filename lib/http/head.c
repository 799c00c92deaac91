/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: two readers go over each byte. The first (`look`) is ours: it knows lines, and refuses what must
 * stand in none of them, since llhttp, as it is built, lets some of it pass. It also finds where the head ends. What it
 * has passed is given to llhttp, which finds the parts. An error of llhttp's comes before one that ours finds later, so
 * that the outcome doesn't depend on how the bytes were cut.
 *
 * The parts are kept one behind the other, each with a NUL: method, target, then name and value of each header. That is
 * never longer than the head. When the head is done a table of pointers into it is made.
 */
#include "http/head.h"

#include "http/field.h"

#include <llhttp.h>
#include <string.h>

struct http_head {
    llhttp_t parser;
    struct http_memory memory;
    size_t limit_bytes, n_bytes; /* of the head as it comes */
    char *text;
    size_t n_text, text_room;
    size_t value_at; /* where the value at hand begins */
    unsigned n_headers;
    bool is_response, is_done, no_memory;
    /* The line at hand. */
    bool is_first, after_cr, has_colon;
    size_t n_line;
    unsigned n_spaces;
    char tail[9]; /* the last bytes of the first line */
    const struct http_refusal *refusal;
    struct sonde_http_request request;
    struct sonde_http_header *headers;
};

static const struct http_refusal malformed = {400, "This is not a well-formed HTTP/1.1 message."};
static const struct http_refusal bare_line_end = {400, "Lines must end with CR and LF, and contain neither."};
static const struct http_refusal control = {400, "There is a control character in the head."};
static const struct http_refusal folded = {400, "Folded header lines are not taken."};
static const struct http_refusal bad_name = {400, "A header's name is malformed."};
static const struct http_refusal bad_line = {400, "The request line is malformed."};
static const struct http_refusal bad_length = {400, "How long the body is can't be told for certain."};
static const struct http_refusal bad_method = {501, "This method is not known here."};
static const struct http_refusal bad_coding = {501, "This transfer coding is not known here."};
static const struct http_refusal bad_version = {505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."};
static const struct http_refusal long_line = {414, "The request line is too long."};
static const struct http_refusal long_head = {431, "The header fields are too large."};
static const struct http_refusal many_headers = {431, "There are too many header fields."};

/* --- ours ------------------------------------------------------------------------------------------------------- */

static const struct http_refusal *first_line_ends(const struct http_head *head)
{
    const char *tail = head->tail;

    if (head->is_response)
        return NULL;
    if (head->n_line < sizeof head->tail || memcmp(tail, " HTTP/", 6) != 0 || tail[6] < '0' || tail[6] > '9' ||
        tail[7] != '.' || tail[8] < '0' || tail[8] > '9' || head->n_spaces != 2)
        return &bad_line;
    return tail[6] == '1' && tail[8] <= '1' ? NULL : &bad_version;
}

static const struct http_refusal *line_ends(struct http_head *head)
{
    const struct http_refusal *wrong = NULL;

    if (head->is_first && head->n_line == 0)
        wrong = head->is_response ? &malformed : NULL; /* RFC 9112, 2.2: an empty line before the request is nothing */
    else if (head->is_first)
        wrong = first_line_ends(head);
    else if (head->n_line == 0)
        head->is_done = true;
    else if (!head->has_colon)
        wrong = &bad_name;
    if (head->n_line > 0)
        head->is_first = false;
    head->n_line = 0;
    head->has_colon = false;
    return wrong;
}

static const struct http_refusal *in_first_line(struct http_head *head, uint8_t byte)
{
    memmove(head->tail, head->tail + 1, sizeof head->tail - 1);
    head->tail[sizeof head->tail - 1] = (char)byte;
    if (head->is_response)
        return NULL;
    if (byte == ' ' && (head->n_line == 0 || head->n_spaces++ == 2))
        return &bad_line;
    return byte >= ' ' && byte < 0x7f ? NULL : &bad_line;
}

static const struct http_refusal *in_field(struct http_head *head, uint8_t byte)
{
    if (head->has_colon)
        return NULL;
    if (head->n_line == 0 && (byte == ' ' || byte == '\t'))
        return &folded;
    if (byte == ':' && head->n_line > 0)
        head->has_colon = true;
    else if (!http_is_token_byte(byte))
        return &bad_name;
    return NULL;
}

static const struct http_refusal *look(struct http_head *head, uint8_t byte)
{
    const struct http_refusal *wrong;

    if (head->n_bytes == head->limit_bytes)
        return head->is_first && !head->is_response ? &long_line : &long_head;
    head->n_bytes++;
    if (head->after_cr) {
        head->after_cr = false;
        return byte == '\n' ? line_ends(head) : &bare_line_end;
    }
    if (byte == '\r') {
        head->after_cr = true;
        return NULL;
    }
    if (byte == '\n')
        return &bare_line_end;
    if ((byte < ' ' && byte != '\t') || byte == 0x7f)
        return &control;
    wrong = head->is_first ? in_first_line(head, byte) : in_field(head, byte);
    head->n_line++;
    return wrong;
}

/* --- llhttp's --------------------------------------------------------------------------------------------------- */

static int put(struct http_head *head, const char *bytes, size_t n_bytes)
{
    if (head->text_room - head->n_text < n_bytes) {
        size_t room = head->text_room < 256 ? 512 : head->text_room * 2;
        while (room - head->n_text < n_bytes)
            room *= 2;
        char *text = head->memory.resize(head->memory.user, head->text, head->text_room, room);
        if (text == NULL) {
            head->no_memory = true;
            return -1;
        }
        head->text = text;
        head->text_room = room;
    }
    memcpy(head->text + head->n_text, bytes, n_bytes);
    head->n_text += n_bytes;
    return 0;
}

static int on_part(llhttp_t *parser, const char *at, size_t n_bytes)
{
    return put(parser->data, at, n_bytes);
}

static int on_part_end(llhttp_t *parser)
{
    return put(parser->data, "", 1);
}

static int on_name_end(llhttp_t *parser)
{
    struct http_head *head = parser->data;

    if (head->n_headers++ == HTTP_HEADERS_MAX) {
        head->refusal = &many_headers;
        return -1;
    }
    if (put(head, "", 1) < 0)
        return -1;
    head->value_at = head->n_text;
    return 0;
}

static int on_value_end(llhttp_t *parser)
{
    struct http_head *head = parser->data;

    while (head->n_text > head->value_at &&
           (head->text[head->n_text - 1] == ' ' || head->text[head->n_text - 1] == '\t'))
        head->n_text--;
    return put(head, "", 1);
}

static const llhttp_settings_t request_settings = {
    .on_method = on_part,
    .on_method_complete = on_part_end,
    .on_url = on_part,
    .on_url_complete = on_part_end,
    .on_header_field = on_part,
    .on_header_field_complete = on_name_end,
    .on_header_value = on_part,
    .on_header_value_complete = on_value_end,
};

static const llhttp_settings_t response_settings = {
    .on_status = on_part,
    .on_header_field = on_part,
    .on_status_complete = on_part_end,
    .on_header_field_complete = on_name_end,
    .on_header_value = on_part,
    .on_header_value_complete = on_value_end,
};

static const struct http_refusal *refusal_of(llhttp_errno_t error)
{
    switch (error) {
    case HPE_INVALID_METHOD:
        return &bad_method;
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return &bad_version;
    case HPE_INVALID_TRANSFER_ENCODING:
        return &bad_coding;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
        return &bad_length;
    case HPE_INVALID_URL:
    case HPE_INVALID_CONSTANT:
        return &bad_line;
    default:
        return &malformed;
    }
}

/* NULL: well so far, or there was no memory. */
static const struct http_refusal *parse(struct http_head *head, const uint8_t *bytes, size_t n_bytes)
{
    llhttp_errno_t error = llhttp_execute(&head->parser, (const char *)bytes, n_bytes);

    if (head->refusal != NULL || head->no_memory)
        return head->refusal;
    if (error == HPE_OK || (error == HPE_PAUSED_UPGRADE && head->is_done))
        return NULL;
    return refusal_of(error);
}

/* --- together --------------------------------------------------------------------------------------------------- */

static const char *after_nul(const char *text)
{
    return text + strlen(text) + 1;
}

/* False: no memory. */
static bool index_parts(struct http_head *head)
{
    const char *at;

    if (head->n_headers > 0) {
        head->headers = head->memory.resize(head->memory.user, NULL, 0, head->n_headers * sizeof *head->headers);
        if (head->headers == NULL)
            return false;
    }
    head->request.method = head->is_response ? "" : head->text;
    head->request.target = head->is_response ? head->text : after_nul(head->text);
    head->request.version = llhttp_get_http_major(&head->parser) * 10 + llhttp_get_http_minor(&head->parser);
    head->request.n_headers = head->n_headers;
    head->request.headers = head->headers;
    at = after_nul(head->request.target);
    for (unsigned i = 0; i < head->n_headers; i++) {
        head->headers[i].name = at;
        head->headers[i].value = after_nul(at);
        at = after_nul(head->headers[i].value);
    }
    return true;
}

struct http_head *http_head_create(bool is_response, size_t limit_bytes, const struct http_memory *memory)
{
    struct http_head *head = memory->resize(memory->user, NULL, 0, sizeof *head);

    if (head == NULL)
        return NULL;
    memset(head, 0, sizeof *head);
    llhttp_init(&head->parser, is_response ? HTTP_RESPONSE : HTTP_REQUEST,
                is_response ? &response_settings : &request_settings);
    head->parser.data = head;
    head->memory = *memory;
    head->limit_bytes = limit_bytes;
    head->is_response = is_response;
    head->is_first = true;
    return head;
}

void http_head_free(struct http_head *head)
{
    if (head == NULL)
        return;
    if (head->headers != NULL)
        head->memory.resize(head->memory.user, head->headers, head->n_headers * sizeof *head->headers, 0);
    if (head->text != NULL)
        head->memory.resize(head->memory.user, head->text, head->text_room, 0);
    head->memory.resize(head->memory.user, head, sizeof *head, 0);
}

enum http_step http_head_take(struct http_head *head, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken)
{
    const struct http_refusal *ours = NULL, *theirs;
    size_t n = 0;

    while (n < n_bytes && !head->is_done && (ours = look(head, bytes[n])) == NULL)
        n++;
    theirs = parse(head, bytes, n);
    if (head->no_memory)
        return HTTP_NO_MEMORY;
    head->refusal = theirs != NULL ? theirs : ours;
    *ret_n_taken = n_bytes;
    if (head->refusal != NULL)
        return HTTP_WRONG;
    if (!head->is_done)
        return HTTP_GOES_ON;
    *ret_n_taken = n;
    return index_parts(head) ? HTTP_DONE : HTTP_NO_MEMORY;
}

const struct http_refusal *http_head_refusal(const struct http_head *head)
{
    return head->refusal;
}

const struct sonde_http_request *http_head_request(const struct http_head *head)
{
    return &head->request;
}

unsigned http_head_status(const struct http_head *head)
{
    return (unsigned)llhttp_get_status_code((llhttp_t *)&head->parser);
}
