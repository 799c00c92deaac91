/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sonde/error.h>
#include <stddef.h>
#include <string.h>

struct phrase {
    int code;
    const char *sentence;
};

static const struct phrase own_phrases[] = {
#define OWN_PHRASE(name, value, sentence) {value, sentence},
    SONDE_ERRORS(OWN_PHRASE)
#undef OWN_PHRASE
};

/* The errors that sockets meet, in the words of their man pages, fit for the middle of a sentence. Not strerror: its
 * string may be overwritten by another thread, and it begins with a capital. */
static const struct phrase system_phrases[] = {
    {EPERM, "operation not permitted"},
    {ENOENT, "no such file or directory"},
    {EINTR, "interrupted"},
    {EIO, "input or output error"},
    {ENXIO, "no such device or address"},
    {EBADF, "bad file descriptor"},
    {EAGAIN, "not ready yet"},
    {ENOMEM, "out of memory"},
    {EACCES, "permission denied"},
    {EFAULT, "bad address in memory"},
    {EBUSY, "device or resource busy"},
    {EEXIST, "it exists already"},
    {ENODEV, "no such device"},
    {ENOTDIR, "not a directory"},
    {EISDIR, "is a directory"},
    {EINVAL, "invalid argument"},
    {ENFILE, "too many open files in the system"},
    {EMFILE, "too many open files"},
    {ENOSPC, "no space left on device"},
    {EROFS, "read-only file system"},
    {EPIPE, "broken pipe"},
    {ERANGE, "out of range"},
    {ENAMETOOLONG, "name too long"},
    {ENOSYS, "not in this kernel"},
    {ELOOP, "too many symbolic links"},
    {EPROTO, "protocol error"},
    {EOVERFLOW, "value too large"},
    {ENOTSOCK, "not a socket"},
    {EDESTADDRREQ, "destination address required"},
    {EMSGSIZE, "message too long"},
    {EPROTOTYPE, "wrong kind of socket"},
    {ENOPROTOOPT, "option not available"},
    {EPROTONOSUPPORT, "protocol not supported"},
    {ESOCKTNOSUPPORT, "socket type not supported"},
    {EOPNOTSUPP, "operation not supported"},
    {EPFNOSUPPORT, "protocol family not supported"},
    {EAFNOSUPPORT, "address family not supported"},
    {EADDRINUSE, "address already in use"},
    {EADDRNOTAVAIL, "address not available"},
    {ENETDOWN, "network is down"},
    {ENETUNREACH, "network is unreachable"},
    {ENETRESET, "connection dropped by the network"},
    {ECONNABORTED, "connection aborted"},
    {ECONNRESET, "connection reset by peer"},
    {ENOBUFS, "no buffer space available"},
    {EISCONN, "already connected"},
    {ENOTCONN, "not connected"},
    {ESHUTDOWN, "the sending side is shut down"},
    {ETIMEDOUT, "timed out"},
    {ECONNREFUSED, "connection refused"},
    {EHOSTDOWN, "host is down"},
    {EHOSTUNREACH, "no route to host"},
    {EALREADY, "already in progress"},
    {EINPROGRESS, "in progress"},
    {ESTALE, "stale file handle"},
    {EDQUOT, "disk quota exceeded"},
    {ECANCELED, "cancelled"},
    {ETIME, "timer expired"},
};

static const char *phrase_find(const struct phrase *phrases, size_t n_phrases, int code)
{
    for (size_t i = 0; i < n_phrases; i++)
        if (phrases[i].code == code)
            return phrases[i].sentence;
    return NULL;
}

/* The positive code, or 0 for what is no error. INT_MIN has no positive and is nobody's error. */
static int code_of(int error)
{
    return error < 0 && error > -1000000 ? -error : 0;
}

const char *sonde_strerror(int error)
{
    int code = code_of(error);

    if (error >= 0)
        return "no error";
    const char *sentence = phrase_find(system_phrases, sizeof system_phrases / sizeof *system_phrases, code);
    if (sentence == NULL)
        sentence = phrase_find(own_phrases, sizeof own_phrases / sizeof *own_phrases, code);
    if (sentence == NULL && code != 0)
        sentence = strerrordesc_np(code); /* static and never translated, unlike strerror's */
    return sentence != NULL ? sentence : "unknown error";
}

const char *sonde_error_name(int error)
{
    int code = code_of(error);

    switch (code) {
    case 0:
        return "E?"; /* strerrorname_np calls it "0" */
#define NAME_CASE(name, value, sentence)                                                                               \
    case value:                                                                                                        \
        return #name;
        SONDE_ERRORS(NAME_CASE)
#undef NAME_CASE
    default:
        break;
    }
    const char *name = strerrorname_np(code);
    return name != NULL ? name : "E?";
}
