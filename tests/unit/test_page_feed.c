/* SPDX-License-Identifier: MIT */
/* The page's feed, as browsers use it: who is let in, what they may do, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_scene.h"

#define ALL (PAGE_SEE | PAGE_SEND | PAGE_KICK | PAGE_RUN)

/* --- who is let in ------------------------------------------------------------------------------------------------ */

static void strangers(void **state)
{
    static const char *const wrong[] = {
        "",
        "x",
        "[]",
        "{}",
        "null",
        "{\"do\":\"open\",\"re\":1,\"id\":1}",
        "{\"do\":\"hello\"}",
        "{\"do\":\"hello\",\"token\":1}",
        "{\"do\":\"hello\",\"token\":\"\"}",
        "{\"do\":\"hello\",\"token\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"do\":[],\"token\":{}}",
    };
    struct scene scene;
    char text[160], longer[PAGE_HELLO_MAX + 160];

    (void)state;
    scene_begin(&scene, ALL, false);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct client *client = client_connect(&scene, "/feed");
        client_say(client, wrong[i]);
        UNTIL(&scene, client->stream == NULL);
        assert_int_equal(client->close_code, 4401);
        assert_int_equal(json_array_size(client->heard), 0); /* nothing is told to who has shown none */
    }
    /* Almost. */
    struct client *client = client_connect(&scene, "/feed");
    snprintf(text, sizeof text, "{\"do\":\"hello\",\"token\":\"%.42s\"}", strrchr(page_url(scene.page), '#') + 1);
    client_say(client, text);
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 4401);
    /* Nothing long is read of a stranger, whatever it says. */
    for (int too_long = 0; too_long < 2; too_long++) {
        client = client_connect(&scene, "/feed");
        snprintf(longer, sizeof longer, "{\"do\":\"hello\",\"token\":\"%s\"%*s}",
                 strrchr(page_url(scene.page), '#') + 1, too_long ? PAGE_HELLO_MAX : 1, "");
        client_say(client, longer);
        if (!too_long) {
            client_wait(client, "welcome");
            continue;
        }
        UNTIL(&scene, client->stream == NULL);
        assert_int_equal(client->close_code, 4401);
    }
    /* Elsewhere there is nothing. */
    client = client_connect(&scene, "/feed?x");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1008);
    client = client_connect(&scene, "/");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1008);
    scene_end(&scene);
}

static void too_many(void **state)
{
    struct scene scene;
    struct client *client;

    (void)state;
    scene_begin(&scene, ALL, false);
    for (unsigned i = 0; i < PAGE_STRANGERS_MAX; i++)
        client_connect(&scene, "/feed");
    client = client_connect(&scene, "/feed");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1013);
    for (unsigned i = 0; i < PAGE_STRANGERS_MAX; i++) {
        assert_non_null(scene.clients[i].stream);
        sonde_stream_close(scene.clients[i].stream);
        UNTIL(&scene, scene.clients[i].stream == NULL);
    }
    scene_end(&scene);

    scene_begin(&scene, ALL, false);
    for (unsigned i = 0; i < PAGE_VIEWERS_MAX; i++)
        client_known(&scene);
    client = client_connect(&scene, "/feed");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1013);
    scene_end(&scene);
}

static void welcome(void **state)
{
    struct scene scene;
    json_t *rights, *message;

    (void)state;
    scene_begin(&scene, PAGE_SEND | PAGE_KICK, false);
    struct client *client = client_known(&scene);
    message = json_array_get(client->heard, 0);
    rights = json_object_get(message, "rights");
    assert_int_equal(json_array_size(rights), 3);
    assert_string_equal(json_string_value(json_array_get(rights, 0)), "see");
    assert_string_equal(json_string_value(json_array_get(rights, 1)), "send");
    assert_string_equal(json_string_value(json_array_get(rights, 2)), "kick");
    assert_string_equal(json_string_value(json_object_get(message, "title")), "serve \"</script>\" \xef\xbf\xbd");
    assert_int_equal(json_integer_value(json_object_get(message, "re")), 1);
    assert_true(json_is_null(json_object_get(message, "no_packets")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(message, "limits"), "send_bytes")), 1048576);
    /* It is told when it comes to be known later. */
    page_set_no_packets(scene.page, "No \"right\" to capture.");
    do
        message = client_wait(client, "overview");
    while (json_object_get(message, "no_packets") == NULL);
    assert_string_equal(json_string_value(json_object_get(message, "no_packets")), "No \"right\" to capture.");
    assert_int_equal(strcmp(error_of(client_ask(client, "{\"do\":\"hello\",\"re\":2,\"token\":\"x\"}")),
                            "The token was shown already."),
                     0);
    scene_end(&scene);
}

