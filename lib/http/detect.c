/* SPDX-License-Identifier: MIT */
#include "http/detect.h"

#include "http/field.h"

#include <string.h>

enum { AT_START, IN_RECORD, IN_METHOD, AT_TARGET, IN_SCHEME, IN_TARGET, IN_VERSION, AT_LF };

static const char connect_method[] = "CONNECT";

/* What a target that does not begin with a slash begins with. The longest first: while several fit, all are candidates.
 */
static const char *const schemes[] = {"https://", "http://", "wss://", "ws://"};

static enum detected in_record(struct detector *detector, uint8_t byte)
{
    switch (detector->n_bytes) {
    case 1:
        return byte == 3 ? DETECT_MORE : DETECT_RAW;
    case 2:
        return byte <= 4 ? DETECT_MORE : DETECT_RAW;
    case 3:
        detector->record_bytes = (uint16_t)(byte << 8);
        return byte <= 0x40 ? DETECT_MORE : DETECT_RAW;
    case 4:
        detector->record_bytes |= byte;
        return detector->record_bytes > 0 && detector->record_bytes <= 1 << 14 ? DETECT_MORE : DETECT_RAW;
    default:
        return byte == 1 ? DETECT_TLS : DETECT_RAW;
    }
}

static enum detected in_method(struct detector *detector, uint8_t byte)
{
    if (byte == ' ') {
        detector->state =
            detector->n_matched == sizeof connect_method - 1 && detector->n_bytes == sizeof connect_method - 1
                ? IN_TARGET
                : AT_TARGET;
        detector->n_matched = 0;
        return DETECT_MORE;
    }
    if (!http_is_token_byte(byte))
        return DETECT_RAW;
    if (detector->n_matched == detector->n_bytes && detector->n_matched < sizeof connect_method - 1 &&
        byte == (uint8_t)connect_method[detector->n_matched])
        detector->n_matched++;
    return DETECT_MORE;
}

static enum detected in_scheme(struct detector *detector, uint8_t byte)
{
    unsigned at = detector->n_matched++, left = 0;

    if (byte >= 'A' && byte <= 'Z')
        byte |= 0x20;
    for (unsigned i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!(detector->candidates & 1u << i) || (uint8_t)schemes[i][at] != byte)
            continue;
        left |= 1u << i;
        if (schemes[i][at + 1] == '\0')
            detector->state = IN_TARGET;
    }
    detector->candidates = (uint8_t)left;
    return left != 0 ? DETECT_MORE : DETECT_RAW;
}

static enum detected at_target(struct detector *detector, uint8_t byte)
{
    if (byte == '/' || byte == '*') {
        detector->state = IN_TARGET;
        return DETECT_MORE;
    }
    detector->state = IN_SCHEME;
    detector->candidates = (1u << (sizeof schemes / sizeof *schemes)) - 1;
    return in_scheme(detector, byte);
}

static enum detected in_target(struct detector *detector, uint8_t byte)
{
    if (byte == ' ') {
        detector->state = IN_VERSION;
        detector->n_matched = 0;
    } else if (byte < ' ' || byte == 0x7f) {
        return DETECT_RAW;
    }
    return DETECT_MORE;
}

static enum detected in_version(struct detector *detector, uint8_t byte)
{
    static const char pattern[] = "HTTP/#.#"; /* #: a digit */
    char expected = pattern[detector->n_matched];

    if (expected == '\0') {
        detector->state = AT_LF;
        return byte == '\n' ? DETECT_HTTP : byte == '\r' ? DETECT_MORE : DETECT_RAW;
    }
    detector->n_matched++;
    return expected == '#' ? (byte >= '0' && byte <= '9' ? DETECT_MORE : DETECT_RAW)
                           : (byte == (uint8_t)expected ? DETECT_MORE : DETECT_RAW);
}

static enum detected on_byte(struct detector *detector, uint8_t byte)
{
    switch (detector->state) {
    case AT_START:
        detector->state = byte == 0x16 ? IN_RECORD : IN_METHOD;
        return byte == 0x16 ? DETECT_MORE : byte == ' ' ? DETECT_RAW : in_method(detector, byte);
    case IN_RECORD:
        return in_record(detector, byte);
    case IN_METHOD:
        return in_method(detector, byte);
    case AT_TARGET:
        return at_target(detector, byte);
    case IN_SCHEME:
        return in_scheme(detector, byte);
    case IN_TARGET:
        return in_target(detector, byte);
    case IN_VERSION:
        return in_version(detector, byte);
    default:
        return byte == '\n' ? DETECT_HTTP : DETECT_RAW;
    }
}

enum detected detect(struct detector *detector, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes && detector->decided == DETECT_MORE; i++) {
        detector->decided = (uint8_t)on_byte(detector, bytes[i]);
        if (++detector->n_bytes == DETECT_LINE_MAX && detector->decided == DETECT_MORE)
            detector->decided = detector->state >= IN_TARGET ? DETECT_HTTP : DETECT_RAW;
    }
    return (enum detected)detector->decided;
}
