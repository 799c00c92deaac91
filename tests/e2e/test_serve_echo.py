# SPDX-License-Identifier: MIT
"""`sonde serve echo`: against other people's clients, on every kind of address, and what it prints of it."""

import base64
import contextlib
import errno
import os
import re
import signal
import socket

import pytest

import harness
from harness import DEADLINE, round_trip, receive_all, text_address, wait_until


# --- who can talk to it ------------------------------------------------------------------------------------------

CLIENTS = {
    "nc": lambda host, port: ["nc.openbsd", "-N", host, port],
    "ncat": lambda host, port: ["ncat", host, port],
    "socat": lambda host, port: ["socat", "-t", str(DEADLINE), "-", "TCP:" + text_address((host, port))],
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_other_clients_get_their_bytes_back(sonde, tool, request, client, host):
    if ":" in host:
        request.getfixturevalue("ipv6")
    server = sonde.serve("echo", url="tcp://[::1]:0" if ":" in host else "tcp://127.0.0.1:0")
    argv = CLIENTS[client](host, str(server.port))
    argv[0] = tool(argv[0])
    message = b"hello\nand a second line, without an end"
    process = sonde.start(argv)
    process.feed(message)
    process.end_input()
    assert process.wait() == 0, process
    assert process.out.data == message
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out) == ("end of data", len(message), len(message))


def test_curl_telnet(sonde, tool):
    server = sonde.serve("echo")
    process = sonde.start([tool("curl"), "-sSN", f"telnet://127.0.0.1:{server.port}"])
    process.feed(b"hello\n")
    process.out.wait_match("^hello$")
    process.feed(b"again\n")
    process.out.wait_match("^again$")
    assert process.out.data == b"hello\nagain\n"


UNIX_CLIENTS = {
    "nc": ["nc.openbsd", "-N", "-U"],
    "ncat": ["ncat", "-U"],
    "socat": ["socat", "-t", str(DEADLINE), "-"],
}


@pytest.mark.parametrize("client", UNIX_CLIENTS)
def test_other_clients_over_a_unix_path(sonde, tool, place, client):
    path = f"{place}/echo.sock"
    server = sonde.serve("echo", url=f"unix:{path}")
    argv = list(UNIX_CLIENTS[client])
    argv[0] = tool(argv[0])
    process = sonde.start([*argv, f"UNIX-CONNECT:{path}" if client == "socat" else path])
    process.feed(b"hello\n")
    process.end_input()
    assert process.wait() == 0, process
    assert process.out.data == b"hello\n"
    assert server.wait_closed().reason == "end of data"


def test_socat_over_an_abstract_name(sonde, tool):
    name = f"sonde-e2e-{os.getpid()}-{sonde.engine}"
    server = sonde.serve("echo", url=f"unix:@{name}")
    assert server.url == f"unix:@{name}"
    process = sonde.start([tool("socat"), "-t", str(DEADLINE), "-", f"ABSTRACT-CONNECT:{name}"])
    process.feed(b"hello\n")
    process.end_input()
    assert process.wait() == 0, process
    assert process.out.data == b"hello\n"


# --- the lines it prints -----------------------------------------------------------------------------------------


def test_the_first_line_is_the_real_port(sonde):
    server = sonde.serve("echo")
    assert re.fullmatch(r"listening tcp://127\.0\.0\.1:[1-9]\d*", server.out.lines[0])
    assert harness.accept_queue(server.port) == 0, "nobody listens there"


def test_a_line_for_each_opening_and_end(sonde):
    server = sonde.serve("echo")
    with server.connect() as sock:
        local, peer = text_address(sock.getpeername()), text_address(sock.getsockname())
        round_trip(sock, b"hello")
        server.out.wait_match(rf"^opened 1 {re.escape(local)} <- {re.escape(peer)}$")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    row = server.wait_closed(peer)
    assert row[:7] == (1, local, peer, "end of data", 5, 5, 0)
    assert [line.split()[0] for line in server.out.lines] == ["listening", "opened", "closed"]
    assert "unsent" not in server.out.text


