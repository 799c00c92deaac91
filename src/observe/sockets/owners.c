/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * /proc/PID/fd has a link for each descriptor; those of sockets read "socket:[INODE]". All of them are read, since
 * nothing but the link says what a descriptor is. Names are made by hand and the calls are the bare ones: reading a
 * link costs the kernel a few microseconds, everything around it should cost little.
 *
 * Holders stand in blocks, which never move, and are found through an open hash that is kept at most half full. A
 * search fills a new set, which takes the old one's place when it is complete.
 */
#include "observe/sockets/owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_HOLDERS 1024
#define FIRST_SLOTS 1024 /* a power of two */
#define NAMES_BYTES 32768

struct block {
    struct block *next;
    size_t n_holders;
    struct owner holder[BLOCK_HOLDERS];
};

struct slot {
    uint64_t inode; /* 0: empty */
    struct owner *first;
};

struct set {
    struct block *blocks;
    struct slot *slots;
    size_t n_slots, n_used;
    uint64_t n_refused;
};

struct owners {
    struct set set;
    _Alignas(8) char names[NAMES_BYTES]; /* of descriptors */
};

/* ---- the set */

static void set_clear(struct set *set)
{
    while (set->blocks != NULL) {
        struct block *next = set->blocks->next;
        free(set->blocks);
        set->blocks = next;
    }
    free(set->slots);
    *set = (struct set){0};
}

static size_t slot_of(const struct slot *slots, size_t n_slots, uint64_t inode)
{
    uint64_t hash = inode * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (n_slots - 1);

    while (slots[at].inode != 0 && slots[at].inode != inode)
        at = (at + 1) & (n_slots - 1);
    return at;
}

static int set_grow(struct set *set)
{
    size_t n_slots = set->n_slots > 0 ? set->n_slots * 2 : FIRST_SLOTS;
    struct slot *slots = calloc(n_slots, sizeof *slots);

    if (slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < set->n_slots; i++) {
        if (set->slots[i].inode != 0)
            slots[slot_of(slots, n_slots, set->slots[i].inode)] = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->n_slots = n_slots;
    return 0;
}

static struct owner *set_new_holder(struct set *set)
{
    if (set->blocks == NULL || set->blocks->n_holders == BLOCK_HOLDERS) {
        struct block *block = malloc(sizeof *block);
        if (block == NULL)
            return NULL;
        block->next = set->blocks;
        block->n_holders = 0;
        set->blocks = block;
    }
    return &set->blocks->holder[set->blocks->n_holders++];
}

static int set_add(struct set *set, uint64_t inode, int32_t pid, int32_t fd, const char *program)
{
    if (set->n_used * 2 >= set->n_slots && set_grow(set) < 0)
        return -ENOMEM;
    struct owner *holder = set_new_holder(set);
    if (holder == NULL)
        return -ENOMEM;
    struct slot *slot = &set->slots[slot_of(set->slots, set->n_slots, inode)];
    holder->pid = pid;
    holder->fd = fd;
    memcpy(holder->program, program, OWNER_NAME_MAX);
    holder->next = slot->first;
    set->n_used += slot->inode == 0;
    slot->inode = inode;
    slot->first = holder;
    return 0;
}

/* ---- /proc */

/* getdents64's record; the name is behind it. */
struct record {
    uint64_t inode;
    int64_t offset;
    uint16_t n_bytes;
    uint8_t type;
    char name[];
};

/* A name of digits alone; -1: it is none. */
static int32_t number_of(const char *name)
{
    int64_t number = 0;

    if (*name == '\0')
        return -1;
    for (; *name != '\0'; name++) {
        if (*name < '0' || *name > '9')
            return -1;
        number = number * 10 + (*name - '0');
        if (number > INT32_MAX)
            return -1;
    }
    return (int32_t)number;
}

/* The inode of "socket:[4711]"; 0: it is something else. */
static uint64_t inode_of(const char *link, size_t n_link)
{
    static const char prefix[] = "socket:[";
    const size_t n_prefix = sizeof prefix - 1;
    uint64_t inode = 0;

    if (n_link < n_prefix + 2 || memcmp(link, prefix, n_prefix) != 0 || link[n_link - 1] != ']')
        return 0;
    for (size_t i = n_prefix; i < n_link - 1; i++) {
        if (link[i] < '0' || link[i] > '9')
            return 0;
        inode = inode * 10 + (uint64_t)(link[i] - '0');
    }
    return inode;
}

/* comm of a process, without its newline. What cannot be read is "?". */
static void read_program(int proc, const char *pid, char ret_program[OWNER_NAME_MAX])
{
    char path[32], text[OWNER_NAME_MAX + 1];

    memset(ret_program, 0, OWNER_NAME_MAX);
    snprintf(path, sizeof path, "%s/comm", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0)
        memcpy(ret_program, text, n < OWNER_NAME_MAX ? (size_t)n : OWNER_NAME_MAX - 1);
    else
        ret_program[0] = '?';
}

struct process {
    struct set *set;
    int proc, folder; /* /proc, and its own fd/ */
    const char *name;
    int32_t pid;
    bool has_program;
    char program[OWNER_NAME_MAX];
};

/* One descriptor. It may be gone by now, which is no error. */
static int look_at(struct process *process, const char *name)
{
    char link[64];
    int32_t fd = number_of(name);
    ssize_t n = fd >= 0 ? readlinkat(process->folder, name, link, sizeof link) : -1;
    uint64_t inode = n > 0 ? inode_of(link, (size_t)n) : 0;

    if (n < 0 && fd >= 0 && errno == EACCES)
        return -EACCES;
    if (inode == 0)
        return 0;
    if (!process->has_program) {
        read_program(process->proc, process->name, process->program);
        process->has_program = true;
    }
    return set_add(process->set, inode, process->pid, fd, process->program);
}

static int look_at_all(struct owners *owners, struct process *process)
{
    for (;;) {
        long n = syscall(SYS_getdents64, process->folder, owners->names, sizeof owners->names);
        if (n <= 0) /* an error: the process has gone */
            return 0;
        for (long at = 0; at < n;) {
            const struct record *record = (const void *)(owners->names + at);
            int error = look_at(process, record->name);
            if (error < 0)
                return error;
            at += record->n_bytes;
        }
    }
}

static int look_into(struct owners *owners, struct set *set, int proc, const char *name)
{
    struct process process = {.set = set, .proc = proc, .name = name, .pid = number_of(name)};
    char path[32];
    int error = 0;

    snprintf(path, sizeof path, "%s/fd", name);
    process.folder = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process.folder < 0)
        error = -errno;
    if (error == 0) {
        error = look_at_all(owners, &process);
        close(process.folder);
    }
    if (error == -EACCES || error == -EPERM) {
        set->n_refused++;
        return 0;
    }
    return error == -ENOENT || error == -ESRCH ? 0 : error;
}

