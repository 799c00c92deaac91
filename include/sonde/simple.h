/* SPDX-License-Identifier: MIT */
/*
 * For small programs: a server, or a client, in one call, with nothing left out but the choices.
 *
 * What these programs have in common is done here: read the address, make a loop, listen or connect, run, and put into
 * words whatever goes wrong, with the address that it was about. What makes one program another is in its struct
 * sonde_stream_handler (sonde/stream.h), whose NULL members do what is right for most: bytes are dropped, the peer's
 * end is answered with ours once all is sent, a failure closes.
 *
 *     static void tell(const char *line, void *owner)
 *     {
 *         (void)owner;
 *         fprintf(stderr, "%s\n", line);
 *     }
 *
 *     static const struct sonde_stream_handler handler = {.opened = greet};
 *     return sonde_serve("tcp://:1234", &handler, NULL, 0, tell) < 0;
 *
 * Descriptors 0 to 2 that are closed are opened on /dev/null first, so that no socket becomes standard output.
 *
 * The library prints nothing: `tell` gets each line, without its end, fit for a terminal. Everything that
 * sonde_loop_run and the streams can do can be done from the handlers; whoever wants another engine, several listeners
 * or loops, or the reasons as data makes the loop (sonde/loop.h).
 */
#ifndef SONDE_SIMPLE_H
#define SONDE_SIMPLE_H

#include <sonde/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SONDE_SERVE_IN_TURN 1u /* one client after another: the others wait in the accept queue until it is closed */
#define SONDE_SERVE_ONCE 2u    /* one client, then return; the others are refused once it is there */

/* Listen on the URL (text as sonde_url_parse takes it) and serve until sonde_loop_stop, with ONCE until the client has
 * gone. `opened` is called for each client, as it is for a connection of one's own; owner is what sonde_stream_owner
 * returns. tell (may be NULL) is given owner too, and told of
 *
 *   listening tcp://127.0.0.1:41234      each address listened on, with the port that the kernel chose for port 0
 *   recv 127.0.0.1:40488: connection reset by peer, 512 bytes not sent          each connection that fails
 *   accept: too many open files; clients wait                                   what holds up accepting
 *
 * and of what this returns, unless that is 0: it failed to begin, or, with ONCE, how the connection failed. At the end
 * whoever is still connected is closed (sonde_stream_close); timers and polls that the caller has made on the loop must
 * have been stopped and closed by then, or in their stream's closed. */
SONDE_API int sonde_serve(const char *url, const struct sonde_stream_handler *handler, void *owner, unsigned flags,
                          void (*tell)(const char *line, void *owner));

/* Connect to the URL, and run until the connection is closed. 0 when both ends have ended in order; otherwise why not,
 * which tell (may be NULL) has been told: -ECANCELED when this program closed it with bytes unsent. Each call makes a
 * new connection. */
SONDE_API int sonde_call(const char *url, const struct sonde_stream_handler *handler, void *owner,
                         void (*tell)(const char *line, void *owner));

/* Let two descriptors, such as standard input and output, be the stream's own: what is read from in_fd is sent, and
 * what is received is written to out_fd. The end of the input half-closes; the peer's end leaves the input to go on
 * until its own; after both the stream is finished. Neither side is read faster than the other takes it. To be called
 * in `opened`, or later; what was written before goes first. -1 for in_fd: nothing (more) is sent; -1 for out_fd: what
 * comes is dropped.
 *
 * An error of a descriptor, -EPIPE when nobody reads the output any more, is a failure of the stream; SIGPIPE does not
 * come. Of the handler that the stream had, only failed and closed are called from now on. The descriptors stay the
 * caller's and open until closed; they are not made non-blocking. -ENOMEM, -EBADF; -EPERM for a stream that has ended,
 * failed, or is closing: nothing has changed then. */
SONDE_API int sonde_stream_join(struct sonde_stream *stream, int in_fd, int out_fd);

/* Room for any line that sonde_why_text writes, and its NUL. */
#define SONDE_WHY_TEXT 512

/* Why a call failed, in one line: "bind 127.0.0.1:80: permission denied". Control bytes become question marks. Returns
 * the length written, always less than size_bytes (the text is cut to fit). Any thread. */
SONDE_API size_t sonde_why_text(const struct sonde_why *why, char *ret_text, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
