/* SPDX-License-Identifier: MIT */
/* The kernel, looked at from outside: its sockets, counters and settings, at either end. */
#include "lab/lab_internal.h"
#include "term/translate.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNTERS_BYTES 32768
#define SETTING_BYTES 256
#define PATH_BYTES 256

/* ---- either end, or this machine where there is no wire */

int lab_socket(struct lab *lab, enum event_end end, int family, int type, int protocol)
{
    if (!lab->wire) {
        int fd = socket(family, type | SOCK_CLOEXEC, protocol);
        return fd < 0 ? -errno : fd;
    }
    pthread_mutex_lock(&lab->wire_lock);
    int fd = wire_socket(lab->wire, end, family, type, protocol);
    pthread_mutex_unlock(&lab->wire_lock);
    return fd;
}

static int open_at(struct lab *lab, enum event_end end, const char *path)
{
    if (!lab->wire) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    pthread_mutex_lock(&lab->wire_lock);
    int fd = wire_open(lab->wire, end, path);
    pthread_mutex_unlock(&lab->wire_lock);
    return fd;
}

static ssize_t read_at(struct lab *lab, enum event_end end, const char *path, char *ret_text, size_t size_bytes)
{
    size_t n_bytes = 0;
    int fd = open_at(lab, end, path);
    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = read(fd, ret_text + n_bytes, size_bytes - 1 - n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        n_bytes += (size_t)n;
    }
    close(fd);
    ret_text[n_bytes] = '\0';
    return (ssize_t)n_bytes;
}

/* ---- sockets */

struct wanted {
    uint16_t local_port, peer_port;
    bool listening; /* only listeners; else none of them */
    struct socket_info *sockets;
    unsigned n_max;
    int n;
};

static bool each_socket(const struct socket_info *socket, void *user)
{
    struct wanted *wanted = user;
    bool is_listening = socket->state == TCP_STATE_LISTEN;
    if ((wanted->local_port != 0 && socket->local.port != wanted->local_port) ||
        (wanted->peer_port != 0 && socket->peer.port != wanted->peer_port) || (wanted->listening && !is_listening) ||
        (wanted->peer_port != 0 && is_listening))
        return true;
    if ((unsigned)wanted->n < wanted->n_max)
        wanted->sockets[wanted->n] = *socket;
    wanted->n++;
    return true;
}

static int open_a(int family, int type, int protocol, void *user)
{
    return lab_socket(user, END_A, family, type, protocol);
}

static int open_b(int family, int type, int protocol, void *user)
{
    return lab_socket(user, END_B, family, type, protocol);
}

static int look(struct lab *lab, enum event_end end, struct wanted *wanted)
{
    struct sonde_why why;
    int result = 0;
    if (!lab->sockets[end])
        result = sockets_open_at(end == END_A ? open_a : open_b, lab, &lab->sockets[end], &why);
    /* 1: sockets changed meanwhile, and some may be missing or there twice: again. */
    for (int i = 0; i < 3; i++) {
        if (result < 0)
            return result;
        wanted->n = 0;
        result =
            sockets_dump(lab->sockets[end], SOCKETS_TCP,
                         SOCKETS_WITH_INFO | SOCKETS_WITH_MEMORY | SOCKETS_WITH_CONGESTION, NULL, each_socket, wanted);
        if (result == 0)
            break;
    }
    return result < 0 ? result : wanted->n;
}

int lab_sockets(struct lab *lab, enum event_end end, uint16_t local_port, uint16_t peer_port,
                struct socket_info *ret_sockets, unsigned n_max)
{
    struct wanted wanted = {.local_port = local_port, .peer_port = peer_port, .sockets = ret_sockets, .n_max = n_max};
    return look(lab, end, &wanted);
}

bool lab_socket_of(struct lab *lab, enum event_end end, uint16_t local_port, uint16_t peer_port,
                   struct socket_info *ret_socket)
{
    return lab_sockets(lab, end, local_port, peer_port, ret_socket, 1) > 0;
}

bool lab_listener_of(struct lab *lab, enum event_end end, uint16_t port, struct socket_info *ret_socket)
{
    struct wanted wanted = {.local_port = port, .listening = true, .sockets = ret_socket, .n_max = 1};
    return look(lab, end, &wanted) > 0;
}

void look_close(struct lab *lab)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        sockets_close(lab->sockets[end]);
        lab->sockets[end] = NULL;
    }
}

/* ---- counters */

/* The n-th word of a line, without the line's end. */
static const char *nth_word(const char *line, unsigned n, size_t *ret_length)
{
    for (;; n--) {
        line += strspn(line, " ");
        *ret_length = strcspn(line, " \n");
        if (*ret_length == 0)
            return NULL;
        if (n == 0)
            return line;
        line += *ret_length;
    }
}