/* --- rights ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *command;
    unsigned right;
} rights_of[] = {
    {"{\"do\":\"send\",\"id\":%llu,\"parts\":[{\"data\":\"aGk=\"}]}", PAGE_SEND},
    {"{\"do\":\"send\",\"id\":%llu,\"parts\":[{\"data\":\"aGk=\"}],\"every_ms\":60000}", PAGE_SEND},
    {"{\"do\":\"half-close\",\"id\":%llu}", PAGE_SEND},
    {"{\"do\":\"kick\",\"id\":%llu}", PAGE_KICK},
};

/* Each command that does something, with all rights, with all but its own, and read-only. */
static void rights(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof rights_of / sizeof *rights_of; i++)
        for (unsigned way = 0; way < 3; way++) {
            struct scene scene;
            struct shown shown;
            char text[256], got[16];
            scene_begin(&scene, way == 1 ? ALL & ~rights_of[i].right : ALL, way == 2);
            shown_open(&scene, &shown);
            struct client *client = client_known(&scene);
            snprintf(text, sizeof text, rights_of[i].command, (unsigned long long)shown.row);
            const char *error = error_of(client_ask(client, text));
            if (way == 0) {
                assert_null(error);
            } else {
                assert_string_equal(error, way == 1 ? "This cannot be done here." : "This page is read-only.");
                assert_int_equal(shown.n_kicked + shown.n_half_closed, 0);
                assert_non_null(shown.stream);
                assert_int_equal(recv(shown.peer, got, sizeof got, MSG_DONTWAIT), -1);
                assert_int_equal(errno, EAGAIN);
            }
            shown_end(&scene, &shown);
            scene_end(&scene);
        }
    /* The lab's, without running anything. */
    for (unsigned way = 0; way < 3; way++) {
        struct scene scene;
        scene_begin(&scene, way == 1 ? ALL & ~PAGE_RUN : ALL, way == 2);
        struct client *client = client_known(&scene);
        const char *error = error_of(client_ask(client, "{\"do\":\"run\",\"re\":3,\"name\":\"no such one\"}"));
        assert_int_equal(strcmp(error, "This cannot be done here.") == 0, way == 1);
        assert_int_equal(strcmp(error, "This page is read-only.") == 0, way == 2);
        assert_true(json_array_size(json_object_get(
                        (client_say(client, "{\"do\":\"experiments\",\"re\":4}"), client_wait(client, "experiments")),
                        "experiments")) > 0);
        scene_end(&scene);
    }
}

/* --- commands that are none --------------------------------------------------------------------------------------- */

static const char *const bad[] = {
    "",
    "x",
    "[]",
    "1",
    "\"do\"",
    "null",
    "{",
    "{}",
    "{\"do\":1}",
    "{\"do\":null}",
    "{\"do\":\"\"}",
    "{\"do\":\"Open\",\"id\":1}",
    "{\"do\":\"open\",\"do\":\"open\",\"id\":1}",
    "{\"do\":\"open\"}",
    "{\"do\":\"open\",\"id\":0}",
    "{\"do\":\"open\",\"id\":-1}",
    "{\"do\":\"open\",\"id\":1.0}",
    "{\"do\":\"open\",\"id\":\"1\"}",
    "{\"do\":\"open\",\"id\":null}",
    "{\"do\":\"open\",\"id\":99999999999999999999}",
    "{\"do\":\"close\",\"re\":\"1\"}",
    "{\"do\":\"close\",\"re\":1.5}",
    "{\"do\":\"filter\"}",
    "{\"do\":\"filter\",\"text\":1}",
    "{\"do\":\"filter\",\"text\":\"a\\u0000b\"}",
    "{\"do\":\"rows\"}",
    "{\"do\":\"rows\",\"max\":0}",
    "{\"do\":\"rows\",\"max\":1001}",
    "{\"do\":\"rows\",\"max\":\"9\"}",
    "{\"do\":\"layers\",\"id\":1}",
    "{\"do\":\"layers\",\"id\":1,\"segment\":0}",
    "{\"do\":\"layers\",\"id\":1,\"segment\":4294967296}",
    "{\"do\":\"layers\",\"segment\":1}",
    "{\"do\":\"send\",\"id\":1}",
    "{\"do\":\"send\",\"parts\":[{\"counter\":1}]}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"text\":1}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"text\":null}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":9}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":3600001}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":-10}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":\"10\"}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":10,\"count\":-1}",
    "{\"do\":\"send\",\"id\":1,\"parts\":[{\"counter\":1}],\"every_ms\":10,\"count\":1.5}",
    "{\"do\":\"send\",\"id\":1,\"parts\":{}}",
    "{\"do\":\"stop\"}",
    "{\"do\":\"stop\",\"repeat\":0}",
    "{\"do\":\"half-close\"}",
    "{\"do\":\"kick\",\"id\":true}",
    "{\"do\":\"run\"}",
    "{\"do\":\"run\",\"name\":1}",
    "{\"do\":\"run\",\"name\":\"x\",\"prediction\":1}",
    "{\"do\":\"close\"}\n{\"do\":\"close\"}",
};

