/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: OPTIONS below is the one list. A row says what people see (name, where, values, help), what a
 * value may be (a kind with its range, and the sentence that a wrong one earns), and how the kernel is told (the
 * moments, the level and name per family, and the form of the value). Two const tables are made of it: the public
 * descriptions, which must be an array of their own, and the private rules. Everything else walks these tables.
 */
#include "net/sockopt.h"
#include "base/parse.h"
#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum value_kind {
    VALUE_FLAG, /* 0 or 1; the name alone is 1 */
    VALUE_COUNT,
    VALUE_SIZE,
    VALUE_DURATION,
    VALUE_KEEPALIVE, /* a flag or a duration */
    VALUE_HEX,       /* a number, 0x allowed */
    VALUE_CC,
    VALUE_DEVICE,
    VALUE_LOCAL, /* an address of this machine, for bind */
    VALUE_PROXY,
    VALUE_GROUP,
};

enum set_form {
    SET_ELSEWHERE, /* not by setsockopt */
    SET_INT,       /* number / divisor * factor */
    SET_KEEPALIVE, /* SO_KEEPALIVE, then TCP_KEEPIDLE */
    SET_LINGER,
    SET_TEXT,
};

struct set_name {
    int level, name;
};

struct sockopt_rule {
    const char *right; /* the sentence about what would be right */
    enum value_kind kind;
    int64_t minimum, maximum, unit; /* a value is a multiple of unit */
    enum set_form form;
    unsigned moments; /* bits: 1 << enum sockopt_moment */
    int64_t factor, divisor;
    struct set_name at_listen, at_connect, on_ipv6; /* on_ipv6: level 0 when it is the same */
};

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

#define AT_LISTEN (1u << SOCKOPT_LISTEN)
#define AT_CONNECT (1u << SOCKOPT_CONNECT)
#define AT_START (AT_LISTEN | AT_CONNECT)
#define AT_ESTABLISHED (1u << SOCKOPT_ESTABLISHED)

/* The parts of a row. */
#define VALUE(what, low, high, step) .kind = VALUE_##what, .minimum = (low), .maximum = (high), .unit = (step)
#define TEXT(what) .kind = VALUE_##what
#define SAME(level_, name_) .at_listen = {level_, name_}, .at_connect = {level_, name_}
#define SET(when, level_, name_) .form = SET_INT, .moments = (when), .factor = 1, .divisor = 1, SAME(level_, name_)
#define SET_IN(step, when, level_, name_)                                                                              \
    .form = SET_INT, .moments = (when), .factor = 1, .divisor = (step), SAME(level_, name_)
#define SET_IP(times, v4, v6)                                                                                          \
    .form = SET_INT, .moments = AT_START, .factor = (times), .divisor = 1, SAME(IPPROTO_IP, v4),                       \
    .on_ipv6 = {IPPROTO_IPV6, v6}
#define SET_AS(how, level_, name_) .form = SET_##how, .moments = AT_START, SAME(level_, name_)
#define SET_TWO(listening, connecting)                                                                                 \
    .form = SET_INT, .moments = AT_START, .factor = 1, .divisor = 1, .at_listen = {IPPROTO_TCP, listening},            \
    .at_connect = {IPPROTO_TCP, connecting}
#define ELSEWHERE .form = SET_ELSEWHERE

#define BOTH (SONDE_FOR_LISTEN | SONDE_FOR_CONNECT)
#define ALSO_UDP (BOTH | SONDE_FOR_UDP)
#define ONLY_UDP (SONDE_FOR_UDP | SONDE_NOT_TCP)

