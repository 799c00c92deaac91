/* SPDX-License-Identifier: MIT */
/*
 * Why there is no wire here: the kernel says no more than EPERM, so whoever may have said it is asked, one after the
 * other. The sentence names the knob and what to do with it.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_BYTES 8192

/* A number in a file of /proc; -1: there is none. */
static long read_number(const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return strtol(text, NULL, 10);
}

static bool is_filtered(void)
{
    char status[STATUS_BYTES];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, status, sizeof status - 1);
    close(fd);
    status[n > 0 ? n : 0] = '\0';
    const char *line = strstr(status, "\nSeccomp:");
    return line && strtol(line + strlen("\nSeccomp:"), NULL, 10) == 2;
}

static const char filtered[] = "a seccomp filter forbids namespaces, as in most containers: start the container with a "
                               "profile that permits unshare, or run this outside of it";

/* EPERM and EACCES: who forbids it. */
static const char *who_forbids(const char *call)
{
    if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        return "this machine gives user namespaces to root only: sysctl kernel.unprivileged_userns_clone=1 as root "
               "permits them, or run this as root";
    if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        return "AppArmor restricts user namespaces here: sysctl kernel.apparmor_restrict_unprivileged_userns=0 as "
               "root permits them, or run this as root";
    if (is_filtered())
        return filtered;
    if (strcmp(call, "unshare") == 0)
        return "this system forbids user namespaces (a security module, or a chroot): run this as root, or outside "
               "of the chroot";
    return "this system gives a user namespace no rights over its network (a security module): run this as root";
}

/* ENOSPC: which limit. */
static const char *which_limit(void)
{
    if (read_number("/proc/sys/user/max_user_namespaces") == 0)
        return "user namespaces are limited to none: sysctl user.max_user_namespaces=15000 as root permits them, or "
               "run this as root";
    if (read_number("/proc/sys/user/max_net_namespaces") == 0)
        return "network namespaces are limited to none: sysctl user.max_net_namespaces=15000 as root permits them";
    return "there are as many namespaces as may be: end programs that have some (lsns), or raise "
           "user.max_user_namespaces and user.max_net_namespaces with sysctl, as root";
}

static const char *find_sentence(int error, const char *call)
{
    bool is_unshare = strcmp(call, "unshare") == 0;
    switch (-error) {
    case EPERM:
    case EACCES:
        return who_forbids(call);
    case ENOSPC:
    case EUSERS:
        return which_limit();
    case ENOSYS:
        if (is_filtered())
            return filtered; /* some filters say that there is no such call */
        /* fallthrough */
    case EINVAL:
        return is_unshare ? "this kernel has no user or network namespaces (CONFIG_USER_NS, CONFIG_NET_NS): run it on "
                            "one that has"
                          : NULL;
    case EOPNOTSUPP:
        return strcmp(call, "veth") == 0 ? "this kernel has no veth interfaces: modprobe veth as root loads them, if "
                                           "they were built (CONFIG_VETH)"
                                         : NULL;
    case EAFNOSUPPORT:
        return strcmp(call, "packet socket") == 0 ? "this kernel has no packet sockets: modprobe af_packet as root "
                                                    "loads them, if they were built (CONFIG_PACKET)"
                                                  : NULL;
    case EAGAIN:
        return strcmp(call, "posix_spawn") == 0 ? "no more processes may be made here: ulimit -u limits them" : NULL;
    case ENOENT:
        return access("/proc/self/ns/net", F_OK) < 0 ? "there is no /proc here, without which no namespace can be "
                                                       "made: mount it (mount -t proc proc /proc), as root"
                                                     : NULL;
    }
    return NULL;
}

int wire_refuse(struct sonde_why *ret_why, int error, const char *call)
{
    const char *sentence = find_sentence(error, call);
    if (ret_why) {
        *ret_why = (struct sonde_why){.code = error, .call = call};
        snprintf(ret_why->detail, sizeof ret_why->detail, "%s", sentence ? sentence : "");
    }
    return error;
}
