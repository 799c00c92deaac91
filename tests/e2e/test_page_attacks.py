# SPDX-License-Identifier: MIT
"""--page under attack: those who have no token, those who speak from other people's pages, and peers whose bytes would
like to be HTML."""

import contextlib
import glob
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import threading
import urllib.parse

import pytest

import harness
import ws_suite
from harness import rss_bytes, wait_until
from page.browser import browser, elsewhere  # noqa: F401 (fixtures)
from page.feed import ANY_PORT, Closed, Feed, address_of, dial_feed, part
from web_suite import FORBIDDEN, MIB, Answer, receive_rest, request
from ws_suite import BINARY, TEXT, F

VIEWERS_MAX = 16


@pytest.fixture
def server(command):
    """An echo server with its page."""
    made = command.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    made.page = address_of(made)
    return made


@pytest.fixture
def read_only(command):
    made = command.serve("echo", ANY_PORT, "--page-read-only", url="any://127.0.0.1:0")
    made.page = address_of(made)
    return made


def dial(page, rcvbuf=None):
    return harness.dial(f"tcp://{page.authority}", rcvbuf=rcvbuf)


def ask(page, data):
    with dial(page) as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(data)
        return Answer(sock)


def get(page, target="/", method="GET", lines=(), body=b"", host=None):
    lines = [*lines, "Connection: close"]
    return ask(page, request(host or page.authority, method, target, lines=lines, body=body))


def upgrade(page, host=None, lines=(), target="/feed"):
    return ask(page, ws_suite.upgrade_head(host or page.authority, target, lines=lines))


def assert_nothing_of_it(answer):
    """An answer that gives nothing away."""
    assert answer.status in (400, *FORBIDDEN), str(answer)
    assert b"<script" not in answer.body and b"page.js" not in answer.body, str(answer)
    assert not answer.head.all("Sec-WebSocket-Accept") and not answer.head.all("Access-Control-Allow-Origin")


def assert_alive(server):
    """It echoes, and it shows its page to who has the token."""
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"still here\n")
    Feed(server.page).close()


def dial_echo(server, **keywords):
    return harness.dial(f"tcp://127.0.0.1:{server.port}", **keywords)


# --- HTTP: what is there, and what is said with it --------------------------------------------------------------------

ASSETS = {
    "/": "text/html; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/page.css": "text/css; charset=utf-8",
    "/favicon.svg": "image/svg+xml",
}
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "blob:", "data:"],
    "font-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'none'"],
    "require-trusted-types-for": ["'script'"],
}


def assert_headers(answer, server):
    """Every answer has the same guards, whatever was asked for."""
    head = answer.head
    policy = {}
    for directive in head.one("Content-Security-Policy").split(";"):
        name, *values = directive.split()
        assert name not in policy, f"{name} twice"
        policy[name] = sorted(values)
    connect = {value.rstrip("/") for value in policy.pop("connect-src")}
    assert connect == {"'self'", server.page.feed, f"ws://127.0.0.1:{server.port}"}, connect
    assert policy == POLICY
    assert head.one("X-Content-Type-Options") == "nosniff"
    assert head.one("Referrer-Policy") == "no-referrer"
    assert head.one("Cross-Origin-Opener-Policy") == "same-origin"
    assert head.one("Cross-Origin-Resource-Policy") == "same-origin"
    assert head.one("Cache-Control") == "no-store"
    for feature in ("camera", "microphone", "geolocation"):
        assert re.search(rf"\b{feature}=\(\)", head.one("Permissions-Policy")), head.one("Permissions-Policy")
    for name in ("Set-Cookie", "Access-Control-Allow-Origin", "Location"):
        assert not head.all(name), f"{name}: {head.all(name)}"
    assert server.page.token.encode() not in answer.body, "the token is for who has been told it"
    assert server.page.token not in str(head.rows)


def assert_refusal_headers(answer, server):
    """What is refused before the page hears of it: nothing in the answer is ever run, framed or kept."""
    head = answer.head
    policy = sorted(directive.strip() for directive in head.one("Content-Security-Policy").split(";"))
    assert policy == ["default-src 'none'", "frame-ancestors 'none'"]
    assert head.one("X-Content-Type-Options") == "nosniff" and head.one("Cache-Control") == "no-store"
    assert head.one("Referrer-Policy") == "no-referrer"
    for name in ("Set-Cookie", "Access-Control-Allow-Origin", "Location"):
        assert not head.all(name), f"{name}: {head.all(name)}"
    assert server.page.token.encode() not in answer.body


@pytest.mark.parametrize("path", ASSETS)
def test_assets(server, path):
    """Each file of the page, with its type: a wrong one would be refused under nosniff."""
    answer = get(server.page, path)
    assert answer.status == 200, str(answer)
    assert answer.head.one("Content-Type").lower().replace("application/", "text/") == ASSETS[path]
    assert len(answer.payload) > 100
    assert_headers(answer, server)


def test_the_page_runs_nothing_inline(server):
    """No inline script, style or handler: the policy would block them, and so would it an attacker's."""
    text = get(server.page).payload.decode("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text) and not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert {urllib.parse.urlsplit(found).netloc for found in re.findall(r"(?:src|href)=\"([^\"]*)\"", text)} == {""}
    script = get(server.page, "/page.js").payload.decode("utf-8")
    for forbidden in (".innerHTML", "insertAdjacentHTML", "outerHTML=", "document.write", "new Function(", "eval("):
        assert forbidden not in script.replace(" =", "="), f"{forbidden} in the page's script"
    addresses = {url for url in re.findall(r"https?://[\w.-]+", script) if url != "http://www.w3.org"}
    assert not addresses, f"the script knows addresses elsewhere: {addresses}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/feed"])
