# SPDX-License-Identifier: MIT
"""What a hostile page, a hostile client and a clumsy one do to ws://, any:// and tls:// services, from the outside."""

import contextlib
import re
import socket
import ssl
import threading
import zlib

import pytest

import harness
import ws_suite
from harness import Observation, receive_all, receive_exactly, rss_bytes, wait_until
from web_suite import (  # noqa: F401 (some are fixtures)
    Answer,
    FORBIDDEN,
    MIB,
    anything,
    ask,
    assert_refused,
    assert_serves,
    own_host,
    patience,
    pool,
    port_of,
    receive_rest,
    request,
    tls_to,
    under_load,
    upgrade,
    web,
)
from ws_suite import BINARY, CONTINUATION, PING, TEXT, F


# --- DNS rebinding: the name that a page was loaded from ---------------------------------------------------------

FOREIGN_HOSTS = [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}",
    "evil-127.0.0.1:{port}", "evillocalhost:{port}", "127.0.0.1", "localhost", "127.0.0.1:80", "localhost:1",
    "127.0.0.2:{port}", "0.0.0.0:{port}", "127.1:{port}", "2130706433:{port}", "0x7f000001:{port}", "0177.0.0.1:{port}",
    "[::1]:{port}", "[::]:{port}", "::1", "*", "*:{port}", ":{port}",
]  # fmt: skip
MALFORMED_HOSTS = [
    "", "evil.example@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example", "127.0.0.1:{port}:80", "127.0.0.1:{port}/",
    "127.0.0.1:{port}#", "127.0.0.1:{port} evil.example", "127.0.0.1:{port},evil.example", "127.0.0.1:+{port}",
    "127.0.0.1:-1", "127.0.0.1:{port}0", "127.0.0.1:99999999999999999999", "127.0.0.1:", "127.0.0.1:0x50", "%6cocalhost:{port}",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_name_that_is_not_its_own(web, host):
    host = host.format(port=port_of(web))
    for origin in ([], [f"Origin: http://{host}"], [f"Origin: http://{own_host(web)}"]):
        assert_refused(ask(web, upgrade(host, origin)))


@pytest.mark.parametrize("host", FOREIGN_HOSTS[:4])
def test_a_name_that_is_not_its_own_without_websocket(anything, host):
    host = host.format(port=port_of(anything))
    assert_refused(ask(anything, request(host)), *FORBIDDEN)
    posted = ask(anything, request(host, "POST", body=b"secret"))
    assert_refused(posted, *FORBIDDEN)
    assert b"secret" not in posted.body


@pytest.mark.parametrize("host", MALFORMED_HOSTS)
def test_a_name_that_is_none(web, host):
    assert_refused(ask(web, upgrade(host.format(port=port_of(web)))))


def test_a_foreign_name_is_told(sonde):
    server = sonde.serve("echo", *patience("any"), url="any://127.0.0.1:0")
    with ws_suite.dial(server.url) as sock:
        name = harness.text_address(sock.getsockname())
        sock.sendall(upgrade("evil.example"))
        assert_refused(Answer(sock), *FORBIDDEN)
    server.out.wait_match(rf"^refused \S+ <- {re.escape(name)} .*Host")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}"])
def test_its_own_names(web, host):
    answer = ask(web, upgrade(host.format(port=port_of(web))))
    assert answer.status == 101, str(answer)


@pytest.mark.parametrize("rows", ["missing", "twice", "twice and different", "different and twice", "folded"])
def test_host_headers(web, rows):
    own = own_host(web)
    lines = {
        "missing": [],
        "twice": [f"Host: {own}"] * 2,
        "twice and different": [f"Host: {own}", "Host: evil.example"],
        "different and twice": ["Host: evil.example", f"Host: {own}"],
        "folded": ["Host: evil.example", f" {own}"],
    }[rows]
    assert_refused(ask(web, upgrade(own, lines, drop=("Host",))))


@pytest.mark.parametrize("target", ["http://evil.example/", "ws://evil.example/", "http://evil.example:{port}/x"])
def test_an_absolute_target_names_the_host(web, target):
    """RFC 9112, 3.2.2: it stands above the Host header."""
    assert_refused(ask(web, upgrade(own_host(web), target=target.format(port=port_of(web)))))


@pytest.mark.parametrize(
    "target", ["*", "evil.example:443", "x", "//evil.example/", "/ /", "/\x7f", "/\xff", "http://", "?"]
)
def test_targets(web, target):
    """Whatever it makes of these: an answer in order, and none that sends the client elsewhere. To any:// what is not
    HTTP may be raw text."""
    data = upgrade(own_host(web)).replace(b"GET / ", b"GET " + target.encode("latin-1") + b" ")
    with ws_suite.dial(web.url) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        said = receive_rest(sock)
    if said != data or not web.url.startswith("any:"):
        head = ws_suite.Head(said.partition(b"\r\n\r\n")[0])
        assert head.status in (101, 400, 403, 404, 421), head.first
        assert not head.all("Location")
    assert_serves(web)


