/* SPDX-License-Identifier: MIT */
/* Counters and settings of the network namespace, from /proc. */
#include "observe/sockets/sockets_internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 16384

/* Where a counter goes: group and name as /proc has them, and the member. */
static const struct counter {
    const char *group, *name;
    size_t offset;
} counters_known[] = {
#define COUNTER(group, name, member)                                                                                   \
    {                                                                                                                  \
        group, name, offsetof(struct socket_counters, member)                                                          \
    }
    COUNTER("TcpExt", "ListenOverflows", listen_overflows),
    COUNTER("TcpExt", "ListenDrops", listen_drops),
    COUNTER("TcpExt", "TCPReqQFullDoCookies", syn_queue_full_cookies),
    COUNTER("TcpExt", "TCPReqQFullDrop", syn_queue_full_drops),
    COUNTER("TcpExt", "TCPTimeWaitOverflow", time_wait_overflows),
    COUNTER("Tcp", "RetransSegs", retransmitted_segments),
    COUNTER("Tcp", "CurrEstab", established),
    COUNTER("Tcp", "AttemptFails", attempt_fails),
    COUNTER("Tcp", "OutRsts", resets_sent),
#undef COUNTER
};

/* A piece of text that is not NUL-terminated. */
struct piece {
    const char *text;
    size_t n_bytes;
};

