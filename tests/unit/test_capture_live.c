/* SPDX-License-Identifier: MIT */
/*
 * Live capture, in a network namespace of its own, for which root or a user namespace is needed. The program is its own
 * false helper too: under such a name it does what a helper should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/capture/capture.h"
#include "observe/capture/filter_internal.h"
#include "observe/capture/helper.h"
#include "observe/capture/live_internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define NOBODY 65534

static bool may_capture, is_root; /* root: not only of a user namespace */
static char real_helper[4096], own_path[4096];

/* ---- false helpers */

static int send_fds(uint32_t magic, const int *fds, size_t n_fds, size_t n_bytes)
{
    struct {
        struct sonde_capture_answer answer;
        char more[8];
    } said = {.answer = {.magic = magic}};
    struct iovec bytes = {.iov_base = &said, .iov_len = n_bytes};
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
    }
    return sendmsg(0, &message, 0) < 0;
}

static int false_helper(const char *name)
{
    const size_t n_right = sizeof(struct sonde_capture_answer);
    int type = strcmp(name, "false-type") == 0 ? SOCK_DGRAM : SOCK_RAW;
    int fds[2] = {socket(AF_PACKET, type, 0), socket(AF_PACKET, SOCK_RAW, 0)};
    if (strcmp(name, "false-hang") == 0)
        pause();
    if (strcmp(name, "false-two") == 0)
        return send_fds(SONDE_CAPTURE_MAGIC, fds, 2, n_right);
    if (strcmp(name, "false-kind") == 0)
        fds[0] = open("/dev/null", O_RDONLY);
    if (strcmp(name, "false-kind") == 0 || strcmp(name, "false-type") == 0)
        return send_fds(SONDE_CAPTURE_MAGIC, fds, 1, n_right);
    if (strcmp(name, "false-none") == 0)
        return send_fds(SONDE_CAPTURE_MAGIC, fds, 0, n_right);
    if (strcmp(name, "false-magic") == 0)
        return send_fds(7, fds, 1, n_right);
    if (strcmp(name, "false-short") == 0)
        return send_fds(SONDE_CAPTURE_MAGIC, fds, 1, n_right - 1);
    if (strcmp(name, "false-long") == 0)
        return send_fds(SONDE_CAPTURE_MAGIC, fds, 1, n_right + 8);
    return 0; /* false-silent */
}

/* ---- surroundings */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            print_message("%s: %s\n", path, strerror(errno));
        close(fd);
    }
}

static void set_up(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
    }
    close(fd);
}

static void own_namespace(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    bool made = unshare(CLONE_NEWNET) == 0;
    is_root = made && uid == 0;
    if (!made && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        char map[64];
        made = true;
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
        write_file("/proc/self/gid_map", map);
    }
    int fd = made ? socket(AF_PACKET, SOCK_RAW, 0) : -1;
    may_capture = fd >= 0;
    if (fd >= 0)
        close(fd);
    else
        print_message("no namespace to capture in: %s\n", strerror(errno));
    if (made)
        set_up("lo");
}

static void needs_rights(void)
{
    if (!may_capture) {
        print_message("skipped: capturing is not permitted here\n");
        skip();
    }
}

static struct capture_live *live_on(const char *interface, const char *filter)
{
    struct capture_live_options options = {.interface = interface, .filter = filter};
    struct capture_live *live = NULL;
    struct sonde_why why = {0};
    int error = capture_live_open(&options, &live, &why);
    if (error < 0)
        fail_msg("%s %s: %s %s", why.call, why.subject, sonde_strerror(error), why.detail);
    return live;
}

static int socket_on(int type, bool listens, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_bytes = sizeof address;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, n_bytes), 0);
    if (listens)
        assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n_bytes), 0);
    *ret_address = address;
    return fd;
}

static void send_to(const struct sockaddr_in *address, const char *text)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)address, sizeof *address),
                     strlen(text));
    close(fd);
}

/* The next packet, with a deadline. */
static struct packet wait_packet(struct capture_live *live)
{
    for (;;) {
        struct packet packet;
        int result = capture_live_next(live, &packet);
        assert_true(result >= 0);
        if (result == 1)
            return packet;
        struct pollfd wait = {.fd = capture_live_fd(live), .events = POLLIN};
        if (poll(&wait, 1, DEADLINE_MS) == 0)
            fail_msg("no packet came");
    }
}

