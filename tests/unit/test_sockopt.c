/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/address.h"
#include "net/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static struct sonde_url parse(const char *text)
{
    struct sonde_url url;
    struct sonde_why why;

    if (sonde_url_parse(text, &url, &why) < 0)
        fail_msg("%s: %s: %s", text, why.subject, why.detail);
    return url;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

static void table(void **state)
{
    static const char *const names[] = {"backlog",      "nodelay",      "keepalive", "sndbuf", "rcvbuf", "bind",
                                        "linger",       "user_timeout", "ttl",       "dscp",   "cc",     "quickack",
                                        "defer_accept", "fastopen",     "mptcp",     "device", "mark",   "proxy",
                                        "join",         "loop",         "broadcast"};
    const struct sonde_option_description *options = sonde_url_options();

    (void)state;
    assert_int_equal(sizeof names / sizeof *names, SONDE_N_OPTIONS);
    assert_true(SONDE_N_OPTIONS <= 32); /* the bits of n_set */
    for (unsigned i = 0; i < SONDE_N_OPTIONS; i++) {
        assert_string_equal(options[i].name, names[i]);
        assert_true((options[i].where & (SONDE_FOR_LISTEN | SONDE_FOR_CONNECT)) != 0);
        assert_true(options[i].values[0] != '\0');
        assert_true(strlen(options[i].help) > 10 && strlen(options[i].help) < 100);
    }
}

/* --- values ----------------------------------------------------------------------------------------------------- */

struct value_row {
    const char *text; /* name=value */
    int64_t number;
    const char *kept; /* the value's text; NULL: as given */
};

static const struct value_row good[SONDE_N_OPTIONS][12] = {
    [SONDE_OPT_BACKLOG] = {{"backlog=0", 0, 0},
                           {"backlog=128", 128, 0},
                           {"backlog=4k", 4000, 0},
                           {"backlog=2147483647", 2147483647, 0},
                           {"backlog=%31%32", 12, "12"}},
    [SONDE_OPT_NODELAY] = {{"nodelay=0", 0, 0}, {"nodelay=1", 1, 0}, {"nodelay", 1, "1"}, {"nodelay=01", 1, 0}},
    [SONDE_OPT_KEEPALIVE] = {{"keepalive=0", 0, 0},
                             {"keepalive=1", 1, 0},
                             {"keepalive", 1, "1"},
                             {"keepalive=1s", SECOND, 0},
                             {"keepalive=5", 5 * SECOND, 0},
                             {"keepalive=9h", 32400 * SECOND, 0},
                             {"keepalive=32767s", 32767 * SECOND, 0},
                             {"keepalive=1000ms", SECOND, 0}},
    [SONDE_OPT_SNDBUF] = {{"sndbuf=1", 1, 0}, {"sndbuf=64k", 65536, 0}, {"sndbuf=1G", 1 << 30, 0}},
    [SONDE_OPT_RCVBUF] = {{"rcvbuf=1", 1, 0}, {"rcvbuf=4096", 4096, 0}, {"rcvbuf=1g", 1 << 30, 0}},
    [SONDE_OPT_BIND] = {{"bind=127.0.0.2", 0, 0},
                        {"bind=127.0.0.2:5000", 5000, 0},
                        {"bind=:5000", 5000, 0},
                        {"bind=[::1]", 0, 0},
                        {"bind=[::1]:5000", 5000, 0},
                        {"bind=%5B%3A%3A1%5D%3A5000", 5000, "[::1]:5000"},
                        {"bind=[fe80::1%eth0]:1", 1, 0},
                        {"bind=[fe80::1%25eth0]:1", 1, 0},
                        {"bind=%5Bfe80::1%25eth0%5D:1", 1, "[fe80::1%eth0]:1"},
                        {"bind=*:5000", 5000, 0}},
    [SONDE_OPT_LINGER] = {{"linger=0", 0, 0}, {"linger=5", 5, 0}, {"linger=65535", 65535, 0}},
    [SONDE_OPT_USER_TIMEOUT] = {{"user_timeout=1ms", 1000000, 0},
                                {"user_timeout=30", 30 * SECOND, 0},
                                {"user_timeout=1.5s", 3 * SECOND / 2, 0},
                                {"user_timeout=24d", 24 * 86400 * SECOND, 0}},
    [SONDE_OPT_TTL] = {{"ttl=1", 1, 0}, {"ttl=64", 64, 0}, {"ttl=255", 255, 0}},
    [SONDE_OPT_DSCP] = {{"dscp=0", 0, 0}, {"dscp=46", 46, 0}, {"dscp=63", 63, 0}},
    [SONDE_OPT_CC] = {{"cc=cubic", 0, 0}, {"cc=bbr", 0, 0}, {"cc=a-b_c", 0, 0}, {"cc=123456789012345", 0, 0}},
    [SONDE_OPT_QUICKACK] = {{"quickack=0", 0, 0}, {"quickack=1", 1, 0}, {"quickack", 1, "1"}},
    [SONDE_OPT_DEFER_ACCEPT] = {{"defer_accept=1", SECOND, 0}, {"defer_accept=1h", 3600 * SECOND, 0}},
    [SONDE_OPT_FASTOPEN] = {{"fastopen=0", 0, 0}, {"fastopen=1", 1, 0}, {"fastopen=65535", 65535, 0}},
    [SONDE_OPT_MPTCP] = {{"mptcp=0", 0, 0}, {"mptcp=1", 1, 0}, {"mptcp", 1, "1"}},
    [SONDE_OPT_DEVICE] = {{"device=lo", 0, 0},
                          {"device=eth0.100", 0, 0},
                          {"device=abcdefghijklmno", 0, 0},
                          {"device=a%26b", 0, "a&b"}},
    [SONDE_OPT_MARK] = {{"mark=0", 0, 0},
                        {"mark=42", 42, 0},
                        {"mark=0x2a", 42, 0},
                        {"mark=4294967295", 4294967295, 0},
                        {"mark=0xffffffff", 4294967295, 0}},
    [SONDE_OPT_PROXY] = {{"proxy=in", 0, 0}, {"proxy=v1", 1, 0}, {"proxy=v2", 2, 0}, {"proxy=%76%32", 2, "v2"}},
    [SONDE_OPT_JOIN] = {{"join=1", 0, 0},
                        {"join=239.1.2.3", 0, 0},
                        {"join=224.0.0.1%eth0", 0, 0},
                        {"join=239.1.2.3%25eth0", 0, "239.1.2.3%eth0"},
                        {"join=ff02::1%2", 0, 0},
                        {"join=ff15::5", 0, 0}},
    [SONDE_OPT_LOOP] = {{"loop=0", 0, 0}, {"loop=1", 1, 0}, {"loop", 1, "1"}},
    [SONDE_OPT_BROADCAST] = {{"broadcast=0", 0, 0}, {"broadcast=1", 1, 0}, {"broadcast", 1, "1"}},
};

/* An address that the option is for. */
static enum sonde_scheme scheme_of(unsigned option)
{
    return sonde_url_options()[option].where & SONDE_NOT_TCP ? SONDE_SCHEME_UDP : SONDE_SCHEME_TCP;
}

static const char *address_of(unsigned option)
{
    return scheme_of(option) == SONDE_SCHEME_UDP ? "udp://:7007" : "tcp://:7007";
}

/* What every option refuses, and what this one refuses beside it. */
static const char *const bad_for_all[] = {"",     "=",     "=-1", "=+1", "= 1",  "=1%20", "=%00", "=1%00",
                                          "=%0a", "=1%1b", "=%",  "=%4", "=%zz", "=1e3",  "==1",  "=%7f"};

static const char *const bad[SONDE_N_OPTIONS][12] = {
    [SONDE_OPT_BACKLOG] = {"=2147483648", "=x", "=1.5", "=0x10", "=99999999999999999999"},
    [SONDE_OPT_NODELAY] = {"=2", "=yes", "=on", "=true", "=99999999999999999999"},
    [SONDE_OPT_KEEPALIVE] = {"=0s", "=0.5", "=500ms", "=1.5", "=32768s", "=1d", "=x", "=99999999999999999999"},
    [SONDE_OPT_SNDBUF] = {"=0", "=1073741825", "=2G", "=1.5M", "=9999999999T"},
    [SONDE_OPT_RCVBUF] = {"=0", "=1073741825", "=2G", "=4KiB"},
    [SONDE_OPT_BIND] = {"=localhost", "=::1", "=::1:5000", "=127.0.0.1:", "=127.0.0.1:65536", "=:", "=*:x", "=[::1",
                        "=1.2.3", "=[::1]5"},
    [SONDE_OPT_LINGER] = {"=5s", "=65536", "=0.5", "=x"},
    [SONDE_OPT_USER_TIMEOUT] = {"=0", "=0s", "=100us", "=1.5ms", "=25d", "=x"},
    [SONDE_OPT_TTL] = {"=0", "=256", "=0x10", "=1k"},
    [SONDE_OPT_DSCP] = {"=64", "=ef", "=0x2e", "=256"},
    [SONDE_OPT_CC] = {"=1234567890123456", "=a/b", "=a%20b", "=%e5%a5%97", "=.", "=.."},
    [SONDE_OPT_QUICKACK] = {"=2", "=x"},
    [SONDE_OPT_DEFER_ACCEPT] = {"=0", "=500ms", "=1.5", "=3601", "=2h"},
    [SONDE_OPT_FASTOPEN] = {"=65536", "=x"},
    [SONDE_OPT_MPTCP] = {"=2", "=x"},
    [SONDE_OPT_DEVICE] = {"=1234567890123456", "=a/b", "=a:b", "=a%20b", "=.", "=..", "=%c2%9b"},
    [SONDE_OPT_MARK] = {"=4294967296", "=0x100000000", "=0x", "=x", "=1k"},
    [SONDE_OPT_PROXY] = {"=1", "=2", "=v3", "=V1", "=In", "=v1v2", "=out"},
    [SONDE_OPT_JOIN] = {"=0", "=2", "=127.0.0.1", "=223.255.255.255", "=240.0.0.1", "=::1", "=239.1.2.3%", "=group",
                        "=239.1.2", "=[ff02::1]"},
    [SONDE_OPT_LOOP] = {"=2", "=x"},
    [SONDE_OPT_BROADCAST] = {"=2", "=x"},
};

static void good_values(void **state)
{
    (void)state;
    for (unsigned option = 0; option < SONDE_N_OPTIONS; option++) {
        assert_non_null(good[option][0].text);
        for (const struct value_row *row = good[option]; row < good[option] + 12 && row->text != NULL; row++) {
            struct sonde_url url = {.scheme = scheme_of(option)}, whole;
            char text[256];
            struct sonde_why why;
            if (sockopt_parse(&url, row->text, strlen(row->text), &why) < 0)
                fail_msg("%s: %s", row->text, why.detail);
            assert_int_equal(url.n_set, 1u << option);
            assert_true(url.option[option].number == row->number);
            const char *equals = strchr(row->text, '=');
            assert_string_equal(url.option[option].text, row->kept != NULL ? row->kept : equals + 1);

            snprintf(text, sizeof text, "%s?%s", address_of(option), row->text);
            whole = parse(text);
            assert_int_equal(whole.n_set, 1u << option);
            assert_memory_equal(&whole.option[option], &url.option[option], sizeof url.option[option]);
        }
    }
}

static void check_refused_at(enum sonde_scheme scheme, const char *text, const char *detail)
{
    struct sonde_url url = {.scheme = scheme}, before = url;
    struct sonde_why why = {.code = 0};

    int error = sockopt_parse(&url, text, strlen(text), &why);
    if (error != -SONDE_EOPTION || why.code != error)
        fail_msg("%s: %d", text, error);
    assert_string_equal(why.call, "parse");
    assert_string_equal(why.subject, text);
    if (strstr(why.detail, detail) == NULL)
        fail_msg("%s: %s", text, why.detail);
    assert_memory_equal(&url, &before, sizeof url);
    assert_int_equal(sockopt_parse(&url, text, strlen(text), NULL), -SONDE_EOPTION);
}

static void check_refused(const char *text, const char *detail)
{
    check_refused_at(SONDE_SCHEME_TCP, text, detail);
}

/* A flag may stand without a value, and a name may be made of almost anything. */
static bool takes_it_all_the_same(unsigned option, const char *value)
{
    if (option == SONDE_OPT_CC || option == SONDE_OPT_DEVICE)
        return strlen(value) > 1 && strpbrk(value, "% ") == NULL;
    return value[0] == '\0' && strncmp(sonde_url_options()[option].values, "0|1", 3) == 0;
}

static void bad_values(void **state)
{
    char text[128];

    (void)state;
    for (unsigned option = 0; option < SONDE_N_OPTIONS; option++) {
        const char *name = sonde_url_options()[option].name;
        for (size_t i = 0; i < sizeof bad_for_all / sizeof *bad_for_all; i++) {
            snprintf(text, sizeof text, "%s%s", name, bad_for_all[i]);
            if (takes_it_all_the_same(option, bad_for_all[i]))
                assert_int_equal(
                    sockopt_parse(&(struct sonde_url){.scheme = scheme_of(option)}, text, strlen(text), NULL), 0);
            else
                check_refused_at(scheme_of(option), text, "");
        }
        /* One sentence that begins with the option's name says what would be right. */
        assert_non_null(bad[option][0]);
        for (size_t i = 0; i < 12 && bad[option][i] != NULL; i++) {
            char takes[64];
            snprintf(text, sizeof text, "%s%s", name, bad[option][i]);
            snprintf(takes, sizeof takes, "%s takes ", name);
            check_refused_at(scheme_of(option), text, takes);
        }
    }
}

static void unknown_options(void **state)
{
    (void)state;
    check_refused("nodelya=1", "did you mean nodelay?");
    check_refused("no-delay=1", "did you mean nodelay?");
    check_refused("NODELAY=1", "the options are backlog, nodelay, ");
    check_refused("user-timeout=5", "did you mean user_timeout?");
    check_refused("timeout=5", "did you mean user_timeout?");
    check_refused("tll=5", "did you mean ttl?");
    check_refused("keep=1", "did you mean keepalive?");
    check_refused("buf=1", "did you mean sndbuf or rcvbuf?");
    check_refused("zzzzzz=1", "the options are backlog, nodelay, keepalive,");
    check_refused("zzzzzz", "fastopen, mptcp, device, mark"); /* the whole list has room */
    check_refused("a-very-long-name-of-no-option-at-all-that-is-longer-than-any=1", "the options are");
    check_refused("", "name=value");
    check_refused("=", "name=value");
    check_refused("no%64elay=1", "nodelay"); /* names are not encoded */
}

static void options_together(void **state)
{
    struct sonde_url url = parse("tcp://127.0.0.1:7007?nodelay=1&backlog=128&bind=127.0.0.2:5000");
    struct sonde_why why;

    (void)state;
    assert_int_equal(url.n_set, 1u << SONDE_OPT_NODELAY | 1u << SONDE_OPT_BACKLOG | 1u << SONDE_OPT_BIND);
    assert_true(url.option[SONDE_OPT_BACKLOG].number == 128);
    assert_string_equal(url.option[SONDE_OPT_BIND].text, "127.0.0.2:5000");

    assert_int_equal(sonde_url_parse(":1?ttl=5&ttl=5", &url, &why), -SONDE_EOPTION);
    assert_string_equal(why.subject, "ttl=5");
    assert_non_null(strstr(why.detail, "twice"));

    /* 63 bytes of text are kept, and no more: enough for the longest address with a zone and a port. */
    url = parse(":1?backlog=000000000000000000000000000000000000000000000000000000000000005");
    assert_true(url.option[SONDE_OPT_BACKLOG].number == 5);
    assert_int_equal(
        sonde_url_parse(":1?backlog=0000000000000000000000000000000000000000000000000000000000000005", &url, &why),
        -SONDE_EOPTION);
    assert_non_null(strstr(why.detail, "63"));
    assert_int_equal(
        sonde_url_parse(":1?bind=[0000:0000:0000:0000:0000:0000:0000:0001%eth012345678901]:12345", &url, &why), 0);
    assert_int_equal(
        sonde_url_parse(":1?bind=[0000:0000:0000:0000:0000:0000:0000:0001%25eth012345678901]:1234", &url, &why),
        -SONDE_EOPTION);
    assert_non_null(strstr(why.detail, "63"));
}

/* Values of any length, in both ways to write an address: what has no room is refused, not cut. */
static void long_values(void **state)
{
    char text[300];

    (void)state;
    for (size_t n = 1; n < 250; n++)
        for (int brackets = 0; brackets < 2; brackets++) {
            struct sonde_url url = {.scheme = SONDE_SCHEME_TCP};
            struct sonde_why why;
            memcpy(text, "bind=", 5);
            memset(text + 5, ':', n);
            if (brackets == 1)
                text[5] = '[';
            assert_int_equal(sockopt_parse(&url, text, n + 5, &why), -SONDE_EOPTION);
            assert_int_equal(strstr(why.detail, "63") != NULL, n > 63);
        }
}

static void where_options_fit(void **state)
{
    (void)state;
    for (unsigned option = 0; option < SONDE_N_OPTIONS; option++) {
        const struct sonde_option_description *description = &sonde_url_options()[option];
        char text[128];
        struct sonde_url url;
        struct sonde_why why;

        snprintf(text, sizeof text, "unix:/x?%s", good[option][0].text);
        int error = sonde_url_parse(text, &url, &why);
        assert_int_equal(error, (description->where & SONDE_FOR_UNIX) != 0 ? 0 : -SONDE_EOPTION);
        if (error < 0)
            assert_non_null(
                strstr(why.detail, scheme_of(option) == SONDE_SCHEME_UDP ? "udp://" : "backlog, sndbuf and proxy"));

        snprintf(text, sizeof text, "udp://:1?%s", good[option][0].text);
        error = sonde_url_parse(text, &url, &why);
        assert_int_equal(error, (description->where & SONDE_FOR_UDP) != 0 ? 0 : -SONDE_EOPTION);
        snprintf(text, sizeof text, "tcp://:1?%s", good[option][0].text);
        error = sonde_url_parse(text, &url, &why);
        assert_int_equal(error, (description->where & SONDE_NOT_TCP) == 0 ? 0 : -SONDE_EOPTION);

        snprintf(text, sizeof text, "%s?%s", address_of(option), good[option][0].text);
        url = parse(text);
        for (unsigned where = SONDE_FOR_LISTEN; where <= SONDE_FOR_CONNECT; where <<= 1) {
            if (option == SONDE_OPT_PROXY)
                break; /* which word fits where is below */
            memset(&why, 0, sizeof why);
            error = sockopt_check(&url, where, &why);
            assert_int_equal(error, (description->where & where) != 0 ? 0 : -SONDE_EOPTION);
            assert_int_equal(sockopt_check(&url, where, NULL), error);
            if (error == 0)
                continue;
            assert_string_equal(why.subject, good[option][0].text);
            assert_non_null(strstr(why.detail, where == SONDE_FOR_LISTEN ? "listener" : "listening"));
        }
    }

    for (int word = 0; word < 3; word++) {
        struct sonde_url proxied = parse(word == 0 ? ":1?proxy=in" : word == 1 ? "unix:/x?proxy=v1" : "fd:3?proxy=v2");
        assert_int_equal(sockopt_check(&proxied, SONDE_FOR_LISTEN, NULL), word == 0 ? 0 : -SONDE_EOPTION);
        assert_int_equal(sockopt_check(&proxied, SONDE_FOR_CONNECT, NULL), word != 0 ? 0 : -SONDE_EOPTION);
    }
    struct sonde_url adopted = parse("fd:3?ttl=5&backlog=9");
    assert_int_equal(sockopt_check_family(&adopted, AF_INET6, NULL), 0);
    assert_int_equal(sockopt_check_family(&adopted, AF_UNIX, NULL), -SONDE_EOPTION);
    adopted = parse("fd:3?sndbuf=5k&backlog=9&proxy=in");
    assert_int_equal(sockopt_check_family(&adopted, AF_UNIX, NULL), 0);

    struct sonde_url url = parse(":1?fastopen=5");
    struct sonde_why why;
    assert_int_equal(sockopt_check(&url, SONDE_FOR_LISTEN, NULL), 0);
    assert_int_equal(sockopt_check(&url, SONDE_FOR_CONNECT, &why), -SONDE_EOPTION);
    assert_string_equal(why.subject, "fastopen=5");
    url = parse(":1");
    assert_int_equal(sockopt_check(&url, SONDE_FOR_LISTEN, NULL), 0);
    assert_int_equal(sockopt_check(&url, SONDE_FOR_CONNECT, NULL), 0);
}

/* --- what is set: by a function that writes down ---------------------------------------------------------------- */

struct record {
    int fail_level, fail_name, error;
    size_t n;
    struct {
        int level, name;
        socklen_t n_bytes;
        union {
            int number;
            struct linger linger;
            char text[64];
        } value;
    } set[40];
};

static int record(void *user, int fd, int level, int name, const void *value, socklen_t n_bytes)
{
    struct record *here = user;

    assert_int_equal(fd, 4711);
    assert_true(here->n < 40 && n_bytes <= sizeof here->set->value);
    if (level == here->fail_level && name == here->fail_name)
        return here->error;
    here->set[here->n].level = level;
    here->set[here->n].name = name;
    here->set[here->n].n_bytes = n_bytes;
    memset(&here->set[here->n].value, 0, sizeof here->set[here->n].value);
    memcpy(&here->set[here->n].value, value, n_bytes);
    here->n++;
    return 0;
}

static struct record apply(const char *text, enum sockopt_moment moment, int family)
{
    struct sonde_url url = parse(text);
    struct record here = {.n = 0};
    struct sonde_why why = {.code = 4711};

    assert_int_equal(sockopt_apply(&url, moment, 4711, family, record, &here, &why), 0);
    assert_int_equal(why.code, 4711); /* untouched */
    return here;
}

static void check_int(const struct record *here, size_t i, int level, int name, int number)
{
    assert_true(i < here->n);
    assert_int_equal(here->set[i].level, level);
    assert_int_equal(here->set[i].name, name);
    assert_int_equal(here->set[i].n_bytes, sizeof number);
    assert_int_equal(here->set[i].value.number, number);
}

static void defaults(void **state)
{
    struct record here;

    (void)state;
    for (enum sockopt_moment moment = SOCKOPT_LISTEN; moment <= SOCKOPT_CONNECT; moment++) {
        here = apply(":1", moment, AF_INET6);
        assert_int_equal(here.n, 1);
        check_int(&here, 0, IPPROTO_TCP, TCP_NODELAY, 1);
        here = apply(":1?nodelay=0", moment, AF_INET);
        assert_int_equal(here.n, 1);
        check_int(&here, 0, IPPROTO_TCP, TCP_NODELAY, 0);
        here = apply("unix:/x", moment, AF_UNIX);
        assert_int_equal(here.n, 0);
    }
    here = apply(":1?nodelay=1&ttl=5", SOCKOPT_ESTABLISHED, AF_INET);
    assert_int_equal(here.n, 0);
}

static void each_option_in_its_form(void **state)
{
    struct record here;

    (void)state;
    here = apply(":1?nodelay=1&keepalive=1&sndbuf=4k&rcvbuf=8k&ttl=5&dscp=46&mark=0xffffffff", SOCKOPT_LISTEN, AF_INET);
    assert_int_equal(here.n, 7);
    check_int(&here, 1, SOL_SOCKET, SO_KEEPALIVE, 1);
    check_int(&here, 2, SOL_SOCKET, SO_SNDBUF, 4096);
    check_int(&here, 3, SOL_SOCKET, SO_RCVBUF, 8192);
    check_int(&here, 4, IPPROTO_IP, IP_TTL, 5);
    check_int(&here, 5, IPPROTO_IP, IP_TOS, 46 << 2);
    check_int(&here, 6, SOL_SOCKET, SO_MARK, -1);

    here = apply(":1?ttl=5&dscp=46", SOCKOPT_CONNECT, AF_INET6);
    assert_int_equal(here.n, 3);
    check_int(&here, 1, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    check_int(&here, 2, IPPROTO_IPV6, IPV6_TCLASS, 46 << 2);

    /* A mapped address travels as IPv4, over an IPv6 socket. */
    here = apply("[::ffff:127.0.0.1]:1?ttl=5", SOCKOPT_CONNECT, AF_INET6);
    assert_int_equal(here.n, 3);
    check_int(&here, 1, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    check_int(&here, 2, IPPROTO_IP, IP_TTL, 5);

    here = apply(":1?keepalive=0", SOCKOPT_LISTEN, AF_INET);
    assert_int_equal(here.n, 2);
    check_int(&here, 1, SOL_SOCKET, SO_KEEPALIVE, 0);
    here = apply(":1?keepalive=2m", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(here.n, 3);
    check_int(&here, 1, SOL_SOCKET, SO_KEEPALIVE, 1);
    check_int(&here, 2, IPPROTO_TCP, TCP_KEEPIDLE, 120);

    here = apply(":1?user_timeout=1.5s&linger=7", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(here.n, 3);
    assert_int_equal(here.set[1].name, SO_LINGER);
    assert_int_equal(here.set[1].n_bytes, sizeof(struct linger));
    assert_int_equal(here.set[1].value.linger.l_onoff, 1);
    assert_int_equal(here.set[1].value.linger.l_linger, 7);
    check_int(&here, 2, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
    here = apply(":1?user_timeout=24d", SOCKOPT_CONNECT, AF_INET);
    check_int(&here, 1, IPPROTO_TCP, TCP_USER_TIMEOUT, 2073600000);

    here = apply(":1?cc=cubic&device=lo", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(here.n, 3);
    assert_int_equal(here.set[1].name, TCP_CONGESTION);
    assert_int_equal(here.set[1].n_bytes, 5);
    assert_string_equal(here.set[1].value.text, "cubic");
    assert_int_equal(here.set[2].level, SOL_SOCKET);
    assert_int_equal(here.set[2].name, SO_BINDTODEVICE);
    assert_string_equal(here.set[2].value.text, "lo");
}

static void each_option_at_its_moment(void **state)
{
    struct record here;

    (void)state;
    here = apply(":1?fastopen=5&defer_accept=2&backlog=7&quickack=1&mptcp=1", SOCKOPT_LISTEN, AF_INET);
    assert_int_equal(here.n, 3);
    check_int(&here, 1, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2);
    check_int(&here, 2, IPPROTO_TCP, TCP_FASTOPEN, 5);

    here = apply(":1?fastopen=1&bind=:5&quickack=1", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(here.n, 2);
    check_int(&here, 1, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);

    here = apply(":1?fastopen=1&quickack=0", SOCKOPT_ESTABLISHED, AF_INET);
    assert_int_equal(here.n, 1);
    check_int(&here, 0, IPPROTO_TCP, TCP_QUICKACK, 0);

    here = apply("unix:/x?sndbuf=4k&backlog=5", SOCKOPT_LISTEN, AF_UNIX);
    assert_int_equal(here.n, 1);
    check_int(&here, 0, SOL_SOCKET, SO_SNDBUF, 4096);
}

static void refusals(void **state)
{
    static const struct {
        const char *text;
        int level, name, error;
        const char *subject, *detail;
    } rows[] = {
        {":1?mark=7", SOL_SOCKET, SO_MARK, -EPERM, "mark=7", "CAP_NET_ADMIN"},
        {":1?device=eth9", SOL_SOCKET, SO_BINDTODEVICE, -ENODEV, "device=eth9", "ip link"},
        {":1?device=eth9", SOL_SOCKET, SO_BINDTODEVICE, -EPERM, "device=eth9", "CAP_NET_RAW"},
        {":1?cc=vegas", IPPROTO_TCP, TCP_CONGESTION, -ENOENT, "cc=vegas", "tcp_available_congestion_control"},
        {":1?cc=vegas", IPPROTO_TCP, TCP_CONGESTION, -EPERM, "cc=vegas", "tcp_allowed_congestion_control"},
        {":1?fastopen=1", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, -EOPNOTSUPP, "fastopen=1", "net.ipv4.tcp_fastopen"},
        {":1?dscp=46", IPPROTO_IP, IP_TOS, -EINVAL, "dscp=46", ""},
        {":1?keepalive=5s", IPPROTO_TCP, TCP_KEEPIDLE, -ENOPROTOOPT, "keepalive=5s", "leave it out"},
        {":1?nodelay=1", IPPROTO_TCP, TCP_NODELAY, -EOPNOTSUPP, "nodelay=1", "leave it out"},
        {":1", IPPROTO_TCP, TCP_NODELAY, -ENOMEM, "nodelay=1", ""},
        {":1?linger=0", SOL_SOCKET, SO_LINGER, -EBADF, "linger=0", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_url url = parse(rows[i].text);
        struct record here = {.fail_level = rows[i].level, .fail_name = rows[i].name, .error = rows[i].error};
        struct sonde_why why;
        memset(&why, 'u', sizeof why);
        assert_int_equal(sockopt_apply(&url, SOCKOPT_CONNECT, 4711, AF_INET, record, &here, &why), rows[i].error);
        assert_int_equal(why.code, rows[i].error);
        assert_string_equal(why.call, "setsockopt");
        assert_string_equal(why.subject, rows[i].subject);
        assert_true(rows[i].detail[0] == '\0' ? why.detail[0] == '\0' : strstr(why.detail, rows[i].detail) != NULL);
        assert_int_equal(sockopt_apply(&url, SOCKOPT_CONNECT, 4711, AF_INET, record, &here, NULL), rows[i].error);
    }

    /* What nobody asked for may be missing. */
    struct sonde_url url = parse(":1?ttl=5");
    struct record here = {.fail_level = IPPROTO_TCP, .fail_name = TCP_NODELAY, .error = -EOPNOTSUPP};
    assert_int_equal(sockopt_apply(&url, SOCKOPT_CONNECT, 4711, AF_INET, record, &here, NULL), 0);
    assert_int_equal(here.n, 1);

    /* The n-th call fails, for every n: it is the last one. */
    url = parse(":1?keepalive=5s&sndbuf=4k&linger=1&ttl=5&dscp=1&cc=reno&device=lo&mark=1");
    here = (struct record){.n = 0};
    assert_int_equal(sockopt_apply(&url, SOCKOPT_LISTEN, 4711, AF_INET, record, &here, NULL), 0);
    for (size_t i = 0; i < here.n; i++) {
        struct record failing = {.fail_level = here.set[i].level, .fail_name = here.set[i].name, .error = -EIO};
        assert_int_equal(sockopt_apply(&url, SOCKOPT_LISTEN, 4711, AF_INET, record, &failing, NULL), -EIO);
        assert_int_equal(failing.n, i);
    }
}

/* --- what is set: on sockets of this kernel --------------------------------------------------------------------- */

static int set_really(void *user, int fd, int level, int name, const void *value, socklen_t n_bytes)
{
    (void)user;
    return setsockopt(fd, level, name, value, n_bytes) < 0 ? -errno : 0;
}

static int ask(int fd, int level, int name)
{
    int value = 0;
    socklen_t n = sizeof value;

    assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
    return value;
}

static int socket_with(const char *text, enum sockopt_moment moment, int family)
{
    struct sonde_url url = parse(text);
    struct sonde_why why;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (sockopt_apply(&url, moment, fd, family, set_really, NULL, &why) < 0)
        fail_msg("%s: %s: %s", why.subject, sonde_strerror(why.code), why.detail);
    return fd;
}

static void real_sockets(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const char text[] =
        ":1?keepalive=90s&sndbuf=16k&rcvbuf=32k&linger=3&user_timeout=2500ms&ttl=7&dscp=46&cc=reno&device=lo";

    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (enum sockopt_moment moment = SOCKOPT_LISTEN; moment <= SOCKOPT_CONNECT; moment++) {
            int family = families[i], probe = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (probe < 0 && errno == EAFNOSUPPORT)
                continue; /* a machine without IPv6 */
            close(probe);
            int fd = socket_with(text, moment, family);
            struct linger linger;
            char name[32] = "";
            socklen_t n = sizeof linger;
            assert_int_equal(ask(fd, IPPROTO_TCP, TCP_NODELAY), 1);
            assert_int_equal(ask(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
            assert_int_equal(ask(fd, IPPROTO_TCP, TCP_KEEPIDLE), 90);
            assert_int_equal(ask(fd, SOL_SOCKET, SO_SNDBUF), 2 * 16384);
            assert_int_equal(ask(fd, SOL_SOCKET, SO_RCVBUF), 2 * 32768);
            assert_int_equal(ask(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 2500);
            assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &n), 0);
            assert_true(linger.l_onoff == 1 && linger.l_linger == 3);
            assert_int_equal(family == AF_INET ? ask(fd, IPPROTO_IP, IP_TTL) : ask(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS),
                             7);
            assert_int_equal(family == AF_INET ? ask(fd, IPPROTO_IP, IP_TOS) : ask(fd, IPPROTO_IPV6, IPV6_TCLASS), 184);
            n = sizeof name;
            assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
            assert_string_equal(name, "reno");
            n = sizeof name;
            assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n), 0);
            assert_string_equal(name, "lo");
            close(fd);
        }

    int fd = socket_with(":1?nodelay=0&keepalive=0&mptcp=1&bind=:5", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(ask(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(ask(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
    fd = socket_with("unix:/x?sndbuf=16k", SOCKOPT_CONNECT, AF_UNIX);
    assert_int_equal(ask(fd, SOL_SOCKET, SO_SNDBUF), 2 * 16384);
    close(fd);
}

/* A listener's options are there on what it accepts; quickack is set on that alone. */
static void inherited(void **state)
{
    int listener =
        socket_with("127.0.0.1:0?ttl=9&dscp=10&keepalive=60&defer_accept=1&fastopen=3", SOCKOPT_LISTEN, AF_INET);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    struct sonde_url url = parse("127.0.0.1:0?quickack=0");

    (void)state;
    assert_true(ask(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 1);
    assert_int_equal(ask(listener, IPPROTO_TCP, TCP_FASTOPEN), 3);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);

    int client = socket_with("127.0.0.1:1", SOCKOPT_CONNECT, AF_INET);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(write(client, "x", 1), 1); /* defer_accept waits for it */
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(ask(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(ask(accepted, IPPROTO_IP, IP_TTL), 9);
    assert_int_equal(ask(accepted, IPPROTO_IP, IP_TOS), 40);
    assert_int_equal(ask(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(sockopt_apply(&url, SOCKOPT_ESTABLISHED, accepted, AF_INET, set_really, NULL, NULL), 0);
    assert_int_equal(ask(accepted, IPPROTO_TCP, TCP_QUICKACK), 0);
    close(accepted);
    close(client);
    close(listener);
}

static void the_kernel_refuses(void **state)
{
    static const struct {
        const char *text;
        int error;
        const char *detail;
    } rows[] = {
        {":1?device=nosuchif0", -ENODEV, "ip link"},
        {":1?cc=nosuchcc", -ENOENT, "tcp_available_congestion_control"},
        {":1?mark=7", -EPERM, "CAP_NET_ADMIN"}, /* unless we are root */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_url url = parse(rows[i].text);
        struct sonde_why why;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        int error = sockopt_apply(&url, SOCKOPT_CONNECT, fd, AF_INET, set_really, NULL, &why);
        if (error == 0 && rows[i].error == -EPERM) {
            assert_int_equal(ask(fd, SOL_SOCKET, SO_MARK), 7);
        } else {
            assert_int_equal(error, rows[i].error);
            assert_string_equal(why.call, "setsockopt");
            assert_string_equal(why.subject, rows[i].text + 3);
            assert_non_null(strstr(why.detail, rows[i].detail));
        }
        close(fd);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(good_values),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(unknown_options),
        cmocka_unit_test(options_together),
        cmocka_unit_test(long_values),
        cmocka_unit_test(where_options_fit),
        cmocka_unit_test(defaults),
        cmocka_unit_test(each_option_in_its_form),
        cmocka_unit_test(each_option_at_its_moment),
        cmocka_unit_test(refusals),
        cmocka_unit_test(real_sockets),
        cmocka_unit_test(inherited),
        cmocka_unit_test(the_kernel_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