static bool take_line(struct piece *rest, struct piece *ret_line)
{
    if (rest->n_bytes == 0)
        return false;
    const char *newline = memchr(rest->text, '\n', rest->n_bytes);
    size_t n = newline != NULL ? (size_t)(newline - rest->text) : rest->n_bytes;
    size_t n_taken = newline != NULL ? n + 1 : n;

    *ret_line = (struct piece){rest->text, n};
    rest->text += n_taken;
    rest->n_bytes -= n_taken;
    return true;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static bool take_word(struct piece *rest, struct piece *ret_word)
{
    while (rest->n_bytes > 0 && is_blank(*rest->text)) {
        rest->text++;
        rest->n_bytes--;
    }
    size_t n = 0;
    while (n < rest->n_bytes && !is_blank(rest->text[n]))
        n++;
    *ret_word = (struct piece){rest->text, n};
    rest->text += n;
    rest->n_bytes -= n;
    return n > 0;
}

static bool is_text(const struct piece *piece, const char *text)
{
    return piece->n_bytes == strlen(text) && memcmp(piece->text, text, piece->n_bytes) == 0;
}

/* Some counters are signed (CurrEstab may be written as -1): below 0 is 0. */
static bool read_number(const struct piece *word, uint64_t *ret_number)
{
    bool is_negative = word->n_bytes > 1 && word->text[0] == '-';
    uint64_t number = 0;

    if (word->n_bytes == 0)
        return false;
    for (size_t i = is_negative; i < word->n_bytes; i++) {
        uint64_t digit = (uint64_t)(word->text[i] - '0');
        if (word->text[i] < '0' || word->text[i] > '9' || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = is_negative ? 0 : number;
    return true;
}

static void keep_counter(const struct piece *group, const struct piece *name, uint64_t number,
                         struct socket_counters *counters)
{
    for (size_t i = 0; i < sizeof counters_known / sizeof counters_known[0]; i++) {
        const struct counter *known = &counters_known[i];
        if (is_text(name, known->name) && group->n_bytes == strlen(known->group) + 1 &&
            memcmp(group->text, known->group, group->n_bytes - 1) == 0)
            memcpy((char *)counters + known->offset, &number, sizeof number);
    }
}

/* "TcpExt: A B C" with "TcpExt: 1 2 3". */
static void read_pair(struct piece names, struct piece numbers, struct socket_counters *counters)
{
    struct piece group, same_group, name, word;
    uint64_t number;

    if (!take_word(&names, &group) || !take_word(&numbers, &same_group) || group.n_bytes != same_group.n_bytes ||
        memcmp(group.text, same_group.text, group.n_bytes) != 0 || group.text[group.n_bytes - 1] != ':')
        return;
    while (take_word(&names, &name) && take_word(&numbers, &word)) {
        if (read_number(&word, &number))
            keep_counter(&group, &name, number, counters);
    }
}

void counters_parse_pairs(const char *text, size_t n_bytes, struct socket_counters *counters)
{
    struct piece rest = {text, n_bytes}, names, numbers;

    while (take_line(&rest, &names) && take_line(&rest, &numbers))
        read_pair(names, numbers, counters);
}

void counters_parse_sockstat(const char *text, size_t n_bytes, struct socket_counters *counters)
{
    struct piece rest = {text, n_bytes}, line, name, word;
    uint64_t number;

    while (take_line(&rest, &line)) {
        if (!take_word(&line, &name) || !is_text(&name, "TCP:"))
            continue;
        while (take_word(&line, &name) && take_word(&line, &word)) {
            if (is_text(&name, "tw") && read_number(&word, &number))
                counters->n_time_wait = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
        }
    }
}

unsigned counters_parse_setting(const char *text, size_t n_bytes, uint64_t ret_numbers[2])
{
    struct piece rest = {text, n_bytes}, word;
    unsigned n = 0;

    while (n < 2 && take_word(&rest, &word) && read_number(&word, &ret_numbers[n]))
        n++;
    return n;
}

/* ---- files */

static size_t read_file(const char *path, char *ret_text, size_t size_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n_bytes = 0;
    ssize_t n = 1;

    while (fd >= 0 && n > 0 && n_bytes < size_bytes) {
        n = read(fd, ret_text + n_bytes, size_bytes - n_bytes);
        if (n > 0)
            n_bytes += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    return n_bytes;
}

/* The first number of a setting, at most maximum; 0: there is none. */
static uint64_t setting(const char *path, uint64_t maximum)
{
    char text[64];
    uint64_t numbers[2] = {0};

    counters_parse_setting(text, read_file(path, text, sizeof text), numbers);
    return numbers[0] < maximum ? numbers[0] : maximum;
}

static void read_settings(struct socket_counters *counters)
{
    char text[64];
    uint64_t range[2];
    size_t n = read_file("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof text);

    if (counters_parse_setting(text, n, range) == 2 && range[0] <= UINT16_MAX && range[1] <= UINT16_MAX) {
        counters->port_low = (uint16_t)range[0];
        counters->port_high = (uint16_t)range[1];
    }
    counters->time_wait_limit = (uint32_t)setting("/proc/sys/net/ipv4/tcp_max_tw_buckets", UINT32_MAX);
    counters->retries2 = (uint32_t)setting("/proc/sys/net/ipv4/tcp_retries2", UINT32_MAX);
    counters->syn_retries = (uint32_t)setting("/proc/sys/net/ipv4/tcp_syn_retries", UINT32_MAX);
    counters->synack_retries = (uint32_t)setting("/proc/sys/net/ipv4/tcp_synack_retries", UINT32_MAX);
    counters->somaxconn = (uint32_t)setting("/proc/sys/net/core/somaxconn", UINT32_MAX);
    counters->fin_timeout_ns = (int64_t)setting("/proc/sys/net/ipv4/tcp_fin_timeout", UINT32_MAX) * NS_PER_S;
}

void sockets_counters(struct socket_counters *ret_counters)
{
    char text[FILE_BYTES];

    *ret_counters = (struct socket_counters){0};
    counters_parse_pairs(text, read_file("/proc/net/netstat", text, sizeof text), ret_counters);
    counters_parse_pairs(text, read_file("/proc/net/snmp", text, sizeof text), ret_counters);
    counters_parse_sockstat(text, read_file("/proc/net/sockstat", text, sizeof text), ret_counters);
    read_settings(ret_counters);
}
