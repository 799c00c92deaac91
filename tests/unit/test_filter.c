/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/sockets/filter_internal.h"
#include "observe/sockets/sockets_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LISTENER, SERVER, CLIENT, MAPPED, SIX, WAITING, DATAGRAM, LOCAL_PATH, N_SAMPLES };

static struct socket_info sample[N_SAMPLES];

static struct sonde_address address_of(const char *text, uint16_t port)
{
    struct sonde_address address = {.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET, .port = port};
    assert_int_equal(inet_pton(address.family, text, address.u.ip), 1);
    return address;
}

static struct socket_info tcp(enum tcp_state state, const char *local, uint16_t port, const char *peer,
                              uint16_t peer_port)
{
    struct socket_info socket = {.type = SOCK_STREAM, .protocol = IPPROTO_TCP, .state = (uint8_t)state};
    socket.local = address_of(local, port);
    socket.peer = address_of(peer, peer_port);
    socket.family = (uint8_t)socket.local.family;
    return socket;
}

static int make_samples(void **state)
{
    (void)state;
    sample[LISTENER] = tcp(TCP_STATE_LISTEN, "0.0.0.0", 7007, "0.0.0.0", 0);
    sample[LISTENER].receive_queue = 2;
    sample[LISTENER].inode = 100;
    sample[SERVER] = tcp(TCP_STATE_ESTABLISHED, "127.0.0.1", 7007, "127.0.0.1", 40488);
    sample[SERVER].receive_queue = 12;
    sample[SERVER].inode = 101;
    sample[SERVER].interface = 1;
    sample[CLIENT] = tcp(TCP_STATE_FIN_WAIT_1, "127.0.0.1", 40488, "127.0.0.1", 7007);
    sample[CLIENT].n_retransmits = 3;
    sample[CLIENT].has_info = true;
    sample[CLIENT].info.notsent_bytes = 6; /* five bytes and the FIN */
    sample[CLIENT].inode = 102;
    sample[MAPPED] = tcp(TCP_STATE_CLOSE_WAIT, "::ffff:10.1.2.3", 80, "::ffff:10.9.9.9", 5000);
    sample[SIX] = tcp(TCP_STATE_SYN_SENT, "fe80::1", 7070, "fe80::2", 443);
    sample[SIX].local.scope = sample[SIX].peer.scope = sample[SIX].interface = 1;
    sample[WAITING] = tcp(TCP_STATE_TIME_WAIT, "192.168.1.7", 22, "10.0.0.1", 65535);
    sample[DATAGRAM] = tcp(TCP_STATE_CLOSED, "::", 53, "::", 0);
    sample[DATAGRAM].protocol = IPPROTO_UDP;
    sample[DATAGRAM].type = SOCK_DGRAM;
    sample[DATAGRAM].send_queue = 9;
    sample[LOCAL_PATH] = (struct socket_info){.family = AF_UNIX, .type = SOCK_STREAM, .state = TCP_STATE_ESTABLISHED};
    sample[LOCAL_PATH].local.family = sample[LOCAL_PATH].peer.family = AF_UNIX;
    sample[LOCAL_PATH].n_unix_name = 6;
    memcpy(sample[LOCAL_PATH].unix_name, "\0Magic", 6);
    return 0;
}

static bool find_owner(uint64_t inode, int32_t *ret_pid, const char **ret_program, void *user)
{
    *ret_pid = (int32_t)inode + 4000;
    *ret_program = inode == 101 ? "nginx" : "slow reader";
    return user == sample && inode != 102;
}

static const struct filter_owner owner = {.find = find_owner, .user = sample};

static struct sockets_filter *parse(const char *text)
{
    struct sockets_filter *filter = NULL;
    char why[192];
    if (filter_parse(text, &filter, why) < 0)
        fail_msg("%s: %s", text, why);
    assert_non_null(filter);
    return filter;
}

#define BIT(name) (1u << (name))
#define EVERY (BIT(N_SAMPLES) - 1)

static unsigned matching(const struct sockets_filter *filter)
{
    unsigned found = 0;
    for (unsigned i = 0; i < N_SAMPLES; i++)
        found |= filter_matches(filter, &sample[i], &owner) ? BIT(i) : 0;
    return found;
}

/* Also after it was written and parsed again. */
static void check(const char *text, unsigned expected)
{
    struct sockets_filter *filter = parse(text);
    char *again = malloc(FILTER_FORMAT_MAX);
    assert_non_null(again);
    if (matching(filter) != expected)
        fail_msg("%s: 0x%x and not 0x%x", text, matching(filter), expected);
    size_t n = filter_format(filter, again, FILTER_FORMAT_MAX);
    assert_int_equal(n, strlen(again));
    filter_free(filter);
    filter = parse(again);
    if (matching(filter) != expected)
        fail_msg("%s, written as %s: 0x%x and not 0x%x", text, again, matching(filter), expected);
    for (unsigned i = 0; i < N_SAMPLES; i++)
        assert_true(filter_may_match(filter, &sample[i]) || !(expected & BIT(i)));
    filter_free(filter);
    free(again);
}

