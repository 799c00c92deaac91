/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/proxy.h>
#include <string.h>

static const struct {
    const char *text;
    struct sonde_proxy proxy;
} right[] = {
    {"socks5://localhost", {SONDE_PROXY_SOCKS5, 1080, 0, "localhost", "", ""}},
    {"socks5://127.0.0.1:9050", {SONDE_PROXY_SOCKS5, 9050, 0, "127.0.0.1", "", ""}},
    {"socks5h://[::1]:9050", {SONDE_PROXY_SOCKS5, 9050, 1, "::1", "", ""}},
    {"SOCKS5H://proxy.test", {SONDE_PROXY_SOCKS5, 1080, 1, "proxy.test", "", ""}},
    {"http://proxy.test", {SONDE_PROXY_HTTP, 8080, 1, "proxy.test", "", ""}},
    {"http://proxy.test:3128/", {SONDE_PROXY_HTTP, 3128, 1, "proxy.test", "", ""}},
    {"http://me:secret@proxy.test:3128", {SONDE_PROXY_HTTP, 3128, 1, "proxy.test", "me", "secret"}},
    {"socks5://me@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "me", ""}},
    {"socks5://me:@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "me", ""}},
    {"socks5://me:a:b@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "me", "a:b"}},
    {"socks5://me:a@b@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "me", "a@b"}},
    {"socks5://m%40e:%3a%2F%25@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "m@e", ":/%"}},
    {"socks5://m%3Ae:x@h", {SONDE_PROXY_SOCKS5, 1080, 0, "h", "m:e", "x"}},
    {"http://me:p%C3%A4ss@h", {SONDE_PROXY_HTTP, 8080, 1, "h", "me", "p\xc3\xa4ss"}},
};

static void right_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct sonde_proxy proxy;
        struct sonde_why why;
        const struct sonde_proxy *wanted = &right[i].proxy;
        if (sonde_proxy_parse(right[i].text, &proxy, &why) != 0)
            fail_msg("%s: %s", right[i].text, why.detail);
        assert_int_equal(proxy.kind, wanted->kind);
        assert_int_equal(proxy.port, wanted->port);
        assert_int_equal(proxy.far_names, wanted->far_names);
        assert_string_equal(proxy.host, wanted->host);
        assert_string_equal(proxy.user, wanted->user);
        assert_string_equal(proxy.password, wanted->password);
    }
}

/* Wherever the mistake is, "secret" is in no message. */
static const struct {
    const char *text;
    int error;
    const char *subject; /* NULL: any */
} wrong[] = {
    {"", -SONDE_EURL, NULL},
    {"localhost:1080", -SONDE_EURL, NULL},
    {"socks5:localhost", -SONDE_EURL, NULL},
    {"socks5://", -SONDE_EURL, NULL},
    {"socks5://:1080", -SONDE_EURL, NULL},
    {"socks5://*:1080", -SONDE_EURL, NULL},
    {"socks5://h:0", -SONDE_EURL, "socks5://h:0"},
    {"socks5://h:65536", -SONDE_EURL, "socks5://h:65536"},
    {"socks5://::1", -SONDE_EURL, NULL},
    {"socks5://[::1", -SONDE_EURL, NULL},
    {"socks5://h/x", -SONDE_EURL, NULL},
    {"socks5://@h", -SONDE_EURL, NULL},
    {"socks5://:secret@h", -SONDE_EURL, "socks5://h"},
    {"socks5://me:secret@", -SONDE_EURL, "socks5://"},
    {"socks5://me:secret@h:x", -SONDE_EURL, "socks5://h"},
    {"socks5://me:secret%@h", -SONDE_EURL, "socks5://h"},
    {"socks5://me:secret%00@h", -SONDE_EURL, "socks5://h"},
    {"socks5://me:secret%0a@h", -SONDE_EURL, "socks5://h"},
    {"socks5://me:secret@h@i j", -SONDE_EURL, "socks5://i j"},
    {"http://m%3Ae:secret@h", -SONDE_EURL, "http://h"},
    {"socks5://me:secret", -SONDE_EURL, "socks5://me"},
    {"socks5:me:secret@h", -SONDE_EURL, "h"},
    {"https://me:secret@h", -SONDE_ESCHEME, "https://h"},
    {"socks4://me:secret@h", -SONDE_ESCHEME, "socks4://h"},
    {"socks4a://h", -SONDE_ESCHEME, NULL},
    {"socks://h", -SONDE_ESCHEME, NULL},
    {"ftp://me:secret@h", -SONDE_EURL, "h"},
    {"socks5://\x1b[2J", -SONDE_EURL, NULL},
};

static void wrong_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sonde_proxy proxy = {.port = 4711};
        struct sonde_why why;
        int error = sonde_proxy_parse(wrong[i].text, &proxy, &why);
        if (error != wrong[i].error)
            fail_msg("%s: %d", wrong[i].text, error);
        assert_int_equal(proxy.port, 4711);
        assert_int_equal(why.code, error);
        assert_string_not_equal(why.detail, "");
        if (strstr(why.subject, "secret") != NULL || strstr(why.detail, "secret") != NULL)
            fail_msg("%s: %s, %s", wrong[i].text, why.subject, why.detail);
        for (const char *c = why.subject; *c != '\0'; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
        if (wrong[i].subject != NULL)
            assert_string_equal(why.subject, wrong[i].subject);
        assert_int_equal(sonde_proxy_parse(wrong[i].text, &proxy, NULL), error);
    }
}

static void too_long(void **state)
{
    char text[1200] = "socks5://";
    struct sonde_proxy proxy;
    struct sonde_why why;

    (void)state;
    memset(text + 9, 'x', 255);
    strcpy(text + 9 + 255, "@h");
    assert_int_equal(sonde_proxy_parse(text, &proxy, &why), 0);
    assert_int_equal(strlen(proxy.user), 255);
    strcpy(text + 9 + 255, "x@h");
    assert_int_equal(sonde_proxy_parse(text, &proxy, &why), -SONDE_EURL);
    assert_non_null(strstr(why.detail, "255"));
    memset(text + 9, 'x', sizeof text - 10);
    assert_int_equal(sonde_proxy_parse(text, &proxy, &why), -SONDE_EURL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_ones),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
