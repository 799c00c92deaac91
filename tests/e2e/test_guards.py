# SPDX-License-Identifier: MIT
"""Who may connect to serve, how often, and how fast: --allow, --deny, --max-per-peer, --proxy-from, --rate."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import dial, one_sentence, receive_all, receive_exactly, round_trip, scaled, text_address, wait_until

ALL_LOOPBACK = ["tcp://127.0.0.1:0", "tcp://[::1]:0"]


def from_address(server, address, url=None):
    return dial(url or server.url, source=(address, 0))


def refused(url, address=None, send=b""):
    """Connect from that address, be accepted by the kernel, and be reset by serve without a byte (which on a UNIX
    socket is the end of data). Returns our own address, as serve tells it."""
    if url.startswith("unix:"):
        with dial(url) as sock:
            assert sock.recv(100) == b""
        return None
    host, port = harness.split_tcp(url)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(harness.DEADLINE)
        sock.bind((address or host, 0))
        peer = text_address(sock.getsockname())
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # which may be there before connect has returned
            sock.connect((host, port))
            sock.sendall(send)
            data = sock.recv(100)
            raise AssertionError(f"not refused: {data!r}")
    return peer


def is_served(sock):
    round_trip(sock, b"hello")
    return sock


def table_rows(server):
    """The connections that SIGUSR1 shows."""
    before = len(re.findall(r"^\d+ connections$", server.out.text, re.M))
    server.signal(signal.SIGUSR1)
    server.out.wait_for(
        lambda data: len(re.findall(rb"^\d+ connections$", data, re.M)) > before, "the foot of the table"
    )
    return int(re.findall(r"^(\d+) connections$", server.out.text, re.M)[-1])


# --- --allow and --deny --------------------------------------------------------------------------------------------


def test_allow_lets_in_whom_it_names(sonde):
    server = sonde.serve("echo", "--allow", "127.0.0.2,127.1.0.0/16", "--allow", "127.0.0.7")
    for address in ("127.0.0.2", "127.1.2.3", "127.0.0.7"):
        with from_address(server, address) as sock:
            is_served(sock)
    for address in ("127.0.0.1", "127.0.0.3", "127.2.0.1"):
        row = server.wait_closed(refused(server.url, address))
        assert (row.reason, row.bytes_in, row.bytes_out) == ("refused: not allowed", 0, 0)
        assert f"opened {row.connection} " not in server.out.text
    assert server.terminate() == 0
    assert server.err.text == ""


def test_deny_wins(sonde):
    server = sonde.serve("echo", "--allow", "127.0.0.0/8", "--deny", "127.0.0.3,127.5.0.0/16", "--deny", "127.0.0.4")
    for address in ("127.0.0.1", "127.6.0.1"):
        with from_address(server, address) as sock:
            is_served(sock)
    for address in ("127.0.0.3", "127.5.1.1", "127.0.0.4"):
        server.wait_closed(refused(server.url, address))
    assert len(harness.OPENED.findall(server.out.text)) == 2


def test_deny_alone_lets_in_the_rest(sonde, ipv6):
    server = sonde.serve("echo", "--deny", "::1", url=ALL_LOOPBACK)
    with dial(server.urls[0]) as sock:
        is_served(sock)
    peer = refused(server.urls[1])
    assert peer.startswith("[::1]:")
    assert server.wait_closed(peer).reason == "refused: not allowed"


def test_an_ipv6_prefix(sonde, ipv6):
    server = sonde.serve("echo", "--allow", "::/64", url=ALL_LOOPBACK)
    with dial(server.urls[1]) as sock:
        is_served(sock)
    refused(server.urls[0])


def test_any_is_a_word(sonde, ipv6, place):
    server = sonde.serve("echo", "--allow", "any", "--deny", "unix", url=[*ALL_LOOPBACK, f"unix:{place}/s"])
    for url in server.urls[:2]:
        with dial(url) as sock:
            is_served(sock)
    refused(server.urls[2])


def test_unix_is_a_word(sonde, place):
    server = sonde.serve("echo", "--allow", "unix", url=["tcp://127.0.0.1:0", f"unix:{place}/s"])
    with dial(server.urls[1]) as sock:
        is_served(sock)
    assert server.wait_closed(refused(server.urls[0])).reason == "refused: not allowed"


def test_netcat_is_refused_and_served(sonde, tool):
    netcat = tool("nc.openbsd")
    server = sonde.serve(("greet", "hello\\n"), "--allow", "127.0.0.2")
    for source, expected in (("127.0.0.2", b"hello\n"), ("127.0.0.1", b"")):
        process = sonde.start([netcat, "-N", "-s", source, "127.0.0.1", str(server.port)], stdin=subprocess.DEVNULL)
        process.wait()
        assert process.out.data == expected


def test_a_refused_one_never_reaches_the_service(sonde):
    server = sonde.serve(("greet", "hello"), "--allow", "127.0.0.2", "--print", "text")
    server.wait_closed(refused(server.url, "127.0.0.1", b"let me in"))
    assert "let me in" not in server.out.text
    assert "opened" not in server.out.text


@pytest.mark.parametrize("limit", [["--once"], ["--sequential"], ["--max-clients", "1"]])
def test_a_refused_one_is_no_client(sonde, limit):
    """It uses up no place, whatever limits there are, and makes none when it goes."""
    server = sonde.serve("echo", "--allow", "127.0.0.2", *limit)
    for _ in range(5):
        refused(server.url, "127.0.0.1")
    with from_address(server, "127.0.0.2") as first:
        is_served(first)
        if limit == ["--once"]:
            first.close()
            assert server.wait() == 0
            return
        later = [from_address(server, address) for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2")]
        for sock in later[2:]:
            sock.sendall(b"hello")
        round_trip(first, b"still the only one")
        assert table_rows(server) == 1
    for sock in later[:2]:
        with sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
    for sock in later[2:]:
        assert receive_exactly(sock, 5) == b"hello"
        sock.close()


def test_quiet_is_quiet(sonde):
    server = sonde.serve("echo", "--quiet", "--deny", "127.0.0.3", "--max-per-peer", "1")
    refused(server.url, "127.0.0.3")
    with from_address(server, "127.0.0.4") as sock:
        is_served(sock)
        refused(server.url, "127.0.0.4")
    assert server.terminate() == 0
    assert (server.out.text, server.err.text) == (f"listening {server.url}\n", "")


def test_json_tells_who_and_why(sonde):
    server = sonde.serve("echo", "--json", "--deny", "127.0.0.3", "--max-per-peer", "2")
    denied_peer = refused(server.url, "127.0.0.3")
    first, second = is_served(dial(server.url)), is_served(dial(server.url))
    third_peer = refused(server.url)
    event = server.wait_event("closed", lambda event: event["peer"] == denied_peer)
    assert (event["reason"], event["bytes_in"], event["bytes_out"], event["unsent"]) == ("not_allowed", 0, 0, 0)
    assert "limit" not in event and "error" not in event and event["local"] == f"127.0.0.1:{server.port}"
    event = server.wait_event("closed", lambda event: event["peer"] == third_peer)
    assert (event["reason"], event["limit"]) == ("peer_limit", 2)
    assert {event["peer"] for event in server.events("opened")} == {
        text_address(sock.getsockname()) for sock in (first, second)
    }
    first.close()
    second.close()


WRONG = [
    ("--allow", "10.0.0.0/8,localhost", "localhost", "prefix"),
    ("--allow", "10.0.0.1/8", "10.0.0.1/8", "10.0.0.0/8"),
    ("--deny", "10.0.0.0/33", "10.0.0.0/33", "32"),
    ("--deny", "::1,,unix", "::1,,unix", "missing"),
    ("--deny", "", '""', "missing"),
    ("--allow", "\x1b[31mx", "%1B", "prefix"),
    ("--proxy-from", "tcp://x", "tcp:", "prefix"),
]


@pytest.mark.parametrize("option, value, word, what", WRONG)
def test_what_is_not_understood_is_said(command, option, value, word, what):
    url = "tcp://127.0.0.1:0?proxy=in" if option == "--proxy-from" else harness.LOOPBACK
    result = command.run("serve", "echo", url, option, value)
    assert (result.status, result.out) == (2, b""), result.process
    sentence = one_sentence(result.err)
    assert option in sentence and word in sentence and what in sentence, sentence


@pytest.mark.parametrize(
    "options",
    [["--allow", "any"], ["--deny", "::1"], ["--max-per-peer", "3"], ["--rate", "5k"], ["--proxy-from", "::1"]],
)
def test_hold_accepts_nobody(command, options):
    result = command.run("serve", "hold", harness.LOOPBACK, *options)
    assert result.status == 2
    assert options[0] in one_sentence(result.err)


@pytest.mark.parametrize("options", [["--max-per-peer", "0"], ["--rate", "0"], ["--rate", "-5"], ["--rate", "2T"]])
def test_numbers_have_bounds(command, options):
    result = command.run("serve", "echo", harness.LOOPBACK, *options)
    assert result.status == 2
    assert options[0] in one_sentence(result.err)


def test_too_many_addresses(command):
    url = "tcp://127.0.0.1:0?proxy=in"
    result = command.run("serve", "echo", url, "--proxy-from", ",".join(["::1"] * 65))
    assert result.status == 2 and "64" in one_sentence(result.err)
    result = command.run("serve", "echo", url, *(["--deny", ",".join(["::1"] * 17)] * 61))
    assert result.status == 2 and "1024" in one_sentence(result.err)


# --- --max-per-peer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_each_address_has_so_many(sonde, threads):
    server = sonde.serve("echo", "--max-per-peer", 3, "--threads", threads)
    mine = [is_served(from_address(server, "127.0.0.1")) for _ in range(3)]
    others = [is_served(from_address(server, f"127.0.0.{number}")) for number in (2, 3, 3, 3)]
    for address in ("127.0.0.1", "127.0.0.3"):
        peer = refused(server.url, address)
        assert server.wait_closed(peer).reason == "refused: too many from this address: 3 are connected already"
    assert table_rows(server) == 7
    # One goes, one may come.
    peer = text_address(mine[0].getsockname())
    mine.pop(0).close()
    server.wait_closed(peer)
    mine.append(is_served(from_address(server, "127.0.0.1")))
    refused(server.url, "127.0.0.1")
    for sock in mine + others:
        is_served(sock).close()


def test_an_ipv6_network_is_one_address(sonde, ipv6):
    server = sonde.serve("echo", "--max-per-peer", 2, url=ALL_LOOPBACK)
    socks = [is_served(dial(server.urls[1])) for _ in range(2)]
    refused(server.urls[1])
    with dial(server.urls[0]) as sock:
        is_served(sock)
    for sock in socks:
        sock.close()


def test_unix_peers_count_by_user(sonde, place, nobody, tool):
    server = sonde.serve("echo", "--max-per-peer", 2, url=f"unix:{place}/s")
    os.chmod(place / "s", 0o777)
    socks = [is_served(dial(server.url)) for _ in range(2)]
    refused(server.url)
    row = server.wait_closed()
    assert row.reason.startswith("refused: too many from this address") and f"uid {os.geteuid()}" in row.peer
    if nobody.prefix:
        process = sonde.start([*nobody.prefix, tool("nc.openbsd"), "-N", "-U", f"{place}/s"])
        process.feed(b"hello")
        process.end_input()
        assert process.wait() == 0
        assert process.out.data == b"hello"
    for sock in socks:
        sock.close()


def test_both_limits_at_once(sonde):
    """Who is refused for the sake of --max-clients does not count for its address either."""
    server = sonde.serve("echo", "--max-per-peer", 2, "--max-clients", 3, "--when-full", "refuse")
    first = [is_served(from_address(server, "127.0.0.2")) for _ in range(2)]
    second = [is_served(from_address(server, "127.0.0.3"))]
    for _ in range(4):
        peer = refused(server.url, "127.0.0.3")
        assert server.wait_closed(peer).reason == "refused: 3 clients are connected already"
    peer = text_address(first[0].getsockname())
    first.pop().close(), first.pop().close()
    server.wait_closed(peer)
    wait_until(lambda: table_rows(server) == 1, "the first two are gone")
    second.append(is_served(from_address(server, "127.0.0.3")))
    refused(server.url, "127.0.0.3")
    for sock in second:
        sock.close()


@pytest.mark.heavy
@pytest.mark.parametrize("threads", [1, 4])
def test_a_flood_leaves_nothing_behind(sonde, threads):
    """Thousands are refused, by many threads at once: one line each, and all is as it was."""
    number = scaled(2000, 200)
    server = sonde.serve("echo", "--max-per-peer", 2, "--deny", "127.0.0.9", "--threads", threads)
    kept = [is_served(dial(server.url)) for _ in range(2)]
    n_fds = len(os.listdir(f"/proc/{server.pid}/fd"))

    def flood(share, address):
        for _ in range(share):
            refused(server.url, address)

    clients = [
        threading.Thread(target=flood, args=(number // 8, "127.0.0.9" if index % 2 else "127.0.0.1"), daemon=True)
        for index in range(8)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(harness.DEADLINE * 4)
        assert not client.is_alive()
    server.out.wait_for(lambda data: data.count(b" refused: ") >= number // 8 * 8, "a line for each")
    assert table_rows(server) == 2
    assert server.out.text.count(" refused: not allowed, ") == number // 8 * 4
    assert server.out.text.count(" refused: too many from this address: ") == number // 8 * 4
    assert len(harness.OPENED.findall(server.out.text)) == 2
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == n_fds, "as many descriptors as before")
    for sock in kept:
        is_served(sock).close()
    wait_until(lambda: table_rows(server) == 0, "nobody is connected")
    # Each address has its whole number again, and no more.
    for address in ("127.0.0.1", "127.0.0.2"):
        socks = [is_served(from_address(server, address)) for _ in range(2)]
        refused(server.url, address)
        for sock in socks:
            sock.close()
    assert server.terminate() == 0


# --- PROXY protocol headers ----------------------------------------------------------------------------------------

PROXIED = "tcp://127.0.0.1:0?proxy=in"


def head(source, port=4444):
    return b"PROXY TCP4 %s 198.51.100.1 %d 80\r\n" % (source.encode(), port)


def plain(url):
    return url.partition("?")[0]


def through_proxy(server, source, port=4444, address="127.0.0.1"):
    sock = dial(plain(server.url), source=(address, 0))
    sock.sendall(head(source, port))
    return sock


def test_the_header_is_who_is_looked_at(sonde):
    server = sonde.serve("echo", "--allow", "192.0.2.0/24", "--deny", "192.0.2.9", "--max-per-peer", 2, url=PROXIED)
    socks = [is_served(through_proxy(server, "192.0.2.1", port)) for port in (1001, 1002)]
    server.out.wait_match(r"^opened \d+ \S+ <- 192\.0\.2\.1:1001$")
    rows = [("192.0.2.1", 1003, "too many from this address: 2 are connected already")]
    rows += [("192.0.2.9", 1004, "not allowed"), ("127.0.0.1", 1005, "not allowed")]
    for address, port, why in rows:
        refused(plain(server.url), send=head(address, port))
        assert server.wait_closed(f"{address}:{port}").reason == f"refused: {why}"
    socks.append(is_served(through_proxy(server, "192.0.2.2")))
    for sock in socks:
        sock.close()
    for port in (1001, 1002):
        server.wait_closed(f"192.0.2.1:{port}")
    is_served(through_proxy(server, "192.0.2.1", 1006)).close()


@pytest.mark.parametrize("json", [False, True])
def test_refused_headers_are_told(sonde, json):
    server = sonde.serve("echo", "--proxy-from", "127.0.0.2,127.3.0.0/16", *(["--json"] if json else []), url=PROXIED)
    for address in ("127.0.0.2", "127.3.1.1"):
        is_served(through_proxy(server, "192.0.2.1", address=address)).close()
    url = plain(server.url)
    untrusted = refused(url, "127.0.0.1", head("192.0.2.1"))
    malformed = refused(url, "127.0.0.2", b"GET / HTTP/1.0\r\n\r\n")
    if json:
        events = [
            server.wait_event("refused", lambda event, peer=peer: event["peer"] == peer)
            for peer in (untrusted, malformed)
        ]
        assert [event["reason"] for event in events] == ["not_trusted", "no_header"]
        assert [event["error"] for event in events] == ["EPERM", "SONDE_EPROXYHEAD"]
        assert all(plain(event["url"]) == url for event in events)
        assert len(server.events("opened")) == 2
    else:
        start = rf"^refused {re.escape(url)}(\?\S*)? <- "
        server.out.wait_match(start + re.escape(untrusted) + " not trusted to send a PROXY header$")
        server.out.wait_match(start + re.escape(malformed) + " no PROXY header came first$")
        assert len(harness.OPENED.findall(server.out.text)) == 2
    assert server.terminate() == 0


def test_proxy_from_needs_a_header_to_trust(command):
    result = command.run("serve", "echo", harness.LOOPBACK, "--proxy-from", "::1")
    assert (result.status, result.out) == (2, b"")
    assert "?proxy=in" in one_sentence(result.err)


# --- --rate ----------------------------------------------------------------------------------------------------------


def least_seconds(n_bytes, rate):
    """What no machine can do it faster than: the first tenth of a second's worth is there at once."""
    return (n_bytes - max(1024, rate // 10)) / rate


def test_chargen_is_no_faster(sonde):
    rate = 100 * 1024
    server = sonde.serve("chargen", "--rate", "100k")
    begin = time.monotonic()
    with dial(server.url) as sock:
        n_bytes = len(receive_exactly(sock, rate // 2))
        assert time.monotonic() - begin >= least_seconds(n_bytes, rate)
    row = server.wait_closed()
    assert n_bytes <= row.bytes_out <= max(1024, rate // 10) + rate * (time.monotonic() - begin)


def test_echo_is_no_faster_and_whole(sonde):
    rate = 200 * 1000
    server = sonde.serve("echo", "--rate", rate)
    begin = time.monotonic()
    with dial(server.url) as sock:
        harness.exchange(sock, os.urandom(100 * 1000), seed=1)
        assert time.monotonic() - begin >= least_seconds(100 * 1000, rate)
    row = server.wait_closed()
    assert (row.reason, row.bytes_in, row.bytes_out, row.unsent) == ("end of data", 100 * 1000, 100 * 1000, 0)


def test_discard_reads_no_faster(sonde):
    rate = 100 * 1000
    server = sonde.serve("discard", "--rate", rate)
    begin = time.monotonic()
    with dial(server.url) as sock:
        sock.sendall(bytes(60 * 1000))
    row = server.wait_closed()
    assert row.bytes_in == 60 * 1000
    assert time.monotonic() - begin >= least_seconds(60 * 1000, rate)


def test_the_last_bytes_are_paced_too(sonde, place):
    """A server that has said all waits for what is still to go, and so does the end of the program."""
    (place / "text").write_bytes(bytes(60 * 1000))
    server = sonde.serve("greet", "--file", place / "text", "--rate", 100 * 1000, "--drain", 20)
    begin = time.monotonic()
    with dial(server.url) as sock:
        receive_exactly(sock, 1)
        server.signal(signal.SIGTERM)
        assert len(receive_all(sock)) == 60 * 1000 - 1
    assert time.monotonic() - begin >= least_seconds(60 * 1000, 100 * 1000)
    assert server.wait() == 0
    assert server.wait_closed().unsent == 0


def test_each_connection_has_a_rate_of_its_own(sonde):
    """One that has used up its tokens for an hour is not in another one's way."""
    server = sonde.serve("echo", "--rate", "1", "--threads", 2)
    with dial(server.url) as slow:
        slow.sendall(bytes(5000))
        receive_exactly(slow, 1024)
        for _ in range(4):
            with dial(server.url) as sock:
                round_trip(sock, bytes(1024))
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_unix_socket_has_a_rate(sonde, place):
    rate = 100 * 1000
    server = sonde.serve("chargen", "--rate", rate, url=f"unix:{place}/s")
    begin = time.monotonic()
    with dial(server.url) as sock:
        n_bytes = len(receive_exactly(sock, 40 * 1000))
        assert time.monotonic() - begin >= least_seconds(n_bytes, rate)


def test_many_paced_ones_come_and_go(sonde):
    """With a rate behind each connection, whatever way they end, nothing stays open."""
    server = sonde.serve("chargen", "--rate", "2k")
    n_fds = len(os.listdir(f"/proc/{server.pid}/fd"))
    for index in range(scaled(200, 40)):
        sock = dial(server.url)
        receive_exactly(sock, 10)
        if index % 3 == 0:
            sock.shutdown(socket.SHUT_WR)
        if index % 3 == 1:
            harness.reset(sock)
        sock.close()
    wait_until(lambda: table_rows(server) == 0, "nobody is connected")
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == n_fds, "as many descriptors as before")
    assert server.terminate() == 0