static void everything(void **state)
{
    (void)state;
    check("", EVERY);
    check("  \t ", EVERY);
    check("state all", EVERY);
    check("exclude all", 0);
}

static void states(void **state)
{
    (void)state;
    const unsigned connected = BIT(SERVER) | BIT(CLIENT) | BIT(MAPPED) | BIT(SIX) | BIT(WAITING) | BIT(LOCAL_PATH);
    check("state established", BIT(SERVER) | BIT(LOCAL_PATH));
    check("state ESTAB", BIT(SERVER) | BIT(LOCAL_PATH));
    check("listening", BIT(LISTENER));
    check("state listening", BIT(LISTENER));
    check("state syn-sent state time-wait", BIT(SIX) | BIT(WAITING));
    check("listening state fin-wait-1", BIT(LISTENER) | BIT(CLIENT));
    check("state connected", connected);
    check("state synchronized", connected & ~BIT(SIX));
    check("state bucket", BIT(WAITING));
    check("state big", EVERY & ~BIT(WAITING));
    check("state connected exclude time-wait", connected & ~BIT(WAITING));
    check("exclude time-wait exclude listening", EVERY & ~BIT(WAITING) & ~BIT(LISTENER));
    check("not listening", EVERY & ~BIT(LISTENER));
    check("state established and state listening", 0);
    check("state syn-sent or state listening", BIT(LISTENER) | BIT(SIX));
    check("state established sport = :7007", BIT(SERVER));
    check("state closed", BIT(DATAGRAM));
}

static void ports(void **state)
{
    (void)state;
    check("sport = :7007", BIT(LISTENER) | BIT(SERVER));
    check("sport=:7007", BIT(LISTENER) | BIT(SERVER));
    check("sport == 7007", BIT(LISTENER) | BIT(SERVER));
    check("sport eq 7007", BIT(LISTENER) | BIT(SERVER));
    check("sport :7007", BIT(LISTENER) | BIT(SERVER));
    check("dport = :https", BIT(SIX));
    check("sport != :7007", EVERY & ~BIT(LISTENER) & ~BIT(SERVER));
    check("dport > :40488", BIT(WAITING));
    check("dport ge 40488", BIT(SERVER) | BIT(WAITING));
    check("sport<:53", BIT(WAITING));
    check("sport <= 53", BIT(WAITING) | BIT(DATAGRAM));
    check("dport > 65535", 0);
    check("7007", BIT(LISTENER) | BIT(SERVER) | BIT(CLIENT));
    check(":7007", BIT(LISTENER) | BIT(SERVER) | BIT(CLIENT));
    check("!:7007", EVERY & ~(BIT(LISTENER) | BIT(SERVER) | BIT(CLIENT)));
}

static void hosts(void **state)
{
    (void)state;
    check("src 127.0.0.1", BIT(SERVER) | BIT(CLIENT));
    check("src = 127.0.0.1:7007", BIT(SERVER));
    check("dst 127/8:7007", BIT(CLIENT));
    check("src 10.0.0.0/8", BIT(MAPPED)); /* ::ffff:10.1.2.3 */
    check("dst 10/8", BIT(MAPPED) | BIT(WAITING));
    check("dst 10.8/13", BIT(MAPPED));
    check("dst != 10/8", EVERY & ~BIT(MAPPED) & ~BIT(WAITING));
    check("src [fe80::]/10", BIT(SIX));
    check("src fe80::/10", BIT(SIX));
    check("src [fe80::1]:7070", BIT(SIX));
    check("src [fe80::1]:7071", 0);
    check("src [fe80::1%lo]", BIT(SIX));
    check("src [fe80::1%2000000]", 0);
    check("src != [fe80::1%2000000]", EVERY);
    check("src [::]", BIT(DATAGRAM));
    check("src ::/0", BIT(MAPPED) | BIT(SIX) | BIT(DATAGRAM));
    check("src 0.0.0.0/0", BIT(LISTENER) | BIT(SERVER) | BIT(CLIENT) | BIT(MAPPED) | BIT(WAITING));
    check("src *:53", BIT(DATAGRAM));
    check("src :53", BIT(DATAGRAM));
    check("dst *", EVERY & ~BIT(LOCAL_PATH));
    check("dev lo", BIT(SERVER) | BIT(SIX));
    check("dev != 1", EVERY & ~BIT(SERVER) & ~BIT(SIX));
}