def test_connections_are_named_by_their_four_tuples(sonde):
    server = sonde.serve("echo")
    socks = [server.connect() for _ in range(5)]
    for number, sock in enumerate(socks):
        round_trip(sock, b"x" * (number + 1))
    for sock in reversed(socks):
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    peers = [text_address(sock.getsockname()) for sock in socks]
    rows = {peer: server.wait_closed(peer) for peer in peers}
    assert [rows[peer].bytes_in for peer in peers] == [1, 2, 3, 4, 5]
    assert sorted(row.connection for row in rows.values()) == [1, 2, 3, 4, 5]
    for found in harness.OPENED.finditer(server.out.text):
        assert rows[found["peer"]].connection == int(found["connection"]), "a connection changed its number"
    for sock in socks:
        sock.close()


def test_a_reset_is_not_an_end_of_data(sonde):
    server = sonde.serve("echo")
    sock = server.connect()
    peer = text_address(sock.getsockname())
    round_trip(sock, b"hello")
    harness.reset(sock)
    row = server.wait_closed(peer)
    assert (row.reason, row.bytes_in, row.bytes_out) == ("reset by peer", 5, 5)


def test_unix_peers_are_named_by_process_and_user(sonde, place):
    server = sonde.serve("echo", url=f"unix:{place}/x.sock")
    assert server.url == f"unix:{place}/x.sock"
    with server.connect() as sock:
        round_trip(sock, b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    who = f"pid {os.getpid()} (uid {os.geteuid()})"
    row = server.wait_closed(who)
    assert row[:7] == (1, f"unix:{place}/x.sock", who, "end of data", 5, 5, 0)
    assert f"opened 1 unix:{place}/x.sock <- {who}" in server.out.lines


def test_another_user_is_named(sonde, nobody, tool):
    if not nobody.prefix:
        pytest.skip("only root can be another user")
    name = f"sonde-e2e-user-{os.getpid()}-{sonde.engine}"
    server = sonde.serve("echo", url=f"unix:@{name}")
    process = sonde.start([*nobody.prefix, tool("socat"), "-t", str(DEADLINE), "-", f"ABSTRACT-CONNECT:{name}"])
    process.feed(b"hello")
    process.end_input()
    assert process.wait() == 0, process
    assert server.wait_closed().peer == f"pid {process.pid} (uid 65534)"


def test_quiet_leaves_the_listening_line(sonde):
    server = sonde.serve("echo", "--quiet")
    with server.connect() as sock:
        round_trip(sock, b"hello")
    assert server.terminate() == 0
    assert server.out.text == f"listening {server.url}\n"


# --- --print -----------------------------------------------------------------------------------------------------


def test_print_text_shows_what_arrives_and_from_whom(sonde):
    server = sonde.serve("echo", "--print", "text")
    with server.connect() as sock:
        peer = re.escape(text_address(sock.getsockname()))
        round_trip(sock, b"hello\n")
        server.out.wait_match(rf"^1 {peer} > hello\\n$")
        round_trip(sock, b"no newline")
        server.out.wait_match(rf"^1 {peer} > no newline$")


def test_nothing_of_an_earlier_message_is_left(sonde):
    """The bug of every first echo server: a short message shows the tail of the long one before it."""
    server = sonde.serve("echo", "--print", "text")
    with server.connect() as sock:
        round_trip(sock, b"a long message that leaves its tail behind\n")
        round_trip(sock, b"short\n")
        assert harness.nothing_to_read(sock)
        round_trip(sock, b"x")
        assert harness.nothing_to_read(sock)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
        peer = text_address(sock.getsockname())
    server.wait_closed()
    shown = [line.split(" > ", 1)[1] for line in server.out.lines if line.startswith(f"1 {peer} > ")]
    assert shown == ["a long message that leaves its tail behind\\n", "short\\n", "x"]


ESCAPES = {
    "ESC": (b"\x1b[31mred", r"\\x1b\[31mred"),
    "NUL": (b"a\x00b", r"a\\(x00|0)b"),
    "BEL": (b"a\x07b", r"a\\(x07|a)b"),
    "DEL": (b"a\x7fb", r"a\\x7fb"),
    "CR": (b"overwritten\rover", r"overwritten\\(r|x0d)over"),
    "C1 as UTF-8": (b"a\xc2\x9b31mb", r"a\\(xc2\\x9b|x9b|u009b|u\{9b\})31mb"),
    "C1 as a byte": (b"a\x9b31mb", r"a\\x9b31mb"),
    "bidi": ("a\u202eb".encode(), r"a\\(xe2\\x80\\xae|u202e|u\{202e\})b"),
    "bidi isolate": ("a\u2066b".encode(), r"a\\(xe2\\x81\\xa6|u2066|u\{2066\})b"),
    "invalid UTF-8": (b"a\xffb", r"a\\xffb"),
    "overlong UTF-8": (b"a\xc0\xafb", r"a\\xc0\\xafb"),
    "surrogate": (b"a\xed\xa0\x80b", r"a\\xed\\xa0\\x80b"),
    "cut UTF-8": (b"a\xe2\x80", r"a\\xe2\\x80"),
    "backslash": (b"a\\x1bb", r"a\\\\x1bb"),
}


@pytest.mark.parametrize("what", ESCAPES)
def test_print_text_escapes(sonde, what):
    data, shown = ESCAPES[what]
    server = sonde.serve("echo", "--print", "text")
    with server.connect() as sock:
        round_trip(sock, data)  # the bytes themselves come back as they were
        server.out.wait_match(rf"^1 \S+ > {shown}$")
    server.wait_closed()
    harness.assert_printable(server.out.data)


def test_print_text_leaves_readable_text_readable(sonde):
    server = sonde.serve("echo", "--print", "text")
    with server.connect() as sock:
        round_trip(sock, "héllo 你好".encode())
        server.out.wait_match(r"^1 \S+ > héllo 你好$")


def test_a_peer_forges_no_lines(sonde):
    server = sonde.serve("echo", "--print", "text")
    with server.connect() as sock:
        forged = b"x\nclosed 7 1.2.3.4:5 <- 6.7.8.9:10 end of data, 0 bytes in, 0 out, 0.000 s\nopened 8 a <- b\n"
        round_trip(sock, forged)
        sock.shutdown(socket.SHUT_WR)
        receive_all(sock)
    server.wait_closed()
    assert [row.connection for row in server.closed()] == [1]
    assert len(harness.OPENED.findall(server.out.text)) == 1


@pytest.mark.parametrize("mode", ["text", "hex"])
def test_every_byte_value_is_shown_harmlessly(sonde, mode):
    server = sonde.serve("echo", "--print", mode)
    with server.connect() as sock:
        round_trip(sock, bytes(range(256)))
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    assert server.wait_closed().bytes_in == 256
    harness.assert_printable(server.out.data)


def test_print_hex_counts_the_bytes_of_the_connection(sonde):
    server = sonde.serve("echo", "--print", "hex")
    with server.connect() as sock:
        peer = re.escape(text_address(sock.getsockname()))
        round_trip(sock, b"hello")
        server.out.wait_match(rf"^1 {peer} >\n00000000  68 65 6c 6c 6f\b.*\|hello\|$")
        round_trip(sock, b"\x1b[0m" + b"A" * 20)
        server.out.wait_match(r"^00000005  1b 5b 30 6d 41\b.*\|\.\[0mA+\|$")
    server.wait_closed()
    assert harness.hex_dump(server.out.text) == b"hello\x1b[0m" + b"A" * 20


# --- --json ------------------------------------------------------------------------------------------------------


def test_json_lines_are_strict_and_the_counts_agree(sonde):
    server = sonde.serve("echo", "--json")
    message = bytes(range(256)) * 2000
    with server.connect() as sock:
        local, peer = text_address(sock.getpeername()), text_address(sock.getsockname())
        harness.exchange(sock, message, seed=3)
    closed = server.wait_event("closed")
    events = server.events()
    assert [event["event"] for event in events if event["event"] != "data"] == ["listening", "opened", "closed"]
    assert events[0]["url"] == f"tcp://{local}"
    assert (events[1]["connection"], events[1]["local"], events[1]["peer"]) == (1, local, peer)
    data = [event["bytes"] for event in events if event["event"] == "data"]
    assert sum(data) == len(message) and all(bytes_ > 0 for bytes_ in data)
    assert {event["connection"] for event in events[1:]} == {1}
    assert (closed["local"], closed["peer"], closed["reason"]) == (local, peer, "end")
    assert (closed["bytes_in"], closed["bytes_out"], closed["unsent"]) == (len(message), len(message), 0)
    assert "error" not in closed
    assert closed["duration_ns"] > 0
    assert closed["duration_ns"] <= events[-1]["mono_ns"] - events[0]["mono_ns"]


def test_json_with_print_holds_the_bytes_themselves(sonde):
    messages = [b"hello\n", bytes(range(256)), "你好 \u202e \x1b[0m \x85".encode(), b"\xff", b'"quotes" and \\']
    server = sonde.serve("echo", "--json", "--print", "text")
    with server.connect() as sock:
        for message in messages:
            round_trip(sock, message)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    server.wait_event("closed")
    got = b""
    for event in server.events("data"):
        assert ("text" in event) != ("base64" in event)
        chunk = event["text"].encode() if "text" in event else base64.b64decode(event["base64"], validate=True)
        assert len(chunk) == event["bytes"]
        got += chunk
    assert got == b"".join(messages)
    assert [event["text"] for event in server.events("data") if "text" in event][0] == "hello\n"
    harness.assert_printable(server.out.data)


def test_json_tells_a_reset_from_an_end(sonde):
    server = sonde.serve("echo", "--json")
    sock = server.connect()
    round_trip(sock, b"hello")
    harness.reset(sock)
    closed = server.wait_event("closed")
    assert (closed["reason"], closed["error"], closed["bytes_in"]) == ("reset", "ECONNRESET", 5)


# --- how many, and in which order --------------------------------------------------------------------------------


def test_once_serves_one_and_ends(sonde):
    server = sonde.serve("echo", "--once")
    with server.connect() as sock:
        round_trip(sock, b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    assert server.wait() == 0
    assert [line.split()[0] for line in server.out.lines] == ["listening", "opened", "closed"]
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_sequential_serves_one_after_another(sonde):
    server = sonde.serve("echo", "--sequential")
    first, second, third = (server.connect() for _ in range(3))
    for number, sock in enumerate((second, third)):
        sock.sendall(b"from %d" % number)
    for number in range(50):
        round_trip(first, b"message %d" % number)
    wait_until(lambda: harness.accept_queue(server.port) == 2, "the others wait in the accept queue")
    assert harness.nothing_to_read(second) and harness.nothing_to_read(third)
    server.out.wait_match(r"^opened 1 ")
    assert len(harness.OPENED.findall(server.out.text)) == 1
    first.close()
    assert harness.receive_exactly(second, 6) == b"from 0"
    assert harness.accept_queue(server.port) == 1
    assert harness.nothing_to_read(third)
    second.close()
    assert harness.receive_exactly(third, 6) == b"from 1"
    third.close()
    server.out.wait_for(lambda _: len(server.closed()) == 3, "three closed lines")
    kinds = [line.split()[0] for line in server.out.lines]
    assert kinds == ["listening"] + ["opened", "closed"] * 3


def test_max_clients_lets_the_rest_wait(sonde):
    server = sonde.serve("echo", "--max-clients", 2)
    socks = [server.connect() for _ in range(4)]
    for number, sock in enumerate(socks):
        sock.sendall(b"from %d" % number)
    for number, sock in enumerate(socks[:2]):
        assert harness.receive_exactly(sock, 6) == b"from %d" % number
    for _ in range(50):
        round_trip(socks[0], b"goes on")
    wait_until(lambda: harness.accept_queue(server.port) == 2, "the others wait in the accept queue")
    assert harness.nothing_to_read(socks[2]) and harness.nothing_to_read(socks[3])
    server.err.wait_match(r"^sonde: .*2")
    socks[1].close()
    assert harness.receive_exactly(socks[2], 6) == b"from 2"
    assert harness.nothing_to_read(socks[3])
    socks[0].close()
    assert harness.receive_exactly(socks[3], 6) == b"from 3"
    for sock in socks[2:]:
        sock.close()
    server.out.wait_for(lambda _: len(server.closed()) == 4, "four closed lines")
    assert server.terminate() == 0
    assert len(server.err.lines) == 1, f"said more than once:\n{server.err.text}"


@pytest.mark.parametrize("as_json", [False, True])
def test_max_clients_refuses_the_rest(sonde, as_json):
    server = sonde.serve("echo", "--max-clients", 2, "--when-full", "refuse", *(["--json"] if as_json else []))
    first, second = server.connect(), server.connect()
    round_trip(first, b"hello")
    round_trip(second, b"hello")
    third = socket.socket()
    third.settimeout(DEADLINE)
    third.bind(("127.0.0.1", 0))
    peer = text_address(third.getsockname())
    with pytest.raises(ConnectionResetError):
        third.connect(("127.0.0.1", server.port))  # the reset may be here before connect returns
        third.recv(1)
    if as_json:
        assert server.wait_event("closed")["reason"] == "limit"
        assert server.wait_event("closed")["peer"] == peer
    else:
        row = server.wait_closed(peer)
        assert row.reason == "refused: 2 clients are connected already"
        assert (row.bytes_in, row.bytes_out) == (0, 0)
    round_trip(first, b"still here")
    second.close()
    server.out.wait_match('"end"' if as_json else "end of data")
    with server.connect() as fourth:
        round_trip(fourth, b"there is room again")
    for sock in (first, third):
        sock.close()


def test_idle_timeout_ends_who_says_nothing(sonde):
    server = sonde.serve("echo", "--idle-timeout", "300ms")
    server.stop()
    with server.connect() as sock:
        sock.sendall(b"hello")  # there when it looks: silent only from then on
        server.go_on()
        assert receive_all(sock) == b"hello"
        row = server.wait_closed(text_address(sock.getsockname()))
    assert (row.reason, row.bytes_in, row.bytes_out) == ("idle", 5, 5)
    assert row.seconds >= 0.3


def test_idle_timeout_spares_who_talks(sonde):
    server = sonde.serve("echo", "--json", "--idle-timeout", "2")
    with server.connect() as busy, server.connect() as idle:
        peer = text_address(idle.getsockname())
        wait_until(
            lambda: round_trip(busy, b"x" * 100) or any(row["peer"] == peer for row in server.events("closed")),
            "the idle client was closed",
        )
        assert [(row["peer"], row["reason"]) for row in server.events("closed")] == [(peer, "idle")]
        round_trip(busy, b"still here")


def test_idle_timeout_ends_who_never_reads(sonde):
    server = sonde.serve("echo", "--idle-timeout", "500ms", url="tcp://127.0.0.1:0?sndbuf=16384&rcvbuf=16384")
    with harness.dial(server.url, rcvbuf=4096, sndbuf=4096) as sock:
        with contextlib.suppress(ConnectionError):
            wait_until(lambda: harness.fill(sock) is None or server.closed(), "the server has closed it")
        row = server.wait_closed(text_address(sock.getsockname()))
    assert row.reason == "idle"
    assert row.bytes_out < row.bytes_in, "the scenario did not come about"
    assert row.unsent == row.bytes_in - row.bytes_out


# --- SIGUSR1 -----------------------------------------------------------------------------------------------------


def test_sigusr1_prints_the_live_connections(sonde):
    server = sonde.serve("echo")
    server.signal(signal.SIGUSR1)
    server.out.wait_match(r"^CONNECTION\b.*\n(.*\n)*?0 connections$")
    socks = [server.connect() for _ in range(3)]
    for number, sock in enumerate(socks):
        round_trip(sock, b"x" * (number + 5))
    server.signal(signal.SIGUSR1)
    table = server.out.wait_match(r"^CONNECTION\b.*\n((?:(?!CONNECTION).*\n)*?)3 connections$").group(1)
    for number, sock in enumerate(socks):
        row = re.search(rf"^.*{re.escape(text_address(sock.getsockname()))}\b.*$", table, re.M)
        assert row, f"no row for {sock.getsockname()} in:\n{table}"
        assert re.search(rf"\b{number + 5}\b", row[0]), f"its byte counts are missing: {row[0]}"
        assert text_address(sock.getpeername()) in row[0]
    round_trip(socks[0], b"it goes on")
    for sock in socks:
        sock.close()


def test_sigusr1_with_json(sonde):
    server = sonde.serve("echo", "--json")
    with server.connect() as sock:
        round_trip(sock, b"hello")
        server.signal(signal.SIGUSR1)
        row = server.wait_event("connection")
        assert (row["connection"], row["local"], row["peer"]) == (
            1,
            text_address(sock.getpeername()),
            text_address(sock.getsockname()),
        )
        assert (row["bytes_in"], row["bytes_out"], row["queued"], row["paused"]) == (5, 5, 0, False)
        assert row["age_ns"] > 0


# --- addresses ---------------------------------------------------------------------------------------------------


def test_several_urls_at_once(sonde, place, ipv6):
    name = f"sonde-e2e-several-{os.getpid()}-{sonde.engine}"
    server = sonde.serve("echo", url=["tcp://127.0.0.1:0", "tcp://[::1]:0", f"unix:{place}/x.sock", f"unix:@{name}"])
    assert [url.rpartition(":")[0] for url in server.urls[:2]] == ["tcp://127.0.0.1", "tcp://[::1]"]
    assert server.urls[2:] == [f"unix:{place}/x.sock", f"unix:@{name}"]
    for url in server.urls:
        with harness.dial(url) as sock:
            round_trip(sock, b"hello " + url.encode())
    server.out.wait_for(lambda _: len(server.closed()) == 4, "four closed lines")
    assert sorted(row.connection for row in server.closed()) == [1, 2, 3, 4]


@pytest.mark.parametrize("url", ["tcp://:0", ":0", "tcp://localhost:0"])
def test_loopback_is_both_families_on_one_port(sonde, ipv6, url):
    server = sonde.serve("echo", url=url, sockets=2)
    hosts = {harness.split_tcp(found)[0] for found in server.urls}
    ports = {harness.split_tcp(found)[1] for found in server.urls}
    assert hosts == {"127.0.0.1", "::1"}
    assert len(ports) == 1, f"not the same port: {server.urls}"
    for found in server.urls:
        with harness.dial(found) as sock:
            round_trip(sock, b"hello")


def test_only_one_family_when_asked(sonde, ipv6):
    for option, host in (("-4", "127.0.0.1"), ("-6", "::1")):
        server = sonde.serve("echo", option, url="tcp://localhost:0")
        with server.connect() as sock:
            round_trip(sock, b"hello")
        assert server.terminate() == 0
        assert [harness.split_tcp(url)[0] for url in re.findall("^listening (.*)$", server.out.text, re.M)] == [host]


def test_any_address(sonde):
    server = sonde.serve("echo", url="tcp://*:0")
    port = int(server.url.rpartition(":")[2])
    with harness.dial(f"tcp://127.0.0.1:{port}") as sock:
        round_trip(sock, b"hello")
        server.out.wait_match(rf"^opened 1 127\.0\.0\.1:{port} <- {re.escape(text_address(sock.getsockname()))}$")


def test_ipv6(sonde, ipv6):
    server = sonde.serve("echo", url="tcp://[::1]:0")
    with server.connect() as sock:
        peer = text_address(sock.getsockname())
        round_trip(sock, b"hello")
    row = server.wait_closed(peer)
    assert row.local == f"[::1]:{server.port}"


@pytest.mark.parametrize("sign", ["%", "%25"])
def test_ipv6_zone_in_both_spellings(sonde, link_local, sign):
    address, interface = link_local
    server = sonde.serve("echo", url=f"tcp://[{address}{sign}{interface}]:0")
    assert re.fullmatch(rf"tcp://\[{re.escape(address)}%{re.escape(interface)}\]:\d+", server.url)
    with server.connect() as sock:
        round_trip(sock, b"hello")
    row = server.wait_closed()
    assert re.fullmatch(rf"\[{re.escape(address)}(%{re.escape(interface)})?\]:\d+", row.peer)


def test_host_and_port_without_a_scheme(sonde):
    server = sonde.serve("echo", url="127.0.0.1:0")
    assert server.url.startswith("tcp://127.0.0.1:")
    with server.connect() as sock:
        round_trip(sock, b"hello")


def test_backlog_is_the_kernel_s_limit(sonde, tool):
    server = sonde.serve("echo", "--backlog", 17, url=["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?backlog=5"])
    ports = [harness.split_tcp(url)[1] for url in server.urls]
    out = sonde.start([tool("ss"), "-Hltn", f"( sport = :{ports[0]} or sport = :{ports[1]} )"])
    out.end_input()
    assert out.wait() == 0
    limits = {int(line.split()[3].rpartition(":")[2]): int(line.split()[2]) for line in out.out.lines}
    assert limits == {ports[0]: 17, ports[1]: 5}


# --- again and again ---------------------------------------------------------------------------------------------


def test_restart_on_the_same_port_at_once(sonde):
    server = sonde.serve("echo")
    socks = [server.connect() for _ in range(5)]
    for sock in socks:
        round_trip(sock, b"hello")
    server.signal(signal.SIGTERM)
    ends = [(sock.getpeername(), sock.getsockname()) for sock in socks]
    for sock in socks:  # the server ends first, so that it is its side that has to wait
        assert receive_all(sock) == b""
        sock.close()
    assert server.wait() == 0
    rows = [harness.connection_row(*pair) for pair in ends]
    assert "TIME_WAIT" in [row.state for row in rows if row], "the scenario did not come about"
    again = sonde.serve("echo", url=server.url)
    assert again.url == server.url
    with again.connect() as sock:
        round_trip(sock, b"hello again")


def test_a_stale_unix_socket_is_replaced(sonde, place):
    path = f"{place}/stale.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(path)
        old.listen()
    assert os.path.exists(path)
    server = sonde.serve("echo", url=f"unix:{path}")
    with server.connect() as sock:
        round_trip(sock, b"hello")


def test_its_own_unix_socket_is_removed_at_the_end(sonde, place):
    server = sonde.serve("echo", url=f"unix:{place}/x.sock")
    assert os.path.exists(f"{place}/x.sock")
    assert server.terminate() == 0
    assert not os.path.exists(f"{place}/x.sock")


def test_a_killed_server_s_unix_socket_is_no_obstacle(sonde, place):
    server = sonde.serve("echo", url=f"unix:{place}/x.sock")
    server.signal(signal.SIGKILL)
    server.wait()
    assert os.path.exists(f"{place}/x.sock")

    def refused():  # the kernel takes a ring apart after its process's end, and the listener lives until then
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(f"{place}/x.sock") == errno.ECONNREFUSED

    wait_until(refused, "nobody answers on the socket")
    again = sonde.serve("echo", url=f"unix:{place}/x.sock")
    with again.connect() as sock:
        round_trip(sock, b"hello")


def refused_to_listen(sonde, url):
    """`sonde serve echo URL` must fail and say why; returns the sentence."""
    result = sonde.run("serve", "echo", "--engine", sonde.engine, url)
    assert result.status == 1, result.process
    assert result.out == b""
    sentence = harness.one_sentence(result.err)
    assert url in sentence
    harness.hint(sentence)
    return sentence


def test_a_live_unix_socket_is_left_alone(sonde, place):
    server = sonde.serve("echo", url=f"unix:{place}/x.sock")
    refused_to_listen(sonde, f"unix:{place}/x.sock")
    with server.connect() as sock:
        round_trip(sock, b"still here")


def test_a_live_unix_socket_with_a_full_queue_is_left_alone(sonde, place):
    """Nobody answers at once, yet it is alive."""
    path = f"{place}/busy.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        refused_to_listen(sonde, f"unix:{path}")
        assert os.path.exists(path)


def test_a_live_datagram_socket_is_left_alone(sonde, place):
    path = f"{place}/datagrams.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        refused_to_listen(sonde, f"unix:{path}")
        assert os.path.exists(path)


def test_a_file_is_never_removed(sonde, place):
    path = place / "precious"
    path.write_text("data")
    refused_to_listen(sonde, f"unix:{path}")
    assert path.read_text() == "data"


def test_a_link_is_never_removed(sonde, place):
    (place / "precious").write_text("data")
    (place / "link").symlink_to(place / "precious")
    refused_to_listen(sonde, f"unix:{place}/link")
    assert (place / "link").is_symlink() and (place / "precious").read_text() == "data"


def test_what_took_the_path_meanwhile_is_not_removed_at_the_end(sonde, place):
    path = place / "x.sock"
    server = sonde.serve("echo", url=f"unix:{path}")
    path.unlink()
    path.write_text("another program's")
    assert server.terminate() == 0
    assert path.read_text() == "another program's"


def test_an_abstract_name_in_use_is_refused(sonde):
    name = f"sonde-e2e-use-{os.getpid()}-{sonde.engine}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("\0" + name)
        other.listen()
        refused_to_listen(sonde, f"unix:@{name}")


# --- ending ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order(sonde, number, status):
    server = sonde.serve("echo")
    with server.connect() as sock:
        round_trip(sock, b"hello")
        server.signal(number)
        assert receive_all(sock) == b"", "the end of data, no reset"
        peer = text_address(sock.getsockname())
    assert server.wait() == status
    assert server.wait_closed(peer).reason == "stopped"
    assert server.err.text == ""


def test_what_is_queued_is_sent_before_the_end(sonde):
    """SIGTERM while a client has much to receive still: it gets all that the server had taken."""
    server = sonde.serve("echo", "--json", url="tcp://127.0.0.1:0?sndbuf=16384")
    with harness.dial(server.url, rcvbuf=16384) as sock:
        harness.fill_until_blocked(sock)
        server.signal(signal.SIGUSR1)
        before = server.wait_event("connection")
        assert before["queued"] > 0, "the scenario did not come about"
        server.signal(signal.SIGTERM)
        got = receive_all(sock)
    assert server.wait() == 0
    closed = server.events("closed")[0]
    assert closed["reason"] == "stopped"
    assert len(got) >= before["bytes_in"], "what it had taken did not come back"
    assert len(got) == closed["bytes_out"] <= closed["bytes_in"]