/* option, name, where, values, help, the right values in a sentence, value, how it is set */
#define OPTIONS(X)                                                                                                     \
    X(BACKLOG, "backlog", SONDE_FOR_LISTEN | SONDE_FOR_UNIX, "count",                                                  \
      "length of the accept queue; the kernel cuts it to net.core.somaxconn",                                          \
      "backlog takes a whole number from 0 to 2147483647", VALUE(COUNT, 0, INT_MAX, 1), ELSEWHERE)                     \
    X(NODELAY, "nodelay", BOTH, "0|1", "send small segments at once (TCP_NODELAY); on unless 0 is said",               \
      "nodelay takes 0 or 1", VALUE(FLAG, 0, 1, 1), SET(AT_START, IPPROTO_TCP, TCP_NODELAY))                           \
    X(KEEPALIVE, "keepalive", BOTH, "0|1|duration",                                                                    \
      "probe an idle peer, first after this long (SO_KEEPALIVE, TCP_KEEPIDLE)",                                        \
      "keepalive takes 0, 1, or an idle time of whole seconds from 1s to 32767s",                                      \
      VALUE(KEEPALIVE, SECOND, 32767 * SECOND, SECOND), SET_AS(KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE))                   \
    X(SNDBUF, "sndbuf", ALSO_UDP | SONDE_FOR_UNIX, "bytes", "send buffer (SO_SNDBUF); the kernel doubles it",          \
      "sndbuf takes a size from 1 to 1G", VALUE(SIZE, 1, 1 << 30, 1), SET(AT_START, SOL_SOCKET, SO_SNDBUF))            \
    X(RCVBUF, "rcvbuf", ALSO_UDP, "bytes", "receive buffer (SO_RCVBUF); the kernel doubles it",                        \
      "rcvbuf takes a size from 1 to 1G", VALUE(SIZE, 1, 1 << 30, 1), SET(AT_START, SOL_SOCKET, SO_RCVBUF))            \
    X(BIND, "bind", SONDE_FOR_CONNECT | SONDE_FOR_UDP, "address", "connect from this ADDRESS, ADDRESS:PORT or :PORT",  \
      "bind takes a numeric ADDRESS, ADDRESS:PORT or :PORT, IPv6 in brackets", TEXT(LOCAL), ELSEWHERE)                 \
    X(LINGER, "linger", BOTH, "seconds", "close waits so long for what is unsent (SO_LINGER); 0 resets instead",       \
      "linger takes a whole number of seconds from 0 to 65535", VALUE(COUNT, 0, 65535, 1),                             \
      SET_AS(LINGER, SOL_SOCKET, SO_LINGER))                                                                           \
    X(USER_TIMEOUT, "user_timeout", BOTH, "duration", "give up when sent data stays unacknowledged so long",           \
      "user_timeout takes a duration of whole milliseconds from 1ms to 24d",                                           \
      VALUE(DURATION, MILLISECOND, 24 * 86400 * SECOND, MILLISECOND),                                                  \
      SET_IN(MILLISECOND, AT_START, IPPROTO_TCP, TCP_USER_TIMEOUT))                                                    \
    X(TTL, "ttl", ALSO_UDP, "1-255", "time to live, hop limit (IP_TTL, IPV6_UNICAST_HOPS)",                            \
      "ttl takes a whole number from 1 to 255", VALUE(COUNT, 1, 255, 1), SET_IP(1, IP_TTL, IPV6_UNICAST_HOPS))         \
    X(DSCP, "dscp", ALSO_UDP, "0-63", "class of service, the upper six bits of IP_TOS and IPV6_TCLASS",                \
      "dscp takes a whole number from 0 to 63", VALUE(COUNT, 0, 63, 1), SET_IP(4, IP_TOS, IPV6_TCLASS))                \
    X(CC, "cc", BOTH, "name", "congestion control (TCP_CONGESTION): cubic, bbr, reno",                                 \
      "cc takes the name of a congestion control, as in cc=cubic, of at most 15 letters", TEXT(CC),                    \
      SET_AS(TEXT, IPPROTO_TCP, TCP_CONGESTION))                                                                       \
    X(QUICKACK, "quickack", BOTH, "0|1", "acknowledge at once, to begin with (TCP_QUICKACK)", "quickack takes 0 or 1", \
      VALUE(FLAG, 0, 1, 1), SET(AT_ESTABLISHED, IPPROTO_TCP, TCP_QUICKACK))                                            \
    X(DEFER_ACCEPT, "defer_accept", SONDE_FOR_LISTEN, "duration",                                                      \
      "accept once data has come, or so long has passed (TCP_DEFER_ACCEPT)",                                           \
      "defer_accept takes a duration of whole seconds from 1s to 1h", VALUE(DURATION, SECOND, 3600 * SECOND, SECOND),  \
      SET_IN(SECOND, AT_LISTEN, IPPROTO_TCP, TCP_DEFER_ACCEPT))                                                        \
    X(FASTOPEN, "fastopen", BOTH, "count", "TCP Fast Open: the queue's length to listen, 1 to connect",                \
      "fastopen takes a whole number from 0 to 65535", VALUE(COUNT, 0, 65535, 1),                                      \
      SET_TWO(TCP_FASTOPEN, TCP_FASTOPEN_CONNECT))                                                                     \
    X(MPTCP, "mptcp", BOTH, "0|1", "Multipath TCP (RFC 8684)", "mptcp takes 0 or 1", VALUE(FLAG, 0, 1, 1), ELSEWHERE)  \
    X(DEVICE, "device", ALSO_UDP, "name", "use this network interface alone (SO_BINDTODEVICE)",                        \
      "device takes the name of a network interface, as in device=eth0, of at most 15 letters", TEXT(DEVICE),          \
      SET_AS(TEXT, SOL_SOCKET, SO_BINDTODEVICE))                                                                       \
    X(MARK, "mark", ALSO_UDP, "number", "mark for routing and filters (SO_MARK), 0x allowed",                          \
      "mark takes a number from 0 to 0xffffffff", VALUE(HEX, 0, UINT32_MAX, 1), SET(AT_START, SOL_SOCKET, SO_MARK))    \
    X(PROXY, "proxy", BOTH | SONDE_FOR_UNIX, "in|v1|v2",                                                               \
      "the PROXY protocol's header: wait for it (in), or send one (v1, v2)",                                           \
      "proxy takes in, to listen, and v1 or v2, to connect", TEXT(PROXY), ELSEWHERE)                                   \
    X(JOIN, "join", SONDE_FOR_LISTEN | ONLY_UDP, "1|group",                                                            \
      "join a multicast group: GROUP, GROUP%INTERFACE, or 1 for the address itself (IP_ADD_MEMBERSHIP)",               \
      "join takes 1, or a group's address, as in join=239.1.2.3 or join=239.1.2.3%eth0", TEXT(GROUP), ELSEWHERE)       \
    X(LOOP, "loop", BOTH | ONLY_UDP, "0|1", "let this machine hear what it sends to a group (IP_MULTICAST_LOOP)",      \
      "loop takes 0 or 1", VALUE(FLAG, 0, 1, 1), SET_IP(1, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP))                    \
    X(BROADCAST, "broadcast", BOTH | ONLY_UDP, "0|1", "allow sending to everybody (SO_BROADCAST)",                     \
      "broadcast takes 0 or 1", VALUE(FLAG, 0, 1, 1), SET(AT_START, SOL_SOCKET, SO_BROADCAST))

