/* SPDX-License-Identifier: MIT */
/* What the ways through a proxy (socks.c, http_connect.c) have in common: where to, and how it ended. */
#ifndef NET_PROXY_TALK_H
#define NET_PROXY_TALK_H

#include <sonde/address.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the proxy is to connect to. */
struct proxy_far {
    struct sonde_address address; /* family 0: only the name is known */
    char name[256];
    uint16_t port;
};

/* Why it does not. */
struct proxy_refusal {
    int error;        /* -SONDE_EPROXY, or the errno that the proxy's word for it amounts to */
    bool is_far;      /* the proxy took us, and can't reach the far end; otherwise it is about the proxy itself */
    char detail[160]; /* in words; what the proxy said is in it as printable ASCII only */
};

/* What a step of the talk came to. */
enum proxy_step {
    PROXY_REFUSED = -1, /* it is over; a struct proxy_refusal says why */
    PROXY_GOES_ON = 0,
    PROXY_STANDS = 1, /* the far end is there */
};

#endif