def test_other_methods(server, method, path):
    """Nothing is changed by HTTP, so nothing but GET is answered."""
    answer = get(server.page, path, method, body=b"do=kick&id=1" if method != "TRACE" else b"")
    assert answer.status == 405, str(answer)
    assert "GET" in answer.head.one("Allow")
    if method == "TRACE":
        assert_refusal_headers(answer, server)  # no server of ours does that
    else:
        assert_headers(answer, server)
    assert_alive(server)


def test_a_form(server):
    """What a form on another page can send without being asked first."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        for origin in ("http://evil.example", "null"):
            answer = get(server.page, "/feed", "POST", [f"Content-Type: {kind}", f"Origin: {origin}"],
                         json.dumps({"do": "hello", "token": server.page.token}).encode())
            assert answer.status in (403, 405), str(answer)
            assert not answer.head.all("Access-Control-Allow-Origin")
    assert_alive(server)


@pytest.mark.parametrize("path", [
    "/feed/", "/feed/x", "/feed%00", "/%66eed", "/FEED", "/page.js/", "/page.js%00", "/PAGE.JS", "/page%2ejs", "//page.js",
    "//", "/./", "/../", "/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%2e", "/page.css/../page.js",
    "/index.html", "/.git/config", "/proc/self/environ", "/page.js.map", "/\\..\\..", "/%ff", "/~root", "/page.js;x", "/token",
])  # fmt: skip
def test_paths(server, path):
    """A path is one of a few names, letter by letter, and never a file's."""
    answer = get(server.page, path)
    assert answer.status in (400, 404), str(answer)
    assert_headers(answer, server)
    refused = upgrade(server.page, target=path)
    if refused.status == 101:  # then it is closed at once, with a reason
        wire = dial_feed(server.page, path)
        wire.send(F(TEXT, json.dumps({"do": "hello", "re": 1, "token": server.page.token}).encode()))
        assert wire.read()[:2] == ("close", 1008)
    else:
        assert refused.status in (400, 404), str(refused)


@pytest.mark.parametrize("query", ["", "x", "token={token}", "x=/../page.js"])
def test_a_query_changes_nothing(server, query):
    """The feed with a query is refused, or still wants its token in its first message."""
    target = "/feed?" + query.format(token=server.page.token)
    answer = ask(server.page, ws_suite.upgrade_head(server.page.authority, target))
    if answer.status != 101:
        assert answer.status in (400, 404), str(answer)
        return
    wire = dial_feed(server.page, target)
    wire.send(F(TEXT, b'{"do":"rows","re":1,"max":1}'))
    event = wire.read()
    assert event[0] == "close" and event[1] in (4401, 1008), event


def test_the_feed_is_no_page(server):
    """GET without Upgrade has nothing to see."""
    answer = get(server.page, "/feed")
    assert 400 <= answer.status < 500, str(answer)
    assert_headers(answer, server)


# --- who asks ---------------------------------------------------------------------------------------------------------