static const struct sonde_option_description descriptions[SONDE_N_OPTIONS] = {
#define DESCRIPTION(option, name_, where_, values_, help_, right_, value, set)                                         \
    [SONDE_OPT_##option] = {.name = name_, .where = (where_), .values = values_, .help = help_},
    OPTIONS(DESCRIPTION)
#undef DESCRIPTION
};

static const struct sockopt_rule rules[SONDE_N_OPTIONS] = {
#define RULE(option, name_, where_, values_, help_, right_, value, set)                                                \
    [SONDE_OPT_##option] = {.right = right_, value, set},
    OPTIONS(RULE)
#undef RULE
};

const struct sonde_option_description *sonde_url_options(void)
{
    return descriptions;
}

/* --- from the URL's text ---------------------------------------------------------------------------------------- */

/* Names of interfaces and congestion controls: what the kernel would take, and a terminal would not obey. */
static int check_name(const struct sonde_option_value *value, size_t n_bytes, enum value_kind kind)
{
    if (n_bytes == 0 || n_bytes > 15 || strcmp(value->text, ".") == 0 || strcmp(value->text, "..") == 0)
        return -EINVAL;
    for (size_t i = 0; i < n_bytes; i++) {
        char byte = value->text[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '/' || (kind == VALUE_DEVICE && byte == ':'))
            return -EINVAL;
    }
    return 0;
}

static int check_local(struct sonde_option_value *value, size_t n_bytes)
{
    struct address_parts parts;
    const char *hint;

    if (address_split(value->text, n_bytes, &parts, &hint) < 0 || parts.kind == ADDRESS_NAME)
        return -EINVAL;
    if (parts.kind == ADDRESS_NONE && !parts.has_port)
        return -EINVAL;
    value->number = parts.port;
    return 0;
}

static int check_proxy(struct sonde_option_value *value)
{
    static const char *const words[] = {"in", "v1", "v2"};

    for (int i = 0; i < 3; i++)
        if (strcmp(value->text, words[i]) == 0) {
            value->number = i;
            return 0;
        }
    return -EINVAL;
}

/* "1", GROUP or GROUP%INTERFACE; the interface is looked for later. The sign may be written %25 as well. */
static int check_group(char *text)
{
    struct sonde_address group;
    char host[sizeof((struct sonde_option_value *)NULL)->text];
    size_t n = strcspn(text, "%");

    if (strcmp(text, "1") == 0)
        return 0;
    if (strncmp(text + n, "%25", 3) == 0 && text[n + 3] != '\0')
        memmove(text + n + 1, text + n + 3, strlen(text + n + 3) + 1);
    memcpy(host, text, n);
    host[n] = '\0';
    if (address_parse_numeric(host, AF_UNSPEC, &group) < 0 || !address_is_multicast(&group))
        return -EINVAL;
    return text[n] == '\0' || text[n + 1] != '\0' ? 0 : -EINVAL;
}

static int check_range(const struct sockopt_rule *rule, int64_t number)
{
    return number >= rule->minimum && number <= rule->maximum && number % rule->unit == 0 ? 0 : -ERANGE;
}

/* value->text is there; check it, and fill in the number. */
static int check_value(const struct sockopt_rule *rule, struct sonde_option_value *value, size_t n_bytes)
{
    uint64_t number = 0;
    int error = 0;

    switch (rule->kind) {
    case VALUE_FLAG:
        error = parse_number(value->text, n_bytes, false, 1, &number);
        value->number = (int64_t)number;
        return error;
    case VALUE_COUNT:
        error = parse_count(value->text, n_bytes, &value->number);
        break;
    case VALUE_SIZE:
        error = parse_size(value->text, n_bytes, &value->number);
        break;
    case VALUE_KEEPALIVE:
        /* 1 is "on", with the system's idle time; a second is 1s. */
        if (parse_number(value->text, n_bytes, false, 1, &number) == 0) {
            value->number = (int64_t)number;
            return 0;
        }
        error = parse_duration(value->text, n_bytes, &value->number);
        break;
    case VALUE_DURATION:
        error = parse_duration(value->text, n_bytes, &value->number);
        break;
    case VALUE_HEX:
        error = parse_number(value->text, n_bytes, true, (uint64_t)rule->maximum, &number);
        value->number = (int64_t)number;
        break;
    case VALUE_CC:
    case VALUE_DEVICE:
        return check_name(value, n_bytes, rule->kind);
    case VALUE_LOCAL:
        return check_local(value, n_bytes);
    case VALUE_PROXY:
        return check_proxy(value);
    case VALUE_GROUP:
        return check_group(value->text);
    }
    return error < 0 ? error : check_range(rule, value->number);
}

/* How many letters must be changed, put in or left out to make one name of the other. Names are short. */
static unsigned edit_distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    unsigned row[32];

    for (size_t j = 0; j <= n_b; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n_a; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n_b; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned leave = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < leave ? change : leave;
        }
    }
    return row[n_b];
}