/* Pairs of lines, "Tcp: name name" and "Tcp: 1 2". The name alone, or with its section before it ("UdpInErrors"). */
static bool find_counter(const char *text, const char *name, int64_t *ret_value)
{
    while (*text) {
        const char *values = strchr(text, '\n');
        if (!values)
            return false;
        values++;
        size_t n_section, n_word, n_name = strlen(name);
        const char *section = nth_word(text, 0, &n_section), *word;
        for (unsigned i = 1; section && (word = nth_word(text, i, &n_word)); i++) {
            bool alone = n_word == n_name && memcmp(word, name, n_name) == 0;
            bool both = n_section - 1 + n_word == n_name && memcmp(section, name, n_section - 1) == 0 &&
                        memcmp(word, name + n_section - 1, n_word) == 0;
            const char *value = alone || both ? nth_word(values, i, &n_word) : NULL;
            if (value) {
                *ret_value = strtoll(value, NULL, 10);
                return true;
            }
        }
        const char *next = strchr(values, '\n');
        if (!next)
            return false;
        text = next + 1;
    }
    return false;
}

int64_t lab_counter(struct lab *lab, enum event_end end, const char *name)
{
    static const char *const paths[] = {"/proc/net/netstat", "/proc/net/snmp"};
    int64_t value = -1;
    char *text = malloc(COUNTERS_BYTES);
    for (size_t i = 0; text && value < 0 && i < sizeof paths / sizeof paths[0]; i++) {
        if (read_at(lab, end, paths[i], text, COUNTERS_BYTES) > 0)
            find_counter(text, name, &value);
    }
    free(text);
    return value;
}

/* ---- settings */

/* "net.ipv4.tcp_rmem" as a path; dots in interfaces' names are not used here. */
static bool setting_path(const char *setting, char ret_path[PATH_BYTES])
{
    int n = snprintf(ret_path, PATH_BYTES, "/proc/sys/%s", setting);
    if (n < 0 || n >= PATH_BYTES)
        return false;
    for (char *c = ret_path + strlen("/proc/sys/"); *c; c++) {
        if (*c == '.')
            *c = '/';
    }
    return true;
}

/* Blanks between numbers become one space; none at the ends. */
static void tidy(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool blank = isspace((unsigned char)*from);
        if (blank && (to == text || to[-1] == ' '))
            continue;
        *to++ = blank ? ' ' : *from;
    }
    if (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static bool read_machine(const char *setting, char ret_text[SETTING_BYTES])
{
    char path[PATH_BYTES];
    if (!setting_path(setting, path))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, ret_text, SETTING_BYTES - 1);
    close(fd);
    if (n < 0)
        return false;
    ret_text[n] = '\0';
    tidy(ret_text);
    return true;
}

bool lab_setting_text(struct lab *lab, enum event_end end, const char *setting, char *ret_text, size_t size_bytes)
{
    char text[SETTING_BYTES];
    if (!lab->wire) {
        if (!read_machine(setting, text))
            return false;
    } else {
        pthread_mutex_lock(&lab->wire_lock);
        int error = wire_sysctl_get(lab->wire, end, setting, text, sizeof text);
        pthread_mutex_unlock(&lab->wire_lock);
        if (error < 0)
            return false;
        tidy(text);
    }
    snprintf(ret_text, size_bytes, "%s", text);
    return true;
}

int64_t lab_setting(struct lab *lab, enum event_end end, const char *setting)
{
    char text[SETTING_BYTES], *behind;
    if (!lab_setting_text(lab, end, setting, text, sizeof text))
        return -1;
    errno = 0;
    int64_t value = strtoll(text, &behind, 10);
    return errno != 0 || behind == text || *behind != '\0' ? -1 : value;
}

static void remember_set(struct report_setting *row, const char *value)
{
    for (unsigned i = 0; i < row->n_set; i++) {
        if (strcmp(row->set[i], value) == 0)
            return;
    }
    char *copy = row->n_set < REPORT_VALUES_MAX ? strdup(value) : NULL;
    if (copy)
        row->set[row->n_set++] = copy;
}

bool lab_set(struct lab *lab, enum event_end end, const char *setting, const char *value)
{
    if (!lab->wire)
        return false;
    pthread_mutex_lock(&lab->wire_lock);
    int error = wire_sysctl_set(lab->wire, end, setting, value);
    pthread_mutex_unlock(&lab->wire_lock);
    if (error < 0)
        return false;
    pthread_mutex_lock(&lab->lock);
    struct report_setting *row = report_setting(lab->report, setting);
    if (row)
        remember_set(row, value);
    pthread_mutex_unlock(&lab->lock);
    return true;
}

void settings_read(struct lab *lab)
{
    const char *const *wanted = lab->experiment->settings;
    for (size_t i = 0; wanted && wanted[i]; i++)
        report_setting(lab->report, wanted[i]);
    for (unsigned i = 0; i < lab->report->n_settings; i++) {
        struct report_setting *row = &lab->report->settings[i];
        char text[SETTING_BYTES];
        if (read_machine(row->name, text))
            row->machine = strdup(text);
        for (enum event_end end = END_A; end < N_ENDS; end++) {
            if (lab_setting_text(lab, end, row->name, text, sizeof text))
                row->end[end] = strdup(text);
        }
    }
}
