/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * A thread answers on a UDP socket. Questions that are held are kept with their sender, and answered by whoever
 * releases them. What is too long for UDP is asked again on a TCP socket of the same port, which a process of its own
 * answers, so that its connections are not among the descriptors that tests count. Both are there before the first test
 * and until the program's end.
 *
 * c-ares finds it because ares_init_options is replaced here: by the real one, and then the address of this server.
 */
#include "names.h"

#include <ares.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2048, UDP_MAX = 512, HELD_MAX = 256, TYPE_A = 1, TYPE_AAAA = 28 };
enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

struct message {
    unsigned char bytes[MESSAGE_MAX];
    size_t n_bytes;
};

struct question {
    struct message message;
    struct sockaddr_in from;
    size_t n_question; /* of the message: its header and its question */
    uint16_t type;
    char name[256];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool held;
static struct question *waiting[HELD_MAX];
static unsigned n_waiting;
static int udp = -1;
static struct sockaddr_in address;

/* --- what it knows ---------------------------------------------------------------------------------------------- */

static bool is(const char *name, const char *other)
{
    return strcmp(name, other) == 0;
}

static void put(struct message *answer, const void *bytes, size_t n_bytes)
{
    if (answer->n_bytes + n_bytes > sizeof answer->bytes)
        abort();
    memcpy(answer->bytes + answer->n_bytes, bytes, n_bytes);
    answer->n_bytes += n_bytes;
}

static void put_address(struct message *answer, int family, const char *text)
{
    const unsigned char n = family == AF_INET ? 4 : 16, type = family == AF_INET ? TYPE_A : TYPE_AAAA;
    const unsigned char head[] = {0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, n}; /* of the name that was asked for */
    unsigned char ip[16];

    if (inet_pton(family, text, ip) != 1)
        abort();
    put(answer, head, sizeof head);
    put(answer, ip, n);
    answer->bytes[7]++; /* ANCOUNT */
}

static void put_run(struct message *answer, const char *format_prefix, unsigned first, unsigned last)
{
    char text[32];

    for (unsigned i = first; i <= last; i++) {
        snprintf(text, sizeof text, "%s%u", format_prefix, i);
        put_address(answer, AF_INET, text);
    }
}

static int rcode_of(const char *name)
{
    static const char *const known[] = {"empty.test", "one.test",  "two.test", "many.test",
                                        "forty.test", "slow.test", "late.test"};

    if (is(name, "later.test"))
        return SERVFAIL;
    if (is(name, "refuses.test"))
        return REFUSED;
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (is(name, known[i]))
            return NOERROR;
    return NXDOMAIN;
}

static void make_answer(const struct question *question, struct message *ret_answer)
{
    const char *name = question->name;

    *ret_answer = question->message;
    ret_answer->n_bytes = question->n_question;
    ret_answer->bytes[2] = 0x81; /* an answer; recursion was desired */
    ret_answer->bytes[3] = (unsigned char)(0x80 | rcode_of(name));
    memset(ret_answer->bytes + 6, 0, 6); /* no records yet */
    if (question->type == TYPE_AAAA && (is(name, "two.test") || is(name, "late.test")))
        put_address(ret_answer, AF_INET6, "::1");
    if (question->type != TYPE_A)
        return;
    if (is(name, "many.test"))
        put_run(ret_answer, "127.0.0.", 2, 7);
    if (is(name, "forty.test"))
        put_run(ret_answer, "127.0.1.", 1, 40);
    else if (rcode_of(name) == NOERROR && !is(name, "empty.test"))
        put_address(ret_answer, AF_INET, "127.0.0.1");
}

/* --- answering -------------------------------------------------------------------------------------------------- */

static bool parse(struct question *question)
{
    const unsigned char *at = question->message.bytes + 12, *end = question->message.bytes + question->message.n_bytes;
    size_t n = 0;

    if (question->message.n_bytes < 12)
        return false;
    while (at < end && *at != 0) {
        if (at + 1 + *at >= end || n + *at + 2 > sizeof question->name)
            return false;
        if (n > 0)
            question->name[n++] = '.';
        memcpy(question->name + n, at + 1, *at);
        n += *at;
        at += 1 + *at;
    }
    question->name[n] = '\0';
    if (at + 5 > end)
        return false;
    question->type = (uint16_t)(at[1] << 8 | at[2]);
    question->n_question = (size_t)(at + 5 - question->message.bytes);
    return true;
}

static void answer_udp(const struct question *question)
{
    struct message answer;

    make_answer(question, &answer);
    if (answer.n_bytes > UDP_MAX) {
        answer.n_bytes = question->n_question;
        answer.bytes[2] |= 0x02; /* truncated */
        answer.bytes[7] = 0;
    }
    sendto(udp, answer.bytes, answer.n_bytes, 0, (const struct sockaddr *)&question->from, sizeof question->from);
}

static bool is_held(const struct question *question)
{
    return held &&
           (is(question->name, "slow.test") || (is(question->name, "late.test") && question->type == TYPE_AAAA));
}

static bool is_same(const struct question *one, const struct question *other)
{
    return one->from.sin_port == other->from.sin_port && memcmp(one->message.bytes, other->message.bytes, 2) == 0;
}

/* Keep it, once: c-ares asks again. */
static void hold(const struct question *question)
{
    for (unsigned i = 0; i < n_waiting; i++)
        if (is_same(waiting[i], question))
            return;
    if (n_waiting == HELD_MAX || (waiting[n_waiting] = malloc(sizeof *question)) == NULL)
        abort();
    *waiting[n_waiting++] = *question;
}

static void *serve_udp(void *unused)
{
    for (;;) {
        struct question question = {.n_question = 0};
        socklen_t from_bytes = sizeof question.from;
        ssize_t n = recvfrom(udp, question.message.bytes, sizeof question.message.bytes, 0,
                             (struct sockaddr *)&question.from, &from_bytes);
        if (n < 0)
            return unused;
        question.message.n_bytes = (size_t)n;
        if (!parse(&question))
            continue;
        pthread_mutex_lock(&lock);
        if (is_held(&question))
            hold(&question);
        else
            answer_udp(&question);
        pthread_mutex_unlock(&lock);
    }
}

static void serve_connection(int fd)
{
    struct question question = {.n_question = 0};
    struct message answer;
    unsigned char size[2];

    while (recv(fd, size, 2, MSG_WAITALL) == 2) {
        question.message.n_bytes = (size_t)(size[0] << 8 | size[1]);
        if (question.message.n_bytes > sizeof question.message.bytes ||
            recv(fd, question.message.bytes, question.message.n_bytes, MSG_WAITALL) !=
                (ssize_t)question.message.n_bytes ||
            !parse(&question))
            return;
        make_answer(&question, &answer);
        size[0] = (unsigned char)(answer.n_bytes >> 8);
        size[1] = (unsigned char)answer.n_bytes;
        if (send(fd, size, 2, MSG_NOSIGNAL | MSG_MORE) != 2 ||
            send(fd, answer.bytes, answer.n_bytes, MSG_NOSIGNAL) != (ssize_t)answer.n_bytes)
            return;
    }
}

static void serve_tcp(int tcp)
{
    pid_t parent = getpid();

    switch (fork()) {
    case -1:
        abort();
    case 0:
        break;
    default:
        close(tcp);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        dup2(nothing, fd);
    for (;;) {
        int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve_connection(fd);
        close(fd);
    }
}

/* --- for the tests ---------------------------------------------------------------------------------------------- */

void names_hold(void)
{
    pthread_mutex_lock(&lock);
    held = true;
    pthread_mutex_unlock(&lock);
}

void names_release(void)
{
    pthread_mutex_lock(&lock);
    held = false;
    while (n_waiting > 0) {
        answer_udp(waiting[--n_waiting]);
        free(waiting[n_waiting]);
    }
    pthread_mutex_unlock(&lock);
}

unsigned names_waiting(void)
{
    unsigned n = 0;

    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n_waiting; i++)
        n += waiting[i]->type == TYPE_AAAA;
    pthread_mutex_unlock(&lock);
    return n;
}

/* Before any test counts descriptors. */
__attribute__((constructor)) static void start_server(void)
{
    socklen_t n = sizeof address;
    pthread_t thread;

    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int tries = 0; tries < 100; tries++) { /* the port may be taken for the other protocol */
        address.sin_port = 0;
        udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (udp < 0 || tcp < 0 || bind(udp, (struct sockaddr *)&address, n) < 0 ||
            getsockname(udp, (struct sockaddr *)&address, &n) < 0)
            abort();
        if (bind(tcp, (struct sockaddr *)&address, n) == 0 && listen(tcp, 16) == 0) {
            serve_tcp(tcp);
            if (pthread_create(&thread, NULL, serve_udp, NULL) != 0)
                abort();
            pthread_detach(thread);
            return;
        }
        close(udp);
        close(tcp);
    }
    abort();
}

int ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    int (*real)(ares_channel *, struct ares_options *, int);
    char server[32];

    *(void **)&real = dlsym(RTLD_NEXT, "ares_init_options");
    int status = real(channel, options, mask);
    if (status != ARES_SUCCESS)
        return status;
    snprintf(server, sizeof server, "127.0.0.1:%u", ntohs(address.sin_port));
    return ares_set_servers_ports_csv(*channel, server);
}