/* Is this name what they may have meant? */
static bool is_close(const char *text, size_t n_bytes, const char *name)
{
    size_t n_name = strlen(name);

    if (text == NULL || n_bytes < 2 || n_bytes > 24 || n_name >= 32)
        return false;
    if (n_bytes > 2 && (memmem(name, n_name, text, n_bytes) != NULL || memmem(text, n_bytes, name, n_name) != NULL))
        return true;
    return edit_distance(text, n_bytes, name, n_name) <= (n_bytes < 5 ? 1u : 2u);
}

static int refuse_unknown(const char *text, size_t n_bytes, size_t n_name, struct sonde_why *ret_why)
{
    char detail[192];
    bool likely[SONDE_N_OPTIONS], any = false;

    for (unsigned i = 0; i < SONDE_N_OPTIONS; i++) {
        likely[i] = is_close(text, n_name, descriptions[i].name);
        any = any || likely[i];
    }
    int n = snprintf(detail, sizeof detail, "%s", any ? "did you mean" : "the options are");
    const char *between = " ";
    for (unsigned i = 0; i < SONDE_N_OPTIONS; i++)
        if ((likely[i] || !any) && (size_t)n < sizeof detail) {
            n += snprintf(detail + n, sizeof detail - (size_t)n, "%s%s", between, descriptions[i].name);
            between = any ? " or " : ", ";
        }
    if (any && (size_t)n < sizeof detail)
        snprintf(detail + n, sizeof detail - (size_t)n, "?");
    return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, detail);
}