FOREIGN_HOSTS = [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1",
    "localhost", "127.0.0.1:80", "127.0.0.1:{other}", "127.0.0.2:{port}", "0.0.0.0:{port}", "127.1:{port}", "2130706433:{port}",
    "0x7f000001:{port}", "[::1]:{port}", "*:{port}", "evil.example@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port} evil.example", "127.0.0.1:{port},evil.example", "127.0.0.1:{port}0", "%6cocalhost:{port}",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host(server, host):
    """DNS rebinding: a name of somebody else's that leads here is told nothing, not even what this is."""
    host = host.format(port=server.page.port, other=server.port)
    for path in ("/", "/page.js"):
        answer = get(server.page, path, host=host)
        assert_nothing_of_it(answer)
        assert_refusal_headers(answer, server)
    assert_nothing_of_it(upgrade(server.page, host))
    assert_nothing_of_it(upgrade(server.page, host, [f"Origin: http://{host}"]))
    assert_nothing_of_it(upgrade(server.page, host, [f"Origin: {server.page.origin}"]))


@pytest.mark.parametrize("rows", ["missing", "twice", "two", "folded"])
def test_host_headers(server, rows):
    """One Host, and no other."""
    own = server.page.authority
    lines = {"missing": [], "twice": [f"Host: {own}"] * 2, "two": [f"Host: {own}", "Host: evil.example"],
             "folded": ["Host: evil.example", f" {own}"]}[rows]  # fmt: skip
    data = ws_suite.upgrade_head(own, "/feed", drop=("Host",), lines=lines)
    assert_nothing_of_it(ask(server.page, data))


FOREIGN_ORIGINS = [
    "null", "https://evil.example", "http://evil.example:{port}", "http://127.0.0.1.evil.example:{port}", "http://127.0.0.1:{other}",
    "http://localhost:{other}", "http://127.0.0.1", "https://127.0.0.1:{port}", "http://127.0.0.1:{port}@evil.example",
    "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port} http://evil.example", "http://[::1]:{port}", "http://127.1:{port}",
    "http://127.0.0.1:{port}0", "127.0.0.1:{port}", "//127.0.0.1:{port}", "file://", "chrome-extension://abc", "*", "",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin(server, origin):
    """A WebSocket is not bound by the same-origin policy: the server must look at Origin itself. The echo service on its
    own port is another origin, too."""
    origin = origin.format(port=server.page.port, other=server.port)
    answer = upgrade(server.page, lines=[f"Origin: {origin}"])
    assert answer.status in (400, 403), str(answer)
    assert_nothing_of_it(answer)


def test_two_origins(server):
    """One of its own does not let in another."""
    own = f"Origin: {server.page.origin}"
    for lines in ([own, "Origin: http://evil.example"], ["Origin: http://evil.example", own]):
        assert_nothing_of_it(upgrade(server.page, lines=lines))


def test_its_own_origin(server):
    """The page itself is let in; so is a program, which sends none. Both need the token."""
    for lines in ([f"Origin: {server.page.origin}"], []):
        feed = Feed(server.page, lines=lines)
        assert feed.welcome["verb"] == "serve"
        feed.close()


# --- the token --------------------------------------------------------------------------------------------------------


def expect_4401(wire):
    """It is closed, and not a word was said before."""
    event = wire.read()
    assert event[:2] == ("close", 4401), ws_suite.shorten(event)


def wrong_tokens(token):
    flip = lambda char: "A" if char != "A" else "B"  # noqa: E731
    return {
        "first": flip(token[0]) + token[1:],
        "last": token[:-1] + flip(token[-1]),
        "middle": token[:21] + flip(token[21]) + token[22:],
        "shorter": token[:-1],
        "longer": token + "A",
        "twice": token * 2,
        "none": "",
        "long": "A" * 20000,
        "padded": token + "=",
        "with NUL": token + "\0",
        "spaced": f" {token} ",
        "case": token.swapcase(),
        "number": 1,
        "null": None,
        "true": True,
        "list": [token],
        "object": {"token": token},
    }


def test_wrong_tokens(server):
    """None of them is near enough: no prefix, no other length, no other type."""
    for name, token in wrong_tokens(server.page.token).items():
        wire = dial_feed(server.page)
        wire.send(F(TEXT, json.dumps({"do": "hello", "re": 1, "token": token}).encode()))
        event = wire.read()
        assert event[:2] == ("close", 4401), f"{name}: {ws_suite.shorten(event)}"
        wire.sock.close()
    assert_alive(server)


@pytest.mark.parametrize("first", [
    {"do": "hello", "re": 1}, {"do": "open", "re": 1, "id": 1}, {"do": "kick", "re": 1, "id": 1}, {"do": "rows", "re": 1, "max": 5},
    {"do": "send", "re": 1, "id": 1, "parts": [part(b"x")], "text": False, "every_ms": 0, "count": 0}, {"do": "experiments", "re": 1},
    {"do": "run", "re": 1, "name": "two-queues", "prediction": None}, {}, [], "hello", 1, None,
])  # fmt: skip
def test_a_command_before_hello(server, first):
    """Nothing is done, and nothing is said, for who has not shown the token, not even behind a late hello."""
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"x")
        wire = dial_feed(server.page)
        hello = {"do": "hello", "re": 2, "token": server.page.token}
        wire.send(F(TEXT, json.dumps(first).encode()), F(TEXT, json.dumps(hello).encode()))
        expect_4401(wire)
        harness.round_trip(sock, b"y")


@pytest.mark.parametrize("first", [F(BINARY, b"\0\1\2"), F(TEXT, b"\xff\xfe"), F(TEXT, b"not JSON"), F(TEXT, b"")])
def test_garbage_before_hello(server, first):
    """It is closed, whatever the reason that is given for it."""
    wire = dial_feed(server.page)
    wire.send(first)
    event = wire.read()
    assert event[0] == "close" and event[1] in (4401, 1002, 1003, 1007, 1008), event
    assert_alive(server)


@pytest.mark.parametrize("where", ["cookie", "authorization", "protocol"])
def test_the_token_in_another_place(server, where):
    """A cookie would go to every port of this host; nothing but the first message counts."""
    token = server.page.token
    line = {"cookie": f"Cookie: token={token}; sonde={token}", "authorization": f"Authorization: Bearer {token}",
            "protocol": f"Sec-WebSocket-Protocol: {token}"}[where]  # fmt: skip
    wire = dial_feed(server.page, lines=[line])
    wire.send(F(TEXT, b'{"do":"rows","re":1,"max":5}'))
    expect_4401(wire)


def test_nothing_is_said(server):
    """Who says nothing is told nothing, and does not stay."""
    wire = dial_feed(server.page)
    event = wire.read()
    assert event[:2] == ("close", 4408), ws_suite.shorten(event)


def test_hello_twice(server):
    """The second is an error, and neither a second welcome nor a way to other rights."""
    feed = Feed(server.page)
    feed.refused("hello", token=server.page.token)
    feed.refused("hello", token="A" * 43)
    assert feed.do("rows", max=7)
    assert sum(row["kind"] == "welcome" for row in feed.seen) == 1


def test_each_start_has_its_own_token(command, server):
    """What was printed yesterday opens nothing today, and nothing of one server opens another."""
    other = command.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    other.page = address_of(other)
    assert other.page.token != server.page.token and len(set(other.page.token)) > 10
    wire = dial_feed(other.page)
    wire.send(F(TEXT, json.dumps({"do": "hello", "re": 1, "token": server.page.token}).encode()))
    expect_4401(wire)


# --- a second local user ----------------------------------------------------------------------------------------------

STRANGER = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
sock.sendall(sys.stdin.buffer.read())
sock.settimeout(20)
data = b""
try:
    while chunk := sock.recv(65536): data += chunk
except ConnectionResetError: pass
sys.stdout.buffer.write(data)
"""


def test_a_second_user(command, server, nobody):
    """A loopback port is open to everybody on the machine. Without the token he gets the files of the page, which hold
    nothing, and nothing of what is seen."""
    head = ws_suite.upgrade_head(server.page.authority, "/feed")
    guess = ws_suite.Wire(None, True).encode(F(TEXT, b'{"do":"hello","re":1,"token":"%s"}' % (b"A" * 43)))
    process = command.start([*nobody.prefix, "/usr/bin/python3", "-c", STRANGER, str(server.page.port)])
    process.feed(head + guess)
    process.end_input()
    assert process.wait() == 0, str(process)
    answer, _, frames = process.out.data.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert frames[:1] == b"\x88" and frames[2:4] == (4401).to_bytes(2, "big") and len(frames) <= 127, frames


def test_the_token_is_in_no_process_table(command, server, nobody):
    """Nobody finds it in /proc: neither in sonde's own words, nor in those of what it starts."""
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"x")
        feed = Feed(server.page)
        feed.open(feed.row(harness.text_address(sock.getsockname())))
        family = [server.pid, *descendants(server.pid)]
        for pid in family:
            for name in ("cmdline", "environ", "comm"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        assert server.page.token.encode() not in file.read(), f"/proc/{pid}/{name}"
        look = ["/bin/sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true"]
        seen = command.start([*nobody.prefix, *look])
        seen.end_input()
        seen.wait()
        assert server.page.token.encode() not in seen.out.data
        feed.close()


def descendants(pid):
    found = []
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError), open(task, encoding="ascii") as file:
            for child in map(int, file.read().split()):
                found += [child, *descendants(child)]
    return found