/* ---- what is seen */

struct seen {
    unsigned n_syn, n_syn_ack, n_fin, n_hello, n_all;
    uint8_t headers[64][40];
};

static void look(struct seen *seen, const uint8_t *ip)
{
    const uint8_t *tcp = ip + 20, flags = tcp[13];
    size_t n_tcp = 4u * (tcp[12] >> 4), n_payload = (size_t)(ip[2] << 8 | ip[3]) - 20 - n_tcp;
    for (unsigned i = 0; i < seen->n_all; i++)
        assert_memory_not_equal(seen->headers[i], ip, 40);
    assert_true(seen->n_all < 64);
    memcpy(seen->headers[seen->n_all++], ip, 40);
    seen->n_syn += (flags & 0x12) == 0x02;
    seen->n_syn_ack += (flags & 0x12) == 0x12;
    seen->n_fin += flags & 1;
    seen->n_hello += n_payload == 5 && memcmp(tcp + n_tcp, "hello", 5) == 0;
}

static void connection(const struct sockaddr_in *address, int listener)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char buffer[16];
    assert_int_equal(connect(client, (const struct sockaddr *)address, sizeof *address), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server >= 0);
    assert_int_equal(write(client, "hello", 5), 5);
    assert_int_equal(read(server, buffer, sizeof buffer), 5);
    close(client);
    assert_int_equal(read(server, buffer, sizeof buffer), 0);
    close(server);
}

/* A connection, then a datagram that ends what is to be looked at. */
static void each_packet_once(const char *interface, uint16_t link_type, size_t n_header, const char *more)
{
    struct sockaddr_in address, end;
    int listener = socket_on(SOCK_STREAM, true, &address), ender = socket_on(SOCK_DGRAM, false, &end);
    char filter[200];
    snprintf(filter, sizeof filter, "(tcp port %u or udp port %u)%s", ntohs(address.sin_port), ntohs(end.sin_port),
             more);
    struct capture_live *live = live_on(interface, filter);
    assert_int_equal(capture_live_link_type(live), link_type);
    send_to(&(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = end.sin_addr, .sin_port = htons(9)}, "not wanted");
    connection(&address, listener);
    send_to(&end, "the end");

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct seen seen = {0};
    int64_t before_ns = 0;
    for (uint64_t number = 1;; number++) {
        struct packet packet = wait_packet(live);
        const uint8_t *ip = packet.data + n_header;
        assert_int_equal(packet.number, number);
        assert_int_equal(packet.link_type, link_type);
        assert_int_equal(packet.n_wire, packet.n_captured);
        assert_int_equal(packet.n_captured, n_header + (size_t)(ip[2] << 8 | ip[3]));
        assert_int_equal(packet.direction, PACKET_OUT);
        assert_string_equal(capture_live_interface_name(live, packet.interface), "lo");
        assert_true(packet.realtime_ns >= before_ns && packet.realtime_ns < ((int64_t)now.tv_sec + 1) * 1000000000);
        before_ns = packet.realtime_ns;
        if (link_type == LINK_LINUX_SLL2)
            assert_memory_equal(packet.data, "\x08\0\0\0\0\0\0\1\x03\x04\x04\6\0\0\0\0\0\0\0\0", 20);
        if (ip[9] == IPPROTO_UDP)
            break;
        assert_true(packet.checksum_left);
        look(&seen, ip);
    }
    assert_int_equal(seen.n_syn, 1);
    assert_int_equal(seen.n_syn_ack, 1);
    assert_int_equal(seen.n_hello, 1);
    assert_int_equal(seen.n_fin, 2);
    uint64_t n_received, n_dropped;
    capture_live_counts(live, &n_received, &n_dropped);
    assert_true(n_received >= seen.n_all + 1);
    assert_int_equal(n_dropped, 0);
    assert_true(fcntl(capture_live_fd(live), F_GETFD) & FD_CLOEXEC);
    assert_string_equal(capture_live_interface_name(live, 250), "?");
    capture_live_close(live);
    close(listener);
    close(ender);
}

static void loopback(void **state)
{
    (void)state;
    needs_rights();
    each_packet_once("lo", LINK_ETHERNET, 14, "");
}

static void any(void **state)
{
    (void)state;
    needs_rights();
    each_packet_once("any", LINK_LINUX_SLL2, 20, "");
    each_packet_once(NULL, LINK_LINUX_SLL2, 20, " and outbound");
}

