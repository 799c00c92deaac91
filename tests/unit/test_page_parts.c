/* SPDX-License-Identifier: MIT */
/* The page's small parts: token, URL, policy, templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page/assets.h"
#include "page/page_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- the token ---------------------------------------------------------------------------------------------------- */

static void tokens(void **state)
{
    char token[TOKEN_TEXT], other[TOKEN_TEXT];

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(token_make(token), 0);
        assert_int_equal(token_make(other), 0);
        assert_int_equal(strlen(token), 43);
        assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
        /* 256 bits: the last digit holds four of them. */
        assert_non_null(strchr("AEIMQUYcgkosw048", token[42]));
        assert_string_not_equal(token, other);
        assert_true(token_equal(token, token, 43));
        assert_false(token_equal(token, other, 43));
    }
}

static void comparing(void **state)
{
    static const char token[TOKEN_TEXT] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
    static const char same[TOKEN_TEXT] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    char given[2 * TOKEN_TEXT];

    (void)state;
    for (size_t at = 0; at < 43; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(given, token, 44);
            given[at] = (char)(given[at] ^ 1 << bit);
            assert_false(token_equal(token, given, 43));
        }
    for (size_t n = 0; n < 43; n++) /* a beginning is not the whole, also of one that repeats itself */
        assert_false(token_equal(token, token, n) || token_equal(same, same, n));
    snprintf(given, sizeof given, "%s%s", token, token);
    assert_false(token_equal(token, given, 44) || token_equal(token, given, 86));
    assert_false(token_equal(token, NULL, 0));
}

/* --- the URL ------------------------------------------------------------------------------------------------------ */

static void addresses(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
        bool is_https;
    } good[] = {
        {"http://127.0.0.1:7070", "127.0.0.1", 7070, false},
        {"http://127.0.0.1:0/", "127.0.0.1", 0, false},
        {"http://127.9.9.9", "127.9.9.9", 7070, false},
        {"HTTP://localhost:1", "localhost", 1, false},
        {"http://[::1]:80", "::1", 80, false},
        {"http://[::1]", "::1", 7070, false},
        {"http://:81", "", 81, false},
        {"https://192.0.2.1:443", "192.0.2.1", 443, true},
        {"https://box.example", "box.example", 7070, true},
        {"https://*:7", "*", 7, true},
    };
    static const char *const bad[] = {
        "",
        "http://",
        "https://",
        "127.0.0.1:7070",
        "ftp://127.0.0.1:7070",
        "any://127.0.0.1:7070",
        "http://127.0.0.1:7070/x",
        "http://127.0.0.1:7070//",
        "http://127.0.0.1:7070?backlog=1",
        "http://127.0.0.1:7070#x",
        "http://user@127.0.0.1:7070",
        "http://127.0.0.1:70700",
        "http://127.0.0.1:x",
        "http://[::1%25lo]:7070",
        /* beyond this machine */
        "http://192.0.2.1:7070",
        "http://0.0.0.0:7070",
        "http://*:7070",
        "http://[::]:7070",
        "http://[::ffff:192.0.2.1]:7070",
        "http://box.example:7070",
        "http://127.0.0.1.example:7070",
        "http://1270.0.1:7070",
        "http://localhost.example:7070",
    };
    struct page_address address;
    struct sonde_why why;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(address_parse(good[i].text, &address, NULL), 0);
        assert_string_equal(address.url.host, good[i].host);
        assert_int_equal(address.url.port, good[i].port);
        assert_int_equal(address.url.layers, SONDE_LAYER_ANY);
        assert_int_equal(address.is_https, good[i].is_https);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&why, 0, sizeof why);
        assert_int_equal(address_parse(bad[i], &address, &why), -EINVAL);
        assert_string_equal(why.subject, bad[i]);
        assert_true(strlen(why.detail) > 10);
    }
    assert_int_equal(address_parse("https://*:7070", &address, NULL), 0);
    assert_string_not_equal(address.name, "*"); /* nobody can open that */
}

/* --- the policy --------------------------------------------------------------------------------------------------- */

