/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as messages of sock_diag, one behind the other as in a dump. What must hold whatever they are:
 *
 * - nothing is read or written outside of its memory;
 * - what is refused leaves the socket alone;
 * - what is understood has values that the rest of the program may use as indexes and texts.
 */
#include "observe/sockets/sockets.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct socket_info *socket)
{
    char text[SONDE_ADDRESS_TEXT];

    must(socket->family == AF_INET || socket->family == AF_INET6 || socket->family == AF_UNIX);
    must(socket->local.family == socket->family && socket->peer.family == socket->family);
    must(sonde_address_format(&socket->local, text, sizeof text) > 0);
    must(socket->state < TCP_N_STATES && socket->timer <= TIMER_PROBE && socket->shutdown <= 3);
    must(socket->timer_ns >= 0 && (socket->timer != TIMER_NONE || socket_timer_name(socket->timer)[0] == '\0'));
    must(memchr(socket->congestion, '\0', sizeof socket->congestion) != NULL);
    must(socket->n_unix_name <= SOCKET_UNIX_NAME_MAX && socket->unix_name[socket->n_unix_name] == '\0');
    must(!socket->has_info || socket->info.n_bytes <= TCP_INFO_KERNEL_BYTES);
}

/* In memory that ends with the message, so that a byte read too far is seen. */
static void parse(const uint8_t *data, size_t n_bytes)
{
    struct socket_info socket, untouched;
    unsigned char *message = malloc(n_bytes > 0 ? n_bytes : 1);

    must(message != NULL);
    if (n_bytes > 0)
        memcpy(message, data, n_bytes);
    memset(&untouched, 0x55, sizeof untouched);
    socket = untouched;
    if (sockets_parse(message, n_bytes, &socket))
        check(&socket);
    else
        must(memcmp(&socket, &untouched, sizeof socket) == 0);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    parse(data, n_bytes);
    while (n_bytes >= sizeof(uint32_t)) {
        uint32_t n_message;
        memcpy(&n_message, data, sizeof n_message);
        if (n_message == 0 || n_message > n_bytes)
            break;
        parse(data, n_message);
        size_t n_whole = ((size_t)n_message + 3) & ~(size_t)3;
        if (n_whole >= n_bytes)
            break;
        data += n_whole;
        n_bytes -= n_whole;
    }
    return 0;
}