# --- read-only --------------------------------------------------------------------------------------------------------


def test_read_only(read_only):
    """A hand-made feed cannot do what the page has no buttons for."""
    with dial_echo(read_only) as sock:
        harness.round_trip(sock, b"hello")
        feed = Feed(read_only.page)
        assert feed.welcome["read_only"] is True and feed.welcome["rights"] == ["see"], feed.welcome
        row = feed.open(feed.row(harness.text_address(sock.getsockname())))
        assert row["can"] == [], row
        once = {"id": row["id"], "parts": [part(b"never")], "text": False, "count": 0}
        feed.refused("send", every_ms=0, **once)
        feed.refused("send", every_ms=10, **once)
        feed.refused("half-close", id=row["id"])
        feed.refused("kick", id=row["id"])
        feed.refused("run", name="two-queues", prediction=None)
        feed.refused("stop", repeat=1)
        assert feed.wait_of("messages", lambda message: message["way"] == "in", "what the peer said")
        harness.round_trip(sock, b"and nothing came in between")
        assert harness.nothing_to_read(sock)
        feed.close()


def test_read_only_without_a_page(command):
    """It says something about a page, so it needs one."""
    done = command.run("serve", "echo", "--page-read-only", harness.LOOPBACK)
    assert done.status == 2, str(done)
    assert "--page" in harness.one_sentence(done.err)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_hundred_viewers(server):
    """As many as there is room for are served, the others are told to come again, and somebody leaving makes room."""
    viewers, refused = [], []
    for _ in range(100):
        try:
            viewers.append(Feed(server.page))
        except Closed as closed:
            refused.append(closed.event)
        except (AssertionError, ConnectionResetError) as error:  # refused before it was a WebSocket
            assert "HTTP/1.1 503" in str(error) or isinstance(error, ConnectionResetError), error
            refused.append(None)
    assert len(viewers) == VIEWERS_MAX and len(refused) == 100 - VIEWERS_MAX
    assert all(event is None or event[:2] == ("close", 1013) for event in refused), refused
    assert any(event for event in refused), "nobody was told"
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"meanwhile")
        name = harness.text_address(sock.getsockname())
        for feed in viewers:
            feed.row(name)
    viewers.pop().close()

    def room():
        with contextlib.suppress(AssertionError, ConnectionResetError):
            viewers.append(Feed(server.page))
            return True
        return False

    wait_until(room, "the place of one who left is free")
    for feed in viewers:
        feed.close()


def test_many_who_say_nothing(server):
    """Those who have not shown the token don't take the places of those who have it, for long."""
    wires = []
    for _ in range(60):
        with contextlib.suppress(AssertionError, OSError):
            wires.append(dial_feed(server.page))
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"meanwhile")

    def comes_in():
        with contextlib.suppress(AssertionError, OSError):
            Feed(server.page).close()
            return True
        return False

    wait_until(comes_in, "there is room again for one who has the token")
    for wire in wires:
        wire.sock.close()


def memory(server):
    """How much it has once it has looked at the machine's sockets, of which there may be thousands."""
    feed = Feed(server.page)
    feed.next("overview")
    feed.close()
    return rss_bytes(server.pid)


@pytest.mark.ordinary_build  # a sanitizer keeps what was freed
def test_slow_requests(server):
    """Two hundred heads that never end keep nobody from the echo, hold little memory, and are given up."""
    before = memory(server)
    socks = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            sock = dial(server.page)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: " + server.page.authority.encode() + b"\r\nX: " + b"x" * 4000)
            socks.append(sock)
    assert len(socks) >= 100
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"meanwhile")
    assert rss_bytes(server.pid) - before < 32 * MIB

    def over():
        ended = 0
        for sock in socks:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                try:
                    ended += bool(sock.recv(4096)) or True
                except ConnectionResetError:
                    ended += 1
        return ended >= len(socks) - 16

    wait_until(over, "they are given up", harness.DEADLINE * 3)
    for sock in socks:
        sock.close()
    assert get(server.page).status == 200


@pytest.mark.ordinary_build  # a sanitizer keeps what was freed
@pytest.mark.parametrize("what", ["target", "header", "headers", "body", "chunked"])
def test_big_requests(server, what):
    """Thirty-two megabytes in any place of a request are refused, and not kept."""
    before = memory(server)
    much = b"x" * (32 * MIB)
    host = server.page.authority.encode()
    data = {
        "target": b"GET /" + much + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        "header": b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nX: " + much + b"\r\n\r\n",
        "headers": b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + b"X: y\r\n" * (MIB * 5) + b"\r\n",
        "body": b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: %d\r\n\r\n" % len(much) + much,
        "chunked": b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nTransfer-Encoding: chunked\r\n\r\n1fffff0\r\n" + much,
    }[what]
    with dial(server.page) as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(data)
        said = receive_rest(sock)
    assert not said.startswith(b"HTTP/1.1 2"), said[:200]
    assert rss_bytes(server.pid) - before < 12 * MIB
    assert_alive(server)


