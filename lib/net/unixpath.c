/* SPDX-License-Identifier: MIT */
#include "net/unixpath.h"

#include "net/calls.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

socklen_t unix_to_sockaddr(const struct sonde_url *url, struct sockaddr_storage *ret_address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret_address;

    memset(ret_address, 0, sizeof *ret_address);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, url->path, url->path_bytes);
    size_t n = offsetof(struct sockaddr_un, sun_path) + url->path_bytes;
    if (url->path[0] != '\0' && url->path_bytes < sizeof un->sun_path)
        n++; /* a path counts its NUL, an abstract name has none */
    return (socklen_t)n;
}

void unix_peer(int fd, struct sonde_address *ret_address)
{
    struct ucred cred;
    socklen_t n = sizeof cred;

    *ret_address = (struct sonde_address){.family = AF_UNIX};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0) {
        ret_address->u.peer.pid = cred.pid;
        ret_address->u.peer.uid = cred.uid;
    }
}

/* Would a client be refused there? Only then is nobody listening: a full queue (EAGAIN) is somebody. */
static bool nobody_answers(const struct sockaddr *address, socklen_t n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    bool refused = connect(fd, address, n) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool remove_stale(const char *path, const struct sockaddr *address, socklen_t n)
{
    struct stat found;

    if (lstat(path, &found) < 0)
        return errno == ENOENT; /* gone meanwhile */
    if (!S_ISSOCK(found.st_mode) || found.st_uid != geteuid() || !nobody_answers(address, n))
        return false;
    return unlink(path) == 0;
}

int unix_bind(struct sonde_loop *loop, int fd, const struct sonde_url *url, struct unix_name *ret_name)
{
    struct sockaddr_storage address;
    struct unix_name name = {0};
    socklen_t n = unix_to_sockaddr(url, &address);

    memcpy(name.path, url->path, url->path_bytes);
    if (url->path_bytes < sizeof name.path)
        name.path[url->path_bytes] = '\0';
    int error = call_bind(loop, 0, fd, (struct sockaddr *)&address, n);
    if (error == -EADDRINUSE && name.path[0] != '\0' && remove_stale(name.path, (struct sockaddr *)&address, n))
        error = call_bind(loop, 0, fd, (struct sockaddr *)&address, n);
    if (error < 0)
        return error;
    struct stat made;
    if (name.path[0] != '\0' && lstat(name.path, &made) == 0) {
        name.device = made.st_dev;
        name.inode = made.st_ino;
        name.made = true;
    }
    *ret_name = name;
    return 0;
}

void unix_unbind(struct unix_name *name)
{
    struct stat found;

    if (name->made && lstat(name->path, &found) == 0 && found.st_dev == name->device && found.st_ino == name->inode)
        unlink(name->path);
    name->made = false;
}
