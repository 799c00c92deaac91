/* SPDX-License-Identifier: MIT */
/*
 * The tap: a ring of records in memory that the wire and its starter share. The wire alone moves the head, the starter
 * alone the tail; both only grow. A record never wraps: what is left at the end of the memory is skipped.
 *
 * The reader sleeps on an eventfd. It says so (is_waiting) after it has found nothing, and looks once more; the wire
 * writes to the eventfd only when somebody waits. So a wire of which the tap is read at leisure makes no calls for it.
 *
 * When there is no room the record is left out: the wire never waits for its reader.
 */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define TAP_BYTES_DEFAULT ((size_t)16 << 20)
#define TAP_BYTES_LEAST ((size_t)4 << 10)
#define TAP_BYTES_MOST ((size_t)1 << 30)
#define TAP_HEAD_BYTES ((size_t)4096)
#define RECORD_ALIGNMENT 8u

struct tap_shared {
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) _Atomic uint32_t is_waiting;
};

struct tap_record {
    uint32_t n_bytes; /* with this header */
    uint32_t is_skip; /* only these two members are there */
    uint64_t number;
    int64_t left_ns, arrived_ns;
    uint32_t n_wire, n_captured;
    uint8_t from, path, reason, corrupted, reordered, copy, own, twice;
};

uint64_t tap_round(size_t n_bytes)
{
    if (n_bytes == 0)
        n_bytes = TAP_BYTES_DEFAULT;
    uint64_t rounded = TAP_BYTES_LEAST;
    while (rounded < n_bytes && rounded < TAP_BYTES_MOST)
        rounded *= 2;
    return rounded;
}

int tap_map(struct tap *tap, int fd, uint64_t n_data, int wake, uint32_t snap_bytes)
{
    size_t n_mapped = TAP_HEAD_BYTES + n_data;
    void *memory = mmap(NULL, n_mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *tap = (struct tap){
        .shared = memory,
        .data = (uint8_t *)memory + TAP_HEAD_BYTES,
        .n_data = n_data,
        .n_mapped = n_mapped,
        .wake = wake,
        .snap_bytes = snap_bytes,
    };
    return 0;
}

int tap_make(struct tap *tap, uint64_t n_data, int *ret_fd)
{
    int fd = memfd_create("sonde-wire-tap", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = 0, wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0 || ftruncate(fd, (off_t)(TAP_HEAD_BYTES + n_data)) < 0)
        error = -errno;
    if (error == 0)
        error = tap_map(tap, fd, n_data, wake, 0);
    if (error < 0) {
        if (wake >= 0)
            close(wake);
        close(fd);
        return error;
    }
    atomic_store(&tap->shared->is_waiting, 1); /* nothing was looked for, so nothing was found */
    *ret_fd = fd;
    return 0;
}

void tap_unmap(struct tap *tap)
{
    if (!tap->shared)
        return;
    munmap(tap->shared, tap->n_mapped);
    close(tap->wake);
    tap->shared = NULL;
}

/* Where a record of so many bytes goes: NULL, there is no room. */
static struct tap_record *reserve(struct tap *tap, uint64_t n_bytes)
{
    uint64_t tail = atomic_load_explicit(&tap->shared->tail, memory_order_acquire);
    uint64_t offset = tap->at & (tap->n_data - 1), n_to_end = tap->n_data - offset;
    uint64_t n_skipped = n_to_end < n_bytes ? n_to_end : 0;
    if (n_bytes > tap->n_data || tap->at + n_skipped + n_bytes - tail > tap->n_data)
        return NULL;
    if (n_skipped) {
        struct tap_record *skip = (void *)(tap->data + offset);
        skip->n_bytes = (uint32_t)n_skipped;
        skip->is_skip = 1;
        tap->at += n_skipped;
    }
    return (void *)(tap->data + (tap->at & (tap->n_data - 1)));
}

bool tap_write(struct tap *tap, const struct wire_packet *packet)
{
    uint32_t n_captured = packet->n_wire < tap->snap_bytes ? packet->n_wire : tap->snap_bytes;
    uint64_t n_bytes = sizeof(struct tap_record) + n_captured;
    n_bytes = (n_bytes + RECORD_ALIGNMENT - 1) & ~(uint64_t)(RECORD_ALIGNMENT - 1);
    struct tap_record *record = reserve(tap, n_bytes);
    if (!record)
        return false;
    *record = (struct tap_record){
        .n_bytes = (uint32_t)n_bytes,
        .number = packet->number,
        .left_ns = packet->left_ns,
        .arrived_ns = packet->arrived_ns,
        .n_wire = packet->n_wire,
        .n_captured = n_captured,
        .from = packet->from,
        .path = packet->path,
        .reason = packet->reason,
        .corrupted = packet->corrupted,
        .reordered = packet->reordered,
        .copy = packet->copy,
        .own = packet->own,
        .twice = packet->twice,
    };
    memcpy(record + 1, packet->data, n_captured);
    tap->at += n_bytes;
    return true;
}

void tap_publish(struct tap *tap)
{
    if (!tap->shared || tap->at == atomic_load_explicit(&tap->shared->head, memory_order_relaxed))
        return;
    atomic_store(&tap->shared->head, tap->at);
    if (atomic_load(&tap->shared->is_waiting) && atomic_exchange(&tap->shared->is_waiting, 0)) {
        uint64_t one = 1;
        ssize_t n = write(tap->wake, &one, sizeof one);
        (void)n; /* it is readable already */
    }
}

/* Nothing is there: the eventfd is to become readable with the next. */
static bool wait_for_more(struct tap *tap)
{
    uint64_t sum;
    ssize_t n = read(tap->wake, &sum, sizeof sum);
    (void)n;
    atomic_store(&tap->shared->is_waiting, 1);
    return atomic_load(&tap->shared->head) == tap->at;
}

int tap_read(struct tap *tap, struct wire_packet *ret_packet)
{
    if (!tap->shared)
        return 0;
    if (tap->is_lent)
        atomic_store_explicit(&tap->shared->tail, tap->at, memory_order_release);
    tap->is_lent = false;
    for (;;) {
        if (atomic_load(&tap->shared->head) == tap->at && wait_for_more(tap))
            return 0;
        const struct tap_record *record = (const void *)(tap->data + (tap->at & (tap->n_data - 1)));
        tap->at += record->n_bytes;
        if (record->is_skip)
            continue;
        tap->is_lent = true;
        *ret_packet = (struct wire_packet){
            .number = record->number,
            .from = record->from,
            .path = record->path,
            .reason = record->reason,
            .own = record->own,
            .corrupted = record->corrupted,
            .reordered = record->reordered,
            .copy = record->copy,
            .twice = record->twice,
            .left_ns = record->left_ns,
            .arrived_ns = record->arrived_ns,
            .n_wire = record->n_wire,
            .n_captured = record->n_captured,
            .data = record + 1,
        };
        return 1;
    }
}