# --- other people's pages ----------------------------------------------------------------------------------------

FOREIGN_ORIGINS = [
    "https://evil.example", "http://evil.example:{port}", "null", "http://127.0.0.1.evil.example",
    "http://127.0.0.1.evil.example:{port}", "http://localhost:{other}", "http://127.0.0.1:{other}", "http://localhost",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example", "http://evil.example/http://127.0.0.1:{port}",
    "http://evil.example#http://127.0.0.1:{port}", "http://127.0.0.1:{port} http://evil.example", "file://", "",
    "http://127.0.0.1:{port}, http://evil.example", "127.0.0.1:{port}", "//127.0.0.1:{port}", "chrome-extension://abc",
    "http://[::1]:{port}", "http://127.1:{port}", "http://127.0.0.1:{port}0", "*",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_from_elsewhere(web, origin):
    port = port_of(web)
    line = "Origin: " + origin.format(port=port, other=port % 65535 + 1)
    assert_refused(ask(web, upgrade(own_host(web), [line])), 403)


@pytest.mark.parametrize("origin", [origin for origin in FOREIGN_ORIGINS if origin])
def test_a_form_from_elsewhere(anything, origin):
    """What a page can send without being asked first: POST with one of three kinds of content."""
    port = port_of(anything)
    lines = ["Origin: " + origin.format(port=port, other=port % 65535 + 1), "Content-Type: text/plain"]
    answer = ask(anything, request(own_host(anything), "POST", lines=lines, body=b"action=drop"))
    assert_refused(answer, 403)
    assert b"action=drop" not in answer.body


def test_two_origins(web):
    own, evil = f"Origin: http://{own_host(web)}", "Origin: https://evil.example"
    for lines in ([own, evil], [evil, own]):
        assert_refused(ask(web, upgrade(own_host(web), lines)))


def test_a_preflight_is_not_answered_with_leave(anything):
    lines = [
        "Origin: https://evil.example",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: x-a",
    ]
    answer = ask(anything, request(own_host(anything), "OPTIONS", lines=lines))
    assert answer.status in (400, 403, 405, 501), str(answer)
    assert not [name for name, _ in answer.head.rows if name.startswith("access-control-allow")]


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:{port}", "http://localhost:{port}", "HTTP://LOCALHOST:{port}", None]
)
def test_its_own_pages_and_no_page(web, origin):
    lines = ["Origin: " + origin.format(port=port_of(web))] if origin else []
    answer = ask(web, upgrade(own_host(web), lines))
    assert answer.status == 101, str(answer)


@pytest.mark.parametrize("scheme", ["ws", "any"])
def test_a_refusal_is_told(sonde, scheme):
    server = sonde.serve("echo", *patience(scheme), url=f"{scheme}://127.0.0.1:0")
    with ws_suite.dial(server.url) as sock:
        name = harness.text_address(sock.getsockname())
        sock.sendall(upgrade(own_host(server), ["Origin: https://evil.example"]))
        assert_refused(Answer(sock), 403)
    server.out.wait_match(rf"^refused \S+ <- {re.escape(name)} .*Origin.*evil\.example")


def test_a_flood_of_refusals_is_counted(command):
    """A line for each would let a page fill the disk; but none is left out without being said."""
    server = command.serve("echo", url="ws://127.0.0.1:0")
    for _ in range(60):
        assert_refused(ask(server, upgrade("evil.example")))

    def told(data):
        text = data.decode()
        more = [int(n) for n in re.findall(r"^refused: (\d+) more$", text, re.M)]
        return len(re.findall(r"^refused \S+ <- ", text, re.M)) + sum(more) == 60

    server.out.wait_for(told, "all 60")


@pytest.mark.parametrize("ends", [True, False], ids=["and ends", "and waits"])
@pytest.mark.parametrize("what", ["origin", "key", "version", "method", "line"])
def test_a_refusal_ends_in_order(web, what, ends):
    """The answer, then the end: a reset could take the answer with it."""
    own = own_host(web)
    data = {
        "origin": upgrade(own, ["Origin: https://evil.example"]),
        "key": upgrade(own, key="x"),
        "version": upgrade(own, http="HTTP/1.9"),
        "method": upgrade(own, method="TRACE"),
        "line": upgrade(own, ["a b"]),
    }[what]
    with ws_suite.dial(web.url) as sock:
        sock.sendall(data)
        if ends:
            sock.shutdown(socket.SHUT_WR)
        said = receive_all(sock)
    assert re.match(rb"HTTP/1\.1 [45]\d\d ", said), said