VALUES = [None, True, -1, 0, 1.5, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63), "", "x", "\0", "\ud800", "1", [], [[]], {}, {"a": 1}]
MEMBERS = {
    "open": {"id": 1}, "close": {}, "filter": {"text": ""}, "rows": {"max": 5}, "pause": {}, "resume": {}, "stop": {"repeat": 1},
    "send": {"id": 1, "parts": [part(b"x")], "text": False, "every_ms": 0, "count": 0}, "half-close": {"id": 1}, "kick": {"id": 1},
    "layers": {"id": 1, "segment": 1}, "experiments": {}, "run": {"name": "no such experiment", "prediction": None},
}  # fmt: skip
PARTS = [None, 1, "x", [], {}, {"data": 1}, {"data": "*"}, {"data": "YQ"}, {"data": "YQ==\n"}, {"counter": "1"}, {"counter": 1.5},
         {"time": "noon"}, {"time": 1}, {"random": -1}, {"random": 2**40}, {"random": "4"}, {"nothing": 1}, {"data": None},
         {"counter": 2**63}]  # fmt: skip


def wrong_commands():
    """Each member of each command, wrong in its type or far out of its range. All the rest is as it should be."""
    for do, members in MEMBERS.items():
        for name in members:
            for value in VALUES:
                yield {"do": do, **members, name: value}
            yield {"do": do, **{key: value for key, value in members.items() if key != name}}
    for piece in PARTS:
        yield {"do": "send", **MEMBERS["send"], "parts": [piece]}
        yield {"do": "send", **MEMBERS["send"], "parts": [part(b"x"), piece]}
    yield {"do": "send", **MEMBERS["send"], "parts": [{"counter": 1}] * 100000}
    for value in VALUES:
        yield {"do": value}
    yield {}


def test_wrong_commands(server):
    """None of them is done, each is answered, and none hurts. There is no row 1 that they could be right about."""
    feed, n_asked = Feed(server.page), 0
    for number, command in enumerate(wrong_commands()):
        if n_asked == 50:  # more than a hundred bad ones are taken for an attack
            feed.close()
            feed, n_asked = Feed(server.page), 0
        n_asked += 1
        begin = len(feed.seen)
        feed.say(json.dumps({"re": 10000 + number, **command}))
        try:
            # A number that no 64 bits hold makes it no JSON for some parsers: nobody knows which question that was.
            answer = feed.wait(lambda row, wanted=10000 + number: row.get("re") == wanted or row["kind"] == "result" and not row.get("re"),
                               f"an answer to {command}", since=begin)
        except Closed as closed:
            assert closed.event[:2] == ("close", 1009) or "\\ud800" in json.dumps(command), f"{command}: {closed}"
            feed, n_asked = Feed(server.page), 0
            continue
        if answer["kind"] == "result" and not answer["ok"]:
            harness.assert_printable(answer["error"].encode(), allowed="")
        else:  # what is not wrong after all: a number of rows, a filter, an answer to what needs no member
            assert command.get("do") in ("rows", "filter", "close", "pause", "resume", "experiments"), (command, answer)
    feed.close()
    assert_alive(server)


RAW = [
    b"", b" ", b"null", b"{", b"[]", b'"x"', b"{}{}", b"{'do':'rows'}", b'{"do":"rows","do":"pause","re":1}', b"\xef\xbb\xbf{}",
    b'{"do":"rows","re":1,"max":5} trailing', b'{"do":"rows","re":1,"max":NaN}', b'{"do":"rows","re":1,"max":1e999}',
    b"[" * 50000, b'{"a":' * 50000, b'{"do":"' + b"x" * 100000 + b'"}', b'{"do":"r\\u0000ows"}', b'{"re":{"re":{}},"do":"rows"}',
]  # fmt: skip


def test_what_is_no_command(server):
    """It is answered with a sentence, or the feed is closed for it; the rest of the server goes on."""
    for raw in RAW:
        feed = Feed(server.page)
        begin = len(feed.seen)
        feed.say(raw)
        try:
            answer = feed.wait(lambda row: row["kind"] == "result", "an answer", since=begin)
            assert answer["ok"] is False and answer["error"], f"{raw[:60]!r}: {answer}"
            assert len(answer["error"]) < 500, "what was sent comes back"
        except Closed as closed:
            assert closed.event[1] in (1002, 1003, 1007, 1008, 1009), f"{raw[:60]!r}: {closed}"
        feed.close()
    assert_alive(server)


@pytest.mark.parametrize("frame", [F(BINARY, b"\0\1\2"), F(TEXT, b"\xff\xfe")])
def test_no_text(server, frame):
    """Commands are text messages."""
    feed = Feed(server.page)
    begin = len(feed.seen)
    feed.wire.send(frame)
    try:
        answer = feed.wait(lambda row: row["kind"] == "result", "an answer", since=begin)
        assert answer["ok"] is False
    except Closed as closed:
        assert closed.event[1] in (1003, 1007, 1008), closed
    assert_alive(server)


@pytest.mark.ordinary_build  # a sanitizer keeps what was freed
def test_an_oversized_command(server):
    """A hundred megabytes are not waited for."""
    before = memory(server)
    feed = Feed(server.page)
    feed.wire.send(F(TEXT, b"x" * 1024, length=100 * MIB))
    assert feed.closed()[1] == 1009
    assert rss_bytes(server.pid) - before < 16 * MIB
    assert_alive(server)


def test_bad_commands_without_end(server):
    """Each is answered, until it is enough."""
    feed = Feed(server.page)
    with pytest.raises(Closed):
        for _ in range(2000):
            feed.ask("nonsense")
    assert 100 <= sum(row["kind"] == "result" for row in feed.seen) < 300
    assert_alive(server)


