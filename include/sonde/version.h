/* SPDX-License-Identifier: MIT */
#ifndef SONDE_VERSION_H
#define SONDE_VERSION_H

#define SONDE_VERSION_MAJOR 0
#define SONDE_VERSION_MINOR 1
#define SONDE_VERSION_PATCH 0
#define SONDE_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define SONDE_API __attribute__((visibility("default")))
#else
#define SONDE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is running, as opposed to SONDE_VERSION_STRING, the one compiled against.
 * Any thread. The string is static. */
SONDE_API const char *sonde_version(void);

#ifdef __cplusplus
}
#endif
#endif
