/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws/ws.h"

#include <errno.h>
#include <string.h>

static void keys(void **state)
{
    char key[WS_KEY_TEXT], accept[WS_ACCEPT_TEXT];
    uint8_t random[16];

    (void)state;
    /* RFC 6455, 1.3 and 4.1. */
    assert_int_equal(ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (unsigned i = 0; i < 16; i++)
        random[i] = (uint8_t)(i + 1);
    ws_key(random, key);
    assert_string_equal(key, "AQIDBAUGBwgJCgsMDQ4PEA==");
    assert_true(ws_key_valid(key));
    memset(random, 0xff, sizeof random);
    ws_key(random, key);
    assert_true(ws_key_valid(key));
    static const char *const wrong[] = {
        "",
        "AQIDBAUGBwgJCgsMDQ4PEA=",
        "AQIDBAUGBwgJCgsMDQ4PEA===",
        "AQIDBAUGBwgJCgsMDQ4PEB==",
        "AQIDBAUGBwgJCgsMDQ4PE===",
        "AQIDBAUGBwgJ!gsMDQ4PEA==",
        "AQIDBAUGBwgJCgsMDQ4PEAAA",
        " QIDBAUGBwgJCgsMDQ4PEA==",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(ws_key_valid(wrong[i]));
    /* Whatever comes, it stays inside its room. */
    assert_int_equal(
        ws_accept("a key that is much longer than any key of WebSocket may ever be, and then some", accept), 0);
    assert_int_equal(strlen(accept), WS_ACCEPT_TEXT - 1);
}

struct offer {
    const char *offer;
    int error;
    const char *answer;
};

static const struct offer offers[] = {
    {"permessage-deflate", 0, "permessage-deflate"},
    {"Permessage-Deflate", 0, "permessage-deflate"},
    {" , permessage-deflate ,, ", 0, "permessage-deflate"},
    {"permessage-deflate; client_max_window_bits", 0, "permessage-deflate"},
    {"permessage-deflate;client_max_window_bits=12", 0, "permessage-deflate; client_max_window_bits=12"},
    {"permessage-deflate ; client_max_window_bits = \"1\\2\"", 0, "permessage-deflate; client_max_window_bits=12"},
    {"permessage-deflate; server_max_window_bits=10", 0, "permessage-deflate; server_max_window_bits=10"},
    {"permessage-deflate; server_max_window_bits=15", 0, "permessage-deflate; server_max_window_bits=15"},
    {"permessage-deflate; server_max_window_bits=8", 0, "permessage-deflate; server_max_window_bits=8"},
    {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", 0,
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
    {"permessage-deflate; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8; "
     "server_no_context_takeover",
     0,
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
     "client_max_window_bits=8"},
    /* The second is the first that can be agreed to. */
    {"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=11, permessage-deflate",
     0, "permessage-deflate; server_max_window_bits=11"},
    {"permessage-deflate; unknown, permessage-deflate", 0, "permessage-deflate"},
    {"x-other; a=\"b\"; c, permessage-deflate", 0, "permessage-deflate"},
    {"", -ENOENT, NULL},
    {"x-webkit-deflate-frame", -ENOENT, NULL},
    {"permessage-bzip2; x=1", -ENOENT, NULL},
    {"permessage-deflate2", -ENOENT, NULL},
    {"permessage-deflat", -ENOENT, NULL},
    {"permessage-deflate; unknown", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits=16", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits=08", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits=+9", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits=100", -ENOENT, NULL},
    {"permessage-deflate; server_max_window_bits=1234567890123456789", -ENOENT, NULL},
    {"permessage-deflate; client_max_window_bits=7", -ENOENT, NULL},
    {"permessage-deflate; client_max_window_bits=x", -ENOENT, NULL},
    {"permessage-deflate; server_no_context_takeover=1", -ENOENT, NULL},
    {"permessage-deflate; client_no_context_takeover=true", -ENOENT, NULL},
    {"permessage-deflate; client_max_window_bits; client_max_window_bits=9", -ENOENT, NULL},
    {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", -ENOENT, NULL},
    {"permessage-deflate;", -EBADMSG, NULL},
    {"permessage-deflate;; a", -EBADMSG, NULL},
    {"permessage-deflate; a=", -EBADMSG, NULL},
    {"permessage-deflate; a=\"", -EBADMSG, NULL},
    {"permessage-deflate; a=\"b", -EBADMSG, NULL},
    {"permessage-deflate; a=\"b\\", -EBADMSG, NULL},
    {"permessage-deflate; a=\"\"", -EBADMSG, NULL},
    {"permessage-deflate; a=\"b c\"", -EBADMSG, NULL},
    {"permessage-deflate client_max_window_bits", -EBADMSG, NULL},
    {"permessage-deflate, \"x\"", -EBADMSG, NULL},
    {"@", -EBADMSG, NULL},
};

static void offers_are_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct ws_deflate_terms terms;
        char text[WS_TERMS_TEXT];
        int error = ws_deflate_choose(offers[i].offer, &terms);
        if (error != offers[i].error)
            fail_msg("%s: %d", offers[i].offer, error);
        if (error < 0)
            continue;
        assert_int_equal(ws_deflate_answer(&terms, text), strlen(offers[i].answer));
        assert_string_equal(text, offers[i].answer);
    }
}

static void longest_answer(void **state)
{
    const struct ws_deflate_terms most = {true, true, 14, 14, true, true};
    char text[WS_TERMS_TEXT];

    (void)state;
    assert_true(ws_deflate_answer(&most, text) < sizeof text);
}

struct answer {
    const char *answer;
    int error;
    struct ws_deflate_terms terms;
};

static const struct answer answers[] = {
    {NULL, -ENOENT, {0}},
    {"", -ENOENT, {0}},
    {"permessage-deflate", 0, {false, false, 15, 15, false, false}},
    {"permessage-deflate; server_no_context_takeover", 0, {true, false, 15, 15, false, false}},
    {"permessage-deflate; client_max_window_bits=10; server_max_window_bits=9; client_no_context_takeover",
     0,
     {false, true, 9, 10, true, true}},
    {"permessage-deflate; client_max_window_bits", -EBADMSG, {0}},
    {"permessage-deflate; server_max_window_bits", -EBADMSG, {0}},
    {"permessage-deflate; unknown", -EBADMSG, {0}},
    {"permessage-deflate, permessage-deflate", -EBADMSG, {0}},
    {"permessage-deflate, x", -EBADMSG, {0}},
    {"x", -EBADMSG, {0}},
    {"permessage-deflate;", -EBADMSG, {0}},
};

static void answers_are_held_against_the_offer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct ws_deflate_terms terms = {0};
        const struct ws_deflate_terms *want = &answers[i].terms;
        assert_int_equal(ws_deflate_agree(answers[i].answer, &terms), answers[i].error);
        assert_int_equal(terms.server_no_context_takeover, want->server_no_context_takeover);
        assert_int_equal(terms.client_no_context_takeover, want->client_no_context_takeover);
        assert_int_equal(terms.server_max_window_bits, want->server_max_window_bits);
        assert_int_equal(terms.client_max_window_bits, want->client_max_window_bits);
    }
    /* We agree to what we offer. */
    struct ws_deflate_terms terms;
    assert_int_equal(ws_deflate_choose(ws_deflate_offer(), &terms), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(offers_are_answered),
        cmocka_unit_test(longest_answer),
        cmocka_unit_test(answers_are_held_against_the_offer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
