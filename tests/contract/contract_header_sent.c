/* SPDX-License-Identifier: MIT */
/* The PROXY protocol: streams that begin with its header (?proxy=v1, ?proxy=v2). */
#include "ends.h"

#include "net/proxy_header.h"

#include <errno.h>
#include <stdio.h>

/* All that has come, until so much has. */
static void read_all(struct contract *c, int fd, uint8_t *bytes, size_t n)
{
    size_t n_read = 0;

    while (n_read < n) {
        int more = 0;
        until(c, (more = raw_read(fd, bytes + n_read, n - n_read)) != -EAGAIN);
        assert_true(more > 0);
        n_read += (size_t)more;
    }
}

static void sends_header(struct contract *c)
{
    for (int version = 1; version <= 2; version++) {
        struct end end = {.on_end = end_close};
        uint16_t port;
        int listener = raw_listen(5, 0, &port);
        uint8_t bytes[256] = {0};
        char text[128];
        struct sonde_url url = contract_url("tcp://127.0.0.1:%u?proxy=v%d", port, version);
        end_connect(&end, c, &url);
        assert_int_equal(CALL(sonde_stream_write(end.stream, "early", 5)), 0);
        int raw = raw_accept(c, listener);
        until(c, end.opened);
        assert_int_equal(CALL(sonde_stream_write(end.stream, "late", 4)), 0);
        struct sonde_address own;
        sonde_stream_local(end.stream, &own);
        size_t n = (size_t)snprintf(text, sizeof text, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", own.port, port);
        if (version == 2)
            n = 28;
        read_all(c, raw, bytes, n + 9);
        struct proxy_header header;
        assert_int_equal(proxy_header_parse(bytes, n, &header), n);
        assert_int_equal(header.version, version);
        assert_int_equal(header.source.port, own.port);
        assert_int_equal(header.destination.port, port);
        if (version == 1)
            assert_memory_equal(bytes, text, n);
        assert_memory_equal(bytes + n, "earlylate", 9);
        assert_int_equal(sonde_stream_sent_bytes(end.stream), 9);
        raw_close(raw);
        until(c, end.closed);
        raw_close(listener);
        contract_run(c);
    }
}

/* One sonde to another, on each kind of socket. */
static void to_each_other(struct contract *c)
{
    for (int i = 0; i < 4; i++) {
        struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
        struct end end = {.on_end = end_close};
        char address[160], target[192];
        int version = i % 2 + 1;
        if (i < 2)
            snprintf(address, sizeof address, "tcp://[::1]:0?proxy=in");
        else
            snprintf(address, sizeof address, "unix:%s?proxy=in", contract_path());
        server_open_at(&server, c, 1, NULL, address);
        struct sonde_url url = server_url(&server);
        size_t n = sonde_url_format(&url, target, sizeof target);
        snprintf(target + n, sizeof target - n, "?proxy=v%d", version);
        url = contract_url("%s", target);
        end_connect(&end, c, &url);
        until(c, end.opened && server.n_ends == 1);
        if (i < 2) {
            struct sonde_address own, peer;
            sonde_stream_local(end.stream, &own);
            sonde_stream_peer(server.ends[0].stream, &peer);
            assert_memory_equal(&own, &peer, sizeof own);
        }
        assert_int_equal(end_write(&end, 100 * 1000), 0);
        end.checked = true;
        DO(sonde_stream_shutdown(end.stream));
        until(c, end.closed && server.ends[0].closed);
        assert_int_equal(end.n_received, 100 * 1000);
        server_wind_up(&server);
    }
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(sends_header),
        CONTRACT_TEST(to_each_other),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