static int look_into_all(struct owners *owners, struct set *set, int proc)
{
    _Alignas(8) char names[4096];

    for (;;) {
        long n = syscall(SYS_getdents64, proc, names, sizeof names);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        for (long at = 0; at < n;) {
            const struct record *record = (const void *)(names + at);
            int error = number_of(record->name) > 0 ? look_into(owners, set, proc, record->name) : 0;
            if (error < 0)
                return error;
            at += record->n_bytes;
        }
    }
}

static int refresh(struct owners *owners, const int32_t *pids, size_t n_pids)
{
    struct set set = {0};
    char name[16];
    int error = 0;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (proc < 0)
        return -errno;
    if (pids == NULL)
        error = look_into_all(owners, &set, proc);
    for (size_t i = 0; pids != NULL && i < n_pids && error == 0; i++) {
        snprintf(name, sizeof name, "%d", (int)pids[i]);
        if (pids[i] > 0)
            error = look_into(owners, &set, proc, name);
    }
    close(proc);
    if (error < 0) {
        set_clear(&set);
        return error;
    }
    set_clear(&owners->set);
    owners->set = set;
    return 0;
}

/* ---- for others */

struct owners *owners_new(void)
{
    struct owners *owners = malloc(sizeof *owners);

    if (owners != NULL)
        owners->set = (struct set){0};
    return owners;
}

void owners_free(struct owners *owners)
{
    if (owners != NULL)
        set_clear(&owners->set);
    free(owners);
}

int owners_refresh(struct owners *owners)
{
    return refresh(owners, NULL, 0);
}

int owners_refresh_some(struct owners *owners, const int32_t *pids, size_t n_pids)
{
    static const int32_t nobody;

    return refresh(owners, pids != NULL ? pids : &nobody, n_pids);
}

const struct owner *owners_find(const struct owners *owners, uint64_t inode)
{
    const struct set *set = &owners->set;

    if (inode == 0 || set->n_slots == 0)
        return NULL;
    return set->slots[slot_of(set->slots, set->n_slots, inode)].first;
}

uint64_t owners_n_refused(const struct owners *owners)
{
    return owners->set.n_refused;
}