/* What the kernel cannot be asked is filtered here: lengths of made-up headers, VLAN tags. */
static void filtered_here(void **state)
{
    (void)state;
    needs_rights();
    each_packet_once("any", LINK_LINUX_SLL2, 20, " and greater 48");
    each_packet_once("lo", LINK_ETHERNET, 14, " and not vlan 7");
}

static void cut_short(void **state)
{
    (void)state;
    needs_rights();
    struct sockaddr_in address;
    int fd = socket_on(SOCK_DGRAM, false, &address);
    char filter[64];
    snprintf(filter, sizeof filter, "udp port %u", ntohs(address.sin_port));
    for (int i = 0; i < 2; i++) {
        struct capture_live_options options = {.interface = "lo", .snap_bytes = 50, .filter = i ? filter : NULL};
        struct capture_live *live;
        struct sonde_why why;
        assert_int_equal(capture_live_open(&options, &live, &why), 0);
        send_to(&address, "more than there is room for");
        struct packet packet = wait_packet(live);
        assert_int_equal(packet.n_captured, 50);
        assert_int_equal(packet.n_wire, 14 + 20 + 8 + 27);
        capture_live_close(live);
    }
    close(fd);
}

/* A packet of 64 KiB is not cut. */
static void whole(void **state)
{
    (void)state;
    needs_rights();
    static char text[65507 + 1];
    memset(text, 'x', sizeof text - 1);
    struct sockaddr_in address;
    int fd = socket_on(SOCK_DGRAM, false, &address);
    for (int i = 0; i < 2; i++) {
        struct capture_live *live = live_on(i ? "any" : "lo", NULL);
        send_to(&address, text);
        struct packet packet = wait_packet(live);
        assert_int_equal(packet.n_captured, (i ? 20 : 14) + 20 + 8 + 65507);
        assert_int_equal(packet.n_wire, packet.n_captured);
        assert_int_equal(packet.data[packet.n_captured - 1], 'x');
        capture_live_close(live);
    }
    close(fd);
}

/* More than there is room for: what is lost is counted, and all else is there. */
static void overflow(void **state)
{
    (void)state;
    needs_rights();
    enum { N_SENT = 3000 };
    static char text[1001];
    memset(text, 'x', sizeof text - 1);
    struct sockaddr_in address;
    int fd = socket_on(SOCK_DGRAM, false, &address);
    char filter[64];
    snprintf(filter, sizeof filter, "udp dst port %u", ntohs(address.sin_port));
    struct capture_live_options options = {.interface = "lo", .filter = filter, .buffer_bytes = 1};
    struct capture_live *live;
    struct sonde_why why;
    assert_int_equal(capture_live_open(&options, &live, &why), 0);
    for (int i = 0; i < N_SENT; i++)
        send_to(&address, text);
    uint64_t n_received, n_dropped, n_seen = 0;
    capture_live_counts(live, &n_received, &n_dropped);
    assert_true(n_dropped > 0 && n_received > 0);
    assert_int_equal(n_received + n_dropped, N_SENT);
    while (n_seen < n_received) {
        assert_int_equal(wait_packet(live).n_captured, 14 + 20 + 8 + 1000);
        n_seen++;
    }
    capture_live_counts(live, &n_received, &n_dropped);
    assert_int_equal(n_received + n_dropped, N_SENT);
    capture_live_close(live);
    close(fd);
}

/* ---- interfaces of other kinds */

static int tunnel(const char *name, short flags)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = (short)(flags | IFF_NO_PI)};
    strcpy(request.ifr_name, name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
        print_message("skipped: no tunnel interfaces: %s\n", strerror(errno));
        if (fd >= 0)
            close(fd);
        skip();
    }
    return fd;
}

static const uint8_t ip_packet[28] = {0x45, 0, 0,  28, 0, 0, 0,    0,    64,   17,   0, 0, 10, 0,
                                      0,    1, 10, 0,  0, 2, 0x11, 0x22, 0x1b, 0x5f, 0, 8, 0,  0};