def test_a_page_that_is_allowed(pool, engine):
    server = pool(engine, "ws://127.0.0.1:0", "--allow-origin", "https://app.example")
    for origin, status in {
        "https://app.example": 101,
        "https://app.example:443": 101,
        "http://app.example": 403,
        "https://app.example.evil.example": 403,
        "https://app.example:8443": 403,
        "https://sub.app.example": 403,
        f"http://{own_host(server)}": 101,
    }.items():
        answer = ask(server, upgrade(own_host(server), [f"Origin: {origin}"]))
        assert (origin, answer.status) == (origin, status), str(answer)
    answer = ask(server, upgrade("app.example", ["Origin: https://app.example"]))
    assert_refused(answer, *FORBIDDEN)


def test_without_tls_the_page_is_http(pool, engine):
    server = pool(engine, "ws://127.0.0.1:0")
    for scheme, status in (("http", 101), ("https", 403), ("ws", 403)):
        for host in (own_host(server), f"localhost:{port_of(server)}"):
            assert ask(server, upgrade(own_host(server), [f"Origin: {scheme}://{host}"])).status == status, scheme


def test_over_tls_the_page_is_https(pool, engine):
    server = pool(engine, "wss://127.0.0.1:0")
    for scheme, status in (("https", 101), ("http", 403)):
        with contextlib.closing(tls_to(server)) as sock:
            sock.sendall(upgrade(own_host(server), [f"Origin: {scheme}://{own_host(server)}"]))
            assert Answer(sock).status == status, scheme


