/* SPDX-License-Identifier: MIT */
/*
 * Settings (sysctl): one by name, and those of this machine that are to hold at both ends too. They are read before the
 * namespaces are made. Each is compared with what the new namespace has from the kernel, and written where it differs.
 */
#include "wire/wire_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_SYS "/proc/sys/"
#define PATH_BYTES 192
#define INHERITED_MAX 256

/* Beside all of TCP's. */
static const char *const more[] = {
    "net/core/somaxconn",
    "net/core/optmem_max",
    "net/core/txrehash",
    "net/ipv4/icmp_msgs_burst",
    "net/ipv4/icmp_msgs_per_sec",
    "net/ipv4/icmp_ratelimit",
    "net/ipv4/icmp_ratemask",
    "net/ipv4/ip_default_ttl",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv4/ip_no_pmtu_disc",
    "net/ipv4/ip_nonlocal_bind",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ipfrag_time",
    "net/ipv4/udp_rmem_min",
    "net/ipv4/udp_wmem_min",
    "net/ipv6/bindv6only",
    "net/mptcp/enabled",
    "net/unix/max_dgram_qlen",
};

struct setting {
    char path[PATH_BYTES], value[WIRE_VALUE_MAX];
};

struct inherited {
    unsigned n;
    struct setting settings[INHERITED_MAX];
};

int sysctl_path(const char *name, char *ret_path, size_t size_bytes)
{
    /* As sysctl(8): the first separator says which they are. */
    const char *first = strpbrk(name, "./");
    bool dots = first && *first == '.';
    int n = snprintf(ret_path, size_bytes, "%s%s", PROC_SYS, name);
    if (n < 0 || (size_t)n >= size_bytes)
        return -EINVAL;
    for (char *at = ret_path + strlen(PROC_SYS); *at; at++) {
        if (dots && (*at == '.' || *at == '/'))
            *at = *at == '.' ? '/' : '.';
        else if (!isalnum((unsigned char)*at) && !strchr("_-./", *at))
            return -EINVAL;
    }
    if (strstr(ret_path, "/../") || strstr(ret_path, "//"))
        return -EINVAL;
    /* The others are the machine's. */
    return strncmp(ret_path, PROC_SYS "net/", strlen(PROC_SYS "net/")) == 0 ? 0 : -EPERM;
}

int sysctl_read(const char *path, char *ret_value, size_t size_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, ret_value, size_bytes - 1);
    int error = n < 0 ? -errno : 0;
    close(fd);
    if (error < 0)
        return error;
    while (n > 0 && ret_value[n - 1] == '\n')
        n--;
    ret_value[n] = '\0';
    return 0;
}

int sysctl_write(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* To write nothing does nothing: an empty value is an empty line. */
    const char *line = *value ? value : "\n";
    int error = write(fd, line, strlen(line)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static void remember(struct inherited *inherited, const char *path)
{
    if (inherited->n == INHERITED_MAX)
        return;
    struct setting *setting = &inherited->settings[inherited->n];
    struct stat status;
    int n = snprintf(setting->path, sizeof setting->path, "%s%s", PROC_SYS, path);
    if (n < 0 || (size_t)n >= sizeof setting->path || stat(setting->path, &status) < 0)
        return;
    if (!(status.st_mode & S_IWUSR))
        return; /* it says something, and cannot be set */
    if (sysctl_read(setting->path, setting->value, sizeof setting->value) == 0)
        inherited->n++;
}

struct inherited *inherited_read(void)
{
    struct inherited *inherited = calloc(1, sizeof *inherited);
    if (!inherited)
        return NULL;
    DIR *folder = opendir(PROC_SYS "net/ipv4");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[PATH_BYTES];
        int n = snprintf(path, sizeof path, "net/ipv4/%s", entry->d_name);
        bool is_secret = strcmp(entry->d_name, "tcp_fastopen_key") == 0;
        if (strncmp(entry->d_name, "tcp_", 4) == 0 && !is_secret && n > 0 && (size_t)n < sizeof path)
            remember(inherited, path);
    }
    if (folder)
        closedir(folder);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        remember(inherited, more[i]);
    return inherited;
}

void inherited_free(struct inherited *inherited)
{
    free(inherited);
}

static void say_missed(const char *path, char ret_missed[WIRE_MISSED_MAX])
{
    char name[PATH_BYTES];
    size_t n = strlen(ret_missed);
    snprintf(name, sizeof name, "%s", path + strlen(PROC_SYS));
    for (char *at = name; *at; at++) {
        if (*at == '/')
            *at = '.';
    }
    if (n + strlen(name) + 2 < WIRE_MISSED_MAX)
        snprintf(ret_missed + n, WIRE_MISSED_MAX - n, "%s%s", n ? " " : "", name);
}

void inherited_apply(struct inherited *inherited, const struct spaces *spaces, char ret_missed[WIRE_MISSED_MAX])
{
    if (spaces_enter(spaces, END_A) < 0)
        return;
    unsigned n = 0;
    for (unsigned i = 0; i < inherited->n; i++) {
        struct setting *setting = &inherited->settings[i];
        char value[WIRE_VALUE_MAX];
        /* What the namespace does not have is one for the whole machine. */
        if (sysctl_read(setting->path, value, sizeof value) < 0 || strcmp(value, setting->value) == 0)
            continue;
        if (sysctl_write(setting->path, setting->value) < 0)
            say_missed(setting->path, ret_missed);
        else
            inherited->settings[n++] = *setting;
    }
    /* The other end was made in the same way. */
    if (spaces_enter(spaces, END_B) == 0) {
        for (unsigned i = 0; i < n; i++)
            sysctl_write(inherited->settings[i].path, inherited->settings[i].value);
    }
    inherited->n = n;
    spaces_enter(spaces, WIRE_BETWEEN);
}