static void amounts(void **state)
{
    (void)state;
    check("unread>0", BIT(SERVER)); /* a listener's queue holds no bytes */
    check("unread = 12", BIT(SERVER));
    check("unsent>0", BIT(CLIENT) | BIT(DATAGRAM));
    check("unsent = 5", BIT(CLIENT));
    check("retransmits >= 3", BIT(CLIENT));
    check("retransmits < 3", EVERY & ~BIT(CLIENT));
}

static void owners(void **state)
{
    (void)state;
    check("pid:4101", BIT(SERVER));
    check("process:nginx", BIT(SERVER));
    check("process:ngin", 0);
    check("process:\"slow reader\"", BIT(LISTENER));
    check("not pid:4101", EVERY & ~BIT(SERVER));
    struct sockets_filter *filter = parse("not pid:4101");
    assert_true(filter_needs_owner(filter));
    assert_true(filter_may_match(filter, &sample[SERVER]));
    assert_true(filter_matches(filter, &sample[SERVER], NULL)); /* nobody is known */
    filter_free(filter);
    filter = parse("not (pid:4101 or sport = :7007)");
    assert_false(filter_may_match(filter, &sample[SERVER]));
    filter_free(filter);
}

static void text(void **state)
{
    (void)state;
    check("127.0.0.1:70", BIT(SERVER) | BIT(CLIENT));
    check("*:7007", BIT(LISTENER));
    check("WAIT", BIT(CLIENT) | BIT(MAPPED) | BIT(WAITING));
    check("NGINX[4101]", BIT(SERVER));
    check("\"slow r\"", BIT(LISTENER));
    check("'state'", 0);
    check("@mag", BIT(LOCAL_PATH));
    check("fe80", BIT(SIX));
    check("\"and\" or \"\\\"\" or \"\"", EVERY);
}

static void operators(void **state)
{
    (void)state;
    check("sport = :7007 state established", BIT(SERVER));
    check("sport = :7007 and not listening", BIT(SERVER));
    check("sport = :7007 && !listening", BIT(SERVER));
    check("listening or unread > 0 and sport = :7007", BIT(LISTENER) | BIT(SERVER)); /* "and" binds more */
    check("(listening or unread > 0) and sport = :22", 0);
    check("sport = :22 | sport = :53 & dport = :1", BIT(WAITING));
    check("not not listening", BIT(LISTENER));
    check("!(sport = :7007 || dport = :7007)", EVERY & ~(BIT(LISTENER) | BIT(SERVER) | BIT(CLIENT)));
    check("not sport = :7007 sport = :22", BIT(WAITING));
    check("listening OR sport = 22", BIT(LISTENER) | BIT(WAITING));
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place, *words;
    } rows[] = {
        {"sport = ", "at the end", "port"},
        {"sport = :65536", "character 9, \":65536\"", "65535"},
        {"70000", "character 1", "65535"},
        {"sport = :nosuchservice", "character 9", "a port"},
        {"state foo", "character 7, \"foo\"", "a state"},
        {"state", "at the end", "a state"},
        {"src 10.0.0.0/33", "character 5", "32 bits"},
        {"src [::1]/129", "character 5", "128 bits"},
        {"src [::1", "character 5", "bracket"},
        {"src [::1]80", "character 5", "colon"},
        {"src 127.0.0", "character 5", "four parts"},
        {"src 127.0.0.256", "character 5", "numeric address"},
        {"src example.org", "character 5", "numeric address"},
        {"src > 10/8", "character 5", "= and !="},
        {"src", "at the end", "address"},
        {"dev nosuchdevice", "character 5", "interface"},
        {"(listening", "at the end", "character 1"},
        {"listening)", "character 10", "there is no ("},
        {"listening or", "at the end", "condition"},
        {"and listening", "character 1", "condition"},
        {"unread", "at the end", "comparison"},
        {"unread > many", "character 10", "number"},
        {"unread > 4294967296", "character 10", "4294967295"},
        {"= 5", "character 1", "before it"},
        {"pid:x", "character 1", "number of a process"},
        {"process:", "character 1", "name of a program"},
        {"listening \"foo", "character 11", "quote"},
        {"fwmark = 1", "character 1, \"fwmark\"", "sonde does not"},
        {"cgroup /x", "character 1, \"cgroup\"", "sonde does not"},
        {"autobound", "character 1, \"autobound\"", "sonde does not"},
        {"state \033[2J", "\"?[2J\"", "a state"},
        {"()", "character 2", "condition"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockets_filter *filter = (void *)&sample;
        char why[192] = "";
        assert_int_equal(filter_parse(rows[i].text, &filter, why), -EINVAL);
        assert_ptr_equal(filter, &sample);
        if (strstr(why, rows[i].place) == NULL || strstr(why, rows[i].words) == NULL)
            fail_msg("%s: %s", rows[i].text, why);
        assert_null(strpbrk(why, "\n\033"));
    }
}

