/* SPDX-License-Identifier: MIT */
/*
 * A packet socket, from the kernel if it permits, or else from the helper: the one that was named, or beside this
 * program, or where it is installed. Where one may not either, the next is tried. When none may, the sentence names
 * the first that is there.
 */
#include "observe/capture/helper.h"
#include "observe/capture/live_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fails(int error, const char *call, const char *subject, const char *detail, struct sonde_why *ret_why)
{
    *ret_why = (struct sonde_why){.code = error, .call = call};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", subject);
    snprintf(ret_why->detail, sizeof ret_why->detail, "%s", detail);
    return error;
}

static bool is_denied(int error)
{
    return error == -EPERM || error == -EACCES;
}

/* The path of a file that stands beside this program. */
static bool beside_program(const char *name, char *ret_path, size_t size_bytes)
{
    ssize_t n = readlink("/proc/self/exe", ret_path, size_bytes - 1);
    if (n <= 0)
        return false;
    ret_path[n] = '\0';
    char *slash = strrchr(ret_path, '/');
    size_t n_folder = slash ? (size_t)(slash - ret_path) + 1 : 0;
    if (n_folder == 0 || n_folder + strlen(name) >= size_bytes)
        return false;
    strcpy(ret_path + n_folder, name);
    return true;
}

/* As a word of a shell command. What cannot be one with plain quotes is cut: it is read by people first. */
static void quoted(const char *path, char *ret_text, size_t size_bytes)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%:,=";
    bool is_plain = strspn(path, plain) == strlen(path);
    char *at = ret_text, *end = ret_text + size_bytes - 6;
    if (!is_plain)
        *at++ = '\'';
    for (; *path && at < end; path++) {
        if (*path == '\'') {
            memcpy(at, "'\\''", 4);
            at += 4;
        } else {
            *at++ = *path;
        }
    }
    if (!is_plain)
        *at++ = '\'';
    *at = '\0';
}

static int not_permitted(const char *path, struct sonde_why *ret_why)
{
    char word[PATH_MAX];
    quoted(path, word, sizeof word);
    fails(-EPERM, "socket", "AF_PACKET", "", ret_why);
    int n = snprintf(ret_why->detail, sizeof ret_why->detail, "sudo setcap cap_net_raw+ep %s", word);
    /* Half a path would be another file. */
    if (n < 0 || (size_t)n >= sizeof ret_why->detail)
        snprintf(ret_why->detail, sizeof ret_why->detail, "sudo setcap cap_net_raw+ep %s", SONDE_CAPTURE_NAME);
    return -EPERM;
}

static const char *helper_words(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return "the helper gave no answer";
    case -EPROTO:
    case -ECONNRESET:
        return "the helper's answer is not a packet socket";
    default:
        return sonde_strerror(error);
    }
}

static int ask_helpers(int type, const char *named, int *ret_fd, struct sonde_why *ret_why)
{
    static const char installed[] = SONDE_LIBEXECDIR "/" SONDE_CAPTURE_NAME;
    char beside[PATH_MAX];
    const char *paths[2] = {named, NULL};
    unsigned n_paths = named ? 1 : 0;
    if (!named) {
        if (beside_program(SONDE_CAPTURE_NAME, beside, sizeof beside))
            paths[n_paths++] = beside;
        if (n_paths == 0 || strcmp(beside, installed) != 0)
            paths[n_paths++] = installed;
    }

    const char *denied = NULL;
    int other = 0;
    const char *other_path = NULL;
    for (unsigned i = 0; i < n_paths; i++) {
        int error = helper_ask(paths[i], type, ret_fd);
        if (error == 0)
            return 0;
        if (is_denied(error)) {
            denied = denied ? denied : paths[i];
        } else if (error != -ENOENT && error != -ENOTDIR && other == 0) {
            other = error;
            other_path = paths[i];
        }
    }
    if (other < 0 && !denied)
        return fails(other, SONDE_CAPTURE_NAME, other_path, helper_words(other), ret_why);
    return not_permitted(denied ? denied : paths[n_paths - 1], ret_why);
}

int live_socket_open(int type, const char *helper, int *ret_fd, struct sonde_why *ret_why)
{
    /* Protocol 0: it receives nothing before it is bound, so none comes by that a filter should have kept out. */
    int fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    int error = -errno;
    if (is_denied(error))
        return ask_helpers(type, helper, ret_fd, ret_why);
    return fails(error, "socket", "AF_PACKET", "", ret_why);
}
