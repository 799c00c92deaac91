/* SPDX-License-Identifier: MIT */
/* Everything libsonde promises. Each header compiles alone, as C99 and as C++. */
#ifndef SONDE_SONDE_H
#define SONDE_SONDE_H

#include <sonde/address.h>
#include <sonde/error.h>
#include <sonde/frame.h>
#include <sonde/listener.h>
#include <sonde/loop.h>
#include <sonde/poll.h>
#include <sonde/prefix.h>
#include <sonde/probe.h>
#include <sonde/proxy.h>
#include <sonde/simple.h>
#include <sonde/stream.h>
#include <sonde/timer.h>
#include <sonde/tls.h>
#include <sonde/url.h>
#include <sonde/version.h>
#include <sonde/ws.h>

#endif