@pytest.mark.ordinary_build  # a sanitizer keeps what was freed
@pytest.mark.heavy
def test_a_viewer_that_does_not_read(sonde, sanitized):
    """It costs bounded memory, stalls neither the echo nor another viewer, and finds out later that it has missed something
    (or was given up)."""
    server = sonde.serve("echo", ANY_PORT, "--quiet", url="any://127.0.0.1:0")
    server.page = address_of(server)
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"hello")
        name = harness.text_address(sock.getsockname())
        slow, quick = Feed(server.page, rcvbuf=4096), Feed(server.page)
        row = slow.row(name)
        slow.open(row)
        quick.open(row)
        before = rss_bytes(server.pid)
        data = bytes(range(256)) * 4096
        done = threading.Event()

        def look_on():
            with contextlib.suppress(AssertionError, OSError):
                while not done.is_set():
                    quick.read()

        other = threading.Thread(target=look_on, daemon=True)
        other.start()
        for _ in range(harness.scaled(96)):
            harness.exchange(sock, data, half_close=False, most=1 << 18)
        grown = rss_bytes(server.pid) - before
        done.set()
        other.join(harness.DEADLINE)
        assert grown < (256 if sanitized else 48) * MIB, f"{grown >> 20} MiB more"
        quick.wait(lambda message: message["kind"] == "row" and (message["row"]["in"] or 0) >= len(data), "the bytes' count",
                   since=0)
        try:
            told = slow.wait(
                lambda message: message.get("missed") or message.get("lost") or message.get("left_out"), "what it has missed"
            )
            assert told
        except (Closed, AssertionError) as error:
            assert isinstance(error, Closed) and error.event[0] in ("reset", "end", "close"), error
        slow.close()
        quick.close()
    assert_alive(server)


def test_the_end_with_viewers(sonde):
    """Each viewer is told why, and one that does not read does not keep sonde from ending."""
    server = sonde.serve("echo", ANY_PORT, url="any://127.0.0.1:0")
    server.page = address_of(server)
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"hello")
        viewers = [Feed(server.page) for _ in range(3)]
        stuck = Feed(server.page, rcvbuf=4096)
        row = viewers[0].row(harness.text_address(sock.getsockname()))
        viewers[0].open(row)
        stuck.open(row)
        silent = dial_feed(server.page)
        half = dial(server.page)
        half.sendall(b"GET / HT")
        assert viewers[0].do("send", id=row["id"], parts=[part(b"tick")], text=False, every_ms=10, count=0)["repeat"] > 0
        server.signal(signal.SIGTERM)
        harness.receive_all(sock)  # the client is well, and is not waited for
        sock.close()
        for feed in viewers:
            event = feed.closed()
            assert event[:2] == ("close", 1001), event
            assert feed.seen[-1]["kind"] == "bye" and feed.seen[-1]["why"], feed.seen[-1]
        assert server.wait() == 0
        for sock_ in (silent.sock, half, stuck.wire.sock):
            sock_.close()


# --- where the page is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://0.0.0.0:0", "http://[::]:0", "http://:0"])
def test_other_machines_without_tls(command, url):
    """The token would be read on the way. (An address without a host is this machine's.)"""
    process = command.start([*command.argv("serve", "echo"), f"--page={url}", harness.LOOPBACK])
    if url == "http://:0":
        assert address_of(process).host in ("127.0.0.1", "localhost", "[::1]")
        return
    assert process.wait() == 2, str(process)
    sentence = harness.one_sentence(process.err.text)
    assert "https://" in sentence, sentence


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:0", "http://", "http://127.0.0.1:99999", "http://127.0.0.1:0/path", "http://evil.example:0",
                                 "http://user@127.0.0.1:0", "127.0.0.1:x", "http://127.0.0.1:0#x", "http://192.0.2.1:0", "tcp://127.0.0.1:0"])
def test_no_such_page(command, url):
    """A mistake in the URL is told before anything is served."""
    done = command.run("serve", "echo", f"--page={url}", harness.LOOPBACK)
    assert done.status in (1, 2) and b"listening" not in done.out, str(done)
    harness.one_sentence(done.err)


def test_https(command):
    """Over TLS the page is the same, with the same guards; its certificate's fingerprint is printed."""
    server = command.serve("echo", "--page=https://127.0.0.1:0", url="any://127.0.0.1:0")
    server.page = address_of(server)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(dial(server.page), server_hostname="localhost", suppress_ragged_eofs=False) as sock:
        sock.sendall(request(server.page.authority, lines=["Connection: close"]))
        answer = Answer(sock)
        assert answer.status == 200
        assert f"wss://{server.page.authority}" in answer.head.one("Content-Security-Policy")
        shown = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest().upper()
    with context.wrap_socket(dial(server.page), server_hostname="localhost") as sock:
        wire = ws_suite.dial_ws(server.page.feed, "/feed", sock=sock)
        wire.send(F(TEXT, json.dumps({"do": "hello", "re": 1, "token": server.page.token}).encode()))
        assert json.loads(wire.read()[1])["kind"] == "welcome"
    with dial(server.page) as sock:
        sock.sendall(request(server.page.authority))
        assert b"page.js" not in receive_rest(sock), "the page came without TLS"
    assert ":".join(re.findall("..", shown)) in server.err.text  # of the page's own, not of what is served


# --- hostile peers: every field that a peer can set --------------------------------------------------------------------

TAG = "</script><img src=x onerror=alert(1)>"
BIDI = "\u202egnp.exe\u2066\u2069\u200f"
HOSTILE = [
    TAG.encode(),
    b'<svg onload=alert(1)><script>alert(1)</script>"\'><iframe src=javascript:alert(1)>',
    BIDI.encode() + b"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xc2\x85",
    b"\x00\x01\x7f\x1b[31m\x1b]0;owned\x07\x1b[2J\r\n\x08\x08",
    b"\xff\xfe\xf8\x88\x80\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xc0\x80",
    b"{{constructor.constructor('alert(1)')()}} ${alert(1)} %s%n &lt;b&gt; <!-- ]]> \\u003cscript\\u003e",
    bytes(range(256)),
]