/* The value as it is meant: percent-encoding undone, no NUL and no other control character. */
static int take_text(const struct sockopt_rule *rule, const char *text, size_t n_bytes,
                     struct sonde_option_value *value, size_t *ret_n_bytes, const char **ret_hint)
{
    size_t n = 0;
    int error = 0;

    if (rule->kind == VALUE_GROUP || (rule->kind == VALUE_LOCAL && memchr(text, '[', n_bytes) != NULL)) {
        /* Brackets that are not encoded: nothing is, and the percent sign begins a zone; so it does in a group. */
        n = n_bytes < sizeof value->text ? n_bytes : 0;
        error = n_bytes < sizeof value->text ? 0 : -ERANGE;
        memcpy(value->text, text, n);
    } else {
        error = parse_percent(text, n_bytes, value->text, sizeof value->text - 1, &n);
    }
    if (error == -ERANGE) {
        *ret_hint = "an option's value has at most 63 bytes";
        return error;
    }
    if (error < 0) {
        *ret_hint = "behind a percent sign stand two hexadecimal digits; the sign itself is %25";
        return error;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value->text[i] < 0x20 || value->text[i] == 0x7f) {
            *ret_hint = "an option's value has no control characters";
            return -EINVAL;
        }
    value->text[n] = '\0';
    *ret_n_bytes = n;
    return 0;
}

static int find_option(const char *name, size_t n_bytes)
{
    for (int i = 0; i < SONDE_N_OPTIONS; i++)
        if (strlen(descriptions[i].name) == n_bytes && memcmp(descriptions[i].name, name, n_bytes) == 0)
            return i;
    return -1;
}

/* Why the option does nothing on such an address; NULL: it does. */
static const char *misplaced_hint(enum sonde_scheme scheme, enum sonde_option option)
{
    unsigned where = descriptions[option].where;

    switch (scheme) {
    case SONDE_SCHEME_UDP:
        return where & SONDE_FOR_UDP ? NULL
                                     : "this option is for TCP; datagrams have no connection that it could be about";
    case SONDE_SCHEME_SCTP:
        return option == SONDE_OPT_BACKLOG || ((where & SONDE_FOR_UDP) && !(where & SONDE_NOT_TCP))
                   ? NULL
                   : "this option is not for sctp:// addresses";
    case SONDE_SCHEME_UNIXGRAM:
        return option == SONDE_OPT_SNDBUF ? NULL : "the only option of unixgram: addresses is sndbuf";
    case SONDE_SCHEME_SEQPACKET:
        return option == SONDE_OPT_SNDBUF || option == SONDE_OPT_BACKLOG
                   ? NULL
                   : "the options of seqpacket: addresses are backlog and sndbuf";
    case SONDE_SCHEME_VSOCK:
        return option == SONDE_OPT_BACKLOG ? NULL : "the only option of vsock:// addresses is backlog";
    default:
        return where & SONDE_NOT_TCP ? "this option is for udp:// addresses" : NULL;
    }
}

int sockopt_parse(struct sonde_url *url, const char *text, size_t n_bytes, struct sonde_why *ret_why)
{
    struct sonde_option_value value = {.number = 0};
    const char *equals = memchr(text, '=', n_bytes), *hint = NULL;
    size_t n_name = equals != NULL ? (size_t)(equals - text) : n_bytes, n_value = 1;

    if (n_name == 0)
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, "an option is written name=value");
    int option = find_option(text, n_name);
    if (option < 0)
        return refuse_unknown(text, n_bytes, n_name, ret_why);
    if (sockopt_is_set(url, (enum sonde_option)option))
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, "the option is given twice");
    const char *misplaced = misplaced_hint(url->scheme, (enum sonde_option)option);
    if (misplaced != NULL)
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, misplaced);
    if (url->scheme == SONDE_SCHEME_UNIX && (descriptions[option].where & SONDE_FOR_UNIX) == 0)
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes,
                            "this option is for TCP; those of unix: addresses are backlog, sndbuf and proxy");
    if (url->scheme == SONDE_SCHEME_FD && (option == SONDE_OPT_BIND || option == SONDE_OPT_MPTCP))
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes,
                            "this was decided when the socket was made; an fd:// address can't change it");

    const struct sockopt_rule *rule = &rules[option];
    if (equals != NULL) {
        if (take_text(rule, equals + 1, n_bytes - n_name - 1, &value, &n_value, &hint) < 0)
            return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, hint);
    } else if (rule->kind == VALUE_FLAG || rule->kind == VALUE_KEEPALIVE) {
        memcpy(value.text, "1", 2);
    } else {
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, rule->right);
    }
    if (check_value(rule, &value, n_value) < 0)
        return parse_refuse(ret_why, -SONDE_EOPTION, text, n_bytes, rule->right);
    url->option[option] = value;
    url->n_set |= 1u << option;
    return 0;
}