static void policies(void **state)
{
    char plain[] = "ws://127.0.0.1:7007/chat?x=1", encrypted[] = "wss://box.example:1";
    struct page page = {.client_urls = {plain, encrypted}, .n_client_urls = 2};
    char text[1024], small[40];

    (void)state;
    size_t n = server_policy(&page, "localhost:7070", text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                              "font-src 'none'; connect-src 'self' ws://localhost:7070 ws://127.0.0.1:7007 "
                              "wss://box.example:1; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                              "require-trusted-types-for 'script'");
    page.n_client_urls = 0;
    page.tls = (struct sonde_tls *)&page;
    server_policy(&page, "box:1", text, sizeof text);
    assert_non_null(strstr(text, "connect-src 'self' wss://box:1; "));
    server_policy(&page, "[::1]:1", text, sizeof text);
    assert_non_null(strstr(text, "connect-src 'self'; "));
    server_policy(&page, NULL, text, sizeof text);
    assert_non_null(strstr(text, "connect-src 'self'; "));
    assert_int_equal(server_policy(&page, "box:1", small, sizeof small), sizeof small - 1);
}

static void client_urls(void **state)
{
    static const char *const bad[] = {
        "",
        "ws://",
        "http://127.0.0.1:7007/",
        "ws://127.0.0.1:7007/;script-src *",
        "ws://127.0.0.1:7007 http://x",
        "ws://a,b:1/",
        "ws://127.0.0.1:7007/'x'",
        "ws://127.0.0.1:7007/\r\nX: y",
        "ws://user@host/",
    };
    struct page page = {.n_client_urls = 0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(page_add_client_url(&page, bad[i]), -EINVAL);
    assert_int_equal(page_add_client_url(&page, "ws://[::1]:7007/"), -EAFNOSUPPORT);
    assert_int_equal(page.n_client_urls, 0);
    for (unsigned i = 0; i < PAGE_CLIENT_URLS_MAX; i++)
        assert_int_equal(page_add_client_url(&page, "wss://host-1.example:7007/chat?a=b,c"), 0);
    assert_int_equal(page_add_client_url(&page, "ws://127.0.0.1/"), -ENOSPC);
    for (unsigned i = 0; i < PAGE_CLIENT_URLS_MAX; i++)
        free(page.client_urls[i]);
}

/* --- templates ---------------------------------------------------------------------------------------------------- */

#define T_NS (INT64_C(1795000000) * 1000000000 + 302118999)

static int parse(const char *text, struct template **ret_template)
{
    json_t *parts = json_loads(text, JSON_DECODE_ANY, NULL);
    const char *why = NULL;
    int error;

    assert_non_null(parts);
    *ret_template = NULL;
    error = template_parse(parts, ret_template, &why);
    if (error < 0) {
        assert_null(*ret_template);
        assert_non_null(why);
    }
    json_decref(parts);
    return error;
}

static void rendered(const char *parts, uint64_t n, const char *expected, size_t n_expected)
{
    struct template *template;
    unsigned char *bytes;

    assert_int_equal(parse(parts, &template), 0);
    bytes = malloc(template_bytes(template) + 1); /* exactly: the sanitizer looks */
    assert_non_null(bytes);
    assert_int_equal(template_render(template, n, T_NS, bytes), n_expected);
    assert_memory_equal(bytes, expected, n_expected);
    free(bytes);
    template_free(template);
}

#define RENDERED(parts, n, expected) rendered(parts, n, expected, sizeof(expected) - 1)

static void templates(void **state)
{
    (void)state;
    RENDERED("[{\"data\":\"\"}]", 0, "");
    RENDERED("[{\"data\":\"AA==\"}]", 0, "\0");
    RENDERED("[{\"data\":\"AAE=\"}]", 0, "\0\1");
    RENDERED("[{\"data\":\"aGVsbG8K\"},{\"data\":\"+/+/\"}]", 0, "hello\n\xfb\xff\xbf");
    RENDERED("[{\"counter\":1}]", 0, "1");
    RENDERED("[{\"counter\":1}]", 99, "100");
    RENDERED("[{\"counter\":-3}]", 1, "-2");
    RENDERED("[{\"counter\":9223372036854775807}]", 0, "9223372036854775807");
    RENDERED("[{\"counter\":9223372036854775807}]", 1, "-9223372036854775808");
    RENDERED("[{\"time\":\"unix\"}]", 0, "1795000000");
    RENDERED("[{\"time\":\"unix_ms\"}]", 0, "1795000000302");
    RENDERED("[{\"time\":\"iso\"}]", 0, "2026-11-18T11:06:40.302118Z");
    RENDERED("[{\"data\":\"eD0=\"},{\"counter\":7},{\"data\":\"Cg==\"}]", 1, "x=8\n");
}

static void random_bytes(void **state)
{
    struct template *template;
    unsigned char *bytes = malloc(PAGE_SEND_MAX), *again = malloc(PAGE_SEND_MAX);

    (void)state;
    assert_true(bytes != NULL && again != NULL);
    assert_int_equal(parse("[{\"random\":1048576}]", &template), 0);
    assert_int_equal(template_bytes(template), PAGE_SEND_MAX);
    assert_int_equal(template_render(template, 0, T_NS, bytes), PAGE_SEND_MAX);
    assert_int_equal(template_render(template, 1, T_NS, again), PAGE_SEND_MAX);
    assert_memory_not_equal(bytes, again, PAGE_SEND_MAX);
    assert_memory_not_equal(bytes + PAGE_SEND_MAX - 64, again + PAGE_SEND_MAX - 64, 64); /* to its end */
    template_free(template);
    free(bytes);
    free(again);
}

static void bad_templates(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "\"aGVsbG8K\"",
        "null",
        "[null]",
        "[{}]",
        "[[]]",
        "[{\"data\":\"aGVsbG8K\",\"counter\":1}]",
        "[{\"other\":1}]",
        "[{\"data\":1}]",
        "[{\"data\":null}]",
        "[{\"data\":\"a\"}]",
        "[{\"data\":\"aa\"}]",
        "[{\"data\":\"aaa\"}]",
        "[{\"data\":\"a===\"}]",
        "[{\"data\":\"====\"}]",
        "[{\"data\":\"=aaa\"}]",
        "[{\"data\":\"aa=a\"}]",
        "[{\"data\":\"aa==aaaa\"}]",
        "[{\"data\":\"ab==\"}]", /* bits left over */
        "[{\"data\":\"aab=\"}]",
        "[{\"data\":\"aG Vs\"}]",
        "[{\"data\":\"aGV-\"}]",
        "[{\"data\":\"aGV\\u00ff\"}]",
        "[{\"counter\":1.5}]",
        "[{\"counter\":\"1\"}]",
        "[{\"counter\":true}]",
        "[{\"time\":\"now\"}]",
        "[{\"time\":1}]",
        "[{\"random\":0}]",
        "[{\"random\":-1}]",
        "[{\"random\":1048577}]",
        "[{\"random\":4.0}]",
        "[{\"counter\":1},{\"random\":9223372036854775807}]",
    };
    struct template *template;
    char many[65 * 16 + 8] = "[";

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &template), -EINVAL);
    for (unsigned i = 0; i < 65; i++)
        strcat(many, i == 0 ? "{\"counter\":1}" : ",{\"counter\":1}");
    strcat(many, "]");
    assert_int_equal(parse(many, &template), -EINVAL);
    assert_int_equal(parse("[{\"random\":1048576},{\"counter\":1}]", &template), -EMSGSIZE);
    assert_int_equal(parse("[{\"random\":1000000},{\"random\":1000000}]", &template), -EMSGSIZE);
}

/* The longest that base64 may be, and one group more. */
static void long_data(void **state)
{
    size_t n = (PAGE_SEND_MAX + 2) / 3 * 4, n_groups = n / 4;
    struct template *template;
    char *text = malloc(n + 64);

    (void)state;
    assert_non_null(text);
    for (unsigned more = 0; more < 3; more++) {
        size_t at = (size_t)sprintf(text, "[{\"data\":\"");
        memset(text + at, 'A', 4 * (n_groups + more));
        if (more == 0) /* 1 MiB is a whole number of groups and one byte */
            memcpy(text + at + n - 2, "==", 2);
        strcpy(text + at + 4 * (n_groups + more), "\"}]");
        int error = parse(text, &template);
        assert_true(more == 0 ? error == 0 : error == -EMSGSIZE || error == -EINVAL);
        if (error == 0)
            assert_int_equal(template_bytes(template), PAGE_SEND_MAX);
        template_free(template);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),       cmocka_unit_test(comparing),     cmocka_unit_test(addresses),
        cmocka_unit_test(policies),     cmocka_unit_test(client_urls),   cmocka_unit_test(templates),
        cmocka_unit_test(random_bytes), cmocka_unit_test(bad_templates), cmocka_unit_test(long_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