def test_hostile_bytes_are_text(browser, server):
    """What peers send is shown as text: nothing of it is an element, an attribute, a style, or a direction of text."""
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"hello\n")
        for data in HOSTILE:
            harness.round_trip(sock, data)
            harness.wait_taken(sock)
        page = browser.open(server.page)
        page.open_row(harness.text_address(sock.getsockname()))
        page.wait_said("in", re.escape("<img src=x onerror=alert(1)>"))
        page.wait_said("in", re.escape("constructor.constructor"))
        page.wait_said("in", r"\\x1b|\\u001b|␛|\\e")
        page.wait_said("in", r"(?i)\\u\{?202e|U\+202E")
        page.assert_harmless()


def test_hostile_heads_are_text(browser, server):
    """HTTP on any://: the target, the headers, a WebSocket's path, its messages and the reason of its Close."""
    own = f"127.0.0.1:{server.port}"
    with dial_echo(server) as sock, dial_echo(server) as plain:
        wire = ws_suite.dial_ws(f"ws://{own}", "/%3Cscript%3E?<img+src=x+onerror=alert(1)>", sock=sock,
                                lines=[f"User-Agent: {TAG}", f"Referer: {TAG}", f"X: {TAG}"])
        for data in (TAG.encode(), BIDI.encode(), b"\x1b[31m \x00 \x7f"):
            wire.send(F(TEXT, data))
            wire.expect("text", data)
        wire.send(F(BINARY, bytes(range(256))))
        wire.expect("binary", bytes(range(256)))
        plain.sendall(request(own, target="/<img/src=x/onerror=alert(1)>", lines=[f"User-Agent: {TAG}"]))
        assert plain.recv(65536)
        page = browser.open(server.page)
        page.open_row(harness.text_address(sock.getsockname()))
        page.wait_said("in", re.escape("<img src=x onerror=alert(1)>"))
        page.assert_harmless()
        page.open_row(harness.text_address(plain.getsockname()))
        page.wait_said("out", "This is the service echo")
        page.assert_harmless()
        wire.send(ws_suite.close_frame(4000, TAG.encode()))
        page.assert_harmless()


def test_hostile_names_are_text(browser, command, place):
    """A UNIX socket's path, a program's name, a TLS server's name."""
    path = f"{place}/<img src=x onerror=alert(1)>{BIDI}"
    server = command.serve("echo", ANY_PORT, url=[f"unix:{urllib.parse.quote(path)}", "tls://127.0.0.1:0"], sockets=0)
    server.page = address_of(server)
    tls = server.out.wait_match(r"tls://127\.0\.0\.1:(\d+)").group(1)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.socket(socket.AF_UNIX) as sock, context.wrap_socket(
        harness.dial(f"tcp://127.0.0.1:{tls}"), server_hostname="img.src-x.onerror-alert.example"
    ) as secure:
        sock.settimeout(harness.DEADLINE)
        wait_until(lambda: os.path.exists(path), "the UNIX socket is there")
        sock.connect(path)
        harness.round_trip(sock, TAG.encode())
        harness.round_trip(secure, TAG.encode())
        page = browser.open(server.page)
        page.wait_text("#listeners", re.escape("<img src=x onerror=alert(1)>"))
        name = harness.text_address(secure.getsockname())
        page.open_row(name)
        page.wait_said("in", re.escape("<img src=x onerror=alert(1)>"))
        page.assert_harmless()
        page.open_row(re.compile(r"pid \d+|onerror"))
        page.wait_said("in", re.escape("<img src=x onerror=alert(1)>"))
        page.assert_harmless()


NAMED = """
import socket, sys, time
open("/proc/self/comm", "w").write("<img src=x>\\u202e")
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(b"x")
sys.stdin.read()
"""


def test_hostile_program_names_are_text(browser, command, echo_peer):
    """Whoever holds a socket chooses his program's name."""
    process = command.start(["/usr/bin/python3", "-c", NAMED, str(echo_peer.port)])
    watch = command.start(command.argv("watch", ANY_PORT, f"dst :{echo_peer.port}"))
    page = browser.open(address_of(watch))
    page.wait_text("#conns", re.escape(f"127.0.0.1:{echo_peer.port}"))
    page.open_row(re.compile("127"))
    page.wait_text("body", re.escape("<img src=x>"))
    page.assert_harmless()
    process.end_input()


def test_a_hostile_filter_is_text(browser, server):
    """What the page itself is asked for comes back in an error's sentence."""
    page = browser.open(server.page)
    box = page.filter_box()
    box.send_keys("state <img/src=x/onerror=alert(1)>")
    page.keys("ENTER")
    page.wait_text("#conns", "expected a state")
    page.assert_harmless()


def test_hostile_captures_are_text(browser, command, tmp_path):
    """A capture is a file from somewhere."""
    from captures import netns, scenarios

    if netns.permitted():
        pytest.skip(netns.permitted())
    path = scenarios.make("hostile", tmp_path)["hostile"]
    trace = command.start(command.argv("trace", "-r", path, ANY_PORT))
    page = browser.open(address_of(trace))
    page.open_row(re.compile(r"10\.0\.0"))
    page.segment(4)
    page.assert_harmless()
    for segment in (4, 6, 8):
        page.show_layers(segment)
        page.assert_harmless()


# --- the browser, turned against the page -------------------------------------------------------------------------------