static int refuse_option(const struct sonde_url *url, enum sonde_option option, const char *hint,
                         struct sonde_why *ret_why)
{
    char subject[96];
    int n = snprintf(subject, sizeof subject, "%s=%s", descriptions[option].name, url->option[option].text);

    return parse_refuse(ret_why, -SONDE_EOPTION, subject, (size_t)n, hint);
}

int sockopt_check(const struct sonde_url *url, unsigned where, struct sonde_why *ret_why)
{
    for (enum sonde_option option = 0; option < SONDE_N_OPTIONS; option++) {
        if (!sockopt_is_set(url, option) || (descriptions[option].where & where) != 0)
            continue;
        if (option == SONDE_OPT_BIND)
            return refuse_option(url, option, "bind is for connecting; a listener's address is the URL itself",
                                 ret_why);
        return refuse_option(url, option,
                             where == SONDE_FOR_LISTEN ? "this option is for connecting; it does nothing for a listener"
                                                       : "this option is for listening; it does nothing for connect",
                             ret_why);
    }
    if (where == SONDE_FOR_CONNECT && sockopt_is_set(url, SONDE_OPT_FASTOPEN) &&
        url->option[SONDE_OPT_FASTOPEN].number > 1)
        return refuse_option(url, SONDE_OPT_FASTOPEN, "to connect, fastopen takes 0 or 1", ret_why);
    if (sockopt_is_set(url, SONDE_OPT_PROXY) &&
        (url->option[SONDE_OPT_PROXY].number == 0) != (where == SONDE_FOR_LISTEN))
        return refuse_option(url, SONDE_OPT_PROXY,
                             where == SONDE_FOR_LISTEN ? "to listen, proxy takes in: v1 and v2 are what is sent"
                                                       : "to connect, proxy takes v1 or v2: in is for listening",
                             ret_why);
    return 0;
}

int sockopt_check_family(const struct sonde_url *url, int family, struct sonde_why *ret_why)
{
    if (sockopt_is_set(url, SONDE_OPT_BIND))
        return refuse_option(url, SONDE_OPT_BIND, "the socket is connected already, and has its local address",
                             ret_why);
    for (enum sonde_option option = 0; option < SONDE_N_OPTIONS; option++)
        if (family == AF_UNIX && sockopt_is_set(url, option) && (descriptions[option].where & SONDE_FOR_UNIX) == 0)
            return refuse_option(url, option, "this option is for TCP, and the socket is a UNIX socket", ret_why);
    return 0;
}

/* --- to the socket ---------------------------------------------------------------------------------------------- */

/* Why kernels refuse, and what to try. The first row that fits; option SONDE_N_OPTIONS fits any. */
static const struct {
    enum sonde_option option;
    int error;
    const char *hint;
} refusals[] = {
    {SONDE_OPT_MARK, -EPERM,
     "a mark needs the capability CAP_NET_ADMIN (or CAP_NET_RAW, from Linux 5.17): try as root"},
    {SONDE_OPT_DEVICE, -ENODEV, "there is no such network interface; 'ip link' lists them"},
    {SONDE_OPT_DEVICE, -EPERM, "choosing the interface needs the capability CAP_NET_RAW here: try as root"},
    {SONDE_OPT_CC, -ENOENT,
     "this kernel has no such congestion control; 'sysctl net.ipv4.tcp_available_congestion_control' lists what it "
     "has"},
    {SONDE_OPT_CC, -EPERM,
     "only root may choose it; 'sysctl net.ipv4.tcp_allowed_congestion_control' lists what everybody may"},
    {SONDE_OPT_FASTOPEN, -EOPNOTSUPP,
     "it is switched off; in 'sysctl net.ipv4.tcp_fastopen', 1 is for connecting, 2 for listening, 3 for both"},
    {SONDE_N_OPTIONS, -ENOPROTOOPT, "this kernel does not know the option for this kind of socket: leave it out"},
    {SONDE_N_OPTIONS, -EOPNOTSUPP, "this kind of socket does not take the option: leave it out"},
};

