/* SPDX-License-Identifier: MIT */
/*
 * sonde-capture: opens one packet socket, hands it to who started it, exits. observe/capture/helper.h says what is
 * agreed. It may run with CAP_NET_RAW on behalf of whoever may execute it, so it does as little as can be: nothing is
 * read but one word of the command line.
 */
#include "observe/capture/helper.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "sonde-capture is started by sonde, which it gives a packet socket; by itself it does nothing.\n"
    "\n"
    "To let sonde capture without being root, give it (and nothing else) one capability:\n"
    "    sudo setcap cap_net_raw+ep PATH/sonde-capture\n"
    "Whoever may execute it can then see and send every packet of this machine. To permit it to one group only:\n"
    "    sudo chgrp GROUP PATH/sonde-capture\n"
    "    sudo chmod 0750 PATH/sonde-capture\n"
    "    sudo setcap cap_net_raw+ep PATH/sonde-capture\n";

/* No other process of the same user may look into this one or stop it half-way, and it does not stay. */
static void protect(void)
{
    struct rlimit none = {0, 0};
    signal(SIGALRM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    alarm(SONDE_CAPTURE_SECONDS);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    syscall(SYS_close_range, 3u, ~0u, 0u);
}

/* All capabilities, for good. */
static int give_up_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int option_of(int name)
{
    int value = -1;
    socklen_t n_bytes = sizeof value;
    return getsockopt(STDIN_FILENO, SOL_SOCKET, name, &value, &n_bytes) < 0 ? -1 : value;
}

static int answer(int fd, int error)
{
    struct sonde_capture_answer said = {.magic = SONDE_CAPTURE_MAGIC, .error = error};
    struct iovec bytes = {.iov_base = &said, .iov_len = sizeof said};
    union {
        char bytes[CMSG_SPACE(sizeof fd)];
        struct cmsghdr aligned;
    } control = {{0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    return sendmsg(STDIN_FILENO, &message, MSG_NOSIGNAL) == (ssize_t)sizeof said && error == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int type = 0;
    protect();
    if (argc == 2 && strcmp(argv[1], SONDE_CAPTURE_RAW) == 0)
        type = SOCK_RAW;
    else if (argc == 2 && strcmp(argv[1], SONDE_CAPTURE_COOKED) == 0)
        type = SOCK_DGRAM;
    if (type == 0 || option_of(SO_DOMAIN) != AF_UNIX || option_of(SO_TYPE) != SOCK_SEQPACKET) {
        give_up_rights();
        fputs(usage, stderr);
        return 2;
    }
    /* Protocol 0: nothing is received before it is bound. */
    int fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? -errno : 0;
    int kept = give_up_rights();
    if (kept < 0)
        return answer(-1, kept);
    return answer(fd, error);
}
