/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct sonde_address address(const char *ip, uint16_t port)
{
    struct sonde_address address = {.port = port, .family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET};

    assert_int_equal(inet_pton(address.family, ip, address.u.ip), 1);
    return address;
}

/* version, then pairs of name and value. */
static int guard(const struct http_names *names, int version, const char *target, const char *host, const char *origin,
                 const char *site)
{
    struct sonde_http_header headers[3];
    struct sonde_http_request request = {"GET", target, version, 0, headers};
    const struct http_refusal *refusal = NULL;
    const char *value = NULL;

    if (host != NULL)
        headers[request.n_headers++] = (struct sonde_http_header){"Host", host};
    if (origin != NULL)
        headers[request.n_headers++] = (struct sonde_http_header){"Origin", origin};
    if (site != NULL)
        headers[request.n_headers++] = (struct sonde_http_header){"Sec-Fetch-Site", site};
    int error = http_guard(&request, names, &refusal, &value);
    if (error == 0) {
        assert_null(refusal);
    } else {
        assert_non_null(value);
        assert_int_equal(refusal->status, error == -SONDE_EHTTP ? 400 : error == -SONDE_EHOST ? 421 : 403);
    }
    return error;
}

static void expect_host(const struct http_names *names, const char *host, int error)
{
    if (guard(names, 11, "/", host, NULL, NULL) != error)
        fail_msg("Host %s: %s", host, sonde_strerror(guard(names, 11, "/", host, NULL, NULL)));
}

static void expect_origin(const struct http_names *names, const char *origin, int error)
{
    if (guard(names, 11, "/", "127.0.0.1:7007", origin, NULL) != error)
        fail_msg("Origin %s: %s", origin, sonde_strerror(guard(names, 11, "/", "127.0.0.1:7007", origin, NULL)));
}