static void tun(void **state)
{
    (void)state;
    needs_rights();
    int fd = tunnel("tun7", IFF_TUN);
    /* It is down still; capturing begins when it comes up. */
    struct capture_live *live = live_on("tun7", "udp port 7007");
    struct packet packet;
    assert_int_equal(capture_live_next(live, &packet), 0);
    set_up("tun7");
    assert_int_equal(write(fd, ip_packet, sizeof ip_packet), sizeof ip_packet);
    packet = wait_packet(live);
    assert_int_equal(packet.link_type, LINK_RAW);
    assert_int_equal(packet.direction, PACKET_IN);
    assert_int_equal(packet.n_captured, sizeof ip_packet);
    assert_memory_equal(packet.data, ip_packet, sizeof ip_packet);
    assert_string_equal(capture_live_interface_name(live, packet.interface), "tun7");
    /* Its end is the interface's end. */
    close(fd);
    int result = 0;
    for (int i = 0; i < DEADLINE_MS && result >= 0; i++) {
        result = capture_live_next(live, &packet);
        if (result == 0)
            poll(NULL, 0, 1);
    }
    assert_int_equal(result, -ENODEV);
    capture_live_close(live);
}

/* A tagged frame comes in: the kernel takes the tag out, and it is there again. */
static void vlan(void **state)
{
    (void)state;
    needs_rights();
    static uint8_t frame[18 + sizeof ip_packet] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x81, 0, 0x20, 42, 8, 0,
    };
    memcpy(frame + 18, ip_packet, sizeof ip_packet);
    int fd = tunnel("tap7", IFF_TAP);
    set_up("tap7");
    struct capture_live *one = live_on("tap7", "vlan 42 and udp port 7007"), *every = live_on("any", "udp port 7007"),
                        *other = live_on("tap7", "vlan 43");
    assert_int_equal(write(fd, frame, sizeof frame), sizeof frame);
    struct packet packet = wait_packet(one);
    assert_int_equal(packet.n_captured, sizeof frame);
    assert_int_equal(packet.n_wire, sizeof frame);
    assert_memory_equal(packet.data, frame, sizeof frame);
    packet = wait_packet(every);
    assert_int_equal(packet.n_captured, 20 + 4 + sizeof ip_packet);
    assert_memory_equal(packet.data, "\x81\0\0\0", 4);
    assert_memory_equal(packet.data + 20, "\x20\x2a\x08\0", 4);
    assert_memory_equal(packet.data + 24, ip_packet, sizeof ip_packet);
    assert_string_equal(capture_live_interface_name(every, packet.interface), "tap7");
    assert_int_equal(capture_live_next(other, &packet), 0);
    capture_live_close(one);
    capture_live_close(every);
    capture_live_close(other);
    close(fd);
}

/* ---- what fails */

static void errors(void **state)
{
    (void)state;
    static const char *const names[] = {"nosuch0", "an-interface-with-a-long-name", ""};
    struct capture_live *live = NULL;
    struct sonde_why why;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct capture_live_options options = {.interface = names[i]};
        assert_int_equal(capture_live_open(&options, &live, &why), -ENODEV);
        assert_int_equal(why.code, -ENODEV);
        assert_string_equal(why.subject, names[i]);
    }
    struct capture_live_options options = {.interface = "lo", .filter = "prot 7007"};
    assert_int_equal(capture_live_open(&options, &live, &why), -EINVAL);
    assert_string_equal(why.call, "filter");
    assert_non_null(strstr(why.detail, "syntax error"));
    assert_null(live);
}

static void socket_filters(void **state)
{
    (void)state;
    static struct sock_filter program[SOCKET_FILTER_MAX], made[SOCKET_FILTER_MAX];
    struct sock_filter protocol = BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0);
    struct sock_filter address = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 32);
    struct sock_filter header = BPF_STMT(BPF_LDX | BPF_MSH | BPF_B, 20);
    struct sock_filter length = BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0);
    struct sock_filter reserved = BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2);
    struct sock_filter back = BPF_STMT(BPF_LD | BPF_W | BPF_IND, 4);
    program[0] = protocol;
    program[1] = address;
    program[2] = header;
    int n = socket_filter_make(program, 3, 20, 0, made);
    assert_true(n > 3);
    assert_int_equal(made[n - 3].k, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
    assert_int_equal(made[n - 2].k, 12);
    assert_int_equal(made[n - 1].k, 0);
    n = socket_filter_make(program, 3, 0, 0, made);
    assert_memory_equal(&made[n - 3], program, 3 * sizeof program[0]);
    const struct sock_filter no[] = {length, reserved, back};
    for (int i = 0; i < 3; i++) {
        program[0] = no[i];
        assert_int_equal(socket_filter_make(program, 1, 20, 0, made), -ENOTSUP);
        assert_true(socket_filter_make(program, 1, 0, 0, made) > 1);
    }
    assert_int_equal(socket_filter_make(program, SOCKET_FILTER_MAX, 0, 0, made), -ENOTSUP);
}