static int explain(enum sonde_option option, const char *text, bool is_default, int error, struct sonde_why *ret_why)
{
    /* What nobody asked for must not stand in the way: MPTCP sockets, for one, do not know every option of TCP. */
    if (is_default && (error == -EOPNOTSUPP || error == -ENOPROTOOPT))
        return 0;
    if (ret_why == NULL)
        return error;

    char subject[sizeof ret_why->subject];
    int n = snprintf(subject, sizeof subject, "%s=%s", descriptions[option].name, text);
    const char *hint = "";
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if ((refusals[i].option == option || refusals[i].option == SONDE_N_OPTIONS) && refusals[i].error == error) {
            hint = refusals[i].hint;
            break;
        }
    parse_refuse(ret_why, error, subject, (size_t)n, hint);
    ret_why->call = "setsockopt";
    return error;
}

/* Where the values go: one socket, and the function that sets. */
struct target {
    int fd, family;
    enum sockopt_moment moment;
    sockopt_set set;
    void *user;
};

static int set_int(const struct target *to, struct set_name at, int64_t number)
{
    /* SO_MARK is the one that uses all 32 bits, and it is read as unsigned: the bits are what counts. */
    int value = (int)(uint32_t)number;

    return to->set(to->user, to->fd, at.level, at.name, &value, sizeof value);
}

static int set_option(const struct target *to, const struct sockopt_rule *rule, const struct sonde_option_value *value)
{
    struct set_name at = to->moment == SOCKOPT_LISTEN ? rule->at_listen : rule->at_connect;

    if (to->family == AF_INET6 && rule->on_ipv6.level != 0)
        at = rule->on_ipv6;
    switch (rule->form) {
    case SET_ELSEWHERE:
        return 0;
    case SET_INT:
        return set_int(to, at, value->number / rule->divisor * rule->factor);
    case SET_KEEPALIVE: {
        int error = set_int(to, at, value->number != 0);
        if (error < 0 || value->number <= 1)
            return error;
        return set_int(to, (struct set_name){IPPROTO_TCP, TCP_KEEPIDLE}, value->number / SECOND);
    }
    case SET_LINGER: {
        struct linger linger = {.l_onoff = 1, .l_linger = (int)value->number};
        return to->set(to->user, to->fd, at.level, at.name, &linger, sizeof linger);
    }
    case SET_TEXT:
        return to->set(to->user, to->fd, at.level, at.name, value->text, (socklen_t)strlen(value->text));
    }
    return 0;
}

/* An IPv6 socket that is given ::ffff:192.0.2.1 sends IPv4, with the header fields of its IPv4 side. */
static bool sends_ipv4(const struct sonde_url *url, int family)
{
    struct sonde_address address;

    return family == AF_INET6 && address_parse_numeric(url->host, AF_INET6, &address) == 0 &&
           IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address.u.ip);
}

int sockopt_apply(const struct sonde_url *url, enum sockopt_moment moment, int fd, int family, sockopt_set set,
                  void *user, struct sonde_why *ret_why)
{
    static const struct sonde_option_value nodelay_default = {.number = 1, .text = "1"};
    struct target to = {.fd = fd, .family = family, .moment = moment, .set = set, .user = user};

    for (enum sonde_option option = 0; option < SONDE_N_OPTIONS; option++) {
        const struct sockopt_rule *rule = &rules[option];
        const struct sonde_option_value *value = &url->option[option];
        bool is_default = false;

        if ((rule->moments & (1u << moment)) == 0)
            continue;
        if (!sockopt_is_set(url, option)) {
            if (option != SONDE_OPT_NODELAY || (family != AF_INET && family != AF_INET6) ||
                url->scheme == SONDE_SCHEME_UDP || url->scheme == SONDE_SCHEME_SCTP)
                continue;
            is_default = true;
            value = &nodelay_default;
        }
        int error = set_option(&to, rule, value);
        if (error == 0 && rule->on_ipv6.level != 0 && sends_ipv4(url, family)) {
            struct target ipv4 = to;
            ipv4.family = AF_INET;
            error = set_option(&ipv4, rule, value);
        }
        if (error < 0)
            error = explain(option, value->text, is_default, error, ret_why);
        if (error < 0)
            return error;
    }
    return 0;
}
