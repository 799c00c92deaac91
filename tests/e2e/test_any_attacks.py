# SPDX-License-Identifier: MIT
"""any://: text that begins like something else, many that are not known yet, and what reaches the terminal."""

import contextlib
import http.client
import socket

import pytest

import harness
import ws_suite
from harness import Observation, nothing_to_read, receive_all, receive_exactly
from web_suite import (  # noqa: F401 (some are fixtures)
    Answer,
    MIB,
    anything,
    ask,
    assert_serves,
    hasty,
    own_host,
    pool,
    request,
    tls_to,
    upgrade,
)
from ws_suite import TEXT, F, close_frame


RAW = [
    b"GET lost", b"GET lost\n", b"GET", b"G", b"GET ", b"GETTING /", b"POST\n", b"POST", b"HELLO /", b"HELLO /\n",
    b"HEAD over heels\n", b"PUT it there\n", b"OPTIONS: three\r\n", b"GET\r\n\r\n", b"get it\n", b"DELETE\n",
    b"\x16", b"\x16hello\n", b"\x16\x16\x16", b"\x16\x04\x01\x00\x05hello", b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x80", b"\x00", b"\n", b"\r\n", b"\r\nGET", b" GET / HTTP/1.1\r\n\r\n", b"\xff\xfe", b"{\"a\": 1}\n", b"PRI", b"SSH-2.0-x\r\n",
]  # fmt: skip


@pytest.mark.parametrize("data", RAW)
@pytest.mark.parametrize("ends", [True, False], ids=["and ends", "and waits"])
def test_raw_text_comes_back(hasty, data, ends):
    """Octet for octet, and the connection goes on as the raw one that it is."""
    with ws_suite.dial(hasty.url) as sock:
        sock.sendall(data)
        if ends:
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == data
            return
        assert receive_exactly(sock, len(data)) == data
        for later in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"end"):
            harness.round_trip(sock, later)
        assert nothing_to_read(sock)


@pytest.mark.parametrize("data", [b"GET lost\n", b"POST\n", b"HELLO /\n", b"\x16hello\n", b"OPTIONAL\n", b"hello\n"])
def test_raw_text_comes_back_when_it_comes_by_octets(hasty, data):
    with ws_suite.dial(hasty.url) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            sock.sendall(data[index : index + 1])
            harness.wait_taken(sock)
        assert receive_exactly(sock, len(data)) == data
        harness.round_trip(sock, b"and more")


def test_raw_bulk_comes_back(anything):
    data = ws_suite.binary_of(3 * MIB)
    with ws_suite.dial(anything.url) as sock:
        harness.exchange(sock, b"raw " + data, seed=7)


def test_who_says_nothing_is_raw(hasty):
    """The time-out for it is for those that say nothing; what is said afterwards is whole."""
    with ws_suite.dial(hasty.url) as sock:
        with Observation(1.0):
            pass
        harness.round_trip(sock, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")


def test_one_port_for_every_client_at_once(anything):
    own = own_host(anything)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(ws_suite.dial(anything.url))
        secure = stack.enter_context(tls_to(anything))
        wire = ws_suite.dial_ws(anything.url, sock=stack.enter_context(ws_suite.dial(anything.url)))
        web_over_tls = ws_suite.dial_ws(anything.url, sock=stack.enter_context(tls_to(anything)))
        for n in range(5):
            harness.round_trip(raw, b"raw %d\n" % n)
            harness.round_trip(secure, b"secure %d\n" % n)
            for each in (wire, web_over_tls):
                each.send(F(TEXT, b"message %d" % n))
                each.expect("text", b"message %d" % n)
            assert ask(anything, request(own)).status == 200
            assert ask(anything, request(own, "POST", body=b"posted")).payload == b"posted"
            with tls_to(anything) as sock:
                connection = http.client.HTTPConnection(own)
                connection.sock = sock
                connection.request("POST", "/", body=b"x" * 5000, headers={"Host": own})
                assert connection.getresponse().read() == b"x" * 5000
        for each in (wire, web_over_tls):
            each.close()


def test_many_of_those_that_are_not_known_yet(hasty):
    """Many that say one octet each: all are answered in the end, and nobody waits for them."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(ws_suite.dial(hasty.url)) for _ in range(200)]
        for sock in socks:
            sock.sendall(b"G")
        assert_serves(hasty)
        for sock in socks:
            assert receive_exactly(sock, 1) == b"G"


def test_nothing_of_a_client_reaches_the_terminal(pool, engine):
    """Whatever stands in a request, the lines about it are printable."""
    server = pool(engine, "any://127.0.0.1:0", "-4")
    evil = "\x1b]0;owned\x07\x9b31m"
    for data in (
        upgrade(evil + "evil"),
        upgrade(own_host(server), [f"Origin: {evil}"]),
        upgrade(own_host(server), [f"Origin: https://{evil}.example"], target="/" + "%1b[2J"),
        request(own_host(server), target="/\x1b[2J"),
    ):
        with contextlib.suppress(AssertionError), ws_suite.dial(server.url) as sock:
            sock.sendall(data)
            Answer(sock)
    with ws_suite.dial(server.url) as sock:
        sock.sendall(close_frame(1000).encode(True, b"abcd"))
        sock.shutdown(socket.SHUT_WR)
        receive_all(sock)
        server.wait_closed(harness.text_address(sock.getsockname()))
    harness.assert_printable(server.out.data)
    harness.assert_printable(server.err.data)