static void own_hosts(void **state)
{
    const struct sonde_address addresses[] = {address("127.0.0.1", 7007), address("::1", 7007),
                                              address("192.0.2.1", 7007)};
    const struct http_names names = {
        .addresses = addresses, .n_addresses = 3, .default_port = 80, .has_http = true, .has_https = true};
    static const char *const good[] = {
        "127.0.0.1:7007",         "localhost:7007", "LocalHost:7007",          "localhost.:7007", "[::1]:7007",
        "[0:0:0:0:0:0:0:1]:7007", "192.0.2.1:7007", "[::ffff:127.0.0.1]:7007", "127.0.0.1:07007"};
    static const char *const bad[] = {"127.0.0.1.evil.com:7007",
                                      "127.0.0.1",
                                      "127.0.0.1:7008",
                                      "127.0.0.1:80",
                                      "127.0.0.2:7007",
                                      "localhost",
                                      "localhost.evil.com:7007",
                                      "evil.localhost:7007",
                                      "evil.com:7007",
                                      "xlocalhost:7007",
                                      "0.0.0.0:7007",
                                      "[::]:7007",
                                      "2130706433:7007",
                                      "127.1:7007",
                                      "0x7f.0.0.1:7007",
                                      "localhost..:7007"};
    static const char *const malformed[] = {"",
                                            ":7007",
                                            "127.0.0.1:",
                                            "127.0.0.1:7007:7007",
                                            "127.0.0.1:70070",
                                            "127.0.0.1:7007 ",
                                            "127.0.0.1:7007, evil.com",
                                            "user@127.0.0.1:7007",
                                            "127.0.0.1:7007/",
                                            "127.0.0.1:7007#",
                                            "http://127.0.0.1:7007",
                                            "[::1:7007",
                                            "[::1]7007",
                                            "[::1%25lo]:7007",
                                            "::1",
                                            "local\xc3\xb6st:7007",
                                            "127.0.0.1:+7007",
                                            "127.0.0.1\t:7007"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect_host(&names, good[i], 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_host(&names, bad[i], -SONDE_EHOST);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        expect_host(&names, malformed[i], -SONDE_EHTTP);
}

static void default_ports(void **state)
{
    struct sonde_address at_80 = address("127.0.0.1", 80), at_443 = address("127.0.0.1", 443);
    struct http_names names = {
        .addresses = &at_80, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true};

    (void)state;
    expect_host(&names, "127.0.0.1", 0);
    expect_host(&names, "localhost:80", 0);
    names.default_port = 443;
    expect_host(&names, "127.0.0.1", -SONDE_EHOST);
    names.addresses = &at_443;
    expect_host(&names, "127.0.0.1", 0);
}

/* An address that is not loopback is not localhost. */
static void not_loopback(void **state)
{
    struct sonde_address there = address("192.0.2.1", 7007);
    struct http_names names = {
        .addresses = &there, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true};

    (void)state;
    expect_host(&names, "192.0.2.1:7007", 0);
    expect_host(&names, "localhost:7007", -SONDE_EHOST);
    names.own = "box.example";
    expect_host(&names, "BOX.example:7007", 0);
    expect_host(&names, "box.example:7008", -SONDE_EHOST);
    expect_host(&names, "x.box.example:7007", -SONDE_EHOST);
}

static void without_network(void **state)
{
    const struct http_names names = {.is_local = true, .default_port = 80, .has_http = true, .has_https = true};

    (void)state;
    expect_host(&names, "localhost", 0);
    expect_host(&names, "localhost:1", 0);
    expect_host(&names, "127.0.0.1", 0);
    expect_host(&names, "[::1]:5", 0);
    expect_host(&names, "evil.com", -SONDE_EHOST);
}

static void further_hosts(void **state)
{
    static const char *const more[] = {"box.example", "other.example:99", "10.0.0.1", NULL};
    static const char *const any[] = {"*", NULL};
    struct sonde_address here = address("127.0.0.1", 7007);
    struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true, .more = more};

    (void)state;
    expect_host(&names, "box.example", 0);
    expect_host(&names, "Box.Example.:1234", 0);
    expect_host(&names, "other.example:99", 0);
    expect_host(&names, "other.example", -SONDE_EHOST);
    expect_host(&names, "10.0.0.1:5", 0);
    expect_host(&names, "abox.example", -SONDE_EHOST);
    expect_host(&names, "127.0.0.1:7007", 0);
    names.more = any;
    expect_host(&names, "evil.com", 0);
    expect_host(&names, "evil.com:x", -SONDE_EHTTP);
}

static void how_many_hosts(void **state)
{
    struct sonde_address here = address("127.0.0.1", 7007);
    const struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true};
    const struct sonde_http_header two[] = {{"Host", "127.0.0.1:7007"}, {"host", "127.0.0.1:7007"}};
    const struct sonde_http_request request = {"GET", "/", 11, 2, two};
    const struct http_refusal *refusal;
    const char *value;

    (void)state;
    assert_int_equal(guard(&names, 11, "/", NULL, NULL, NULL), -SONDE_EHTTP);
    assert_int_equal(guard(&names, 10, "/", NULL, NULL, NULL), 0);
    assert_int_equal(guard(&names, 10, "/", "evil.com", NULL, NULL), -SONDE_EHOST);
    assert_int_equal(http_guard(&request, &names, &refusal, &value), -SONDE_EHTTP);
    /* A whole URL says it as well. */
    assert_int_equal(guard(&names, 11, "http://127.0.0.1:7007/x", "127.0.0.1:7007", NULL, NULL), 0);
    assert_int_equal(guard(&names, 11, "http://evil.com/x", "127.0.0.1:7007", NULL, NULL), -SONDE_EHOST);
    assert_int_equal(guard(&names, 11, "http://evil.com", "127.0.0.1:7007", NULL, NULL), -SONDE_EHOST);
    assert_int_equal(guard(&names, 11, "http://127.0.0.1:7007/x", "evil.com", NULL, NULL), -SONDE_EHOST);
    assert_int_equal(guard(&names, 10, "http://evil.com?x", NULL, NULL, NULL), -SONDE_EHOST);
    assert_int_equal(guard(&names, 11, "/?u=http://evil.com/", "127.0.0.1:7007", NULL, NULL), 0);
}