enum { N_BAD = sizeof bad / sizeof *bad };

static void bad_commands(void **state)
{
    struct scene scene;

    (void)state;
    scene_begin(&scene, ALL, false);
    struct client *client = client_known(&scene);
    for (unsigned i = 0; i < N_BAD; i++) {
        const char *error = error_of(client_ask(client, bad[i]));
        assert_non_null(error);
        assert_true(strlen(error) > 10 && error[strlen(error) - 1] == '.'); /* a sentence */
    }
    /* It goes on; what is only not there is no bad command. */
    for (unsigned i = 0; i < 60; i++)
        assert_non_null(error_of(client_ask(client, "{\"do\":\"open\",\"re\":1,\"id\":4294967296}")));
    assert_non_null(error_of(client_ask(client, "{\"do\":\"filter\",\"re\":1,\"text\":\"dst and\"}")));
    assert_null(error_of(client_ask(client, "{\"do\":\"filter\",\"re\":1,\"text\":\"state established\"}")));
    assert_null(error_of(client_ask(client, "{\"do\":\"close\",\"re\":1,\"what\":[{}]}")));
    /* Until there are more than a hundred. */
    for (unsigned i = N_BAD; i < PAGE_BAD_MAX; i++)
        assert_non_null(error_of(client_ask(client, "x")));
    assert_null(error_of(client_ask(client, "{\"do\":\"close\",\"re\":1}")));
    client_say(client, "x");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1008);
    scene_end(&scene);
}

/* --- what is done ------------------------------------------------------------------------------------------------- */

static void doing(void **state)
{
    struct scene scene;
    struct shown shown;
    json_t *result, *message;
    char got[64];

    (void)state;
    scene_begin(&scene, ALL, false);
    shown_open(&scene, &shown);
    struct client *client = client_known(&scene);
    client_say(client, "{\"do\":\"open\",\"re\":7,\"id\":1}");
    assert_int_equal(json_integer_value(json_object_get(client_wait(client, "opened"), "re")), 7);
    ask_about(client, "{\"do\":\"send\",\"re\":8,\"id\":%llu,\"parts\":[{\"data\":\"aGk=\"},{\"counter\":5}]}",
              shown.row, &result);
    assert_null(error_of(result));
    assert_int_equal(json_integer_value(json_object_get(result, "re")), 8);
    assert_int_equal(json_integer_value(json_object_get(result, "sent")), 3);
    assert_null(json_object_get(result, "repeat"));
    read_all(&scene, shown.peer, got, 3);
    assert_memory_equal(got, "hi5", 3);
    /* It is among what was said, and by whom. */
    message = json_array_get(json_object_get(client_wait(client, "messages"), "messages"), 0);
    assert_string_equal(json_string_value(json_object_get(message, "way")), "out");
    assert_string_equal(json_string_value(json_object_get(message, "data")), "aGk1");
    assert_string_equal(json_string_value(json_object_get(message, "by")), "page");
    /* One side shut down: its owner may refuse. */
    shown.refuses = true;
    ask_about(client, "{\"do\":\"half-close\",\"re\":9,\"id\":%llu}", shown.row, &result);
    assert_non_null(error_of(result));
    shown.refuses = false;
    ask_about(client, "{\"do\":\"half-close\",\"re\":9,\"id\":%llu}", shown.row, &result);
    assert_null(error_of(result));
    assert_int_equal(shown.n_half_closed, 2);
    UNTIL(&scene, recv(shown.peer, got, sizeof got, MSG_DONTWAIT) == 0);
    ask_about(client, "{\"do\":\"send\",\"re\":10,\"id\":%llu,\"parts\":[{\"counter\":5}]}", shown.row, &result);
    assert_string_equal(error_of(result), "Its sending side is shut down.");
    ask_about(client, "{\"do\":\"kick\",\"re\":11,\"id\":%llu}", shown.row, &result);
    assert_null(error_of(result));
    UNTIL(&scene, shown.stream == NULL);
    assert_int_equal(shown.n_kicked, 1);
    ask_about(client, "{\"do\":\"kick\",\"re\":12,\"id\":%llu}", shown.row, &result);
    assert_non_null(error_of(result));
    ask_about(client, "{\"do\":\"kick\",\"re\":13,\"id\":%llu}", 12345, &result);
    assert_non_null(error_of(result));
    shown_end(&scene, &shown);
    scene_end(&scene);
}

