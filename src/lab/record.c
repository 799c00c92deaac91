/* SPDX-License-Identifier: MIT */
/*
 * What happened, for the ladder: calls with their times, lives of descriptors, what the kernel said of them. Which
 * connection a call is about is decided when a ladder is drawn, by the addresses that its descriptor has had.
 */
#include "lab/lab_internal.h"
#include "observe/calls/calls.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Room for one more element, of at most n_max. False: there is none. */
static bool make_room(void **elements, size_t n, size_t *room, size_t n_max, size_t size_bytes)
{
    if (n < *room)
        return true;
    size_t more = *room ? 2 * *room : 64;
    if (more > n_max)
        more = n_max;
    void *moved = n < more ? reallocarray(*elements, more, size_bytes) : NULL;
    if (!moved)
        return false;
    *elements = moved;
    *room = more;
    return true;
}

static bool take_address(const struct sockaddr_storage *from, struct sonde_address *ret_address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const struct sockaddr_in *in = (const void *)from;
    const struct sockaddr_in6 *in6 = (const void *)from;
    struct sonde_address address = {.family = from->ss_family};
    if (from->ss_family == AF_INET) {
        address.port = ntohs(in->sin_port);
        memcpy(address.u.ip, &in->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        address.port = ntohs(in6->sin6_port);
        memcpy(address.u.ip, &in6->sin6_addr, 16);
        /* IPv4 through an IPv6 socket (RFC 4291, 2.5.5.2) is IPv4 on the wire. */
        if (memcmp(address.u.ip, mapped, sizeof mapped) == 0) {
            address.family = AF_INET;
            memmove(address.u.ip, address.u.ip + sizeof mapped, 4);
            memset(address.u.ip + 4, 0, 12);
        }
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

bool record_addresses(struct descriptor *descriptor)
{
    struct sockaddr_storage local = {0}, peer = {0};
    socklen_t n_local = sizeof local, n_peer = sizeof peer;
    struct sonde_address address;
    if (descriptor->closed || getsockname(descriptor->fd, (struct sockaddr *)&local, &n_local) < 0)
        return false;
    /* A socket that was reset has lost its addresses: what was known stays. */
    if (take_address(&local, &address) && address.port != 0)
        descriptor->local = address;
    if (getpeername(descriptor->fd, (struct sockaddr *)&peer, &n_peer) == 0 && take_address(&peer, &address))
        descriptor->peer = address;
    return true;
}

static void remember(struct record *record, int fd, size_t index)
{
    if ((size_t)fd >= record->n_fds) {
        size_t n_fds = 2 * ((size_t)fd + 32);
        size_t *of_fd = reallocarray(record->of_fd, n_fds, sizeof *of_fd);
        if (!of_fd)
            return;
        memset(of_fd + record->n_fds, 0, (n_fds - record->n_fds) * sizeof *of_fd);
        record->of_fd = of_fd;
        record->n_fds = n_fds;
    }
    record->of_fd[fd] = index + 1;
}

static size_t add_descriptor(struct lab *lab, enum event_end end, int fd)
{
    struct record *record = &lab->record;
    void *descriptors = record->descriptors;
    if (!make_room(&descriptors, record->n_descriptors, &record->descriptors_room, DESCRIPTORS_MAX,
                   sizeof *record->descriptors))
        return NO_DESCRIPTOR;
    record->descriptors = descriptors;
    size_t index = record->n_descriptors++;
    struct descriptor *descriptor = &record->descriptors[index];
    *descriptor = (struct descriptor){.fd = fd, .end = (uint8_t)end, .protocol = IPPROTO_TCP};
    socklen_t n = sizeof descriptor->protocol;
    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &descriptor->protocol, &n);
    remember(record, fd, index);
    return index;
}

size_t record_descriptor(struct lab *lab, enum event_end end, int fd)
{
    const struct record *record = &lab->record;
    if (fd < 0)
        return NO_DESCRIPTOR;
    size_t known = (size_t)fd < record->n_fds ? record->of_fd[fd] : 0;
    if (known != 0 && !record->descriptors[known - 1].closed)
        return known - 1;
    return add_descriptor(lab, end, fd);
}

size_t record_begin(struct party *party, enum sonde_operation operation, int fd, int64_t start_ns)
{
    struct lab *lab = party->lab;
    struct record *record = &lab->record;
    size_t index = NO_DESCRIPTOR;
    pthread_mutex_lock(&lab->lock);
    void *calls = record->calls;
    if (make_room(&calls, record->n_calls, &record->calls_room, CALLS_MAX, sizeof *record->calls)) {
        record->calls = calls;
        index = record->n_calls++;
        record->calls[index] = (struct call_record){
            .party = party,
            .start_ns = start_ns,
            .descriptor = record_descriptor(lab, party->end, fd),
            .accepted = NO_DESCRIPTOR,
            .fd = fd,
            .operation = (uint8_t)operation,
        };
        if (operation == SONDE_OP_CLOSE && record->calls[index].descriptor != NO_DESCRIPTOR) {
            struct descriptor *descriptor = &record->descriptors[record->calls[index].descriptor];
            record_addresses(descriptor);
            /* From now on the number may be given to another. */
            descriptor->closed = true;
        }
    } else {
        record->n_calls_lost++;
    }
    pthread_mutex_unlock(&lab->lock);
    return index;
}

/* What a call tells of its descriptor. The lock is held. */
static void learn(struct lab *lab, struct call_record *call, const struct sonde_probe_event *probe)
{
    enum event_end end = call->party->end;
    if (probe->operation == SONDE_OP_SOCKET && probe->result >= 0)
        call->descriptor = add_descriptor(lab, end, (int)probe->result);
    if (probe->operation == SONDE_OP_ACCEPT && probe->result >= 0) {
        call->accepted = add_descriptor(lab, end, (int)probe->result);
        if (call->accepted != NO_DESCRIPTOR) {
            struct descriptor *accepted = &lab->record.descriptors[call->accepted];
            accepted->peer = probe->address; /* it may have been reset already */
            accepted->role = ROLE_SERVER;
            record_addresses(accepted);
        }
    }
    if (call->descriptor == NO_DESCRIPTOR)
        return;
    struct descriptor *descriptor = &lab->record.descriptors[call->descriptor];
    if (probe->operation == SONDE_OP_CONNECT) {
        descriptor->role = ROLE_CLIENT;
        if (probe->address.port != 0)
            descriptor->peer = probe->address;
        record_addresses(descriptor);
    } else if (probe->operation == SONDE_OP_LISTEN && probe->result == 0) {
        descriptor->role = ROLE_SERVER;
        descriptor->listening = true;
        record_addresses(descriptor);
    } else if (probe->operation == SONDE_OP_BIND && probe->result == 0) {
        record_addresses(descriptor);
    } else if (probe->operation == SONDE_OP_SEND && descriptor->local.port == 0) {
        record_addresses(descriptor); /* a datagram socket gets its port with the first */
    }
}

void record_end(struct party *party, size_t call, const struct sonde_probe_event *probe)
{
    char arguments[CALLS_LINE_SIZE];
    struct event event;
    struct lab *lab = party->lab;
    if (call == NO_DESCRIPTOR)
        return;
    calls_event(probe, arguments, &event);
    event.call.phase = CALL_END;
    event.call.end = (uint8_t)party->end;
    event.call.number = call + 1;
    struct event *kept = event_clone(&event);
    pthread_mutex_lock(&lab->lock);
    lab->record.calls[call].event = kept;
    learn(lab, &lab->record.calls[call], probe);
    pthread_mutex_unlock(&lab->lock);
}

void record_values(struct lab *lab, size_t descriptor, const struct event_values *values, int64_t t_ns)
{
    struct record *record = &lab->record;
    void *all = record->values;
    if (!make_room(&all, record->n_values, &record->values_room, VALUES_MAX, sizeof *record->values)) {
        record->n_values_lost++;
        return;
    }
    record->values = all;
    record->values[record->n_values++] =
        (struct value_record){.t_ns = t_ns, .descriptor = descriptor, .values = *values};
}

void record_forget(struct lab *lab)
{
    struct record *record = &lab->record;
    size_t n_kept = 0;
    /* Calls that somebody is inside of stay, at the places that they know; so nothing can move. */
    for (size_t i = 0; i < record->n_calls; i++) {
        struct call_record *call = &record->calls[i];
        if (call->event) {
            free(call->event);
            call->event = NULL;
            call->party = NULL;
        } else if (call->party) {
            n_kept = i + 1;
        }
    }
    record->n_calls = n_kept;
    record->n_values = 0;
}

void record_free(struct record *record)
{
    for (size_t i = 0; i < record->n_calls; i++)
        free(record->calls[i].event);
    free(record->calls);
    free(record->descriptors);
    free(record->of_fd);
    free(record->values);
    *record = (struct record){0};
}