static void maxima(void **state)
{
    (void)state;
    struct sockets_filter *filter;
    char why[192], text[2048];
    memset(text, 'a', sizeof text);
    text[FILTER_TEXT_MAX] = '\0';
    assert_int_equal(filter_parse(text, &filter, why), -E2BIG);
    text[FILTER_TEXT_MAX - 1] = '\0';
    filter_free(parse(text));
    for (size_t i = 1; i < FILTER_TEXT_MAX - 1; i += 2)
        text[i] = ' ';
    assert_int_equal(filter_parse(text, &filter, why), -E2BIG);
    assert_non_null(strstr(why, "256"));
    memset(text, '(', 100);
    assert_int_equal(filter_parse(text, &filter, why), -E2BIG);
    assert_non_null(strstr(why, "64"));
    char *words[] = {text, text};
    memset(text, 'a', FILTER_TEXT_MAX - 1);
    assert_int_equal(filter_parse_words(2, words, &filter, why), -E2BIG);
}

static void words(void **state)
{
    (void)state;
    char one[] = "state", two[] = "established", three[] = "( sport = :7007", four[] = "or", five[] = "dport :7007 )";
    char *split[] = {one, two, three, four, five};
    struct sockets_filter *filter;
    char why[192];
    assert_int_equal(filter_parse_words(5, split, &filter, why), 0);
    assert_int_equal(matching(filter), BIT(SERVER));
    filter_free(filter);
    assert_int_equal(filter_parse_words(0, NULL, &filter, why), 0);
    assert_int_equal(matching(filter), EVERY);
    filter_free(filter);
    char six[] = "sport", seven[] = "= x/";
    char *bad[] = {six, seven};
    assert_int_equal(filter_parse_words(2, bad, &filter, why), -EINVAL);
    assert_non_null(strstr(why, "character 9"));
    filter_free(NULL);
}

static void check_states(const char *text_, uint32_t expected)
{
    struct sockets_filter *filter = parse(text_);
    assert_int_equal(filter_kernel_states(filter), expected);
    filter_free(filter);
}

static void kernel_states(void **state)
{
    (void)state;
    check_states("", KERNEL_ALL_STATES);
    check_states("sport = :80", KERNEL_ALL_STATES);
    check_states("listening", 1u << 10);
    check_states("state syn-recv", 1u << 3 | 1u << 12);
    check_states("state closed", 1u << 7 | 1u << 13);
    check_states("not listening", KERNEL_ALL_STATES & ~(1u << 10));
    check_states("state established or listening", 1u << 1 | 1u << 10);
    check_states("state established sport = :80", 1u << 1);
    check_states("state established or sport = :80", KERNEL_ALL_STATES);
    check_states("not (exclude established or sport = :80)", 1u << 1);
}

static int program_bytes(const char *text_)
{
    _Alignas(4) unsigned char program[4096];
    struct sockets_filter *filter = parse(text_);
    int n = filter_bytecode(filter, program, sizeof program);
    assert_true(n == filter_bytecode(filter, program, (size_t)n));
    if (n > 0)
        assert_int_equal(filter_bytecode(filter, program, (size_t)n - 1), -ENOSPC);
    filter_free(filter);
    return n;
}

/* What the programs do is tested against the kernel, in test_sockets_live, and by fuzz_filter. */
static void programs(void **state)
{
    (void)state;
    assert_int_equal(program_bytes(""), 0);
    assert_int_equal(program_bytes("listening"), 0);
    assert_int_equal(program_bytes("nginx or sport = :80"), 0); /* the kernel can't leave out anything */
    assert_true(program_bytes("nginx and sport = :80") == program_bytes("sport = :80"));
    assert_true(program_bytes("sport != :80") > program_bytes("sport = :80"));
    assert_int_equal(program_bytes("src != [fe80::1%lo]"), 0); /* the kernel does not know zones */
    assert_true(program_bytes("src [fe80::1%lo]") > 0);
}

static void needs(void **state)
{
    (void)state;
    struct sockets_filter *filter = parse("listening or unsent > 0");
    assert_int_equal(filter_needs(filter), SOCKETS_WITH_INFO);
    assert_false(filter_needs_owner(filter));
    filter_free(filter);
    filter = parse("unread > 0");
    assert_int_equal(filter_needs(filter), 0);
    filter_free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything), cmocka_unit_test(states),    cmocka_unit_test(ports),
        cmocka_unit_test(hosts),      cmocka_unit_test(amounts),   cmocka_unit_test(owners),
        cmocka_unit_test(text),       cmocka_unit_test(operators), cmocka_unit_test(refused),
        cmocka_unit_test(maxima),     cmocka_unit_test(words),     cmocka_unit_test(kernel_states),
        cmocka_unit_test(programs),   cmocka_unit_test(needs),
    };
    return cmocka_run_group_tests(tests, make_samples, NULL);
}