/* ---- the helper */

static unsigned n_descriptors(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* This process may not open packet sockets any more; for_good: nor what it executes. */
static void give_up(bool for_good)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (for_good)
        prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0);
    syscall(SYS_capget, &header, data);
    data[0].effective &= ~(1u << CAP_NET_RAW);
    data[0].permitted &= ~(1u << CAP_NET_RAW);
    data[0].inheritable &= ~(1u << CAP_NET_RAW);
    syscall(SYS_capset, &header, data);
}

/* Runs the function in a process of its own; what it returns is what the process exits with. */
static void in_child(int (*function)(const void *user), const void *user)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(function(user));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("in the child, check %d does not hold", WEXITSTATUS(status));
}

/* For children: which check failed is their exit status. */
#define HOLDS(number, condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "check %d: %s\n", number, #condition);                                                     \
            return number;                                                                                             \
        }                                                                                                              \
    } while (0)

struct ask {
    const char *helper;
    int error;          /* that is expected */
    const char *detail; /* NULL: any */
    bool for_good;
    bool as_nobody;
};

static int sees_itself(struct capture_live *live)
{
    struct sockaddr_in nobody = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    HOLDS(20, sendto(fd, "hi", 2, 0, (struct sockaddr *)&nobody, sizeof nobody) == 2);
    close(fd);
    struct packet packet;
    struct pollfd wait = {.fd = capture_live_fd(live), .events = POLLIN};
    HOLDS(21, poll(&wait, 1, DEADLINE_MS) == 1);
    HOLDS(22, capture_live_next(live, &packet) == 1 && packet.n_captured == 14 + 20 + 8 + 2);
    return 0;
}