SOCKET = """
const [url, message, done] = arguments;
const said = {messages: [], opened: false};
let socket;
try { socket = new WebSocket(url); } catch (error) { done({...said, refused: String(error)}); }
socket.onopen = () => { said.opened = true; socket.send(message); };
socket.onmessage = (event) => said.messages.push(event.data);
socket.onclose = (event) => done({...said, code: event.code});
"""
FETCH = """
const [url, options, done] = arguments;
fetch(url, options).then(async (answer) => done({type: answer.type, status: answer.status, text: await answer.text()}),
                         (error) => done({error: String(error)}));
"""
FRAME = """
const [inside, done] = arguments;
window.onmessage = (event) => done(event.data);
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
frame.srcdoc = inside;
document.body.append(frame);
"""
INCLUDE = """
const [url, done] = arguments;
const script = document.createElement("script");
script.src = url;
script.onload = () => done("loaded");
script.onerror = () => done("refused");
document.body.append(script);
"""


def test_rebinding(browser, server):
    """evil.example is a name that its owner has made to lead here. The browser takes it for another site, so it would let
    its scripts read everything: the server has to refuse."""
    driver = browser.driver
    # The owner's own page would not have the policy that comes with the refusal.
    driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    driver.get(f"http://evil.example:{server.page.port}/#{server.page.token}")
    assert "page.js" not in driver.page_source and not driver.execute_script("return document.scripts.length")
    said = driver.execute_async_script(FETCH, f"http://evil.example:{server.page.port}/page.js", {})
    assert said.get("status", 403) in FORBIDDEN and "Origin" not in said.get("text", ""), said
    hello = json.dumps({"do": "hello", "re": 1, "token": server.page.token})
    said = driver.execute_async_script(SOCKET, f"ws://evil.example:{server.page.port}/feed", hello)
    assert not said["opened"] and not said["messages"], said
    driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    browser.console()  # its complaints are what was wanted
    assert_alive(server)


def test_cross_site(browser, server, elsewhere):
    """A page on another port of this host, even with the right token: no WebSocket, no reading, no script, no frame."""
    driver, page = browser.driver, server.page
    driver.get(elsewhere)
    hello = json.dumps({"do": "hello", "re": 1, "token": page.token})
    said = driver.execute_async_script(SOCKET, f"{page.feed}/feed", hello)
    assert not said["opened"] and not said["messages"] and said["code"] == 1006, said
    for options in ({}, {"mode": "no-cors"}, {"method": "POST", "mode": "no-cors", "body": hello}, {"credentials": "include"}):
        said = driver.execute_async_script(FETCH, f"{page.origin}/", options)
        assert not said.get("text"), said
    assert driver.execute_async_script(INCLUDE, f"{page.origin}/page.js") == "refused"
    driver.execute_script(
        "const frame = document.createElement('iframe'); frame.src = arguments[0]; frame.id = 'f'; document.body.append(frame);",
        page.url,
    )
    driver.switch_to.frame("f")
    wait_until(lambda: driver.execute_script("return document.readyState") == "complete", "the frame is loaded or refused")
    assert "header" not in driver.page_source or "page.js" not in driver.page_source
    driver.switch_to.default_content()
    browser.console()
    assert_alive(server)


def test_null_origin(browser, server, elsewhere):
    """A sandboxed frame's origin is «null», which is nobody's own."""
    inside = (
        "<script>const socket = new WebSocket(%s); let said = {opened: false, messages: 0};"
        "socket.onopen = () => { said.opened = true; socket.send(%s); }; socket.onmessage = () => said.messages++;"
        "socket.onclose = () => parent.postMessage({...said, origin: self.origin}, '*');</script>"
        % (json.dumps(f"{server.page.feed}/feed"), json.dumps(json.dumps({"do": "hello", "re": 1, "token": server.page.token})))
    )
    browser.driver.get(elsewhere)
    said = browser.driver.execute_async_script(FRAME, inside)
    assert said == {"opened": False, "messages": 0, "origin": "null"}, said
    browser.console()


def test_a_cross_site_form(browser, server, elsewhere):
    """A form goes anywhere; here it does nothing."""
    driver = browser.driver
    driver.get(elsewhere)
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"x")
        driver.execute_script(
            "const form = document.createElement('form'); form.method = 'post'; form.enctype = 'text/plain'; form.action = arguments[0];"
            "const box = document.createElement('input'); box.name = arguments[1]; form.append(box);"
            "document.body.append(form); form.submit();",
            f"{server.page.origin}/feed", json.dumps({"do": "hello", "token": server.page.token}),
        )  # fmt: skip
        wait_until(lambda: driver.current_url.startswith(server.page.origin), "the form was sent")
        assert not driver.execute_script("return document.scripts.length")
        harness.round_trip(sock, b"still there")
    browser.console()


def test_the_token_stays_with_its_origin(browser, server, elsewhere):
    """Not in the address bar, nor the history, nor a cookie, nor where another port of this host can read it."""
    page = browser.open(server.page)
    driver = browser.driver
    assert server.page.token not in driver.current_url
    assert driver.execute_script("return document.cookie") == ""
    assert not driver.execute_script("return JSON.stringify(localStorage)").count(server.page.token)
    entries = driver.execute_cdp_cmd("Page.getNavigationHistory", {})["entries"]
    assert not [entry for entry in entries if server.page.token in entry["url"]], entries
    assert server.page.token not in page.html()
    driver.get(elsewhere)
    kept = driver.execute_script("return JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    assert server.page.token not in kept
    assert driver.execute_script("return document.referrer") == ""


@pytest.mark.parametrize("fragment", ["", "#", "#" + "A" * 43, "#<img src=x onerror=alert(1)>", "#../../x"])
def test_the_page_without_the_token(browser, server, fragment):
    """One sentence that says what to do, and nothing of what is seen."""
    with dial_echo(server) as sock:
        harness.round_trip(sock, b"secret")
        page = browser.open(f"{server.page.origin}/{fragment}", ready=False)
        page.wait_text("body", r"(?i)\bopen\b.*\bURL\b.*\bprinted\b|\btoken\b")
        assert harness.text_address(sock.getsockname()) not in page.text("body")
        page.assert_harmless()
    browser.console()  # a WebSocket that was closed is in it