# --- requests with two meanings ----------------------------------------------------------------------------------

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = {
    "both lengths": (["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + HIDDEN),
    "both lengths the other way round": (["Transfer-Encoding: chunked", "Content-Length: 4"], b"0\r\n\r\n" + HIDDEN),
    "two lengths": (["Content-Length: 0", "Content-Length: 34"], HIDDEN),
    "two lengths in a line": (["Content-Length: 0, 34"], HIDDEN),
    "a length with a sign": (["Content-Length: +4"], b"abcd" + HIDDEN),
    "a length below zero": (["Content-Length: -1"], HIDDEN),
    "a length in hexadecimal": (["Content-Length: 0x4"], b"abcd" + HIDDEN),
    "a length with a space inside": (["Content-Length: 1 0"], b"abcd" + HIDDEN),
    "a length that is too long": (["Content-Length: 18446744073709551616"], HIDDEN),
    "no length": (["Content-Length: "], HIDDEN),
    "chunked is not the last": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n" + HIDDEN),
    "nearly chunked": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + HIDDEN),
    "a space before the colon": (["Transfer-Encoding : chunked"], b"0\r\n\r\n" + HIDDEN),
    "a space before the name": ([" Transfer-Encoding: chunked"], b"0\r\n\r\n" + HIDDEN),
    "a vertical tab": (["Transfer-Encoding:\x0bchunked"], b"0\r\n\r\n" + HIDDEN),
    "folded": (["Transfer-Encoding:", " chunked"], b"0\r\n\r\n" + HIDDEN),
    "a chunk too long": (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFFF\r\n" + HIDDEN),
    "a chunk below zero": (["Transfer-Encoding: chunked"], b"-1\r\n" + HIDDEN),
    "a chunk that is longer than it says": (["Transfer-Encoding: chunked"], b"1\r\nabc\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's length is no number": (["Transfer-Encoding: chunked"], b"z\r\n" + HIDDEN),
    "a bare CR": (["X: a\rTransfer-Encoding: chunked", "Content-Length: 0"], HIDDEN),
    "a NUL": (["X: a\0b", "Content-Length: 0"], HIDDEN),
    "a header without a colon": (["Transfer-Encoding chunked"], HIDDEN),
    "a header without a name": ([": x"], HIDDEN),
    "a name with a control": (["X\x01: a"], HIDDEN),
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_a_request_with_two_meanings(anything, what):
    """Refused, or (once its head was good) cut off; what hides in it is never answered."""
    lines, body = SMUGGLED[what]
    with ws_suite.dial(anything.url) as sock:
        sock.sendall(request(own_host(anything), "POST", lines=lines) + body)
        sock.shutdown(socket.SHUT_WR)
        answer = Answer(sock)
    in_body = what.startswith("a chunk")
    assert answer.status in (400, 501) or (in_body and answer.status == 200), str(answer)
    assert b"HTTP/1.1 " not in answer.body and b"/hidden" not in answer.body, str(answer)


def test_one_request_and_no_more(anything):
    """A second one behind it is neither answered nor taken for its body."""
    first = request(own_host(anything), target="/first", lines=["Connection: close"])
    answer = ask(anything, first + request(own_host(anything), target="/second"))
    assert answer.status == 200 and b"/second" not in answer.payload, str(answer)
    posted = request(own_host(anything), "POST", body=b"body", lines=["Connection: close"])
    answer = ask(anything, posted + request(own_host(anything), target="/second"))
    assert (answer.status, answer.payload) == (200, b"body"), str(answer)


@pytest.mark.parametrize("lines, body", [
    (["Content-Length: 11"], b"hello world"),
    (["Content-Length: 0"], b""),
    (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
])  # fmt: skip
def test_a_post_comes_back(anything, lines, body):
    answer = ask(anything, request(own_host(anything), "POST", lines=lines, body=body))
    expected = b"hello world" if len(body) > 5 else b""
    assert (answer.status, answer.payload) == (200, expected), str(answer)
    assert "html" not in answer.head.one("Content-Type"), "a page could run what it posts"


@pytest.mark.parametrize("target", ["/%0d%0aX-Injected:%201", "/?a=%0aX-Injected:1", "/<script>alert(1)</script>"])
def test_nothing_is_injected_into_an_answer(anything, target):
    lines = [
        "User-Agent: <script>alert(2)</script>",
        "X-Forwarded-For: \x1b[31mred\x1b[0m",
        "Cookie: a=%0d%0aX-Injected: 1",
    ]
    answer = ask(anything, request(own_host(anything), target=target, lines=[lines[0], lines[2]]))
    assert answer.status in (200, 400), str(answer)
    assert not answer.head.all("X-Injected"), str(answer)
    if "html" in "".join(answer.head.all("Content-Type")):
        assert b"<script>alert" not in answer.body, str(answer)
    escaped = ask(anything, request(own_host(anything), lines=[lines[1]]))
    assert b"\x1b" not in escaped.body, "a terminal's controls come back"


@pytest.mark.parametrize("line", ["X: a\nOrigin: https://evil.example", "X: a\rOrigin: https://evil.example"])
def test_line_ends_inside_a_header(web, line):
    """Whatever a lone CR or LF is taken for, it is not overlooked."""
    answer = ask(web, upgrade(own_host(web), [line]))
    assert_refused(answer)


METHODS = "FOO X ABCDEFGHIJKLMNOPQRSTUVWXYZ patch get! $!# post GETS 0".split()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_of_its_own_does_not_make_a_page_a_raw_client(anything, method):
    """fetch() lets a page use any method, and after DNS rebinding it need not ask first: what its request says must not
    reach the service as raw bytes."""
    data = request("evil.example", method, lines=["Origin: http://evil.example"], body=b"action=drop")
    with ws_suite.dial(anything.url) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert b"action=drop" not in receive_all(sock)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "DELETE", "OPTIONS", "M-SEARCH", "PROPFIND"])
def test_other_methods(anything, method):
    """None of them says what stands in the request's head, and none makes a proxy of it."""
    target = "evil.example:443" if method == "CONNECT" else "/"
    answer = ask(anything, request(own_host(anything), method, target, lines=["X-Secret: 12345"]))
    refused = (400, 403, 404, 405, 421, 501)
    assert answer.status in (refused if method in ("TRACE", "CONNECT") else (*refused, 200, 204)), str(answer)
    assert b"12345" not in answer.body


@pytest.mark.parametrize(
    "version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3", "HTTP/11.1", "HTTP/1.1x", "http/1.1", "ICY/1.0"]
)
def test_versions(web, version):
    """Never an upgrade: RFC 6455, 4.2.1 asks for HTTP/1.1 or higher, and there is no higher one of this shape."""
    with ws_suite.dial(web.url) as sock:
        sock.sendall(upgrade(own_host(web), http=version))
        sock.shutdown(socket.SHUT_WR)
        data = receive_rest(sock)
    assert not re.match(rb"HTTP/\S+ 101", data), data
    assert_serves(web)


def test_http_1_0_is_not_upgraded(web):
    with ws_suite.dial(web.url) as sock:
        sock.sendall(upgrade(own_host(web), http="HTTP/1.0"))
        assert Answer(sock).status in (200, 400, 426, 505)


# --- the handshake, wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version", ["0", "7", "8", "12", "14", "25", "255", "1300", "-13", "+13", "13a", "thirteen", ""]
)
def test_versions_of_websocket(web, version):
    answer = ask(web, upgrade(own_host(web), version=version))
    assert answer.status in ((400, 426) if not version.isdigit() else (426,)), str(answer)
    if answer.status == 426:
        assert answer.head.one("Sec-WebSocket-Version") == "13"
        assert answer.head.one("Upgrade").lower() == "websocket"
        assert "upgrade" in answer.head.tokens("Connection")


@pytest.mark.parametrize("key", [
    "", "x", "AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0OD===", "AAECAwQFBgcICQoLDA0=", "AAECAwQFBgcICQoLDA0ODxA=",
    "AAECAwQFBgcI QoLDA0ODw==", "AAECAwQFBgcI*QoLDA0ODw==", "=" * 24, "A" * 24, "A" * 10000,
])  # fmt: skip
def test_keys(web, key):
    """RFC 6455, 4.2.1: base64 of 16 octets."""
    assert_refused(ask(web, upgrade(own_host(web), key=key)), 400)


@pytest.mark.parametrize("what", ["no key", "two keys", "no version", "two versions"])
def test_what_is_missing_or_there_twice(web, what):
    lines, drop = {
        "no key": ([], ("Sec-WebSocket-Key",)),
        "two keys": (["Sec-WebSocket-Key: AQECAwQFBgcICQoLDA0ODw=="], ()),
        "no version": ([], ("Sec-WebSocket-Version",)),
        "two versions": (["Sec-WebSocket-Version: 8"], ()),
    }[what]
    assert_refused(ask(web, upgrade(own_host(web), lines, drop=drop)), 400, 426)


def test_what_is_no_upgrade(pool, engine):
    server = pool(engine, "ws://127.0.0.1:0")
    own = own_host(server)
    for data in (
        request(own),
        request(own, "POST", body=b"x"),
        upgrade(own, drop=("Upgrade",)),
        upgrade(own, ["Upgrade: h2c"], drop=("Upgrade",)),
        upgrade(own, drop=("Connection",)),
        upgrade(own, ["Connection: keep-alive"], drop=("Connection",)),
        upgrade(own, ["Upgrade: xwebsocket"], drop=("Upgrade",)),
    ):
        answer = ask(server, data)
        assert_refused(answer, 400, 426)
        if answer.status == 426:
            assert answer.head.one("Upgrade").lower() == "websocket"
    assert_refused(ask(server, upgrade(own, method="POST")), 400, 405, 426)


@pytest.mark.parametrize("lines, drop", [
    (["Upgrade: WebSocket"], ("Upgrade",)),
    (["Upgrade: h2c, websocket"], ("Upgrade",)),
    (["Connection: keep-alive, Upgrade"], ("Connection",)),
    (["Connection: keep-alive", "Connection: upgrade"], ("Connection",)),
    (["X-Long: " + "x" * 8000], ()),
    (["Sec-WebSocket-Extensions: x-unknown; a=\"b\""], ()),
    (["Sec-WebSocket-Protocol: chat, superchat"], ()),
    (["Cookie: a=b", "Cookie: c=d", "User-Agent: x"], ()),
])  # fmt: skip
def test_what_is_a_good_upgrade(web, lines, drop):
    answer = ask(web, upgrade(own_host(web), lines, drop=drop))
    assert answer.status == 101, str(answer)
    assert not answer.head.all("Sec-WebSocket-Protocol"), "none is spoken here"


def test_an_upgrade_with_a_body(web):
    """A body has no place before WebSocket's frames: refused, or its bytes are frames (and wrong ones)."""
    with ws_suite.dial(web.url) as sock:
        sock.sendall(upgrade(own_host(web), ["Content-Length: 5"]) + b"hello")
        answer = Answer(sock)
        if answer.status == 101:
            wire = ws_suite.Wire(sock, True, early=answer.body)
            assert wire.read()[:2] == ("close", 1002)
        else:
            assert_refused(answer, 400)


def test_frames_in_the_same_write_as_the_request(web):
    frame = F(TEXT, b"early").encode(True, b"abcd")
    with ws_suite.dial(web.url) as sock:
        sock.sendall(upgrade(own_host(web)) + frame)
        answer = Answer(sock)
        assert answer.status == 101
        wire = ws_suite.Wire(sock, True, early=answer.body)
        wire.expect("text", b"early")
        wire.close()


@pytest.mark.parametrize("url", [["ws://127.0.0.1:0"], ["any://127.0.0.1:0", "--any-wait", "5s"]], ids=["ws", "any"])
def test_an_octet_at_a_time(pool, url):
    web = pool(None, *url)
    data = upgrade(own_host(web)) + F(TEXT, b"slow").encode(True, b"abcd")
    with ws_suite.dial(web.url) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            sock.sendall(data[index : index + 1])
            if index < 20:
                harness.wait_taken(sock)
        answer = Answer(sock)
        assert answer.status == 101
        wire = ws_suite.Wire(sock, True, early=answer.body)
        wire.expect("text", b"slow")
        wire.close()


# --- large and slow heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["10,000 headers", "a header of 1 MiB", "a target of 1 MiB", "a name of 1 MiB", "no end"]
)
def test_a_head_that_is_too_large(web, sanitized, what):
    own = own_host(web)
    data = {
        "10,000 headers": upgrade(own, [f"X-{n}: {n}" for n in range(10000)]),
        "a header of 1 MiB": upgrade(own, ["X: " + "x" * MIB]),
        "a target of 1 MiB": upgrade(own, target="/" + "x" * MIB),
        "a name of 1 MiB": upgrade(own, ["x" * MIB + ": x"]),
        "no end": b"GET / HTTP/1.1\r\nHost: " + own.encode() + b"\r\n" + b"A: b\r\n" * 300000,
    }[what]
    assert_serves(web)
    before = rss_bytes(web.pid)
    for _ in range(4):
        assert_refused(ask(web, data), 400, 414, 431)
    assert rss_bytes(web.pid) - before < (64 if sanitized else 8) * MIB
    assert_serves(web)


