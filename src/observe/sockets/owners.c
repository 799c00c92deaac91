/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * /proc/PID/fd has a link for each descriptor; those of sockets read "socket:[INODE]". All of them are read, since
 * nothing but the link says what a descriptor is. That costs the kernel a few microseconds each, so names are made by
 * hand, calls are the bare ones, and the links of many processes are collected into a batch that several threads read
 * together. The threads end with the batch.
 *
 * Holders stand in blocks, which never move, and are found through an open hash that is kept at most half full. A
 * search fills a new set, which takes the old one's place when it is complete.
 */
#include "observe/sockets/owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_HOLDERS 1024
#define FIRST_SLOTS 1024 /* a power of two */
#define NAMES_BYTES 32768
#define BATCH_LINKS 4096
#define BATCH_FOLDERS 64      /* open at the same time */
#define LINKS_AT_ONCE 64      /* that a thread takes */
#define LINKS_FOR_THREADS 512 /* fewer are read sooner than a thread is made */
#define THREADS_MAX 8

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

/* A process whose descriptors are in the batch. */
struct folder {
    int fd; /* of /proc/PID/fd */
    int32_t pid;
    bool is_refused, has_program;
    char program[OWNER_NAME_MAX];
};

struct link {
    uint64_t inode; /* 0: no socket, or gone by now */
    int32_t fd;
    uint16_t folder;
    bool is_refused;
};

struct owners {
    struct set set;
    /* While searching: */
    int proc;
    size_t n_folders, n_links, n_threads;
    atomic_size_t next_link; /* nobody has taken it yet */
    struct folder folder[BATCH_FOLDERS];
    struct link link[BATCH_LINKS];
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
static void read_program(int proc, int32_t pid, char ret_program[OWNER_NAME_MAX])
{
    char path[32], text[OWNER_NAME_MAX + 1];

    memset(ret_program, 0, OWNER_NAME_MAX);
    snprintf(path, sizeof path, "%d/comm", (int)pid);
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

/* ---- reading a batch */

static void read_link(const struct owners *owners, struct link *link)
{
    char name[12], text[64];
    size_t at = sizeof name;
    uint32_t number = (uint32_t)link->fd;

    name[--at] = '\0';
    do {
        name[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    ssize_t n = readlinkat(owners->folder[link->folder].fd, name + at, text, sizeof text);
    link->inode = n > 0 ? inode_of(text, (size_t)n) : 0;
    link->is_refused = n < 0 && errno == EACCES;
}

static void *read_links(void *user)
{
    struct owners *owners = user;

    for (;;) {
        size_t from = atomic_fetch_add(&owners->next_link, LINKS_AT_ONCE), to = from + LINKS_AT_ONCE;
        if (from >= owners->n_links)
            return NULL;
        for (size_t i = from; i < to && i < owners->n_links; i++)
            read_link(owners, &owners->link[i]);
    }
}

/* By all threads together. Those that cannot be made are not missed. */
static void read_batch(struct owners *owners)
{
    pthread_t thread[THREADS_MAX];
    sigset_t all, before;
    size_t n = 0, n_wanted = owners->n_links >= LINKS_FOR_THREADS ? owners->n_threads : 0;

    atomic_store(&owners->next_link, 0);
    sigfillset(&all); /* signals are for the threads that wait for them */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (n < n_wanted && pthread_create(&thread[n], NULL, read_links, owners) == 0)
        n++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    read_links(owners);
    while (n > 0)
        pthread_join(thread[--n], NULL);
}

static int keep_batch(struct owners *owners, struct set *set)
{
    for (size_t i = 0; i < owners->n_links; i++) {
        const struct link *link = &owners->link[i];
        struct folder *folder = &owners->folder[link->folder];
        folder->is_refused |= link->is_refused;
        if (link->inode == 0)
            continue;
        if (!folder->has_program)
            read_program(owners->proc, folder->pid, folder->program);
        folder->has_program = true;
        if (set_add(set, link->inode, folder->pid, link->fd, folder->program) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Read what has been collected. The last folder may be wanted further: it becomes the first. */
static int end_batch(struct owners *owners, struct set *set, bool keep_last)
{
    read_batch(owners);
    int error = keep_batch(owners, set);
    size_t n_ended = owners->n_folders - keep_last;

    for (size_t i = 0; i < n_ended; i++) {
        set->n_refused += owners->folder[i].is_refused;
        close(owners->folder[i].fd);
    }
    if (keep_last)
        owners->folder[0] = owners->folder[n_ended];
    owners->n_folders = keep_last;
    owners->n_links = 0;
    return error;
}

/* ---- collecting */

/* All descriptors of the last folder. Behind an error the process has gone. */
static int collect_links(struct owners *owners, struct set *set)
{
    for (;;) {
        long n = syscall(SYS_getdents64, owners->folder[owners->n_folders - 1].fd, owners->names, sizeof owners->names);
        if (n <= 0)
            return 0;
        for (long at = 0; at < n;) {
            const struct record *record = (const void *)(owners->names + at);
            int32_t fd = number_of(record->name);
            at += record->n_bytes;
            if (fd < 0)
                continue;
            if (owners->n_links == BATCH_LINKS && end_batch(owners, set, true) < 0)
                return -ENOMEM;
            owners->link[owners->n_links++] = (struct link){.fd = fd, .folder = (uint16_t)(owners->n_folders - 1)};
        }
    }
}

static int look_into(struct owners *owners, struct set *set, int32_t pid)
{
    char path[32];

    if (owners->n_folders == BATCH_FOLDERS && end_batch(owners, set, false) < 0)
        return -ENOMEM;
    snprintf(path, sizeof path, "%d/fd", (int)pid);
    int fd = openat(owners->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && owners->n_folders > 0) {
        if (end_batch(owners, set, false) < 0)
            return -ENOMEM;
        fd = openat(owners->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        set->n_refused++;
        return 0;
    }
    if (fd < 0)
        return errno == ENOENT || errno == ESRCH ? 0 : -errno;
    owners->folder[owners->n_folders++] = (struct folder){.fd = fd, .pid = pid};
    return collect_links(owners, set);
}

static int look_into_all(struct owners *owners, struct set *set)
{
    _Alignas(8) char names[4096];

    for (;;) {
        long n = syscall(SYS_getdents64, owners->proc, names, sizeof names);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        for (long at = 0; at < n;) {
            const struct record *record = (const void *)(names + at);
            int32_t pid = number_of(record->name);
            int error = pid > 0 ? look_into(owners, set, pid) : 0;
            if (error < 0)
                return error;
            at += record->n_bytes;
        }
    }
}

/* This thread reads too. */
static size_t n_other_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n <= 1 ? 0 : n - 1 < THREADS_MAX ? (size_t)n - 1 : THREADS_MAX;
}

static int refresh(struct owners *owners, const int32_t *pids, size_t n_pids)
{
    struct set set = {0};
    int error = 0;

    owners->n_folders = owners->n_links = 0;
    owners->n_threads = n_other_threads();
    owners->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (owners->proc < 0)
        return -errno;
    if (pids == NULL)
        error = look_into_all(owners, &set);
    for (size_t i = 0; pids != NULL && i < n_pids && error == 0; i++)
        error = pids[i] > 0 ? look_into(owners, &set, pids[i]) : 0;
    int last_error = end_batch(owners, &set, false);
    close(owners->proc);
    if (error == 0)
        error = last_error;
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
