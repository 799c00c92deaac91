/* SPDX-License-Identifier: MIT */
#include "lab/data/data.h"

#include "term/translate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sizes_add(struct sizes *sizes, size_t n_bytes)
{
    if (sizes->n < SIZES_MAX)
        sizes->of[sizes->n] = (uint32_t)n_bytes;
    sizes->n++;
    sizes->sum += n_bytes;
}

const char *sizes_text(const struct sizes *sizes, char ret_text[96])
{
    size_t length = 0;

    ret_text[0] = '\0';
    for (unsigned i = 0; i < sizes->n && i < SIZES_MAX && length < 80; i++)
        length += (size_t)snprintf(ret_text + length, 96 - length, "%s%u", i ? "+" : "", sizes->of[i]);
    if (sizes->n > SIZES_MAX && length < 80)
        snprintf(ret_text + length, 96 - length, "+...");
    return ret_text;
}

static unsigned char pattern_byte(uint64_t offset)
{
    /* No period that a segment or a buffer could hide in. */
    return (unsigned char)((offset * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

void pattern_fill(void *data, size_t n_bytes, uint64_t offset)
{
    unsigned char *bytes = data;

    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = pattern_byte(offset + i);
}

size_t pattern_wrong(const void *data, size_t n_bytes, uint64_t offset)
{
    const unsigned char *bytes = data;
    size_t n_wrong = 0;

    for (size_t i = 0; i < n_bytes; i++)
        n_wrong += bytes[i] != pattern_byte(offset + i);
    return n_wrong;
}

struct awaited {
    int fd;
    int64_t n_bytes;
};

static bool has_arrived(void *data)
{
    const struct awaited *awaited = data;

    return lab_queued_in(awaited->fd) >= awaited->n_bytes;
}

static bool is_acknowledged(void *data)
{
    const struct awaited *awaited = data;

    return lab_queued_out(awaited->fd) == 0;
}

bool data_arrived(int fd, int64_t n_bytes, int64_t within_ns)
{
    struct awaited awaited = {fd, n_bytes};

    return lab_until(has_arrived, &awaited, within_ns);
}

bool data_acknowledged(int fd, int64_t within_ns)
{
    struct awaited awaited = {fd, 0};

    return lab_until(is_acknowledged, &awaited, within_ns);
}

struct resting {
    int sender, receiver;
    int64_t out, in, since_ns, quiet_ns;
};

static bool is_at_rest(void *data)
{
    struct resting *resting = data;
    int64_t out = lab_queued_out(resting->sender), in = lab_queued_in(resting->receiver), now = lab_now();

    if (out != resting->out || in != resting->in || !resting->since_ns) {
        resting->out = out;
        resting->in = in;
        resting->since_ns = now;
    }
    return now - resting->since_ns >= resting->quiet_ns;
}

void data_at_rest(int sender, int receiver, int64_t quiet_ns, int64_t within_ns)
{
    struct resting resting = {.sender = sender, .receiver = receiver, .quiet_ns = quiet_ns};

    lab_until(is_at_rest, &resting, within_ns);
}

int64_t data_fill(int fd, int64_t limit_bytes, int64_t quiet_ns)
{
    static const size_t chunk_bytes = 16384;
    char chunk[16384];
    int64_t n_taken = 0, last_ns = lab_now();

    while (n_taken < limit_bytes) {
        struct pollfd polled = {.fd = fd, .events = POLLOUT};
        size_t n_ask = chunk_bytes;
        ssize_t n;

        if (limit_bytes - n_taken < (int64_t)n_ask)
            n_ask = (size_t)(limit_bytes - n_taken);
        pattern_fill(chunk, n_ask, (uint64_t)n_taken);
        n = send(fd, chunk, n_ask, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            n_taken += n;
            last_ns = lab_now();
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            break;
        if (lab_now() - last_ns >= quiet_ns)
            break;
        poll(&polled, 1, 1 + (int)(quiet_ns / NS_PER_MS));
    }
    return n_taken;
}

int64_t data_drain(int fd, int64_t n_bytes, int64_t wait_ns, int64_t *ret_wrong, int *ret_end)
{
    char chunk[16384];
    int64_t n_read = 0, n_wrong = 0;
    int end = 1;

    while (n_read < n_bytes) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        size_t n_ask = sizeof(chunk);
        ssize_t n;

        if (n_bytes - n_read < (int64_t)n_ask)
            n_ask = (size_t)(n_bytes - n_read);
        n = recv(fd, chunk, n_ask, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            if (poll(&polled, 1, (int)(wait_ns / NS_PER_MS)) > 0)
                continue;
            end = -EAGAIN;
            break;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            end = n < 0 ? -errno : 0;
            break;
        }
        n_wrong += (int64_t)pattern_wrong(chunk, (size_t)n, (uint64_t)n_read);
        n_read += n;
    }
    if (ret_wrong)
        *ret_wrong = n_wrong;
    if (ret_end)
        *ret_end = end;
    return n_read;
}

void data_segments(struct lab *lab, uint16_t client_port, enum event_end from, struct sizes *ret_sizes,
                   unsigned *ret_n_repeats)
{
    const struct lab_segment *segments;
    struct sizes sizes = {0};
    unsigned n_repeats = 0;
    size_t n;

    segments = lab_segments(lab, client_port, &n);
    for (size_t i = 0; i < n; i++) {
        const struct event_segment *segment = &segments[i].segment;

        if (segment->from != from || !segment->n_bytes || segments[i].copy)
            continue;
        if (has_note(segment->notes, NOTE_AGAIN))
            n_repeats++;
        else
            sizes_add(&sizes, segment->n_bytes);
    }
    *ret_sizes = sizes;
    if (ret_n_repeats)
        *ret_n_repeats = n_repeats;
}

void data_connected(struct lab *lab, struct party *client, struct party *server, int send_bytes, int receive_bytes,
                    struct lab_pair *ret_pair)
{
    struct lab_pair pair;
    int listener = lab_listening(server, 1, &pair.server_port);

    if (receive_bytes)
        party_set(server, listener, SOL_SOCKET, SO_RCVBUF, receive_bytes);
    pair.client = (int)data_expect(lab, "socket()", party_socket(client, AF_INET, SOCK_STREAM, 0));
    if (send_bytes)
        party_set(client, pair.client, SOL_SOCKET, SO_SNDBUF, send_bytes);
    data_expect(lab, "connect()", party_connect(client, pair.client, lab_address(lab, END_B), pair.server_port));
    pair.server = (int)data_expect(lab, "accept()", party_accept(server, listener));
    pair.client_port = lab_local_port(pair.client);
    party_close(server, listener);
    *ret_pair = pair;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

int64_t data_median(int64_t *values, size_t n)
{
    if (!n)
        return 0;
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

ssize_t data_expect(struct lab *lab, const char *what, ssize_t result)
{
    if (result < 0)
        lab_give_up(lab, _("%s failed: %s."), what, strerror((int)-result));
    return result;
}

const char *data_end_text(int end)
{
    const char *name = end < 0 ? strerrorname_np(-end) : NULL;

    if (end == 0)
        return _("end of data");
    if (end == -EAGAIN)
        return _("nothing more");
    if (end > 0)
        return _("all");
    return name ? name : "?";
}