static int ask_helper(const void *user)
{
    const struct ask *ask = user;
    if (ask->as_nobody) {
        HOLDS(1, setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    } else {
        give_up(ask->for_good);
    }
    HOLDS(2, socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
    unsigned n_before = n_descriptors();
    struct capture_live_options options = {.interface = "lo", .helper = ask->helper};
    struct capture_live *live = NULL;
    struct sonde_why why = {0};
    int error = capture_live_open(&options, &live, &why);
    if (error != ask->error)
        fprintf(stderr, "%s: %d: %s %s\n", ask->helper, error, why.call, why.detail);
    HOLDS(3, error == ask->error);
    HOLDS(4, waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
    if (error < 0) {
        HOLDS(5, why.code == error && !live);
        if (ask->detail && strcmp(why.detail, ask->detail) != 0)
            fprintf(stderr, "%s\n", why.detail);
        HOLDS(6, !ask->detail || strcmp(why.detail, ask->detail) == 0);
    } else {
        int result = sees_itself(live);
        HOLDS(result, result == 0);
        capture_live_close(live);
    }
    HOLDS(7, n_descriptors() == n_before);
    return 0;
}

static void needs_helper(void)
{
    needs_rights();
    if (access(real_helper, X_OK) < 0)
        fail_msg("%s: %s; SONDE_CAPTURE_HELPER may name it", real_helper, strerror(errno));
}

static void helper_opens(void **state)
{
    (void)state;
    needs_helper();
    /* The superuser's programs get back what their starter gave up. */
    struct ask ask = {.helper = real_helper};
    in_child(ask_helper, &ask);
}

static void helper_may_not(void **state)
{
    (void)state;
    needs_helper();
    char detail[sizeof real_helper + 64];
    snprintf(detail, sizeof detail, "sudo setcap cap_net_raw+ep %s", real_helper);
    struct ask ask = {.helper = real_helper, .error = -EPERM, .for_good = true};
    struct sonde_why why;
    ask.detail = strlen(detail) < sizeof why.detail ? detail : NULL;
    in_child(ask_helper, &ask);
    /* None is there: the sentence names where it would be. */
    ask.helper = "/nonexistent/it's here/sonde-capture";
    ask.detail = "sudo setcap cap_net_raw+ep '/nonexistent/it'\\''s here/sonde-capture'";
    in_child(ask_helper, &ask);
    ask.helper = "/etc/passwd";
    ask.detail = "sudo setcap cap_net_raw+ep /etc/passwd";
    in_child(ask_helper, &ask);
    ask.helper = NULL;
    ask.detail = NULL;
    in_child(ask_helper, &ask);
}

static void helper_is_false(void **state)
{
    (void)state;
    needs_rights();
    static const struct {
        const char *name;
        int error;
    } rows[] = {
        {"false-silent", -EPROTO}, {"false-two", -EPROTO},  {"false-kind", -EPROTO},
        {"false-type", -EPROTO},   {"false-none", -EPROTO}, {"false-magic", -EPROTO},
        {"false-short", -EPROTO},  {"false-long", -EPROTO}, {"false-hang", -ETIMEDOUT},
    };
    char folder[] = "/tmp/sonde-helper-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, rows[i].name);
        assert_int_equal(symlink(own_path, path), 0);
        struct ask ask = {.helper = path, .error = rows[i].error};
        in_child(ask_helper, &ask);
        unlink(path);
    }
    rmdir(folder);
}

static bool copy_file(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t n = -1;
    while (in >= 0 && out >= 0 && (n = read(in, buffer, sizeof buffer)) > 0)
        assert_int_equal(write(out, buffer, (size_t)n), n);
    if (out >= 0) {
        assert_int_equal(fchmod(out, 0755), 0);
        close(out);
    }
    if (in >= 0)
        close(in);
    return n == 0;
}

/* As it is meant: the file has the capability, the user has none. */
static void helper_with_capability(void **state)
{
    (void)state;
    needs_helper();
    if (!is_root) {
        print_message("skipped: only root may give a file a capability\n");
        skip();
    }
    char folder[] = "/tmp/sonde-helper-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/%s", folder, SONDE_CAPTURE_NAME);
    assert_true(copy_file(real_helper, path));
    struct vfs_cap_data capability = {
        .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
        .data[0].permitted = 1u << CAP_NET_RAW,
    };
    struct ask ask = {.helper = path, .as_nobody = true};
    bool possible = setxattr(path, "security.capability", &capability, sizeof capability, 0) == 0;
    int error = errno;
    if (possible)
        in_child(ask_helper, &ask);
    /* Without it, the same file may not. */
    if (possible && removexattr(path, "security.capability") == 0) {
        ask.error = -EPERM;
        in_child(ask_helper, &ask);
    }
    unlink(path);
    rmdir(folder);
    if (!possible) {
        print_message("skipped: a file cannot be given a capability here: %s\n", strerror(error));
        skip();
    }
}

/* By hand, it says what it is for, and opens nothing. */
static int run_by_hand(const void *user)
{
    (void)user;
    int fd = open("/dev/null", O_RDWR);
    dup2(fd, 0);
    dup2(fd, 2);
    execl(real_helper, real_helper, "raw", (char *)NULL);
    return 1;
}

static void helper_by_hand(void **state)
{
    (void)state;
    needs_helper();
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_by_hand(NULL));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (argc == 2 && strncmp(name, "false-", 6) == 0)
        return false_helper(name);

    ssize_t n = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
    assert_true(n > 0);
    const char *given = getenv("SONDE_CAPTURE_HELPER");
    if (given) {
        snprintf(real_helper, sizeof real_helper, "%s", given);
    } else {
        char beside[sizeof own_path + 64];
        *strrchr(strcpy(beside, own_path), '/') = '\0';
        strcat(beside, "/../../" SONDE_CAPTURE_NAME);
        if (!realpath(beside, real_helper))
            snprintf(real_helper, sizeof real_helper, "%.4000s", beside);
    }
    own_namespace();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback),
        cmocka_unit_test(any),
        cmocka_unit_test(filtered_here),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(whole),
        cmocka_unit_test(overflow),
        cmocka_unit_test(tun),
        cmocka_unit_test(vlan),
        cmocka_unit_test(errors),
        cmocka_unit_test(socket_filters),
        cmocka_unit_test(helper_opens),
        cmocka_unit_test(helper_may_not),
        cmocka_unit_test(helper_is_false),
        cmocka_unit_test(helper_with_capability),
        cmocka_unit_test(helper_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