def test_a_head_at_the_limit(web):
    """16 KiB are taken, and not much more."""
    own = own_host(web)
    empty = len(upgrade(own, ["X: "]))
    assert ask(web, upgrade(own, ["X: " + "x" * (16 * 1024 - empty)])).status == 101
    assert_refused(ask(web, upgrade(own, ["X: " + "x" * (16 * 1024 - empty + 1)])), 431)


@pytest.mark.parametrize("scheme", ["ws", "any"])
def test_100_headers(pool, engine, scheme):
    server = pool(engine, f"{scheme}://127.0.0.1:0", *patience(scheme))
    answer = ask(server, upgrade(own_host(server), [f"X-{n}: {n}" for n in range(60)]))
    assert answer.status == 101, str(answer)


def test_slow_heads_time_out_and_hold_up_nobody(command, sanitized):
    """A head that never ends, an octet now and then, half a TLS handshake, nothing at all."""
    urls = ["ws://127.0.0.1:0", "any://127.0.0.1:0", "wss://127.0.0.1:0", "tls://127.0.0.1:0"]
    server = command.serve("echo", url=urls)
    web, either, secure, tls = server.urls
    half = upgrade(ws_suite.host_of(web))[:-10]
    slow = []
    for url, said in (
        (web, half), (web, b""), (web, b"G"), (either, half[:30]), (secure, b""), (secure, b"\x16\x03\x01\x02\x00\x01"),
        (tls, b"\x16\x03"), (tls, b""), (either, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ):  # fmt: skip
        sock = ws_suite.dial(url)
        sock.sendall(said)
        slow.append(sock)
    dripping = ws_suite.dial(web)
    slow.append(dripping)
    over = threading.Event()

    def drip():
        with contextlib.suppress(OSError):
            for octet in upgrade(ws_suite.host_of(web), ["X: " + "x" * 1000]):
                dripping.sendall(bytes([octet]))
                if over.wait(0.1):
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    for url in (web, either):
        for _ in range(20):
            with contextlib.closing(ws_suite.dial(url)) as sock:
                wire = ws_suite.dial_ws(url, sock=sock)
                wire.send(F(TEXT, b"quick"))
                wire.expect("text", b"quick")
                wire.close()
    for sock in slow:
        sock.settimeout(harness.DEADLINE)
        with contextlib.suppress(ConnectionResetError):
            said = receive_all(sock)
            assert b" 101 " not in said
        sock.close()
    over.set()
    thread.join(harness.DEADLINE)
    wait_until(lambda: len(re.findall(r"^refused ", server.out.text, re.M)) >= len(slow), "all are told as refused")


# --- more than is good -------------------------------------------------------------------------------------------


def bomb(n_mib):
    """So many MiB of zeros in a thousandth of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    again = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return first + again * (n_mib - 1)


@pytest.mark.parametrize("in_fragments", [False, True])
def test_a_decompression_bomb(under_load, sanitized, in_fragments):
    data = bomb(1024)[:-4]
    assert_serves(under_load)
    before = rss_bytes(under_load.pid)
    for _ in range(3):
        with contextlib.closing(ws_suite.dial(under_load.url)) as sock:
            wire = ws_suite.dial_ws(under_load.url, sock=sock, offer="permessage-deflate")
            assert wire.deflate
            frames = ws_suite.fragments(BINARY, data, 10000 if in_fragments else len(data), rsv=4)
            encoded = wire.encode(*frames)
            with wire.sending(lambda encoded=encoded: wire.send_bytes(encoded)):
                assert wire.read()[:2] == ("close", 1009)
    assert rss_bytes(under_load.pid) - before < (400 if sanitized else 72) * MIB
    if not sanitized:
        wait_until(lambda: rss_bytes(under_load.pid) - before < 24 * MIB, "what was kept for them is given back")
    assert_serves(under_load)


def test_small_messages_that_grow_back(under_load, sanitized):
    """Each is below the limit; nobody reads what they become."""
    packed = bomb(1 if sanitized else 8)[:-4]
    with contextlib.closing(ws_suite.dial(under_load.url, rcvbuf=4096)) as sock:
        wire = ws_suite.dial_ws(under_load.url, sock=sock, offer="permessage-deflate; server_no_context_takeover")
        before = rss_bytes(under_load.pid)
        harness.fill(sock, wire.encode(F(BINARY, packed, rsv=4)) * 8)
        with Observation(0.5):
            pass
        assert rss_bytes(under_load.pid) - before < (600 if sanitized else 64) * MIB
    assert_serves(under_load)


def test_a_flood_of_pings_that_nobody_reads_the_answers_of(under_load, sanitized):
    with contextlib.closing(ws_suite.dial(under_load.url, rcvbuf=4096)) as sock:
        wire = ws_suite.dial_ws(under_load.url, sock=sock)
        before = rss_bytes(under_load.pid)
        pings = wire.encode(*[F(PING, bytes([n % 256]) * 125) for n in range(1000)])
        taken = flood(sock, pings, 256 * MIB if not sanitized else 32 * MIB)
        assert rss_bytes(under_load.pid) - before < (64 if sanitized else 8) * MIB, f"{taken} bytes of pings taken"
        assert_serves(under_load)


def flood(sock, chunk, limit):
    """Send until it is taken no more for a while, or the limit; returns how much was taken."""
    sent = 0
    sock.settimeout(1)
    try:
        while sent < limit:
            sent += sock.send(chunk[sent % len(chunk) :])
    except (socket.timeout, BrokenPipeError, ConnectionResetError):
        pass
    sock.settimeout(harness.DEADLINE)
    return sent


def test_messages_whose_echo_nobody_reads(under_load, sanitized):
    with contextlib.closing(ws_suite.dial(under_load.url, rcvbuf=4096)) as sock:
        wire = ws_suite.dial_ws(under_load.url, sock=sock)
        before = rss_bytes(under_load.pid)
        data = wire.encode(*[F(BINARY, bytes(60000))] * 20)
        taken = flood(sock, data, 256 * MIB)
        assert taken < 64 * MIB, "a client that does not read is read from"
        assert rss_bytes(under_load.pid) - before < (200 if sanitized else 16) * MIB
        assert_serves(under_load)


def test_a_message_without_end(under_load, sanitized):
    """Bounded by the limit: 1009."""
    assert_serves(under_load)
    before = rss_bytes(under_load.pid)
    with contextlib.closing(ws_suite.dial(under_load.url)) as sock:
        wire = ws_suite.dial_ws(under_load.url, sock=sock)
        wire.send(F(BINARY, b"", fin=False))
        more = wire.encode(*[F(CONTINUATION, bytes(1000), fin=False)] * 1000)
        with wire.sending(lambda: [wire.send_bytes(more) for _ in range(20)]):
            assert wire.read()[:2] == ("close", 1009)
    assert rss_bytes(under_load.pid) - before < (200 if sanitized else 48) * MIB
    assert_serves(under_load)


def test_empty_fragments_without_end(under_load, sanitized):
    """They are nothing, however many; it goes on to answer."""
    with contextlib.closing(ws_suite.dial(under_load.url)) as sock:
        wire = ws_suite.dial_ws(under_load.url, sock=sock)
        before = rss_bytes(under_load.pid)
        wire.send(F(TEXT, b"a", fin=False))
        n_frames = 200000 if not sanitized else 20000
        wire.send_bytes(F(CONTINUATION, b"", fin=False).encode(True, b"abcd") * n_frames)
        wire.send(F(PING, b"there?"))
        wire.expect("pong", b"there?")
        assert rss_bytes(under_load.pid) - before < (64 if sanitized else 4) * MIB
        wire.send(F(CONTINUATION, b"b"))
        wire.expect("text", b"ab")
        wire.close()


def test_many_that_leave_a_message_half_said(under_load, sanitized):
    """What was kept for them is given back."""
    assert_serves(under_load)
    before = rss_bytes(under_load.pid)
    for _ in range(harness.scaled(30, 5)):
        with contextlib.closing(ws_suite.dial(under_load.url)) as sock:
            wire = ws_suite.dial_ws(under_load.url, sock=sock)
            wire.send(F(BINARY, bytes(2 * MIB), length=4 * MIB))
            harness.wait_taken(sock)
    assert_serves(under_load)
    assert rss_bytes(under_load.pid) - before < (400 if sanitized else 24) * MIB


def test_a_frame_that_promises_much_gets_no_room_before_it_comes(under_load, sanitized):
    assert_serves(under_load)
    before = rss_bytes(under_load.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(ws_suite.dial(under_load.url))
            wire = ws_suite.dial_ws(under_load.url, sock=sock)
            wire.send(F(BINARY, b"x", length=16 * MIB))
            harness.wait_taken(sock)
        assert rss_bytes(under_load.pid) - before < (200 if sanitized else 32) * MIB
    assert_serves(under_load)


# --- an end that is none -----------------------------------------------------------------------------------------

CUT_WORDS = "(?i)close frame|without close|truncat|cut|may not be all|ended without"


@pytest.mark.parametrize(
    "said", [b"", b"\x81\x05hel", b"\x01\x03abc"], ids=["nothing", "half a frame", "half a message"]
)
def test_a_websocket_that_is_cut_off_is_told_by_the_client(sonde, listen, said):
    sock = listen()
    process = sonde.start_connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")
    connection, _ = harness.accept(sock)
    with connection:
        wire = ws_suite.greet_client(connection)
        wire.send(F(TEXT, b"whole"))
        wire.send_bytes(said)
        connection.shutdown(socket.SHUT_WR)
        receive_all(connection)
    assert process.wait() == 1, str(process)
    assert process.out.data == b"whole\n", "what had come whole is shown, and nothing else"
    assert re.search(CUT_WORDS, harness.one_sentence(process.err.text))


@pytest.mark.parametrize(
    "said", [b"", b"\x81\x85abcdhe", b"\x01\x81abcdx"], ids=["nothing", "half a frame", "half a message"]
)
@pytest.mark.parametrize("scheme", ["ws", "any"])
def test_a_websocket_that_is_cut_off_is_told_by_the_server(sonde, scheme, said):
    web = sonde.serve("echo", *patience(scheme), url=f"{scheme}://127.0.0.1:0")
    with ws_suite.dial(web.url) as sock:
        name = harness.text_address(sock.getsockname())
        wire = ws_suite.dial_ws(web.url, sock=sock)
        wire.send_bytes(said)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            receive_all(sock)
    line = web.out.wait_match(rf"^closed \d+ \S+ <- {re.escape(name)} .*").group(0)
    assert re.search(CUT_WORDS, line) and "end of data" not in line, line


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate in one PEM."""
    import subprocess

    path = tmp_path_factory.mktemp("tls") / "both.pem"
    argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout".split()
    done = subprocess.run([*argv, path, "-out", str(path) + ".crt"], capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("openssl makes no certificate")
    path.write_bytes(path.read_bytes() + path.with_suffix(".pem.crt").read_bytes())
    return path


def test_tls_that_is_cut_off_is_told_by_the_client(sonde, listen, certificate):
    sock = listen()
    process = sonde.start_connect("--insecure", f"tls://127.0.0.1:{sock.getsockname()[1]}")
    connection, _ = harness.accept(sock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with context.wrap_socket(connection, server_side=True) as secure:
        secure.sendall(b"first half\n")
        with socket.socket(fileno=secure.detach()) as bare:  # no close_notify
            bare.shutdown(socket.SHUT_WR)
            bare.settimeout(harness.DEADLINE)
            with contextlib.suppress(ConnectionResetError):
                receive_all(bare)
    assert process.wait() == 1, str(process)
    assert process.out.data == b"first half\n"
    assert re.search("(?i)truncat|close_notify", process.err.text), process.err.text


@pytest.mark.parametrize("scheme", ["tls", "any"])
def test_tls_that_is_cut_off_is_told_by_the_server(sonde, scheme):
    server = sonde.serve("echo", *patience(scheme), url=f"{scheme}://127.0.0.1:0")
    secure = tls_to(server)
    name = harness.text_address(secure.getsockname())
    secure.sendall(b"half\n")
    assert receive_exactly(secure, 5) == b"half\n"
    with socket.socket(fileno=secure.detach()) as bare:
        bare.shutdown(socket.SHUT_WR)
        bare.settimeout(harness.DEADLINE)
        with contextlib.suppress(ConnectionResetError):
            receive_all(bare)
    line = server.out.wait_match(rf"^closed \d+ \S+ <- {re.escape(name)} .*").group(0)
    assert re.search("(?i)truncat|close_notify", line) and "end of data" not in line, line


def test_tls_that_ends_in_order(sonde):
    server = sonde.serve("echo", url="tls://127.0.0.1:0")
    with tls_to(server) as secure:
        name = harness.text_address(secure.getsockname())
        secure.sendall(b"all of it")
        assert receive_exactly(secure, 9) == b"all of it"
        with secure.unwrap() as bare:  # raises unless the server says close_notify too
            receive_all(bare)
    assert "end of data" in server.out.wait_match(rf"^closed \d+ \S+ <- {re.escape(name)} .*").group(0)


NO_TLS = {
    "text": b"hello\n",
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "a record that is too long": b"\x16\x03\x01\xff\xff" + bytes(70000),
    "zeros": b"\x00" * 100,
    "SSL 2": b"\x80\x2e\x01\x00\x02",
}


@pytest.mark.parametrize("what", NO_TLS)
def test_what_is_no_tls(command, what):
    """Refused, and told; others are served."""
    data, server = NO_TLS[what], command.serve("echo", url="tls://127.0.0.1:0")
    with ws_suite.dial(server.url) as sock:
        name = harness.text_address(sock.getsockname())
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert data not in receive_all(sock)
    server.out.wait_match(rf"^refused \S+ <- {re.escape(name)} .*")
    with tls_to(server) as secure:
        secure.sendall(b"x")
        assert receive_exactly(secure, 1) == b"x"