/* --- repeats ------------------------------------------------------------------------------------------------------ */

/* --- orders ------------------------------------------------------------------------------------------------------- */

/* A loop that does not run: so much may wait for it, and is done when it runs, or answered when it ends. */
static void waiting(void **state)
{
    (void)state;
    for (unsigned runs = 0; runs < 2; runs++) {
        struct scene scene, other = {.page = NULL};
        struct shown shown;
        json_t *result;
        char text[128];
        scene_begin(&scene, ALL, false);
        other.page = scene.page;
        assert_int_equal(sonde_loop_create(NULL, &other.loop, NULL), 0);
        sonde_timer_init(&other.timer, other.loop, scene_stop, &other);
        other.page_loop = page_loop_add(scene.page, other.loop, NULL, NULL);
        shown_open_on(&other, other.loop, other.page_loop, &shown);
        struct client *client = client_known(&scene);
        snprintf(text, sizeof text, "{\"do\":\"send\",\"re\":%%llu,\"id\":%llu,\"parts\":[{\"data\":\"aGk=\"}]}",
                 (unsigned long long)shown.row);
        for (unsigned i = 0; i < PAGE_ORDERS_MAX; i++) {
            char one[160];
            snprintf(one, sizeof one, "{\"do\":\"send\",\"re\":%u,\"id\":%llu,\"parts\":[{\"data\":\"aGk=\"}]}", i,
                     (unsigned long long)shown.row);
            client_say(client, one);
        }
        ask_about(client, text, 999, &result); /* the first that is answered */
        assert_int_equal(json_integer_value(json_object_get(result, "re")), 999);
        assert_true(json_is_true(json_object_get(result, "busy")));
        assert_non_null(error_of(result));
        if (!runs)
            page_loop_remove(other.page_loop);
        for (unsigned i = 0; i < PAGE_ORDERS_MAX; i++) {
            UNTIL(&scene, (runs ? scene_turn(&other) : (void)0, (result = client_next(client, "result")) != NULL));
            assert_int_equal(json_integer_value(json_object_get(result, "re")), i);
            if (runs)
                assert_null(error_of(result));
            else
                assert_string_equal(error_of(result), "This connection is gone.");
        }
        if (!runs) {
            ask_about(client, text, 1000, &result);
            assert_non_null(error_of(result));
        }
        sonde_stream_close(shown.stream);
        UNTIL(&other, shown.stream == NULL);
        close(shown.peer);
        if (runs)
            page_loop_remove(other.page_loop);
        scene_end(&scene);
        sonde_timer_stop(&other.timer);
        assert_int_equal(sonde_loop_destroy(other.loop), 0);
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void *end_page(void *user)
{
    page_end(user);
    return NULL;
}

static void life(void **state)
{
    static const struct page_asset nothing[] = {{NULL, NULL, NULL, 0}};
    struct page_settings settings = {.url = "http://127.0.0.1:0", .verb = "watch", .title = "watch"};
    struct sonde_why why = {.code = 0};
    struct page *page = NULL;
    struct scene scene;

    (void)state;
    assert_int_equal(page_create(&settings, nothing, &page, &why), -ENOSYS);
    assert_non_null(strstr(why.detail, "without the page"));
    settings.url = "http://192.0.2.1:7070";
    assert_int_equal(page_create(&settings, scene_assets, &page, &why), -EINVAL);
    assert_null(page);
    page_end(NULL);
    for (unsigned begins = 0; begins < 2; begins++) { /* never begun; ended at once */
        settings.url = "http://[::1]:0";
        if (page_create(&settings, scene_assets, &page, NULL) == -EADDRNOTAVAIL)
            settings.url = "http://127.0.0.1:0";
        if (page == NULL)
            assert_int_equal(page_create(&settings, scene_assets, &page, NULL), 0);
        assert_memory_equal(page_url(page), page_origin(page), strlen(page_origin(page)));
        assert_memory_equal(page_url(page) + strlen(page_origin(page)), "/#", 2);
        assert_string_equal(page_fingerprint(page), "");
        if (begins)
            assert_int_equal(page_begin(page), 0);
        page_end(page);
        page = NULL;
    }
    settings.url = "https://127.0.0.1:0";
    assert_int_equal(page_create(&settings, scene_assets, &page, NULL), 0);
    assert_int_equal(strlen(page_fingerprint(page)), 95);
    page_end(page);
    /* A viewer is told. */
    scene_begin(&scene, ALL, false);
    struct client *client = client_known(&scene);
    page_loop_remove(scene.page_loop);
    pthread_t ending;
    assert_int_equal(pthread_create(&ending, NULL, end_page, scene.page), 0);
    client_wait(client, "bye");
    UNTIL(&scene, client->stream == NULL);
    assert_int_equal(client->close_code, 1001);
    pthread_join(ending, NULL);
    json_decref(client->heard);
    sonde_timer_stop(&scene.timer);
    assert_int_equal(sonde_loop_destroy(scene.loop), 0);
}

/* --- HTTP --------------------------------------------------------------------------------------------------------- */

static size_t fetch(struct scene *scene, const char *head, char *answer, size_t size_bytes)
{
    struct sonde_url url;
    size_t n = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sonde_listener_address(scene->page->listener, 0, &url);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = (in_port_t)(url.port >> 8 | url.port << 8), /* to network order */
                                  .sin_addr = {__builtin_bswap32(0x7f000001)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    char request[512];
    snprintf(request, sizeof request, head, url.port);
    assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    while ((got = recv(fd, answer + n, size_bytes - 1 - n, 0)) > 0)
        n += (size_t)got;
    answer[n] = '\0';
    close(fd);
    return n;
}

static void files(void **state)
{
    static const struct {
        const char *request, *status, *body;
    } samples[] = {
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "200 OK", "<!doctype html>"},
        {"GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", "200 OK", "<!doctype html>"},
        {"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "200 OK", "'use strict';"},
        {"HEAD / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "200 OK", NULL},
        {"GET /page.js?x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "404 Not Found", "nothing of this name"},
        {"GET //page.js HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "404 Not Found", "nothing of this name"},
        {"GET /../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "404 Not Found", "nothing of this name"},
        {"GET /feed HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "404 Not Found", "nothing of this name"},
        {"POST / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 1\r\n\r\nx", "405 Method", "nothing but GET"},
        {"OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", "405 Method", "nothing but GET"},
    };
    static const char *const always[] = {
        "\r\nContent-Security-Policy: default-src 'none'; ",
        "\r\nX-Content-Type-Options: nosniff\r\n",
        "\r\nReferrer-Policy: no-referrer\r\n",
        "\r\nCross-Origin-Opener-Policy: same-origin\r\n",
        "\r\nCross-Origin-Resource-Policy: same-origin\r\n",
        "\r\nCache-Control: no-store\r\n",
    };
    struct scene scene;
    char answer[8192];

    (void)state;
    scene_begin(&scene, ALL, false);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        fetch(&scene, samples[i].request, answer, sizeof answer);
        assert_memory_equal(answer + 9, samples[i].status, strlen(samples[i].status));
        for (size_t j = 0; j < sizeof always / sizeof *always; j++)
            assert_non_null(strstr(answer, always[j]));
        if (samples[i].body != NULL)
            assert_non_null(strstr(strstr(answer, "\r\n\r\n"), samples[i].body));
        else
            assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
        assert_null(strstr(answer, scene.page->token));
    }
    /* DNS rebinding: the library knows these names only. */
    fetch(&scene, "GET / HTTP/1.1\r\nHost: rebound.example:%u\r\n\r\n", answer, sizeof answer);
    assert_memory_equal(answer + 9, "421 ", 4);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers), cmocka_unit_test(too_many), cmocka_unit_test(welcome),
        cmocka_unit_test(rights),    cmocka_unit_test(doing),    cmocka_unit_test(bad_commands),
        cmocka_unit_test(waiting),   cmocka_unit_test(life),     cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
