/* SPDX-License-Identifier: MIT */
/* Addresses as people type them: what they become, and what is none. */
#include "lab/sockets/given.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static void is(const char *text, int family, socklen_t n_bytes, const char *back, const char *kind)
{
    struct given given;
    const char *why = NULL;

    if (!given_parse(text, &given, &why))
        fail_msg("\"%s\" is refused: %s", text, why);
    assert_int_equal(given.address.ss_family, family);
    assert_int_equal(given.n_bytes, n_bytes);
    assert_string_equal(given.text, back);
    if (!strstr(given.kind, kind))
        fail_msg("\"%s\" is \"%s\", not \"%s\"", text, given.kind, kind);
}

static void is_none(const char *text)
{
    struct given given;
    const char *why = NULL;

    if (given_parse(text, &given, &why))
        fail_msg("\"%s\" is taken as \"%s\"", text, given.text);
    assert_non_null(why);
}

static void test_forms(void **state)
{
    (void)state;
    is("127.0.0.1", AF_INET, 16, "127.0.0.1", "loopback");
    is("127.1", AF_INET, 16, "127.0.0.1", "loopback");
    is("2130706433", AF_INET, 16, "127.0.0.1", "loopback");
    is("10.0.0.1:80", AF_INET, 16, "10.0.0.1", "private");
    is("::ffff:1.2.3.4", AF_INET6, 28, "::ffff:1.2.3.4", "mapped");
    is("2001:DB8:0:0::1", AF_INET6, 28, "2001:db8::1", "documents");
    is("[::1]:65535", AF_INET6, 28, "::1", "loopback");
    is("fe80::1%1000000", AF_INET6, 28, "fe80::1%1000000", "link-local");
    is("/run/x.sock", AF_UNIX, 2 + 11 + 1, "/run/x.sock", "path");
    is("@name", AF_UNIX, 2 + 5, "@name", "abstract");
}

static void test_none(void **state)
{
    char longest[GIVEN_TEXT_MAX + 100];

    (void)state;
    is_none("");
    is_none("256.0.0.1");
    is_none("1.2.3.4 and more");
    is_none("1.2.3.4:65536");
    is_none("1.2.3.4:-1");
    is_none("1.2.3.4:");
    is_none("[::1]");
    is_none("[::1:80");
    is_none("::1::");
    is_none(":::1");
    is_none("fe80::1%");
    is_none("fe80::1%no-such-interface");
    is_none("example.org");
    is_none("@");
    is_none("/");
    memset(longest, '1', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    is_none(longest);
    longest[0] = '/';
    is_none(longest);
    longest[0] = '[';
    is_none(longest);
}

/* The longest path that there is room for, and one more. */
static void test_path_length(void **state)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

    (void)state;
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 2] = '\0';
    is(path, AF_UNIX, sizeof(struct sockaddr_un), path, "path");
    path[sizeof(path) - 2] = 'p';
    path[sizeof(path) - 1] = '\0';
    is_none(path);
}

static void test_ports(void **state)
{
    struct given given;
    const char *why;

    (void)state;
    assert_true(given_parse("10.0.0.1:80", &given, &why));
    assert_true(given.has_port);
    assert_int_equal(((struct sockaddr_in *)&given.address)->sin_port, htons(80));
    assert_true(given_parse("[::1]:7007", &given, &why));
    assert_int_equal(((struct sockaddr_in6 *)&given.address)->sin6_port, htons(7007));
    assert_true(given_parse("::1:80", &given, &why)); /* an address, all of it */
    assert_false(given.has_port);
}

/* Both ends of a range, and their neighbours. */
static void test_kinds(void **state)
{
    (void)state;
    is("0.0.0.0", AF_INET, 16, "0.0.0.0", "any local");
    is("0.0.0.1", AF_INET, 16, "0.0.0.1", "this network");
    is("172.15.255.255", AF_INET, 16, "172.15.255.255", "unicast");
    is("172.16.0.0", AF_INET, 16, "172.16.0.0", "private");
    is("172.31.255.255", AF_INET, 16, "172.31.255.255", "private");
    is("172.32.0.0", AF_INET, 16, "172.32.0.0", "unicast");
    is("100.63.255.255", AF_INET, 16, "100.63.255.255", "unicast");
    is("100.127.255.255", AF_INET, 16, "100.127.255.255", "shared");
    is("223.255.255.255", AF_INET, 16, "223.255.255.255", "unicast");
    is("239.255.255.255", AF_INET, 16, "239.255.255.255", "multicast");
    is("255.255.255.254", AF_INET, 16, "255.255.255.254", "reserved");
    is("255.255.255.255", AF_INET, 16, "255.255.255.255", "broadcast");
    is("::", AF_INET6, 28, "::", "any local");
    is("febf::1", AF_INET6, 28, "febf::1", "link-local");
    is("fec0::1", AF_INET6, 28, "fec0::1", "unicast");
    is("fdff::1", AF_INET6, 28, "fdff::1", "unique local");
    is("3fff::1", AF_INET6, 28, "3fff::1", "global");
    is("4000::1", AF_INET6, 28, "4000::1", "unicast");
    is("64:ff9b::1.2.3.4", AF_INET6, 28, "64:ff9b::102:304", "NAT64");
}

static void test_bytes(void **state)
{
    static const unsigned char data[] = {0, 0, 0, 1, 0, 0, 0, 0, 2};
    char text[64], little[8];

    (void)state;
    assert_int_equal(bytes_as_hex(data, sizeof(data), text, sizeof(text)), strlen("00 00 00 01 00 x4 02"));
    assert_string_equal(text, "00 00 00 01 00 x4 02");
    assert_int_equal(bytes_as_hex(data, 0, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(bytes_as_hex(data, sizeof(data), little, sizeof(little)), sizeof(little) - 1);
    assert_string_equal(little, "00 00 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_none),  cmocka_unit_test(test_path_length),
        cmocka_unit_test(test_ports), cmocka_unit_test(test_kinds), cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
