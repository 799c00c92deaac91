/* SPDX-License-Identifier: MIT */
/* Offloads: whether a frame may be many segments, and whether its checksum is left to a card. */
#include "wire/wire_internal.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Checksums first and last of all: the others need them. UDP's segmentation goes with them. */
static const uint32_t commands[] = {ETHTOOL_STXCSUM, ETHTOOL_SSG,  ETHTOOL_STSO,
                                    ETHTOOL_SUFO,    ETHTOOL_SGSO, ETHTOOL_SGRO};

int offload_set(int index, bool on)
{
    int error = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct ifreq request = {.ifr_ifindex = index};
    if (ioctl(fd, SIOCGIFNAME, &request) < 0)
        error = -errno;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0] && error == 0; i++) {
        struct ethtool_value value = {.cmd = commands[i], .data = on};
        request.ifr_data = (void *)&value;
        if (ioctl(fd, SIOCETHTOOL, &request) < 0 && errno != EOPNOTSUPP && errno != EINVAL)
            error = -errno;
    }
    /* Tags of VLANs stay in the frame, on the way out at least. */
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
    request.ifr_data = (void *)&flags;
    if (error == 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && flags.data & (ETH_FLAG_TXVLAN | ETH_FLAG_LRO)) {
        flags.cmd = ETHTOOL_SFLAGS;
        flags.data &= ~(uint32_t)(ETH_FLAG_TXVLAN | ETH_FLAG_LRO);
        ioctl(fd, SIOCETHTOOL, &request);
    }
    close(fd);
    return error;
}
