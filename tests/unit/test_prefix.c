/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/address.h"

#include <sonde/prefix.h>
#include <string.h>
#include <sys/socket.h>

static struct sonde_address address(const char *text)
{
    struct sonde_address address = {.family = AF_UNIX};

    if (strcmp(text, "unix") == 0)
        return address;
    if (strcmp(text, "nobody") == 0)
        return (struct sonde_address){0};
    assert_int_equal(address_parse_numeric(text, AF_UNSPEC, &address), 0);
    return address;
}

static const struct {
    const char *prefix, *address;
    int within;
} rows[] = {
    {"127.0.0.1", "127.0.0.1", 1},
    {"127.0.0.1", "127.0.0.2", 0},
    {"127.0.0.0/8", "127.255.255.255", 1},
    {"127.0.0.0/8", "128.0.0.0", 0},
    {"10.0.0.0/9", "10.127.255.255", 1},
    {"10.0.0.0/9", "10.128.0.0", 0},
    {"192.168.4.0/22", "192.168.7.255", 1},
    {"192.168.4.0/22", "192.168.8.0", 0},
    {"192.0.2.8/31", "192.0.2.9", 1},
    {"192.0.2.8/31", "192.0.2.10", 0},
    {"0.0.0.0/0", "255.1.2.3", 1},
    {"0.0.0.0/0", "::1", 0},
    {"0.0.0.0/0", "unix", 0},
    {"::/0", "::1", 1},
    {"::/0", "127.0.0.1", 0},
    {"::1", "::1", 1},
    {"::1", "::", 0},
    {"fd00::/8", "fdff:ffff::1", 1},
    {"fd00::/8", "fe00::", 0},
    {"fe80::/10", "febf::1", 1},
    {"fe80::/10", "fec0::1", 0},
    {"2001:db8::/127", "2001:db8::1", 1},
    {"2001:db8::/127", "2001:db8::2", 0},
    {"10.0.0.0/8", "::ffff:10.1.2.3", 1},
    {"10.0.0.0/8", "::ffff:11.1.2.3", 0},
    {"::/0", "::ffff:10.1.2.3", 0},
    {"::ffff:10.0.0.0/104", "10.1.2.3", 1},
    {"::ffff:10.0.0.0/104", "::ffff:10.1.2.3", 1},
    {"::ffff:10.0.0.0/104", "11.1.2.3", 0},
    {"unix", "unix", 1},
    {"unix", "127.0.0.1", 0},
    {"unix", "nobody", 0},
    {"127.0.0.1", "unix", 0},
    {"127.0.0.0/8", "nobody", 0},
    {"any", "unix", 1},
    {"any", "::1", 1},
    {"any", "nobody", 1},
};

static void contains(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_prefix prefix;
        struct sonde_address of = address(rows[i].address);
        assert_int_equal(sonde_prefix_parse(rows[i].prefix, &prefix, NULL), 0);
        if (!sonde_prefix_contains(&prefix, &of) != !rows[i].within)
            fail_msg("%s in %s", rows[i].address, rows[i].prefix);
    }
}

static void a_zone_does_not_matter(void **state)
{
    struct sonde_prefix prefix;
    struct sonde_address of = address("fe80::1");

    (void)state;
    of.scope = 7;
    assert_int_equal(sonde_prefix_parse("fe80::/64", &prefix, NULL), 0);
    assert_int_not_equal(sonde_prefix_contains(&prefix, &of), 0);
}

static void wrong_ones_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "/",
        "/8",
        "10",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "::/129",
        "::/",
        "10.0.0.0/8 ",
        " 10.0.0.0",
        "10.0.0.1/8",
        "fd00::1/8",
        "::1/127",
        "0.0.0.1/0",
        "fe80::1%lo",
        "localhost",
        "unix:/x",
        "Unix",
        "any/8",
        "[::1]",
        "127.0.0.1:80",
        "10.0.0.0/0x8",
        "10.0.0.0/8/8",
        "127.1",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sonde_prefix prefix = {.n_bits = 4711};
        struct sonde_why why;
        if (sonde_prefix_parse(wrong[i], &prefix, &why) != -SONDE_EOPTION)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_int_equal(prefix.n_bits, 4711);
        assert_int_equal(why.code, -SONDE_EOPTION);
        assert_string_not_equal(why.detail, "");
        assert_int_equal(sonde_prefix_parse(wrong[i], &prefix, NULL), -SONDE_EOPTION);
    }
}

static void a_bit_too_many_is_explained(void **state)
{
    struct sonde_prefix prefix;
    struct sonde_why why;

    (void)state;
    assert_int_equal(sonde_prefix_parse("10.0.0.1/8", &prefix, &why), -SONDE_EOPTION);
    assert_string_equal(why.subject, "10.0.0.1/8");
    assert_non_null(strstr(why.detail, "10.0.0.0/8"));
    assert_int_equal(sonde_prefix_parse("fd00:1::/15", &prefix, &why), -SONDE_EOPTION);
    assert_non_null(strstr(why.detail, "fd00::/15"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contains),
        cmocka_unit_test(a_zone_does_not_matter),
        cmocka_unit_test(wrong_ones_are_refused),
        cmocka_unit_test(a_bit_too_many_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
