/* SPDX-License-Identifier: MIT */
/* Any bytes as the beginning of a connection: a header is found, or can't be there, or may still come; and whatever the
 * bytes are cut into, it is the same. */
#include "net/proxy_header.h"

#include <sonde/error.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* In memory that ends with the bytes, so that a byte read too far is seen. */
static int parse(const uint8_t *data, size_t n, struct proxy_header *ret_header)
{
    uint8_t *copy = malloc(n + (n == 0));

    must(copy != NULL);
    if (n > 0)
        memcpy(copy, data, n);
    int result = proxy_header_parse(copy, n, ret_header);
    free(copy);
    return result;
}

static void check_again(const struct proxy_header *header)
{
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];
    struct proxy_header again;

    size_t n = proxy_header_write(header, bytes);
    must(n > 0 && n <= sizeof bytes);
    must(parse(bytes, n, &again) == (int)n);
    must(again.version == header->version);
    if (!header->is_known || (header->version == 1 && header->source.family == AF_UNIX))
        return;
    must(again.is_known && memcmp(&again.source, &header->source, sizeof again.source) == 0);
    must(memcmp(&again.destination, &header->destination, sizeof again.destination) == 0);
    must(memcmp(again.source_path, header->source_path, sizeof again.source_path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct proxy_header header, early;
    int result = parse(data, n_bytes, &header);

    must(result == 0 || result == -SONDE_EPROXYHEAD || (result > 0 && (size_t)result <= n_bytes));
    must(result <= PROXY_HEADER_MAX);
    if (result == 0)
        must(n_bytes < PROXY_HEADER_MAX);
    size_t n_known = result > 0 ? (size_t)result : n_bytes;
    bool over = false;
    for (size_t n = 0; n <= n_known; n += n < 300 || n + 20 > n_known ? 1 : 17) {
        int part = parse(data, n, &early);
        must(part == 0 || part == result || n == n_known);
        must(!over || part != 0); /* once refused, always */
        over = over || part != 0;
        must(result >= 0 || part <= 0);
    }
    if (result > 0)
        check_again(&header);
    return 0;
}