static void origins(void **state)
{
    static const char *const allowed[] = {"https://app.example", "http://dev.example:3000", "chrome-extension://abc",
                                          NULL};
    static const char *const any[] = {"*", NULL};
    struct sonde_address here = address("127.0.0.1", 7007);
    struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true};

    (void)state;
    expect_origin(&names, NULL, 0);
    expect_origin(&names, "http://127.0.0.1:7007", 0);
    expect_origin(&names, "https://localhost:7007", 0);
    expect_origin(&names, "http://localhost", -SONDE_EORIGIN);
    expect_origin(&names, "http://localhost:8080", -SONDE_EORIGIN);
    expect_origin(&names, "http://127.0.0.1:7007.evil.com", -SONDE_EORIGIN);
    expect_origin(&names, "http://127.0.0.1.evil.com:7007", -SONDE_EORIGIN);
    expect_origin(&names, "http://127.0.0.1:7007/", -SONDE_EORIGIN);
    expect_origin(&names, "http://127.0.0.1:7007@evil.com", -SONDE_EORIGIN);
    expect_origin(&names, "127.0.0.1:7007", -SONDE_EORIGIN);
    expect_origin(&names, "ftp://127.0.0.1:7007", -SONDE_EORIGIN);
    expect_origin(&names, "file://", -SONDE_EORIGIN);
    expect_origin(&names, "null", -SONDE_EORIGIN);
    expect_origin(&names, "", -SONDE_EORIGIN);
    expect_origin(&names, "https://app.example", -SONDE_EORIGIN);
    names.origins = allowed;
    expect_origin(&names, "https://app.example", 0);
    expect_origin(&names, "HTTPS://APP.example:443", 0);
    expect_origin(&names, "http://app.example", -SONDE_EORIGIN);
    expect_origin(&names, "https://app.example:444", -SONDE_EORIGIN);
    expect_origin(&names, "https://app.example.evil.com", -SONDE_EORIGIN);
    expect_origin(&names, "https://xapp.example", -SONDE_EORIGIN);
    expect_origin(&names, "http://dev.example:3000", 0);
    expect_origin(&names, "http://dev.example", -SONDE_EORIGIN);
    expect_origin(&names, "chrome-extension://abc", 0);
    expect_origin(&names, "chrome-extension://abcd", -SONDE_EORIGIN);
    expect_origin(&names, "null", -SONDE_EORIGIN);
    names.origins = any;
    expect_origin(&names, "https://evil.com", 0);
    expect_origin(&names, "null", 0);
}

/* The same name by the other scheme is somebody else. */
static void schemes(void **state)
{
    static const char *const more[] = {"box.example", NULL};
    struct sonde_address here = address("127.0.0.1", 7007);
    struct http_names names = {.addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true};

    (void)state;
    expect_origin(&names, "http://127.0.0.1:7007", 0);
    expect_origin(&names, "https://127.0.0.1:7007", -SONDE_EORIGIN);
    names.has_http = false;
    names.has_https = true;
    expect_origin(&names, "http://127.0.0.1:7007", -SONDE_EORIGIN);
    expect_origin(&names, "https://127.0.0.1:7007", 0);
    names.more = more;
    expect_origin(&names, "http://box.example", 0);
    expect_origin(&names, "https://box.example", 0);
}

/* Any Host: a page may still come only from the one that was asked for. */
static void any_host_is_not_any_origin(void **state)
{
    static const char *const any[] = {"*", NULL};
    struct sonde_address here = address("127.0.0.1", 7007);
    const struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true, .more = any};

    (void)state;
    assert_int_equal(guard(&names, 11, "/", "a.example", "http://a.example", NULL), 0);
    assert_int_equal(guard(&names, 11, "/", "a.example", "http://b.example", NULL), -SONDE_EORIGIN);
    assert_int_equal(guard(&names, 11, "/", "a.example:81", "http://a.example", NULL), -SONDE_EORIGIN);
}

static void sites(void **state)
{
    struct sonde_address here = address("127.0.0.1", 7007);
    const struct http_names names = {
        .addresses = &here, .n_addresses = 1, .default_port = 80, .has_http = true, .has_https = true};
    static const struct {
        const char *site;
        int error;
    } samples[] = {{"none", 0},
                   {"same-origin", 0},
                   {"same-site", -SONDE_EORIGIN},
                   {"cross-site", -SONDE_EORIGIN},
                   {"", -SONDE_EORIGIN}};

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_int_equal(guard(&names, 11, "/", "127.0.0.1:7007", NULL, samples[i].site), samples[i].error);
    assert_int_equal(guard(&names, 11, "/", "127.0.0.1:7007", "http://127.0.0.1:7007", "same-origin"), 0);
}

static void target_paths(void **state)
{
    (void)state;
    assert_string_equal(http_target_path("/x?y"), "/x?y");
    assert_string_equal(http_target_path("*"), "*");
    assert_string_equal(http_target_path("http://h:1/x?y"), "/x?y");
    assert_string_equal(http_target_path("http://h?y"), "?y");
    assert_string_equal(http_target_path("http://h"), "");
    assert_string_equal(http_target_path("/a://b/c"), "/a://b/c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_hosts),
        cmocka_unit_test(default_ports),
        cmocka_unit_test(not_loopback),
        cmocka_unit_test(without_network),
        cmocka_unit_test(further_hosts),
        cmocka_unit_test(how_many_hosts),
        cmocka_unit_test(origins),
        cmocka_unit_test(schemes),
        cmocka_unit_test(any_host_is_not_any_origin),
        cmocka_unit_test(sites),
        cmocka_unit_test(target_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
