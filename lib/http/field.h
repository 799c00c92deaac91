/* SPDX-License-Identifier: MIT */
/* Fields of a head: tokens, lists, and which of them there are. Pure. */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include <sonde/ws.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* May it stand in a token (RFC 9110, 5.6.2)? */
bool http_is_token_byte(uint8_t byte);
bool http_is_token(const char *text, size_t n_bytes);

/* How many headers of this name, whatever its case. */
unsigned http_header_count(const struct sonde_http_request *request, const char *name);

/* The next element of a comma-separated list, without the spaces around it; empty ones are passed over. *text is moved
 * on. False: there is none. */
bool http_list_next(const char **text, const char **ret_element, size_t *ret_n_bytes);

/* Is this token an element of any header of this name, whatever the case? */
bool http_header_has(const struct sonde_http_request *request, const char *name, const char *token);

/* The words for a status: "Not Found"; "" when there are none. */
const char *http_status_words(unsigned status);

#endif
